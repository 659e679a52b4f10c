"""Which device proves: decided here, so that the prover does not care (DESIGN 2)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from verifier.errors import ParseError

if TYPE_CHECKING:
    from gpu.device import Device

CHOICES = ("auto", "cpu", "gpu")
# log2 of the rows from which on `auto` proves on the card. Not measured: a guess, since a proof of 2^14 rows starts 113
# kernels and waits for the card 67 times, however little they do (docs/gpu.md).
GPU_FROM = 14
_choice = "auto"


class DeviceError(ParseError):
    """The device that was asked for is not there; the message says what is missing (command line: exit 2)."""


def choose(name: str) -> str:
    """Makes `backend` take this device from now on: the card where there is one (auto), cpu, or gpu. Returns the name.

    Raises DeviceError for another name, and for gpu where there is no card."""
    global _choice
    if name not in CHOICES:
        raise DeviceError(f"device: {name!r:.40} is not one of {', '.join(CHOICES)}")
    if name == "gpu" and isinstance(found := card(), str):
        raise DeviceError(f"device: {found}; use --device cpu")
    _choice = name
    return name


@contextmanager
def backend(threads: int | None = None) -> Iterator[Any]:
    """The chosen device as `prove` takes it, with so many threads on the CPU (None: all usable cores), which end with
    the block."""
    from prover.cpu import CpuBackend

    cpu = CpuBackend(threads or usable_cores())
    try:
        found = card() if _choice != "cpu" else "not asked for"
        yield cpu if isinstance(found, str) else _with_card(cpu, found)
    finally:
        cpu.workers.close()


def _with_card(cpu: Any, device: Device) -> Any:
    from gpu.backend import GpuBackend

    gpu = GpuBackend(device, cpu.workers)
    return gpu if _choice == "gpu" else SizedBackend(cpu, gpu)


@cache
def card() -> Device | str:
    """The first card that CUDA shows this process, or in one line what is missing for it."""
    version = driver_version()
    if version is None:
        return "no NVIDIA driver here"
    if find_spec("cupy") is None:
        return f"an NVIDIA driver is here but CuPy is not, pip install {wheel(version)}"
    from gpu.device import CupyDevice

    try:
        return CupyDevice()
    except (ImportError, RuntimeError) as error:
        return f"CuPy cannot use a card ({' '.join(str(error).split())[:160]}), pip install {wheel(version)}"


def driver_version() -> int | None:
    """The newest CUDA version that the NVIDIA driver runs, as 12090 for 12.9; None without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    version = ctypes.c_int()
    return version.value if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 else None


def wheel(version: int) -> str:
    """The CuPy package for a driver."""
    return f"cupy-cuda{13 if version >= 13000 else 12}x"


def tree_bytes_of(device: Any) -> int:
    """How many bytes of committed segments may be kept for a device of `backend`: half of what is free where they lie,
    so that the proofs themselves find room."""
    from prover.memory import available

    card = getattr(device, "device", None)
    return (card.free_memory() if card is not None else available() or 1 << 32) // 2


def usable_cores() -> int:
    """Cores that this process may run on; fewer than the machine has inside a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class SizedBackend:
    """Small proofs on the CPU, large ones on the card where they fit: both make the same bytes.

    `check`, a proof's first step, decides for the whole proof; columns committed outside of one go by their size. Where
    a proof meets a tree of the other device its columns are copied: that tree is small, or does not fit beside a proof.
    """

    name = "auto"

    def __init__(self, cpu: Any, gpu: Any) -> None:
        self.cpu, self.gpu, self.workers, self.device = cpu, gpu, cpu.workers, gpu.device
        self._now, self._proving = cpu, False

    def check(self, air: Any, config: Any) -> None:
        self._now = self.gpu if air.log_size >= GPU_FROM and self.gpu.fits(air, config) else self.cpu
        self._proving = True
        self._now.check(air, config)

    def commit(self, columns: Sequence[Any], config: Any, hash_name: str, keep: bool) -> Any:
        if not self._proving:
            large = max((column.size for column in columns), default=0) >= 1 << GPU_FROM
            self._now = self.gpu if large else self.cpu
        if hash_name not in self.gpu.hash_names:
            self._now = self.cpu
        return self._now.commit(columns, config, hash_name, keep)

    def interaction(self, air: Any, trees: Sequence[Any], elements: Any) -> Any:
        return self._now.interaction(air, self._here(trees), elements)

    def composition(self, air: Any, trees: Sequence[Any], *arguments: Any) -> Any:
        return self._now.composition(air, self._here(trees), *arguments)

    def quotients(self, trees: Sequence[Any], *arguments: Any) -> Any:
        return self._now.quotients(self._here(trees), *arguments)

    def sample(self, tree: Any, *arguments: Any) -> Any:
        return self._home(tree).sample(tree, *arguments)

    def release(self, tree: Any) -> Any:
        return self._home(tree).release(tree)

    def open_tree(self, tree: Any, *arguments: Any) -> Any:
        self._proving = False  # the last step that commits nothing
        return self._home(tree).open_tree(tree, *arguments)

    def __getattr__(self, name: str) -> Any:
        """The steps that meet no tree of another proof: those of the device that proves now."""
        return getattr(self._now, name)

    def _home(self, tree: Any) -> Any:
        return self.gpu if self.gpu.holds(tree) else self.cpu

    def _here(self, trees: Sequence[Any]) -> list[Any]:
        moved = self.gpu.uploaded if self._now is self.gpu else self.gpu.downloaded
        return [tree if self._home(tree) is self._now else moved(tree) for tree in trees]
