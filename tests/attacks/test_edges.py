"""Every bound at its edge: the last value that is allowed, and the first one that is not.

Fast and near to the checks, so that a check that is moved or taken out is noticed by its own test and not only by an
attack that it happens to stop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from air.component import build
from air.field import QM31, P
from air.layout import PreprocessedColumn
from air.relation import PublicTerm
from air.statements.wide_fib import WideFib
from verifier.channel import channel
from verifier.config import MAX_DOMAIN_LOG, PcsConfig
from verifier.errors import (
    ConfigError,
    EncodingError,
    FriError,
    ShapeError,
    StatementError,
)
from verifier.fri import read_commitments
from verifier.hashes import hasher
from verifier.proof import LastLayer
from verifier.shape import MAX_PUBLIC_TERMS, check_proof, check_queried, check_spec

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
