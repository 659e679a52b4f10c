"""A `Device` that executes CUDA sources on the CPU, so that kernels are tested where no card is.

A source is compiled as C++ behind `emulator.h`. Arrays end at a page that nobody may touch, new memory holds a value
that no field element has, and a launch that does what CUDA forbids raises EmulatorError.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import platform
import re
import subprocess
import sys
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpu.device import Array, Kernel, Words

_PRELUDE = Path(__file__).with_suffix(".h")
_OPTIONS = (
    *("-std=c++17", "-O2", "-shared", "-fPIC", "-fno-exceptions", "-fno-rtti", "-nostdlib++", "-w"),
    *("-fsanitize=bounds,shift,alignment,integer-divide-by-zero,unreachable", "-fsanitize-trap=all"),
)
_ENTRY = re.compile(r"(?:\bKERNEL|__global__\s+void)\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\(")
_PAGE, _POISON = mmap.PAGESIZE, np.uint32(0xA5A5A5A5)
_LIMITS = ((1 << 31) - 1, 65535, 65535)


class EmulatorError(Exception):
    """A launch broke a rule of CUDA; the message says where."""


class _Memory:
    """Pages of which the last words are the array's, with a forbidden page on either side."""

    def __init__(self, words: int) -> None:
        size = -(-max(1, words) * 4 // _PAGE) * _PAGE
        self._map = _libc().mmap(None, size + 2 * _PAGE, 3, 0x22, -1, 0)  # PROT_READ | WRITE, MAP_PRIVATE | ANONYMOUS
        if self._map in (None, ctypes.c_void_p(-1).value):
            raise MemoryError(f"{4 * words} bytes for an emulated array")
        for guard in (self._map, self._map + _PAGE + size):
            _libc().mprotect(guard, _PAGE, 0)
        self.start, self.stop, self.words = self._map + _PAGE, self._map + _PAGE + size, words
        self.address = (self.stop - 4 * words) & ~15
        view(self.start, size // 4)[:] = _POISON
        weakref.finalize(self, _libc().munmap, self._map, size + 2 * _PAGE)

    def check(self) -> None:
        """Raises EmulatorError if a kernel wrote between the array and the forbidden pages."""
        behind = self.address + 4 * self.words
        for start, stop in ((self.start, self.address), (behind, self.stop)):
            if (view(start, (stop - start) // 4) != _POISON).any():
                raise EmulatorError(f"something was written outside an array of {self.words} words")


class EmulatedDevice:
    """`memory` is what the device has, in bytes."""

    def __init__(self, memory: int = 4 << 30) -> None:
        self.name = "emulated"
        self._memory = memory
        self._live: weakref.WeakSet[_Memory] = weakref.WeakSet()

    def empty(self, size: int) -> Array:
        if 4 * size > self.free_memory():
            raise MemoryError(f"out of device memory: {4 * size} bytes asked for, {self.free_memory()} free")
        memory = _Memory(size)
        self._live.add(memory)
        return Array(memory.address, size, memory)

    def upload(self, values: npt.NDArray[Any]) -> Array:
        words = np.ascontiguousarray(values).reshape(-1).view(np.uint32)
        array = self.empty(words.size)
        view(array.address, array.size)[:] = words
        return array

    def download(self, array: Array) -> Words:
        return view(array.address, array.size).copy()

    def copy(self, source: Array, target: Array) -> None:
        assert source.size == target.size
        view(target.address, target.size)[:] = view(source.address, source.size)

    def launch(self, kernel: Kernel, grid: tuple[int, ...], block: int, *arguments: Array | int) -> None:
        sizes = (*grid, *(1,) * (3 - len(grid)))
        if not 1 <= block <= 1024 or any(not 1 <= n <= most for n, most in zip(sizes, _LIMITS, strict=True)):
            raise EmulatorError(f"{kernel.name}: no launch of {sizes} blocks of {block} threads")
        run, kinds = _entry(kernel)
        given = "".join("p" if isinstance(value, Array) else "u" for value in arguments)
        if given != kinds:
            raise EmulatorError(f"{kernel.name} takes {kinds} (p: pointer, u: unsigned), not {given}")
        if any(not 0 <= value < 1 << 32 for value in arguments if not isinstance(value, Array)):
            raise EmulatorError(f"{kernel.name}: an argument is no unsigned int")
        values = [value.address if isinstance(value, Array) else int(value) for value in arguments]
        where = ctypes.c_void_p()
        words = (ctypes.c_uint64 * max(1, len(values)))(*values)
        message = run(words, (ctypes.c_uint32 * 3)(*sizes), block, ctypes.byref(where))
        if message:
            raise EmulatorError(f"{kernel.name}: {message.decode()}{self._nearest(where.value)}")

    def synchronise(self) -> None:
        """Nothing is ever under way."""

    def free_memory(self) -> int:
        return self._memory - sum(4 * memory.words for memory in self._live)

    def check(self) -> None:
        """Raises EmulatorError if anything was written outside an array that is still alive."""
        for memory in list(self._live):
            memory.check()

    def _nearest(self, address: int | None) -> str:
        if address is None:
            return ""
        arrays = [(abs(address - m.address), (address - m.address) // 4, m.words) for m in list(self._live)]
        if not arrays:
            return ""
        _, index, words = min(arrays)
        return f", entry {index} of an array of {words} words"


def view(address: int, words: int) -> Words:
    """Memory as an array."""
    if not words:
        return np.empty(0, dtype=np.uint32)
    return np.ctypeslib.as_array((ctypes.c_uint32 * words).from_address(address))


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc


@cache
def _entry(kernel: Kernel) -> tuple[Any, str]:
    """The function that runs the kernel, and the kinds of its arguments."""
    library = _library(kernel.source)
    signature, run = (getattr(library, f"emulator_{part}_{kernel.name}") for part in ("signature", "launch"))
    signature.restype = run.restype = ctypes.c_char_p
    return run, signature().decode()


def entries(source: str) -> list[str]:
    """Names of the kernels in a source."""
    return _ENTRY.findall(source)


@cache
def _library(source: str) -> ctypes.PyDLL:
    """The compiled source; compiled ones are kept in the user's cache by the hash of all that went into them."""
    reached = "".join(f"EMULATOR_ENTRY({name})\n" for name in entries(source))
    text = f'{_PRELUDE.read_text()}\n#line 1 "kernel"\n{source}\n{reached}'
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "octoproof" / "gpu-emulator"
    key = hashlib.blake2s("\0".join((text, *_OPTIONS, platform.machine())).encode(), digest_size=12).hexdigest()
    target = base / f"{key}.so"
    if not target.exists():
        base.mkdir(parents=True, exist_ok=True)
        stem = base / f"{key}-{os.getpid()}"
        code, built = stem.with_suffix(".cpp"), stem.with_suffix(".part")
        code.write_text(text)
        command = [sys.executable, "-m", "ziglang", "c++", *_OPTIONS, str(code), "-o", str(built)]
        caches = {"ZIG_GLOBAL_CACHE_DIR": str(base / "zig"), "ZIG_LOCAL_CACHE_DIR": str(base / "zig")}
        done = subprocess.run(command, env=os.environ | caches, capture_output=True, text=True)
        code.unlink()
        if done.returncode != 0:
            raise EmulatorError(f"the source does not compile as C++:\n{done.stderr}")
        built.replace(target)
    return ctypes.PyDLL(str(target))  # a launch holds the interpreter's lock: its state is the library's only one
