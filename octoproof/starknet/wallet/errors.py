"""What can go wrong with keys; no message ever holds a secret."""

from __future__ import annotations

from verifier.errors import ParseError, VerificationError


class WalletError(ParseError):
    """A phrase, key, file or message that cannot be used as it is (command line: exit 2)."""


class LockedError(VerificationError):
    """A key file that the password does not open, or that was changed: the two cannot be told apart (exit 1)."""
