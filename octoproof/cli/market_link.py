"""What the verbs of `market` and `dispute` share: the options that name network, account and market."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from octoproof.cli.chain_link import AccountName, Keyring, MaxFee, PasswordFd, ProfileName, Rpc, connected, sending
from octoproof.cli.chain_link import address as parse_address

if TYPE_CHECKING:
    from octoproof.starknet.client import Client
    from octoproof.starknet.log_signing import Signatory
    from octoproof.starknet.node import Node
    from octoproof.starknet.trading import Market

CONTRACT = "Market"
MarketAddress = Annotated[
    str | None, typer.Option("--market", metavar="ADDRESS", help="The market (else the one deployed from here).")
]


@dataclass(frozen=True)
class Link:
    """The options. Nothing is connected before it is asked for."""

    profile: ProfileName = "devnet"
    rpc: Rpc = None
    account: AccountName = None
    password_fd: PasswordFd = None
    keyring: Keyring = False
    max_fee: MaxFee = None
    market: MarketAddress = None

    @contextmanager
    def sending(self) -> Iterator[Client]:
        """The account, ready to send."""
        options = (self.profile, self.rpc, self.account, self.password_fd, self.keyring, self.max_fee)
        with sending(*options, dry_run=False) as client:
            yield client

    @contextmanager
    def reading(self) -> Iterator[Node]:
        """The node alone."""
        with connected(self.profile, self.rpc) as node:
            yield node

    def place(self, node: Node) -> Market:
        """The market that is named, or was deployed from here. Raises ChainError."""
        from octoproof.starknet.deployments import address_of
        from octoproof.starknet.trading import market_at

        return market_at(node, address_of(node.chain_id, CONTRACT, parse_address(self.market)))

    def signing_key(self, node: Node) -> int:
        """The public key of the account: what its messages are signed with."""
        from octoproof.starknet.accounts import predeployed
        from octoproof.starknet.wallet.folder import default_folder, read

        if self.account is None:
            return predeployed(node)[0][1].public_key
        return read(default_folder(), self.account).account.public_key

    def signatory(self, node: Node) -> Signatory:
        """The account as a party that signs messages. Raises WalletError."""
        from octoproof.starknet.accounts import predeployed
        from octoproof.starknet.log_signing import signatory
        from octoproof.starknet.profiles import short_string
        from octoproof.starknet.wallet.account import account_address
        from octoproof.starknet.wallet.folder import default_folder, open_key, read
        from octoproof.starknet.wallet.passwords import known_password

        chain = short_string(node.chain_id)
        if self.account is None:
            signer = predeployed(node)[0][1]
            return signatory(account_address([signer.public_key]), signer, chain)
        folder = default_folder()
        password = known_password(self.account, self.password_fd, self.keyring)
        return signatory(
            read(folder, self.account).account.address, open_key(folder, self.account, password).signer(), chain
        )


def linked(verb: Callable[..., None]) -> Callable[..., None]:
    """Gives a verb whose first parameter is a `Link` the options that make one, after its own."""
    own = inspect.signature(verb)
    hints, link = get_type_hints(verb, include_extras=True), get_type_hints(Link, include_extras=True)
    kept = [part.replace(annotation=hints[name]) for name, part in list(own.parameters.items())[1:]]
    added = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=link[one.name])
        for one in fields(Link)
    ]

    @wraps(verb)
    def whole(*args: Any, **given: Any) -> None:
        verb(Link(**{one.name: given.pop(one.name) for one in fields(Link)}), *args, **given)

    parameters = [part.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in kept] + added
    whole.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    whole.__annotations__ = {part.name: part.annotation for part in parameters}
    return whole


def party_address(text: str) -> int:
    """An address, or the name of a key in the wallet. Raises WalletError, BadParameter."""
    from octoproof.starknet.wallet.folder import default_folder, read

    if text.startswith("0x"):
        found = parse_address(text)
        assert found is not None
        return found
    return read(default_folder(), text).account.address


def amount_of(text: str) -> int:
    """Tokens, with up to 18 decimals, in the smallest unit. Raises BadParameter."""
    from decimal import Decimal, InvalidOperation

    from octoproof.market.money import MAX_AMOUNT, TOKEN

    try:
        exact = Decimal(text) * TOKEN
        if exact.is_finite() and exact == int(exact) and 0 < exact <= MAX_AMOUNT:
            return int(exact)
    except InvalidOperation:
        pass
    raise typer.BadParameter(f"{text!r:.40}: a number of tokens above 0, with 18 decimals at most")


def tokens(amount: int) -> str:
    """For people: tokens without trailing zeros."""
    from octoproof.market.money import TOKEN

    whole, rest = divmod(amount, TOKEN)
    return f"{whole:,}" + (f".{rest:018d}".rstrip("0") if rest else "")
