"""The debug check names what is wrong: constraint, row, values; relation, tuple, surplus."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from air.check import imbalances, violations
from air.circle import to_rows
from air.field import QM31, P
from air.relation import PublicTerm, RelationElements, public_sum
from air.statements.native import native

ROW_FIB = {"name": "row_fib", "components": [{"log_size": 5, "x0": 7}, {"log_size": 4, "x0": 1}]}
PLONK = {"name": "plonk", "log_size": 4, "a0": 2, "b0": 3}
RANGE = {"name": "range_check", "table_log": 4, "users": [{"log_size": 5, "n_cols": 3, "batch": 2}]}


def columns(document):
    made = native(document)
    return made, [to_rows(c) for c in made.preprocessed()], [to_rows(c) for c in made.main()]


@pytest.mark.parametrize("document", [ROW_FIB, PLONK, RANGE])
def test_honest_traces_pass(document):
    made, pre, main = columns(document)
    assert violations(made.air, pre, main) == []
    assert imbalances(made.air, pre, main, made.public_terms) == []


def test_a_broken_constraint_is_named_with_row_and_values():
    made, pre, main = columns(ROW_FIB)
    main[1][9] += 1  # y of row 9 of the first component
    first, *rest = violations(made.air, pre, main)
    assert (first.component, first.constraint, first.row, first.rows_failing) == ("RowFib", 2, 8, 2)
    assert first.cells["active"] == 1
    assert first.cells["y@+1"] == int(main[1][9])
    assert "y@+1" in first.expression
    assert rest == []
    assert "constraint 2" in str(first)
    assert "row 8" in str(first)


def test_the_wrap_from_last_to_first_row_is_seen():
    made, pre, main = columns(ROW_FIB)
    main[2][0] = 5  # w must be 0 on row 0
    found = violations(made.air, pre, main)
    assert [(v.constraint, v.row) for v in found] == [(4, 1), (5, 0)]


def test_an_unbalanced_tuple_is_printed():
    made, pre, main = columns(RANGE)
    main[1][3] = (main[1][3] + 1) % 16
    found = imbalances(made.air, pre, main)
    assert sorted(i.surplus for i in found) == [-1, 1]
    assert all(i.relation == "range" for i in found)
    assert "used but not provided 1 times" in str(max(found, key=lambda i: i.surplus))


def test_public_terms_take_part_in_the_balance():
    made, pre, main = columns(PLONK)
    found = imbalances(made.air, pre, main, (*made.public_terms, PublicTerm(0, 1, (4, 4))))
    assert [(i.values, i.surplus, i.seen_in) for i in found] == [((4, 4), 1, ("the public terms",))]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 5), st.integers(0, 31), st.integers(1, P - 1))
def test_no_cell_of_row_fib_is_free(column, row, change):
    made, pre, main = columns(ROW_FIB)
    row %= len(main[column])
    assume(not (column % 3 == 1 and row == len(main[column]) - 1))  # y on the last row, declared free
    main[column][row] = (int(main[column][row]) + change) % P
    assert violations(made.air, pre, main)


def test_wrong_shapes_are_named():
    made, pre, main = columns(PLONK)
    with pytest.raises(ValueError, match="expected 4 preprocessed and 4 main, got 4 and 3"):
        violations(made.air, pre, main[:3])
    with pytest.raises(ValueError, match="has 8 rows"):
        violations(made.air, pre, [*main[:3], np.zeros(8, dtype=np.uint32)])


def test_public_sum_is_the_sum_of_fractions():
    elements = [RelationElements(QM31(3, 1, 4, 1), QM31(2, 7, 1, 8))]
    terms = [PublicTerm(0, P - 1, (5, 6)), PublicTerm(0, 2, (1, 0))]
    expected = -elements[0].combine([5, 6]).inverse() + elements[0].combine([1]).inverse() * 2
    assert public_sum(terms, elements) == expected
    with pytest.raises(ZeroDivisionError):
        public_sum([PublicTerm(0, 1, (3,))], [RelationElements(QM31(3), QM31(1))])
