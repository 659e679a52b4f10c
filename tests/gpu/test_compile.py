"""Generated kernels against the plain evaluation of the same DAG: every compiler for cards accepts them, and the
emulated device finds the same values bit for bit."""

from __future__ import annotations

import re

import numpy as np
import pytest

from air import circle
from air.component import build
from air.field import QM31, ZERO, P
from air.layout import Air, ComponentLayout, Fraction, PreprocessedColumn
from air.relation import RelationElements, logup_constraints
from air.statements.plonk import Plonk
from air.statements.poseidon2 import Poseidon2
from air.statements.topk import TopK, topk_air
from air.statements.wide_fib import WideFib
from gpu import compile
from gpu.composition import Cells, composition_values
from gpu.emit import peak_live
from prover.composition import vanishing_inverse

LOG = 4


def random_air(seed: int) -> Air:
    """A DAG with every kind of node, rows before and after, constraints that are cells, and sometimes lookups."""
    rng = np.random.default_rng(seed)
    masks = [[(0,), (0, 1), (-2, 0, 3), (-7, 7)][k] for k in rng.integers(0, 4, rng.integers(1, 4))]
    nodes = [("pre", 0), ("param", 0), ("param", 1), ("const", int(rng.choice([0, 1, 2, P - 1])))]
    nodes += [("trace", c, k) for c, mask in enumerate(masks) for k in range(len(mask))]
    degree = [1, 0, 0, 0] + [1] * (len(nodes) - 4)
    for _ in range(30):
        op, i, j = rng.choice(["add", "sub", "mul", "mul", "neg"]), *map(int, rng.integers(0, len(nodes), 2))
        if op == "mul" and degree[i] + degree[j] > 3:
            op = "add"
        nodes.append(("neg", i) if op == "neg" else (str(op), i, j))
        degree.append(degree[i] if op == "neg" else degree[i] + degree[j] if op == "mul" else max(degree[i], degree[j]))
    low = [k for k, d in enumerate(degree) if d <= 1]
    relations = [[], [0], [0, 1], [0, 1, 1]][seed % 4]
    fractions = tuple(Fraction(r, int(rng.choice(low)), tuple(map(int, rng.choice(low, 1 + 4 * r)))) for r in relations)
    roots = (*map(int, rng.integers(0, len(nodes), 5)), 4)
    parameters = (int(rng.integers(0, P)), P - 1)
    batch = 1 + seed % 2
    component = ComponentLayout("random", LOG, (0,), tuple(masks), tuple(nodes), roots, fractions, batch, parameters)
    return Air((PreprocessedColumn("p", LOG),), tuple("ab"[: len(set(relations))]), (component,))


def plain(air: Air, rows: list[np.ndarray], coefficient: QM31, elements, sums: list[QM31], blowup: int) -> np.ndarray:
    """(4, 2^(S+1)): the composition polynomial's values, point by point in QM31 arithmetic."""
    out = np.zeros((2 << air.log_size, 4), dtype=np.uint64)
    left, claimed = air.n_constraints, iter(sums)
    for component, columns in zip(air.components, rows, strict=True):
        left -= component.n_constraints
        own, points = next(claimed) if component.fractions else ZERO, 2 << component.log_size
        scale, weight = vanishing_inverse(component.log_size, blowup), coefficient**left
        values = []
        for point in range(points):
            total = ZERO
            for value in constraints_at(component, columns, point, elements, own):
                total = total * coefficient + value
            values.append((total * weight * (scale if point < points // 2 else P - scale)).coordinates())
        size = component.log_size + 1
        places = [circle.lifted_position(k, size, air.log_size + 1) for k in range(len(out))]
        out += np.array(values, dtype=np.uint64)[places]
    return (out % P).astype(np.uint32).T


def constraints_at(component: ComponentLayout, columns: np.ndarray, point: int, elements, claimed: QM31) -> list[QM31]:
    n_pre, n_main = len(component.preprocessed), len(component.masks)

    def cell(column: int, offset: int) -> int:
        return int(columns[column][circle.neighbour(point, offset, component.log_size, component.log_size + 1)])

    def leaf(node) -> QM31:
        if node[0] == "pre":
            return QM31(cell(node[1], 0))
        if node[0] == "trace":
            return QM31(cell(n_pre + node[1], component.masks[node[1]][node[2]]))
        return QM31(component.constant(node))

    values = component.evaluate(leaf)
    interaction = [
        [QM31(*(cell(n_pre + n_main + 4 * b + k, o) for k in range(4))) for o in mask]
        for b, mask in enumerate(component.interaction_masks)
    ]
    found = [values[c] for c in component.constraints]
    return [*found, *logup_constraints(component, values, interaction, elements, claimed)]


AIRS = {
    **{f"random {seed}": random_air(seed) for seed in range(8)},
    "wide_fib": build([WideFib(LOG, 12)]),
    "two sizes": build([WideFib(LOG, 5), WideFib(LOG + 2, 4)]),
    "poseidon2": build([Poseidon2(LOG, 1)]),
    "plonk": build([Plonk(LOG)]),
    "topk": topk_air(TopK(LOG, "l2", (3, P - 5, 7), 100, 1, (0,), (2,))),
}


@pytest.mark.parametrize("name", AIRS)
@pytest.mark.parametrize("blowup", [1, 3])
def test_composition_is_the_plain_one(device, columns, secure, name, blowup):
    air = AIRS[name]
    widths = [len(c.preprocessed) + len(c.masks) + 4 * c.n_interaction for c in air.components]
    rows = [columns(blowup + k, width, 2 << air.components[k].log_size) for k, width in enumerate(widths)]
    coefficient, *sums = secure(7, 1 + len(air.with_fractions))
    elements = [RelationElements(*secure(k, 2)) for k in range(len(air.relations))]
    cells = [
        Cells(component, [device.upload(column) for column in own])
        for component, own in zip(air.components, rows, strict=True)
    ]
    found = composition_values(device, air, cells, coefficient, elements, sums, blowup)
    wanted = plain(air, rows, coefficient, elements, sums, blowup)
    assert np.array_equal(device.download(found).reshape(4, -1), wanted)


def test_constraints_that_nobody_wrote_are_zero(device):
    """A component may consist of columns alone."""
    component = ComponentLayout("idle", LOG, (), ((0,),), (), ())
    air = Air((), (), (component,))
    found = composition_values(device, air, [Cells(component, [device.empty(2 << LOG)])], QM31(2), [], [], 1)
    assert not device.download(found).any()


@pytest.mark.parametrize("architecture", ["sm_80", "sm_89", "sm_90", "sm_100"])
@pytest.mark.parametrize("name", ["wide_fib", "plonk", "topk", "random 3"])
def test_generated_kernels_compile_for_cards(nvrtc, name, architecture):
    for component in AIRS[name].components:
        for kind in ("composition", "fractions"):
            made = [step.kernel for step in compile.steps(component, kind)]
            if made:
                found = nvrtc.compile_source(made[0].source, architecture)
                assert set(found) == {kernel.name for kernel in made}
                assert all(used.spilled == 0 for used in found.values())


def test_kernels_are_split_where_registers_or_code_would_overflow(nvrtc):
    """Poseidon2 is long, and the sum of 400 products of sums keeps as many values alive as it has terms."""
    (poseidon,) = build([Poseidon2(LOG, 2)]).components
    runs = compile.parts(poseidon, "composition")
    assert len(runs) > 1
    assert [index for run in runs for index in run] == list(range(poseidon.n_constraints))
    cells = [("trace", k, 0) for k in range(200)]
    nodes = cells + [("mul", k, (k + 1) % 200) for k in range(200)] + [("mul", k, 199 - k) for k in range(200)]
    wide = ComponentLayout("wide", LOG, (), ((0,),) * 200, tuple(nodes), tuple(range(200, 600)))
    roots = [[c] for c in wide.constraints]
    assert peak_live(wide, roots) > compile.MAX_LIVE
    runs = compile.parts(wide, "composition")
    assert all(peak_live(wide, [roots[k] for k in run]) <= compile.MAX_LIVE for run in runs)
    (step, *_) = compile.steps(wide, "composition")
    assert all(used.spilled == 0 for used in nvrtc.compile_source(step.kernel.source, "sm_90").values())


def test_what_all_constraints_share_is_computed_once():
    """The score over 1,000 dimensions is longer than a kernel should be, and twice of it would be longer still."""
    asked = topk_air(TopK(LOG, "l2", (1,) * 1000, 0)).components[0]
    assert compile.parts(asked, "composition") == [[0], [1, 2, 3, 4, 5]]


def test_one_kernel_serves_all_repetitions():
    """Poseidon2's permutations of a row differ in their columns alone; the interaction columns come on top."""
    made = {n: compile.steps(*build([Poseidon2(LOG, n)]).components, "composition") for n in (1, 8)}
    names = [[step.kernel.name for step in steps if step.item < 284 * n] for n, steps in made.items()]
    assert names[1] == 8 * names[0]
    columns = [step.column for step in made[8] if step.kernel.name == "composition_0"]
    assert columns == list(range(0, 2400, 300))
    sums = [step for step in made[8] if step.item >= 8 * 284]
    assert [step.batch for step in sums] == [0, 0, 1, 2, 3, 4, 5, 6]
    assert len({step.kernel.name for step in sums}) == 3  # the first has nothing before it, the last one looks back


def test_a_new_statement_compiles_no_new_kernel():
    first, second = (topk_air(TopK(LOG, "l2", (q, 1, 2), t)) for q, t in ((5, 9), (6, P - 4)))
    for one, other in zip(first.components, second.components, strict=True):
        assert compile.steps(one, "composition") is compile.steps(other, "composition")


def test_every_node_is_computed_once_and_before_its_use():
    (component,) = build([Poseidon2(LOG, 1)]).components
    (step, *_) = compile.steps(component, "composition")
    for text in step.kernel.source.split("KERNEL __launch_bounds__")[1:]:
        declared = re.findall(r"const u32 (v\d+) = ([^;]*);", text)
        assert len({name for name, _ in declared}) == len(declared)
        known: set[str] = set()
        for name, expression in declared:
            assert set(re.findall(r"\bv\d+", expression)) <= known
            known.add(name)
