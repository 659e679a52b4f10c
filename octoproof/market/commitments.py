"""Commitments that hide and bind, and records of which single fields can be disclosed.

    commitment = blake2s(18 u32 | randomness | length u64 | message)   32 bytes of randomness each
    field's randomness = blake2s(name, key = the record's secret)  so that an opened field says nothing of the others
    record digest = blake2s(19 | number of fields | length of name | name | commitment | ...)

Hiding rests on the randomness: a prompt can be guessed, 256 random bits cannot. A commitment therefore never travels
with its randomness, except to whom it is opened.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2s
from struct import pack

from octoproof.market.errors import MarketError, RuleError

COMMITMENT, RECORD = 18, 19  # first words of what is hashed
MAX_NAME_BYTES = 32


@dataclass(frozen=True)
class Opening:
    """A message with the randomness of its commitment; neither is shown by `repr`."""

    message: bytes = field(repr=False)
    randomness: bytes = field(repr=False)

    @property
    def commitment(self) -> bytes:
        """Raises MarketError for randomness that is not 32 bytes."""
        if len(self.randomness) != 32:
            raise MarketError(f"randomness: {len(self.randomness)} bytes, not 32")
        head = pack("<I32sQ", COMMITMENT, self.randomness, len(self.message))
        return blake2s(head + self.message).digest()


@dataclass(frozen=True)
class SealedRecord:
    """What everyone may see of a record: names of fields, and commitments to their values."""

    commitments: tuple[tuple[str, bytes], ...]

    def digest(self) -> bytes:
        """Raises MarketError for a commitment that is not 32 bytes."""
        parts = [pack("<2I", RECORD, len(self.commitments))]
        for name, commitment in self.commitments:
            if len(commitment) != 32:
                raise MarketError(f"record.{name[:MAX_NAME_BYTES]}: {len(commitment)} bytes are no commitment")
            encoded = name.encode()
            parts += [pack("<I", len(encoded)), encoded, commitment]
        return blake2s(b"".join(parts)).digest()


@dataclass(frozen=True)
class Disclosure:
    """A record with some of its fields opened."""

    record: SealedRecord
    opened: tuple[tuple[str, Opening], ...]

    def values(self) -> dict[str, bytes]:
        """The opened values by name. Raises RuleError where one is not what was committed to."""
        committed = dict(self.record.commitments)
        if len(committed) != len(self.record.commitments) or len(dict(self.opened)) != len(self.opened):
            raise RuleError("record: a field appears twice")
        for name, opening in self.opened:
            if name not in committed:
                raise RuleError(f"record.{name}: there is no such field")
            check_opening(committed[name], opening, f"record.{name}")
        return {name: opening.message for name, opening in self.opened}


@dataclass(frozen=True)
class Record:
    """The owner's side: every value, and the secret that all randomness comes from."""

    values: Mapping[str, bytes] = field(repr=False)
    secret: bytes = field(repr=False)

    def sealed(self) -> SealedRecord:
        """Raises MarketError for a secret that is not 32 bytes, or a name that is empty or too long."""
        return SealedRecord(tuple((name, self._opening(name).commitment) for name in self.values))

    def disclose(self, names: Iterable[str]) -> Disclosure:
        """These fields opened, all others hidden. Raises MarketError for a field that there is not."""
        return Disclosure(self.sealed(), tuple((name, self._opening(name)) for name in names))

    def _opening(self, name: str) -> Opening:
        if len(self.secret) != 32:
            raise MarketError(f"secret: {len(self.secret)} bytes, not 32")
        if name not in self.values or not 0 < len(name.encode()) <= MAX_NAME_BYTES:
            raise MarketError(
                f"record: there is no field {name[:40]!r}, or its name has more than {MAX_NAME_BYTES} bytes"
            )
        return Opening(self.values[name], blake2s(name.encode(), key=self.secret).digest())


def fresh_secret() -> bytes:
    """32 bytes from the operating system."""
    return secrets.token_bytes(32)


def commit(message: bytes) -> Opening:
    """The message with fresh randomness; its `commitment` is what others get."""
    return Opening(message, fresh_secret())


def check_opening(commitment: bytes, opening: Opening, where: str) -> None:
    """Raises RuleError unless this message with this randomness was committed to."""
    if len(opening.randomness) != 32 or not hmac.compare_digest(opening.commitment, commitment):
        raise RuleError(f"{where}: not what was committed to")
