"""Runs the command line inside the test process, and gives small files to work on."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from octoproof.cli import main

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


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
def octoproof(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """octoproof("stark", "verify", ...) as on the command line."""
    before = signal.getsignal(signal.SIGINT)

    def run(*arguments: object) -> Finished:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Finished(end.value.code or 0, out, err)

    yield run
    signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Pair:
    """A copy of a fixture's spec and proof that a test may damage."""

    spec: Path
    proof: Path
    trace: Path

    def edit(self, which: str, change: Callable[[Any], Any]) -> None:
        """Applies `change` to the JSON of a file."""
        path: Path = getattr(self, which)
        document = json.loads(path.read_bytes())
        change(document)
        path.write_text(json.dumps(document))


@pytest.fixture
def pair(tmp_path: Path) -> Callable[[str], Pair]:
    def copy(name: str) -> Pair:
        for kind in ("spec.json", "proof.json", "trace.bin"):
            source = FIXTURES / f"{name}.{kind}"
            if source.exists():
                shutil.copy(source, tmp_path / source.name)
        return Pair(*(tmp_path / f"{name}.{kind}" for kind in ("spec.json", "proof.json", "trace.bin")))

    return copy


@pytest.fixture
def no_leftovers(tmp_path: Path) -> Iterator[None]:
    """Fails the test if a file set aside is still there at its end."""
    yield
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]
