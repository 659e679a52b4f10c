"""Records the benchmark runs that docs/performance.md is made of.

    python benchmarks/record.py --oracle STWO_ORACLE [--oracle-parallel STWO_ORACLE] [--only NAME...] [--repeat N]

Every run is one `octoproof bench ... --json`; its output goes to benchmarks/results/NAME.json, beside machine.json.
Run it on a machine that does nothing else. Afterwards: python benchmarks/report.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"

COMPARISONS = {
    "wide_fib_20": ("wide_fib", 20, 1),
    "wide_fib_20_2_threads": ("wide_fib", 20, 2),
    "wide_fib_18": ("wide_fib", 18, 1),
    "wide_fib_18_2_threads": ("wide_fib", 18, 2),
    "wide_fib_16": ("wide_fib", 16, 1),
    "wide_fib_16_2_threads": ("wide_fib", 16, 2),
    "wide_fib_12": ("wide_fib", 12, 1),
    "plonk_18": ("plonk", 18, 1),
    "range_check_18": ("range_check", 18, 1),
    "poseidon2_13": ("poseidon2", 13, 1),
}
OTHERS = {
    "kernels": ("cpu", "--log-size", "20"),
    "verify_20": ("verify", "--log-size", "20"),
    "query_made_up_64k": ("query", "--rows", "65536", "--queries", "20"),
    "query_made_up_1m": ("query", "--rows", "1048576", "--segment-rows", "1048576", "--queries", "5"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", required=True, help="the Rust oracle")
    parser.add_argument("--oracle-parallel", required=True, help="its build with the `parallel` feature")
    parser.add_argument("--only", nargs="*", default=[*COMPARISONS, *OTHERS])
    parser.add_argument("--repeat", default="5")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    _record("machine", ["doctor"])
    for name in arguments.only:
        if name in COMPARISONS:
            air, log_size, threads = COMPARISONS[name]
            command = ["bench", "compare", "--oracle", arguments.oracle, "--oracle-parallel", arguments.oracle_parallel]
            command += ["--air", air, "--log-size", str(log_size), "--threads", str(threads)]
            columns = {"poseidon2": "300"}.get(air, "100")
            _record(name, [*command, "--columns", columns, "--repeat", arguments.repeat])
        else:
            _record(name, ["bench", *OTHERS[name]])


def _record(name: str, command: list[str]) -> None:
    print(name, flush=True)
    done = subprocess.run([sys.executable, "-m", "octoproof", *command, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"  failed with exit code {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
        return
    document = json.loads(done.stdout)
    if name == "machine":
        document.pop("kernels")  # where they lie is nobody's business
    if isinstance(document, dict) and "ratio" in document:
        print(f"  ratio {document['ratio']:.2f}")
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
