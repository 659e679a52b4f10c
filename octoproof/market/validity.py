"""Whether an output is what was agreed: size, JSON, fields, schema, number of words (QOS-12).

Terms are agreed before any output exists, and a verdict depends on nothing but terms and bytes, so that everyone who
judges comes to the same one. Both come from strangers: the size is looked at first, and terms whose schema could cost
too much for outputs of their size are refused when they are made, not when they are needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2s

from air.statement import Writer
from octoproof.market.documents import parse_document
from octoproof.market.errors import MarketError, RuleError
from octoproof.market.money import whole
from octoproof.market.schema import canonical_schema, schema_cost, schema_fault
from verifier.strict import boolean, fields, integer, integer_or_null, items, string

MAX_OUTPUT_BYTES = 1 << 20
MAX_FIELDS, MAX_FIELD_BYTES = 64, 128
MAX_TERMS_BYTES = 64 << 10
MAX_WORK = 1 << 26  # places of a schema times places of an output
TERMS, VERDICT = 16, 17  # first words of what is hashed


@dataclass(frozen=True)
class Terms:
    """What an output must be. `schema` is canonical text, see `canonical_schema`; a limit of words or None.

    Words are runs of bytes that are not ASCII white space. A model's own tokens can be counted only by who has its
    tokenizer; the log signs that figure."""

    max_bytes: int = MAX_OUTPUT_BYTES
    json: bool = False
    fields: tuple[str, ...] = ()
    schema: str = ""
    max_words: int | None = None

    def check(self) -> None:
        """Raises MarketError for terms that cannot be judged by, or not in bounded time."""
        whole(self.max_bytes, "terms.max_bytes", 1, MAX_OUTPUT_BYTES)
        whole(len(self.fields), "terms.fields", 0, MAX_FIELDS)
        if any(not 0 < len(string(name, "terms.fields").encode()) <= MAX_FIELD_BYTES for name in self.fields):
            raise MarketError(f"terms.fields: a name must have 1 to {MAX_FIELD_BYTES} bytes")
        if self.max_words is not None:
            whole(self.max_words, "terms.max_words", 0, MAX_OUTPUT_BYTES)
        if self.schema:
            if canonical_schema(self.schema) != self.schema:
                raise MarketError("terms.schema: not in canonical form; keys are sorted and there are no spaces")
            most = MAX_WORK // schema_cost(self.schema) * 2  # two bytes a place at least
            if self.max_bytes > most:
                raise MarketError(f"terms.max_bytes: {self.max_bytes}, but by this schema at most {most} can be judged")

    def digest(self) -> bytes:
        """32 bytes that a purchase can be bound to."""
        out = Writer().u32(TERMS).i64(self.max_bytes).u32(self.json).items(self.fields, Writer.text).text(self.schema)
        return blake2s(out.i64(-1 if self.max_words is None else self.max_words).to_bytes()).digest()


@dataclass(frozen=True)
class Finding:
    """One check: `max_size`, `valid_json`, `contains_field`, `valid_schema` or `token_count`, and what is wrong."""

    check: str
    fault: str = ""


@dataclass(frozen=True)
class Verdict:
    """Which output was judged by which terms, and every check made. What follows a failed parse was not made."""

    output: bytes
    terms: bytes
    findings: tuple[Finding, ...]

    @property
    def valid(self) -> bool:
        return not any(finding.fault for finding in self.findings)

    def digest(self) -> bytes:
        """32 bytes that can be evidence: of the same output and terms there is only one verdict."""
        out = Writer().u32(VERDICT).bytes32(self.output).bytes32(self.terms).u32(self.valid)
        return blake2s(out.to_bytes()).digest()


def read_terms(data: bytes) -> Terms:
    """Terms from JSON: `max_bytes`, `json`, `fields`, `schema` (as an object) and `max_words`, each of them optional.

    Raises ParseError, of which MarketError is one, naming the field."""
    if len(data) > MAX_TERMS_BYTES:
        raise MarketError(f"terms: {len(data)} bytes, more than the {MAX_TERMS_BYTES} that are read")
    given = fields(parse_document(data), "terms", (), ("max_bytes", "json", "fields", "schema", "max_words"))
    names = items(given.get("fields", []), "terms.fields")
    terms = Terms(
        integer(given.get("max_bytes", MAX_OUTPUT_BYTES), "terms.max_bytes"),
        boolean(given.get("json", False), "terms.json"),
        tuple(string(name, "terms.fields") for name in names),
        canonical_schema(json.dumps(given["schema"])) if "schema" in given else "",
        integer_or_null(given.get("max_words"), "terms.max_words"),
    )
    terms.check()
    return terms


def output_hash(output: bytes) -> bytes:
    """What a signed exchange says of an output: Blake2s-256 of its bytes."""
    return blake2s(output).digest()


def judge(output: bytes, terms: Terms, signed: bytes) -> Verdict:
    """The verdict on the output that was signed. Raises RuleError for other bytes, MarketError for bad terms."""
    terms.check()
    found = output_hash(output)
    if found != signed:
        raise RuleError(f"output: its hash is {found.hex()[:16]}..., but {signed.hex()[:16]}... was signed")
    return Verdict(found, terms.digest(), tuple(_findings(output, terms)))


def _findings(output: bytes, terms: Terms) -> Iterator[Finding]:
    if len(output) > terms.max_bytes:
        yield Finding("max_size", f"{len(output)} bytes, more than {terms.max_bytes}")
        return
    yield Finding("max_size")
    if terms.max_words is not None:
        words = len(output.split())
        yield Finding("token_count", f"{words} words, more than {terms.max_words}" if words > terms.max_words else "")
    if not (terms.json or terms.fields or terms.schema):
        return
    try:
        document = parse_document(output)
    except MarketError as error:
        yield Finding("valid_json", str(error))
        return
    yield Finding("valid_json")
    for name in terms.fields:
        there = isinstance(document, dict) and name in document
        yield Finding("contains_field", "" if there else f"{name!r} is missing")
    if terms.schema:
        yield Finding("valid_schema", schema_fault(terms.schema, document))
