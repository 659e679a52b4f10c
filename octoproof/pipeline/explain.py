"""Receipts for people: what is claimed, what every check of the verifier found and took, and where the bytes are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from air.statements.topk_statement import TopkStatement
from octoproof.accepted import accepted
from octoproof.cli.console import check_document, check_documents, security_document
from octoproof.cli.errors import one_line
from octoproof.vectors.opened import OpenedStatement
from octoproof.vectors.receipts import query_verdict
from verifier.errors import VerificationError
from verifier.proof import FriLayerProof, StarkProof
from verifier.receipt import MAGIC, OpenedPart, Part, Receipt, Verdict, read_receipt, verify

COUNT, FELT, HASH, WORD = 4, 16, 32, 4  # bytes on the wire, see `verifier.wire` and `verifier.receipt`
RECEIPT_HEAD, PROOF_HEAD = len(MAGIC) + 16, 48
TREES = ("columns of the segment", "trace", "interaction", "composition")


@dataclass(frozen=True)
class Bytes:
    """A part of a receipt and what it is made of; without `parts`, it is not divided further."""

    name: str
    size: int
    parts: tuple[Bytes, ...] = ()


def judge(
    data: bytes, root: bytes | None = None, min_conjectured: float | None = None, min_proven: float = 0.0
) -> dict[str, Any]:
    """The verdict on a receipt: `valid`, or the `reason` why not. Raises ParseError where the bytes are no receipt."""
    started = perf_counter()
    document: dict[str, Any] = {"valid": False, "reason": None, "claim": None, "security": None}
    document |= {"bytes": len(data), "receipt_hash": hashlib.blake2s(data).hexdigest()}
    try:
        verdict = verify(data, accepted(), min_conjectured, min_proven)
    except VerificationError as error:
        document |= {"reason": one_line(error), "checks": check_documents(error.checks, error)}
    else:
        document |= {"claim": claim(verdict), "security": security_document(verdict.security)}
        document["checks"] = [
            check_document(check.name, True, check.ms) | {"part": number}
            for number, part in enumerate(verdict.parts, 1)
            for check in part.checks
        ]
        if root is not None:
            met = document["claim"]["snapshot_root"] == root.hex()
            document["checks"].append(check_document("snapshot root", met))
            document["reason"] = None if met else "snapshot root: the receipt is about another snapshot"
        document["valid"] = document["reason"] is None
    return document | {"ms": round((perf_counter() - started) * 1e3, 3)}


def claim(verdict: Verdict) -> dict[str, Any]:
    """What a valid receipt says; a certificate says it of segments alone, and answers no query."""
    described: dict[str, Any] = verdict.describe()
    found: dict[str, Any] = {"type": verdict.name, "preset": described["preset"], "parts": len(verdict.parts)}
    if not isinstance(verdict.parts[0].statement, TopkStatement | OpenedStatement):
        return found | {"snapshot_root": None, "results": [], "segments": []}
    answer = query_verdict(verdict, None, None)
    return found | {
        "proves": answer.proves,
        "mode": answer.mode,
        "metric": answer.metric,
        "k": answer.k,
        "where": answer.where,
        "snapshot_root": answer.snapshot_root.hex(),
        "results": [{"id": id, "score": score} for id, score in answer.results],
        "segments": [
            part["segment"] | {"emitted": len(part["emitted"]), "threshold": part["threshold"]}
            for part in described["parts"]
            if "segment" in part
        ],
    }


def layout(data: bytes) -> Bytes:
    """Where the bytes of a receipt are; the sizes add up to its length. Raises ParseError, EncodingError."""
    receipt: Receipt = read_receipt(data)
    parts = (_part(f"part {number}", part) for number, part in enumerate(receipt.parts, 1))
    return _whole("receipt", Bytes("header", RECEIPT_HEAD), *parts)


def _part(name: str, part: Part | OpenedPart) -> Bytes:
    statement = Bytes("statement", COUNT + WORD * len(part.statement) + WORD)
    if isinstance(part, OpenedPart):
        return _whole(name, statement, Bytes("opened rows and paths", COUNT + len(part.opening)))
    sums = Bytes("claimed sums", COUNT + FELT * len(part.claimed_sums))
    proof = part.proof
    last = len(proof.commitments) - 1
    trees = [_tree(f"tree {k}: {TREES[-1] if k == last else TREES[min(k, 2)]}", proof, k) for k in range(last + 1)]
    return _whole(name, statement, sums, Bytes("header of the proof", COUNT + PROOF_HEAD), *trees, _fri(proof))


def _tree(name: str, proof: StarkProof, tree: int) -> Bytes:
    samples, queried = proof.sampled_values[tree], proof.queried_values[tree]
    return _whole(
        name,
        Bytes("commitment", HASH),
        Bytes("decommitment", COUNT + HASH * len(proof.decommitments[tree])),
        Bytes("samples", COUNT + sum(COUNT + FELT * len(column) for column in samples)),
        Bytes("queried values", COUNT + WORD * sum(map(len, queried))),
    )


def _fri(proof: StarkProof) -> Bytes:
    fri = proof.fri_proof
    inner = [_layer(f"layer {number}", layer) for number, layer in enumerate(fri.inner_layers, 1)]
    last = Bytes("last layer", WORD + COUNT + FELT * len(fri.last_layer.coeffs))
    return _whole("FRI", _layer("first layer", fri.first_layer), Bytes("number of layers", COUNT), *inner, last)


def _layer(name: str, layer: FriLayerProof) -> Bytes:
    return _whole(
        name,
        Bytes("commitment", HASH),
        Bytes("decommitment", COUNT + HASH * len(layer.hash_witness)),
        Bytes("values", COUNT + FELT * len(layer.fri_witness)),
    )


def _whole(name: str, *parts: Bytes) -> Bytes:
    return Bytes(name, sum(part.size for part in parts), parts)
