"""The scan against float64 products, bit for bit, up to the limits of its integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.vectors.scan import scan, scores_reference
from prover.threads import Workers

SIZES = st.sampled_from([16, 32, 1 << 11, 1 << 13])  # below, at and above the rows of one block
METRICS = pytest.mark.parametrize("metric", ["ip", "l2"])


def norms_of(columns):
    return (columns.astype(np.int64) ** 2).sum(axis=0).astype(np.int32)


def agree(columns, norms, query, metric, workers=None):
    got = scan(columns, norms, query, metric, workers)
    assert got.dtype == np.int32
    assert got.tolist() == scores_reference(columns, norms, query, metric).tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), SIZES, st.integers(1, 13), st.sampled_from([1, 945, 3000]), st.sampled_from(["ip", "l2"]))
def test_scores_are_those_of_float64(seed, rows, dimension, limit, metric):
    rng = np.random.default_rng(seed)
    columns = rng.integers(-limit, limit + 1, (dimension, rows)).astype(np.int16)
    query = [int(v) for v in rng.integers(-limit, limit + 1, dimension)]
    with Workers(2) as workers:
        agree(columns, norms_of(columns), query, metric, workers)
    agree(columns, norms_of(columns), query, metric)


@METRICS
def test_the_largest_allowed_values(metric):
    """Norms near 2^29, and with `ip` the ends of int16 on either side."""
    columns = np.array([[13377, -13377] * 8] * 3, dtype=np.int16)  # 3 * 13377^2 is just below 2^29
    agree(columns, norms_of(columns), [13377] * 3 if metric == "ip" else [13377, 0, 0], metric)
    ends = np.array([[-32768, 32767, 0, -1] * 4, [32767, -32768, 1, 0] * 4], dtype=np.int16)
    agree(ends, np.zeros(16, dtype=np.int32), [8191, -8191] if metric == "ip" else [4095, -4095], metric)
    one = np.array([[-16383, 16383, 1, 0] * 4], dtype=np.int16)
    agree(one, np.zeros(16, dtype=np.int32), [32767] if metric == "ip" else [16383], metric)


def test_sums_that_wrap_around_come_back():
    columns = np.full((6, 16), 32767, dtype=np.int16)
    agree(columns, np.zeros(16, dtype=np.int32), [32767, 32767, 32767, -32767, -32767, -32766], "ip")


@METRICS
def test_mapped_read_only_columns(metric, tmp_path):
    rng = np.random.default_rng(1)
    columns = rng.integers(-900, 900, (5, 64)).astype(np.int16)
    np.save(tmp_path / "columns.npy", columns)
    np.save(tmp_path / "norms.npy", norms_of(columns))
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("columns", "norms")]
    got = scan(*mapped, [3, -2, 900, 0, 7], metric)
    assert got.tolist() == scores_reference(columns, norms_of(columns), [3, -2, 900, 0, 7], metric).tolist()


def test_columns_may_lie_apart():
    columns = np.arange(160, dtype=np.int16).reshape(5, 32)[::2, :16]
    agree(columns, norms_of(columns), [1, 2, 3], "l2")


@pytest.mark.parametrize(
    ("columns", "norms", "query", "metric", "message"),
    [
        (np.zeros((2, 16), np.uint16), 16, [1, 1], "ip", "columns"),
        (np.zeros((2, 16), np.int32), 16, [1, 1], "ip", "columns"),
        (np.zeros((16, 2), np.int16).T, 16, [1, 1], "ip", "columns"),
        (np.zeros((2, 24), np.int16), 24, [1, 1], "ip", "columns"),
        (np.zeros((2, 16), np.int16), 16, [1, 1, 1], "ip", "3 query coordinates"),
        (np.zeros((2, 16), np.int16), 8, [1, 1], "l2", "8 norms"),
        (np.zeros((2, 16), np.int16), 16, [1, -32768], "ip", "query: coordinates"),
        (np.zeros((2, 16), np.int16), 16, [1, 1], "cosine", "metric: 'cosine'"),
    ],
)
def test_what_the_kernel_must_not_be_given(columns, norms, query, metric, message):
    with pytest.raises(ValueError, match=message):
        scan(columns, np.zeros(norms, dtype=np.int32), query, metric)
