"""The backend of `prove` on a card: columns stay in its memory from the trace to the openings, and only roots, samples,
claimed sums and what the queries open come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from air.circle import Column, SecurePoint
from air.field import QM31, ZERO, powers
from air.layout import SECURE, Air
from air.relation import RelationElements
from gpu import commitment, composition, fft, fri, grind, logup, merkle, quotients, sampling
from gpu.commitment import CommittedTree
from gpu.device import Array, Device
from gpu.memory import check_memory, estimate
from prover.commitment import CommittedTree as HostTree
from prover.merkle import HASH_NAMES, POSEIDON
from prover.quotients import SampleGroup
from prover.sampling import folding_factors
from prover.threads import INLINE, Workers
from verifier.config import PcsConfig
from verifier.errors import ParseError
from verifier.hashes import Hash
from verifier.merkle import preprocessed_positions
from verifier.quotients import QuotientTerm


@dataclass(frozen=True)
class FriLayer:
    """A committed layer: its values (4, 2^n) and their tree."""

    values: Array
    merkle: Any
    packed: bool

    @property
    def root(self) -> Hash:
        return self.merkle.root


class GpuBackend:
    """See `prove` for what each step is, and `prover.cpu` for the same on the CPU. Columns are taken from host memory
    or from the device's. `workers` are threads for what is left to the CPU."""

    name = "gpu"
    hash_names = tuple(name for name in HASH_NAMES if name != POSEIDON)

    def __init__(self, device: Device, workers: Workers = INLINE) -> None:
        self.device, self.workers = device, workers

    def fits(self, air: Air, config: PcsConfig) -> bool:
        """Whether the card has the memory for the proof."""
        return estimate(air, config) <= self.device.free_memory()

    def check(self, air: Air, config: PcsConfig) -> None:
        """Raises MemoryError with the figures if the proof would not fit."""
        check_memory(air, config, self.device)

    def commit(self, columns: Sequence[Column | Array], config: PcsConfig, hash_name: str, keep: bool) -> CommittedTree:
        """Without `keep` a list of columns is emptied, so that nobody keeps them alive. Raises ParseError for a hash
        that is the CPU's alone."""
        if hash_name not in self.hash_names:
            raise ParseError(f"device: a card does not hash {hash_name}; use --device cpu")
        taken = list(columns)
        if not keep and isinstance(columns, list):
            columns.clear()
        return commitment.commit(self.device, taken, config, hash_name, keep=keep)

    def commit_coefficients(self, columns: list[Array], config: PcsConfig, hash_name: str) -> CommittedTree:
        """Empties the list, as `commit`."""
        taken = list(columns)
        columns.clear()
        return commitment.commit_coefficients(self.device, taken, config, hash_name)

    def interaction(
        self, air: Air, trees: Sequence[CommittedTree], elements: Sequence[RelationElements]
    ) -> tuple[list[Array], tuple[QM31, ...]]:
        """Columns of tree 2 and one claimed sum for every component with fractions."""
        columns: list[Array] = []
        sums: list[QM31] = []
        position = 0
        for component in air.components:
            own = [trees[0].values[k] for k in component.preprocessed]
            own += trees[1].values[position : position + len(component.masks)]
            position += len(component.masks)
            if component.fractions:
                added, total = logup.interaction_columns(self.device, component, own, elements)
                columns += added
                sums.append(total)
        return columns, tuple(sums)

    def composition(
        self,
        air: Air,
        trees: Sequence[CommittedTree],
        coefficient: QM31,
        elements: Sequence[RelationElements],
        claimed_sums: Sequence[QM31],
        config: PcsConfig,
    ) -> list[Array]:
        """Coefficients of the composition polynomial's halves: left coordinates, then right ones."""
        cells = []
        main = interaction = 0
        for component in air.components:
            own = [trees[0].extended[k] for k in component.preprocessed]
            own += trees[1].extended[main : main + len(component.masks)]
            main += len(component.masks)
            width = SECURE * component.n_interaction
            if width:
                own += trees[2].extended[interaction : interaction + width]
                interaction += width
            cells.append(composition.Cells(component, own))
        blowup, half = config.log_blowup_factor, 1 << air.log_size
        values = composition.composition_values(
            self.device, air, cells, coefficient, elements, claimed_sums, blowup
        ).rows(SECURE)
        fft.interpolate(self.device, values, air.log_size + 1, domain_log=air.log_size + blowup)
        return [*(row[:half] for row in values), *(row[half:] for row in values)]

    def sample(
        self, tree: CommittedTree, points: Sequence[Sequence[SecurePoint]], degree_log: int
    ) -> tuple[tuple[QM31, ...], ...]:
        """Every column of the tree at its points, which are lifted to the common degree bound."""
        places: dict[tuple[int, SecurePoint], list[tuple[int, int]]] = {}
        for index, (size, column_points) in enumerate(zip(tree.log_sizes, points, strict=True)):
            for k, point in enumerate(column_points):
                places.setdefault((size, point), []).append((index, k))
        out = [[ZERO] * len(column_points) for column_points in points]
        for (size, point), members in places.items():
            columns = [tree.coefficients[index] for index, _ in members]
            values = sampling.evaluate_at(self.device, columns, size, folding_factors(point, size, degree_log))
            for (index, k), value in zip(members, values.tolist(), strict=True):
                out[index][k] = QM31.of(value)
        return tuple(tuple(values) for values in out)

    def release(self, tree: CommittedTree) -> CommittedTree:
        """The tree without what nobody reads after sampling: a third of its memory, or half with values kept."""
        return replace(tree, values=(), coefficients=())

    def quotients(
        self,
        trees: Sequence[CommittedTree],
        terms: Sequence[QuotientTerm],
        coefficient: QM31,
        config: PcsConfig,
        lifting_log: int,
    ) -> Array:
        """(4, 2^L): the sum of all terms, weighted with the powers of the coefficient, on the lifting domain."""
        columns = [column for tree in trees for column in tree.extended]
        first = list(accumulate((len(tree.extended) for tree in trees), initial=0))
        members: dict[SecurePoint, list[tuple[int, QM31, QM31]]] = {}
        for term, weight in zip(terms, powers(coefficient, len(terms)), strict=True):
            members.setdefault(term.point, []).append((first[term.tree] + term.column, term.value, weight))
        groups = [SampleGroup(point, group) for point, group in members.items()]
        degree_log = lifting_log - config.log_blowup_factor
        values = quotients.quotients(self.device, columns, groups, lifting_log, degree_log)
        return quotients.extend(self.device, values, lifting_log)

    def commit_layer(self, values: Array, packed: bool, hash_name: str) -> FriLayer:
        tree = merkle.commit(self.device, values.rows(SECURE), None, hash_name, packed=packed)
        return FriLayer(values, tree, packed)

    def fold(self, values: Array, alpha: QM31, steps: int, on_circle: bool) -> Array:
        return fri.fold(self.device, values, alpha, steps, on_circle)

    def last_layer(self, values: Array, degree_log: int) -> list[QM31]:
        """Raises ValueError if the values are of a higher degree."""
        return fri.last_layer(self.device, values, degree_log)

    def grind(self, hash_name: str, digest: Hash, bits: int) -> int:
        return grind.grind(self.device, hash_name, digest, bits)

    def open_tree(
        self, tree: CommittedTree, queries: Sequence[int], lifting_log: int, first: bool
    ) -> tuple[tuple[tuple[int, ...], ...], tuple[Hash, ...]]:
        """The lifted values of every column at the queries, in commitment order, and the hash witness."""
        if not tree.log_sizes:
            return (), ()
        height = tree.merkle.height
        positions = np.array(queries, dtype=np.int64)
        if first:
            positions = preprocessed_positions(positions, height, lifting_log)
        rows = merkle.gather_rows(self.device, tree.extended, positions, height)
        # Mapped positions of a low tree need not ascend; the verifier opens them sorted and once each.
        witness = tuple(tree.merkle.decommit(sorted(set(positions.tolist()))))
        return tuple(map(tuple, rows.T.tolist())), witness

    def open_layer(
        self, layer: FriLayer, unknown: Sequence[int], everything: Sequence[int]
    ) -> tuple[tuple[QM31, ...], tuple[Hash, ...]]:
        """The secure values at the positions that the verifier cannot compute, and the hash witness of all."""
        columns, places = layer.values.rows(SECURE), np.array(unknown, dtype=np.int64)
        rows = merkle.gather_rows(self.device, columns, places, columns[0].size.bit_length() - 1)
        leaves = sorted({p >> 2 for p in everything}) if layer.packed else list(everything)
        return tuple(QM31.of(row) for row in rows.tolist()), tuple(layer.merkle.decommit(leaves))

    def holds(self, tree: CommittedTree | HostTree) -> bool:
        """Whether the tree's columns are in device memory."""
        return isinstance(tree, CommittedTree)

    def uploaded(self, tree: HostTree) -> CommittedTree:
        """The tree with its columns in device memory; it is still opened by the CPU."""
        columns = (tree.values, tree.coefficients, tree.extended)
        placed = (tuple(self.device.upload(column) for column in part) for part in columns)
        return CommittedTree(tree.log_sizes, *placed, tree.merkle)

    def downloaded(self, tree: CommittedTree) -> HostTree:
        """The tree with its columns in host memory; it is still opened on the device."""
        columns = (tree.values, tree.coefficients, tree.extended)
        placed = (tuple(self.device.download(column) for column in part) for part in columns)
        return HostTree(tree.log_sizes, *placed, tree.merkle)
