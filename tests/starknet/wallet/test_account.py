"""The account contract: its own tests, what Python says of it, and on a node every refusal once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from Crypto.Hash import keccak
from starknet_py.hash.address import compute_address

from octoproof.starknet.accounts import Account, multiple
from octoproof.starknet.build import CONTRACTS, BuildError, run_tests
from octoproof.starknet.client import Client
from octoproof.starknet.deploy import Class, account_of, balance, deploy_account, deployment, transfer
from octoproof.starknet.errors import NodeRefusedError, RevertedError
from octoproof.starknet.fees import Limits, bounds_of
from octoproof.starknet.node import Node
from octoproof.starknet.outbox import Outbox
from octoproof.starknet.profiles import FRI
from octoproof.starknet.receipts import Receipt
from octoproof.starknet.transactions import Call, Draft, Invoke, Signed, sign, sign_query
from octoproof.starknet.wallet.account import CLASS_HASH, MAX_SIGNERS, account_address, constructor_calldata
from octoproof.starknet.wallet.errors import WalletError
from octoproof.starknet.wallet.messages import Domain, typed_message_hash
from octoproof.starknet.wallet.signer import KeySigner

A, B, C, STRANGER = (KeySigner(key) for key in (0x3333, 0x1111, 0x2222, 0x4444))  # A, B, C as in the Cairo tests
STRANGER_ADDRESS = 0x57A6E5
VALID = int.from_bytes(b"VALID", "big")
REFUSALS = (NodeRefusedError, RevertedError)
FUNDS = 20 * FRI
PAYMENT = Invoke((transfer(STRANGER_ADDRESS, FRI),))


def test_cairo_tests() -> None:
    try:
        printed = run_tests(CONTRACTS / "account")
    except BuildError as error:
        if "corelib" in str(error) or "core library" in str(error) or "compiler" in str(error):
            pytest.skip(str(error))
        raise
    assert "0 failed" in printed
    assert printed.count("... ok") >= 30


def test_the_class_hash_is_that_of_the_sources(account_class: Class) -> None:
    """Another one would put every account at another address than the wallet says."""
    assert account_class.hash == CLASS_HASH


def test_interface_ids() -> None:
    """SNIP-5: Keccak of the extended selectors, together by exclusive or."""
    source = (CONTRACTS / "account" / "src" / "account.cairo").read_text()
    calls = "Array<(ContractAddress,felt252,Array<felt252>)>"
    snip6 = (
        f"__execute__({calls})->Array<(@Array<felt252>)>",
        f"__validate__({calls})->felt252",
        "is_valid_signature(felt252,Array<felt252>)->felt252",
    )
    assert f"ISRC6_ID: felt252 = {_id(*snip6):#x};" in source
    assert f"ISRC5_ID: felt252 = {_id('supports_interface(felt252)->E((),())'):#x};" in source


def _id(*selectors: str) -> int:
    found = 0
    for selector in selectors:
        found ^= int.from_bytes(keccak.new(digest_bits=256, data=selector.encode()).digest(), "big") % 2**250
    return found


def test_signers_are_sorted_as_the_contract_wants_them() -> None:
    keys = [A.public_key, B.public_key, C.public_key]
    assert keys == sorted(keys)
    assert constructor_calldata([C.public_key, A.public_key, B.public_key], 2) == [2, 3, *keys]


def test_addresses() -> None:
    calldata = constructor_calldata([A.public_key])
    assert account_address([A.public_key]) == compute_address(
        class_hash=CLASS_HASH, constructor_calldata=calldata, salt=0
    )
    both = [A.public_key, B.public_key]
    assert len({account_address(both, k, salt) for k in (1, 2) for salt in (0, 1)}) == 4
    assert account_address(both, 2) == account_address(both[::-1], 2)


@pytest.mark.parametrize(
    ("signers", "threshold", "message"),
    [
        ([], 1, "signers: 0; give 1 to 16"),
        ([A.public_key] * 2, 1, "a public key is there twice"),
        (list(range(1, MAX_SIGNERS + 2)), 1, "signers: 17"),
        ([A.public_key], 0, "threshold: 0 of 1"),
        ([A.public_key], 2, "threshold: 2 of 1"),
        ([5], 1, "signers: 0x5 is no public key"),
        ([0], 1, "signers: 0x0 is no public key"),
    ],
)
def test_sets_that_the_contract_would_refuse(signers: list[int], threshold: int, message: str) -> None:
    with pytest.raises(WalletError, match=message):
        constructor_calldata(signers, threshold)


# On a node.


@dataclass(frozen=True)
class Bench:
    """An account on a node, and ways to send for it what it has not signed as it should."""

    node: Node
    outbox: Outbox
    account: Account

    @property
    def client(self) -> Client:
        return Client(self.node, self.account, self.outbox)

    def pay(self, intent: str) -> Receipt:
        """An honest transaction."""
        return self.client.invoke(intent, PAYMENT.calls)

    def signed(self, by: Callable[[int], list[int]], draft: Draft = PAYMENT, chain_id: int | None = None) -> Signed:
        """A transaction that would be good, with this signature."""
        bounds = bounds_of(self.client.estimate(draft), Limits(self.node.profile.max_fee))
        nonce = self.node.nonce(self.account.address)
        return sign(draft, replace(self.account, sign=by), chain_id or self.node.chain_id, nonce, bounds)

    def refused(self, by: Callable[[int], list[int]], **options: int) -> str:
        """What the node says to it."""
        signed = self.signed(by, **options)
        with pytest.raises(REFUSALS) as error:
            self.node.add(signed.kind, signed.body)
        return str(error.value)


def made(bank: Client, outbox: Outbox, signers: Sequence[KeySigner], threshold: int = 1) -> Bench:
    """An account of these signers, with money."""
    account, draft = account_of(CLASS_HASH, signers, threshold)
    if (held := balance(bank.node, account.address)) < FUNDS // 2:
        bank.invoke(f"fund {account.address:#x} that has {held}", [transfer(account.address, FUNDS)])
    deploy_account(bank.node, outbox, account, draft)
    return Bench(bank.node, outbox, account)


@pytest.fixture
def single(client: Client, outbox: Outbox) -> Bench:
    """An account of A alone."""
    return made(client, outbox, [A])


@pytest.fixture
def shared(client: Client, outbox: Outbox) -> Bench:
    """An account of A, B and C, of whom two have to sign."""
    return made(client, outbox, [A, B, C], 2)


def listed(signers: Sequence[KeySigner]) -> Callable[[int], list[int]]:
    """Signatures in this order, sorted or not."""
    return lambda digest: [felt for one in signers for felt in (one.public_key, *one.sign(digest))]


def test_one_of_one_pays(single: Bench) -> None:
    before = balance(single.node, STRANGER_ADDRESS)
    assert single.pay("one of one").succeeded
    assert balance(single.node, STRANGER_ADDRESS) == before + FRI
    assert single.account.address == account_address([A.public_key])


def test_two_of_three_pay(shared: Bench) -> None:
    for pair in ((A, B), (A, C), (B, C)):
        signed = shared.signed(multiple(pair))
        shared.node.add(signed.kind, signed.body)
        receipt = shared.node.receipt(signed.hash)
        assert receipt is not None
        assert receipt.succeeded


def test_the_largest_set_validates(client: Client, outbox: Outbox) -> None:
    """Within what the network lets a validation cost."""
    crowd = [KeySigner(0x7000 + key) for key in range(MAX_SIGNERS)]
    assert made(client, outbox, crowd, MAX_SIGNERS).pay("sixteen of sixteen").succeeded


def test_what_two_of_three_did_not_sign(shared: Bench) -> None:
    cases = {
        "nobody": listed([]),
        "one": listed([A]),
        "one twice": listed([A, A]),
        "not ascending": listed([B, A]),
        "three": listed([A, B, C]),
        "a stranger": listed([A, STRANGER]),
        "another hash": lambda digest: listed([A, B])(digest + 1),
        "cut": lambda digest: listed([A, B])(digest)[:-1],
        "longer": lambda digest: [*listed([A, B])(digest), 0],
        "one for another": lambda digest: [A.public_key, *A.sign(digest), B.public_key, *A.sign(digest)],
        "zeros": lambda digest: [A.public_key, *A.sign(digest), B.public_key, 0, 0],
    }
    before = (balance(shared.node, shared.account.address), shared.node.nonce(shared.account.address))
    for name, by in cases.items():
        assert "account: signature" in shared.refused(by), name
    assert (balance(shared.node, shared.account.address), shared.node.nonce(shared.account.address)) == before


def test_nothing_is_replayed(single: Bench, shared: Bench) -> None:
    """Not here, not on another chain, not for another account of the same key."""
    signed = single.signed(multiple([A]))
    single.node.add(signed.kind, signed.body)
    receipt = single.node.receipt(signed.hash)
    assert receipt is not None
    assert receipt.succeeded
    with pytest.raises(REFUSALS):
        single.node.add(signed.kind, signed.body)
    assert "account: signature" in single.refused(multiple([A]), chain_id=single.node.chain_id + 1)
    fresh = single.signed(multiple([A]))
    for change in (
        {"sender_address": hex(shared.account.address)},
        {"nonce": hex(int(fresh.body["nonce"], 16) + 1)},
        {"tip": hex(int(fresh.body["tip"], 16) + 1)},
    ):
        with pytest.raises(REFUSALS, match=r"account: signature|nonce"):
            single.node.add(fresh.kind, {**fresh.body, **change})


def test_a_simulation_is_no_transaction(single: Bench) -> None:
    """Its hash has another version, so that nobody sends what was signed to ask for the price."""
    assert single.client.dry_run(PAYMENT).check is None
    bounds = bounds_of(single.client.estimate(PAYMENT), Limits(single.node.profile.max_fee))
    nonce = single.node.nonce(single.account.address)
    query = sign_query(PAYMENT, single.account, single.node.chain_id, nonce, bounds)
    with pytest.raises(REFUSALS, match="account: signature"):
        single.node.add(query.kind, {**query.body, "version": "0x3"})


def test_keys_are_changed_by_the_account_alone(client: Client, outbox: Outbox) -> None:
    old, new, other = KeySigner(0x5551), KeySigner(0x5552), KeySigner(0x5553)
    bench = made(client, outbox, [old])
    account = bench.account
    change = Call(account.address, "set_signers", tuple(constructor_calldata([new.public_key, other.public_key], 2)))
    with pytest.raises(RevertedError, match="account: only by itself"):
        client.invoke("somebody changes the keys", [change])
    receipt = bench.client.invoke("change the keys", [change])
    (event,) = (event for event in receipt.events if event.contract == account.address)
    assert list(event.data) == list(change.calldata)
    assert "account: signature" in refused_by(bench, multiple([new, other]), multiple([old]))
    both = Bench(client.node, outbox, replace(account, sign=multiple([new, other])))
    assert both.pay("with the new keys").succeeded
    back = Call(account.address, "set_signers", tuple(constructor_calldata([old.public_key])))
    assert both.client.invoke("change the keys back", [back]).succeeded
    assert bench.pay("with the old key again").succeeded


def refused_by(bench: Bench, honest: Callable[[int], list[int]], by: Callable[[int], list[int]]) -> str:
    """What the node says to a signature that was good once."""
    return Bench(bench.node, bench.outbox, replace(bench.account, sign=honest)).refused(by)


def test_sets_that_lock_or_open_an_account(single: Bench) -> None:
    """Refused when it is deployed, and when it is changed."""
    cases = {
        (0, 1, A.public_key): "account: threshold is zero",
        (2, 1, A.public_key): "account: threshold over signers",
        (1, 0): "account: threshold over signers",
        (2, 2, A.public_key, A.public_key): "account: signers not ascending",
        (1, 2, B.public_key, A.public_key): "account: signers not ascending",
        (1, 1, 0): "account: signers not ascending",
        (1, 1, 5): "account: signer not on curve",
        (1, 17, *range(1, 18)): "account: too many signers",
    }
    for calldata, check in cases.items():
        for call in (Call(single.account.address, "set_signers", calldata), deployment(CLASS_HASH, calldata)[1]):
            with pytest.raises(RevertedError, match=check):
                single.client.estimate(Invoke((call,)))


def test_only_its_signers_deploy_it(client: Client, outbox: Outbox) -> None:
    """Else its deposit could be spent on deploying it at any fee."""
    account, draft = account_of(CLASS_HASH, [KeySigner(0x6661)])
    client.invoke("fund it", [transfer(account.address, FUNDS)])
    signed = Bench(client.node, outbox, account).signed(multiple([STRANGER]), draft)
    with pytest.raises(REFUSALS, match="account: signature"):
        client.node.add(signed.kind, signed.body)
    deploy_account(client.node, outbox, account, draft)
    assert client.node.class_hash_at(account.address) == CLASS_HASH


def test_messages_are_checked_on_the_chain(single: Bench, shared: Bench) -> None:
    """The signature of a SNIP-12 message is good for the account that it names, and for no other one of the key."""
    types, message = {"Request": {"sequence": "u128", "digest": "felt"}}, {"sequence": 1, "digest": 2**250}
    domain = Domain("octoproof", "1", "SN_SEPOLIA")
    digest, other = (typed_message_hash(domain, types, message, b.account.address) for b in (single, shared))
    ask = lambda bench, hash, signature: bench.node.call(  # noqa: E731
        bench.account.address, "is_valid_signature", [hash, len(signature), *signature]
    )
    assert ask(single, digest, listed([A])(digest)) == [VALID]
    assert ask(shared, other, listed([A, B])(other)) == [VALID]
    assert ask(shared, other, listed([A])(other)) == [0]
    assert ask(single, digest, listed([B])(digest)) == [0]
    assert ask(single, other, listed([A])(digest)) == [0]
    assert ask(single, 0, [A.public_key] * 3) == [0]  # anybody's signature of zero


def test_what_it_says_of_itself(shared: Bench) -> None:
    keys = [A.public_key, B.public_key, C.public_key]
    assert shared.node.call(shared.account.address, "get_signers") == [2, 3, *keys]
    assert shared.node.call(shared.account.address, "supports_interface", [0xFFFFFFFF]) == [0]
