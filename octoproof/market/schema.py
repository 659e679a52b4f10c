"""JSON schemas of strangers: the part of draft 2020-12 whose cost is known before it is paid.

A keyword is allowed if it looks at each place of a document once. References and `uniqueItems` are refused, since a
short schema could make them cost more than anyone waits for, and so are names that this does not know, which would
silently demand nothing. Patterns are run by an engine without backtracking (Rust's `regex`), whose time is linear in
the text: no look-around, no back-references, and a bound on what a pattern compiles to.

`cost` counts the places of a schema; times the places of a document it bounds the work.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import jsonschema_rs

from octoproof.market.documents import parse_document
from octoproof.market.errors import MarketError
from verifier.strict import shown

MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH = 16 << 10, 16
PATTERN_BYTES = 1 << 16  # what one pattern may compile to
PATTERN_COST = 2_000  # places that one pattern counts for
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NOTES = {"$schema", "title", "description"}
_PLAIN = {"type", "enum", "const", "required", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} | {
    f"{bound}{what}" for bound in ("min", "max") for what in ("Length", "Items", "Properties")
}
_ONE = {"additionalProperties", "items", "not", "propertyNames"}
_LISTS = {"anyOf", "allOf", "oneOf", "prefixItems"}
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=1 << 20)


def canonical_schema(text: str) -> str:
    """The schema as text with sorted keys and no spaces. Raises MarketError for one that is not accepted."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_SCHEMA_BYTES:
        raise MarketError(f"schema: {len(data)} bytes, more than the {MAX_SCHEMA_BYTES} that are read")
    try:
        schema = parse_document(data)
    except MarketError as error:
        raise MarketError(f"schema: {error}") from None
    cost(schema)
    written = json.dumps(schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    _compiled(written)
    return written


def schema_cost(canonical: str) -> int:
    """How many places a canonical schema has."""
    return cost(json.loads(canonical))


def schema_fault(canonical: str, document: Any) -> str:
    """Where and by which keyword a document fails; empty if it does not."""
    try:
        _compiled(canonical).validate(document)
    except jsonschema_rs.ValidationError as error:
        return f"/{'/'.join(map(str, error.instance_path))} by {'/'.join(map(str, error.schema_path))}"[:200]
    return ""


def cost(schema: Any, where: str = "schema", depth: int = 0) -> int:
    """Places of a schema, with what its patterns count for. Raises MarketError for what is not accepted."""
    if isinstance(schema, bool):
        return 1
    if not isinstance(schema, dict):
        raise MarketError(f"{where}: must be an object, true or false")
    if depth > MAX_SCHEMA_DEPTH:
        raise MarketError(f"{where}: nested more than {MAX_SCHEMA_DEPTH} deep")
    total = 1
    for name, value in schema.items():
        here = f"{where}.{shown(name)[:40]}"
        if name in _PLAIN:
            total += _leaves(value)
        elif name in _ONE:
            total += cost(value, here, depth + 1)
        elif name in _LISTS and isinstance(value, list):
            total += sum(cost(item, f"{here}[{place}]", depth + 1) for place, item in enumerate(value))
        elif name == "properties" and isinstance(value, dict):
            total += sum(1 + cost(item, f"{here}.{shown(key)[:40]}", depth + 1) for key, item in value.items())
        elif name == "pattern":
            total += PATTERN_COST
        elif name == "$schema" and value != DIALECT:
            raise MarketError(f"{here}: only {DIALECT} is read")
        elif name not in _NOTES:
            raise MarketError(f"{here}: not among the keywords that are read; docs/market.md lists them")
    return total


def _leaves(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_leaves, value.values()))
    return 1 + sum(map(_leaves, value)) if isinstance(value, list) else 1


@lru_cache(maxsize=64)
def _compiled(canonical: str) -> jsonschema_rs.Draft202012Validator:
    try:
        return jsonschema_rs.Draft202012Validator(
            json.loads(canonical), pattern_options=_PATTERNS, validate_formats=False
        )
    except ValueError as error:  # its ValidationError is one
        said = " ".join(str(error).split())[:160]
        raise MarketError(f"schema: not accepted: {said}") from None
