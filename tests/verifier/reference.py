"""A plain, slow prover for tests: no lookups, last layer of degree 0.

It makes the proofs that no fixture has (tree 0 lower than the rest, lifting without preprocessed columns, any statement
words) and, with a hook, dishonest ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from air import arrays, circle
from air.field import QM31, P, combine4, powers
from verifier.channel import channel as new_channel
from verifier.config import tree_height
from verifier.fri import fold, fold_points, layer_plan
from verifier.hashes import hasher
from verifier.merkle import leaf_order, lifted_positions, preprocessed_positions
from verifier.polynomial import evaluate, interpolate
from verifier.proof import FriLayerProof, FriProof, LastLayer, StarkProof
from verifier.quotients import column_log_sizes, group_terms, quotient_terms, quotients_at
from verifier.sampling import sample_points
from verifier.stark import draw_queries, query_points


@dataclass
class Mod:
    """An array of M31 values with operators, for `ComponentLayout.evaluate`."""

    v: np.ndarray

    def __add__(self, other):
        return Mod(arrays.add(self.v, other.v))

    def __sub__(self, other):
        return Mod(arrays.sub(self.v, other.v))

    def __mul__(self, other):
        return Mod(arrays.mul(self.v, other.v))

    def __neg__(self):
        return Mod(arrays.neg(self.v))


class Tree:
    """All layers of a Merkle tree, leaves first."""

    def __init__(self, kind, leaves):
        self.layers = [leaves]
        while len(self.layers[-1]) > 1:
            below = self.layers[-1]
            self.layers.append([kind.node(below[k], below[k + 1]) for k in range(0, len(below), 2)])

    @property
    def root(self):
        return self.layers[-1][0]

    def witness(self, positions):
        out, known = [], sorted(set(positions))
        for layer in self.layers[:-1]:
            out += [layer[p ^ 1] for p in known if p ^ 1 not in known]
            known = sorted({p >> 1 for p in known})
        return tuple(out)


def column_tree(kind, columns, height):
    if not columns:
        return Tree(kind, [kind.empty])
    sizes = [len(c).bit_length() - 1 for c in columns]
    positions = np.arange(1 << height)
    rows = [columns[k][lifted_positions(positions, sizes[k], height)] for k in leaf_order(sizes)]
    return Tree(kind, kind.leaves(np.stack(rows, axis=1).astype(np.uint32)))


def at_point(coefficients, point):
    """A column polynomial at a secure point."""
    values = [QM31(int(c)) for c in coefficients]
    x, y = point
    factor = y
    while len(values) > 1:
        values = [values[k] + values[k + 1] * factor for k in range(0, len(values), 2)]
        factor, x = (x, x) if factor is y else (circle.double_x(x), circle.double_x(x))
    return values[0]


def lifted_point(point, times):
    x, y = point
    for _ in range(times):
        x, y = circle.double_x(x), x * y * 2
    return x, y


def composition_halves(air, polys0, polys1, coefficient):
    """Coefficients of the eight composition columns."""
    size, k, main = air.log_size, air.n_constraints, 0
    weights = powers(coefficient, k)[::-1]
    total = np.zeros((1 << (size + 1), 4), dtype=np.uint64)
    for component in air.components:
        n, domain = component.log_size, component.log_size + 1
        pre = [evaluate(polys0[i], domain) for i in component.preprocessed]
        cells = [evaluate(p, domain) for p in polys1[main : main + len(component.masks)]]
        main += len(component.masks)
        shift = {o: [circle.neighbour(p, o, n, domain) for p in range(1 << domain)] for m in component.masks for o in m}

        def leaf(node, component=component, pre=pre, cells=cells, shift=shift, domain=domain):
            if node[0] == "pre":
                return Mod(pre[node[1]])
            if node[0] == "trace":
                return Mod(cells[node[1]][shift[component.masks[node[1]][node[2]]]])
            return Mod(np.full(1 << domain, component.constant(node), dtype=np.uint64))

        values = component.evaluate(leaf)
        x, _ = query_points(np.arange(1 << domain), domain)
        for _ in range(n - 1):
            x = arrays.sub(arrays.add(arrays.mul(x, x), arrays.mul(x, x)), np.ones_like(x))
        inverse = arrays.inv(x)
        sums = np.zeros((1 << domain, 4), dtype=np.uint64)
        for node in component.constraints:
            weight = arrays.qarray([weights.pop(0)])
            sums = arrays.add(sums, arrays.mul(arrays.mul(values[node].v, inverse)[:, None], weight))
        total = arrays.add(total, sums[lifted_positions(np.arange(len(total)), domain, size + 1)])
    coordinates = [interpolate(total[:, i]) for i in range(4)]
    half = 1 << size
    return [c[:half] for c in coordinates] + [c[half:] for c in coordinates]


def prove(spec, tree0, main, tamper=lambda name, value: value):
    """`tamper(name, value)` may replace what the prover commits to or sends; honest by default."""
    air, config, kind = spec.air, spec.config, hasher(spec.channel)
    transcript, blowup = new_channel(spec.channel), config.log_blowup_factor
    lifting = config.lifting_log(air.log_size)
    degree = lifting - blowup
    if spec.mix_config:
        config.mix_into(transcript)
    polys = [[interpolate(c) for c in tree0], [interpolate(c) for c in main]]
    extended = [[evaluate(p, len(p).bit_length() - 1 + blowup) for p in tree] for tree in polys]
    trees = [column_tree(kind, extended[0], tree_height(air.tree_log_sizes[0], config))]
    trees.append(column_tree(kind, extended[1], lifting))
    transcript.mix_root(trees[0].root)
    for word in spec.statement_u64:
        transcript.mix_u64(word)
    transcript.mix_root(trees[1].root)
    polys.append(composition_halves(air, polys[0], polys[1], transcript.draw_secure_felt()))
    extended.append([evaluate(p, air.log_size + blowup) for p in polys[2]])
    trees.append(column_tree(kind, extended[2], lifting))
    transcript.mix_root(trees[2].root)
    oods = circle.secure_point(transcript.draw_secure_felt())
    points, sizes = sample_points(air, oods, degree), column_log_sizes(air)
    sampled = tuple(
        tuple(tuple(at_point(f, lifted_point(s, degree - n)) for s in where) for f, n, where in zip(*t, strict=True))
        for t in zip(polys, sizes, points, strict=True)
    )
    sampled = tamper("sampled", sampled)
    transcript.mix_felts([v for tree in sampled for column in tree for v in column])
    terms = quotient_terms(sizes, points, sampled, blowup, lifting)
    every = np.arange(1 << lifting)
    lifted = []
    for tree in extended:
        for column in tree:
            size = len(column).bit_length() - 1
            usable = size <= lifting  # a larger column of tree 0 is in no term
            lifted.append(column[lifted_positions(every, size, lifting)] if usable else np.zeros_like(every, np.uint64))
    x, y = query_points(every, lifting)
    groups = group_terms(terms, [len(tree) for tree in sizes])
    values = quotients_at(groups, transcript.draw_secure_felt(), np.stack(lifted).astype(np.uint64), x, y, len(terms))
    values = tamper("quotients", values)
    layers, plan = [], layer_plan(config, degree)
    for index, layer in enumerate(plan):
        rows = values.astype(np.uint32).reshape(-1, 16 if layer.packed else 4)
        tree = Tree(kind, kind.leaves(rows))
        transcript.mix_root(tree.root)
        alpha = transcript.draw_secure_felt()
        layers.append((layer, values, tree))
        folded = values.reshape(-1, 1 << layer.step, 4)
        for indices in fold_points(layer, index == 0, np.arange(len(folded))):
            px, py = circle.points(indices)
            divisor = py if index == 0 and indices.shape[1] == 1 << (layer.step - 1) else px
            folded = fold(folded, arrays.inv(divisor), arrays.qarray([alpha]))
            alpha = alpha * alpha
        values = folded[:, 0]
    last = tuple(tamper("last", (QM31.of([int(v) for v in values[0]]),)))
    transcript.mix_felts(last)
    nonce = 0
    while not transcript.verify_pow_nonce(config.pow_bits, nonce):
        nonce += 1
    transcript.mix_u64(nonce)
    queries = draw_queries(transcript, config.n_queries, lifting)
    places = [queries] * 3
    if tree0:
        places[0] = preprocessed_positions(queries, len(trees[0].layers) - 1, lifting)
    heights = [len(tree.layers) - 1 for tree in trees]
    opened = tuple(
        tuple(
            tuple(int(v) for v in column[lifted_positions(where, len(column).bit_length() - 1, height)])
            for column in tree
        )
        for tree, where, height in zip(extended, places, heights, strict=True)
    )
    fri, positions = [], queries
    for layer, table, tree in layers:
        blocks = np.unique(positions >> layer.step)
        every = [int(b) << layer.step | j for b in blocks for j in range(1 << layer.step)]
        known = set(positions.tolist())
        witness = tuple(QM31.of([int(c) for c in table[p]]) for p in every if p not in known)
        leaves = [p >> 2 for p in every] if layer.packed else every
        fri.append(FriLayerProof(witness, tree.witness(leaves), tree.root))
        positions = blocks
    return StarkProof(
        config=config,
        commitments=tuple(tree.root for tree in trees),
        sampled_values=sampled,
        decommitments=tuple(
            tree.witness(where.tolist()) if tree.layers[1:] else () for tree, where in zip(trees, places, strict=True)
        ),
        queried_values=opened,
        proof_of_work=nonce,
        fri_proof=FriProof(fri[0], tuple(fri[1:]), LastLayer(last, 0)),
    )


__all__ = ["P", "Tree", "at_point", "combine4", "prove"]
