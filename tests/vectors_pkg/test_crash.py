"""Writers that are killed at any moment, and two at once: a snapshot is always a whole version, and the next writer
tidies up.

Run as a program, this file is such a writer: in a process of its own, which forks one that is killed for every moment.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from octoproof.vectors.change import delete, writing
from octoproof.vectors.errors import BusyError, VectorError
from octoproof.vectors.manifest import numbers
from octoproof.vectors.snapshot import Snapshot

VECTORS = np.random.default_rng(2).normal(0, 1, (40, 2)).astype(np.float32)
KINDS = [("noun", "verb")[k % 2] for k in range(40)]
NEW: dict[str, Any] = {"ids": [40, 41, 3], "labels": ["noun", "adverb", "x"], "replace": True}
BUILD: dict[str, Any] = {"labels": KINDS, "segment_rows": 24, "presets": ("bench",)}

# What is done to a folder, and what that is a copy of.
OPERATIONS: dict[str, tuple[str | None, Callable[[Path], object]]] = {
    "append": ("plain", lambda folder: Snapshot.open(folder).append(VECTORS[:3] / 2, **NEW)),
    "append to cells": ("cells", lambda folder: Snapshot.open(folder).append(VECTORS[:3] / 2, **NEW)),
    "delete": ("plain", lambda folder: Snapshot.open(folder).delete([1, 30])),
    "delete and compact": ("plain", lambda folder: Snapshot.open(folder).delete(range(8))),
    "compact": ("worn", lambda folder: Snapshot.open(folder).compact()),
    "build": (None, lambda folder: Snapshot.build(VECTORS, folder, **BUILD)),
}
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
CHANGES = {"os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.truncate"}
FILES = {
    f"octoproof/{name}.py" for name in ("files", *(f"vectors/{n}" for n in ("build", "change", "manifest", "store")))
}


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A snapshot of two segments, one of two cells, and one that is due for compaction."""
    folder = tmp_path_factory.mktemp("template")
    Snapshot.build(VECTORS, folder / "plain", **BUILD)
    Snapshot.build(VECTORS, folder / "cells", **BUILD, cells=2)
    Snapshot.build(VECTORS, folder / "worn", **BUILD).delete(range(5))
    return folder


def folders_of(folder: Path, versions: Iterable[int]) -> set[str]:
    """The segment folders that these versions name."""
    opened = [Snapshot.open(folder, at=number) for number in versions]
    return {stored.folder.name for snapshot in opened for stored in snapshot.manifest.segments}


def leftovers(folder: Path, named: set[str] | None = None) -> set[str]:
    """Segment folders that no version names, and what was written aside."""
    known = folders_of(folder, numbers(folder)) if named is None else named
    return {path.name for path in (folder / "segments").iterdir()} - known | {p.name for p in folder.rglob(".*.part")}


def usable(folder: Path) -> Snapshot:
    """All versions are whole and answer, and the next writer finds nothing in its way and leaves nothing behind."""
    for number in numbers(folder):
        snapshot = Snapshot.open(folder, at=number)
        snapshot.check()
        assert len(snapshot.query(VECTORS[9], k=3, mode="fast").ids) == 3
    after = snapshot.append(VECTORS[:1], labels=["noun"])
    after.check()
    assert after.header.live == snapshot.header.live + 1
    assert numbers(folder) == list(range(1, after.number + 1))
    assert leftovers(folder) == set()
    return snapshot


def run(*arguments: object) -> str:
    """What this file says as a program."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def check_all(name: str, template: Path, killed: Path) -> int:
    """Every folder that a killed writer left is the old version or a new one, and usable. How many there are."""
    *dead, survivor = sorted(killed.iterdir(), key=lambda path: int(path.name))
    end = Snapshot.open(survivor / "snapshot")
    assert leftovers(end.folder) == set()
    known = {Snapshot.open(end.folder, at=number).root for number in numbers(end.folder)}
    source = OPERATIONS[name][0]
    old = Snapshot.open(template / source).root if source else None
    there = [folder / "snapshot" for folder in dead if source is not None or (folder / "snapshot").exists()]
    seen = {usable(folder).root for folder in there}
    assert end.root != old
    assert (old is None) or old in seen
    assert seen <= {old} | known
    if len(there) < len(dead):  # a build that left no folder can be done again
        OPERATIONS[name][1](dead[0] / "snapshot")
        usable(dead[0] / "snapshot")
    return len(dead)


@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_before_every_change_of_the_disk(name, template, tmp_path):
    run("changes", name, template, tmp_path / "killed")
    assert check_all(name, template, tmp_path / "killed") > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_between_lines(name, template, tmp_path):
    run("lines", name, template, tmp_path / "killed")
    assert check_all(name, template, tmp_path / "killed") > 60


@pytest.mark.parametrize("rounds", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_any_time(rounds, template, tmp_path):
    """A writer that changes one snapshot over and over, killed and started again."""
    shutil.copytree(template / "plain", tmp_path / "plain")
    assert int(run("times", tmp_path / "plain", rounds)) > rounds


# Two writers


def test_two_writers_at_once(template, tmp_path):
    """The second is refused and can try again; who dies frees the lock."""
    folder = tmp_path / "plain"
    shutil.copytree(template / "plain", folder)
    other = subprocess.Popen(
        [sys.executable, __file__, "hold", str(folder)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        snapshot = Snapshot.open(folder)
        for change in (lambda: snapshot.delete([1]), lambda: snapshot.append(VECTORS[:3], **NEW), snapshot.compact):
            with pytest.raises(BusyError, match="another program is changing this snapshot; try again later"):
                change()
        snapshot.check()
        assert numbers(folder) == [1]
        assert len(snapshot.query(VECTORS[0], k=2).ids) == 2
    finally:
        other.kill()
        other.wait()
    assert snapshot.delete([1]).number == 2
    usable(folder)


def test_a_refusal_is_an_error_of_the_user(template):
    with writing(template / "plain", None), pytest.raises(VectorError):
        delete(template / "plain", [1])


def test_a_change_stands_though_another_writer_comes_before_its_compaction(template, tmp_path, monkeypatch):
    """The compaction is then left to the next change."""
    from octoproof.vectors import change

    shutil.copytree(template / "plain", tmp_path / "plain")
    real, others = change.due, list[Any]()

    def another_first(snapshot: Snapshot) -> Any:
        if snapshot.number == 2 and not others:
            others.append(writing(snapshot.folder, None))
            others[0].__enter__()
        return real(snapshot)

    monkeypatch.setattr(change, "due", another_first)
    after = delete(tmp_path / "plain", range(8))
    others[0].__exit__(None, None, None)
    assert (after.number, after.header.live) == (2, 32)
    assert delete(tmp_path / "plain", [8]).number == 4  # with its compaction
    usable(tmp_path / "plain")


def test_a_change_is_made_to_the_newest_version(template, tmp_path):
    """Not to the one in hand."""
    shutil.copytree(template / "plain", tmp_path / "plain")
    snapshot = Snapshot.open(tmp_path / "plain")
    snapshot.delete([1])
    assert snapshot.delete([2]).header.live == 38


def test_a_lock_file_names_no_folders_elsewhere(template, tmp_path):
    """What a stranger's folder says was left behind is removed only where leftovers are."""
    folder = tmp_path / "plain"
    shutil.copytree(template / "plain", folder)
    (tmp_path / "precious").mkdir()
    (folder / "lock").write_text("99\n../../precious\n000000-v000001/..\n.\nx\n")
    delete(folder, [1])
    assert (tmp_path / "precious").is_dir()
    (folder / "lock").write_text("no number\n")
    delete(folder, [2])
    usable(folder)


def test_no_lock_where_no_snapshot_is(tmp_path):
    with pytest.raises(FileNotFoundError):
        delete(tmp_path / "none", [1])
    assert list(tmp_path.iterdir()) == []


# The program


def kill_at_change(moment: int, folder: Path) -> None:
    """From here on, this process is killed before its n-th change of what is below the folder, or write to a file."""
    count = [0]

    def tick(*_: object) -> None:
        count[0] += 1
        if count[0] == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        writes = event == "open" and bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if (writes or event in CHANGES) and str(folder) in str(args[0]):
            tick()

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call" and arg.__name__ in ("write", "truncate", "print"):
            tick()

    sys.addaudithook(hook)
    sys.setprofile(profile)
    os.fsync = tick  # which also makes the disk no matter of time


def kill_at_line(moment: int, folder: Path) -> None:
    """From here on, this process is killed before the n-th line that it runs of what writes."""
    count = [0]

    def tracer(frame: FrameType, event: str, arg: Any) -> Any:
        if not any(frame.f_code.co_filename.endswith(name) for name in FILES):
            return None
        if event == "line":
            count[0] += 1
            if count[0] == moment:
                os.kill(os.getpid(), signal.SIGKILL)
        return tracer

    os.fsync = lambda _: None  # type: ignore[assignment]
    sys.settrace(tracer)


def every(kill: Callable[[int, Path], None], step: int, name: str, template: Path, killed: Path) -> None:
    """killed/N/snapshot is what is left after dying at moment N = step, 2 step ... up to one that is survived."""
    source, operation = OPERATIONS[name]
    for moment in range(0, 100_000, step):
        folder = killed / str(moment) / "snapshot"
        folder.parent.mkdir(parents=True)
        if source is not None:
            shutil.copytree(template / source, folder)
        if moment == 0:  # nobody is killed, and no later writer has kernels to load
            operation(folder)
            shutil.rmtree(folder.parent)
            continue
        if (child := os.fork()) == 0:
            kill(moment, folder.parent)
            operation(folder)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status == 0:
            return
        assert os.WIFSIGNALED(status), f"moment {moment}: the writer failed by itself"
    raise AssertionError("the writer never ends")


def change_forever(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    while True:
        snapshot = Snapshot.open(folder)
        ids = [int(id) for stored in snapshot.segments for id in stored.segment.ids[stored.segment.live]]
        if len(ids) > 60 or (len(ids) > 20 and rng.random() < 0.5):
            snapshot.delete(rng.sample(ids, 5))
        elif rng.random() < 0.8:
            snapshot.append(VECTORS[:7], labels=KINDS[:7])
        else:
            snapshot.compact()


def at_times(folder: Path, rounds: int) -> int:
    """The number of versions in the end."""
    rng, roots, named = random.Random(1), dict[int, bytes](), set[str]()

    def look() -> None:
        new = [number for number in numbers(folder) if number not in roots]
        for number in new:
            snapshot = Snapshot.open(folder, at=number)
            snapshot.check()
            roots[number] = snapshot.root
        named.update(folders_of(folder, new))

    for seed in range(rounds):
        if (child := os.fork()) == 0:
            change_forever(folder, seed)
        time.sleep(rng.random() * 0.1)
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        look()
        snapshot = Snapshot.open(folder)
        assert len(snapshot.query(VECTORS[9], k=3).ids) == 3
        snapshot.append(VECTORS[:1], labels=["noun"])
        look()
        assert leftovers(folder, named) == set()
    assert sorted(roots) == list(range(1, len(roots) + 1))
    assert all(Snapshot.open(folder, at=number).root == root for number, root in roots.items())
    return len(roots)


def main(mode: str, *arguments: str) -> None:
    if mode == "hold":
        with writing(Path(arguments[0]), None):
            print("held", flush=True)
            time.sleep(600)
    elif mode == "times":
        print(at_times(Path(arguments[0]), int(arguments[1])))
    else:
        name, template, killed = arguments
        kill, step = {"changes": (kill_at_change, 1), "lines": (kill_at_line, 5)}[mode]
        every(kill, step, name, Path(template), Path(killed))


if __name__ == "__main__":
    main(*sys.argv[1:])
