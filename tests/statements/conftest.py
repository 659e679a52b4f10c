"""Proving an AIR with its columns by the Rust oracle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from air.circle import Column
from air.export import air_to_json
from air.layout import Air
from air.relation import PublicTerm
from octoproof.trace_file import trace_bytes

CONFIG = {"pow_bits": 5, "log_blowup_factor": 1, "log_last_layer_degree_bound": 0, "n_queries": 3, "fold_step": 1}

Judge = Callable[[Air, Sequence[Column], Sequence[Column], Sequence[PublicTerm]], str]


@pytest.fixture
def judge(oracle: Path, tmp_path: Path) -> Judge:
    """judge(air, tree 0, main, public terms) is "ACCEPTED", or why Stwo refuses to prove or to verify."""

    def run(air: Air, pre: Sequence[Column], main: Sequence[Column], terms: Sequence[PublicTerm]) -> str:
        spec = {
            "air": {"name": "expr", "json": air_to_json(air)},
            "channel": "blake2s",
            "config": CONFIG,
            "mix_config": True,
            "statement_u64": [1, 2, 3],
            "claimed_sums": [],
            "public_terms": [
                {"relation": t.relation, "multiplicity": t.multiplicity, "values": list(t.values)} for t in terms
            ],
        }
        files = {name: str(tmp_path / name) for name in ("spec", "trace", "proof", "out")}
        Path(files["spec"]).write_text(json.dumps(spec))
        Path(files["trace"]).write_bytes(trace_bytes(list(pre), list(main)))
        command = ["prove", "--spec", files["spec"], "--trace", files["trace"]]
        command += ["--out", files["proof"], "--out-spec", files["out"]]
        proved = subprocess.run([oracle, *command], capture_output=True, text=True)
        if proved.returncode != 0:
            return proved.stderr.strip()
        verified = subprocess.run([oracle, "verify", files["out"], files["proof"]], capture_output=True, text=True)
        return verified.stdout.strip()

    return run
