"""Records what docs/gpu.md says is to be measured on a card.

    python benchmarks/gpu.py [--only NAME...] [--repeat N]

Every run is one `octoproof bench gpu ... --json`; its output, which names the card, goes to
benchmarks/results/gpu_CARD_NAME.json. Needs a card, and a machine that does nothing else. Stwo's time on the same host
comes from `octoproof bench compare` with all cores (benchmarks/record.py).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from octoproof.files import write_atomically

RESULTS = Path(__file__).parent / "results"
RUNS = {
    "wide_fib": ("--air", "wide_fib", "--from-log", "16", "--to-log", "26", "--cpu-up-to", "22"),
    "poseidon2": ("--air", "poseidon2", "--from-log", "13", "--to-log", "19", "--cpu-up-to", "16"),
    "topk": ("--air", "topk", "--from-log", "16", "--to-log", "23", "--cpu-up-to", "20"),
    # Where the CPU is faster: what `auto` goes by.
    "small": ("--air", "wide_fib", "--from-log", "8", "--to-log", "16", "--cpu-up-to", "16"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--repeat", default="5")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in arguments.only:
        print(name, flush=True)
        command = [sys.executable, "-m", "octoproof", "bench", "gpu", *RUNS[name], "--repeat", arguments.repeat]
        done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(done.returncode)
        report = json.loads(done.stdout)
        card = re.sub(r"\W+", "_", report["card"]).strip("_").lower()
        write_atomically(RESULTS / f"gpu_{card}_{name}.json", json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
