"""Committing a segment: its tree 0 on a device, its row tree, its leaf; written as a new segment version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from air.statement import RootKey
from air.statements.snapshot import ColumnRoot, SegmentLeaf
from octoproof.vectors.rowtree import RowTree
from octoproof.vectors.segment import Segment
from octoproof.vectors.store import StoredSegment, write_segment
from verifier.config import PcsConfig
from verifier.hashes import hasher


def commit_segment(segment: Segment, key: RootKey, backend: Any) -> tuple[Any, bytes]:
    """(the committed tree as `prove` takes it, its root in 32 bytes)."""
    config = PcsConfig(0, key.log_blowup_factor, 0, 1, lifting_log_size=key.lifting_log_size)
    tree = backend.commit(segment.tree0(), config, key.channel, keep=True)
    return tree, hasher(key.channel).to_bytes(tree.root)


def column_root(segment: Segment, key: RootKey, backend: Any) -> bytes:
    """The root alone."""
    return commit_segment(segment, key, backend)[1]


@dataclass(frozen=True)
class Committer:
    """Commits segments into a snapshot's folder: under these keys, by this row rule, on this device."""

    folder: Path
    keys: tuple[RootKey, ...]
    row_rule: str
    device: Any

    def store(
        self, segment: Segment, tree: RowTree | None = None, before: StoredSegment | None = None
    ) -> StoredSegment:
        """The segment with its leaf, on disk. `tree` is its row tree, if it is known; `before` its last version."""
        rows = tree or segment.row_tree(self.row_rule)
        roots = tuple(ColumnRoot(key, column_root(segment, key, self.device)) for key in self.keys)
        live = int(segment.live.sum())
        leaf = SegmentLeaf(segment.id, segment.version, segment.log_size, segment.count, live, rows.root, roots)
        return write_segment(self.folder, leaf, segment, rows, before)


def keys_of(stored: Sequence[StoredSegment]) -> tuple[RootKey, ...]:
    """The keys that a snapshot's segments are committed under."""
    return tuple(item.key for item in stored[0].leaf.column_roots)
