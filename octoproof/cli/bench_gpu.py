"""`octoproof bench gpu`: whole proofs on a card, stage by stage, beside the CPU and what others have published."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, print_json, print_table

if TYPE_CHECKING:
    from gpu.device import Device

WORKLOADS = ("wide_fib", "poseidon2", "topk")
LEAST_RUNS = 3  # after run 0, which is discarded

# Whole proofs in ms by log2 of the instances (a row of wide_fib, a permutation of Poseidon2), as their authors report
# them: Blake2s channel, 100 columns for wide_fib; their Poseidon AIR has 158 columns of degree 5, ours 300 of degree 3.
PUBLISHED = {
    "wide_fib": {
        "NitrooZK, RTX 4090 (older table)": {16: 19, 18: 23, 20: 37, 22: 91, 23: 164},
        "NitrooZK, RTX 4090 (newer table)": {18: 47, 20: 87, 22: 254, 23: 488},
        "Stwo SIMD, EPYC 9224 16 cores (older table)": {16: 92, 18: 237, 20: 756, 22: 2923, 23: 6132, 24: 12142},
    },
    "poseidon2": {
        "NitrooZK, RTX 4090 (older table)": {16: 183, 18: 217, 20: 302, 22: 561},
        "Stwo SIMD, EPYC 9224 16 cores (older table)": {16: 279, 18: 567, 20: 1789, 22: 8100},
    },
    "topk": {},
}


def gpu(
    air: Annotated[str, typer.Option("--air", help="wide_fib, poseidon2 or topk.")] = "wide_fib",
    columns: Annotated[int, typer.Option("--columns", min=3, help="Of wide_fib; the dimension of topk.")] = 100,
    first: Annotated[int, typer.Option("--from-log", min=5, max=26, help="log2 of the fewest rows.")] = 16,
    last: Annotated[int, typer.Option("--to-log", min=5, max=26, help="log2 of the most rows.")] = 20,
    preset: Annotated[str, typer.Option("--preset", help="Parameters of the proofs.")] = "bench",
    repeat: Annotated[int, typer.Option("--repeat", min=LEAST_RUNS, help="Warm runs of each size.")] = LEAST_RUNS,
    cpu_up_to: Annotated[int, typer.Option("--cpu-up-to", help="log2 of the most rows that the CPU proves, too.")] = 20,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Whole proofs on the card, cold and warm, by stage; needs a card."""
    from octoproof.device import DeviceError, card
    from verifier.config import PRESETS

    if air not in WORKLOADS:
        raise typer.BadParameter(f"known are {', '.join(WORKLOADS)}", param_hint="--air")
    if preset not in PRESETS:
        raise typer.BadParameter(f"known are {', '.join(PRESETS)}", param_hint="--preset")
    device = card()
    if isinstance(device, str):
        raise DeviceError(f"device: {device}")
    sizes = range(first, last + 1)
    report = measure(device, air, columns, sizes, preset, repeat, cpu_up_to, lambda text: print(text, file=sys.stderr))
    if as_json:
        print_json(report)
    else:
        show(report)


def measure(
    device: Device,
    air: str,
    columns: int,
    sizes: range,
    preset: str,
    repeat: int,
    cpu_up_to: int,
    tell: Any = lambda text: None,
) -> dict[str, Any]:
    """The report: every size with its runs, or with the message where the card's memory did not do."""
    from octoproof.cli.card_runs import copy_bandwidth, run_cpu, run_size, workload
    from octoproof.cli.doctor import report as machine
    from verifier.config import PRESETS

    bandwidth, found = copy_bandwidth(device), []
    for log_size in sizes:
        tell(f"{air}, 2^{log_size} rows")
        made = workload(air, log_size, columns)
        entry: dict[str, Any] = {"log_size": log_size, "log_instances": made.log_instances}
        try:
            entry |= run_size(device, made, PRESETS[preset], repeat, bandwidth)
        except MemoryError as error:
            entry["out_of_memory"] = " ".join(f"{error}".split())
        if log_size <= cpu_up_to:
            entry |= run_cpu(made, PRESETS[preset], repeat, entry.pop("proof", None))
        entry.pop("proof", None)
        entry["published_other_hardware"] = {
            name: rows[made.log_instances] for name, rows in PUBLISHED[air].items() if made.log_instances in rows
        }
        found.append(entry)
    return {
        "card": device.name,
        "copy_gb_per_s": bandwidth / 1e9,
        "machine": machine()["machine"],
        "air": air,
        "columns": columns,
        "preset": preset,
        "sizes": found,
    }


def show(report: dict[str, Any]) -> None:
    """One line a size, then the stages of the largest that fitted."""
    names = ("2^n rows", "warm ms", "cold ms", "CPU ms", "times", "published, other hardware: ms")
    rows = []
    for size in report["sizes"]:
        warm, cpu = size.get("warm_ms"), size.get("cpu_ms")
        published = "; ".join(f"{ms:,} {name}" for name, ms in size["published_other_hardware"].items())
        times = None if warm is None or cpu is None else cpu / warm
        state = "out of memory" if "out_of_memory" in size else warm
        rows.append((size["log_size"], state, size.get("cold_ms"), cpu, times, published or "-"))
    title = f"{report['card']}, {report['air']}, {report['columns']} columns, {report['preset']}"
    print_table(names, rows, title)
    fitting = [size for size in report["sizes"] if "stages" in size]
    if fitting:
        stages = [(s["name"], s["ms"], s["bytes"], s["gb_per_s"], s["of_copy"]) for s in fitting[-1]["stages"]]
        print_table(("stage", "ms", "bytes", "GB/s", "of copy"), stages, f"2^{fitting[-1]['log_size']} rows, warm")
    print(f"a copy in the card's memory moves {report['copy_gb_per_s']:,.0f} GB/s")
    for size in report["sizes"]:
        if "out_of_memory" in size:
            print(f"2^{size['log_size']}: {size['out_of_memory']}")
