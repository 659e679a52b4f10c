"""From a closed epoch to a receipt about its level of service, and from a receipt to what it says.

Verifying needs neither the log nor a compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from air.statement import RootKey
from air.statements.epoch import EpochHeader
from air.statements.sla import Sla, count_totals, sla_trace
from air.statements.sla_report import SlaReport
from air.statements.sla_statement import SLA, SlaStatement
from octoproof.accepted import accepted
from octoproof.market.epoch import ClosedEpoch, commit_columns
from octoproof.market.ledger import columns
from octoproof.market.log_files import LogError, number
from octoproof.vectors.snapshot import preset_key
from verifier.config import PRESETS, PcsConfig
from verifier.errors import StatementError
from verifier.receipt import Part, Receipt, Verdict, statement_spec, verify, write_receipt
from verifier.security import Figures

Progress = Callable[[str], None]


@dataclass(frozen=True)
class SlaVerdict:
    """What a valid receipt says: `report` is of one agreement, or of the whole epoch where `agreement` is None.

    Whoever settles by it compares provider, epoch, agreement and edges with what was agreed: an honest receipt about
    something else is valid, too. `root_checked`: the caller named the epoch."""

    header: EpochHeader
    epoch_root: bytes
    root_checked: bool
    agreement: int | None
    edges: tuple[int, ...]
    report: SlaReport
    security: Figures
    verdict: Verdict


def prove_sla(
    epoch: ClosedEpoch,
    edges: Sequence[int],
    agreement: int | None = None,
    *,
    device: Any,
    preset: str = "standard",
    progress: Progress | None = None,
) -> bytes:
    """The receipt about one agreement, or about all: one proof a segment. `edges` as `sla_report.latency_edges` gives.

    Raises RuleError for an agreement without requests, StatementError for edges that tell nothing apart and a preset
    that the epoch was not committed for, LogError where the rows are not the committed ones, OSError."""
    key, config, parts = preset_key(preset), PRESETS[preset], []
    indices = epoch.indices(agreement)
    for done, index in enumerate(indices, 1):
        if progress and len(indices) > 1:
            progress(f"segment {done} of {len(indices)}")
        scope = "epoch" if agreement is None else "agreement"
        parts.append(_prove_part(epoch, index, scope, tuple(edges), key, config, device, progress))
    return write_receipt(Receipt(tuple(parts)))


def verify_sla(
    data: bytes, root: bytes | None = None, min_conjectured: float | None = None, min_proven: float = 0.0
) -> SlaVerdict:
    """Verifies a receipt about the epoch with this root, which the caller knows; without it, about any epoch.

    Raises ParseError, VerificationError."""
    verdict = verify(data, accepted(), min_conjectured, min_proven)
    claims: Sequence[Any] = [part.statement for part in verdict.parts]
    first = claims[0]
    if not isinstance(first, SlaStatement):
        raise StatementError(f"receipt: of type {verdict.name}, which is about no level of service")
    if root is not None and root != first.epoch_root:
        raise StatementError("epoch root: the receipt is about another epoch")
    return SlaVerdict(
        header=first.header,
        epoch_root=first.epoch_root,
        root_checked=root is not None,
        agreement=None if first.scope == "epoch" else number(first.leaf.agreement),
        edges=first.edges,
        report=SLA.report(claims),
        security=verdict.security,
        verdict=verdict,
    )


def _prove_part(
    epoch: ClosedEpoch,
    index: int,
    scope: str,
    edges: tuple[int, ...],
    key: RootKey,
    config: PcsConfig,
    device: Any,
    progress: Progress | None,
) -> Part:
    from prover.prove import prove  # compiles kernels: only who proves pays for it

    placed, own = epoch.tree.placed(index), columns(epoch.rows(index))
    totals = count_totals(Sla(placed.leaf.log_size, edges), own)
    statement = SlaStatement(epoch.tree.header, epoch.root, placed, scope, edges, totals)
    statement.check()
    spec = statement_spec(statement, key.channel, config)
    tree, root = commit_columns(own, key, device)
    if root != placed.leaf.column_root(key):
        raise LogError(f"{epoch.folder}: the rows of segment {index} are not the committed ones; restore the folder")
    proved = prove(
        spec.air,
        tree,
        sla_trace(statement.component(), own),
        channel=key.channel,
        config=config,
        statement_u64=spec.statement_u64,
        backend=device,
        progress=progress,
    )
    return Part(tuple(statement.encode()), key.channel, proved.claimed_sums, proved.proof)
