"""M31, CM31, QM31: scalar and array arithmetic agree with each other and with Stwo's values."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from air import arrays
from air.field import CM31, ONE, QM31, P, batch_inverse, combine4, inverse, powers

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "fields.json").read_text())

m31s = st.one_of(st.sampled_from([0, 1, 2, P - 2, P - 1, 1 << 16, 1 << 30]), st.integers(0, P - 1))
qm31s = st.builds(QM31, m31s, m31s, m31s, m31s)


def cm31(pair):
    return CM31(*pair)


def test_m31_vectors():
    for a, b, total, difference, product in VECTORS["m31"]:
        assert ((a + b) % P, (a - b) % P, a * b % P) == (total, difference, product)
    for a, inverted in VECTORS["m31_inverse"]:
        assert inverse(a) == inverted


def test_cm31_vectors():
    for row in VECTORS["cm31"]:
        a, b = cm31(row["a"]), cm31(row["b"])
        assert (a + b, a - b, a * b) == (cm31(row["add"]), cm31(row["sub"]), cm31(row["mul"]))
    for a, inverted in VECTORS["cm31_inverse"]:
        assert cm31(a).inverse() == cm31(inverted)


def test_qm31_vectors():
    for row in VECTORS["qm31"]:
        a, b = QM31.of(row["a"]), QM31.of(row["b"])
        assert (a + b, a - b, a * b) == (QM31.of(row["add"]), QM31.of(row["sub"]), QM31.of(row["mul"]))
        assert a * row["b"][0] == QM31.of(row["mul_m31"])
    for a, inverted in VECTORS["qm31_inverse"]:
        assert QM31.of(a).inverse() == QM31.of(inverted)
    for a, conjugate in VECTORS["qm31_complex_conjugate"]:
        assert QM31.of(a).conjugate() == QM31.of(conjugate)
    parts = VECTORS["qm31_from_partial_evals"]
    assert combine4([QM31.of(v) for v in parts["in"]]) == QM31.of(parts["out"])


@given(qm31s, qm31s, qm31s)
def test_qm31_is_a_field(a, b, c):
    assert a * (b + c) == a * b + a * c
    assert (a * b) * c == a * (b * c)
    if a:
        assert a * a.inverse() == ONE


@given(qm31s, qm31s, m31s)
def test_arrays_agree_with_scalars(a, b, m):
    x, y = arrays.qarray([a]), arrays.qarray([b])
    assert arrays.qmul(x, y)[0].tolist() == list((a * b).coordinates())
    assert arrays.add(x, y)[0].tolist() == list((a + b).coordinates())
    assert arrays.sub(x, y)[0].tolist() == list((a - b).coordinates())
    assert arrays.mul(x, np.uint64(m))[0].tolist() == list((a * m).coordinates())
    if a:
        assert arrays.qinv(x)[0].tolist() == list(a.inverse().coordinates())
    if m:
        assert int(arrays.inv(np.array([m], dtype=np.uint64))[0]) == inverse(m)


@given(st.lists(qm31s.filter(bool), max_size=6), qm31s)
def test_batches(values, base):
    assert batch_inverse(values) == [v.inverse() for v in values]
    assert powers(base, 4) == [base**k for k in range(4)]


def test_zero_has_no_inverse():
    for zero in (lambda: inverse(0), lambda: inverse(P), lambda: CM31(0, 0).inverse(), lambda: QM31(0).inverse()):
        with pytest.raises(ZeroDivisionError):
            zero()


def test_signed_integers_are_reduced():
    assert arrays.m31([-1, 0, P, 2 * P + 3, -(2**40)]).tolist() == [P - 1, 0, 0, 3, -(2**40) % P]
