"""Transactions of version 3 as plain data: what is to be done, and the same signed, ready to be sent and sent again.

Pure: nothing here asks a node. The hash that is signed covers chain id, sender, nonce, bounds and content, so a signed
transaction has effect at most once, and on one chain only (Starknet documentation, "Transactions", version 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from starknet_py.constants import FIELD_PRIME, QUERY_VERSION_BASE
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.client_models import ResourceBoundsMapping, SierraContractClass
from starknet_py.net.models.transaction import AccountTransaction, DeclareV3, DeployAccountV3, InvokeV3
from starknet_py.net.schemas.broadcasted_txn import BroadcastedTransactionSchema

from octoproof.starknet.accounts import Account
from octoproof.starknet.errors import ChainError
from octoproof.starknet.limits import MAX_CALLDATA_FELTS


@dataclass(frozen=True)
class Call:
    """One call of a contract: address, name of the function, arguments as felts."""

    to: int
    function: str
    calldata: tuple[int, ...] = ()


@dataclass(frozen=True)
class Invoke:
    """Calls that are carried out in order, all or none."""

    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Declare:
    """A contract class. `sent_version` is what is sent as the class's version: hashes are over the class as it is."""

    contract_class: SierraContractClass
    compiled_class_hash: int
    sent_version: str


@dataclass(frozen=True)
class DeployAccount:
    """An account contract that pays for its own deployment, at the address that these arguments give."""

    class_hash: int
    salt: int
    calldata: tuple[int, ...]


Draft = Invoke | Declare | DeployAccount


@dataclass(frozen=True)
class Signed:
    """What is sent. `kind` is the type in the protocol, `body` the JSON of it, `content` names the draft."""

    kind: str
    hash: int
    sender: int
    nonce: int
    content: str
    body: dict[str, Any]


def sign(draft: Draft, account: Account, chain_id: int, nonce: int, bounds: ResourceBoundsMapping) -> Signed:
    """Raises ChainError for calldata that the network does not take."""
    transaction = _unsigned(draft, account, nonce, bounds)
    digest = transaction.calculate_hash(chain_id)
    return _signed(draft, account, transaction, digest)


def sign_query(draft: Draft, account: Account, chain_id: int, nonce: int, bounds: ResourceBoundsMapping) -> Signed:
    """The same for an estimate or a simulation: its version makes it worthless as a transaction."""
    plain = _unsigned(draft, account, nonce, bounds)
    transaction = replace(plain, version=plain.version + QUERY_VERSION_BASE)
    return _signed(draft, account, transaction, transaction.calculate_hash(chain_id))


def _unsigned(draft: Draft, account: Account, nonce: int, bounds: ResourceBoundsMapping) -> AccountTransaction:
    common: dict[str, Any] = {"version": 3, "signature": [], "nonce": nonce, "tip": 0, "resource_bounds": bounds}
    if isinstance(draft, Invoke):
        return InvokeV3(calldata=execute_calldata(draft.calls), sender_address=account.address, **common)
    if isinstance(draft, Declare):
        return DeclareV3(
            contract_class=draft.contract_class,
            compiled_class_hash=draft.compiled_class_hash,
            sender_address=account.address,
            **common,
        )
    return DeployAccountV3(
        class_hash=draft.class_hash,
        contract_address_salt=draft.salt,
        constructor_calldata=list(draft.calldata),
        **common,
    )


def _signed(draft: Draft, account: Account, transaction: AccountTransaction, digest: int) -> Signed:
    whole = replace(transaction, signature=account.sign(digest))
    body = BroadcastedTransactionSchema().dump(whole)
    if isinstance(draft, Declare):
        body["contract_class"]["contract_class_version"] = draft.sent_version
    return Signed(transaction.type.name, digest, account.address, transaction.nonce, content_of(draft), body)


def content_of(draft: Draft) -> str:
    """A digest of what is to be done, without nonce, fee and sender."""
    if isinstance(draft, Invoke):
        felts = execute_calldata(draft.calls)
    elif isinstance(draft, Declare):
        felts = [draft.compiled_class_hash]
    else:
        felts = [draft.class_hash, draft.salt, *draft.calldata]
    return hashlib.blake2s(repr([type(draft).__name__, *felts]).encode()).hexdigest()


def execute_calldata(calls: Sequence[Call]) -> list[int]:
    """The argument of an account's `__execute__`: a list of (to, selector, calldata). Raises ChainError."""
    felts = [len(calls)]
    for call in calls:
        felts += [call.to, get_selector_from_name(call.function), len(call.calldata), *call.calldata]
    if len(felts) > MAX_CALLDATA_FELTS:
        raise ChainError(
            f"calldata: {len(felts):,} felts, a transaction takes {MAX_CALLDATA_FELTS:,}; use another preset"
        )
    for index, felt in enumerate(felts):
        if not 0 <= felt < FIELD_PRIME:
            raise ChainError(f"calldata: felt {index} is {felt:#x}, it must be below the prime {FIELD_PRIME:#x}")
    return felts
