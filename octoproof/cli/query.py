"""`octoproof query`: the nearest vectors of a snapshot, with a receipt if wanted."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json, print_table, security_document, security_line
from octoproof.cli.working import working

if TYPE_CHECKING:
    from octoproof.vectors.query import Answer
    from octoproof.vectors.snapshot import Snapshot
    from verifier.receipt import Verdict

app = application("Ask a snapshot for the nearest vectors, with a proof if wanted.")


@app.command()
def query(
    folder: Annotated[Path, typer.Argument(metavar="SNAPSHOT", help="The snapshot's folder.")],
    id: Annotated[int | None, typer.Option("--id", help="Ask for the neighbours of the vector with this id.")] = None,
    word: Annotated[str | None, typer.Option("--word", help="... of the vector with this label.")] = None,
    vector: Annotated[
        str | None, typer.Option("--vector", help="... of these numbers: 0.1,-2,... or a .npy file.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    metric: Annotated[str, typer.Option("--metric", help="l2, ip or cosine.")] = "l2",
    mode: Annotated[str, typer.Option("--mode", help="What is searched and proven: strict.")] = "strict",
    prove: Annotated[
        Path | None, typer.Option("--prove", metavar="FILE", help="Prove it: the receipt goes here.")
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="Parameters of the proof.")] = "standard",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the prover.")] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Searches exactly; with --prove, writes a receipt that anybody can verify against the snapshot root."""
    from octoproof.cli.stark import check_writable
    from octoproof.files import write_atomically
    from octoproof.vectors.errors import VectorError
    from octoproof.vectors.query import ask
    from octoproof.vectors.snapshot import Snapshot

    if mode != "strict":
        raise VectorError(f"mode: {mode!r:.40} is not one of strict")
    check_writable(prove)
    started = perf_counter()
    snapshot = Snapshot.open(folder)
    answer = ask(snapshot, _coordinates(snapshot, id, word, vector), k, metric)
    timings: dict[str, float | None] = {"search_s": _since(started), "prove_s": None, "verify_s": None}
    verdict, receipt = None, b""
    if prove is not None:
        receipt, verdict, spent = proven(snapshot, answer, preset, threads)
        timings |= spent
        write_atomically(prove, receipt)
    document = {
        "mode": mode,
        "metric": metric,
        "k": k,
        "snapshot_root": snapshot.root.hex(),
        "results": [asdict(match) for match in answer.matches],
        "security": None if verdict is None else security_document(verdict.security),
        "timings": timings,
        "receipt": None if prove is None else str(prove),
        "receipt_bytes": len(receipt) if receipt else None,
    }
    if as_json:
        print_json(document)
        return
    print_matches(answer)
    print(", ".join(f"{name.removesuffix('_s')} {value:.3f} s" for name, value in timings.items() if value is not None))
    if verdict is not None:
        print(f"{len(receipt):,} bytes in {prove}, verified: {security_line(verdict.security)}")


def proven(
    snapshot: Snapshot, answer: Answer, preset: str, threads: int | None = None
) -> tuple[bytes, Verdict, dict[str, float]]:
    """(receipt, its verdict, seconds of both steps). Nothing is handed out that has not been verified."""
    from octoproof.accepted import accepted
    from octoproof.device import backend
    from octoproof.vectors.query import prove_answer
    from verifier.receipt import verify

    started = perf_counter()
    with backend(threads) as device, working("proving") as progress:
        receipt = prove_answer(snapshot, answer, preset, backend=device, progress=progress)
    prove_s, started = _since(started), perf_counter()
    verdict = verify(receipt, accepted(), min_conjectured=0.0)  # the caller chose the preset, weak or not
    return receipt, verdict, {"prove_s": prove_s, "verify_s": _since(started)}


def print_matches(answer: Answer, title: str | None = None) -> None:
    """The matches as a table."""
    rows = [(rank, m.label or "", m.id, m.score, m.distance) for rank, m in enumerate(answer.matches, 1)]
    print_table(("", "label", "id", "score", "distance"), rows, title)


def _coordinates(snapshot: Snapshot, id: int | None, word: str | None, vector: str | None) -> tuple[int, ...]:
    from octoproof.vectors.query import find, quantise_query

    given = [name for name, value in (("--id", id), ("--word", word), ("--vector", vector)) if value is not None]
    if len(given) != 1:
        raise typer.BadParameter(f"one is needed, {len(given)} are given", param_hint="--id, --word or --vector")
    return quantise_query(snapshot, _numbers(vector)) if vector is not None else find(snapshot, id=id, label=word)


def _numbers(text: str) -> Any:
    """Numbers separated by commas or spaces, or the one vector of a .npy file."""
    from octoproof.vectors.load import load_arrays

    if text.endswith(".npy"):
        return load_arrays(text).vectors
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--vector") from None


def _since(started: float) -> float:
    return round(perf_counter() - started, 4)
