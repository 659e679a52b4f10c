"""The estimate covers what a proof takes, and a proof that cannot fit is refused before it starts."""

import json
import os
import subprocess
import sys

import pytest

from air.statements.native import native
from prover import memory
from prover.cpu import CpuBackend
from prover.prove import prove
from verifier.config import PRESETS

MEASURE = """
import json, sys
from pathlib import Path
from air.statements.native import native
from prover.cpu import CpuBackend
from prover.memory import estimate
from prover.prove import prove
from verifier.config import PRESETS
made = native(json.loads(sys.argv[1]))
columns = made.main()
prove(made.air, made.preprocessed(), columns, config=PRESETS["bench"], backend=CpuBackend(1),
      statement_u64=made.statement_u64)
# Not getrusage: that would count what the parent held when it forked.
(peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(int(peak) * 1024, estimate(made.air, PRESETS["bench"]))
"""


@pytest.mark.parametrize(
    "document",
    [
        {"name": "wide_fib", "components": [{"log_size": 17, "n_cols": 64}]},
        {"name": "plonk", "log_size": 18, "a0": 1, "b0": 1},
    ],
    ids=lambda d: d["name"],
)
def test_the_estimate_is_a_bound_and_no_gross_one(document):
    command = [sys.executable, "-c", MEASURE, json.dumps(document)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.getcwd()})
    assert done.returncode == 0, done.stderr[-2000:]
    peak, estimate = map(int, done.stdout.split())
    assert peak <= estimate <= 2 * peak, f"peak {peak / 1e6:.0f} MB, estimate {estimate / 1e6:.0f} MB"


def test_a_proof_that_cannot_fit_is_refused_with_both_figures(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    made = native({"name": "wide_fib", "components": [{"log_size": 22, "n_cols": 100}]})
    with pytest.raises(MemoryError, match=r"needs about \d+\.\d GB and 1\.0 GB are free"):
        prove(made.air, [], [], config=PRESETS["bench"], backend=CpuBackend(1))
