"""Phase 1: the proof has exactly the shape that AIR and config prescribe, and every number in it is canonical.

Everything after this phase indexes without asking. Nothing here depends on a challenge except the number of distinct
queries, which `stark` checks once they are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from air.field import QM31, P
from air.layout import Air
from verifier.errors import ConfigError, EncodingError, LogupError, ShapeError, StatementError
from verifier.hashes import Hash, Hasher
from verifier.proof import StarkProof
from verifier.sampling import sample_counts
from verifier.spec import Spec

MAX_PUBLIC_TERMS = 1 << 16  # each costs an inversion; a statement is meant to be small


def check_spec(spec: Spec) -> None:
    """The public side: limits of the config, canonical claimed sums and public terms, as many as the AIR needs."""
    air = spec.air
    spec.config.check_fits(air)
    if spec.native is not None and spec.statement_u64 != spec.native.statement_u64:
        raise StatementError(f"statement_u64: this AIR prescribes {list(spec.native.statement_u64)}")
    if spec.native is not None and spec.public_terms:
        raise StatementError("public_terms: a named AIR prescribes its own")
    if not all(0 <= word < 1 << 64 for word in spec.statement_u64):
        raise EncodingError("statement_u64: a word is outside 0..2^64-1")
    _same("claimed_sums", len(spec.claimed_sums), len(air.with_fractions))
    _canonical("claimed_sums", spec.claimed_sums)
    if len(spec.balancing_terms) > MAX_PUBLIC_TERMS:
        raise StatementError(f"public_terms: more than {MAX_PUBLIC_TERMS}")
    for term in spec.balancing_terms:
        if not 0 <= term.relation < len(air.relations):
            raise StatementError(f"public_terms: no relation {term.relation}")
        if len(term.values) != air.arities[term.relation]:
            # Zero padding is invisible to `combine`: (a) would pass for (a, 0).
            raise StatementError(f"public_terms: relation {air.relations[term.relation]!r} has another tuple length")
        if not all(0 <= value < P for value in (term.multiplicity, *term.values)):
            raise EncodingError("public_terms: a value is not a canonical field element")
    _check_multiplicities(air)


def _check_multiplicities(air: Air) -> None:
    """P uses of one tuple would count as none (ANCHORS F25): there must not be that many rows."""
    rows = [0] * len(air.relations)
    for component in air.components:
        for fraction in component.fractions:
            rows[fraction.relation] += 1 << component.log_size
    if any(count >= P for count in rows):
        raise LogupError("relations: a relation has P or more fractions, its multiplicities could wrap")


def check_proof(proof: StarkProof, spec: Spec, hasher: Hasher) -> None:
    """The prover's side. Raises ConfigError, ShapeError or EncodingError."""
    # The prover does not choose its own security (ANCHORS E22).
    if proof.config != spec.config:
        raise ConfigError("config: the proof was made with another configuration than the statement's")
    counts = sample_counts(spec.air)
    _same("commitments", len(proof.commitments), len(counts))
    _same("decommitments", len(proof.decommitments), len(counts))
    _same("queried_values", len(proof.queried_values), len(counts))
    _same("sampled_values", len(proof.sampled_values), len(counts))
    for tree, (expected, columns) in enumerate(zip(counts, proof.sampled_values, strict=True)):
        _same(f"sampled_values[{tree}]", len(columns), len(expected))
        for column, (count, values) in enumerate(zip(expected, columns, strict=True)):
            _same(f"sampled_values[{tree}][{column}]", len(values), count)
            _canonical("sampled_values", values)
        _same(f"queried_values[{tree}]", len(proof.queried_values[tree]), len(expected))
    if not 0 <= proof.proof_of_work < 1 << 64:
        raise EncodingError("proof_of_work: outside 0..2^64-1")
    fri = proof.fri_proof
    _canonical("last_layer_poly.coeffs", fri.last_layer.coeffs)
    for layer in (fri.first_layer, *fri.inner_layers):
        _canonical("fri_witness", layer.fri_witness)
        _hashes("fri_proof.commitment", [layer.commitment], hasher)
        _hashes("fri_proof.hash_witness", layer.hash_witness, hasher)
    _hashes("commitments", proof.commitments, hasher)
    for witness in proof.decommitments:
        _hashes("decommitments", witness, hasher)


def check_queried(proof: StarkProof, distinct_queries: int) -> None:
    """One canonical value per column and distinct query; none in a tree without columns."""
    for tree, columns in enumerate(proof.queried_values):
        for column, values in enumerate(columns):
            _same(f"queried_values[{tree}][{column}]", len(values), distinct_queries)
            # A value of P would hash differently from 0 and compute like it.
            if not set(map(type, values)) <= {int} or min(values) < 0 or max(values) >= P:
                raise EncodingError(f"queried_values[{tree}][{column}]: not a canonical field element")


def _same(where: str, found: int, expected: int) -> None:
    if found != expected:
        raise ShapeError(f"{where}: {found} entries, expected {expected}")


def _canonical(where: str, values: Iterable[QM31]) -> None:
    for value in values:
        if not (0 <= value.a < P and 0 <= value.b < P and 0 <= value.c < P and 0 <= value.d < P):
            raise EncodingError(f"{where}: not a canonical field element")


def _hashes(where: str, values: Sequence[Hash], hasher: Hasher) -> None:
    if not hasher.all_valid(values):
        raise EncodingError(f"{where}: not a hash value of {hasher.name}")
