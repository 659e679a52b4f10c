"""Calldata: one encoding for every proof, and none for anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from air.field import P
from octoproof.starknet.calldata import pack_words, proof_from_felts, proof_to_felts, unpack_words
from verifier.errors import ConfigError, EncodingError, ParseError, ShapeError
from verifier.proof import StarkProof, proof_from_json
from verifier.spec import Spec, spec_from_json

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
NAMES = sorted(path.name.removesuffix(".spec.json") for path in FIXTURES.glob("*.spec.json"))
SUPPORTED = [name for name in NAMES if not any(part in name for part in ("m31", "poseidon", "noconfigmix"))]


def _stored(name: str, channel: str = "blake2s") -> tuple[Spec, StarkProof]:
    spec = spec_from_json((FIXTURES / f"{name}.spec.json").read_text())
    return spec, proof_from_json((FIXTURES / f"{name}.proof.json").read_text(), channel)


@pytest.fixture(scope="module")
def plonk() -> tuple[Spec, StarkProof]:
    return _stored("plonk_8")


@pytest.mark.parametrize("name", SUPPORTED)
def test_felts_are_the_proof(name: str) -> None:
    spec, proof = _stored(name)
    felts = proof_to_felts(spec, proof)
    read, found = proof_from_felts(spec, felts)
    assert (read.claimed_sums, found) == (spec.claimed_sums, proof)
    assert all(0 <= felt < 1 << 224 for felt in felts)


def test_claimed_sums_come_from_the_felts(plonk: tuple[Spec, StarkProof]) -> None:
    spec, proof = plonk
    others = (spec.claimed_sums[0] + 1,)
    felts = proof_to_felts(replace(spec, claimed_sums=others), proof)
    # Other sums are another transcript, so what follows is read for other queries; the sums come first.
    assert unpack_words(felts[:1])[:4] == list(others[0].coordinates())


@pytest.mark.parametrize(("name", "channel"), [("plonk_7_m31", "blake2s_m31"), ("wide_fib_6x8_noconfigmix", "blake2s")])
def test_what_the_contract_cannot_verify_is_refused(name: str, channel: str) -> None:
    spec, proof = _stored(name, channel)
    with pytest.raises(ConfigError, match="config mixed in"):
        proof_to_felts(spec, proof)
    with pytest.raises(ConfigError, match="config mixed in"):
        proof_from_felts(spec, ())


def test_a_proof_of_another_shape_has_no_felts(plonk: tuple[Spec, StarkProof]) -> None:
    spec, proof = plonk
    with pytest.raises(ShapeError, match="commitments"):
        proof_to_felts(spec, replace(proof, commitments=proof.commitments[:-1]))
    shorter = (proof.queried_values[0][0][1:], *proof.queried_values[0][1:])
    with pytest.raises(ShapeError, match="queried_values"):
        proof_to_felts(spec, replace(proof, queried_values=(shorter, *proof.queried_values[1:])))


def test_words() -> None:
    words = [1, 2**32 - 1, 0, 5, 6, 7, 8, 9]
    felts = pack_words(words)
    assert felts == (sum(word << 32 * k for k, word in enumerate(words[:7])), 9)
    assert unpack_words(felts) == [*words, 0, 0, 0, 0, 0, 0]
    assert pack_words([]) == ()


@pytest.mark.parametrize("felt", [1 << 224, 2**251 + 17 * 2**192, -1])
def test_a_felt_of_more_than_seven_words_is_refused(plonk: tuple[Spec, StarkProof], felt: int) -> None:
    felts = proof_to_felts(*plonk)
    with pytest.raises(EncodingError, match="2\\^224"):
        proof_from_felts(plonk[0], (*felts[:-1], felt))


def test_other_lengths_are_refused(plonk: tuple[Spec, StarkProof]) -> None:
    felts = proof_to_felts(*plonk)
    with pytest.raises(ParseError, match="too short"):
        proof_from_felts(plonk[0], felts[:-1])
    with pytest.raises(ParseError, match="too long"):
        proof_from_felts(plonk[0], (*felts, 0))


def test_the_filling_of_the_last_felt_is_zero(plonk: tuple[Spec, StarkProof]) -> None:
    felts = proof_to_felts(*plonk)
    assert felts[-1] < 1 << 192, "the last felt is full: there is nothing to test"
    with pytest.raises(EncodingError, match="filling"):
        proof_from_felts(plonk[0], (*felts[:-1], felts[-1] + (1 << 192)))


def test_an_element_has_one_encoding(plonk: tuple[Spec, StarkProof]) -> None:
    spec, proof = plonk
    words = unpack_words(proof_to_felts(spec, proof))
    words[0] += P
    with pytest.raises(EncodingError, match="not canonical"):
        proof_from_felts(spec, pack_words(words))
