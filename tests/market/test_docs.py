"""docs/market.md has every rule, every transition and every keyword that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from octoproof.market import schema
from octoproof.market.arbitration import LEVELS
from octoproof.market.dispute import DISPUTE, LONGEST_S
from octoproof.market.listing import LISTING
from octoproof.market.privacy import LEVELS as PRIVACY
from octoproof.market.purchase import PURCHASE
from octoproof.market.tiers import TIERS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "market.md").read_text()


@pytest.mark.parametrize("machine", [LISTING, PURCHASE, DISPUTE], ids=lambda machine: machine.name)
def test_the_tables_of_the_machines(machine):
    (section,) = re.findall(rf"^### {machine.name.capitalize()}\n\n(.*?)\n\n", TEXT, flags=re.MULTILINE | re.DOTALL)
    rows = [
        f"| {row.state} | {row.event} | {', '.join(row.by)} | {', '.join(row.guards)} | {row.next} |"
        for row in machine.table
    ]
    assert section.splitlines()[2:] == rows


def test_every_reading_is_there_once():
    assert re.findall(r"^\| (R\d+) \|", TEXT, flags=re.MULTILINE) == [f"R{number}" for number in range(1, 29)]


def test_figures():
    for tier in TIERS.values():
        percent = f"{tier.uptime_ppm / 10_000:g}"
        assert (
            f"| {tier.name} | {tier.latency_ms:,} ms | {percent} % | {tier.output} | {tier.price_bps / 10_000:g}x |"
            in TEXT
        )
    for level in PRIVACY.values():
        assert re.search(
            rf"^\| {level.name} \| .* \| {level.price_bps / 10_000:g}x \| {level.added_ms:,} ms \|$", TEXT, re.M
        )
    assert f"{LONGEST_S // 86_400} days" in TEXT
    assert [level.deadline_s // 3_600 for level in LEVELS.values()] == [24, 24, 7 * 24, 30 * 24]


def test_keywords_of_schemas():
    told = set(re.findall(r"[$\w]+", " ".join(re.findall(r"`([^`]*\btype\b[^`]*|\$schema[^`]*)`", TEXT))))
    known = schema._NOTES | schema._PLAIN | schema._ONE | schema._LISTS | {"properties", "pattern"}
    assert told == known
