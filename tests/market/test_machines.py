"""The three tables: no state without an exit, no choice between two rows, and everything else refused by name."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import product

import pytest

from octoproof.market import dispute, listing, purchase
from octoproof.market.arbitration import EVIDENCE_KINDS, LEVELS
from octoproof.market.dispute import DISPUTE, Dispute
from octoproof.market.errors import IllegalTransition
from octoproof.market.listing import LISTING, Listing
from octoproof.market.machine import ANYONE, Machine
from octoproof.market.purchase import PURCHASE, Purchase
from octoproof.market.slashing import MIN_STAKES, Stake

MACHINES = [LISTING, PURCHASE, DISPUTE]
PARTIES = ["buyer", "seller", "market", "claimant", "respondent", "judge", "vote", "stranger"]
machines = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)


def facts_of(machine: Machine, state: str) -> list:
    """Facts at and around every edge that a guard looks at."""
    return _facts(machine.name, state)


@cache
def _facts(machine: str, state: str) -> list:
    times = [10, 11]
    if machine == LISTING.name:
        stakes = [Stake(0), Stake(MIN_STAKES["quota"]), Stake(MIN_STAKES["quota"], banned=True)]
        made = [Listing("s", "other", 1, 20, 10, sold, state) for sold in (0, 12, 19)]
        return [listing.Facts(x, t, q, s) for x, t, q, s in product(made, times, (0, 1, 8, 9, 20, 21), stakes)]
    refunds = [0, 9_999, 10_000]
    if machine == PURCHASE.name:
        made = [Purchase("b", "s", 7, 10, state, delivered, r) for delivered, r in product((False, True), refunds)]
        return [
            purchase.Facts(x, t, paid, max(x.refund_bps, r), proven)
            for x, t, paid, r, proven in product(made, times, (0, 6, 7, 8), refunds, (False, True))
        ]
    owing = {"automated": "respondent", "evidence": "respondent", "arbitration": "judge", "appeal": "vote"}
    made = [
        Dispute("b", "s", kind, level, 10, owing[level], state, decided_by=decided, stood=stood)
        for kind, level, decided, stood in product(
            ("timeout", "garbage_response"), LEVELS, ("proof", "ruling"), ("", "valid", "invalid", "partial")
        )
    ]
    flags = product(made, times, refunds, (False, True), (False, True))
    return [dispute.Facts(x, t, r, proven, fresh) for x, t, r, proven, fresh in flags]


def step(machine: Machine, state: str, event: str, by: str, facts) -> str | None:
    try:
        return machine.next(state, event, by, facts)
    except IllegalTransition:
        return None


@machines
def test_the_table_is_closed(machine):
    states = set(machine.states)
    assert len(states) == len(machine.states)
    assert {row.state for row in machine.table} == states - machine.final
    assert {row.next for row in machine.table} <= states
    assert {guard for row in machine.table for guard in row.guards} == set(machine.guards)


@machines
def test_every_state_is_reached_and_every_state_has_a_way_out(machine):
    forward, back = defaultdict(set), defaultdict(set)
    for row in machine.table:
        forward[row.state].add(row.next)
        back[row.next].add(row.state)

    def closure(edges, start):
        seen, todo = set(start), list(start)
        while todo:
            new = edges[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    assert closure(forward, {machine.states[0]}) == set(machine.states)
    assert closure(back, machine.final) == set(machine.states)


@machines
def test_time_alone_leads_out_of_every_state(machine):
    """Anyone may end the wait for a party that is silent; a purchase in dispute waits for the dispute, which ends."""
    for state in set(machine.states) - machine.final - {purchase.DISPUTED}:
        open_to_all = {row.event for row in machine.table if row.state == state and ANYONE in row.by}
        assert open_to_all & {"expire", "execute"}, state


@machines
def test_rows_of_one_event_exclude_each_other(machine):
    for state in set(machine.states) - machine.final:
        rows = [row for row in machine.table if row.state == state]
        parties = {party for row in rows for party in row.by} - {ANYONE} | {"stranger"}
        for facts in facts_of(machine, state):
            true = [row for row in rows if all(machine.guards[guard](facts) for guard in row.guards)]
            for event, by in product({row.event for row in rows}, parties):
                hold = [row for row in true if row.event == event and (by in row.by or ANYONE in row.by)]
                assert len(hold) <= 1, (state, event, by, facts)
                assert step(machine, state, event, by, facts) == (hold[0].next if hold else None)


@machines
def test_expiry_and_the_moves_it_replaces_exclude_each_other(machine):
    """At every second exactly one of both: a party's own move, or the end of its time."""
    for row in machine.table:
        if "in_time" in row.guards:
            timed_out = [r for r in machine.table if r.state == row.state and r.event in ("expire", "execute")]
            for facts in facts_of(machine, row.state):
                late = machine.guards["overdue"](facts)
                assert machine.guards["in_time"](facts) != late
                for other in timed_out:
                    both = all(machine.guards[g](facts) for g in (*row.guards, *other.guards))
                    assert not both, (row, other, facts)


@machines
def test_what_is_in_no_row_is_refused_by_name(machine):
    pairs = {(row.state, row.event) for row in machine.table}
    for state, event in product(machine.states, (*machine.events, "explode")):
        if (state, event) in pairs:
            continue
        for by in PARTIES:
            with pytest.raises(IllegalTransition) as caught:
                machine.next(state, event, by, facts_of(machine, state)[0])
            assert (caught.value.machine, caught.value.state, caught.value.event) == (machine.name, state, event)
            assert state in str(caught.value)
            assert event in str(caught.value)


@machines
def test_events_of_one_party_are_refused_to_all_others(machine):
    for row in machine.table:
        allowed = {p for r in machine.table if (r.state, r.event) == (row.state, row.event) for p in r.by}
        for by in set(PARTIES) - allowed if ANYONE not in allowed else ():
            for facts in facts_of(machine, row.state):
                assert step(machine, row.state, row.event, by, facts) is None


@machines
def test_no_guard_is_there_for_nothing(machine):
    """Dropping any one guard of any row allows something that the table refuses."""
    for row in machine.table:
        for guard in row.guards:
            others = [name for name in row.guards if name != guard]
            allowed = [f for f in facts_of(machine, row.state) if all(machine.guards[name](f) for name in others)]
            assert any(not machine.guards[guard](facts) for facts in allowed), (row, guard)


def test_the_source_machines_are_part_of_ours():
    """REQUIREMENTS 5.2, arrow by arrow."""
    arrows = [
        "created>active active>exhausted active>cancelled",
        "initiated>escrowed escrowed>completed escrowed>disputed disputed>refunded disputed>confirmed",
        "filed>investigating investigating>valid investigating>invalid investigating>partial valid>slashed "
        "invalid>keep partial>partial_refund",
    ]
    for machine, text in zip(MACHINES, arrows, strict=True):
        rows = {f"{row.state}>{row.next}" for row in machine.table}
        assert set(text.split()) <= rows


def test_evidence_and_reasons():
    kinds = {kind: (e.reason, e.automatic) for kind, e in EVIDENCE_KINDS.items()}
    assert kinds["provider_error"] == ("failed_response", True)
    assert kinds["latency_high"] == ("timeout", True)
    assert kinds["garbage_response"] == ("garbage_data", False)
    assert kinds["output_invalid"] == ("garbage_data", True)
