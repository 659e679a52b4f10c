"""The prover: the transcript of PROTOCOL 6 to 10, step by step. What is heavy is done by the backend.

A backend holds columns where it likes (host or device memory) and returns only roots, samples and openings, so that
this file is the same for every device and so is the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from air.circle import Column, secure_point
from air.field import QM31
from air.layout import Air
from air.relation import RelationElements
from verifier.channel import Channel
from verifier.channel import channel as new_channel
from verifier.config import PcsConfig
from verifier.fri import layer_plan
from verifier.hashes import Hash
from verifier.proof import FriLayerProof, FriProof, LastLayer, StarkProof
from verifier.quotients import column_log_sizes, quotient_terms
from verifier.sampling import sample_points

Progress = Callable[[str], None]


class ProvingError(Exception):
    """The witness does not satisfy the AIR, or the inputs do not fit it; the message says which."""


@dataclass(frozen=True)
class Proved:
    """A proof with what its verifier needs beside it. `phases_ms` adds up to the whole; grinding is its own phase."""

    proof: StarkProof
    claimed_sums: tuple[QM31, ...]
    preprocessed_root: Hash
    phases_ms: dict[str, float]


@dataclass
class _Clock:
    """Time of each phase, and word of each to whoever watches."""

    progress: Progress | None
    phases: dict[str, float] = field(default_factory=dict)
    _since: float = 0.0
    _name: str = ""

    def start(self, name: str) -> None:
        self.stop()
        if self.progress:
            self.progress(name)
        self._name, self._since = name, perf_counter()

    def stop(self) -> None:
        if self._name:
            spent = (perf_counter() - self._since) * 1e3
            self.phases[self._name] = self.phases.get(self._name, 0.0) + spent
            self._name = ""


def prove(
    air: Air,
    tree0: Sequence[Column] | Any,
    main: Sequence[Column],
    *,
    config: PcsConfig,
    backend: Any,
    channel: str = "blake2s",
    mix_config: bool = True,
    statement_u64: Sequence[int] = (),
    progress: Progress | None = None,
) -> Proved:
    """Proves that the columns satisfy the AIR.

    `tree0` are the preprocessed columns, or a tree that this backend committed with the same config and hash; `main`
    are the trace columns, component after component. All are contiguous u32 in storage order. Without relations the
    memory of `main` is consumed, and the list emptied so that nobody keeps it alive. Raises ProvingError where the
    witness breaks a constraint, ConfigError where the config does not fit, MemoryError where the proof does not.
    """
    config.check_fits(air)
    clock, ch = _Clock(progress), new_channel(channel)
    backend.check(air, config)
    clock.start("preprocessed")
    if mix_config:
        config.mix_into(ch)
    trees = [backend.commit(tree0, config, channel, keep=bool(air.relations)) if _is_columns(tree0) else tree0]
    ch.mix_root(trees[0].root)
    for value in statement_u64:
        ch.mix_u64(value)

    clock.start("trace")
    _check_columns("tree 0", trees[0].log_sizes, air.tree_log_sizes[0])
    _check_columns("the trace", [c.size.bit_length() - 1 for c in main], air.tree_log_sizes[1])
    trees.append(backend.commit(main, config, channel, keep=bool(air.relations)))
    if not air.relations and isinstance(main, list):
        main.clear()
    ch.mix_root(trees[1].root)

    elements: list[RelationElements] = []
    claimed_sums: tuple[QM31, ...] = ()
    if air.relations:
        clock.start("interaction")
        elements = [RelationElements(*ch.draw_secure_felts(2)) for _ in air.relations]
        columns, claimed_sums = backend.interaction(air, trees, elements)
        ch.mix_felts(claimed_sums)
        trees.append(backend.commit(columns, config, channel, keep=False))
        del columns  # so that what `release` drops is free
        ch.mix_root(trees[2].root)

    clock.start("constraints")
    coefficient = ch.draw_secure_felt()
    halves = backend.composition(air, trees, coefficient, elements, claimed_sums, config)
    clock.start("composition")
    trees.append(backend.commit_coefficients(halves, config, channel))
    del halves
    ch.mix_root(trees[-1].root)

    clock.start("sampling")
    lifting = config.lifting_log(air.log_size)
    degree = lifting - config.log_blowup_factor
    oods = secure_point(ch.draw_secure_felt())
    points = sample_points(air, oods, degree)
    sampled = tuple(backend.sample(tree, tree_points, degree) for tree, tree_points in zip(trees, points, strict=True))
    ch.mix_felts([v for tree in sampled for column in tree for v in column])
    _check_composition(air, sampled, elements, claimed_sums, coefficient, oods, degree)
    trees = [tree if tree is tree0 else backend.release(tree) for tree in trees]

    clock.start("quotients")
    r = ch.draw_secure_felt()
    terms = quotient_terms(column_log_sizes(air), points, sampled, config.log_blowup_factor, lifting)
    quotient = backend.quotients(trees, terms, r, config, lifting)

    clock.start("fri")
    plan = layer_plan(config, degree)
    layers, last = _commit_layers(backend, quotient, plan, channel, ch, config)

    clock.start("grind")
    nonce = backend.grind(channel, ch.digest, config.pow_bits)
    ch.mix_u64(nonce)

    clock.start("openings")
    positions = _queries(ch, lifting, config.n_queries)
    opened = [backend.open_tree(tree, positions, lifting, k == 0) for k, tree in enumerate(trees)]
    proof = StarkProof(
        config=config,
        commitments=tuple(tree.root for tree in trees),
        sampled_values=sampled,
        decommitments=tuple(witness for _, witness in opened),
        queried_values=tuple(values for values, _ in opened),
        proof_of_work=nonce,
        fri_proof=_open_layers(backend, layers, last, positions),
    )
    clock.stop()
    return Proved(proof, tuple(claimed_sums), trees[0].root, clock.phases)


def _is_columns(tree0: Any) -> bool:
    return isinstance(tree0, list | tuple)


def _check_columns(what: str, sizes: Sequence[int], wanted: Sequence[int]) -> None:
    if list(sizes) != list(wanted):
        raise ProvingError(f"{what}: the AIR has {len(wanted)} columns of log sizes {list(wanted)[:8]}..., not these")


def _check_composition(
    air: Air,
    sampled: Any,
    elements: Sequence[RelationElements],
    claimed_sums: Sequence[QM31],
    coefficient: QM31,
    oods: Any,
    degree: int,
) -> None:
    """Refuses before the costly rest what the verifier would refuse: a composition that is no polynomial."""
    from verifier.sampling import composition_at, composition_claim

    value = composition_at(air, sampled, elements, claimed_sums, coefficient, oods, degree)
    if value != composition_claim(sampled, oods, degree):
        raise ProvingError("the trace does not satisfy the constraints; `octoproof air check` names the row")


@dataclass(frozen=True)
class _Layer:
    """A committed FRI layer with its plan; `handle` belongs to the backend."""

    plan: Any
    handle: Any


def _commit_layers(
    backend: Any, values: Any, plan: Sequence[Any], hash_name: str, ch: Channel, config: PcsConfig
) -> tuple[list[_Layer], LastLayer]:
    """Commits and folds layer after layer; sends the last one in the clear."""
    layers = []
    for index, layer in enumerate(plan):
        handle = backend.commit_layer(values, layer.packed, hash_name)
        ch.mix_root(handle.root)
        layers.append(_Layer(layer, handle))
        values = backend.fold(values, ch.draw_secure_felt(), layer.step, index == 0)
    try:
        coefficients = backend.last_layer(values, config.log_last_layer_degree_bound)
    except ValueError as error:
        raise ProvingError("quotients of too high a degree: did a column change while it was proven?") from error
    ch.mix_felts(coefficients)
    return layers, LastLayer(tuple(coefficients), config.log_last_layer_degree_bound)


def _queries(ch: Channel, domain_log: int, count: int) -> list[int]:
    words: list[int] = []
    while len(words) < count:
        words += ch.draw_u32s()
    return sorted({w & (1 << domain_log) - 1 for w in words[:count]})


def _open_layers(backend: Any, layers: Sequence[_Layer], last: LastLayer, positions: list[int]) -> FriProof:
    proofs = []
    for layer in layers:
        step = layer.plan.step
        blocks = sorted({p >> step for p in positions})
        everything = [(block << step) + k for block in blocks for k in range(1 << step)]
        known = set(positions)
        values, witness = backend.open_layer(layer.handle, [p for p in everything if p not in known], everything)
        proofs.append(FriLayerProof(values, witness, layer.handle.root))
        positions = blocks
    return FriProof(proofs[0], tuple(proofs[1:]), last)
