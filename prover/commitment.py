"""Committed trees: columns interpolated, extended to the blown-up domain and hashed (PROTOCOL 3, 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from air.circle import Column
from prover import fft, merkle
from prover.threads import Workers
from verifier.config import PcsConfig
from verifier.hashes import Hash


@dataclass(frozen=True)
class CommittedTree:
    """Columns in commitment order. `values` are those on the trace domain, if they were kept; `coefficients` have
    2^n entries, `extended` 2^(n+B), both as long as their column; `merkle` is over the lifted extended columns."""

    log_sizes: tuple[int, ...]
    values: tuple[Column, ...]
    coefficients: tuple[Column, ...]
    extended: tuple[Column, ...]
    merkle: merkle.MerkleTree

    @property
    def root(self) -> Hash:
        return self.merkle.root


def commit(
    columns: Sequence[Column], config: PcsConfig, hash_name: str, workers: Workers, *, keep: bool
) -> CommittedTree:
    """Commits columns given by their values in storage order.

    With `keep` the values stay readable (the interaction trace needs them); without, the columns are consumed: their
    memory becomes the coefficients'.
    """
    coefficients = [column.copy() for column in columns] if keep else list(columns)
    tree = _commit(coefficients, fft.extend, config, hash_name, workers)
    return replace(tree, values=tuple(columns)) if keep else tree


def commit_coefficients(
    coefficients: Sequence[Column], config: PcsConfig, hash_name: str, workers: Workers
) -> CommittedTree:
    """Commits polynomials given by their coefficients."""
    return _commit(coefficients, fft.evaluate, config, hash_name, workers)


def _commit(
    coefficients: Sequence[Column],
    extend: Callable[..., None],
    config: PcsConfig,
    hash_name: str,
    workers: Workers,
) -> CommittedTree:
    blowup = config.log_blowup_factor
    extended: list[Column] = [_NOTHING] * len(coefficients)
    for log_size, members in _by_size(coefficients).items():
        rows = allocate(len(members), 1 << (log_size + blowup))
        extend([coefficients[k] for k in members], rows, log_size, log_size + blowup, workers)
        for row, k in zip(rows, members, strict=True):
            extended[k] = row
    sizes = tuple(_log_size(c) for c in coefficients)
    tree = merkle.commit(extended, config.lifting_log_size, hash_name, workers)
    return CommittedTree(sizes, (), tuple(coefficients), tuple(extended), tree)


# 17 pages and 5 cache lines apart, columns that are read together do not fight for the same sets of a cache.
_GAP = 17 * 1024 + 5 * 16


def allocate(count: int, length: int) -> list[Column]:
    """Uninitialised columns in one block of memory: fewer, larger pages."""
    block = np.empty((count, length + _GAP), dtype=np.uint32)
    return [row[:length] for row in block]


_NOTHING: Column = np.empty(0, dtype=np.uint32)


def _log_size(column: Column) -> int:
    return column.size.bit_length() - 1


def _by_size(columns: Sequence[Column]) -> dict[int, list[int]]:
    """Indices of the columns of each log size."""
    out: dict[int, list[int]] = {}
    for index, column in enumerate(columns):
        out.setdefault(_log_size(column), []).append(index)
    return out
