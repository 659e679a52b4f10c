"""Dictionaries: codes that stay, what cannot be filtered by, and filters from texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from air.statements.question import Filter
from air.statements.snapshot import MAX_FIELDS, MAX_NAME_BYTES, MAX_VALUE_BYTES, MAX_VALUES, dictionary_digest
from octoproof.vectors.errors import VectorError
from octoproof.vectors.payload import Dictionary, filters, new_dictionaries

TEXTS = st.lists(st.text(max_size=8))


def test_values_have_codes_in_order_of_appearance():
    dictionary = Dictionary("kind", ()).with_values(["noun", "", "verb", "noun", "adj"])
    assert dictionary.values == ("noun", "verb", "adj")
    assert dictionary.codes(["adj", "", "noun", "verb"]).tolist() == [3, 0, 1, 2]
    assert dictionary.codes([]).tolist() == []
    assert dictionary.codes([]).dtype == "uint32"


@given(TEXTS, TEXTS)
def test_a_value_keeps_its_code(first, more):
    small = Dictionary("kind", ()).with_values(first)
    large = small.with_values(more)
    assert large.values[: len(small.values)] == small.values
    assert large.codes(first).tolist() == small.codes(first).tolist()
    assert len(set(large.values)) == len(large.values)
    assert "" not in large.values
    assert [("", *large.values)[code] for code in large.codes(more).tolist()] == more


def test_the_header_binds_name_number_and_values():
    field = Dictionary("kind", ("noun", "verb")).field
    assert (field.name, field.values, field.digest) == ("kind", 2, dictionary_digest(["noun", "verb"]))
    others = [("verb", "noun"), ("noun",), ("noun", "verb", "adj"), ("nounverb",), ("no", "unverb"), ()]
    assert len({Dictionary("kind", values).field.digest for values in others} | {field.digest}) == 7


def test_what_cannot_be_filtered_by():
    whole = "é" * (MAX_VALUE_BYTES // 2)
    assert Dictionary("kind", ()).with_values([whole]).values == (whole,)
    with pytest.raises(VectorError, match=f"kind: a value has {MAX_VALUE_BYTES + 2} bytes"):
        Dictionary("kind", ()).with_values([whole + "é"])
    most = Dictionary("kind", ()).with_values(map(str, range(MAX_VALUES)))
    assert most.with_values(["7"]) == most
    with pytest.raises(VectorError, match=f"kind: {MAX_VALUES + 1} different values"):
        most.with_values(["new"])


def test_names_of_fields():
    names = [f"field {k}" for k in range(MAX_FIELDS)]
    assert new_dictionaries(names) == tuple(Dictionary(name, ()) for name in names)
    assert new_dictionaries([]) == ()
    assert new_dictionaries(["é" * (MAX_NAME_BYTES // 2)])
    for wrong, message in (
        (["kind", "kind"], "fields: a name appears twice"),
        ([*names, "one more"], f"fields: {MAX_FIELDS + 1}, at most {MAX_FIELDS}"),
        ([""], "fields: '' is no name"),
        (["a=b"], "fields: 'a=b' is no name"),
        (["é" * (MAX_NAME_BYTES // 2 + 1)], "fields: 'é"),
    ):
        with pytest.raises(VectorError) as refused:
            new_dictionaries(wrong)
        assert str(refused.value).startswith(message)


KIND, TONE = Dictionary("kind", ("noun", "verb")), Dictionary("tone", ("warm", "cold"))


def test_filters_are_in_the_order_of_the_fields():
    assert filters((KIND, TONE), {}) == ()
    assert filters((KIND, TONE), {"tone": "cold", "kind": "noun"}) == (Filter(0, 1, "noun"), Filter(1, 2, "cold"))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"kind": "adverb"}, "where: no row of this snapshot has kind='adverb'"),
        ({"kind": "Noun"}, "where: no row of this snapshot has kind='Noun'"),
        ({"kind": ""}, "where: no row of this snapshot has kind=''"),
        ({"kind": "noun", "tone": "noun"}, "where: no row of this snapshot has tone='noun'"),
        ({"colour": "red"}, "where: no field 'colour' in this snapshot, which has kind, tone"),
    ],
)
def test_filters_that_cannot_be(where, message):
    with pytest.raises(VectorError) as refused:
        filters((KIND, TONE), where)
    assert str(refused.value).startswith(message)


def test_a_snapshot_without_fields_says_so():
    with pytest.raises(VectorError, match="which has none; build it with --field"):
        filters((), {"kind": "noun"})
