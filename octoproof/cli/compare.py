"""Our prover and the Rust oracle (Stwo's SIMD prover) on one statement, alternately, each in its own processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifier.errors import ParseError, VerificationError

# Our phases and the tracing spans of Stwo that do the same work; openings are what is left of its total.
SPANS = {
    "preprocessed": ("commit preprocessed",),
    "trace": ("commit trace",),
    "interaction": ("interaction trace gen", "commit interaction"),
    "constraints": ("prove_ex/Composition/Generation",),
    "composition": ("prove_ex/Composition/Commitment",),
    "sampling": ("prove_ex/Evaluate columns out of domain",),
    "quotients": ("prove_ex/Compute FRI quotients",),
    "fri": ("prove_ex/commit",),
    "grind": ("prove_ex/Grind",),
}
GRIND = "grind"
RUNS_PER_PROCESS = 3  # the first run of a process also pays for fresh memory, on both sides


@dataclass(frozen=True)
class Side:
    """All runs of one prover. Milliseconds without grinding, which is luck and not work."""

    best_ms: float
    runs_ms: list[float]
    phases_ms: dict[str, float]
    peak_rss_bytes: int
    proof_json_bytes: int

    def document(self) -> dict[str, Any]:
        return {
            "best_ms": self.best_ms,
            "runs_ms": self.runs_ms,
            "grind_ms": self.phases_ms.get(GRIND, 0.0),
            "peak_rss_bytes": self.peak_rss_bytes,
            "proof_json_bytes": self.proof_json_bytes,
        }


def compare(
    spec: dict[str, Any], trace: bytes | None, oracle: Path, threads: int, rounds: int, note: Callable[[str], None]
) -> dict[str, Any]:
    """Runs both provers `rounds` times and returns the report; `trace` goes with AIRs that bring no columns.

    Raises VerificationError if their proofs differ."""
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory(prefix="octoproof-bench-") as folder:
        spec_file, ours_file, stwo_file = (Path(folder) / name for name in ("spec.json", "ours.json", "stwo.json"))
        spec_file.write_text(json.dumps(spec))
        repeat = ["--repeat", str(RUNS_PER_PROCESS), "--json"]
        if trace is not None:
            (Path(folder) / "trace.bin").write_bytes(trace)
            repeat += ["--trace", str(Path(folder) / "trace.bin")]
        stwo_command = [str(oracle), "prove", "--spec", str(spec_file), "--out", str(stwo_file), *repeat]
        ours_command = [sys.executable, "-m", "octoproof", "stark", "prove", str(spec_file), "--out", str(ours_file)]
        ours_command += ["--device", "cpu", "--threads", str(threads), *repeat]
        stwo_reports, ours_reports = [], []
        for index in range(rounds):
            note(f"round {index + 1} of {rounds}")
            stwo_reports.append(_report(stwo_command, environment))
            ours_reports.append(_report(ours_command, environment))
        same = json.loads(ours_file.read_bytes()) == json.loads(stwo_file.read_bytes())
    if stwo_reports[0]["threads"] != threads:
        used = stwo_reports[0]["threads"]
        raise ParseError(f"--oracle: this build uses {used} threads, not {threads}; see --oracle-parallel")
    if not same:
        raise VerificationError("both provers ran, but their proofs differ")
    ours = side(ours_reports, lambda report: report["phases_ms"])
    stwo = side(stwo_reports, stwo_phases)
    return {
        "ratio": ours.best_ms / stwo.best_ms,
        "ours": ours.document(),
        "stwo": {**stwo.document(), "proof_bytes": stwo_reports[0]["proof_bytes"]},
        "phases": [
            {"name": name, "ours_ms": ours.phases_ms.get(name), "stwo_ms": stwo.phases_ms.get(name)}
            for name in dict.fromkeys((*ours.phases_ms, *stwo.phases_ms))
        ],
        "same_proof": same,
        "threads": threads,
    }


def side(reports: Sequence[Mapping[str, Any]], phases: Callable[[Mapping[str, Any]], dict[str, float]]) -> Side:
    """The fastest process counts for the phases. A run's grinding is nearly the same every time: same transcript."""
    best = min(reports, key=lambda report: report["total_ms"])
    best_phases = phases(best)
    grind = best_phases.get(GRIND, 0.0)
    return Side(
        best_ms=best["total_ms"] - grind,
        runs_ms=[run - grind for report in reports for run in report["runs_ms"]],
        phases_ms=best_phases,
        peak_rss_bytes=max(report["peak_rss_bytes"] for report in reports),
        proof_json_bytes=best["proof_json_bytes"],
    )


def stwo_phases(report: Mapping[str, Any]) -> dict[str, float]:
    """Stwo's spans under our names."""
    spans = report["phases_ms"]
    phases = {ours: sum(spans[t] for t in theirs) for ours, theirs in SPANS.items() if theirs[0] in spans}
    phases["openings"] = max(0.0, report["total_ms"] - sum(phases.values()))
    return phases


def parallel_build(oracle: Path) -> Path | None:
    """The oracle built with its `parallel` feature, beside the one without."""
    if len(oracle.parents) < 2:
        return None
    target = oracle.resolve().parents[1]
    folders = (target.with_name(f"{target.name}-par"), target.with_name("target-par"))
    found = (folder / oracle.resolve().parent.name / oracle.name for folder in folders)
    return next((path for path in found if path.is_file()), None)


def _report(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """What the command prints as JSON."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=dict(environment), check=False)
    except OSError as error:
        raise ParseError(f"{command[0]}: cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise ParseError(f"{Path(command[0]).name} failed with exit code {done.returncode}: {lines[-1]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report
