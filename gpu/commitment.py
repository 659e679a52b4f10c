"""Committed trees in device memory: columns interpolated, extended and hashed (PROTOCOL 3, 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from air.circle import Column
from gpu import fft, merkle
from gpu.device import Array, Device
from prover.merkle import MerkleTree
from verifier.config import PcsConfig
from verifier.hashes import Hash


@dataclass(frozen=True)
class CommittedTree:
    """As `prover.commitment.CommittedTree`, with columns in device memory."""

    log_sizes: tuple[int, ...]
    values: tuple[Array, ...]
    coefficients: tuple[Array, ...]
    extended: tuple[Array, ...]
    merkle: merkle.MerkleTree | MerkleTree

    @property
    def root(self) -> Hash:
        return self.merkle.root


def commit(
    device: Device, columns: Sequence[Column | Array], config: PcsConfig, hash_name: str, *, keep: bool
) -> CommittedTree:
    """Commits columns given by their values in storage order, in host or in device memory.

    With `keep` the values stay readable; without, columns in device memory are consumed. Raises MemoryError.
    """
    values = [column if isinstance(column, Array) else device.upload(column) for column in columns]
    coefficients = [_copy(device, column) for column in values] if keep else values
    tree = _commit(device, coefficients, fft.extend, config, hash_name)
    return replace(tree, values=tuple(values)) if keep else tree


def commit_coefficients(
    device: Device, coefficients: Sequence[Array], config: PcsConfig, hash_name: str
) -> CommittedTree:
    """Commits polynomials given by their coefficients."""
    return _commit(device, coefficients, fft.evaluate, config, hash_name)


def _commit(
    device: Device, coefficients: Sequence[Array], extend: Callable[..., None], config: PcsConfig, hash_name: str
) -> CommittedTree:
    blowup = config.log_blowup_factor
    sizes = tuple(column.size.bit_length() - 1 for column in coefficients)
    extended = [device.empty(column.size << blowup) for column in coefficients]
    for size in dict.fromkeys(sizes):
        members = [k for k, other in enumerate(sizes) if other == size]
        extend(device, [coefficients[k] for k in members], [extended[k] for k in members], size, size + blowup)
    tree = merkle.commit(device, extended, config.lifting_log_size, hash_name)
    return CommittedTree(sizes, (), tuple(coefficients), tuple(extended), tree)


def _copy(device: Device, column: Array) -> Array:
    out = device.empty(column.size)
    device.copy(column, out)
    return out
