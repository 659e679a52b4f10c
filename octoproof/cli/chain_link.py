"""What the verbs of `octoproof chain` share: options that name network and account, and the connection they give."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from octoproof.starknet.accounts import Account
    from octoproof.starknet.client import Client
    from octoproof.starknet.node import Node
    from octoproof.starknet.outbox import Outbox
    from octoproof.starknet.profiles import Profile

LONG_HEX = re.compile(r"\b((?:0x)?[0-9a-f]{8})[0-9a-f]{16,}([0-9a-f]{6})\b")

ProfileName = Annotated[str, typer.Option("--profile", help="devnet, sepolia or mainnet.")]
Rpc = Annotated[
    str | None, typer.Option("--rpc", metavar="URL", help="The node (else $OCTOPROOF_RPC, or the one started here).")
]
AccountName = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", help="A key of `octoproof wallet`; devnet has one of its own."),
]
PasswordFd = Annotated[
    int | None, typer.Option("--password-fd", metavar="N", help="An open file that holds the key's password.")
]
Keyring = Annotated[bool, typer.Option("--keyring", help="Take the password from the system's keyring.")]
MaxFee = Annotated[
    str | None, typer.Option("--max-fee", metavar="STRK", help="The most that one transaction may cost.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be sent and what it would cost; send nothing.")]


@contextmanager
def connected(profile: str, rpc: str | None) -> Iterator[Node]:
    """The node that the options name. Raises ChainError."""
    from octoproof.starknet.devnet import running
    from octoproof.starknet.home import chain_home
    from octoproof.starknet.node import connect
    from octoproof.starknet.profiles import endpoint, profile_of

    known = profile_of(profile)
    local = running(chain_home() / "devnet") if known.local else None
    with connect(known, endpoint(known, rpc, local.url if local else None)) as node:
        yield node


@contextmanager
def sending(
    profile: str,
    rpc: str | None,
    account: str | None,
    password_fd: int | None,
    keyring: bool,
    max_fee: str | None,
    dry_run: bool,
) -> Iterator[Client]:
    """An account on that node, ready to send. Real money is asked for twice. Raises ChainError, WalletError."""
    from octoproof.starknet.client import Client
    from octoproof.starknet.fees import Limits
    from octoproof.starknet.home import chain_home
    from octoproof.starknet.outbox import Outbox

    with ExitStack() as stack:
        node = stack.enter_context(connected(profile, rpc))
        limits = Limits(node.profile.max_fee if max_fee is None else _fri(max_fee))
        if not dry_run:
            _ask_twice(node.profile, limits.max_fee)
        outbox = stack.enter_context(Outbox(chain_home()))
        yield Client(node, _account(node, outbox, account, password_fd, keyring), outbox, limits, tell)


def tell(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr)


def short(value: object) -> object:
    """For tables: long hex numbers by their ends; JSON has them whole."""
    return LONG_HEX.sub(r"\1..\2", value) if isinstance(value, str) else value


def address(text: str | None) -> int | None:
    """An address in hex. Raises BadParameter."""
    if text is None:
        return None
    try:
        number = int(text, 16)
    except ValueError:
        number = 0
    if not 0 < number < 1 << 251:
        raise typer.BadParameter(f"{text!r:.80} is no address; give 0x and hex digits")
    return number


def _fri(text: str) -> int:
    from octoproof.starknet.profiles import FRI

    try:
        amount = Decimal(text) * FRI
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount <= 0:
        raise typer.BadParameter(f"{text!r:.40}: a number of STRK above 0", param_hint="--max-fee")
    return int(amount)


def _ask_twice(profile: Profile, max_fee: int) -> None:
    from octoproof.starknet.fees import strk

    if not profile.asks_twice:
        return
    question = f"Each transaction on {profile.name} may cost up to {strk(max_fee)} STRK of real money. Send?"
    for asked in (question, f"Nothing on {profile.name} can be taken back. Really?"):
        typer.confirm(asked, abort=True, err=True)


def _account(node: Node, outbox: Outbox, name: str | None, password_fd: int | None, keyring: bool) -> Account:
    from octoproof.starknet.accounts import Account, multiple
    from octoproof.starknet.deploy import local_account
    from octoproof.starknet.errors import ChainError
    from octoproof.starknet.wallet.folder import default_folder, open_key, read
    from octoproof.starknet.wallet.passwords import known_password

    if name is None:
        if not node.profile.local:
            raise ChainError(f"account: none is named for {node.profile.name}; give --account NAME")
        return local_account(node, outbox)
    folder = default_folder()
    held = read(folder, name).account
    signer = open_key(folder, name, known_password(name, password_fd, keyring)).signer()
    return local_account(node, outbox, [signer]) if node.profile.local else Account(held.address, multiple([signer]))
