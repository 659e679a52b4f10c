"""The devices to test on, the compiler for cards, and random columns."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from air.field import QM31, P
from gpu.device import CupyDevice, Device


def _helper(name: str) -> ModuleType:
    """A module that lies beside this file, loaded once."""
    full = f"gpu_tests_{name}"
    if full not in sys.modules:
        description = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert description is not None
        assert description.loader is not None
        sys.modules[full] = importlib.util.module_from_spec(description)
        description.loader.exec_module(sys.modules[full])
    return sys.modules[full]


@pytest.fixture(scope="session")
def emulator() -> ModuleType:
    """The module `emulator`; without the compiler of the wheel `ziglang` nothing can be emulated."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("the wheel ziglang is not installed")
    return _helper("emulator")


def _has_card() -> bool:
    try:
        CupyDevice()
    except (ImportError, RuntimeError):
        return False
    return True


@pytest.fixture(scope="session", params=["emulated", "card"] if _has_card() else ["emulated"])
def shared_device(request: pytest.FixtureRequest) -> Device:
    return CupyDevice() if request.param == "card" else request.getfixturevalue("emulator").EmulatedDevice()


@pytest.fixture
def device(shared_device: Device) -> Iterator[Device]:
    """The emulated device, and in turn the card where there is one.

    After a test on the emulated device nothing may have been written outside any array.
    """
    yield shared_device
    if not isinstance(shared_device, CupyDevice):
        shared_device.check()


@pytest.fixture(scope="session")
def nvrtc() -> ModuleType:
    """The module `nvrtc`."""
    module = _helper("nvrtc")
    if not module.available():
        pytest.skip("the wheel nvidia-cuda-nvrtc-cu12 is not installed")
    return module


@pytest.fixture(scope="session")
def columns() -> Callable[..., np.ndarray]:
    """columns(seed, *shape): canonical values; one seed in three gives only the extreme ones."""

    def make(seed: int, *shape: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        if seed % 3 == 0:
            return rng.choice(np.array([0, 1, 2, P // 2, P - 2, P - 1], dtype=np.uint32), shape)
        return rng.integers(0, P, shape, dtype=np.uint32)

    return make


@pytest.fixture(scope="session")
def secure(columns: Callable[..., np.ndarray]) -> Callable[..., list[QM31]]:
    """secure(seed, count): secure field elements."""
    return lambda seed, count: [QM31.of(row) for row in columns(seed, count, 4).tolist()]
