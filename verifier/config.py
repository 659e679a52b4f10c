"""Parameters of the polynomial commitment scheme, their limits, and the named presets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from air.field import QM31
from air.layout import Air
from verifier.errors import ConfigError

if TYPE_CHECKING:
    from verifier.channel import Channel

CHANNELS = ("blake2s", "blake2s_m31", "poseidon252")
MAX_DOMAIN_LOG = 30  # the circle group has 2^31 points, and a canonic coset is a proper coset of half of them


@dataclass(frozen=True)
class PcsConfig:
    """Stwo's `PcsConfig`, flat. `lifting_log_size` is the height of every tree; None means the largest column's."""

    pow_bits: int
    log_blowup_factor: int
    log_last_layer_degree_bound: int
    n_queries: int
    fold_step: int = 1
    lifting_log_size: int | None = None

    def mix_into(self, channel: Channel) -> None:
        """Binds every parameter to the transcript (PROTOCOL 6)."""
        first = QM31(self.pow_bits, self.log_blowup_factor, self.n_queries, self.log_last_layer_degree_bound)
        channel.mix_felts([first, QM31(self.fold_step, self.lifting_log_size or 0)])

    def lifting_log(self, trace_log: int) -> int:
        """L: log size of the domain on which the quotients live, given the largest component's log size."""
        return trace_log + self.log_blowup_factor if self.lifting_log_size is None else self.lifting_log_size

    def check(self) -> None:
        """Limits of the numbers themselves. Zero queries, or a blow-up of one, would prove nothing (ANCHORS E20)."""
        _within("pow_bits", self.pow_bits, 0, 60)
        _within("log_blowup_factor", self.log_blowup_factor, 1, 16)
        _within("log_last_layer_degree_bound", self.log_last_layer_degree_bound, 0, 10)
        _within("n_queries", self.n_queries, 1, 1024)
        _within("fold_step", self.fold_step, 1, 16)
        if self.lifting_log_size is not None:
            _within("lifting_log_size", self.lifting_log_size, 1, MAX_DOMAIN_LOG)

    def check_fits(self, air: Air) -> None:
        """Limits given the columns of an AIR: domains exist, trees have one height, FRI has something to fold."""
        self.check()
        trees, blowup = air.tree_log_sizes, self.log_blowup_factor
        lifting = self.lifting_log(air.log_size)
        if max(lifting, tree_height(trees[0], self)) > MAX_DOMAIN_LOG:
            raise ConfigError(f"config: an evaluation domain exceeds 2^{MAX_DOMAIN_LOG}; lower log_blowup_factor")
        if lifting - blowup < self.fold_step + self.log_last_layer_degree_bound:
            raise ConfigError("config: trace too small for fold_step and log_last_layer_degree_bound")
        for index, tree in enumerate(trees):
            tallest = max(tree, default=0) + blowup
            if self.lifting_log_size is not None and tree and tallest > lifting:
                raise ConfigError(f"config: lifting_log_size {lifting} is below a column of tree {index}")
            # Queries address all trees but the first by positions of the lifting domain, without a map between them.
            if self.lifting_log_size is None and index > 0 and tallest != lifting:
                raise ConfigError(f"config: tree {index} is lower than the others; set lifting_log_size")


def tree_height(log_sizes: Sequence[int], config: PcsConfig) -> int:
    """Height of the lifted Merkle tree over columns of these log sizes; 0 without columns."""
    if not log_sizes:
        return 0
    return max(log_sizes) + config.log_blowup_factor if config.lifting_log_size is None else config.lifting_log_size


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"config: {name} is {value}, must be {low}..{high}")


# DESIGN 4. `strong` is argued in `security`, the two for Starknet in docs/chain.md; these share a blow-up, so that one
# column root serves both. `test` and `bench` are refused by default.
PRESETS = MappingProxyType(
    {
        "test": PcsConfig(pow_bits=2, log_blowup_factor=1, log_last_layer_degree_bound=0, n_queries=3),
        "bench": PcsConfig(pow_bits=10, log_blowup_factor=1, log_last_layer_degree_bound=0, n_queries=3),
        "standard": PcsConfig(pow_bits=20, log_blowup_factor=1, log_last_layer_degree_bound=0, n_queries=76),
        "stwo96": PcsConfig(pow_bits=26, log_blowup_factor=1, log_last_layer_degree_bound=0, n_queries=70),
        "strong": PcsConfig(pow_bits=26, log_blowup_factor=1, log_last_layer_degree_bound=0, n_queries=180),
        "onchain": PcsConfig(26, log_blowup_factor=5, log_last_layer_degree_bound=5, n_queries=14, fold_step=3),
        "onchain-proven": PcsConfig(26, log_blowup_factor=5, log_last_layer_degree_bound=5, n_queries=23, fold_step=4),
    }
)


def preset_name(config: PcsConfig) -> str | None:
    """The preset this configuration is, lifting aside."""
    for name, preset in PRESETS.items():
        if config == preset:
            return name
    return None
