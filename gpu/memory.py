"""Memory of a proof on a card, known before it starts: a run that cannot fit is refused with the figures."""

from __future__ import annotations

from air.layout import SECURE, Air
from gpu.blake2s import tree_words
from gpu.device import Device
from prover.merkle import HIDDEN_FROM, HIDDEN_LEVELS
from verifier.config import PcsConfig, tree_height

_CELL = 4  # bytes of an M31 value
_OTHER = 256 << 20  # loaded kernels, tables of addresses and constants, and what the pool cannot use


def estimate(air: Air, config: PcsConfig) -> int:
    """Peak bytes of `prove` on a card, the trace columns included and counted once.

    It lies either where the composition is sampled, with every tree still holding coefficients, or in FRI, when these
    are gone and the quotients with their layers are there. A tree 0 that was committed before is counted too."""
    return _OTHER + resident(air, config)


def resident(air: Air, config: PcsConfig) -> int:
    """The part of the estimate that grows with the AIR."""
    blowup, kept = 1 << config.log_blowup_factor, bool(air.relations)
    lifting = config.lifting_log(air.log_size)
    secure = SECURE * _CELL
    extended = released = first = 0
    trees = (*air.tree_log_sizes, (air.log_size,) * (2 * SECURE))
    for index, sizes in enumerate(trees):
        values = 1 if kept and index < 2 else 0
        extended += sum(_CELL * blowup << size for size in sizes) + _digests(tree_height(sizes, config))
        released += sum(_CELL * (1 + values) << size for size in sizes)
        first = released if index == 0 else first  # tree 0 may serve other proofs, and stays as it is
    # Smaller components' constraints are summed apart, before the composition's coefficients take their place.
    apart = sum(2 * secure << size for size in {c.log_size for c in air.components})
    composing = released - sum(_CELL << size for size in trees[-1]) + apart
    # The quotients and their extension, whose layers are as large again, each with its tree.
    folding = first + (secure << (lifting - config.log_blowup_factor)) + 2 * (secure << lifting) + 2 * _digests(lifting)
    twiddles = (3 * _CELL) << (max(lifting, 12) - 1)  # both ways, and a shorter heap until the longest is there
    return extended + twiddles + max(released, composing, folding)


def _digests(height: int) -> int:
    """Bytes of a tree; high ones keep no digest of their four lowest layers."""
    return _CELL * tree_words(height - HIDDEN_LEVELS if height >= HIDDEN_FROM else height)


def check_memory(air: Air, config: PcsConfig, device: Device) -> None:
    """Raises MemoryError naming both figures if the proof would not fit."""
    needed, free = estimate(air, config), device.free_memory()
    if needed > free:
        raise MemoryError(
            f"the proof needs about {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB of the card are free; "
            "use a smaller segment, a smaller blow-up, a larger card or --device cpu"
        )
