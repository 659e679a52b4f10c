"""The committed evaluators are what the generator writes, and compute what the Python verifier computes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from air.component import Component, build, main
from air.field import QM31, P
from air.layout import Air
from air.relation import Lookup, Relation, RelationElements
from air.statements.range_check import RangeTable, RangeUser
from air.statements.sla import Sla, sla_air
from air.statements.topk import TopK, topk_air
from octoproof.starknet.generate import AIRS, CairoAir, committed, generate, generate_all
from tests.starknet.cairo import need_compiler
from tests.starknet.verifying import PASSED, Outcome, run
from verifier.sampling import composition_at, sample_counts

_IMPORTS = """\
use octoproof_stark::air::{Air, Elements};
use octoproof_stark::airs::*;
use octoproof_stark::qm31::QM31;
"""


def test_committed_modules_are_current(tmp_path: Path) -> None:
    generate_all(tmp_path / "airs")
    made = {path.name: path.read_text() for path in (tmp_path / "airs").iterdir()}
    assert made == {path.name: path.read_text() for path in AIRS.iterdir()}, "run python -m octoproof.starknet.generate"
    assert (tmp_path / "airs.cairo").read_text() == AIRS.with_suffix(".cairo").read_text()


def test_generated_evaluators_agree_with_the_verifier(tmp_path: Path) -> None:
    """On random values for all cells, challenges and parameters: the Horner sum before it is divided."""
    need_compiler()
    rng = random.Random(7)
    airs = {
        "wide_fib_24": _air("wide_fib_24"),
        "range_check": _air("range_check"),
        "plonk": _air("plonk"),
        "topk_ip_dim8": topk_air(TopK(16, "ip", tuple(rng.randrange(P) for _ in range(8)), rng.randrange(P))),
        "topk_l2_dim8": topk_air(TopK(16, "l2", tuple(rng.randrange(P) for _ in range(8)), rng.randrange(P))),
        "sla_edges4": sla_air(Sla(16, (49, 52, 54, 62))),
    }
    body = _IMPORTS + "".join(_test(name, air, rng) for name, air in airs.items())
    outcomes = run(tmp_path, body)
    assert {name: outcome.panic for name, outcome in outcomes.items()} == {f"agrees_{name}": PASSED for name in airs}


def _air(name: str) -> Air:
    return next(item.air for item in committed() if item.name == name)


def _test(name: str, air: Air, rng: random.Random) -> str:
    def secure() -> QM31:
        return QM31(*(rng.choice([0, P - 1, rng.randrange(P), rng.randrange(P)]) for _ in range(4)))

    samples = [[[secure() for _ in range(count)] for count in tree] for tree in sample_counts(air)]
    elements = [RelationElements(secure(), secure()) for _ in air.relations]
    sums, coefficient = [secure() for _ in air.with_fractions], secure()
    # D = 1 makes the common denominator the x coordinate: no division.
    expected = composition_at(air, samples, elements, sums, coefficient, (QM31(1), QM31(0)), 1)
    trees = ", ".join(_span(_q(v) for column in tree for v in column) for tree in samples)
    relations = _span(f"Elements {{ z: {_q(e.z)}, alpha: {_q(e.alpha)} }}" for e in elements)
    claimed = _span(map(_q, sums))
    return f"""
#[test]
fn agrees_{name}() {{
    let air = {name}::{_struct(name)} {{ {_fields(name, air)} }};
    let found = air.composition(array![{trees}].span(), {relations}, {claimed}, {_q(coefficient)});
    assert(found == {_q(expected)}, 'composition');
}}
"""


def _fields(name: str, air: Air) -> str:
    sizes = next(item.sizes for item in committed() if item.name == name)
    fields = [f"{s}: {c.log_size}" for s, c in zip(sizes, air.components, strict=True) if isinstance(s, str)]
    parameters = [c.parameters for c in air.components if c.parameters]
    return ", ".join(fields + [f"parameters: {_span(map(str, values))}" for values in parameters])


def _struct(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _span(items: object) -> str:
    return f"array![{', '.join(items)}].span()"  # type: ignore[arg-type]


def _q(value: QM31) -> str:
    return f"QM31 {{ a: {value.a}, b: {value.b}, c: {value.c}, d: {value.d} }}"


def test_a_long_sum_of_parameters_is_one_loop() -> None:
    text = generate(CairoAir("asked", "", topk_air(TopK(16, "ip", (0,) * 40, 0)), ("log_size", 10)))
    assert text.count("dot((*self.parameters).slice(0, 40), preprocessed.slice(0, 40))") == 1
    assert len(re.findall(r"\*preprocessed\[\d+\]", text)) == 4  # ids and live flag, no coordinate


def test_components_of_one_size_need_one_name() -> None:
    air = build([RangeTable(6), RangeUser(6, 3)])
    with pytest.raises(ValueError, match="different names"):
        generate(CairoAir("mixed", "", air, ("table_log", "log_size")))
    assert "pub log_size: u32," in generate(CairoAir("mixed", "", air, ("log_size", "log_size")))


USED = Relation("used")


@dataclass(frozen=True)
class Uses(Component):
    """Many lookups in a row."""

    log_size: int
    width: int

    v = main(count="width")

    def constraints(self, row: Any) -> Iterator[Lookup]:
        for cell in row.v:
            yield USED.use(cell)


@pytest.mark.parametrize(("width", "largest"), [(20, 26), (32, 25), (40, 25), (64, 24)])
def test_multiplicities_cannot_wrap(width: int, largest: int) -> None:
    """P uses of one tuple count as none (ANCHORS F25), so the sizes that a contract may ask for end before."""
    text = generate(CairoAir("uses", "Lookups.", build([Uses(6, width)]), ("log_size",)))
    assert f"check_log_size(*self.log_size, {largest});" in text
    assert width << largest < P


WRONG = {
    "too_small": ("air: log size", "wide_fib_24::WideFib24 { log_size: 3 }.layout();"),
    "too_large": ("air: log size", "plonk::Plonk { log_size: 27 }.layout();"),
    "few_parameters": (
        "air: parameters",
        "topk_ip_dim8::TopkIpDim8 { log_size: 6, parameters: array![1, 2].span() }.layout();",
    ),
}


def test_a_contract_cannot_ask_for_what_the_air_is_not(tmp_path: Path) -> None:
    need_compiler()
    tests = "".join(f"\n#[test]\nfn {name}() {{\n    {call}\n}}\n" for name, (_, call) in WRONG.items())
    outcomes: dict[str, Outcome] = run(tmp_path, _IMPORTS + tests)
    assert {name: outcome.panic for name, outcome in outcomes.items()} == {n: why for n, (why, _) in WRONG.items()}
