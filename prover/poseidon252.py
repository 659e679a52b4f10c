"""The Poseidon252 variant of leaves and nodes (PROTOCOL 4), one hash at a time. Digests are integers in a list."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from prover.threads import INLINE, Workers

EMPTY_ROOT = 0  # of a tree without columns: what Stwo's SIMD prover commits to
_FELT_WORDS = 8  # M31 values in one field element
_PIECE = 256  # hashes a worker does at a time


def leaf(row: Sequence[int]) -> int:
    """The sponge over groups of eight values; a shorter last group carries its length in bits 248 and up."""
    from poseidon_py.poseidon_hash import poseidon_hash_many

    felts = []
    for start in range(0, len(row), _FELT_WORDS):
        group = row[start : start + _FELT_WORDS]
        felt = 0
        for value in group:
            felt = (felt << 31) + value
        felts.append(felt + (len(group) << 248 if len(group) < _FELT_WORDS else 0))
    return int(poseidon_hash_many(felts))


def leaves(rows: npt.NDArray[np.uint32], workers: Workers = INLINE) -> list[int]:
    """Digests of the rows of an array (n, words)."""
    pieces = workers.map(
        lambda start: [leaf(row) for row in rows[start : start + _PIECE].tolist()], range(0, len(rows), _PIECE)
    )
    return [digest for piece in pieces for digest in piece]


def nodes(children: Sequence[int], workers: Workers = INLINE) -> list[int]:
    """Parents: parent i hashes the children 2i and 2i + 1."""
    from poseidon_py.poseidon_hash import poseidon_hash

    pairs = list(zip(children[::2], children[1::2], strict=True))
    pieces = workers.map(
        lambda start: [int(poseidon_hash(*pair)) for pair in pairs[start : start + _PIECE]],
        range(0, len(pairs), _PIECE),
    )
    return [digest for piece in pieces for digest in piece]
