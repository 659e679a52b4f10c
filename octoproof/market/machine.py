"""State machines as tables: in a state, an event by a party goes to another state if all guards hold.

What is in no row is refused. Rows of the same state and event have guards that exclude each other, so that there is
never a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from octoproof.market.errors import IllegalTransition

ANYONE = "anyone"
Guards = Mapping[str, Callable[[Any], bool]]


@dataclass(frozen=True)
class Transition:
    """One row. `by` lists the parties that may cause the event."""

    state: str
    event: str
    by: tuple[str, ...]
    guards: tuple[str, ...]
    next: str


@dataclass(frozen=True)
class Machine:
    """A table of transitions. It begins in the first state, and ends in a final one, which has no rows.

    `guards` are predicates over the facts that `next` is given."""

    name: str
    states: tuple[str, ...]
    final: frozenset[str]
    table: tuple[Transition, ...]
    guards: Guards

    @property
    def events(self) -> tuple[str, ...]:
        """Every event once, in the order of the table."""
        return tuple(dict.fromkeys(row.event for row in self.table))

    def next(self, state: str, event: str, by: str, facts: Any) -> str:
        """The state that follows. Raises IllegalTransition, which names state, event and what is missing."""
        rows = [row for row in self.table if row.state == state and row.event == event]
        if not rows:
            known = ", ".join(dict.fromkeys(row.event for row in self.table if row.state == state))
            why = f"only {known} can follow" if known else "it is final"
            raise IllegalTransition(self.name, state, event, why)
        mine = [row for row in rows if by in row.by or ANYONE in row.by]
        if not mine:
            parties = " or ".join(dict.fromkeys(party for row in rows for party in row.by))
            raise IllegalTransition(self.name, state, event, f"it is for the {parties}, not for the {by}")
        failed: list[str] = []
        for row in mine:
            missing = [guard for guard in row.guards if not self.guards[guard](facts)]
            if not missing:
                return row.next
            failed += missing[:1]
        raise IllegalTransition(self.name, state, event, f"the condition {' or '.join(dict.fromkeys(failed))} fails")
