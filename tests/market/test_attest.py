"""Uptime by witnesses: a quorum of distinct members is counted, slot by slot, and nothing else is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from octoproof.market import attest
from octoproof.market.attest import (
    Attestation,
    Committee,
    Member,
    Observation,
    Uptime,
    aggregate,
    check_pong,
    observe,
    prove_possession,
    uptime,
)
from octoproof.market.errors import MarketError, RuleError
from octoproof.market.messages import Pong
from octoproof.market.refunds import uptime_refund
from octoproof.market.tiers import TIERS

bls = pytest.importorskip("py_ecc.bls", reason="needs py-ecc").G2ProofOfPossession
optimized = pytest.importorskip("py_ecc.optimized_bls12_381")

PROVIDER = 0xA11CE
SECRETS = (11, 22, 33, 44)


@dataclass(frozen=True)
class Witnesses:
    """Four members, of whom three are a quorum; what each signed is made once."""

    committee: Committee
    made: dict[Any, Attestation]

    def sees(self, member: int, up: str, first: int = 100, provider: int = PROVIDER) -> Attestation:
        """`up` has 1 for a slot in which the provider answered."""
        key = member, up, first, provider
        if key not in self.made:
            observation = Observation(provider, first, tuple(letter == "1" for letter in up))
            self.made[key] = observe(self.committee, observation, member, SECRETS[member])
        return self.made[key]


@pytest.fixture(scope="module")
def witnesses() -> Witnesses:
    return Witnesses(Committee("SN_SEPOLIA", 60_000, 3, tuple(prove_possession(secret) for secret in SECRETS)), {})


def test_a_quorum_decides_each_slot(witnesses: Witnesses) -> None:
    """Slot by slot: all up, three up, two up (undecided), one up, none up."""
    seen = [witnesses.sees(k, up) for k, up in enumerate(("11110", "11100", "11000", "10000"))]
    assert uptime(witnesses.committee, PROVIDER, 100, 5, seen) == Uptime(2, 2, 1)
    assert Uptime(2, 2, 1).slots == 4


def test_those_who_saw_the_same_are_one_signature(witnesses: Witnesses) -> None:
    seen = [witnesses.sees(k, up) for k, up in enumerate(("11011", "11011", "11011", "00000"))]
    (agreed, alone) = aggregate(seen)
    assert (agreed.signers, alone.signers) == ((0, 1, 2), (3,))
    assert uptime(witnesses.committee, PROVIDER, 100, 5, [agreed, alone]) == Uptime(4, 1, 0)
    # Only what was asked for is counted; slots that nobody speaks of are undecided.
    assert uptime(witnesses.committee, PROVIDER, 101, 2, [agreed]) == Uptime(1, 1, 0)
    assert uptime(witnesses.committee, PROVIDER, 98, 4, [agreed]) == Uptime(2, 0, 2)
    assert uptime(witnesses.committee, PROVIDER, 200, 4, [agreed]) == Uptime(0, 0, 4)
    assert uptime(witnesses.committee, PROVIDER, 100, 5, []) == Uptime(0, 0, 5)


def test_a_stranger_is_no_witness(witnesses: Witnesses) -> None:
    with pytest.raises(MarketError, match="secret: it is not that of member 1"):
        observe(witnesses.committee, Observation(PROVIDER, 100, (True,)), 1, SECRETS[0])


def refused(witnesses: Witnesses) -> dict[str, list[Attestation]]:
    own = [witnesses.sees(k, "11011") for k in range(3)]
    (agreed,) = aggregate(own)
    other = Observation(PROVIDER, 100, (True,) * 5)
    return {
        "attestation: the signature is not": [replace(agreed, observation=other)],
        "attestation: the signature is not that": [replace(agreed, signers=(0, 1, 3))],
        "attestation: the signature is not that of": [replace(agreed, signers=(0, 1, 2, 3))],
        "attestation: the signature is not that of its": [replace(agreed, signers=(0, 1))],
        "attestation: the signature is not that of its signers": [replace(agreed, signature=bytes(96))],
        "attestation.signers: they must be": [replace(agreed, signers=(0, 1, 1, 2))],
        "attestation.signers: they must be distinct": [replace(agreed, signers=(2, 1, 0))],
        "attestation.signers: they must be distinct members": [replace(agreed, signers=())],
        "attestation.signers: they must be distinct members,": [replace(agreed, signers=(0, 1, 4))],
        "attestation.signers: they must be distinct members, ascending": [replace(agreed, signers=(-1, 0, 1))],
        "attestation: member 0 speaks of a slot twice": [own[0], own[0]],
        "attestation: member 2 speaks of a slot twice": [agreed, witnesses.sees(2, "11", first=104)],
        "attestation: it is about another provider": [witnesses.sees(0, "11011", provider=5)],
        "attestation: 0 slots": [replace(agreed, observation=replace(agreed.observation, up=()))],
        "attestation: 5 slots from -1": [replace(agreed, observation=replace(agreed.observation, first=-1))],
    }


def test_what_no_quorum_signed(witnesses: Witnesses) -> None:
    for message, attestations in refused(witnesses).items():
        with pytest.raises(RuleError) as error:
            uptime(witnesses.committee, PROVIDER, 100, 5, attestations)
        assert str(error.value).startswith(message)


def test_what_was_signed_for_another_committee(witnesses: Witnesses) -> None:
    """Chain, interval and quorum are in what is signed, and so are the members."""
    own, committee = witnesses.sees(0, "11011"), witnesses.committee
    others = [
        replace(committee, chain="SN_MAIN"),
        replace(committee, interval_ms=1),
        replace(committee, quorum=4),
        replace(committee, members=committee.members[:3]),
    ]
    assert len({other.digest for other in (committee, *others)}) == 5
    with pytest.raises(RuleError, match="not that of its signers"):
        uptime(others[0], PROVIDER, 100, 5, [own])


def test_a_member_counts_once(witnesses: Witnesses) -> None:
    own = witnesses.sees(0, "11011")
    with pytest.raises(RuleError, match="signed the same observation twice"):
        aggregate([own, own])
    with pytest.raises(RuleError, match="signed the same observation twice"):
        aggregate([aggregate([own, witnesses.sees(1, "11011")])[0], own])


def test_too_much_to_count(witnesses: Witnesses) -> None:
    own = witnesses.sees(0, "11011")
    for slots, first in ((0, 0), ((1 << 20) + 1, 0), (1, -1)):
        with pytest.raises(MarketError, match="slots"):
            uptime(witnesses.committee, PROVIDER, first, slots, [own])
    with pytest.raises(MarketError, match="attestations: 257, at most 256"):
        uptime(witnesses.committee, PROVIDER, 100, 5, [own] * 257)


# The committee


def test_a_committee_that_may_be_registered(witnesses: Witnesses) -> None:
    witnesses.committee.check()


def test_committees_that_may_not(witnesses: Witnesses) -> None:
    committee = witnesses.committee
    twice = (*committee.members[:3], committee.members[0])
    for changes, message in (
        ({"quorum": 2}, "committee.quorum: 2 of 4; more than half"),
        ({"quorum": 5}, "committee.quorum: 5 of 4"),
        ({"members": twice}, "a key is there twice"),
        ({"members": ()}, "0 members"),
        ({"members": committee.members * 65}, "260 members"),
        ({"interval_ms": 0}, "0 ms"),
    ):
        with pytest.raises((RuleError, MarketError), match=message):
            replace(committee, **changes).check()


def test_a_rogue_key_is_refused(witnesses: Witnesses) -> None:
    """The key is the attacker's own less that of member 0: their sum is the attacker's, who so signs for both. Without
    proofs of possession that would pass; the attacker cannot give one."""
    from py_ecc.bls.g2_primitives import G1_to_pubkey, pubkey_to_G1

    honest = witnesses.committee.members[0]
    mine = 99
    stolen = optimized.add(optimized.multiply(optimized.G1, mine), optimized.neg(pubkey_to_G1(honest.key)))
    rogue = Member(bytes(G1_to_pubkey(stolen)), prove_possession(mine).possession)
    committee = replace(witnesses.committee, quorum=2, members=(honest, rogue, witnesses.committee.members[1]))
    seen = Observation(PROVIDER, 100, (True,) * 5)
    forged = Attestation(seen, (0, 1), bls.Sign(mine, seen.to_bytes(committee)))
    assert uptime(committee, PROVIDER, 100, 5, [forged]) == Uptime(5, 0, 0)  # member 0 has signed nothing
    with pytest.raises(RuleError, match="member 1 does not prove that it knows its key's secret"):
        committee.check()


def test_keys_that_are_none() -> None:
    for key in (bytes(48), bytes([0xC0]) + bytes(47), b"", prove_possession(5).key[:-1]):
        broken = Committee("SN_SEPOLIA", 1, 1, (Member(key, prove_possession(5).possession),))
        with pytest.raises(RuleError, match="member 0 does not prove"):
            broken.check()


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "py_ecc.bls", None)
    with pytest.raises(MarketError, match="pip install py-ecc"):
        prove_possession(5)


# What is done with it


def test_the_figures_of_a_month() -> None:
    """REQUIREMENTS US-4: 43,150 of 43,200 pings answered are 99.884 %, in the band of 5 % where more is promised."""
    month = Uptime(43_150, 50, 0)
    assert uptime_refund(TIERS["standard"], month.up, month.slots) == 500
    assert uptime_refund(TIERS["basic"], month.up, month.slots) == 0
    # What nobody can tell is left out, however much it is.
    undecided = Uptime(999, 1, 10_000)
    assert uptime_refund(TIERS["standard"], undecided.up, undecided.slots) == 0


SEGMENT = {700: 0xABC, 701: 0xDEF}


def test_a_pong_to_a_ping(world: Any) -> None:
    pong = Pong(world.provider.address, 2, 701, 0xDEF)
    (signed,) = world.sign([pong], world.provider)
    check_pong(signed, world.provider, 2, SEGMENT, world.signing)
    for changes, message in (
        ({"block": 702}, "pong.block: 702 with this hash is not in the slot's chain segment"),
        ({"block_hash": 0xABC}, "pong.block: 701 with this hash is not"),
        ({"witness": 1}, "another provider's, or for another witness"),
        ({"provider": 5}, "another provider's, or for another witness"),
    ):
        (other,) = world.sign([replace(pong, **changes)], world.provider)
        with pytest.raises(RuleError, match=message):
            check_pong(other, world.provider, 2, SEGMENT, world.signing)
    (forged,) = world.sign([pong], world.agreement.buyer)
    with pytest.raises(RuleError, match="pong: the signature"):
        check_pong(forged, world.provider, 2, SEGMENT, world.signing)


def test_bits_are_in_ascending_slot(witnesses: Witnesses) -> None:
    data = Observation(PROVIDER, 7, (True, False, False, True, False, False, False, False, True)).to_bytes(
        witnesses.committee
    )
    assert data.startswith(b"OCTOPROOF-UPTIME-1" + witnesses.committee.digest + PROVIDER.to_bytes(32, "big"))
    assert data[-14:] == (7).to_bytes(8, "little") + (9).to_bytes(4, "little") + bytes([0b1001, 0b1])
    assert attest.MAX_SLOTS == 1 << 20
