"""`octoproof chain devnet`: a Starknet node on this machine, in the background."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json

if TYPE_CHECKING:
    from octoproof.starknet.devnet import Devnet

app = application("Start, stop and look at a Starknet node on this machine.")

Json = Annotated[bool, JSON_OPTION]


@app.command()
def start(
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the accounts that it funds; for a new state.")] = 0,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 for any that is free.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the state of an earlier node.")] = False,
    as_json: Json = False,
) -> None:
    """Starts the node, with the state that an earlier one had; one that runs already is left alone."""
    from octoproof.starknet.devnet import start as start_node

    _print(start_node(_folder(), seed, port, fresh), as_json)


@app.command()
def stop(as_json: Json = False) -> None:
    """Ends the node. Its state is kept for the next start."""
    from octoproof.starknet.devnet import stop as stop_node

    stopped = stop_node(_folder())
    if as_json:
        print_json({"stopped": stopped})
    else:
        print("stopped; its state is kept" if stopped else "no node was running")


@app.command()
def status(as_json: Json = False) -> None:
    """Shows the node; exit 1 if none is running."""
    from octoproof.starknet.devnet import running

    node = running(_folder())
    if node is None:
        if as_json:
            print_json({"running": False})
        else:
            print("no node is running; start one with `octoproof chain devnet start`")
        raise typer.Exit(1)
    _print(node, as_json)


def _folder() -> Path:
    from octoproof.starknet.home import chain_home

    return chain_home() / "devnet"


def _print(node: Devnet, as_json: bool) -> None:
    if as_json:
        print_json({"running": True, **asdict(node)})
        return
    print(f"{node.url}, chain id {node.chain}, process {node.pid}, seed {node.seed}")
    print("the profile devnet finds it; its keys are known to everybody")
