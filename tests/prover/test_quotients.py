"""DEEP quotients against the reference and Stwo's vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air import circle
from air.circle import SecurePoint
from air.field import QM31
from prover import fft, quotients, reference
from prover.quotients import SampleGroup
from prover.threads import Workers

Make = Callable[..., np.ndarray]


def test_vectors(vectors: Callable[[str], Any]) -> None:
    case = vectors("quotients")
    lifting, blowup, r = case["lifting_log_size"], case["log_blowup"], QM31(*case["random_coeff"])
    columns, members, weight = [], {}, QM31(1)
    for entry, samples in zip(case["columns"], case["samples"], strict=True):
        n = entry["log_size"]
        out = np.empty((1, 1 << (n + blowup)), dtype=np.uint32)
        fft.evaluate(np.array([entry["coeffs"]], dtype=np.uint32), out, n, n + blowup)
        columns.append(out[0])
        points = [(_point(s["point"]), QM31(*s["value"])) for s in samples]
        if len(points) == 2:  # the periodicity term
            period = circle.point((1 << (31 - lifting + n + blowup)) % circle.ORDER)
            points.insert(0, (circle.secure_add(points[1][0], period), points[1][1]))
        for point, value in points:
            members.setdefault(point, []).append((len(columns) - 1, value, weight))
            weight = weight * r
    groups = [SampleGroup(point, terms) for point, terms in members.items()]
    values = quotients.quotients(columns, groups, lifting, lifting - blowup)
    expected = np.array(case["quotients"], dtype=np.uint32).T
    assert (values == expected[:, : 1 << (lifting - blowup)]).all()
    assert (quotients.extend(values, lifting) == expected).all()
    assert (reference.quotients(columns, _plain(groups), lifting, lifting) == expected).all()


def _point(words: list[list[int]]) -> SecurePoint:
    return QM31(*words[0]), QM31(*words[1])


def _plain(groups: list[SampleGroup]) -> list[reference.Group]:
    return [(group.point, group.terms) for group in groups]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(4, 11),
    st.integers(0, 2),
    st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=9), min_size=0, max_size=3),
)
def test_quotients_are_the_references(
    columns: Make,
    secure: Callable[..., list[QM31]],
    seed: int,
    lifting: int,
    blowup: int,
    members: list[list[int]],
) -> None:
    own = [columns(seed + k, 1 << max(1, lifting - k // 2)) for k in range(12)]
    groups = []
    for number, chosen in enumerate(members):
        point = circle.secure_point(secure(3 * (seed + number) + 1, 1)[0])
        values, weights = secure(seed + number, len(chosen)), secure(seed + number + 7, len(chosen))
        groups.append(SampleGroup(point, list(zip(chosen, values, weights, strict=True))))
    degree = max(1, lifting - blowup)
    expected = reference.quotients(own, _plain(groups), lifting, degree)
    with Workers(2) as workers:
        assert (quotients.quotients(own, groups, lifting, degree, workers) == expected).all()


def test_wrong_sizes_are_refused(columns: Make, secure: Callable[..., list[QM31]]) -> None:
    group = SampleGroup(circle.secure_point(secure(1, 1)[0]), [(0, QM31(1), QM31(1))])
    with pytest.raises(ValueError, match="no quotients"):
        quotients.quotients([columns(1, 8)], [group], 3, 2)
    with pytest.raises(ValueError, match="larger than the lifting domain"):
        quotients.quotients([columns(1, 64)], [group], 5, 4)
