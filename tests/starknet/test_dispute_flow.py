"""The whole way on a local node: stake, list, buy, real requests over HTTP, epoch, receipt, dispute, money.

Facts about services are taken by word from the contract in `tests/starknet/word`; answers are proven.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs the extra `service`: pip install 'octoproof[service]'")

from octoproof.cli.dispute_page import page
from octoproof.cli.dispute_status import document, shown
from octoproof.market.errors import RuleError
from octoproof.market.tiers import tier_named
from octoproof.starknet import disputes, trading
from octoproof.starknet import market as calls
from octoproof.starknet.build import BuildError, compile_folder, compile_package, find_builder, find_corelib
from octoproof.starknet.cases import Case, describe, findings, moves
from octoproof.starknet.deploy import Class, class_of
from octoproof.starknet.errors import RevertedError
from octoproof.starknet.transactions import Call
from tests.starknet.town import BY_WORD, PRESET, PRICE, QUANTITY, STAKE, TIER, WANTED, Careless, Town, opened_town


@pytest.fixture(scope="module")
def classes() -> dict[str, Class]:
    try:
        find_builder(), find_corelib()
    except BuildError as error:
        pytest.skip(str(error))
    found = {**compile_package("facts"), **compile_package("registry"), **compile_package("account")}
    found |= {**compile_package("market"), **compile_folder(BY_WORD)}
    return {name: class_of(one) for name, one in found.items() if name in WANTED}


@pytest.fixture(scope="module")
def town(devnet_installed: Path, classes: dict[str, Class], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with opened_town(tmp_path_factory.mktemp("town"), classes) as opened:
        yield opened


@contextmanager
def money(town: Town) -> Iterator[dict[str, int]]:
    """How much buyer and seller have gained meanwhile, and the stake."""
    before = {name: town.balance(name) for name in ("buyer", "seller")} | {"stake": town.stake().held}
    gained: dict[str, int] = {}
    yield gained
    after = {name: town.balance(name) for name in ("buyer", "seller")} | {"stake": town.stake().held}
    gained |= {name: after[name] - before[name] for name in before}
    for pot in ("escrow", "bonds"):
        assert calls.held(town.node, town.market.address, pot) == 0


PAID = PRICE * QUANTITY * tier_named(TIER).price_bps // 10_000
BOND = PAID * 500 // 10_000


def test_an_honest_service_is_paid(town: Town) -> None:
    with money(town) as gained:
        purchase = town.buy()
        found = town.served(purchase)
        disputes.deliver(town.clients["seller"], town.market, purchase, found.receipt)
        town.sent("buyer", f"accept {purchase}", calls.accept(town.market.address, purchase))
        assert calls.purchase(town.node, town.market.address, purchase).state == "completed"
    assert gained == {"buyer": -PAID, "seller": PAID, "stake": 0}


def test_a_service_that_fails_is_refunded_and_slashed(town: Town) -> None:
    with money(town) as gained:
        purchase = town.buy()
        found = town.served(purchase, patience=-1)  # every answer takes too long
        disputes.deliver(town.clients["seller"], town.market, purchase, found.receipt)
        started = time.perf_counter()
        number = trading.open_dispute(town.clients["buyer"], town.market, purchase, "provider_error")
        disputes.prove_service(town.clients["buyer"], town.market, number, found.receipt)
        assert disputes.resolve(town.clients["buyer"], town.market, number) == "slashed"
        assert time.perf_counter() - started < 60
    assert gained == {"buyer": 0, "seller": 0, "stake": -STAKE // 10}
    case = town.case(number)
    assert (case.dispute.decided_by, case.purchase.state, case.purchase.refund_bps) == ("proof", "refunded", 10_000)
    check_told(case)


def test_a_wrong_answer_is_convicted_by_the_committed_snapshot(town: Town) -> None:
    held = town.stake().held
    with money(town) as gained:
        purchase = town.buy()
        found = town.served(purchase, Careless(town.snapshot))
        disputes.deliver(town.clients["seller"], town.market, purchase, found.receipt)
        right = town.right_answer()
        started = time.perf_counter()
        buyer = town.clients["buyer"]
        number = trading.open_dispute(buyer, town.market, purchase, "wrong_answer")
        disputes.prove_answer(buyer, town.market, number, found.exchange, found.output, right)
        assert disputes.resolve(buyer, town.market, number) == "slashed"
        spent = time.perf_counter() - started
        assert spent < 60
    assert (gained["buyer"], gained["seller"]) == (0, 0)
    assert gained["stake"] == -STAKE * 15 // 100
    assert town.stake().held == held + gained["stake"]
    check_told(town.case(number))


def test_a_false_claim_costs_the_claimant_its_bond(town: Town) -> None:
    with money(town) as gained:
        purchase = town.buy()
        found = town.served(purchase)
        disputes.deliver(town.clients["seller"], town.market, purchase, found.receipt)
        right = town.right_answer()
        buyer, seller = town.clients["buyer"], town.clients["seller"]
        number = trading.open_dispute(buyer, town.market, purchase, "wrong_answer")
        with pytest.raises(RuleError, match="the seller's is the right one"):
            disputes.prove_answer(buyer, town.market, number, found.exchange, found.output, right)
        disputes.claim_answer(buyer, town.market, number, found.exchange)
        with pytest.raises(RuleError, match="the respondent has"):
            disputes.resolve(buyer, town.market, number)
        disputes.disprove_answer(seller, town.market, number, found.exchange, found.output, right)
        assert disputes.resolve(seller, town.market, number) == "keep"
    assert gained == {"buyer": -PAID - BOND, "seller": PAID + BOND, "stake": 0}
    check_told(town.case(number))


def test_silence_decides_against_whoever_owes_the_move(town: Town) -> None:
    with money(town) as gained:
        purchase = town.buy()
        found = town.served(purchase)
        disputes.deliver(town.clients["seller"], town.market, purchase, found.receipt)
        buyer = town.clients["buyer"]
        number = trading.open_dispute(buyer, town.market, purchase, "wrong_answer")
        disputes.claim_answer(buyer, town.market, number, found.exchange)
        town.later(86_401)
        assert disputes.resolve(town.clients["judge"], town.market, number) == "slashed"  # anyone may
    assert (gained["buyer"], gained["seller"]) == (0, 0)
    assert gained["stake"] < 0
    assert town.case(number).dispute.decided_by == "silence"
    check_told(town.case(number))


def check_told(case: Case) -> None:
    """Whatever way it went, the account of it is whole: checks hold, money adds up, and the page has all of it."""
    assert case.closed
    assert all(finding.holds for finding in findings(case)), findings(case)
    paid = [move for move in moves(case) if move.source == "escrow"]
    assert sum(move.amount for move in paid) == case.purchase.price
    told = document(case)
    assert [step["event"] for step in told["timeline"]][:2] == ["PurchaseOffered", "PurchaseChanged"]
    assert json.loads(json.dumps(told)) == told
    written = page(case, [("<b>", True, "")])
    assert written.count("<li>") == len({step.transaction for step in case.steps})
    assert all(escape(describe(case, step)) in written for step in case.steps)
    assert "&lt;b&gt;" in written
    assert shown(case).renderables


def test_evidence_of_another_dispute_is_refused(town: Town) -> None:
    """The envelope binds dispute and beneficiary; evidence is used once (ANCHORS H34, H35)."""
    purchase = town.buy()
    found = town.served(purchase)
    disputes.deliver(town.clients["seller"], town.market, purchase, found.receipt)
    buyer, seller = town.clients["buyer"], town.clients["seller"]
    number = trading.open_dispute(buyer, town.market, purchase, "provider_error")
    evidence = calls.service_evidence(disputes.service_parts(found.receipt))
    call = trading.collected(buyer, town.market, number, evidence)
    with pytest.raises(RevertedError, match="envelope: another beneficiary"):
        trading.carried_out(seller, town.market, f"steal {number}", call)
    foreign = Call(call.to, call.function, (number, call.calldata[1], call.calldata[2], number + 1, *call.calldata[4:]))
    with pytest.raises(RevertedError, match="envelope: another dispute"):
        trading.carried_out(buyer, town.market, f"replay {number}", foreign)
    trading.carried_out(buyer, town.market, f"evidence {number}", call)
    disputes.disprove_service(seller, town.market, number, found.receipt)
    assert disputes.resolve(seller, town.market, number) == "keep"


def test_the_command_line_goes_the_whole_way(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """serve, ask, close, prove, publish, deliver, open, evidence, resolve, status: each verb as a user types it."""
    run = command_line(town, tmp_path, monkeypatch, capsys)
    buyer, seller = ("--account", "buyer"), ("--account", "seller")
    assert run("market", "stake", "100", *seller)["held"]
    listed = run("market", "list", "--price", "0.5", "--tier", TIER, *seller)
    town.epoch += 1
    bought = run("market", "buy", listed["listing"], "--epoch", town.epoch, "--snapshot", 1, *buyer)
    assert bought["price"] == "7.5"
    purchase, logs = bought["purchase"], {name: tmp_path / name for name in ("seller-log", "buyer-log")}
    snapshot = town.folder / "words"
    serving = ("--snapshot", snapshot, "--log", logs["seller-log"], "--port", 0)
    with serving_process("market", "serve", purchase, *serving, *seller) as told:
        asked = run(
            "market", "ask", purchase, "--url", told["url"], "--snapshot", snapshot, "--log", logs["buyer-log"],
            "--id", 3, "-k", 3, "--count", 3, *buyer,
        )  # fmt: skip
    assert told["snapshot_root"] == town.snapshot.root.hex()
    assert [row["status"] for row in asked["requests"]] == [200] * 3
    closed = run("qos", "close", logs["seller-log"], "--preset", PRESET)
    assert closed["requests"] == 3
    receipt = tmp_path / "receipt"
    named = ("--agreement", bought["agreement"], "--tier", TIER)
    proven = run("qos", "prove", logs["seller-log"], *named, "--out", receipt, "--preset", PRESET)
    assert run("market", "publish", logs["seller-log"], *seller)["epoch_root"] == closed["epoch_root"]
    assert run("market", "deliver", purchase, "--receipt", receipt, *seller)["delivered"]
    assert run("market", "show", "--purchase", purchase)["refund_bps"] == proven["refund_bps"]["total"]
    opened = run("dispute", "open", purchase, "--kind", "wrong_answer", *buyer)
    number = opened["dispute"]
    request = ("--log", logs["buyer-log"], "--request", 0)
    assert run("dispute", "evidence", number, *request, *buyer)["owes"] == "respondent"
    refused = run("dispute", "resolve", number, *buyer, code=1)
    assert "the respondent has" in refused["error"]
    answer = tmp_path / "answer"
    assert run("query", snapshot, "--id", 3, "-k", 3, "--preset", PRESET, "--prove", answer)["receipt_bytes"]
    own = ("--log", logs["seller-log"], "--request", 0)
    assert run("dispute", "respond", number, *own, "--receipt", answer, *seller)["state"] == "invalid"
    assert run("dispute", "resolve", number, *seller)["state"] == "keep"
    written = tmp_path / "dispute.html"
    shown = run("dispute", "status", number, "--watch", "--html", written, "--receipt", answer)
    assert shown["state"] == "keep"
    assert all(check["holds"] for check in shown["checks"])
    assert "Timeline" in written.read_text()


def command_line(
    town: Town, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """run("market", "buy", ..., code=0) as on the command line of somebody whose wallet has seller and buyer."""
    from octoproof import cli
    from octoproof.starknet.wallet.folder import add
    from octoproof.starknet.wallet.keystore import Account, Secret

    monkeypatch.setenv("OCTOPROOF_CHAIN", str(town.folder / "chain"))
    monkeypatch.setenv("OCTOPROOF_WALLET", str(folder / "wallet"))
    monkeypatch.setenv("OCTOPROOF_RPC", town.node.url)
    for verb in ("market", "dispute", "qos"):
        monkeypatch.setitem(cli.VERBS, verb, "")
    keys = town.node.ask("getPredeployedAccounts", namespace="devnet", with_balance=False)
    for place, name in ((2, "seller"), (3, "buyer")):
        party = town.people[name].party
        secret = Secret(int(keys[place]["private_key"], 16), None)
        add(folder / "wallet", Account(name, party.public_key, party.address, None), secret, PASSWORD)

    def run(*arguments: object, code: int = 0) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended, password(arguments) as more:
            cli.main([*map(str, arguments), *more, "--json"])
        told = json.loads(capsys.readouterr().out)
        assert (ended.value.code or 0) == code, told
        return told

    return run


PASSWORD = "correct horse battery"


@contextmanager
def password(arguments: tuple[object, ...]) -> Iterator[list[str]]:
    """The option that reads the password of the account, if one is named."""
    if "--account" not in arguments:
        yield []
        return
    reader, writer = os.pipe()
    os.write(writer, f"{PASSWORD}\n".encode())
    os.close(writer)
    try:
        yield ["--password-fd", str(reader)]
    finally:
        with suppress(OSError):
            os.close(reader)


@contextmanager
def serving_process(*arguments: object) -> Iterator[dict[str, Any]]:
    """Runs a verb that serves, in a process of its own, and yields what it says first."""
    names = "from octoproof import cli; cli.VERBS |= {'market': ''}; cli.main()"
    with password(arguments) as more:
        command = [sys.executable, "-c", names, *map(str, arguments), *more, "--json"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, pass_fds=[int(more[1])])
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.readline()
            assert first, process.stderr.read()
            yield json.loads(first)
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert process.returncode == 0
