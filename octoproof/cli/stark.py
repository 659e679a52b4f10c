"""`octoproof stark`: raw Stwo proofs, in the file formats of the Rust oracle."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import (
    DEVICE_OPTION,
    JSON_OPTION,
    application,
    check_documents,
    print_json,
    print_table,
    security_document,
    security_line,
)
from octoproof.cli.working import working
from octoproof.device import usable_cores

if TYPE_CHECKING:
    from air.circle import Column
    from prover.prove import Proved
    from verifier.spec import Spec

app = application("Prove and verify raw Stwo proofs.")

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="What is claimed, as JSON.")]
Json = Annotated[bool, JSON_OPTION]


@app.command()
def prove(
    spec_file: SpecFile,
    out: Annotated[Path, typer.Option("--out", help="Where the proof goes, as Stwo's JSON.")],
    trace: Annotated[Path | None, typer.Option("--trace", help="TRACE.bin, for SPECs with AIR JSON.")] = None,
    out_spec: Annotated[
        Path | None, typer.Option("--out-spec", help="SPEC with claimed sums and the root of tree 0 filled in.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads (else: one a core).")] = None,
    device: Annotated[str, DEVICE_OPTION] = "auto",
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Prove so many times and report the fastest.")] = 1,
    as_json: Json = False,
) -> None:
    """Proves SPEC, verifies the proof, and only then writes it."""
    from octoproof.files import write_atomically
    from verifier.proof import proof_to_json
    from verifier.stark import verify_stark

    spec, threads = read_spec(spec_file), threads or usable_cores()
    for target in (out, out_spec):
        check_writable(target)
    runs = [run_once(spec, trace, threads) for _ in range(repeat)]
    best = min(runs, key=lambda run: run.total_ms)
    complete = completed(spec, best.proved)
    verify_stark(complete, best.proved.proof)
    text = proof_to_json(best.proved.proof, spec.channel)
    if out_spec is not None:
        write_atomically(out_spec, spec_text(complete))
    write_atomically(out, text)
    report = summary(best, runs, threads, len(text))
    if as_json:
        print_json(report)
        return
    print_table(("phase", "ms"), [*best.proved.phases_ms.items(), ("total", best.total_ms)])
    print(f"{len(text):,} bytes of JSON in {out}, verified; {report['peak_rss_bytes'] / 1e6:,.0f} MB at most")


@app.command()
def verify(
    spec_file: SpecFile,
    proof_file: Annotated[Path, typer.Argument(metavar="PROOF", help="A proof as Stwo's JSON.")],
    as_json: Json = False,
) -> None:
    """Verifies PROOF of SPEC: exit 0 if it is valid, 1 if not."""
    from octoproof.cli.airs import read_bounded
    from verifier.errors import VerificationError
    from verifier.proof import MAX_PROOF_JSON_BYTES, proof_from_json
    from verifier.security import figures
    from verifier.stark import verify_stark

    started = perf_counter()
    refusal, worth, spec = None, None, None
    try:
        spec = read_spec(spec_file)
        proof = proof_from_json(read_bounded(proof_file, MAX_PROOF_JSON_BYTES), spec.channel)
        checks = verify_stark(spec, proof)
        worth = figures(spec.config, spec.air)
    except VerificationError as error:
        checks, refusal = error.checks, error
    reason = None if refusal is None else " ".join(str(refusal).split())
    ms = (perf_counter() - started) * 1e3
    if as_json:
        print_json(
            {
                "valid": reason is None,
                "statement": None if spec is None else statement(spec),
                "checks": check_documents(checks, refusal),
                "security": None if worth is None else security_document(worth),
                "reason": reason,
            }
        )
    elif reason is None:
        assert worth is not None
        print(f"VALID in {ms:.1f} ms: {security_line(worth)}")
    else:
        print(f"NOT VALID: {reason}")
    raise typer.Exit(0 if reason is None else 1)


@dataclass(frozen=True)
class Run:
    """One timed proof; `trace_ms` (making the columns) is not part of `total_ms`."""

    proved: Proved
    total_ms: float
    trace_ms: float


def run_once(spec: Spec, trace: Path | None, threads: int) -> Run:
    """Makes the columns, which proving consumes, and proves them."""
    from octoproof.device import backend
    from prover.prove import prove as run

    started = perf_counter()
    preprocessed, main = columns(spec, trace)
    made = perf_counter()
    with backend(threads) as device, working("proving") as progress:
        proved = run(
            spec.air,
            preprocessed,
            main,
            channel=spec.channel,
            config=spec.config,
            mix_config=spec.mix_config,
            statement_u64=spec.statement_u64,
            backend=device,
            progress=progress,
        )
    return Run(proved, (perf_counter() - made) * 1e3, (made - started) * 1e3)


def columns(spec: Spec, trace: Path | None) -> tuple[list[Column], list[Column]]:
    """(tree 0, main) in storage order, from the AIR itself or from the file."""
    from octoproof.trace_file import read_trace

    if spec.native is not None:
        if trace is not None:
            raise typer.BadParameter("this AIR makes its own trace", param_hint="--trace")
        return spec.native.preprocessed(), spec.native.main()
    if trace is None:
        raise typer.BadParameter("SPEC carries AIR JSON: name the file with its columns", param_hint="--trace")
    return read_trace(trace, spec.air)


def completed(spec: Spec, proved: Proved) -> Spec:
    """The spec with what only the prover could fill in."""
    root = proved.preprocessed_root if spec.air.preprocessed else None
    return replace(spec, claimed_sums=tuple(proved.claimed_sums), preprocessed_root=root)


def summary(best: Run, runs: list[Run], threads: int, json_bytes: int) -> dict[str, Any]:
    """The oracle's keys for the same things."""
    from octoproof.measure import peak_memory

    return {
        "prover": "octoproof",
        "threads": threads,
        "runs_ms": [run.total_ms for run in runs],
        "total_ms": best.total_ms,
        "trace_ms": best.trace_ms,
        "phases_ms": best.proved.phases_ms,
        "peak_rss_bytes": peak_memory() or 0,
        "proof_json_bytes": json_bytes,
    }


def read_spec(path: Path) -> Spec:
    """Raises ParseError, VerificationError, OSError."""
    from octoproof.cli.airs import read_bounded
    from verifier.spec import MAX_SPEC_JSON_BYTES, spec_from_json

    return spec_from_json(read_bounded(path, MAX_SPEC_JSON_BYTES))


def spec_text(spec: Spec) -> str:
    import json

    from verifier.spec import spec_to_json

    return json.dumps(spec_to_json(spec), separators=(",", ":")) + "\n"


def statement(spec: Spec) -> dict[str, Any]:
    """What the spec claims, short enough to be read."""
    return {
        "air": "expr" if spec.native is None else (spec.document or {}).get("name"),
        "log_size": spec.air.log_size,
        "channel": spec.channel,
        "statement_u64": list(spec.statement_u64),
    }


def check_writable(path: Path | None) -> None:
    """Refuses a hopeless target before minutes of work. Raises OSError."""
    if path is not None and not os.access(path.resolve().parent, os.W_OK):
        folder = path.resolve().parent
        code = errno.EACCES if folder.is_dir() else errno.ENOENT
        raise OSError(code, os.strerror(code), str(folder))
