"""Records what verifying on Starknet costs, for the tables of docs/chain.md.

    python benchmarks/chain.py [--only STATEMENT...] [--log-size 16] [--presets onchain onchain-proven]

Needs starknet-devnet, cargo and Cairo's core library; says which of them is missing. Gas does not depend on the
machine. Every preset's output goes to benchmarks/results/chain_PRESET.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from octoproof.cli.chain_bench import STATEMENTS, YARDSTICKS, measure
from octoproof.files import write_atomically
from octoproof.starknet.presets import ONCHAIN

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=STATEMENTS, default=STATEMENTS)
    parser.add_argument("--log-size", type=int, default=16, help="log2 of the rows")
    parser.add_argument("--presets", nargs="*", choices=ONCHAIN, default=ONCHAIN)
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for preset in arguments.presets:
        rows = list(measure(arguments.only, arguments.log_size, preset))
        found = {"preset": preset, "statements": rows, "published_by_others": list(YARDSTICKS)}
        write_atomically(RESULTS / f"chain_{preset.replace('-', '_')}.json", json.dumps(found, indent=1) + "\n")
        for row in rows:
            print(f"{preset}: {row['label']}: {row['l2_gas']:,} L2 gas, {row['felts']:,} felts")


if __name__ == "__main__":
    main()
