"""From an answer to its receipt: a validity proof for every part, or the opened rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from air.statement import RootKey
from air.statements.topk import topk_trace
from octoproof.vectors.claims import Claim, opened_claim, proven_claims
from octoproof.vectors.commit import commit_segment
from octoproof.vectors.errors import SnapshotError, VectorError
from octoproof.vectors.opened import OpenedRow, OpenedStatement, write_opening
from octoproof.vectors.query import OPENING, Answer
from octoproof.vectors.rowtree import STOOLAP
from octoproof.vectors.snapshot import Snapshot, preset_key
from octoproof.vectors.store import StoredSegment
from verifier.config import PRESETS, PcsConfig
from verifier.receipt import OpenedPart, Part, Receipt, statement_spec, write_receipt

Progress = Callable[[str], None]


class Trees:
    """Committed segments by column root, kept between queries up to a number of bytes, the latest used first."""

    def __init__(self, limit: int) -> None:
        self.limit, self._held = limit, OrderedDict[bytes, tuple[Any, int]]()

    def get(self, root: bytes, make: Callable[[], Any]) -> Any:
        """The tree of this root, made if it is not held."""
        if root in self._held:
            self._held.move_to_end(root)
            return self._held[root][0]
        tree = make()
        size = sum(array.nbytes for part in (tree.values, tree.coefficients, tree.extended) for array in part)
        self._held[root] = tree, size
        while len(self._held) > 1 and sum(size for _, size in self._held.values()) > self.limit:
            self._held.popitem(last=False)
        return tree


def prove_answer(
    answer: Answer,
    preset: str = "standard",
    *,
    backend: Any,
    trees: Trees | None = None,
    progress: Progress | None = None,
) -> bytes:
    """The receipt of an answer: one validity proof a segment, or where the mode only opens rows, these.

    `backend` is a device (`octoproof.device`); `trees` keeps committed segments between queries. Raises VectorError for
    a preset that the snapshot was not committed for, SnapshotError where its data are not the committed ones."""
    if answer.mode in OPENING:
        statement = opened_claim(answer)
        part = OpenedPart(tuple(statement.encode()), _opening(answer.snapshot, statement))
        return write_receipt(Receipt((part,)))
    key, config, kept = preset_key(preset), PRESETS[preset], trees or Trees(0)
    parts, claims = [], proven_claims(answer)
    for number, claim in enumerate(claims, 1):
        if progress and len(claims) > 1:
            progress(f"segment {number} of {len(claims)}")
        parts.append(prove_part(claim, key, config, backend=backend, trees=kept, progress=progress))
    return write_receipt(Receipt(tuple(parts)))


def prove_part(
    claim: Claim, key: RootKey, config: PcsConfig, *, backend: Any, trees: Trees, progress: Progress | None = None
) -> Part:
    """One segment's part. Parts are independent of each other: another process may prove another one."""
    from prover.prove import prove  # compiles kernels: only who proves pays for it

    scored, statement = claim
    segment = scored.stored.segment
    tree = committed(scored.stored, key, backend, trees)
    spec = statement_spec(statement, key.channel, config)
    proved = prove(
        spec.air,
        tree,
        topk_trace(statement.component(), scored.scores, segment.stored_live, segment.stored_codes),
        channel=key.channel,
        config=config,
        statement_u64=spec.statement_u64,
        backend=backend,
        progress=progress,
    )
    return Part(tuple(statement.encode()), key.channel, proved.claimed_sums, proved.proof)


def committed(stored: StoredSegment, key: RootKey, device: Any, trees: Trees) -> Any:
    """The committed segment, compared with its leaf: a proof over other data would only be refused later."""
    known = {item.key: item.root for item in stored.leaf.column_roots}
    if key not in known:
        raise VectorError(
            f"preset: segment {stored.leaf.id} was not committed for it; build the snapshot with --preset"
        )

    def make() -> Any:
        tree, root = commit_segment(stored.segment, key, device)
        if root != known[key]:
            raise SnapshotError(
                f"segment {stored.leaf.id}: its columns are not the committed ones; run `snapshot check`"
            )
        return tree

    return trees.get(known[key], make)


def _opening(snapshot: Snapshot, statement: OpenedStatement) -> bytes:
    header, shown, siblings = snapshot.header, [], []
    by_index = snapshot.manifest.segments
    for placed, rows in zip(statement.segments, statement.in_order(), strict=True):
        stored = by_index[placed.index]
        shown.append(_numbers(stored, rows, header.row_rule))
        positions = [row.position for row in rows]
        siblings.append(stored.row_tree(header.row_rule).prove(positions) if rows else ())
    return write_opening(header, shown, siblings)


def _numbers(stored: StoredSegment, rows: Sequence[OpenedRow], rule: str) -> tuple[Any, Any]:
    """(n, D) numbers that the rows' leaves hash, and (n, F) codes."""
    segment = stored.segment
    places = np.searchsorted(segment.ids, [row.id for row in rows])
    codes = segment.codes[:, places].T
    if rule == STOOLAP.name:
        assert segment.floats is not None  # `build` keeps them under this rule
        return segment.floats[places], codes
    return segment.columns[:, segment.positions[places]].T, codes
