"""What became of a transaction, and what its contracts said: receipts and events as checked models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from octoproof.starknet.fees import Fee, fee_of
from octoproof.starknet.reverts import check_of

_FROZEN = ConfigDict(frozen=True)


class Event(BaseModel):
    """As a contract emitted it: the first key is the selector of its name."""

    model_config = _FROZEN
    contract: int
    keys: tuple[int, ...]
    data: tuple[int, ...]


class Receipt(BaseModel):
    """Of a transaction in a block. `check` says why it was reverted; the fee is in fri, gas in the network's units."""

    model_config = _FROZEN
    transaction: int
    succeeded: bool
    check: str | None
    block: int
    finality: str
    fee: int
    l1_gas: int
    l2_gas: int
    l1_data_gas: int
    events: tuple[Event, ...] = Field(repr=False)

    def document(self) -> dict[str, Any]:
        """As JSON: felts in hex."""
        shown = self.model_dump(exclude={"events"}) | {"transaction": hex(self.transaction)}
        shown["events"] = [
            {"contract": hex(e.contract), "keys": [hex(k) for k in e.keys], "data": [hex(d) for d in e.data]}
            for e in self.events
        ]
        return shown


@dataclass(frozen=True)
class DryRun:
    """What a transaction would cost and say; `check` is why it would be reverted."""

    fee: Fee
    check: str | None
    events: tuple[Event, ...]


def receipt_of(answer: dict[str, Any]) -> Receipt:
    """From a node's receipt. Raises KeyError, TypeError, ValueError for one that is not of JSON-RPC 0.10."""
    succeeded = answer["execution_status"] == "SUCCEEDED"
    gas = answer["execution_resources"]
    return Receipt(
        transaction=int(answer["transaction_hash"], 16),
        succeeded=succeeded,
        check=None if succeeded else check_of(answer.get("revert_reason") or "no reason given"),
        block=answer.get("block_number", 0),
        finality=answer["finality_status"],
        fee=int(answer["actual_fee"]["amount"], 16),
        l1_gas=gas["l1_gas"],
        l2_gas=gas["l2_gas"],
        l1_data_gas=gas["l1_data_gas"],
        events=events_of(answer["events"]),
    )


def events_of(answers: Iterable[dict[str, Any]]) -> tuple[Event, ...]:
    """From a node's events, each with the contract that emitted it."""
    return tuple(
        Event(
            contract=int(answer["from_address"], 16),
            keys=tuple(int(key, 16) for key in answer["keys"]),
            data=tuple(int(felt, 16) for felt in answer["data"]),
        )
        for answer in answers
    )


def dry_run_of(answer: dict[str, Any]) -> DryRun:
    """From a node's simulation. Raises as `receipt_of`."""
    called = answer["transaction_trace"].get("execute_invocation") or {}
    reason = called.get("revert_reason")
    return DryRun(fee_of(answer["fee_estimation"]), check_of(reason) if reason else None, events_of(_emitted(called)))


def _emitted(called: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a call in a trace, and of the calls in it."""
    for event in called.get("events", ()):
        yield {"from_address": called["contract_address"], **event}
    for inner in called.get("calls", ()):
        yield from _emitted(inner)
