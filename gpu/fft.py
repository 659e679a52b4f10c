"""The circle FFT over many columns in device memory (PROTOCOL 3): natural coefficients, values in storage order.

As in `prover.fft` a transform of 2^n values has a heap node as its root, and zero padding costs nothing: each of the
2^B blocks of a blown-up domain is transformed from the coefficients. One launch does twelve layers of all columns on
neighbouring values, or up to eight layers further up, so 2^20 values are read and written twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpu.device import Array, Device, addresses, kernel
from gpu.twiddles import twiddles

TILE_LOG, _MOST_ROWS = 12, 8
_THREADS = 256


def layer_passes(layers: int) -> list[int]:
    """How many layers each launch above the tiles takes: as few launches as possible, of nearly equal depth."""
    count = -(-layers // _MOST_ROWS)
    return [layers * (k + 1) // count - layers * k // count for k in range(count)]


def interpolate(device: Device, columns: Sequence[Array], log_size: int, *, domain_log: int | None = None) -> None:
    """In place: values in storage order -> coefficients.

    The values are those on the canonic domain of 2^log_size points, or, with `domain_log`, those on the first
    2^log_size storage positions of the larger canonic domain.
    """
    _check(columns, log_size)
    if not columns:
        return
    domain_log = log_size if domain_log is None else domain_log
    table, scale = addresses(device, columns), _scale(log_size)
    if log_size < TILE_LOG:
        heap, small = twiddles(device, domain_log).backward, kernel("fft.cu", "backward_small")
        device.launch(small, (len(columns),), _THREADS, table, heap, domain_log, log_size, scale)
    else:
        _ascend(device, table, len(columns), log_size, domain_log, layer_passes(log_size - TILE_LOG), scale)


def evaluate(device: Device, coefficients: Sequence[Array], out: Sequence[Array], log_in: int, log_out: int) -> None:
    """Coefficients (2^log_in each) -> values in storage order on the canonic domain (2^log_out), log_out >= log_in.

    `out` may be `coefficients` if the sizes are equal.
    """
    _check_pairs(coefficients, out, log_in, log_out)
    if not out:
        return
    sources, targets, n = addresses(device, coefficients), addresses(device, out), len(out)
    if log_in < TILE_LOG:
        heap, small = twiddles(device, log_out).forward, kernel("fft.cu", "forward_small")
        device.launch(small, (n << (log_out - log_in),), _THREADS, sources, targets, heap, n, log_in, log_out)
    else:
        _descend(device, sources, targets, n, log_in, log_out, log_in, layer_passes(log_in - TILE_LOG))


def extend(device: Device, columns: Sequence[Array], out: Sequence[Array], log_in: int, log_out: int) -> None:
    """`interpolate` of the columns in place and `evaluate` into `out`.

    The uppermost layers are done backward and forward in one launch, which spares a sixth of the traffic at blow-up 2.
    """
    _check_pairs(columns, out, log_in, log_out)
    passes = layer_passes(log_in - TILE_LOG) if log_in > TILE_LOG else []
    if not columns or not passes:
        interpolate(device, columns, log_in)
        evaluate(device, columns, out, log_in, log_out)
        return
    values, targets, n = addresses(device, columns), addresses(device, out), len(out)
    first, *others = passes
    _ascend(device, values, n, log_in, log_in, others, 0)
    heaps, turn = twiddles(device, log_out), kernel("fft.cu", "turn_rows")
    grid, words = (1 << (log_in - TILE_LOG), n), (log_in, log_out, first, _scale(log_in))
    device.launch(turn, grid, _THREADS, values, targets, heaps.backward, heaps.forward, *words)
    _descend(device, targets, targets, n, log_out, log_out, log_in - first, others)


def _ascend(
    device: Device, table: Array, n: int, log_size: int, domain_log: int, passes: Sequence[int], scale: int
) -> None:
    """The layers of n columns backward, in place: of the tiles, then those of `passes` from its end; times 2^scale."""
    heap, tiles, log = twiddles(device, domain_log).backward, 1 << (log_size - TILE_LOG), TILE_LOG
    lowest, rows = kernel("fft.cu", "backward_tiles"), kernel("fft.cu", "backward_rows")
    device.launch(lowest, (tiles * n,), _THREADS, table, heap, n, domain_log, 0 if passes else scale)
    for k in reversed(range(len(passes))):
        log += passes[k]
        device.launch(rows, (tiles, n), _THREADS, table, heap, domain_log, log, passes[k], 0 if k else scale)


def _descend(
    device: Device,
    sources: Array,
    targets: Array,
    n: int,
    source_log: int,
    log_out: int,
    log: int,
    passes: Sequence[int],
) -> None:
    """The layers of n columns forward: in blocks of 2^log those of `passes`, then those of the tiles."""
    heap, tiles = twiddles(device, log_out).forward, 1 << (log_out - TILE_LOG)
    lowest, rows = kernel("fft.cu", "forward_tiles"), kernel("fft.cu", "forward_rows")
    for count in passes:
        device.launch(rows, (tiles, n), _THREADS, sources, targets, heap, source_log, log_out, log, count)
        sources, source_log, log = targets, log_out, log - count
    device.launch(lowest, (tiles * n,), _THREADS, sources, targets, heap, n, source_log, log_out)


def _scale(log_size: int) -> int:
    """The power of two that divides by 2^log_size: 2^31 is 1."""
    return (31 - log_size) % 31


def _check_pairs(columns: Sequence[Array], out: Sequence[Array], log_in: int, log_out: int) -> None:
    _check(columns, log_in)
    _check(out, log_out)
    if len(columns) != len(out):
        raise ValueError("as many target columns as source columns")


def _check(columns: Sequence[Array], log_size: int) -> None:
    if any(column.size != 1 << log_size for column in columns):
        raise ValueError(f"columns must have 2^{log_size} values")
