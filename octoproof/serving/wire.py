"""Signed messages as JSON between buyer and provider; strict, since both read what a stranger wrote.

    {"message": {field: value}, "signature": [r, s]}

Felts and addresses are hex with 0x, hashes of 32 bytes are 64 hex digits, numbers below 2^53 are numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from octoproof.market.messages import Message, Signed
from verifier.errors import ParseError
from verifier.strict import boolean, fields, integer, items, string

FELTS = frozenset({"provider", "agreement", "previous", "request", "response", "head", "witness", "block_hash"})
MAX_NUMBER = (1 << 53) - 1


def signed_document(signed: Signed[Message]) -> dict[str, Any]:
    """As JSON."""
    own = dataclasses.fields(signed.message)
    message = {field.name: _shown(field.name, getattr(signed.message, field.name)) for field in own}
    return {"message": message, "signature": [hex(number) for number in signed.signature]}


def read_signed(value: Any, kind: type[Message], where: str) -> Signed[Message]:
    """The message of this kind with a signature that nobody has checked yet. Raises ParseError naming the field."""
    whole = fields(value, where, ("message", "signature"))
    own = {field.name: field.type for field in dataclasses.fields(kind)}
    given = fields(whole["message"], f"{where}.message", tuple(own))
    message = kind(**{name: _read(name, str(own[name]), given, f"{where}.message.{name}") for name in own})
    signature = items(whole["signature"], f"{where}.signature")
    if len(signature) != 2:
        raise ParseError(f"{where}.signature: {len(signature)} numbers, it has two")
    r, s = (read_felt(part, f"{where}.signature") for part in signature)
    return Signed(message, (r, s))


def read_felt(value: Any, where: str) -> int:
    """Hex digits as a number below 2^252. Raises ParseError."""
    text = string(value, where)
    digits = text.removeprefix("0x")
    if not (text.startswith("0x") and 0 < len(digits) <= 63 and set(digits.lower()) <= set("0123456789abcdef")):
        raise ParseError(f"{where}: {text!r:.80} is no felt; give 0x and hex digits")
    return int(digits, 16)


def read_bytes(value: Any, where: str, limit: int, exact: bool = False) -> bytes:
    """Hex digits as bytes, at most (or exactly) `limit`. Raises ParseError."""
    text = string(value, where)
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise ParseError(f"{where}: not hex digits") from None
    if len(data) > limit or (exact and len(data) != limit):
        raise ParseError(f"{where}: {len(data)} bytes, {'not' if exact else 'more than'} {limit}")
    return data


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return hex(value) if name in FELTS else value


def _read(name: str, kind: str, given: Mapping[str, Any], where: str) -> Any:
    value = given[name]
    if name in FELTS:
        return read_felt(value, where)
    if kind == "bytes":
        return read_bytes(value, where, 32, exact=True)
    if kind == "bool":
        return boolean(value, where)
    number = integer(value, where)
    if not 0 <= number <= MAX_NUMBER:
        raise ParseError(f"{where}: {number} is outside 0..{MAX_NUMBER}")
    return number
