"""The statement types that this program accepts in receipts: the verifier itself accepts none that it is not given."""

from __future__ import annotations

from air.statement import StatementType
from verifier.receipt import registry


def accepted() -> dict[int, StatementType]:
    """By type number."""
    from air.statements.certify_statement import CERTIFY
    from air.statements.sla_statement import SLA
    from air.statements.topk_statement import TOPK
    from octoproof.vectors.opened import OPENED

    return registry(TOPK, OPENED, CERTIFY, SLA)
