"""`octoproof chain` as a user sees it, on a node that it started itself."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from click.testing import CliRunner

from octoproof.cli import chain
from octoproof.cli.errors import explain
from octoproof.starknet import devnet
from octoproof.starknet.home import chain_home


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Finished]


@pytest.fixture
def octoproof_chain() -> Run:
    """octoproof_chain("status", ...) as on the command line; `input` is what is typed."""

    def run(*arguments: object, input: str | None = None) -> Finished:
        command = typer.main.get_command(chain.app)
        done = CliRunner().invoke(command, [str(a) for a in arguments], input=input, prog_name="octoproof chain")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            known = explain(done.exception)
            if known is None:
                raise done.exception
            return Finished(known[1], done.stdout, f"octoproof: {known[0]}\n")
        return Finished(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def started(octoproof_chain: Run, devnet_installed: Path) -> Iterator[Run]:
    """The same, with a node that runs."""
    assert octoproof_chain("devnet", "start", "--json").json["running"]
    yield octoproof_chain
    octoproof_chain("devnet", "stop")


def test_the_node_is_started_shown_and_stopped(octoproof_chain: Run, devnet_installed: Path) -> None:
    assert octoproof_chain("devnet", "status").code == 1
    first = octoproof_chain("devnet", "start", "--seed", 5, "--json").json
    try:
        assert octoproof_chain("devnet", "start", "--json").json == first
        assert octoproof_chain("devnet", "status", "--json").json == first
        shown = octoproof_chain("status")
        assert shown.code == 0
        assert f"devnet: {first['chain']} at 127.0.0.1, block 0" in shown.out
        assert "no transactions were sent from here" in shown.out
    finally:
        assert octoproof_chain("devnet", "stop", "--json").json == {"stopped": True}
    assert "no node was running" in octoproof_chain("devnet", "stop").out
    refused = octoproof_chain("status")
    assert refused.code == 2
    assert "rpc: no node is named for devnet; give --rpc URL or set OCTOPROOF_RPC" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status", "--profile", "goerli"), "profile: 'goerli' is not one of devnet, sepolia, mainnet"),
        (("status", "--profile", "sepolia"), "rpc: no node is named for sepolia"),
        (("status", "--profile", "mainnet", "--rpc", "ftp://x"), "must begin with http:// or https://"),
        (("status", "--profile", "mainnet", "--rpc", "http://127.0.0.1:1"), "is the node running?"),
        (("deploy", "nothing"), "one of facts, registry, account"),
        (("verify", "missing.receipt"), "missing.receipt"),
        (("publish", "missing"), "missing"),
    ],
)
def test_wrong_use(octoproof_chain: Run, arguments: tuple[str, ...], message: str) -> None:
    done = octoproof_chain(*arguments)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("octoproof:") <= 1


def test_a_registry_is_deployed_and_a_snapshot_published(started: Run, account_class: Any, tmp_path: Path) -> None:
    from octoproof.vectors.build import build_snapshot
    from octoproof.vectors.snapshot import Snapshot

    vectors = np.random.default_rng(4).normal(0, 1, (60, 4)).astype(np.float32)
    build_snapshot(vectors, tmp_path / "snapshot", segment_rows=32, presets=("bench",))
    root = Snapshot.open(tmp_path / "snapshot").root.hex()
    refused = started("publish", tmp_path / "snapshot")
    assert refused.code == 2
    assert "contract: SnapshotRegistry was not deployed from here; run `octoproof chain deploy`" in refused.err

    (planned,) = started("deploy", "registry", "--dry-run", "--json").json["contracts"]
    assert planned["state"] == "would be declared and deployed"
    (made,) = started("deploy", "registry", "--json").json["contracts"]
    assert made["state"] == "deployed"
    assert made["address"] == planned["address"]
    (again,) = started("deploy", "registry", "--json").json["contracts"]
    assert again["state"] == "there already"

    dry = started("publish", tmp_path / "snapshot", "--dry-run", "--json").json
    assert (dry["state"], dry["root"]) == ("would be published", root)
    first = started("publish", tmp_path / "snapshot", "--json").json
    assert (first["state"], first["version"], first["root"]) == ("published", 1, root)
    second = started("publish", tmp_path / "snapshot", "--json").json
    assert (second["state"], second["block"]) == ("published already", first["block"])

    shown = started("status", "--json").json
    assert [one["there"] for one in shown["contracts"]] == [True]
    assert {sent["state"] for sent in shown["transactions"]} == {"accepted"}
    assert sum(sent["intent"].startswith("publish") for sent in shown["transactions"]) == 1


def test_deployments_that_were_damaged_are_told(octoproof_chain: Run, tmp_path: Path) -> None:
    from octoproof.starknet.deployments import Deployment, address_of, deployments, remember
    from octoproof.starknet.errors import ChainError

    for number in (1, 2):
        remember(7, Deployment("Facts", number, 5))
    remember(8, Deployment("Facts", 3, 5))
    assert deployments(7) == {"Facts": Deployment("Facts", 2, 5)}
    assert (address_of(8, "Facts"), address_of(8, "Facts", given=9)) == (3, 9)
    for text in ("", "[]", '{"0x7": [{"name": "x"}]}'):
        (chain_home() / "deployments.json").write_text(text)
        with pytest.raises(ChainError, match=r"is damaged; remove it, and run `octoproof chain deploy` again$"):
            deployments(7)


def test_the_cap_is_told(started: Run, account_class: Any) -> None:
    done = started("deploy", "registry", "--max-fee", "0.000001")
    assert done.code == 2
    assert "raise it with --max-fee" in done.err
    for text in ("x", "0", "-1", "nan", "inf"):
        assert "--max-fee" in started("deploy", "registry", "--max-fee", text).err


def test_real_money_is_asked_for_twice(octoproof_chain: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says no once sends nothing; without a terminal nothing is sent."""
    from octoproof.cli import chain_link
    from octoproof.starknet.errors import ChainError
    from octoproof.starknet.profiles import PROFILES

    asked: list[str] = []

    class Mainnet:
        profile = PROFILES["mainnet"]

        def __enter__(self) -> Mainnet:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(chain_link, "connected", lambda *_: Mainnet())
    monkeypatch.setattr(
        chain_link, "_account", lambda *_: asked.append("account") or (_ for _ in ()).throw(ChainError("x"))
    )
    for typed in (None, "n\n", "y\nn\n", "y\n"):
        done = octoproof_chain("deploy", "registry", "--profile", "mainnet", input=typed)
        assert done.code == 1
        assert asked == []
    assert "20.000000 STRK of real money" in done.err
    assert octoproof_chain("deploy", "registry", "--profile", "mainnet", input="y\ny\n").code == 2
    assert asked == ["account"]


def test_a_stuck_transaction_is_shown_and_given_up(started: Run, account_class: Any) -> None:
    from octoproof.starknet.deploy import local_account
    from octoproof.starknet.fees import Fee, Limits, bounds_of
    from octoproof.starknet.node import connect
    from octoproof.starknet.outbox import Outbox
    from octoproof.starknet.profiles import PROFILES
    from octoproof.starknet.transactions import Call, Invoke, sign

    running = devnet.running(chain_home() / "devnet")
    assert running is not None
    with connect(PROFILES["devnet"], running.url) as node, Outbox(chain_home()) as outbox:
        account = local_account(node, outbox, found=account_class)
        bounds = bounds_of(Fee(0, 1, 10**7, 1, 10**4, 1), Limits(10**30))
        ahead = sign(Invoke((Call(1, "f"),)), account, node.chain_id, 50, bounds)
        outbox.write("far ahead", node.chain_id, ahead)
    shown = started("status", "--json")
    assert shown.code == 1
    assert shown.json["transactions"][0]["state"] == "open"
    assert f"open: {ahead.hash:#x}; carry it out with --resume, or give it up with --forget" in started("status").out
    refused = started("status", "--resume")
    assert refused.code == 2
    assert "nonce: far ahead has nonce 50" in refused.err
    assert started("status", "--forget", hex(ahead.hash)).code == 0
    assert "was not sent from here" in started("status", "--forget", "0x5").err


def test_a_killed_node_comes_back(started: Run, account_class: Any) -> None:
    started("deploy", "registry")
    node = devnet.running(chain_home() / "devnet")
    assert node is not None
    os.kill(node.pid, signal.SIGKILL)
    again = started("devnet", "start", "--json").json
    assert again["chain"] == node.chain
    assert again["pid"] != node.pid
    (there,) = started("deploy", "registry", "--json").json["contracts"]
    assert there["state"] == "there already"


def test_evaluators_are_generated(octoproof_chain: Run, tmp_path: Path) -> None:
    done = octoproof_chain("generate", "--out", tmp_path / "airs", "--json")
    assert len(done.json["written"]) >= 4
    assert all("Air" in Path(name).read_text() for name in done.json["written"])


@pytest.mark.slow
def test_a_receipt_becomes_a_fact(started: Run, account_class: Any, tmp_path: Path) -> None:
    """Two parts and the answer, three transactions; the second time none."""
    from octoproof.vectors.answers import Session, query
    from octoproof.vectors.build import build_snapshot

    vectors = np.random.default_rng(4).normal(0, 1, (2048, 100)).astype(np.float32)
    presets = ("onchain", "standard")
    snapshot = build_snapshot(vectors, tmp_path / "snapshot", segment_rows=1024, presets=presets)
    for preset in presets:
        with Session(preset) as session:
            made = query(snapshot, id=3, k=5, prove=True, session=session)
        assert made.receipt is not None
        made.receipt.save(tmp_path / preset)
    assert started("deploy", "facts", "--json").code == 0
    refused = started("verify", tmp_path / "standard")
    assert refused.code == 2
    assert "preset: part 1 is proven with standard, contracts take onchain, onchain-proven" in refused.err

    dry = started("verify", tmp_path / "onchain", "--dry-run", "--json").json
    assert [fact["state"] for fact in dry["facts"][:2]] == ["would be sent"] * 2
    assert "parts: not a fact" in dry["facts"][2]["state"]
    first = started("verify", tmp_path / "onchain", "--json").json
    assert [fact["state"] for fact in first["facts"]] == ["verified"] * 3
    assert first["security"]["conjectured"] == 95.0  # of two proofs of 96 bits
    assert [event["name"] for event in first["facts"][2]["events"]] == ["FactStored", "ResultStored"]
    assert first["facts"][2]["events"][1]["fields"]["rows"] == len(made.matches)
    for fact, planned in zip(first["facts"][:2], dry["facts"], strict=False):
        assert abs(fact["l2_gas"] - planned["l2_gas"]) < planned["l2_gas"] // 5
    again = started("verify", tmp_path / "onchain", "--json").json
    assert [fact["state"] for fact in again["facts"]] == ["a fact already"] * 3
    assert again["security"] == first["security"]

    damaged = bytearray((tmp_path / "onchain").read_bytes())
    damaged[-40] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    assert started("verify", tmp_path / "damaged").code in (1, 2)


@pytest.mark.slow
def test_costs_are_measured(devnet_installed: Path, account_class: Any) -> None:
    from octoproof.cli.chain_bench import measure

    (row,) = measure(("wide_fib",), 10, "onchain")
    assert 20_000_000 < row["l2_gas"] < 140_000_000
    assert 500 < row["felts"] < 2_100
    assert row["bytecode_felts"] <= 81_920
    assert row["declare_l2_gas"] > row["l2_gas"]
