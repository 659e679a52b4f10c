"""What one part of a job costs, by the size of its segment: the measured side of docs/scale.md.

    python benchmarks/parts.py [--rows 14 16 18 20]

One thread, preset `standard`, 100 dimensions, minima of five; prints JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from octoproof.cli.queries import vectors_of
from octoproof.device import backend
from octoproof.vectors.build import build_snapshot
from octoproof.vectors.claims import proven_claims
from octoproof.vectors.prove import Trees, committed, prove_part
from octoproof.vectors.query import ask, quantise_query
from octoproof.vectors.receipts import QueryReceipt
from octoproof.vectors.snapshot import preset_key
from prover.memory import estimate
from verifier.config import PRESETS
from verifier.receipt import Receipt, write_receipt

REPEAT = 5


def fastest(work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds of the fastest of five runs, what it returned)."""
    times, out = [], None
    for _ in range(REPEAT):
        started = perf_counter()
        out = work()
        times.append(perf_counter() - started)
    return min(times), out


def measure(log_rows: int) -> dict[str, Any]:
    """Costs of one part over 2^log_rows rows."""
    vectors, key, config = vectors_of(None, 1 << log_rows, 100), preset_key("standard"), PRESETS["standard"]
    with tempfile.TemporaryDirectory(prefix="octoproof-bench-") as folder, backend(1) as device:
        snapshot = build_snapshot(vectors, Path(folder) / "s", segment_rows=1 << log_rows)
        query = quantise_query(snapshot, vectors[7])
        answer = ask(snapshot, query)
        (claim,) = proven_claims(answer)
        commit_s, _ = fastest(lambda: committed(snapshot.segments[0], key, device, Trees(0)))
        trees = Trees(1 << 40)
        prove_s, part = fastest(lambda: prove_part(claim, key, config, backend=device, trees=trees))
        receipt = QueryReceipt(write_receipt(Receipt((part,))))
        verify_s, _ = fastest(lambda: receipt.verify(snapshot.root))
        search_s, _ = fastest(lambda: ask(snapshot, query))
    return {
        "rows": 1 << log_rows,
        "search_s": search_s,
        "commit_s": commit_s,
        "prove_s": prove_s,
        "verify_s": verify_s,
        "part_bytes": len(receipt),
        "memory_bytes": estimate(claim[1].air(), config),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[12, 14, 16, 18, 20], help="log2 of rows")
    print(json.dumps([measure(log_rows) for log_rows in parser.parse_args().rows], indent=2))


if __name__ == "__main__":
    main()
