"""Output validity: each check, and that no output or schema of a stranger costs more than it should."""

from __future__ import annotations

import json
import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.market.documents import MAX_DEPTH, parse_document
from octoproof.market.errors import MarketError, RuleError
from octoproof.market.schema import MAX_SCHEMA_BYTES, canonical_schema, schema_cost, schema_fault
from octoproof.market.validity import (
    MAX_OUTPUT_BYTES,
    MAX_WORK,
    Finding,
    Terms,
    Verdict,
    judge,
    output_hash,
    read_terms,
)
from verifier.errors import ParseError

ANSWER = b'{"answer": "42", "tokens": 3}'
SECONDS = 5  # far above what is needed, far below what an attack without a bound takes


def verdict(output: bytes, terms: Terms) -> Verdict:
    return judge(output, terms, output_hash(output))


def faults(output: bytes, terms: Terms) -> dict[str, str]:
    return {finding.check: finding.fault for finding in verdict(output, terms).findings if finding.fault}


def schema(value) -> str:
    return canonical_schema(json.dumps(value))


def test_the_example():
    terms = Terms(max_bytes=4_096, json=True, fields=("answer",))
    found = verdict(ANSWER, terms)
    assert found.valid
    assert [f.check for f in found.findings] == ["max_size", "valid_json", "contains_field"]
    assert faults(b'{"result": 1}', terms) == {"contains_field": "'answer' is missing"}
    assert faults(b"[]", terms).keys() == {"contains_field"}
    assert faults(b"{", terms).keys() == {"valid_json"}
    assert faults(b'{"answer": "' + b"x" * 4_096 + b'"}', terms) == {"max_size": "4110 bytes, more than 4096"}


def test_other_bytes_than_those_signed():
    with pytest.raises(RuleError, match="was signed"):
        judge(ANSWER + b" ", Terms(), output_hash(ANSWER))


def test_edges_of_size_and_words():
    assert not faults(b"abc", Terms(max_bytes=3))
    assert faults(b"abcd", Terms(max_bytes=3))
    assert not faults(b" one\ttwo\nthree ", Terms(max_words=3))
    assert faults(b"one two three four", Terms(max_words=3)) == {"token_count": "4 words, more than 3"}
    assert not faults(b"", Terms(max_words=0))


def test_a_verdict_binds_output_terms_and_outcome():
    terms = [
        Terms(),
        Terms(max_bytes=9),
        Terms(json=True),
        Terms(fields=("a",)),
        Terms(fields=("b",)),
        Terms(fields=("a", "b")),
    ]
    terms += [Terms(max_words=0), Terms(max_words=1), Terms(schema="{}"), Terms(schema="true")]
    assert len({t.digest() for t in terms}) == len(terms)
    digests = {verdict(output, t).digest() for t in terms for output in (b'{"a":1}', b'{"b":1}')}
    assert len(digests) == 2 * len(terms)
    told = verdict(b"{}", terms[0])
    assert told.digest() != Verdict(told.output, told.terms, (Finding("max_size", "no"),)).digest()


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (b'{"a": 1, "a": 2}', "key twice"),
        (b'{"a": {"b": 1, "b": 2}}', "key twice"),
        (b"NaN", "no JSON number"),
        (b"[-Infinity]", "no JSON number"),
        (b"1e999", "too large"),
        (b"1." + b"0" * 100, "too long"),
        (b"18446744073709551616", "64 bits"),
        (b"-9223372036854775809", "64 bits"),
        (b"1" * 5_000, "64 bits"),
        (b'"\\ud800"', "whole UTF-8"),
        (b'"\xff"', "whole UTF-8"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested"),
        (b"", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
    ],
)
def test_json_that_parsers_disagree_about(output, why):
    with pytest.raises(MarketError, match=why):
        parse_document(output)
    assert why in faults(output, Terms(json=True))["valid_json"]


def test_json_that_is_one():
    assert parse_document(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert parse_document(b"18446744073709551615") == 2**64 - 1
    assert parse_document(b'{"[[": "]\\"[", "\\\\": 0.5}') == {"[[": ']"[', "\\": 0.5}
    assert parse_document(b'"\\ud83d\\ude00"') == "\U0001f600"


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text('[]{}",:\\0123456789.eE+-trufalsn \n', max_size=200).map(str.encode))
def test_no_bytes_raise_anything_else(output):
    assert verdict(output, Terms(json=True, fields=("a",), schema="{}", max_words=3)) is not None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON)
def test_what_json_writes_is_read_back(value):
    try:
        data = json.dumps(value).encode()
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a half of a character
        return
    assert parse_document(data) == value


PERSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "answer": {"type": "string", "minLength": 1, "pattern": "^[a-z]+$"},
        "scores": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 0.5}, "maxItems": 3},
        "kind": {"enum": ["a", "b"]},
    },
    "required": ["answer"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "keyword"),
    [
        ({"answer": "yes", "scores": [0, 0.25, 0.5], "kind": "b"}, ""),
        ({}, "required"),
        ({"answer": "YES"}, "pattern"),
        ({"answer": ""}, "minLength|pattern"),
        ({"answer": "a", "scores": [0, 0.75]}, "maximum"),
        ({"answer": "a", "scores": [0, 0, 0, 0]}, "maxItems"),
        ({"answer": "a", "kind": "c"}, "enum"),
        ({"answer": "a", "more": 1}, "additionalProperties"),
        ([], "type"),
    ],
)
def test_schemas(value, keyword):
    found = faults(json.dumps(value).encode(), Terms(max_bytes=1_000, schema=schema(PERSON)))
    assert any(word in found.get("valid_schema", "") for word in keyword.split("|")) if keyword else not found


def test_a_schema_is_the_same_however_it_is_written():
    assert canonical_schema('{ "type":"string",  "minLength": 1}') == canonical_schema(
        '{"minLength":1,"type":"string"}'
    )
    with pytest.raises(MarketError, match="canonical form"):
        verdict(b"1", Terms(max_bytes=9, schema='{ "type": "string" }'))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"$ref": "#"}, r"not among the keywords"),
        ({"items": {"$ref": "http://example.com"}}, r"schema\.items"),
        ({"$dynamicRef": "#x"}, "not among"),
        ({"uniqueItems": True}, "not among"),
        ({"format": "email"}, "not among"),
        ({"contians": {}}, "not among"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "only https"),
        ({"type": "strnig"}, "not accepted"),
        ({"minLength": -1}, "not accepted"),
        ({"anyOf": {}}, "not among"),
        ({"properties": []}, "not among"),
        ({"items": 5}, "must be an object"),
        (5, "must be an object"),
        ({"pattern": "(?=x)"}, "not accepted"),
        ({"pattern": "(a)\\1"}, "not accepted"),
        ({"pattern": "("}, "not accepted"),
        ({"pattern": "(a{1,1000}){1,1000}"}, "not accepted"),
        ({"pattern": 5}, "not accepted"),
    ],
)
def test_schemas_that_are_refused(value, why):
    with pytest.raises(MarketError, match=why):
        schema(value)


@pytest.mark.parametrize("wrap", [lambda s: {"not": s}, lambda s: {"anyOf": [s]}, lambda s: {"properties": {"a": s}}])
def test_schemas_that_are_too_deep(wrap):
    deep: dict = {}
    for _ in range(16):
        deep = wrap(deep)
    schema(deep)
    with pytest.raises(MarketError, match="nested more than 16 deep"):
        schema(wrap(deep))


def test_schemas_of_bad_size_and_form():
    with pytest.raises(MarketError, match="more than the 16384"):
        canonical_schema('{"title": "' + "x" * MAX_SCHEMA_BYTES + '"}')
    for text in ('{"type": "string", "type": "number"}', "{", '{"title": "\ud800"}', "[" * 10_000):
        with pytest.raises(MarketError, match="schema: "):
            canonical_schema(text)


def test_terms_that_could_cost_too_much_are_refused_before_there_is_an_output():
    many = schema({"anyOf": [{"const": number} for number in range(700)]})
    most = MAX_WORK // schema_cost(many) * 2
    Terms(max_bytes=most, schema=many).check()
    with pytest.raises(MarketError, match=f"at most {most} can be judged"):
        Terms(max_bytes=most + 1, schema=many).check()


@pytest.mark.parametrize(
    "terms",
    [
        Terms(max_bytes=0),
        Terms(max_bytes=MAX_OUTPUT_BYTES + 1),
        Terms(fields=("",)),
        Terms(fields=("x" * 129,)),
        Terms(fields=("a",) * 65),
        Terms(max_words=-1),
    ],
)
def test_terms_out_of_bounds(terms):
    with pytest.raises(MarketError, match="terms"):
        verdict(b"{}", terms)


def test_terms_are_read_from_json():
    data = b'{"max_bytes": 4096, "json": true, "fields": ["answer"], "schema": {"type": "object"}, "max_words": 9}'
    assert read_terms(data) == Terms(4_096, True, ("answer",), '{"type":"object"}', 9)
    assert read_terms(b"{}") == Terms()
    assert read_terms(b'{"schema": {"maximum": 0.5}}').schema == '{"maximum":0.5}'


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[]", "terms: must be an object"),
        (b'{"size": 1}', "terms.size: unknown field"),
        (b'{"max_bytes": "1"}', "terms.max_bytes: must be an integer"),
        (b'{"max_bytes": 0}', "terms.max_bytes: 0 is no whole number"),
        (b'{"json": 1}', "terms.json: must be true or false"),
        (b'{"fields": "answer"}', "terms.fields: must be a list"),
        (b'{"fields": [1]}', "terms.fields: must be a string"),
        (b'{"schema": {"$ref": "#"}}', "not among the keywords"),
        (b'{"schema": null}', "schema: must be an object"),
        (b'{"json": true, "json": false}', "key twice"),
        (b" " * 70_000, "terms: 70000 bytes"),
    ],
)
def test_terms_that_cannot_be_read(data, why):
    with pytest.raises(ParseError, match=re.escape(why)):
        read_terms(data)


def _string(size: int) -> bytes:
    return b'"' + bytes(random.Random(1).choices(b"ab", k=size - 2)) + b'"'


@pytest.mark.parametrize(
    "pattern",
    ["^(a+)+$", "^(a|a)*$", "(a|b)*a(a|b){12}c", "[ab]*a[ab]{300}c", "(a?){200}b{200}c", "^(([a-z])+.)+[A-Z]$"],
)
def test_no_pattern_takes_long(pattern):
    """With backtracking, some of these would not end; `[ab]*a[ab]{300}c` is the worst known for the engine we use."""
    slow = schema({"type": "string", "pattern": pattern})
    size = MAX_WORK // schema_cost(slow) * 2
    start = time.process_time()
    verdict(_string(size), Terms(max_bytes=size, schema=slow))
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize(
    ("value", "item"),
    [
        ({"items": {"anyOf": [{"type": "string"}] * 200 + [{"type": "integer"}]}}, b"1"),
        ({"items": {"anyOf": [{"const": number} for number in range(2, 700)]}}, b"1"),
        ({"items": {"enum": [[number] * 3 for number in range(1, 900)]}}, b"[0]"),
        ({"items": {"required": [f"k{number}" for number in range(1_000)]}}, b"{}"),
    ],
)
def test_no_schema_takes_long(value, item):
    costly = schema(value)
    size = min(MAX_OUTPUT_BYTES, MAX_WORK // schema_cost(costly) * 2)
    output = b"[" + b",".join([item] * ((size - 2) // (len(item) + 1))) + b"]"
    start = time.process_time()
    verdict(output, Terms(max_bytes=size, schema=costly))
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("piece", [b"[", b'{"a":', b'\\"', b"1", b"-", b" ", b'"', b'"\\', b"[1,", b"0.", b"\\u0000"])
def test_no_output_takes_long(piece):
    for start in (b"", b'"', b"["):
        output = (start + piece * (MAX_OUTPUT_BYTES // len(piece)))[:MAX_OUTPUT_BYTES]
        began = time.process_time()
        verdict(output, Terms(json=True))
        assert time.process_time() - began < SECONDS


def test_a_fault_names_place_and_keyword():
    assert schema_fault(schema({"items": {"type": "integer"}}), [1, "x"]) == "/1 by items/type"
