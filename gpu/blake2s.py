"""Blake2s over device memory: the leaves and nodes of trees, one message a thread (PROTOCOL 4).

A layer of n digests is stored word by word, (8, n), as on the CPU; a tree holds its layers one after the other, the
root first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gpu.device import Array, Device, addresses, kernel

THREADS = 256  # the kernels share digests within blocks of so many
_CLIMB = 9  # layers that one launch hashes: 512 digests become one


def layer(tree: Array, depth: int) -> Array:
    """The 2^depth digests of a tree's layer."""
    return tree[8 * ((1 << depth) - 1) : 8 * ((2 << depth) - 1)]


def tree_words(depth: int) -> int:
    """u32 words of a tree whose lowest layer has 2^depth digests."""
    return 8 * ((2 << depth) - 1)


def leaves(device: Device, columns: Sequence[Array], log_size: int, reduced: bool, levels: int, out: Array) -> None:
    """The layer `levels` above the 2^log_size leaves; leaf s hashes the lifted values at s of the columns, which come
    sorted by size. With levels > 0 there are at least 256 leaves."""
    table, lifts = addresses(device, columns), lift_table(device, columns, log_size)
    arguments = (table, lifts, len(columns), 1 << log_size, levels, int(reduced), out)
    device.launch(kernel("merkle.cu", "hash_columns"), blocks(1 << log_size), THREADS, *arguments)


def packed_leaves(
    device: Device, columns: Sequence[Array], log_size: int, reduced: bool, levels: int, out: Array
) -> None:
    """The same where leaf s hashes the rows 4s .. 4s + 3 of four columns of 2^(log_size+2) values, row by row."""
    arguments = (addresses(device, columns), 1 << log_size, levels, int(reduced), out)
    device.launch(kernel("merkle.cu", "hash_packed"), blocks(1 << log_size), THREADS, *arguments)


def leaves_at(
    device: Device,
    columns: Sequence[Array],
    log_size: int,
    positions: npt.NDArray[np.int64],
    packed: bool,
    reduced: bool,
    out: Array,
) -> None:
    """The leaves at these positions of a tree with 2^log_size leaves."""
    lifts = lift_table(device, columns, columns[0].size.bit_length() - 1 if packed else log_size)
    n, wanted = len(positions), device.upload(positions.astype(np.uint32))
    arguments = (addresses(device, columns), lifts, len(columns), wanted, n, int(packed), int(reduced), out)
    device.launch(kernel("merkle.cu", "hash_positions"), blocks(n), THREADS, *arguments)


def nodes(device: Device, tree: Array, depth: int, levels: int, reduced: bool) -> None:
    """Fills `levels` layers of the tree above the one of 2^depth digests."""
    while levels:
        threads = min(THREADS, 1 << (depth - 1))
        now = min(levels, _CLIMB, threads.bit_length())
        grid = (1 << (depth - 1)) // threads
        device.launch(kernel("merkle.cu", "hash_nodes"), (grid,), threads, tree, depth, now, int(reduced))
        depth, levels = depth - now, levels - now


def lift_table(device: Device, columns: Sequence[Array], log_size: int) -> Array:
    """log_size less the log size of each column."""
    return device.upload(np.array([log_size - (c.size.bit_length() - 1) for c in columns], dtype=np.uint32))


def blocks(threads: int) -> tuple[int, ...]:
    return (-(-threads // THREADS),)
