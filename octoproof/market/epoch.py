"""Closing an epoch: the provider commits to its log and publishes the root; each buyer checks its part, and both sign.

`epoch.bin` in the log's folder holds the header and all leaves, as `air.statements.epoch` encodes them. What the
provider publishes is this file and the root; a buyer needs nothing else but its own messages. `rows.npy` is the
provider's own, to prove from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2s
from io import BytesIO
from itertools import groupby
from pathlib import Path
from struct import unpack
from typing import Any

import numpy as np

from air.circle import Column
from air.statement import Reader, RootKey, StatementError, Writer
from air.statements.epoch import MAX_SEGMENTS, EpochHeader, EpochTree, LogLeaf
from air.statements.snapshot import ColumnRoot
from octoproof.files import write_atomically
from octoproof.market.errors import RuleError
from octoproof.market.ledger import ROW, Ledger, Rows, columns, ledgers, log_size, row_tree
from octoproof.market.log_files import EPOCH, ROWS, LogError, felt, locked, number, read_document
from octoproof.market.messages import Agreement, Close, Signed, Signing, verified
from octoproof.vectors.snapshot import preset_key
from verifier.config import PRESETS as KNOWN
from verifier.config import PcsConfig
from verifier.hashes import hasher

MAX_BYTES = 256 << 20
PRESETS = ("standard",)


@dataclass(frozen=True)
class ClosedEpoch:
    """The commitment of a log in a folder."""

    folder: Path
    tree: EpochTree

    @property
    def root(self) -> bytes:
        return self.tree.root

    def indices(self, agreement: int | None) -> list[int]:
        """Where an agreement's segments are among the leaves; all segments for None. Raises RuleError for none."""
        wanted = None if agreement is None else felt(agreement)
        found = [k for k, leaf in enumerate(self.tree.leaves) if wanted in (None, leaf.agreement)]
        if not found:
            raise RuleError(f"agreement: {agreement:#x} has no requests in epoch {self.tree.header.number}")
        return found

    def rows(self, index: int) -> Rows:
        """The rows of one segment, as they are on disk: who proves something of them compares the roots.

        Raises LogError where the file is not one of so many rows, OSError."""
        path, header = self.folder / ROWS, self.tree.header
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise LogError(f"{path}: damaged ({error}); restore the file") from None
        if not isinstance(found, np.ndarray) or found.dtype != ROW or found.shape != (header.requests,):
            raise LogError(f"{path}: not the {header.requests} rows of this epoch; restore the file")
        start = sum(leaf.rows for leaf in self.tree.leaves[:index])
        return np.array(found[start : start + self.tree.leaves[index].rows])


def close_epoch(folder: Path, closed_at: int, *, device: Any, presets: Sequence[str] = PRESETS) -> ClosedEpoch:
    """Commits the log for these presets, and writes `epoch.bin`; done again, it gives what it gave.

    Raises RuleError for a request without a response and a log without requests, LogError for a damaged log,
    MarketError while somebody writes on it, VectorError for a preset that there is not, OSError."""
    keys = tuple(dict.fromkeys(preset_key(preset) for preset in presets))
    with locked(folder):
        if (folder / EPOCH).exists():
            return open_epoch(folder)
        provider, epoch, opened_at, _ = read_document(folder)
        found = ledgers(folder)
        if not found:
            raise RuleError(f"{folder}: no requests; an epoch without requests has nothing to commit to")
        last = max(int(ledger.rows["answered_at"].max()) for ledger in found)
        if closed_at < max(last, opened_at):
            raise RuleError(f"closed_at: {closed_at} is before the last answer, {last}")
        leaves = [leaf for ledger in found for leaf in leaves_of(ledger, keys, device)]
        requests = sum(len(ledger.rows) for ledger in found)
        header = EpochHeader(felt(provider.address), epoch, opened_at, closed_at, requests, len(leaves))
        tree = EpochTree(header, leaves)
        rows = BytesIO()
        np.save(rows, np.concatenate([ledger.rows for ledger in found]))
        write_atomically(folder / ROWS, rows.getvalue())
        write_atomically(folder / EPOCH, write_epoch(tree))
        return ClosedEpoch(folder, tree)


def open_epoch(folder: Path) -> ClosedEpoch:
    """The commitment that is in a folder. Raises LogError for a damaged one, OSError."""
    with open(folder / EPOCH, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    try:
        return ClosedEpoch(folder, read_epoch(data))
    except StatementError as error:
        raise LogError(f"{folder / EPOCH}: damaged ({error}); restore the file") from None


def write_epoch(tree: EpochTree) -> bytes:
    """Header and leaves: what a provider publishes."""
    out = Writer()
    tree.header.write(out)
    return out.items(tree.leaves, lambda writer, leaf: leaf.write(writer)).to_bytes()


def read_epoch(data: bytes) -> EpochTree:
    """From a stranger, too. Raises StatementError for what is no epoch: the root follows from the content."""
    if len(data) % 4 or len(data) > MAX_BYTES:
        raise StatementError(f"epoch: {len(data)} bytes are no commitment")
    source = Reader(unpack(f"<{len(data) // 4}I", data))
    header = EpochHeader.read(source)
    header.check()
    leaves = source.items(LogLeaf.read, MAX_SEGMENTS)
    source.end()
    return EpochTree(header, leaves)


def leaves_of(ledger: Ledger, keys: Sequence[RootKey], device: Any) -> list[LogLeaf]:
    """The leaves of an agreement's segments: the same for whoever has the messages."""
    agreement, count = ledger.agreement, len(ledger.rows)
    named = felt(agreement.id), felt(agreement.buyer.address), ledger.head, count
    return [
        LogLeaf(*named, first, len(rows), log_size(len(rows)), row_tree(rows).root, _column_roots(rows, keys, device))
        for first, rows in ledger.runs()
    ]


def commit_columns(columns: Sequence[Column], key: RootKey, device: Any) -> tuple[Any, bytes]:
    """(the committed tree as `prove` takes it, its root in 32 bytes)."""
    config = PcsConfig(0, key.log_blowup_factor, 0, 1, lifting_log_size=key.lifting_log_size)
    tree = device.commit(list(columns), config, key.channel, keep=True)
    return tree, hasher(key.channel).to_bytes(tree.root)


def _column_roots(rows: Rows, keys: Sequence[RootKey], device: Any) -> tuple[ColumnRoot, ...]:
    own = columns(rows)
    return tuple(ColumnRoot(key, commit_columns(own, key, device)[1]) for key in keys)


def close_messages(tree: EpochTree) -> dict[int, Close]:
    """What provider and buyer sign, by agreement."""
    header, found = tree.header, {}
    for agreement, leaves in groupby(tree.leaves, lambda leaf: leaf.agreement):
        own = list(leaves)
        digest = blake2s(b"".join(leaf.digest() for leaf in own)).digest()
        place = number(header.provider), number(agreement), header.number
        found[number(agreement)] = Close(*place, own[0].count, number(own[0].head), digest)
    return found


def check_published(tree: EpochTree, ledger: Ledger, *, device: Any) -> Close:
    """A buyer's check before it signs: the published leaves of its agreement are those of its own messages.

    Returns what to sign. Raises RuleError naming what differs; evidence of what was left out is in `evidence`."""
    id = ledger.agreement.id
    published = [leaf for leaf in tree.leaves if leaf.agreement == felt(id)]
    if number(tree.header.provider) != ledger.agreement.provider.address:
        raise RuleError("epoch.provider: the commitment is another provider's")
    if not published:
        raise RuleError(f"agreement: {id:#x} is missing in epoch {tree.header.number}")
    if published[0].count != len(ledger.rows):
        raise RuleError(f"count: {published[0].count} requests are committed, {len(ledger.rows)} are known")
    keys = [item.key for item in published[0].column_roots]
    if any(key not in map(preset_key, KNOWN) for key in keys):  # a stranger's may cost any amount of memory
        raise RuleError("column_roots: committed for parameters that no preset has")
    own = leaves_of(ledger, keys, device)
    for mine, theirs in zip(own, published, strict=True):
        for name in ("head", "buyer", "rows", "row_root", "column_roots"):
            if getattr(mine, name) != getattr(theirs, name):
                raise RuleError(f"{name}: the segment from request {mine.first} is not what was signed")
    return close_messages(tree)[id]


def check_closed(
    tree: EpochTree, agreement: Agreement, by_provider: Signed[Close], by_buyer: Signed[Close], signing: Signing
) -> None:
    """Whether both have signed what the commitment holds of their agreement. Raises RuleError."""
    wanted = close_messages(tree).get(agreement.id)
    for signed in (by_provider, by_buyer):
        if signed.message != wanted:
            raise RuleError("close: it is not about what this epoch holds of the agreement")
    verified(signing, [by_provider, by_buyer], [agreement.provider, agreement.buyer])
