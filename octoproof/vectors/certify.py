"""Certificates: proofs that a snapshot's segments are well-formed, each made once a segment version and kept.

    certificates/LEAF-CHANNEL-BLOWUP-LIFTING.octoproof    the receipt of one segment

A certificate is about columns under one key; a query proven under another key needs another one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from air.statement import RootKey
from air.statements.certify import certify_trace
from air.statements.certify_statement import CertifyStatement
from octoproof.accepted import accepted
from octoproof.files import write_atomically
from octoproof.vectors.errors import SnapshotError
from octoproof.vectors.prove import Trees, committed
from octoproof.vectors.snapshot import Snapshot, preset_key
from octoproof.vectors.store import StoredSegment
from verifier.config import PRESETS
from verifier.errors import ParseError, VerificationError
from verifier.receipt import OpenedPart, Part, Receipt, read_receipt, statement_spec, verify, write_receipt

CERTIFICATES = "certificates"

Progress = Callable[[str], None]


def certificate_of(
    snapshot: Snapshot, preset: str = "standard", *, backend: Any, progress: Progress | None = None
) -> tuple[bytes, int]:
    """(one receipt about all segments, the centroids included; how many of them had to be proven now).

    Raises VectorError for a preset that the snapshot was not committed for, SnapshotError where a segment is not
    well-formed, OSError."""
    parts: list[Part | OpenedPart] = []
    segments, fresh = snapshot.manifest.segments, 0
    for number, stored in enumerate(segments, 1):
        if progress:
            progress(f"segment {number} of {len(segments)}")
        statement = _statement(snapshot, stored)
        path = _path(snapshot, stored, preset_key(preset))
        part = _kept(path, statement, preset)
        if part is None:
            part, fresh = _proven(statement, stored, preset, backend, progress), fresh + 1
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, write_receipt(Receipt((part,))))
        parts.append(part)
    return write_receipt(Receipt(tuple(parts))), fresh


def _statement(snapshot: Snapshot, stored: StoredSegment) -> CertifyStatement:
    header = snapshot.header
    centroids = bool(header.cells) and stored is snapshot.manifest.segments[0]
    return CertifyStatement(
        dimension=header.dimension,
        limit=header.limit,
        scale=header.scale,
        unit=header.normalised and not centroids,
        values=tuple(field.values for field in header.fields),
        leaf=stored.leaf,
    )


def _path(snapshot: Snapshot, stored: StoredSegment, key: RootKey) -> Path:
    name = f"{stored.leaf.digest().hex()}-{key.channel}-{key.log_blowup_factor}-{key.lifting_log_size or 0}"
    return snapshot.folder / CERTIFICATES / f"{name}.octoproof"


def _kept(path: Path, wanted: CertifyStatement, preset: str) -> Part | OpenedPart | None:
    """The part of an earlier run, if it is of the same preset and still says enough and holds."""
    try:
        data = path.read_bytes()
        (verdict,) = verify(data, accepted(), min_conjectured=0.0).parts
    except (OSError, ParseError, VerificationError, ValueError):
        return None
    known = verdict.statement
    # Dictionaries only grow: codes that were within a smaller one are within this one.
    enough = isinstance(known, CertifyStatement) and len(known.values) == len(wanted.values)
    enough = enough and all(a <= b for a, b in zip(known.values, wanted.values, strict=True))
    same = ("dimension", "limit", "scale", "unit", "leaf")
    enough = enough and all(getattr(known, name) == getattr(wanted, name) for name in same)
    return read_receipt(data).parts[0] if enough and verdict.config == PRESETS[preset] else None


def _proven(
    statement: CertifyStatement, stored: StoredSegment, preset: str, device: Any, progress: Progress | None
) -> Part:
    from prover.prove import prove  # compiles kernels: only who proves pays for it

    key, config, segment = preset_key(preset), PRESETS[preset], stored.segment
    spec = statement_spec(statement, key.channel, config)
    tree = committed(stored, key, device, Trees(0))
    try:
        main = certify_trace(
            statement.component(), segment.ids, segment.live, segment.columns, segment.norms, segment.codes
        )
    except ValueError as error:
        raise SnapshotError(f"{stored.folder}: not well-formed, {error}") from None
    proved = prove(
        spec.air,
        tree,
        main,
        channel=key.channel,
        config=config,
        statement_u64=spec.statement_u64,
        backend=device,
        progress=progress,
    )
    return Part(tuple(statement.encode()), key.channel, proved.claimed_sums, proved.proof)
