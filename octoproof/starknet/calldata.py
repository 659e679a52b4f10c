"""A proof as Starknet calldata, and back: 32-bit words, seven to a felt, the first in the lowest bits.

The order is the one in which the contract reads (contracts/stark/src/verifier.cairo); nothing carries a length, since
config, AIR and queries determine all of them:

    claimed sums; roots of trees 1, 2 (with relations) and of the composition tree; sampled values
    roots of the FRI layers; last-layer coefficients; nonce, low word first
    per tree: the opened rows query by query, columns in the order in which leaves hash them; hash witness
    per FRI layer: values of the opened blocks that are not queries; hash witness

The config and the root of tree 0 are not sent: the contract has its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from struct import pack, unpack

import numpy as np

from air.field import QM31, P
from verifier.channel import channel
from verifier.config import tree_height
from verifier.errors import ConfigError, EncodingError, ParseError
from verifier.fri import layer_plan
from verifier.hashes import hasher
from verifier.merkle import Positions, leaf_order, preprocessed_positions
from verifier.proof import FriLayerProof, FriProof, LastLayer, StarkProof
from verifier.quotients import column_log_sizes
from verifier.sampling import sample_counts
from verifier.shape import check_proof, check_queried
from verifier.spec import Spec
from verifier.stark import draw_queries

WORDS_PER_FELT = 7
_WORD_BITS = 32
_HASH_WORDS, _FELT_WORDS = 8, 4


def proof_to_felts(spec: Spec, proof: StarkProof) -> tuple[int, ...]:
    """Calldata of a proof of `spec`. Raises ConfigError where the contract has no such verifier, and VerificationError
    for a proof of another shape than the spec's."""
    _check_supported(spec)
    check_proof(proof, spec, hasher(spec.channel))
    opened = proof.queried_values
    queries = max((len(column) for tree in opened for column in tree), default=0)
    check_queried(proof, queries)
    out: list[int] = []
    for value in spec.claimed_sums:
        out += value.coordinates()
    out += _hash_words(proof.commitments[1:])
    out += _coordinates(value for tree in proof.sampled_values for column in tree for value in column)
    layers = (proof.fri_proof.first_layer, *proof.fri_proof.inner_layers)
    out += _hash_words(layer.commitment for layer in layers)
    out += _coordinates(proof.fri_proof.last_layer.coeffs)
    out += unpack("<2I", proof.proof_of_work.to_bytes(8, "little"))
    for logs, columns, witness in zip(column_log_sizes(spec.air), opened, proof.decommitments, strict=True):
        order = leaf_order(logs)
        out += [columns[k][query] for query in range(queries) for k in order]
        out += _hash_words(witness)
    for layer in layers:
        out += _coordinates(layer.fri_witness)
        out += _hash_words(layer.hash_witness)
    return pack_words(out)


def proof_from_felts(spec: Spec, felts: Sequence[int]) -> tuple[Spec, StarkProof]:
    """Inverse of `proof_to_felts`: the proof, and the spec with the proof's claimed sums instead of its own.

    Replays the transcript, which says how much of what follows. Raises ParseError for calldata of another length and
    EncodingError for numbers that are not canonical."""
    _check_supported(spec)
    air, config, source = spec.air, spec.config, _Words(felts)
    counts = sample_counts(air)
    transcript = channel(spec.channel)
    config.mix_into(transcript)
    sums = source.secure(len(air.with_fractions))
    transcript.mix_root(spec.tree0_root)
    for word in spec.statement_u64:
        transcript.mix_u64(word)
    roots = source.hashes(len(counts) - 1)
    transcript.mix_root(roots[0])
    if air.relations:
        transcript.draw_secure_felts(2 * len(air.relations))
        transcript.mix_felts(sums)
        transcript.mix_root(roots[1])
    transcript.draw_secure_felt()
    transcript.mix_root(roots[-1])
    transcript.draw_secure_felt()
    samples = tuple(tuple(source.secure(count) for count in tree) for tree in counts)
    transcript.mix_felts([value for tree in samples for column in tree for value in column])
    transcript.draw_secure_felt()
    lifting_log = config.lifting_log(air.log_size)
    layers = layer_plan(config, lifting_log - config.log_blowup_factor)
    layer_roots = source.hashes(len(layers))
    for root in layer_roots:
        transcript.mix_root(root)
        transcript.draw_secure_felt()
    last = LastLayer(source.secure(1 << config.log_last_layer_degree_bound), config.log_last_layer_degree_bound)
    transcript.mix_felts(last.coeffs)
    nonce = int.from_bytes(pack("<2I", *source.take(2)), "little")
    transcript.mix_u64(nonce)
    queries = draw_queries(transcript, config.n_queries, lifting_log)
    opened, witnesses = [], []
    for tree, logs in enumerate(column_log_sizes(air)):
        height = tree_height(logs, config) if tree == 0 else lifting_log
        rows = source.elements(len(logs) * len(queries))
        table = np.array(rows, dtype=np.int64).reshape(len(queries), len(logs))
        columns = np.empty_like(table)
        columns[:, leaf_order(logs)] = table
        opened.append(tuple(tuple(column) for column in columns.T.tolist()))
        positions = preprocessed_positions(queries, height, lifting_log) if tree == 0 else queries
        witnesses.append(source.hashes(_siblings(positions, height) if logs else 0))
    fri, positions = [], queries
    for layer, root in zip(layers, layer_roots, strict=True):
        blocks = np.unique(positions >> layer.step)
        values = source.secure((len(blocks) << layer.step) - len(positions))
        shift = layer.domain_log - layer.height
        leaves = (blocks[:, None] << layer.step) + np.arange(1 << layer.step, dtype=np.int64)
        witness = source.hashes(_siblings(leaves.reshape(-1) >> shift, layer.height))
        fri.append(FriLayerProof(values, witness, root))
        positions = blocks
    source.end()
    proof = StarkProof(
        config=config,
        commitments=(spec.tree0_root, *roots),
        sampled_values=samples,
        decommitments=tuple(witnesses),
        queried_values=tuple(opened),
        proof_of_work=nonce,
        fri_proof=FriProof(fri[0], tuple(fri[1:]), last),
    )
    return replace(spec, claimed_sums=sums), proof


def pack_words(words: Sequence[int]) -> tuple[int, ...]:
    """Seven 32-bit words to a felt; the last one is filled with zeros."""
    groups = [words[k : k + WORDS_PER_FELT] for k in range(0, len(words), WORDS_PER_FELT)]
    return tuple(sum(word << _WORD_BITS * k for k, word in enumerate(group)) for group in groups)


def unpack_words(felts: Sequence[int]) -> list[int]:
    """All words, the filling included. Raises EncodingError for a felt of more than seven."""
    if any(not 0 <= felt < 1 << WORDS_PER_FELT * _WORD_BITS for felt in felts):
        raise EncodingError("calldata: a felt is not below 2^224")
    return [felt >> _WORD_BITS * k & 0xFFFFFFFF for felt in felts for k in range(WORDS_PER_FELT)]


def _check_supported(spec: Spec) -> None:
    if spec.channel != "blake2s" or not spec.mix_config:
        raise ConfigError("calldata: the contract verifies Blake2s proofs with the config mixed in, no others")


def _hash_words(hashes: Iterable[object]) -> list[int]:
    return [word for value in hashes for word in unpack("<8I", value)]  # type: ignore[arg-type]


def _coordinates(values: Iterable[QM31]) -> list[int]:
    return [c for value in values for c in value.coordinates()]


class _Words:
    """Reads words from the front."""

    def __init__(self, felts: Sequence[int]) -> None:
        self._words, self._next = unpack_words(felts), 0

    def take(self, count: int) -> list[int]:
        if self._next + count > len(self._words):
            raise ParseError("calldata: too short")
        self._next += count
        return self._words[self._next - count : self._next]

    def elements(self, count: int) -> list[int]:
        out = self.take(count)
        if any(value >= P for value in out):
            raise EncodingError("calldata: a field element is not canonical")
        return out

    def secure(self, count: int) -> tuple[QM31, ...]:
        values = self.elements(_FELT_WORDS * count)
        return tuple(QM31(*values[k : k + _FELT_WORDS]) for k in range(0, len(values), _FELT_WORDS))

    def hashes(self, count: int) -> tuple[bytes, ...]:
        words = self.take(_HASH_WORDS * count)
        return tuple(pack("<8I", *words[k : k + _HASH_WORDS]) for k in range(0, len(words), _HASH_WORDS))

    def end(self) -> None:
        rest = self._words[self._next :]
        if len(rest) >= WORDS_PER_FELT:
            raise ParseError("calldata: too long")
        if any(rest):
            raise EncodingError("calldata: the filling of the last felt is not zero")


def _siblings(positions: Positions, height: int) -> int:
    """How many hashes a decommitment at these positions holds."""
    known, count = np.unique(positions), 0
    for _ in range(height):
        parents = np.unique(known >> 1)
        count += 2 * len(parents) - len(known)
        known = parents
    return count
