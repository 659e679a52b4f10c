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

from octoproof.cli.console import JSON_OPTION, application, print_json, print_table
from octoproof.cli.query import print_matches, proven
from octoproof.cli.working import working

if TYPE_CHECKING:
    from octoproof.vectors.query import Answer
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
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """The 16,384 most frequent English words of GloVe: which are nearest, and how does a stranger know?"""
    from octoproof.files import write_atomically
    from octoproof.vectors.build import build_snapshot
    from octoproof.vectors.load import load_arrays
    from octoproof.vectors.query import ask, find

    with ExitStack() as cleanup:
        place = folder or Path(cleanup.enter_context(TemporaryDirectory(prefix="octoproof-")))
        steps: dict[str, float] = {}

        started = perf_counter()
        data = load_arrays(WORDS)
        with working("building the snapshot") as tell:
            snapshot = build_snapshot(
                data.vectors, place / "words", labels=data.labels, segment_rows=len(data.vectors), progress=tell
            )
        steps["build the snapshot"], started = perf_counter() - started, perf_counter()
        answer = ask(snapshot, find(snapshot, label=word), k)
        steps["search"] = perf_counter() - started
        receipt, _, spent = proven(snapshot, answer, "standard", threads)
        steps["prove"], steps["verify"] = spent["prove_s"], spent["verify_s"]

        path = place / "receipt.octoproof"
        write_atomically(path, receipt)
        started = perf_counter()
        verdict = _verify_elsewhere(path, snapshot)
        steps["verify in a process of its own"] = perf_counter() - started

        lie, gone, instead = swapped(snapshot, answer, receipt)
        path = place / "swapped.octoproof"
        write_atomically(path, lie)
        refusal = _verify_elsewhere(path, snapshot)

        document = {
            "word": word,
            "k": k,
            "metric": "l2",
            "words": snapshot.header.rows,
            "snapshot_root": snapshot.root.hex(),
            "results": [asdict(match) for match in answer.matches],
            "receipt_bytes": len(receipt),
            "verdict": verdict,
            "swapped": {"left_out": gone, "instead": instead, "verdict": refusal},
            "timings": {name: round(seconds, 4) for name, seconds in steps.items()},
            "folder": None if folder is None else str(folder),
        }
    if as_json:
        print_json(document)
    else:
        _print(document, answer)
    raise typer.Exit(0 if verdict["valid"] and not refusal["valid"] else 1)


def swapped(snapshot: Snapshot, answer: Answer, receipt: bytes) -> tuple[bytes, str, str]:
    """(a receipt that leaves out the last neighbour and names the next word instead, both labels).

    The lie is a careful one: the next word's own score, and the threshold to go with it, so that only the proof can
    tell."""
    from octoproof.vectors.query import ask
    from verifier.receipt import read_receipt, write_receipt

    honest = answer.statements[0]
    beyond = ask(snapshot, honest.query, honest.k + 1, honest.metric).matches[-1]
    emitted = (*honest.emitted[: honest.k - 1], (beyond.id, beyond.score))
    lie = replace(honest, emitted=emitted, threshold=beyond.score)
    parsed = read_receipt(receipt)
    forged = replace(parsed, parts=(replace(parsed.parts[0], statement=tuple(lie.encode())),))
    return write_receipt(forged), answer.matches[-1].label or "", beyond.label or ""


def _verify_elsewhere(path: Path, snapshot: Snapshot) -> dict[str, Any]:
    """What a stranger gets to see, who has the file and the root."""
    command = [sys.executable, "-m", "octoproof", "verify", str(path), "--snapshot-root", snapshot.root.hex(), "--json"]
    ran = subprocess.run(command, capture_output=True, text=True)
    verdict: dict[str, Any] = json.loads(ran.stdout)
    return verdict


def _print(document: dict[str, Any], answer: Answer) -> None:
    verdict, lie = document["verdict"], document["swapped"]
    print_matches(answer, f"The {document['k']} nearest of {document['words']:,} words to {document['word']!r}")
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
