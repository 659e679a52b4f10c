"""An account on a real node: what is sent, what is refused before it is, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from octoproof.starknet.accounts import Account, multiple, predeployed
from octoproof.starknet.client import Client
from octoproof.starknet.deploy import (
    STRK,
    Class,
    account_of,
    balance,
    declaration,
    declare,
    deploy,
    deploy_account,
    deployed,
    deployment,
    transfer,
)
from octoproof.starknet.errors import ChainError, FeeError, NodeRefusedError, RevertedError
from octoproof.starknet.events import named
from octoproof.starknet.fees import Limits
from octoproof.starknet.node import Node
from octoproof.starknet.outbox import ACCEPTED, REVERTED, Outbox
from octoproof.starknet.profiles import FRI
from octoproof.starknet.reverts import check_of
from octoproof.starknet.transactions import Call, Invoke
from octoproof.starknet.wallet.signer import KeySigner

Count = Callable[[], int]


def test_an_intent_is_carried_out_once(client: Client, counter: int, count: Count, outbox: Outbox) -> None:
    calls = [Call(counter, "increase", (5,)), Call(counter, "increase", (6,))]
    nonce = client.node.nonce(client.account.address)
    receipt = client.invoke("add 11", calls)
    assert receipt.succeeded
    assert receipt.check is None
    assert receipt.l2_gas > 0
    assert receipt.fee > 0
    assert client.invoke("add 11", calls) == receipt
    assert count() == 11
    assert client.node.nonce(client.account.address) == nonce + 1
    assert [entry.state for entry in outbox.entries(client.node.chain_id, 1)] == [ACCEPTED]
    with pytest.raises(ChainError, match=r"^intent: 'add 11' was carried out with other content; choose another name$"):
        client.invoke("add 11", calls[:1])
    assert client.invoke("add 11 more", calls) != receipt
    assert count() == 22


def test_events_are_read_by_name(client: Client, counter: int, counter_class: Class) -> None:
    receipt = client.invoke("add", [Call(counter, "increase", (5,)), Call(counter, "increase", (6,))])
    abi = counter_class.contract_class.abi
    assert abi is not None
    found = named(receipt.events, counter, abi)
    assert [event.name for event in found] == ["Increased", "Increased"]
    assert found[1].fields == {"caller": client.account.address, "by": 6, "value": 11}
    assert named(receipt.events, counter + 1, abi) == []
    assert receipt.document()["events"][0]["contract"].startswith("0x")


@pytest.mark.parametrize(
    ("by", "check"), [(100, "counter: by"), (99, "counter: 99 is refused in a long message"), (2**70, "Failed")]
)
def test_what_would_revert_is_not_sent(client: Client, counter: int, count: Count, by: int, check: str) -> None:
    nonce = client.node.nonce(client.account.address)
    draft = Invoke((Call(counter, "increase", (5,)), Call(counter, "increase", (by,))))
    with pytest.raises(RevertedError) as error:
        client.submit("add", draft)
    assert check in error.value.check
    assert "\n" not in str(error.value)
    assert check in (client.dry_run(draft).check or "")
    assert client.node.nonce(client.account.address) == nonce
    assert count() == 0


def test_what_reverts_on_the_chain_is_told_with_its_check(
    client: Client, counter: int, count: Count, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where another transaction has changed the state since the estimate."""
    good = client.estimate(Invoke((Call(counter, "increase", (5,)),)))
    with monkeypatch.context() as patch:
        patch.setattr(client.node, "estimate", lambda body: good)
        with pytest.raises(RevertedError, match=r"^reverted: counter: by; transaction 0x") as error:
            client.invoke("add", [Call(counter, "increase", (100,))])
    assert error.value.check == "counter: by"
    last = outbox.entries(client.node.chain_id, 1)[0]
    assert (last.state, last.reason) == (REVERTED, "counter: by")
    assert client.invoke("add", [Call(counter, "increase", (7,))]).succeeded  # had no effect: may be tried again
    assert count() == 7


def test_a_call_is_refused_with_its_check(node: Node, counter: int) -> None:
    assert node.call(counter, "get") == [0]
    with pytest.raises(RevertedError, match="counter: by"):
        node.call(counter, "increase", [100])
    with pytest.raises((NodeRefusedError, RevertedError)):
        node.call(counter, "nothing")
    with pytest.raises(NodeRefusedError):
        node.call(0x1234, "get")


def test_the_cap_is_hard(client: Client, counter: int, count: Count, outbox: Outbox) -> None:
    poor = Client(client.node, client.account, outbox, Limits(1))
    draft = Invoke((Call(counter, "increase", (5,)),))
    for attempt in (lambda: poor.submit("add", draft), lambda: poor.dry_run(draft)):
        with pytest.raises(FeeError, match=r"^fee: up to .* the cap is 0.000000; raise it with --max-fee$"):
            attempt()
    assert count() == 0


def test_the_fee_stays_within_the_estimate(client: Client, counter: int) -> None:
    draft = Invoke((Call(counter, "increase", (5,)),))
    dry, estimate = client.dry_run(draft), client.estimate(draft)
    assert dry.check is None
    assert [event.contract for event in dry.events] == [counter]
    before = balance(client.node, client.account.address)
    receipt = client.submit("add", draft)
    assert receipt.fee <= estimate.fri * 6 // 5
    assert before - balance(client.node, client.account.address) == receipt.fee
    assert abs(dry.fee.l2_gas - estimate.l2_gas) <= receipt.l2_gas // 5


def test_gas_is_counted_in_sierra(client: Client, counter: int) -> None:
    """If one frame ran in Cairo steps, all calls below would, at a multiple of the price."""
    receipt = client.invoke("add", [Call(counter, "increase", (5,))])
    assert receipt.l1_gas == 0
    assert receipt.l2_gas < 4_000_000


def test_a_class_is_declared_and_deployed_once(client: Client, counter_class: Class, node: Node) -> None:
    nonce = None
    for _ in range(2):
        address = deploy(client, counter_class, salt=77)
        assert deployed(node, counter_class, salt=77) == (address, True)
        assert node.class_hash_at(address) == counter_class.hash
        assert nonce in (None, node.nonce(client.account.address))
        nonce = node.nonce(client.account.address)
    assert declare(client, counter_class) is None
    assert deployment(counter_class.hash, [], 78)[0] != address
    assert declaration(node, counter_class).sent_version == "1.9.3"


def test_an_account_of_several_keys(node: Node, client: Client, account_class: Class, outbox: Outbox) -> None:
    keys = [KeySigner(number) for number in (21, 22, 23)]
    account, draft = account_of(account_class.hash, keys, threshold=2)
    client.invoke("fund", [transfer(account.address, 50 * FRI)])
    for _ in range(2):
        deploy_account(node, outbox, account, draft)
    assert node.nonce(account.address) == 1
    assert Client(node, account, outbox).invoke("pay", [transfer(0x4242, 7)]).succeeded
    assert balance(node, 0x4242) == 7
    thief = Client(node, Account(account.address, multiple(keys[:1])), outbox)
    with pytest.raises((RevertedError, NodeRefusedError), match="account: signature"):
        thief.invoke("steal", [transfer(0x4242, 8)])


def test_without_money_nothing_is_sent(node: Node, account_class: Class, outbox: Outbox, account: Account) -> None:
    poor, draft = account_of(account_class.hash, [KeySigner(31337)])
    with pytest.raises((NodeRefusedError, RevertedError), match=r"(?i)balance"):
        deploy_account(node, outbox, poor, draft)


def test_predeployed_keys_are_for_local_nodes_only(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    from octoproof.starknet.profiles import PROFILES

    assert predeployed(node)
    monkeypatch.setattr(node, "profile", PROFILES["sepolia"])
    with pytest.raises(ChainError, match=r"^account: sepolia has no accounts whose keys are known"):
        predeployed(node)


@pytest.mark.parametrize(
    ("report", "check"),
    [
        ("Failure reason:\n0x6d65 ('merkle: root').", "merkle: root"),
        ("(0x66 ('fri: last layer'), 0x454e ('ENTRYPOINT_FAILED'), 0x454e ('ENTRYPOINT_FAILED'))", "fri: last layer"),
        ("(0x70 ('preset'), 0x75 ('unknown'), 0x454e ('ENTRYPOINT_FAILED'))", "preset: unknown"),
        ({"transaction_index": 0, "execution_error": {"error": {"class_hash": "0x1", "error": "0x66 ('a b')"}}}, "a b"),
        (
            "Failure reason:\n0x1 ('outer')\nExecution failed. Failure reason:\n\"a long, long reason\".",
            "a long, long reason",
        ),
        ("Out of gas", "Out of gas"),
        ("", "no reason given"),
    ],
)
def test_reasons_are_found_in_any_nesting(report: Any, check: str) -> None:
    assert check_of(report) == check


def test_the_token_is_where_it_is_said(node: Node) -> None:
    assert node.call(STRK, "decimals") == [18]


def test_two_programs_of_one_account_take_turns(client: Client, counter: int, count: Count, tmp_path: Path) -> None:
    from threading import Thread

    from octoproof.starknet.node import connect

    failures: list[Exception] = []

    def work(name: str) -> None:
        try:
            with connect(client.node.profile, client.node.url) as own, Outbox(tmp_path / "outbox") as outbox:
                for number in range(3):
                    Client(own, client.account, outbox).invoke(f"{name} {number}", [Call(counter, "increase", (1,))])
        except Exception as error:
            failures.append(error)

    threads = [Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert count() == 6
