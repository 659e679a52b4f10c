"""Purchases: the price in escrow until it is released, refunded or disputed (MKT-02, MKT-20; R21).

The seller owes a delivery: the proven figures of its service, from which the refund follows. Then the buyer owes an
answer: to accept, or to dispute. Silence counts against whoever owes: without a delivery all is refunded, without an
answer what the delivery says is paid. A dispute needs a delivery, so that a claim that fails never pays for nothing.

`cancelled` and `partially_refunded` are ours: for an offer that was never paid, and for an outcome that has no state in
the source.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from octoproof.market.arbitration import CHALLENGE_S, DELIVERY_S, ESCROW_S
from octoproof.market.errors import MarketError
from octoproof.market.machine import ANYONE, Machine, Transition
from octoproof.market.money import BPS, MAX_COUNT, whole

INITIATED, ESCROWED, DISPUTED = "initiated", "escrowed", "disputed"
COMPLETED, REFUNDED, CONFIRMED = "completed", "refunded", "confirmed"
PARTIALLY_REFUNDED, CANCELLED = "partially_refunded", "cancelled"
STATES = (INITIATED, ESCROWED, DISPUTED, COMPLETED, REFUNDED, CONFIRMED, PARTIALLY_REFUNDED, CANCELLED)


@dataclass(frozen=True)
class Purchase:
    """`refund_bps` is what the buyer gets back as things stand; `deadline` the last second of who owes the next move.

    `in_default`: the seller let the time for its delivery pass, which is the offence "timeout"."""

    buyer: str
    seller: str
    price: int
    deadline: int
    state: str = INITIATED
    delivered: bool = False
    refund_bps: int = 0
    in_default: bool = False


@dataclass(frozen=True)
class Facts:
    """What the guards look at. `refund_bps` is what would be refunded, `proven` whether a verified receipt says so."""

    purchase: Purchase
    now: int
    paid: int
    refund_bps: int
    proven: bool


GUARDS = {
    "in_time": lambda f: f.now <= f.purchase.deadline,
    "overdue": lambda f: f.now > f.purchase.deadline,
    "paid_in_full": lambda f: f.paid == f.purchase.price,
    "delivered": lambda f: f.purchase.delivered,
    "undelivered": lambda f: not f.purchase.delivered,
    "proven": lambda f: f.proven,
    "refund_none": lambda f: f.refund_bps == 0,
    "refund_partial": lambda f: 0 < f.refund_bps < BPS,
    "refund_full": lambda f: f.refund_bps == BPS,
}

PURCHASE = Machine(
    "purchase",
    STATES,
    frozenset({COMPLETED, REFUNDED, CONFIRMED, PARTIALLY_REFUNDED, CANCELLED}),
    (
        Transition(INITIATED, "escrow", ("buyer",), ("in_time", "paid_in_full"), ESCROWED),
        Transition(INITIATED, "expire", (ANYONE,), ("overdue",), CANCELLED),
        Transition(ESCROWED, "deliver", ("seller",), ("in_time", "undelivered", "proven"), ESCROWED),
        Transition(ESCROWED, "accept", ("buyer",), ("refund_none",), COMPLETED),
        Transition(ESCROWED, "accept", ("buyer",), ("refund_partial",), PARTIALLY_REFUNDED),
        Transition(ESCROWED, "accept", ("buyer",), ("refund_full",), REFUNDED),
        Transition(ESCROWED, "dispute", ("buyer",), ("in_time", "delivered"), DISPUTED),
        Transition(ESCROWED, "expire", (ANYONE,), ("overdue", "undelivered"), REFUNDED),
        Transition(ESCROWED, "expire", (ANYONE,), ("overdue", "delivered", "refund_none"), COMPLETED),
        Transition(ESCROWED, "expire", (ANYONE,), ("overdue", "delivered", "refund_partial"), PARTIALLY_REFUNDED),
        Transition(ESCROWED, "expire", (ANYONE,), ("overdue", "delivered", "refund_full"), REFUNDED),
        Transition(DISPUTED, "resolve", ("market",), ("refund_none",), CONFIRMED),
        Transition(DISPUTED, "resolve", ("market",), ("refund_partial",), PARTIALLY_REFUNDED),
        Transition(DISPUTED, "resolve", ("market",), ("refund_full",), REFUNDED),
    ),
    GUARDS,
)


def offer(buyer: str, seller: str, price: int, now: int) -> Purchase:
    """A purchase that is not paid yet. Raises MarketError: who buys from itself only buys reputation."""
    if buyer == seller:
        raise MarketError("buyer: the seller itself; a purchase needs two parties")
    return Purchase(buyer, seller, whole(price, "price", 1), whole(now, "now", high=MAX_COUNT) + ESCROW_S)


def step(
    purchase: Purchase, event: str, by: str, now: int, *, paid: int = 0, refund_bps: int = 0, proven: bool = False
) -> Purchase:
    """The purchase after an event. Raises IllegalTransition, and MarketError for figures out of their bounds.

    `refund_bps` comes with `deliver`, from the receipt, and with `resolve`, from the dispute: then the larger of both
    holds, since a claim that fails does not undo what the seller itself has shown."""
    refund = max(purchase.refund_bps, whole(refund_bps, "refund_bps", high=BPS))
    state = PURCHASE.next(purchase.state, event, by, Facts(purchase, now, paid, refund, proven))
    if event == "escrow":
        return replace(purchase, state=state, deadline=now + DELIVERY_S)
    if event == "deliver":
        return replace(purchase, state=state, delivered=True, refund_bps=refund, deadline=now + CHALLENGE_S)
    if event == "expire" and purchase.state == ESCROWED and not purchase.delivered:
        return replace(purchase, state=state, refund_bps=BPS, in_default=True)
    if event == "resolve":
        return replace(purchase, state=state, refund_bps=refund)
    return replace(purchase, state=state)
