"""Every bound at its edge: the last value that is allowed, and the first one that is not.

Fast and near to the checks, so that a check that is moved or taken out is noticed by its own test and not only by an
attack that it happens to stop.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import verifier
from air.component import build
from air.field import QM31, P
from air.layout import PreprocessedColumn
from air.relation import PublicTerm
from air.statement import StatementError as BadStatement
from air.statements.wide_fib import WideFib
from verifier.channel import channel
from verifier.config import MAX_DOMAIN_LOG, PcsConfig
from verifier.errors import (
    ConfigError,
    EncodingError,
    FriError,
    MerkleError,
    ParseError,
    PreprocessedRootError,
    ShapeError,
    StatementError,
)
from verifier.fri import read_commitments
from verifier.hashes import hasher
from verifier.merkle import verify_rows
from verifier.proof import LastLayer, proof_from_json, proof_to_json
from verifier.receipt import Part, Receipt, read_receipt, registry, write_receipt
from verifier.shape import MAX_PUBLIC_TERMS, check_proof, check_queried, check_spec
from verifier.spec import spec_from_json, spec_to_json
from verifier.strict import fields, load_json
from verifier.wire import Input, Output, proof_from_wire, proof_to_wire

CONFIG = PcsConfig(10, 1, 0, 3)
LIMITS = {
    "pow_bits": (0, 60),
    "log_blowup_factor": (1, 16),
    "log_last_layer_degree_bound": (0, 10),
    "n_queries": (1, 1024),
    "fold_step": (1, 16),
    "lifting_log_size": (1, MAX_DOMAIN_LOG),
}


@pytest.mark.parametrize("name", LIMITS)
def test_config_limits(name: str) -> None:
    low, high = LIMITS[name]
    for value in (low, high):
        replace(CONFIG, **{name: value}).check()
    for value in (low - 1, high + 1):
        with pytest.raises(ConfigError, match=name):
            replace(CONFIG, **{name: value}).check()


def test_config_and_air() -> None:
    large, small = build([WideFib(26, 3)]), build([WideFib(5, 3)])
    replace(CONFIG, log_blowup_factor=4).check_fits(large)
    with pytest.raises(ConfigError, match="evaluation domain"):
        replace(CONFIG, log_blowup_factor=5).check_fits(large)
    replace(CONFIG, fold_step=2, log_last_layer_degree_bound=3).check_fits(small)
    with pytest.raises(ConfigError, match="too small"):
        replace(CONFIG, fold_step=3, log_last_layer_degree_bound=3).check_fits(small)
    for lifting in (6, 7):
        replace(CONFIG, lifting_log_size=lifting).check_fits(small)
    with pytest.raises(ConfigError, match="below a column"):
        replace(CONFIG, lifting_log_size=5).check_fits(small)
    with pytest.raises(ConfigError, match="n_queries"):
        replace(CONFIG, n_queries=0).check_fits(small)


def test_config_and_trees(case: Any) -> None:
    """A lower tree 0 is mapped; any other lower tree needs lifting."""
    air = case("range_check_t6_u8").spec.air
    CONFIG.check_fits(air)
    table, user = air.components
    low = replace(air, components=(table, replace(user, fractions=())))
    with pytest.raises(ConfigError, match="tree 2 is lower"):
        CONFIG.check_fits(low)
    replace(CONFIG, lifting_log_size=9).check_fits(low)
    # A tree 0 that is higher is mapped too, unless the config says how high all trees are.
    high = replace(air, preprocessed=(*air.preprocessed, PreprocessedColumn("unread", 10)))
    CONFIG.check_fits(high)
    with pytest.raises(ConfigError, match="below a column of tree 0"):
        replace(CONFIG, lifting_log_size=9).check_fits(high)


@pytest.mark.parametrize("coordinate", range(4))
def test_field_elements(coordinate: int, case: Any) -> None:
    c = case("plonk_8")

    def with_value(value: int) -> QM31:
        return QM31(*(value if k == coordinate else 5 for k in range(4)))

    def check(value: int) -> None:
        spec = replace(c.spec, claimed_sums=(with_value(value),))
        check_spec(spec)
        first = (with_value(value),)
        sampled = ((first, *c.proof.sampled_values[0][1:]), *c.proof.sampled_values[1:])
        check_proof(replace(c.proof, sampled_values=sampled), c.spec, hasher("blake2s"))

    for value in (0, P - 1):
        check(value)
    for value in (P, -1):
        with pytest.raises(EncodingError, match="claimed_sums"):
            check(value)
        wrong, fri = with_value(value), c.proof.fri_proof
        last = replace(fri, last_layer=LastLayer((wrong,), 0))
        witness = replace(fri, first_layer=replace(fri.first_layer, fri_witness=(wrong,)))
        inner = replace(fri, inner_layers=(replace(fri.inner_layers[0], fri_witness=(wrong,)), *fri.inner_layers[1:]))
        for changed, where in ((last, "last_layer_poly"), (witness, "fri_witness"), (inner, "fri_witness")):
            with pytest.raises(EncodingError, match=where):
                check_proof(replace(c.proof, fri_proof=changed), c.spec, hasher("blake2s"))
        sampled = (((wrong,), *c.proof.sampled_values[0][1:]), *c.proof.sampled_values[1:])
        with pytest.raises(EncodingError, match="sampled_values"):
            check_proof(replace(c.proof, sampled_values=sampled), c.spec, hasher("blake2s"))


def test_opened_values(case: Any) -> None:
    c = case("wide_fib_5x4_default")
    queries = len(c.proof.queried_values[1][0])

    def check(value: Any, count: int = queries) -> None:
        column = (value,) * count
        tree = (column, *c.proof.queried_values[1][1:])
        queried = (c.proof.queried_values[0], tree, *c.proof.queried_values[2:])
        check_queried(replace(c.proof, queried_values=queried), queries)

    for value in (0, P - 1):
        check(value)
    for value in (P, -1, True, 1.0):
        with pytest.raises(EncodingError):
            check(value)
    for count in (queries - 1, queries + 1):
        with pytest.raises(ShapeError):
            check(1, count)


def test_words_and_nonces(case: Any) -> None:
    c = case("expr_plonk_6")
    for word in (0, (1 << 64) - 1):
        check_spec(replace(c.spec, statement_u64=(word,)))
        check_proof(replace(c.proof, proof_of_work=word), c.spec, hasher("blake2s"))
    for word in (-1, 1 << 64):
        with pytest.raises(EncodingError, match="statement_u64"):
            check_spec(replace(c.spec, statement_u64=(word,)))
        with pytest.raises(EncodingError, match="proof_of_work"):
            check_proof(replace(c.proof, proof_of_work=word), c.spec, hasher("blake2s"))


def test_public_terms(case: Any) -> None:
    c = case("expr_plonk_6")

    def check(term: PublicTerm, count: int = 1) -> None:
        check_spec(replace(c.spec, public_terms=(term,) * count))

    for value in (0, P - 1):
        check(PublicTerm(0, value, (value, value)))
    check(PublicTerm(0, 1, (1, 1)), MAX_PUBLIC_TERMS)
    with pytest.raises(StatementError, match="more than"):
        check(PublicTerm(0, 1, (1, 1)), MAX_PUBLIC_TERMS + 1)
    for term in (
        PublicTerm(0, P, (1, 1)),
        PublicTerm(0, -1, (1, 1)),
        PublicTerm(0, 1, (1, P)),
        PublicTerm(0, 1, (-1, 1)),
    ):
        with pytest.raises(EncodingError):
            check(term)
    for relation in (-1, 1):
        with pytest.raises(StatementError, match="no relation"):
            check(PublicTerm(relation, 1, (1, 1)))
    for values in ((1,), (1, 1, 1)):
        with pytest.raises(StatementError, match="tuple length"):
            check(PublicTerm(0, 1, values))


def test_a_named_air_prescribes_its_statement(case: Any) -> None:
    c, term = case("plonk_8"), PublicTerm(0, 1, (1, 1))
    with pytest.raises(StatementError, match="prescribes its own"):
        check_spec(replace(c.spec, public_terms=(term,)))
    with pytest.raises(StatementError, match="this AIR prescribes"):
        check_spec(replace(c.spec, statement_u64=(9,)))


def test_shapes_one_by_one(case: Any) -> None:
    c, kind = case("plonk_8"), hasher("blake2s")
    for name in ("commitments", "decommitments", "queried_values", "sampled_values"):
        for wrong in (getattr(c.proof, name)[:-1], getattr(c.proof, name) * 2):
            with pytest.raises(ShapeError, match=f"^{name}: "):
                check_proof(replace(c.proof, **{name: wrong}), c.spec, kind)
    for tree in range(4):
        for name in ("queried_values", "sampled_values"):
            trees = list(getattr(c.proof, name))
            trees[tree] = trees[tree][:-1]
            with pytest.raises(ShapeError, match=rf"^{name}\[{tree}\]: "):
                check_proof(replace(c.proof, **{name: tuple(trees)}), c.spec, kind)
        trees = list(c.proof.sampled_values)
        trees[tree] = ((*trees[tree][0], QM31(1)), *trees[tree][1:])
        with pytest.raises(ShapeError, match=rf"^sampled_values\[{tree}\]\[0\]: "):
            check_proof(replace(c.proof, sampled_values=tuple(trees)), c.spec, kind)
    with pytest.raises(ConfigError):
        check_proof(replace(c.proof, config=replace(c.proof.config, pow_bits=0)), c.spec, kind)
    for sums in ((), c.spec.claimed_sums * 2):
        with pytest.raises(ShapeError, match="claimed_sums"):
            check_spec(replace(c.spec, claimed_sums=sums))


def test_hashes_one_by_one(case: Any) -> None:
    c, kind, bad = case("plonk_8"), hasher("blake2s"), bytes(31)
    fri = c.proof.fri_proof
    for changed in (
        replace(c.proof, commitments=(bad, *c.proof.commitments[1:])),
        replace(c.proof, decommitments=((bad,), *c.proof.decommitments[1:])),
        replace(c.proof, fri_proof=replace(fri, first_layer=replace(fri.first_layer, commitment=bad))),
        replace(c.proof, fri_proof=replace(fri, first_layer=replace(fri.first_layer, hash_witness=(bad,)))),
    ):
        with pytest.raises(EncodingError, match="not a hash"):
            check_proof(changed, c.spec, kind)


def test_last_layer_and_layers(case: Any) -> None:
    c = case("wide_fib_10x6_fold3_last2")
    fri, bound = c.proof.fri_proof, c.spec.config.log_last_layer_degree_bound
    degree = c.spec.config.lifting_log(c.spec.air.log_size) - c.spec.config.log_blowup_factor

    def read(changed: Any) -> None:
        read_commitments(changed, c.spec.config, degree, channel("blake2s"))

    read(fri)
    for last in (
        replace(fri.last_layer, log_size=bound + 1),
        replace(fri.last_layer, coeffs=fri.last_layer.coeffs[:-1]),
    ):
        with pytest.raises(FriError):
            read(replace(fri, last_layer=last))
    with pytest.raises(ShapeError):
        read(replace(fri, inner_layers=fri.inner_layers[:-1]))


def test_names_and_texts() -> None:
    for make in (channel, hasher):
        with pytest.raises(ParseError):
            make("sha256")
    with pytest.raises(AttributeError):
        verifier.nothing
    assert load_json("[1]", "test", 3) == [1]
    with pytest.raises(ParseError):
        load_json("[1] ", "test", 3)
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
