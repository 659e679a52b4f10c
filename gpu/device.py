"""What the GPU prover needs of a device: memory made of u32 words, and kernels in CUDA C++.

Everything in this package takes a `Device`, so that the same sources run on a card through CuPy and, in the tests, on
the CPU. Work is queued in order on one stream; only `download` and `synchronise` wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]
_KERNELS = Path(__file__).parent / "kernels"


@dataclass(frozen=True, eq=False)
class Array:
    """`size` u32 words in the memory of a device. A slice is a view; the memory lives as long as any view of it."""

    address: int
    size: int
    owner: Any

    @property
    def nbytes(self) -> int:
        return 4 * self.size

    def __getitem__(self, part: slice) -> Array:
        start, stop, step = part.indices(self.size)
        if step != 1:
            raise ValueError("a view of device memory is contiguous")
        return Array(self.address + 4 * start, max(0, stop - start), self.owner)

    def rows(self, count: int) -> list[Array]:
        """The array as `count` views of equal length: the coordinates of a secure column, the columns of a block."""
        length = self.size // count
        return [self[k * length : (k + 1) * length] for k in range(count)]


@dataclass(frozen=True)
class Kernel:
    """The entry point `name`, an extern "C" __global__ function, of a CUDA source."""

    source: str
    name: str


class Device(Protocol):
    """One device. Its methods are called from one thread."""

    name: str

    def empty(self, size: int) -> Array:
        """Uninitialised memory, 16-byte aligned. Raises MemoryError."""
        ...

    def upload(self, values: npt.NDArray[Any]) -> Array:
        """A copy of a contiguous array of u32 or u64 in device memory. Raises MemoryError."""
        ...

    def download(self, array: Array) -> Words:
        """Waits for all work so far and returns a copy in host memory."""
        ...

    def copy(self, source: Array, target: Array) -> None:
        """target = source, of one size, in device memory."""
        ...

    def launch(self, kernel: Kernel, grid: tuple[int, ...], block: int, *arguments: Array | int) -> None:
        """Queues grid x block threads. An Array is passed as a pointer, an integer as an unsigned int.

        Kernels declare their shared memory themselves, at most 48 KiB, so that a launch need not know of it.
        """
        ...

    def synchronise(self) -> None:
        """Waits for all work so far."""
        ...

    def free_memory(self) -> int:
        """Bytes that `empty` can still give."""
        ...


class CupyDevice:
    """A card through CuPy: NVRTC compiles a source at its first use and CuPy keeps the result on disk."""

    def __init__(self, index: int = 0) -> None:
        """Raises ImportError without CuPy, RuntimeError without such a card."""
        import cupy

        self._cupy = cupy
        try:
            self._device = cupy.cuda.Device(index)
            self._device.use()
            properties = cupy.cuda.runtime.getDeviceProperties(index)
            self._stream = cupy.cuda.Stream(non_blocking=True)
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise RuntimeError(f"no CUDA card {index}: {error}") from error
        self._stream.use()  # on the default stream an upload would wait for all work so far
        self.name = properties["name"].decode()
        self._function = cache(self._compile)
        self._module = cache(lambda source: cupy.RawModule(code=source, options=("--std=c++17",)))

    def _compile(self, kernel: Kernel) -> Any:
        return self._module(kernel.source).get_function(kernel.name)

    def empty(self, size: int) -> Array:
        memory = self._cupy.empty(max(1, size), dtype=np.uint32)  # its OutOfMemoryError is a MemoryError
        return Array(memory.data.ptr, size, memory)

    def upload(self, values: npt.NDArray[Any]) -> Array:
        words = np.ascontiguousarray(values).reshape(-1).view(np.uint32)
        array = self.empty(words.size)
        if words.size:
            self._ndarray(array).set(words)
        return array

    def download(self, array: Array) -> Words:
        return self._ndarray(array).get()

    def copy(self, source: Array, target: Array) -> None:
        self._ndarray(target)[...] = self._ndarray(source)

    def launch(self, kernel: Kernel, grid: tuple[int, ...], block: int, *arguments: Array | int) -> None:
        self._function(kernel)(grid, (block,), tuple(map(_argument, arguments)))

    def synchronise(self) -> None:
        self._stream.synchronize()

    def free_memory(self) -> int:
        return self._cupy.cuda.runtime.memGetInfo()[0] + self._cupy.get_default_memory_pool().free_bytes()

    def _ndarray(self, array: Array) -> Any:
        start = (array.address - array.owner.data.ptr) // 4
        return array.owner[start : start + array.size]


def _argument(value: Array | int) -> np.unsignedinteger[Any]:
    return np.uint64(value.address) if isinstance(value, Array) else np.uint32(value)


def addresses(device: Device, columns: Sequence[Array]) -> Array:
    """The columns as a kernel takes them, `const u32 *const *`. They must be kept alive by the caller."""
    return device.upload(np.array([column.address for column in columns], dtype=np.uint64))


@cache
def source(name: str) -> str:
    """The text of a file in gpu/kernels; an `#include "..."` line is replaced by that file where it is named first.

    Generated kernels stand behind source("field.cuh").
    """
    seen: set[str] = set()

    def read(file: str) -> list[str]:
        if file in seen:
            return []
        seen.add(file)
        lines: list[str] = []
        for line in (_KERNELS / file).read_text().splitlines():
            lines += read(line.split('"')[1]) if line.startswith('#include "') else [line]
        return lines

    return "\n".join(read(name)) + "\n"


def kernel(file: str, name: str) -> Kernel:
    """The entry point `name` of a file in gpu/kernels."""
    return Kernel(source(file), name)
