"""Slashing: what each offence costs whom, of which stake, and when it ends in a ban (MKT-40, section 6.4; R18, R19).

Penalties are basis points of the original stake: what was staked at the first offence. They are capped at what is left,
and whoever has lost half of the original stake is banned. The fourth offence of a quota seller is the last.

A stake that is raised after the first offence raises the base too: else one could be caught with little at stake, and
then sell much for penalties out of that little.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from octoproof.market.errors import MarketError, RuleError
from octoproof.market.money import BPS, MAX_COUNT, TOKEN, share, whole

FIRST_OFFENCE_BPS, GROWTH_BPS, BAN_BPS = 1_000, 15_000, 5_000


def _growing() -> tuple[int, ...]:
    """Penalties of the first, second, ... offence, up to the one that bans."""
    penalties = [FIRST_OFFENCE_BPS]
    while sum(penalties) < BAN_BPS:
        penalties.append(penalties[-1] * GROWTH_BPS // BPS)
    return tuple(penalties)


GROWING = _growing()  # 10, 15, 22.5 and 33.75 %


@dataclass(frozen=True)
class Offence:
    """What an offence costs, by how many the stake has had before; the last figure holds for all that follow.

    `per` is the time that `units` count where the penalty runs on; `ban` ends the role whatever is left."""

    penalties_bps: tuple[int, ...]
    per: str = ""
    ban: bool = False


@dataclass(frozen=True)
class Stake:
    """What a party has at stake in one role. `base` is 0 before the first offence."""

    held: int
    base: int = 0
    lost: int = 0
    offences: int = 0
    banned: bool = False


SCHEDULE: dict[str, dict[str, Offence]] = {
    "quota": {
        "failed_response": Offence(GROWING),
        "timeout": Offence(GROWING),
        "garbage_data": Offence(GROWING),
        "false_log": Offence(GROWING),  # not what both signed
    },
    "compute": {
        "sybil": Offence((10_000,), ban=True),
        "invalid_work": Offence((2_500,)),
        "downtime": Offence((500,), per="hour"),
        "price_manipulation": Offence((5_000,)),
    },
    "storage": {
        "data_loss_part": Offence((5_000,)),
        "data_loss_total": Offence((10_000,)),
        "privacy_breach": Offence((10_000,), ban=True),
        "invalid_proof": Offence((2_500,)),
        "downtime_day": Offence((1_000,)),
    },
    "bandwidth": {
        "throttling": Offence((2_500,)),
        "data_manipulation": Offence((10_000,)),
        "downtime": Offence((500,), per="hour"),
        "privacy_breach": Offence((10_000,)),
    },
    "data": {
        "fake": Offence((10_000,), ban=True),
        "privacy_breach": Offence((10_000,)),
        "inaccurate": Offence((5_000,)),
        "unauthorised_sharing": Offence((7_500,)),
    },
    "orchestrator": {
        "fraud": Offence((10_000,), ban=True),
        "collusion": Offence((7_500,)),
        "poor_routing": Offence((2_500,)),
        "data_breach": Offence((10_000,)),
    },
    "validator": {
        "double_sign": Offence((10_000,)),
        "liveness": Offence((100,), per="hour"),
        "censorship": Offence((5_000,)),
        "invalid_state": Offence((2_500,)),
    },
    "rpc": {
        "data_manipulation": Offence((10_000,)),
        "downtime": Offence((1_000,), per="day"),
        "response_manipulation": Offence((5_000,)),
    },
    "defi_agent": {
        "no_proof": Offence((5_000,)),
        "invalid_proof": Offence((10_000,)),
        "strategy_deviation": Offence((7_500,)),
        "late_proof": Offence((0, 1_000)),  # a warning, then a penalty; its figure is ours
    },
}

# Smallest units of OCTO; the quota seller's figure is ours, the source leaves it open.
MIN_STAKES = {
    "quota": 1_000 * TOKEN,
    "storage_10gb": 100 * TOKEN,
    "storage_100gb": 1_000 * TOKEN,
    "storage_1tb": 10_000 * TOKEN,
    "storage_10tb": 100_000 * TOKEN,
    "data_public": 100 * TOKEN,
    "data_shared": 500 * TOKEN,
    "data_confidential": 1_000 * TOKEN,
    "validator": 10_000 * TOKEN,
    "rpc": 1_000 * TOKEN,
    "archive": 500 * TOKEN,
}


def deposit(stake: Stake, amount: int) -> Stake:
    """The stake with so much more. Raises RuleError for one that is banned, MarketError for no amount."""
    if stake.banned:
        raise RuleError("stake: banned; it cannot be raised")
    return replace(stake, held=whole(stake.held + whole(amount, "amount", 1), "stake"))


def withdraw(stake: Stake, amount: int, open_purchases: int) -> Stake:
    """The stake with so much less. Raises RuleError while a purchase is open: the stake answers for each to its end."""
    if whole(open_purchases, "open_purchases", high=MAX_COUNT):
        raise RuleError(f"stake: it answers for {open_purchases} open purchases; withdraw when they are over")
    if whole(amount, "amount", 1) > stake.held:
        raise RuleError(f"stake: holds {stake.held}, less than {amount}")
    return replace(stake, held=stake.held - amount)


def slash(stake: Stake, role: str, offence: str, units: int = 1) -> tuple[Stake, int]:
    """The stake after an offence, and how much it cost. `units` counts hours or days where the penalty is by time.

    Raises MarketError for what the schedule does not have, RuleError for a stake that is banned already."""
    if offence not in SCHEDULE.get(role, {}):
        known = ", ".join(SCHEDULE.get(role, SCHEDULE))
        raise MarketError(f"offence: {role}.{offence} is not in the schedule; known are {known}")
    if stake.banned:
        raise RuleError(f"stake: banned after {stake.offences} offences; there is nothing left to decide")
    rule = SCHEDULE[role][offence]
    if whole(units, "units", 1, MAX_COUNT) > 1 and not rule.per:
        raise MarketError(f"units: {units}, but {role}.{offence} is not counted by time")
    base = max(stake.base, stake.held)
    bps = rule.penalties_bps[min(stake.offences, len(rule.penalties_bps) - 1)]
    amount = min(stake.held, share(base, min(BPS, bps * units)))
    lost = stake.lost + amount
    banned = rule.ban or lost * BPS >= base * BAN_BPS
    after = replace(stake, held=stake.held - amount, base=base, lost=lost, offences=stake.offences + 1, banned=banned)
    return after, amount
