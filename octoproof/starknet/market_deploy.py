"""A market and its tokens, brought onto a chain where they are missing."""

from __future__ import annotations

from octoproof.market.money import TOKEN
from octoproof.starknet.build import compile_package
from octoproof.starknet.client import Client
from octoproof.starknet.deploy import class_of, deploy
from octoproof.starknet.deployments import Deployment, remember
from octoproof.starknet.errors import ChainError
from octoproof.starknet.market import CONTRACT, Setting, token_calldata
from octoproof.starknet.market import TOKEN as TOKEN_CLASS
from octoproof.starknet.trading import Market, market_at

SUPPLY = 100_000_000 * TOKEN
TOKENS = {"OCTO-W": "OCTO-W", "OCTO": "OCTO"}  # of prices, of stakes


def deploy_token(client: Client, symbol: str) -> int:
    """The address of a token of fixed supply that this account holds all of. For local networks: raises ChainError for
    others, whose tokens somebody else has issued."""
    if not client.node.profile.local:
        raise ChainError(f"token: name the {symbol} of {client.node.profile.name} with --payment and --collateral")
    found = class_of(compile_package("market")[TOKEN_CLASS])
    calldata = token_calldata(TOKENS[symbol], symbol, SUPPLY, client.account.address)
    address = deploy(client, found, calldata)
    remember(client.node.chain_id, Deployment(symbol, address, found.hash))
    return address


def deploy_market(client: Client, setting: Setting) -> Market:
    """The market with this setting, which nobody can change later. Raises as `Client.submit`."""
    found = class_of(compile_package("market")[CONTRACT])
    address = deploy(client, found, setting.calldata())
    remember(client.node.chain_id, Deployment(CONTRACT, address, found.hash))
    return market_at(client.node, address)
