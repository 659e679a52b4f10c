"""Strict JSON: bounded before it is parsed, no duplicate keys, no floats, no booleans for integers, no unknown keys."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from verifier.errors import ParseError

MAX_DEPTH = 64
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)  # unended ones too: in linear time
_BRACKETS = re.compile(r"[\[{\]}]")


def load_json(text: str | bytes, where: str, limit: int) -> Any:
    """Parses at most `limit` bytes of JSON. Raises ParseError."""
    if len(text) > limit:
        raise ParseError(f"{where}: {len(text)} bytes, more than the {limit} that are read")
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        _check_depth(text, where)
        return json.loads(text, object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float)
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, integers of more than 4300 digits
        raise ParseError(f"{where}: not JSON: {str(error)[:160]}") from None


def _check_depth(text: str, where: str) -> None:
    """The parser recurses on the stack; Python's own limit is no protection, since any library may have raised it."""
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise ParseError(f"{where}: nested too deeply, more than {MAX_DEPTH} levels")


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ParseError(f"JSON object with a duplicate key among {', '.join(map(shown, sorted(out)))[:120]}")
    return out


def shown(key: str) -> str:
    """A key as a message names it: a stranger's may hold line breaks, so only plain ones stand as they are."""
    return key if key.isidentifier() else repr(key)


def _no_float(text: str) -> NoReturn:
    raise ParseError(f"JSON number {text[:40]!r} is not an integer")


def fields(value: Any, where: str, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """An object with exactly these keys (the optional ones may be missing)."""
    if not isinstance(value, dict):
        raise ParseError(f"{where}: must be an object")
    for name in names:
        if name not in value:
            raise ParseError(f"{where}.{name}: missing")
    for name in value:
        if name not in names and name not in optional:
            raise ParseError(f"{where}.{shown(name)[:60]}: unknown field")
    return value


def items(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ParseError(f"{where}: must be a list")
    return value


def integer(value: Any, where: str) -> int:
    if type(value) is not int:  # a bool is an int to isinstance
        raise ParseError(f"{where}: must be an integer")
    return value


def integer_or_null(value: Any, where: str) -> int | None:
    return None if value is None else integer(value, where)


def string(value: Any, where: str) -> str:
    """Text that has an encoding: JSON can spell halves of characters that have none."""
    if not isinstance(value, str):
        raise ParseError(f"{where}: must be a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ParseError(f"{where}: not a text of whole characters") from None
    return value


def boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ParseError(f"{where}: must be true or false")
    return value
