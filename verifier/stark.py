"""The verifier: seven phases, in the order of PROTOCOL 6 to 10.

    1 shape         the proof is of the prescribed form, with the prescribed config
    2 commitments   roots, statement and lookup challenges; tree 0 is the known one; lookups balance
    3 constraints   composition polynomial and its value at the out-of-domain point
    4 fri commit    sampled values, quotient coefficient, FRI layers
    5 queries       proof of work, query positions
    6 openings      trace values at the queries belong to the roots
    7 fri           quotients at the queries fold down to the last layer

Every phase mixes what it reads before the next challenge is drawn, so that no value can be chosen after seeing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from air import circle
from air.arrays import Array
from air.field import ZERO
from air.relation import RelationElements, public_sum
from verifier.channel import Channel, channel
from verifier.config import tree_height
from verifier.errors import (
    Check,
    Checks,
    LogupError,
    OodsError,
    PreprocessedRootError,
    ProofOfWorkError,
    VerificationError,
)
from verifier.fri import read_commitments, verify_openings
from verifier.hashes import Hasher, hasher
from verifier.merkle import Positions, leaf_order, preprocessed_positions, verify_rows
from verifier.proof import StarkProof
from verifier.quotients import column_log_sizes, group_terms, quotient_terms, quotients_at
from verifier.sampling import composition_at, composition_claim, sample_points
from verifier.shape import check_proof, check_queried, check_spec
from verifier.spec import Spec


class _Clock:
    """Collects the finished phases."""

    def __init__(self) -> None:
        self._start, self._checks = perf_counter(), list[Check]()

    def done(self, name: str) -> None:
        now = perf_counter()
        self._checks.append(Check(name, (now - self._start) * 1000))
        self._start = now

    @property
    def checks(self) -> Checks:
        return tuple(self._checks)


def verify_stark(spec: Spec, proof: StarkProof) -> Checks:
    """Verifies `proof` of `spec`; returns the phases with their times.

    Raises VerificationError, whose `checks` are the phases passed before the refusal. It says nothing about whether the
    statement, the AIR or the config of `spec` are the ones a caller should accept: that is `receipt.verify`.
    """
    clock = _Clock()
    try:
        _verify(spec, proof, clock)
    except VerificationError as error:
        error.checks = clock.checks
        raise
    return clock.checks


def _verify(spec: Spec, proof: StarkProof, clock: _Clock) -> None:
    air, config, tree_hash = spec.air, spec.config, hasher(spec.channel)

    # 1. Shape and config.
    check_spec(spec)
    check_proof(proof, spec, tree_hash)
    clock.done("shape")

    # 2. Roots, statement, lookups. Tree 0 is what the AIR refers to as known: its root must not come from the prover.
    transcript = channel(spec.channel)
    if spec.mix_config:
        config.mix_into(transcript)
    if proof.commitments[0] != spec.tree0_root:
        raise PreprocessedRootError("commitments[0]: tree 0 is not the prescribed one")
    elements = _mix_trees(spec, proof, transcript)
    clock.done("commitments")

    # 3. Constraints at a random point outside the trace domain.
    lifting_log = config.lifting_log(air.log_size)
    degree_log = lifting_log - config.log_blowup_factor
    coefficient = transcript.draw_secure_felt()
    transcript.mix_root(proof.commitments[-1])
    try:
        oods = circle.secure_point(transcript.draw_secure_felt())
        sums = spec.claimed_sums
        expected = composition_at(air, proof.sampled_values, elements, sums, coefficient, oods, degree_log)
    except ZeroDivisionError:  # one challenge in 2^100: the point at infinity, or one of the trace domain
        raise OodsError("the out-of-domain point is exceptional; prove again with another statement") from None
    if expected != composition_claim(proof.sampled_values, oods, degree_log):
        raise OodsError("sampled_values: the constraints do not hold at the out-of-domain point")
    clock.done("constraints")

    # 4. The sampled values are bound before the coefficient that combines them (Plonky3 GHSA-vrmm-4mm5-38vm).
    transcript.mix_felts([value for tree in proof.sampled_values for column in tree for value in column])
    quotient_coefficient = transcript.draw_secure_felt()
    fri = read_commitments(proof.fri_proof, config, degree_log, transcript)
    clock.done("fri commit")

    # 5. Proof of work after all commitments, with the bits of the config, and only then the queries.
    if not transcript.verify_pow_nonce(config.pow_bits, proof.proof_of_work):
        raise ProofOfWorkError(f"proof_of_work: the nonce does not meet {config.pow_bits} bits")
    transcript.mix_u64(proof.proof_of_work)
    queries = draw_queries(transcript, config.n_queries, lifting_log)
    check_queried(proof, len(queries))
    clock.done("queries")

    # 6. Openings of the trace trees.
    columns = _open_trees(spec, proof, queries, lifting_log, tree_hash)
    clock.done("openings")

    # 7. Quotients at the queries, folded to the last layer.
    points = sample_points(air, oods, degree_log)
    sizes = column_log_sizes(air)
    terms = quotient_terms(sizes, points, proof.sampled_values, config.log_blowup_factor, lifting_log)
    groups = group_terms(terms, [len(tree) for tree in sizes])
    x, y = query_points(queries, lifting_log)
    quotients = quotients_at(groups, quotient_coefficient, columns, x, y, len(terms))
    verify_openings(fri, queries, quotients, tree_hash)
    clock.done("fri")


def _mix_trees(spec: Spec, proof: StarkProof, transcript: Channel) -> list[RelationElements]:
    """The order of PROTOCOL 6; the lookup challenges come after the main trace, the claimed sums after them."""
    air = spec.air
    transcript.mix_root(proof.commitments[0])
    for word in spec.statement_u64:
        transcript.mix_u64(word)
    transcript.mix_root(proof.commitments[1])
    if not air.relations:
        return []
    elements = [RelationElements(*transcript.draw_secure_felts(2)) for _ in air.relations]
    _check_balance(spec, elements)
    transcript.mix_felts(spec.claimed_sums)
    transcript.mix_root(proof.commitments[2])
    return elements


def _check_balance(spec: Spec, elements: Sequence[RelationElements]) -> None:
    """What all components together use and provide, and what is public, must cancel (ANCHORS F24)."""
    try:
        total = public_sum(spec.balancing_terms, elements)
    except ZeroDivisionError:
        raise LogupError("public_terms: a denominator vanishes; prove again with another statement") from None
    if sum(spec.claimed_sums, total) != ZERO:
        raise LogupError("claimed_sums: lookups do not balance")


def draw_queries(transcript: Channel, count: int, lifting_log: int) -> Positions:
    """Sorted distinct positions of the lifting domain: `count` words, masked; a power of two needs no rejection."""
    words: list[int] = []
    while len(words) < count:
        words += transcript.draw_u32s()
    return np.array(sorted({word & (1 << lifting_log) - 1 for word in words[:count]}), dtype=np.int64)


def query_points(queries: Positions, lifting_log: int) -> tuple[Array, Array]:
    """x and y of the domain points at storage positions."""
    half = 1 << (lifting_log - 1)
    natural = circle.bit_reverse_array(queries, lifting_log)
    folded = natural & (half - 1)
    index = (1 << (30 - lifting_log)) + folded * (1 << (32 - lifting_log))
    return circle.points(np.where(natural < half, index, -index))


def _open_trees(spec: Spec, proof: StarkProof, queries: Positions, lifting_log: int, tree_hash: Hasher) -> Array:
    """(all columns, queries): the opened values, after checking every tree against its root."""
    sizes = column_log_sizes(spec.air)
    opened: list[Array] = []
    for tree, (logs, root) in enumerate(zip(sizes, proof.commitments, strict=True)):
        where, witness = f"decommitments[{tree}]", proof.decommitments[tree]
        height, positions = lifting_log, queries
        if tree == 0:
            height = tree_height(logs, spec.config)
            positions = preprocessed_positions(queries, height, lifting_log) if logs else queries[:0]
        values = np.array(proof.queried_values[tree], dtype=np.uint64).reshape(len(logs), len(queries))
        if logs:
            rows = values[leaf_order(logs)].T.astype(np.uint32)
            verify_rows(tree_hash, root, height, positions, rows, witness, where)
        elif root != tree_hash.empty or witness:
            raise PreprocessedRootError(f"{where}: an empty tree has a fixed root and nothing to open")
        opened.append(values)
    return np.concatenate(opened)
