"""The row tree: its definition, inclusion, and everything that must not pass for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.vectors.rowtree import EMPTY, RowTree, is_included, row_leaves


def leaves(count: int) -> list[bytes]:
    return [blake3(k.to_bytes(4, "big")).digest() for k in range(count)]


def test_the_definition():
    ids, live = np.array([5, 2**40]), np.array([True, False])
    rows = np.array([[1, -2], [300, 0]], dtype=np.int16)
    one, two = row_leaves(ids, live, rows)
    assert one == blake3(b"\0" + (5).to_bytes(8, "little") + b"\1" + b"\x01\x00\xfe\xff").digest()
    assert two == blake3(b"\0" + (2**40).to_bytes(8, "little") + b"\0" + b"\x2c\x01\x00\x00").digest()
    three = leaves(1)[0]
    top = blake3(b"\1" + blake3(b"\1" + one + two).digest() + three).digest()
    assert RowTree([one, two, three]).root == blake3(b"\2" + (3).to_bytes(8, "little") + top).digest()
    assert RowTree([]).root == blake3(b"\2" + bytes(8) + EMPTY).digest()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.data())
def test_inclusion(size, data):
    rows = leaves(size)
    tree = RowTree(rows)
    position = data.draw(st.integers(0, size - 1))
    proof = tree.prove(position)
    assert is_included(tree.root, rows[position], proof)
    other = data.draw(st.integers(0, size + 3))
    if other != position:
        assert not is_included(tree.root, rows[position], replace(proof, position=other))
    assert not is_included(tree.root, bytes(32), proof)
    assert not is_included(bytes(32), rows[position], proof)
    assert not is_included(tree.root, rows[position], replace(proof, siblings=(*proof.siblings, EMPTY)))
    for wrong in {size - 1, size + 1, 2 * size}:
        assert not is_included(tree.root, rows[position], replace(proof, size=wrong))
    for k, sibling in enumerate(proof.siblings):
        bent = (*proof.siblings[:k], bytes([sibling[0] ^ 1]) + sibling[1:], *proof.siblings[k + 1 :])
        assert not is_included(tree.root, rows[position], replace(proof, siblings=bent))
        assert not is_included(tree.root, rows[position], replace(proof, siblings=proof.siblings[:k]))


def test_a_node_is_no_leaf():
    """The top of a tree of four passes for no leaf of a tree of two, whatever the position."""
    tree = RowTree(leaves(4))
    node = tree.levels[1][0]
    proof = replace(tree.prove(0), size=2, siblings=(tree.levels[1][1],))
    assert not is_included(tree.root, node, proof)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.data())
def test_a_changed_row_changes_its_branch(size, data):
    rows = leaves(size)
    tree, position = RowTree(rows), data.draw(st.integers(0, size - 1))
    rows[position] = EMPTY
    tree.update(position, EMPTY)
    assert tree.root == RowTree(rows).root
    assert tree.levels == RowTree(rows).levels


def test_rows_that_are_not_there():
    for position in (-1, 3):
        with pytest.raises(IndexError):
            RowTree(leaves(3)).prove(position)
