"""Memory of a proof, known before it starts: a run that cannot fit is refused with the figure."""

from __future__ import annotations

from pathlib import Path

from air.layout import SECURE, Air
from verifier.config import PcsConfig, tree_height

_CELL = 4  # bytes of an M31 value
_DIGEST = 32
_KERNELS = 150 << 20  # interpreter, compiler and compiled kernels


def estimate(air: Air, config: PcsConfig) -> int:
    """Peak bytes of `prove` on the CPU, trace columns included and counted once.

    The peak is reached while the quotients are computed: every tree is held with coefficients, extensions and hashes.
    """
    blowup = 1 << config.log_blowup_factor
    kept = bool(air.relations)
    total = _KERNELS
    for index, sizes in enumerate((*air.tree_log_sizes, (air.log_size,) * (2 * SECURE))):
        copies = 1 + blowup + (1 if kept and index < 2 else 0)
        total += sum(_CELL * copies << size for size in sizes)
        total += 2 * _DIGEST << tree_height(sizes, config)
    lifting = config.lifting_log(air.log_size)
    # The quotient column with its folds (as much again), their trees, and twiddles both ways.
    total += (2 * SECURE * _CELL + 4 * _DIGEST + 2 * _CELL) << lifting
    return total


def available() -> int | None:
    """Bytes that this process may still take, by the kernel's and the container's count; None where neither tells."""
    found = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            found.append(int(limit) - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError, IndexError):
        pass
    return min(found) if found else None


def check_memory(air: Air, config: PcsConfig) -> None:
    """Raises MemoryError naming both figures if the proof would not fit."""
    needed, free = estimate(air, config), available()
    if free is not None and needed > free:
        raise MemoryError(
            f"the proof needs about {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            "use a smaller segment, a smaller blow-up or a larger machine"
        )
