"""How a request log lies on disk: what was written before a crash is there after it.

    FOLDER/log.json              provider, epoch, when it was opened, the agreements and whose keys sign for them
           requests.log          records of fixed size, appended and synced before a call returns
           responses.log
           acknowledgements.log
           rows.npy              what was committed of all that (`ledger`), in the order of the segments
           epoch.bin             the commitment (`epoch`), written last: from then on, nothing more is accepted
           lock                  held by who writes

A record ends with 8 bytes of its blake3. A writer that is killed leaves whole records and perhaps a torn end, which the
next one cuts off: nobody was told that it had been accepted. Damage before the end is never cut off, but refused.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from octoproof.files import write_atomically
from octoproof.market.errors import MarketError
from octoproof.market.messages import Agreement, Party, Signature
from verifier.errors import ParseError, VerificationError
from verifier.strict import fields, integer, items, load_json, string

FORMAT = 1
DOCUMENT, ROWS, EPOCH = "log.json", "rows.npy", "epoch.bin"
MAX_DOCUMENT_BYTES = 64 << 20
_CHECK, _FEW = 8, 256
_SIGNED = [("hash", "V32"), ("r", "V32"), ("s", "V32"), ("check", f"V{_CHECK}")]
_NAMED = [("agreement", "V32"), ("sequence", "<u8")]
_REQUEST = [("previous", "V32"), ("input", "V32"), ("sent_at", "<u8"), ("received_at", "<u8")]
_TIMES = [("received_at", "<u8"), ("answered_at", "<u8")]
_SAID = [("status", "<u4"), ("valid", "<u4"), ("tokens", "<u8"), ("output", "V32")]
KINDS = {
    "requests": np.dtype([*_NAMED, *_REQUEST, *_SIGNED]),
    "responses": np.dtype([*_NAMED, *_TIMES, *_SAID, *_SIGNED]),
    "acknowledgements": np.dtype([*_NAMED, ("acknowledged_at", "<u8"), *_SIGNED]),
}

Records = npt.NDArray[np.void]


class LogError(VerificationError):
    """A log whose files are not what was written (command line: exit 1)."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Raises MarketError while another program writes; a program that dies lets go."""
    with open(folder / "lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MarketError(f"{folder}: another program is writing this log; try again later") from None
        yield


def write_document(folder: Path, provider: Party, epoch: int, opened_at: int, agreements: Iterable[Agreement]) -> None:
    """Makes a folder a log, whole or not at all. Raises OSError."""
    for name in KINDS:
        (folder / f"{name}.log").touch()
    document = {
        "format": FORMAT,
        "provider": _party_document(provider),
        "epoch": epoch,
        "opened_at": opened_at,
        "agreements": [{"id": hex(one.id), "buyer": _party_document(one.buyer)} for one in agreements],
    }
    write_atomically(folder / DOCUMENT, json.dumps(document, indent=1))


def read_document(folder: Path) -> tuple[Party, int, int, list[Agreement]]:
    """(provider, epoch, opened_at, agreements) of the log in a folder. Raises LogError, OSError."""
    with open(folder / DOCUMENT, "rb") as file:
        data = file.read(MAX_DOCUMENT_BYTES + 1)
    try:
        known = fields(
            load_json(data, DOCUMENT, MAX_DOCUMENT_BYTES),
            DOCUMENT,
            ("format", "provider", "epoch", "opened_at", "agreements"),
        )
        if integer(known["format"], "format") != FORMAT:
            raise ParseError(f"format: {known['format']}, this reads {FORMAT}")
        provider = _party(known["provider"], "provider")
        agreements = []
        for place, item in enumerate(items(known["agreements"], "agreements")):
            one = fields(item, f"agreements[{place}]", ("id", "buyer"))
            agreements.append(Agreement(_felt(one["id"], "id"), provider, _party(one["buyer"], "buyer")))
        return provider, integer(known["epoch"], "epoch"), integer(known["opened_at"], "opened_at"), agreements
    except ParseError as error:
        raise LogError(f"{folder / DOCUMENT}: damaged ({error}); restore the file") from None


def read_records(folder: Path, name: str) -> Records:
    """All whole records of one file; a torn end is left out. Raises LogError for damage before the end, OSError."""
    path, kind = folder / f"{name}.log", KINDS[name]
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return np.zeros(0, kind)
    records = np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind)
    good = (_fields(records, "check") == _checks(records)).all(axis=1)
    bad = np.flatnonzero(~good)
    whole = int(bad[0]) if len(bad) else len(records)
    if good[whole:].any():
        raise LogError(f"{path}: record {whole} is damaged, and there are others behind it; restore the file")
    return records[:whole]


def repaired(folder: Path, name: str) -> Records:
    """What `read_records` gives, after cutting off what a killed writer left. Only for who holds the lock."""
    records, path = read_records(folder, name), folder / f"{name}.log"
    if path.exists() and path.stat().st_size > records.nbytes:
        os.truncate(path, records.nbytes)
    return records


def append(folder: Path, name: str, records: Records) -> None:
    """Adds finished records; they are on disk when this returns. Raises OSError, and then nothing has been added."""
    path = folder / f"{name}.log"
    with open(path, "ab", buffering=0) as file:
        start = file.tell()
        try:
            left = memoryview(records.tobytes())
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:  # a full disk: half a record would be in the way of the next one
            os.ftruncate(file.fileno(), start)
            raise


def records_of(name: str, rows: Sequence[tuple[Any, ...]]) -> Records:
    """Records from their fields before `hash`, then hash and signature: (..., hash, (r, s))."""
    kind = KINDS[name]
    packed = [(*row[:-2], felt(row[-2]), felt(row[-1][0]), felt(row[-1][1]), bytes(_CHECK)) for row in rows]
    records = np.array(packed, kind)
    _fields(records, "check")[:] = _checks(records)
    return records


def felt(value: int) -> bytes:
    """A field element as records and commitments hold it: 32 bytes, big-endian."""
    return value.to_bytes(32, "big")


def number(value: bytes | np.void) -> int:
    """The integer that these bytes hold."""
    return int.from_bytes(bytes(value), "big")


def signature_of(record: np.void) -> Signature:
    """(r, s) of a record."""
    return number(record["r"]), number(record["s"])


def _fields(records: Records, name: str) -> npt.NDArray[np.uint8]:
    """(n, bytes of the field), as they lie in the records."""
    offset, kind = records.dtype.fields[name][1], records.dtype[name]  # type: ignore[index]
    return records.view(np.uint8).reshape(-1, records.itemsize)[:, offset : offset + kind.itemsize]


def _checks(records: Records) -> npt.NDArray[np.uint8]:
    """(n, 8) hashes of what is before them in the records."""
    width = records.itemsize - _CHECK
    data = records.view(np.uint8).reshape(-1, records.itemsize)[:, :width]
    if len(records) < _FEW:
        found = b"".join(blake3(record.tobytes()).digest(_CHECK) for record in data)
        return np.frombuffer(found, dtype=np.uint8).reshape(-1, _CHECK)
    from octoproof.vectors.rowhash import digests  # compiled: worth loading for many

    return digests(len(records), width, lambda rows: [data[rows]])[:, :_CHECK]


def _party_document(party: Party) -> dict[str, str]:
    return {"address": hex(party.address), "public_key": hex(party.public_key)}


def _party(value: Any, where: str) -> Party:
    known = fields(value, where, ("address", "public_key"))
    return Party(_felt(known["address"], f"{where}.address"), _felt(known["public_key"], f"{where}.public_key"))


def _felt(value: Any, where: str) -> int:
    text = string(value, where)
    try:
        found = int(text, 16)
    except ValueError:
        found = -1
    if not 0 <= found < 1 << 252:
        raise ParseError(f"{where}: {text!r:.80} is no field element in hexadecimal digits")
    return found
