"""Writes the tables of docs/performance.md, scale.md and chain.md from benchmarks/results, and draws performance.png.

python benchmarks/report.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "performance.md"
SCALE, CHAIN = ROOT / "docs" / "scale.md", ROOT / "docs" / "chain.md"
JOBS = (
    "query_words_4_segments",
    "query_made_up_64k",
    "query_made_up_341k",
    "query_made_up_1m",
    "query_ivf_1m",
    "query_candidates_1m",
    "query_fast_1m",
)
TARGETS = {
    "wide_fib_20": 0.50,
    "wide_fib_20_2_threads": 0.50,
    "wide_fib_18": 0.55,
    "wide_fib_18_2_threads": 0.55,
    "wide_fib_16": 0.70,
    "wide_fib_16_2_threads": 0.70,
    "plonk_18": 0.70,
    "range_check_18": 0.70,
    "poseidon2_13": 0.70,
}
DRAWN = ("wide_fib_20", "wide_fib_18", "wide_fib_16", "plonk_18", "range_check_18")


def tables() -> dict[str, str]:
    """Every generated block of the page, by the name of its marker."""
    return {"stwo": _stwo(), "phases": _phases("wide_fib_20"), "kernels": _kernels()} | {
        "jobs": _jobs(),
        "recall": _recall(),
        "snapshot": _snapshot(),
        "parts": _parts(),
        "distribution": _distribution(),
        "chain": _chain(),
    }


def render(page: str) -> str:
    """The page with its generated blocks replaced."""
    for name, table in tables().items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = block.sub(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", page)
    return page


def _load(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_bytes())


def _table(headings: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _stwo() -> str:
    rows = []
    for name in (*TARGETS, "wide_fib_12"):
        d = _load(name)
        air, target = d["air"], TARGETS.get(name)
        memory = f"{d['ours']['peak_rss_bytes'] / 1e6:,.0f} / {d['stwo']['peak_rss_bytes'] / 1e6:,.0f}"
        times = [f"{d[side]['best_ms']:,.0f}" for side in ("ours", "stwo")]
        wanted = "" if target is None else f"{target:.2f}"
        work = f"{air['name']} 2^{air['log_size']}"
        rows.append([work, str(d["threads"]), *times, f"**{d['ratio']:.2f}**", wanted, memory])
    return _table(["work", "threads", "ours, ms", "Stwo, ms", "ratio", "target", "MB, ours / Stwo"], rows)


def _phases(name: str) -> str:
    d = _load(name)
    rows = [
        [p["name"], f"{p['ours_ms'] or 0:,.1f}", f"{p['stwo_ms'] or 0:,.1f}"]
        for p in d["phases"]
        if p["name"] != "grind"
    ]
    return _table(["phase", "ours, ms", "Stwo, ms"], rows)


def _kernels() -> str:
    rows = [
        [k["kernel"], f"{k['elements']:,}", f"{k['ms']:,.1f}", f"{k['millions_per_s']:,.0f}"] for k in _load("kernels")
    ]
    return _table(["kernel", "elements", "ms", "M/s"], rows)


def _jobs() -> str:
    rows = []
    for name in JOBS:
        d = _load(name)
        s = d["seconds"]
        steps = [s[step] for step in ("search", "prove", "verify")]
        spread = [f"{step['min'] * 1e3:,.0f} / {step['p50'] * 1e3:,.0f} / {step['p95'] * 1e3:,.0f}" for step in steps]
        sizes = [f"{d['receipt_bytes']:,}", f"{d['peak_rss_bytes'] / 1e6:,.0f}", f"{d['recall']['exact']:.3f}"]
        cells = f", {d['cells']} cells" if d["cells"] else f", {d['segments']} segments"
        work = f"{d['mode']}, {d['rows']:,} x {d['dimension']}{cells}"
        rows.append([work, f"{s['build']['min']:.1f}", *spread, *sizes])
    v = _load("verify_20")
    text = _table(
        ["mode and vectors", "build, s", "search, ms", "prove, ms", "verify, ms", "receipt, bytes", "MB", "recall"],
        rows,
    )
    return text + (
        f"\n\nVerification of wide_fib 100 x 2^20 with the `{v['preset']}` preset: {v['warm_ms']:.1f} ms warm "
        f"(median {v['warm_median_ms']:.1f} ms), {v['process_ms']:.0f} ms as a process of its own, "
        f"{v['proof_bytes']:,} bytes."
    )


def _recall() -> str:
    rows = []
    for metric in ("l2", "ip", "cosine"):
        d = _load(f"query_words_{metric}")
        agree = f"{d['float_order_agrees']:.3f}"
        rows.append([metric, f"{d['rows']:,}", str(d["searches"]), f"{d['recall']['float32']:.4f}", agree])
    return _table(["metric", "words", "queries", "recall of 10 against float32", "same order in floats"], rows)


def _snapshot() -> str:
    d = _load("snapshot_1m")
    rows = [[name, f"{seconds:.4f}" if seconds < 0.1 else f"{seconds:.2f}"] for name, seconds in d["seconds"].items()]
    return _table([f"step, {d['rows']:,} x {d['dimension']}", "seconds"], rows)


def _parts() -> str:
    rows = []
    for d in _load("parts"):
        steps = [f"{d[step] * 1e3:,.1f}" for step in ("search_s", "commit_s", "prove_s", "verify_s")]
        rows.append([f"{d['rows']:,}", *steps, f"{d['part_bytes']:,}", f"{d['memory_bytes'] / 1e6:,.0f}"])
    return _table(["rows", "search, ms", "commit, ms", "prove, ms", "verify, ms", "bytes", "MB to prove"], rows)


def _distribution() -> str:
    d, rows = _load("jobs"), []
    sides = {"loop": f"one loop, {d['cores']} threads", "ideal": f"{d['workers']} loops, one thread each"}
    for side, name in (sides | {"runner": f"jobs, {d['workers']} workers"}).items():
        seconds, processor = d[f"{side}_s"], d[f"{side}_cpu_s"]
        rows.append([name, f"{seconds:.1f}", f"{processor:.0f}", f"{seconds / d['runner_s']:.2f}"])
    work = f"{d['queries']} queries x {d['segments']} segments of {d['segment_rows']:,}"
    return _table([work, "seconds", "processor seconds", "jobs are so many times as fast"], rows)


def _chain() -> str:
    rows = []
    for preset in ("onchain", "onchain-proven"):
        for d in _load(f"chain_{preset.replace('-', '_')}")["statements"]:
            sizes = [f"{d['felts']:,}", f"{d['bytecode_felts']:,}", f"{d['declare_l2_gas'] / 1e6:,.0f}"]
            rows.append([d["label"], f"`{preset}`", f"**{d['l2_gas'] / 1e6:,.0f}**", *sizes])
    for other in _load("chain_onchain")["published_by_others"]:
        gas = "" if other["l2_gas"] is None else f"{other['l2_gas'] / 1e6:,.0f}"
        felts = "" if other["felts"] is None else f"{other['felts']:,}"
        rows.append([other["name"], "published by its authors", gas, felts, "", ""])
    return _table(["statement", "preset", "M gas", "felts of calldata", "CASM felts", "declare, M gas"], rows)


def main() -> None:
    from octoproof.cli.plots import draw_comparisons
    from octoproof.files import write_atomically

    for page in (PAGE, SCALE, CHAIN):
        write_atomically(page, render(page.read_text()))
    draw_comparisons([RESULTS / f"{name}.json" for name in DRAWN], PAGE.with_suffix(".png"))


if __name__ == "__main__":
    main()
