"""What a receipt can claim: the interface of statement types, and the canonical encoding of their values (DESIGN 4).

A statement encodes as u32 words: type, version, then every field in its declared order. Integers are i64 in two's
complement, low word first; 32-byte strings are eight words in byte order; lists are their count (one word) and then
their items; text is its byte count and its UTF-8 bytes, zero padded to words. There are no floats. A Cairo contract can
rebuild it from typed fields. The digest is Blake2s over the words as little-endian bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from struct import pack
from typing import Any, Protocol, TypeVar, runtime_checkable

from air.layout import Air
from air.relation import PublicTerm

Item = TypeVar("Item")
_WORD = 1 << 32
MAX_WORDS = 1 << 22


class StatementError(ValueError):
    """A statement that is badly encoded or breaks one of its own rules; the message names the field."""


@dataclass(frozen=True)
class RootKey:
    """What the root of tree 0 depends on beside its columns."""

    channel: str
    log_blowup_factor: int
    lifting_log_size: int | None = None


class Statement(Protocol):
    """One claim, proven by one STARK."""

    def encode(self) -> list[int]:
        """The canonical words, type and version first."""

    def digest(self) -> bytes:
        """`digest(self.encode())`; 32 bytes."""

    def air(self) -> Air:
        """The AIR with this statement's parameters bound."""

    def public_terms(self) -> tuple[PublicTerm, ...]:
        """LogUp terms that the verifier adds by itself."""

    def preprocessed_root(self, key: RootKey) -> bytes | None:
        """Root of tree 0 under this key, 32 bytes (Poseidon252: big-endian); None if there are no such columns."""

    def check(self) -> None:
        """Raises StatementError where the statement by itself is impossible or out of its bounds."""

    def describe(self) -> dict[str, Any]:
        """The claim for people and JSON."""


@runtime_checkable
class OpenedStatement(Protocol):
    """A claim about committed data that are shown instead of proven over: hashes say the rest."""

    def encode(self) -> list[int]:
        """The canonical words, type and version first."""

    def digest(self) -> bytes:
        """`digest(self.encode())`; 32 bytes."""

    def check(self) -> None:
        """Raises StatementError where the statement by itself is impossible or out of its bounds."""

    def check_opening(self, opening: bytes) -> None:
        """Raises StatementError unless the opening shows the claim to be true."""

    def describe(self) -> dict[str, Any]:
        """The claim for people and JSON."""


class StatementType(Protocol):
    """A kind of statement that a verifier's caller may accept."""

    TYPE: int
    VERSION: int
    NAME: str

    def decode(self, words: Sequence[int]) -> Statement | OpenedStatement:
        """Inverse of `encode`; reads every version up to VERSION. Raises StatementError."""

    def check_together(self, statements: Sequence[Any]) -> None:
        """Raises StatementError unless these parts, in this order, make one whole claim: none missing, none twice.

        Called for every receipt, also for one of a single part.
        """


def digest(words: Sequence[int]) -> bytes:
    """Blake2s over the words, little-endian."""
    return hashlib.blake2s(pack(f"<{len(words)}I", *words)).digest()


class Writer:
    """Builds an encoding; every method returns the writer."""

    def __init__(self) -> None:
        self.words: list[int] = []

    def header(self, statement_type: int, version: int) -> Writer:
        """What every statement starts with."""
        return self.u32(statement_type).u32(version)

    def to_bytes(self) -> bytes:
        """The words, little-endian: what is hashed."""
        return pack(f"<{len(self.words)}I", *self.words)

    def u32(self, value: int) -> Writer:
        if not 0 <= value < _WORD:
            raise StatementError(f"{value} does not fit in 32 bits")
        self.words.append(int(value))
        return self

    def i64(self, value: int) -> Writer:
        if not -(1 << 63) <= value < 1 << 63:
            raise StatementError(f"{value} does not fit in 64 bits")
        unsigned = int(value) % (1 << 64)
        self.words += [unsigned % _WORD, unsigned // _WORD]
        return self

    def bytes32(self, value: bytes) -> Writer:
        if len(value) != 32:
            raise StatementError(f"a 32-byte string has {len(value)} bytes")
        return self._packed(value)

    def text(self, value: str) -> Writer:
        data = value.encode()
        self.u32(len(data))
        return self._packed(data)

    def count(self, value: int) -> Writer:
        """The length of a list, before its items."""
        return self.u32(value)

    def items(self, values: Sequence[Item], write: Callable[[Writer, Item], object]) -> Writer:
        """The count, then `write(writer, item)` for each."""
        self.count(len(values))
        for value in values:
            write(self, value)
        return self

    def i64s(self, values: Iterable[int]) -> Writer:
        return self.items(list(values), Writer.i64)

    def _packed(self, data: bytes) -> Writer:
        padded = data + bytes(-len(data) % 4)
        self.words += [int.from_bytes(padded[k : k + 4], "little") for k in range(0, len(padded), 4)]
        return self


class Reader:
    """Reads an encoding back; refuses truncation, trailing words and anything `Writer` would not have written."""

    def __init__(self, words: Sequence[int]) -> None:
        if len(words) > MAX_WORDS or any(type(w) is not int or not 0 <= w < _WORD for w in words):
            raise StatementError("statement: not a sequence of u32 words")
        self._words, self._next = words, 0

    def header(self, statement_type: int, newest: int) -> int:
        """The version, 1 to `newest`; another type is refused."""
        if self.u32() != statement_type:
            raise StatementError(f"statement: type is not {statement_type}")
        version = self.u32()
        if not 1 <= version <= newest:
            raise StatementError(f"statement: version {version}, this reads 1 to {newest}")
        return version

    def u32(self) -> int:
        return self._take(1)[0]

    def i64(self) -> int:
        low, high = self._take(2)
        value = low + high * _WORD
        return value - (1 << 64) if high >> 31 else value

    def bytes32(self) -> bytes:
        return pack("<8I", *self._take(8))

    def text(self, limit: int = 4096) -> str:
        size = self.u32()
        if size > limit:
            raise StatementError(f"statement: text of {size} bytes, at most {limit}")
        count = -(-size // 4)
        data = pack(f"<{count}I", *self._take(count))
        if any(data[size:]):
            raise StatementError("statement: text with non-zero padding")
        try:
            return data[:size].decode()
        except UnicodeDecodeError:
            raise StatementError("statement: text is not UTF-8") from None

    def count(self, limit: int = MAX_WORDS) -> int:
        """The length of a list of at most `limit` items, each of a word or more: so there must be as many words."""
        count = self.u32()
        if count > limit:
            raise StatementError(f"statement: a list of {count} items, at most {limit} are read")
        if count > len(self._words) - self._next:
            raise StatementError("statement: truncated")
        return count

    def items(self, read: Callable[[Reader], Item], limit: int = MAX_WORDS) -> tuple[Item, ...]:
        return tuple(read(self) for _ in range(self.count(limit)))

    def i64s(self, limit: int = MAX_WORDS) -> tuple[int, ...]:
        return self.items(Reader.i64, limit)

    def end(self) -> None:
        """Must be called last."""
        if self._next != len(self._words):
            raise StatementError("statement: trailing words")

    def _take(self, count: int) -> Sequence[int]:
        if self._next + count > len(self._words):
            raise StatementError("statement: truncated")
        self._next += count
        return self._words[self._next - count : self._next]
