"""`octoproof qos`: logs of signed requests, their epochs, and receipts about the level of service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import (
    DEVICE_OPTION,
    JSON_OPTION,
    application,
    print_json,
    print_table,
    security_document,
    security_line,
)
from octoproof.cli.working import working

if TYPE_CHECKING:
    from octoproof.market.prove_sla import SlaVerdict

app = application("Look at logs of signed requests, close epochs, prove and judge levels of service.")

Folder = Annotated[Path, typer.Argument(metavar="LOG", help="The log's folder.")]
AgreementId = Annotated[
    str | None, typer.Option("--agreement", metavar="ID", help="One agreement, as 0x...; else the whole epoch.")
]
TierName = Annotated[str, typer.Option("--tier", help="The level that was promised: basic, standard, premium, ...")]
Root = Annotated[
    str | None, typer.Option("--epoch-root", metavar="HEX", help="The root that was published for this epoch.")
]
Json = Annotated[bool, JSON_OPTION]


@app.command()
def log(folder: Folder, as_json: Json = False) -> None:
    """Shows what is in a log, agreement by agreement."""
    from octoproof.market.epoch import open_epoch
    from octoproof.market.log_files import EPOCH, read_document, read_records

    provider, epoch, opened_at, agreements = read_document(folder)
    kinds = ("requests", "responses", "acknowledgements")
    named = {kind: [bytes(value) for value in read_records(folder, kind)["agreement"]] for kind in kinds}
    rows = [
        {"agreement": hex(one.id), "buyer": hex(one.buyer.address)}
        | {kind: held.count(one.id.to_bytes(32, "big")) for kind, held in named.items()}
        for one in agreements
    ]
    closed = open_epoch(folder) if (folder / EPOCH).exists() else None
    document = {
        "provider": hex(provider.address),
        "epoch": epoch,
        "opened_at": opened_at,
        "epoch_root": None if closed is None else closed.root.hex(),
        "agreements": rows,
    }
    if as_json:
        print_json(document)
        return
    print(f"epoch {epoch} of {provider.address:#x}, {'closed' if closed else 'open'}")
    print_table(("agreement", *kinds), [(row["agreement"], *(row[kind] for kind in kinds)) for row in rows])
    if closed:
        print(f"epoch root {closed.root.hex()}")


@app.command()
def close(
    folder: Folder,
    preset: Annotated[
        list[str] | None, typer.Option("--preset", help="Of the proofs that will be made; repeatable (standard).")
    ] = None,
    device: Annotated[str, DEVICE_OPTION] = "auto",
    as_json: Json = False,
) -> None:
    """Commits to a log: from then on it takes no more requests. Done again, it says the same."""
    from octoproof.device import backend
    from octoproof.market.epoch import PRESETS, close_epoch
    from octoproof.serving.desk import now_ms

    with backend() as chosen, working("closing"):
        closed = close_epoch(folder, now_ms(), device=chosen, presets=preset or PRESETS)
    header = closed.tree.header
    document = {
        "epoch": header.number,
        "requests": header.requests,
        "segments": header.segments,
        "epoch_root": closed.root.hex(),
    }
    if as_json:
        print_json(document)
    else:
        print(f"epoch {header.number}: {header.requests:,} requests in {header.segments} segments")
        print(f"epoch root {closed.root.hex()}")


@app.command()
def prove(
    folder: Folder,
    tier: TierName,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the receipt goes.")],
    agreement: AgreementId = None,
    preset: Annotated[str, typer.Option("--preset", help="Parameters of the proof.")] = "standard",
    device: Annotated[str, DEVICE_OPTION] = "auto",
    as_json: Json = False,
) -> None:
    """Proves the level of service of a closed epoch, by the edges of a tier."""
    from octoproof.cli.stark import check_writable
    from octoproof.device import backend
    from octoproof.files import write_atomically
    from octoproof.market.epoch import open_epoch
    from octoproof.market.prove_sla import prove_sla, verify_sla

    check_writable(out)
    epoch, edges = open_epoch(folder), _edges(tier)
    with backend() as chosen, working("proving") as progress:
        data = prove_sla(epoch, edges, _agreement(agreement), device=chosen, preset=preset, progress=progress)
    verdict = verify_sla(data, epoch.root)
    write_atomically(out, data)
    _print(verdict, tier, len(data), as_json)


@app.command()
def verify(
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT")],
    tier: TierName,
    epoch_root: Root = None,
    agreement: AgreementId = None,
    as_json: Json = False,
) -> None:
    """Verifies a receipt, and says what it refunds in a tier."""
    from octoproof.market.errors import RuleError

    verdict, size = _verified(receipt, epoch_root)
    if agreement is not None and verdict.agreement != _agreement(agreement):
        raise RuleError(f"agreement: the receipt is about {_shown(verdict.agreement)}")
    _print(verdict, tier, size, as_json)


@app.command()
def score(
    receipts: Annotated[list[Path], typer.Argument(metavar="RECEIPT...", help="About one provider.")],
    as_json: Json = False,
) -> None:
    """The quality score of a provider, from receipts; one that is not valid counts against it."""
    from octoproof.market.errors import RuleError
    from octoproof.market.quality import Record, quality_score, quality_tier
    from verifier.errors import VerificationError

    requests = fulfilled = valid = latencies = 0
    providers: set[bytes] = set()
    for path in receipts:
        try:
            verdict, _ = _verified(path, None)
        except VerificationError:
            continue
        report = verdict.report
        providers.add(verdict.header.provider)
        valid += 1
        requests, fulfilled = requests + report.requests, fulfilled + report.fulfilled
        latencies += report.latency_sum
    if len(providers) > 1:
        raise RuleError("receipts: about several providers; give those of one")
    record = Record(requests, fulfilled, len(receipts), valid, -(-latencies // max(requests, 1)))
    points = quality_score(record)
    if as_json:
        print_json({"score": points, "tier": quality_tier(points), **record.__dict__})
    else:
        print(f"{points} of 100, {quality_tier(points)}: {fulfilled:,} of {requests:,} requests as promised, ", end="")
        print(f"{valid} of {len(receipts)} receipts valid, {record.average_ms:,} ms on average")


def _verified(path: Path, root: str | None) -> tuple[SlaVerdict, int]:
    from octoproof.cli.airs import read_bounded
    from octoproof.market.prove_sla import verify_sla
    from verifier.receipt import MAX_RECEIPT_BYTES

    data = read_bounded(path, MAX_RECEIPT_BYTES)
    return verify_sla(data, None if root is None else _bytes32(root)), len(data)


def _print(verdict: SlaVerdict, tier: str, size: int, as_json: bool) -> None:
    from octoproof.market.settle import epoch_refund
    from octoproof.market.tiers import tier_named

    refund = epoch_refund(tier_named(tier), verdict.report)
    document: dict[str, Any] = {
        "valid": True,
        "provider": hex(int.from_bytes(verdict.header.provider, "big")),
        "epoch": verdict.header.number,
        "epoch_root": verdict.epoch_root.hex(),
        "root_checked": verdict.root_checked,
        "agreement": _shown(verdict.agreement),
        "tier": tier,
        "report": verdict.report.describe(),
        "refund_bps": {
            "latency": refund.latency,
            "uptime": refund.uptime,
            "outputs": refund.outputs,
            "total": refund.total,
        },
        "security": security_document(verdict.security),
        "receipt_bytes": size,
    }
    if as_json:
        print_json(document)
        return
    report = verdict.report
    print(f"VALID: {report.requests:,} requests of epoch {verdict.header.number}, {document['agreement']}")
    shown = report.describe()
    print_table(("", ""), [(name.replace("_", " "), _inline(value)) for name, value in shown.items()])
    causes = ", ".join(f"{name} {bps / 100:g} %" for name, bps in document["refund_bps"].items() if name != "total")
    print(f"refund in tier {tier}: {refund.total / 100:g} % ({causes})")
    print(f"{size:,} bytes, {security_line(verdict.security)}")
    if not verdict.root_checked:
        print("root not checked: give the published --epoch-root")


def _edges(tier: str) -> tuple[int, ...]:
    from air.statements.sla_report import latency_edges
    from octoproof.market.tiers import tier_named

    return latency_edges(tier_named(tier).latency_ms)


def _inline(value: Any) -> str:
    return ", ".join(f"{key}: {part}" for key, part in value.items()) if isinstance(value, dict) else str(value)


def _shown(agreement: int | None) -> str:
    return "all agreements" if agreement is None else hex(agreement)


def _agreement(text: str | None) -> int | None:
    from octoproof.serving.wire import read_felt

    return None if text is None else read_felt(text, "--agreement")


def _bytes32(text: str) -> bytes:
    from octoproof.serving.wire import read_bytes

    return read_bytes(text.removeprefix("0x"), "--epoch-root", 32, exact=True)
