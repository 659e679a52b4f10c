"""The routing log: a Merkle tree over decisions whose fields can be disclosed one by one (QOS-04, QOS-15).

    leaf = digest of the decision's sealed record
    tree = perfect Blake2s tree over the leaves, filled up with 32 zero bytes, as `verifier.merkle` walks it
    root = blake2s(21 | number of decisions | top)

A decision names its request by a commitment, the offers it chose from, and the policy. Whoever is shown offers, policy
and choice can repeat the choice; nothing else in a decision needs to be believed for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from hashlib import blake2s
from math import lcm

from air.statement import Reader, StatementError, Writer
from octoproof.market.commitments import Disclosure, Record, SealedRecord
from octoproof.market.disclosure import Policy
from octoproof.market.errors import MarketError, RuleError
from octoproof.market.money import MAX_COUNT, whole
from verifier.hashes import hasher
from verifier.merkle import verify_leaves

ROOT = 21  # first word of what is hashed
EMPTY = bytes(32)
MAX_LOG_DECISIONS, MAX_OFFERS, MAX_TEXT = 24, 256, 64
HASHER = hasher("blake2s")


@dataclass(frozen=True)
class Offer:
    """What a provider offered. `price` in the smallest unit, below 2^40; `quality` is its score, 0 to 100."""

    provider: str
    model: str
    price: int
    latency_ms: int
    quality: int


_ALL_POINTS = lcm(*range(1, 102))  # divisible by every quality + 1, so that `balanced` is exact

# What each policy minimises; ties go to the provider whose name comes first. `balanced` is ours: price times latency,
# per point of quality.
POLICIES: dict[str, Callable[[Offer], tuple[int, ...]]] = {
    "cheapest": lambda offer: (offer.price, offer.latency_ms),
    "fastest": lambda offer: (offer.latency_ms, offer.price),
    "quality": lambda offer: (-offer.quality, offer.price),
    "balanced": lambda offer: (offer.price * offer.latency_ms * _ALL_POINTS // (offer.quality + 1), offer.price),
}


@dataclass(frozen=True)
class Decision:
    """One request routed: by which policy, among which offers, to whom, when (ms), and who may open its commitment."""

    sequence: int
    request: bytes
    policy: str
    offers: tuple[Offer, ...]
    chosen: Offer
    decided_ms: int
    reveal: Policy

    def record(self, secret: bytes) -> Record:
        """The decision as fields that can be disclosed one by one."""
        values = {
            "sequence": Writer().i64(self.sequence).to_bytes(),
            "request": self.request,
            "policy": self.policy.encode(),
            "offers": Writer().items(self.offers, _write_offer).to_bytes(),
            "provider": self.chosen.provider.encode(),
            "model": self.chosen.model.encode(),
            "decided_ms": Writer().i64(self.decided_ms).to_bytes(),
            "reveal": self.reveal.to_bytes(),
        }
        return Record(values, secret)


@dataclass(frozen=True)
class RoutingHead:
    """A log of `count` decisions: what is published is its digest."""

    count: int
    top: bytes

    def digest(self) -> bytes:
        return blake2s(Writer().u32(ROOT).i64(self.count).bytes32(self.top).to_bytes()).digest()


@dataclass(frozen=True)
class RoutingProof:
    """One decision of a log, with some fields opened (PRV-04). `path` are the siblings from the leaf up."""

    head: RoutingHead
    index: int
    path: tuple[bytes, ...]
    disclosure: Disclosure

    def check(self, root: bytes) -> dict[str, bytes]:
        """The opened fields. Raises RuleError, MerkleError unless they are the decision at this place of this log."""
        if self.head.digest() != root or not 0 < self.head.count <= 1 << MAX_LOG_DECISIONS:
            raise RuleError("routing.root: not that of this log")
        if not 0 <= self.index < self.head.count:
            raise RuleError(f"routing.index: {self.index}, but the log has {self.head.count} decisions")
        if any(len(sibling) != 32 for sibling in self.path):
            raise RuleError("routing.path: a sibling has not 32 bytes")
        try:
            leaf = self.disclosure.record.digest()
        except MarketError as error:
            raise RuleError(f"routing.{error}") from None
        height = _height(self.head.count)
        verify_leaves(HASHER, self.head.top, height, [self.index], [leaf], self.path, "routing.path")
        values = self.disclosure.values()
        if values.get("sequence", _sequence(self.index)) != _sequence(self.index):
            raise RuleError("routing.sequence: not the decision's place in the log")
        return values


class RoutingLog:
    """The tree over sealed decisions, in their order."""

    def __init__(self, decisions: Sequence[SealedRecord]) -> None:
        """Raises MarketError for none, or for more than 2^24."""
        whole(len(decisions), "decisions", 1, 1 << MAX_LOG_DECISIONS)
        self.decisions = decisions
        filling = (1 << _height(len(decisions))) - len(decisions)
        self._levels = [[record.digest() for record in decisions] + [EMPTY] * filling]
        while len(level := self._levels[-1]) > 1:
            self._levels.append([blake2s(level[k] + level[k + 1]).digest() for k in range(0, len(level), 2)])

    @property
    def head(self) -> RoutingHead:
        return RoutingHead(len(self.decisions), self._levels[-1][0])

    def prove(self, index: int, disclosure: Disclosure) -> RoutingProof:
        """The decision at this place with some fields opened. Raises MarketError for a place that there is not."""
        whole(index, "index", 0, len(self.decisions) - 1)
        path = tuple(level[index >> depth ^ 1] for depth, level in enumerate(self._levels[:-1]))
        return RoutingProof(self.head, index, path, disclosure)


def choose(policy: str, offers: Sequence[Offer]) -> Offer:
    """The offer that a policy takes. Raises MarketError for an unknown policy, no offers, and figures out of bounds."""
    if policy not in POLICIES:
        raise MarketError(f"policy: unknown {policy!r}; choose one of {', '.join(POLICIES)}")
    whole(len(offers), "offers", 1, MAX_OFFERS)
    for offer in offers:
        whole(offer.price, f"offers.{offer.provider}.price", high=MAX_COUNT)
        whole(offer.latency_ms, f"offers.{offer.provider}.latency_ms", high=MAX_COUNT)
        whole(offer.quality, f"offers.{offer.provider}.quality", 0, 100)
    return min(offers, key=lambda offer: (*POLICIES[policy](offer), astuple(offer)))


def check_choice(disclosed: dict[str, bytes]) -> Offer:
    """RoutingCorrect: that the policy takes the named provider and model among the offers. Raises RuleError.

    That the offers are all that there were, no one can show; the providers left out can show theirs."""
    missing = [name for name in ("policy", "offers", "provider", "model") if name not in disclosed]
    if missing:
        raise RuleError(f"routing: {', '.join(missing)} must be disclosed to repeat the choice")
    try:
        source = Reader([int.from_bytes(word, "little") for word in _chunks(disclosed["offers"])])
        offers = source.items(_read_offer, MAX_OFFERS)
        source.end()
        right = choose(disclosed["policy"].decode(), offers)
        named = disclosed["provider"].decode(), disclosed["model"].decode()
    except (StatementError, MarketError, UnicodeDecodeError) as error:
        raise RuleError(f"routing: cannot be read: {error}") from None
    if named != (right.provider, right.model):
        raise RuleError(f"routing: went to {named[0]}, but the policy takes {right.provider}")
    return right


def _height(count: int) -> int:
    return (count - 1).bit_length()


def _sequence(index: int) -> bytes:
    return Writer().i64(index).to_bytes()


def _chunks(data: bytes) -> list[bytes]:
    if len(data) % 4:
        raise StatementError(f"{len(data)} bytes are no words")
    return [data[k : k + 4] for k in range(0, len(data), 4)]


def _write_offer(out: Writer, offer: Offer) -> None:
    out.text(offer.provider).text(offer.model).i64(offer.price).i64(offer.latency_ms).i64(offer.quality)


def _read_offer(source: Reader) -> Offer:
    return Offer(source.text(MAX_TEXT), source.text(MAX_TEXT), source.i64(), source.i64(), source.i64())
