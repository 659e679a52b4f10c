"""`octoproof query`: the nearest vectors of a snapshot, with a receipt if wanted."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import (
    DEVICE_OPTION,
    JSON_OPTION,
    application,
    print_json,
    print_table,
    security_document,
    security_line,
)
from octoproof.cli.working import working

if TYPE_CHECKING:
    from octoproof.vectors.answers import Result

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
    mode: Annotated[
        str, typer.Option("--mode", help="What is searched and proven: strict, ivf, candidates or fast.")
    ] = "strict",
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="FIELD=VALUE", help="Only such vectors; repeatable.")
    ] = None,
    probes: Annotated[int | None, typer.Option("--probes", help="Cells that are searched (16).")] = None,
    candidates: Annotated[
        int | None, typer.Option("--candidates", help="Rows that the mode candidates ranks, at least max(40, 4 k).")
    ] = None,
    prove: Annotated[
        Path | None, typer.Option("--prove", metavar="FILE", help="Prove it: the receipt goes here.")
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="Parameters of the proof.")] = "standard",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the prover.")] = None,
    device: Annotated[str, DEVICE_OPTION] = "auto",
    at: Annotated[int | None, typer.Option("--at", metavar="N", help="Ask the version numbered N.")] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Searches; with --prove, writes a receipt that anybody can verify against the snapshot root."""
    from octoproof.cli.stark import check_writable
    from octoproof.vectors.answers import Session
    from octoproof.vectors.answers import query as ask
    from octoproof.vectors.snapshot import Snapshot

    check_writable(prove)
    given = sum(value is not None for value in (id, word, vector))
    if given != 1:
        raise typer.BadParameter(f"one is needed, {given} are given", param_hint="--id, --word or --vector")
    snapshot = Snapshot.open(folder, at)
    asked: dict[str, Any] = {
        "vector": None if vector is None else _numbers(vector),
        "id": id,
        "label": word,
        "k": k,
        "metric": metric,
        "mode": mode,
        "where": filters_of(where or []),
        "probes": probes,
        "candidates": candidates,
    }
    if prove is None:
        result = ask(snapshot, **asked)
    else:
        with Session(preset, threads) as session, working("proving") as progress:
            result = ask(snapshot, **asked, prove=True, session=session, progress=progress)
    if result.receipt is not None and prove is not None:
        result.receipt.save(prove)
    if as_json:
        print_json(_document(result, snapshot.root.hex(), prove))
        return
    print_matches(result)
    spent = {name: value for name, value in result.timings.items() if value is not None}
    print(", ".join(f"{name.removesuffix('_s')} {value:.3f} s" for name, value in spent.items()))
    if not result.agreement.same_order:
        print(f"in floating point, {result.agreement.differing} of the {len(result.matches)} places differ")
    if result.verdict is not None and result.receipt is not None:
        print(f"proven: {result.verdict.proves}")
        print(f"{len(result.receipt):,} bytes in {prove}, verified: {security_line(result.verdict.security)}")


def _document(result: Result, root: str, path: Path | None) -> dict[str, Any]:
    question, verdict = result.answer.question, result.verdict
    return {
        "mode": result.answer.mode,
        "metric": question.metric,
        "k": question.k,
        "where": question.describe(result.answer.snapshot.header)["where"],
        "snapshot_root": root,
        "results": [asdict(match) for match in result.matches],
        "proves": None if verdict is None else verdict.proves,
        "agreement": asdict(result.agreement),
        "security": None if verdict is None else security_document(verdict.security),
        "timings": {name: None if value is None else round(value, 4) for name, value in result.timings.items()},
        "receipt": None if path is None else str(path),
        "receipt_bytes": None if result.receipt is None else len(result.receipt),
    }


def print_matches(result: Result, title: str | None = None) -> None:
    """The matches as a table."""
    rows = [(rank, m.label or "", m.id, m.score, m.distance) for rank, m in enumerate(result.matches, 1)]
    print_table(("", "label", "id", "score", "distance"), rows, title)


def filters_of(where: list[str]) -> dict[str, str]:
    """`["label=noun"]` as `{"label": "noun"}`."""
    found: dict[str, str] = {}
    for text in where:
        name, equals, value = text.partition("=")
        if not equals or name in found:
            raise typer.BadParameter(f"{text!r}: give FIELD=VALUE, each field once", param_hint="--where")
        found[name] = value
    return found


def _numbers(text: str) -> Any:
    """Numbers separated by commas or spaces, or the one vector of a .npy file."""
    from octoproof.vectors.load import load_arrays

    if text.endswith(".npy"):
        return load_arrays(text).vectors
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--vector") from None
