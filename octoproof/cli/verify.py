"""`octoproof verify`: receipts in, a verdict out. Needs nothing but the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import (
    JSON_OPTION,
    application,
    check_document,
    check_documents,
    print_json,
    print_table,
    security_document,
    security_line,
)

if TYPE_CHECKING:
    from verifier.security import Figures

app = application("Verify receipts.")

MAX_SHOWN = 10  # results on the screen; JSON has them all


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


@app.command()
def verify(
    receipts: Annotated[list[Path], typer.Argument(metavar="RECEIPT...", help="Receipt files; several are one batch.")],
    snapshot_root: Annotated[
        str | None, typer.Option("--snapshot-root", help="The root, 64 hex digits, that you know the snapshot by.")
    ] = None,
    min_conjectured: Annotated[
        float | None, typer.Option("--min-conjectured", help="Bits demanded by the usual conjecture (else: 96).")
    ] = None,
    min_proven: Annotated[float, typer.Option("--min-proven", help="Bits demanded without any conjecture.")] = 0.0,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Verifies receipts: exit 0 if all are valid, 1 if one is not, 2 if one cannot be read."""
    root = _root(snapshot_root)
    outcomes = [examine(path, root, min_conjectured, min_proven) for path in receipts]
    valid = all(outcome.reason is None for outcome in outcomes)
    together = batch_security([outcome.security for outcome in outcomes if outcome.security]) if valid else None
    shortfall = _shortfall(together, min_conjectured or 0.0, min_proven) if together else None
    valid = valid and shortfall is None
    if as_json:
        documents = [outcome.document() for outcome in outcomes]
        figures = security_document(together) if together else None
        batch = {"valid": valid, "receipts": documents, "security": figures, "reason": shortfall}
        print_json(documents[0] if len(documents) == 1 else batch)
    else:
        for outcome in outcomes:
            _print(outcome, root is not None)
        if len(outcomes) > 1:
            good = sum(outcome.reason is None for outcome in outcomes)
            print(f"batch: {good} of {len(outcomes)} valid" + (f", {security_line(together)}" if together else ""))
            if shortfall:
                print(f"NOT VALID: {shortfall}")
    raise typer.Exit(0 if valid else 1)


def examine(path: Path, root: bytes | None, min_conjectured: float | None, min_proven: float) -> Outcome:
    """Verifies one file. Raises ParseError or OSError where there is no receipt in it."""
    from air.statements.topk_statement import TopkStatement, topk_result
    from octoproof.accepted import accepted
    from octoproof.cli.airs import read_bounded
    from verifier.errors import VerificationError
    from verifier.receipt import MAX_RECEIPT_BYTES, verify

    outcome = Outcome(str(path))
    data = read_bounded(path, MAX_RECEIPT_BYTES)
    started = perf_counter()
    try:
        verdict = verify(data, accepted(), min_conjectured, min_proven)
    except VerificationError as error:
        outcome.checks = check_documents(error.checks, error)
        outcome.reason = " ".join(str(error).split())
    else:
        several = len(verdict.parts) > 1
        outcome.statement = verdict.describe()
        claims = [part.statement for part in verdict.parts if isinstance(part.statement, TopkStatement)]
        if claims:
            best = topk_result(claims)
            outcome.statement["results"] = [{"id": id, "score": score} for id, score in best]
        outcome.security = verdict.security
        outcome.checks = [
            check_document(f"part {k}: {c.name}" if several else c.name, True, c.ms)
            for k, part in enumerate(verdict.parts, 1)
            for c in part.checks
        ]
        if root is not None:
            same = all(getattr(part.statement, "snapshot_root", None) == root for part in verdict.parts)
            outcome.checks.append(check_document("snapshot root", same))
            outcome.reason = None if same else "snapshot root: the receipt is about another snapshot"
    outcome.ms = (perf_counter() - started) * 1e3
    return outcome


def batch_security(figures: Sequence[Figures]) -> Figures:
    """The weakest figures, less log2 of the number of receipts: breaking any one of them breaks the batch."""
    weakest = min(figures, key=lambda f: f.proven)
    return replace(weakest, conjectured=min(f.conjectured for f in figures)).of_parts(len(figures))


def _shortfall(security: Figures, min_conjectured: float, min_proven: float) -> str | None:
    for name, bits, least in (
        ("conjectured", security.conjectured, min_conjectured),
        ("proven", security.proven, min_proven),
    ):
        if bits < least:
            return f"security: the batch has {bits:.1f} {name} bits, at least {least:.1f} are demanded"
    return None


def _root(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        root = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        root = b""
    if len(root) != 32:
        raise typer.BadParameter("must be 64 hex digits", param_hint="--snapshot-root")
    return root


def _print(outcome: Outcome, root_given: bool) -> None:
    print(outcome.file)
    if outcome.statement is not None:
        for line in _lines(outcome.statement):
            print(f"  {line}")
    rows = [(c["name"], "ok" if c["ok"] else "FAILED", c["ms"]) for c in outcome.checks]
    print_table(("check", "", "ms"), rows)
    if outcome.security is not None:
        print(security_line(outcome.security))
    if outcome.statement is not None and not root_given:
        print("root not checked: name the snapshot you trust with --snapshot-root")
    print(f"VALID in {outcome.ms:,.1f} ms" if outcome.reason is None else f"NOT VALID: {outcome.reason}")


def _lines(statement: dict[str, Any]) -> list[str]:
    """The statement as `name: value` lines; parts that agree on a value share the line."""
    lines = [f"{name}: {_short(value)}" for name, value in statement.items() if name not in ("parts", "results")]
    parts = statement.get("parts", [])
    for name in parts[0] if parts else ():
        values = [part.get(name) for part in parts]
        if name != "emitted":  # what counts of them is in the results
            same = all(value == values[0] for value in values)
            lines.append(f"{name}: {_short(values[0]) if same else f'{len(values)} different ones'}")
    for rank, row in enumerate(statement.get("results", [])[:MAX_SHOWN], 1):
        lines.append(f"result {rank}: {_short(row)}")
    return lines


def _short(value: Any, limit: int = 110) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(part)}" for name, part in value.items())
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]} ..."
