"""The prover's kernels one by one, on made-up columns; every figure is the best of a few runs."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from air.circle import secure_point
from air.field import QM31, P
from prover import blake2s, fft, fri, grind, quotients, sampling
from prover.lanes import kernel, load, mul, store
from prover.threads import Workers

COLUMNS = 16
GRIND_BITS = 16
_SECONDS = 0.3  # of repetition for each kernel
_RESIDENT_LOG = 12  # field products are timed on arrays that stay in the first-level cache


@kernel
def _powers(x, y, rounds):
    """y *= x, elementwise, `rounds` times."""
    for _ in range(rounds):
        for i in range(0, x.size, 16):
            store(y, i, mul(load(x, i), load(y, i)))


def measure(log_size: int, threads: int) -> list[dict[str, Any]]:
    """One row a kernel: elements (or hashes) of one run, milliseconds, millions of them a second."""
    with Workers(threads) as workers:
        return [
            {"kernel": name, "elements": count, "ms": seconds * 1e3, "millions_per_s": count / seconds / 1e6}
            for name, count, seconds in ((name, count, _best(run)) for name, count, run in _kernels(log_size, workers))
        ]


def _kernels(log_size: int, workers: Workers) -> list[tuple[str, int, Callable[[], object]]]:
    rng = np.random.default_rng(1)
    size, double = 1 << log_size, 2 << log_size
    columns = rng.integers(0, P, (COLUMNS, size), dtype=np.uint32)
    extended = rng.integers(0, P, (COLUMNS, double), dtype=np.uint32)
    secure = np.ascontiguousarray(extended[:4])
    layer = blake2s.leaves(list(columns), log_size, False, workers)
    x, y = (np.ascontiguousarray(columns[k, : 1 << _RESIDENT_LOG]) for k in (0, 1))
    rounds = max(1, size * COLUMNS >> _RESIDENT_LOG)
    digest = bytes(range(32))
    tried = _tried(grind.grind("blake2s", digest, GRIND_BITS, workers))
    alpha = QM31(*(int(v) for v in columns[:4, 0]))
    sample = secure_point(alpha)
    group = quotients.SampleGroup(sample, [(k, alpha, alpha) for k in range(COLUMNS)])
    factors = sampling.folding_factors(sample, log_size, log_size)
    return [
        ("field multiplication, one thread", rounds << _RESIDENT_LOG, lambda: _powers(x, y, rounds)),
        ("inverse FFT", columns.size, lambda: fft.interpolate(columns, log_size, workers)),
        (
            "FFT to the doubled domain",
            extended.size,
            lambda: fft.evaluate(columns, extended, log_size, log_size + 1, workers),
        ),
        ("Blake2s leaves of 16 columns", double, lambda: blake2s.leaves(list(extended), log_size + 1, False, workers)),
        ("Blake2s nodes", size // 2, lambda: blake2s.nodes(layer, False, workers)),
        ("out-of-domain samples", columns.size, lambda: sampling.evaluate_at(columns, log_size, factors, workers)),
        (
            "quotients of 16 columns",
            size,
            lambda: quotients.quotients(list(extended), [group], log_size + 1, log_size, workers),
        ),
        ("FRI fold, circle to line", double, lambda: fri.fold(secure, alpha, 1, True, workers)),
        ("FRI fold, line to line", double, lambda: fri.fold(secure, alpha, 1, False, workers)),
        ("proof of work", tried, lambda: grind.grind("blake2s", digest, GRIND_BITS, workers)),
    ]


def _best(run: Callable[[], object]) -> float:
    """Seconds of the fastest run; the first one, which may compile, is not counted."""
    run()
    best, end = float("inf"), perf_counter() + _SECONDS
    while perf_counter() < end or best == float("inf"):
        started = perf_counter()
        run()
        best = min(best, perf_counter() - started)
    return best


def _tried(nonce: int) -> int:
    """How many nonces come before this one and with it: lo below 2^20 in the inner loop (PROTOCOL 5)."""
    return (nonce >> 32 << 20) + (nonce & 0xFFFFFFFF) + 1
