"""Labels: every row of a label, and no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from octoproof.vectors.labels import pack_labels

TEXTS = st.text(st.sampled_from("abé"), max_size=4)


@given(st.lists(TEXTS, max_size=30), TEXTS)
def test_find(labels, wanted):
    packed = pack_labels(labels, len(labels))
    assert packed.find(wanted) == [row for row, label in enumerate(labels) if label == wanted]
    assert [packed[row] for row in range(len(packed))] == labels
