"""The circle group and every index map, against Stwo's values."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from air import circle
from air.field import QM31, P

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "circle.json").read_text())


def secure(pair):
    return QM31.of(pair[0]), QM31.of(pair[1])


def test_points():
    assert tuple(VECTORS["generator"]) == circle.GENERATOR
    for row in VECTORS["points"]:
        assert circle.point(row["index"] % circle.ORDER) == tuple(row["point"])
    indices = np.array([row["index"] for row in VECTORS["points"]])
    x, y = circle.points(indices)
    assert [[int(a), int(b)] for a, b in zip(x, y, strict=True)] == [row["point"] for row in VECTORS["points"]]


def test_cosets_and_index_maps():
    for row in VECTORS["canonic_cosets"]:
        n = row["log_size"]
        size = range(1 << n)
        assert circle.coset_indices(n).tolist()[0] == row["coset_initial_index"]
        assert circle.step(n) == row["coset_step_index"]
        assert circle.domain_indices(n).tolist() == row["domain_indices"]
        assert [circle.domain_index(n, i) for i in size] == row["domain_indices"]
        assert [circle.coset_to_domain(i, n) for i in size] == row["coset_index_to_circle_domain_index"]
        assert [circle.domain_to_coset(i, n) for i in size] == row["circle_domain_index_to_coset_index"]
        assert circle.row_positions(n).tolist() == row["coset_index_to_storage_index"]
        x, y = circle.points(circle.domain_indices(n))
        stored = circle.bit_reversal(n)
        assert np.stack([x, y], axis=1).tolist() == row["domain_points"]
        assert np.stack([x, y], axis=1)[stored].tolist() == row["domain_points_bit_reversed"]
        x, y = circle.points(circle.coset_indices(n))
        assert np.stack([x, y], axis=1).tolist() == row["coset_points"]


def test_neighbours():
    for row in VECTORS["offset_in_bit_reversed_domain"]:
        found = [
            circle.neighbour(s, row["offset"], row["domain_log_size"], row["eval_log_size"])
            for s in range(1 << row["eval_log_size"])
        ]
        assert found == row["index"]


def test_line_domains():
    for row in VECTORS["half_odds_line_domains"]:
        n = row["log_size"]
        assert circle.half_odds_initial(n) == row["initial_index"]
        indices = row["initial_index"] + np.arange(1 << n) * (1 << (31 - n))
        assert circle.points(indices)[0].tolist() == row["x"]


def test_secure_points():
    for row in VECTORS["secure_points"]:
        point = secure(row["point"])
        assert circle.secure_add(point, point) == secure(row["double"])
        assert circle.secure_add(point, circle.GENERATOR) == secure(row["plus_m31_generator"])
    point = secure(VECTORS["canonic_vanishing"]["point"])
    for row in VECTORS["canonic_vanishing"]["values"]:
        assert circle.vanishing(point[0], row["log_size"]) == QM31.of(row["value"])


@given(st.integers(0, circle.ORDER - 1), st.integers(0, circle.ORDER - 1))
def test_indices_add_like_points(j, k):
    p = circle.add(circle.point(j), circle.point(k))
    assert p == circle.point((j + k) % circle.ORDER)
    assert (p[0] * p[0] + p[1] * p[1]) % P == 1


@given(st.integers(1, 10), st.data())
def test_orders_are_inverse_to_each_other(n, data):
    rows = np.array(data.draw(st.lists(st.integers(0, P - 1), min_size=1 << n, max_size=1 << n)), dtype=np.uint32)
    assert np.array_equal(circle.to_rows(circle.to_storage(rows)), rows)
    assert np.array_equal(circle.bit_reverse_array(np.arange(1 << n), n), circle.bit_reversal(n))


def test_lifted_position_reads_the_value_at_the_multiplied_point():
    # The point at storage position s of a large domain, doubled twice, lies at the lifted position of the small one.
    large, small = 7, 5
    big, little = circle.domain_indices(large), circle.domain_indices(small)
    for s in range(1 << large):
        index = int(big[circle.bit_reverse(s, large)]) * 4 % circle.ORDER
        place = circle.lifted_position(s, small, large)
        assert int(little[circle.bit_reverse(place, small)]) == index


def test_the_point_at_infinity_of_the_parametrisation_is_refused():
    i = QM31(0, 1)
    with pytest.raises(ZeroDivisionError):
        circle.secure_point(i)
