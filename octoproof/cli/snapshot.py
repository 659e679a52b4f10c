"""`octoproof snapshot`: build a committed set of vectors, look at it, check it against its roots."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json, print_table
from octoproof.cli.working import working

if TYPE_CHECKING:
    from octoproof.vectors.snapshot import Snapshot

app = application("Build and look at committed sets of vectors.")

Folder = Annotated[Path, typer.Argument(metavar="SNAPSHOT", help="The snapshot's folder.")]
Json = Annotated[bool, JSON_OPTION]


@app.command()
def build(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help=".npz with vectors, and ids, labels or words; or .npy.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The new folder.")],
    normalise: Annotated[bool, typer.Option("--normalise", help="Unit length first: for the metric cosine.")] = False,
    limit: Annotated[
        float | None, typer.Option("--limit", help="Largest coordinate of later vectors and queries; else of these.")
    ] = None,
    segment_rows: Annotated[int, typer.Option("--segment-rows", help="Vectors a segment.")] = 1 << 16,
    preset: Annotated[list[str] | None, typer.Option("--preset", help="Commit for this preset; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Quantises and commits the vectors of FILE."""
    from octoproof.vectors.build import build_snapshot
    from octoproof.vectors.load import load_arrays

    started = perf_counter()
    arrays = load_arrays(source)
    with working("building") as tell:
        snapshot = build_snapshot(
            arrays.vectors,
            out,
            ids=arrays.ids,
            labels=arrays.labels,
            normalise=normalise,
            limit=limit,
            segment_rows=segment_rows,
            presets=tuple(preset or ("standard",)),
            progress=tell,
        )
    _print(snapshot, as_json, built_s=round(perf_counter() - started, 3))


@app.command()
def show(folder: Folder, as_json: Json = False) -> None:
    """Header, root and segments, from the manifest."""
    from octoproof.vectors.snapshot import Snapshot

    _print(Snapshot.open(folder), as_json)


@app.command()
def check(folder: Folder, as_json: Json = False) -> None:
    """Recomputes every checksum and root from the data; exit 1 if anything differs."""
    from octoproof.vectors.snapshot import Snapshot

    started = perf_counter()
    snapshot = Snapshot.open(folder)
    with working("checking") as tell:
        snapshot.check(tell)
    seconds = round(perf_counter() - started, 3)
    if as_json:
        print_json({"holds": True, "snapshot_root": snapshot.root.hex(), "checked_s": seconds})
    else:
        print(f"{folder}: every checksum, row root and column root holds, {seconds} s")
        print(f"snapshot root {snapshot.root.hex()}")


def describe(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as a JSON document."""
    header = snapshot.header
    return {
        "snapshot_root": snapshot.root.hex(),
        "dimension": header.dimension,
        "limit": header.limit,
        "scale": snapshot.quantiser.factor,
        "normalised": header.normalised,
        "rows": header.rows,
        "segments": [
            {
                "id": stored.leaf.id,
                "version": stored.leaf.version,
                "rows": stored.leaf.rows,
                "log_size": stored.leaf.log_size,
                "row_root": stored.leaf.row_root.hex(),
                "column_roots": {
                    f"{item.key.channel}, log blow-up {item.key.log_blowup_factor}": item.root.hex()
                    for item in stored.leaf.column_roots
                },
                "bytes": sum(size for size, _ in stored.files.values()),
            }
            for stored in snapshot.segments
        ],
    }


def _print(snapshot: Snapshot, as_json: bool, **extra: object) -> None:
    document = {**describe(snapshot), **extra}
    if as_json:
        print_json(document)
        return
    for name in ("snapshot_root", "rows", "dimension", "limit", "scale", "normalised", *extra):
        print(f"{name.replace('_', ' ')}: {document[name]}")
    rows = [(s["id"], s["version"], s["rows"], s["bytes"], s["row_root"]) for s in document["segments"]]
    print_table(("segment", "version", "rows", "bytes", "row root"), rows)
