"""Transactions as data: what their hashes cover, what is refused before signing, and how they are written down."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starknet_py.constants import FIELD_PRIME
from starknet_py.hash.utils import verify_message_signature
from starknet_py.net.client_models import ResourceBounds, ResourceBoundsMapping

from octoproof.starknet.accounts import Account, multiple, plain
from octoproof.starknet.errors import ChainError, FeeError
from octoproof.starknet.fees import UNBOUNDED, Fee, Limits, bounds_of, most_of
from octoproof.starknet.limits import MAX_CALLDATA_FELTS, MAX_EXECUTE_GAS
from octoproof.starknet.outbox import ACCEPTED, OPEN, REFUSED, Outbox
from octoproof.starknet.profiles import FRI, felt_of
from octoproof.starknet.transactions import Call, DeployAccount, Invoke, Signed, execute_calldata, sign, sign_query
from octoproof.starknet.wallet.signer import KeySigner

KEY = KeySigner(0x1234567890ABCDEF)
ACCOUNT = Account(0x1111, plain(KEY))
CHAIN = felt_of("OCTO_DEVNET_TEST")
DRAFT = Invoke((Call(0x77, "increase", (5,)),))
BOUNDS = ResourceBoundsMapping(ResourceBounds(1, 2), ResourceBounds(3, 4), ResourceBounds(5, 6))


def _signed(**changes: object) -> Signed:
    arguments = {"draft": DRAFT, "account": ACCOUNT, "chain_id": CHAIN, "nonce": 3, "bounds": BOUNDS}
    return sign(**(arguments | changes))  # type: ignore[arg-type]


def test_the_hash_is_signed_and_covers_everything() -> None:
    """What one of these could be changed without the signature could be replayed elsewhere."""
    signed = _signed()
    signature = [int(felt, 16) for felt in signed.body["signature"]]
    assert verify_message_signature(signed.hash, signature, KEY.public_key)
    others = [
        _signed(chain_id=felt_of("SN_MAIN")),
        _signed(nonce=4),
        _signed(account=replace(ACCOUNT, address=0x1112)),
        _signed(draft=Invoke((Call(0x77, "increase", (6,)),))),
        _signed(draft=Invoke((Call(0x78, "increase", (5,)),))),
        _signed(draft=Invoke((Call(0x77, "decrease", (5,)),))),
        _signed(draft=Invoke(DRAFT.calls * 2)),
        _signed(draft=DeployAccount(1, 2, (3,))),
        *(
            _signed(bounds=replace(BOUNDS, **{name: ResourceBounds(9, 9)}))
            for name in ("l1_gas", "l2_gas", "l1_data_gas")
        ),
    ]
    hashes = {signed.hash, *(other.hash for other in others)}
    assert len(hashes) == 1 + len(others)
    assert not any(verify_message_signature(other.hash, signature, KEY.public_key) for other in others)


def test_a_query_is_worthless_as_a_transaction() -> None:
    query = sign_query(DRAFT, ACCOUNT, CHAIN, 3, BOUNDS)
    assert query.hash != _signed().hash
    assert int(query.body["version"], 16) == 3 + 2**128
    assert _signed().body["version"] == "0x3"


def test_several_signers_go_in_order_of_their_keys() -> None:
    keys = [KeySigner(number) for number in (5, 7, 11)]
    felts = multiple(keys)(123)
    triples = [felts[place : place + 3] for place in range(0, 9, 3)]
    assert [key for key, _, _ in triples] == sorted(key.public_key for key in keys)
    assert all(verify_message_signature(123, [r, s], key) for key, r, s in triples)
    assert multiple(keys[::-1])(123) == felts


def test_no_key_is_shown() -> None:
    shown = f"{ACCOUNT!r} {KEY!r} {multiple([KEY])!r}"
    assert "1234567890abcdef" not in shown.lower()
    assert str(0x1234567890ABCDEF) not in shown


@pytest.mark.parametrize("felt", [-1, FIELD_PRIME, FIELD_PRIME + 5, 2**256])
def test_felts_at_and_above_the_prime_are_named(felt: int) -> None:
    with pytest.raises(ChainError, match=r"^calldata: felt 5 is .*must be below the prime"):
        execute_calldata([Call(1, "f", (0, felt))])


def test_calldata_that_the_network_does_not_take_is_refused_here() -> None:
    """Devnet would take it."""
    call = Call(1, "f", (0,) * (MAX_CALLDATA_FELTS - 4))
    assert len(execute_calldata([call])) == MAX_CALLDATA_FELTS
    with pytest.raises(ChainError, match=r"^calldata: 5,001 felts, a transaction takes 5,000; use another preset$"):
        execute_calldata([replace(call, calldata=(*call.calldata, 0))])


@settings(max_examples=60, deadline=None)
@given(amounts=st.tuples(*[st.integers(0, 10**9)] * 3), prices=st.tuples(*[st.integers(0, 10**12)] * 3))
def test_bounds_hold_the_margin_and_never_pass_the_cap(amounts: tuple[int, ...], prices: tuple[int, ...]) -> None:
    fee = Fee(amounts[0], prices[0], amounts[1], prices[1], amounts[2], prices[2])
    bounds = bounds_of(fee, Limits(10**30))
    for part, amount, price in zip((bounds.l1_gas, bounds.l2_gas, bounds.l1_data_gas), amounts, prices, strict=True):
        assert min(amount * 6 // 5, MAX_EXECUTE_GAS) <= part.max_amount <= amount * 6 // 5 + 1
        assert price * 3 // 2 <= part.max_price_per_unit <= price * 3 // 2 + 1
    most = most_of(bounds)
    assert most >= fee.fri
    assert most_of(bounds_of(fee, Limits(most))) == most
    if most:
        with pytest.raises(FeeError, match=r"^fee: up to .* STRK might be paid .*raise it with --max-fee$"):
            bounds_of(fee, Limits(most - 1))


def test_more_gas_than_a_transaction_has_is_refused() -> None:
    fee = Fee(0, 1, MAX_EXECUTE_GAS + 1, 1, 0, 1)
    with pytest.raises(FeeError, match=r"^gas: 1,110,000,001 L2 gas, a transaction may use 1,110,000,000; split it$"):
        bounds_of(fee, Limits(FRI))
    assert bounds_of(fee, Limits(FRI), executed=False).l2_gas.max_amount > MAX_EXECUTE_GAS  # of declaring a class


def test_the_outbox_remembers_what_was_signed(tmp_path: Path) -> None:
    first, second = _signed(), _signed(nonce=4)
    with Outbox(tmp_path) as outbox:
        entry = outbox.write("count", CHAIN, first)
        assert (entry.state, entry.body, entry.nonce) == (OPEN, first.body, 3)
        with pytest.raises(OSError, match="UNIQUE"):  # one open transaction an account, whatever the program does
            outbox.write("count more", CHAIN, second)
    with Outbox(tmp_path) as outbox:
        assert outbox.open_one(CHAIN, ACCOUNT.address) == entry
        assert outbox.open_one(CHAIN + 1, ACCOUNT.address) is None
        assert outbox.open_one(CHAIN, ACCOUNT.address + 1) is None
        outbox.settle(first.hash, REFUSED, "why")
        assert outbox.open_one(CHAIN, ACCOUNT.address) is None
        outbox.write("count", CHAIN, second)
        outbox.settle(second.hash, ACCEPTED)
        latest = outbox.latest(CHAIN, ACCOUNT.address, "count")
        assert latest is not None
        assert (latest.hash, latest.state, latest.body) == (second.hash, ACCEPTED, None)
        assert [one.reason for one in outbox.entries(CHAIN)] == [None, "why"]
        with pytest.raises(ChainError, match=r"^transaction: 0x5 was not sent from here$"):
            outbox.find(5)


def test_the_outbox_is_for_its_owner(tmp_path: Path) -> None:
    with Outbox(tmp_path / "new") as outbox:
        outbox.write("count", CHAIN, _signed())
    assert (tmp_path / "new").stat().st_mode & 0o77 == 0


def test_a_query_offers_no_money() -> None:
    assert most_of(UNBOUNDED) == 0
    assert json.dumps(sign_query(DRAFT, ACCOUNT, CHAIN, 0, UNBOUNDED).body)
