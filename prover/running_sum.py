"""Sums over the rows of a column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from air.circle import Column, Indices
from air.field import P

_P = np.int64(P)


def column_sum(column: Column) -> int:
    """The sum of all values mod P."""
    return int(column.sum(dtype=np.uint64) % P)  # fewer than 2^33 values below 2^31 cannot overflow


@njit(nogil=True, cache=True)
def running_sum(columns: npt.NDArray[np.uint32], positions: Indices, share: npt.NDArray[np.uint32]) -> None:
    """In place, in row order: value i becomes the sum over rows j <= i of (value j - share).

    `columns` is (4, 2^n) in storage order, `positions[i]` the place of row i, `share` four canonical values.
    """
    s0, s1, s2, s3 = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    d0, d1, d2, d3 = np.int64(share[0]), np.int64(share[1]), np.int64(share[2]), np.int64(share[3])
    for i in range(positions.shape[0]):
        p = positions[i]
        s0 += np.int64(columns[0, p]) - d0
        s1 += np.int64(columns[1, p]) - d1
        s2 += np.int64(columns[2, p]) - d2
        s3 += np.int64(columns[3, p]) - d3
        # Each step moves a sum by less than P either way.
        s0 += _P if s0 < 0 else (-_P if s0 >= _P else np.int64(0))
        s1 += _P if s1 < 0 else (-_P if s1 >= _P else np.int64(0))
        s2 += _P if s2 < 0 else (-_P if s2 >= _P else np.int64(0))
        s3 += _P if s3 < 0 else (-_P if s3 >= _P else np.int64(0))
        columns[0, p] = np.uint32(s0)
        columns[1, p] = np.uint32(s1)
        columns[2, p] = np.uint32(s2)
        columns[3, p] = np.uint32(s3)
