"""The Ray actor that proves: it keeps opened snapshots and committed segments, and proves one part at a time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from octoproof.device import backend
from octoproof.pipeline.request import Request
from octoproof.vectors.claims import proven_claims
from octoproof.vectors.prove import Trees, prove_part
from octoproof.vectors.query import Answer
from octoproof.vectors.snapshot import Snapshot, preset_key
from verifier.config import PRESETS
from verifier.receipt import Receipt, write_receipt

_SNAPSHOTS, _ANSWERS = 4, 16


class ProverActor:
    """One process with one device. `tree_bytes` bounds the committed segments that it keeps.

    Plain Python: `cluster` makes a Ray actor of it."""

    def __init__(self, threads: int, tree_bytes: int) -> None:
        self._context = backend(threads)
        self._device = self._context.__enter__()
        self._trees = Trees(tree_bytes)
        self._snapshots = OrderedDict[tuple[str, int, str], Snapshot]()
        self._answers = OrderedDict[str, Answer]()

    def prove(self, request: Request, number: int) -> bytes:
        """Part `number` of the request's receipt, as a receipt of this part alone. It is the same in every process.

        Raises what the search and the prover raise."""
        claim = proven_claims(self._answer(request))[number]
        key, config = preset_key(request.preset), PRESETS[request.preset]
        part = prove_part(claim, key, config, backend=self._device, trees=self._trees)
        return write_receipt(Receipt((part,)))

    def _answer(self, request: Request) -> Answer:
        # A job's parts come one after the other: its search is made once a process.
        if request.key not in self._answers:
            self._answers[request.key] = request.answer(self._snapshot(request))
            if len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
        return self._answers[request.key]

    def _snapshot(self, request: Request) -> Snapshot:
        name = (request.snapshot, request.version, request.root)
        if name not in self._snapshots:
            self._snapshots[name] = request.open()
            if len(self._snapshots) > _SNAPSHOTS:
                self._snapshots.popitem(last=False)
        return self._snapshots[name]

    def ready(self) -> dict[str, Any]:
        """Answers when the process is up."""
        import os
        import socket

        return {"pid": os.getpid(), "host": socket.gethostname()}
