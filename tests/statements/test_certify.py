"""The certify AIR: honest segments of every shape hold and are proven; tables, places and links can be no others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.check import imbalances, violations
from air.circle import Column, row_positions, to_rows, to_storage
from air.field import P
from air.layout import MAX_LOG_SIZE, ComponentLayout
from air.relation import PublicTerm
from air.soundness import find_forgeries, find_freedoms
from air.statements.certify import (
    ID_BITS,
    N_ID_LIMBS,
    Certify,
    certify_air,
    certify_public_terms,
    certify_trace,
)
from air.statements.topk import coordinate_bound
from octoproof import device
from prover.prove import prove
from verifier.config import PRESETS
from verifier.errors import LogupError
from verifier.proof import StarkProof, proof_to_json
from verifier.spec import Spec, spec_to_json
from verifier.stark import verify_stark

Array = np.ndarray
FIRST_DIGIT = 4  # main columns before the digits: place, link, top, middle


@dataclass(frozen=True)
class Case:
    """A segment as its owner has it (ids, flags and codes in row order, the rest in storage order), and its claim."""

    certify: Certify
    ids: Array
    live: Array
    columns: Array
    norms: Array
    codes: Array

    @property
    def air(self):
        return certify_air(self.certify)

    @property
    def tree0(self) -> list[Column]:
        """In storage order."""
        ids, live, codes = (self.padded(values) for values in (self.ids, self.live, self.codes))
        limbs = [ids >> ID_BITS * k & (1 << ID_BITS) - 1 for k in range(N_ID_LIMBS)]
        rows = to_storage(np.array([*limbs, live, *codes], dtype=np.int64))
        return [(column % P).astype(np.uint32) for column in (*self.columns.astype(np.int64), self.norms, *rows)]

    def padded(self, values: Array) -> Array:
        out = np.zeros((*values.shape[:-1], self.certify.size), dtype=np.int64)
        out[..., : self.certify.rows] = values
        return out

    @property
    def pre(self) -> list[Column]:
        return [to_rows(column) for column in self.tree0]

    @property
    def terms(self) -> tuple[PublicTerm, ...]:
        return certify_public_terms(self.certify, self.air, int(self.live.sum()))

    def trace(self) -> list[Column]:
        """In storage order."""
        return certify_trace(self.certify, self.ids, self.live, self.columns, self.norms, self.codes)

    @property
    def main(self) -> list[Column]:
        """In row order."""
        return [to_rows(column) for column in self.trace()]

    @property
    def n_own(self) -> int:
        """Main columns of `Certify` itself."""
        return len(self.air.components[0].masks)

    def failures(self, main: list[Column]) -> list[str]:
        found = (*violations(self.air, self.pre, main), *imbalances(self.air, self.pre, main, self.terms))
        return [str(failure) for failure in found]


def case(
    log_size: int = 4,
    rows: int = 11,
    dimension: int = 3,
    limit: int | None = None,
    values: tuple[int, ...] = (),
    norms: tuple[int, int] | None = None,
    vectors: Array | None = None,
    seed: int = 0,
) -> Case:
    rng = np.random.default_rng(seed)
    limit = coordinate_bound(dimension) if limit is None else limit
    if vectors is None:
        vectors = rng.integers(-limit, limit + 1, (rows, dimension))
        vectors[0] = limit
        vectors[-1] = -limit
    # Gaps in every limb: neighbours that differ in the lowest, in the middle and in the highest one only.
    gaps = rng.choice([1, 2, 1 << ID_BITS, (1 << ID_BITS) - 1, 1 << 2 * ID_BITS, 12345678901], rows)
    live = rng.random(rows) < 0.8
    padded = np.zeros((1 << log_size, dimension), dtype=np.int16)
    padded[:rows] = vectors
    columns = np.ascontiguousarray(to_storage(padded.T))
    return Case(
        Certify(log_size, dimension, limit, rows, values, norms),
        np.cumsum(gaps) - int(gaps[0]) * int(rng.integers(2)),
        live,
        columns,
        (columns.astype(np.int64) ** 2).sum(axis=0).astype(np.int32),
        np.array([rng.integers(0, top + 1, rows) for top in values], dtype=np.uint32).reshape(-1, rows),
    )


UNITS = np.array([[0, 20, 0], [-12, 16, 0], [12, -16, 1], [0, 0, -20], [19, 5, 3]])  # |x| = 20 or nearly
SHAPES = {
    "padding": case(),
    "no padding": case(rows=16),
    "one row": case(rows=1),
    "two rows": case(rows=2),
    "a larger segment": case(log_size=6, rows=50, limit=900, dimension=35),
    "one dimension": case(dimension=1),
    "smallest coordinates": case(limit=1, rows=16),
    "small coordinates": case(limit=7),
    "coordinates that fill their table": case(limit=8),
    "a hundred dimensions": case(dimension=100, limit=945),
    "payload": case(values=(5, 0, 1, 300)),
    "normalised": case(rows=5, limit=20, norms=(390, 410), vectors=UNITS),
    "normalised to one length": case(rows=2, limit=20, norms=(400, 400), vectors=UNITS[:2], values=(3,)),
    "nothing lives": replace(case(), live=np.zeros(11, dtype=bool)),
    "everything lives": replace(case(rows=16), live=np.ones(16, dtype=bool)),
    "the largest id": replace(case(rows=2), ids=np.array([0, (1 << 63) - 1])),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_honest_segments_hold(shape: str) -> None:
    honest = SHAPES[shape]
    assert honest.failures(honest.main) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 16), st.integers(1, 30), st.lists(st.integers(0, 20), max_size=2), st.integers(0, 2**32))
def test_any_honest_segment_holds(rows: int, limit: int, values: list[int], seed: int) -> None:
    honest = case(rows=rows, limit=limit, values=tuple(values), seed=seed)
    assert honest.failures(honest.main) == []


def test_a_rotated_segment_holds() -> None:
    """The prover may count from any row, if the ids rise from there: rows are a set."""
    honest = case(rows=16)
    turned = [np.roll(column, 5) for column in honest.main[: honest.n_own]]
    pre = [np.roll(column, 5) for column in honest.pre]
    assert violations(honest.air, pre, [*turned, *honest.main[honest.n_own :]]) == []


PROVEN = ("padding", "one row", "a larger segment", "one dimension", "smallest coordinates", "payload", "normalised")


@pytest.fixture(scope="module")
def proven() -> Iterator[Callable[..., tuple[Spec, StarkProof]]]:
    """proven(case, lifting): our proof with the spec that its verifier starts from."""
    with device.backend() as backend:

        def make(honest: Case, lifting: int | None = None) -> tuple[Spec, StarkProof]:
            config = replace(PRESETS["test"], lifting_log_size=lifting)
            words = (honest.certify.log_size, 7)
            made = prove(honest.air, honest.tree0, honest.trace(), config=config, statement_u64=words, backend=backend)
            spec = Spec(
                air=honest.air,
                channel="blake2s",
                config=config,
                mix_config=True,
                statement_u64=words,
                claimed_sums=made.claimed_sums,
                public_terms=honest.terms,
                preprocessed_root=made.preprocessed_root,
            )
            return spec, made.proof

        yield make


@pytest.mark.parametrize("shape", PROVEN)
def test_honest_segments_are_proven(shape: str, proven: Any) -> None:
    honest = SHAPES[shape]
    spec, proof = proven(honest)
    verify_stark(spec, proof)
    # One live row more or less is another statement.
    for live in (int(honest.live.sum()) + 1, int(honest.live.sum()) - 1):
        told = certify_public_terms(honest.certify, honest.air, live)
        with pytest.raises(LogupError):
            verify_stark(replace(spec, public_terms=told), proof)


@pytest.mark.parametrize("lifting", [None, 11])
def test_stwo_accepts_our_proof(lifting: int | None, proven: Any, oracle: Path, tmp_path: Path) -> None:
    """StarkWare's verifier, with the AIR as JSON; not for another number of live rows."""
    honest = SHAPES["normalised to one length"]
    spec, proof = proven(honest, lifting)
    other = replace(spec, public_terms=certify_public_terms(honest.certify, honest.air, int(honest.live.sum()) + 1))
    (tmp_path / "proof").write_text(proof_to_json(proof, spec.channel))
    for told, code in ((spec, 0), (other, 1)):
        (tmp_path / "spec").write_text(json.dumps(spec_to_json(told)))
        done = run([oracle, "verify", tmp_path / "spec", tmp_path / "proof"], capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr


def test_stwo_refuses_a_changed_cell(judge: Any) -> None:
    honest = SHAPES["payload"]
    assert judge(honest.air, honest.tree0, honest.trace(), honest.terms).startswith("ACCEPTED")
    for tree, column in ((0, 1), (0, 3), (1, 0), (1, FIRST_DIGIT)):
        columns = honest.tree0, honest.trace()
        columns[tree][column][5] ^= 1
        assert not judge(honest.air, *columns, honest.terms).startswith("ACCEPTED"), (tree, column)


@pytest.mark.parametrize("shape", ["normalised to one length", pytest.param("payload", marks=pytest.mark.slow)])
def test_free_cells_are_the_declared_ones(shape: str) -> None:
    """No second witness but in the tables, and none for other live counts."""
    honest = SHAPES[shape]
    arguments = honest.air, honest.pre, honest.main, honest.terms
    found = find_freedoms(*arguments, budget=12)
    assert [str(freedom) for freedom in found if not freedom.reason] == []
    assert {f.component.split()[0] for f in found} == {"Interval", "RangeTable"}
    forged = find_forgeries(*arguments, at_most=60, budget=40)
    assert [str(forgery) for forgery in forged if not forgery.reason] == []


class Small:
    """Numbers of a small prime field, in which every column of a few rows can be tried."""

    prime = 7

    def __init__(self, values: Array) -> None:
        self.values = values % self.prime

    __add__ = lambda self, other: Small(self.values + other.values)  # noqa: E731
    __sub__ = lambda self, other: Small(self.values - other.values)  # noqa: E731
    __mul__ = lambda self, other: Small(self.values * other.values)  # noqa: E731
    __neg__ = lambda self: Small(-self.values)  # noqa: E731


def every_column(rows: int) -> Array:
    """(7^rows, rows)"""
    return np.array(list(product(range(Small.prime), repeat=rows)))


def vanishing(layout: ComponentLayout, columns: dict[int, Array], parameters: list[int], constraints: range) -> Array:
    """Of each candidate, whether these constraints hold on all rows. Columns are (candidates, rows); others zero."""

    def leaf(node: tuple[Any, ...]) -> Small:
        if node[0] == "trace":
            column, position = node[1:]
            return Small(np.roll(columns.get(column, np.zeros((1, 1))), -layout.masks[column][position], axis=-1))
        return Small(np.array([[parameters[node[1]] if node[0] == "param" else node[1] if node[0] == "const" else 0]]))

    values = layout.evaluate(leaf)
    return np.all([(values[layout.constraints[k]].values == 0).all(axis=-1) for k in constraints], axis=0)


@pytest.mark.parametrize("top", range(4))
def test_every_table_is_an_interval(top: int) -> None:
    """In a field of seven elements: whatever satisfies the constraints and has both ends has values of 0..top only,
    each of them; without both ends it may be any constant, and nothing else."""
    layout = certify_air(case().certify).components[2]
    assert layout.name == "Interval coordinate"
    columns = every_column(5)
    held = columns[vanishing(layout, {0: columns}, [top], range(2))]
    ends = (held == 0).any(axis=1) & (held == top).any(axis=1)
    assert ends.any()
    assert (held[ends] <= top).all()
    assert all(len(set(column)) == top + 1 for column in held[ends].tolist())
    assert (held[~ends] == held[~ends][:, :1]).all()
    falls = (np.roll(held, -1, axis=1) < held).sum(axis=1)
    assert falls.max() == (5 // (top + 1) if top else 0)


def test_every_place_is_a_rotation() -> None:
    layout = certify_air(case().certify).components[0]
    columns = every_column(4)
    held = columns[vanishing(layout, {0: columns}, [4, 1, 0, 0], range(2, 4))]
    assert sorted(held.tolist()) == sorted(np.roll(range(4), k).tolist() for k in range(4))


@pytest.mark.parametrize("rows", range(1, 5))
def test_every_link_is_that_of_the_rows(rows: int) -> None:
    """On the places 0..rows - 2 it is 1, and constant on the others: where it is not 0 there, ids rise in a circle."""
    layout = certify_air(case().certify).components[0]
    columns = every_column(4)
    parameters = [4, rows, int(rows > 1), 0]
    held = columns[vanishing(layout, {0: np.arange(4)[None], 1: columns}, parameters, range(4, 6))]
    tails = range(Small.prime) if rows > 1 else [0]
    assert sorted(held.tolist()) == sorted([1] * (rows - 1) + [tail] * (5 - rows) for tail in tails)


DAMAGE = {
    "row 4, x_1: 21 is outside -20..20": ("columns", 1, 4, 21),
    "row 15, x_2: -21 is outside -20..20": ("columns", 2, 15, -21),
    "row 2, norm: 9 is not |x|^2, which is 400": ("norms", None, 2, 9),
    "row 1, code_1: 4 is outside 0..3": ("codes", 1, 1, 4),
    "row 3, id: 5 does not exceed 5": ("ids", None, 3, 5),
    "row 4, id: 1 does not exceed 7": ("ids", None, 4, 1),
    "row 0, id: -1 is outside": ("ids", None, 0, -1),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_the_trace_refuses_what_is_not_well_formed(message: str) -> None:
    vectors = UNITS[[0, 1, 3, 0, 1]]
    honest = case(rows=5, limit=20, values=(2, 3), norms=(390, 410), vectors=vectors)
    honest = replace(honest, ids=np.array([1, 2, 5, 7, 8]), live=np.ones(5, dtype=bool))
    name, line, row, value = DAMAGE[message]
    values = getattr(honest, name).copy()
    target = values if line is None else values[line]
    target[row_positions(4)[row] if name in ("columns", "norms") else row] = value
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(honest, **{name: values}).trace()


def test_the_trace_refuses_a_row_of_another_length_if_it_lives() -> None:
    short = np.array([[0, 20, 0], [0, 19, 0]])
    honest = case(rows=2, limit=20, norms=(390, 410), vectors=short)
    dead = replace(honest, live=np.array([True, False]))
    assert dead.failures(dead.main) == []
    with pytest.raises(ValueError, match=re.escape("row 1, norm: 361 is outside 390..410")):
        replace(honest, live=np.array([True, True])).trace()
    with pytest.raises(ValueError, match="ids: 2, but the segment has 3 rows"):
        replace(honest, certify=replace(honest.certify, rows=3)).trace()


def test_no_value_is_looked_up_so_often_that_it_vanishes() -> None:
    assert certify_air(Certify(26, 31, 1, 1)).n_constraints > 0
    with pytest.raises(ValueError, match="dimension: 32 is too many"):
        certify_air(Certify(26, 32, 1, 1))
    # All other lookups are bounded by the rows alone: four numbers of two digits each, at the most rows there are.
    other = [c for c in certify_air(Certify(4, 1, 1, 1, (1,), (0, 1))).components if c.name == "Certify"]
    assert max(sum(f.relation == r for f in other[0].fractions) for r in range(9)) << MAX_LOG_SIZE < P


def test_segments_share_their_kernels() -> None:
    """Neither limit nor rows nor dictionaries make new ones, and dimensions differ by a group's rest and the norm."""
    one = certify_air(Certify(4, 40, 5, 3, (7,), (0, 9))).components
    other = certify_air(Certify(6, 40, 9, 50, (400,), (3, 5000))).components
    assert [c.structure for c in one] == [c.structure for c in other]
    wide = certify_air(Certify(4, 768, 5, 3, (7,), (0, 9))).components
    assert len({c.structure for c in wide if c.name == "Coordinates"}) == 1
    assert {c.structure for c in wide[1:]} <= {c.structure for c in one[1:]}
