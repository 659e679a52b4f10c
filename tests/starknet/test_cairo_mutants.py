"""Whatever is changed in a proof or in what it is verified against, Cairo refuses it, and for the reason Python has."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from air.field import QM31, P
from octoproof.starknet.calldata import pack_words, proof_from_felts, unpack_words
from tests.starknet.cairo import need_compiler
from tests.starknet.verifying import (
    IMPORTS,
    PASSED,
    Case,
    call,
    constant,
    plonk_circuit,
    proven,
    range_check,
    run,
    topk,
    wide_fib,
)
from verifier.config import PcsConfig
from verifier.errors import (
    EncodingError,
    FriError,
    LogupError,
    MerkleError,
    OodsError,
    ParseError,
    ProofOfWorkError,
    ShapeError,
    StatementError,
    VerificationError,
)
from verifier.proof import StarkProof
from verifier.stark import verify_stark

# What Cairo may say where Python raises. A changed nonce that meets its few bits draws other queries, and then a list
# has another length for Python, while Cairo finds other words where it reads.
REASONS: dict[type[Exception], tuple[str, ...]] = {
    EncodingError: ("claim: not canonical",),
    LogupError: ("logup: not balanced", "logup: zero denominator"),
    StatementError: ("claim: public term",),
    OodsError: ("oods: constraints",),
    ProofOfWorkError: ("proof of work",),
    MerkleError: ("merkle: root", "fri: root"),
    FriError: ("fri: last layer",),
    ShapeError: ("merkle: root", "proof: not canonical", "proof: too short", "proof: too long"),
}
# What it must say of calldata that is no encoding of any proof. Where a word is missing or too many, others take its
# place, and Cairo, which judges as it reads, may find any fault in them.
ENCODINGS = {
    "nothing": "proof: too short",
    "large felt": "proof: felt too large",
    "largest felt": "proof: felt too large",
    "element above P": "proof: not canonical",
    "element is P": "proof: not canonical",
    "zeros after": "proof: too long",
    "filling": "proof: filling not zero",
}
UNREADABLE = ("cut", "more after", "zeros before", "any word")
_HELPERS = """
fn edited(base: Span<felt252>, edits: Span<(u32, felt252)>) -> Span<felt252> {
    let mut out: Array<felt252> = array![];
    let mut edits = edits;
    let mut next = edits.pop_front();
    for index in 0..base.len() {
        let value = match next {
            Some(edit) => {
                let (place, value) = *edit;
                if place == index {
                    next = edits.pop_front();
                    value
                } else {
                    *base[index]
                }
            },
            None => *base[index],
        };
        out.append(value);
    }
    out.span()
}
"""


@dataclass(frozen=True)
class Mutant:
    """A changed case: `proof` None where only the felts were changed, for no proof has such a form."""

    what: str
    case: Case
    felts: tuple[int, ...]
    structured: bool

    def verdict(self) -> type[Exception] | None:
        """What Python raises."""
        spec, proof = self.case.spec, self.case.proof
        try:
            if not self.structured:
                spec, proof = proof_from_felts(spec, self.felts)
            verify_stark(spec, proof)
        except (ParseError, VerificationError) as error:
            return type(error)
        return None


def cases() -> list[Case]:
    """One of each kind of AIR, with every kind of tree 0: none, as high as the others, and lower."""
    return [
        proven(wide_fib(6), PcsConfig(3, 2, 1, 4, 2)),
        proven(range_check(5, 7), PcsConfig(4, 1, 0, 5, 3)),
        proven(plonk_circuit(6), PcsConfig(3, 1, 1, 5, 1, 8)),
        proven(topk("ip", 6), PcsConfig(2, 2, 1, 3, 4)),
        proven(topk("l2", 11), PcsConfig(5, 1, 2, 4, 2)),
    ]


def in_proof(case: Case, rng: random.Random, each: int) -> Iterator[tuple[str, StarkProof]]:
    """One value changed, `each` times in every field."""
    proof = case.proof
    fri, trees = proof.fri_proof, len(proof.commitments)

    def changed(values: Sequence, change: Callable) -> tuple:
        index = rng.randrange(len(values))
        return (*values[:index], change(values[index]), *values[index + 1 :])

    def flipped(value: bytes) -> bytes:
        bit = rng.randrange(256)
        return bytes(b ^ (1 << bit % 8 if k == bit // 8 else 0) for k, b in enumerate(value))

    def moved(value: QM31) -> QM31:
        coordinates = list(value.coordinates())
        coordinates[rng.randrange(4)] += rng.randrange(1, P)
        return QM31(*(c % P for c in coordinates))

    def in_layers(change: Callable) -> StarkProof:
        layers = [fri.first_layer, *fri.inner_layers]
        usable = [k for k, layer in enumerate(layers) if change(layer) is not None]
        index = rng.choice(usable)
        layers[index] = change(layers[index])
        return replace(proof, fri_proof=replace(fri, first_layer=layers[0], inner_layers=tuple(layers[1:])))

    for _ in range(each):
        tree = rng.randrange(1, trees)
        roots = proof.commitments
        yield "commitment", replace(proof, commitments=(*roots[:tree], flipped(roots[tree]), *roots[tree + 1 :]))
        tree = rng.choice([k for k in range(trees) if any(proof.sampled_values[k])])
        columns = [k for k, column in enumerate(proof.sampled_values[tree]) if column]
        column = rng.choice(columns)
        samples = [list(tree) for tree in proof.sampled_values]
        samples[tree][column] = changed(samples[tree][column], moved)
        yield "sampled value", replace(proof, sampled_values=tuple(map(tuple, samples)))
        tree = rng.choice([k for k in range(trees) if proof.decommitments[k]])
        witness = list(proof.decommitments)
        witness[tree] = changed(witness[tree], flipped)
        yield "decommitment", replace(proof, decommitments=tuple(witness))
        tree = rng.choice([k for k in range(trees) if proof.queried_values[k]])
        opened = list(proof.queried_values)
        step = rng.randrange(1, P)
        opened[tree] = changed(opened[tree], lambda c, s=step: changed(c, lambda v: (v + s) % P))
        yield "queried value", replace(proof, queried_values=tuple(opened))
        yield "nonce", replace(proof, proof_of_work=(proof.proof_of_work + rng.randrange(1, 1 << 40)) % 2**64)
        yield "fri root", in_layers(lambda layer: replace(layer, commitment=flipped(layer.commitment)))
        yield (
            "fri witness",
            in_layers(
                lambda layer: (
                    replace(layer, fri_witness=changed(layer.fri_witness, moved)) if layer.fri_witness else None
                )
            ),
        )
        yield (
            "fri hashes",
            in_layers(
                lambda layer: (
                    replace(layer, hash_witness=changed(layer.hash_witness, flipped)) if layer.hash_witness else None
                )
            ),
        )
        last = replace(fri.last_layer, coeffs=changed(fri.last_layer.coeffs, moved))
        yield "last layer", replace(proof, fri_proof=replace(fri, last_layer=last))


def in_claim(case: Case, rng: random.Random) -> Iterator[tuple[str, Case]]:
    """The claimed sums, which the prover sends, and what the contract chooses. The proof stays as it is."""
    spec = case.spec

    def with_spec(what: str, **changes: object) -> tuple[str, Case]:
        changed = replace(spec, **changes)  # type: ignore[arg-type]
        return what, replace(case, spec=changed, proof=replace(case.proof, config=changed.config))

    words = spec.statement_u64
    for k in range(len(words)):
        yield with_spec("statement", statement_u64=(*words[:k], words[k] ^ 1 << rng.randrange(64), *words[k + 1 :]))
    yield with_spec("statement", statement_u64=words[:-1])
    yield with_spec("statement", statement_u64=(*words, 0))
    sums = spec.claimed_sums
    for k in range(len(sums)):
        yield with_spec("claimed sum", claimed_sums=(*sums[:k], sums[k] + QM31(0, 0, 1), *sums[k + 1 :]))
    if len(sums) == 2:
        yield with_spec("claimed sums", claimed_sums=sums[::-1])
        yield with_spec("claimed sums", claimed_sums=(sums[0] + 1, sums[1] - 1))
    terms = spec.public_terms
    for k in range(len(terms)):
        term = terms[k]
        others = (terms[:k], terms[k + 1 :])
        values = (*term.values[:-1], (term.values[-1] + 1) % P)
        yield with_spec("term", public_terms=(*others[0], *others[1]))
        yield with_spec("term", public_terms=(*others[0], term, term, *others[1]))
        yield with_spec("term", public_terms=(*others[0], replace(term, values=values), *others[1]))
        yield with_spec("term", public_terms=(*others[0], replace(term, values=(*term.values, 0)), *others[1]))
        many = replace(term, multiplicity=(term.multiplicity + 1) % P)
        yield with_spec("term", public_terms=(*others[0], many, *others[1]))
        yield with_spec("term", public_terms=(*others[0], replace(term, relation=9), *others[1]))
        yield with_spec("term", public_terms=(*others[0], replace(term, values=(P, *term.values[1:])), *others[1]))
    config = spec.config
    yield with_spec("config", config=replace(config, pow_bits=config.pow_bits + 1))
    height = config.lifting_log(spec.air.log_size)
    yield with_spec("config", config=replace(config, lifting_log_size=None if config.lifting_log_size else height))


def in_felts(case: Case, rng: random.Random, each: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Another encoding, or more or less of it."""
    felts = case.felts
    words = unpack_words(felts)
    assert words[-1] == 0, "the last felt has no filling to change"
    yield "cut", felts[:-1]
    yield "cut", felts[1:]
    yield "cut", felts[: len(felts) // 2]
    yield "nothing", ()
    yield "zeros after", (*felts, 0)
    yield "more after", (*felts, 1)
    yield "zeros before", (0, *felts)
    yield "filling", (*felts[:-1], felts[-1] + (1 << 192))
    for _ in range(each):
        k = rng.randrange(len(felts))
        yield "large felt", (*felts[:k], felts[k] + (1 << 224), *felts[k + 1 :])
        yield "largest felt", (*felts[:k], 2**251 + 17 * 2**192, *felts[k + 1 :])
    sections = elements(case)
    for _ in range(each):
        for start, length in sections:
            # The same element mod P: it would compute like it and hash otherwise.
            k = start + rng.randrange(length)
            yield "element above P", pack_words([*words[:k], words[k] + P, *words[k + 1 :]])
        k = sections[0][0] + rng.randrange(sections[0][1])
        yield "element is P", pack_words([*words[:k], P, *words[k + 1 :]])
        k = rng.randrange(len(words))
        yield "any word", pack_words([*words[:k], words[k] ^ 1 << rng.randrange(32), *words[k + 1 :]])


def elements(case: Case) -> list[tuple[int, int]]:
    """(first word, number) of the field elements: claimed sums, samples, last layer, rows of the first tree that has
    some, witness of the first FRI layer."""
    proof, fri = case.proof, case.proof.fri_proof
    sums = 4 * len(case.spec.claimed_sums)
    samples = 4 * sum(len(column) for tree in proof.sampled_values for column in tree)
    last = 4 * len(fri.last_layer.coeffs)
    rows = [sum(map(len, tree)) for tree in proof.queried_values]
    after_sums = sums + 8 * (len(proof.commitments) - 1)
    after_samples = after_sums + samples + 8 * (1 + len(fri.inner_layers))
    first_rows = after_samples + last + 2
    witness = first_rows + sum(rows) + 8 * sum(map(len, proof.decommitments))
    found = [(0, sums), (after_sums, samples), (after_samples, last), (first_rows, next(filter(None, rows)))]
    found.append((witness, 4 * len(fri.first_layer.fri_witness)))
    return [section for section in found if section[1]]


def mutants(case: Case, rng: random.Random, each: int) -> Iterator[Mutant]:
    for what, proof in in_proof(case, rng, each):
        changed = replace(case, proof=proof)
        yield Mutant(what, changed, changed.felts, True)
    for what, changed in in_claim(case, rng):
        yield Mutant(what, changed, changed.felts, True)
    for what, felts in in_felts(case, rng, each):
        yield Mutant(what, case, felts, False)


def judge(folder: Path, honest: Sequence[Case], each: int) -> int:
    """Compares both verdicts on all mutants; returns how many there were."""
    rng = random.Random(1)
    body, expected = [IMPORTS, _HELPERS], {}
    for number, case in enumerate(honest):
        base = f"BASE_{number}"
        body.append(constant(base, case.felts))
        body.append(_test(f"honest_{number}", case, f"{base}.span()"))
        for count, mutant in enumerate(mutants(case, rng, each)):
            name = f"m{number}_{count}"
            verdict = mutant.verdict()
            assert verdict is not None, f"{case.name}: {mutant.what} is accepted by Python"
            expected[name] = (f"{case.name}: {mutant.what}", verdict)
            body.append(_test(name, mutant.case, _felts(base, case.felts, mutant.felts)))
    outcomes = run(folder, "".join(body))
    assert all(outcomes[f"honest_{number}"].panic == PASSED for number in range(len(honest)))
    wrong = [
        f"{what}: {verdict.__name__} in Python, {outcomes[name].panic or 'accepted'!r} in Cairo"
        for name, (what, verdict) in expected.items()
        if not _agrees(outcomes[name].panic, what.split(": ")[1], verdict)
    ]
    assert not wrong, "\n".join(wrong)
    return len(expected)


def _agrees(panic: str, what: str, verdict: type[Exception]) -> bool:
    if what in ENCODINGS:
        return panic == ENCODINGS[what]
    if issubclass(verdict, ParseError | EncodingError) and what in UNREADABLE:
        return panic != PASSED
    return panic in REASONS[verdict]


def _test(name: str, case: Case, felts: str) -> str:
    return f"\n#[test]\nfn {name}() {{\n    {call(case.cairo, case.spec, felts)}\n}}\n"


def _felts(base: str, honest: Sequence[int], changed: Sequence[int]) -> str:
    """The changed felts as an edit of the constant, or in full if there are more or fewer."""
    if len(changed) != len(honest):
        return f"array![{', '.join(map(hex, changed))}].span()"
    edits = [(k, new) for k, (old, new) in enumerate(zip(honest, changed, strict=True)) if old != new]
    return f"edited({base}.span(), array![{', '.join(f'({k}, {new:#x})' for k, new in edits)}].span())"


def test_a_few_mutants_are_refused(tmp_path: Path) -> None:
    need_compiler()
    assert judge(tmp_path, [proven(range_check(5, 6), PcsConfig(2, 1, 0, 3, 2))], 1) >= 20


@pytest.mark.slow
def test_hundreds_of_mutants_are_refused(tmp_path: Path) -> None:
    need_compiler()
    assert judge(tmp_path, cases(), 3) >= 300
