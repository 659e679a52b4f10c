"""What tests of the chain share: a local node, an account of ours on it, and a contract that counts its calls.

Each of them skips with a line that says what is missing.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from octoproof.starknet import devnet as devnet_program
from octoproof.starknet.accounts import Account
from octoproof.starknet.build import BuildError, ContractClass, compile_package, find_builder, find_corelib
from octoproof.starknet.client import Client
from octoproof.starknet.deploy import Class, class_of, deploy, local_account
from octoproof.starknet.devnet import Devnet
from octoproof.starknet.errors import ChainError
from octoproof.starknet.node import Node, connect
from octoproof.starknet.outbox import Outbox
from octoproof.starknet.profiles import PROFILES

COUNTER = Path(__file__).resolve().parent / "counter"
DEVNET = PROFILES["devnet"]

Before = Callable[[str], bool]  # of a method: whether to pass the request on
After = Callable[[str], bool]  # ... whether to pass the answer back


@pytest.fixture(autouse=True)
def own_chain_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's transactions and nodes, nor another test's."""
    monkeypatch.setenv("OCTOPROOF_CHAIN", str(tmp_path / "chain"))
    monkeypatch.delenv("OCTOPROOF_RPC", raising=False)


@pytest.fixture(scope="session")
def devnet_installed() -> Path:
    """The program of a local node."""
    try:
        return devnet_program.find_devnet()
    except ChainError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def account_class() -> Class:
    """Our account contract, compiled."""
    try:
        return class_of(compile_package("account")["Account"])
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def counter_class(tmp_path_factory: pytest.TempPathFactory) -> Class:
    """The contract of the tests, compiled."""
    try:
        builder, corelib = find_builder(), find_corelib()
    except BuildError as error:
        pytest.skip(str(error))
    out = tmp_path_factory.mktemp("counter")
    command = [builder, "compile", COUNTER, "--corelib", corelib, "--out", out]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    told = json.loads((out / "Counter.casm_hash.json").read_text())
    files = (out / "Counter.contract_class.json", out / "Counter.compiled_contract_class.json")
    sizes = (told["bytecode_felts"], told["sierra_felts"], told["class_bytes"])
    return class_of(ContractClass("Counter", *files, int(told["blake"], 16), *sizes))


@pytest.fixture(scope="session")
def local(devnet_installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """A node for all tests that do not harm it."""
    with devnet_program.devnet(tmp_path_factory.mktemp("devnet")) as started:
        yield started


@pytest.fixture
def node(local: Devnet) -> Iterator[Node]:
    """A connection to it."""
    with connect(DEVNET, local.url) as connected:
        yield connected


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox") as opened:
        yield opened


@pytest.fixture
def account(node: Node, outbox: Outbox, account_class: Class) -> Account:
    """Ours, funded. Every test has it, so tests of one node must not run at the same time."""
    return local_account(node, outbox, found=account_class)


@pytest.fixture
def client(node: Node, account: Account, outbox: Outbox) -> Client:
    return Client(node, account, outbox)


@pytest.fixture
def counter(client: Client, counter_class: Class, request: pytest.FixtureRequest) -> int:
    """The address of a counter of this test's own."""
    return deploy(client, counter_class, salt=abs(hash(request.node.nodeid)) % 2**64)


@pytest.fixture
def count(node: Node, counter: int) -> Callable[[], int]:
    """What it has counted."""
    return lambda: node.call(counter, "get")[0]


@pytest.fixture
def proxy() -> Callable[[str], AbstractContextManager[Proxy]]:
    """proxy(url) listens on loopback before this node, as a context."""
    return _proxy


@dataclass
class Proxy:
    """Loses what it is told to lose: `before` and `after` are asked at every request. `passed` counts those that came
    through, by method."""

    node: str
    url: str = ""
    before: Before = lambda method: True
    after: After = lambda method: True
    passed: dict[str, int] = field(default_factory=dict)

    def serve(self, connection: socket.socket) -> None:
        """One request on one connection, then it is closed."""
        with connection, suppress(OSError):
            head, body = _message(connection)
            method = json.loads(body)["method"].partition("_")[2]
            if not self.before(method):
                return
            target = urlsplit(self.node)
            with socket.create_connection((target.hostname, target.port)) as upstream:
                self.passed[method] = self.passed.get(method, 0) + 1
                upstream.sendall(head + body)
                answer = b"".join(_message(upstream))
            if self.after(method):
                connection.sendall(answer)


@contextmanager
def _proxy(node: str) -> Iterator[Proxy]:
    """Listens on loopback, before this node."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Proxy(node, f"http://127.0.0.1:{listener.getsockname()[1]}")

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    Thread(target=made.serve, args=(connection,), daemon=True).start()

        Thread(target=accept, daemon=True).start()
        yield made
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of an HTTP message with a content length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(source)
    head, _, body = data.partition(b"\r\n\r\n")
    (length,) = (
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    while len(body) < length:
        body += _more(source)
    return head + b"\r\n\r\n", body


def _more(source: socket.socket) -> bytes:
    data = source.recv(1 << 16)
    if not data:
        raise OSError("closed")
    return data
