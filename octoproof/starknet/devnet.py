"""A local Starknet: finds starknet-devnet, starts it in the background, brings its state back, and ends it.

Everything of one node lies in one folder: what it is (node.json), what it says (node.log) and every transaction that it
took (node.dump), from which the next start rebuilds the state, even after a kill.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from octoproof.files import write_atomically
from octoproof.starknet.errors import ChainError
from octoproof.starknet.profiles import DEVNET_PREFIX, FRI

PROGRAM, VERSION = "starknet-devnet", "0.10.1"
INSTALL = f"cargo install {PROGRAM} --version {VERSION} --locked"
START_S, END_S = 120.0, 10.0
FUNDS = 1_000_000 * FRI  # of each account that it funds
_LISTENING = re.compile(r"listening on \S*?:(\d+)")


@dataclass(frozen=True)
class Devnet:
    """A node as it was started. `chain` is the text of its chain id."""

    pid: int
    url: str
    chain: str
    seed: int


def find_devnet() -> Path:
    """The program, on the search path or in the user's cache. Raises ChainError that says how to install it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "octoproof"
    found = shutil.which(PROGRAM) or shutil.which(PROGRAM, path=str(cache / f"devnet-{VERSION}" / "bin"))
    if found is None:
        raise ChainError(f"devnet: {PROGRAM} {VERSION} is not installed; install it with `{INSTALL}`")
    return Path(found)


def start(folder: Path, seed: int = 0, port: int = 0, fresh: bool = False, accounts: int = 10) -> Devnet:
    """Starts a node on loopback and waits until it answers; the one that already runs from this folder is kept.

    Where the folder has the state of an earlier node, its chain id and seed are kept and its transactions carried out
    again, unless `fresh`. Port 0 is any that is free. Raises ChainError, OSError.
    """
    program = find_devnet()
    if (known := running(folder)) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    if fresh:
        forget(folder)
    before = _remembered(folder)
    chain = before.chain if before else f"{DEVNET_PREFIX}{secrets.token_hex(4).upper()}"
    seed = before.seed if before else seed
    command = [str(program), "--host", "127.0.0.1", "--port", str(port), "--chain-id", chain, "--seed", str(seed)]
    command += [
        "--accounts",
        str(accounts),
        "--initial-balance",
        str(FUNDS),
        "--dump-on",
        "block",
        "--dump-path",
        str(folder / "node.dump"),
    ]
    # It takes options from the environment too (PORT, SEED, TIMEOUT), which may be meant for others.
    environment = {"PATH": os.environ.get("PATH", ""), "NO_COLOR": "1", "RUST_LOG": "info"}
    with open(folder / "node.log", "wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        url = _wait_until_it_answers(process, folder / "node.log")
        node = Devnet(process.pid, url, chain, seed)
        write_atomically(folder / "node.json", json.dumps(asdict(node)))
    except BaseException:
        process.kill()
        process.wait()
        raise
    return node


def running(folder: Path) -> Devnet | None:
    """The node of this folder, if its process is still there."""
    node = _remembered(folder)
    return node if node is not None and _is_alive(node) else None


def stop(folder: Path) -> bool:
    """Ends the node of this folder and waits until it is gone; its state stays. False if none was running."""
    node = running(folder)
    if node is None:
        return False
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(node.pid, number)
        ends = time.monotonic() + END_S
        while _is_alive(node):
            if time.monotonic() > ends:
                break
            time.sleep(0.02)
        else:
            with suppress(ChildProcessError):
                os.waitpid(node.pid, 0)  # leaves no zombie where this process has started it
            return True
    raise ChainError(f"devnet: process {node.pid} does not end; end it by hand")


def forget(folder: Path) -> None:
    """Removes the state of a node that is not running."""
    for name in ("node.json", "node.dump", "node.log"):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def devnet(folder: Path, seed: int = 0, accounts: int = 10) -> Iterator[Devnet]:
    """A node for as long as the block lasts. Raises ChainError, OSError."""
    node = start(folder, seed, accounts=accounts)
    try:
        yield node
    finally:
        stop(folder)


def _remembered(folder: Path) -> Devnet | None:
    try:
        return Devnet(**json.loads((folder / "node.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _is_alive(node: Devnet) -> bool:
    """By its command line: a process of the same number that is not this node does not have this chain id in it."""
    shown = subprocess.run(["ps", "-ww", "-p", str(node.pid), "-o", "args="], capture_output=True, text=True)
    return PROGRAM in shown.stdout and node.chain in shown.stdout


def _wait_until_it_answers(process: subprocess.Popen[bytes], log: Path) -> str:
    """Its URL. Raises ChainError if it ends, or takes too long."""
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        said = log.read_text(errors="replace")
        if process.poll() is not None:
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            raise ChainError(f"devnet: {PROGRAM} ended at once: {last[:300]}")
        if found := _LISTENING.search(said):
            return f"http://127.0.0.1:{found[1]}"  # bound before it says so: whoever connects now is served
        time.sleep(0.05)
    raise ChainError(f"devnet: {PROGRAM} does not answer after {START_S:.0f} s; see {log}")
