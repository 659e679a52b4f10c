"""The verifier's part of a certificate: each check has a test that changes one thing and sees it refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.statement import RootKey, StatementError
from air.statements.certify_statement import CERTIFY, MAX_SCALE, CertifyStatement, covers, unit_norms
from air.statements.snapshot import MAX_FIELDS, ColumnRoot, PayloadField, SegmentLeaf, SnapshotHeader
from air.statements.topk import coordinate_bound
from octoproof.vectors.quantise import Quantiser

KEY = RootKey("blake2s", 1)
LEAF = SegmentLeaf(5, 2, 4, 14, 9, bytes(range(32)), (ColumnRoot(KEY, bytes([9]) * 32),))
CLAIM = CertifyStatement(3, 945, 945 << 32, True, (4, 0), LEAF)
FIELDS = tuple(PayloadField(name, count, bytes(32)) for name, count in (("colour", 4), ("size", 0)))
HEADER = SnapshotHeader(3, 945, 945 << 32, True, 28, 20, 2, fields=FIELDS)


def test_the_honest_claim():
    CLAIM.check()
    CERTIFY.check_together([CLAIM])
    CERTIFY.check_together([CLAIM, replace(CLAIM, unit=False, values=(), leaf=replace(LEAF, id=6))])
    CERTIFY.check_together([CLAIM, replace(CLAIM, leaf=replace(LEAF, version=3))])


def test_a_statement_is_its_encoding():
    words = CLAIM.encode()
    assert words[:2] == [3, 1]
    assert CERTIFY.decode(words) == CLAIM
    assert CLAIM.digest() == CERTIFY.decode(words).digest()
    for cut in range(len(words)):
        with pytest.raises(StatementError):
            CERTIFY.decode(words[:cut])
    with pytest.raises(StatementError):
        CERTIFY.decode([*words, 0])


@settings(deadline=None)
@given(st.data())
def test_every_word_counts(data):
    words = CLAIM.encode()
    index = data.draw(st.integers(0, len(words) - 1))
    words[index] ^= 1 << data.draw(st.integers(0, 31))
    try:
        changed = CERTIFY.decode(words)
    except StatementError:
        return
    assert changed != CLAIM
    assert changed.digest() != CLAIM.digest()


def test_a_flag_is_0_or_1():
    words = CLAIM.encode()
    words[2 + 2 * 3] = 2
    with pytest.raises(StatementError, match="unit: 2 is not 0 or 1"):
        CERTIFY.decode(words)


ALONE = {
    "dimension: 0 is outside": {"dimension": 0},
    "dimension: 4097 is outside": {"dimension": 4097},
    "limit: 0 is outside": {"limit": 0},
    f"limit: {coordinate_bound(3) + 1} is outside": {"limit": coordinate_bound(3) + 1},
    "scale: 0 is outside": {"scale": 0},
    f"scale: {MAX_SCALE + 1} is outside": {"scale": MAX_SCALE + 1},
    "scale: no unit vector has": {"scale": 5000 << 32},
    "values: 17 fields": {"values": (1,) * (MAX_FIELDS + 1)},
    "values[1]: -1 is outside": {"values": (4, -1)},
    "values[0]: 65537 is outside": {"values": ((1 << 16) + 1, 0)},
    "snapshot.segment.log_size": {"leaf": replace(LEAF, log_size=27)},
    "snapshot.segment.rows: 0": {"leaf": replace(LEAF, rows=0)},
    "snapshot.segment.rows: 17": {"leaf": replace(LEAF, rows=17)},
    "snapshot.segment.live": {"leaf": replace(LEAF, live=15)},
    "snapshot.segment.version": {"leaf": replace(LEAF, version=0)},
    "snapshot.segment.id": {"leaf": replace(LEAF, id=-1)},
    "dimension: 3000 is too many for 2^20 rows": {
        "dimension": 3000,
        "limit": 100,
        "unit": False,
        "leaf": replace(LEAF, log_size=20),
    },
}


@pytest.mark.parametrize("message", ALONE)
def test_one_part_alone(message):
    with pytest.raises(StatementError) as refused:
        replace(CLAIM, **ALONE[message]).check()
    assert str(refused.value).startswith(message)


OTHER = replace(CLAIM, leaf=replace(LEAF, id=6))
TOGETHER = {
    "dimension: the parts": [CLAIM, replace(OTHER, dimension=2)],
    "limit: the parts": [CLAIM, replace(OTHER, limit=944)],
    "scale: the parts": [CLAIM, replace(OTHER, scale=1)],
    "leaf: a segment is certified twice": [CLAIM, OTHER, CLAIM],
}


@pytest.mark.parametrize("message", TOGETHER)
def test_parts_together(message):
    with pytest.raises(StatementError) as refused:
        CERTIFY.check_together(TOGETHER[message])
    assert str(refused.value).startswith(message)


def test_a_certificate_covers_its_segment():
    assert covers([CLAIM], HEADER, LEAF, False)
    assert covers([OTHER, CLAIM], HEADER, LEAF, False)
    assert not covers([], HEADER, LEAF, False)
    # Another snapshot that holds the same version; its dictionary has grown.
    grown = (replace(FIELDS[0], values=9), FIELDS[1])
    assert covers([CLAIM], replace(HEADER, rows=99, segments=7, fields=grown), LEAF, False)


SHORT = replace(CLAIM, unit=False)
UNCOVERED = {
    "another segment": (OTHER, HEADER, LEAF),
    "another version": (CLAIM, HEADER, replace(LEAF, version=3)),
    "other rows": (CLAIM, HEADER, replace(LEAF, row_root=bytes(32))),
    "other columns": (CLAIM, HEADER, replace(LEAF, column_roots=(ColumnRoot(KEY, bytes(32)),))),
    "another live count": (CLAIM, HEADER, replace(LEAF, live=8)),
    "dimension": (CLAIM, replace(HEADER, dimension=4), LEAF),
    "limit": (CLAIM, replace(HEADER, limit=944), LEAF),
    "scale": (CLAIM, replace(HEADER, scale=7), LEAF),
    "a smaller dictionary": (CLAIM, replace(HEADER, fields=(replace(FIELDS[0], values=3), FIELDS[1])), LEAF),
    "fewer fields": (CLAIM, replace(HEADER, fields=FIELDS[:1]), LEAF),
    "more fields": (CLAIM, replace(HEADER, fields=(*FIELDS, FIELDS[0])), LEAF),
    "lengths not proven": (SHORT, HEADER, LEAF),
}


@pytest.mark.parametrize("what", UNCOVERED)
def test_a_certificate_covers_nothing_else(what):
    part, header, leaf = UNCOVERED[what]
    assert not covers([part], header, leaf, False)


def test_lengths_matter_for_rows_of_normalised_snapshots_alone():
    assert covers([SHORT], HEADER, LEAF, True)
    assert covers([SHORT], replace(HEADER, normalised=False), LEAF, False)
    assert covers([CLAIM], replace(HEADER, normalised=False), LEAF, False)
    assert not covers([SHORT], HEADER, LEAF, False)


def test_the_root_of_tree_0_comes_from_the_leaf():
    assert CLAIM.preprocessed_root(KEY) == bytes([9]) * 32
    with pytest.raises(StatementError, match="segment 5"):
        CLAIM.preprocessed_root(RootKey("poseidon252", 1))


def test_only_the_lengths_depend_on_the_scale():
    assert SHORT.air() == replace(SHORT, scale=7 << 32).air()
    assert CLAIM.air() != replace(CLAIM, scale=944 << 32).air()


def test_what_is_said_of_it():
    assert "unit length" in CLAIM.describe()["proves"]
    assert "unit length" not in SHORT.describe()["proves"]
    assert CLAIM.describe()["segment"] == {"id": 5, "version": 2, "rows": 14, "live": 9}


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.floats(0.02, 1.0), st.integers(0, 2**32))
def test_every_unit_vector_is_within_the_bounds(dimension: int, largest: float, seed: int):
    """As the quantiser rounds them, for a scale that spends all coordinates on values up to `largest`."""
    limit = coordinate_bound(dimension)
    scale = int(limit / largest * 2**32)
    least, most = unit_norms(dimension, limit, scale)
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(20, dimension)) * rng.choice([1, 1e-9, 1e9], (20, dimension))
    unit = vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    kept = vectors[(np.abs(unit) < largest * 0.999).all(axis=1)]
    coordinates = Quantiser(dimension, scale, True)(kept).astype(np.int64)
    norms = (coordinates**2).sum(axis=1)
    assert ((least <= norms) & (norms <= most)).all()


@pytest.mark.parametrize(("dimension", "half"), [(1, 0), (4, 3), (100, 40), (100, 94), (400, 20), (4096, 2)])
def test_the_bounds_are_met_by_rounding_alone(dimension: int, half: int):
    """All coordinates a little above or below a half: the largest and the least lengths there are."""
    limit = coordinate_bound(dimension)
    for away, place in ((1e-9, 1), (-1e-9, 0)):
        factor = (half + 0.5 + away) * dimension**0.5  # each coordinate is factor / sqrt(D)
        scale = int(factor * 2**32)
        norm = dimension * (half + int(away > 0)) ** 2
        bounds = unit_norms(dimension, limit, scale)
        assert bounds[0] <= norm <= bounds[1]
        assert abs(norm - bounds[place]) <= 1 + norm // 10_000


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4096), st.integers(1, MAX_SCALE))
def test_the_bounds_are_exact(dimension: int, scale: int):
    """Integers only, so that every verifier computes the same; compared with fractions."""
    limit = coordinate_bound(dimension)
    least, most = unit_norms(dimension, limit, scale)
    root = Fraction(isqrt(dimension << 100) + 1, 1 << 50)  # of D, from above
    factor, margin = Fraction(scale, 1 << 32), Fraction(1, 1 << 15)
    assert least >= max(Fraction(0), factor - root / 2 - margin) ** 2
    assert least - 1 < max(Fraction(0), factor - root / 2) ** 2
    assert most <= (factor + root / 2 + margin) ** 2
    assert most + 1 > min((factor + root / 2) ** 2 - 1, dimension * limit**2)


@pytest.mark.parametrize("dimension", [1, 2, 100, 768, 1536, 4096])
def test_the_table_of_lengths_stays_small(dimension: int):
    limit = coordinate_bound(dimension)
    widths = []
    for factor in range(1, int(limit * dimension**0.5) + 2, max(1, limit // 7)):
        least, most = unit_norms(dimension, limit, factor << 32)
        widths.append(most - least)
    assert max(widths) < 1 << 21
