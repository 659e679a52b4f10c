"""The constraint language: tracing, sharing, folding, masks, and the rules that a layout must keep."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from air.component import Component, build, main, preprocessed
from air.export import air_from_json, air_to_json
from air.expression import Graph, boolean, dot, limbs
from air.field import QM31, P
from air.layout import AirError, PreprocessedColumn
from air.relation import Relation
from air.report import costs
from air.statements.native import native
from air.statements.plonk import Plonk
from air.statements.wide_fib import WideFib

FIXTURES = Path(__file__).parents[1] / "fixtures"
PAIRS = Relation("pairs")


@dataclass(frozen=True)
class Sample(Component):
    log_size: int
    weights: tuple[int, ...]
    bias: int = 5

    parameters = ("weights", "bias")
    x = preprocessed(count=2)
    unread = preprocessed()
    flag, y = main(), main(count=2)
    ignored = main()

    def constraints(self, row):
        yield boolean(row.flag)
        yield row.at(1).y[0] - row.y[0] - dot(row.weights, row.x) - row.bias
        yield row.at(-2).y[1] * row.flag
        yield PAIRS.use(row.y[0], row.y[1])
        yield PAIRS.provide(row.y[0], row.y[1], times=row.flag)


def sample(**changes):
    return build([Sample(5, (3, -1), **changes)])


def test_masks_are_the_offsets_that_were_read_in_ascending_order():
    (layout,) = sample().components
    assert layout.masks == ((0,), (0, 1), (-2, 0), (0,))
    assert layout.column_names == ("flag", "y[0]", "y[1]", "ignored")


def test_only_preprocessed_columns_that_are_read_are_listed():
    air = sample()
    assert [c.id for c in air.preprocessed] == ["x_0", "x_1", "unread"]
    assert air.components[0].preprocessed == (0, 1)
    assert air.sampled_preprocessed == {0, 1}


def test_a_given_tree_0_keeps_its_order():
    order = [PreprocessedColumn(name, 5) for name in ("unread", "x_1", "x_0", "other")]
    air = build([Sample(5, (3, -1))], order)
    assert air.preprocessed == tuple(order)
    assert air.components[0].preprocessed == (2, 1)


def test_parameters_are_values_of_the_statement_and_not_of_the_structure():
    one, other = sample().components[0], sample(bias=6).components[0]
    assert one.parameters == (3, P - 1, 5)
    assert one.structure == other.structure
    assert one.structure != build([Sample(5, (3, -1, 0)[:2]), WideFib(5, 4)]).components[1].structure


def test_common_subexpressions_are_shared():
    graph = Graph()
    a, b = graph.node("cell", 0, 0), graph.node("cell", 1, 0)
    assert (a + b).index == (b + a).index
    assert (a * b).index == (b * a).index
    assert (a - b).index != (b - a).index
    (layout,) = build([WideFib(4, 20)]).components
    squares = [n for n in layout.nodes if n[0] == "mul"]
    assert len(squares) == 19  # each column's square once, the last one's never


def test_neutral_elements_and_constants_fold():
    graph = Graph()
    a = graph.node("cell", 0, 0)
    assert [(a + 0).index, (0 + a).index, (a - 0).index, (a * 1).index, (1 * a).index] == [a.index] * 5
    assert graph.nodes[(a * 0).index] == ("const", 0)
    assert graph.nodes[(graph.constant(3) * 4 - 13).index] == ("const", P - 1)
    assert graph.nodes[(0 - a).index][0] == "neg"


def test_mistakes_of_authors_are_refused():
    graph = Graph()
    a = graph.node("cell", 0, 0)
    with pytest.raises(TypeError, match="yield `a - b`"):
        a == a  # noqa: B015
    with pytest.raises(TypeError, match="not known"):
        bool(a)
    with pytest.raises(ValueError, match="nothing to add"):
        dot([], [])
    with pytest.raises(ValueError):
        dot([1, 2], [a])


def test_limbs():
    graph = Graph()
    cells = [graph.node("cell", k, 0) for k in range(3)]
    layout = sample().components[0]
    values = layout.evaluate(lambda node: QM31(7))
    assert len(values) == len(layout.nodes)
    assert limbs(cells, 10).index == (cells[0] + cells[1] * 1024 + cells[2] * (1 << 20)).index


def test_degrees_and_costs():
    (cost,) = costs(sample())
    assert (cost.main, cost.interaction, cost.constraints, cost.lookups, cost.max_degree) == (4, 4, 4, 2, 3)
    assert cost.cells == 8 << 5
    assert cost.samples == 2 + 6 + 4 * 2


@dataclass(frozen=True)
class TooHigh(Component):
    log_size: int
    x = main()

    def constraints(self, row):
        yield row.x * row.x * row.x * row.x


def test_a_degree_that_does_not_fit_is_refused():
    with pytest.raises(AirError, match="degree 4"):
        build([TooHigh(4)])


def test_export_resolves_parameters_and_reads_back():
    air = sample()
    back = air_from_json(json.loads(json.dumps(air_to_json(air))))
    assert air_to_json(back) == air_to_json(air)
    assert back.components[0].masks == air.components[0].masks
    assert all(node[0] != "param" for node in back.components[0].nodes)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.spec.json")), ids=lambda p: p.name[:-10])
def test_layout_of_every_fixture(path):
    spec = json.loads(path.read_text())
    document = spec["air"]
    if document["name"] == "expr":
        air = air_from_json(document["json"])
        assert air_to_json(air)["components"] == document["json"]["components"]
    else:
        made = native(document)
        air = made.air
        assert list(made.statement_u64) == spec["statement_u64"]
        assert [c.size for c in made.main()] == [1 << n for n in air.tree_log_sizes[1]]
        assert [c.size for c in made.preprocessed()] == [1 << n for n in air.tree_log_sizes[0]]
    assert [list(t) for t in air.tree_log_sizes] == [t for t in spec["tree_log_sizes"]]


def broken(**changes):
    (component,) = build([Plonk(4)]).components
    air = build([Plonk(4)])
    return lambda: dataclasses.replace(air, components=(dataclasses.replace(component, **changes),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": ((0,), (0, 0), (0,), (0,))}, "bad mask"),
        ({"masks": ((), (0,), (0,), (0,))}, "bad mask"),
        ({"masks": ((8,), (0,), (0,), (0,))}, "beyond half"),
        ({"preprocessed": (0, 1, 2, 2)}, "repeats"),
        ({"preprocessed": (0, 1, 2, 9)}, "no preprocessed column 9"),
        ({"log_size": 3}, "log_size"),
        ({"log_size": 27}, "log_size"),
        ({"batch": 3}, "batch"),
        ({"nodes": (("add", 0, 0),)}, "earlier"),
        ({"nodes": (("const", P),)}, "canonical"),
        ({"nodes": (("pow", 1, 2),)}, "unknown form"),
        ({"nodes": (("trace", 0, 1),)}, "mask position"),
        ({"nodes": (("param", 0),)}, "no parameter"),
        ({"constraints": (999,)}, "no such node"),
    ],
)
def test_rules_of_the_layout(change, message):
    with pytest.raises(AirError, match=message):
        broken(**change)()


def test_unused_relations_and_shared_ids_are_refused():
    air = build([Plonk(4)])
    with pytest.raises(AirError, match="relations: each must be used"):
        dataclasses.replace(air, relations=("wire", "idle"))
    with pytest.raises(AirError, match="share an id"):
        dataclasses.replace(air, preprocessed=(air.preprocessed[0],) * 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "air.version"),
        ({"components": "x"}, "air.components"),
        ({"relations": [1]}, "air.relations"),
        ({"preprocessed": [{"id": 1, "log_size": 4}]}, "air.preprocessed.id"),
        ({"preprocessed": [{"id": "a", "log_size": True}]}, "air.preprocessed.log_size"),
        ({"preprocessed": [{"id": "a", "log_size": 4.0}]}, "air.preprocessed.log_size"),
    ],
)
def test_bad_air_json_names_the_field(change, message):
    document = air_to_json(build([Plonk(4)])) | change
    with pytest.raises(AirError, match=message.replace(".", r"\.")):
        air_from_json(document)


def test_squarings_cannot_make_the_degree_explode():
    document = air_to_json(build([WideFib(4, 3)]))
    nodes = [["trace", 0, 0]] + [["mul", k, k] for k in range(5000)]
    document["components"][0] |= {"nodes": nodes, "constraints": [5000]}
    with pytest.raises(AirError, match="degree"):
        air_from_json(document)
