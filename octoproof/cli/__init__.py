"""The command line: `main` finds the verb and imports that verb's file alone, so that `--help` stays quick.

Every verb is one module of this package with a typer application named `app`.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from octoproof import __version__

if TYPE_CHECKING:
    import typer

VERBS = {
    "demo": "Ask for the nearest words, prove the answer, verify it.",
    "snapshot": "Build and look at committed sets of vectors.",
    "query": "Ask a snapshot for the nearest vectors, with a proof if wanted.",
    "submit": "Submit queries as proof jobs.",
    "jobs": "List proof jobs.",
    "show": "Show a proof job, write its receipt.",
    "cancel": "Cancel proof jobs.",
    "serve": "Prove jobs, and serve them over HTTP with a status page.",
    "verify": "Verify receipts.",
    "history": "List the receipts that were verified here.",
    "chain": "Deploy contracts, publish snapshots and verify receipts on Starknet.",
    "market": "Serve, list, buy and settle services with escrow on Starknet.",
    "qos": "Keep a log of requests, close epochs, prove and verify service levels.",
    "dispute": "Open, prove, answer and resolve disputes on Starknet.",
    "wallet": "Make, keep and use keys of Starknet accounts.",
    "stark": "Prove and verify raw Stwo proofs.",
    "air": "List, show, export and check AIRs.",
    "bench": "Measure the prover, also side by side with Stwo.",
    "doctor": "Report on this machine and this installation.",
}

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done or valid, 1 not valid or failed, 2 wrong use or unreadable input."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGINT, _interrupted)
    try:
        _run(args)
    except Exception as error:
        from octoproof.cli.errors import explain

        known = explain(error)
        if known is None:
            raise
        message, code = known
        if "--json" in args:
            print(json.dumps({"error": message, "exit_code": code}))
        print(f"octoproof: {message}", file=sys.stderr)
        sys.exit(code)
    sys.exit(0)


def _run(args: list[str]) -> None:
    import typer

    if args and args[0] in VERBS:
        app = import_module(f"octoproof.cli.{args[0]}").app
        typer.main.get_command(app)(args[1:], prog_name=f"octoproof {args[0]}")
    else:
        typer.main.get_command(_overview())(args, prog_name="octoproof")


def _overview() -> typer.Typer:
    """The application without its verbs: help, version, and a refusal of unknown verbs."""
    import typer

    from octoproof.cli.console import application

    def version(wanted: bool) -> None:
        if wanted:
            print(f"octoproof {__version__}")
            raise typer.Exit()

    app = application("Proofs for decentralised AI markets: prove and verify vector queries with Circle STARKs.")

    @app.callback()
    def root(
        version: bool = typer.Option(False, "--version", callback=version, is_eager=True, help="Print the version."),
    ) -> None: ...

    for verb, summary in VERBS.items():
        app.command(verb, help=summary)(lambda: None)
    return app


def _interrupted(signum: int, frame: FrameType | None) -> NoReturn:
    """Ctrl-C ends the program like a failure of its own: files set aside are removed, and no traceback is shown."""
    print("octoproof: interrupted", file=sys.stderr)
    sys.exit(INTERRUPTED)
