"""Chains of the Poseidon2 permutation, after Stwo's `poseidon` example: width 16, 8 full and 14 partial rounds, x^5.

Order of the steps, matrices and round constants are that example's, so the permutation is the same: every constant is
1234, a placeholder that makes a benchmark and no secure hash. What differs is the degree. Stwo gives x^5 one column and
degree 5, at twice the evaluation domain; our constraints have degree 3 at most, so x^2 has a column beside it: 300
instead of 158 columns a permutation. Published rates of Stwo's example are therefore not like for like with ours.

A permutation uses its initial state and provides its final one, so the links of a chain cancel and the verifier adds
its two ends. Public meaning: from the starts to the ends lead chains of as many permutations as the trace holds, or of
fewer with closed cycles beside them. Neither the length of a chain nor which start belongs to which end is bound: for
that, a tuple would need the number of its chain and of its link.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from air.arrays import Array
from air.circle import Column, to_storage
from air.component import Component, main
from air.expression import Expression
from air.field import P
from air.relation import Lookup, PublicTerm, Relation

WIDTH, HALF_FULL, PARTIAL = 16, 4, 14
CONSTANT = 1234
STATE = Relation("state")


@dataclass(frozen=True)
class Poseidon2(Component):
    """`instances` permutations a row (Stwo: 8). Columns of one instance, in order: the initial state, and for every
    S-box the square of its input and its output."""

    log_size: int
    instances: int = 8

    free = {
        "(rows rotate)": "links of a chain may lie in any order",
        "(rows swap)": "links of a chain may lie in any order",
    }
    cell = main(count="width")

    @property
    def width(self) -> int:
        return self.instances * (WIDTH + 2 * (2 * HALF_FULL * WIDTH + PARTIAL))

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        cells = iter(row.cell)
        for _ in range(self.instances):
            initial = state = [next(cells) for _ in range(WIDTH)]
            for boxes in _ROUNDS:
                state = _linear(state, boxes)
                for k in range(boxes):
                    x, square, fifth = state[k], next(cells), next(cells)
                    yield square - x * x
                    yield fifth - square * square * x
                    state[k] = fifth
            yield STATE.use(*initial)
            yield STATE.provide(*state)

    def trace(self, start: npt.NDArray[np.uint32]) -> list[Column]:
        """Columns in storage order, for a (chains, 16) array of starts. A chain takes successive permutations: those
        of a row from left to right, then the next row's. Raises ValueError unless the chains fill the trace."""
        chains, total = len(start), self.instances << self.log_size
        if start.shape != (chains, WIDTH) or chains == 0 or total % chains:
            raise ValueError(f"start: {start.shape} is not (chains, {WIDTH}) with chains dividing {total}")
        cells = np.empty((chains, total // chains, self.width // self.instances), dtype=np.uint32)
        state = start.astype(np.uint64) % P
        for link in range(total // chains):
            state = _permute(state, cells[:, link])
        rows = cells.reshape(1 << self.log_size, self.width)
        return [to_storage(column) for column in np.ascontiguousarray(rows.T)]


_ROUNDS = (WIDTH,) * HALF_FULL + (1,) * PARTIAL + (WIDTH,) * HALF_FULL  # S-boxes of every round


def permute_chains(start: npt.NDArray[np.uint32], length: int) -> npt.NDArray[np.uint32]:
    """(chains, 16) states after `length` permutations each."""
    state = start.astype(np.uint64) % P
    for _ in range(length):
        state = _permute(state)
    return state.astype(np.uint32)


def poseidon2_public_terms(start: Sequence[Sequence[int]], end: Sequence[Sequence[int]]) -> tuple[PublicTerm, ...]:
    """Both ends of every chain: the start is provided, the end is used. Raises ValueError for differing numbers."""
    terms = [
        PublicTerm(0, times, tuple(int(v) for v in values))
        for pair in zip(start, end, strict=True)
        for times, values in zip((P - 1, 1), pair, strict=True)
    ]
    return tuple(terms)


def _linear(state: list[Any], boxes: int) -> list[Any]:
    """What precedes the S-boxes of a round: constants, then the round matrix. On expressions or integers."""
    constants = CONSTANT, 0
    mixed = [cell + constants[k >= boxes] for k, cell in enumerate(state)]
    return _external(mixed) if boxes == WIDTH else _internal(mixed)


def _external(state: list[Any]) -> list[Any]:
    """circ(2 M4, M4, M4, M4) (Poseidon2, section 5.1)."""
    blocks = [_m4(*state[k : k + 4]) for k in range(0, WIDTH, 4)]
    sums = [blocks[0][j] + blocks[1][j] + blocks[2][j] + blocks[3][j] for j in range(4)]
    return [blocks[k // 4][k % 4] + sums[k % 4] for k in range(WIDTH)]


def _m4(a: Any, b: Any, c: Any, d: Any) -> list[Any]:
    """[[5, 7, 1, 3], [4, 6, 1, 1], [1, 3, 5, 7], [1, 1, 4, 6]] with few additions."""
    ab, cd = a + b, c + d
    low, high = b * 2 + cd, d * 2 + ab
    fourth, second = cd * 4 + high, ab * 4 + low
    return [high + second, second, low + fourth, fourth]


def _internal(state: list[Any]) -> list[Any]:
    """All ones, plus 2^(k+1) on the diagonal (Poseidon2, section 5.2)."""
    total = state[0]
    for cell in state[1:]:
        total = total + cell
    return [cell * (2 << k) + total for k, cell in enumerate(state)]


def _permute(start: Array, record: npt.NDArray[np.uint32] | None = None) -> Array:
    """One permutation of (n, 16) canonical states; `record` (n, 300) receives the cells."""
    modulus = np.uint64(P)
    position = WIDTH
    if record is not None:
        record[:, :WIDTH] = start
    state = [start[:, k] for k in range(WIDTH)]
    for boxes in _ROUNDS:
        state = [cell % modulus for cell in _linear(state, boxes)]
        for k in range(boxes):
            square = state[k] * state[k] % modulus
            state[k] = square * square % modulus * state[k] % modulus
            if record is not None:
                record[:, position], record[:, position + 1] = square, state[k]
            position += 2
    return np.stack(state, axis=1)
