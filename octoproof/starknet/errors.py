"""What can go wrong with a chain: each message is one line that names the field, the figure and the remedy."""

from __future__ import annotations

from verifier.errors import ParseError, VerificationError


class ChainError(ParseError):
    """A node, an account or an artefact that cannot be used as it is (command line: exit 2)."""


class NoAnswerError(ChainError):
    """The node gave no answer, or one that says nothing about the transaction: whether it was taken is not known."""


class StuckError(ChainError):
    """A signed transaction that the chain does not carry out; none is signed in its place before somebody decides."""


class FeeError(ChainError):
    """More would be paid than the caller allows; nothing was signed."""


class NodeRefusedError(VerificationError):
    """The node did not take a transaction or a question, and said why (command line: exit 1)."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class RevertedError(VerificationError):
    """A transaction or a call that a contract refused. `check` is the contract's own word for what failed."""

    def __init__(self, check: str, transaction: int | None = None) -> None:
        where = "" if transaction is None else f"; transaction {transaction:#x}"
        super().__init__(f"reverted: {check}{where}")
        self.check = check
