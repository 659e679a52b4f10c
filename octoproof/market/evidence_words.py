"""Evidence as canonical words, for files, and the offence that it shows (encoding as `air.statement` has it: u32 words,
little-endian; integers as i64; 32-byte strings and field elements, big-endian, as eight words).

    evidence = 0x4f45 | version | kind (1: omission, ...) | its fields in their declared order
    exchange = request | its r and s | response | its r and s
"""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack

import air.statement as statements
from air.statement import Reader, StatementError, Writer
from air.statements.epoch import EpochHeader, PlacedLeaf
from air.statements.sla import MAX_SLA_LOG
from octoproof.market.evidence import Alteration, Disorder, Double, Evidence, Exchange, Omission, TwoClosings
from octoproof.market.inclusion import Inclusion
from octoproof.market.ledger import ROW
from octoproof.market.log_files import felt, number
from octoproof.market.messages import Close, Message, Request, Response, Signed

MAGIC, VERSION = 0x4F45, 1
KINDS = (Omission, Alteration, Double, TwoClosings, Disorder)
MAX_BYTES = 1 << 18
_ROW_WORDS = -(-ROW.itemsize // 4)


def write_evidence(evidence: Evidence) -> bytes:
    """The one encoding. Raises StatementError for numbers that have none."""
    out = Writer().u32(MAGIC).u32(VERSION).u32(KINDS.index(type(evidence)) + 1)
    match evidence:
        case Omission(exchange, header, leaves):
            _write_exchange(out, exchange)
            header.write(out)
            out.items(leaves, lambda writer, leaf: leaf.write(writer))
        case Alteration(exchange, shown):
            _write_exchange(out, exchange)
            _write_inclusion(out, shown)
        case Double(one, other):
            _write_exchange(out, one)
            _write_exchange(out, other)
        case TwoClosings(first, second):
            _write_signed(out, first, _write_close)
            _write_signed(out, second, _write_close)
        case Disorder(header, left, right):
            header.write(out)
            left.write(out)
            right.write(out)
    return out.to_bytes()


def read_evidence(data: bytes) -> Evidence:
    """From a stranger. Raises StatementError for what is no evidence; whether it convicts is for `check` to say."""
    if len(data) % 4 or len(data) > MAX_BYTES:
        raise StatementError(f"evidence: {len(data)} bytes; a multiple of 4 up to {MAX_BYTES} is read")
    source = Reader(unpack(f"<{len(data) // 4}I", data))
    if (source.u32(), source.u32()) != (MAGIC, VERSION):
        raise StatementError(f"evidence: not of version {VERSION}")
    kind = source.u32()
    if not 1 <= kind <= len(KINDS):
        raise StatementError(f"evidence: kind {kind} is unknown")
    found = _READERS[KINDS[kind - 1]](source)
    source.end()
    return found


def offence_of(evidence: Evidence) -> bytes:
    """Names what the evidence convicts of, 32 bytes of Blake2s: punished once, whatever shows it.

    The bytes of evidence would not do: who has (r, s) has another signature of the same message, (r, n - s)."""
    match evidence:
        case Omission(exchange) | Alteration(exchange) | Double(exchange):
            message = exchange.request.message
            place = message.provider, message.agreement, message.epoch, message.sequence
        case TwoClosings(signed):
            place = signed.message.provider, signed.message.agreement, signed.message.epoch, 0
        case Disorder(header):
            place = number(header.provider), 0, header.number, 0
    out = Writer().u32(MAGIC).u32(VERSION).u32(KINDS.index(type(evidence)) + 1)
    _write_felt(out, place[0])
    _write_felt(out, place[1])
    return statements.digest(out.i64(place[2]).i64(place[3]).words)


def _write_exchange(out: Writer, exchange: Exchange) -> None:
    _write_signed(out, exchange.request, _write_request)
    _write_signed(out, exchange.response, _write_response)


def _write_signed(out: Writer, signed: Signed[Message], write: Callable[[Writer, Message], object]) -> None:
    write(out, signed.message)
    for part in signed.signature:
        _write_felt(out, part)


def _write_felt(out: Writer, value: int) -> None:
    if not 0 <= value < 1 << 256:
        raise StatementError(f"evidence: {value} does not fit in 32 bytes")
    out.bytes32(felt(value))


def _write_request(out: Writer, message: Request) -> None:
    for value in (message.provider, message.agreement, message.previous):
        _write_felt(out, value)
    out.i64(message.epoch).i64(message.sequence).bytes32(message.input).i64(message.sent_at)


def _write_response(out: Writer, message: Response) -> None:
    _write_felt(out, message.request)
    for value in (message.received_at, message.answered_at, message.status, int(message.valid), message.tokens):
        out.i64(value)
    out.bytes32(message.output)


def _write_close(out: Writer, message: Close) -> None:
    for value in (message.provider, message.agreement, message.head):
        _write_felt(out, value)
    out.i64(message.epoch).i64(message.count).bytes32(message.leaves)


def _write_inclusion(out: Writer, shown: Inclusion) -> None:
    if len(shown.row) != ROW.itemsize:
        raise StatementError(f"evidence: a row has {ROW.itemsize} bytes, not {len(shown.row)}")
    shown.header.write(out)
    shown.segment.write(out)
    for word in unpack(f"<{_ROW_WORDS}I", shown.row.ljust(4 * _ROW_WORDS, b"\0")):
        out.u32(word)
    out.items(shown.siblings, Writer.bytes32)


def _read_exchange(source: Reader) -> Exchange:
    return Exchange(_read_signed(source, _read_request), _read_signed(source, _read_response))


def _read_signed(source: Reader, read: Callable[[Reader], Message]) -> Signed[Message]:
    return Signed(read(source), (number(source.bytes32()), number(source.bytes32())))


def _read_request(source: Reader) -> Request:
    provider, agreement, previous = (number(source.bytes32()) for _ in range(3))
    epoch, sequence, input, sent_at = source.i64(), source.i64(), source.bytes32(), source.i64()
    return Request(provider, agreement, epoch, sequence, previous, input, sent_at)


def _read_response(source: Reader) -> Response:
    request = number(source.bytes32())
    received_at, answered_at, status, valid, tokens = (source.i64() for _ in range(5))
    if valid not in (0, 1):
        raise StatementError(f"evidence: valid is {valid}, not 0 or 1")
    return Response(request, received_at, answered_at, status, bool(valid), tokens, source.bytes32())


def _read_close(source: Reader) -> Close:
    provider, agreement, head = (number(source.bytes32()) for _ in range(3))
    return Close(provider, agreement, source.i64(), source.i64(), head, source.bytes32())


def _read_inclusion(source: Reader) -> Inclusion:
    header, segment = EpochHeader.read(source), PlacedLeaf.read(source)
    words = [source.u32() for _ in range(_ROW_WORDS)]
    data = b"".join(word.to_bytes(4, "little") for word in words)
    if any(data[ROW.itemsize :]):
        raise StatementError("evidence: a row with non-zero padding")
    return Inclusion(header, segment, data[: ROW.itemsize], source.items(Reader.bytes32, MAX_SLA_LOG))


_READERS: dict[type, Callable[[Reader], Evidence]] = {
    Omission: lambda source: Omission(
        _read_exchange(source), EpochHeader.read(source), source.items(PlacedLeaf.read, limit=2)
    ),
    Alteration: lambda source: Alteration(_read_exchange(source), _read_inclusion(source)),
    Double: lambda source: Double(_read_exchange(source), _read_exchange(source)),
    TwoClosings: lambda source: TwoClosings(_read_signed(source, _read_close), _read_signed(source, _read_close)),
    Disorder: lambda source: Disorder(EpochHeader.read(source), PlacedLeaf.read(source), PlacedLeaf.read(source)),
}
