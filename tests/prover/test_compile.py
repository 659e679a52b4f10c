"""Compiled kernels against the plain evaluation of the same DAG, on random DAGs and on real components."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.circle import row_positions
from air.component import build
from air.field import QM31, ZERO, P, inverse
from air.layout import Air, ComponentLayout, Fraction, PreprocessedColumn
from air.relation import RelationElements, logup_constraints
from air.statements.plonk import Plonk
from air.statements.wide_fib import WideFib
from prover import compile, jit, logup
from prover.running_sum import running_sum
from prover.threads import Workers

LOG = 5
ROWS = 1 << LOG


def random_columns(rng, count):
    edge = rng.integers(0, 4, (count, ROWS))
    values = rng.integers(0, P, (count, ROWS))
    return list(np.where(edge == 0, rng.choice([0, 1, P - 1], (count, ROWS)), values).astype(np.uint32))


def random_secure(rng):
    return QM31(*(int(v) for v in rng.integers(0, P, 4)))


def run_both(component, seed, elements):
    """Composition by the kernel and by QM31 arithmetic, on arbitrary columns and row shifts."""
    rng = np.random.default_rng(seed)
    places = compile.inputs(component)
    columns = random_columns(rng, places.n_columns)
    shifts = [np.roll(np.arange(ROWS, dtype=np.uint32), -o) for o in places.offsets]
    weights = [random_secure(rng) for _ in range(component.n_constraints)]
    share = random_secure(rng)
    out = random_columns(rng, 4)
    before = [column.copy() for column in out]
    own = len(component.constraints)
    constants = ([*weights[own:], share, *logup.element_words(component, elements)], weights[:own])
    kernel = compile.kernel(component, "composition")
    with Workers(2) as workers:
        logup.run_kernel(kernel, (0, ROWS), columns, shifts, component, constants, out, workers)
    n_pre, n_main = len(component.preprocessed), len(component.masks)
    for row in range(ROWS):

        def cell(column, offset, row=row):
            return int(columns[column][(row + offset) % ROWS])

        def leaf(node, cell=cell):
            if node[0] == "pre":
                return QM31(cell(node[1], 0))
            if node[0] == "trace":
                return QM31(cell(n_pre + node[1], component.masks[node[1]][node[2]]))
            return QM31(component.constant(node))

        values = component.evaluate(leaf)
        found = [values[c] for c in component.constraints]
        secure_columns = [
            [QM31(*(cell(n_pre + n_main + 4 * b + k, o) for k in range(4))) for o in mask]
            for b, mask in enumerate(component.interaction_masks)
        ]
        claimed = share * ((1 << component.log_size) % P)
        found += logup_constraints(component, values, secure_columns, elements, claimed)
        total = QM31(*(int(column[row]) for column in before))
        for weight, value in zip(weights, found, strict=True):
            total = total + weight * value
        assert total.coordinates() == tuple(int(column[row]) for column in out)


@st.composite
def components(draw):
    """A random DAG with every kind of node, kept to degree 3, and sometimes lookups."""
    masks = draw(st.lists(st.sampled_from([(0,), (0, 1), (-2, 0, 3)]), min_size=1, max_size=3))
    nodes = [("pre", 0), ("param", 0), ("param", 1), ("const", draw(st.sampled_from([0, 1, 2, P - 1, 12345])))]
    nodes += [("trace", c, k) for c, mask in enumerate(masks) for k in range(len(mask))]
    degree = [1, 0, 0, 0] + [1] * (len(nodes) - 4)
    for _ in range(draw(st.integers(1, 25))):
        op = draw(st.sampled_from(["add", "add", "sub", "mul", "mul", "neg"]))
        i, j = draw(st.integers(0, len(nodes) - 1)), draw(st.integers(0, len(nodes) - 1))
        if op == "mul" and degree[i] + degree[j] > 3:
            op = "add"
        nodes.append(("neg", i) if op == "neg" else (op, i, j))
        degree.append(degree[i] if op == "neg" else degree[i] + degree[j] if op == "mul" else max(degree[i], degree[j]))
    low = [k for k, d in enumerate(degree) if d <= 1]
    fractions = tuple(
        Fraction(r, draw(st.sampled_from(low)), (draw(st.sampled_from(low)),) * (1 + r))
        for r in draw(st.sampled_from([[], [0], [0, 1], [0, 1, 1]]))
    )
    constraints = tuple(draw(st.lists(st.integers(0, len(nodes) - 1), min_size=1, max_size=6)))
    parameters = (draw(st.integers(0, P - 1)), P - 1)
    return ComponentLayout("random", LOG, (0,), tuple(masks), tuple(nodes), constraints, fractions, 2, parameters)


@settings(max_examples=25, deadline=None)
@given(components(), st.integers(0, 2**32 - 1))
def test_composition_of_random_components(component, seed):
    relations = tuple("ab"[: 1 + max(f.relation for f in component.fractions)]) if component.fractions else ()
    Air((PreprocessedColumn("p", LOG),), relations, (component,))  # it is a valid AIR
    rng = np.random.default_rng(seed)
    run_both(component, seed, [RelationElements(random_secure(rng), random_secure(rng)) for _ in relations])


@pytest.mark.parametrize("air", [build([WideFib(LOG, 30)]), build([Plonk(LOG)])], ids=["wide_fib", "plonk"])
def test_composition_of_real_components(air):
    elements = [RelationElements(QM31(1, 2, 3, 4), QM31(5, 6, 7, 8))] * len(air.relations)
    run_both(air.components[0], 7, elements)


def test_interaction_columns_are_running_sums_of_the_fractions():
    circuit = Plonk(LOG)
    (component,) = build([circuit]).components
    elements = [RelationElements(QM31(11, 12, 13, 14), QM31(15, 16, 17, 18))]
    tree0, main = circuit.tree0(), [c.astype(np.uint32) for c in circuit.trace(2, 3)]
    with Workers(1) as workers:
        columns, claimed = logup.interaction_columns(component, [*tree0, *main], elements, workers)
    order = row_positions(LOG)
    fractions = []
    for p in order:
        use = [elements[0].combine([int(tree0[k][p]), int(main[1 + k][p])]).inverse() for k in range(3)]
        fractions.append((use[0] + use[1], use[2] * (P - int(main[0][p]))))
    total = sum((a + b for a, b in fractions), ZERO)
    assert claimed == total
    share, running = total * inverse(ROWS), ZERO
    for p, (first, second) in zip(order, fractions, strict=True):
        running = running + first + second - share
        assert [int(c[p]) for c in columns[:4]] == list(first.coordinates())
        assert [int(c[p]) for c in columns[4:]] == list(running.coordinates())
    assert running == ZERO


def test_running_sum_wraps_both_ways():
    values = np.array([[P - 1, P - 1, 0, 0]] * 4, dtype=np.uint32)
    running_sum(values, np.array([2, 0, 3, 1]), np.array([P - 1, 1, 0, P - 2], dtype=np.uint32))
    for row, share in zip(values, (P - 1, 1, 0, P - 2), strict=True):
        total, source = 0, [P - 1, P - 1, 0, 0]
        for p in (2, 0, 3, 1):
            total = (total + source[p] - share) % P
            assert int(row[p]) == total


def test_lowered_cpu_gives_the_same_bits(tmp_path):
    """The kernels must not need AVX-512: the same test in a process whose compiler targets an old CPU."""
    if os.environ.get("NUMBA_CPU_NAME"):
        pytest.skip("already lowered")
    environment = os.environ | {
        "NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path),
    }  # fmt: skip
    test = f"{Path(__file__)}::test_composition_of_real_components"
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout[-2000:]
    assert "2 passed" in done.stdout


def test_a_torn_object_on_disk_is_compiled_again(tmp_path, monkeypatch):
    (component,) = build([WideFib(LOG, 5)]).components
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compile, "_loaded", {})
    jit.library.cache_clear()
    compile.kernel(component, "composition")
    (saved,) = tmp_path.glob("*.o")
    whole = saved.read_bytes()
    for damaged in (whole[:100], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        saved.write_bytes(damaged)
        compile._loaded.clear()
        run_both(component, 3, [])
        assert saved.read_bytes() == whole
    jit.library.cache_clear()
