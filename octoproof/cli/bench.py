"""`octoproof bench`: how fast this machine proves, kernel by kernel and side by side with Stwo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from octoproof.cli.bench_gpu import gpu
from octoproof.cli.chain_bench import chain
from octoproof.cli.console import DEVICE_OPTION, JSON_OPTION, application, megabytes, print_json, print_table

app = application("Measure the prover, also side by side with Stwo.")
app.command("gpu")(gpu)
app.command("chain")(chain)

Json = Annotated[bool, JSON_OPTION]
MIN_ROUNDS = 5


@app.command("compare")
def compare_provers(
    oracle: Annotated[Path, typer.Option("--oracle", help="The Rust oracle, built without its `parallel` feature.")],
    oracle_parallel: Annotated[
        Path | None, typer.Option("--oracle-parallel", help="The build with `parallel`; looked for beside the other.")
    ] = None,
    air: Annotated[str, typer.Option("--air", help="One of `air list`.")] = "wide_fib",
    columns: Annotated[int, typer.Option("--columns", min=1, help="Main columns, for AIRs with a width.")] = 100,
    log_size: Annotated[int, typer.Option("--log-size", min=4, max=24, help="log2 of the rows.")] = 16,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of both provers.")] = 1,
    repeat: Annotated[int, typer.Option("--repeat", min=MIN_ROUNDS, help="Rounds, alternately.")] = MIN_ROUNDS,
    as_json: Json = False,
) -> None:
    """Proves the same statement with Stwo and with ours; exit 1 if the proofs differ."""
    from octoproof.cli.compare import compare, parallel_build
    from octoproof.cli.examples import FAMILIES
    from octoproof.trace_file import trace_bytes
    from verifier.config import PRESETS
    from verifier.spec import Spec, spec_to_json

    if air not in FAMILIES:
        raise typer.BadParameter(f"known are {', '.join(FAMILIES)}", param_hint="--air")
    build = oracle
    if threads > 1:
        found = oracle_parallel or parallel_build(oracle)
        if found is None:
            raise typer.BadParameter("needed for more than one thread", param_hint="--oracle-parallel")
        build = found
    family = FAMILIES[air]
    example = family.example(log_size, columns)
    terms = tuple(example.public_terms) if family.document is None else ()
    statement = Spec(example.air, "blake2s", PRESETS["bench"], True, tuple(example.statement_u64), public_terms=terms)
    spec, trace = spec_to_json(statement), None
    if family.document is not None:
        spec["air"] = family.document(log_size, columns)
    elif example.preprocessed is not None and example.main is not None:
        trace = trace_bytes(example.preprocessed(), example.main())
    report = compare(spec, trace, build, threads, repeat, lambda text: print(text, file=sys.stderr))
    report["air"] = {"name": air, "log_size": log_size, "columns": columns}
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


@app.command("verify")
def verify(
    log_size: Annotated[int, typer.Option("--log-size", min=4, max=24, help="log2 of the rows.")] = 16,
    columns: Annotated[int, typer.Option("--columns", min=3, help="Columns of the wide_fib trace.")] = 100,
    preset: Annotated[str, typer.Option("--preset", help="Parameters of the proof.")] = "standard",
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Verifications in this process.")] = 30,
    as_json: Json = False,
) -> None:
    """One proof, verified again and again in this process and in processes of its own."""
    from octoproof.cli.workloads import measure_verification

    report = measure_verification(log_size, columns, preset, repeat)
    if as_json:
        print_json(report)
        return
    rows = [(name, ms) for name, ms in report["phases_ms"].items()]
    title = f"wide_fib, {columns} x 2^{log_size}, {preset}, {report['proof_bytes']:,} bytes"
    print_table(("phase", "ms"), [*rows, ("warm, in this process, fastest", report["warm_ms"])], title)
    print(f"median {report['warm_median_ms']:.1f} ms; a process of its own takes {report['process_ms']:.0f} ms")


@app.command("query")
def query(
    vectors: Annotated[Path | None, typer.Option("--vectors", help="A file of vectors (else: made-up ones).")] = None,
    rows: Annotated[int, typer.Option("--rows", min=16, help="How many, if made up.")] = 1 << 14,
    dimension: Annotated[int, typer.Option("--dimension", min=1, help="Of made-up vectors.")] = 100,
    segment_rows: Annotated[int, typer.Option("--segment-rows", min=16, help="Rows of a segment.")] = 1 << 16,
    cells: Annotated[int, typer.Option("--cells", min=0, help="Cells of an index.")] = 0,
    mode: Annotated[str, typer.Option("--mode", help="strict, ivf, candidates or fast.")] = "strict",
    metric: Annotated[str, typer.Option("--metric", help="l2, ip or cosine (which normalises).")] = "l2",
    probes: Annotated[int | None, typer.Option("--probes", help="Cells that are searched (16).")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours asked for.")] = 10,
    queries: Annotated[int, typer.Option("--queries", min=1, help="How many are proven.")] = 10,
    searches: Annotated[int, typer.Option("--searches", min=1, help="How many are asked without a proof.")] = 100,
    preset: Annotated[str, typer.Option("--preset", help="Parameters of the proofs.")] = "standard",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the prover.")] = None,
    device: Annotated[str, DEVICE_OPTION] = "auto",
    as_json: Json = False,
) -> None:
    """The main job: commit to vectors, search, prove, verify; every answer is verified, and recall is counted."""
    from octoproof.cli.queries import Job, measure_queries

    job = Job(vectors, rows, dimension, segment_rows, cells, mode, metric, probes, k, preset)
    report = measure_queries(job, queries, searches, threads, lambda text: print(text, file=sys.stderr))
    if as_json:
        print_json(report)
        return
    title = f"{report['rows']:,} x {report['dimension']}, {report['segments']} segments, {mode}, k = {k}, {preset}"
    steps = [(name, s["min"], s["p50"], s["p95"]) for name, s in report["seconds"].items()]
    print_table(("seconds", "min", "P50", "P95"), steps, title)
    recall = report["recall"]
    print(f"recall of {k}: {recall['exact']:.3f} of the exact search, {recall['float32']:.3f} of exact float32 search")
    print(f"receipts of {report['receipt_bytes']:,} bytes, memory {megabytes(report['peak_rss_bytes'])} MB")


@app.command("snapshot")
def snapshot(
    vectors: Annotated[Path | None, typer.Option("--vectors", help="A file of vectors (else: made-up ones).")] = None,
    rows: Annotated[int, typer.Option("--rows", min=16, help="How many, if made up.")] = 1 << 17,
    dimension: Annotated[int, typer.Option("--dimension", min=1, help="Of made-up vectors.")] = 100,
    appended: Annotated[int, typer.Option("--appended", min=1, help="Vectors that are appended.")] = 10_000,
    device: Annotated[str, DEVICE_OPTION] = "auto",
    as_json: Json = False,
) -> None:
    """What commitments cost: build, row root, one changed row, append, delete, certify one segment."""
    from octoproof.cli.queries import measure_snapshot

    report = measure_snapshot(vectors, rows, dimension, appended, lambda text: print(text, file=sys.stderr))
    if as_json:
        print_json(report)
        return
    print_table(("step", "seconds"), list(report["seconds"].items()), f"{report['rows']:,} x {report['dimension']}")
    print(
        f"certificate of one segment: {report['certificate_bytes']:,} bytes, verified in {report['verify_ms']:.0f} ms"
    )
    print(f"memory {megabytes(report['peak_rss_bytes'])} MB")


@app.command("plot")
def plot(
    reports: Annotated[list[Path], typer.Argument(help="Results of `bench compare --json`.")],
    out: Annotated[Path, typer.Option("--out", help="The picture: .png or .svg.")],
) -> None:
    """Draws the phases of both provers side by side."""
    from octoproof.cli.plots import draw_comparisons

    draw_comparisons(reports, out)
    print(f"wrote {out}")


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
