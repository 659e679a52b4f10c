"""Scores and floating-point distances on the device: the same bits as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from gpu import distance
from gpu.device import CupyDevice, Kernel, source
from octoproof.vectors.rerank import rerank
from octoproof.vectors.scan import scan, scores_reference

# What CUDA rounds on its own, for the compiler of the emulation, which then may not fuse either.
INTRINSICS = """
#pragma clang fp contract(off)
static inline double __dadd_rn(double x, double y) { return x + y; }
static inline double __dsub_rn(double x, double y) { return x - y; }
static inline double __dmul_rn(double x, double y) { return x * y; }
"""


@pytest.fixture
def device(device, monkeypatch):
    """The device; the emulated one with CUDA's rounded operations."""
    if isinstance(device, CupyDevice):
        return device
    launch = device.launch

    def with_intrinsics(kernel, *arguments):
        launch(Kernel(INTRINSICS + kernel.source, kernel.name), *arguments)

    monkeypatch.setattr(device, "launch", with_intrinsics)
    return device


@pytest.mark.parametrize(("rows", "dimension", "queries"), [(16, 1, 1), (48, 7, 3), (1040, 33, 9), (512, 100, 16)])
@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_scores_are_the_cpus(device, rows, dimension, queries, metric):
    rng = np.random.default_rng(rows)
    limit = 945 if dimension > 50 else 32767
    columns = rng.integers(-limit, limit + 1, (dimension, rows), dtype=np.int16)
    asked = rng.integers(-limit, limit + 1, (queries, dimension))
    norms = (columns.astype(np.int64) ** 2).sum(axis=0).astype(np.int32)  # may wrap around, as the scores may
    placed = distance.upload_rows(device, columns, norms)
    found = device.download(distance.scan(device, placed, asked, metric)).view(np.int32).reshape(queries, rows)
    assert np.array_equal(found, [scan(columns, norms, query, metric) for query in asked])
    if limit == 945:
        assert np.array_equal(found, [scores_reference(columns, norms, query, metric) for query in asked])


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_distances_rank_and_round_as_the_cpus(device, metric):
    rng = np.random.default_rng(3)
    vectors = (rng.standard_normal((90, 57)) * 10.0 ** rng.integers(-6, 6, (90, 1))).astype(np.float32)
    queries = rng.standard_normal((3, 57)).astype(np.float32)
    asked = np.repeat(np.arange(3), 30)
    found = distance.distances(device, vectors, queries, asked, metric)
    for number in range(3):
        own = asked == number
        ids = np.flatnonzero(own)
        wanted_ids, wanted = rerank(vectors[own], ids, queries[number], metric, 30)
        order = np.lexsort((ids, found[own]))
        assert np.array_equal(ids[order], wanted_ids)
        assert np.array_equal(found[own][order].view(np.uint64), wanted.view(np.uint64))


def test_zero_vectors_have_no_cosine(device):
    vectors = np.array([[0, 0], [1, 1]], dtype=np.float32)
    found = distance.distances(device, vectors, vectors[1:], np.zeros(2, dtype=np.int64), "cosine")
    assert np.isnan(found[0])
    assert abs(found[1]) < 1e-12


def test_what_does_not_fit_is_refused(device):
    with pytest.raises(ValueError, match="give int16"):
        distance.upload_rows(device, np.zeros((2, 3), dtype=np.int16), np.zeros(3, dtype=np.int32))
    rows = distance.upload_rows(device, np.zeros((2, 4), dtype=np.int16), np.zeros(4, dtype=np.int32))
    with pytest.raises(ValueError, match="metric"):
        distance.scan(device, rows, np.zeros((1, 2), dtype=int), "cosine")
    for wrong in (np.zeros((1, 3), dtype=int), np.full((1, 2), 32768)):
        with pytest.raises(ValueError, match="queries"):
            distance.scan(device, rows, wrong, "ip")
    floats = np.zeros((2, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="asked"):
        distance.distances(device, floats, floats, np.array([0, 2]), "ip")
    with pytest.raises(ValueError, match="queries"):
        distance.distances(device, floats, floats.astype(np.float64), np.array([0, 1]), "ip")
    assert distance.distances(device, floats[:0], floats, np.array([], dtype=int), "ip").size == 0


@pytest.mark.parametrize("architecture", ["sm_80", "sm_89", "sm_90", "sm_100"])
@pytest.mark.parametrize("file", ["scores.cu", "distance.cu"])
def test_kernels_compile_for_cards(nvrtc, file, architecture):
    assert all(used.stack == used.spilled == 0 for used in nvrtc.compile_source(source(file), architecture).values())
