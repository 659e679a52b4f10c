"""B. Parsing and shape: what is read is of the prescribed form, bounded and unique (ANCHORS 5.2, 9 to 13)."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

import air
import verifier
from verifier import proof as proof_module
from verifier import wire as wire_module
from verifier.errors import (
    EncodingError,
    FriError,
    MerkleError,
    ParseError,
    PreprocessedRootError,
    ProofOfWorkError,
    ShapeError,
)
from verifier.proof import proof_from_json, proof_to_json
from verifier.receipt import Part, Receipt, read_receipt, write_receipt
from verifier.spec import spec_from_json
from verifier.stark import verify_stark
from verifier.wire import proof_from_wire, proof_to_wire

SOURCES = [p for package in (air, verifier) for p in sorted(Path(str(package.__file__)).parent.rglob("*.py"))]

# Every list of a proof, as a path, and the error when it is of another length.
LISTS: dict[tuple[Any, ...], type[Exception]] = {
    ("commitments",): ShapeError,
    ("commitments", 1): ShapeError,
    ("sampled_values",): ShapeError,
    ("sampled_values", 1): ShapeError,
    ("sampled_values", 2, 0): ShapeError,
    ("sampled_values", 3, 0): ShapeError,
    ("sampled_values", 1, 0, 0): ShapeError,
    ("sampled_values", 1, 0, 0, 1): ShapeError,
    ("decommitments",): ShapeError,
    ("decommitments", 0, "hash_witness"): MerkleError,
    ("decommitments", 3, "hash_witness"): MerkleError,
    ("queried_values",): ShapeError,
    ("queried_values", 0): ShapeError,
    ("queried_values", 2, 3): ShapeError,
    ("fri_proof", "first_layer", "fri_witness"): FriError,
    ("fri_proof", "first_layer", "decommitment", "hash_witness"): MerkleError,
    ("fri_proof", "inner_layers"): ShapeError,
    ("fri_proof", "inner_layers", 2, "fri_witness"): FriError,
    ("fri_proof", "inner_layers", 2, "decommitment", "hash_witness"): MerkleError,
    ("fri_proof", "last_layer_poly", "coeffs"): FriError,
}
EDITS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "shorter": lambda items: items[:-1],
    "longer": lambda items: [*items, items[-1]],
    "empty": lambda items: [],
    "twice": lambda items: items * 2,
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("path", LISTS, ids=lambda path: ".".join(map(str, path)))
def test_b9_lists_of_another_length(path: tuple[Any, ...], edit: str, case: Any) -> None:
    c = case("plonk_8")
    document = json.loads(proof_to_json(c.proof, "blake2s"))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = EDITS[edit](parent[path[-1]])
    with pytest.raises(LISTS[path]) as caught:
        verify_stark(c.spec, proof_from_json(json.dumps(document), "blake2s"))
    assert caught.type is LISTS[path]


@pytest.mark.parametrize("path", LISTS, ids=lambda path: ".".join(map(str, path)))
def test_b9_lists_nested_once_more(path: tuple[Any, ...], case: Any) -> None:
    c = case("plonk_8")
    document = json.loads(proof_to_json(c.proof, "blake2s"))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = [parent[path[-1]]]
    with pytest.raises((ParseError, ShapeError)):
        verify_stark(c.spec, proof_from_json(json.dumps(document), "blake2s"))


def test_b9_exit_code(case: Any, command: Any, tmp_path: Path) -> None:
    """Inside this process as everywhere in these tests, and once as anybody would run it."""
    c = case("plonk_8")
    assert command(c.spec, c.proof) == 0
    assert command(c.spec, replace(c.proof, commitments=c.proof.commitments[:-1])) == 1
    files = [str(tmp_path / "spec.json"), str(tmp_path / "proof.json")]
    line = [sys.executable, "-m", "octoproof", "stark", "verify", *files]
    done = subprocess.run(line, cwd=Path(verifier.__file__).parents[1], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("NOT VALID: commitments: 3 entries, expected 4")


def test_b9_one_value_does_not_stand_for_all(case: Any, refused: Any) -> None:
    """NumPy would broadcast a row of one value to every query."""
    c = case("wide_fib_5x4_default")
    trace = tuple(column[:1] for column in c.proof.queried_values[1])
    queried = (c.proof.queried_values[0], trace, *c.proof.queried_values[2:])
    refused(ShapeError, c.spec, replace(c.proof, queried_values=queried))


def test_b9_a_tree_without_columns_has_nothing(case: Any, refused: Any) -> None:
    c = case("wide_fib_5x4_default")
    refused(ShapeError, c.spec, replace(c.proof, sampled_values=(((),), *c.proof.sampled_values[1:])))
    refused(ShapeError, c.spec, replace(c.proof, queried_values=(((),), *c.proof.queried_values[1:])))
    extra = (c.proof.commitments[1],)
    refused(PreprocessedRootError, c.spec, replace(c.proof, decommitments=(extra, *c.proof.decommitments[1:])))


def calls(name: str) -> Iterator[tuple[Path, ast.Call]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield path, node


def test_b9_zip_is_strict() -> None:
    """`zip` stops at the shorter side: the verifier says strict=True; a statement's constraints may pair neighbours."""
    found = 0
    for path, call in calls("zip"):
        strict = [keyword for keyword in call.keywords if keyword.arg == "strict"]
        assert strict, f"{path}:{call.lineno}: zip without strict"
        value = strict[0].value
        assert isinstance(value, ast.Constant)
        assert value.value is True or "statements" in path.parts, f"{path}:{call.lineno}"
        found += 1
    assert found > 10


def bounded(action: Callable[[], Any], error: Any) -> None:
    """The refusal comes in a second and in 200 MB."""
    tracemalloc.start()
    started = perf_counter()
    try:
        with pytest.raises(error):
            action()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200e6
    assert perf_counter() - started < 10  # tracing is slow; without it, far below a second


@pytest.mark.parametrize("count", [1 << 31, (1 << 32) - 1])
def test_b10_counts_beyond_the_input(count: int, case: Any) -> None:
    c = case("plonk_8")
    data = proof_to_wire(c.proof, "blake2s")
    trees = 12 + 24 + 8
    witness = trees + 4 + 32
    for position in (trees, witness):
        bad = data[:position] + count.to_bytes(4, "little") + data[position + 4 :]
        bounded(lambda bad=bad: proof_from_wire(bad), ParseError)


@pytest.mark.parametrize("text", ["[" * 1_000_000, '{"a":' * 1_000_000, "[[" * 500 + "]]" * 500, "1" * 1_000_000])
def test_b10_deep_nesting_and_long_numbers(text: str) -> None:
    bounded(lambda: proof_from_json(text, "blake2s"), ParseError)
    bounded(lambda: spec_from_json(text), ParseError)


def test_b10_a_large_input_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is checked on the length: a gigabyte of zeros is never parsed."""
    monkeypatch.setattr(proof_module, "MAX_PROOF_JSON_BYTES", 1 << 20)
    monkeypatch.setattr(wire_module, "MAX_WIRE_BYTES", 1 << 20)
    zeros = bytes((1 << 20) + 1)
    bounded(lambda: proof_from_json(zeros, "blake2s"), ParseError)
    bounded(lambda: proof_from_wire(zeros), ParseError)


def receipt_of(c: Any) -> bytes:
    return write_receipt(Receipt((Part((1, 1), c.spec.channel, c.spec.claimed_sums, c.proof),)))


def test_b10_trailing_and_missing_bytes(case: Any) -> None:
    c = case("plonk_8")
    wire, receipt = proof_to_wire(c.proof, "blake2s"), receipt_of(c)
    for data, read in ((wire, proof_from_wire), (receipt, read_receipt)):
        read(data)
        for bad in (data + b"\0", data[:-1], data * 2, b""):
            with pytest.raises(ParseError):
                read(bad)
    for text in (proof_to_json(c.proof, "blake2s") + "x", proof_to_json(c.proof, "blake2s")[:-1]):
        with pytest.raises(ParseError):
            proof_from_json(text, "blake2s")


def test_b10_one_encoding(case: Any) -> None:
    """Whatever is read is written back as it was: no second receipt of one proof, for replay lists that hash it."""
    c = case("plonk_6_lifted9")
    wire, receipt = proof_to_wire(c.proof, "blake2s"), receipt_of(c)
    assert proof_to_wire(*proof_from_wire(wire)) == wire
    assert write_receipt(read_receipt(receipt)) == receipt
    for position in range(0, len(receipt), 97):
        bad = bytearray(receipt)
        bad[position] ^= 0x80
        try:
            again = write_receipt(read_receipt(bytes(bad)))
        except (ParseError, EncodingError, ShapeError):
            continue
        assert again == bytes(bad)


NOT_INTEGERS = ["NaN", "Infinity", "-Infinity", "1.0", "1e2", "true", "null", '"1"', "[1]", "{}", "-0.0"]


@pytest.mark.parametrize("literal", NOT_INTEGERS)
@pytest.mark.parametrize("key", ["proof_of_work", "pow_bits", "log_size"])
def test_b11_json_of_another_type(literal: str, key: str, case: Any) -> None:
    text = proof_to_json(case("wide_fib_5x4_default").proof, "blake2s")
    start = text.index(f'"{key}":') + len(key) + 3
    end = min(k for k in (text.find(",", start), text.find("}", start)) if k > 0)
    with pytest.raises(ParseError):
        proof_from_json(text[:start] + literal + text[end:], "blake2s")


@pytest.mark.parametrize("literal", ["1.5", "NaN", "1e0"])
def test_b11_a_float_is_not_null(literal: str, case: Any) -> None:
    """Where null is allowed, a reader that takes floats for nothing would take this for no lifting."""
    text = proof_to_json(case("wide_fib_5x4_default").proof, "blake2s")
    with pytest.raises(ParseError):
        proof_from_json(text.replace('"lifting_log_size":null', f'"lifting_log_size":{literal}'), "blake2s")


def test_b11_duplicate_and_unknown_keys(case: Any) -> None:
    text = proof_to_json(case("wide_fib_5x4_default").proof, "blake2s")
    for bad in (
        text.replace('"proof_of_work":', '"proof_of_work":0,"proof_of_work":', 1),
        text.replace('"proof_of_work":', '"Proof_of_work":', 1),
        text.replace("{", '{"extra":0,', 1),
    ):
        with pytest.raises(ParseError):
            proof_from_json(bad, "blake2s")


@pytest.mark.parametrize("number", [-1, 1 << 64, 10**4000], ids=["negative", "65 bits", "4000 digits"])
def test_b11_huge_and_negative_integers(number: int, case: Any) -> None:
    c = case("plonk_8")
    document = json.loads(proof_to_json(c.proof, "blake2s"))
    for path in (
        ("proof_of_work",),
        ("commitments", 1, 0),
        ("sampled_values", 1, 0, 0, 0, 0),
        ("queried_values", 1, 0, 0),
        ("fri_proof", "inner_layers", 0, "fri_witness", 0, 1, 1),
    ):
        bad = json.loads(json.dumps(document))
        parent = bad
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = number
        with pytest.raises(EncodingError):
            verify_stark(c.spec, proof_from_json(json.dumps(bad), "blake2s"))


@pytest.mark.parametrize("value", [True, 1.0, np.uint32(1), np.int64(1), None, "1", float("nan")], ids=repr)
def test_b11_values_of_python_that_are_no_integers(value: Any, case: Any, refused: Any) -> None:
    """The API takes objects too: nothing but int is an opened value."""
    c = case("wide_fib_5x4_default")
    column = (value, *c.proof.queried_values[1][0][1:])
    tree = (column, *c.proof.queried_values[1][1:])
    queried = (c.proof.queried_values[0], tree, *c.proof.queried_values[2:])
    refused(EncodingError, c.spec, replace(c.proof, queried_values=queried))


def test_b12_nothing_that_runs_code() -> None:
    """No pickle, no np.load, no eval: bytes from strangers are data."""
    forbidden = {"pickle", "marshal", "shelve", "dill", "yaml", "cloudpickle", "joblib", "importlib.util", "ctypes"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not forbidden & {alias.name for alias in node.names}, path
            if isinstance(node, ast.ImportFrom):
                assert node.module not in forbidden, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, path
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"load", "loads", "fromfile", "memmap"} or "strict.py" in path.name, path


def test_b13_reading_is_not_verifying(case: Any, refused: Any) -> None:
    """A parsed proof says nothing; `verify_stark` cannot be mistaken for a parser, nor return a false value."""
    c = case("plonk_8")
    forged = replace(c.proof, proof_of_work=c.proof.proof_of_work ^ 1)
    read, _ = proof_from_wire(proof_to_wire(forged, "blake2s"))
    assert read == forged
    assert not hasattr(read, "valid")
    assert not hasattr(read_receipt(receipt_of(c)), "valid")
    assert all(check.name for check in verify_stark(c.spec, c.proof))
    refused(ProofOfWorkError, c.spec, read)
