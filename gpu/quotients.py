"""DEEP quotients in device memory (PROTOCOL 8), as `prover.quotients`: one launch for all sample points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpu import fft
from gpu.device import Array, Device, Words, addresses, kernel
from gpu.twiddles import twiddles
from prover.quotients import SampleGroup, group_constants, weights_by_lift

_THREADS = 128
_UNROLL = 4  # entries of a group that the kernel takes at a time


def quotients(
    device: Device, columns: Sequence[Array], groups: Sequence[SampleGroup], lifting_log: int, degree_log: int
) -> Array:
    """(4, 2^D): the sum of all quotients on the first 2^D storage positions of the domain of log size L >= 3.

    `columns` are the extended columns of log sizes up to L in storage order, in any order; terms refer to them.
    There is at least one group.
    """
    if lifting_log < 3 or degree_log > lifting_log:
        raise ValueError(f"no quotients of degree 2^{degree_log} on a domain of 2^{lifting_log} points")
    entries: list[tuple[Array, int, Words]] = []
    starts = [0]
    for group in groups:
        for lift, (members, factors) in weights_by_lift(columns, group, lifting_log).items():
            entries += [(column, lift, factor) for column, factor in zip(members, factors, strict=True)]
        idle = (*entries[-1][:2], np.zeros(4, dtype=np.uint32))
        entries += [idle] * ((starts[-1] - len(entries)) % _UNROLL)
        starts.append(len(entries))
    chosen, lifts, weights = zip(*entries, strict=True)
    constants = np.concatenate([group_constants(group) for group in groups])
    tables = (device.upload(np.array(words, dtype=np.uint32)) for words in (lifts, weights, starts, constants))
    out, n = device.empty(4 << degree_log), 1 << degree_log
    first = 1 << (lifting_log - 2)
    points = twiddles(device, lifting_log).forward[first : 2 * first]
    arguments = (addresses(device, chosen), *tables, len(groups), points, n, out)
    device.launch(kernel("quotients.cu", "quotients"), (-(-n // _THREADS),), _THREADS, *arguments)
    return out


def extend(device: Device, values: Array, lifting_log: int) -> Array:
    """(4, 2^L) out of (4, 2^D): the same polynomials on the whole domain. Consumes `values`."""
    degree_log, out = (values.size // 4).bit_length() - 1, device.empty(4 << lifting_log)
    fft.interpolate(device, values.rows(4), degree_log, domain_log=lifting_log)
    fft.evaluate(device, values.rows(4), out.rows(4), degree_log, lifting_log)
    return out
