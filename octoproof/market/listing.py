"""Listings of quota: created, active, then exhausted, cancelled or expired (MKT-01, MKT-05, MKT-06; R21).

`expired` is ours: without it the listing of a seller who has gone would stay for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from octoproof.market.errors import MarketError
from octoproof.market.machine import ANYONE, Machine, Transition
from octoproof.market.money import MAX_COUNT, whole
from octoproof.market.slashing import MIN_STAKES, Stake

PROVIDERS = ("openai", "anthropic", "google", "other")
MIN_QUANTITY = 10  # prompts
CREATED, ACTIVE, EXHAUSTED, CANCELLED, EXPIRED = STATES = ("created", "active", "exhausted", "cancelled", "expired")


@dataclass(frozen=True)
class Listing:
    """`quantity` prompts at `price` each, of which `sold` are sold; open until the second `expires`."""

    seller: str
    provider: str
    price: int
    quantity: int
    expires: int
    sold: int = 0
    state: str = CREATED


@dataclass(frozen=True)
class Facts:
    """What the guards look at. `quantity` is how many are bought, or the listing's new total."""

    listing: Listing
    now: int
    quantity: int
    stake: Stake


def _sold_after(facts: Facts) -> int:
    return facts.listing.sold + facts.quantity


GUARDS = {
    "in_time": lambda f: f.now <= f.listing.expires,
    "overdue": lambda f: f.now > f.listing.expires,
    "staked": lambda f: f.stake.held >= MIN_STAKES["quota"] and not f.stake.banned,
    "banned": lambda f: f.stake.banned,
    "in_stock": lambda f: f.quantity > 0 and _sold_after(f) < f.listing.quantity,
    "sells_out": lambda f: f.quantity > 0 and _sold_after(f) == f.listing.quantity,
    "above_sold": lambda f: f.quantity >= MIN_QUANTITY and f.quantity > f.listing.sold,
}

LISTING = Machine(
    "listing",
    STATES,
    frozenset({EXHAUSTED, CANCELLED, EXPIRED}),
    (
        Transition(CREATED, "activate", ("seller",), ("in_time", "staked"), ACTIVE),
        Transition(CREATED, "cancel", ("seller",), (), CANCELLED),
        Transition(CREATED, "expire", (ANYONE,), ("overdue",), EXPIRED),
        Transition(ACTIVE, "sell", ("market",), ("in_time", "staked", "in_stock"), ACTIVE),
        Transition(ACTIVE, "sell", ("market",), ("in_time", "staked", "sells_out"), EXHAUSTED),
        Transition(ACTIVE, "update", ("seller",), ("in_time", "above_sold"), ACTIVE),
        Transition(ACTIVE, "cancel", ("seller",), (), CANCELLED),
        Transition(ACTIVE, "ban", (ANYONE,), ("banned",), CANCELLED),
        Transition(ACTIVE, "expire", (ANYONE,), ("overdue",), EXPIRED),
    ),
    GUARDS,
)


def create(seller: str, provider: str, price: int, quantity: int, expires: int, now: int) -> Listing:
    """A new listing. Raises MarketError for one that could not be sold from."""
    if provider not in PROVIDERS:
        raise MarketError(f"provider: unknown {provider!r}; choose one of {', '.join(PROVIDERS)}")
    whole(price, "price", 1)
    whole(quantity, "quantity", MIN_QUANTITY, MAX_COUNT)
    whole(expires, "expires", now + 1, MAX_COUNT)
    return Listing(seller, provider, price, quantity, expires)


def step(listing: Listing, event: str, by: str, now: int, stake: Stake, quantity: int = 0) -> Listing:
    """The listing after an event. Raises IllegalTransition, MarketError for a quantity that is no count."""
    whole(quantity, "quantity", high=MAX_COUNT)
    state = LISTING.next(listing.state, event, by, Facts(listing, now, quantity, stake))
    if event == "sell":
        return replace(listing, state=state, sold=listing.sold + quantity)
    if event == "update":
        return replace(listing, state=state, quantity=quantity)
    return replace(listing, state=state)
