"""The vector type against NumPy, on this CPU and on one without wide registers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air import arrays
from air.field import inverse
from prover import lanes as v
from prover.threads import Workers

Make = Callable[..., np.ndarray]
SEEDS = st.integers(0, 2**32 - 1)


@v.kernel
def _everything(x_words, y_words, out, sums):
    x, y = v.load(x_words, 0), v.load(y_words, 0)
    v.store(out, 0, v.add(x, y))
    v.store(out, 16, v.sub(x, y))
    v.store(out, 32, v.mul(x, y))
    v.store(out, 48, v.neg(x))
    v.store(out, 64, v.inverse(x))
    v.store(out, 80, v.even_lanes(x, y))
    v.store(out, 96, v.odd_lanes(x, y))
    v.store(out, 112, v.zip_low(x, y))
    v.store(out, 128, v.swap_neighbours(x))
    v.store(out, 144, v.splat(v.peek(x_words, 5)))
    v.store(out, 160, v.wrapping_add(x, v.wrapping_add(x, v.bits_and(x, y))))
    v.wide_store(sums, 16, v.fold(v.wide_add(v.product(x, y), v.product(x, x))))
    v.store(out, 176, v.reduce(v.wide_add(v.wide_load(sums, 16), v.widen(y))))
    v.poke(out, 192, v.peek(x_words, 3))


@settings(deadline=None)
@given(SEEDS)
def test_operations(columns: Make, seed: int) -> None:
    x, y = columns(seed, 2, 16)
    out, sums = np.zeros(193, dtype=np.uint32), np.zeros(32, dtype=np.uint64)
    _everything(x, y, out, sums)
    rows, wx, wy = out[:192].reshape(12, 16), x.astype(np.uint64), y.astype(np.uint64)
    both = np.concatenate([x, y])
    zipped = np.stack([x, y], axis=1).ravel()
    expected = [
        arrays.add(wx, wy),
        arrays.sub(wx, wy),
        arrays.mul(wx, wy),
        arrays.neg(wx),
        [inverse(int(a)) if a else 0 for a in x],
        both[::2],
        both[1::2],
        zipped[:16],
        x.reshape(8, 2)[:, ::-1].ravel(),
        [x[5]] * 16,
        x + x + (x & y),
        arrays.add(arrays.mul(wx, arrays.add(wx, wy)), wy),
    ]
    for k, row in enumerate(expected):
        assert rows[k].tolist() == [int(a) for a in row], k
    assert out[192] == x[3]


@v.kernel
def _secure_product(x, y, out):
    a = (v.load(x, 0), v.load(x, 16), v.load(x, 32), v.load(x, 48))
    b = (v.load(y, 0), v.load(y, 16), v.load(y, 32), v.load(y, 48))
    c = v.secure_mul(a, b)
    v.store(out, 0, c[0])
    v.store(out, 16, c[1])
    v.store(out, 32, c[2])
    v.store(out, 48, c[3])


@settings(deadline=None)
@given(SEEDS)
def test_secure_product(columns: Make, seed: int) -> None:
    x, y = columns(seed, 2, 4, 16)
    out = np.empty((4, 16), dtype=np.uint32)
    _secure_product(x, y, out)
    assert (out == arrays.qmul(x.T.astype(np.uint64), y.T.astype(np.uint64)).T).all()


def test_addresses_refuse_what_kernels_cannot_read() -> None:
    with pytest.raises(ValueError, match="contiguous uint32"):
        v.addresses([np.zeros(4, dtype=np.uint64)])
    with pytest.raises(ValueError, match="contiguous uint32"):
        v.addresses([np.zeros(8, dtype=np.uint32)[::2]])
    block = np.zeros((3, 5), dtype=np.uint32)
    assert v.addresses(block).tolist() == v.addresses(list(block)).tolist()


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(0, 100), st.integers(1, 9))
def test_ranges_cover_everything_once(threads: int, count: int, grain: int) -> None:
    seen: list[int] = []
    with Workers(threads) as workers:
        workers.ranges(lambda start, stop: seen.extend(range(start, stop)), count, grain)
        assert sorted(seen) == list(range(count))
        with pytest.raises(ZeroDivisionError):
            workers.map(lambda k: 1 // k, [1, 0, 2])


PORTABLE = """
import numpy as np
from prover import blake2s, fft, reference
from air.field import P, QM31
rng = np.random.default_rng(5)
c = rng.integers(0, P, (2, 512), dtype=np.uint32)
out = np.empty((2, 1024), dtype=np.uint32)
fft.evaluate(c, out, 9, 10)
assert (out == reference.evaluate(c, 10)).all()
fft.interpolate(out, 10)
assert (out[:, :512] == c).all() and not out[:, 512:].any()
layer = blake2s.leaves(list(c), 9, True)
assert blake2s.digest(layer, 300) == reference.hash_leaf("blake2s_m31", c[:, 300].tolist())
print("same bits")
"""


def test_without_wide_registers() -> None:
    machine = {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": ""}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PORTABLE], cwd=root, env={**os.environ, **machine}, capture_output=True, text=True
    )
    assert done.stdout == "same bits\n", done.stderr
