"""The Cairo tables: the committed file is current, and its functions give what ours give."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import replace

import pytest

from air.statements.sla_report import latency_edges
from octoproof.market.arbitration import EVIDENCE_KINDS
from octoproof.market.dispute import DISPUTE
from octoproof.market.errors import IllegalTransition
from octoproof.market.generate import RULES, cairo
from octoproof.market.listing import LISTING
from octoproof.market.machine import ANYONE, Machine
from octoproof.market.money import share
from octoproof.market.purchase import PURCHASE
from octoproof.market.quality import Record, quality_score
from octoproof.market.refunds import latency_refund, output_refund, uptime_refund
from octoproof.market.reputation import reputation_score, reputation_tier
from octoproof.market.slashing import GROWING, Stake, slash
from octoproof.market.tiers import TIERS, nearest_rank
from octoproof.starknet.build import BuildError, find_builder, find_corelib, run_tests

MANIFEST = '[package]\nname = "cases"\nversion = "0.1.0"\nedition = "2024_07"\n\n[dependencies]\nstarknet = "2.19.4"\n'
RANDOM = random.Random(10)
NONE = 255


def test_the_committed_file_is_current():
    assert RULES.read_text() == cairo(), "run: python -m octoproof.market.generate"


@pytest.mark.slow  # compiles Cairo
def test_the_cairo_functions_are_ours(tmp_path):
    try:
        find_builder(), find_corelib()
    except BuildError as error:
        pytest.skip(str(error))
    sources = tmp_path / "cases" / "src"
    sources.mkdir(parents=True)
    shutil.copy(RULES, sources)
    (sources.parent / "Scarb.toml").write_text(MANIFEST)
    tests = [_figures(), *map(_transitions, (LISTING, PURCHASE, DISPUTE))]
    body = "\n".join(f"    #[test]\n    fn t{number}() {{\n{lines}\n    }}" for number, lines in enumerate(tests))
    (sources / "lib.cairo").write_text(
        f"pub mod rules;\n#[cfg(test)]\nmod tests {{\n    use super::rules;\n{body}\n}}\n"
    )
    printed = run_tests(sources.parent)  # raises where one fails
    assert f"{len(tests)} passed; 0 failed" in printed


def _figures() -> str:
    """Calls of every function, with what ours gives."""
    calls: dict[str, list[Sequence[int]]] = {
        "latency_refund_bps(*a, *b)": [
            (t.latency_ms, ms, 0, 0, 0, latency_refund(t, ms))
            for t in TIERS.values()
            for over in (-1_000, 0, 499, 500, 999, 1_000, 2_500, 2_501, 10**6)
            for ms in (t.latency_ms + t.latency_ms * over // 10_000, t.latency_ms + -(-t.latency_ms * over // 10_000))
        ],
        "uptime_refund_bps(*a, *b, *c)": [
            (t.uptime_ppm, up, slots, 0, 0, uptime_refund(t, up, slots))
            for t in TIERS.values()
            for slots in (1, 43_200, 100_000, 2**40 - 1)
            for ppm in (0, 949_999, 950_000, 990_000, 998_999, 999_000, 999_900, 10**6)
            for up in (slots * ppm // 10**6, -(-slots * ppm // 10**6))
        ],
        "output_refund_bps(*a, *b, *c)": [
            (v, m, i, 0, 0, output_refund(v, m, i)) for v, m, i in _counts(3) if v + m + i
        ],
        "nearest_rank(*a, *b)": [
            (max(n, 1), p % 10_000 + 1, 0, 0, 0, nearest_rank(max(n, 1), p % 10_000 + 1)) for n, p in _counts(2)
        ],
        "quality_score(*a, *b, *c, *d, *e)": [
            (n, f, p, v, ms, quality_score(Record(n, f, p, v, ms)))
            for n, f, p, v, ms in ((n, f % (n + 1), p, v % (p + 1), ms % 2_000) for n, f, p, v, ms in _counts(5))
        ],
        "penalty_bps((*a).try_into().unwrap())": [(n, 0, 0, 0, 0, GROWING[min(n, 3)]) for n in range(6)],
        "share((*a).into(), *b).try_into().unwrap()": [
            (n, bps % 10_001, 0, 0, 0, share(n, bps % 10_001)) for n, bps in _counts(2)
        ],
    }
    pairs = [(n, s % (n + 1)) for n, s in _counts(2)] + [(10, 8), (10, 9), (500, 495), (500, 496)]
    reputations = [(n, s, reputation_score(n, s), reputation_tier(n, s).multiplier_bps) for n, s in pairs]
    lines = [f"        for (a, b, c, d) in {_u64s(reputations)} {{ assert!(rules::reputation(*a, *b) == (*c, *d)); }}"]
    lines += [f"        for (held, base, lost, past, left, new_base, gone, flag) in {_u64s(_slashes())} {{"]
    lines += ["            let (held, base, lost) = ((*held).into(), (*base).into(), (*lost).into());"]
    lines += ["            let offences = (*past).try_into().unwrap();"]
    lines += ["            let stake = rules::Stake { held, base, lost, offences, banned: false };"]
    lines += ["            let (after, amount) = rules::slash(stake);"]
    lines += ["            assert!(after.held == (*left).into() && after.base == (*new_base).into());"]
    lines += ["            assert!(after.lost == (*gone).into() && after.banned == (*flag == 1));"]
    lines += ["            assert!(amount == held - after.held && after.offences == offences + 1);", "        }"]
    for tier, row in enumerate(TIERS.values()):
        for edge, latency in enumerate(latency_edges(row.latency_ms)):
            lines += [f"        assert!(*(*rules::LATENCY_EDGES.span()[{tier}]).span()[{edge}] == {latency});"]
            refund = latency_refund(row, latency + 1)
            lines += [f"        assert!(*rules::LATENCY_BAND_REFUNDS_BPS.span()[{edge + 1}] == {refund});"]
        lines += [f"        assert!(*rules::TIERS.span()[{tier}].price_bps == {row.price_bps});"]
    for place, kind in enumerate(EVIDENCE_KINDS.values()):
        lines += [f"        assert!(*rules::EVIDENCE.span()[{place}].automatic == {str(kind.automatic).lower()});"]
    for call, cases in calls.items():
        lines += [f"        for (a, b, c, d, e, expected) in {_u64s(cases)} {{"]
        lines += ["            let _ = (a, b, c, d, e);", f"            let found: u64 = rules::{call};"]
        lines += ['            assert!(found == *expected, "{} {} {}", a, b, c);', "        }"]
    return "\n".join(lines)


def _slashes() -> list[tuple[int, ...]]:
    """held, base, lost and offences before; held, base, lost and banned after, amounts in the smallest unit."""
    cases = []
    for held, deposit, past in [(1_000_003, 0, 4), (10**18, 10**17, 4), (10, 5_001, 3), (1, 0, 1), (0, 7, 2)]:
        stake = Stake(held)
        for _ in range(past):
            if stake.banned:
                break
            before, (stake, _) = stake, slash(stake, "quota", "timeout")
            figures = (before.held, before.base, before.lost, before.offences, stake.held, stake.base, stake.lost)
            cases.append((*figures, int(stake.banned)))
            stake = replace(stake, held=stake.held + deposit)
    return cases


def _counts(width: int) -> list[tuple[int, ...]]:
    sizes = (0, 1, 2, 100, 2**40 - 1)
    edges = [tuple(RANDOM.choice(sizes) for _ in range(width)) for _ in range(20)]
    return edges + [tuple(RANDOM.randrange(1 << RANDOM.randrange(1, 40)) for _ in range(width)) for _ in range(40)]


def _transitions(machine: Machine) -> str:
    """Every row with its guards, with one guard less, and for other parties; then whatever chance brings."""
    parties = [ANYONE, *dict.fromkeys(p for row in machine.table for p in row.by if p != ANYONE)]
    cases = []
    for row in machine.table:
        by = RANDOM.choice(row.by)
        cases.append((row.state, row.event, by, set(row.guards)))
        cases += [(row.state, row.event, by, set(row.guards) - {guard}) for guard in row.guards]
        cases += [(row.state, row.event, party, set(row.guards)) for party in parties]
    for _ in range(40):
        held = {guard for guard in machine.guards if RANDOM.random() < 0.5}
        cases.append((RANDOM.choice(machine.states), RANDOM.choice(machine.events), RANDOM.choice(parties), held))
    rows = []
    for state, event, by, held in cases:
        told = replace(machine, guards=_fixed(machine, held))
        try:
            follows = machine.states.index(told.next(state, event, by, None))
        except IllegalTransition:
            follows = NONE
        bits = sum(1 << k for k, guard in enumerate(machine.guards) if guard in held)
        numbers = (machine.states.index(state), machine.events.index(event), parties.index(by), follows)
        rows.append(", ".join([*(f"{number}_u8" for number in numbers), f"{bits}_u32"]))
    fields = ", ".join(f"{guard}: (*g / {1 << k}) % 2 == 1" for k, guard in enumerate(machine.guards))
    finals = " && ".join(
        f"rules::{machine.name}::is_final({k}) == {str(state in machine.final).lower()}"
        for k, state in enumerate(machine.states)
    )
    return (
        f"        for (state, event, by, expected, g) in {_span(rows)} {{\n"
        f"            let guards = rules::{machine.name}::Guards {{ {fields} }};\n"
        f"            let found = rules::{machine.name}::next(*state, *event, *by, guards);\n"
        f'            assert!(found.unwrap_or({NONE}) == *expected, "{{}} {{}} {{}} {{}}", state, event, by, g);\n'
        f"        }}\n        assert!({finals});"
    )


def _fixed(machine: Machine, held: set[str]) -> dict:
    """Guards that hold just because they are in this set."""
    return {guard: lambda _, holds=guard in held: holds for guard in machine.guards}


def _u64s(rows: Sequence[Sequence[int]]) -> str:
    return _span([", ".join(f"{number}_u64" for number in row) for row in rows])


def _span(rows: Sequence[str]) -> str:
    return f"array![{', '.join(f'({row})' for row in rows)}].span()"
