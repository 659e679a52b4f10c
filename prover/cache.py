"""Where compiled kernels are kept between runs: Numba's and our own in one folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def folder() -> Path:
    """NUMBA_CACHE_DIR if it is set, else a folder for this version of the sources in the user's cache.

    Numba's own key is the file that holds a kernel, but kernels are made of helpers from other files.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    sources = hashlib.blake2s()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(path.read_bytes())
    return Path(base) / "octoproof" / "kernels" / sources.hexdigest()[:16]


def use() -> None:
    """Makes Numba keep its kernels there too; to be called before Numba is imported."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder()))
