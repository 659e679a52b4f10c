"""One agreement's requests of an epoch as rows: what is committed, and what everybody who has the messages recomputes.

    row  = sequence | received_at | answered_at | acknowledged_at (0: not at all) | tokens   u64 each, little-endian
         | status u32 | valid u8 | hash of the output | hash of the request | hash of the response   32 bytes each
    leaf = blake3(0x00 | row), in a tree of the vectors' native kind (`vectors.rowtree`)

Columns of tree 0 hold what the level of service is counted from (`air.statements.sla`). Both roots are functions of the
signed messages alone, so the buyer needs nothing from the provider to check them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from air.circle import Column, to_storage
from air.layout import MIN_LOG_SIZE
from air.statements.sla import MAX_SLA_LOG, MAX_VALUE
from octoproof.market.errors import RuleError
from octoproof.market.exchange import GRACE_MS
from octoproof.market.log_files import LogError, Records, felt, read_document, read_records
from octoproof.market.messages import Agreement
from octoproof.vectors.rowtree import LEAF, RowTree

ROW = np.dtype(
    [(name, "<u8") for name in ("sequence", "received_at", "answered_at", "acknowledged_at", "tokens")]
    + [("status", "<u4"), ("valid", "u1"), ("output", "V32"), ("request", "V32"), ("response", "V32")]
)
MAX_SEGMENT = 1 << MAX_SLA_LOG

Rows = npt.NDArray[np.void]


@dataclass(frozen=True)
class Ledger:
    """All requests of one agreement, by sequence number, and the hash of the last one."""

    agreement: Agreement
    rows: Rows
    head: bytes

    def runs(self) -> Iterator[tuple[int, Rows]]:
        """(number of the first, rows) of each segment."""
        for first in range(0, len(self.rows), MAX_SEGMENT):
            yield first, self.rows[first : first + MAX_SEGMENT]


def ledgers(folder: Path) -> list[Ledger]:
    """Those of all agreements that have requests, in ascending id. Raises LogError, OSError, and RuleError where a
    request has no response."""
    _, _, _, agreements = read_document(folder)
    named = {name: read_records(folder, name) for name in ("requests", "responses", "acknowledgements")}
    found = []
    for agreement in sorted(agreements, key=lambda one: one.id):
        requests, responses, acknowledgements = (_of(records, agreement.id) for records in named.values())
        if len(requests):
            found.append(_ledger(folder, agreement, requests, responses, acknowledgements))
    return found


def log_size(rows: int) -> int:
    """log2 of the least segment that holds so many rows."""
    return max(MIN_LOG_SIZE, (rows - 1).bit_length())


def columns(rows: Rows) -> list[Column]:
    """The columns of tree 0 in committed order (`air.statements.sla.COLUMNS`) and storage order, padded with zeros.

    A latency beyond the largest counts as the largest; an acknowledgement counts if it came in time."""
    ok = (rows["status"] >= 200) & (rows["status"] < 300)
    latency = np.minimum(rows["answered_at"] - rows["received_at"], np.uint64(MAX_VALUE))
    in_time = rows["acknowledged_at"] <= rows["answered_at"] + np.uint64(GRACE_MS)
    acknowledged = (rows["acknowledged_at"] != 0) & in_time
    values = rows["sequence"], latency, rows["tokens"], ok, rows["valid"], acknowledged, np.ones(len(rows))
    padded = np.zeros((len(values), 1 << log_size(len(rows))), dtype=np.uint32)
    padded[:, : len(rows)] = np.stack([np.asarray(column, dtype=np.uint32) for column in values])
    return list(to_storage(padded))


def row_leaf(row: bytes) -> bytes:
    """The leaf of one row."""
    return blake3(LEAF + row).digest()


def row_tree(rows: Rows) -> RowTree:
    """The tree whose root a segment's leaf names."""
    from octoproof.vectors.rowhash import digests  # compiled, for all leaves at once

    data = np.frombuffer(rows.tobytes(), dtype=np.uint8).reshape(len(rows), ROW.itemsize)
    tags = np.frombuffer(LEAF * len(rows), dtype=np.uint8).reshape(-1, 1)
    leaves = digests(len(rows), 1 + ROW.itemsize, lambda part: [tags[part], data[part]])
    return RowTree.build(leaves)


def _of(records: Records, agreement: int) -> Records:
    """The records of one agreement, by sequence number."""
    named = records["agreement"] == np.void(felt(agreement))
    own = records if named.all() else records[named]
    rises = own["sequence"][1:] > own["sequence"][:-1]
    return own if rises.all() else own[np.argsort(own["sequence"], kind="stable")]


def _ledger(
    folder: Path, agreement: Agreement, requests: Records, responses: Records, acknowledgements: Records
) -> Ledger:
    count = len(requests)
    if (requests["sequence"] != np.arange(count)).any():
        raise LogError(f"{folder}: requests.log: agreement {agreement.id:#x} has gaps; restore the file")
    answered, known = (_times(items["sequence"], count) for items in (responses, acknowledgements))
    if answered is None or known is None or max(answered.max(), known.max()) > 1:
        raise LogError(f"{folder}: agreement {agreement.id:#x} has answers without requests; restore the files")
    missing = np.flatnonzero(answered == 0)
    if len(missing):
        raise RuleError(
            f"responses: request {missing[0]} of agreement {agreement.id:#x} has none ({len(missing)} in all); "
            "answer it, or sign that it failed"
        )
    rows = np.zeros(count, ROW)
    for name in ("sequence", "received_at", "answered_at", "tokens", "status", "valid", "output"):
        rows[name] = responses[name]
    rows["request"], rows["response"] = requests["hash"], responses["hash"]
    rows["acknowledged_at"][acknowledgements["sequence"].astype(np.int64)] = acknowledgements["acknowledged_at"]
    return Ledger(agreement, rows, requests["hash"][-1].tobytes())


def _times(sequence: npt.NDArray[np.uint64], count: int) -> npt.NDArray[np.int64] | None:
    """How often each of 0..count - 1 is there; None if another number is."""
    if len(sequence) and int(sequence.max()) >= count:
        return None
    return np.bincount(sequence.astype(np.int64), minlength=count)
