"""Whole proofs with Stwo's intermediate values: sample points, quotients on the whole domain, claimed sums."""

from __future__ import annotations

import json

import numpy as np
import pytest

from air.field import QM31
from verifier.merkle import lifted_positions
from verifier.polynomial import evaluate, interpolate
from verifier.proof import proof_from_json
from verifier.quotients import column_log_sizes, group_terms, quotient_terms, quotients_at
from verifier.sampling import sample_counts, sample_points
from verifier.spec import spec_from_json
from verifier.stark import query_points, verify_stark

NAMES = ("walkthrough_plonk_fold3", "walkthrough_plonk_lifted", "walkthrough_range_check")


@pytest.fixture(params=NAMES)
def walk(request, vectors):
    document = vectors(request.param)
    spec = spec_from_json(json.dumps(document["spec"]))
    return document, spec, proof_from_json(json.dumps(document["proof"]), spec.channel)


def point(pair):
    return (QM31.of(pair[0]), QM31.of(pair[1]))


def points_of(walk):
    document, spec, _ = walk
    degree = spec.config.lifting_log(spec.air.log_size) - spec.config.log_blowup_factor
    return sample_points(spec.air, point(document["oods_point"]), degree)


def test_is_accepted(walk):
    _, spec, proof = walk
    verify_stark(spec, proof)


def test_sample_points(walk):
    document, spec, _ = walk
    expected = [[[point(p) for p in column] for column in tree] for tree in document["sample_points"]]
    assert points_of(walk) == expected
    assert sample_counts(spec.air) == [[len(column) for column in tree] for tree in expected]


def test_quotients_on_the_whole_domain(walk):
    document, spec, proof = walk
    blowup, lifting = spec.config.log_blowup_factor, spec.config.lifting_log(spec.air.log_size)
    half = 1 << spec.air.log_size
    names = ("preprocessed_columns", "trace_columns", "interaction_columns")
    polys = [interpolate(c["values"]) for name in names for c in document[name]]
    composition = [np.array(c, dtype=np.uint64) for c in document["composition_coeffs_by_coordinate"]]
    polys += [c[:half] for c in composition] + [c[half:] for c in composition]
    every, columns = np.arange(1 << lifting), []
    for poly in polys:
        size = len(poly).bit_length() - 1 + blowup
        columns.append(evaluate(poly, size)[lifted_positions(every, size, lifting)])
    sizes = column_log_sizes(spec.air)
    terms = quotient_terms(sizes, points_of(walk), proof.sampled_values, blowup, lifting)
    groups = group_terms(terms, [len(tree) for tree in sizes])
    coefficient = QM31.of(document["quotient_random_coeff"])
    found = quotients_at(groups, coefficient, np.stack(columns), *query_points(every, lifting), len(terms))
    assert found.tolist() == document["quotient_evaluations"]
