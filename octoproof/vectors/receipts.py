"""Receipts of queries, as files and in programs: verified from the snapshot root alone, without the data.

Nothing here needs a compiler, a GPU or a cluster.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from air.statement import RootKey
from air.statements.certify_statement import CertifyStatement, covers
from air.statements.topk_statement import TopkStatement
from octoproof.accepted import accepted
from octoproof.files import write_atomically
from octoproof.vectors.opened import OPENED, OpenedStatement
from verifier.errors import ParseError, StatementError
from verifier.receipt import MAX_RECEIPT_BYTES, PartVerdict, Verdict, verify
from verifier.security import Figures


@dataclass(frozen=True)
class QueryVerdict:
    """What a valid receipt says. `results` are (id, score), best first; `proves` says in words what is proven.

    Whoever asked compares `query` (integer coordinates), `metric`, `k` and `where` with the question: an honest receipt
    for another one is valid, too.

    `root_checked`: the caller named the snapshot. `certified`: a certificate shows that the segments are well-formed,
    which a proof over their columns takes for granted; None where the receipt does not rest on columns."""

    mode: str
    metric: str
    k: int
    where: dict[str, str]
    query: tuple[int, ...]
    results: tuple[tuple[int, int], ...]
    proves: str
    snapshot_root: bytes
    root_checked: bool
    certified: bool | None
    security: Figures
    verdict: Verdict


@dataclass(frozen=True)
class QueryReceipt:
    """A receipt as bytes; nothing in it has been verified."""

    data: bytes

    def __len__(self) -> int:
        return len(self.data)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, whole or not at all. Raises OSError."""
        write_atomically(path, self.data)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> QueryReceipt:
        """Raises OSError; a file that is too large is cut where the verifier refuses it."""
        with open(path, "rb") as file:
            return cls(file.read(MAX_RECEIPT_BYTES + 1))

    def verify(
        self,
        root: bytes | str | None = None,
        *,
        certificate: Certificate | None = None,
        min_conjectured: float | None = None,
        min_proven: float = 0.0,
    ) -> QueryVerdict:
        """Verifies against a snapshot root (32 bytes, or 64 hex digits) that the caller knows.

        Without `root`, the receipt may be about any snapshot. Raises ParseError, VerificationError."""
        known = None if root is None else _root(root)
        return query_verdict(verify(self.data, accepted(), min_conjectured, min_proven), known, certificate)


def _root(given: bytes | str) -> bytes:
    try:
        raw = bytes.fromhex(given) if isinstance(given, str) else given
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise ParseError(f"root: {given!r:.80} is no snapshot root; give 32 bytes or 64 hexadecimal digits")
    return raw


@dataclass(frozen=True)
class Certificate:
    """Verified statements that segments are well-formed, each with the key of the columns that it is about."""

    statements: tuple[tuple[RootKey, CertifyStatement], ...]
    security: Figures

    @classmethod
    def verify(cls, data: bytes, min_conjectured: float | None = None, min_proven: float = 0.0) -> Certificate:
        """From a receipt of `snapshot certify`. Raises ParseError, VerificationError."""
        verdict = verify(data, accepted(), min_conjectured, min_proven)
        known = []
        for part in verdict.parts:
            if not isinstance(part.statement, CertifyStatement):
                raise StatementError(f"certificate: a receipt of type {verdict.name}, not of certify")
            known.append((key_of(part), part.statement))
        return cls(tuple(known), verdict.security)

    def covers(self, part: PartVerdict) -> bool:
        """Whether the columns that this part is proven over are certified."""
        claim = part.statement
        if not isinstance(claim, TopkStatement):
            return False
        mine = [statement for key, statement in self.statements if key == key_of(part)]
        return covers(mine, claim.header, claim.leaf, claim.is_probe)


def key_of(part: PartVerdict) -> RootKey:
    """Which of a segment's column roots a proven part rests on."""
    assert part.channel is not None
    assert part.config is not None
    return RootKey(part.channel, part.config.log_blowup_factor, part.config.lifting_log_size)


def query_verdict(verdict: Verdict, root: bytes | None, certificate: Certificate | None) -> QueryVerdict:
    """What a verified receipt says of a query. Raises StatementError if it is about none, or about another snapshot."""
    from air.statements.topk_statement import TOPK

    claims: Sequence[Any] = [part.statement for part in verdict.parts]
    first = claims[0]
    if not isinstance(first, TopkStatement | OpenedStatement):
        raise StatementError(f"receipt: of type {verdict.name}, which answers no query")
    if root is not None and first.snapshot_root != root:
        raise StatementError("snapshot root: the receipt is about another snapshot")
    described = first.describe()
    certified = None
    if isinstance(first, TopkStatement):
        certified = certificate is not None and all(certificate.covers(part) for part in verdict.parts)
    return QueryVerdict(
        mode=first.mode,
        metric=first.question.metric,
        k=first.question.k,
        where=described["where"],
        query=first.question.query,
        results=tuple((TOPK if isinstance(first, TopkStatement) else OPENED).result(claims)),
        proves=described["proves"],
        snapshot_root=first.snapshot_root,
        root_checked=root is not None,
        certified=certified,
        security=verdict.security,
        verdict=verdict,
    )


def together(figures: Sequence[Figures]) -> Figures:
    """The weakest figures, less log2 of the number of receipts: breaking any one of them breaks the batch."""
    weakest = min(figures, key=lambda f: f.proven)
    return replace(weakest, conjectured=min(f.conjectured for f in figures)).of_parts(len(figures))
