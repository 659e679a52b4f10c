"""Words of a stranger: whatever they say, every statement type refuses them by StatementError, or reads them as what
they are."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.statement import RootKey, StatementError
from air.statements import certify_statement, snapshot, topk_statement
from air.statements.certify_statement import CERTIFY, CertifyStatement
from air.statements.question import Filter, Question
from air.statements.snapshot import (
    ColumnRoot,
    PayloadField,
    PlacedSegment,
    SegmentLeaf,
    SnapshotHeader,
    SnapshotTree,
    dictionary_digest,
)
from air.statements.topk import score_bound
from air.statements.topk_statement import TOPK, TopkStatement
from octoproof.vectors.opened import OPENED, OpenedRow, OpenedStatement, write_opening
from octoproof.vectors.rowtree import NATIVE, RowTree, row_leaves

KEYS = (RootKey("blake2s", 1), RootKey("poseidon252", 2, 14))
KINDS = ("noun", "verb")
FIELDS = (PayloadField("kind", 2, dictionary_digest(KINDS)),)
QUESTION = Question("l2", (1, -2, 3), 4, (Filter(0, 2, "verb"),))
IDS = np.arange(40)
VECTORS = np.arange(120, dtype=np.int16).reshape(40, 3) % 17
CODES = np.full((1, 40), 2, dtype=np.uint32)
SCORES = [(int(i), int(2 * x @ QUESTION.query - x @ x)) for i, x in zip(IDS, VECTORS.astype(np.int64), strict=True)]
BEST = sorted(SCORES, key=lambda row: (-row[1], row[0]))


@dataclass(frozen=True)
class Claims:
    """All parts of an honest receipt of one type."""

    kind: Any
    parts: tuple[Any, ...]


def row_tree() -> RowTree:
    return RowTree.build(row_leaves(IDS, np.ones(40, dtype=bool), VECTORS, CODES), NATIVE)


def placed(header: SnapshotHeader) -> tuple[bytes, list[PlacedSegment]]:
    roots = tuple(ColumnRoot(key, bytes(32)) for key in KEYS)
    leaves = [SegmentLeaf(k, 1, 6, 40, 40, row_tree().root, roots) for k in range(header.segments)]
    tree = SnapshotTree(header, leaves)
    return tree.root, [PlacedSegment(k, leaf, tree.path(k)) for k, leaf in enumerate(leaves)]


def strict() -> Claims:
    header = SnapshotHeader(3, 945, 1 << 32, True, 120, 120, 3, fields=FIELDS)
    root, segments = placed(header)
    told = (((2, 9), (5, 9)), (KINDS,)), (((41, 9), (50, 8)), ()), ((), ())
    parts = [
        TopkStatement(header, root, segment, "strict", QUESTION, 0, 8, rows, dictionaries)
        for segment, (rows, dictionaries) in zip(segments, told, strict=True)
    ]
    return Claims(TOPK, tuple(parts))


def ivf() -> Claims:
    header = SnapshotHeader(3, 945, 1 << 32, False, 120, 120, 4, 3, fields=FIELDS)
    root, segments = placed(header)
    first = TopkStatement(header, root, segments[0], "ivf", QUESTION, 1, 30, ((1, 30), (2, 30)), (KINDS,))
    second = TopkStatement(header, root, segments[2], "ivf", QUESTION, 1, -score_bound(3, 945), ((7, 7),))
    return Claims(TOPK, (first, second))


def opened() -> Claims:
    header = SnapshotHeader(3, 945, 1 << 32, False, 40, 40, 1, fields=FIELDS)
    root, segments = placed(header)
    rows = tuple(OpenedRow(0, id, id, score) for id, score in BEST[:4])
    return Claims(OPENED, (OpenedStatement(header, root, "fast", QUESTION, tuple(segments), rows, (KINDS,)),))


def certify() -> Claims:
    _, segments = placed(SnapshotHeader(3, 945, 1 << 32, False, 80, 80, 2, fields=FIELDS))
    unit = CertifyStatement(3, 945, 900 << 32, True, (2,), segments[0].leaf)
    return Claims(CERTIFY, (unit, replace(unit, unit=False, leaf=segments[1].leaf)))


HONEST = {"topk": strict(), "topk of cells": ivf(), "opened": opened(), "certify": certify()}


def opening() -> bytes:
    (claim,) = HONEST["opened"].parts
    positions = [row.position for row in claim.in_order()[0]]
    return write_opening(claim.header, [(VECTORS[positions], CODES[:, positions].T)], [row_tree().prove(positions)])


@pytest.mark.parametrize("name", HONEST)
def test_the_honest_words_are_accepted(name: str) -> None:
    honest = HONEST[name]
    for part in honest.parts:
        assert honest.kind.decode(part.encode()) == part
        part.check()
    honest.kind.check_together(honest.parts)
    if name == "opened":
        honest.parts[0].check_opening(opening())


Edit = tuple[str, int, int]
_WORDS = st.sampled_from([0, 1, 2, 3, 4, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "number", "flip", "cut", "drop", "insert", "double"]), st.integers(0, 999), _WORDS
    ),
    min_size=1,
    max_size=4,
)


def edited(words: list[int], edits: list[Edit]) -> list[int]:
    """The words after these edits, each at some thousandth of them."""
    out = list(words)
    for kind, place, word in edits:
        at = place * len(out) // 1000
        match kind:
            case "set":
                out[at : at + 1] = [word]
            case "number":  # of 64 bits, small or negative
                out[at : at + 2] = [word, (word >> 31) * (2**32 - 1)]
            case "flip":
                out[at : at + 1] = [value ^ 1 << word % 32 for value in out[at : at + 1]]
            case "cut":
                out = out[:at]
            case "drop":
                del out[at : at + 1 + word % 16]
            case "insert":
                out[at:at] = [word] * (1 + word % 9)
            case "double":
                out[at:at] = out[at : at + 1 + word % 40]
    return out


def consider(honest: Claims, number: int, words: list[int]) -> None:
    """What a verifier does with the words of one part among honest ones. Raises nothing but what it may."""
    with suppress(StatementError):
        claim = honest.kind.decode(words)
        assert claim.encode() == words
        claim.check()
        claim.describe()
        if isinstance(claim, OpenedStatement):
            claim.check_opening(opening())
        else:
            claim.air()
            claim.public_terms()
        honest.kind.check_together([claim])
    with suppress(StatementError):
        others = [*honest.parts[:number], honest.kind.decode(words), *honest.parts[number + 1 :]]
        others[number].check()
        honest.kind.check_together(others)


@pytest.mark.parametrize("name", HONEST)
@settings(max_examples=150, deadline=None)
@given(_EDITS, st.integers(0, 2))
def test_words_of_a_stranger(name: str, edits: list[Edit], number: int) -> None:
    honest, number = HONEST[name], number % len(HONEST[name].parts)
    consider(honest, number, edited(honest.parts[number].encode(), edits))


class AnyRoot(bytes):
    """The root of whatever is claimed."""

    __hash__ = bytes.__hash__

    def __ne__(self, other: object) -> bool:
        return False


@pytest.mark.parametrize("name", HONEST)
@settings(max_examples=150, deadline=None)
@given(_EDITS, st.integers(0, 2))
def test_words_of_a_stranger_about_a_snapshot_of_theirs(name: str, edits: list[Edit], number: int) -> None:
    """No root stands in the way here, so that everything behind it sees hostile numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "_root", lambda header, top: AnyRoot())
        honest, number = HONEST[name], number % len(HONEST[name].parts)
        consider(honest, number, edited(honest.parts[number].encode(), edits))


@settings(max_examples=200, deadline=None)
@given(_EDITS)
def test_openings_of_a_stranger(edits: list[Edit]) -> None:
    (claim,), shown = HONEST["opened"].parts, opening()
    other = bytes(byte % 256 for byte in edited(list(shown), edits))
    if other != shown:
        with pytest.raises(StatementError):
            claim.check_opening(other)


@pytest.mark.parametrize("name", HONEST)
def test_no_air_is_built_before_there_is_a_proof(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take seconds: a few words that no proof comes with must not cost them."""
    for module, build in ((topk_statement, "topk_air"), (certify_statement, "certify_air")):
        monkeypatch.setattr(module, build, lambda component: pytest.fail("an AIR was built"))
    honest = HONEST[name]
    claims = [honest.kind.decode(part.encode()) for part in honest.parts]
    for claim in claims:
        claim.check()
    honest.kind.check_together(claims)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=60))
def test_noise(words: list[int]) -> None:
    for honest in HONEST.values():
        header = honest.parts[0].encode()[:2]
        for start in ([], header, header + honest.parts[0].encode()[2:30]):
            consider(honest, 0, [*start, *words])


@pytest.mark.parametrize("name", HONEST)
def test_hostile_counts_allocate_nothing(name: str) -> None:
    """Every word as a huge count: of a few kilobytes nothing large is made."""
    honest = HONEST[name]
    words = honest.parts[0].encode()
    for at in range(len(words)):
        for count in (2**32 - 1, 2**31, 2**22 + 1, 65_536):
            bad = [*words[:at], count, *words[at + 1 :]]
            tracemalloc.start()
            with suppress(StatementError):
                honest.kind.decode(bad).check()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 2 << 20, (at, count)
