"""C. Field and encoding: one representation of every number, and no division by zero (ANCHORS 5.2, 14 to 16)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import verifier.stark
from air import circle
from air.field import CM31, QM31, P, batch_inverse, inverse
from verifier.channel import channel as new_channel
from verifier.errors import EncodingError, FriError, LogupError, OodsError, VerificationError
from verifier.hashes import STARK_PRIME, hasher
from verifier.proof import proof_from_json, proof_to_json
from verifier.spec import spec_from_json, spec_to_json
from verifier.stark import verify_stark
from verifier.wire import proof_from_wire, proof_to_wire

PLACES: list[tuple[Any, ...]] = [
    ("sampled_values", 0, 0, 0, 0, 0),
    ("sampled_values", 3, 7, 0, 1, 1),
    ("queried_values", 0, 0, 0),
    ("queried_values", 3, 7, 1),
    ("fri_proof", "first_layer", "fri_witness", 0, 0, 1),
    ("fri_proof", "inner_layers", 1, "fri_witness", 0, 1, 0),
    ("fri_proof", "last_layer_poly", "coeffs", 0, 0, 0),
]


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("make", [lambda v: v + P, lambda v: P, lambda v: (1 << 32) - 1], ids=["+P", "P", "2^32-1"])
def test_c14_m31_is_canonical(path: tuple[Any, ...], make: Callable[[int], int], case: Any) -> None:
    """v + P computes like v and hashes differently: it would be a second proof, or a way round a comparison."""
    c = case("plonk_8")
    document = json.loads(proof_to_json(c.proof, "blake2s"))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = make(parent[path[-1]])
    with pytest.raises(EncodingError) as caught:
        verify_stark(c.spec, proof_from_json(json.dumps(document), "blake2s"))
    assert caught.type is EncodingError


def test_c14_claimed_sums_and_public_terms_are_canonical(case: Any, refused: Any, command: Any) -> None:
    c = case("expr_plonk_6")
    total = c.spec.claimed_sums[0]
    spec = replace(c.spec, claimed_sums=(QM31(total.a + P, total.b, total.c, total.d),))
    refused(EncodingError, spec, c.proof)
    assert command(spec, c.proof) == 1
    term = c.spec.public_terms[0]
    for bad in (
        replace(term, multiplicity=term.multiplicity + P),
        replace(term, values=(term.values[0], term.values[1] + P)),
        replace(term, values=(-term.values[0], term.values[1] - P)),
    ):
        refused(EncodingError, replace(c.spec, public_terms=(bad, *c.spec.public_terms[1:])), c.proof)


def test_c14_wire_numbers_are_canonical(case: Any) -> None:
    """P written where the zeros of a trace stand."""
    c = case("plonk_8")
    data = proof_to_wire(c.proof, "blake2s")
    value = c.proof.queried_values[1][1][0]
    start = data.index(np.array(c.proof.queried_values[1][1], dtype="<u4").tobytes())
    assert int.from_bytes(data[start : start + 4], "little") == value
    for bad in (P, value + P, (1 << 32) - 1):
        with pytest.raises(EncodingError):
            proof_from_wire(data[:start] + bad.to_bytes(4, "little") + data[start + 4 :])


class Rigged:
    """A channel whose secure draws are replaced where `chosen` has the running number of the draw."""

    def __init__(self, name: str, chosen: dict[int, QM31]) -> None:
        self._inner, self._chosen, self._draws = new_channel(name), chosen, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def draw_secure_felt(self) -> QM31:
        drawn = self._inner.draw_secure_felt()
        self._draws += 1
        return self._chosen.get(self._draws - 1, drawn)


def parameter_of(index: int) -> QM31:
    """t with secure_point(t) = the base point of this index."""
    x, y = circle.point(index)
    return QM31(y * inverse(1 + x) % P)


# Draw 1 is the out-of-domain point (draw 0 is the coefficient of the composition).
EXCEPTIONAL = {
    "infinity": (QM31(0, 1), OodsError),
    "minus infinity": (QM31(0, P - 1), OodsError),
    "the first row of the trace": (parameter_of(int(circle.coset_indices(6)[0])), OodsError),
    "the last row of the trace": (parameter_of(int(circle.coset_indices(6)[-1])), OodsError),
}


@pytest.mark.parametrize("where", EXCEPTIONAL)
def test_c15_out_of_domain_point_is_exceptional(
    where: str, case: Any, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    t, error = EXCEPTIONAL[where]
    c = case("row_fib_6")
    monkeypatch.setattr(verifier.stark, "channel", lambda name: Rigged(name, {1: t}))
    refused(error, c.spec, c.proof)


def test_c15_sample_point_meets_a_query(
    case: Any, reference: Any, refused: Any, without_work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An honest prover at a point of the evaluation domain: every query there would be divided by zero."""

    class Unlucky(reference.ReferenceProver):
        def combine(self) -> Any:
            self.channel.draw_secure_felt()
            return np.zeros((1 << self.lifting, 4), dtype=np.uint64)

    spec = without_work(case("row_fib_6").spec, n_queries=64)
    t = parameter_of(int(circle.domain_indices(7)[3]))

    def factory(name: str) -> Rigged:
        return Rigged(name, {1: t})

    spec, proof = Unlucky(spec, channel=factory).prove()
    monkeypatch.setattr(verifier.stark, "channel", factory)
    refused(FriError, spec, proof)


def test_c15_lookup_denominator_vanishes(case: Any, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """z = combine(public values): the verifier's own term would divide by zero."""
    c = case("expr_plonk_6")
    term = c.spec.public_terms[0]
    alpha = QM31(5, 6, 7, 8)
    z = alpha * term.values[1] + term.values[0]

    class Fixed(Rigged):
        def draw_secure_felts(self, count: int) -> list[QM31]:
            return [z, alpha]

    monkeypatch.setattr(verifier.stark, "channel", lambda name: Fixed(name, {}))
    refused(LogupError, c.spec, c.proof)


def test_c15_inverses_of_zero_are_refused() -> None:
    for divide in (
        lambda: inverse(0),
        lambda: inverse(P),
        CM31(0).inverse,
        QM31(0).inverse,
        lambda: batch_inverse([QM31(1), QM31(0)]),
        lambda: circle.secure_point(QM31(0, 1)),
    ):
        with pytest.raises(ZeroDivisionError):
            divide()


def test_c15_zero_divisors_do_not_exist() -> None:
    """-1 is no square in M31 and 2 + i none in CM31: only zero has norm zero, so only zero has no inverse."""
    assert pow(P - 1, (P - 1) // 2, P) == P - 1
    power, base, exponent = CM31(1), CM31(2, 1), (P * P - 1) // 2
    while exponent:
        power, base, exponent = power * base if exponent & 1 else power, base * base, exponent >> 1
    assert power == CM31(P - 1)


def test_c16_felt252_is_canonical(case: Any, refused: Any, command: Any) -> None:
    """root + prime, negative roots and other spellings of the same number."""
    c = case("wide_fib_6x20_poseidon")
    root = c.proof.commitments[1]
    for bad in (root + STARK_PRIME, root - STARK_PRIME, STARK_PRIME, 1 << 256):
        roots = (c.proof.commitments[0], bad, *c.proof.commitments[2:])
        refused(EncodingError, c.spec, replace(c.proof, commitments=roots))
    text = proof_to_json(c.proof, "poseidon252")
    for spelling in (f"0{root}", f"+{root}", f"-{root}", f" {root}", hex(root), f"{root}.0", "1_0", "٣"):
        with pytest.raises(EncodingError):
            proof_from_json(text.replace(f'"{root}"', f'"{spelling}"', 1), "poseidon252")
    over = replace(c.proof, commitments=(c.proof.commitments[0], root + STARK_PRIME, *c.proof.commitments[2:]))
    assert command(c.spec, over) == 1


def test_c16_felt252_in_bytes_and_hex() -> None:
    kind = hasher("poseidon252")
    assert kind.from_bytes((STARK_PRIME - 1).to_bytes(32, "big")) == STARK_PRIME - 1
    for bad in (STARK_PRIME, STARK_PRIME + 1, (1 << 256) - 1):
        with pytest.raises(EncodingError):
            kind.from_bytes(bad.to_bytes(32, "big"))
        with pytest.raises(EncodingError):
            kind.from_hex(f"{bad:064x}", "root")


def test_c16_statement_words_are_of_64_bits(case: Any, refused: Any) -> None:
    c = case("expr_plonk_6")
    for bad in (1 << 64, -1):
        refused(EncodingError, replace(c.spec, statement_u64=(bad, *c.spec.statement_u64[1:])), c.proof)


def test_c16_limbs_of_ids_are_unique(case: Any) -> None:
    """(low, middle, high) limbs of 21 bits: no two ids share them, and an id beyond 63 bits has none."""
    from air.statements.topk import id_limbs

    ids = [0, 1, (1 << 21) - 1, 1 << 21, (1 << 42) - 1, 1 << 42, (1 << 63) - 1]
    assert len({id_limbs(id) for id in ids}) == len(ids)
    assert all(0 <= limb < 1 << 21 for id in ids for limb in id_limbs(id))
    for bad in (-1, 1 << 63):
        with pytest.raises(ValueError):
            id_limbs(bad)


def test_c16_public_values_beyond_the_field_are_refused_on_reading(case: Any) -> None:
    c = case("expr_plonk_6")
    document = json.loads(json.dumps(spec_to_json(c.spec)))
    document["public_terms"][0]["values"][1] += P
    with pytest.raises(VerificationError) as caught:
        verify_stark(spec_from_json(json.dumps(document)), c.proof)
    assert caught.type is EncodingError
