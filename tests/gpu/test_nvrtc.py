"""Every kernel compiles for every kind of card, without warnings and without registers in memory."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from gpu import device
from gpu.device import source

FILES = sorted(path.name for path in (Path(device.__file__).parent / "kernels").glob("*.cu"))
ARCHITECTURES = ("sm_80", "sm_89", "sm_90", "sm_100")
SHARED = 48 << 10  # what a kernel may declare without asking the driver


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("file", FILES)
def test_kernels_compile_and_fit(nvrtc: ModuleType, emulator: ModuleType, file: str, architecture: str) -> None:
    kernels = nvrtc.compile_source(source(file), architecture)
    assert set(kernels) == set(emulator.entries(source(file)))
    for name, taken in kernels.items():
        assert taken.spilled == taken.stack == 0, f"{name}: {taken}"
        assert taken.registers <= 128, f"{name}: {taken}"
        assert taken.shared <= SHARED, f"{name}: {taken}"


def test_resources_are_read(nvrtc: ModuleType) -> None:
    text = """
    extern "C" __global__ void adds(unsigned *x) { x[threadIdx.x] += 1; }
    extern "C" __global__ void shares(unsigned *x) {
        __shared__ unsigned y[512];
        y[threadIdx.x] = x[threadIdx.x];
        __syncthreads();
        x[threadIdx.x] = y[threadIdx.x ^ 1];
    }
    extern "C" __global__ void indexes(unsigned *x, unsigned n) {
        unsigned y[64];
        for (unsigned k = 0; k < 64; k++) y[k] = k;
        for (unsigned k = 0; k < n; k++) y[x[k] % 64] += x[k];
        x[0] = y[x[1] % 64];
    }
    """
    kernels = nvrtc.compile_source(text, "sm_90")
    assert set(kernels) == {"adds", "shares", "indexes"}
    assert kernels["adds"].shared == 0
    assert 0 < kernels["adds"].registers < 32
    assert kernels["shares"].shared == 2048
    assert kernels["indexes"].stack >= 256


@pytest.mark.parametrize("text", ['extern "C" __global__ void x(unsigned *p) { p[0] = q; }', "static int unused;"])
def test_errors_and_warnings_are_raised(nvrtc: ModuleType, text: str) -> None:
    with pytest.raises(nvrtc.CompileError):
        nvrtc.compile_source(text, "sm_90")
