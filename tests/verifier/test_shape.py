"""Lists that are shorter, longer, empty, swapped or nested otherwise, and numbers at the edges (ANCHORS 5.2 B to E)."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest

from air.field import QM31, P
from verifier.config import PcsConfig
from verifier.errors import (
    ConfigError,
    EncodingError,
    FriError,
    LogupError,
    MerkleError,
    OodsError,
    PreprocessedRootError,
    ProofOfWorkError,
    ShapeError,
    StatementError,
    VerificationError,
)
from verifier.proof import proof_from_json
from verifier.stark import verify_stark

replace = dataclasses.replace
CASES = ("plonk_8", "expr_mixed_5_7_lifted9", "wide_fib_10x6_fold3_last2")
POSEIDON = "range_check_t5_u6_poseidon_fold2"


def lists(node, path=()):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from lists(value, (*path, key))
    elif isinstance(node, list):
        yield path, node
        # The first and the last child stand for all of them.
        for index in sorted({0, len(node) - 1} & set(range(len(node)))):
            yield from lists(node[index], (*path, index))


def at(document, path):
    for key in path:
        document = document[key]
    return document


def edits(items):
    yield []
    yield items[:-1]
    yield items[1:]
    yield items + items[-1:]
    yield items * 2
    yield [items]
    if len(items) > 1 and items[0] != items[-1]:
        yield [items[-1], *items[1:-1], items[0]]


@pytest.mark.parametrize("name", [*CASES, POSEIDON])
def test_every_list(name, case):
    c = case(name)
    document = json.loads(c.proof_text)
    tried = 0
    for path, items in lists(document):
        if name == POSEIDON and len(path) > 3:
            continue
        for edit in edits(items):
            if edit == items:
                continue
            bad = copy.deepcopy(document)
            at(bad, path[:-1])[path[-1]] = edit
            try:
                verify_stark(c.spec, proof_from_json(json.dumps(bad), c.spec.channel))
            except VerificationError:
                tried += 1
            except Exception as error:
                # Nesting a list once more gives an element of a wrong JSON type: that is for the parser.
                assert type(error).__name__ == "ParseError", (path, error)  # noqa: PT017
                tried += 1
            else:
                pytest.fail(f"accepted {path}")
    assert tried > 50


def test_failed_checks_are_carried(case):
    c = case("plonk_8")
    with pytest.raises(ProofOfWorkError) as caught:
        verify_stark(c.spec, replace(c.proof, proof_of_work=c.proof.proof_of_work + 1))
    assert [check.name for check in caught.value.checks] == ["shape", "commitments", "constraints", "fri commit"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pow_bits": 61}, ConfigError),
        ({"log_blowup_factor": 0}, ConfigError),
        ({"log_blowup_factor": 17}, ConfigError),
        ({"n_queries": 0}, ConfigError),
        ({"n_queries": 1025}, ConfigError),
        ({"fold_step": 0}, ConfigError),
        ({"fold_step": 17}, ConfigError),
        ({"log_last_layer_degree_bound": 11}, ConfigError),
        ({"log_last_layer_degree_bound": 8}, ConfigError),
        ({"lifting_log_size": 8}, ConfigError),
        ({"lifting_log_size": 31}, ConfigError),
        ({"lifting_log_size": 0}, ConfigError),
        ({"pow_bits": -1}, ConfigError),
        ({"n_queries": 5}, VerificationError),
        ({"n_queries": 7}, VerificationError),
        ({"pow_bits": 9}, VerificationError),
        ({"fold_step": 2}, VerificationError),
        ({"log_last_layer_degree_bound": 1}, VerificationError),
        ({"lifting_log_size": 9}, VerificationError),
        ({"lifting_log_size": 10}, VerificationError),
    ],
)
def test_config_out_of_limits_even_if_both_sides_agree(case, change, error):
    c = case("plonk_8")
    config = replace(c.spec.config, **change)
    with pytest.raises(error):
        verify_stark(replace(c.spec, config=config), replace(c.proof, config=config))


def test_the_prover_does_not_choose_the_config(case):
    c = case("plonk_8")
    with pytest.raises(ConfigError):
        verify_stark(c.spec, replace(c.proof, config=replace(c.proof.config, pow_bits=0)))


def test_lower_interaction_tree_needs_lifting(case):
    c = case("expr_mixed_5_7_lifted9")
    config = replace(c.spec.config, lifting_log_size=None)
    with pytest.raises(VerificationError):
        verify_stark(replace(c.spec, config=config), replace(c.proof, config=config))


def test_config_without_numbers_is_refused_by_type():
    with pytest.raises(ConfigError):
        PcsConfig(10, 1, 0, 0).check()


@pytest.mark.parametrize("value", [P, P + 1, 2**32, -1, 2**64])
def test_non_canonical_values(case, value):
    c = case("plonk_8")
    bad = QM31(value)
    first = c.proof.fri_proof.first_layer
    fri = c.proof.fri_proof
    sampled = (((bad,), *c.proof.sampled_values[0][1:]), *c.proof.sampled_values[1:])
    column = (value, *c.proof.queried_values[0][0][1:])
    opened = ((column, *c.proof.queried_values[0][1:]), *c.proof.queried_values[1:])
    for proof in (
        replace(c.proof, sampled_values=sampled),
        replace(c.proof, queried_values=opened),
        replace(c.proof, fri_proof=replace(fri, first_layer=replace(first, fri_witness=(bad, *first.fri_witness[1:])))),
        replace(c.proof, fri_proof=replace(fri, last_layer=replace(fri.last_layer, coeffs=(bad,)))),
        replace(c.proof, proof_of_work=value if value < 0 or value >= 2**64 else -value),
    ):
        with pytest.raises(EncodingError):
            verify_stark(c.spec, proof)
    with pytest.raises(EncodingError):
        verify_stark(replace(c.spec, claimed_sums=(bad,)), c.proof)


def test_zero_written_as_p(case):
    """P computes like 0 and hashes differently: only one of them may be a field element (ANCHORS C14)."""
    c = case("expr_topk_8")
    values = [list(map(list, tree)) for tree in c.proof.queried_values]
    indexed = ((t, k, i, v) for t, tree in enumerate(values) for k, col in enumerate(tree) for i, v in enumerate(col))
    t, k, i = next(place[:3] for place in indexed if place[3] == 0)
    values[t][k][i] = P
    opened = tuple(tuple(tuple(column) for column in tree) for tree in values)
    with pytest.raises(EncodingError):
        verify_stark(c.spec, replace(c.proof, queried_values=opened))


def test_hash_of_another_kind(case):
    c = case("plonk_8")
    for bad in (5, b"", bytes(31), bytes(33)):
        with pytest.raises(EncodingError):
            verify_stark(c.spec, replace(c.proof, commitments=(*c.proof.commitments[:3], bad)))
    p = case("wide_fib_6x20_poseidon")
    for bad in (bytes(32), -1, 2**251 + 17 * 2**192 + 1, 2**256):
        with pytest.raises(EncodingError):
            verify_stark(p.spec, replace(p.proof, commitments=(*p.proof.commitments[:2], bad)))


def test_poseidon_root_plus_the_prime_is_not_another_encoding(case):
    p = case("wide_fib_6x20_poseidon")
    root = p.proof.commitments[1] + 2**251 + 17 * 2**192 + 1
    with pytest.raises(EncodingError):
        verify_stark(p.spec, replace(p.proof, commitments=(p.proof.commitments[0], root, p.proof.commitments[2])))


def test_last_layer_of_higher_degree(case):
    c = case("wide_fib_10x6_fold3_last2")
    last = c.proof.fri_proof.last_layer
    for bad in (
        replace(last, coeffs=last.coeffs * 2, log_size=3),
        replace(last, log_size=3),
        replace(last, log_size=0),
        replace(last, coeffs=last.coeffs[:2]),
        replace(last, coeffs=()),
        replace(last, log_size=-1),
    ):
        with pytest.raises(FriError):
            verify_stark(c.spec, replace(c.proof, fri_proof=replace(c.proof.fri_proof, last_layer=bad)))


def test_fewer_and_more_fri_layers(case):
    c = case("plonk_8")
    fri = c.proof.fri_proof
    for layers in (fri.inner_layers[:-1], fri.inner_layers[1:], (), (*fri.inner_layers, fri.inner_layers[-1])):
        with pytest.raises(ShapeError):
            verify_stark(c.spec, replace(c.proof, fri_proof=replace(fri, inner_layers=layers)))


def test_roots_and_witnesses_of_other_trees(case):
    c = case("plonk_8")
    roots, witness = c.proof.commitments, c.proof.decommitments
    with pytest.raises(PreprocessedRootError):
        verify_stark(c.spec, replace(c.proof, commitments=(roots[1], roots[0], *roots[2:])))
    with pytest.raises(VerificationError):
        verify_stark(c.spec, replace(c.proof, commitments=(roots[0], roots[2], roots[1], roots[3])))
    with pytest.raises(MerkleError):
        verify_stark(c.spec, replace(c.proof, decommitments=(witness[1], witness[0], *witness[2:])))
    with pytest.raises(MerkleError):
        verify_stark(c.spec, replace(c.proof, decommitments=(witness[0] + witness[0][-1:], *witness[1:])))
    with pytest.raises(MerkleError):
        verify_stark(c.spec, replace(c.proof, decommitments=(witness[0][:-1], *witness[1:])))


def test_swapped_columns(case):
    c = case("plonk_8")
    opened = c.proof.queried_values
    tree = opened[1]
    with pytest.raises(MerkleError):
        verify_stark(c.spec, replace(c.proof, queried_values=(opened[0], (tree[1], tree[0], *tree[2:]), *opened[2:])))
    sampled = c.proof.sampled_values
    tree = sampled[1]
    with pytest.raises(OodsError):
        verify_stark(c.spec, replace(c.proof, sampled_values=(sampled[0], (tree[1], tree[0], *tree[2:]), *sampled[2:])))


def test_empty_tree_has_one_root(case):
    for name in ("wide_fib_5x4_default", "wide_fib_6x20_poseidon"):
        c = case(name)
        other = bytes(32) if name.endswith("default") else 5
        with pytest.raises(PreprocessedRootError):
            verify_stark(c.spec, replace(c.proof, commitments=(other, *c.proof.commitments[1:])))
        extra = (c.proof.commitments[1],)
        with pytest.raises(PreprocessedRootError):
            verify_stark(c.spec, replace(c.proof, decommitments=(extra, *c.proof.decommitments[1:])))


def test_preprocessed_root_is_needed_and_compared(case):
    c = case("expr_plonk_6")
    with pytest.raises(PreprocessedRootError):
        verify_stark(replace(c.spec, preprocessed_root=None), c.proof)
    with pytest.raises(PreprocessedRootError):
        verify_stark(replace(c.spec, preprocessed_root=bytes(32)), c.proof)
    native = case("plonk_8")
    with pytest.raises(PreprocessedRootError):
        verify_stark(replace(native.spec, preprocessed_root=bytes(32)), native.proof)


def test_claimed_sums(case):
    c = case("range_check_t6_u8")
    sums = c.spec.claimed_sums
    with pytest.raises(LogupError):
        verify_stark(replace(c.spec, claimed_sums=(sums[0] + 1, sums[1])), c.proof)
    # Still balanced, but not the sums of these columns.
    with pytest.raises(OodsError):
        verify_stark(replace(c.spec, claimed_sums=(sums[0] + 1, sums[1] - 1)), c.proof)
    for wrong in ((), sums[:1], (*sums, QM31(0))):
        with pytest.raises(ShapeError):
            verify_stark(replace(c.spec, claimed_sums=wrong), c.proof)


def test_public_terms(case):
    c = case("expr_plonk_6")
    one, two = c.spec.public_terms
    for terms, error in (
        ((), LogupError),
        ((one,), LogupError),
        ((one, two, two), LogupError),
        ((one, replace(two, multiplicity=(two.multiplicity + 1) % P)), LogupError),
        ((one, replace(two, relation=1)), StatementError),
        ((one, replace(two, relation=-1)), StatementError),
        ((one, replace(two, values=(*two.values, 0))), StatementError),
        ((one, replace(two, values=two.values[:1])), StatementError),
        ((one, replace(two, values=(two.values[0] + P, two.values[1]))), EncodingError),
        ((one, replace(two, multiplicity=-2)), EncodingError),
    ):
        with pytest.raises(error):
            verify_stark(replace(c.spec, public_terms=terms), c.proof)
    native = case("plonk_8")
    with pytest.raises(StatementError):
        verify_stark(replace(native.spec, public_terms=(one,)), native.proof)


def test_statement_words(case):
    c = case("plonk_8")
    for words in ((), c.spec.statement_u64[:2], (*c.spec.statement_u64, 0), (8, 1, 2)):
        with pytest.raises(StatementError):
            verify_stark(replace(c.spec, statement_u64=words), c.proof)
    e = case("expr_plonk_6")
    for words in ((1,), (*e.spec.statement_u64, 0)):
        with pytest.raises(LogupError):
            verify_stark(replace(e.spec, statement_u64=words), e.proof)
    for words in ((-1,), (1 << 64,)):
        with pytest.raises(EncodingError):
            verify_stark(replace(e.spec, statement_u64=words), e.proof)


def test_multiplicities_that_could_wrap(case):
    """2^31 uses of one tuple would count as one more than none (ANCHORS F25)."""
    c = case("range_check_t6_u8")
    table, user = c.spec.air.components
    wide = tuple(user.fractions[0] for _ in range(40))
    big = replace(user, log_size=26, fractions=wide)
    air = replace(c.spec.air, components=(table, big))
    with pytest.raises(LogupError):
        verify_stark(replace(c.spec, air=air, native=None), c.proof)
