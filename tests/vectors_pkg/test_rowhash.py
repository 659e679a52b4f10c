"""Hashing in bulk: what the package `blake3` computes, for every width and any number of messages; leaves of rows."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.vectors import rowhash
from octoproof.vectors.rowhash import MAX_WIDTH, Bytes, digests
from octoproof.vectors.rowtree import row_leaf, row_leaves, stoolap_leaf, stoolap_leaves

EDGES = [edge + step for edge in (0, 64, 128, 192, 512, 960, 1024) for step in (-1, 0, 1) if 0 <= edge + step <= 1024]


def listed(hashes: Bytes) -> list[bytes]:
    return [digest.tobytes() for digest in hashes]


def random_messages(seed: int, count: int, width: int) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (count, width), dtype=np.uint8)


def one_by_one(messages: Bytes) -> list[bytes]:
    return [blake3(message.tobytes()).digest() for message in messages]


def in_lanes(messages: Bytes) -> list[bytes]:
    found = digests(*messages.shape, lambda rows: [messages[rows]])
    assert found.shape == (len(messages), 32)
    assert found.dtype == np.uint8
    return listed(found)


def test_every_width() -> None:
    for width in range(MAX_WIDTH + 1):
        messages = random_messages(width, 17, width)
        assert in_lanes(messages) == one_by_one(messages), width


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([0, 1, 2, 15, 16, 17, 31, 32, 33, 255, 4095, 4096, 4097]), st.sampled_from(EDGES), st.data())
def test_any_number_of_messages(count: int, width: int, data: st.DataObject) -> None:
    messages = random_messages(data.draw(st.integers(0, 1 << 32)), count, width)
    assert in_lanes(messages) == one_by_one(messages)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_pieces_are_joined_from_left_to_right(a: int, b: int, c: int) -> None:
    messages = random_messages(a, 20, a + b + c)
    found = digests(20, a + b + c, lambda rows: np.split(messages[rows], [a, a + b], axis=1))
    assert listed(found) == one_by_one(messages)


@pytest.mark.parametrize(("threads", "width"), [(1, 1024), (3, 1024), (3, 65)])
def test_threads_pack_few_messages_at_a_time(threads: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowhash, "usable_cores", lambda: threads)
    count, asked = 3 * 4096 + 5, []
    messages = random_messages(threads, count, width)

    def parts(rows: slice) -> list[Bytes]:
        asked.append((rows.start, rows.stop))
        return [messages[rows]]

    found = digests(count, width, parts)
    assert listed(found) == one_by_one(messages)
    asked.sort()
    assert [stop for _, stop in asked] == [start for start, _ in asked[1:]] + [count]
    assert max(stop - start for start, stop in asked) * width <= 1 << 18
    assert len(asked) > 1


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="1025 bytes"):
        digests(1, 1025, lambda rows: [np.zeros((1, 1025), dtype=np.uint8)])
    for width in (4, 6):
        with pytest.raises(ValueError):
            digests(1, 5, lambda rows, width=width: [np.zeros((1, width), dtype=np.uint8)])


def test_kernels_are_kept_with_the_others() -> None:
    program = "from octoproof.vectors import rowhash; import numba; from prover import cache\n"
    program += "assert numba.config.CACHE_DIR == str(cache.folder()), numba.config.CACHE_DIR"
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Whole rows, in bulk and one by one.

few_and_many = st.sampled_from([0, 1, 2, 15, 16, 17, 255, 256, 257, 1025, 1100])  # lanes begin at 256


@settings(max_examples=60, deadline=None)
@given(few_and_many, st.integers(0, 520), st.integers(0, 3), st.integers(0, 1 << 32))
def test_leaves_in_bulk(count: int, dimension: int, fields: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    ids = random.integers(-(1 << 63), 1 << 63, count, dtype=np.int64)
    live = random.integers(0, 2, count).astype(np.bool_)
    vectors = random.integers(-(1 << 15), 1 << 15, (count, dimension), dtype=np.int16)
    codes = random.integers(0, 1 << 32, (fields, count), dtype=np.uint32)
    expected = [row_leaf(int(ids[k]), bool(live[k]), vectors[k], codes[:, k]) for k in range(count)]
    assert listed(row_leaves(ids, live, vectors, codes)) == expected
    strided = np.asfortranarray(vectors).astype(">i2")
    assert listed(row_leaves(ids.astype(">i8"), live, strided, codes)) == expected


@pytest.mark.parametrize("width", [10, 62, 64, 66, 126, 128, 130, 1022, 1024, 1026])
def test_leaves_in_bulk_around_blocks_and_chunks(width: int) -> None:
    dimension = (width - 10) // 2
    vectors = np.random.default_rng(width).integers(-999, 999, (300, dimension), dtype=np.int16)
    ids, live, codes = np.arange(300), np.ones(300, dtype=np.bool_), np.zeros((0, 300), dtype=np.uint32)
    assert listed(row_leaves(ids, live, vectors, codes)) == [row_leaf(k, True, vectors[k], ()) for k in range(300)]


@settings(max_examples=30, deadline=None)
@given(few_and_many, st.sampled_from([0, 1, 15, 16, 17, 100, 256, 257]), st.integers(0, 1 << 32))
def test_stoolap_leaves_in_bulk(count: int, dimension: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    ids = random.integers(-(1 << 63), 1 << 63, count, dtype=np.int64)
    vectors = random.standard_normal((count, dimension)).astype(np.float32)
    assert listed(stoolap_leaves(ids, vectors)) == [stoolap_leaf(int(ids[k]), vectors[k]) for k in range(count)]


def test_a_live_row_has_one_byte() -> None:
    """Also where a file had another byte that is not zero."""
    live = np.array([0, 1, 2, 255], dtype=np.uint8).view(np.bool_)
    leaves = row_leaves(np.zeros(4, dtype=np.int64), live, np.zeros((4, 1), np.int16), np.zeros((0, 4), np.uint32))
    dead, alive = row_leaf(0, False, [0], []), row_leaf(0, True, [0], [])
    assert listed(leaves) == [dead, alive, alive, alive]


@pytest.mark.parametrize(
    ("id", "coordinates", "codes"),
    [
        (1 << 63, [0], []),
        (0, [1 << 15], []),
        (0, [-(1 << 15) - 1], []),
        (0, [0.5], []),
        (0, [], [-1]),
        (0, [], [1 << 32]),
    ],
)
def test_a_row_that_does_not_fit(id: int, coordinates: list[int], codes: list[int]) -> None:
    with pytest.raises(ValueError, match=f"row {id}"):
        row_leaf(id, True, coordinates, codes)


def test_arrays_that_are_no_rows() -> None:
    ids, live = np.arange(3), np.ones(3, dtype=np.bool_)
    vectors, codes = np.zeros((3, 2), dtype=np.int16), np.zeros((1, 3), dtype=np.uint32)
    row_leaves(ids, live, vectors, codes)
    for wrong in [
        (ids[:2], live, vectors, codes),
        (ids, live[:2], vectors, codes),
        (ids, live, vectors[:2], codes),
        (ids, live, vectors, codes[:, :2]),
    ]:
        with pytest.raises(ValueError, match="rows: "):
            row_leaves(*wrong)
    for wrong in [
        (ids.astype(np.int32), live, vectors, codes),
        (ids, live, vectors.astype(np.int32), codes),
        (ids, live, vectors, codes.astype(np.int64)),
    ]:
        with pytest.raises(TypeError):
            row_leaves(*wrong)
    floats = np.zeros((3, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="rows: "):
        stoolap_leaves(ids[:2], floats)
    with pytest.raises(TypeError):
        stoolap_leaves(ids, floats.astype(np.float64))
    with pytest.raises(TypeError):
        stoolap_leaf(1, floats[0].astype(np.float64))
    with pytest.raises(ValueError, match=f"row {1 << 63}"):
        stoolap_leaf(1 << 63, floats[0])
