"""Ray: a local cluster, or one that runs already, and the prover actors on it, placed by cores and memory.

Nothing else knows Ray. A worker is a number; its process may die at any time, and is started again by `Pool.start`.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from octoproof.device import usable_cores
from octoproof.vectors.errors import VectorError
from prover.memory import available

MAX_WORKERS = 16  # REQUIREMENTS VQ-28
CONNECT_S = 10.0
_LEAST_BYTES = 1 << 30  # a worker with less cannot hold the kernels and a small segment
_STORE_BYTES = 256 << 20  # for what is sent between processes: parts and requests are small
_SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",  # a prover tells nobody about its runs
    # Whoever depends on a process of Ray's that is gone learns it in seconds, and ends instead of waiting.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


class ClusterError(Exception):
    """Ray cannot be used any more: the runner ends, and the next one goes on."""


class WorkerDiedError(Exception):
    """The process of a worker ended while it was at work; or it never started."""


@dataclass(frozen=True)
class Plan:
    """How many actors there are, with how many threads each, the bytes that each may take, and whether each has a card
    of its own."""

    workers: int
    threads: int
    bytes_each: int
    cards: bool = False

    @property
    def proof_bytes(self) -> int:
        """What a proof may need; the other half is for committed segments."""
        return self.bytes_each // 2


@contextmanager
def cluster(address: str | None, workers: int | None = None) -> Iterator[Pool]:
    """Connects to the Ray cluster at the address, or starts one on this machine; its workers, none of which is started.

    Raises VectorError without the package ray, where no cluster answers, or where no worker fits."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise VectorError("ray: not installed; install octoproof[cluster]") from None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        memory = int((available() or _LEAST_BYTES) * 0.8)
        options |= {"num_cpus": usable_cores(), "include_dashboard": False, "_memory": memory}
        options |= {"object_store_memory": _STORE_BYTES}
    elif address != "auto":
        _check_address(address)
    at_end = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address or "local", **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(f"{error}".split())[:200]
        raise VectorError(f"address: no Ray cluster answers at {address or 'this machine'}: {reason}") from None
    signal.signal(signal.SIGTERM, at_end)  # Ray has put its own in place
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        yield Pool(plan(nodes, workers))
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Where nobody answers, Ray would end the process. Raises VectorError."""
    host, _, port = address.rpartition(":")
    if not (host and "/" not in host and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise VectorError(f"address: {address!r:.80} is not HOST:PORT of a Ray cluster, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except OSError as error:
        raise VectorError(f"address: no Ray cluster answers at {address}: {error.strerror or error}") from None


def plan(nodes: Sequence[Mapping[str, float]], workers: int | None) -> Plan:
    """One single-threaded worker a core, as many as memory allows: parts are proven side by side, since one thread a
    proof wastes the least. Fewer workers have more threads. `nodes` are the resources of machines: CPU, memory (bytes),
    GPU. Where Ray reports cards there is one worker a card, and none on machines without.

    Raises VectorError where not even one fits."""
    if workers is not None and workers < 1:
        raise VectorError(f"workers: {workers}; at least one is needed")
    offers = [(int(node.get("CPU", 0)), int(node.get("memory", 0))) for node in nodes]
    cards = [int(node.get("GPU", 0)) for node in nodes]
    limits = cards if any(cards) else [cores for cores, _ in offers]

    def room(threads: int, size: int) -> int:
        """How many workers of so many threads and bytes there can be."""
        return sum(min(c // threads, m // size, most) for (c, m), most in zip(offers, limits, strict=True))

    count = min(workers or MAX_WORKERS, room(1, _LEAST_BYTES))
    if count < 1:
        most = max((memory for cores, memory in offers if cores), default=0)
        needed = f"a worker needs {_LEAST_BYTES / 1e9:.1f} GB and a core"
        raise VectorError(f"memory: {most / 1e9:.1f} GB are free where cores are, {needed}; use a larger machine")
    threads = max(t for cores, _ in offers for t in range(1, cores + 1) if room(t, _LEAST_BYTES) >= count)
    shares = {memory // n for _, memory in offers for n in range(1, count + 1)}
    fitting = max(size for size in shares if size >= _LEAST_BYTES and room(threads, size) >= count)
    return Plan(count, threads, fitting, any(cards))


class Pool:
    """The workers 0 .. plan.workers - 1. References are Ray's."""

    def __init__(self, plan: Plan) -> None:
        import ray

        self.plan = plan
        self._actors = dict[int, Any]()
        self._node = ray.get_runtime_context().get_node_id()

    def start(self, index: int) -> Any:
        """Starts the worker, or a new one in its place; the reference is done when its process is up."""
        import ray

        from octoproof.pipeline.prover_actor import ProverActor

        plan = self.plan
        options: dict[str, Any] = {"num_cpus": plan.threads, "memory": plan.bytes_each, "max_restarts": 0}
        options |= {"num_gpus": int(plan.cards)}  # Ray shows the worker its own card, and no other
        options |= {"enable_task_events": False}  # Ray would remember every call that ever was
        kind = ray.remote(ProverActor).options(**options)
        self._actors[index] = kind.remote(plan.threads, plan.bytes_each - plan.proof_bytes, plan.cards)
        return self._actors[index].ready.remote()

    def call(self, index: int, method: str, *arguments: Any) -> Any:
        """The reference of a call; a worker does its calls in order."""
        return getattr(self._actors[index], method).remote(*arguments)

    def kill(self, index: int) -> None:
        """Its calls end with WorkerDiedError."""
        import ray

        ray.kill(self._actors[index])

    def wait(self, references: Sequence[Any], timeout: float) -> Any:
        """One that is done, or None after so many seconds."""
        import ray

        done, _ = ray.wait(list(references), num_returns=1, timeout=timeout)
        return done[0] if done else None

    def result(self, reference: Any) -> Any:
        """What the call returned. Raises what it raised, WorkerDiedError."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            return ray.get(reference)
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except RayError as error:  # also where a result was lost with its node
            raise WorkerDiedError(" ".join(f"{error}".split())) from None

    def check(self) -> None:
        """Raises ClusterError if the part of Ray that runs on this machine is gone."""
        import ray

        if not any(node["Alive"] and node["NodeID"] == self._node for node in ray.nodes()):
            raise ClusterError("ray: its process on this machine (raylet) is gone")
