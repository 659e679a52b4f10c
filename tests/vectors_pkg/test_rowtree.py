"""The row tree: definition and fixed values, updates, and everything that must not pass for inclusion."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.vectors.rowtree import (
    EMPTY,
    NATIVE,
    STOOLAP,
    Bytes,
    RowTree,
    TreeRule,
    row_leaf,
    row_leaves,
    stoolap_leaf,
    stoolap_leaves,
    verify_rows,
)

RULES = pytest.mark.parametrize("rule", [NATIVE, STOOLAP], ids=lambda rule: rule.name)
rules = st.sampled_from([NATIVE, STOOLAP])


def h(*parts: bytes) -> bytes:
    return blake3(b"".join(parts)).digest()


def some_leaves(count: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def listed(leaves: Bytes) -> list[bytes]:
    return [leaf.tobytes() for leaf in leaves]


def plain_nodes(leaves: Bytes, rule: TreeRule) -> list[bytes]:
    """All nodes, level by level, straight from the definition."""
    level = listed(leaves)
    nodes = list(level)
    while len(level) > 1:
        above = [h(b"\1" if rule is NATIVE else b"", *level[k : k + 2]) for k in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1] if rule is NATIVE else h(level[-1], level[-1]))
        nodes += above
        level = above
    return nodes


# Definitions and fixed values.


def test_native_definition() -> None:
    one = row_leaf(5, True, [1, -2], [])
    two = row_leaf(-(1 << 40), False, [300, 0], [7, 0xFFFFFFFE])
    assert one == h(b"\0", b"\5" + bytes(7), b"\1", b"\x01\x00\xfe\xff")
    assert two == h(b"\0", bytes(5) + b"\xff" * 3, b"\0", b"\x2c\x01\x00\x00", b"\7\0\0\0\xfe\xff\xff\xff")
    three = h(b"three")
    tree = RowTree.build(np.frombuffer(one + two + three, dtype=np.uint8).reshape(3, 32))
    assert tree.root == h(b"\2", b"\3" + bytes(7), h(b"\1", h(b"\1", one, two), three))
    assert RowTree.build(some_leaves(0)).root == h(b"\2", bytes(8), EMPTY)


def test_stoolap_definition() -> None:
    vector = np.array([1.0, -0.5], dtype=np.float32)
    one = stoolap_leaf(-3, vector)
    assert one == h(b"\xfd" + b"\xff" * 7, h(b"\x00\x00\x80\x3f\x00\x00\x00\xbf"))
    leaves = some_leaves(3)
    a, b, c = listed(leaves)
    assert RowTree.build(leaves, STOOLAP).root == h(h(a, b), h(c, c))
    assert RowTree.build(leaves[:1], STOOLAP).root == a
    assert RowTree.build(leaves[:0], STOOLAP).root == bytes(32)


def golden_leaves(count: int) -> tuple[Bytes, Bytes]:
    """Native and Stoolap leaves of rows that anybody can write down."""
    k = np.arange(count)
    vectors = ((k[:, None] * 7 + np.arange(5) * 3) % 101 - 50).astype(np.int16)
    codes = np.stack([k % 3, k * 2654435761 % (1 << 32)]).astype(np.uint32)
    native = row_leaves(3 * k + 1, k % 4 != 0, vectors, codes)
    return native, stoolap_leaves(3 * k + 1, vectors.astype(np.float32) / 4)


# Count: roots of the native and of the Stoolap tree, computed with the package blake3 and struct alone.
GOLDEN = {
    0: (
        "5174dee3b5f3a1bf6b518c0d78aa32c4a8946297893e97f9a2c708a835d4e61e",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ),
    1: (
        "a51f34c6d5689d987dfe7802d282eb9dae5ffbe999404ad5604eeb6111bfe5a4",
        "f9e6e82f134bbaaaea54480538ce4c2de66b7273a4d730b325ddb32b1b6c10fa",
    ),
    2: (
        "c3358b2ca668c7cdd314e97874d51f3bded706dbb6dace5208c789584f8c7283",
        "51d65127de0e80928295831f5cc7fa940d04ea182320908343f16d5d7086f505",
    ),
    3: (
        "9b07da076c9b4740f403408f7cd276ccd113d51a9f544080d92be0d09332e8e3",
        "c73df70ea78c43f76b16ef95386e5bce0152e22b886e5a59d375bbfd9554d959",
    ),
    1000: (
        "e3e3003872e93f022f84b591cfb5ae3c8988effe325e6e8fcfdf03633c95992f",
        "143b3cc62152d3adf6fb7aebfa267444ec04c7c2977c330f50b336af3ce9a794",
    ),
}


@pytest.mark.parametrize("count", GOLDEN)
def test_fixed_values(count: int) -> None:
    native, stoolap = golden_leaves(count)
    found = (RowTree.build(native).root.hex(), RowTree.build(stoolap, STOOLAP).root.hex())
    assert found == GOLDEN[count]


# The array of nodes.


@RULES
def test_all_levels(rule: TreeRule) -> None:
    for size in [*range(40), 511, 512, 513, 1000, 1023, 1025]:
        leaves = some_leaves(size)
        tree = RowTree.build(leaves, rule)
        assert tree.size == size
        assert listed(tree.nodes) == plain_nodes(leaves, rule), size


@RULES
def test_a_saved_tree(rule: TreeRule, tmp_path: Path) -> None:
    tree = RowTree.build(some_leaves(13), rule)
    np.save(tmp_path / "nodes.npy", tree.nodes)
    opened = RowTree(np.load(tmp_path / "nodes.npy", mmap_mode="r"), 13, rule)
    assert opened.root == tree.root
    assert opened.prove([2, 12]) == tree.prove([2, 12])
    with pytest.raises(ValueError, match="read-only"):
        opened.update([0], some_leaves(1))
    writable = RowTree(np.load(tmp_path / "nodes.npy", mmap_mode="r+"), 13, rule)
    writable.update([12], some_leaves(1, seed=1))
    tree.update([12], some_leaves(1, seed=1))
    assert np.load(tmp_path / "nodes.npy").tobytes() == tree.nodes.tobytes()


def test_arrays_that_are_no_tree() -> None:
    nodes = RowTree.build(some_leaves(6)).nodes  # 6 + 3 + 2 + 1
    RowTree(nodes, 6)
    for size in (-1, 0, 1, 5, 7, 12, 1 << 70):
        with pytest.raises(ValueError, match=f"a tree of {size} rows"):
            RowTree(nodes, size)
    wider = np.concatenate([nodes, nodes], axis=1)
    for wrong in (nodes[:-1], nodes.reshape(-1), wider, wider[:, ::2], nodes.astype(np.int8)):
        with pytest.raises(ValueError, match="nodes: "):
            RowTree(wrong, 6)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.integers(1, 40), st.integers(500, 1100)), rules, st.data())
def test_an_update_is_a_rebuild(size: int, rule: TreeRule, data: st.DataObject) -> None:
    leaves = some_leaves(size)
    tree = RowTree.build(leaves, rule)
    random = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    changed = np.flatnonzero(random.random(size) < data.draw(st.sampled_from([0, 0.01, 0.3, 0.9, 1])))
    leaves[changed] = some_leaves(len(changed), seed=1)
    tree.update(changed, leaves[changed])
    assert tree.nodes.tobytes() == RowTree.build(leaves, rule).nodes.tobytes()


def test_updates_and_proofs_of_rows_that_are_not_there() -> None:
    tree = RowTree.build(some_leaves(5))
    before = tree.nodes.tobytes()
    for positions in ([-1], [5], [1, 1], [2, 1], [[0, 1]]):
        with pytest.raises(ValueError, match="positions: "):
            tree.update(positions, some_leaves(np.size(positions)))
        with pytest.raises(ValueError, match="positions: "):
            tree.prove(positions)
    with pytest.raises(ValueError, match="positions: none"):
        tree.prove([])
    for leaves in (some_leaves(1), some_leaves(3), some_leaves(2)[:, :31], some_leaves(2).astype(np.int64)):
        with pytest.raises(ValueError, match="leaves: "):
            tree.update([0, 1], leaves)
    tree.update([], some_leaves(0))
    assert tree.nodes.tobytes() == before


# Proofs. `Claim` is what verify_rows is told, so that tests can change one thing of it.

Claim = tuple[bytes, int, list[int], list[bytes], list[bytes]]


def claim(tree: RowTree, positions: Sequence[int]) -> Claim:
    return tree.root, tree.size, list(positions), listed(tree.nodes[list(positions)]), list(tree.prove(positions))


def bent(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


def one_thing_changed(honest: Claim, rule: TreeRule) -> Iterator[Claim]:
    root, size, positions, leaves, siblings = honest
    yield bent(root), size, positions, leaves, siblings
    for k, position in enumerate(positions):
        yield root, size, positions, [*leaves[:k], bent(leaves[k]), *leaves[k + 1 :]], siblings
        for other in range(-1, size + 2):
            if other != position:  # in its place, so that some are duplicates and some do not ascend
                yield root, size, [*positions[:k], other, *positions[k + 1 :]], leaves, siblings
        yield root, size, [*positions[:k], *positions[k + 1 :]], [*leaves[:k], *leaves[k + 1 :]], siblings
        yield root, size, positions, [*leaves[:k], *leaves[k + 1 :]], siblings
        yield root, size, [*positions[:k], *positions[k + 1 :]], leaves, siblings
        yield root, size, [*positions[: k + 1], *positions[k:]], [*leaves[: k + 1], *leaves[k:]], siblings
    if len(positions) > 1:
        yield root, size, positions, leaves[::-1], siblings
        yield root, size, positions[::-1], leaves[::-1], siblings
    for k, sibling in enumerate(siblings):
        yield root, size, positions, leaves, [*siblings[:k], bent(sibling), *siblings[k + 1 :]]
        yield root, size, positions, leaves, [*siblings[:k], *siblings[k + 1 :]]
        yield root, size, positions, leaves, [*siblings[: k + 1], *siblings[k:]]
        yield root, size, positions, leaves, [*siblings[:k], sibling[:31], *siblings[k + 1 :]]
    for first, second in combinations(range(len(siblings)), 2):
        swapped = list(siblings)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        yield root, size, positions, leaves, swapped
    for surplus in (EMPTY, leaves[-1], b""):
        yield root, size, positions, leaves, [*siblings, surplus]
    if rule is NATIVE:  # the root of the other rule does not bind the size
        for other in range(-1, 2 * size + 2):
            if other != size:
                yield root, other, positions, leaves, siblings


@RULES
@pytest.mark.parametrize("size", range(1, 7))
def test_all_proofs_of_small_trees(size: int, rule: TreeRule) -> None:
    tree = RowTree.build(some_leaves(size), rule)
    for count in range(1, size + 1):
        for positions in combinations(range(size), count):
            honest = claim(tree, positions)
            assert verify_rows(*honest, rule)
            for changed in one_thing_changed(honest, rule):
                assert not verify_rows(*changed, rule), changed


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1100), rules, st.data())
def test_proofs_of_large_trees(size: int, rule: TreeRule, data: st.DataObject) -> None:
    tree = RowTree.build(some_leaves(size), rule)
    positions = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=20)))
    root, _, _, leaves, siblings = claim(tree, positions)
    assert verify_rows(root, size, positions, leaves, siblings, rule)
    wrong = data.draw(st.integers(0, len(leaves) - 1))
    assert not verify_rows(root, size, positions, [*leaves[:wrong], EMPTY, *leaves[wrong + 1 :]], siblings, rule)
    assert len(siblings) <= len(positions) * (size - 1).bit_length()


def test_siblings_come_level_by_level_from_left_to_right() -> None:
    tree = RowTree.build(some_leaves(7))
    nodes = listed(tree.nodes)  # leaves 0..6, then 7..10, 11..12, 13
    assert tree.prove([1, 4, 5]) == (nodes[0], nodes[8], nodes[10])
    assert tree.prove([6]) == (nodes[9], nodes[11])
    assert tree.prove(range(7)) == ()


def test_a_node_is_no_leaf() -> None:
    """The level above the leaves is not the leaves of a smaller tree, unless the root binds no size."""
    for size in range(2, 9):
        leaves = some_leaves(size)
        for rule in (NATIVE, STOOLAP):
            tree = RowTree.build(leaves, rule)
            smaller = (size + 1) // 2
            nodes = listed(tree.nodes[size : size + smaller])
            passes = verify_rows(tree.root, smaller, list(range(smaller)), nodes, [], rule)
            assert passes == (rule is STOOLAP), size
            assert not verify_rows(tree.root, size, list(range(smaller)), nodes, [], rule)


def test_the_odd_row_is_there_once() -> None:
    leaves = some_leaves(3)
    a, b, c = listed(leaves)
    four = np.concatenate([leaves, leaves[2:]])
    assert RowTree.build(leaves).root != RowTree.build(four).root
    native, stoolap = RowTree.build(leaves), RowTree.build(leaves, STOOLAP)
    assert verify_rows(native.root, 3, [2], [c], [h(b"\1", a, b)])
    assert not verify_rows(native.root, 3, [2], [c], [c, h(b"\1", a, b)])
    assert not verify_rows(native.root, 4, [3], [c], [c, h(b"\1", a, b)])
    assert stoolap.root == RowTree.build(four, STOOLAP).root
    assert verify_rows(stoolap.root, 3, [2], [c], [h(a, b)], STOOLAP)
    assert not verify_rows(stoolap.root, 3, [3], [c], [c, h(a, b)], STOOLAP)
    assert not verify_rows(stoolap.root, 3, [2, 3], [c, c], [h(a, b)], STOOLAP)


def test_rules_do_not_mix() -> None:
    native, stoolap = RowTree.build(some_leaves(4)), RowTree.build(some_leaves(4), STOOLAP)
    assert not verify_rows(*claim(native, [1]), STOOLAP)
    assert not verify_rows(*claim(stoolap, [1]), NATIVE)


@RULES
def test_figures_that_no_tree_has(rule: TreeRule) -> None:
    root, size, positions, leaves, siblings = claim(RowTree.build(some_leaves(6), rule), [1, 4])
    for wrong in (0, -1, -(1 << 70), 1 << 63, (1 << 64) - 1, 1 << 64, 1 << 5000):
        assert not verify_rows(root, wrong, positions, leaves, siblings, rule)
        assert not verify_rows(root, size, [1, wrong], leaves, siblings, rule)
        assert not verify_rows(root, size, [wrong, 4], leaves, siblings, rule)
        assert not verify_rows(root, wrong, [1, wrong - 1], leaves, siblings, rule)
    for short in (b"", root[:31], root + b"\0"):
        assert not verify_rows(short, size, positions, leaves, siblings, rule)
        assert not verify_rows(root, size, positions, [short, leaves[1]], siblings, rule)
        assert not verify_rows(root, size, positions, leaves, [short, *siblings[1:]], rule)
        assert not verify_rows(short, 1, [0], [short], [], rule)
    for wrong in (1 << 64, 1 << 5000):  # with all the siblings that such a tree would have
        assert not verify_rows(root, wrong, [0], leaves[:1], [EMPTY] * (wrong.bit_length() - 1), rule)
    assert not verify_rows(root, size, [], [], [], rule)
    assert not verify_rows(root, size, [], [], listed(some_leaves(1)), rule)
    assert not verify_rows(RowTree.build(some_leaves(0), rule).root, 0, [], [], [], rule)


@RULES
def test_siblings_of_another_length(rule: TreeRule) -> None:
    """Not even where somebody has made a root over them."""
    leaf = h(b"leaf")
    for sibling in (EMPTY, b"", b"short", bytes(33)):
        root = rule.root(2, rule.node(leaf, sibling))
        assert verify_rows(root, 2, [0], [leaf], [sibling], rule) == (len(sibling) == 32)
    assert not verify_rows(rule.root(2, rule.node(leaf, b"")), 2, [0], [leaf], [], rule)


hashes = st.lists(st.binary(min_size=30, max_size=34) | st.binary(min_size=32, max_size=32), max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.integers(), st.lists(st.integers()), hashes, hashes, rules)
def test_noise_is_refused(
    root: bytes, size: int, positions: list[int], leaves: list[bytes], siblings: list[bytes], rule: TreeRule
) -> None:
    assert verify_rows(root, size, positions, leaves, siblings, rule) in (False, leaves == [root] and size == 1)
    positions = sorted(set(positions))[: len(leaves)]
    size = max([size, *(p + 1 for p in positions)])
    verify_rows(root, size, positions, leaves[: len(positions)], siblings, rule)


class Counted(Sequence):
    """A billion siblings, and how many of them were looked at."""

    def __init__(self) -> None:
        self.read = 0

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: int) -> bytes:
        self.read += 1
        return EMPTY


@RULES
def test_work_is_bounded_by_levels(rule: TreeRule) -> None:
    siblings = Counted()
    assert not verify_rows(EMPTY, (1 << 64) - 1, [1, 1 << 40], [EMPTY, EMPTY], siblings, rule)
    assert 64 < siblings.read <= 2 * 64 + 1


class CountedRule(TreeRule):
    nodes = 0

    def node(self, left: bytes, right: bytes) -> bytes:
        CountedRule.nodes += 1
        return super().node(left, right)


def test_every_node_is_hashed_once() -> None:
    tree = RowTree.build(some_leaves(64))
    root, size, positions, leaves, siblings = claim(tree, range(64))
    assert verify_rows(
        root, size, positions, leaves, siblings, CountedRule("counted", NATIVE.tag, NATIVE.odd, NATIVE.root)
    )
    assert CountedRule.nodes == 63


def test_checking_loads_no_compiler() -> None:
    program = (
        "import sys\n"
        "import numpy as np\n"
        "from octoproof.vectors.rowtree import RowTree, row_leaf, verify_rows\n"
        "leaf = row_leaf(1, True, [1, 2], [])\n"
        "tree = RowTree.build(np.frombuffer(leaf * 9, dtype=np.uint8).reshape(9, 32))\n"
        "tree.update([3], tree.nodes[:1])\n"
        "assert verify_rows(tree.root, 9, [3], [leaf], tree.prove([3]))\n"
        "assert not {'numba', 'llvmlite', 'prover'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
