"""Device functions of the field against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from air import arrays
from air.field import P
from gpu.device import Device, Kernel, source

Make = Callable[..., np.ndarray]
SEEDS = st.integers(0, 2**32 - 1)
ON_DEVICE = [HealthCheck.function_scoped_fixture]

OPERATIONS = """
KERNEL base(const u32 *x, const u32 *y, u32 n, u32 *out) {
    u32 i = thread_number();
    if (i >= n) return;
    u32 v = x[i], w = y[i], results[] = {add(v, w), sub(v, w), mul(v, w), neg(v), inverse(v), rotate(v, w % 31)};
    for (u32 k = 0; k < 6; k++) out[k * n + i] = results[k];
}

KERNEL reductions(const u64 *x, u32 n, u32 *out, u64 *folded) {
    u32 i = thread_number();
    if (i >= n) return;
    out[i] = reduce(x[i]);
    folded[i] = fold(x[i]);
}

KERNEL complex(const u32 *x, const u32 *y, u32 n, u32 *out) {
    u32 i = thread_number();
    if (i >= n) return;
    cm31 v = {x[i], x[n + i]}, w = {y[i], y[n + i]};
    cm31 results[] = {add(v, w), sub(v, w), neg(v), mul(v, w), mul(v, w.a), inverse(v), twist(v)};
    for (u32 k = 0; k < 7; k++) {
        out[(2 * k) * n + i] = results[k].a;
        out[(2 * k + 1) * n + i] = results[k].b;
    }
}

KERNEL secures(const u32 *x, const u32 *y, u32 n, u32 *out) {
    u32 i = thread_number();
    if (i >= n) return;
    qm31 v = load_secure(x, n, i), w = load_secure(y, n, i);
    qm31 results[] = {add(v, w), sub(v, w), neg(v), mul(v, w), mul(v, w.x), mul(v, w.x.a), add(v, w.x.a), sub(v, w.x.a),
                      secure(w.x.a), inverse(v)};
    for (u32 k = 0; k < 10; k++) store_secure(out + 4 * k * n, n, i, results[k]);
}
"""


def _run(device: Device, name: str, inputs: list[np.ndarray], n: int, results: int) -> np.ndarray:
    """(results, n) words, as uint64."""
    out, given = device.empty(results * n), [device.upload(values.astype(np.uint32)) for values in inputs]
    device.launch(Kernel(source("field.cuh") + OPERATIONS, name), (-(-n // 32),), 32, *given, n, out)
    return device.download(out).reshape(results, n).astype(np.uint64)


@settings(max_examples=12, deadline=None, suppress_health_check=ON_DEVICE)
@given(SEEDS, st.integers(1, 70))
def test_base_field(device: Device, columns: Make, seed: int, n: int) -> None:
    x, y = columns(seed, 2, n).astype(np.uint64)
    found = _run(device, "base", [x, y], n, 6)
    powers = np.uint64(1) << y % np.uint64(31)
    expected = [
        arrays.add(x, y),
        arrays.sub(x, y),
        arrays.mul(x, y),
        arrays.neg(x),
        arrays.inv(x),
        arrays.mul(x, powers),
    ]
    assert (found == np.stack(expected)).all()


@settings(max_examples=12, deadline=None, suppress_health_check=ON_DEVICE)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40))
def test_reductions(device: Device, values: list[int]) -> None:
    values += [0, P, P - 1, 2**64 - 1, P << 31 | P, 2**63]
    n, x = len(values), device.upload(np.array(values, dtype=np.uint64))
    out, folded = device.empty(n), device.empty(2 * n)
    device.launch(Kernel(source("field.cuh") + OPERATIONS, "reductions"), (-(-n // 32),), 32, x, n, out, folded)
    assert device.download(out).tolist() == [value % P for value in values]
    once = device.download(folded).view(np.uint64)
    assert all(int(f) % P == value % P for f, value in zip(once, values, strict=True))
    assert (once < 1 << 34).all()


@settings(max_examples=12, deadline=None, suppress_health_check=ON_DEVICE)
@given(SEEDS, st.integers(1, 70))
def test_complex_field(device: Device, columns: Make, seed: int, n: int) -> None:
    x, y = columns(seed, 2, n).astype(np.uint64), columns(seed + 1, 2, n).astype(np.uint64)
    found = _run(device, "complex", [x, y], n, 14).reshape(7, 2, n)
    v, w = x.T, y.T
    u_squared = np.array([2, 1], dtype=np.uint64)
    expected = [
        *(arrays.add(v, w), arrays.sub(v, w), arrays.neg(v), arrays.cmul(v, w)),
        *(arrays.mul(v, w[:, :1]), arrays.cinv(v), arrays.cmul(v, u_squared)),
    ]
    assert (found == np.stack([values.T for values in expected])).all()


@settings(max_examples=12, deadline=None, suppress_health_check=ON_DEVICE)
@given(SEEDS, st.integers(1, 70))
def test_secure_field(device: Device, columns: Make, seed: int, n: int) -> None:
    x, y = columns(seed, 4, n).astype(np.uint64), columns(seed + 1, 4, n).astype(np.uint64)
    found = _run(device, "secures", [x, y], n, 40).reshape(10, 4, n)
    v, w, zero = x.T, y.T, np.zeros((n, 2), dtype=np.uint64)
    base, complex_part = arrays.secure(y[0]), np.concatenate([y[:2].T, zero], axis=1)
    expected = [
        *(arrays.add(v, w), arrays.sub(v, w), arrays.neg(v), arrays.qmul(v, w), arrays.qmul(v, complex_part)),
        *(arrays.mul(v, w[:, :1]), arrays.add(v, base), arrays.sub(v, base), base, arrays.qinv(v)),
    ]
    assert (found == np.stack([values.T for values in expected])).all()
