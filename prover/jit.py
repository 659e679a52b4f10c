"""LLVM modules to machine code: compiled once, kept on disk, called through ctypes without the GIL."""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir


def machine() -> tuple[Any, str]:
    """The target machine, and a name for it. NUMBA_CPU_NAME and NUMBA_CPU_FEATURES lower it, as for Numba's kernels."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()
    features = os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        features = llvm.get_host_cpu_features().flatten()
    # Vectors of 512 bits stay whole where the processor has them.
    if "+avx512f" in features:
        features += ",-prefer-256-bit"
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=cpu, features=features, opt=3, jit=True), f"{cpu} {features}"


class Library:
    """Compiled objects in one folder, for this processor."""

    def __init__(self, folder: Path) -> None:
        self.name = machine()[1]
        self.folder, self.lock = folder, threading.Lock()

    def load(self, kind: str, key: object, build: Callable[[], ir.Module], optimise: bool = True) -> Any:
        """The engine that holds a module's code; `build` makes the module if the folder has none of this key.

        Without `optimise` the instructions are translated as they are.
        """
        text = repr((llvmlite.__version__, self.name, kind, key))
        path = self.folder / f"{kind}-{hashlib.blake2s(text.encode()).hexdigest()[:32]}.o"
        with self.lock:
            engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine()[0])
            if not self._load_object(engine, path):
                self._compile(engine, build(), path, 2 if optimise else 0)
            return engine

    def _load_object(self, engine: Any, path: Path) -> bool:
        try:
            data = path.read_bytes()
        except OSError:
            return False
        body, mark = data[:-16], data[-16:]
        # A torn file, from a killed process, is compiled again.
        if hashlib.blake2s(body, digest_size=16).digest() != mark:
            return False
        engine.add_object_file(llvm.ObjectFileRef.from_data(body))
        return True

    def _compile(self, engine: Any, module: ir.Module, path: Path, level: int) -> None:
        module.triple = llvm.get_default_triple()
        parsed = llvm.parse_assembly(str(module))
        parsed.verify()
        target = machine()[0]
        passes = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(speed_level=level))
        passes.getModulePassManager().run(parsed, passes)
        body = target.emit_object(parsed)
        engine.add_object_file(llvm.ObjectFileRef.from_data(body))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.tmp")
            aside.write_bytes(body + hashlib.blake2s(body, digest_size=16).digest())
            aside.replace(path)
        except OSError:
            pass  # a read-only or full disk costs the next process a compilation, nothing else


@cache
def library() -> Library:
    """The library in the cache folder."""
    from prover.cache import folder

    return Library(folder())


def function(engine: Any, name: str, arguments: int) -> Callable[..., None]:
    """A function of an engine that takes that many 64-bit integers (addresses among them). Thread-safe."""
    found = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)(engine.get_function_address(name))
    found.engine = engine  # the code lives as long as whoever may call it
    return found
