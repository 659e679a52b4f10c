"""What can be wrong in the market; each message names the field and the figure."""

from __future__ import annotations

from verifier.errors import ParseError, VerificationError


class MarketError(ParseError):
    """An amount, a count, a term or a schema that cannot be used as it is (command line: exit 2)."""


class RuleError(VerificationError):
    """A claim, an opening or a request that was read, and that a rule of the market refuses (exit 1)."""


class IllegalTransition(VerificationError):
    """An event that is not allowed in this state, to this party or at this time (exit 1)."""

    def __init__(self, machine: str, state: str, event: str, why: str) -> None:
        super().__init__(f"{machine}: {event} is not allowed in state {state}: {why}")
        self.machine, self.state, self.event, self.why = machine, state, event, why
