"""D. Commitments: what is opened is what was committed, in the tree that is meant (ANCHORS 5.2, 17 to 19)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from verifier.errors import LogupError, MerkleError, OodsError, ParseError, PreprocessedRootError, ShapeError
from verifier.hashes import hasher
from verifier.merkle import preprocessed_positions, verify_leaves, verify_rows
from verifier.spec import spec_from_json, spec_to_json
from verifier.stark import verify_stark

HASHES = ["blake2s", "blake2s_m31", "poseidon252"]


def tree_of(name: str, reference: Any, height: int = 3, width: int = 16) -> tuple[Any, Any, Any]:
    """(hasher, rows, levels) of a small tree whose leaves are as wide as two hashes."""
    kind = hasher(name)
    rows = np.arange((1 << height) * width, dtype=np.uint32).reshape(1 << height, width)
    return kind, rows, reference.hash_levels(kind.leaves(rows), kind)


def opening(kind: Any, levels: Any, leaves: Any, positions: list[int], reference: Any, **changes: Any) -> None:
    size = len(leaves)
    arguments = {
        "root": levels[-1][0],
        "height": len(levels) - 1,
        "positions": np.array(positions, dtype=np.int64),
        "rows": leaves[[p % size for p in positions]],
        "witness": reference.decommit(levels, [p % size for p in positions]),
    } | changes
    verify_rows(kind, where="test", **arguments)


@pytest.mark.parametrize("name", HASHES)
def test_d17_honest_openings(name: str, reference: Any) -> None:
    kind, rows, levels = tree_of(name, reference)
    for positions in ([0], [7], [0, 1], [1, 2, 5], list(range(8)), [5, 2, 5]):
        opening(kind, levels, rows, positions, reference)


@pytest.mark.parametrize("name", ["blake2s", "blake2s_m31"])
def test_d17_a_node_is_no_leaf(name: str, reference: Any) -> None:
    """The 64 bytes of a node, opened as a row of 16 words one level higher: its hash is right, its height is not."""
    kind, _, levels = tree_of(name, reference)
    below = levels[1]
    children = np.frombuffer(levels[0][0] + levels[0][1], dtype="<u4").reshape(1, 16)
    shorter = reference.decommit(levels[1:], [0])
    assert kind.leaves(children)[0] == below[0]
    verify_leaves(kind, levels[-1][0], 2, [0], [below[0]], shorter, "one level higher")  # what must not be reachable
    with pytest.raises(MerkleError):
        opening(kind, levels, children, [0], reference, witness=shorter)
    with pytest.raises(MerkleError):
        opening(kind, levels, children, [0], reference)


def test_d17_a_node_is_no_trace_row(case: Any, refused: Any) -> None:
    """In a whole proof: heights and widths follow from the AIR, so a witness that skips a level is too short."""
    c = case("plonk_8")
    shorter = (c.proof.decommitments[0], c.proof.decommitments[1][2:], *c.proof.decommitments[2:])
    refused(MerkleError, c.spec, replace(c.proof, decommitments=shorter))


def test_d17_columns_swapped(case: Any, refused: Any) -> None:
    c = case("plonk_8")
    for tree in range(4):
        columns = c.proof.queried_values[tree]
        swapped = (columns[1], columns[0], *columns[2:])
        queried = (*c.proof.queried_values[:tree], swapped, *c.proof.queried_values[tree + 1 :])
        refused(MerkleError, c.spec, replace(c.proof, queried_values=queried))


def test_d17_columns_swapped_and_committed_anew(case: Any, reference: Any, refused: Any, command: Any) -> None:
    """A consistent tree of swapped columns opens well, but its constraints do not hold."""
    c = case("plonk_8")
    main = c.spec.native.main()
    spec, proof = reference.ReferenceProver(c.spec, main=[main[0], main[3], main[2], main[1]]).prove()
    refused(LogupError, spec, proof)
    assert command(spec, proof) == 1
    wide = case("wide_fib_5x4_default")
    main = wide.spec.native.main()
    refused(OodsError, *reference.ReferenceProver(wide.spec, main=[main[0], main[1], main[3], main[2]]).prove())


@pytest.mark.parametrize(
    ("name", "one", "other", "error"),
    [("plonk_8", 1, 2, LogupError), ("plonk_8", 2, 3, OodsError), ("row_fib_6", 1, 2, OodsError)],
)
def test_d17_root_of_another_tree(name: str, one: int, other: int, error: Any, case: Any, refused: Any) -> None:
    c = case(name)
    roots = list(c.proof.commitments)
    roots[one], roots[other] = roots[other], roots[one]
    refused(error, c.spec, replace(c.proof, commitments=tuple(roots)))


def test_d17_witness_of_another_query_set(case: Any, reference: Any, refused: Any) -> None:
    """The same tree, opened at the positions of another transcript."""

    class Other(reference.ReferenceProver):
        def open_tree(self, index: int, tree: Any) -> Any:
            if index == 1:
                self.queries = [q ^ 1 for q in self.queries]
            opened = super().open_tree(index, tree)
            if index == 1:
                self.queries = [q ^ 1 for q in self.queries]
            return opened

    refused(MerkleError, *Other(case("row_fib_6").spec).prove())


@pytest.mark.parametrize("name", HASHES)
def test_d18_positions(name: str, reference: Any) -> None:
    """Out of range, negative, the same position with two rows; duplicates of one row are one leaf."""
    kind, rows, levels = tree_of(name, reference)
    for positions in ([8], [-1], [0, 8], [-8]):
        with pytest.raises(MerkleError):
            opening(kind, levels, rows, positions, reference)
    with pytest.raises(MerkleError):
        opening(kind, levels, rows, [3, 3], reference, rows=rows[[3, 4]])
    with pytest.raises(MerkleError):
        opening(kind, levels, rows, [2, 1], reference, rows=rows[[1, 2]])
    opening(kind, levels, rows, [3, 1, 3], reference)


@pytest.mark.parametrize("name", HASHES)
def test_d18_height_and_width(name: str, reference: Any) -> None:
    kind, rows, levels = tree_of(name, reference)
    for changes in ({"height": 2}, {"height": 4}, {"height": 0}):
        with pytest.raises(MerkleError):
            opening(kind, levels, rows, [1, 2], reference, **changes)
    for width in (15, 8):
        with pytest.raises(MerkleError):
            opening(kind, levels, rows, [1, 2], reference, rows=rows[[1, 2], :width])


@pytest.mark.parametrize("name", HASHES)
def test_d18_witness_of_another_length(name: str, reference: Any) -> None:
    """Nothing may be left over either: unused bytes would make a second proof of the first."""
    kind, rows, levels = tree_of(name, reference)
    witness = reference.decommit(levels, [1, 6])
    for bad in (witness[:-1], witness[1:], (*witness, witness[0]), (), witness * 2, witness[::-1]):
        with pytest.raises(MerkleError):
            opening(kind, levels, rows, [1, 6], reference, witness=bad)
    with pytest.raises(MerkleError):
        opening(kind, levels, rows, list(range(8)), reference, witness=(levels[0][0],))


def test_d18_positions_of_a_lower_tree_may_meet() -> None:
    """Queries 1, 2 become 1, 0: Stwo 2.3.0 rejects its own proof there; ours sorts (PROTOCOL 11)."""
    assert preprocessed_positions(np.array([1, 2]), 2, 3).tolist() == [1, 0]
    assert preprocessed_positions(np.array([1, 2]), 4, 3).tolist() == [1, 4]


def test_d18_a_lower_tree_opened_inconsistently(case: Any, refused: Any) -> None:
    """Two queries that fall on one row of a small tree 0 must show the same values."""
    c = case("range_check_t6_u8")
    tree = c.proof.queried_values[0]
    for query in range(len(tree[0])):
        column = tuple(v ^ (k == query) for k, v in enumerate(tree[0]))
        queried = ((column, *tree[1:]), *c.proof.queried_values[1:])
        refused(MerkleError, c.spec, replace(c.proof, queried_values=queried))


def test_d18_dimensions_that_cannot_be_reached(case: Any) -> None:
    """An AIR of 2^31 rows or 2^20 columns is refused before a domain is built for it."""
    c = case("row_fib_6")
    for component in ({"log_size": 27, "x0": 1}, {"log_size": 3, "x0": 1}, {"log_size": 1 << 31, "x0": 1}):
        document = spec_to_json(c.spec) | {"air": {"name": "row_fib", "components": [component]}}
        with pytest.raises(ParseError):
            spec_from_json(json.dumps(document))
    document = spec_to_json(c.spec)
    document["air"] = {"name": "wide_fib", "components": [{"log_size": 6, "n_cols": 1 << 20}]}
    with pytest.raises(ParseError):
        spec_from_json(json.dumps(document))


FORGED_TREE_0 = ["row_fib_6", "plonk_8", "range_check_t6_u8"]


@pytest.mark.parametrize("name", FORGED_TREE_0)
def test_d19_tree_0_of_the_provers_own_making(name: str, case: Any, reference: Any, refused: Any) -> None:
    c = case(name)
    tree0 = c.spec.native.preprocessed()
    tree0[-1][3] ^= 1
    refused(PreprocessedRootError, *reference.ReferenceProver(c.spec, tree0).prove())


def test_d19_a_table_with_a_value_more(case: Any, reference: Any, refused: Any, command: Any) -> None:
    """1000 "in" a table of 6 bits: the prover is honest but for tree 0, and only its root tells."""
    c = case("range_check_t6_u8")
    tree0, main = c.spec.native.preprocessed(), c.spec.native.main()
    for column in main[1:]:
        column[column == 63] = 1000
    tree0[0][63] = 1000
    spec, proof = reference.ReferenceProver(c.spec, tree0, main).prove()
    verify_stark(replace(spec, native=None, preprocessed_root=proof.commitments[0]), proof)
    refused(PreprocessedRootError, spec, proof)
    assert command(spec, proof) == 1


def test_d19_the_specs_word_is_taken_not_the_proofs(case: Any, reference: Any, refused: Any) -> None:
    """For an AIR written out, the statement names the root; a missing one is refused, not taken from the proof."""
    c = case("expr_plonk_6")
    tree0 = [c.columns[0][0] ^ np.uint32(1), *c.columns[0][1:]]
    _, proof = reference.ReferenceProver(c.spec, tree0, c.columns[1]).prove()
    refused(PreprocessedRootError, c.spec, proof)
    refused(PreprocessedRootError, replace(c.spec, preprocessed_root=None), proof)
    refused(PreprocessedRootError, replace(c.spec, preprocessed_root=None), c.proof)


def test_d19_a_named_air_may_not_name_another_root(case: Any, reference: Any, refused: Any) -> None:
    c = case("plonk_8")
    tree0 = c.spec.native.preprocessed()
    tree0[3] = 1 - tree0[3]
    _, proof = reference.ReferenceProver(c.spec, tree0).prove()
    refused(PreprocessedRootError, replace(c.spec, preprocessed_root=proof.commitments[0]), proof)


def test_d19_an_empty_tree_0_is_not_free(case: Any, refused: Any) -> None:
    c = case("wide_fib_5x4_default")
    roots = (c.proof.commitments[1], *c.proof.commitments[1:])
    refused(PreprocessedRootError, c.spec, replace(c.proof, commitments=roots))
    refused(ShapeError, c.spec, replace(c.proof, sampled_values=(((),), *c.proof.sampled_values[1:])))
