"""`octoproof bench`: how fast this machine proves, kernel by kernel and side by side with Stwo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, application, megabytes, print_json, print_table

app = application("Measure the prover, also side by side with Stwo.")

Json = Annotated[bool, JSON_OPTION]
MIN_ROUNDS = 5


@app.command("compare")
def compare_provers(
    oracle: Annotated[Path, typer.Option("--oracle", help="The Rust oracle, built without its `parallel` feature.")],
    oracle_parallel: Annotated[
        Path | None, typer.Option("--oracle-parallel", help="The build with `parallel`; looked for beside the other.")
    ] = None,
    air: Annotated[str, typer.Option("--air", help="wide_fib, row_fib, range_check or plonk.")] = "wide_fib",
    columns: Annotated[int, typer.Option("--columns", min=1, help="Main columns, for AIRs with a width.")] = 100,
    log_size: Annotated[int, typer.Option("--log-size", min=4, max=24, help="log2 of the rows.")] = 16,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of both provers.")] = 1,
    repeat: Annotated[int, typer.Option("--repeat", min=MIN_ROUNDS, help="Rounds, alternately.")] = MIN_ROUNDS,
    as_json: Json = False,
) -> None:
    """Proves the same statement with Stwo and with ours; exit 1 if the proofs differ."""
    from octoproof.cli.compare import compare, parallel_build
    from octoproof.cli.examples import FAMILIES
    from verifier.config import PRESETS
    from verifier.spec import config_to_json

    family = FAMILIES.get(air)
    if family is None or family.document is None:
        names = ", ".join(name for name, f in FAMILIES.items() if f.document is not None)
        raise typer.BadParameter(f"known are {names}", param_hint="--air")
    build = oracle
    if threads > 1:
        found = oracle_parallel or parallel_build(oracle)
        if found is None:
            raise typer.BadParameter("needed for more than one thread", param_hint="--oracle-parallel")
        build = found
    document = family.document(log_size, columns)
    spec = {
        "air": document,
        "channel": "blake2s",
        "config": config_to_json(PRESETS["bench"]),
        "mix_config": True,
        "statement_u64": list(family.example(log_size, columns).statement_u64),
    }
    report = compare(spec, build, threads, repeat, lambda text: print(text, file=sys.stderr))
    report["air"] = document
    if as_json:
        print_json(report)
    else:
        _print(report, f"{air}, 2^{log_size} rows, {threads} thread{'s' * (threads > 1)}")


def _print(report: dict[str, Any], title: str) -> None:
    ours, stwo = report["ours"], report["stwo"]
    rows = [
        (phase["name"], phase["ours_ms"], phase["stwo_ms"]) for phase in report["phases"] if phase["name"] != "grind"
    ]
    rows.append(("total", ours["best_ms"], stwo["best_ms"]))
    rows.append(("grinding, not in total", ours["grind_ms"], stwo["grind_ms"]))
    print_table(("ms, best run", "octoproof", "stwo 2.3.0"), rows, title)
    print(f"runs of octoproof: {', '.join(f'{ms:,.1f}' for ms in ours['runs_ms'])} ms")
    print(f"runs of stwo:      {', '.join(f'{ms:,.1f}' for ms in stwo['runs_ms'])} ms")
    print(f"memory {megabytes(ours['peak_rss_bytes'])} MB against {megabytes(stwo['peak_rss_bytes'])} MB")
    print(f"proof  {stwo['proof_bytes']:,} bytes as Stwo counts, {ours['proof_json_bytes']:,} bytes of JSON, the same")
    print(f"ratio of minima {report['ratio']:.2f}")


@app.command("cpu")
def cpu(
    log_size: Annotated[int, typer.Option("--log-size", min=10, max=24, help="log2 of the length.")] = 18,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads.")] = 1,
    as_json: Json = False,
) -> None:
    """The kernels one by one, in millions of elements (or hashes) a second."""
    from octoproof.cli.kernels import measure

    rows = measure(log_size, threads)
    if as_json:
        print_json(rows)
    else:
        columns = ("kernel", "elements", "ms", "M/s")
        print_table(columns, [(r["kernel"], r["elements"], r["ms"], r["millions_per_s"]) for r in rows])
