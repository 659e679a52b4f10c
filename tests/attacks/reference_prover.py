"""A plain prover to forge with: PROTOCOL 6 to 10 as methods, one step each, so that an attack overrides one of them.

It is written from the verifier's side (channel, points, quotient terms, layer plan), knows nothing of the real prover,
and checks nothing: given a false witness it goes through with it. Unweakened, its proofs are Stwo's, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from air import arrays, circle
from air.arrays import Array
from air.check import node_values
from air.field import QM31, ZERO, P, inverse
from air.layout import SECURE, ComponentLayout
from air.relation import RelationElements
from verifier.channel import channel as new_channel
from verifier.config import tree_height
from verifier.fri import fold, fold_points, layer_plan
from verifier.hashes import Hash, Hasher, hasher
from verifier.merkle import leaf_order, lifted_positions, preprocessed_positions
from verifier.polynomial import evaluate, interpolate
from verifier.proof import FriLayerProof, FriProof, LastLayer, StarkProof
from verifier.quotients import column_log_sizes, group_terms, quotient_terms, quotients_at
from verifier.sampling import sample_points
from verifier.spec import Spec
from verifier.stark import draw_queries, query_points


@dataclass(frozen=True)
class Tree:
    """A committed tree: its columns as polynomials and on the evaluation domain, and all levels of hashes."""

    coefficients: list[Array]
    extended: list[Array]
    levels: list[list[Hash]]

    @property
    def root(self) -> Hash:
        return self.levels[-1][0]


def hash_levels(leaves: list[Hash], hashing: Hasher) -> list[list[Hash]]:
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([hashing.node(below[k], below[k + 1]) for k in range(0, len(below), 2)])
    return levels


def decommit(levels: Sequence[Sequence[Hash]], positions: Sequence[int]) -> tuple[Hash, ...]:
    """The siblings that a verifier who knows these leaves lacks, level by level, left to right."""
    known, witness = sorted(set(positions)), list[Hash]()
    for level in levels[:-1]:
        witness += [level[p ^ 1] for p in known if p ^ 1 not in known]
        known = sorted({p >> 1 for p in known})
    return tuple(witness)


def evaluate_at(coefficients: Array, point: circle.SecurePoint) -> QM31:
    """A column polynomial at a secure point: the basis is y, x, pi(x), ... by the bits of the coefficient's index."""
    values, factor, x = arrays.secure(coefficients), point[1], point[0]
    while len(values) > 1:
        values, factor = arrays.add(values[0::2], scaled(values[1::2], factor)), x
        x = circle.double_x(x)
    return QM31.of(values[0].tolist())


def line_coefficients(values: Array, log_size: int) -> Array:
    """Coefficients, in stored order, of the line polynomial with these values (stored order too)."""
    if log_size == 0:
        return values
    index = (1 << (29 - log_size)) + circle.bit_reversal(log_size)[::2] * (1 << (31 - log_size))
    x, _ = circle.points(index)
    even, odd = arrays.add(values[::2], values[1::2]), arrays.sub(values[::2], values[1::2])
    half = np.uint64(inverse(2))
    odd = arrays.mul(arrays.mul(odd, arrays.inv(x)[:, None]), half)
    parts = [line_coefficients(v, log_size - 1) for v in (arrays.mul(even, half), odd)]
    return np.concatenate(parts)


class Elements:
    """A column of M31 with the operators of a constraint."""

    def __init__(self, values: Array) -> None:
        self.values = values

    __add__ = lambda self, other: Elements(arrays.add(self.values, other.values))  # noqa: E731
    __sub__ = lambda self, other: Elements(arrays.sub(self.values, other.values))  # noqa: E731
    __mul__ = lambda self, other: Elements(arrays.mul(self.values, other.values))  # noqa: E731
    __neg__ = lambda self: Elements(arrays.neg(self.values))  # noqa: E731


@cache
def neighbours(offset: int, log_size: int) -> Any:
    """Where, on the domain of a component's composition, the values `offset` rows away lie."""
    return np.array([circle.neighbour(p, offset, log_size, log_size + 1) for p in range(2 << log_size)])


def scaled(values: Array, factor: QM31) -> Array:
    return arrays.qmul(values, np.broadcast_to(arrays.qarray([factor]), values.shape))


class ReferenceProver:
    """`prove` runs the steps in order; what they leave behind is in the attributes named like them."""

    def __init__(
        self,
        spec: Spec,
        tree0: Sequence[Any] | None = None,
        main: Sequence[Any] | None = None,
        channel: Callable[[str], Any] = new_channel,
    ) -> None:
        """Columns in storage order; a named AIR makes its own."""
        self.spec, self.air, self.config = spec, spec.air, spec.config
        if spec.native is not None:
            tree0 = spec.native.preprocessed() if tree0 is None else tree0
            main = spec.native.main() if main is None else main
        assert main is not None
        self.columns = [[np.asarray(c, dtype=np.uint64) for c in tree] for tree in (tree0 or [], main)]
        self.hashing, self.channel = hasher(spec.channel), channel(spec.channel)
        self.lifting = self.config.lifting_log(self.air.log_size)
        self.degree = self.lifting - self.config.log_blowup_factor
        self.trees: list[Tree] = []
        self.elements: list[RelationElements] = []
        self.claimed_sums: tuple[QM31, ...] = ()

    def prove(self) -> tuple[Spec, StarkProof]:
        """The completed spec and its proof."""
        self.commit_trace()
        self.commit_lookups()
        self.commit_composition()
        self.take_samples()
        self.quotients = self.combine()
        self.commit_fri()
        self.nonce = self.grind()
        self.channel.mix_u64(self.nonce)
        self.queries = self.draw_queries()
        return self.completed_spec(), self.open()

    def commit_trace(self) -> None:
        if self.spec.mix_config:
            self.config.mix_into(self.channel)
        self.add_tree(self.columns[0])
        for word in self.spec.statement_u64:
            self.channel.mix_u64(word)
        self.add_tree(self.columns[1])

    def add_tree(self, columns: Sequence[Array]) -> None:
        self.add_polynomials([interpolate(c) for c in columns])

    def add_polynomials(self, coefficients: list[Array]) -> None:
        extended = self.extend(len(self.trees), coefficients)
        tree = Tree(coefficients, extended, self.hash_columns(extended))
        self.trees.append(tree)
        self.channel.mix_root(tree.root)

    def extend(self, tree: int, coefficients: list[Array]) -> list[Array]:
        """The committed values of one tree's columns."""
        return [evaluate(c, self.log_of(c) + self.config.log_blowup_factor) for c in coefficients]

    def hash_columns(self, extended: list[Array]) -> list[list[Hash]]:
        sizes = [self.log_of(c) for c in extended]
        if not sizes:
            return [[self.hashing.empty]]
        height = tree_height([n - self.config.log_blowup_factor for n in sizes], self.config)
        positions = np.arange(1 << height, dtype=np.int64)
        rows = [extended[k][lifted_positions(positions, sizes[k], height)] for k in leaf_order(sizes)]
        return hash_levels(self.hashing.leaves(np.stack(rows, axis=1).astype(np.uint32)), self.hashing)

    def commit_lookups(self) -> None:
        if not self.air.relations:
            return
        self.elements = [RelationElements(*self.channel.draw_secure_felts(2)) for _ in self.air.relations]
        columns, sums = self.interaction()
        self.claimed_sums = tuple(sums)
        self.channel.mix_felts(self.claimed_sums)
        self.add_tree(columns)

    def interaction(self) -> tuple[list[Array], list[QM31]]:
        """Columns of tree 2 in storage order, and the claimed sums."""
        columns, sums, first = [], [], 0
        for component in self.air.components:
            own = self.columns[1][first : first + len(component.masks)]
            first += len(component.masks)
            if component.fractions:
                added, total = self.interaction_of(component, own)
                columns += added
                sums.append(total)
        return columns, sums

    def interaction_of(self, component: ComponentLayout, own: Sequence[Array]) -> tuple[list[Array], QM31]:
        pre = [circle.to_rows(self.columns[0][k]) for k in component.preprocessed]
        nodes = node_values(component, pre, [circle.to_rows(c) for c in own])
        total = np.zeros((1 << component.log_size, 4), dtype=np.uint64)
        columns = []
        for batch in component.batches:
            for fraction in batch:
                scale = arrays.qinv(self.combined(fraction.relation, [nodes[v] for v in fraction.values]))
                total = arrays.add(total, arrays.mul(nodes[fraction.multiplicity][:, None], scale))
            columns.append(total)
        claimed = QM31.of((total.sum(axis=0) % np.uint64(P)).tolist())
        share = arrays.qarray([claimed * inverse(1 << component.log_size)])
        columns[-1] = arrays.sub(total, share).cumsum(axis=0) % np.uint64(P)
        return [circle.to_storage(c[:, k]) for c in columns for k in range(SECURE)], claimed

    def combined(self, relation: int, values: Sequence[Array]) -> Array:
        challenges, power = self.elements[relation], QM31(1)
        total = np.broadcast_to(arrays.qarray([-challenges.z]), (len(values[0]), 4))
        for value in values:
            total = arrays.add(total, arrays.mul(value[:, None], arrays.qarray([power])))
            power = power * challenges.alpha
        return total

    def commit_composition(self) -> None:
        self.coefficient = self.channel.draw_secure_felt()
        whole = interpolate(self.composition().T)
        half = whole.shape[1] // 2
        self.add_polynomials([*whole[:, :half], *whole[:, half:]])

    def composition(self) -> Array:
        """(2^(S+1), 4): the sum over all constraints, divided by the vanishing polynomial, in storage order."""
        log = self.air.log_size + 1
        positions, total = np.arange(1 << log, dtype=np.int64), np.zeros((1 << log, 4), dtype=np.uint64)
        left, starts, sums = self.air.n_constraints, [0, 0], iter(self.claimed_sums)
        for component in self.air.components:
            left -= component.n_constraints
            claimed = next(sums) if component.fractions else ZERO
            values = self.composition_of(component, starts, claimed, self.coefficient**left)
            total = arrays.add(total, values[lifted_positions(positions, component.log_size + 1, log)])
            starts = [starts[0] + len(component.masks), starts[1] + SECURE * component.n_interaction]
        return total

    def composition_of(self, component: ComponentLayout, starts: list[int], claimed: QM31, weight: QM31) -> Array:
        """One component's share on its own domain: Horner over its constraints, divided by the vanishing polynomial."""
        size, log = component.log_size, component.log_size + 1
        pre = self.on_domain(0, component.preprocessed, log)
        main = self.on_domain(1, range(starts[0], starts[0] + len(component.masks)), log)
        width = SECURE * component.n_interaction
        interaction = np.array(self.on_domain(2, range(starts[1], starts[1] + width), log))
        interaction = interaction.reshape(-1, SECURE, 2 << size).transpose(0, 2, 1)

        def leaf(node: Any) -> Elements:
            if node[0] == "trace":
                return Elements(main[node[1]][neighbours(component.masks[node[1]][node[2]], size)])
            if node[0] == "pre":
                return Elements(pre[node[1]])
            return Elements(np.full(2 << size, component.constant(node), dtype=np.uint64))

        nodes = [element.values for element in component.evaluate(leaf)]
        values = [arrays.secure(nodes[k]) for k in component.constraints]
        values += self.logup_values(component, nodes, interaction, claimed)
        total = np.zeros((2 << size, 4), dtype=np.uint64)
        for value in values:
            total = arrays.add(scaled(total, self.coefficient), value)
        x, _ = query_points(np.arange(2 << size, dtype=np.int64), log)
        for _ in range(size - 1):
            x = arrays.sub(arrays.mul(np.uint64(2), arrays.mul(x, x)), np.ones_like(x))
        return arrays.mul(arrays.inv(x)[:, None], scaled(total, weight))

    def logup_values(
        self, component: ComponentLayout, nodes: list[Array], interaction: Array, claimed: QM31
    ) -> list[Array]:
        """The constraints of the interaction columns: (step) * denominator - numerator."""
        out, previous = [], np.zeros_like(arrays.secure(nodes[0]))
        for index, batch in enumerate(component.batches):
            numerator, denominator = np.zeros_like(previous), np.zeros_like(previous)
            denominator[:, 0] = 1
            for fraction in batch:
                d = self.combined(fraction.relation, [nodes[v] for v in fraction.values])
                own = arrays.mul(nodes[fraction.multiplicity][:, None], denominator)
                numerator, denominator = arrays.add(arrays.qmul(numerator, d), own), arrays.qmul(denominator, d)
            step = arrays.sub(interaction[index], previous)
            previous = interaction[index]
            if index + 1 == component.n_interaction:
                share = arrays.qarray([claimed * inverse(1 << component.log_size)])
                before = interaction[index][neighbours(-1, component.log_size)]
                step = arrays.add(arrays.sub(step, before), share)
            out.append(arrays.sub(arrays.qmul(step, denominator), numerator))
        return out

    def on_domain(self, tree: int, columns: Sequence[int], log_size: int) -> list[Array]:
        return [evaluate(self.trees[tree].coefficients[k], log_size) for k in columns]

    def take_samples(self) -> None:
        self.oods = circle.secure_point(self.channel.draw_secure_felt())
        self.points = sample_points(self.air, self.oods, self.degree)
        self.sampled = self.sample()
        self.channel.mix_felts([v for tree in self.sampled for column in tree for v in column])

    def sample(self) -> Any:
        return tuple(
            tuple(
                tuple(evaluate_at(c, self.lifted(p, self.log_of(c))) for p in places)
                for c, places in zip(tree.coefficients, points, strict=True)
            )
            for tree, points in zip(self.trees, self.points, strict=True)
        )

    def lifted(self, point: circle.SecurePoint, log_size: int) -> circle.SecurePoint:
        for _ in range(self.degree - log_size):
            point = circle.secure_add(point, point)
        return point

    def combine(self) -> Array:
        """(2^L, 4): the quotients on the whole lifting domain."""
        self.quotient_coefficient = self.channel.draw_secure_felt()
        sizes, positions = column_log_sizes(self.air), np.arange(1 << self.lifting, dtype=np.int64)
        terms = quotient_terms(sizes, self.points, self.sampled, self.config.log_blowup_factor, self.lifting)
        columns = [c[lifted_positions(positions, self.log_of(c), self.lifting)] for t in self.trees for c in t.extended]
        groups = group_terms(terms, [len(tree) for tree in sizes])
        x, y = query_points(positions, self.lifting)
        return quotients_at(groups, self.quotient_coefficient, np.stack(columns), x, y, len(terms))

    def commit_fri(self) -> None:
        values, self.layers = self.quotients, []
        for index, layer in enumerate(self.plan()):
            values = self.layer_values(index, values)
            rows = values.reshape(-1, 16) if layer.packed else values
            levels = hash_levels(self.hashing.leaves(rows.astype(np.uint32)), self.hashing)
            self.layers.append((layer, values, levels))
            self.channel.mix_root(levels[-1][0])
            values = self.fold_layer(layer, index, values, self.channel.draw_secure_felt())
        self.last = self.last_layer(values)
        self.channel.mix_felts(self.last.coeffs)

    def plan(self) -> Any:
        return layer_plan(self.config, self.degree)

    def layer_values(self, index: int, values: Array) -> Array:
        """What is committed as FRI layer `index`."""
        return values

    def fold_layer(self, layer: Any, index: int, values: Array, alpha: QM31) -> Array:
        blocks = np.arange(1 << (layer.domain_log - layer.step), dtype=np.int64)
        values = values.reshape(len(blocks), -1, 4)
        for k, indices in enumerate(fold_points(layer, index == 0, blocks)):
            x, y = circle.points(indices)
            values = fold(values, arrays.inv(y if index == k == 0 else x), arrays.qarray([alpha]))
            alpha = alpha * alpha
        return values[:, 0, :]

    def last_layer(self, values: Array) -> LastLayer:
        """The low coefficients: all of them, if the quotients are a polynomial of their bound."""
        stored = line_coefficients(values, self.log_of(values))[:: 1 << self.config.log_blowup_factor]
        return LastLayer(tuple(QM31.of(c) for c in stored.tolist()), self.config.log_last_layer_degree_bound)

    def grind(self) -> int:
        nonce = 0
        while not self.channel.verify_pow_nonce(self.config.pow_bits, nonce):
            nonce += 1
        return nonce

    def draw_queries(self) -> list[int]:
        return draw_queries(self.channel, self.config.n_queries, self.lifting).tolist()

    def open(self) -> StarkProof:
        opened = [self.open_tree(k, tree) for k, tree in enumerate(self.trees)]
        return StarkProof(
            config=self.config,
            commitments=tuple(tree.root for tree in self.trees),
            sampled_values=self.sampled,
            decommitments=tuple(witness for _, witness in opened),
            queried_values=tuple(values for values, _ in opened),
            proof_of_work=self.nonce,
            fri_proof=self.open_fri(),
        )

    def open_tree(self, index: int, tree: Tree) -> tuple[Any, tuple[Hash, ...]]:
        height, positions = len(tree.levels) - 1, np.array(self.queries, dtype=np.int64)
        if index == 0 and tree.extended:
            positions = preprocessed_positions(positions, height, self.lifting)
        values = tuple(tuple(c[lifted_positions(positions, self.log_of(c), height)].tolist()) for c in tree.extended)
        return values, decommit(tree.levels, positions.tolist())

    def open_fri(self) -> FriProof:
        proofs, known = [], set(self.queries)
        for layer, values, levels in self.layers:
            blocks = sorted({p >> layer.step for p in known})
            opened = [(b << layer.step) + k for b in blocks for k in range(1 << layer.step)]
            witness = tuple(QM31.of(values[p].tolist()) for p in opened if p not in known)
            leaves = [p >> 2 for p in opened] if layer.packed else opened
            proofs.append(FriLayerProof(witness, decommit(levels, leaves), levels[-1][0]))
            known = set(blocks)
        return FriProof(proofs[0], tuple(proofs[1:]), self.last)

    def completed_spec(self) -> Spec:
        named = self.spec.native is not None or not self.air.preprocessed
        root = self.spec.preprocessed_root if named else self.trees[0].root
        return replace(self.spec, claimed_sums=self.claimed_sums, preprocessed_root=root)

    @staticmethod
    def log_of(values: Array) -> int:
        return len(values).bit_length() - 1
