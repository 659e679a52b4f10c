"""Random columns and the recorded vectors of Stwo for the kernel tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from air.field import QM31, P

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    return lambda name: json.loads((VECTORS / f"{name}.json").read_text())


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
