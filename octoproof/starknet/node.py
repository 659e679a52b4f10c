"""A Starknet node over JSON-RPC 0.10: the questions that are asked of it, and what its answers mean.

Answers are told apart by what they say about a transaction: refused for good, or no answer at all.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.client_errors import ClientError
from starknet_py.net.http_client import IncompatibleRPCVersionWarning, RpcHttpClient, ServerError

from octoproof.starknet.errors import ChainError, NoAnswerError, NodeRefusedError, RevertedError
from octoproof.starknet.fees import Fee, fee_of
from octoproof.starknet.profiles import RPC_VERSION, Profile, short_string
from octoproof.starknet.receipts import DryRun, Receipt, dry_run_of, receipt_of
from octoproof.starknet.reverts import check_of

ANSWER_S = 120.0  # a large proof on a busy node
NOT_FOUND, NO_CONTRACT, NO_CLASS, CONTRACT_ERROR, EXECUTION_ERROR = 29, 20, 28, 40, 41
BAD_NONCE, DUPLICATE = 52, 59
# Of JSON-RPC 0.10: the transaction was judged and not taken. 63 (unexpected error) says nothing about it.
REFUSALS = {-32602, CONTRACT_ERROR, EXECUTION_ERROR, 50, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62, 64, 65, 69}
ADD_METHODS = {
    "INVOKE": ("addInvokeTransaction", "invoke_transaction"),
    "DECLARE": ("addDeclareTransaction", "declare_transaction"),
    "DEPLOY_ACCOUNT": ("addDeployAccountTransaction", "deploy_account_transaction"),
}


class Node:
    """A connection; for one thread, outside of any event loop. Close it, or use it in a `with`."""

    def __init__(self, profile: Profile, url: str) -> None:
        self.profile, self.url = profile, url
        self.where = _host(url)
        self.chain_id = 0
        self._runner = asyncio.Runner()
        self._session: aiohttp.ClientSession | None = None
        self._clients: dict[str, RpcHttpClient] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._session is not None:
            self._runner.run(self._session.close())
        self._runner.close()

    def ask(self, method: str, namespace: str = "starknet", **parameters: Any) -> Any:
        """The answer's result. Raises NodeRefusedError for an error that the node reports, NoAnswerError."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", IncompatibleRPCVersionWarning)  # `connect` has judged the version
                return self._runner.run(self._ask(method, namespace, parameters))
        except ClientError as error:
            raise self._meaning(error) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NoAnswerError(f"rpc: no answer from {self.where} ({_kind(error)}); is the node running?") from None
        except (ServerError, ValueError, TypeError, KeyError):
            raise self._strange() from None

    def _strange(self) -> NoAnswerError:
        return NoAnswerError(f"rpc: {self.where} does not answer as a Starknet node does; check the URL")

    async def _ask(self, method: str, namespace: str, parameters: dict[str, Any]) -> Any:
        if self._session is None:
            # A connection a request: one that the node closed meanwhile would lose an answer.
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=ANSWER_S))
        client = self._clients.setdefault(namespace, RpcHttpClient(self.url, self._session, namespace))
        return await client.call(method, parameters)

    def _meaning(self, error: ClientError) -> Exception:
        try:
            code = int(error.code or 0)
        except ValueError:
            code = 0
        said = " ".join(str(error.message).removeprefix(f"Client failed with code {error.code}. Message: ").split())
        if code in (CONTRACT_ERROR, EXECUTION_ERROR):
            return RevertedError(check_of(error.data or said))
        if 200 <= code < 600 or code == 0:  # HTTP: of a gateway that the transaction may have passed
            return NoAnswerError(
                f"rpc: {self.where} answers with HTTP status {error.code}; check the URL, or try again"
            )
        return NodeRefusedError(f"rpc: {said[:400]}", code)

    def unless(self, code: int, method: str, **parameters: Any) -> Any:
        """The answer, or None where the node reports an error of this code."""
        try:
            return self.ask(method, **parameters)
        except NodeRefusedError as error:
            if error.code != code:
                raise
            return None

    def chain(self) -> int:
        """The chain id."""
        with self._reading():
            return int(self.ask("chainId"), 16)

    def block_number(self) -> int:
        with self._reading():
            return int(self.ask("blockNumber"))

    def nonce(self, account: int, block: str = "pre_confirmed") -> int:
        """The nonce that the account's next transaction has; 0 for one that is not deployed."""
        found = self.unless(NO_CONTRACT, "getNonce", contract_address=hex(account), block_id=block)
        with self._reading():
            return 0 if found is None else int(found, 16)

    def class_hash_at(self, address: int) -> int | None:
        """Of the contract there, if there is one."""
        found = self.unless(NO_CONTRACT, "getClassHashAt", contract_address=hex(address), block_id="latest")
        with self._reading():
            return None if found is None else int(found, 16)

    def abi(self, address: int) -> str:
        """Of the contract there, as JSON. Raises NodeRefusedError where there is none."""
        with self._reading():
            return str(self.ask("getClassAt", contract_address=hex(address), block_id="latest")["abi"])

    def is_declared(self, class_hash: int) -> bool:
        return self.unless(NO_CLASS, "getClass", class_hash=hex(class_hash), block_id="latest") is not None

    def call(self, contract: int, function: str, calldata: list[int] | tuple[int, ...] = ()) -> list[int]:
        """What a view function returns. Raises RevertedError, NodeRefusedError where there is no such contract."""
        request = {
            "contract_address": hex(contract),
            "entry_point_selector": hex(get_selector_from_name(function)),
            "calldata": [hex(felt) for felt in calldata],
        }
        with self._reading():
            return [int(felt, 16) for felt in self.ask("call", request=request, block_id="latest")]

    def add(self, kind: str, body: dict[str, Any]) -> None:
        """Hands over a signed transaction. Raises NodeRefusedError, RevertedError, NoAnswerError."""
        method, name = ADD_METHODS[kind]
        parameters: dict[str, Any] = {name: body}
        self.ask(method, **parameters)

    def status(self, transaction: int) -> str | None:
        """RECEIVED, CANDIDATE, PRE_CONFIRMED, ACCEPTED_ON_L2, ACCEPTED_ON_L1, or None if the node does not know it."""
        found = self.unless(NOT_FOUND, "getTransactionStatus", transaction_hash=hex(transaction))
        with self._reading():
            return None if found is None else str(found["finality_status"])

    def receipt(self, transaction: int) -> Receipt | None:
        """None before the transaction is in a block, or about to be."""
        found = self.unless(NOT_FOUND, "getTransactionReceipt", transaction_hash=hex(transaction))
        with self._reading():
            return None if found is None else receipt_of(found)

    def estimate(self, body: dict[str, Any]) -> Fee:
        """Of a signed query. Raises RevertedError, NodeRefusedError."""
        answer = self.ask("estimateFee", request=[body], simulation_flags=[], block_id="pre_confirmed")
        with self._reading():
            return fee_of(answer[0])

    def simulate(self, body: dict[str, Any]) -> DryRun:
        """Runs a signed query on the current state. Raises RevertedError, NodeRefusedError."""
        flags = ["SKIP_FEE_CHARGE"]  # a query offers nothing
        answer = self.ask("simulateTransactions", transactions=[body], simulation_flags=flags, block_id="pre_confirmed")
        with self._reading():
            return dry_run_of(answer[0])

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, IndexError, TypeError, ValueError):
            raise self._strange() from None


def connect(profile: Profile, url: str) -> Node:
    """Raises ChainError for a node of another chain or of another version of the protocol, NoAnswerError."""
    node = Node(profile, url)
    try:
        version, chain_id = str(node.ask("specVersion")), node.chain()
        if not version.startswith(RPC_VERSION):
            raise ChainError(
                f"rpc: {node.where} speaks JSON-RPC {version}, this program {RPC_VERSION}x; use another node"
            )
        if not profile.accepts(chain_id):
            held = f"{profile.chain}*" if profile.local else profile.chain
            raise ChainError(
                f"chain id: {node.where} is a node of {short_string(chain_id)}, profile {profile.name} is of {held};"
                " name another node or another --profile"
            )
        node.chain_id = chain_id
    except BaseException:
        node.close()
        raise
    return node


def _host(url: str) -> str:
    """All of a URL that may be shown: the rest may hold a key. Raises ChainError."""
    try:
        found = urlsplit(url).hostname
    except ValueError:
        found = None
    if not found:
        raise ChainError("rpc: the URL names no host; give http://HOST:PORT or https://HOST/PATH")
    return found


def _kind(error: Exception) -> str:
    """Not its text, which may have the whole URL."""
    return str(getattr(error, "strerror", None) or type(error).__name__).lower()
