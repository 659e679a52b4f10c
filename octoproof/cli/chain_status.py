"""`octoproof chain status`: the node, what was deployed from here, and what became of every transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.chain_link import AccountName, Keyring, PasswordFd, ProfileName, Rpc, connected, sending, short
from octoproof.cli.console import JSON_OPTION, print_json, print_table

if TYPE_CHECKING:
    from octoproof.starknet.node import Node
    from octoproof.starknet.outbox import Outbox


def status(
    resume: Annotated[
        bool, typer.Option("--resume", help="First carry out what an earlier run left open, with its account.")
    ] = False,
    forget: Annotated[
        str | None, typer.Option("--forget", metavar="HASH", help="First give up a transaction that is stuck or lost.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many transactions, the latest first.")] = 20,
    profile: ProfileName = "devnet",
    rpc: Rpc = None,
    account: AccountName = None,
    password_fd: PasswordFd = None,
    keyring: Keyring = False,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Shows the chain, deployed contracts and sent transactions; exit 1 if one of them is open."""
    from octoproof.starknet.home import chain_home
    from octoproof.starknet.outbox import FORGOTTEN, OPEN, Outbox

    if resume:
        with sending(profile, rpc, account, password_fd, keyring, None, dry_run=False) as client:
            client.recover()
    with connected(profile, rpc) as node, Outbox(chain_home()) as outbox:
        if forget is not None:
            outbox.settle(outbox.find(_hash(forget)).hash, FORGOTTEN)
        document = _document(node, outbox, limit)
    if as_json:
        print_json(document)
    else:
        _print(document)
    raise typer.Exit(1 if any(sent["state"] == OPEN for sent in document["transactions"]) else 0)


def _document(node: Node, outbox: Outbox, limit: int) -> dict[str, Any]:
    from octoproof.starknet.deployments import deployments
    from octoproof.starknet.profiles import short_string

    contracts = [
        {"name": one.name, "address": hex(one.address), "there": node.class_hash_at(one.address) == one.class_hash}
        for one in deployments(node.chain_id).values()
    ]
    sent = [
        {
            "intent": entry.intent,
            "state": entry.state,
            "nonce": entry.nonce,
            "at": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds"),
            "transaction": hex(entry.hash),
            "reason": entry.reason,
        }
        for entry in outbox.entries(node.chain_id, limit)
    ]
    chain = {"node": node.where, "chain_id": short_string(node.chain_id), "block": node.block_number()}
    return {"profile": node.profile.name, **chain, "contracts": contracts, "transactions": sent}


def _print(document: dict[str, Any]) -> None:
    print(f"{document['profile']}: {document['chain_id']} at {document['node']}, block {document['block']:,}")
    if document["contracts"]:
        rows = [(one["name"], one["address"], "there" if one["there"] else "MISSING") for one in document["contracts"]]
        print_table(("contract", "address", ""), rows)
    if document["transactions"]:
        shown = ("intent", "state", "nonce", "at", "transaction", "reason")
        rows = [tuple(sent[name] for name in shown) for sent in document["transactions"]]
        print_table(shown, [tuple(short(value) for value in row) for row in rows])
    else:
        print("no transactions were sent from here")
    for sent in document["transactions"]:
        if sent["state"] == "open":
            print(f"open: {sent['transaction']}; carry it out with --resume, or give it up with --forget")


def _hash(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise typer.BadParameter(f"{text!r:.80} is no transaction hash", param_hint="--forget") from None
