"""`octoproof chain publish`: a snapshot's root in the registry, under the account that publishes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
)
from octoproof.cli.console import JSON_OPTION, print_json


def publish(
    folder: Annotated[Path, typer.Argument(metavar="SNAPSHOT", help="The snapshot's folder.")],
    at: Annotated[
        int | None, typer.Option("--at", metavar="N", help="The version numbered N, else the newest.")
    ] = None,
    contract: Annotated[
        str | None,
        typer.Option("--contract", metavar="ADDRESS", help="The registry (else the one deployed from here)."),
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
    """Publishes the root of a version under its number. Nothing that is published is ever changed."""
    from octoproof.starknet.deployments import address_of
    from octoproof.starknet.fees import strk
    from octoproof.starknet.registry import CONTRACT, publication, published
    from octoproof.starknet.transactions import Invoke
    from octoproof.vectors.snapshot import Snapshot

    snapshot = Snapshot.open(folder, at)
    with sending(profile, rpc, account, password_fd, keyring, max_fee, dry_run) as client:
        where = address_of(client.node.chain_id, CONTRACT, address(contract))
        owner, number = client.account.address, snapshot.number
        document = {
            "owner": hex(owner),
            "version": number,
            "root": snapshot.root.hex(),
            "registry": hex(where),
            "dry_run": dry_run,
        }
        before = published(client.node, where, owner, number)
        call = publication(where, number, snapshot.root)
        if before is not None and before.root == snapshot.root:
            document |= {"state": "published already", "block": before.block}
        elif dry_run:
            fee = client.estimate(Invoke((call,)))
            document |= {"state": "would be published", "l2_gas": fee.l2_gas, "strk": strk(fee.fri)}
        else:
            receipt = client.invoke(f"publish version {number} {snapshot.root.hex()}", [call])
            document |= {"state": "published", "block": receipt.block, "transaction": hex(receipt.transaction)}
    if as_json:
        print_json(document)
        return
    print(f"version {number} of {document['owner']}: {document['state']}")
    print(f"root {document['root']}")
