"""Every bound of the parsers at its edge: names, texts, numbers on the wire, headers (see test_edges)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import verifier
import verifier.receipt
from air.field import QM31, P
from air.statement import StatementError as BadStatement
from verifier.channel import channel
from verifier.errors import (
    EncodingError,
    MerkleError,
    ParseError,
    PreprocessedRootError,
    ShapeError,
)
from verifier.hashes import hasher
from verifier.merkle import verify_rows
from verifier.proof import proof_from_json, proof_to_json
from verifier.receipt import Part, Receipt, read_receipt, registry, write_receipt
from verifier.spec import spec_from_json, spec_to_json
from verifier.strict import fields, load_json
from verifier.wire import Input, Output, proof_from_wire, proof_to_wire


def test_names_and_texts() -> None:
    for make in (channel, hasher):
        with pytest.raises(ParseError):
            make("sha256")
    with pytest.raises(AttributeError):
        verifier.nothing
    assert load_json("[1]", "test", 3) == [1]
    with pytest.raises(ParseError):
        load_json("[1] ", "test", 3)
    with pytest.raises(ParseError, match="nested too deeply"):
        load_json("[" * 100_000, "test", 100_000)
    for text in ("", "nothing", "1" * 5000, b"\xff", "[1,]"):
        with pytest.raises(ParseError, match="not JSON"):
            load_json(text, "test", 5000)
    for text in ("[1.5]", "[1e3]", "[NaN]", "[-Infinity]"):
        with pytest.raises(ParseError, match="not an integer"):
            load_json(text, "test", 100)
    assert fields({"a": 1, "b": 2}, "test", ("a",), ("b",)) == {"a": 1, "b": 2}
    with pytest.raises(ParseError):
        fields({"a": 1, "c": 2}, "test", ("a",), ("b",))
    kind = hasher("blake2s")
    for text in ("0" * 63, "0" * 65, "g" * 64, "0" * 62):
        with pytest.raises(ParseError):
            kind.from_hex(text, "root")
    with pytest.raises(EncodingError):
        kind.to_bytes(b"")


def test_a_spec_of_an_unknown_channel(case: Any) -> None:
    """Also where nothing else in the spec depends on the channel: the parser says so, not the verifier."""
    document = spec_to_json(case("plonk_8").spec) | {"channel": "sha256"}
    document.pop("preprocessed_root", None)
    with pytest.raises(ParseError, match="channel: unknown"):
        spec_from_json(json.dumps(document))


def test_wire_numbers() -> None:
    out = Output()
    out.u32(0, (1 << 32) - 1)
    out.u64(0)
    out.u64((1 << 64) - 1)
    out.felts([QM31(0, P - 1, 0, P - 1)])
    for value in (-1, 1 << 32):
        with pytest.raises(EncodingError):
            out.u32(value)
    for value in (-1, 1 << 64):
        with pytest.raises(EncodingError):
            out.u64(value)
    for value in (-1, P):
        with pytest.raises(EncodingError):
            out.felts([QM31(value)])
    source = Input(out.bytes(), "test", len(out.bytes()))
    assert source.u32s(2) == (0, (1 << 32) - 1)
    assert (source.u64(), source.u64()) == (0, (1 << 64) - 1)
    assert source.felts() == (QM31(0, P - 1, 0, P - 1),)
    source.end()
    for read in (lambda: source.raw(1), source.u32, source.u64, lambda: source.u32s(1), lambda: source.count(1)):
        with pytest.raises(ParseError):
            read()
    with pytest.raises(ParseError):
        Input(b"12", "test", 1)
    assert Input(b"", "test", 0).elements(0) == ()
    with pytest.raises(EncodingError):
        Input(P.to_bytes(4, "little"), "test", 4).elements(1)
    with pytest.raises(ParseError):
        Input(b"\1\0\0\0abc", "test", 7).count(4)
    with pytest.raises(ParseError):
        Input(b"", "test", 7).raw(1)


def test_wire_of_proofs_that_cannot_be_right(case: Any) -> None:
    c = case("plonk_8")
    for name in ("commitments", "sampled_values", "decommitments", "queried_values"):
        with pytest.raises(ShapeError):
            proof_to_wire(replace(c.proof, **{name: getattr(c.proof, name)[:-1]}), "blake2s")
    opened = c.proof.queried_values
    for tree, error in (
        (opened[0][:-1], ShapeError),
        ((opened[0][0][:-1], *opened[0][1:]), ShapeError),
        (((P, *opened[0][0][1:]), *opened[0][1:]), EncodingError),
        (((-1, *opened[0][0][1:]), *opened[0][1:]), EncodingError),
    ):
        with pytest.raises(error):
            proof_to_wire(replace(c.proof, queried_values=(tree, *opened[1:])), "blake2s")
    for value in (0, P - 1):
        tree = tuple((value,) * len(column) for column in opened[0])
        proof_to_wire(replace(c.proof, queried_values=(tree, *opened[1:])), "blake2s")
    with pytest.raises(EncodingError):
        proof_to_wire(replace(c.proof, config=replace(c.proof.config, lifting_log_size=0)), "blake2s")


def test_wire_headers(case: Any) -> None:
    c = case("wide_fib_5x4_default")
    data = proof_to_wire(c.proof, "blake2s")
    for version in (0, 2):
        with pytest.raises(ParseError, match="version"):
            proof_from_wire(data[:4] + version.to_bytes(4, "little") + data[8:])
    with pytest.raises(ParseError, match="unknown channel 3"):
        proof_from_wire(data[:8] + (3).to_bytes(4, "little") + data[12:])
    # Tree 0 has no columns: the count of its queries is the second word after root and witness.
    queries = 12 + 24 + 8 + 4 + 32 + 4 + 4
    assert data[queries : queries + 4] == bytes(4)
    with pytest.raises(ParseError, match="without columns"):
        proof_from_wire(data[:queries] + (1).to_bytes(4, "little") + data[queries + 4 :])


BAD_FELTS = [
    [[1, 2], [3], [4]],
    [[1], [2, 3, 4]],
    [],
    [[], [1, 2, 3, 4]],
    [[1, 2], [3, 4], []],
    [[1, 2], [3]],
    [[1, 2]],
]


@pytest.mark.parametrize("felt", BAD_FELTS, ids=str)
def test_nesting_of_secure_values(felt: Any, case: Any) -> None:
    document = json.loads(proof_to_json(case("wide_fib_5x4_default").proof, "blake2s"))
    document["sampled_values"][1][0][0] = felt
    with pytest.raises(ShapeError):
        proof_from_json(json.dumps(document), "blake2s")


def test_openings_at_no_position() -> None:
    kind = hasher("blake2s")
    nothing, rows = np.zeros(0, dtype=np.int64), np.zeros((0, 4), dtype=np.uint32)
    with pytest.raises(MerkleError):
        verify_rows(kind, kind.empty, 3, nothing, rows, (), "test")


def test_parts_of_a_receipt(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier.receipt, "MAX_PARTS", 2)
    c = case("wide_fib_5x4_default")
    part = Part((1, 1), "blake2s", (), c.proof)
    assert len(read_receipt(write_receipt(Receipt((part, part)))).parts) == 2
    with pytest.raises(ParseError, match="1 to 2"):
        read_receipt(write_receipt(Receipt((part, part, part))))


def test_receipt_headers(case: Any) -> None:
    c = case("plonk_8")
    part = Part((1, 1), "blake2s", c.spec.claimed_sums, c.proof)
    data = write_receipt(Receipt((part,)))
    assert read_receipt(data).parts == (part,)
    assert len(read_receipt(write_receipt(Receipt((part, part)))).parts) == 2
    with pytest.raises(ParseError, match="1 to"):
        read_receipt(write_receipt(Receipt(())))
    with pytest.raises(ParseError, match="start with"):
        read_receipt(b"X" + data[1:])
    length = len("OCTOPROOF-RECEIPT") + 4
    wrong = data[:length] + (len(data) + 1).to_bytes(8, "little") + data[length + 8 :]
    with pytest.raises(ParseError, match="says it has"):
        read_receipt(wrong)
    longer = data[:length] + (len(data) + 1).to_bytes(8, "little") + data[length + 8 :] + b"\0"
    with pytest.raises(ParseError, match="trailing"):
        read_receipt(longer)


def test_registry() -> None:
    class One:
        TYPE, VERSION, NAME = 5, 1, "one"

    class Two:
        TYPE, VERSION, NAME = 5, 1, "two"

    one = One()
    assert registry(one, one) == {5: one}
    with pytest.raises(BadStatement):
        registry(one, Two())


def test_tree_0_without_a_root(case: Any) -> None:
    c = case("expr_plonk_6")
    with pytest.raises(PreprocessedRootError, match="missing"):
        _ = replace(c.spec, preprocessed_root=None).tree0_root
    with pytest.raises(PreprocessedRootError, match="not the root"):
        _ = replace(case("plonk_8").spec, preprocessed_root=bytes(32)).tree0_root
