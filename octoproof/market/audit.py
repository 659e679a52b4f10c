"""Auditing a routing log without reading a prompt (PRV-09): what is proven is provided, what is not is flagged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from octoproof.market.routing import RoutingHead, RoutingProof, check_choice
from verifier.errors import VerificationError

FIELDS = ("sequence", "policy", "offers", "provider", "model", "decided_ms", "reveal")  # all but the request


@dataclass(frozen=True)
class AuditFinding:
    """One decision: what was provided of it, or why it is flagged."""

    index: int
    provided: Mapping[str, bytes]
    violation: str = ""


def audit(root: bytes, head: RoutingHead, proofs: Mapping[int, RoutingProof]) -> list[AuditFinding]:
    """A finding for every decision of the log with this published root, also for those without a proof.

    A proof must disclose all fields but the request, lie at its place, and repeat the choice. Raises VerificationError
    if the head itself is not that of the root."""
    if head.digest() != root:
        raise VerificationError("audit.head: not that of the published root")
    return [_finding(root, index, proofs.get(index)) for index in range(head.count)]


def _finding(root: bytes, index: int, proof: RoutingProof | None) -> AuditFinding:
    if proof is None:
        return AuditFinding(index, {}, "no proof was given")
    try:
        values = proof.check(root)
        missing = [name for name in FIELDS if name not in values]
        if proof.index != index or missing:
            return AuditFinding(index, {}, f"not disclosed: {', '.join(missing) or 'the decision at this place'}")
        check_choice(values)
    except VerificationError as error:
        return AuditFinding(index, {}, str(error))
    return AuditFinding(index, {name: values[name] for name in FIELDS})
