"""DEEP quotients against the reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from air import circle
from air.field import QM31
from gpu import quotients
from gpu.device import Device
from prover import quotients as cpu
from prover import reference
from prover.quotients import SampleGroup

Make = Callable[..., np.ndarray]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32 - 1),
    st.integers(3, 10),
    st.integers(0, 2),
    st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=9), min_size=1, max_size=3),
)
def test_quotients_are_the_references(
    device: Device,
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
    expected = reference.quotients(own, [(group.point, group.terms) for group in groups], lifting, degree)
    found = quotients.quotients(device, [device.upload(column) for column in own], groups, lifting, degree)
    assert (device.download(found).reshape(4, -1) == expected).all()


def test_extension_is_the_cpus(device: Device, columns: Make) -> None:
    for degree, lifting in ((3, 4), (5, 5), (12, 13)):
        values = columns(degree, 4, 1 << degree)
        extended = device.download(quotients.extend(device, device.upload(values), lifting))
        assert (extended.reshape(4, -1) == cpu.extend(values, lifting)).all()


def test_wrong_sizes_are_refused(device: Device, columns: Make, secure: Callable[..., list[QM31]]) -> None:
    group = SampleGroup(circle.secure_point(secure(1, 1)[0]), [(0, QM31(1), QM31(1))])
    with pytest.raises(ValueError, match="no quotients"):
        quotients.quotients(device, [device.upload(columns(1, 8))], [group], 2, 2)
    with pytest.raises(ValueError, match="larger than the lifting domain"):
        quotients.quotients(device, [device.upload(columns(1, 64))], [group], 5, 4)
