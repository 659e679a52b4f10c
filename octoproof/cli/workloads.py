"""What `bench verify` measures: one proof, verified as users verify."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from air.statements.native import native
from octoproof.device import backend
from octoproof.files import write_atomically
from prover.prove import prove
from verifier.config import PRESETS
from verifier.proof import proof_to_json
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
