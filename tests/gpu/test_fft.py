"""Twiddles and transforms of the kernels against the reference and the CPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu import fft
from gpu.device import Array, Device
from gpu.twiddles import _build, twiddles
from prover import fft as cpu
from prover import reference
from prover.twiddles import _build as cpu_build

Make = Callable[..., np.ndarray]


@pytest.mark.parametrize("log_size", [2, 3, 8, 13])
def test_heaps_are_the_cpus(device: Device, log_size: int) -> None:
    ours, theirs = _build(device, log_size), cpu_build(max(log_size, 8))
    for name in ("forward", "backward"):
        heap, expected = device.download(getattr(ours, name)), getattr(theirs, name)
        assert (heap[1:] == expected[1 : heap.size]).all()
        assert heap[0] == heap[1]


def test_heaps_are_kept(device: Device) -> None:
    largest = twiddles(device, 14)
    assert twiddles(device, 5) is largest
    assert largest.log_size >= 14


def _columns(device: Device, values: np.ndarray) -> list[Array]:
    return [device.upload(row) for row in values]


def _values(device: Device, columns: list[Array]) -> np.ndarray:
    return np.stack([device.download(column) for column in columns])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1), st.integers(1, 13), st.integers(0, 2), st.integers(1, 3))
def test_transforms_are_the_references(
    device: Device, columns: Make, seed: int, log_size: int, blowup: int, count: int
) -> None:
    c = columns(seed, count, 1 << log_size)
    expected = reference.evaluate(c, log_size + blowup)
    own = _columns(device, reference.evaluate(c, log_size))
    out = [device.empty(1 << (log_size + blowup)) for _ in range(count)]
    fft.extend(device, own, out, log_size, log_size + blowup)
    assert (_values(device, own) == c).all()
    assert (_values(device, out) == expected).all()
    first = [column[: 1 << log_size] for column in out]
    fft.interpolate(device, first, log_size, domain_log=log_size + blowup)
    assert (_values(device, first) == c).all()


@pytest.mark.parametrize("log_size", range(12, 21))
def test_every_split_into_launches(device: Device, columns: Make, log_size: int) -> None:
    """One to eight layers above the tiles in one launch; the CPU's kernels are the reference's, and fast enough."""
    _compare(device, columns(log_size, 1, 1 << log_size), log_size, 1 if log_size < 19 else 0)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_several_launches_above_the_tiles(
    device: Device, columns: Make, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As larger transforms have them."""
    monkeypatch.setattr(fft, "_MOST_ROWS", most)
    _compare(device, columns(most, 2, 1 << 16), 16, 2)


@pytest.mark.slow
@pytest.mark.parametrize("log_size", [21, 22])
def test_two_launches_above_the_tiles(device: Device, columns: Make, log_size: int) -> None:
    _compare(device, columns(log_size, 2, 1 << log_size), log_size, 1)


def _compare(device: Device, c: np.ndarray, log_size: int, blowup: int) -> None:
    log_out = log_size + blowup
    values, expected = np.empty_like(c), np.empty((len(c), 1 << log_out), dtype=np.uint32)
    cpu.evaluate(c, values, log_size, log_size)
    cpu.evaluate(c, expected, log_size, log_out)
    own, out = _columns(device, values), [device.empty(1 << log_out) for _ in c]
    fft.extend(device, own, out, log_size, log_out)
    assert (_values(device, own) == c).all()
    assert (_values(device, out) == expected).all()
    again = [device.empty(1 << log_out) for _ in c]
    fft.evaluate(device, own, again, log_size, log_out)
    assert (_values(device, again) == expected).all()
    first = [column[: 1 << log_size] for column in out]
    fft.interpolate(device, first, log_size, domain_log=log_out)
    assert (_values(device, first) == c).all()


def test_launches_above_the_tiles() -> None:
    assert [fft.layer_passes(n) for n in (0, 1, 8, 9, 15, 16, 17)] == [
        [],
        [1],
        [8],
        [4, 5],
        [7, 8],
        [8, 8],
        [5, 6, 6],
    ]


def test_wrong_sizes_are_refused(device: Device) -> None:
    with pytest.raises(ValueError, match=r"2\^4 values"):
        fft.interpolate(device, [device.empty(8)], 4)
    with pytest.raises(ValueError, match="as many target columns"):
        fft.evaluate(device, [device.empty(16)], [], 4, 5)
