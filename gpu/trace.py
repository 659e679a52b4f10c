"""Traces made on the device: the columns that the statements' own `trace` methods make, not copied from the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from air.circle import to_storage
from air.field import P
from air.statements.poseidon2 import WIDTH, Poseidon2
from air.statements.topk import LIMB_BITS, MAX_GAP, N_LIMBS, TopK
from air.statements.wide_fib import WideFib
from gpu.device import Array, Device, kernel

_FILE = "trace.cu"
_THREADS = 256


def wide_fib(device: Device, component: WideFib) -> list[Array]:
    """`WideFib.trace`."""
    rows = 1 << component.log_size
    out = device.empty(component.width * rows)
    device.launch(kernel(_FILE, "wide_fib"), _grid(rows), _THREADS, out, component.log_size, component.width)
    return out.rows(component.width)


def poseidon2(device: Device, component: Poseidon2, start: npt.NDArray[np.uint32]) -> list[Array]:
    """`Poseidon2.trace`: first where every permutation starts, chain by chain, then the cells of all of them at once.

    Raises ValueError unless the (chains, 16) starts fill the trace."""
    rows, chains = 1 << component.log_size, len(start)
    total = component.instances * rows
    if start.shape != (chains, WIDTH) or chains == 0 or total % chains:
        raise ValueError(f"start: {start.shape} is not (chains, {WIDTH}) with chains dividing {total}")
    states, out = device.empty(WIDTH * total), device.empty(component.width * rows)
    begin = device.upload(start % np.uint32(P))
    device.launch(kernel(_FILE, "poseidon2_links"), _grid(chains), _THREADS, begin, chains, total // chains, states)
    grid = (*_grid(rows), component.instances)
    device.launch(kernel(_FILE, "poseidon2_cells"), grid, _THREADS, states, component.log_size, out)
    return out.rows(component.width)


def topk(device: Device, component: TopK, scores: Array, live: Array, codes: Array) -> list[Array]:
    """`topk_trace`: the columns of both components.

    `scores` are (2^n,) i32 words, `live` (2^n,) of 0 and 1, `codes` (fields, 2^n), all in storage order. Waits for the
    range table's counts. Raises ValueError where a gap has no limbs: the segment is malformed."""
    rows, width = 1 << component.log_size, 1 + N_LIMBS + 2 * component.n_filters
    out = device.empty(width * rows)
    filters = [word for pair in zip(component.filtered, component.codes, strict=True) for word in pair]
    wanted = device.upload(np.array([*filters, 0], dtype=np.uint32))
    seen = device.upload(np.zeros((1 << LIMB_BITS) + 1, dtype=np.uint32))
    words = (component.log_size, wanted, component.n_filters, component.threshold & 0xFFFFFFFF, out)
    counts, largest = seen[: 1 << LIMB_BITS], seen[1 << LIMB_BITS :]
    device.launch(kernel(_FILE, "topk"), _grid(rows), _THREADS, scores, live, codes, *words, counts, largest)
    *used, most = device.download(seen).tolist()
    if most:
        raise ValueError(f"a row's score is {most} from the threshold, more than {MAX_GAP}")
    return [*out.rows(width), *(device.upload(column) for column in _range_table(used))]


def _range_table(used: Sequence[int]) -> list[npt.NDArray[np.uint32]]:
    """`RangeTable.trace` from how often every value is looked up, without the anchors."""
    counts = np.array(used, dtype=np.uint32)
    counts[[0, -1]] += 1
    return [to_storage(np.arange(1 << LIMB_BITS, dtype=np.uint32)), to_storage(counts)]


def _grid(threads: int) -> tuple[int]:
    return (-(-threads // _THREADS),)
