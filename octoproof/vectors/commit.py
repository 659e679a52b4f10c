"""A segment's tree 0 on a device: committed once, proven over as often as there are queries."""

from __future__ import annotations

from typing import Any

from air.statement import RootKey
from octoproof.vectors.segment import Segment
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
