"""Where signed transactions, deployments and the local node are remembered, if nobody says otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def chain_home() -> Path:
    """$OCTOPROOF_CHAIN, else a folder among the user's data; made if it is missing, for this user alone."""
    named = os.environ.get("OCTOPROOF_CHAIN")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    home = Path(named) if named else Path(data) / "octoproof" / "chain"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home
