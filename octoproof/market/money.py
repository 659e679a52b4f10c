"""Money: integers in the smallest unit, shares in basis points, and moves between accounts that lose nothing.

Every division rounds down, and whoever is named first gets what is left over, so that parts add up to the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from octoproof.market.errors import MarketError, RuleError

BPS = 10_000
PPM = 1_000_000
TOKEN = 10**18  # smallest units in one OCTO or OCTO-W
MAX_AMOUNT = (1 << 128) - 1  # times BPS it still fits in a u256
MAX_COUNT = (1 << 40) - 1  # of requests, proofs, milliseconds: products of two fit in a u128

# Of what is not refunded. The first of each gets what rounding leaves over.
FEES: Mapping[str, Mapping[str, int]] = {
    "quota": {"seller": 10_000},
    "agent": {"developer": 7_000, "orchestrator": 1_500, "treasury": 1_000, "reputation": 500},
}


@dataclass(frozen=True)
class Move:
    """An amount that goes from one account to another."""

    source: str
    target: str
    amount: int


def whole(value: int, where: str, low: int = 0, high: int = MAX_AMOUNT) -> int:
    """The value itself, an integer within its bounds. Raises MarketError."""
    if type(value) is not int or not low <= value <= high:
        raise MarketError(f"{where}: {value!r} is no whole number from {low} to {high}")
    return value


def share(amount: int, bps: int) -> int:
    """So many basis points of an amount, rounded down. Raises MarketError."""
    return whole(amount, "amount") * whole(bps, "basis points", 0, BPS) // BPS


def split(amount: int, shares: Mapping[str, int]) -> dict[str, int]:
    """An amount in parts by basis points that add up to 10,000; they add up to the amount. Raises MarketError."""
    if sum(shares.values()) != BPS:
        raise MarketError(f"shares: they add up to {sum(shares.values())} basis points, not {BPS}")
    parts = {name: share(amount, bps) for name, bps in shares.items()}
    first = next(iter(parts))
    parts[first] += amount - sum(parts.values())
    return parts


def carry_out(balances: Mapping[str, int], moves: tuple[Move, ...]) -> dict[str, int]:
    """Balances after these moves, one after the other; their sum stays the same.

    Raises RuleError where an account does not hold what it should give."""
    after = dict(balances)
    for move in moves:
        amount, held = whole(move.amount, "move.amount"), after.get(move.source, 0)
        if held < amount:
            raise RuleError(f"{move.source}: holds {held}, but {amount} are to go to {move.target}")
        after[move.source] = held - amount
        after[move.target] = after.get(move.target, 0) + amount
    return after
