"""SNIP-12: published hashes, what would let two messages share one, and the batch against one message at a time."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.starknet.wallet import curve
from octoproof.starknet.wallet.errors import WalletError
from octoproof.starknet.wallet.messages import (
    ADDRESS_BOUND,
    Domain,
    MessageHasher,
    document,
    root,
    typed_data_hash,
    typed_message_hash,
)
from octoproof.starknet.wallet.signer import KeySigner

VECTORS = json.loads((Path(__file__).parent / "vectors" / "snip12.json").read_text())
DOCUMENTS, ACCOUNT = VECTORS["documents"], int(VECTORS["account"], 16)
DOMAIN = Domain("octoproof", "1", "SN_SEPOLIA")
REQUEST = {
    "Request": {
        "sequence": "u128",
        "model": "shortstring",
        "digest": "felt",
        "sent": "timestamp",
        "streamed": "bool",
        "seller": "ContractAddress",
        "code": "ClassHash",
    }
}
MESSAGE = {
    "sequence": 7,
    "model": "tiny",
    "digest": 1 << 250,
    "sent": 1_760_000_000,
    "streamed": True,
    "seller": 0x5E11E2,
    "code": 3,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_published_hashes(name: str) -> None:
    assert typed_data_hash(DOCUMENTS[name], ACCOUNT) == int(VECTORS["hashes"][name], 16)


def test_a_document_is_what_wallets_take() -> None:
    made = document(DOMAIN, REQUEST, MESSAGE)
    assert made["primaryType"] == "Request"
    assert typed_data_hash(json.loads(json.dumps(made)), ACCOUNT) == typed_message_hash(
        DOMAIN, REQUEST, MESSAGE, ACCOUNT
    )


def test_everything_is_in_the_hash() -> None:
    """Domain, chain, account, type and every field: a signature is not good for anything else."""
    hashes = {typed_message_hash(DOMAIN, REQUEST, MESSAGE, ACCOUNT)}
    for domain in (
        Domain("octoproof2", "1", "SN_SEPOLIA"),
        Domain("octoproof", "2", "SN_SEPOLIA"),
        Domain("octoproof", "1", "SN_MAIN"),
    ):
        hashes.add(typed_message_hash(domain, REQUEST, MESSAGE, ACCOUNT))
    hashes.add(typed_message_hash(DOMAIN, REQUEST, MESSAGE, ACCOUNT + 1))
    hashes.add(typed_message_hash(DOMAIN, {"Response": REQUEST["Request"]}, MESSAGE, ACCOUNT))
    for name, value in MESSAGE.items():
        other = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else "other"
        hashes.add(typed_message_hash(DOMAIN, REQUEST, {**MESSAGE, name: other}, ACCOUNT))
    assert len(hashes) == 6 + len(MESSAGE)


FELTS = st.one_of(st.integers(0, curve.PRIME - 1), st.sampled_from([0, curve.PRIME - 1]))
MESSAGES = st.fixed_dictionaries(
    {
        "sequence": st.integers(0, 2**128 - 1),
        "model": st.text("abcdefghij -_/:", max_size=31),
        "digest": FELTS | FELTS.map(hex),
        "sent": st.integers(0, 2**128 - 1),
        "streamed": st.booleans(),
        "seller": st.integers(0, ADDRESS_BOUND - 1),
        "code": FELTS,
    }
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(MESSAGES, st.integers(1, ADDRESS_BOUND - 1)), max_size=5))
def test_batches_hash_like_one_at_a_time(signed: list[tuple[dict[str, Any], int]]) -> None:
    messages, accounts = [message for message, _ in signed], [account for _, account in signed]
    wanted = [typed_message_hash(DOMAIN, REQUEST, message, account) for message, account in signed]
    assert MessageHasher(DOMAIN, REQUEST).hash_all(messages, accounts) == wanted


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("digest", curve.PRIME),  # would have the hash of 0
        ("digest", -1),
        ("digest", True),
        ("digest", "0xzz"),
        ("digest", None),
        ("code", curve.PRIME + 3),
        ("seller", ADDRESS_BOUND),
        ("sequence", 1 << 128),
        ("sequence", -1),
        ("sent", "later"),
        ("streamed", 2),
        ("model", "x" * 32),
        ("model", "ü"),
    ],
)
def test_values_out_of_their_types(field: str, value: Any) -> None:
    message = {**MESSAGE, field: value}
    for use in (
        lambda: typed_message_hash(DOMAIN, REQUEST, message, ACCOUNT),
        lambda: MessageHasher(DOMAIN, REQUEST).hash_all([message], [ACCOUNT]),
    ):
        with pytest.raises(WalletError) as error:
            use()
        assert "\n" not in str(error.value)


def test_fields_that_are_shown_but_not_signed() -> None:
    """starknet.py hashes what the type has and passes over the rest: the price below would be anybody's to change."""
    for message in ({**MESSAGE, "price": 5}, {k: v for k, v in MESSAGE.items() if k != "digest"}):
        with pytest.raises(WalletError, match="message: has the fields"):
            typed_message_hash(DOMAIN, REQUEST, message, ACCOUNT)
        with pytest.raises(WalletError, match="message: has the fields"):
            MessageHasher(DOMAIN, REQUEST).hash_all([message], [ACCOUNT])
    inner = copy.deepcopy(DOCUMENTS["presetTypes"])
    inner["message"]["n0"]["amount"]["hidden"] = 1
    with pytest.raises(WalletError, match=r"message\.n0\.amount: has the fields"):
        typed_data_hash(inner, ACCOUNT)
    inner = copy.deepcopy(DOCUMENTS["presetTypes"])
    inner["message"]["n0"]["token_address"] = hex(ADDRESS_BOUND)
    with pytest.raises(WalletError, match=r"message\.n0\.token_address"):
        typed_data_hash(inner, ACCOUNT)
    domain = copy.deepcopy(DOCUMENTS["mail"])
    domain["domain"]["salt"] = "1"
    with pytest.raises(WalletError, match="Unknown field"):
        typed_data_hash(domain, ACCOUNT)


def test_lists_are_looked_into() -> None:
    types = {"Batch": {"items": "Item*"}, "Item": {"digest": "felt"}}
    first = typed_message_hash(DOMAIN, types, {"items": [{"digest": 1}, {"digest": 2}]}, ACCOUNT)
    assert first != typed_message_hash(DOMAIN, types, {"items": [{"digest": 2}, {"digest": 1}]}, ACCOUNT)
    with pytest.raises(WalletError, match=r"message\.items\[1\]\.digest"):
        typed_message_hash(DOMAIN, types, {"items": [{"digest": 1}, {"digest": curve.PRIME}]}, ACCOUNT)


@pytest.mark.parametrize("revision", ["0", None])
def test_revision_0_is_refused(revision: str | None) -> None:
    old = copy.deepcopy(DOCUMENTS["mail"])
    old["types"]["StarkNetDomain"] = [
        field for field in old["types"].pop("StarknetDomain") if field["name"] != "revision"
    ]
    if revision is None:
        del old["domain"]["revision"]
    else:
        old["domain"]["revision"] = revision
    with pytest.raises(WalletError, match="revision 1 is needed"):
        typed_data_hash(old, ACCOUNT)


@pytest.mark.parametrize("data", [{}, {"types": {}}, {**DOCUMENTS["mail"], "primaryType": "None"}])
def test_what_is_no_document(data: dict[str, Any]) -> None:
    with pytest.raises(WalletError, match="typed data"):
        typed_data_hash(data, ACCOUNT)


def test_enums_are_refused() -> None:
    """starknet.py takes surplus items of a variant and leaves them out of the hash."""
    choice = copy.deepcopy(DOCUMENTS["mail"])
    choice["types"] = {
        "StarknetDomain": choice["types"]["StarknetDomain"],
        "Example": [{"name": "some", "type": "enum", "contains": "Enum"}],
        "Enum": [{"name": "First", "type": "()"}, {"name": "Second", "type": "(u128)"}],
    }
    choice["primaryType"], choice["message"] = "Example", {"some": {"Second": [2, 99]}}
    with pytest.raises(WalletError, match=r"message\.some: enums are not taken"):
        typed_data_hash(choice, ACCOUNT)


@pytest.mark.parametrize("types", [{}, {"A": {"x": "felt"}, "B": {"x": "felt"}}, {"A": {"b": "B"}, "B": {"a": "A*"}}])
def test_types_without_one_root(types: dict[str, dict[str, str]]) -> None:
    with pytest.raises(WalletError, match="mentioned by no other"):
        root(types)


@pytest.mark.parametrize(
    "types", [{"A": {"x": "string"}}, {"A": {"x": "felt*"}}, {"A": {"b": "B"}, "B": {"x": "felt"}}]
)
def test_batches_take_flat_messages(types: dict[str, dict[str, str]]) -> None:
    with pytest.raises(WalletError, match="is not one number"):
        MessageHasher(DOMAIN, types)


@pytest.mark.parametrize("account", [0, -1, ADDRESS_BOUND])
def test_accounts_are_addresses(account: int) -> None:
    with pytest.raises(WalletError, match="is no address"):
        typed_message_hash(DOMAIN, REQUEST, MESSAGE, account)
    with pytest.raises(WalletError, match="is no address"):
        MessageHasher(DOMAIN, REQUEST).hash_all([MESSAGE], [account])
    with pytest.raises(WalletError, match="accounts: 0 for 1 messages"):
        MessageHasher(DOMAIN, REQUEST).hash_all([MESSAGE], [])


def test_signing_a_document() -> None:
    signer = KeySigner(0xABCDEF)
    signature = signer.sign_message(DOCUMENTS["mail"], ACCOUNT)
    assert curve.verify(int(VECTORS["hashes"]["mail"], 16), signature, signer.public_key)
    assert not curve.verify(int(VECTORS["hashes"]["baseTypes"], 16), signature, signer.public_key)
