"""SNIP-12 typed messages, revision 1: what wallets show before they sign, and the hash that is signed.

Types are a mapping of struct to its fields, {"Request": {"sequence": "u128", "model": "shortstring"}}; the struct that
no other one mentions is the message. One message at a time is hashed by starknet.py. `MessageHasher` hashes many of one
flat struct at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starknet_py.cairo.felt import encode_shortstring
from starknet_py.utils.typed_data import TypedData, encode_bool, encode_u128, is_pointer, parse_felt, strip_pointer

from octoproof.starknet.wallet.curve import PRIME
from octoproof.starknet.wallet.errors import WalletError

Types = Mapping[str, Mapping[str, str]]
Message = Mapping[str, Any]

DOMAIN = "StarknetDomain"
DOMAIN_FIELDS = {"name": "shortstring", "version": "shortstring", "chainId": "shortstring", "revision": "shortstring"}
PREFIX = encode_shortstring("StarkNet Message")
ADDRESS_BOUND = 2**251 - 256
BOUNDS = {"felt": PRIME, "shortstring": PRIME, "ClassHash": PRIME, "ContractAddress": ADDRESS_BOUND}
NUMBERS = ("u128", "timestamp")
PRESETS = {  # SNIP-12's own structs
    "u256": {"low": "u128", "high": "u128"},
    "TokenAmount": {"token_address": "ContractAddress", "amount": "u256"},
    "NftId": {"collection_address": "ContractAddress", "token_id": "u256"},
}


@dataclass(frozen=True)
class Domain:
    """What keeps a message from being taken for one of another application, version or chain (texts of up to 31
    letters; `chain_id` such as SN_SEPOLIA)."""

    name: str
    version: str
    chain_id: str

    def fields(self) -> dict[str, str]:
        return {"name": self.name, "version": self.version, "chainId": self.chain_id, "revision": "1"}


def document(domain: Domain, types: Types, message: Message) -> dict[str, Any]:
    """The JSON document that wallets take. Raises WalletError if the types do not have one root."""
    listed = {name: _listed(fields) for name, fields in [(DOMAIN, DOMAIN_FIELDS), *types.items()]}
    return {"types": listed, "primaryType": root(types), "domain": domain.fields(), "message": dict(message)}


def root(types: Types) -> str:
    """The struct that no other one mentions."""
    mentioned = {strip_pointer(kind) for fields in types.values() for kind in fields.values()}
    found = [name for name in types if name not in mentioned]
    if len(found) != 1:
        raise WalletError(f"types: {len(found)} structs are mentioned by no other; the message has to be the only one")
    return found[0]


def typed_message_hash(domain: Domain, types: Types, message: Message, account: int) -> int:
    """The hash that the account signs. Raises WalletError for values out of their types."""
    return typed_data_hash(document(domain, types, message), account)


def typed_data_hash(data: Mapping[str, Any], account: int) -> int:
    """The hash of a whole SNIP-12 document of revision 1. Raises WalletError."""
    try:
        typed = TypedData.from_dict(dict(data))  # type: ignore[arg-type]
        if typed.domain.resolved_revision.value != 1:
            raise WalletError("domain: revision 1 is needed; revision 0 does not tell types apart")
        types = {**{name: _listed(fields) for name, fields in PRESETS.items()}, **data["types"]}
        _check(types, DOMAIN, data["domain"], "domain")
        _check(types, data["primaryType"], data["message"], "message")
        return typed.message_hash(_address(account))
    except WalletError:
        raise
    except Exception as error:  # starknet.py raises what its parts raise: KeyError, ValueError, ValidationError, ...
        raise WalletError(f"typed data: {' '.join(str(error).split())[:200] or type(error).__name__}") from None


def _listed(fields: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in fields.items()]


def _address(account: int) -> int:
    if not 0 < account < ADDRESS_BOUND:
        raise WalletError(f"account: {account:#x} is no address")
    return account


def _check(types: Mapping[str, Any], kind: str, value: Any, where: str) -> None:
    """Refuses what starknet.py lets pass, though different messages then share a hash: fields that are not part of
    the type (shown, but not signed), surplus items of an enum, and felts that wrap around."""
    if kind == "enum":
        raise WalletError(f"{where}: enums are not taken; use a struct")
    if is_pointer(kind):
        for place, item in enumerate(value):
            _check(types, strip_pointer(kind), item, f"{where}[{place}]")
    elif kind in types:
        fields = types[kind]
        names = [field["name"] for field in fields]
        if sorted(names) != sorted(value):
            raise WalletError(f"{where}: has {_names(value)}; its type {kind} has {_names(names)}")
        for field in fields:
            inner = f"{field['contains']}*" if field["type"] == "merkletree" else field["type"]
            _check(types, inner, value[field["name"]], f"{where}.{field['name']}")
    elif kind in BOUNDS:
        _felt(kind, value, where)


def _felt(kind: str, value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise WalletError(f"{where}: {value!s:.40} is not a {kind}")
    try:
        number = parse_felt(value)
    except ValueError as error:
        raise WalletError(f"{where}: {value!s:.40} is not a {kind}: {error}") from None
    if not 0 <= number < BOUNDS[kind]:
        raise WalletError(f"{where}: {value!s:.90} is out of range for a {kind}")
    return number


def _names(names: Iterable[str]) -> str:
    return "the fields " + ", ".join(sorted(names)) if names else "no fields"


class MessageHasher:
    """Hashes many messages of one struct whose fields are felts, u128, timestamps, shortstrings, bools, class hashes
    and contract addresses: everything that is one number. Raises WalletError for other types."""

    def __init__(self, domain: Domain, types: Types) -> None:
        name = root(types)
        self.fields = dict(types[name])
        other = [kind for kind in self.fields.values() if kind not in {*BOUNDS, *NUMBERS, "bool"}]
        if len(types) != 1 or other:
            raise WalletError(f"types: {other[0] if other else name} is not one number; hash such messages one by one")
        listed = {DOMAIN: _listed(DOMAIN_FIELDS), name: _listed(self.fields)}
        typed = TypedData.from_dict(
            {"types": listed, "primaryType": name, "domain": domain.fields(), "message": {}}  # type: ignore[typeddict-item]
        )
        _check(listed, DOMAIN, domain.fields(), "domain")
        self._type_hash = typed.type_hash(name)
        self._domain_hash = typed.struct_hash(DOMAIN, domain.fields())

    def hash_all(self, messages: Sequence[Message], accounts: Sequence[int]) -> list[int]:
        """What `typed_message_hash` gives for each message and the account that signs it."""
        from octoproof.starknet.wallet.batch import poseidon_rows

        if len(messages) != len(accounts):
            raise WalletError(f"accounts: {len(accounts)} for {len(messages)} messages; give one each")
        structs = poseidon_rows([[self._type_hash, *self.encode(message)] for message in messages])
        signed = zip(accounts, structs, strict=True)
        return poseidon_rows([[PREFIX, self._domain_hash, _address(account), struct] for account, struct in signed])

    def encode(self, message: Message) -> list[int]:
        """The numbers that the fields stand for, in the order of the type."""
        if message.keys() != self.fields.keys():
            raise WalletError(f"message: has {_names(message)}; its type has {_names(self.fields)}")
        return [_number(kind, message[name], name) for name, kind in self.fields.items()]


def _number(kind: str, value: Any, where: str) -> int:
    if kind in BOUNDS:
        return _felt(kind, value, where)
    try:
        return encode_bool(value) if kind == "bool" else encode_u128(value)
    except ValueError as error:
        raise WalletError(f"{where}: {error}") from None
