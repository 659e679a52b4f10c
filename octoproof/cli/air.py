"""`octoproof air`: what AIRs there are, what they cost, their AIR JSON, and the debug check."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json, print_table

app = application("List, show, export and check AIRs.")

Source = Annotated[str, typer.Argument(metavar="AIR", help="A name from `air list`, a spec, or an AIR JSON file.")]
LogSize = Annotated[int, typer.Option("--log-size", min=4, max=26, help="log2 of the rows, for names.")]
Columns = Annotated[int, typer.Option("--columns", min=1, help="Main columns, for names that have a width.")]
Json = Annotated[bool, JSON_OPTION]


@app.command("list")
def list_airs(as_json: Json = False) -> None:
    """The AIRs that come with the project."""
    from octoproof.cli.examples import FAMILIES

    if as_json:
        print_json([{"name": f.name, "summary": f.summary} for f in FAMILIES.values()])
    else:
        print_table(("name", "what it does"), [(f.name, f.summary) for f in FAMILIES.values()])


@app.command()
def show(source: Source, log_size: LogSize = 8, columns: Columns = 100, as_json: Json = False) -> None:
    """Degree and cost of every component."""
    from air.report import costs
    from octoproof.cli.airs import choose

    chosen = choose(source, log_size, columns)
    rows = costs(chosen.air)
    if as_json:
        print_json(
            {
                "air": chosen.label,
                "relations": list(chosen.air.relations),
                "preprocessed": [asdict(c) for c in chosen.air.preprocessed],
                "components": [{**asdict(row), "cells": row.cells} for row in rows],
            }
        )
        return
    headings = ("component", "rows", "tree 0", "main", "interaction", "constraints", "degree", "lookups", "mul a row")
    table: list[tuple[Any, ...]] = [
        (
            row.name,
            1 << row.log_size,
            row.preprocessed,
            row.main,
            row.interaction,
            row.constraints,
            row.max_degree,
            row.lookups,
            row.operations.get("mul", 0),
        )
        for row in rows
    ]
    print_table(headings, table)
    cells = sum(row.cells for row in rows)
    print(f"{cells:,} committed cells besides tree 0, {sum(row.samples for row in rows)} samples out of domain")


@app.command()
def export(
    source: Source,
    out: Annotated[Path | None, typer.Option("--out", help="Where the AIR JSON goes (else: the screen).")] = None,
    out_spec: Annotated[Path | None, typer.Option("--out-spec", help="Write a spec around it.")] = None,
    out_trace: Annotated[Path | None, typer.Option("--out-trace", help="Also write the columns (names only).")] = None,
    preset: Annotated[str, typer.Option("--preset", help="Proof parameters of the spec.")] = "standard",
    log_size: LogSize = 8,
    columns: Columns = 100,
) -> None:
    """Writes AIR JSON, which the Rust oracle and `stark prove` read."""
    from air.export import air_to_json
    from octoproof.cli.airs import choose
    from octoproof.files import write_atomically
    from octoproof.trace_file import trace_bytes
    from verifier.config import PRESETS
    from verifier.spec import Spec, spec_to_json

    if preset not in PRESETS:
        raise typer.BadParameter(f"known are {', '.join(PRESETS)}", param_hint="--preset")
    chosen = choose(source, log_size, columns)
    if out_trace is not None:
        if chosen.preprocessed is None or chosen.main is None:
            raise typer.BadParameter(f"{source} brings no trace of its own", param_hint="--out-trace")
        write_atomically(out_trace, trace_bytes(chosen.preprocessed(), chosen.main()))
    if out_spec is not None:
        statement, terms = tuple(chosen.statement_u64), tuple(chosen.public_terms)
        spec = Spec(chosen.air, "blake2s", PRESETS[preset], True, statement, public_terms=terms)
        write_atomically(out_spec, json.dumps(spec_to_json(spec), separators=(",", ":")) + "\n")
    text = json.dumps(air_to_json(chosen.air), separators=(",", ":")) + "\n"
    if out is not None:
        write_atomically(out, text)
    elif out_spec is None and out_trace is None:
        print(text, end="")


@app.command()
def check(
    source: Source,
    trace: Annotated[Path | None, typer.Option("--trace", help="TRACE.bin; names bring their own trace.")] = None,
    log_size: LogSize = 8,
    columns: Columns = 100,
    as_json: Json = False,
) -> None:
    """Evaluates every constraint on every row and balances every relation; exit 1 if anything fails."""
    from air.check import imbalances, violations
    from air.circle import to_rows
    from octoproof.cli.airs import choose
    from octoproof.trace_file import read_trace

    chosen = choose(source, log_size, columns)
    if trace is not None:
        stored = read_trace(trace, chosen.air)
    elif chosen.preprocessed is not None and chosen.main is not None:
        stored = chosen.preprocessed(), chosen.main()
    else:
        raise typer.BadParameter(f"{source} brings no trace of its own", param_hint="--trace")
    pre, main = ([to_rows(column) for column in tree] for tree in stored)
    failures = violations(chosen.air, pre, main)
    unbalanced = imbalances(chosen.air, pre, main, chosen.public_terms)
    holds = not failures and not unbalanced
    if as_json:
        print_json(
            {
                "holds": holds,
                "violations": [asdict(v) for v in failures],
                "imbalances": [asdict(v) for v in unbalanced],
            }
        )
    else:
        for line in (*failures, *unbalanced[:20]):
            print(line)
        if len(unbalanced) > 20:
            print(f"... and {len(unbalanced) - 20} more tuples out of balance")
        if holds:
            print(f"all {chosen.air.n_constraints} constraints hold, {len(chosen.air.relations)} relations balance")
    raise typer.Exit(0 if holds else 1)
