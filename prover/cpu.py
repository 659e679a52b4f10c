"""The CPU backend of `prove`: columns are NumPy arrays, the work is done by lanes kernels on a few threads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from air.circle import Column, SecurePoint
from air.field import QM31, ZERO, powers
from air.layout import SECURE, Air
from air.relation import RelationElements
from prover import commitment, composition, fft, fri, grind, logup, merkle, quotients, sampling
from prover.commitment import CommittedTree
from prover.memory import check_memory
from prover.threads import Workers
from verifier.config import PcsConfig
from verifier.hashes import Hash
from verifier.merkle import lifted_positions, preprocessed_positions
from verifier.quotients import QuotientTerm

Secure = npt.NDArray[np.uint32]  # (4, 2^n): the coordinates of a secure column


@dataclass(frozen=True)
class FriLayer:
    """A committed layer: its values and their tree."""

    values: Secure
    merkle: merkle.MerkleTree
    packed: bool

    @property
    def root(self) -> Hash:
        return self.merkle.root


class CpuBackend:
    """See `prove` for what each step is; `threads` defaults to the cores this process may use."""

    name = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        self.workers = Workers(threads or len(os.sched_getaffinity(0)))

    def check(self, air: Air, config: PcsConfig) -> None:
        """Raises MemoryError with the figures if the proof would not fit."""
        check_memory(air, config)

    def commit(self, columns: Sequence[Column], config: PcsConfig, hash_name: str, keep: bool) -> CommittedTree:
        return commitment.commit(columns, config, hash_name, self.workers, keep=keep)

    def commit_coefficients(self, columns: Sequence[Column], config: PcsConfig, hash_name: str) -> CommittedTree:
        return commitment.commit_coefficients(columns, config, hash_name, self.workers)

    def interaction(
        self, air: Air, trees: Sequence[CommittedTree], elements: Sequence[RelationElements]
    ) -> tuple[list[Column], tuple[QM31, ...]]:
        """Columns of tree 2 and one claimed sum for every component with fractions."""
        columns: list[Column] = []
        sums: list[QM31] = []
        position = 0
        for component in air.components:
            own = [trees[0].values[k] for k in component.preprocessed]
            own += trees[1].values[position : position + len(component.masks)]
            position += len(component.masks)
            if component.fractions:
                added, total = logup.interaction_columns(component, own, elements, self.workers)
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
    ) -> list[Column]:
        """Coefficients of the composition polynomial's halves: left coordinates, then right ones."""
        cells = []
        main = interaction = 0
        for component in air.components:
            points = 2 << component.log_size
            own = [trees[0].extended[k] for k in component.preprocessed]
            own += trees[1].extended[main : main + len(component.masks)]
            main += len(component.masks)
            width = SECURE * component.n_interaction
            if width:
                own += trees[2].extended[interaction : interaction + width]
                interaction += width
            cells.append(composition.Cells(component, [column[:points] for column in own]))
        blowup = config.log_blowup_factor
        values = composition.composition_values(air, cells, coefficient, elements, claimed_sums, blowup, self.workers)
        fft.interpolate(values, air.log_size + 1, self.workers, domain_log=air.log_size + blowup)
        half = 1 << air.log_size
        return [*values[:, :half].copy(), *values[:, half:].copy()]

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
            factors = sampling.folding_factors(point, size, degree_log)
            columns = [tree.coefficients[index] for index, _ in members]
            for (index, k), value in zip(
                members, sampling.evaluate_at(columns, size, factors, self.workers).tolist(), strict=True
            ):
                out[index][k] = QM31.of(value)
        return tuple(tuple(values) for values in out)

    def release(self, tree: CommittedTree) -> CommittedTree:
        """The tree without what nobody reads after sampling."""
        return replace(tree, values=(), coefficients=())

    def quotients(
        self,
        trees: Sequence[CommittedTree],
        terms: Sequence[QuotientTerm],
        coefficient: QM31,
        config: PcsConfig,
        lifting_log: int,
    ) -> Secure:
        """The sum of all terms, weighted with the powers of the coefficient, on the lifting domain."""
        columns = [column for tree in trees for column in tree.extended]
        first = list(accumulate((len(tree.extended) for tree in trees), initial=0))
        members: dict[SecurePoint, list[tuple[int, QM31, QM31]]] = {}
        for term, weight in zip(terms, powers(coefficient, len(terms)), strict=True):
            members.setdefault(term.point, []).append((first[term.tree] + term.column, term.value, weight))
        groups = [quotients.SampleGroup(point, group) for point, group in members.items()]
        degree_log = lifting_log - config.log_blowup_factor
        values = quotients.quotients(columns, groups, lifting_log, degree_log, self.workers)
        return quotients.extend(values, lifting_log, self.workers)

    def commit_layer(self, values: Secure, packed: bool, hash_name: str) -> FriLayer:
        return FriLayer(values, merkle.commit(list(values), None, hash_name, self.workers, packed=packed), packed)

    def fold(self, values: Secure, alpha: QM31, steps: int, on_circle: bool) -> Secure:
        return fri.fold(values, alpha, steps, on_circle, self.workers)

    def last_layer(self, values: Secure, degree_log: int) -> list[QM31]:
        """Raises ValueError if the values are of a higher degree."""
        return fri.last_layer(values, degree_log)

    def grind(self, hash_name: str, digest: Hash, bits: int) -> int:
        return grind.grind(hash_name, digest, bits, self.workers)

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
        values = tuple(
            tuple(column[lifted_positions(positions, column.size.bit_length() - 1, height)].tolist())
            for column in tree.extended
        )
        # Mapped positions of a low tree need not ascend; the verifier opens them sorted and once each.
        return values, tuple(tree.merkle.decommit(sorted(set(positions.tolist()))))

    def open_layer(
        self, layer: FriLayer, unknown: Sequence[int], everything: Sequence[int]
    ) -> tuple[tuple[QM31, ...], tuple[Hash, ...]]:
        """The secure values at the positions that the verifier cannot compute, and the hash witness of all."""
        witness = tuple(QM31.of(v) for v in layer.values[:, list(unknown)].T.tolist())
        leaves = sorted({p >> 2 for p in everything}) if layer.packed else list(everything)
        return witness, tuple(layer.merkle.decommit(leaves))
