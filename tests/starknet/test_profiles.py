"""Networks, and what is refused before anything is sent to one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from octoproof.starknet.errors import ChainError
from octoproof.starknet.node import connect
from octoproof.starknet.profiles import PROFILES, endpoint, felt_of, profile_of, short_string

Serve = Callable[[dict[str, Any]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve({method: result}) is the URL of a server that answers so."""
    servers = []

    def start(answers: dict[str, Any]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["method"]
                answer = answers.get(asked.removeprefix("starknet_"), {"error": {"code": -32601, "message": "no"}})
                body = answer if isinstance(answer, bytes) else json.dumps({"id": 0, "result": answer}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/v0/KEY-THAT-IS-SECRET"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("name", "chain", "fits"),
    [
        ("mainnet", "SN_MAIN", True),
        ("mainnet", "SN_SEPOLIA", False),
        ("sepolia", "SN_SEPOLIA", True),
        ("sepolia", "SN_SEPOLIA2", False),
        ("devnet", "OCTO_DEVNET_01AB", True),
        ("devnet", "SN_SEPOLIA", False),  # its keys are known, and what they sign there has effect
        ("devnet", "SN_MAIN", False),
    ],
)
def test_only_nodes_of_the_named_chain(serve: Serve, name: str, chain: str, fits: bool) -> None:
    url = serve({"specVersion": "0.10.0", "chainId": hex(felt_of(chain))})
    if fits:
        with connect(PROFILES[name], url) as node:
            assert node.chain_id == felt_of(chain)
        return
    with pytest.raises(
        ChainError, match=f"^chain id: 127.0.0.1 is a node of {chain}, profile {name} is of .*--profile$"
    ):
        connect(PROFILES[name], url)


@pytest.mark.parametrize("version", ["0.9.0", "0.11.0", "0.1.0", "1.0", ""])
def test_only_the_protocol_that_is_spoken(serve: Serve, version: str) -> None:
    url = serve({"specVersion": version, "chainId": hex(felt_of("SN_MAIN"))})
    with pytest.raises(ChainError, match=rf"^rpc: 127.0.0.1 speaks JSON-RPC {version}, this program 0\.10\.x; use "):
        connect(PROFILES["mainnet"], url)


@pytest.mark.parametrize("answer", [b"", b"hello", b"[]", b"{}", b'{"result": 7}', b'{"result": null}'])
def test_what_is_no_node_is_told_so(serve: Serve, answer: bytes) -> None:
    with pytest.raises(ChainError, match=r"^rpc: 127.0.0.1 ") as error:
        connect(PROFILES["mainnet"], serve({"specVersion": answer, "chainId": answer}))
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    "where", ["127.0.0.1:1", "no.such.host.invalid", "127.0.0.1:99999", "[::1", "user:SECRET@127.0.0.1:1"]
)
def test_a_node_that_is_not_there(where: str) -> None:
    """The URL of a provider holds the user's key; no message shows more than the host."""
    with pytest.raises(ChainError, match=r"^rpc: ") as error:
        connect(PROFILES["mainnet"], f"http://{where}/KEY-THAT-IS-SECRET")
    assert "SECRET" not in str(error.value)
    assert "\n" not in str(error.value)


def test_an_endpoint_is_never_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sepolia", "mainnet"):
        with pytest.raises(
            ChainError, match=f"^rpc: no node is named for {name}; give --rpc URL or set OCTOPROOF_RPC$"
        ):
            endpoint(PROFILES[name], None, "http://local")
    with pytest.raises(ChainError, match="chain devnet start"):
        endpoint(PROFILES["devnet"], None)
    assert endpoint(PROFILES["devnet"], None, "http://local") == "http://local"
    monkeypatch.setenv("OCTOPROOF_RPC", "https://set")
    assert endpoint(PROFILES["sepolia"], None) == "https://set"
    assert endpoint(PROFILES["sepolia"], "https://named") == "https://named"
    with pytest.raises(ChainError, match="must begin with"):
        endpoint(PROFILES["sepolia"], "file:///etc/passwd")


def test_unknown_profiles_are_named() -> None:
    with pytest.raises(ChainError, match="profile: 'goerli' is not one of devnet, sepolia, mainnet"):
        profile_of("goerli")


def test_real_money_asks_and_is_capped_lowest() -> None:
    assert [name for name, profile in PROFILES.items() if profile.asks_twice] == ["mainnet"]
    assert [name for name, profile in PROFILES.items() if profile.local] == ["devnet"]
    assert PROFILES["mainnet"].max_fee == min(profile.max_fee for profile in PROFILES.values())
    assert not replace(PROFILES["devnet"], local=False).accepts(felt_of("OCTO_DEVNET_01"))


@pytest.mark.parametrize("felt", [0, 1, felt_of("SN_MAIN"), 2**251])
def test_chain_ids_are_shown(felt: int) -> None:
    shown = short_string(felt)
    assert felt == (int(shown, 16) if shown.startswith("0x") else felt_of(shown))
