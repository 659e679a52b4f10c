"""Where compiled kernels are kept between runs: Numba's and our own in one folder."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """NUMBA_CACHE_DIR if it is set, else octoproof/kernels in the user's cache folder."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "octoproof" / "kernels"


def use() -> None:
    """Makes Numba keep its kernels there too; to be called before Numba is imported."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder()))
