"""FRI over the circle: plan of the layers, folding, and the checks of an opening (PROTOCOL 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from air import arrays, circle
from air.arrays import Array
from air.circle import Indices
from air.field import QM31
from verifier.channel import Channel
from verifier.config import PcsConfig
from verifier.errors import FriError, ShapeError
from verifier.hashes import Hasher
from verifier.merkle import Positions, verify_leaves
from verifier.proof import FriLayerProof, FriProof

PACKED_ROWS = 4


@dataclass(frozen=True)
class FriLayer:
    """One committed layer: log degree bound, log size of its domain, folds after it, and four rows a leaf or one."""

    degree_log: int
    domain_log: int
    step: int
    packed: bool

    @property
    def height(self) -> int:
        """Height of its Merkle tree."""
        return self.domain_log - 2 if self.packed else self.domain_log


def layer_plan(config: PcsConfig, degree_bound_log: int) -> tuple[FriLayer, ...]:
    """All committed layers: the circle layer first, then the line layers while the bound exceeds the last layer's.

    The plan follows from the config and the AIR alone: a proof cannot choose how often it is folded (ANCHORS E20).
    """
    blowup, last = config.log_blowup_factor, config.log_last_layer_degree_bound
    layers, degree, step = [], degree_bound_log, config.fold_step
    while True:
        domain = degree + blowup
        layers.append(FriLayer(degree, domain, step, step > 1 and domain >= 2))
        degree -= step
        if degree <= last:
            return tuple(layers)
        step = min(config.fold_step, degree - last)


def fold(values: Array, twiddles: Array, alpha: Array) -> Array:
    """(..., 2n, 4) to (..., n, 4): f(p), f(-p) to f0 + alpha f1, without the factor 1/2. Twiddles come inverted."""
    left, right = values[..., 0::2, :], values[..., 1::2, :]
    odd = arrays.mul(arrays.sub(left, right), twiddles[..., None])
    return arrays.add(arrays.add(left, right), arrays.qmul(np.broadcast_to(alpha, odd.shape), odd))


def fold_points(layer: FriLayer, first: bool, blocks: Indices) -> list[Indices]:
    """Point indices whose coordinate divides each fold of the opened blocks: one (blocks, pairs) array a fold.

    The first fold of the first layer divides by y of a circle point, every other one by x of a line point.
    """
    out: list[Indices] = []
    log_size = layer.domain_log
    for k in range(layer.step):
        pairs = 1 << (layer.step - 1 - k)
        evens = 2 * (blocks[:, None] * pairs + np.arange(pairs, dtype=np.int64))
        if first and k == 0:
            natural = circle.bit_reverse_array(evens, log_size)  # even position: in the first half of the domain
            out.append((1 << (30 - log_size)) + natural * (1 << (32 - log_size)))
        else:
            size = log_size - k
            natural = circle.bit_reverse_array(evens, size)
            out.append((1 << (29 - size)) + natural * (1 << (31 - size)))
    return out


@dataclass(frozen=True)
class FriVerifier:
    """What the commitment phase leaves behind: the plan and one folding challenge a layer."""

    layers: tuple[FriLayer, ...]
    alphas: tuple[QM31, ...]
    proof: FriProof


def read_commitments(proof: FriProof, config: PcsConfig, degree_bound_log: int, channel: Channel) -> FriVerifier:
    """Mixes every layer's root and the last polynomial, and draws the challenges. Raises FriError or ShapeError."""
    layers = layer_plan(config, degree_bound_log)
    if len(proof.inner_layers) != len(layers) - 1:
        raise ShapeError(f"fri_proof.inner_layers: {len(proof.inner_layers)} layers, expected {len(layers) - 1}")
    # A longer last polynomial would pass for any degree (Plonky3 GHSA-f69f-5fx9-w9r9); its length is the bound.
    last, expected = proof.last_layer, config.log_last_layer_degree_bound
    if last.log_size != expected or len(last.coeffs) != 1 << expected:
        raise FriError(f"last_layer_poly: must have log_size {expected} and {1 << expected} coefficients")
    alphas = []
    for layer in (proof.first_layer, *proof.inner_layers):
        channel.mix_root(layer.commitment)
        alphas.append(channel.draw_secure_felt())
    channel.mix_felts(last.coeffs)
    return FriVerifier(layers, tuple(alphas), proof)


def verify_openings(fri: FriVerifier, queries: Positions, quotients: Array, hasher: Hasher) -> None:
    """Folds the quotients at the sorted distinct queries down to the last layer. Raises FriError or MerkleError."""
    blocks, position = [], queries
    for layer in fri.layers:
        position = np.unique(position >> layer.step)
        blocks.append(position)
    _check_witness_sizes(fri, blocks, queries)
    twiddles, ends = _inverted_twiddles(fri.layers, blocks)
    positions, values = queries, quotients
    proofs = (fri.proof.first_layer, *fri.proof.inner_layers)
    names = _layer_names(len(proofs))
    for index, (layer, proof, alpha, where) in enumerate(zip(fri.layers, proofs, fri.alphas, names, strict=True)):
        opened = _open_blocks(layer, proof, blocks[index], positions, values)
        _check_tree(layer, proof, blocks[index], opened, hasher, where)
        challenge = alpha
        for inverted in twiddles[index]:
            opened = fold(opened, inverted, arrays.qarray([challenge]))
            challenge = challenge * challenge
        positions, values = blocks[index], opened[:, 0, :]
    _check_last(fri.proof.last_layer.coeffs, ends, values)


def _layer_names(count: int) -> list[str]:
    return ["fri_proof.first_layer", *(f"fri_proof.inner_layers[{k}]" for k in range(count - 1))]


def _check_witness_sizes(fri: FriVerifier, blocks: Sequence[Positions], queries: Positions) -> None:
    """Before anything is allocated: a block holds up to 2^16 values, which the proof must actually contain."""
    proofs, known = (fri.proof.first_layer, *fri.proof.inner_layers), len(queries)
    for layer, proof, opened, where in zip(fri.layers, proofs, blocks, _layer_names(len(blocks)), strict=True):
        missing = (len(opened) << layer.step) - known
        if len(proof.fri_witness) != missing:
            raise FriError(f"{where}.fri_witness: {len(proof.fri_witness)} values, expected {missing}")
        known = len(opened)


def _open_blocks(
    layer: FriLayer, proof: FriLayerProof, blocks: Positions, positions: Positions, values: Array
) -> Array:
    """(blocks, 2^step, 4): queried values where they are known, the witness in ascending order elsewhere."""
    size = 1 << layer.step
    opened = np.zeros((len(blocks) * size, 4), dtype=np.uint64)
    known = np.zeros(len(opened), dtype=bool)
    at = np.searchsorted(blocks, positions >> layer.step) * size + (positions & (size - 1))
    opened[at], known[at] = values, True
    opened[~known] = arrays.qarray(proof.fri_witness)
    return opened.reshape(len(blocks), size, 4)


def _check_tree(
    layer: FriLayer, proof: FriLayerProof, blocks: Positions, opened: Array, hasher: Hasher, where: str
) -> None:
    rows = opened.reshape(-1, 4).astype(np.uint32)
    per_block = 1 << layer.step
    if layer.packed:
        rows, per_block = rows.reshape(-1, 4 * PACKED_ROWS), per_block // PACKED_ROWS
    leaves = (blocks[:, None] * per_block + np.arange(per_block, dtype=np.int64)).reshape(-1).tolist()
    verify_leaves(hasher, proof.commitment, layer.height, leaves, hasher.leaves(rows), proof.hash_witness, where)


def _inverted_twiddles(layers: Sequence[FriLayer], blocks: Sequence[Positions]) -> tuple[list[list[Array]], Array]:
    """1/y or 1/x for every fold of every layer, and x at the final positions: one batch for all of them."""
    plan = [fold_points(layer, k == 0, b) for k, (layer, b) in enumerate(zip(layers, blocks, strict=True))]
    last = layers[-1].domain_log - layers[-1].step
    natural = circle.bit_reverse_array(blocks[-1], last)
    ends = (1 << (29 - last)) + natural * (1 << (31 - last))
    x, y = circle.points(np.concatenate([i.reshape(-1) for indices in plan for i in indices] + [ends]))
    first = plan[0][0].size
    inverted = arrays.inv(np.concatenate([y[:first], x[first : len(x) - len(ends)]]))
    out, start = [], 0
    for indices in plan:
        folds = []
        for index in indices:
            folds.append(inverted[start : start + index.size].reshape(index.shape))
            start += index.size
        out.append(folds)
    return out, x[len(x) - len(ends) :]


def _check_last(coefficients: Sequence[QM31], x: Array, values: Array) -> None:
    if not np.array_equal(evaluate_line(coefficients, x), values):
        raise FriError("last_layer_poly: does not have the folded values")


def evaluate_line(coefficients: Sequence[QM31], x: Array) -> Array:
    """(positions, 4): the last-layer polynomial (stored order) at base points x, halves combined as left + x right."""
    terms: Array = np.broadcast_to(arrays.qarray(coefficients)[:, None, :], (len(coefficients), len(x), 4))
    factors = [x]
    while 1 << len(factors) < len(coefficients):
        square = arrays.mul(factors[-1], factors[-1])
        factors.append(arrays.sub(arrays.add(square, square), np.ones_like(square)))
    # eval(stored, x) = eval(first half, pi(x)) + x eval(second half, pi(x)).
    while len(terms) > 1:
        factor = factors[(len(coefficients) // len(terms)).bit_length() - 1]
        half = len(terms) // 2
        terms = arrays.add(terms[:half], arrays.mul(terms[half:], factor[None, :, None]))
    value: Array = terms[0]
    return value
