"""Purchases and disputes with money: what each ending pays, what is refused, and what silence does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.market import dispute as disputes
from octoproof.market import listing as listings
from octoproof.market import purchase as purchases
from octoproof.market.arbitration import CHALLENGE_S, DAY_S, DELIVERY_S, ESCROW_S
from octoproof.market.case import appeal, appeal_bond, bond, close, collect, file, finish
from octoproof.market.dispute import CLOSED, DISPUTE, LONGEST_S, Dispute
from octoproof.market.errors import IllegalTransition, MarketError, RuleError
from octoproof.market.machine import ANYONE
from octoproof.market.money import BPS, Move, carry_out
from octoproof.market.purchase import PURCHASE, Purchase
from octoproof.market.slashing import MIN_STAKES, Stake

PRICE, HASH = 200, b"e" * 32
STAKE = Stake(1_000)
FUNDS = {"ann": 1_000, "bob": 1_000, "stake": STAKE.held}


def delivered(refund_bps: int = 0) -> Purchase:
    """A purchase of ann's from bob, paid at 0 and delivered at 10."""
    offered = purchases.offer("ann", "bob", PRICE, 0)
    paid = purchases.step(offered, "escrow", "buyer", 0, paid=PRICE)
    return purchases.step(paid, "deliver", "seller", 10, proven=True, refund_bps=refund_bps)


def disputed(kind: str = "timeout", refund_bps: int = 0) -> tuple[Purchase, Dispute]:
    purchase, dispute, _ = file(delivered(refund_bps), "ann", kind, 20)
    return purchase, collect(dispute, HASH, set(), 30)


def ended(dispute: Dispute, *events: tuple) -> Dispute:
    """After events (name, by, time, and what else they take)."""
    for name, by, now, *rest in events:
        dispute = disputes.step(dispute, name, by, now, **(rest[0] if rest else {}))
    return dispute


def balances(moves: tuple[Move, ...], dispute: Dispute | None = None) -> dict[str, int]:
    """What everyone holds after escrow, bonds and these moves."""
    paid = [Move("ann", "escrow", PRICE)]
    if dispute is not None:
        paid.append(Move("ann", "bonds", bond(PRICE)))
        if dispute.appellant:
            paid.append(Move({"claimant": "ann", "respondent": "bob"}[dispute.appellant], "bonds", appeal_bond(PRICE)))
    after = carry_out(FUNDS, (*paid, *moves))
    assert sum(after.values()) == sum(FUNDS.values())
    assert after["escrow"] == after.get("bonds", 0) == 0
    return after


FULL, PART = {"proven": True, "refund_bps": BPS}, {"proven": True, "refund_bps": 1_000}


@pytest.mark.parametrize(
    ("kind", "events", "ann", "bob", "slashed", "state"),
    [
        # proven: all back, and a tenth of the stake
        ("timeout", [("prove", "claimant", 40, FULL), ("execute", "stranger", 40)], 1_000, 1_000, 100, "refunded"),
        # a tenth proven: a tenth back, no slash
        ("latency_high", [("prove", "claimant", 40, PART), ("execute", "x", 40)], 820, 1_180, 0, "partially_refunded"),
        # disproven: the bond goes to the seller
        ("timeout", [("disprove", "respondent", 40, FULL), ("execute", "x", 40)], 790, 1_210, 0, "confirmed"),
        # the seller is silent
        (
            "garbage_response",
            [("expire", "x", 31 + DAY_S), ("execute", "x", 31 + DAY_S)],
            1_000,
            1_000,
            100,
            "refunded",
        ),
    ],
)
def test_what_each_ending_pays(kind, events, ann, bob, slashed, state):
    purchase, dispute = disputed(kind)
    dispute = ended(dispute, *events)
    settled = close(purchase, dispute, STAKE)
    after = balances(settled.moves, dispute)
    assert (after["ann"], after["bob"], after.get("treasury", 0)) == (ann, bob, slashed)
    assert settled.purchase.state == state
    assert settled.stake.held == after["stake"] == STAKE.held - slashed


def test_a_claimant_without_evidence_loses_its_bond():
    purchase, dispute, _ = file(delivered(), "ann", "timeout", 20)
    with pytest.raises(IllegalTransition, match="overdue fails"):
        disputes.step(dispute, "expire", "bob", 20 + DAY_S)
    dispute = ended(dispute, ("expire", "bob", 21 + DAY_S), ("execute", "bob", 21 + DAY_S))
    after = balances(close(purchase, dispute, STAKE).moves, dispute)
    assert (after["ann"], after["bob"]) == (790, 1_210)


def test_a_failed_claim_leaves_the_refund_that_the_seller_has_shown():
    purchase, dispute = disputed(refund_bps=1_000)
    dispute = ended(dispute, ("disprove", "respondent", 40, FULL), ("execute", "x", 40))
    settled = close(purchase, dispute, STAKE)
    assert settled.purchase.state == "partially_refunded"
    assert balances(settled.moves, dispute)["ann"] == 1_000 - 180 - 10


def test_the_judge_the_appeal_and_the_vote():
    purchase, dispute = disputed("garbage_response")
    dispute = ended(dispute, ("respond", "respondent", 40), ("rule_valid", "judge", 50))
    with pytest.raises(IllegalTransition, match="window_over"):  # the loser still has time
        disputes.step(dispute, "execute", "x", 50 + DAY_S)
    assert disputes.step(dispute, "execute", "x", 51 + DAY_S).state == "slashed"
    with pytest.raises(IllegalTransition, match="respondent, not for the claimant"):
        disputes.step(dispute, "appeal", "claimant", 60)
    appealed, deposit = appeal(dispute, "respondent", PRICE, 50 + DAY_S)
    assert deposit == (Move("bob", "bonds", 20),)
    with pytest.raises(IllegalTransition, match="judge_owes fails"):
        disputes.step(appealed, "rule_invalid", "judge", 60 + DAY_S)
    overruled = ended(appealed, ("rule_invalid", "vote", 60 + DAY_S), ("execute", "x", 60 + DAY_S))
    assert balances(close(purchase, overruled, STAKE).moves, overruled)["bob"] == 1_210
    upheld = ended(appealed, ("rule_valid", "vote", 60 + DAY_S), ("execute", "x", 60 + DAY_S))
    after = balances(close(purchase, upheld, STAKE).moves, upheld)
    assert (after["ann"], after["bob"], after["treasury"]) == (1_020, 980, 100)
    with pytest.raises(IllegalTransition):  # a vote is the last word
        ended(appealed, ("rule_valid", "vote", 60 + DAY_S), ("appeal", "respondent", 61 + DAY_S))


def test_a_silent_vote_leaves_the_ruling_and_nobody_pays_for_it():
    purchase, dispute = disputed("garbage_response")
    ruled = ended(dispute, ("respond", "respondent", 40), ("rule_partial", "judge", 50, {"refund_bps": 3_000}))
    appealed = ended(ruled, ("appeal", "claimant", 60))
    late = 61 + 30 * DAY_S
    over = ended(appealed, ("expire", "x", late), ("execute", "x", late))
    after = balances(close(purchase, over, STAKE).moves, over)
    assert (over.state, after["ann"], after["bob"]) == ("partial_refund", 860, 1_140)


def test_where_nobody_ever_decides_the_payment_stands_and_the_bond_comes_back():
    purchase, dispute = disputed("garbage_response")
    responded = ended(dispute, ("respond", "respondent", 40))
    late = responded.deadline + 1
    raised = ended(responded, ("expire", "x", late))
    assert (raised.level, raised.state) == ("appeal", "investigating")
    over = ended(raised, ("expire", "x", raised.deadline + 1), ("execute", "x", raised.deadline + 1))
    after = balances(close(purchase, over, STAKE).moves, over)
    assert (over.state, after["ann"], after["bob"]) == ("keep", 800, 1_200)


def test_what_people_must_judge_never_goes_the_automated_way():
    _, dispute = disputed("garbage_response")
    assert dispute.level == "evidence"
    for event, by in (("prove", "claimant"), ("disprove", "respondent")):
        with pytest.raises(IllegalTransition, match="automatic fails"):
            disputes.step(dispute, event, by, 40, proven=True, refund_bps=BPS)
    assert disputed("output_invalid")[1].level == "automated"


def test_an_unproven_claim_and_a_proof_of_nothing():
    _, dispute = disputed()
    for proven, refund in ((False, BPS), (True, 0)):
        with pytest.raises(IllegalTransition):
            disputes.step(dispute, "prove", "claimant", 40, proven=proven, refund_bps=refund)


def test_a_seller_cannot_prove_a_small_violation_to_be_rid_of_a_large_one():
    _, dispute = disputed()
    with pytest.raises(IllegalTransition, match="for the claimant, not for the respondent"):
        disputes.step(dispute, "prove", "respondent", 40, proven=True, refund_bps=1)


def test_the_steps_cannot_be_skipped():
    _, filed, _ = file(delivered(), "ann", "timeout", 20)
    for event in ("execute", "prove", "rule_valid"):
        with pytest.raises(IllegalTransition, match=f"{event} is not allowed in state filed"):
            disputes.step(filed, event, "judge", 21, proven=True, refund_bps=BPS)


def test_evidence_serves_once():
    _, dispute, _ = file(delivered(), "ann", "timeout", 20)
    with pytest.raises(IllegalTransition, match="evidence_unused fails"):
        collect(dispute, HASH, {("ann", HASH)}, 30)
    with pytest.raises(MarketError, match="5 bytes"):
        collect(dispute, b"short", set(), 30)
    taken = collect(dispute, HASH, {("eve", HASH), ("ann", b"g" * 32)}, 30)  # no one else can use it up
    with pytest.raises(IllegalTransition):
        collect(taken, b"f" * 32, set(), 31)


@pytest.mark.parametrize("filer", ["bob", "eve"])
def test_who_is_not_the_buyer_cannot_file(filer):
    with pytest.raises(IllegalTransition, match="for the buyer"):
        file(delivered(), filer, "timeout", 20)


def test_what_is_over_cannot_be_disputed_claimed_or_paid_again():
    over = purchases.step(delivered(), "accept", "buyer", 20)
    assert over.state == "completed"
    for state in PURCHASE.final:
        closed = replace(over, state=state)
        for event in PURCHASE.events:
            for by in ("buyer", "seller", "market"):
                with pytest.raises(IllegalTransition, match=f"state {state}: it is final"):
                    purchases.step(closed, event, by, 10**9)
    purchase, dispute = disputed()
    dispute = ended(dispute, ("prove", "claimant", 40, FULL), ("execute", "x", 40))
    settled = close(purchase, dispute, STAKE)
    with pytest.raises(IllegalTransition):
        close(settled.purchase, dispute, settled.stake)
    with pytest.raises(IllegalTransition):
        disputes.step(dispute, "execute", "x", 41)


def test_an_undecided_dispute_and_one_of_others_pay_nothing():
    purchase, dispute = disputed()
    with pytest.raises(RuleError, match="it is investigating"):
        close(purchase, dispute, STAKE)
    done = ended(dispute, ("prove", "claimant", 40, FULL), ("execute", "x", 40))
    with pytest.raises(RuleError, match="another purchase"):
        close(purchase, replace(done, claimant="eve"), STAKE)
    with pytest.raises(RuleError, match="it is disputed"):
        finish(purchase, STAKE)


def test_a_seller_who_delivers_nothing_refunds_and_is_slashed():
    paid = purchases.step(purchases.offer("ann", "bob", PRICE, 0), "escrow", "buyer", 0, paid=PRICE)
    with pytest.raises(IllegalTransition, match="overdue"):
        purchases.step(paid, "expire", "ann", DELIVERY_S)
    with pytest.raises(IllegalTransition, match="delivered"):  # before a delivery there is nothing to dispute
        file(paid, "ann", "timeout", 5)
    over = purchases.step(paid, "expire", "ann", DELIVERY_S + 1)
    after = balances(finish(over, STAKE).moves)
    assert (over.state, after["ann"], after["treasury"]) == ("refunded", 1_000, 100)


def test_a_buyer_who_says_nothing_pays_what_was_delivered():
    for refund, state, ann in ((0, "completed", 800), (500, "partially_refunded", 810), (BPS, "refunded", 1_000)):
        late = 10 + CHALLENGE_S
        with pytest.raises(IllegalTransition):
            purchases.step(delivered(refund), "expire", "bob", late)
        over = purchases.step(delivered(refund), "expire", "bob", late + 1)
        assert over.state == state
        assert balances(finish(over, STAKE).moves)["ann"] == ann
        with pytest.raises(IllegalTransition):  # too late by one second
            file(delivered(refund), "ann", "timeout", late + 1)
        file(delivered(refund), "ann", "timeout", late)


def test_a_delivery_is_proven_and_only_once():
    paid = purchases.step(purchases.offer("ann", "bob", PRICE, 0), "escrow", "buyer", 0, paid=PRICE)
    with pytest.raises(IllegalTransition, match="proven fails"):
        purchases.step(paid, "deliver", "seller", 1)
    with pytest.raises(IllegalTransition, match="undelivered fails"):
        purchases.step(delivered(), "deliver", "seller", 11, proven=True)


def test_offers_that_are_none():
    with pytest.raises(MarketError, match="price: 0"):
        purchases.offer("ann", "bob", 0, 0)
    with pytest.raises(MarketError, match="the seller itself"):
        purchases.offer("ann", "ann", 5, 0)
    offered = purchases.offer("ann", "bob", PRICE, 0)
    for paid in (0, PRICE - 1, PRICE + 1):
        with pytest.raises(IllegalTransition, match="paid_in_full"):
            purchases.step(offered, "escrow", "buyer", 1, paid=paid)
    lapsed = purchases.step(offered, "expire", "eve", ESCROW_S + 1)
    with pytest.raises(RuleError, match="nothing to pay out"):
        finish(lapsed, STAKE)


def test_a_claim_always_costs_something():
    assert (bond(1), appeal_bond(1)) == (1, 1)
    assert (bond(200), appeal_bond(200)) == (10, 20)


def test_a_seller_that_was_banned_meanwhile_does_not_hold_up_the_refund():
    purchase, dispute = disputed()
    done = ended(dispute, ("prove", "claimant", 40, FULL), ("execute", "x", 40))
    settled = close(purchase, done, replace(STAKE, banned=True))
    assert balances(settled.moves, done)["ann"] == 1_000
    assert settled.stake.held == STAKE.held


PARTIES = ["claimant", "respondent", "judge", "vote", "stranger"]
WAITS = [0, 0, 1, DAY_S, DAY_S + 1, 7 * DAY_S + 1, 30 * DAY_S + 1]


LONG = [("collect", "claimant"), ("respond", "respondent"), ("rule", "judge"), ("appeal", ""), ("rule", "vote")]


@st.composite
def walks(draw) -> list[tuple]:
    """So much of the longest way, then any rows of the table: by their own party or another, after how long, with what
    figures."""
    rule = st.sampled_from(["rule_valid", "rule_partial", "rule_invalid"])
    begun = []
    for event, by in LONG[: draw(st.integers(0, len(LONG)))]:
        begun.append(
            (draw(rule) if event == "rule" else event, by or draw(st.sampled_from(PARTIES[:2])), 0, 2_500, False)
        )
    by, refund = st.none() | st.sampled_from(PARTIES), st.sampled_from([0, 1, 3_333, BPS])
    step = st.tuples(st.integers(0, 59), by, st.sampled_from(WAITS), refund, st.booleans())
    return begun + draw(st.lists(step, max_size=8))


def tried(dispute: Dispute, place: int, by: str | None) -> tuple[str, str]:
    """The event and party of a row of this state, or a wrong party where one is given."""
    rows = [row for row in DISPUTE.table if row.state == dispute.state] or list(DISPUTE.table)
    row = rows[place % len(rows)]
    own = row.by[place % len(row.by)]
    return row.event, by or ("stranger" if own == ANYONE else own)


@settings(max_examples=150, deadline=None)
@given(walks(), st.sampled_from(["timeout", "garbage_response"]), st.integers(1, 10**30), st.integers(0, BPS))
def test_whatever_happens_a_dispute_ends_by_silence_and_loses_no_money(walk, kind, price, shown):
    purchase = replace(delivered(shown), price=price)
    purchase, dispute, moves = file(purchase, "ann", kind, 20)
    funds = {"ann": 3 * price + 3, "bob": price + 1, "stake": price}
    held = carry_out(funds, (Move("ann", "escrow", price), *moves))
    now = 20
    for place, party, wait, refund, proven in walk:
        now += wait
        event, by = (place, party) if isinstance(place, str) else tried(dispute, place, party)
        given_ = {"evidence": HASH, "fresh": True, "proven": proven, "refund_bps": refund}
        try:
            if event == "appeal":
                dispute, deposit = appeal(dispute, by, price, now)
                held = carry_out(held, deposit)
            else:
                dispute = disputes.step(dispute, event, by, now, **given_)
        except IllegalTransition:
            continue
    silent = 0
    while dispute.state not in CLOSED:
        event = "execute" if dispute.state in disputes.DECIDED else "expire"
        now = max(now, dispute.deadline + 1)
        dispute = disputes.step(dispute, event, "stranger", now)
        silent += 1
    assert silent <= 4
    settled = close(purchase, dispute, Stake(price))
    after = carry_out(held, settled.moves)
    assert sum(after.values()) == sum(funds.values())
    assert after["escrow"] == after["bonds"] == 0
    assert after["stake"] == settled.stake.held
    refunded = sum(move.amount for move in settled.moves if (move.source, move.target) == ("escrow", "ann"))
    assert shown * price // BPS <= refunded <= price


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, DAY_S // 2, DAY_S, 7 * DAY_S, 30 * DAY_S]), min_size=6, max_size=6), st.booleans())
def test_the_longest_dispute_is_bounded(waits, appeals):
    """Every party uses its time up to the last second, and someone calls the end of it one second later."""
    _, dispute, _ = file(delivered(), "ann", "timeout", 20)
    start, now = 20, 20
    plan = [("collect", "claimant", {"fresh": True}), ("respond", "respondent", {})]
    plan += [("rule_valid", "judge", {}), ("appeal", "respondent", {})] if appeals else []
    for (event, by, given_), wait in zip(plan, waits, strict=False):
        now = min(now + wait, dispute.deadline)
        dispute = disputes.step(dispute, event, by, now, **given_)
    while dispute.state not in CLOSED:
        now = dispute.deadline + 1 if dispute.state == "investigating" or dispute.state == "filed" else now
        dispute = disputes.step(dispute, "execute" if dispute.state in disputes.DECIDED else "expire", "x", now)
    assert now - start <= LONGEST_S + 2
    assert LONGEST_S == 40 * DAY_S


RICH = Stake(MIN_STAKES["quota"])


def test_listings():
    with pytest.raises(MarketError, match="quantity: 9"):
        listings.create("bob", "openai", 1, 9, 100, 0)
    with pytest.raises(MarketError, match="unknown 'acme'"):
        listings.create("bob", "acme", 1, 10, 100, 0)
    with pytest.raises(MarketError, match="price: 0"):
        listings.create("bob", "openai", 0, 10, 100, 0)
    with pytest.raises(MarketError, match="expires"):
        listings.create("bob", "openai", 1, 10, 100, 100)
    created = listings.create("bob", "openai", 1, 10, 100, 0)
    with pytest.raises(IllegalTransition, match="staked fails"):
        listings.step(created, "activate", "seller", 1, Stake(RICH.held - 1))
    active = listings.step(created, "activate", "seller", 1, RICH)
    with pytest.raises(IllegalTransition, match="in_stock or sells_out fails"):
        listings.step(active, "sell", "market", 1, RICH, quantity=11)
    with pytest.raises(IllegalTransition):
        listings.step(active, "sell", "market", 1, RICH, quantity=0)
    with pytest.raises(MarketError):
        listings.step(active, "sell", "market", 1, RICH, quantity=-1)
    sold = listings.step(active, "sell", "market", 100, RICH, quantity=9)
    assert (sold.state, sold.sold) == ("active", 9)
    with pytest.raises(IllegalTransition, match="above_sold"):
        listings.step(sold, "update", "seller", 1, RICH, quantity=9)
    assert listings.step(sold, "update", "seller", 1, RICH, quantity=20).quantity == 20
    assert listings.step(sold, "sell", "market", 100, RICH, quantity=1).state == "exhausted"
    with pytest.raises(IllegalTransition):
        listings.step(sold, "sell", "market", 101, RICH, quantity=1)
    assert listings.step(sold, "expire", "anyone", 101, RICH).state == "expired"
    assert listings.step(sold, "cancel", "seller", 5, RICH).state == "cancelled"
    with pytest.raises(IllegalTransition, match="for the seller, not for the buyer"):
        listings.step(sold, "cancel", "buyer", 5, RICH)
    assert listings.step(sold, "ban", "anyone", 5, replace(RICH, banned=True)).state == "cancelled"
