"""What `bench verify` and `bench query` measure: whole jobs as users run them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import numpy as np

from air.statements.native import native
from octoproof.accepted import accepted
from octoproof.device import backend
from octoproof.files import write_atomically
from octoproof.measure import peak_memory
from octoproof.vectors.build import build_snapshot
from octoproof.vectors.load import load_arrays
from octoproof.vectors.query import Trees, ask, prove_answer, quantise_query
from prover.prove import prove
from verifier.config import PRESETS
from verifier.proof import proof_to_json
from verifier.receipt import verify
from verifier.spec import config_to_json, spec_from_json
from verifier.stark import verify_stark
from verifier.wire import proof_to_wire

PROCESSES = 3  # whole processes that verify; the fastest counts


def measure_verification(log_size: int, columns: int, preset: str, repeat: int) -> dict[str, Any]:
    """Milliseconds of verifying one proof of wide_fib: warm in this process by phase, and as a whole process."""
    document = {"name": "wide_fib", "components": [{"log_size": log_size, "n_cols": columns}]}
    config, made = PRESETS[preset], native(document)
    with backend() as device:
        proved = prove(made.air, [], made.main(), config=config, backend=device, statement_u64=made.statement_u64)


    text = json.dumps(
        {
            "air": document,
            "channel": "blake2s",
            "config": config_to_json(config),
            "mix_config": True,
            "statement_u64": list(made.statement_u64),
        }
    )
    spec = spec_from_json(text)
    runs = []
    for _ in range(repeat):
        started = perf_counter()
        checks = verify_stark(spec, proved.proof)
        runs.append(((perf_counter() - started) * 1e3, checks))
    best, checks = min(runs, key=lambda run: run[0])
    with tempfile.TemporaryDirectory(prefix="octoproof-bench-") as folder:
        spec_file, proof_file = Path(folder) / "spec.json", Path(folder) / "proof.json"
        write_atomically(spec_file, text)
        write_atomically(proof_file, proof_to_json(proved.proof, "blake2s"))
        command = [sys.executable, "-m", "octoproof", "stark", "verify", str(spec_file), str(proof_file)]
        process = min(_seconds(command) for _ in range(PROCESSES))
    return {
        "warm_ms": best,
        "warm_median_ms": median(ms for ms, _ in runs),
        "process_ms": process * 1e3,
        "phases_ms": {check.name: check.ms for check in checks},
        "proof_bytes": len(proof_to_wire(proved.proof, "blake2s")),
        "preset": preset,
    }


def _seconds(command: list[str]) -> float:
    started = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return perf_counter() - started


def measure_queries(
    file: Path | None,
    rows: int,
    dimension: int,
    segment_rows: int,
    k: int,
    queries: int,
    preset: str,
    threads: int | None,
) -> dict[str, Any]:
    """Seconds of every step of so many queries; the first one, which may compile kernels, is asked once before."""
    rng = np.random.default_rng(7)
    vectors = load_arrays(str(file)).vectors if file else rng.standard_normal((rows, dimension), dtype=np.float32)
    steps: dict[str, list[float]] = {"search": [], "prove": [], "verify": []}
    trees: Trees = {}
    with tempfile.TemporaryDirectory(prefix="octoproof-bench-") as folder, backend(threads) as device:
        started = perf_counter()
        target = Path(folder) / "snapshot"
        snapshot = build_snapshot(vectors, target, segment_rows=segment_rows, presets=(preset,))
        build = perf_counter() - started
        chosen = rng.integers(0, len(vectors), queries + 1)
        receipt = b""
        for number, row in enumerate(chosen):
            coordinates = quantise_query(snapshot, vectors[row])
            times = [perf_counter()]
            answer = ask(snapshot, coordinates, k)
            times.append(perf_counter())
            receipt = prove_answer(snapshot, answer, preset, backend=device, trees=trees)
            times.append(perf_counter())
            verify(receipt, accepted(), min_conjectured=0.0)
            times.append(perf_counter())
            if number:
                for name, a, b in zip(steps, times, times[1:], strict=False):
                    steps[name].append(b - a)
    return {
        "rows": len(vectors),
        "dimension": int(vectors.shape[1]),
        "segments": len(snapshot.segments),
        "preset": preset,
        "seconds": {"build": _spread([build])} | {name: _spread(values) for name, values in steps.items()},
        "receipt_bytes": len(receipt),
        "peak_rss_bytes": peak_memory(),
    }


def _spread(values: list[float]) -> dict[str, float]:
    p95 = quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
    return {"min": min(values), "p50": median(values), "p95": p95}
