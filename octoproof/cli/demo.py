"""`octoproof demo`: real words, a question, a receipt verified by another process, and a lie that is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import DEVICE_OPTION, JSON_OPTION, application, print_json, print_table
from octoproof.cli.query import print_matches
from octoproof.cli.working import working

if TYPE_CHECKING:
    from octoproof.vectors.answers import Result
    from octoproof.vectors.receipts import QueryReceipt
    from octoproof.vectors.snapshot import Snapshot

app = application("Ask for the nearest words, prove the answer, verify it.")

WORDS = Path(__file__).resolve().parent.parent / "data" / "words.npz"


@app.command()
def demo(
    word: Annotated[str, typer.Option("--word", help="Whose neighbours are asked for.")] = "ocean",
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many, the word itself included.")] = 10,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Keep snapshot and receipts in this new folder.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the prover.")] = None,
    device: Annotated[str, DEVICE_OPTION] = "auto",
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """The 16,384 most frequent English words of GloVe: which are nearest, and how does a stranger know?"""
    from octoproof.vectors.answers import Session
    from octoproof.vectors.answers import query as ask
    from octoproof.vectors.build import build_snapshot
    from octoproof.vectors.load import load_arrays

    with ExitStack() as cleanup:
        place = folder or Path(cleanup.enter_context(TemporaryDirectory(prefix="octoproof-")))
        steps: dict[str, float] = {}

        started = perf_counter()
        data = load_arrays(WORDS)
        with working("building the snapshot") as tell:
            snapshot = build_snapshot(
                data.vectors, place / "words", labels=data.labels, segment_rows=len(data.vectors), progress=tell
            )
        steps["build the snapshot"] = perf_counter() - started
        with Session("standard", threads) as session, working("proving") as tell:
            result = ask(snapshot, label=word, k=k, prove=True, session=session, progress=tell)
        steps |= {name.removesuffix("_s"): seconds for name, seconds in result.timings.items() if seconds is not None}
        assert result.receipt is not None  # since it was asked for

        path = place / "receipt.octoproof"
        result.receipt.save(path)
        started = perf_counter()
        verdict = _verify_elsewhere(path, snapshot)
        steps["verify in a process of its own"] = perf_counter() - started

        lie, gone, instead = swapped(snapshot, result)
        path = place / "swapped.octoproof"
        lie.save(path)
        refusal = _verify_elsewhere(path, snapshot)

        document = {
            "word": word,
            "k": k,
            "metric": "l2",
            "words": snapshot.header.rows,
            "snapshot_root": snapshot.root.hex(),
            "results": [asdict(match) for match in result.matches],
            "receipt_bytes": len(result.receipt),
            "verdict": verdict,
            "swapped": {"left_out": gone, "instead": instead, "verdict": refusal},
            "timings": {name: round(seconds, 4) for name, seconds in steps.items()},
            "folder": None if folder is None else str(folder),
        }
    if as_json:
        print_json(document)
    else:
        _print(document, result)
    raise typer.Exit(0 if verdict["valid"] and not refusal["valid"] else 1)


def swapped(snapshot: Snapshot, result: Result) -> tuple[QueryReceipt, str, str]:
    """(a receipt that leaves out the last neighbour and names the next word instead, both labels).

    The lie is a careful one: the next word's own score, and the threshold to go with it, so that only the proof can
    tell."""
    import numpy as np

    from octoproof.vectors.claims import proven_claims
    from octoproof.vectors.query import Asked, ask
    from octoproof.vectors.receipts import QueryReceipt
    from verifier.receipt import Receipt, read_receipt, write_receipt

    assert result.receipt is not None  # as `demo` asked for one
    (_, honest), *_ = proven_claims(result.answer)
    k, query = honest.question.k, honest.question.query
    beyond = ask(snapshot, Asked(query, np.array(query, dtype=np.float32)), k + 1).matches[-1]
    emitted = (*honest.emitted[: k - 1], (beyond.id, beyond.score))
    lie = replace(honest, emitted=emitted, threshold=beyond.score)
    (part,) = read_receipt(result.receipt.data).parts
    forged = QueryReceipt(write_receipt(Receipt((replace(part, statement=tuple(lie.encode())),))))
    return forged, result.matches[-1].label or "", beyond.label or ""


def _verify_elsewhere(path: Path, snapshot: Snapshot) -> dict[str, Any]:
    """What a stranger gets to see, who has the file and the root."""
    command = [sys.executable, "-m", "octoproof", "verify", str(path), "--snapshot-root", snapshot.root.hex(), "--json"]
    ran = subprocess.run(command, capture_output=True, text=True)
    verdict: dict[str, Any] = json.loads(ran.stdout)
    return verdict


def _print(document: dict[str, Any], result: Result) -> None:
    verdict, lie = document["verdict"], document["swapped"]
    print_matches(result, f"The {document['k']} nearest of {document['words']:,} words to {document['word']!r}")
    print()
    print_table(("step", "seconds"), list(document["timings"].items()))
    print()
    print(f"snapshot root {document['snapshot_root']}")
    security = verdict["security"] or {}
    print(
        f"receipt of {document['receipt_bytes']:,} bytes, "
        f"{'VALID' if verdict['valid'] else 'NOT VALID: ' + str(verdict['reason'])}, security: "
        f"{security.get('conjectured')} bits conjectured, {security.get('proven')} proven"
    )
    print(f"the same receipt with {lie['instead']!r} in place of {lie['left_out']!r}: ", end="")
    print("VALID (this must not happen)" if lie["verdict"]["valid"] else f"REFUSED, {lie['verdict']['reason']}")
