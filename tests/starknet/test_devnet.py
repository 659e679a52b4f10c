"""The local node: found, started, brought back with its state, and ended without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from octoproof.starknet import devnet
from octoproof.starknet.accounts import predeployed
from octoproof.starknet.client import Client
from octoproof.starknet.deploy import balance, transfer
from octoproof.starknet.errors import ChainError
from octoproof.starknet.node import connect
from octoproof.starknet.outbox import Outbox
from octoproof.starknet.profiles import PROFILES

DEVNET = PROFILES["devnet"]


def _left(chain: str) -> list[str]:
    """Processes of the node with this chain id, and children of this one that nobody has waited for."""
    shown = subprocess.run(["ps", "-eww", "-o", "ppid=,args="], capture_output=True, text=True).stdout
    dead = f"{os.getpid()} [starknet-devnet]"
    return [line for line in shown.splitlines() if chain in line or dead in line]


def test_a_missing_program_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ChainError, match=r"^devnet: .*install it with `cargo install starknet-devnet --version 0.10.1"):
        devnet.find_devnet()


def test_start_and_stop(devnet_installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")  # meant for others
    monkeypatch.setenv("SEED", "no number")
    first = devnet.start(tmp_path / "node")
    try:
        assert devnet.start(tmp_path / "node") == first == devnet.running(tmp_path / "node")
        other = devnet.start(tmp_path / "other")
        assert (other.url, other.chain) != (first.url, first.chain)
        assert other.chain != first.chain
        assert devnet.stop(tmp_path / "other")
        with connect(DEVNET, first.url) as node:
            assert len(predeployed(node)) == 10
        assert len(_left(first.chain)) == 1
    finally:
        assert devnet.stop(tmp_path / "node")
    assert devnet.running(tmp_path / "node") is None
    assert not devnet.stop(tmp_path / "node")
    assert _left(first.chain) == _left(other.chain) == []


def test_state_outlives_a_kill(devnet_installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    first = devnet.start(folder, accounts=2)
    try:
        with connect(DEVNET, first.url) as node, Outbox(tmp_path / "outbox") as outbox:
            account, _ = predeployed(node)[0]
            Client(node, account, outbox).invoke("pay", [transfer(0x1234, 77)])
        os.kill(first.pid, signal.SIGKILL)
        again = devnet.start(folder, accounts=2)
        assert again.pid != first.pid
        assert again.chain == first.chain
        with connect(DEVNET, again.url) as node:
            assert balance(node, 0x1234) == 77
        devnet.stop(folder)
        new = devnet.start(folder, fresh=True, accounts=2)
        assert new.chain != first.chain
        with connect(DEVNET, new.url) as node:
            assert balance(node, 0x1234) == 0
    finally:
        devnet.stop(folder)


def test_a_program_that_does_not_start_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "starknet-devnet"
    program.write_text("#!/bin/sh\necho no room left\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ChainError, match=r"^devnet: starknet-devnet ended at once: no room left$"):
        devnet.start(tmp_path / "node")
    assert devnet.running(tmp_path / "node") is None


def test_another_process_of_the_same_number_is_left_alone(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "node.json").write_text(
            f'{{"pid": {sleeper.pid}, "url": "http://127.0.0.1:1", "chain": "OCTO_DEVNET_00", "seed": 0}}'
        )
        assert devnet.running(tmp_path) is None
        assert not devnet.stop(tmp_path)
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_what_was_remembered_may_be_damaged(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"pid": 1}'):
        (tmp_path / "node.json").write_text(text)
        assert devnet.running(tmp_path) is None
