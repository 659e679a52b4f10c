"""Receipts on-chain: what is sent so that every part of one becomes a fact, and the answer a fact of its own."""

from __future__ import annotations

from dataclasses import dataclass

from air.statements.topk_statement import TOPK, TopkStatement
from octoproof.starknet.calldata import proof_to_felts
from octoproof.starknet.errors import ChainError
from octoproof.starknet.node import Node
from octoproof.starknet.presets import ONCHAIN, topk
from octoproof.starknet.profiles import felt_of
from octoproof.starknet.statements import topk_answer_felts, topk_felts, topk_result_digest, u256_felts
from octoproof.starknet.transactions import Call
from verifier.config import preset_name
from verifier.receipt import Part, read_receipt, statement_spec, verify
from verifier.security import figures

CONTRACT = "TopkFacts"


@dataclass(frozen=True)
class Fact:
    """What one call makes a fact: a name for people, its digest, and what the contract will hold it to be worth, in
    tenths of a bit, conjectured and proven."""

    name: str
    digest: bytes
    call: Call
    worth: tuple[int, int]


def facts_of(data: bytes, contract: int) -> list[Fact]:
    """Of a receipt, the parts first and the answer last, for the contract at this address.

    Verifies the receipt first: what the contract would refuse costs nothing then. Raises VerificationError, ParseError,
    and ChainError for a receipt that is not made for a contract.
    """
    verdict = verify(data, {TOPK.TYPE: TOPK})
    statements, facts = [], []
    for number, (part, held) in enumerate(zip(read_receipt(data).parts, verdict.parts, strict=True), 1):
        assert isinstance(part, Part)
        statement = held.statement
        assert isinstance(statement, TopkStatement)
        preset = preset_name(part.proof.config)
        if preset not in ONCHAIN or part.channel != "blake2s":
            raise ChainError(
                f"preset: part {number} is proven with {preset or 'a configuration without a name'}, contracts take"
                f" {', '.join(ONCHAIN)}; prove it with --preset {ONCHAIN[0]}"
            )
        spec = statement_spec(statement, part.channel, part.proof.config, part.claimed_sums)
        proof = proof_to_felts(spec, part.proof)
        arguments = (felt_of(preset), *topk_felts(statement), len(proof), *proof)
        statements.append(statement)
        name = f"part {number}, segment {statement.segment.index}"
        figures_there = figures(part.proof.config, topk(statement.segment.leaf.log_size))
        worth = (int(10 * figures_there.conjectured), int(10 * figures_there.proven))
        facts.append(Fact(name, statement.digest(), Call(contract, "verify_topk", arguments), worth))
    answer = Call(contract, "combine_topk", tuple(topk_answer_felts(statements)))
    lost = 10 * (len(facts) - 1).bit_length()  # a forger needs to break one of them
    conjectured, proven = (max(0, min(fact.worth[place] for fact in facts) - lost) for place in (0, 1))
    return [*facts, Fact("answer", topk_result_digest(statements), answer, (conjectured, proven))]


def is_fact(node: Node, contract: int, digest: bytes, conjectured: int = 0, proven: int = 0) -> bool:
    """Whether the contract holds it, by proofs of so many tenths of a bit."""
    return node.call(contract, "is_fact", [*u256_felts(digest), conjectured, proven]) == [1]


def security_of(node: Node, contract: int, digest: bytes) -> tuple[float, float]:
    """Conjectured and proven bits that the contract holds of it; zeros if it is no fact."""
    conjectured, proven = node.call(contract, "security_of", u256_felts(digest))
    return conjectured / 10, proven / 10
