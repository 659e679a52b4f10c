"""What `bench gpu` measures: proofs whose trace is made on the card, each stage timed when the card has finished it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from air.component import build
from air.layout import Air
from air.statements.poseidon2 import WIDTH, Poseidon2
from air.statements.topk import ID_BITS, N_ID_LIMBS, TopK, coordinate_bound, topk_air, topk_trace
from air.statements.wide_fib import WideFib
from gpu import distance, trace
from gpu.backend import GpuBackend
from gpu.device import Device
from gpu.traffic import traffic
from octoproof.device import usable_cores
from octoproof.vectors.scan import scan
from prover.cpu import CpuBackend
from prover.prove import Proved, prove
from verifier.config import PcsConfig
from verifier.proof import StarkProof

Tell = Callable[[str], None]
INSTANCES = 8  # Poseidon2 permutations of a row
LINKS = 8  # of a chain
BEST = 10  # results of a top-k query
COPIED = 1 << 28  # words whose copy is timed, if so many are free


@dataclass(frozen=True)
class Workload:
    """A proof to be made again and again. `on_card` and `on_cpu` make the trace and prove it; what may be kept between
    queries, the committed segment of topk, is made by `before_card` and `before_cpu`."""

    log_instances: int
    air: Air
    before_card: Callable[[GpuBackend, PcsConfig], Any]
    on_card: Callable[[GpuBackend, PcsConfig, Any, Tell], Proved]
    before_cpu: Callable[[CpuBackend, PcsConfig], Any]
    on_cpu: Callable[[CpuBackend, PcsConfig, Any], Proved]


def workload(name: str, log_size: int, columns: int) -> Workload:
    """wide_fib, poseidon2 or topk with 2^log_size rows."""
    if name == "wide_fib":
        component = WideFib(log_size, columns)
        return _traced(log_size, component, lambda device: trace.wide_fib(device, component), component.trace)
    if name == "poseidon2":
        return _poseidon2(Poseidon2(log_size, INSTANCES))
    return _topk(log_size, columns)


def _traced(
    log_instances: int, component: Any, on_card: Callable[[Device], Any], on_cpu: Callable[[], Any]
) -> Workload:
    """A workload without tree 0."""
    air = build([component])

    def card(backend: GpuBackend, config: PcsConfig, _: Any, tell: Tell) -> Proved:
        tell("making the trace")
        columns = on_card(backend.device)
        return prove(air, [], columns, config=config, backend=backend, progress=tell)

    def cpu(backend: CpuBackend, config: PcsConfig, _: Any) -> Proved:
        return prove(air, [], on_cpu(), config=config, backend=backend)

    return Workload(log_instances, air, lambda *_: None, card, lambda *_: None, cpu)


def _poseidon2(component: Poseidon2) -> Workload:
    total = component.instances << component.log_size
    start = np.random.default_rng(1).integers(0, 2**31 - 1, (max(1, total // LINKS), WIDTH), dtype=np.uint32)
    log_instances = total.bit_length() - 1
    return _traced(
        log_instances, component, lambda d: trace.poseidon2(d, component, start), lambda: component.trace(start)
    )


def _topk(log_size: int, dimension: int) -> Workload:
    """The ten best of made-up vectors: scores, trace and proof are timed, the commitment to the vectors is not."""
    rows, limit, rng = 1 << log_size, coordinate_bound(dimension), np.random.default_rng(1)
    vectors = rng.integers(-limit, limit + 1, (dimension, rows), dtype=np.int16)
    norms = np.einsum("dn,dn->n", vectors, vectors, dtype=np.int64).astype(np.int32)
    query = rng.integers(-limit, limit + 1, dimension)
    form = TopK(log_size, "l2", tuple(map(int, query)), 0)
    live, codes = np.ones(rows, dtype=np.uint32), np.zeros((0, rows), dtype=np.uint32)

    def tree0() -> list[np.ndarray]:
        ids = np.arange(rows) >> ID_BITS * np.arange(N_ID_LIMBS)[:, None] & (1 << ID_BITS) - 1
        signed = [*vectors, norms, *ids, live]
        return [(np.asarray(column, dtype=np.int64) % (2**31 - 1)).astype(np.uint32) for column in signed]

    def asked(scores: np.ndarray) -> TopK:
        return replace(form, threshold=int(np.partition(scores, rows - BEST)[rows - BEST]))

    def place(backend: GpuBackend, config: PcsConfig) -> Any:
        placed = distance.upload_rows(backend.device, vectors, norms)
        flags = [backend.device.upload(part) for part in (live, np.zeros(1, dtype=np.uint32))]
        return backend.commit(tree0(), config, "blake2s", keep=True), placed, flags

    def card(backend: GpuBackend, config: PcsConfig, kept: Any, tell: Tell) -> Proved:
        tree, placed, flags = kept
        tell("scores")
        scores = distance.scan(backend.device, placed, query[None], "l2")
        component = asked(backend.device.download(scores).view(np.int32))
        tell("making the trace")
        columns = trace.topk(backend.device, component, scores, *flags)
        return prove(topk_air(component), tree, columns, config=config, backend=backend, progress=tell)

    def cpu(backend: CpuBackend, config: PcsConfig, tree: Any) -> Proved:
        scores = scan(vectors, norms, query, "l2", backend.workers)
        component = asked(scores)
        columns = topk_trace(component, scores, live.astype(bool), codes)
        return prove(topk_air(component), tree, columns, config=config, backend=backend)

    return Workload(
        log_size, topk_air(form), place, card, lambda b, config: b.commit(tree0(), config, "blake2s", keep=True), cpu
    )


class StageClock:
    """Milliseconds from one told step to the next, each taken when the card has done what was asked of it before."""

    def __init__(self, device: Device) -> None:
        self.device, self.stages = device, dict[str, float]()
        self._name, self._since = "", 0.0

    def __call__(self, step: str) -> None:
        self.device.synchronise()
        now = perf_counter()
        if self._name:
            self.stages[self._name] = self.stages.get(self._name, 0.0) + (now - self._since) * 1e3
        self._name, self._since = step, now


def run_size(device: Device, made: Workload, config: PcsConfig, repeat: int, bandwidth: float) -> dict[str, Any]:
    """Run 0 is the cold one: kernels are compiled and loaded, memory is asked for. The stages are those of the fastest
    of the others. Raises MemoryError."""
    backend = GpuBackend(device)
    kept, runs = made.before_card(backend, config), []
    for _ in range(repeat + 1):
        clock = StageClock(device)
        proved = made.on_card(backend, config, kept, clock)
        clock("end")
        runs.append((sum(clock.stages.values()), clock.stages, proved.proof))
    cold, *warm = runs
    best, stages, proof = min(warm, key=lambda run: run[0])
    moved = traffic(made.air, config)
    if kept is not None:  # tree 0 was committed before
        moved.pop("preprocessed")
    return {
        "cold_ms": cold[0],
        "warm_ms": best,
        "runs_ms": [run[0] for run in warm],
        "stages": [_stage(name, ms, moved.get(name), bandwidth) for name, ms in stages.items()],
        "proof": proof,
    }


def _stage(name: str, ms: float, moved: int | None, bandwidth: float) -> dict[str, Any]:
    """What a stage moved a second, and which part of what a copy moves that is."""
    rate = None if moved is None else moved / (ms * 1e-3)
    return {
        "name": name,
        "ms": ms,
        "bytes": moved,
        "gb_per_s": None if rate is None else rate / 1e9,
        "of_copy": None if rate is None else rate / bandwidth,
    }


def run_cpu(made: Workload, config: PcsConfig, repeat: int, proof: StarkProof | None) -> dict[str, Any]:
    """The fastest run on all cores after the first; whether its proof is the card's, if that made one."""
    backend, runs = CpuBackend(usable_cores()), []
    with backend.workers:
        kept = made.before_cpu(backend, config)
        for _ in range(repeat + 1):
            started = perf_counter()
            proved = made.on_cpu(backend, config, kept)
            runs.append((perf_counter() - started) * 1e3)
    return {"cpu_ms": min(runs[1:]), "cpu_threads": usable_cores()} | (
        {} if proof is None else {"same_proof": proved.proof == proof}
    )


def copy_bandwidth(device: Device) -> float:
    """Bytes a second, read and written, of a copy within the card's memory; the fastest of five after the first."""
    size = min(COPIED, device.free_memory() // 16)
    source, target = device.empty(size), device.empty(size)
    times = []
    for _ in range(6):
        device.synchronise()
        started = perf_counter()
        device.copy(source, target)
        device.synchronise()
        times.append(perf_counter() - started)
    return 8 * size / min(times[1:])
