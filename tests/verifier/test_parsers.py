"""What is no proof, spec or wire encoding at all: ParseError, within bounds, before anything large is built."""

from __future__ import annotations

import dataclasses
import json
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier import proof as proof_module
from verifier import spec as spec_module
from verifier.errors import EncodingError, ParseError, ShapeError, StatementError, VerificationError
from verifier.proof import proof_from_json
from verifier.spec import spec_from_json
from verifier.stark import verify_stark
from verifier.strict import load_json, string
from verifier.wire import proof_from_wire, proof_to_wire

NOT_DOCUMENTS = [
    "", "no", "null", "[]", "{}", "1", '"x"', "[" * 100_000, '{"a":' * 100_000, "NaN", "1" * 5000, '{"a":1,"a":1}',
    "\ufeff{}", b"\xff\xfe", b"\x00" * 1000,
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_DOCUMENTS, ids=range(len(NOT_DOCUMENTS)))
def test_no_document(text):
    with pytest.raises(ParseError):
        proof_from_json(text, "blake2s")
    with pytest.raises(ParseError):
        spec_from_json(text)


def test_size_is_bounded_before_parsing(monkeypatch):
    monkeypatch.setattr(proof_module, "MAX_PROOF_JSON_BYTES", 100)
    monkeypatch.setattr(spec_module, "MAX_SPEC_JSON_BYTES", 100)
    for parse in (lambda t: proof_from_json(t, "blake2s"), spec_from_json):
        with pytest.raises(ParseError, match="bytes"):
            parse(" " * 101)


def edited(text, path, value, delete=False):
    document = json.loads(text)
    node = document
    for key in path[:-1]:
        node = node[key]
    if delete:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize("value", [True, False, 1.0, 1e3, None, "1", {}, []])
@pytest.mark.parametrize(
    "path",
    [
        ("proof_of_work",),
        ("config", "pow_bits"),
        ("config", "fri_config", "n_queries"),
        ("commitments", 0, 0),
        ("sampled_values", 1, 0, 0, 0, 0),
        ("queried_values", 1, 0, 0),
        ("fri_proof", "last_layer_poly", "log_size"),
        ("fri_proof", "first_layer", "commitment", 3),
    ],
)
def test_wrong_types(case, path, value):
    text = edited(case("wide_fib_5x4_default").proof_text, path, value)
    with pytest.raises(ParseError):
        proof_from_json(text, "blake2s")


def test_keys(case):
    text = case("plonk_8").proof_text
    document = json.loads(text)
    for key in document:
        with pytest.raises(ParseError, match=key):
            proof_from_json(edited(text, (key,), None, delete=True), "blake2s")
    for path in (("extra",), ("config", "extra"), ("fri_proof", "extra"), ("fri_proof", "first_layer", "extra")):
        with pytest.raises(ParseError, match="extra"):
            proof_from_json(edited(text, path, 1), "blake2s")
    with pytest.raises(ParseError, match="duplicate"):
        proof_from_json(text.replace('"proof_of_work":', '"proof_of_work":1,"proof_of_work":', 1), "blake2s")


def test_wrong_channel(case):
    with pytest.raises(ParseError):
        proof_from_json(case("plonk_8").proof_text, "poseidon252")
    with pytest.raises(ParseError):
        proof_from_json(case("wide_fib_6x20_poseidon").proof_text, "blake2s")
    with pytest.raises(ParseError):
        proof_from_json(case("plonk_8").proof_text, "sha256")


@pytest.mark.parametrize("digits", ["", "-1", "01", "1" * 81, "1e3", "٣", " 1", "0x1"])
def test_poseidon_hash_text(case, digits):
    text = edited(case("wide_fib_6x20_poseidon").proof_text, ("commitments", 1), digits)
    with pytest.raises(EncodingError):
        proof_from_json(text, "poseidon252")


def test_shapes_of_values(case):
    text = case("plonk_8").proof_text
    for path, value, error in (
        (("commitments", 0), [1] * 31, ShapeError),
        (("commitments", 0), [1] * 33, ShapeError),
        (("commitments", 0, 0), 256, EncodingError),
        (("commitments", 0, 0), -1, EncodingError),
        (("sampled_values", 1, 0, 0), [[1, 2], [3]], ShapeError),
        (("sampled_values", 1, 0, 0), [[1, 2, 3, 4]], ShapeError),
        (("sampled_values", 1, 0, 0), [1, 2, 3, 4], ParseError),
    ):
        with pytest.raises(error):
            proof_from_json(edited(text, path, value), "blake2s")


def test_spec_fields(case):
    text = case("expr_plonk_6").spec_text
    for path, value in (
        (("extra",), 1),
        (("config", "extra"), 1),
        (("channel",), "sha256"),
        (("channel",), 1),
        (("mix_config",), 1),
        (("statement_u64",), [1.5]),
        (("statement_u64",), "x"),
        (("claimed_sums",), [[1, 2, 3, "4"]]),
        (("claimed_sums",), 3),
        (("public_terms", 0, "extra"), 1),
        (("public_terms", 0, "values"), 1),
        (("preprocessed_root",), "00"),
        (("preprocessed_root",), "g" * 64),
        (("preprocessed_root",), 5),
        (("air",), []),
        (("air",), {"name": "nothing"}),
        (("air", "json", "version"), 2),
        (("air", "json", "components"), []),
    ):
        with pytest.raises(ParseError):
            spec_from_json(edited(text, path, value))
    for key in ("air", "channel", "config", "mix_config"):
        with pytest.raises(ParseError, match=key):
            spec_from_json(edited(text, (key,), None, delete=True))
    with pytest.raises(ShapeError):
        spec_from_json(edited(text, ("claimed_sums",), [[1, 2, 3]]))


@pytest.mark.parametrize("text", ["\ud800", "blake2s\udfff", "\udc00\ud800", "\ue000\ud9ab"])
def test_halves_of_characters(case, text):
    """JSON can spell them; they have no encoding, so nothing that hashes or prints text can take them."""
    with pytest.raises(ParseError, match="channel: not a text"):
        spec_from_json(edited(case("expr_plonk_6").spec_text, ("channel",), text))
    for whole in ("", "\ud7ff\ue000", "\U0001f600", "a\0"):
        assert string(whole, "name") == whole


def test_spec_ignores_unknown_keys_of_air_json_only(case):
    c = case("expr_plonk_6")
    text = edited(c.spec_text, ("air", "json", "note"), "hello")
    verify_stark(spec_from_json(text), c.proof)


def test_root_of_the_spec_in_capitals(case):
    c = case("expr_plonk_6")
    root = json.loads(c.spec_text)["preprocessed_root"]
    verify_stark(spec_from_json(edited(c.spec_text, ("preprocessed_root",), root.upper())), c.proof)


def test_statement_words_default_to_none_as_in_the_oracle(case):
    c = case("plonk_8")
    spec = spec_from_json(edited(c.spec_text, ("statement_u64",), None, delete=True))
    with pytest.raises(StatementError, match="8, 1, 1"):
        verify_stark(spec, c.proof)


@pytest.mark.parametrize("name", ["plonk_8", "wide_fib_6x20_poseidon"])
def test_wire_truncated_or_extended(name, case):
    c = case(name)
    data = proof_to_wire(c.proof, c.spec.channel)
    rng = random.Random(5)
    for size in [0, 1, 4, 8, 12, len(data) - 1, *(rng.randrange(len(data)) for _ in range(40))]:
        with pytest.raises((ParseError, EncodingError)):
            proof_from_wire(data[:size])
    with pytest.raises(ParseError, match="trailing"):
        proof_from_wire(data + b"\0")


def test_wire_counts_are_compared_with_what_is_left(case):
    """A count of 2^32 - 1 anywhere must not allocate for it."""
    c = case("plonk_8")
    data = proof_to_wire(c.proof, c.spec.channel)
    for position in range(0, min(len(data) - 4, 6000), 4):
        bad = data[:position] + b"\xff\xff\xff\xff" + data[position + 4 :]
        try:
            proof, channel = proof_from_wire(bad)
        except (ParseError, VerificationError):
            continue
        assert proof_to_wire(proof, channel) == bad  # whatever can be read has this one encoding
        assert proof != c.proof


def test_wire_version_and_magic(case):
    c = case("plonk_8")
    data = proof_to_wire(c.proof, c.spec.channel)
    with pytest.raises(ParseError, match="format version 2"):
        proof_from_wire(data[:4] + b"\x02\0\0\0" + data[8:])
    with pytest.raises(ParseError, match="OCTP"):
        proof_from_wire(b"OCTQ" + data[4:])
    with pytest.raises(ParseError, match="channel"):
        proof_from_wire(data[:8] + b"\x03\0\0\0" + data[12:])


def verify_wire(spec, data):
    proof, channel = proof_from_wire(data)
    if channel != spec.channel:  # the receipt reader takes the channel from here
        spec = dataclasses.replace(spec, channel=channel)
    return verify_stark(spec, proof)


def test_wire_bit_flips(case):
    """Every flip is refused, by the reader or by the verifier: nothing in the encoding is slack."""
    c = case("plonk_6_lifted9")
    data = proof_to_wire(c.proof, c.spec.channel)
    rng = random.Random(11)
    for _ in range(150):
        bit = rng.randrange(8 * len(data))
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises((ParseError, VerificationError)):
            verify_wire(c.spec, bytes(bad))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_wire_of_noise(data):
    with pytest.raises((ParseError, VerificationError)):
        proof_from_wire(b"OCTP\x01\0\0\0\0\0\0\0" + data)


@pytest.mark.parametrize("text", ["[" * 10**6, '{"a":' * 10**5, '["\\"]]]", ' + "[" * 10**5])
def test_deep_nesting_where_a_library_has_raised_the_recursion_limit(monkeypatch, text):
    """py_ecc does, and the parser's recursion then ends the process."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(ParseError, match="nested too deeply"):
            load_json(text, "proof", 1 << 24)
    finally:
        sys.setrecursionlimit(before)


def test_brackets_in_strings_are_no_nesting():
    assert load_json('["' + "[" * 100 + '\\"", "\\\\", [1]]', "proof", 1000) == ["[" * 100 + '"', "\\", [1]]


@pytest.mark.parametrize("text", ['"\\' * 10**6, '"\\' * 10**6 + "\\", '"a' * 10**6])
@pytest.mark.timeout(20)  # hours, if every quote were tried as a beginning
def test_strings_without_an_end(text):
    with pytest.raises(ParseError, match="not JSON"):
        load_json(text, "proof", 1 << 24)
