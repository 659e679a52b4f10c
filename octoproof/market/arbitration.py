"""Who decides a dispute, how long each party has, and what is evidence for what (QOS-40, MKT-30; R20, R21).

A deadline is the last second at which its party may still move. After it the same event is refused and `expire`, open
to anyone, is allowed: never both, never neither.
"""

from __future__ import annotations

from dataclasses import dataclass

from octoproof.market.errors import MarketError

HOUR_S, DAY_S = 3_600, 86_400
AUTOMATED, EVIDENCE, ARBITRATION, APPEAL = "automated", "evidence", "arbitration", "appeal"


@dataclass(frozen=True)
class Level:
    """Who decides, in which time the source wants it done, and how long the party that owes the next move has."""

    name: str
    decides: str
    target_s: int
    deadline_s: int


@dataclass(frozen=True)
class Evidence:
    """What a claim rests on. `automatic`: a proof or a signed record decides it, else people must.

    `reason` is the claim's, of MKT-03; `offence` is what a provider is slashed for."""

    reason: str
    automatic: bool
    offence: str


LEVELS = {
    level.name: level
    for level in (
        Level(AUTOMATED, "a verified proof", 60, DAY_S),
        Level(EVIDENCE, "the proofs of both parties", DAY_S, DAY_S),
        Level(ARBITRATION, "a third-party judge", 7 * DAY_S, 7 * DAY_S),
        Level(APPEAL, "a vote", 30 * DAY_S, 30 * DAY_S),
    )
}

ESCROW_S = HOUR_S  # from the offer to pay until it lapses
DELIVERY_S = 7 * DAY_S  # from escrow until the seller must have shown what it delivered
CHALLENGE_S = DAY_S  # from delivery until it counts as accepted
APPEAL_WINDOW_S = DAY_S  # from a judge's ruling until it is carried out
BOND_BPS, APPEAL_BOND_BPS = 500, 1_000  # of the price, at least one unit: a claim must cost something to make

REASONS = ("failed_response", "garbage_data", "timeout")
EVIDENCE_KINDS = {
    "timeout": Evidence("timeout", True, "timeout"),
    "latency_high": Evidence("timeout", True, "timeout"),
    "provider_error": Evidence("failed_response", True, "failed_response"),
    "failed_response": Evidence("failed_response", True, "failed_response"),
    "garbage_response": Evidence("garbage_data", False, "garbage_data"),
    "output_invalid": Evidence("garbage_data", True, "garbage_data"),  # a check of the output fails
    "wrong_answer": Evidence("garbage_data", True, "garbage_data"),  # against the committed snapshot
    "omission": Evidence("failed_response", True, "false_log"),  # of what both signed, see `evidence`
    "alteration": Evidence("failed_response", True, "false_log"),
    "double": Evidence("failed_response", True, "false_log"),
    "disorder": Evidence("failed_response", True, "false_log"),
}


def evidence_named(kind: str) -> Evidence:
    """Raises MarketError for a kind that there is not."""
    if kind not in EVIDENCE_KINDS:
        raise MarketError(f"evidence: unknown kind {kind!r}; choose one of {', '.join(EVIDENCE_KINDS)}")
    return EVIDENCE_KINDS[kind]


def first_level(kind: str) -> str:
    """Where a claim with this evidence starts: what only people can judge never goes the automated way."""
    return AUTOMATED if evidence_named(kind).automatic else EVIDENCE
