"""Compiles CUDA sources for a card that need not be there, with the libnvrtc of NVIDIA's wheel."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ARCHITECTURES = ("sm_80", "sm_89", "sm_90", "sm_100")
_OPTIONS = ("--std=c++17", "--ptxas-options=-v")
_ENTRY = re.compile(
    r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores"
    r".*?Used (\d+) registers(.*?)\n",
    re.DOTALL,
)


class CompileError(Exception):
    """The compiler's log."""


@dataclass(frozen=True)
class Resources:
    """What a thread takes of registers and stack (bytes, of which spilled), a block of shared memory (bytes)."""

    registers: int
    stack: int
    spilled: int
    shared: int


@cache
def _library() -> Any:
    """None where the wheel is not installed."""
    try:
        found = find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        return None
    if found is None or not found.submodule_search_locations:
        return None
    paths = [p for folder in found.submodule_search_locations for p in Path(folder).glob("lib/libnvrtc.so.*")]
    return ctypes.CDLL(str(paths[0])) if paths else None


def available() -> bool:
    return _library() is not None


def compile_source(source: str, architecture: str) -> dict[str, Resources]:
    """The resources of every kernel of a source. Raises CompileError, also for a warning."""
    text = _log(source, architecture)
    found = {}
    for name, stack, spilled, registers, rest in _ENTRY.findall(text):
        shared = re.search(r"(\d+) bytes smem", rest)
        found[name] = Resources(int(registers), int(stack), int(spilled), int(shared[1]) if shared else 0)
    return found


def _log(source: str, architecture: str) -> str:
    """What the compiler says; kept in the user's cache for sources without errors and warnings."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "octoproof" / "gpu-nvrtc"
    version = _version()
    key = hashlib.blake2s("\0".join((source, architecture, version, *_OPTIONS)).encode(), digest_size=12).hexdigest()
    target = base / f"{key}.log"
    if not target.exists():
        status, text = _compile(source, architecture)
        if status != 0 or "warning" in text:
            raise CompileError(text)
        base.mkdir(parents=True, exist_ok=True)
        part = base / f"{key}-{os.getpid()}.part"
        part.write_text(text)
        part.replace(target)
    return target.read_text()


def _version() -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def _compile(source: str, architecture: str) -> tuple[int, str]:
    nvrtc, program = _library(), ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
    options = (f"--gpu-architecture={architecture}", *_OPTIONS)
    array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    status = nvrtc.nvrtcCompileProgram(program, len(options), array)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return status, log.value.decode()


def main() -> None:
    """Prints what every kernel of gpu/kernels takes on every kind of card."""
    from gpu import device

    print(f"{'kernel':28}{'card':8}{'registers':>10}{'spilled':>9}{'shared':>8}")
    for path in sorted((Path(device.__file__).parent / "kernels").glob("*.cu")):
        for architecture in ARCHITECTURES:
            for name, taken in compile_source(device.source(path.name), architecture).items():
                print(f"{name:28}{architecture:8}{taken.registers:10}{taken.spilled:9}{taken.shared:8}")


if __name__ == "__main__":
    main()
