"""Records the benchmark runs that docs/performance.md is made of.

    python benchmarks/record.py --oracle STWO_ORACLE [--oracle-parallel STWO_ORACLE] [--words FILE] [--only NAME...]
        [--repeat N]

Every run is one `octoproof bench ... --json`; its output goes to benchmarks/results/NAME.json, beside machine.json.
Run it on a machine that does nothing else. Afterwards: python benchmarks/report.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

RESULTS, PARTS = Path(__file__).parent / "results", Path(__file__).with_name("parts.py")

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
    "query_made_up_341k": ("query", "--rows", "341479", "--queries", "10"),
    "query_made_up_1m": ("query", "--rows", "1048576", "--queries", "7"),
    "query_ivf_1m": ("query", "--rows", "1048576", "--cells", "1024", "--mode", "ivf", "--queries", "20"),
    "query_fast_1m": ("query", "--rows", "1048576", "--mode", "fast", "--queries", "50"),
    "query_candidates_1m": ("query", "--rows", "1048576", "--mode", "candidates", "--queries", "50"),
    "snapshot_1m": ("snapshot", "--rows", "1048576"),
}
# Over a file of real vectors: .npz with 65,536 x 100 of GloVe's words.
WORDS = {
    "query_words_4_segments": ("query", "--segment-rows", "16384", "--queries", "40"),
    "query_words_l2": ("query", "--queries", "3", "--searches", "200"),
    "query_words_ip": ("query", "--metric", "ip", "--queries", "3", "--searches", "200"),
    "query_words_cosine": ("query", "--metric", "cosine", "--queries", "3", "--searches", "200"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", help="the Rust oracle, for the runs beside it")
    parser.add_argument("--oracle-parallel", help="its build with the `parallel` feature")
    parser.add_argument("--words", help="65,536 word vectors")
    parser.add_argument("--only", nargs="*", default=[*COMPARISONS, *OTHERS, *WORDS, "parts"])
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
        elif name in WORDS:
            _record(name, ["bench", *WORDS[name], "--vectors", arguments.words])
        elif name == "parts":
            (RESULTS / "parts.json").write_bytes(subprocess.check_output([sys.executable, PARTS]))
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
