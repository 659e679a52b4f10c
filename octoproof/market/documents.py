"""JSON of strangers: I-JSON (RFC 7493), stricter than many parsers, so that all of us read the same document.

UTF-8, no key twice, no NaN, whole numbers of at most 64 bits, others finite and of at most 64 characters, and nested at
most 64 deep. The time is linear in the text.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from octoproof.market.errors import MarketError

MAX_DEPTH = 64


def parse_document(data: bytes) -> Any:
    """The document. Raises MarketError, never anything else."""
    _check_depth(data)
    try:
        document = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_distinct,
            parse_int=_whole_number,
            parse_float=_number,
            parse_constant=_no_number,
        )
        json.dumps(document, ensure_ascii=False).encode()  # fails for halves of characters
    except UnicodeError:
        raise MarketError("not a text of whole UTF-8 characters") from None
    except ValueError as error:
        raise MarketError(f"not JSON: {str(error)[:120]}") from None
    return document


def _check_depth(data: bytes) -> None:
    """Before it is parsed: how deep a parser can go depends on the machine, and a verdict must not."""
    depth, quoted, escaped = 0, False, False
    for byte in data:
        if quoted:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                quoted = False
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MarketError(f"nested more than {MAX_DEPTH} deep")
        elif byte in b"]}":
            depth -= 1


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise MarketError("an object has a key twice")
    return found


def _whole_number(text: str) -> int:
    if len(text) > 20 or not -(1 << 63) <= (number := int(text)) < 1 << 64:
        raise MarketError("a whole number has more than 64 bits")
    return number


def _number(text: str) -> float:
    if len(text) > 64 or not isfinite(number := float(text)):
        raise MarketError("a number is too long or too large")
    return number


def _no_number(text: str) -> Any:
    raise MarketError(f"{text} is no JSON number")
