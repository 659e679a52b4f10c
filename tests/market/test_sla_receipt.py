"""From a closed epoch to a receipt that a stranger verifies; providers who lie about their log get none that holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import prover.prove as proving
from air.statement import StatementError as EncodingError
from air.statements.epoch import EpochTree
from air.statements.sla import MAX_VALUE, count_totals
from air.statements.sla_report import latency_edges
from air.statements.sla_statement import SLA, SlaStatement
from octoproof.market.epoch import ClosedEpoch, check_published, close_epoch, commit_columns, leaves_of
from octoproof.market.errors import RuleError
from octoproof.market.ledger import columns, ledgers
from octoproof.market.log_files import ROWS, LogError
from octoproof.market.prove_sla import SlaVerdict, prove_sla, verify_sla
from octoproof.market.refunds import latency_refund, uptime_refund
from octoproof.market.tiers import TIERS, in_time, keeps_uptime
from octoproof.vectors.snapshot import preset_key
from verifier.config import PRESETS
from verifier.errors import ParseError, SecurityError, StatementError, VerificationError
from verifier.receipt import Part, Receipt, read_receipt, statement_spec, write_receipt

CLOSED = 2_000_000
PRESET = "bench"  # weak and quick
KEY = preset_key(PRESET)
EDGES = latency_edges(1000)
# 21 requests: two fail, one of them quickly; four are late, by 4 %, 7 %, 10 % and 60 %; the buyer is silent about one.
TOOK = [100] * 15 + [1040, 1070, 1100, 1600, 5, 400]
STATUS, SILENT = {19: 429, 20: 500}, [7]


@pytest.fixture(scope="module")
def epoch(world: Any, device: Any, tmp_path_factory: pytest.TempPathFactory) -> ClosedEpoch:
    folder = tmp_path_factory.mktemp("epoch") / "log"
    with world.log(folder) as log:
        world.serve(log, TOOK, status=STATUS, silent=SILENT)
        world.serve(log, [50] * 5, agreement=world.other)
    return close_epoch(folder, CLOSED, device=device, presets=(PRESET,))


@pytest.fixture(scope="module")
def receipt(epoch: ClosedEpoch, device: Any) -> bytes:
    return prove_sla(epoch, EDGES, 17, device=device, preset=PRESET)


def verified(data: bytes, root: bytes | None = None) -> SlaVerdict:
    return verify_sla(data, root, min_conjectured=0.0)


def test_a_receipt_about_an_agreement(epoch: ClosedEpoch, receipt: bytes) -> None:
    verdict = verified(receipt, epoch.root)
    assert (verdict.root_checked, verdict.agreement, verdict.edges) == (True, 17, EDGES)
    report = verdict.report
    assert (report.requests, report.failed, report.invalid, report.unacknowledged) == (21, 2, 0, 1)
    assert [report.later_than(k) for k in range(4)] == [4, 3, 2, 1]
    assert (report.fulfilled, report.availability) == (15, 9047)
    assert report.latency_sum == sum(TOOK)
    assert report.tokens == 12 * 21
    assert [report.percentile(p) for p in (7800, 8000, 8500, 9000, 9500)] == [0, 1, 2, 3, 4]
    assert not verified(receipt).root_checked


def test_a_receipt_about_an_epoch(epoch: ClosedEpoch, device: Any) -> None:
    seen: list[str] = []
    data = prove_sla(epoch, EDGES, device=device, preset=PRESET, progress=seen.append)
    verdict = verified(data, epoch.root)
    assert verdict.agreement is None
    assert (verdict.report.requests, verdict.report.later_than(0)) == (26, 4)
    assert "segment 2 of 2" in seen
    # Half of it is nothing.
    for parts in (read_receipt(data).parts[:1], read_receipt(data).parts[1:], read_receipt(data).parts[::-1]):
        with pytest.raises(StatementError):
            verified(write_receipt(Receipt(parts)))


def test_a_receipt_about_a_long_agreement(
    world: Any, device: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two segments, two proofs, one report; neither of them is enough."""
    monkeypatch.setattr("octoproof.market.ledger.MAX_SEGMENT", 16)
    with world.log(tmp_path / "log") as log:
        world.serve(log, TOOK, status=STATUS, silent=SILENT)
    long = close_epoch(tmp_path / "log", CLOSED, device=device, presets=(PRESET,))
    assert [(leaf.first, leaf.rows) for leaf in long.tree.leaves] == [(0, 16), (16, 5)]
    data = prove_sla(long, EDGES, 17, device=device, preset=PRESET)
    report = verified(data, long.root).report
    assert (report.requests, report.failed, report.later_than(0), report.latency_sum) == (21, 2, 4, sum(TOOK))
    first, second = read_receipt(data).parts
    for parts in ((first,), (second,), (second, first), (first, first), (first, second, second)):
        with pytest.raises(StatementError):
            verified(write_receipt(Receipt(parts)))


def test_weak_parameters_are_refused(receipt: bytes) -> None:
    with pytest.raises(SecurityError):
        verify_sla(receipt)
    with pytest.raises(SecurityError):
        verify_sla(receipt, min_conjectured=60.0)


def test_another_epoch(receipt: bytes) -> None:
    with pytest.raises(StatementError, match="epoch root: the receipt is about another epoch"):
        verified(receipt, bytes(32))


def test_what_cannot_be_proven(epoch: ClosedEpoch, device: Any, tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="agreement: 0x63 has no requests"):
        prove_sla(epoch, EDGES, 99, device=device, preset=PRESET)
    with pytest.raises(EncodingError, match="edges: they must ascend"):
        prove_sla(epoch, (5, 4), 17, device=device, preset=PRESET)
    others = replace(epoch.tree.leaves[1].column_roots[0], key=replace(KEY, log_blowup_factor=2))
    leaves = [replace(leaf, column_roots=(others,)) for leaf in epoch.tree.leaves]
    other = replace(epoch, tree=EpochTree(epoch.tree.header, leaves))
    with pytest.raises(EncodingError, match="close it with that preset"):
        prove_sla(other, EDGES, 17, device=device, preset=PRESET)


DAMAGE = {
    "the rows of segment 1 are not the committed ones": lambda rows: rows[::-1],
    "not the 26 rows of this epoch": lambda rows: rows[1:],
    "not the 26 rows": lambda rows: rows["tokens"],
}


@pytest.mark.parametrize("message", DAMAGE)
def test_the_rows_are_the_committed_ones(message: str, epoch: ClosedEpoch, device: Any, tmp_path: Path) -> None:
    np.save(tmp_path / ROWS, DAMAGE[message](np.load(epoch.folder / ROWS)))
    with pytest.raises(LogError, match=message):
        prove_sla(replace(epoch, folder=tmp_path), EDGES, 17, device=device, preset=PRESET)


def test_rows_that_are_no_array(epoch: ClosedEpoch, device: Any, tmp_path: Path) -> None:
    for data in (b"", b"x" * 100, (epoch.folder / ROWS).read_bytes()[:-1]):
        (tmp_path / ROWS).write_bytes(data)
        with pytest.raises(LogError, match="damaged"):
            prove_sla(replace(epoch, folder=tmp_path), EDGES, 17, device=device, preset=PRESET)


@dataclass(frozen=True)
class Liar:
    """Proves what is not so, with an honest prover's checks left out."""

    epoch: ClosedEpoch
    device: Any
    own: list[Any]  # columns that it likes better

    def part(self, statement: SlaStatement, tree0: list[Any], witness: list[Any]) -> bytes:
        from air.statements.sla import sla_trace

        spec = statement_spec(statement, KEY.channel, PRESETS[PRESET])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(proving, "_check_composition", lambda *_: None)
            proved = proving.prove(
                spec.air,
                tree0,
                sla_trace(statement.component(), witness),
                channel=KEY.channel,
                config=PRESETS[PRESET],
                statement_u64=spec.statement_u64,
                backend=self.device,
            )
        part = Part(tuple(statement.encode()), KEY.channel, proved.claimed_sums, proved.proof)
        return write_receipt(Receipt((part,)))


def faster(own: list[Any]) -> None:
    own[1][:] = np.minimum(own[1], 999)


def never_failed(own: list[Any]) -> None:
    own[3][:] = own[4][:] = own[6]


def acknowledged(own: list[Any]) -> None:
    own[5][:] = own[6]


def only_good(own: list[Any]) -> None:
    bad = (own[1] > 999) | (own[3] == 0)
    own[6][bad] = 0
    own[1][bad] = own[2][bad] = 0


LIES = {"faster": faster, "never failed": never_failed, "acknowledged": acknowledged, "only good": only_good}


@pytest.mark.parametrize("what", LIES)
def test_nobody_passes_off_a_better_log(what: str, epoch: ClosedEpoch, receipt: bytes, device: Any) -> None:
    """Under the committed leaf: with its own columns, with the committed ones under its own trace, and with an honest
    proof under its own statement."""
    committed = columns(epoch.rows(1))
    own = [column.copy() for column in committed]
    LIES[what](own)
    honest = SLA.decode(read_receipt(receipt).parts[0].statement)
    told = count_totals(honest.component(), own)
    assert told != honest.totals
    lie = replace(honest, totals=told)
    liar = Liar(epoch, device, own)
    for tree0 in (own, committed):
        with pytest.raises(VerificationError):
            verified(liar.part(lie, tree0, own))
    part = replace(read_receipt(receipt).parts[0], statement=tuple(lie.encode()))
    with pytest.raises(VerificationError):
        verified(write_receipt(Receipt((part,))))


def test_a_liar_who_commits_to_his_columns_loses_the_buyers_signature(
    epoch: ClosedEpoch, world: Any, device: Any
) -> None:
    """Then his proof holds: it is the commitment that is wrong, as the buyer sees."""
    own = columns(epoch.rows(1))
    faster(own)
    honest = ledgers(epoch.folder)[1]
    (true,) = leaves_of(honest, [KEY], device)
    roots = (replace(true.column_roots[0], root=commit_columns(own, KEY, device)[1]),)
    tree = EpochTree(epoch.tree.header, [epoch.tree.leaves[0], replace(true, column_roots=roots)])
    component = SlaStatement(tree.header, tree.root, tree.placed(1), "agreement", EDGES, None).component()  # type: ignore[arg-type]
    statement = SlaStatement(tree.header, tree.root, tree.placed(1), "agreement", EDGES, count_totals(component, own))
    verdict = verified(Liar(epoch, device, own).part(statement, own, own), tree.root)
    assert verdict.report.later_than(0) == 0
    with pytest.raises(RuleError, match="column_roots: the segment from request 0 is not what was signed"):
        check_published(tree, honest, device=device)


def test_any_flipped_bit_is_refused(receipt: bytes) -> None:
    rng = np.random.default_rng(3)
    for place in [*range(60), *rng.integers(60, len(receipt), 60)]:
        changed = bytearray(receipt)
        changed[place] ^= 1 << int(rng.integers(8))
        with pytest.raises((ParseError, VerificationError)):
            verified(bytes(changed))


@pytest.mark.parametrize("tier", TIERS)
def test_the_market_reads_its_refunds_off_the_report(tier: str) -> None:
    """Any latency in a band has the refund of the band, so that the band of the percentile is enough."""
    promise = TIERS[tier]
    edges = latency_edges(promise.latency_ms)
    assert in_time(promise, edges[0])
    assert not in_time(promise, edges[0] + 1)
    ends = [(a + 1, b) for a, b in zip((-1, *edges), (*edges, MAX_VALUE), strict=True)]
    refunds = [{latency_refund(promise, latency) for latency in pair} for pair in ends]
    assert refunds == [{0}, {0}, {500}, {1000}, {2500}]


def test_the_market_reads_availability_off_the_report(receipt: bytes) -> None:
    report = verified(receipt).report
    assert not keeps_uptime(TIERS["basic"], report.answered, report.requests)
    assert uptime_refund(TIERS["basic"], report.answered, report.requests) == 10_000


# The command line


def command(*arguments: object) -> Any:
    from octoproof.cli.verify import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_verify_shows_the_level_of_service(epoch: ClosedEpoch, receipt: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sla.octoproof"
    path.write_bytes(receipt)
    shown = command(path, "--min-conjectured", 0, "--no-cache")
    assert shown.exit_code == 0, shown.output
    for line in ("type: sla", "requests: 21", "availability: 90.47 %", "unacknowledged: 1", "root not checked"):
        assert line in shown.output
    known = command(path, "--min-conjectured", 0, "--snapshot-root", epoch.root.hex(), "--no-cache", "--json")
    assert known.exit_code == 0, known.output
    said = json.loads(known.output)
    assert said["statement"]["report"]["later_than_ms"] == {"999": 4, "1049": 3, "1099": 2, "1250": 1}
    assert said["checks"][-1]["name"] == "epoch root"
    other = command(path, "--min-conjectured", 0, "--snapshot-root", "00" * 32, "--no-cache")
    assert other.exit_code == 1
    assert "epoch root: the receipt is about another epoch" in other.output
