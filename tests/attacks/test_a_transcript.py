"""A. Fiat-Shamir: what is not absorbed before a challenge can be chosen after it (ANCHORS 5.2, 1 to 8).

The forgeries follow the weakened protocol to the end. Each is shown to work against a verifier whose channel is deaf to
the same value, so that what refuses it is that value's absorption and nothing else.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from air import arrays, circle
from air.field import QM31, P, combine4
from verifier.channel import Blake2sChannel, Poseidon252Channel, channel
from verifier.errors import (
    ConfigError,
    FriError,
    LogupError,
    MerkleError,
    OodsError,
    ProofOfWorkError,
    ShapeError,
    StatementError,
)
from verifier.fri import evaluate_line
from verifier.hashes import hasher
from verifier.proof import LastLayer
from verifier.quotients import column_log_sizes as sizes_of
from verifier.quotients import quotient_terms
from verifier.sampling import composition_at, composition_claim
from verifier.spec import spec_from_json, spec_to_json
from verifier.stark import draw_queries, verify_stark

# (operation, number) in the order of the transcript of an AIR with lookups and two statement words.
MIXES = [
    ("mix_felts", 0, OodsError),  # config
    ("mix_root", 0, OodsError),  # tree 0
    ("mix_u64", 0, OodsError),  # statement
    ("mix_u64", 1, OodsError),
    ("mix_root", 1, OodsError),  # trace
    ("mix_felts", 1, OodsError),  # claimed sums
    ("mix_root", 2, OodsError),  # interaction
    ("mix_root", 3, OodsError),  # composition
    ("mix_felts", 2, MerkleError),  # sampled values
    ("mix_root", 4, MerkleError),  # first FRI layer
    ("mix_root", 5, MerkleError),  # second FRI layer
    ("mix_felts", 3, MerkleError),  # last layer
    ("mix_u64", 2, MerkleError),  # nonce
]


@pytest.mark.parametrize(("operation", "number", "error"), MIXES)
def test_a2_every_part_of_a_proof_is_absorbed(
    operation: str, number: int, error: Any, case: Any, reference: Any, deaf: Any, weak_verifier: Any, without_work: Any
) -> None:
    """A prover that skips one absorption, whichever, is refused at the next challenge that depends on it."""
    spec = without_work(replace(case("range_check_t6_u8").spec), n_queries=12)
    factory = deaf((operation, number))
    spec, proof = reference.ReferenceProver(spec, channel=factory).prove()
    weak_verifier(factory, spec, proof)
    with pytest.raises((error, ShapeError)) as caught:
        verify_stark(spec, proof)
    # Other queries are seen as another number of distinct ones, or as values that are not in the trees.
    assert caught.type is error or error is MerkleError


def _first_node(document: Any, kind: str) -> list[Any]:
    return next(node for node in document["air"]["json"]["components"][0]["nodes"] if node[0] == kind)


# What is changed in the spec, and where the transcript or the constraints notice it.
CHANGES = {
    "statement word": (LogupError, lambda d: d["statement_u64"].__setitem__(0, d["statement_u64"][0] ^ 1)),
    "one statement word more": (LogupError, lambda d: d["statement_u64"].append(0)),
    "config is not mixed": (LogupError, lambda d: d.update(mix_config=False)),
    "public input": (LogupError, lambda d: d["public_terms"][0]["values"].__setitem__(1, 5)),
    "constant of the AIR": (OodsError, lambda d: _first_node(d, "const").__setitem__(1, 5)),
    "operands of a constraint": (OodsError, lambda d: _first_node(d, "sub").__setitem__(slice(1, 3), [0, 0])),
    "channel": (LogupError, lambda d: d.update(channel="blake2s_m31")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a1_public_inputs_are_bound(what: str, case: Any, refused: Any) -> None:
    c = case("expr_plonk_6")
    document = json.loads(json.dumps(spec_to_json(c.spec)))
    error, change = CHANGES[what]
    change(document)
    refused(error, spec_from_json(json.dumps(document)), c.proof)


def test_a1_log_size_column_count_and_air_id(case: Any, refused: Any, command: Any) -> None:
    c = case("row_fib_6")
    other = {"name": "row_fib", "components": [{"log_size": 7, "x0": 7}]}
    for air, error in (
        (other, StatementError),
        ({"name": "wide_fib", "components": [{"log_size": 6, "n_cols": 3}]}, StatementError),
    ):
        document = spec_to_json(c.spec) | {"air": air}
        refused(error, spec_from_json(json.dumps(document)), c.proof)
    wide = case("wide_fib_5x4_default")
    document = spec_to_json(wide.spec) | {"air": {"name": "wide_fib", "components": [{"log_size": 5, "n_cols": 5}]}}
    refused(ShapeError, spec_from_json(json.dumps(document)), wide.proof)
    assert command(spec_from_json(json.dumps(document)), wide.proof) == 1


def test_a1_weak_fiat_shamir_statement(
    case: Any, reference: Any, deaf: Any, weak_verifier: Any, refused: Any, command: Any
) -> None:
    """Frozen Heart: one proof for every statement, if the statement is not absorbed."""
    c = case("expr_plonk_6")
    factory = deaf(("mix_u64", 0), ("mix_u64", 1), ("mix_u64", 2))
    spec, proof = reference.ReferenceProver(c.spec, *c.columns, channel=factory).prove()
    false = replace(spec, statement_u64=(1, 2, 3))
    weak_verifier(factory, false, proof)
    refused(LogupError, false, proof)
    assert command(false, proof) == 1


def false_row_fib(case: Any, without_work: Any, **config: int) -> tuple[Any, list[Any]]:
    """(spec that claims x0 = 7, trace that starts with 8)."""
    spec = without_work(case("row_fib_6").spec, **config)
    started = spec.native.main()
    started[0] = (started[0] + np.uint32(1)) % np.uint32(P)
    return spec, started


def test_a3_samples_not_absorbed(
    case: Any, reference: Any, deaf: Any, weak_verifier: Any, refused: Any, linear: Any, without_work: Any
) -> None:
    """Plonky3 GHSA-vrmm-4mm5-38vm: knowing the batching coefficient, lies about samples are made to cancel."""

    class Forger(reference.ReferenceProver):
        def sample(self) -> Any:
            honest = super().sample()
            terms = quotient_terms(sizes_of(self.air), self.points, honest, 1, self.lifting)
            r = copy.deepcopy(self.channel).draw_secure_felt()
            weights = [r ** (len(terms) - 8 + k) for k in range(8)]
            split = circle.vanishing(self.oods[0], self.degree)
            wanted = composition_at(self.air, honest, [], (), self.coefficient, self.oods, self.degree)
            change = wanted - composition_claim(honest, self.oods, self.degree)

            def effect(lies: list[QM31]) -> list[int]:
                plain = sum((w * e for w, e in zip(weights, lies, strict=True)), QM31(0))
                conjugate = sum((w * e.conjugate() for w, e in zip(weights, lies, strict=True)), QM31(0))
                claim = combine4(lies[:4]) + split * combine4(lies[4:])
                return [*plain.coordinates(), *conjugate.coordinates(), *claim.coordinates()]

            columns = [effect(as_felts([int(k == j) for j in range(32)])) for k in range(32)]
            rows = [list(row) for row in zip(*columns, strict=True)]
            lies = as_felts(linear(rows, [0] * 8 + list(change.coordinates())))
            forged = tuple((column[0] + lie,) for column, lie in zip(honest[-1], lies, strict=True))
            return (*honest[:-1], forged)

    def as_felts(values: list[int]) -> list[QM31]:
        return [QM31.of(values[k : k + 4]) for k in range(0, 32, 4)]

    spec, main = false_row_fib(case, without_work)
    factory = deaf(("mix_felts", 1))
    claimed, proof = Forger(spec, main=main, channel=factory).prove()
    weak_verifier(factory, claimed, proof)
    refused(MerkleError, claimed, proof)
    # Who follows the real transcript does not know the coefficient when the samples must be chosen.
    refused(FriError, *Forger(spec, main=main).prove())


def test_a3_folds_without_their_own_randomness(case: Any, reference: Any, refused: Any, without_work: Any) -> None:
    """Plonky3 GHSA-f69f-5fx9-w9r9 (b): the second fold of a layer takes alpha squared, not alpha again."""

    class Forger(reference.ReferenceProver):
        def fold_layer(self, layer: Any, index: int, values: Any, alpha: QM31) -> Any:
            single = replace(layer, step=1)
            once = super().fold_layer(single, index, values, alpha)
            return super().fold_layer(replace(single, domain_log=layer.domain_log - 1), index + 1, once, alpha)

    spec = without_work(case("row_fib_6").spec, fold_step=2)
    refused(MerkleError, *Forger(spec).prove())  # the next layer does not hold what this one folds to
    spec = without_work(case("row_fib_6").spec, fold_step=2, log_last_layer_degree_bound=4)
    refused(FriError, *Forger(spec).prove())


def test_a4_claimed_sums_not_absorbed(
    case: Any, reference: Any, deaf: Any, weak_verifier: Any, refused: Any, command: Any, without_work: Any
) -> None:
    """A value outside of the table, and claimed sums that are solved for once the out-of-domain point is known."""

    class Forger(reference.ReferenceProver):
        def sample(self) -> Any:
            honest = super().sample()

            def at(s: QM31) -> QM31:
                sums = (s, -s)
                return composition_at(self.air, honest, self.elements, sums, self.coefficient, self.oods, self.degree)

            constant, slope = at(QM31(0)), at(QM31(1)) - at(QM31(0))
            s = (composition_claim(honest, self.oods, self.degree) - constant) * slope.inverse()
            self.claimed_sums = (s, -s)
            return honest

    spec = without_work(case("range_check_t6_u8").spec)
    main = spec.native.main()
    main[1][0] = 64
    factory = deaf(("mix_felts", 1))
    claimed, proof = Forger(spec, main=main, channel=factory).prove()
    weak_verifier(factory, claimed, proof)
    refused(OodsError, claimed, proof)
    refused(OodsError, *Forger(spec, main=main).prove())
    assert command(claimed, proof) == 1


def test_a5_fri_root_not_absorbed(
    case: Any, liar: Any, deaf: Any, weak_verifier: Any, refused: Any, without_work: Any
) -> None:
    """Knowing alpha, half of the first layer is chosen so that all folds are zero; queries must meet the other half."""

    class Forger(liar):
        def layer_values(self, index: int, values: Any) -> Any:
            if index:
                return values
            alpha = arrays.qarray([copy.deepcopy(self.channel).draw_secure_felt()])
            even = np.arange(0, len(values), 2)
            natural = circle.bit_reverse_array(even, self.lifting)
            _, y = circle.points((1 << (30 - self.lifting)) + natural * (1 << (32 - self.lifting)))
            scale = arrays.mul(arrays.inv(y)[:, None], alpha)  # (a + b) + alpha (a - b) / y = 0
            one = np.broadcast_to(arrays.qarray([QM31(1)]), scale.shape)
            factor = arrays.qmul(arrays.add(one, scale), arrays.qinv(arrays.sub(one, scale)))
            out = values.copy()
            out[1::2] = arrays.neg(arrays.qmul(values[0::2], factor))
            return out

        def grind(self) -> int:
            for nonce in range(1 << 12):
                twin = copy.deepcopy(self.channel)
                twin.mix_u64(nonce)
                if not (draw_queries(twin, self.config.n_queries, self.lifting) & 1).any():
                    return nonce
            raise AssertionError("no nonce")

    spec, main = false_row_fib(case, without_work)
    factory = deaf(("mix_root", 3))
    claimed, proof = Forger(spec, main=main, channel=factory).prove()
    weak_verifier(factory, claimed, proof)
    refused(MerkleError, claimed, proof)
    refused(FriError, *Forger(spec, main=main).prove())


def test_a5_last_layer_not_absorbed(
    case: Any, liar: Any, deaf: Any, weak_verifier: Any, refused: Any, linear: Any, without_work: Any
) -> None:
    """Knowing the queries, a last polynomial is fitted through the few values that they ask for."""

    class Forger(liar):
        def draw_queries(self) -> list[int]:
            queries = super().draw_queries()
            ends = sorted({q >> sum(layer.step for layer, _, _ in self.layers) for q in queries})
            last, bound = self.lifting, self.config.log_last_layer_degree_bound
            last -= sum(layer.step for layer, _, _ in self.layers)
            natural = circle.bit_reverse_array(np.array(ends), last)
            x, _ = circle.points((1 << (29 - last)) + natural * (1 << (31 - last)))
            units = [[QM31(int(j == k)) for j in range(1 << bound)] for k in range(1 << bound)]
            rows = np.stack([evaluate_line(unit, x)[:, 0] for unit in units], axis=1).tolist()
            fitted = [linear(rows, self.folded[ends, k].tolist()) for k in range(4)]
            coefficients = tuple(QM31(*values) for values in zip(*fitted, strict=True))
            self.last = LastLayer(coefficients, bound)
            return queries

        def last_layer(self, values: Any) -> LastLayer:
            self.folded = values
            return super().last_layer(values)

    spec, main = false_row_fib(case, without_work, log_last_layer_degree_bound=2)
    factory = deaf(("mix_felts", 2))
    claimed, proof = Forger(spec, main=main, channel=factory).prove()
    weak_verifier(factory, claimed, proof)
    refused(MerkleError, claimed, proof)


@pytest.mark.parametrize("name", ["blake2s", "blake2s_m31", "poseidon252"])
def test_a6_lengths_are_not_ambiguous(name: str) -> None:
    """Other groupings of the same values, and values padded with zeros, give other digests."""
    a, b, zero = QM31(1, 2, 3, 4), QM31(5, 6, 7, 8), QM31(0)
    scripts = [[[a, b]], [[a], [b]], [[a]], [[a, zero]], [[zero, a]], [[a, b, zero]], [[a], []], [[]], [[zero]], []]
    digests = []
    for script in scripts:
        heard = channel(name)
        for felts in script:
            heard.mix_felts(felts)
        digests.append(heard.digest)
    for words in ([1], [1, 0], [0, 1], [1] * 7, [1] * 7 + [0], [1] * 6 + [0]):
        heard = channel(name)
        heard.mix_u32s(words)
        digests.append(heard.digest)
    assert len(set(digests)) == len(digests)


def test_a6_leaves_of_poseidon_are_injective() -> None:
    """Packing M31 into felt252: zeros at the end, odd counts and shifted digits are all told apart."""
    rows = [[1], [1, 0], [0, 1], [0] * 7, [0] * 8, [0] * 9, [1] * 8, [1] * 8 + [0], [0] + [1] * 8, [2**31 - 2] * 8]
    found = [hasher("poseidon252").leaves(np.array([row], dtype=np.uint32))[0] for row in rows]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("name", ["blake2s", "poseidon252"])
def test_a6_draws_do_not_show_the_state(name: str) -> None:
    heard = channel(name)
    heard.mix_u64(5)
    digest = heard.digest
    state = digest if isinstance(digest, int) else int.from_bytes(digest, "little")
    words = heard.draw_u32s()
    assert sum(w << 32 * k for k, w in enumerate(words)) != state
    assert heard.draw_u32s() != words
    assert heard.digest == digest


def test_a7_biased_draws_are_repeated() -> None:
    """Words of 2P and above would favour small values: the whole draw is taken again."""
    outputs = [b"\xff" * 32, (2 * P).to_bytes(4, "little") + bytes(28), (2 * P - 1).to_bytes(4, "little") + bytes(28)]

    class Rigged(Blake2sChannel):
        def _hash(self, data: bytes) -> bytes:
            return outputs.pop(0)

    assert Rigged().draw_secure_felt() == QM31(P - 1)
    assert not outputs


def test_a7_queries_use_all_words_and_all_bits() -> None:
    """Positions are low bits of whole words: a power of two divides 2^32, and no word is skipped or used twice."""
    for heard in (Blake2sChannel(), Poseidon252Channel()):
        heard.mix_u64(9)
        twin = copy.deepcopy(heard)
        words = [w for _ in range(3) for w in twin.draw_u32s()][:17]
        assert draw_queries(heard, 17, 30).tolist() == sorted({w & (1 << 30) - 1 for w in words})
    heard = Blake2sChannel()
    found = draw_queries(heard, 4000, 4)
    assert found.tolist() == list(range(16))


def test_a8_proof_of_work_is_checked(case: Any, refused: Any, command: Any) -> None:
    c = case("plonk_8")
    forged = replace(c.proof, proof_of_work=c.proof.proof_of_work + 1)
    refused(ProofOfWorkError, c.spec, forged)
    assert command(c.spec, forged) == 1


def test_a8_bits_come_from_the_spec(case: Any, reference: Any, refused: Any) -> None:
    """A prover that grinds nothing and says so."""
    c = case("row_fib_6")
    free = replace(c.spec, config=replace(c.spec.config, pow_bits=0))
    _, proof = reference.ReferenceProver(free).prove()
    refused(ConfigError, c.spec, proof)
    # Nor does it help to write the demanded number into the proof: the config is in the transcript.
    refused(OodsError, c.spec, replace(proof, config=c.spec.config))


def test_a8_work_before_the_commitments(case: Any, reference: Any, refused: Any) -> None:
    """A nonce found before FRI is committed would be reusable for any number of tries."""

    class Forger(reference.ReferenceProver):
        def commit_fri(self) -> None:
            self.early = super().grind()
            super().commit_fri()

        def grind(self) -> int:
            return self.early

    refused(ProofOfWorkError, *Forger(case("row_fib_6").spec).prove())


def test_a8_work_without_bound(case: Any, refused: Any) -> None:
    c = case("plonk_8")
    for bits in (61, 64, 128, 1 << 40, -1):
        config = replace(c.spec.config, pow_bits=bits)
        refused(ConfigError, replace(c.spec, config=config), replace(c.proof, config=config))
