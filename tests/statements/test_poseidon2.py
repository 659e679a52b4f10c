"""Chains of Poseidon2 against a plain permutation, the debug check and the Rust oracle."""

from __future__ import annotations

import numpy as np
import pytest

from air.check import imbalances, violations
from air.circle import to_rows
from air.component import build
from air.field import P
from air.statements.poseidon2 import CONSTANT, Poseidon2, permute_chains, poseidon2_public_terms

START = (np.arange(4 * 16, dtype=np.uint32).reshape(4, 16) * 7919) % P


def plain_permutation(state: list[int]) -> list[int]:
    """From the matrices themselves, in the order of Stwo's example: constants, matrix, S-box."""
    m4 = [[5, 7, 1, 3], [4, 6, 1, 1], [1, 3, 5, 7], [1, 1, 4, 6]]
    external = [[m4[i % 4][j % 4] * (2 if i // 4 == j // 4 else 1) for j in range(16)] for i in range(16)]
    internal = [[1 + (2 ** (i + 1) if i == j else 0) for j in range(16)] for i in range(16)]
    for partial in [False] * 4 + [True] * 14 + [False] * 4:
        boxes = 1 if partial else 16
        state = [v + CONSTANT * (k < boxes) for k, v in enumerate(state)]
        state = [sum(a * b for a, b in zip(row, state, strict=True)) % P for row in (internal if partial else external)]
        state = [pow(v, 5, P) if k < boxes else v for k, v in enumerate(state)]
    return state


def test_the_permutation():
    expected = [plain_permutation([int(v) for v in row]) for row in START]
    assert permute_chains(START, 1).tolist() == expected
    assert permute_chains(START, 3).tolist() == permute_chains(permute_chains(START, 1), 2).tolist()


@pytest.mark.parametrize("instances", [1, 2])
def test_chains_hold_and_stwo_accepts_them(instances, judge):
    component = Poseidon2(4, instances)
    air = build([component])
    assert max(air.components[0].constraint_degrees) == 3
    main = component.trace(START)
    end = permute_chains(START, (instances << 4) // len(START))
    terms = poseidon2_public_terms(START.tolist(), end.tolist())
    rows = [to_rows(column) for column in main]
    assert violations(air, [], rows) == []
    assert imbalances(air, [], rows, terms) == []
    assert judge(air, [], main, terms).startswith("ACCEPTED")
    false_end = poseidon2_public_terms(START.tolist(), START.tolist())
    assert imbalances(air, [], rows, false_end)
    assert not judge(air, [], main, false_end).startswith("ACCEPTED")


def test_every_cell_matters():
    component = Poseidon2(4, 1)
    air, rows = build([component]), [to_rows(column) for column in component.trace(START)]
    for column in range(0, component.width, 7):
        changed = [c.copy() for c in rows]
        changed[column][3] = (int(changed[column][3]) + 1) % P
        assert violations(air, [], changed), column


def test_stwos_shape():
    assert Poseidon2(4).instances == 8
    assert Poseidon2(4, 1).width == 16 + 2 * (8 * 16 + 14)


@pytest.mark.parametrize("shape", [(3, 16), (4, 15), (0, 16)])
def test_starts_that_do_not_fill_the_trace(shape):
    with pytest.raises(ValueError, match="start"):
        Poseidon2(4, 1).trace(np.zeros(shape, dtype=np.uint32))
