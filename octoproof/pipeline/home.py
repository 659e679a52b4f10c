"""Where the job store is, if nobody says otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def default_store() -> Path:
    """$OCTOPROOF_STORE, else a folder among the user's data."""
    named = os.environ.get("OCTOPROOF_STORE")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "octoproof" / "jobs"
