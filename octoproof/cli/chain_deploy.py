"""`octoproof chain deploy`: the project's contracts, declared and deployed where they are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.chain_link import AccountName, DryRun, Keyring, MaxFee, PasswordFd, ProfileName, Rpc, sending, tell
from octoproof.cli.console import JSON_OPTION, print_json, print_table

if TYPE_CHECKING:
    from octoproof.starknet.client import Client
    from octoproof.starknet.deploy import Class

PACKAGES = ("facts", "registry")  # of one instance a chain
OWN = "account"


def deploy(
    packages: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PACKAGE]...", help="facts, registry (both, if none is named), or account: your own."),
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
    """Compiles contracts, and declares and deploys what is not on the chain yet. Twice is the same as once."""
    from octoproof.starknet.build import compile_package
    from octoproof.starknet.deploy import class_of

    for name in packages or ():
        if name not in (*PACKAGES, OWN):
            raise typer.BadParameter(f"{name!r:.40}: one of {', '.join((*PACKAGES, OWN))}", param_hint="PACKAGE")
    with sending(profile, rpc, account, password_fd, keyring, max_fee, dry_run) as client:
        rows = []
        for package in packages or PACKAGES:
            tell(f"compiling {package}")
            found = [class_of(compiled) for compiled in compile_package(package).values()]
            if package == OWN:
                rows.append(_own_account(client, found[0], account, dry_run))
            else:
                rows += [_planned(client, one) if dry_run else _deployed(client, one) for one in found]
    if as_json:
        print_json({"contracts": rows, "dry_run": dry_run})
        return
    print_table(
        ("contract", "", "address", "L2 gas", "STRK"),
        [tuple(row[name] for name in ("name", "state", "address", "l2_gas", "strk")) for row in rows],
    )


def _deployed(client: Client, found: Class) -> dict[str, Any]:
    from octoproof.starknet.deploy import declare, deploy, deployed
    from octoproof.starknet.deployments import Deployment, remember

    address, there = deployed(client.node, found)
    tell(f"{found.name}: {'already there' if there else 'declaring and deploying'}")
    receipt = declare(client, found)
    deploy(client, found)
    remember(client.node.chain_id, Deployment(found.name, address, found.hash))
    gas, fee = (receipt.l2_gas, receipt.fee) if receipt else (None, None)
    return _row(found, address, "there already" if there else "deployed", gas, fee)


def _planned(client: Client, found: Class) -> dict[str, Any]:
    from octoproof.starknet.deploy import declaration, deployed

    address, there = deployed(client.node, found)
    if there:
        return _row(found, address, "there already", None, None)
    if client.node.is_declared(found.hash):
        return _row(found, address, "would be deployed", None, None)
    fee = client.dry_run(declaration(client.node, found)).fee
    return _row(found, address, "would be declared and deployed", fee.l2_gas, fee.fri)


def _own_account(client: Client, found: Class, name: str | None, dry_run: bool) -> dict[str, Any]:
    """Deploys the account that sends, at its own cost; one that is there declares the class for others."""
    from octoproof.starknet.deploy import declaration, declare
    from octoproof.starknet.errors import ChainError
    from octoproof.starknet.transactions import DeployAccount
    from octoproof.starknet.wallet.account import constructor_calldata
    from octoproof.starknet.wallet.folder import default_folder, read

    node, address = client.node, client.account.address
    declared, there = node.is_declared(found.hash), node.class_hash_at(address) is not None
    if there and declared:
        return _row(found, address, "there already", None, None)
    if there:
        if dry_run:
            fee = client.estimate(declaration(node, found))
            return _row(found, address, "class would be declared", fee.l2_gas, fee.fri)
        receipt = declare(client, found)
        gas, fri = (receipt.l2_gas, receipt.fee) if receipt else (None, None)
        return _row(found, address, "class declared", gas, fri)
    if not declared:
        raise ChainError(
            f"account: its class {found.hash:#x} is not declared on {node.profile.name}; somebody who has an account"
            " there does it with `octoproof chain deploy account`"
        )
    assert name is not None  # an account without a name is a local node's own, and deployed
    key = read(default_folder(), name).account.public_key
    draft = DeployAccount(found.hash, 0, tuple(constructor_calldata([key])))
    if dry_run:
        fee = client.estimate(draft)
        return _row(found, address, "would be deployed", fee.l2_gas, fee.fri)
    receipt = client.submit(f"deploy account {address:#x}", draft)
    return _row(found, address, "deployed", receipt.l2_gas, receipt.fee)


def _row(found: Class, address: int, state: str, l2_gas: int | None, fri: int | None) -> dict[str, Any]:
    from octoproof.starknet.fees import strk

    return {
        "name": found.name,
        "state": state,
        "address": hex(address),
        "class_hash": hex(found.hash),
        "l2_gas": l2_gas,
        "strk": None if fri is None else strk(fri),
    }
