"""`octoproof verify`: receipts in, a verdict out. Needs nothing but the file."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2s
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import (
    JSON_OPTION,
    application,
    print_json,
    print_table,
    security_document,
    security_line,
)
from octoproof.cli.jobs import STORE_OPTION

if TYPE_CHECKING:
    from octoproof.cli.verdicts import Demands, Outcome
    from verifier.security import Figures

app = application("Verify receipts.")

LATER = ("parts", "results", "certified")  # lines of their own
MAX_SHOWN = 10  # results on the screen; JSON has them all


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
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", metavar="FILE", help="Of `snapshot certify`: certified, or not valid."),
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Receipts that were valid before are known.")
    ] = True,
    store: Annotated[Path | None, STORE_OPTION] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Verifies receipts: exit 0 if all are valid, 1 if one is not, 2 if one cannot be read."""
    from octoproof.cli.verdicts import Demands, examine_all
    from octoproof.pipeline.home import default_store
    from octoproof.vectors.receipts import Certificate, QueryReceipt, together

    demands = Demands(_root(snapshot_root), min_conjectured, min_proven)
    if certificate is not None:
        data = QueryReceipt.load(certificate).data
        known = Certificate.verify(data, min_conjectured, min_proven)
        demands = replace(demands, certificate=known, certificate_hash=blake2s(data).hexdigest())
    outcomes = examine_all(receipts, demands, (store or default_store()) if cache else None)
    valid = all(outcome.reason is None for outcome in outcomes)
    batch_security = together([outcome.security for outcome in outcomes if outcome.security]) if valid else None
    shortfall = _shortfall(batch_security, min_conjectured or 0.0, min_proven) if batch_security else None
    valid = valid and shortfall is None
    if as_json:
        documents = [outcome.document() for outcome in outcomes]
        figures = security_document(batch_security) if batch_security else None
        batch = {"valid": valid, "receipts": documents, "security": figures, "reason": shortfall}
        print_json(documents[0] if len(documents) == 1 else batch)
    else:
        for outcome in outcomes:
            _print(outcome, demands)
        if len(outcomes) > 1:
            good = sum(outcome.reason is None for outcome in outcomes)
            print(
                f"batch: {good} of {len(outcomes)} valid"
                + (f", {security_line(batch_security)}" if batch_security else "")
            )
            if shortfall:
                print(f"NOT VALID: {shortfall}")
    raise typer.Exit(0 if valid else 1)


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


def _print(outcome: Outcome, demands: Demands) -> None:
    print(outcome.file)
    if outcome.statement is not None:
        for line in _lines(outcome.statement):
            print(f"  {line}")
    rows = [(c["name"], "ok" if c["ok"] else "FAILED", c["ms"]) for c in outcome.checks]
    print_table(("check", "", "ms"), rows)
    if outcome.security is not None:
        print(security_line(outcome.security))
    if outcome.statement is not None and demands.root is None:
        print("root not checked: name the snapshot you trust with --snapshot-root")
    if outcome.reason is not None:
        print(f"NOT VALID: {outcome.reason}")
    else:
        print(f"VALID in {outcome.ms:,.1f} ms" if outcome.ms else "VALID, as verified before (cached)")


def _lines(statement: dict[str, Any]) -> list[str]:
    """The statement as `name: value` lines; parts that agree on a value share the line."""
    lines = [f"{name}: {_short(value)}" for name, value in statement.items() if name not in LATER]
    parts = statement.get("parts", [])
    for name in parts[0] if parts else ():
        values = [part.get(name) for part in parts]
        if name != "emitted":  # what counts of them is in the results
            same = all(value == values[0] for value in values)
            lines.append(f"{name}: {_short(values[0]) if same else f'{len(values)} different ones'}")
    for rank, row in enumerate(statement.get("results", [])[:MAX_SHOWN], 1):
        lines.append(f"result {rank}: {_short(row)}")
    if statement.get("certified") is not None:
        lines.append("certified: yes" if statement["certified"] else "certified: no (--certificate shows that it is)")
    return lines


def _short(value: Any, limit: int = 110) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(part)}" for name, part in value.items())
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]} ..."
