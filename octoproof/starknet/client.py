"""Sends the transactions of one account, each of them once, whatever is cut off on the way.

The argument: a signed transaction has effect at most once, since its nonce is used up then. It is written down before
it is sent. After a crash or a dropped answer the same one is looked up and, if the node does not know it, sent again. A
new one is signed for an intent only where the earlier one can have no effect any more: it was reverted, or another
transaction has its nonce, or the new one takes the same nonce.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from octoproof.starknet.accounts import Account
from octoproof.starknet.errors import ChainError, NoAnswerError, NodeRefusedError, RevertedError, StuckError
from octoproof.starknet.fees import UNBOUNDED, Fee, Limits, bounds_of
from octoproof.starknet.node import BAD_NONCE, DUPLICATE, REFUSALS, Node
from octoproof.starknet.outbox import ACCEPTED, REFUSED, REVERTED, SUPERSEDED, Entry, Outbox
from octoproof.starknet.receipts import DryRun, Receipt
from octoproof.starknet.transactions import Call, Declare, Draft, Invoke, content_of, sign, sign_query

Tell = Callable[[str], None]

PATIENCE_S = 600.0  # from the first sending to the block
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0  # between attempts to reach a node that does not answer
FINAL = ("ACCEPTED_ON_L2", "ACCEPTED_ON_L1")


class Client:
    """An account on a node, with its outbox. For one thread."""

    def __init__(
        self,
        node: Node,
        account: Account,
        outbox: Outbox,
        limits: Limits | None = None,
        tell: Tell = lambda text: None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.node, self.account = node, account
        self._outbox, self._tell, self._patience_s = outbox, tell, patience_s
        self._limits = limits or Limits(node.profile.max_fee)

    def invoke(self, intent: str, calls: Sequence[Call]) -> Receipt:
        """`submit` of calls."""
        return self.submit(intent, Invoke(tuple(calls)))

    def submit(self, intent: str, draft: Draft) -> Receipt:
        """Carries an intent out, once: the receipt of the transaction that did it, now or in an earlier run.

        Raises RevertedError (the intent may be tried again), FeeError, NodeRefusedError, ChainError where the intent
        stands for something else; NoAnswerError and StuckError leave the transaction in the outbox, where the next
        `submit` or `recover` finds it.
        """
        with self._outbox.alone(self.node.chain_id, self.account.address):
            self._finish_open_one()
            done = self._outbox.latest(self.node.chain_id, self.account.address, intent)
            if done is not None and done.state == ACCEPTED:
                if done.content != content_of(draft):
                    raise ChainError(f"intent: {intent!r} was carried out with other content; choose another name")
                return self._known(done)
            nonce = self.node.nonce(self.account.address)
            fee = self.node.estimate(self._query(draft, nonce))
            bounds = bounds_of(fee, self._limits, not isinstance(draft, Declare))
            signed = sign(draft, self.account, self.node.chain_id, nonce, bounds)
            receipt = self._deliver(self._outbox.write(intent, self.node.chain_id, signed))
        if not receipt.succeeded:
            raise RevertedError(receipt.check or "", receipt.transaction)
        return receipt

    def recover(self) -> Receipt | None:
        """Carries out what an earlier run left open; None if nothing was. Raises as `submit`, but for reverts."""
        with self._outbox.alone(self.node.chain_id, self.account.address):
            return self._finish_open_one()

    def estimate(self, draft: Draft) -> Fee:
        """Of a transaction that is not sent. Raises RevertedError, NodeRefusedError."""
        return self.node.estimate(self._query(draft, self.node.nonce(self.account.address)))

    def dry_run(self, draft: Draft) -> DryRun:
        """Simulates it on the current state, and checks the fee as `submit` would. Nothing is sent or written down."""
        found = self.node.simulate(self._query(draft, self.node.nonce(self.account.address)))
        bounds_of(found.fee, self._limits, not isinstance(draft, Declare))
        return found

    def _query(self, draft: Draft, nonce: int) -> dict[str, Any]:
        return sign_query(draft, self.account, self.node.chain_id, nonce, UNBOUNDED).body

    def _finish_open_one(self) -> Receipt | None:
        left = self._outbox.open_one(self.node.chain_id, self.account.address)
        if left is None:
            return None
        self._tell(f"carrying out what an earlier run left: {left.intent}")
        try:
            return self._deliver(left)
        except (NodeRefusedError, RevertedError) as error:
            self._tell(f"{left.intent}: {error}")  # its nonce is free; whoever wants it asks for it again
            return None

    def _known(self, done: Entry) -> Receipt:
        receipt = self.node.receipt(done.hash)
        if receipt is None:
            raise StuckError(
                f"{done.intent}: the chain no longer knows its transaction, which it had accepted; wait until it does,"
                f" or give it up with `octoproof chain status --forget {done.hash:#x}`"
            )
        return receipt

    def _deliver(self, entry: Entry) -> Receipt:
        """Sends it if the node does not know it, and waits for its block."""
        ends, pause = time.monotonic() + self._patience_s, FIRST_PAUSE_S
        while True:
            try:
                if (receipt := self._look_up_or_send(entry)) is not None:
                    return receipt
                waiting, pause = self.node.profile.poll_s, FIRST_PAUSE_S
            except NoAnswerError as error:
                if time.monotonic() > ends:
                    raise NoAnswerError(f"{error}; {entry.intent} is kept, run the command again") from None
                self._tell(f"{error}; trying again")
                waiting, pause = pause, min(2 * pause, LONGEST_PAUSE_S)
            if time.monotonic() > ends:
                raise StuckError(
                    f"{entry.intent}: transaction {entry.hash:#x} is in no block after {self._patience_s:.0f} s; it is"
                    " kept, run the command again"
                )
            time.sleep(waiting)

    def _look_up_or_send(self, entry: Entry) -> Receipt | None:
        """One round: a final receipt, or None where there is something to wait for."""
        receipt = self.node.receipt(entry.hash)
        if receipt is not None:
            if receipt.finality not in FINAL:
                return None
            self._outbox.settle(entry.hash, ACCEPTED if receipt.succeeded else REVERTED, receipt.check)
            return receipt
        if self.node.status(entry.hash) is not None:
            self._check_nonce(entry)
            return None
        try:
            assert entry.body is not None
            self.node.add(entry.kind, entry.body)
        except NodeRefusedError as error:
            if error.code == DUPLICATE:
                return None
            if error.code == BAD_NONCE:
                self._check_nonce(entry)
                if self._is_known(entry):
                    return None
            if error.code not in REFUSALS:
                raise NoAnswerError(str(error)) from None
            raise self._refused(entry, error) from None
        except RevertedError as error:
            raise self._refused(entry, error) from None
        return None

    def _refused(self, entry: Entry, error: NodeRefusedError | RevertedError) -> Exception:
        self._outbox.settle(entry.hash, REFUSED, str(error))
        return error

    def _check_nonce(self, entry: Entry) -> None:
        """Raises NodeRefusedError if the nonce is used up by another transaction, StuckError if it is out of reach."""
        accepted = self.node.nonce(self.account.address, "latest")
        if accepted > entry.nonce and not self._is_known(entry):
            self._outbox.settle(entry.hash, SUPERSEDED, f"nonce {entry.nonce} was used by another transaction")
            raise NodeRefusedError(
                f"nonce: {entry.nonce} of account {self.account.address:#x} was used by another transaction;"
                f" {entry.intent} had no effect, run the command again",
                BAD_NONCE,
            )
        if accepted < entry.nonce and self.node.nonce(self.account.address) < entry.nonce:
            raise StuckError(
                f"nonce: {entry.intent} has nonce {entry.nonce}, but the account is at {accepted}: transactions before"
                " it are missing on this node; wait for them, or give it up with `octoproof chain status --forget"
                f" {entry.hash:#x}`"
            )

    def _is_known(self, entry: Entry) -> bool:
        """Also a moment later: an answer that says no may come from a node that lags."""
        ends = time.monotonic() + self.node.profile.grace_s
        while True:
            if self.node.status(entry.hash) is not None:
                return True
            if time.monotonic() >= ends:
                return False
            time.sleep(self.node.profile.poll_s)
