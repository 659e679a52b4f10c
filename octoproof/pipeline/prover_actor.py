"""The Ray actor that proves: it keeps opened snapshots and committed segments, and proves one part at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from air.statements.question import score_metric
from air.statements.topk_statement import TOPK
from octoproof.device import backend, choose, tree_bytes_of
from octoproof.pipeline.request import OpenSnapshots, Request
from octoproof.vectors.prove import Trees, prove_part
from octoproof.vectors.query import Scored
from octoproof.vectors.receipts import QueryReceipt
from octoproof.vectors.scan import scan
from octoproof.vectors.snapshot import preset_key
from verifier.config import PRESETS
from verifier.receipt import Receipt, read_receipt, write_receipt


class ProverActor:
    """One process with one device: the card that it sees, if it has one of its own, else the CPU. `tree_bytes` bounds
    the committed segments that it keeps.

    Plain Python: `cluster` makes a Ray actor of it."""

    def __init__(self, threads: int, tree_bytes: int, card: bool = False) -> None:
        choose("auto" if card else "cpu")
        self._context = backend(threads)
        self._device = self._context.__enter__()
        self._trees = Trees(tree_bytes_of(self._device) if card else tree_bytes)
        self._snapshots = OpenSnapshots()

    def ready(self) -> dict[str, Any]:
        """Answers when the process is up."""
        return {"pid": os.getpid(), "host": socket.gethostname()}

    def prove(self, request: Request, words: Sequence[int]) -> bytes:
        """The part of the request's receipt with this encoded TopkStatement, as a receipt of this part alone. It is the
        same in every process. Only the statement's own segment is read, and scored again.

        Raises SnapshotError where the segment is not the committed one, OSError."""
        statement = TOPK.decode(words)
        stored = self._snapshots.get(request).manifest.segments[statement.segment.index]
        segment, question = stored.segment, statement.question
        metric = score_metric(question.metric)
        scores = scan(segment.columns, segment.norms, question.query, metric, self._device.workers)
        key, config = preset_key(request.preset), PRESETS[request.preset]
        part = prove_part((Scored(stored, scores), statement), key, config, backend=self._device, trees=self._trees)
        return write_receipt(Receipt((part,)))

    def assemble(self, root: str, parts: Sequence[bytes]) -> bytes:
        """The receipt of all parts, verified. Raises ParseError, VerificationError."""
        receipt = write_receipt(Receipt(tuple(read_receipt(part).parts[0] for part in parts)))
        QueryReceipt(receipt).verify(root, min_conjectured=0.0)  # the client chose the preset
        return receipt
