"""Bytes that the stages of a proof move through a card's memory at least: what achieved bandwidth is measured by.

Every column is counted as often as kernels read or write it, caches and scattered accesses aside. Tables, twiddles and
upper layers of trees, a hundredth of a stage, are left out, and so are grinding and openings, which move next to
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from air.layout import SECURE, Air, ComponentLayout
from gpu.compile import steps
from gpu.fft import TILE_LOG, layer_passes
from verifier.config import PcsConfig

_CELL = 4  # bytes of an M31 value


def traffic(air: Air, config: PcsConfig) -> dict[str, int]:
    """Bytes by the names of `prove`'s phases, and of the trace's making."""
    blowup, lifting, largest = config.log_blowup_factor, config.lifting_log(air.log_size), air.log_size
    tree0, main, *interaction = air.tree_log_sizes
    coordinates = [largest] * (2 * SECURE)
    found = {"making the trace": _cells(main), "trace": _commit(main, blowup, bool(air.relations))}
    if tree0:
        found["preprocessed"] = _commit(tree0, blowup, bool(air.relations))
    for sizes in interaction:
        using = [c for c in air.components if c.fractions]
        read = [c.log_size for c in using for _ in (*c.preprocessed, *c.masks)]
        summed = [c.log_size for c in using for _ in range(4 * SECURE)]  # two passes that read and write
        found["interaction"] = _cells([*read, *sizes, *summed]) + _commit(sizes, blowup, False)
    sums = [c.log_size + 1 for c in air.components for _ in range(SECURE * (2 * len(steps(c, "composition")) - 1))]
    used = [c.log_size + 1 for c in air.components for _ in range(_width(c))]
    found["constraints"] = _cells([*used, *sums]) + _transforms([largest + 1] * SECURE)
    found["composition"] = _evaluation(coordinates, blowup) + _hashing(coordinates, blowup)
    masks = [mask for tree in air.tree_masks for mask in tree]
    sampled = [n for n, mask in zip(_joined(air), masks, strict=True) for _ in mask] + coordinates
    found["sampling"] = _cells(sampled)
    quotients = [lifting - blowup] * SECURE
    found["quotients"] = _cells([*sampled, *quotients]) + _transforms(quotients) + _evaluation(quotients, blowup)
    # A layer is hashed and folded, and half as much is written; all layers together are twice the first.
    found["fri"] = 5 * _cells([lifting] * SECURE)
    return found


def _joined(air: Air) -> list[int]:
    return [n for tree in air.tree_log_sizes for n in tree]


def _width(component: ComponentLayout) -> int:
    return len(component.preprocessed) + len(component.masks) + SECURE * component.n_interaction


def _cells(log_sizes: Iterable[int]) -> int:
    return sum(_CELL << n for n in log_sizes)


def _launches(log_size: int) -> int:
    """Passes over a column of one transform."""
    return 1 + len(layer_passes(log_size - TILE_LOG)) if log_size > TILE_LOG else 1


def _transforms(log_sizes: Iterable[int]) -> int:
    """Transforms in place."""
    return sum((2 * _CELL << n) * _launches(n) for n in log_sizes)


def _evaluation(log_sizes: Iterable[int], blowup: int) -> int:
    """Coefficients to the blown-up domain: each of its blocks is a transform."""
    return _transforms(log_sizes) << blowup


def _hashing(log_sizes: Iterable[int], blowup: int) -> int:
    return _cells(log_sizes) << blowup


def _commit(log_sizes: Iterable[int], blowup: int, keep: bool) -> int:
    """Interpolation, evaluation and leaves; with `keep`, a copy first."""
    sizes = list(log_sizes)
    copied = 2 * _cells(sizes) if keep else 0
    # Above a tile, the last pass back and the first one forward are one launch (`fft.extend`), without reading between.
    turned = _cells(n for n in sizes if n > TILE_LOG) << blowup
    return copied + _transforms(sizes) + _evaluation(sizes, blowup) - turned + _hashing(sizes, blowup)
