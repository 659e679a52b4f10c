"""Runs `octoproof wallet` inside the test process, and hands it secrets as file descriptors."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from octoproof import cli


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


@pytest.fixture(autouse=True)
def own_wallet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the user's keys."""
    monkeypatch.setenv("OCTOPROOF_WALLET", str(tmp_path / "wallet"))
    return tmp_path / "wallet"


@pytest.fixture
def wallet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """wallet("show", "alice", ...) as on the command line."""
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setitem(cli.VERBS, "wallet", "")

    def run(*arguments: object) -> Finished:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main(["wallet", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        code = end.value.code
        return Finished(code if isinstance(code, int) else 0, out, err)

    yield run
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def descriptor() -> Iterator[Callable[..., int]]:
    """descriptor("one", "two") reads these lines."""
    opened = []

    def pipe(*lines: str) -> int:
        reader, writer = os.pipe()
        os.write(writer, "".join(f"{line}\n" for line in lines).encode())
        os.close(writer)
        opened.append(reader)
        return reader

    yield pipe
    for reader in opened:
        with suppress(OSError):
            os.close(reader)
