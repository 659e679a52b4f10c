"""Real requests over HTTP: both sides sign, both logs agree, the epoch closes, and the verbs of `qos` judge it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starknet_py", reason="needs the extra `chain`: pip install 'octoproof[chain]'")
pytest.importorskip("uvicorn", reason="needs the extra `service`: pip install 'octoproof[service]'")

from octoproof.cli import VERBS, main
from octoproof.market.epoch import check_published, close_epoch, close_messages, open_epoch
from octoproof.market.errors import RuleError
from octoproof.market.ledger import ledgers
from octoproof.market.log import Received, RequestLog
from octoproof.market.messages import Agreement, Request
from octoproof.serving.buyer import Buyer, NoAnswerError, ServiceError, fetch
from octoproof.serving.desk import Desk, now_ms
from octoproof.serving.running import served
from octoproof.serving.wire import read_signed, signed_document
from octoproof.serving.words import NearestWords, write_question
from octoproof.starknet.answers import Answered, read_answer
from octoproof.starknet.log_signing import Signatory, signatory, signing_on
from octoproof.starknet.wallet.signer import KeySigner
from octoproof.vectors.build import build_snapshot
from octoproof.vectors.snapshot import Snapshot
from verifier.errors import ParseError

CHAIN = "OCTO_DEVNET_TEST"
ROWS, DIMENSION = 64, 8


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    vectors = np.random.default_rng(5).normal(size=(ROWS, DIMENSION)).astype(np.float32)
    return build_snapshot(vectors, tmp_path_factory.mktemp("snapshot") / "words", labels=[f"w{k}" for k in range(ROWS)])


@dataclass
class Street:
    """A provider's desk behind its door, and a buyer before it."""

    desk: Desk
    buyer: Buyer
    question: bytes
    close: Callable[[], None]


@pytest.fixture
def street(tmp_path: Path, snapshot: Snapshot) -> Iterator[Street]:
    provider, buyer = (signatory(0xA11CE, KeySigner(77), CHAIN), signatory(0xB0B, KeySigner(99), CHAIN))
    agreement = Agreement(0x1234, provider.party, buyer.party)
    named = provider.party, 6, now_ms(), [agreement], signing_on(CHAIN)
    query = tuple(int(v) for v in snapshot.segments[0].segment.vector(3))
    with ExitStack() as stack:
        log = stack.enter_context(RequestLog.create(tmp_path / "provider", *named))
        own = stack.enter_context(RequestLog.create(tmp_path / "buyer", *named))
        desk = Desk(log, provider, NearestWords(snapshot))
        url = stack.enter_context(served(desk, {"epoch": 6}))
        yield Street(desk, Buyer(url, agreement, buyer, own), write_question(query, "l2", 5), stack.close)


def test_an_honest_exchange_is_in_both_logs(street: Street, snapshot: Snapshot, tmp_path: Path, device: Any) -> None:
    told = [street.buyer.ask(street.question) for _ in range(3)]
    answer = read_answer(told[0].output)
    assert answer.snapshot_root == snapshot.root
    assert answer.rows[0][0] == int(snapshot.segments[0].segment.ids[3])  # the nearest to itself
    assert all(one.response.message.ok for one in told)
    street.close()
    (theirs,), (mine,) = ledgers(tmp_path / "provider"), ledgers(tmp_path / "buyer")
    assert (theirs.rows == mine.rows).all()
    closed = close_epoch(tmp_path / "provider", now_ms(), device=device)
    message = check_published(closed.tree, mine, device=device)
    assert message == close_messages(closed.tree)[street.buyer.agreement.id]
    assert message.count == 3


def test_a_slow_model_is_given_up_and_says_so(street: Street) -> None:
    street.desk.patience_ms = -1
    told = street.buyer.ask(street.question)
    assert (told.response.message.status, told.output) == (504, b"")
    assert not told.response.message.ok


def test_a_broken_model_gives_a_signed_failure(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street.desk.model, "answer", lambda question: 1 // 0)
    assert street.buyer.ask(street.question).response.message.status == 500


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}", "question.query: missing"),
        (b'{"query": [1], "metric": "l2", "k": 5}', "not of the snapshot's dimension"),
    ],
)
def test_what_cannot_be_asked_is_in_no_log(street: Street, data: bytes, why: str) -> None:
    with pytest.raises(ServiceError, match=re.escape(why)):
        street.buyer.ask(data)
    assert street.desk.log.head(street.buyer.agreement.id).count == 0
    assert street.buyer.ask(street.question).request.message.sequence == 0


def test_a_stranger_is_not_served(street: Street) -> None:
    party = street.buyer.signatory.party
    street.buyer.signatory = Signatory(party, KeySigner(1000), street.buyer.signatory.signing)
    with pytest.raises(ServiceError, match="the signature is not that of account"):
        street.buyer.ask(street.question)


def test_an_input_is_the_one_that_was_signed(street: Street) -> None:
    def swapping(path: str, document: dict[str, Any]) -> bytes:
        return street.buyer._over_http(path, document | {"input": b"another".hex()})

    street.buyer.post = swapping
    with pytest.raises(ServiceError, match=r"request.input: not the hash of what came with it"):
        street.buyer.ask(street.question)


@pytest.mark.parametrize("part", ["output", "response"])
def test_a_buyer_keeps_nothing_that_was_changed_on_the_way(street: Street, part: str) -> None:
    def changing(path: str, document: dict[str, Any]) -> bytes:
        told = json.loads(street.buyer._over_http(path, document))
        if part == "output":
            told["output"] = "00" * 8
        else:
            told["response"]["message"]["answered_at"] += 1
        return json.dumps(told).encode()

    street.buyer.post = changing
    with pytest.raises(RuleError, match=r"output: not the hash|signature is not that"):
        street.buyer.ask(street.question)
    assert street.buyer.log.head(street.buyer.agreement.id).count == 0


def test_a_latency_that_the_clock_denies_is_not_acknowledged(street: Street) -> None:
    started = now_ms()
    ticks = iter([started, started + 1_500, started + 1_500])  # it took long, whatever the provider says
    street.buyer.clock = lambda: next(ticks)
    told = street.buyer.ask(street.question)
    assert "do not acknowledge it" in told.withheld
    assert street.desk.log._states[street.buyer.agreement.id].acknowledged == set()


def test_an_answer_that_is_lost_is_asked_for_again(street: Street) -> None:
    lost = []

    def losing(path: str, document: dict[str, Any]) -> bytes:
        answer = street.buyer._over_http(path, document)
        if not lost:
            lost.append(answer)
            raise NoAnswerError("cut off")
        return answer

    street.buyer.post = losing
    told = street.buyer.ask(street.question)
    assert json.loads(lost[0])["response"] == signed_document(told.response)
    assert street.buyer.ask(street.question).request.message.sequence == 1
    assert street.desk.log.head(street.buyer.agreement.id).count == 2


def test_what_was_never_answered_is_signed_as_failed(street: Street, tmp_path: Path) -> None:
    _, request = street.buyer.signatory.sign(
        Request(street.desk.signatory.party.address, street.buyer.agreement.id, 6, 0, 0, bytes(32), now_ms())
    )
    street.desk.log.accept([Received(request, now_ms())])
    assert street.desk.fail_unanswered() == 1
    assert street.desk.fail_unanswered() == 0
    street.close()
    (ledger,) = ledgers(tmp_path / "provider")
    assert int(ledger.rows["status"][0]) == 500


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/requests", b"[", "HTTP 400"),
        ("/v1/requests", b'{"request": 1, "input": ""}', "request: must be an object"),
        ("/v1/acknowledgements", b'{"agreement": "17", "sequence": 0, "acknowledgement": {}}', "missing"),
    ],
)
def test_the_door_refuses_what_is_no_message(street: Street, path: str, body: bytes, status: str) -> None:
    import urllib.request

    with pytest.raises(ServiceError, match=status):
        fetch(urllib.request.Request(street.buyer.url + path, body))
    assert json.loads(fetch(street.buyer.url + "/v1/terms")) == {"epoch": 6}


def test_messages_survive_the_wire(street: Street) -> None:
    _, signed = street.buyer.signatory.sign(Request(1, 2, 3, 4, 5, bytes(range(32)), 6))
    document = json.loads(json.dumps(signed_document(signed)))
    assert read_signed(document, Request, "request") == signed
    for name in document["message"]:
        broken = {**document, "message": {k: v for k, v in document["message"].items() if k != name}}
        with pytest.raises(ParseError, match=f"request.message.{name}: missing"):
            read_signed(broken, Request, "request")


def test_answers_are_the_words_of_a_fact(snapshot: Snapshot, device: Any) -> None:
    from hashlib import blake2s

    from octoproof.starknet.statements import topk_result_digest
    from octoproof.vectors.claims import proven_claims
    from octoproof.vectors.query import Asked, ask

    query = tuple(int(v) for v in snapshot.segments[0].segment.vector(9))
    model = NearestWords(snapshot)
    output = model.answer(model.check(write_question(query, "ip", 4)))
    answer = ask(snapshot, Asked(query, np.array(query, dtype=np.float32)), 4, "ip")
    statements = [statement for _, statement in proven_claims(answer)]
    assert blake2s(output).digest() == topk_result_digest(statements)
    told = read_answer(output)
    assert replace(told, rows=told.rows[::-1]).encode() != output
    assert isinstance(told, Answered)


def qos(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["qos", *map(str, arguments), "--json"])
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)


def test_the_verbs_close_prove_verify_and_score(
    street: Street, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VERBS, "qos", "")
    for patience in (60_000, 60_000, -1):
        street.desk.patience_ms = patience
        street.buyer.ask(street.question)
    street.close()
    log, receipt = tmp_path / "provider", tmp_path / "receipt"
    code, shown = qos(capsys, "log", log)
    assert (code, shown["epoch_root"], shown["agreements"][0]["requests"]) == (0, None, 3)
    code, closed = qos(capsys, "close", log)
    assert (code, closed["requests"]) == (0, 3)
    assert qos(capsys, "close", log) == (0, closed)
    assert qos(capsys, "log", log)[1]["epoch_root"] == closed["epoch_root"] == open_epoch(log).root.hex()
    named = ("--tier", "standard", "--agreement", "0x1234")
    code, proven = qos(capsys, "prove", log, *named, "--out", receipt)
    assert (code, proven["report"]["failed"], proven["refund_bps"]["uptime"]) == (0, 1, 10_000)
    code, verified = qos(capsys, "verify", receipt, *named, "--epoch-root", closed["epoch_root"])
    assert (code, verified["root_checked"], verified["refund_bps"]) == (0, True, proven["refund_bps"])
    code, refused = qos(capsys, "verify", receipt, *named, "--epoch-root", "00" * 32)
    assert (code, "epoch root" in refused["error"]) == (1, True)
    code, refused = qos(capsys, "verify", receipt, "--tier", "premium")  # counted by other edges
    assert (code, "report.edges" in refused["error"]) == (1, True)
    broken = tmp_path / "broken"
    data = bytearray(receipt.read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(data)
    code, score = qos(capsys, "score", receipt, broken)
    assert (code, score["proofs"], score["proofs_valid"], score["score"]) == (0, 2, 1, (40 * 2 * 2 + 40 * 3) // 6 + 20)
