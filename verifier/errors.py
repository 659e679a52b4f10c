"""Why a proof is refused: one class for each family of checks.

`ParseError` is for input that cannot be read at all (command line: exit 2), `VerificationError` for input that was read
and is refused (exit 1). Messages name the field and what is wrong with it, in one line.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One finished phase of a verification and how long it took."""

    name: str
    ms: float


Checks = tuple[Check, ...]


class ParseError(Exception):
    """Input that is not of the format: no JSON, a wrong JSON type, a missing or unknown key, truncated bytes."""


class VerificationError(Exception):
    """A refusal. `checks` holds the phases that had passed before it."""

    checks: Checks = ()


class ShapeError(VerificationError):
    """A list of another length, or nested otherwise, than the AIR and the config prescribe."""


class EncodingError(VerificationError):
    """A number that is not canonical: a field element >= P, a byte > 255, a nonce beyond 64 bits."""


class ConfigError(VerificationError):
    """A configuration out of its limits, unfit for the AIR, or not the one the verifier expects."""


class StatementError(VerificationError):
    """The public statement breaks one of its own rules, or is not the one that was proven."""


class PreprocessedRootError(VerificationError):
    """Tree 0 is not the one that the AIR or the statement names."""


class LogupError(VerificationError):
    """The lookups of all components and the public terms do not balance."""


class OodsError(VerificationError):
    """The constraints do not hold at the out-of-domain point."""


class ProofOfWorkError(VerificationError):
    """The nonce does not meet pow_bits."""


class MerkleError(VerificationError):
    """Opened values do not belong to the committed root."""


class FriError(VerificationError):
    """The quotients are not near a polynomial of the claimed degree."""


class SecurityError(VerificationError):
    """The parameters give less security than the caller demands."""
