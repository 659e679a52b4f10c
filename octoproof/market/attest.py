"""Uptime by witnesses: a registered committee pings a provider once an interval, and signs what it saw with BLS12-381.

A witness signs one observation for a run of slots: which of them the provider answered in. Witnesses that saw the same
sign the same bytes, so that one aggregate signature stands for all of them (draft-irtf-cfrg-bls-signature, minimal
public keys, proof of possession). A slot counts as up where a quorum of distinct witnesses says so, as down where a
quorum says that, and as undecided otherwise.

    observation = "OCTOPROOF-UPTIME-1" | committee digest | provider (32 bytes) | first slot u64 | slots u32 | bits
    committee   = Blake2s("OCTOPROOF-COMMITTEE-1" | chain | interval ms u64 | quorum u32 | members u32 | keys ...)

What is checked here, and the attack it stops:

- a proof of possession for every key: without it a member chooses its key so that it cancels the others' in the sum,
  and signs for all alone (rogue key);
- a member is at most once in a slot: one witness that speaks twice would be a quorum of its own;
- the quorum is more than half: two quorums that contradict each other would otherwise be possible with honest members;
- the committee's digest in the observation: what was signed for one committee, chain or interval is worth nothing in
  another.

Integers are little-endian; bits are in ascending slot, the least significant first. Only Python checks this: see
docs/qos.md for what a contract trusts instead.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from itertools import pairwise
from struct import pack

import numpy as np
import numpy.typing as npt

from octoproof.market.errors import MarketError, RuleError
from octoproof.market.messages import Party, Pong, Signed, Signing, verified

MAX_MEMBERS, MAX_SLOTS, MAX_OBSERVATIONS = 256, 1 << 20, 256
_UPTIME, _COMMITTEE = b"OCTOPROOF-UPTIME-1", b"OCTOPROOF-COMMITTEE-1"

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Member:
    """A witness: compressed public key (48 bytes) and proof that it knows the key's secret (96 bytes)."""

    key: bytes
    possession: bytes


@dataclass(frozen=True)
class Committee:
    """The witnesses of providers on one chain. A slot is an interval of so many ms, numbered from 1970."""

    chain: str
    interval_ms: int
    quorum: int
    members: tuple[Member, ...]

    @property
    def digest(self) -> bytes:
        """What is registered on the chain."""
        head = pack("<QII", self.interval_ms, self.quorum, len(self.members))
        chain = self.chain.encode()
        keys = b"".join(member.key for member in self.members)
        return blake2s(_COMMITTEE + pack("<I", len(chain)) + chain + head + keys).digest()

    def check(self) -> None:
        """Once, before the committee is registered or trusted; a second or so for every two members.

        Raises RuleError, MarketError."""
        count = len(self.members)
        if not 1 <= count <= MAX_MEMBERS or not 1 <= self.interval_ms < 1 << 40:
            raise MarketError(f"committee: {count} members, {self.interval_ms} ms; 1 to {MAX_MEMBERS} members can be")
        if not count < 2 * self.quorum <= 2 * count:
            raise RuleError(
                f"committee.quorum: {self.quorum} of {count}; more than half are needed, and no more than all"
            )
        if len({member.key for member in self.members}) != count:
            raise RuleError("committee: a key is there twice")
        for place, member in enumerate(self.members):
            if not _bls().PopVerify(member.key, member.possession):
                raise RuleError(f"committee: member {place} does not prove that it knows its key's secret")


@dataclass(frozen=True)
class Observation:
    """What was seen of a provider in the slots first..first + len(up) - 1."""

    provider: int
    first: int
    up: tuple[bool, ...]

    def to_bytes(self, committee: Committee) -> bytes:
        """What is signed."""
        bits = np.packbits(np.array(self.up, dtype=np.bool_), bitorder="little").tobytes()
        place = self.provider.to_bytes(32, "big") + pack("<QI", self.first, len(self.up))
        return _UPTIME + committee.digest + place + bits


@dataclass(frozen=True)
class Attestation:
    """An observation with one aggregate signature (96 bytes) of the members with these numbers, ascending."""

    observation: Observation
    signers: tuple[int, ...]
    signature: bytes


@dataclass(frozen=True)
class Uptime:
    """Slots by what a quorum says of them. Undecided ones are nobody's fault and count for neither."""

    up: int
    down: int
    undecided: int

    @property
    def slots(self) -> int:
        """Those that there is a verdict on: what `tiers.keeps_uptime` and `refunds.uptime_refund` take."""
        return self.up + self.down


def observe(committee: Committee, observation: Observation, member: int, secret: int) -> Attestation:
    """One witness's own. Raises MarketError for a key that is not this member's."""
    if _bls().SkToPk(secret) != committee.members[member].key:
        raise MarketError(f"secret: it is not that of member {member}")
    return Attestation(observation, (member,), _bls().Sign(secret, observation.to_bytes(committee)))


def prove_possession(secret: int) -> Member:
    """The member with this secret, an integer below the group's order."""
    return Member(_bls().SkToPk(secret), _bls().PopProve(secret))


def aggregate(attestations: Sequence[Attestation]) -> list[Attestation]:
    """One attestation for each distinct observation. Raises RuleError for a member that signed one twice."""
    groups: dict[Observation, list[Attestation]] = {}
    for attestation in attestations:
        groups.setdefault(attestation.observation, []).append(attestation)
    found = []
    for observation, own in groups.items():
        signers = sorted(member for attestation in own for member in attestation.signers)
        if len(set(signers)) != len(signers):
            raise RuleError("attestation: a member has signed the same observation twice")
        found.append(Attestation(observation, tuple(signers), _bls().Aggregate([a.signature for a in own])))
    return found


def uptime(committee: Committee, provider: int, first: int, slots: int, attestations: Sequence[Attestation]) -> Uptime:
    """What a checked committee (`Committee.check`) says of a provider in the slots first..first + slots - 1.

    Slots beyond these in an observation do not count. Half a second an attestation. Raises RuleError, MarketError."""
    if not 1 <= slots <= MAX_SLOTS or not 0 <= first < 1 << 60:
        raise MarketError(f"slots: {slots} from {first}; 1 to {MAX_SLOTS} are counted at once")
    if len(attestations) > MAX_OBSERVATIONS:
        raise MarketError(f"attestations: {len(attestations)}, at most {MAX_OBSERVATIONS} are read")
    votes = np.zeros((2, slots), dtype=np.int32)  # down, up
    spoken = np.zeros((len(committee.members), slots), dtype=np.bool_)
    for attestation in attestations:
        seen, signers = attestation.observation, attestation.signers
        _check_signers(committee, signers)
        if seen.provider != provider:
            raise RuleError("attestation: it is about another provider")
        if not 0 <= seen.first < 1 << 60 or not 1 <= len(seen.up) <= MAX_SLOTS:
            raise RuleError(f"attestation: {len(seen.up)} slots from {seen.first} cannot be observed")
        keys = [committee.members[member].key for member in signers]
        if not _bls().FastAggregateVerify(keys, seen.to_bytes(committee), attestation.signature):
            raise RuleError("attestation: the signature is not that of its signers")
        start, stop = max(seen.first, first), min(seen.first + len(seen.up), first + slots)
        if start >= stop:
            continue
        own, told = slice(start - first, stop - first), np.array(seen.up[start - seen.first : stop - seen.first])
        for member in signers:
            if spoken[member, own].any():
                raise RuleError(f"attestation: member {member} speaks of a slot twice")
            spoken[member, own] = True
        votes[1, own] += len(signers) * told
        votes[0, own] += len(signers) * ~told
    down, up = (int((side >= committee.quorum).sum()) for side in votes)
    return Uptime(up, down, slots - up - down)


def check_pong(pong: Signed[Pong], provider: Party, witness: int, segment: Mapping[int, int], signing: Signing) -> None:
    """A witness's check before it counts a slot as up: the provider signed the hash of a block that is in the chain
    segment (number to hash) of the slot, so that it cannot have signed before the slot. Raises RuleError."""
    message = pong.message
    if (message.provider, message.witness) != (provider.address, witness):
        raise RuleError("pong: it is another provider's, or for another witness")
    if segment.get(message.block) != message.block_hash:
        raise RuleError(f"pong.block: {message.block} with this hash is not in the slot's chain segment")
    verified(signing, [pong], [provider])


def _check_signers(committee: Committee, signers: Sequence[int]) -> None:
    known = range(len(committee.members))
    ascend = all(a < b for a, b in pairwise(signers))
    if not signers or not ascend or signers[0] not in known or signers[-1] not in known:
        raise RuleError("attestation.signers: they must be distinct members, ascending")


def _bls():  # type: ignore[no-untyped-def]
    """py_ecc, which takes half a second to load."""
    limit = sys.getrecursionlimit()
    try:
        from py_ecc.bls import G2ProofOfPossession
    except ModuleNotFoundError:
        raise MarketError("uptime: witnesses' signatures need py-ecc; pip install py-ecc") from None
    sys.setrecursionlimit(limit)  # py_ecc raises it to 100,000, where deep recursion ends the process
    return G2ProofOfPossession
