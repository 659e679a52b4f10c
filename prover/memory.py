"""Memory of a proof, known before it starts: a run that cannot fit is refused with the figure."""

from __future__ import annotations

from pathlib import Path

from air.layout import SECURE, Air
from prover.merkle import HIDDEN_FROM, HIDDEN_LEVELS
from verifier.config import PcsConfig, tree_height

_CELL = 4  # bytes of an M31 value
_DIGEST = 32
_KERNELS = 280 << 20  # interpreter, compiler and compiled kernels, of which a first run needs most


def estimate(air: Air, config: PcsConfig) -> int:
    """Peak bytes of `prove` on the CPU, the trace columns included and counted once.

    It lies either where the composition is sampled, with every tree still holding coefficients, or in FRI, when these
    are gone and the quotients with their layers are there.
    """
    blowup, kept = 1 << config.log_blowup_factor, bool(air.relations)
    lifting = config.lifting_log(air.log_size)
    secure = SECURE * _CELL
    resident = released = 0
    for index, sizes in enumerate((*air.tree_log_sizes, (air.log_size,) * (2 * SECURE))):
        values = 1 if kept and index < 2 else 0
        resident += sum(_CELL * blowup << size for size in sizes) + _hashes(tree_height(sizes, config))
        released += sum(_CELL * (1 + values) << size for size in sizes)
    sampling = released + (secure << (air.log_size + 1))
    # The quotients, their extension, and all folds of it (as much again), each with its tree; twiddles both ways.
    folding = (3 * secure << lifting) + 2 * _hashes(lifting) + (2 * _CELL << lifting)
    return _KERNELS + resident + max(sampling, folding)


def _hashes(height: int) -> int:
    """Bytes of a tree; high ones keep no digest of their four lowest layers."""
    return 2 * _DIGEST << (height - HIDDEN_LEVELS if height >= HIDDEN_FROM else height)


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
