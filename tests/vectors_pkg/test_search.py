"""Exact search against the definition, ties included."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.vectors.search import best, merge, scores


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 20), st.sampled_from(["ip", "l2"]))
def test_the_best_rows(seed, rows, k, metric):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (rows, 2)).astype(np.int16)  # few values, so many ties
    ids, live = np.sort(rng.choice(1000, rows, replace=False)), rng.random(rows) < 0.8
    query = [int(v) for v in rng.integers(-2, 3, 2)]
    norm = (vectors.astype(np.int64) ** 2).sum(axis=1)
    got = scores(vectors.T, norm, query, metric)
    wide = vectors.astype(int)
    expected = [int(2 * x @ query - x @ x) if metric == "l2" else int(x @ query) for x in wide]
    assert got.tolist() == expected
    ranked = sorted((-expected[r], int(ids[r])) for r in range(rows) if live[r])[:k]
    hits = best(got, ids, live, k)
    assert [(-hit.score, hit.id) for hit in hits] == ranked
    halves = [best(got[part], ids[part], live[part], k) for part in (slice(0, rows // 2), slice(rows // 2, rows))]
    assert merge(halves, k) == hits


def test_large_values_are_exact():
    limit = 11_000
    columns = np.full((2, 3), limit, dtype=np.int16)
    assert scores(columns, np.zeros(3, dtype=np.int64), [limit, -limit + 1], "ip").tolist() == [limit] * 3
