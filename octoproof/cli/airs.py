"""Which AIR the user means: a name from the list with its sizes, or a file with a spec or with AIR JSON."""

from __future__ import annotations

import os

from air.export import air_from_json
from air.layout import AirError
from octoproof.cli.examples import FAMILIES, Example
from verifier.errors import ParseError
from verifier.spec import MAX_SPEC_JSON_BYTES, spec_from_json
from verifier.strict import load_json


def choose(source: str, log_size: int, columns: int) -> Example:
    """Raises AirError, ParseError or OSError. `log_size` and `columns` count for names only."""
    if source in FAMILIES:
        return FAMILIES[source].example(log_size, columns)
    if not os.path.exists(source):
        raise AirError(f"{source}: no such file, and not one of {', '.join(FAMILIES)}")
    data = read_bounded(source, MAX_SPEC_JSON_BYTES)
    document = load_json(data, source, MAX_SPEC_JSON_BYTES)
    if not (isinstance(document, dict) and "air" in document):
        return Example(source, air_from_json(document))
    spec = spec_from_json(data)
    makers = (None, None) if spec.native is None else (spec.native.preprocessed, spec.native.main)
    return Example(source, spec.air, spec.statement_u64, spec.balancing_terms, *makers)


def read_bounded(path: str | os.PathLike[str], limit: int) -> bytes:
    """A file of at most `limit` bytes, whatever else is there. Raises ParseError, OSError."""
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ParseError(f"{os.fspath(path)}: more than the {limit} bytes that are read")
    return data
