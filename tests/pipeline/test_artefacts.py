"""Blobs by their hash: whole or not there, and never other bytes than were put."""

from __future__ import annotations

import errno
import os

import pytest
from blake3 import blake3

from octoproof.pipeline.artefacts import Artefacts
from octoproof.vectors.errors import SnapshotError

DATA = bytes(range(256)) * 20


@pytest.fixture
def blobs(tmp_path) -> Artefacts:
    return Artefacts(tmp_path / "artefacts")


def path_of(blobs: Artefacts, name: str):
    return blobs.folder / name[:2] / name


def test_kept_under_its_hash(blobs):
    name = blobs.put(DATA)
    assert name == blake3(DATA).hexdigest()
    assert blobs.get(name) == DATA
    assert blobs.has(name)
    assert blobs.put(DATA) == name
    assert [path.name for path in blobs.folder.glob("*/*")] == [name]
    assert blobs.get(blobs.put(b"")) == b""


@pytest.mark.parametrize("place", [0, 1, len(DATA) // 2, len(DATA) - 1])
def test_a_flipped_byte_is_refused(blobs, place):
    name = blobs.put(DATA)
    damaged = bytearray(DATA)
    damaged[place] ^= 1
    path_of(blobs, name).write_bytes(damaged)
    with pytest.raises(SnapshotError, match=f"{name}: differs from its name; remove it, and submit the job again"):
        blobs.get(name)
    assert blobs.put(DATA) == name  # which mends it
    assert blobs.get(name) == DATA


@pytest.mark.parametrize("length", [0, 1, len(DATA) - 1])
def test_a_shortened_file_is_refused(blobs, length):
    name = blobs.put(DATA)
    os.truncate(path_of(blobs, name), length)
    with pytest.raises(SnapshotError):
        blobs.get(name)


def test_what_is_not_there(blobs):
    name = blake3(b"never put").hexdigest()
    assert not blobs.has(name)
    with pytest.raises(FileNotFoundError):
        blobs.get(name)
    blobs.remove(name)


@pytest.mark.parametrize("name", ["", "ab", "AB" * 32, "../" * 21 + "a", "ab" * 32 + "\n", f"{'ab' * 31}/x"])
def test_a_name_is_no_path(blobs, name):
    for access in (blobs.get, blobs.has, blobs.remove):
        with pytest.raises(ValueError, match="64 hex digits"):
            access(name)


def test_only_named_ones_stay(blobs):
    kept, gone = blobs.put(DATA), blobs.put(b"gone")
    aside = path_of(blobs, kept).with_name(f".{kept}.0123.part")  # of a writer that was killed
    aside.write_bytes(b"half")
    stranger = blobs.folder / "ab" / "README"
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_text("not ours")
    assert blobs.keep_only({kept}) == (2, 8)
    assert blobs.get(kept) == DATA
    assert not blobs.has(gone)
    assert not aside.exists()
    assert stranger.exists()


def test_who_does_not_wait_for_the_disk(blobs, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("waits"))
    name = blobs.put(DATA, durable=False)
    assert blobs.get(name) == DATA
    assert [path.name for path in blobs.folder.glob("*/*")] == [name]


@pytest.mark.parametrize(
    ("call", "durable"), [("write", True), ("fsync", True), ("replace", True), ("write", False), ("replace", False)]
)
def test_a_full_disk_leaves_nothing(blobs, monkeypatch, call, durable):
    blobs.put(b"before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "write":
        monkeypatch.setattr("builtins.open", lambda *_: full())
        monkeypatch.setattr("io.open", lambda *_: full())
    else:
        monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left") as refusal:
        blobs.put(DATA, durable)
    assert refusal.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert not blobs.has(blake3(DATA).hexdigest())
    assert [path.name for path in blobs.folder.glob("*/*")] == [blake3(b"before").hexdigest()]
    assert blobs.get(blobs.put(DATA)) == DATA
