"""`octoproof chain verify`: has a contract verify a receipt, so that its statements are facts from then on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.chain_link import (
    AccountName,
    DryRun,
    Keyring,
    MaxFee,
    PasswordFd,
    ProfileName,
    Rpc,
    address,
    sending,
    tell,
)
from octoproof.cli.console import JSON_OPTION, print_json, print_table

if TYPE_CHECKING:
    from octoproof.starknet.client import Client
    from octoproof.starknet.facts import Fact


def verify(
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="Proven with --preset onchain.")],
    contract: Annotated[
        str | None,
        typer.Option("--contract", metavar="ADDRESS", help="Of the facts (else the one deployed from here)."),
    ] = None,
    profile: ProfileName = "devnet",
    rpc: Rpc = None,
    account: AccountName = None,
    password_fd: PasswordFd = None,
    keyring: Keyring = False,
    max_fee: MaxFee = None,
    dry_run: DryRun = False,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Verifies RECEIPT here, then on the chain, one transaction a part and one for the answer. Twice costs nothing."""
    from octoproof.cli.airs import read_bounded
    from octoproof.starknet.deployments import address_of
    from octoproof.starknet.facts import CONTRACT, facts_of, security_of
    from verifier.receipt import MAX_RECEIPT_BYTES

    data = read_bounded(receipt, MAX_RECEIPT_BYTES)
    with sending(profile, rpc, account, password_fd, keyring, max_fee, dry_run) as client:
        where = address_of(client.node.chain_id, CONTRACT, address(contract))
        facts = facts_of(data, where)
        rows = [_carried_out(client, where, fact, dry_run) for fact in facts]
        answer = facts[-1].digest
        conjectured, proven = security_of(client.node, where, answer)
    if as_json:
        security = {"conjectured": conjectured, "proven": proven}
        print_json({"facts": rows, "contract": hex(where), "security": security, "dry_run": dry_run})
        return
    shown = ("fact", "state", "felts", "l2_gas", "strk")
    print_table(("fact", "", "felts", "L2 gas", "STRK"), [tuple(row[name] for name in shown) for row in rows])
    if conjectured:
        print(f"FACT {answer.hex()}: {conjectured} bits of security conjectured, {proven} proven")
    else:
        print("nothing was sent")


def _carried_out(client: Client, contract: int, fact: Fact, dry_run: bool) -> dict[str, Any]:
    from octoproof.starknet.errors import RevertedError
    from octoproof.starknet.events import named
    from octoproof.starknet.facts import is_fact
    from octoproof.starknet.fees import strk
    from octoproof.starknet.transactions import Invoke, execute_calldata

    row: dict[str, Any] = {"fact": fact.name, "digest": fact.digest.hex(), "felts": len(execute_calldata([fact.call]))}
    if is_fact(client.node, contract, fact.digest, *fact.worth):
        return row | {"state": "a fact already", "l2_gas": None, "strk": None, "transaction": None}
    if dry_run:
        try:
            fee = client.estimate(Invoke((fact.call,)))
        except RevertedError as error:  # an answer whose parts are no facts yet
            return row | {"state": f"cannot be estimated: {error.check}", "l2_gas": None, "strk": None}
        return row | {"state": "would be sent", "l2_gas": fee.l2_gas, "strk": strk(fee.fri)}
    tell(f"{fact.name}: sending {row['felts']:,} felts")
    receipt = client.invoke(f"fact {fact.digest.hex()} of {fact.worth} tenths", [fact.call])
    events = [event.model_dump() for event in named(receipt.events, contract, client.node.abi(contract))]
    sent = {"transaction": hex(receipt.transaction), "l2_gas": receipt.l2_gas, "strk": strk(receipt.fee)}
    return row | {"state": "verified"} | sent | {"events": events}
