"""What can be wrong with vectors, queries and snapshot folders; each message names the field and the remedy."""

from __future__ import annotations

from verifier.errors import ParseError, VerificationError


class VectorError(ParseError):
    """Vectors, ids, labels or a query that cannot be used as they are (command line: exit 2)."""


class BusyError(VectorError):
    """A snapshot that another program is changing at this moment."""


class SnapshotError(VerificationError):
    """A snapshot folder whose content is not what its own header and checksums say (command line: exit 1)."""
