"""The Poseidon252 kernels against poseidon-py, Stwo's vectors and the integers, on this processor and on an old one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir
from poseidon_py.poseidon_hash import poseidon_hash, poseidon_perm

from prover import felt252, hades, merkle, poseidon252, poseidon_lanes, reference
from prover.felt252 import PRIME, Form
from prover.threads import Workers

Make = Callable[..., np.ndarray]
EDGES = [0, 1, 2, 3, 2**192 - 1, 2**192, 17 * 2**192, 2**250, 2**251 - 1, 2**251, 2**251 + 1, PRIME - 2, PRIME - 1]
LIMB_EDGES = [2**k + d for k in (29, 52, 58, 64, 104, 156, 208, 232, 248) for d in (-1, 0)]
FELTS = st.one_of(st.sampled_from(EDGES + LIMB_EDGES), st.integers(0, PRIME - 1))
UNREDUCED = st.one_of(FELTS, st.sampled_from([PRIME, PRIME + 1, 2 * PRIME - 1, 2**256 - 1]), st.integers(0, 2**256 - 1))
FORMS = [felt252.best_form("+avx512ifma"), felt252.best_form("")]


def test_round_keys() -> None:
    """The ends of the table that StarkWare publishes (poseidon3.txt)."""
    keys = hades.round_keys()
    assert len(keys) == 91
    assert keys[0][0] == 2950795762459345168613727575620414179244544320470208355568817838579231751791
    assert keys[0][1] == 1587446564224215276866294500450702039420286416111469274423465069420553242820


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(UNREDUCED, UNREDUCED, UNREDUCED), min_size=1, max_size=8))
def test_permutation_is_poseidon_pys(states: list[tuple[int, int, int]]) -> None:
    grain = poseidon_lanes.GRAIN
    padded = states + [(0, 0, 0)] * (grain - len(states))
    words = np.concatenate([poseidon252.layer([state[n] for state in padded]) for n in range(3)])
    poseidon_lanes.kernel("permute")(0, grain, words.ctypes.data, grain)
    for k, state in enumerate(padded):
        found = [poseidon252.digest(words[4 * n : 4 * n + 4], k) for n in range(3)]
        assert found == list(poseidon_perm(*(number % PRIME for number in state)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(FELTS, FELTS), min_size=1, max_size=21))
def test_nodes_are_poseidon_pys(pairs: list[tuple[int, int]]) -> None:
    parents = poseidon252.nodes(poseidon252.layer([number for pair in pairs for number in pair]))
    assert parents.shape == (4, len(pairs))
    assert [poseidon252.digest(parents, k) for k in range(len(pairs))] == [poseidon_hash(*pair) for pair in pairs]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(1, 11))
def test_leaves_of_every_width(columns: Make, seed: int, width: int, count: int) -> None:
    """Felts of 1 to 8 values; a last felt that does or does not fill a block."""
    own = columns(seed, width, count)
    found = poseidon252.rows(list(own))
    assert found.shape == (4, count)
    for k in range(count):
        assert poseidon252.digest(found, k) == reference.hash_leaf("poseidon252", own[:, k].tolist())


def test_vectors(vectors: Callable[[str], Any]) -> None:
    packed = 0
    for case in vectors("merkle")["poseidon252"]:
        if not case["column_log_sizes"]:
            continue
        columns = [np.array(values, dtype=np.uint32) for values in case["columns"]]
        if case["packed"]:
            packed += 1
            layer = poseidon252.packed_leaves(columns)
        else:
            layer = poseidon252.leaves(sorted(columns, key=len), case["height"])
        layers = [layer]
        while layer.shape[1] > 1:
            layer = poseidon252.nodes(layer)
            layers.insert(0, layer)
        assert poseidon252.digest(layer, 0) == int(case["root"])
        for layer, texts in zip(layers, case.get("layers_root_first", []), strict=False):
            assert [poseidon252.digest(layer, k) for k in range(layer.shape[1])] == [int(text) for text in texts]
    assert packed > 0


def test_many_pieces_and_hidden_layers(columns: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """More positions than a piece on two threads, columns of all sizes; layers that are left out change nothing."""
    monkeypatch.setattr(merkle, "HIDDEN_FROM", 12)
    own = [columns(k, 1 << size) for k, size in enumerate([1, 3, 12, 5, 11, 12, 2, 8, 12])]
    ordered = sorted(own, key=len)
    whole = poseidon252.leaves(ordered, 12)
    rows = np.stack([reference.lift(column, 12) for column in ordered], axis=1)
    for k in (0, 1, 1023, 1024, 3000, 4095):
        assert poseidon252.digest(whole, k) == reference.hash_leaf("poseidon252", rows[k].tolist())
    for _ in range(4):
        whole = poseidon252.nodes(whole)
    with Workers(2) as workers:
        assert np.array_equal(poseidon252.leaves(ordered, 12, workers, levels=4), whole)
        tree = merkle.commit(own, None, "poseidon252", workers)
        four = columns(5, 4, 1 << 14)
        packed = merkle.commit(list(four), None, "poseidon252", workers, packed=True)
    assert tree.digest(8, 77) == poseidon252.digest(whole, 77)
    assert tree.digest(12, 3000) == reference.hash_leaf("poseidon252", rows[3000].tolist())
    assert packed.height == 12
    assert packed.digest(12, 4000) == reference.hash_leaf("poseidon252", four[:, 16000:16004].T.ravel().tolist())


class Integers:
    """Does at once to integers what a builder emits for vectors."""

    def __init__(self) -> None:
        self.module = ir.Module()

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *args: OPERATIONS[name](*(plain(a) for a in args)) & (2**64 - 1)

    def call(self, function: ir.Function, args: list[Any]) -> int:
        total, x, y = (plain(a) for a in args)
        product = (x % 2**52) * (y % 2**52)
        return total + (product % 2**52 if "madd52l" in function.name else product >> 52)

    def icmp_unsigned(self, operator: str, x: int, y: Any) -> bool:
        assert operator == "!="
        return plain(x) != plain(y)


OPERATIONS: dict[str, Callable[..., int]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "and_": lambda x, y: x & y,
    "or_": lambda x, y: x | y,
    "not_": lambda x: ~x,
    "lshr": lambda x, y: x >> y,
    "shl": lambda x, y: x << y,
    "select": lambda condition, x, y: x if condition else y,
}


def plain(value: Any) -> int:
    """The first lane of a constant."""
    while isinstance(value, ir.Constant):
        value = value.constant[0] if isinstance(value.type, ir.VectorType) else value.constant
    return value


def number(f: Form, limbs: list[int]) -> int:
    return sum(limb << f.bits * k for k, limb in enumerate(limbs))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FORMS), UNREDUCED, UNREDUCED)
def test_arithmetic_on_limbs(f: Form, x: int, y: int) -> None:
    """Both forms, whatever this processor has; at the bounds that the files promise each other."""
    b, inverse = Integers(), pow(f.montgomery, -1, PRIME)
    carried, other = f.digits(x), f.digits(y)
    product = felt252.multiply(b, f, carried, other)
    assert number(f, product) % PRIME == x * y * inverse % PRIME
    assert number(f, product) < 2**253
    assert max(product) < 1 << f.bits
    cube = felt252.cube(b, f, carried)
    assert number(f, cube) % PRIME == pow(x, 3, PRIME) * inverse**2 % PRIME
    assert number(f, cube) < 2**251.4
    room = f.addend(y)
    assert number(f, room) % PRIME == y * f.montgomery % PRIME
    assert number(f, room) < 6 * PRIME
    assert all(2 * limb <= r for limb, r in zip(cube, room, strict=True))
    assert max(14 * limb + r for limb, r in zip(cube, room, strict=True)) < 2**63
    folded = [limb - (limb >> 63 << 64) for limb in felt252.folded(b, f, carried)]
    assert (number(f, folded) - x) % PRIME == 0
    assert abs(number(f, folded)) <= 2**251
    assert all(2 * c - 6 * min(limb, 0) <= r for c, limb, r in zip(cube, folded, room, strict=True))
    words = felt252.from_montgomery(b, f, carried)
    assert sum(word << 64 * k for k, word in enumerate(words)) == x * inverse % PRIME
    words = [y >> 64 * k & (2**64 - 1) for k in range(4)]
    assert number(f, felt252.to_montgomery(b, f, words)) % PRIME == y * f.montgomery % PRIME


def test_lowered_cpu_gives_the_same_bits(tmp_path: Path) -> None:
    """Nothing may need AVX-512: the same tests in a process whose compiler targets an old CPU."""
    if os.environ.get("NUMBA_CPU_NAME"):
        pytest.skip("already lowered")
    environment = os.environ | {
        "NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path),
    }  # fmt: skip
    tests = [f"{Path(__file__)}::test_{name}" for name in ("permutation_is_poseidon_pys", "vectors")]
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout[-2000:]
    assert "2 passed" in done.stdout
