"""`octoproof snapshot`: build a committed set of vectors, change it, look at it, check and certify it."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
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
    from octoproof.vectors.snapshot import Snapshot

app = application("Build, change, look at, check and certify committed sets of vectors.")

Folder = Annotated[Path, typer.Argument(metavar="SNAPSHOT", help="The snapshot's folder.")]
Source = Annotated[
    Path, typer.Argument(metavar="FILE", help=".npz, .npy, Parquet or Arrow, with vectors, and ids, labels or words.")
]
Fields = Annotated[
    list[str] | None, typer.Option("--field", metavar="NAME", help="Texts of FILE that queries filter by; repeatable.")
]
At = Annotated[int | None, typer.Option("--at", metavar="N", help="The version numbered N, instead of the newest.")]
Json = Annotated[bool, JSON_OPTION]
Device = Annotated[str, DEVICE_OPTION]


@app.command()
def build(
    source: Source,
    out: Annotated[Path, typer.Option("--out", help="The new folder.")],
    normalise: Annotated[bool, typer.Option("--normalise", help="Unit length first: for the metric cosine.")] = False,
    limit: Annotated[
        float | None, typer.Option("--limit", help="Largest coordinate of later vectors and queries; else of these.")
    ] = None,
    segment_rows: Annotated[int, typer.Option("--segment-rows", help="Vectors a segment.")] = 1 << 16,
    preset: Annotated[list[str] | None, typer.Option("--preset", help="Commit for this preset; repeatable.")] = None,
    field: Fields = None,
    cells: Annotated[int, typer.Option("--cells", help="Cells of an index, for the mode ivf.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of the cells' k-means.")] = 0,
    row_rule: Annotated[str, typer.Option("--row-rule", help="Row trees: native or stoolap.")] = "native",
    floats: Annotated[bool, typer.Option("--floats/--no-floats", help="Keep the original numbers, too.")] = True,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Quantises and commits the vectors of FILE."""
    from octoproof.vectors.build import build_snapshot
    from octoproof.vectors.load import open_source

    started = perf_counter()
    with open_source(source, field or ()) as rows, working("building") as tell:
        snapshot = build_snapshot(
            rows,
            out,
            normalise=normalise,
            limit=limit,
            segment_rows=segment_rows,
            presets=tuple(preset or ("standard",)),
            cells=cells,
            seed=seed,
            row_rule=row_rule,
            floats=floats,
            progress=tell,
        )
    _print(snapshot, as_json, built_s=_since(started))


@app.command()
def append(
    folder: Folder,
    source: Source,
    field: Fields = None,
    replace: Annotated[bool, typer.Option("--replace", help="Vectors of the same ids are deleted first.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Adds the vectors of FILE, as the next version."""
    from octoproof.vectors.change import append as append_rows
    from octoproof.vectors.load import open_source
    from octoproof.vectors.payload import LABEL
    from octoproof.vectors.snapshot import Snapshot

    started = perf_counter()
    known = [item.name for item in Snapshot.open(folder).dictionaries if item.name != LABEL]
    with open_source(source, field or known) as rows, working("appending") as tell:
        snapshot = append_rows(folder, rows, replace=replace, progress=tell)
    _print(snapshot, as_json, appended_s=_since(started))


@app.command()
def delete(
    folder: Folder,
    id: Annotated[list[int] | None, typer.Option("--id", help="Of a vector to delete; repeatable.")] = None,
    ids: Annotated[Path | None, typer.Option("--ids", help="A text file of ids, or a .npy of integers.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Deletes vectors, as the next version. Earlier versions keep them."""
    from octoproof.vectors.change import delete as delete_rows

    started = perf_counter()
    with working("deleting") as tell:
        snapshot = delete_rows(folder, [*(id or ()), *(_read_ids(ids) if ids else ())], progress=tell)
    _print(snapshot, as_json, deleted_s=_since(started))


@app.command()
def compact(
    folder: Folder,
    must: Annotated[bool, typer.Option("--must", help="Only what is past a hard bound.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Rewrites segments with many deleted rows, and undersized ones together, as the next version."""
    from octoproof.vectors.change import compact as compact_segments

    started = perf_counter()
    with working("compacting") as tell:
        snapshot = compact_segments(folder, only_must=must, progress=tell)
    _print(snapshot, as_json, compacted_s=_since(started))


@app.command()
def show(
    folder: Folder,
    at: At = None,
    history: Annotated[bool, typer.Option("--history", help="Every version in one line.")] = False,
    as_json: Json = False,
) -> None:
    """Header, root and segments, from the manifest."""
    from octoproof.vectors.manifest import numbers
    from octoproof.vectors.snapshot import Snapshot

    if not history:
        _print(Snapshot.open(folder, at), as_json)
        return
    versions = [Snapshot.open(folder, number) for number in numbers(folder)]
    rows = [(v.number, v.header.rows, v.header.live, len(v.segments), v.root.hex()) for v in versions]
    names = ("version", "rows", "live", "segments", "snapshot_root")
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(names, rows)


@app.command()
def check(folder: Folder, at: At = None, device: Device = "auto", as_json: Json = False) -> None:
    """Recomputes every checksum and root from the data; exit 1 if anything differs."""
    from octoproof.vectors.snapshot import Snapshot

    started = perf_counter()
    snapshot = Snapshot.open(folder, at)
    with working("checking") as tell:
        snapshot.check(tell)
    seconds = _since(started)
    if as_json:
        print_json({"holds": True, "snapshot_root": snapshot.root.hex(), "checked_s": seconds})
    else:
        print(f"{folder}: every checksum, row root and column root holds, {seconds} s")
        print(f"snapshot root {snapshot.root.hex()}")


@app.command()
def certify(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The certificate goes here.")],
    preset: Annotated[str, typer.Option("--preset", help="Parameters of the proofs.")] = "standard",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the prover.")] = None,
    device: Device = "auto",
    at: At = None,
    as_json: Json = False,
) -> None:
    """Proves every segment well-formed, which proofs of queries take for granted. Each version is proven once."""
    from octoproof.cli.stark import check_writable
    from octoproof.device import backend
    from octoproof.files import write_atomically
    from octoproof.vectors.certify import certificate_of
    from octoproof.vectors.receipts import Certificate
    from octoproof.vectors.snapshot import Snapshot

    check_writable(out)
    started = perf_counter()
    snapshot = Snapshot.open(folder, at)
    with backend(threads) as chosen, working("certifying") as tell:
        data, fresh = certificate_of(snapshot, preset, backend=chosen, progress=tell)
    certificate = Certificate.verify(data, min_conjectured=0.0)  # the caller chose the preset, weak or not
    write_atomically(out, data)
    document = {
        "snapshot_root": snapshot.root.hex(),
        "segments": len(certificate.statements),
        "proven_now": fresh,
        "certificate": str(out),
        "certificate_bytes": len(data),
        "security": security_document(certificate.security),
        "certified_s": _since(started),
    }
    if as_json:
        print_json(document)
        return
    print(f"{document['segments']} segments certified, {fresh} of them now, in {document['certified_s']} s")
    print(f"{len(data):,} bytes in {out}, verified: {security_line(certificate.security)}")


@app.command()
def graph(
    folder: Folder,
    metric: Annotated[str, typer.Option("--metric", help="l2, ip or cosine.")] = "l2",
    m: Annotated[int, typer.Option("--m", help="Neighbours of a node.")] = 16,
    ef_construction: Annotated[int, typer.Option("--ef-construction", help="Candidates while building.")] = 200,
    as_json: Json = False,
) -> None:
    """Builds an HNSW graph beside the snapshot: the first layer of the modes fast and candidates."""
    from octoproof.vectors.graph import build_graph
    from octoproof.vectors.hnsw import HnswParameters
    from octoproof.vectors.snapshot import Snapshot

    started = perf_counter()
    parameters = HnswParameters(m=m, ef_construction=ef_construction)
    with working("building the graph"):
        path = build_graph(Snapshot.open(folder), metric, parameters)
    document = {"graph": str(path), "bytes": path.stat().st_size, "built_s": _since(started)}
    if as_json:
        print_json(document)
    else:
        print(f"{document['bytes']:,} bytes in {path}, {document['built_s']} s")


def describe(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as a JSON document."""
    header = snapshot.header
    return {
        "snapshot_root": snapshot.root.hex(),
        "version": snapshot.number,
        "dimension": header.dimension,
        "limit": header.limit,
        "scale": snapshot.quantiser.factor,
        "normalised": header.normalised,
        "rows": header.rows,
        "live": header.live,
        "cells": header.cells,
        "row_rule": header.row_rule,
        "fields": {field.name: field.values for field in header.fields},
        "segments": [
            {
                "id": stored.leaf.id,
                "version": stored.leaf.version,
                "rows": stored.leaf.rows,
                "live": stored.leaf.live,
                "log_size": stored.leaf.log_size,
                "row_root": stored.leaf.row_root.hex(),
                "column_roots": {
                    f"{item.key.channel}, log blow-up {item.key.log_blowup_factor}": item.root.hex()
                    for item in stored.leaf.column_roots
                },
                "bytes": stored.bytes,
            }
            for stored in snapshot.segments
        ],
    }


MAX_SHOWN = 40  # segments on the screen; JSON has them all


def _print(snapshot: Snapshot, as_json: bool, **extra: object) -> None:
    document = {**describe(snapshot), **extra}
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        if name == "fields":
            value = ", ".join(f"{field} ({count} values)" for field, count in value.items()) or "none"
        if name != "segments":
            print(f"{name.replace('_', ' ')}: {value}")
    segments = document["segments"]
    rows = [(s["id"], s["version"], s["rows"], s["live"], s["bytes"], s["row_root"]) for s in segments[:MAX_SHOWN]]
    print_table(("segment", "version", "rows", "live", "bytes", "row root"), rows)
    if len(segments) > MAX_SHOWN:
        print(f"and {len(segments) - MAX_SHOWN} more segments; --json has them all")


def _read_ids(path: Path) -> list[int]:
    """Whole numbers from a text file, separated as one likes, or from a .npy file."""
    import numpy as np

    from octoproof.vectors.errors import VectorError

    try:
        if path.suffix == ".npy":
            return [int(id) for id in np.load(path, allow_pickle=False).ravel()]
        return [int(part) for part in path.read_text().replace(",", " ").split()]
    except (ValueError, EOFError) as error:
        raise VectorError(f"ids: {path}: {error}; give whole numbers") from None


def _since(started: float) -> float:
    return round(perf_counter() - started, 3)
