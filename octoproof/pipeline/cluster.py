"""Ray: a local cluster, or one that runs already, and the prover actors on it, placed by memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from octoproof.device import usable_cores
from octoproof.vectors.errors import VectorError
from prover.memory import available

MAX_WORKERS = 16  # REQUIREMENTS VQ-28
_LEAST_BYTES = 1 << 30  # a worker with less cannot hold the kernels and a small segment


@dataclass(frozen=True)
class Plan:
    """How many actors there are, with how many threads each, and the bytes that each may take."""

    workers: int
    threads: int
    bytes_each: int

    @property
    def proof_bytes(self) -> int:
        """What a proof may need; the other half is for committed segments."""
        return self.bytes_each // 2


@contextmanager
def cluster(address: str | None, workers: int | None = None) -> Iterator[Plan]:
    """Connects to the Ray cluster at the address, or starts one on this machine; the plan for its actors.

    Raises VectorError without the package ray, or where no cluster answers."""
    try:
        import ray
    except ImportError:
        raise VectorError("ray: not installed; install octoproof[cluster]") from None
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        memory = int((available() or _LEAST_BYTES) * 0.8)
        options |= {"num_cpus": usable_cores(), "include_dashboard": False, "_memory": memory}
        options |= {"object_store_memory": 256 << 20}  # parts and requests are small
    try:
        ray.init(address=address or "local", **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise VectorError(f"address: no Ray cluster answers at {address}: {error}") from None
    try:
        yield plan(ray.cluster_resources(), workers)
    finally:
        ray.shutdown()


def plan(resources: dict[str, float], workers: int | None) -> Plan:
    """One single-threaded actor a core, as many as memory allows: parts are proven side by side, since one thread a
    proof wastes the least. Raises VectorError where not even one fits."""
    cores, memory = int(resources.get("CPU", 1)), int(resources.get("memory", 0))
    wanted = workers or min(MAX_WORKERS, max(1, cores))
    fitting = min(wanted, memory // _LEAST_BYTES)
    if fitting < 1:
        raise VectorError(f"memory: {memory / 1e9:.1f} GB are free, a worker needs {_LEAST_BYTES / 1e9:.1f} GB")
    return Plan(fitting, max(1, cores // fitting), memory // fitting)


def start_actor(plan: Plan) -> Any:
    """A prover actor; Ray starts its process anew if it dies."""
    import ray

    from octoproof.pipeline.prover_actor import ProverActor

    options = {"num_cpus": plan.threads, "memory": plan.bytes_each, "max_restarts": -1, "max_task_retries": 0}
    return ray.remote(ProverActor).options(**options).remote(plan.threads, plan.bytes_each // 2)
