"""What may be asked of a snapshot: each bound of a question, its filters and their dictionaries, broken once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from air.statement import Reader, StatementError, Writer
from air.statements.question import (
    MAX_K,
    METRICS,
    Filter,
    Question,
    check_rows,
    ranked,
    read_dictionaries,
    score_metric,
    write_dictionaries,
)
from air.statements.snapshot import MAX_VALUE_BYTES, MAX_VALUES, PayloadField, SnapshotHeader, dictionary_digest
from air.statements.topk import score_bound

KINDS = ("noun", "verb", "adjective")
COLOURS = ("rød", "grøn")
TWICE = ("x", "y", "x")
FIELDS = tuple(
    PayloadField(name, len(values), dictionary_digest(values))
    for name, values in (("kind", KINDS), ("colour", COLOURS), ("empty", ()), ("twice", TWICE))
)
HEADER = SnapshotHeader(3, 945, 1 << 32, False, 28, 26, 2, fields=FIELDS)
VERB, GREEN = Filter(0, 2, "verb"), Filter(1, 2, "grøn")
QUESTION = Question("l2", (1, -2, 945), 4, (VERB, GREEN))
S = score_bound(3, 945)


def ask(question: Question, dictionaries: tuple[tuple[str, ...], ...], header: SnapshotHeader = HEADER) -> None:
    """The checks of a verifier, in its order."""
    question.check(header)
    question.check_dictionaries(header, dictionaries)


def refusal(question: Question, *dictionaries: tuple[str, ...], header: SnapshotHeader = HEADER) -> str:
    with pytest.raises(StatementError) as refused:
        ask(question, dictionaries, header)
    return str(refused.value)


@pytest.mark.parametrize("filters", [(), (VERB,), (GREEN,), (VERB, GREEN)])
@pytest.mark.parametrize("metric", METRICS)
def test_honest_questions(metric: str, filters: tuple[Filter, ...]) -> None:
    asked = replace(QUESTION, metric=metric, filters=filters)
    header = replace(HEADER, normalised=metric == "cosine")
    ask(asked, tuple((KINDS, COLOURS)[item.field] for item in filters), header)


QUESTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "query: not of the snapshot's dimension": ({"query": (1, 2)}, {"query": (1, 2, 3, 0)}, {"query": ()}),
    "query[2]: 946 is outside +-945": ({"query": (1, 2, 946)},),
    "query[0]: -946": ({"query": (-946, 2, 3)},),
    "metric: 'hamming'": ({"metric": "hamming"},),
    "metric: cosine needs": ({"metric": "cosine"},),
    "k: 0 is outside": ({"k": 0},),
    "k: -1": ({"k": -1},),
    f"k: {MAX_K + 1}": ({"k": MAX_K + 1},),
    "filters: fields must ascend": ({"filters": (GREEN, VERB)},),
    "filters: fields must ascend, each at most once": (
        {"filters": (VERB, VERB)},
        {"filters": (VERB, Filter(0, 1, "noun"))},
    ),
    "filters: field 4 is not": ({"filters": (VERB, Filter(4, 1, "noun"))},),
    "filters: field -1 is not": ({"filters": (Filter(-1, 1, "x"), VERB)},),
    "filters.kind: code 0 is not": ({"filters": (Filter(0, 0, ""),)}, {"filters": (Filter(0, 0, "noun"),)}),
    "filters.kind: code 4": ({"filters": (Filter(0, 4, "noun"),)},),
    "filters.kind: code -1": ({"filters": (Filter(0, -1, "noun"),)},),
    "filters.empty: code 1": ({"filters": (Filter(2, 1, "noun"),)},),
}


@pytest.mark.parametrize("message", QUESTIONS)
def test_questions_that_cannot_be_asked(message: str) -> None:
    for changes in QUESTIONS[message]:
        assert refusal(replace(QUESTION, **changes), KINDS, COLOURS).startswith(message), changes


def test_the_largest_questions() -> None:
    for changes in ({"k": 1}, {"k": MAX_K}, {"query": (945, -945, 0)}, {"filters": (Filter(0, 3, "adjective"),)}):
        replace(QUESTION, **changes).check(HEADER)


DICTIONARIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "dictionaries: one is needed for every filter": (KINDS,),
    "dictionaries: one is needed for every": (),
    "dictionaries: one is needed": (KINDS, COLOURS, ()),
    "dictionaries.kind: not that of the snapshot": (KINDS[:2], COLOURS),
    "dictionaries.kind: not that of": ((*KINDS, "adverb"), COLOURS),
    "dictionaries.kind: not that": (("verb", "noun", "adjective"), COLOURS),
    "dictionaries.kind: not": (COLOURS, KINDS),
    "dictionaries.colour: not": (KINDS, ("rød", "gron")),
    "dictionaries.colour: not that": (KINDS, ("rødgrøn",)),
}


@pytest.mark.parametrize("message", DICTIONARIES)
def test_dictionaries_are_the_snapshots(message: str) -> None:
    QUESTION.check_dictionaries(HEADER, (KINDS, COLOURS))
    assert refusal(QUESTION, *DICTIONARIES[message]).startswith(message)


def test_a_question_without_filters_has_no_dictionary() -> None:
    assert refusal(replace(QUESTION, filters=()), KINDS).startswith("dictionaries: one is needed")


@pytest.mark.parametrize("values", [KINDS[:2], (*KINDS, "")])
def test_a_dictionary_of_another_length_than_the_header_says(values: tuple[str, ...]) -> None:
    """Its digest is right, but the codes that exist are those of the header."""
    lie = replace(HEADER, fields=(replace(FIELDS[0], digest=dictionary_digest(values)), *FIELDS[1:]))
    assert refusal(QUESTION, values, COLOURS, header=lie).startswith("dictionaries.kind: not that")


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_value_that_stands_twice(code: int) -> None:
    """A builder could label half of the rows by either code, and a prover choose which to show."""
    asked = replace(QUESTION, filters=(Filter(3, code, TWICE[code - 1]),))
    assert refusal(asked, TWICE) == "dictionaries.twice: a value appears twice"


@pytest.mark.parametrize("lie", [Filter(0, 1, "verb"), Filter(0, 3, "verb"), Filter(0, 2, "Verb"), Filter(0, 2, "")])
def test_a_code_stands_for_its_value(lie: Filter) -> None:
    assert refusal(replace(QUESTION, filters=(lie, GREEN)), KINDS, COLOURS).startswith(
        f"filters.kind: code {lie.code} does not stand for {lie.value!r}"
    )
    lie = replace(lie, field=1, code=1)
    assert refusal(replace(QUESTION, filters=(VERB, lie)), KINDS, COLOURS).startswith("filters.colour: code 1 does")


def test_digests_tell_dictionaries_apart() -> None:
    others = [(), ("",), ("", ""), ("a",), ("a", ""), ("", "a"), ("a\0",), ("aaaa",), ("aaa", "a"), ("a", "aaa")]
    assert len({dictionary_digest(values) for values in others}) == len(others)


@pytest.mark.parametrize(("metric", "scored"), [("ip", "ip"), ("cosine", "ip"), ("l2", "l2")])
def test_cosine_is_scored_as_the_inner_product(metric: str, scored: str) -> None:
    assert score_metric(metric) == scored


def test_a_question_is_told_by_names() -> None:
    told = QUESTION.describe(HEADER)
    assert told == {"metric": "l2", "k": 4, "where": {"kind": "verb", "colour": "grøn"}, "query": [1, -2, 945]}


def test_rows_rank_by_score_and_then_by_id() -> None:
    assert ranked([(5, 1), (3, 7), (1, 1), (2, 7)]) == [(2, 7), (3, 7), (1, 1), (5, 1)]


ROWS = {
    "rows: an id appears twice": [(7, 50), (7, 40)],
    "rows: not in order": [(3, 40), (7, 50)],
    "rows: not in order, higher score and smaller id first": [(8, 40), (7, 40)],
    f"rows: the score {S + 1} of id 7": [(7, S + 1)],
    f"rows: the score {-S - 1} of id 7": [(7, -S - 1)],
    "rows: id: -1 is outside": [(-1, 40)],
    f"rows: id: {1 << 63} is outside": [(1 << 63, 40)],
}


@pytest.mark.parametrize("message", ROWS)
def test_rows_that_cannot_be(message: str) -> None:
    check_rows([(7, S), (3, 40), (5, 40), ((1 << 63) - 1, -S)], HEADER, "rows")
    check_rows([], HEADER, "rows")
    with pytest.raises(StatementError) as refused:
        check_rows(ROWS[message], HEADER, "rows")
    assert str(refused.value).startswith(message)


_i64 = st.integers(-(2**63), 2**63 - 1)
_filters = st.builds(Filter, _i64, _i64, st.text(max_size=60))
_questions = st.builds(
    Question,
    st.sampled_from(METRICS),
    st.lists(_i64, max_size=5).map(tuple),
    _i64,
    st.lists(_filters, max_size=3).map(tuple),
)
_dictionaries = st.lists(st.lists(st.text(max_size=20), max_size=4).map(tuple), max_size=3).map(tuple)


@given(_questions, _dictionaries)
def test_questions_are_their_encoding(asked: Question, dictionaries: tuple[tuple[str, ...], ...]) -> None:
    out = Writer()
    asked.write(out)
    write_dictionaries(out, dictionaries)
    source = Reader(out.words)
    assert Question.read(source) == asked
    assert read_dictionaries(source) == dictionaries
    source.end()


def words_of(asked: Question, *dictionaries: tuple[str, ...]) -> list[int]:
    out = Writer()
    asked.write(out)
    write_dictionaries(out, dictionaries)
    return out.words


LONG = "a" * (MAX_VALUE_BYTES + 1)
UNREADABLE = {
    "metric: 3 is unknown": [3, 0, *words_of(QUESTION, KINDS)[2:]],
    "metric: -1 is unknown": [0xFFFFFFFF, 0xFFFFFFFF, *words_of(QUESTION, KINDS)[2:]],
    "statement: a list of 4097": words_of(replace(QUESTION, query=(0,) * 4097)),
    "statement: a list of 17": words_of(replace(QUESTION, filters=(VERB,) * 17)),
    "statement: a list of 17 items": words_of(QUESTION, *[()] * 17),
    f"statement: text of {len(LONG)} bytes": words_of(replace(QUESTION, filters=(Filter(0, 1, LONG),))),
    f"statement: text of {len(LONG)}": words_of(QUESTION, (LONG,)),
    f"statement: a list of {MAX_VALUES + 1}": words_of(QUESTION, ("",) * (MAX_VALUES + 1)),
}


def read(words: list[int]) -> tuple[Question, tuple[tuple[str, ...], ...]]:
    source = Reader(words)
    return Question.read(source), read_dictionaries(source)


@pytest.mark.parametrize("message", UNREADABLE)
def test_what_cannot_be_read(message: str) -> None:
    assert read(words_of(QUESTION, KINDS)) == (QUESTION, (KINDS,))
    with pytest.raises(StatementError) as refused:
        read(UNREADABLE[message])
    assert str(refused.value).startswith(message)
