"""What a provider of answers may try with rows and questions, one test each: he has all data and programs, and does his
best (`conftest.Provider`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from octoproof.vectors.query import OPENING
from octoproof.vectors.segment import Segment, squared_lengths
from octoproof.vectors.snapshot import Snapshot
from verifier.errors import VerificationError

PROVEN = ("strict", "ivf")
MODES = (*PROVEN, *OPENING)
# Ids by what they are; the last of five places is a tie.
NEAREST, SECOND, TIED, TIED_TOO, FAR, MOVED, DELETED = 100, 101, 104, 105, 119, 150, 151

Alter = Callable[[Segment], Segment | None]


@pytest.fixture(scope="module")
def refused(provider, verified) -> Callable[..., Sequence[Any]]:
    """refused(mode, alter): no way of passing off the altered segment's answer, which is another one, is valid."""

    def try_all(mode: str, alter: Alter) -> Sequence[Any]:
        truth, lie = provider.answer(mode), provider.answer(mode, provider.altered(alter))
        assert lie.matches != truth.matches
        receipts = list(provider.receipts(lie, truth))
        assert len(receipts) == 3
        for way, receipt in receipts:
            with pytest.raises(VerificationError):
                pytest.fail(f"{way}: {verified(receipt, root=provider.snapshot.root).results}")
        return lie.matches

    return try_all


def row_of(segment: Segment, id: int) -> int | None:
    """The row of an id, dead or alive."""
    row = int(np.searchsorted(segment.ids, id))
    return row if row < segment.count and segment.ids[row] == id else None


def moved(id: int, coordinates: Sequence[int]) -> Alter:
    def alter(segment: Segment) -> Segment | None:
        if (row := row_of(segment, id)) is None:
            return None
        columns = np.array(segment.columns)
        columns[:, segment.positions[row]] = coordinates
        return replace(segment, columns=columns, norms=squared_lengths(columns))

    return alter


def flagged(id: int, live: bool) -> Alter:
    def alter(segment: Segment) -> Segment | None:
        if (row := row_of(segment, id)) is None:
            return None
        flags = np.array(segment.live)
        flags[row] = live
        return replace(segment, live=flags)

    return alter


def renamed(old: int, new: int) -> Alter:
    def alter(segment: Segment) -> Segment | None:
        if (row := row_of(segment, old)) is None:
            return None
        ids = np.array(segment.ids)
        ids[row] = new
        return replace(segment, ids=ids)

    return alter


def exchanged(a: int, b: int) -> Alter:
    """Two rows of one segment exchange their coordinates."""

    def alter(segment: Segment) -> Segment | None:
        rows = [row_of(segment, a), row_of(segment, b)]
        if None in rows:
            return None
        columns, places = np.array(segment.columns), segment.positions[rows]
        columns[:, places] = columns[:, places[::-1]]
        return replace(segment, columns=columns, norms=squared_lengths(columns))

    return alter


def ids(matches: Sequence[Any]) -> list[int]:
    return [match.id for match in matches]


@pytest.mark.parametrize("mode", MODES)
def test_the_provider_passes_where_he_does_not_lie(mode, provider, verified):
    """So that what refuses his lies is not his workmanship."""
    truth = provider.answer(mode)
    assert ids(truth.matches) == [NEAREST, SECOND, 102, 103, TIED]
    same = provider.answer(mode, provider.altered(flagged(NEAREST, True)))
    receipts = list(provider.receipts(same, truth))
    assert len(receipts) == 3
    for _, receipt in receipts:
        assert verified(receipt, root=provider.snapshot.root).results == tuple((m.id, m.score) for m in truth.matches)


# Rows


@pytest.mark.parametrize("mode", MODES)
def test_a_swapped_neighbour(mode, refused):
    assert NEAREST not in ids(refused(mode, exchanged(NEAREST, FAR)))


@pytest.mark.parametrize("mode", MODES)
def test_two_neighbours_in_each_others_place(mode, refused):
    assert ids(refused(mode, exchanged(NEAREST, SECOND)))[:2] == [SECOND, NEAREST]


@pytest.mark.parametrize("mode", MODES)
def test_another_distance(mode, refused):
    assert ids(refused(mode, moved(NEAREST, [1, 0, 0, 0])))[0] == NEAREST


@pytest.mark.parametrize("mode", PROVEN)
def test_an_omitted_nearer_row(mode, refused):
    """Left out as if it were deleted, or moved out of the way."""
    for alter in (flagged(NEAREST, False), moved(NEAREST, [400, 400, 400, 400])):
        assert NEAREST not in ids(refused(mode, alter))


@pytest.mark.parametrize("mode", OPENING)
def test_an_omitted_row_is_valid_where_the_mode_says_nothing_of_it(mode, provider, verified):
    """Shown rows are all that is spoken of, and the verdict says so."""
    [statement] = provider.statements(provider.answer(mode, provider.altered(flagged(NEAREST, False))))
    verdict = verified(provider.opened(statement))
    assert NEAREST not in dict(verdict.results)
    assert "nothing about rows" in verdict.proves


@pytest.mark.parametrize("mode", PROVEN)
def test_a_duplicated_id(mode, refused):
    assert ids(refused(mode, renamed(SECOND, NEAREST)))[:2] == [NEAREST, NEAREST]


@pytest.mark.parametrize("mode", MODES)
def test_an_id_told_twice(mode, provider, verified, under):
    """The same row again, or another one under the same id."""
    truth = provider.answer(mode)
    name = "rows" if mode in OPENING else "emitted"
    for again in (lambda rows: rows[:1] * 2 + rows[2:], lambda rows: (rows[0], with_id(rows[1], NEAREST), *rows[2:])):
        lie = [with_rows(s, name, again) for s in provider.statements(truth)]
        with pytest.raises(VerificationError, match="an id appears twice"):
            verified(under(provider.honest(truth), lie))


def with_id(row: Any, id: int) -> Any:
    return (id, row[1]) if isinstance(row, tuple) else replace(row, id=id)


def with_rows(statement: Any, name: str, change: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Any:
    """The statement with its rows changed, if the nearest is among them."""
    rows = getattr(statement, name)
    mine = any(NEAREST in (row if isinstance(row, tuple) else (row.id,)) for row in rows)
    return replace(statement, **{name: change(rows)}) if mine else statement


@pytest.mark.parametrize("mode", PROVEN)
def test_a_tie_broken_the_wrong_way(mode, refused):
    """The larger id has the last place: the smaller one is left out, or elsewhere."""
    for alter in (flagged(TIED, False), exchanged(TIED, FAR)):
        assert ids(refused(mode, alter))[4] == TIED_TOO


@pytest.mark.parametrize("mode", MODES)
def test_a_tie_told_in_the_wrong_order(mode, provider, verified, under):
    truth = provider.answer(mode, k=6)
    assert ids(truth.matches)[4:] == [TIED, TIED_TOO]
    assert truth.matches[4].score == truth.matches[5].score
    name = "rows" if mode in OPENING else "emitted"
    lie = [with_rows(s, name, lambda r: (*r[:4], r[5], r[4], *r[6:])) for s in provider.statements(truth)]
    with pytest.raises(VerificationError, match="not in order"):
        verified(under(provider.honest(truth), lie))


@pytest.mark.parametrize("mode", MODES)
def test_a_dead_row(mode, refused):
    assert ids(refused(mode, flagged(DELETED, True)))[0] == DELETED


@pytest.mark.parametrize("mode", MODES)
def test_a_padding_row(mode, refused):
    """Padding is zero, like the query."""

    def alter(segment: Segment) -> Segment | None:
        if row_of(segment, NEAREST) is None:
            return None
        assert segment.count < 1 << segment.log_size
        codes = np.concatenate([segment.codes, segment.codes[:, :1]], axis=1)
        longer = np.append(segment.ids, 999), np.append(segment.live, True)
        return replace(segment, ids=longer[0], live=longer[1], codes=codes, floats=None)

    assert ids(refused(mode, alter))[0] == 999


@pytest.mark.parametrize("mode", MODES)
def test_a_row_of_an_older_version(mode, refused, provider):
    """A deleted and a replaced row, from the version that had them, as rows of this one."""
    old = {stored.leaf.id: stored.segment for stored in Snapshot.open(provider.snapshot.folder, at=1).segments}

    def alter(segment: Segment) -> Segment | None:
        return None if row_of(segment, NEAREST) is None else old[segment.id]

    assert ids(refused(mode, alter))[:2] == [MOVED, DELETED]


@pytest.mark.parametrize("mode", MODES)
def test_an_older_version_of_a_segment_under_its_own_leaf(mode, provider, verified, under):
    """The rows are committed, but in another version: their leaf leads to that one's root, whatever is told of it."""
    old, new = Snapshot.open(provider.snapshot.folder, at=1), provider.snapshot
    truth = provider.answer(mode, old)
    receipt, statements = provider.honest(truth), provider.statements(truth)
    assert ids(truth.matches)[:2] == [MOVED, DELETED]
    assert verified(receipt, root=old.root).results[0] == (MOVED, 0)
    with pytest.raises(VerificationError, match="another snapshot"):
        verified(receipt, root=new.root)
    for changes in ({"snapshot_root": new.root}, {"snapshot_root": new.root, "header": new.header}):
        with pytest.raises(VerificationError, match="snapshot_root: not that of"):
            verified(under(receipt, [replace(s, **changes) for s in statements]), root=new.root)


# Questions


@pytest.fixture(scope="module")
def passed_off(provider, verified, under) -> Callable[..., None]:
    """passed_off(mode, asked, answered): a receipt of the second question is none of the first."""

    def try_all(mode: str, asked: dict[str, Any], answered: dict[str, Any]) -> None:
        right, other = provider.answer(mode, **asked), provider.answer(mode, **answered)
        true, made = provider.statements(right), provider.statements(other)
        bent = [
            replace(s, question=right.question, dictionaries=t.dictionaries) for s, t in zip(made, true, strict=True)
        ]
        # What rows are opened depends on no question: under the true statement they are its receipt.
        for lie in [bent] if mode in OPENING else [bent, true]:
            with pytest.raises(VerificationError):
                pytest.fail(str(verified(under(provider.honest(other), lie)).results))

    return try_all


@pytest.mark.parametrize("mode", MODES)
def test_a_receipt_for_another_query(mode, passed_off):
    passed_off(mode, {}, {"query": [0.01, 0.0, 0.0, 0.0]})


@pytest.mark.parametrize("mode", MODES)
def test_a_receipt_for_another_metric(mode, passed_off):
    passed_off(mode, {"query": [0.1] * 4}, {"query": [0.1] * 4, "metric": "ip"})
    passed_off(mode, {"query": [0.1] * 4, "metric": "ip"}, {"query": [0.1] * 4})


@pytest.mark.parametrize("mode", MODES)
def test_a_receipt_for_another_k(mode, passed_off):
    """Candidates for 5 places serve up to 10."""
    passed_off(mode, {"k": 11 if mode == "candidates" else 4}, {})
    passed_off(mode, {"k": 12 if mode == "candidates" else 6}, {})


@pytest.mark.parametrize("mode", MODES)
def test_a_receipt_for_another_filter(mode, passed_off):
    verb, noun = {"where": {"kind": "verb"}}, {"where": {"kind": "noun"}}
    passed_off(mode, verb, noun)
    passed_off(mode, verb, {})
    if mode != "fast":  # nouns are rows of the snapshot, which is all that it says
        passed_off(mode, {}, noun)


@pytest.mark.parametrize("mode", MODES)
def test_a_receipt_for_another_snapshot(mode, provider, verified):
    receipt = provider.honest(provider.answer(mode))
    assert verified(receipt, root=provider.snapshot.root).root_checked
    with pytest.raises(VerificationError, match="the receipt is about another snapshot"):
        verified(receipt, root=bytes(32))


@pytest.mark.parametrize("mode", MODES)
def test_a_verdict_says_what_was_asked(mode, provider, verified):
    """So that an honest receipt for another question is seen to be one."""
    answer = provider.answer(mode, query=[0.1, 0.2, 0.3, 0.4], where={"kind": "verb"})
    verdict = verified(provider.honest(answer))
    assert (verdict.mode, verdict.metric, verdict.k, verdict.where) == (mode, "l2", 5, {"kind": "verb"})
    assert verdict.query == answer.question.query
