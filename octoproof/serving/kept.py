"""What a log has kept of an exchange: its signed messages, and beside them the output, which only the buyer needs."""

from __future__ import annotations

from pathlib import Path

from octoproof.files import write_atomically
from octoproof.market.errors import RuleError
from octoproof.market.evidence import Exchange
from octoproof.market.log_files import Records, felt, number, read_document, read_records, signature_of
from octoproof.market.messages import Request, Response, Signed
from octoproof.market.validity import output_hash

OUTPUTS = "outputs"


def keep_output(folder: Path, agreement: int, sequence: int, output: bytes) -> None:
    """Writes an output beside its log. Raises OSError."""
    place = folder / OUTPUTS
    place.mkdir(exist_ok=True)
    write_atomically(_path(folder, agreement, sequence), output)


def exchange_in(folder: Path, agreement: int, sequence: int) -> Exchange:
    """The signed request and response with this number; signatures are not checked here. Raises RuleError where there
    is none, LogError, OSError."""
    provider, epoch, _, _ = read_document(folder)
    asked = _record(read_records(folder, "requests"), agreement, sequence, "request")
    told = _record(read_records(folder, "responses"), agreement, sequence, "response")
    named = provider.address, agreement, epoch, sequence
    request = Request(*named, number(asked["previous"]), asked["input"].tobytes(), int(asked["sent_at"]))
    times = int(told["received_at"]), int(told["answered_at"]), int(told["status"])
    said = bool(told["valid"]), int(told["tokens"]), told["output"].tobytes()
    response = Response(number(asked["hash"]), *times, *said)
    return Exchange(Signed(request, signature_of(asked)), Signed(response, signature_of(told)))


def output_of(folder: Path, exchange: Exchange) -> bytes:
    """The output that came with a response. Raises RuleError for other bytes than were signed, OSError."""
    message = exchange.request.message
    output = _path(folder, message.agreement, message.sequence).read_bytes()
    if output_hash(output) != exchange.response.message.output:
        raise RuleError(f"output: what is kept of request {message.sequence} is not what was signed; restore the file")
    return output


def _record(records: Records, agreement: int, sequence: int, what: str) -> Records:
    own = [one for one in records if one["agreement"].tobytes() == felt(agreement) and one["sequence"] == sequence]
    if not own:
        raise RuleError(f"{what}: the log has none with number {sequence} of agreement {agreement:#x}")
    return own[0]


def _path(folder: Path, agreement: int, sequence: int) -> Path:
    return folder / OUTPUTS / f"{agreement:x}-{sequence}.bin"
