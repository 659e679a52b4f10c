"""The request log: it holds what both sides signed, in order, and refuses everything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octoproof.market.errors import MarketError, RuleError
from octoproof.market.exchange import GRACE_MS
from octoproof.market.ledger import ROW, columns, ledgers, row_leaf, row_tree
from octoproof.market.log import Received, RequestLog
from octoproof.market.log_files import KINDS, LogError, append, read_records, records_of
from octoproof.market.messages import Acknowledgement, Signed

SEQUENCE, LATENCY, TOKENS, OK, VALID, ACKNOWLEDGED, LIVE = range(7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


def counts(folder: Path) -> list[int]:
    return [len(read_records(folder, name)) for name in KINDS]


def test_what_was_said_is_kept(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        world.serve(log, [100, 1200, 7], status={1: 503}, silent=[2])
        world.serve(log, [50], agreement=world.other)
        served = world.serve(log, [9])
        (last,) = world.hashes([served.requests[0].message], world.agreement.buyer)
        assert log.head(world.agreement.id) == replace(log.head(world.agreement.id), count=4, last=last)
        assert log.unanswered(world.agreement.id) == []
        assert log.unacknowledged(world.agreement.id) == [2]
    assert counts(folder) == [5, 5, 4]
    first, second = ledgers(folder)
    assert (first.agreement, second.agreement) == (world.other, world.agreement)
    found = [[int(v) for v in np.sort(column)[-4:]] for column in columns(second.rows)]
    assert found[LATENCY] == [7, 9, 100, 1200]
    assert [sum(found[k]) for k in (OK, VALID, ACKNOWLEDGED, LIVE)] == [3, 3, 3, 4]
    assert second.rows["sequence"].tolist() == [0, 1, 2, 3]
    assert (second.rows["acknowledged_at"] == 0).tolist() == [False, False, True, False]
    assert second.head == last.to_bytes(32, "big")


def test_a_log_goes_on_where_it_ended(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        world.serve(log, [100, 101])
        received = world.requests(log, 1)
        log.accept(received)
        before = log.head(world.agreement.id)
    with RequestLog.open(folder, world.signing) as log:
        assert log.head(world.agreement.id) == before
        assert log.unanswered(world.agreement.id) == [2]
        (response,) = world.sign([world.response(received[0].request.message)], world.provider)
        log.answer(world.agreement.id, [(2, response)])
        world.serve(log, [102])
    assert counts(folder) == [4, 4, 3]


def test_answers_come_in_any_order(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        received = world.requests(log, 3)
        log.accept(received)
        responses = world.sign([world.response(item.request.message) for item in received], world.provider)
        for k in (2, 0):
            log.answer(world.agreement.id, [(k, responses[k])])
    with pytest.raises(RuleError, match=r"request 1 of agreement 0x11 has none \(1 in all\); answer it, or sign"):
        ledgers(folder)
    with RequestLog.open(folder, world.signing) as log:
        log.answer(world.agreement.id, [(1, responses[1])])
    assert world.ledger(folder).rows["sequence"].tolist() == [0, 1, 2]


def test_a_request_is_taken_once_and_in_order(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        first, second, third = world.requests(log, 3)
        for batch, message in (
            ([second], "request.sequence: 1, but 0 is next"),
            ([first, third], "request.sequence: 2, but 1"),
            ([first, first], "request.sequence: 0, but 1"),
        ):
            with pytest.raises(RuleError, match=message):
                log.accept(batch)
        assert counts(folder) == [0, 0, 0]  # none of a batch
        log.accept([first])
        with pytest.raises(RuleError, match=r"request\.sequence: 0, but 1 is next"):
            log.accept([first])
        # A request of the same number that is chained to another one.
        other = replace(second.request.message, previous=5)
        (signed,) = world.sign([other], world.agreement.buyer)
        with pytest.raises(RuleError, match=r"request\.previous"):
            log.accept([Received(signed, second.received_at)])


def test_a_request_is_its_buyers(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        (received,) = world.requests(log, 1)
        message = received.request.message
        for signer in (world.provider, world.other.buyer):
            (signed,) = world.sign([message], signer)
            with pytest.raises(RuleError, match="request: the signature is not that of account 0xb0b"):
                log.accept([Received(signed, received.received_at)])
        with pytest.raises(RuleError, match="agreement: 0x63 is not one of this log"):
            log.accept([replace(received, request=replace(received.request, message=replace(message, agreement=99)))])
        with pytest.raises(RuleError, match="received 2001 ms after it says it was sent"):
            log.accept([replace(received, received_at=message.sent_at + 2001)])
    assert counts(folder) == [0, 0, 0]


def refused_answers(world: Any) -> dict[str, Callable[[Any], tuple[int, Any, Any]]]:
    """message: the honest response -> (sequence, response, signer)"""
    return {
        "response: no request 7": lambda honest: (7, honest, world.provider),
        "response: no request -1": lambda honest: (-1, honest, world.provider),
        "response.request: not the hash of request 1": lambda honest: (1, honest, world.provider),
        "response: the signature is not": lambda honest: (0, honest, world.agreement.buyer),
        "response.answered_at: before": lambda honest: (0, replace(honest, answered_at=1), world.provider),
        "response.valid": lambda honest: (0, replace(honest, status=429), world.provider),
    }


def test_answers_to_something_else(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        received = world.requests(log, 2)
        log.accept(received)
        honest = world.response(received[0].request.message)
        for message, change in refused_answers(world).items():
            sequence, response, signer = change(honest)
            (signed,) = world.sign([response], signer)
            with pytest.raises(RuleError, match=message):
                log.answer(world.agreement.id, [(sequence, signed)])
        (signed,) = world.sign([honest], world.provider)
        with pytest.raises(RuleError, match="request 0 is answered already"):
            log.answer(world.agreement.id, [(0, signed), (0, signed)])
        log.answer(world.agreement.id, [(0, signed)])
        with pytest.raises(RuleError, match="request 0 is answered already"):
            log.answer(world.agreement.id, [(0, signed)])
    assert counts(folder) == [2, 1, 0]


def test_acknowledgements_of_something_else(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        served = world.serve(log, [100, 100], silent=[0, 1])
        hashes = world.hashes([signed.message for signed in served.responses], world.provider)
        at = served.responses[0].message.answered_at
        buyer, id = world.agreement.buyer, world.agreement.id
        for sequence, mark, signer, message in (
            (2, Acknowledgement(hashes[0], at), buyer, "request 2 has no response"),
            (1, Acknowledgement(hashes[0], at), buyer, "not the hash of response 1"),
            (0, Acknowledgement(hashes[0], at), world.provider, "signature"),
            (0, Acknowledgement(hashes[0], at), world.other.buyer, "signature"),
            (0, Acknowledgement(hashes[0], 5), buyer, "before the answer"),
        ):
            with pytest.raises(RuleError, match=message):
                log.acknowledge(id, [(sequence, world.sign([mark], signer)[0])])
        (signed,) = world.sign([Acknowledgement(hashes[0], at)], buyer)
        log.acknowledge(id, [(0, signed)])
        with pytest.raises(RuleError, match="response 0 is acknowledged already"):
            log.acknowledge(id, [(0, signed)])
    assert counts(folder) == [2, 2, 1]


def test_a_late_acknowledgement_is_seen_and_does_not_count(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        served = world.serve(log, [100, 100], silent=[0, 1])
        for k, response in enumerate(served.responses):
            (hash,) = world.hashes([response.message], world.provider)
            mark = Acknowledgement(hash, response.message.answered_at + GRACE_MS + k)
            log.acknowledge(world.agreement.id, [(k, *world.sign([mark], world.agreement.buyer))])
    ledger = world.ledger(folder)
    assert (ledger.rows["acknowledged_at"] > 0).all()
    assert int(columns(ledger.rows)[ACKNOWLEDGED].sum()) == 1


def test_a_very_long_latency_counts_as_the_longest(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        world.serve(log, [1 << 20, (1 << 20) - 1, (1 << 20) - 2])
    assert sorted(columns(world.ledger(folder).rows)[LATENCY].tolist())[-3:] == [1048574, 1048575, 1048575]


def test_leaves_one_by_one_are_those_of_the_tree(world: Any) -> None:
    rng = np.random.default_rng(1)
    for count in (1, 2, 17, 300):
        rows = np.frombuffer(rng.bytes(count * ROW.itemsize), ROW)
        tree = row_tree(rows)
        assert [leaf.tobytes() for leaf in tree.nodes[:count]] == [row_leaf(row.tobytes()) for row in rows]


def test_a_folder_holds_one_log(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        world.serve(log, [5])
        with (
            pytest.raises(MarketError, match="another program is writing"),
            RequestLog.open(folder, world.signing),
        ):
            pass
    with pytest.raises(MarketError, match="there is a log in this folder already"), world.log(folder):
        pass
    with pytest.raises(FileNotFoundError), RequestLog.open(folder / "none", world.signing):
        pass


def test_agreements_of_one_provider_each_once(world: Any, folder: Path) -> None:
    other = replace(world.agreement, provider=world.other.buyer)
    for agreements, message in (([other], "another provider"), ([world.agreement] * 2, "two of them have one id")):
        with (
            pytest.raises(MarketError, match=message),
            RequestLog.create(folder, world.provider, 1, 5, agreements, world.signing),
        ):
            pass
    assert not folder.exists()


def test_a_full_disk(world: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is accepted, half a record is not left behind, and the log can be used on."""
    with world.log(folder) as log:
        received = world.requests(log, 2)

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(OSError, match="No space"):
                log.accept(received)
        assert counts(folder) == [0, 0, 0]
        assert (folder / "requests.log").stat().st_size == 0
        assert log.head(world.agreement.id).count == 0
        log.accept(received)
    assert counts(folder) == [2, 0, 0]


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_record(name: str, world: Any, folder: Path) -> None:
    """At the end it is what a killed writer left; before the end it is damage."""
    with world.log(folder) as log:
        world.serve(log, [5, 6, 7])
    path, size = folder / f"{name}.log", KINDS[name].itemsize
    data = path.read_bytes()
    for cut in (1, size - 1):
        path.write_bytes(data[:-cut])
        assert len(read_records(folder, name)) == 2
    path.write_bytes(data[: size + 3] + bytes([data[size + 3] ^ 1]) + data[size + 4 :])
    with pytest.raises(LogError, match=f"{name}.log: record 1 is damaged, and there are others behind it"):
        read_records(folder, name)
    with pytest.raises(LogError, match="damaged"), RequestLog.open(folder, world.signing):
        pass


def test_records_that_do_not_fit_each_other(world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        world.serve(log, [5, 6, 7])
    whole = {name: (folder / f"{name}.log").read_bytes() for name in KINDS}
    size = {name: kind.itemsize for name, kind in KINDS.items()}
    for name, data, message in (
        ("requests", whole["requests"][size["requests"] :], "out of order"),
        ("requests", whole["requests"][: size["requests"]], "has no request of its own"),
        ("responses", whole["responses"] + whole["responses"][: size["responses"]], "has no request of its own"),
        ("responses", whole["responses"][: size["responses"]], "has no response"),
        ("acknowledgements", whole["acknowledgements"] * 2, "has no response"),
    ):
        (folder / f"{name}.log").write_bytes(data)
        with pytest.raises(LogError, match=message), RequestLog.open(folder, world.signing):
            pass
        with pytest.raises((LogError, RuleError)):
            ledgers(folder)
        (folder / f"{name}.log").write_bytes(whole[name])
    with RequestLog.open(folder, world.signing):
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"format": 1', '"format": 2'), "format: 2"),
        (lambda text: text.replace('"epoch": 6', '"epoch": 6.5'), "not an integer"),
        (lambda text: text.replace("0xb0b", "bob"), "no field element"),
        (lambda text: text.replace("0xb0b", "0x" + "f" * 64), "no field element"),
        (lambda text: text.replace('"0x11"', '"0x12"'), "an agreement that log.json does not name"),
        (lambda text: text[:-5], "not JSON"),
    ],
)
def test_a_damaged_document(change: Callable[[str], str], message: str, world: Any, folder: Path) -> None:
    with world.log(folder) as log:
        world.serve(log, [5])
    path = folder / "log.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(LogError, match=message), RequestLog.open(folder, world.signing):
        pass


def test_no_signature_no_place(world: Any, folder: Path) -> None:
    """A batch with one bad signature is refused whole."""
    with world.log(folder) as log:
        first, second = world.requests(log, 2)
        forged = replace(second, request=Signed(second.request.message, first.request.signature))
        with pytest.raises(RuleError, match="signature"):
            log.accept([first, forged])
        assert log.head(world.agreement.id).count == 0


@pytest.mark.parametrize("count", [0, 1, 255, 256, 700])
def test_many_records_are_checked_like_few(count: int, tmp_path: Path) -> None:
    """Few are hashed one by one, many in lanes."""
    rows = [(bytes([k % 251]) * 32, k, k, k, (k, k + 1)) for k in range(count)]
    records = records_of("acknowledgements", rows)
    assert [record.tobytes() for record in records] == [
        record.tobytes() for k in range(count) for record in records_of("acknowledgements", rows[k : k + 1])
    ]
    for name in KINDS:
        (tmp_path / f"{name}.log").touch()
    append(tmp_path, "acknowledgements", records)
    assert read_records(tmp_path, "acknowledgements").tobytes() == records.tobytes()
