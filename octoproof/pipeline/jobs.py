"""Jobs: their states and which follows which, priorities, and when a failed one is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from octoproof.pipeline.request import Request

QUEUED, RUNNING, PROVING, VERIFIED, FAILED, CANCELLED = STATES = (
    "queued",
    "running",
    "proving",
    "verified",
    "failed",
    "cancelled",
)
OPEN, ACTIVE = (QUEUED, RUNNING, PROVING), (RUNNING, PROVING)

MAX_ATTEMPTS = 5
BACK_OFF_S, MAX_BACK_OFF_S = 1.0, 60.0
TIMEOUT_S = 600.0  # a job that runs longer is queued again, at low priority


class Priority(IntEnum):
    """Higher ones go first; among equals the earlier deadline, then the earlier submission."""

    LOW = 0
    NORMAL = 1
    HIGH = 2


@dataclass(frozen=True)
class Job:
    """One row of the store. Times are seconds since 1970; `part` of `parts` are proven; `receipt` is an artefact."""

    id: str
    request: Request
    state: str
    part: int
    parts: int
    priority: Priority
    deadline: float | None
    created: float
    updated: float
    started: float | None
    attempts: int
    not_before: float
    reason: str | None
    receipt: str | None
    runner: str | None

    @property
    def shown_state(self) -> str:
        """As people read it."""
        if self.state == PROVING:
            return f"proving({self.part} of {self.parts})"
        return f"failed({self.reason})" if self.state == FAILED else self.state


def back_off(attempts: int) -> float:
    """Seconds before a job that failed so many times is tried again."""
    return min(MAX_BACK_OFF_S, BACK_OFF_S * 2.0 ** (attempts - 1))
