"""A dispute together with its purchase and the seller's stake: what filing costs, and where the money goes at the end.

Accounts are named `escrow`, `bonds`, `stake` and `treasury`, and after the parties. What is slashed goes to the
treasury, not to the claimant: else a seller who is about to be caught could save its stake by disputing with itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from octoproof.market import dispute as disputes
from octoproof.market import purchase as purchases
from octoproof.market.arbitration import APPEAL_BOND_BPS, BOND_BPS, evidence_named
from octoproof.market.dispute import CLOSED, KEEP, NOBODY, PARTIAL, SLASHED, VALID, Dispute
from octoproof.market.errors import MarketError, RuleError
from octoproof.market.money import Move, share
from octoproof.market.purchase import PURCHASE, Purchase
from octoproof.market.refunds import pay_out
from octoproof.market.slashing import Stake, slash

ROLE = "quota"  # of the seller, in the slashing schedule


@dataclass(frozen=True)
class Settled:
    """A purchase that is over, the stake after it, and every move of money; nothing is left in escrow or in bonds."""

    purchase: Purchase
    stake: Stake
    moves: tuple[Move, ...]


def bond(price: int) -> int:
    """What a claimant deposits: lost to the respondent if the claim fails."""
    return max(1, share(price, BOND_BPS))


def appeal_bond(price: int) -> int:
    """What an appellant deposits: lost to the other party if the vote changes nothing."""
    return max(1, share(price, APPEAL_BOND_BPS))


def file(purchase: Purchase, filer: str, kind: str, now: int) -> tuple[Purchase, Dispute, tuple[Move, ...]]:
    """The purchase in dispute, the dispute, and the deposit of the bond.

    Only the buyer files; a seller needs no claim, since a buyer's silence pays it. Raises IllegalTransition."""
    role = "buyer" if filer == purchase.buyer else "seller" if filer == purchase.seller else "stranger"
    disputed = purchases.step(purchase, "dispute", role, now)
    opened = disputes.filed(purchase.buyer, purchase.seller, kind, now)
    return disputed, opened, (Move(purchase.buyer, "bonds", bond(purchase.price)),)


def collect(dispute: Dispute, evidence: bytes, used: Collection[tuple[str, bytes]], now: int) -> Dispute:
    """Evidence by the claimant: a hash that it has not `used` in any dispute before. Raises IllegalTransition,
    MarketError.

    What others used does not count: else anyone could spoil a claim by using its evidence first. That evidence belongs
    to this purchase, its verification shows."""
    if len(evidence) != 32:
        raise MarketError(f"evidence: {len(evidence)} bytes, not the 32 of a hash")
    return disputes.step(
        dispute, "collect", "claimant", now, evidence=evidence, fresh=(dispute.claimant, evidence) not in used
    )


def appeal(dispute: Dispute, by: str, price: int, now: int) -> tuple[Dispute, tuple[Move, ...]]:
    """The dispute before the vote, and the deposit of whoever appeals. Raises IllegalTransition."""
    appealed = disputes.step(dispute, "appeal", by, now)
    account = dispute.claimant if by == "claimant" else dispute.respondent
    return appealed, (Move(account, "bonds", appeal_bond(price)),)


def close(purchase: Purchase, dispute: Dispute, stake: Stake) -> Settled:
    """Pays out a dispute that was carried out. Raises RuleError before that, IllegalTransition after it."""
    if dispute.state not in CLOSED:
        raise RuleError(f"dispute: it is {dispute.state}; only {', '.join(CLOSED)} can be paid out")
    if (dispute.claimant, dispute.respondent) != (purchase.buyer, purchase.seller):
        raise RuleError("dispute: it is about another purchase; its parties are others")
    after = purchases.step(purchase, "resolve", "market", 0, refund_bps=dispute.refund_bps)
    moves = _paid(after) + _bonds(dispute, after.price)
    if dispute.state != SLASHED:
        return Settled(after, stake, moves)
    return _slashed(after, stake, evidence_named(dispute.kind).offence, moves)


def finish(purchase: Purchase, stake: Stake) -> Settled:
    """Pays out a purchase that ended without a dispute. Raises RuleError for one that has not, or was never paid."""
    if purchase.state not in PURCHASE.final or purchase.state == purchases.CANCELLED:
        raise RuleError(f"purchase: it is {purchase.state}; there is nothing to pay out")
    if not purchase.in_default:
        return Settled(purchase, stake, _paid(purchase))
    return _slashed(purchase, stake, "timeout", _paid(purchase))


def _paid(purchase: Purchase) -> tuple[Move, ...]:
    accounts = {"buyer": purchase.buyer, "seller": purchase.seller}
    return pay_out(purchase.price, purchase.refund_bps).moves("escrow", accounts)


def _slashed(purchase: Purchase, stake: Stake, offence: str, moves: tuple[Move, ...]) -> Settled:
    if stake.banned:  # by another dispute meanwhile; the buyer must not wait for a penalty that cannot be
        return Settled(purchase, stake, moves)
    after, amount = slash(stake, ROLE, offence)
    return Settled(purchase, after, moves + ((Move("stake", "treasury", amount),) if amount else ()))


def _bonds(dispute: Dispute, price: int) -> tuple[Move, ...]:
    unfounded = dispute.decided_by == NOBODY and not dispute.stood  # nobody has said that the claim is false
    loses = dispute.state == KEEP and not unfounded
    moves = [Move("bonds", dispute.respondent if loses else dispute.claimant, bond(price))]
    if dispute.appellant:
        appellant, other = dispute.claimant, dispute.respondent
        if dispute.appellant == "respondent":
            appellant, other = other, appellant
        unchanged = _before(dispute) == (dispute.state, dispute.refund_bps)
        lost = unchanged and dispute.decided_by != NOBODY
        moves.append(Move("bonds", other if lost else appellant, appeal_bond(price)))
    return tuple(moves)


def _before(dispute: Dispute) -> tuple[str, int]:
    """How the ruling that was appealed against would have ended."""
    closed = {VALID: SLASHED, PARTIAL: "partial_refund"}.get(dispute.stood, KEEP)
    return closed, dispute.stood_bps
