"""The circle group over M31, its cosets and domains, and every index map between their orders (PROTOCOL 2).

A point of the group is named by its index k, meaning k times the generator, mod 2^31. Three orders of the 2^n points
of a canonic coset occur: *coset* order (row i of a trace), *circle-domain* order, and *storage* order, which is the
bit-reversed circle-domain order and the one in which every column is committed.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from air.field import QM31, P

LOG_ORDER = 31
ORDER = 1 << LOG_ORDER
GENERATOR = (2, 1268011823)

Number = TypeVar("Number", bound=np.generic)
Point = tuple[int, int]
SecurePoint = tuple[QM31, QM31]
Indices = npt.NDArray[np.int64]
Column = npt.NDArray[np.uint32]


def add(p: Point, q: Point) -> Point:
    return ((p[0] * q[0] - p[1] * q[1]) % P, (p[0] * q[1] + p[1] * q[0]) % P)


def secure_add(p: SecurePoint, q: SecurePoint | Point) -> SecurePoint:
    return (p[0] * q[0] - p[1] * q[1], p[0] * q[1] + p[1] * q[0])


def double_x(x: QM31) -> QM31:
    """pi(x) = 2 x^2 - 1, the x coordinate of the doubled point."""
    return x * x * 2 - 1


@cache
def _doubled_generators() -> tuple[Point, ...]:
    out = [GENERATOR]
    while len(out) < LOG_ORDER:
        out.append(add(out[-1], out[-1]))
    return tuple(out)


@lru_cache(maxsize=4096)
def point(index: int) -> Point:
    """The point index * G."""
    result, doubled = (1, 0), _doubled_generators()
    for bit in range(LOG_ORDER):
        if index >> bit & 1:
            result = add(result, doubled[bit])
    return result


def points(indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """x and y of many points; indices are taken mod 2^31. Shapes as the input's."""
    k = np.asarray(indices, dtype=np.int64) % ORDER
    prime = np.uint64(P)
    x, y = np.ones(k.shape, dtype=np.uint64), np.zeros(k.shape, dtype=np.uint64)
    # Four bits of the index at a time: one table of 16 multiples, one group addition.
    for shift in range(0, LOG_ORDER, 4):
        table = np.array([point((d << shift) % ORDER) for d in range(16)], dtype=np.uint64)
        digit = k >> shift & 15
        tx, ty = table[digit, 0], table[digit, 1]
        x, y = (x * tx + (prime - y) * ty) % prime, (x * ty % prime + y * tx) % prime
    return x, y


def step(log_size: int) -> int:
    """Index of the generator of the subgroup of 2^log_size points."""
    return 1 << (LOG_ORDER - log_size)


def coset_indices(log_size: int) -> Indices:
    """Point indices of the canonic coset, in coset order: 2^(30-n) + i 2^(31-n)."""
    return np.int64(1 << (30 - log_size)) + np.arange(1 << log_size, dtype=np.int64) * (1 << (31 - log_size))


def domain_index(log_size: int, position: int) -> int:
    """Point index of entry `position` of the circle domain (log_size >= 1)."""
    half = 1 << (log_size - 1)
    if position < half:
        return (1 << (30 - log_size)) + position * (1 << (32 - log_size))
    return -domain_index(log_size, position - half) % ORDER


def domain_indices(log_size: int) -> Indices:
    """Point indices of the circle domain in circle-domain order."""
    half = (1 << (30 - log_size)) + np.arange(1 << (log_size - 1), dtype=np.int64) * (1 << (32 - log_size))
    return np.concatenate([half, -half % ORDER])


def bit_reverse(index: int, bits: int) -> int:
    """rev_n(i): the `bits` low bits of index, reversed."""
    return int(format(index, f"0{bits}b")[::-1], 2) if bits else 0


def bit_reversal(bits: int) -> Indices:
    """All of rev_n as an array of 2^n entries."""
    out = np.zeros(1, dtype=np.int64)
    for _ in range(bits):
        out = np.concatenate([2 * out, 2 * out + 1])
    return out


def bit_reverse_array(indices: Indices, bits: int) -> Indices:
    """rev_n of each entry."""
    out = np.zeros_like(indices)
    for bit in range(bits):
        out |= (indices >> bit & 1) << (bits - 1 - bit)
    return out


def coset_to_domain(coset_index: int, log_size: int) -> int:
    """Coset index -> circle-domain index."""
    return coset_index // 2 if coset_index % 2 == 0 else (1 << log_size) - (coset_index + 1) // 2


def domain_to_coset(position: int, log_size: int) -> int:
    """Circle-domain index -> coset index."""
    return 2 * position if position < 1 << (log_size - 1) else 2 * ((1 << log_size) - position) - 1


@lru_cache(maxsize=64)
def row_positions(log_size: int) -> Indices:
    """Storage position of every row: entry i is where coset index i lies. Read-only."""
    rows = np.arange(1 << log_size, dtype=np.int64)
    domain = np.where(rows % 2 == 0, rows // 2, (1 << log_size) - (rows + 1) // 2)
    out = bit_reverse_array(domain, log_size)
    out.setflags(write=False)
    return out


def to_storage(rows: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """A column (or several, along the first axes) from row order to storage order."""
    out = np.empty_like(rows)
    out[..., row_positions(rows.shape[-1].bit_length() - 1)] = rows
    return out


def to_rows(stored: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Inverse of `to_storage`."""
    return stored[..., row_positions(stored.shape[-1].bit_length() - 1)]


def neighbour(position: int, offset: int, trace_log: int, domain_log: int) -> int:
    """Storage position, on an evaluation domain of log size E, of the value `offset` trace rows away."""
    if domain_log == trace_log:
        row = domain_to_coset(bit_reverse(position, domain_log), domain_log)
        return bit_reverse(coset_to_domain((row + offset) % (1 << domain_log), domain_log), domain_log)
    half, shift = 1 << (domain_log - 1), offset << (domain_log - trace_log - 1)
    d = bit_reverse(position, domain_log)
    moved = (d + shift) % half if d < half else half + (d - half - shift) % half
    return bit_reverse(moved, domain_log)


def lifted_position(position: int, log_size: int, lifting_log: int) -> int:
    """Position in a column of 2^log_size values that stands for `position` on the lifting domain (PROTOCOL 3)."""
    k = lifting_log - log_size
    return position if k == 0 else ((position >> (k + 1)) << 1) + (position & 1)


def half_odds_initial(log_size: int) -> int:
    """Initial point index of the half_odds coset, whose x coordinates form a line domain; its step is 2^(31-n)."""
    return 1 << (29 - log_size)


def vanishing(x: QM31, log_size: int) -> QM31:
    """V_n at a point of x coordinate x: pi^(n-1)(x), zero exactly on the canonic coset of log size n."""
    for _ in range(log_size - 1):
        x = double_x(x)
    return x


def secure_point(t: QM31) -> SecurePoint:
    """The circle point ((1 - t^2) / (1 + t^2), 2t / (1 + t^2)). Raises ZeroDivisionError where 1 + t^2 = 0."""
    square = t * t
    scale = (square + 1).inverse()
    return (1 - square) * scale, (t + t) * scale
