"""Where the shipped words are, and a device to prove on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import octoproof


@pytest.fixture(scope="session")
def words_file() -> Path:
    return Path(octoproof.__file__).parent / "data" / "words.npz"


@pytest.fixture(scope="session")
def device() -> Iterator[Any]:
    from octoproof.device import backend

    with backend(2) as opened:
        yield opened
