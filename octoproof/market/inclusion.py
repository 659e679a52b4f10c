"""One row of a committed log, shown with its way up to the epoch root: no proof, and nothing of other requests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from air.statements.epoch import EpochHeader, PlacedLeaf
from octoproof.market.epoch import ClosedEpoch
from octoproof.market.errors import RuleError
from octoproof.market.ledger import ROW, row_leaf, row_tree
from octoproof.market.log_files import felt
from octoproof.vectors.rowtree import verify_rows


@dataclass(frozen=True)
class Inclusion:
    """`row` as `ledger.ROW` has it, and the siblings up to the row root of the segment."""

    header: EpochHeader
    segment: PlacedLeaf
    row: bytes
    siblings: tuple[bytes, ...]

    def check(self, agreement: int, sequence: int, epoch_root: bytes) -> np.void:
        """What the epoch with this root has in the place of this request. Raises RuleError, StatementError."""
        self.segment.check(self.header, epoch_root)
        leaf = self.segment.leaf
        if leaf.agreement != felt(agreement):
            raise RuleError("inclusion: the segment is of another agreement")
        position = sequence - leaf.first
        if not 0 <= position < leaf.rows:
            raise RuleError(f"inclusion: request {sequence} is not in this segment")
        if len(self.row) != ROW.itemsize:
            raise RuleError(f"inclusion: a row has {ROW.itemsize} bytes, not {len(self.row)}")
        if not verify_rows(leaf.row_root, leaf.rows, [position], [row_leaf(self.row)], self.siblings):
            raise RuleError("inclusion: the row is not the one of this segment")
        found: np.void = np.frombuffer(self.row, ROW)[0]
        return found


def show_row(epoch: ClosedEpoch, agreement: int, sequence: int) -> Inclusion:
    """Raises RuleError for a request that the epoch does not have, LogError, OSError."""
    for index in epoch.indices(agreement):
        leaf = epoch.tree.leaves[index]
        position = sequence - leaf.first
        if 0 <= position < leaf.rows:
            rows = epoch.rows(index)
            siblings = row_tree(rows).prove([position])
            return Inclusion(epoch.tree.header, epoch.tree.placed(index), rows[position].tobytes(), siblings)
    raise RuleError(f"sequence: agreement {agreement:#x} has no request {sequence} in epoch {epoch.tree.header.number}")
