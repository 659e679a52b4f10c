"""What tests of vectors share: the shipped words, a session to prove in, receipts verified and forged, and a provider
of answers who lies about his data.

He answers honestly over other data than the committed ones, and tries to pass this off in every way there is: the
committed columns under his own trace, his own columns, or an honest proof under his statement; where rows are opened,
his rows beside the committed hashes, his own trees, or the honest rows under his statement.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import octoproof
import prover.prove as proving
from air.statements.topk import topk_trace
from air.statements.topk_statement import TopkStatement
from octoproof.vectors.answers import Result, Session
from octoproof.vectors.claims import opened_claim, proven_claims
from octoproof.vectors.opened import OpenedStatement, write_opening
from octoproof.vectors.prove import prove_answer
from octoproof.vectors.query import OPENING, Answer, Scored, ask, quantise_query
from octoproof.vectors.receipts import QueryReceipt, QueryVerdict
from octoproof.vectors.segment import Segment
from octoproof.vectors.snapshot import Snapshot, preset_key
from octoproof.vectors.store import StoredSegment
from verifier.config import PRESETS
from verifier.receipt import OpenedPart, Part, Receipt, read_receipt, statement_spec, write_receipt

PRESET = "bench"  # weak and quick
OPTIONS: dict[str, dict[str, Any]] = {"strict": {}, "ivf": {"probes": 2}, "candidates": {"probes": 3}, "fast": {}}


@pytest.fixture(scope="session", autouse=True)
def unsynced() -> Iterator[None]:
    """Nothing waits for a disk: these tests lose no power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def words_file() -> Path:
    return Path(octoproof.__file__).parent / "data" / "words.npz"


@pytest.fixture(scope="session")
def device() -> Iterator[Any]:
    from octoproof.device import backend

    with backend(2) as opened:
        yield opened


@pytest.fixture(scope="session")
def session() -> Iterator[Session]:
    with Session(PRESET, threads=2) as opened:
        yield opened


@pytest.fixture(scope="session")
def proved(session: Session) -> Callable[..., Result]:
    """proved(snapshot, ...) is what `Snapshot.query` returns, with its receipt."""

    def ask(snapshot: Snapshot, vector: Any = None, **options: Any) -> Result:
        return snapshot.query(vector, prove=True, session=session, **options)

    return ask


@pytest.fixture(scope="session")
def verified() -> Callable[..., QueryVerdict]:
    """verified(receipt) is its verdict at any security; it raises what `QueryReceipt.verify` raises."""

    def verify(receipt: bytes | QueryReceipt, **options: Any) -> QueryVerdict:
        data = receipt if isinstance(receipt, bytes) else receipt.data
        return QueryReceipt(data).verify(min_conjectured=0.0, **options)

    return verify


@pytest.fixture(scope="session")
def under() -> Callable[..., bytes]:
    """under(receipt, statements) has the proofs or openings of a receipt under other statements."""

    def forge(receipt: bytes, statements: Sequence[Any]) -> bytes:
        parts = read_receipt(receipt).parts
        return whole(replace(p, statement=tuple(s.encode())) for p, s in zip(parts, statements, strict=True))

    return forge


@pytest.fixture(scope="session")
def exact() -> Callable[..., list[tuple[int, int]]]:
    """exact(coordinates, ids, query, k, metric) are the (id, score) of the k best rows, by plain NumPy."""

    def nearest(coordinates: Any, ids: Any, query: Sequence[int], k: int, metric: str = "l2") -> list[tuple[int, int]]:
        wide = np.asarray(coordinates, dtype=np.int64).reshape(len(ids), len(query))
        scores = wide @ np.array(query)
        if metric == "l2":
            scores = 2 * scores - (wide * wide).sum(axis=1)
        rows = zip((-scores).tolist(), np.asarray(ids).tolist(), strict=True)
        return [(id, -negative) for negative, id in sorted(rows)[:k]]

    return nearest


@pytest.fixture(scope="session")
def provider(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Provider:
    """Of three cells of 20 rows, asked for what is nearest to zero. Ids 100 to 105 are the nearest, 104 and 105 tie.

    In the third version, which he is asked about, id 150 has left the neighbourhood and id 151, in the very place of
    the query, is deleted."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(0, 0.3, (60, 4)) + np.repeat([[0.0] * 4, [9.0] * 4, [-9.0] * 4], 20, axis=0)
    vectors[:20] = np.sign(vectors[:20]) * np.maximum(np.abs(vectors[:20]), 0.3)
    vectors[:4, :] = np.outer([0.05, 0.1, 0.15, 0.2], [1, 0, 0, 0])
    vectors[[4, 5]] = [[0.25, 0, 0, 0], [0, 0.25, 0, 0]]
    vectors[[50, 51]] = 0.0
    kinds = ["noun" if k % 2 else "verb" for k in range(60)]
    folder = tmp_path_factory.mktemp("provider") / "snapshot"
    options = {"ids": np.arange(100, 160), "payload": {"kind": kinds}, "presets": (PRESET,)}
    first = Snapshot.build(vectors, folder, cells=3, **options)
    first.append([[-9.0] * 4], ids=[150], payload={"kind": ["verb"]}, replace=True)
    return Provider(first.delete([151]), session)


@dataclass(frozen=True)
class Provider:
    """Answers questions over altered segments, and makes receipts of that."""

    snapshot: Snapshot
    session: Session

    def altered(self, alter: Callable[[Segment], Segment | None], centroids: bool = False) -> Snapshot:
        """The snapshot as he pretends it is, under its own header, leaves and root: with one segment altered, which is
        the only one that `alter` gives another for."""
        segments, changed = [], 0
        for number, stored in enumerate(self.snapshot.manifest.segments):
            segment = alter(stored.segment) if centroids == (number == 0) else None
            segments.append(stored if segment is None else _pretended(stored, segment))
            changed += segment is not None
        assert changed == 1
        return replace(self.snapshot, manifest=replace(self.snapshot.manifest, segments=tuple(segments)))

    def answer(self, mode: str, snapshot: Snapshot | None = None, query: Any = (0, 0, 0, 0), **options: Any) -> Answer:
        told = snapshot or self.snapshot
        return ask(told, quantise_query(told, query), **{"k": 5, "mode": mode} | OPTIONS[mode] | options)

    def honest(self, answer: Answer) -> bytes:
        return prove_answer(answer, PRESET, backend=self.session.device)

    def statements(self, answer: Answer) -> list[Any]:
        if answer.mode in OPENING:
            return [opened_claim(answer)]
        return [statement for _, statement in proven_claims(answer)]

    def receipts(self, lie: Answer, truth: Answer) -> Iterator[tuple[str, bytes]]:
        """(how it was made, receipt) of every way to say what the lie says."""
        statements = self.statements(lie)
        if lie.mode in OPENING:
            yield "own rows", opened_receipt(statements[0], self.opening(lie.snapshot, statements[0]))
            yield "own trees", opened_receipt(statements[0], self.opening(lie.snapshot, statements[0], own_trees=True))
        else:
            claims = proven_claims(lie)
            yield "own trace", whole(self.part(*claim) for claim in claims)
            yield "own columns", whole(self.part(*claim, own_columns=True) for claim in claims)
        parts = read_receipt(self.honest(truth)).parts
        if len(parts) == len(statements):
            words = (tuple(statement.encode()) for statement in statements)
            yield "own statement", whole(replace(p, statement=w) for p, w in zip(parts, words, strict=True))

    def part(self, scored: Scored, statement: TopkStatement, own_columns: bool = False) -> Part:
        """A proof by the trace of the rows as pretended."""
        own, config, key = scored.stored.segment, PRESETS[PRESET], preset_key(PRESET)
        committed = self.snapshot.manifest.segments[statement.segment.index].segment
        spec = statement_spec(statement, key.channel, config)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(proving, "_check_composition", lambda *_: None)  # an honest prover stops here
            proved = proving.prove(
                spec.air,
                (own if own_columns else committed).tree0(),
                topk_trace(statement.component(), scored.scores, own.stored_live, own.stored_codes),
                config=config,
                statement_u64=spec.statement_u64,
                backend=self.session.device,
            )
        return Part(tuple(statement.encode()), key.channel, proved.claimed_sums, proved.proof)

    def opening(self, snapshot: Snapshot, statement: OpenedStatement, own_trees: bool = False) -> bytes:
        """The rows as pretended, beside the hashes of the committed trees or of those of the rows as pretended. For
        rows that a tree does not have there are those of the first one."""
        shown, siblings = [], []
        for placed, rows in zip(statement.segments, statement.in_order(), strict=True):
            stored = snapshot.manifest.segments[placed.index]
            segment, positions = stored.segment, [row.position for row in rows]
            tree = segment.row_tree("native") if own_trees else stored.row_tree("native")
            shown.append((segment.columns[:, segment.positions[positions]].T, segment.codes[:, positions].T))
            siblings.append(tree.prove([p for p in sorted(set(positions)) if p < tree.size] or [0]))
        return write_opening(snapshot.header, shown, siblings)

    def opened(self, statement: OpenedStatement) -> bytes:
        """The receipt of a statement, honest but for what it says."""
        return opened_receipt(statement, self.opening(self.snapshot, statement))


def _pretended(stored: StoredSegment, segment: Segment) -> StoredSegment:
    """A stored segment that holds other arrays than its files."""
    other = replace(stored)
    vars(other)["segment"] = segment
    return other


def opened_receipt(statement: OpenedStatement, opening: bytes) -> bytes:
    return whole([OpenedPart(tuple(statement.encode()), opening)])


def whole(parts: Iterable[Part | OpenedPart]) -> bytes:
    return write_receipt(Receipt(tuple(parts)))
