"""`octoproof chain generate`: AIR evaluators in Cairo, from the expressions that prover and verifier use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from octoproof.cli.console import JSON_OPTION, print_json


def generate(
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Else contracts/stark/src/airs of this checkout.")
    ] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Writes one Cairo evaluator for every AIR that is verified on-chain."""
    from octoproof.starknet.generate import AIRS, committed, generate_all

    out = folder or AIRS
    generate_all(out)
    written = [str(out / f"{item.name}.cairo") for item in committed()]
    if as_json:
        print_json({"written": written})
        return
    print("\n".join(written))
