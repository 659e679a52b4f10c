"""Disputes: filed, investigated, decided, carried out; every move has a deadline (MKT-03, MKT-04, QOS-40; R20, R21).

A verified proof decides at any level. Only the claimant may bring it, else a seller would prove some small violation of
its own to be rid of a large one, and only the respondent the proof of the contrary. Without one the respondent owes an
answer, after it a judge a ruling, and the loser may appeal once to a vote. Silence of a party decides against it.
Silence of the judge goes up one level; silence of the vote leaves what stood before, or, if nothing did, the payment as
it is: who claims bears the burden of proof.

Levels only go up and each has one deadline, so that a dispute ends within `LONGEST_S` whatever anyone fails to do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from octoproof.market.arbitration import APPEAL, APPEAL_WINDOW_S, ARBITRATION, LEVELS, evidence_named, first_level
from octoproof.market.machine import ANYONE, Machine, Transition
from octoproof.market.money import BPS, whole

FILED, INVESTIGATING = "filed", "investigating"
VALID, INVALID, PARTIAL = DECIDED = ("valid", "invalid", "partial")
SLASHED, KEEP, PARTIAL_REFUND = CLOSED = ("slashed", "keep", "partial_refund")
STATES = (FILED, INVESTIGATING, *DECIDED, *CLOSED)
PROOF, RULING, SILENCE, NOBODY = "proof", "ruling", "silence", "nobody"  # what a decision came from

LONGEST_S = sum(level.deadline_s for level in LEVELS.values()) + APPEAL_WINDOW_S


@dataclass(frozen=True)
class Dispute:
    """`owes` is the party whose move `deadline` limits. `stood` and `stood_bps` are the ruling that an appeal is about.

    `refund_bps` is what was decided, and means nothing before."""

    claimant: str
    respondent: str
    kind: str
    level: str
    deadline: int
    owes: str = "claimant"
    state: str = FILED
    evidence: bytes = b""
    refund_bps: int = 0
    decided_by: str = ""
    appellant: str = ""
    stood: str = ""
    stood_bps: int = 0


@dataclass(frozen=True)
class Facts:
    """What the guards look at. `proven` says that a proof with this refund was verified, or, for `disprove`, one that
    contradicts this very claim; `fresh` that the claimant has not used the evidence before."""

    dispute: Dispute
    now: int
    refund_bps: int
    proven: bool
    fresh: bool


def _appealable(facts: Facts) -> bool:
    return facts.dispute.level == ARBITRATION and facts.dispute.decided_by == RULING


GUARDS = {
    "in_time": lambda f: f.now <= f.dispute.deadline,
    "overdue": lambda f: f.now > f.dispute.deadline,
    "evidence_unused": lambda f: f.fresh,
    "automatic": lambda f: evidence_named(f.dispute.kind).automatic,
    "proven": lambda f: f.proven,
    "refund_partial": lambda f: 0 < f.refund_bps < BPS,
    "refund_full": lambda f: f.refund_bps == BPS,
    "respondent_owes": lambda f: f.dispute.owes == "respondent",
    "judge_owes": lambda f: f.dispute.owes == "judge",
    "vote_owes": lambda f: f.dispute.owes == "vote",
    "stood_valid": lambda f: f.dispute.stood == VALID,
    "stood_partial": lambda f: f.dispute.stood == PARTIAL,
    "stood_invalid": lambda f: f.dispute.stood in (INVALID, ""),
    "appealable": _appealable,
    "unappealable": lambda f: not _appealable(f),
    "window_over": lambda f: _appealable(f) and f.now > f.dispute.deadline,
}

DISPUTE = Machine(
    "dispute",
    STATES,
    frozenset(CLOSED),
    (
        Transition(FILED, "collect", ("claimant",), ("in_time", "evidence_unused"), INVESTIGATING),
        Transition(FILED, "expire", (ANYONE,), ("overdue",), INVALID),
        Transition(INVESTIGATING, "prove", ("claimant",), ("in_time", "automatic", "proven", "refund_full"), VALID),
        Transition(
            INVESTIGATING, "prove", ("claimant",), ("in_time", "automatic", "proven", "refund_partial"), PARTIAL
        ),
        Transition(INVESTIGATING, "disprove", ("respondent",), ("in_time", "automatic", "proven"), INVALID),
        Transition(INVESTIGATING, "respond", ("respondent",), ("in_time", "respondent_owes"), INVESTIGATING),
        Transition(INVESTIGATING, "rule_valid", ("judge",), ("in_time", "judge_owes"), VALID),
        Transition(INVESTIGATING, "rule_partial", ("judge",), ("in_time", "judge_owes", "refund_partial"), PARTIAL),
        Transition(INVESTIGATING, "rule_invalid", ("judge",), ("in_time", "judge_owes"), INVALID),
        Transition(INVESTIGATING, "rule_valid", ("vote",), ("in_time", "vote_owes"), VALID),
        Transition(INVESTIGATING, "rule_partial", ("vote",), ("in_time", "vote_owes", "refund_partial"), PARTIAL),
        Transition(INVESTIGATING, "rule_invalid", ("vote",), ("in_time", "vote_owes"), INVALID),
        Transition(INVESTIGATING, "expire", (ANYONE,), ("overdue", "respondent_owes"), VALID),
        Transition(INVESTIGATING, "expire", (ANYONE,), ("overdue", "judge_owes"), INVESTIGATING),
        Transition(INVESTIGATING, "expire", (ANYONE,), ("overdue", "vote_owes", "stood_valid"), VALID),
        Transition(INVESTIGATING, "expire", (ANYONE,), ("overdue", "vote_owes", "stood_partial"), PARTIAL),
        Transition(INVESTIGATING, "expire", (ANYONE,), ("overdue", "vote_owes", "stood_invalid"), INVALID),
        Transition(VALID, "appeal", ("respondent",), ("in_time", "appealable"), INVESTIGATING),
        Transition(INVALID, "appeal", ("claimant",), ("in_time", "appealable"), INVESTIGATING),
        Transition(PARTIAL, "appeal", ("claimant", "respondent"), ("in_time", "appealable"), INVESTIGATING),
        Transition(VALID, "execute", (ANYONE,), ("unappealable",), SLASHED),
        Transition(VALID, "execute", (ANYONE,), ("window_over",), SLASHED),
        Transition(INVALID, "execute", (ANYONE,), ("unappealable",), KEEP),
        Transition(INVALID, "execute", (ANYONE,), ("window_over",), KEEP),
        Transition(PARTIAL, "execute", (ANYONE,), ("unappealable",), PARTIAL_REFUND),
        Transition(PARTIAL, "execute", (ANYONE,), ("window_over",), PARTIAL_REFUND),
    ),
    GUARDS,
)


def filed(claimant: str, respondent: str, kind: str, now: int) -> Dispute:
    """A dispute at the level where such evidence starts. Raises MarketError for a kind that there is not."""
    level = first_level(kind)
    return Dispute(claimant, respondent, kind, level, now + LEVELS[level].deadline_s)


def step(
    dispute: Dispute,
    event: str,
    by: str,
    now: int,
    *,
    evidence: bytes = b"",
    fresh: bool = False,
    proven: bool = False,
    refund_bps: int = 0,
) -> Dispute:
    """The dispute after an event. Raises IllegalTransition, and MarketError for a refund that is no share."""
    facts = Facts(dispute, now, whole(refund_bps, "refund_bps", high=BPS), proven, fresh)
    state = DISPUTE.next(dispute.state, event, by, facts)
    if state in CLOSED:
        return replace(dispute, state=state)
    if state in DECIDED:
        return _decided(dispute, state, event, now, refund_bps)
    if event == "collect":
        waits = now + LEVELS[dispute.level].deadline_s
        return replace(dispute, state=state, evidence=evidence, owes="respondent", deadline=waits)
    if event == "appeal":
        raised = _raised(dispute, APPEAL, "vote", now)
        stood, stood_bps = dispute.state, dispute.refund_bps
        return replace(raised, state=state, decided_by="", appellant=by, stood=stood, stood_bps=stood_bps)
    level, owes = (ARBITRATION, "judge") if event == "respond" else (APPEAL, "vote")
    return _raised(dispute, level, owes, now)


def _raised(dispute: Dispute, level: str, owes: str, now: int) -> Dispute:
    return replace(dispute, level=level, owes=owes, deadline=now + LEVELS[level].deadline_s)


def _decided(dispute: Dispute, state: str, event: str, now: int, refund_bps: int) -> Dispute:
    decided_by = PROOF if event in ("prove", "disprove") else RULING
    refund = {VALID: BPS, INVALID: 0, PARTIAL: refund_bps}[state]
    if event == "expire":
        decided_by = NOBODY if dispute.level == APPEAL else SILENCE
        if state == PARTIAL:
            refund = dispute.stood_bps
    return replace(
        dispute, state=state, decided_by=decided_by, refund_bps=refund, owes="", deadline=now + APPEAL_WINDOW_S
    )
