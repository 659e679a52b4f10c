"""What `octoproof verify` finds: one outcome a receipt, many at once in processes, and those that are known already."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from octoproof.cli.console import check_document, check_documents, security_document
from verifier.security import Figures

if TYPE_CHECKING:
    from octoproof.vectors.receipts import Certificate

SEVERAL = 8  # from so many receipts on, the work is worth starting processes for


@dataclass
class Outcome:
    """One receipt's verdict in the making; `reason` None means valid."""

    file: str
    statement: dict[str, Any] | None = None
    checks: list[dict[str, Any]] = field(default_factory=list)
    security: Figures | None = None
    reason: str | None = None
    ms: float = 0.0

    def document(self) -> dict[str, Any]:
        return {
            "valid": self.reason is None,
            "statement": self.statement,
            "checks": self.checks,
            "security": None if self.security is None else security_document(self.security),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Demands:
    """What the caller knows and asks for. `certificate_hash` names the certificate for the cache."""

    root: bytes | None
    min_conjectured: float | None
    min_proven: float
    certificate: Certificate | None = None
    certificate_hash: str | None = None

    @property
    def key(self) -> str:
        """Names the demands, and the program that checks them."""
        from octoproof import __version__
        from octoproof.pipeline.request import FORMATS

        root = None if self.root is None else self.root.hex()
        figures = (self.min_conjectured, self.min_proven)
        return json.dumps([__version__, FORMATS, root, *figures, self.certificate_hash])


def examine_all(paths: Sequence[Path], demands: Demands, store: Path | None) -> list[Outcome]:
    """An outcome for each file, those of a store's cache without work; valid ones are remembered there.

    Raises ParseError or OSError where a file holds no receipt. A store that cannot be used is done without."""
    from octoproof.cli.airs import read_bounded
    from octoproof.device import usable_cores
    from verifier.receipt import MAX_RECEIPT_BYTES

    # One at a time: a batch may be larger than memory.
    names = [hashlib.blake2s(read_bounded(path, MAX_RECEIPT_BYTES)).hexdigest() for path in paths]
    known = _recall(store, names, demands)
    open_paths = [path for path, name in zip(paths, names, strict=True) if name not in known]
    if len(open_paths) < SEVERAL or usable_cores() == 1:
        found = [examine(path, demands) for path in open_paths]
    else:
        # Fresh processes: forking one that has threads may hang.
        with ProcessPoolExecutor(usable_cores(), mp_context=get_context("spawn")) as pool:
            found = list(pool.map(partial(examine, demands=demands), open_paths, chunksize=4))
    fresh = iter(found)
    outcomes = [
        _recalled(path, known[name]) if name in known else next(fresh) for path, name in zip(paths, names, strict=True)
    ]
    valid = {n: o for n, o in zip(names, outcomes, strict=True) if n not in known and o.reason is None}
    _remember(store, valid, demands)
    return outcomes


def examine(path: Path, demands: Demands) -> Outcome:
    """Verifies one file. Raises ParseError or OSError where there is no receipt in it."""
    from air.statements.certify_statement import CertifyStatement
    from air.statements.sla_statement import SLA, SlaStatement
    from octoproof.accepted import accepted
    from octoproof.cli.airs import read_bounded
    from octoproof.vectors.receipts import query_verdict
    from verifier.errors import VerificationError
    from verifier.receipt import MAX_RECEIPT_BYTES, verify

    outcome = Outcome(str(path))
    data = read_bounded(path, MAX_RECEIPT_BYTES)
    started = perf_counter()
    try:
        verdict = verify(data, accepted(), demands.min_conjectured, demands.min_proven)
    except VerificationError as error:
        outcome.checks = check_documents(error.checks, error)
        outcome.reason = " ".join(str(error).split())
    else:
        several = len(verdict.parts) > 1
        outcome.statement, outcome.security = verdict.describe(), verdict.security
        outcome.checks = [
            check_document(f"part {k}: {c.name}" if several else c.name, True, c.ms)
            for k, part in enumerate(verdict.parts, 1)
            for c in part.checks
        ]
        first = verdict.parts[0].statement
        if isinstance(first, SlaStatement):
            outcome.statement["report"] = SLA.report([part.statement for part in verdict.parts]).describe()
            if demands.root is not None:
                _check(outcome, "epoch root", demands.root == first.epoch_root)
        elif not isinstance(first, CertifyStatement):
            found = query_verdict(verdict, None, demands.certificate)
            outcome.statement["results"] = [{"id": id, "score": score} for id, score in found.results]
            outcome.statement["certified"] = found.certified
            if demands.root is not None:
                _check(outcome, "snapshot root", demands.root == found.snapshot_root)
            if demands.certificate is not None and found.certified is not None:
                _check(outcome, "certificate", found.certified)
        elif demands.root is not None:
            _check(outcome, "snapshot root", False)  # a certificate is of segments, whatever snapshots hold them
    outcome.ms = (perf_counter() - started) * 1e3
    return outcome


REFUSALS = {
    "snapshot root": "snapshot root: the receipt is about another snapshot",
    "epoch root": "epoch root: the receipt is about another epoch",
    "certificate": "certificate: it does not cover the columns that this receipt is proven over",
}


def _check(outcome: Outcome, name: str, met: bool) -> None:
    outcome.checks.append(check_document(name, met))
    if not met and outcome.reason is None:
        outcome.reason = REFUSALS[name]


def _recall(store: Path | None, names: Sequence[str], demands: Demands) -> dict[str, Any]:
    from octoproof.pipeline.store import Store

    if store is None:
        return {}
    try:
        with Store(store) as held:
            found = {name: held.verdict(name, demands.key) for name in names}
    except (OSError, sqlite3.Error):
        return {}
    return {name: verdict for name, verdict in found.items() if verdict is not None}


def _recalled(path: Path, known: Any) -> Outcome:
    return Outcome(str(path), known["statement"], [check_document("cached", True)], Figures(**known["security"]))


def _remember(store: Path | None, valid: dict[str, Outcome], demands: Demands) -> None:
    from octoproof.pipeline.store import Store

    if store is None or not valid:
        return
    try:
        with Store(store) as held:
            for name, outcome in valid.items():
                assert outcome.security is not None  # as it is valid
                known = {"statement": outcome.statement, "security": asdict(outcome.security)}
                held.remember(name, demands.key, known)
    except (OSError, sqlite3.Error):
        return
