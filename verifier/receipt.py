"""Receipts: statement and proof in one file, all that a stranger needs (DESIGN 4).

`verify` is the one function that says "valid": the caller names the statement types it accepts and the security it
demands; everything else, AIR, public terms, root of tree 0, transcript words, follows from the statement.

    "OCTOPROOF-RECEIPT", version, length of the whole file u64, number of parts
    per part: statement words; form u32, then
        0, proven: claimed sums; length and bytes of the proof (see `wire`)
        1, opened: length and bytes of the opening, which the statement's own type reads
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import unpack
from time import perf_counter
from typing import Any

import air.statement as statements
from air.field import QM31
from air.statement import OpenedStatement, RootKey, Statement, StatementType
from verifier.config import PcsConfig, preset_name
from verifier.errors import Check, Checks, ParseError, SecurityError, StatementError, VerificationError
from verifier.hashes import hasher
from verifier.proof import StarkProof
from verifier.security import OPENING, Figures, figures
from verifier.spec import Spec
from verifier.stark import verify_stark
from verifier.wire import Input, Output, proof_from_wire, proof_to_wire

MAGIC = b"OCTOPROOF-RECEIPT"
VERSION = 2
PROVEN, OPENED = 0, 1
MAX_RECEIPT_BYTES = 512 << 20
MAX_PARTS = 4096
MIN_CONJECTURED = 96.0


@dataclass(frozen=True)
class Part:
    """One statement, as words, with its proof."""

    statement: tuple[int, ...]
    channel: str
    claimed_sums: tuple[QM31, ...]
    proof: StarkProof


@dataclass(frozen=True)
class OpenedPart:
    """One statement, as words, with the data that it is about."""

    statement: tuple[int, ...]
    opening: bytes


@dataclass(frozen=True)
class Receipt:
    """What the file holds. Nothing in it has been verified."""

    parts: tuple[Part | OpenedPart, ...]


@dataclass(frozen=True)
class PartVerdict:
    """One valid part: the statement, what it is worth by itself, and the phases passed. An opened part has neither
    channel nor config."""

    statement: Statement | OpenedStatement
    channel: str | None
    config: PcsConfig | None
    security: Figures
    checks: Checks


@dataclass(frozen=True)
class Verdict:
    """A valid receipt. `security` is that of the whole: the weakest part's, less log2 of the number of parts."""

    name: str
    version: int
    parts: tuple[PartVerdict, ...]
    security: Figures
    receipt_hash: bytes

    def describe(self) -> dict[str, Any]:
        """For people and JSON."""
        first = self.parts[0]
        return {
            "type": self.name,
            "version": self.version,
            "parts": [part.statement.describe() for part in self.parts],
            "channel": first.channel,
            "preset": None if first.config is None else preset_name(first.config),
            "receipt_hash": self.receipt_hash.hex(),
        }


def statement_u64(statement: Statement) -> tuple[int, ...]:
    """The words that bind a statement to the transcript: its digest as four u64, then every component's log size."""
    return (*unpack("<4Q", statement.digest()), *(c.log_size for c in statement.air().components))


def statement_spec(statement: Statement, channel: str, config: PcsConfig, claimed_sums: tuple[QM31, ...] = ()) -> Spec:
    """The spec that a statement prescribes; the prover starts from it too. Raises StatementError."""
    key = RootKey(channel, config.log_blowup_factor, config.lifting_log_size)
    root = statement.preprocessed_root(key)
    return Spec(
        air=statement.air(),
        channel=channel,
        config=config,
        mix_config=True,
        statement_u64=statement_u64(statement),
        claimed_sums=claimed_sums,
        public_terms=statement.public_terms(),
        preprocessed_root=None if root is None else hasher(channel).from_bytes(root),
    )


def write_receipt(receipt: Receipt) -> bytes:
    """The one encoding of a receipt."""
    out = Output()
    out.u32(len(receipt.parts))
    for part in receipt.parts:
        out.u32(len(part.statement), *part.statement)
        if isinstance(part, OpenedPart):
            out.u32(OPENED, len(part.opening))
            out.raw(part.opening)
        else:
            proof = proof_to_wire(part.proof, part.channel)
            out.u32(PROVEN)
            out.felts(part.claimed_sums)
            out.u32(len(proof))
            out.raw(proof)
    body, head = out.bytes(), Output()
    head.raw(MAGIC)
    head.u32(VERSION)
    head.u64(len(MAGIC) + 12 + len(body))
    return head.bytes() + body


def read_receipt(data: bytes) -> Receipt:
    """Parses without verifying. Raises ParseError, or EncodingError for numbers that are not canonical."""
    source = Input(data, "receipt", MAX_RECEIPT_BYTES)
    if source.header(MAGIC, VERSION) != VERSION:
        raise ParseError("receipt: format version 1 is no longer read; prove the answer anew")
    length = source.u64()
    if length != len(data):
        raise ParseError(f"receipt: says it has {length} bytes, the file has {len(data)}")
    count = source.count(12)
    if not 1 <= count <= MAX_PARTS:
        raise ParseError(f"receipt: {count} parts, must be 1 to {MAX_PARTS}")
    parts = tuple(_read_part(source) for _ in range(count))
    source.end()
    return Receipt(parts)


def _read_part(source: Input) -> Part | OpenedPart:
    words, form = source.u32s(source.count(4)), source.u32()
    if form == OPENED:
        return OpenedPart(words, source.raw(source.u32()))
    if form != PROVEN:
        raise ParseError(f"receipt: a part of form {form}, this reads {PROVEN} and {OPENED}")
    sums = source.felts()
    proof, channel = proof_from_wire(source.raw(source.u32()))
    return Part(words, channel, sums, proof)


def verify(
    data: bytes,
    accepted: Mapping[int, StatementType],
    min_conjectured: float | None = None,
    min_proven: float = 0.0,
) -> Verdict:
    """Verifies a receipt file against the statement types its caller accepts.

    `min_conjectured` and `min_proven` are demanded of the receipt as a whole. Without `min_conjectured`, every part by
    itself must reach 96 conjectured bits, which refuses the presets `test` and `bench`. Raises ParseError if the bytes
    are no receipt, VerificationError if it is not valid.
    """
    receipt = read_receipt(data)
    kind, claims = _statements(receipt, accepted)
    least = MIN_CONJECTURED if min_conjectured is None else min_conjectured
    parts: list[PartVerdict] = []
    for index, (part, claim) in enumerate(zip(receipt.parts, claims, strict=True)):
        try:
            parts.append(_verify_part(part, claim, least, min_proven))
        except VerificationError as error:
            refused = type(error)(f"part {index + 1} of {len(claims)}: {error}")
            refused.checks = error.checks
            raise refused from None
    whole = _weakest([part.security for part in parts]).of_parts(len(parts))
    _demanded(whole, min_conjectured or 0.0, min_proven)
    return Verdict(kind.NAME, receipt.parts[0].statement[1], tuple(parts), whole, hashlib.blake2s(data).digest())


def _statements(
    receipt: Receipt, accepted: Mapping[int, StatementType]
) -> tuple[StatementType, list[Statement | OpenedStatement]]:
    """The claims of all parts, each in bounds, and together one whole claim."""
    types = {part.statement[:1] for part in receipt.parts}
    if len(types) != 1 or types == {()}:
        raise StatementError("statement: the parts of a receipt must be of one statement type")
    ((number,),) = types
    if number not in accepted:
        raise StatementError(f"statement: type {number} is not accepted here")
    kind = accepted[number]
    try:
        claims = [kind.decode(part.statement) for part in receipt.parts]
        for part, claim in zip(receipt.parts, claims, strict=True):
            if tuple(claim.encode()) != part.statement:
                raise StatementError(f"statement: not the canonical encoding of a {kind.NAME}")
            claim.check()
        kind.check_together(claims)
    except ValueError as error:  # air.statement.StatementError and AirError
        raise StatementError(f"{kind.NAME}: {error}") from None
    return kind, claims


def _verify_part(
    part: Part | OpenedPart, claim: Statement | OpenedStatement, min_conjectured: float, min_proven: float
) -> PartVerdict:
    try:
        if isinstance(claim, OpenedStatement):
            return _verify_opened(part, claim, min_conjectured, min_proven)
        if isinstance(part, OpenedPart):
            raise StatementError("statement: has to be proven, but the part only opens data")
        config, air = part.proof.config, claim.air()
        # The config is the prover's: its limits and its worth come before any work that depends on it.
        config.check_fits(air)
        worth = _demanded(figures(config, air), min_conjectured, min_proven)
        spec = statement_spec(claim, part.channel, config, part.claimed_sums)
    except ValueError as error:
        raise StatementError(str(error)) from None
    return PartVerdict(claim, part.channel, config, worth, verify_stark(spec, part.proof))


def _verify_opened(
    part: Part | OpenedPart, claim: OpenedStatement, min_conjectured: float, min_proven: float
) -> PartVerdict:
    if not isinstance(part, OpenedPart):
        raise StatementError("statement: is shown by opening data, but the part has a proof")
    worth, started = _demanded(OPENING, min_conjectured, min_proven), perf_counter()
    claim.check_opening(part.opening)
    return PartVerdict(claim, None, None, worth, (Check("opening", (perf_counter() - started) * 1e3),))


def _demanded(worth: Figures, min_conjectured: float, min_proven: float) -> Figures:
    _demand("conjectured", worth.conjectured, min_conjectured)
    _demand("proven", worth.proven, min_proven)
    return worth


def _weakest(all_parts: Sequence[Figures]) -> Figures:
    lowest = min(all_parts, key=lambda figure: figure.proven)
    return Figures(min(f.conjectured for f in all_parts), lowest.proven, lowest.regime, lowest.binds)


def _demand(name: str, bits: float, minimum: float) -> None:
    if not bits >= minimum:  # so that NaN demands what nothing reaches
        raise SecurityError(f"security: {bits:.1f} {name} bits, at least {minimum:.1f} are demanded")


def registry(*kinds: StatementType) -> dict[int, StatementType]:
    """`accepted` from statement types. Raises StatementError if two share a number."""
    out: dict[int, StatementType] = {}
    for kind in kinds:
        if out.setdefault(kind.TYPE, kind) is not kind:
            raise statements.StatementError(f"statement type {kind.TYPE} twice: {kind.NAME}, {out[kind.TYPE].NAME}")
    return out


def digest_of(claims: Sequence[Statement | OpenedStatement]) -> bytes:
    """Blake2s over the digests of all parts: names the whole claim."""
    return hashlib.blake2s(b"".join(claim.digest() for claim in claims)).digest()
