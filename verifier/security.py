"""How much a proof is worth: conjectured and proven bits, with what binds each.

*Conjectured*: every query is worth log2(1/rho) bits, as Stwo counts (pow_bits + log_blowup * n_queries). That rests on
proximity gaps up to capacity, whose strong form was refuted in 2025 (ePrint 2025/2046, 2025/2055); it is what deployed
systems assume, no more.

*Proven*: the best of two regimes for the proximity parameter gamma, each a sum over all rounds, so that one bit is one
bit of work for a forger in the random oracle model.
- Unique decoding, gamma = (1 - rho)/2: Ben-Sasson, Carmon, Ishai, Kopparty, Saraf, "Proximity gaps for Reed-Solomon
  codes" (ePrint 2020/654), Theorems 1.4 and 1.5: n/|F| a line, l n/|F| a curve of degree l.
- Johnson, gamma < 1 - sqrt(rho): Ben-Sasson, Carmon, Haboeck, Kopparty, Saraf, "On proximity gaps for Reed-Solomon
  codes" (ePrint 2025/2055), Theorem 1.5, with the larger m of its Theorem 4.2; linear in n where 2020/654 is quadratic.
Rounds are combined as in Haboeck, "A summary on the FRI low degree test" (ePrint 2022/1216), Theorem 8; that circle
codes are as good as Reed-Solomon codes is Haboeck, Levit, Papini, "Circle STARKs" (ePrint 2024/278).

The secure field has 2^124 elements, which binds `strong`: batching T quotient terms on a domain of n points costs
log2(T n) of the 124 bits, so 100 columns of 2^20 rows end near 96 bits however many queries are made. Each doubling of
rows, terms or blow-up costs one bit more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2, sqrt

from air.field import P
from air.layout import MAX_DEGREE, Air
from verifier.config import PcsConfig
from verifier.fri import FriLayer, layer_plan
from verifier.sampling import sample_counts

FIELD_BITS = 4 * log2(P)
COLLISION_BITS = 124.0  # Blake2s 128; Blake2s-M31 has 2^248 outputs, Poseidon252 2^251
SOURCES = {
    "conjectured": "pow_bits + log_blowup * n_queries, assuming proximity gaps up to capacity",
    "proven": "ePrint 2020/654 (unique decoding) or 2025/2055 (Johnson), the better of both",
}


@dataclass(frozen=True)
class Figures:
    """Bits of security. `regime` is where the proven figure comes from, `binds` the round that costs most there."""

    conjectured: float
    proven: float
    regime: str
    binds: str

    def of_parts(self, count: int) -> Figures:
        """The figures of `count` independent proofs that must all hold: a forger needs to break one."""
        less = log2(count)
        return Figures(self.conjectured - less, self.proven - less, self.regime, self.binds)


# A receipt part that opens hash trees (blake3, Blake2s) and proves nothing over them.
OPENING = Figures(128.0, 128.0, "collision resistance", "the hash of the row tree")


def security(config: PcsConfig, air: Air) -> dict[str, float | str]:
    """`figures` as people and JSON see them, rounded down to a tenth of a bit."""
    found = figures(config, air)
    return {
        "conjectured": int(found.conjectured * 10) / 10,
        "proven": int(found.proven * 10) / 10,
        "regime": found.regime,
        "binds": found.binds,
    }


@lru_cache(maxsize=64)
def figures(config: PcsConfig, air: Air) -> Figures:
    """Both figures for proofs of this AIR. The config must fit the AIR (`PcsConfig.check_fits`)."""
    degree_log = config.lifting_log(air.log_size) - config.log_blowup_factor
    regimes = [_unique_decoding(config, degree_log), *_johnson(config, degree_log)]
    terms, layers = _quotient_terms(air), layer_plan(config, degree_log)
    scored = [(*_proven(config, air, degree_log, regime, terms, layers), regime.name) for regime in regimes]
    proven, binds, name = max(scored)
    queries = float(config.pow_bits + config.log_blowup_factor * config.n_queries)
    field = min(FIELD_BITS - degree_log - config.log_blowup_factor, FIELD_BITS - log2(_lookup_degree(air) + 1))
    return Figures(min(queries, field, COLLISION_BITS), min(proven, COLLISION_BITS), name, binds)


@dataclass(frozen=True)
class _Regime:
    """A proximity parameter: its radius, the list size there, and the exceptional points of a line: a n + b."""

    name: str
    gamma: float
    list_size: float
    per_point: float
    constant: float

    def exceptional(self, domain_log: int) -> float:
        return self.per_point * 2.0**domain_log + self.constant


def _rate(config: PcsConfig, degree_log: int) -> float:
    """rho+: two more dimensions than the trace, for the openings and the circle code's dimension gap."""
    return float(2.0**degree_log + 2) / float(2.0 ** (degree_log + config.log_blowup_factor))


def _unique_decoding(config: PcsConfig, degree_log: int) -> _Regime:
    return _Regime("unique decoding", (1 - _rate(config, degree_log)) / 2, 1.0, 1.0, 0.0)


def _johnson(config: PcsConfig, degree_log: int) -> Iterator[_Regime]:
    """One regime for each m: the larger, the nearer to the Johnson radius and the more exceptional points."""
    rate = _rate(config, degree_log)
    for m in (3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 256, 512, 1024):
        gap = sqrt(rate) / m
        gamma, half = 1 - sqrt(rate) - gap, m + 0.5
        if gamma > 0:
            per_point = (2 * half**5 + 3 * half * gamma * rate) / (3 * rate**1.5)
            yield _Regime("Johnson", gamma, 1 / (2 * gap * sqrt(rate)), per_point, half / sqrt(rate))


def _proven(
    config: PcsConfig, air: Air, degree_log: int, regime: _Regime, terms: int, layers: Sequence[FriLayer]
) -> tuple[float, str]:
    """(bits, the most expensive round). Errors of the rounds are added up."""
    domain_log, field = degree_log + config.log_blowup_factor, 2.0**FIELD_BITS
    errors = {
        "lookup challenges": regime.list_size * _lookup_degree(air) / field,
        "composition coefficient": regime.list_size * air.n_constraints / field,
        # A function of the circle's L_N has at most N zeros; a constraint of degree 3 over V has fewer than 4 * 2^D.
        "out-of-domain point": regime.list_size * (MAX_DEGREE + 1) * 2.0**degree_log / field,
        "quotient batching": (terms - 1) * regime.exceptional(domain_log) / field,
        "FRI folding": sum(((1 << layer.step) - 1) * regime.exceptional(layer.domain_log) / field for layer in layers),
        "FRI queries": 2.0 ** -(config.pow_bits - config.n_queries * log2(1 - regime.gamma)),
    }
    return -log2(sum(errors.values())), max(errors, key=lambda name: errors[name])


def _quotient_terms(air: Air) -> int:
    """Samples of all columns, and one periodicity term for each column with exactly two."""
    counts = [count for tree in sample_counts(air) for count in tree]
    return sum(counts) + counts.count(2)


def _lookup_degree(air: Air) -> int:
    """Total degree in all z, alpha of the numerator of the sum of all fractions: rows times tuple length.

    Public terms are not counted: at most 2^16 of them beside the rows of a trace.
    """
    return sum(
        max(1, len(fraction.values) - 1) << component.log_size
        for component in air.components
        for fraction in component.fractions
    )
