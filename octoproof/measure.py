"""What a run cost: the highest memory use of this process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_memory() -> int | None:
    """Bytes, since this program started."""
    try:
        # getrusage would also count what the parent held before it started this process.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
