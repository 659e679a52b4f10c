"""The market contract: its calls, and its records as it keeps them (`contracts/market`).

Calls are data; whoever sends them is the party. States, levels, kinds and parties have the names of `octoproof.market`,
whose tables the contract is generated from. Its events are read with `octoproof.starknet.events` and the class's ABI.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2s

from air.statements.question import METRICS, Row
from air.statements.sla_statement import SlaStatement
from air.statements.snapshot import CHANNELS
from air.statements.topk_statement import MODES, TopkStatement
from octoproof.market import dispute as disputes
from octoproof.market import listing as listings
from octoproof.market import purchase as purchases
from octoproof.market.arbitration import EVIDENCE_KINDS, LEVELS
from octoproof.market.errors import MarketError
from octoproof.market.evidence import Exchange
from octoproof.market.money import BPS, MAX_COUNT, whole
from octoproof.market.slashing import Stake
from octoproof.market.tiers import TIERS
from octoproof.starknet.node import Node
from octoproof.starknet.profiles import felt_of, short_string
from octoproof.starknet.statements import PRIME, u256_felts
from octoproof.starknet.transactions import Call

CONTRACT, TOKEN = "Market", "Token"
# In tenths of a bit, what facts must be worth where nobody says otherwise: preset `onchain-proven` at any size.
MIN_CONJECTURED, MIN_PROVEN = 960, 700
KINDS, LEVEL_NAMES, TIER_NAMES = tuple(EVIDENCE_KINDS), tuple(LEVELS), tuple(TIERS)
PARTIES = ("", "claimant", "respondent", "judge", "vote")
DECIDED_BY = ("", disputes.PROOF, disputes.RULING, disputes.SILENCE, disputes.NOBODY)
POTS = ("escrow", "bonds", "stakes")


@dataclass(frozen=True)
class Setting:
    """What a market is fixed to when it is deployed (addresses; tenths of a bit).

    `judge` and `court` rule at the levels of arbitration and of appeals, of disputes that come there only."""

    payment: int
    collateral: int
    sla_facts: int
    answer_facts: int
    registry: int
    treasury: int
    judge: int
    court: int
    min_conjectured: int = MIN_CONJECTURED
    min_proven: int = MIN_PROVEN

    def calldata(self) -> tuple[int, ...]:
        """The constructor's."""
        bits = (self.min_conjectured, self.min_proven)
        rest = (self.registry, self.treasury, self.judge, self.court)
        return (self.payment, self.collateral, self.sla_facts, self.answer_facts, *bits, *rest)


@dataclass(frozen=True)
class ListingRecord:
    """As `listing.Listing`, in a tier's service level; the seller signs its log with `signing_key`."""

    seller: int
    provider: str
    tier: str
    price: int
    quantity: int
    sold: int
    expires: int
    signing_key: int
    state: str


@dataclass(frozen=True)
class PurchaseRecord:
    """As `purchase.Purchase`; `epoch` is the seller's that the requests are in, `snapshot_root` 32 bytes or zeros."""

    listing: int
    buyer: int
    seller: int
    price: int
    quantity: int
    tier: str
    epoch: int
    snapshot_root: bytes
    seller_key: int
    buyer_key: int
    deadline: int
    state: str
    delivered: bool
    refund_bps: int
    in_default: bool
    dispute: int


@dataclass(frozen=True)
class DisputeRecord:
    """As `dispute.Dispute`; what there is none of is "", for `stood` too."""

    purchase: int
    claimant: int
    respondent: int
    kind: str
    level: str
    deadline: int
    owes: str
    state: str
    evidence: bytes
    refund_bps: int
    decided_by: str
    appellant: str
    stood: str
    stood_bps: int


@dataclass(frozen=True)
class Envelope:
    """Evidence (32 bytes) for one dispute. `nonce` is how many envelopes of the beneficiary the market has taken."""

    chain_id: int
    market: int
    dispute: int
    beneficiary: int
    nonce: int
    evidence: bytes


# Tokens


def token_calldata(name: str, symbol: str, supply: int, recipient: int) -> tuple[int, ...]:
    """The constructor's; names have up to 31 ASCII letters. Raises MarketError."""
    texts = []
    for text in (name, symbol):
        if not (text.isascii() and 0 < len(text) < 32):
            raise MarketError(f"token: {text!r:.40} is no name of 1 to 31 ASCII letters")
        texts += [0, felt_of(text), len(text)]
    return (*texts, *_u256(supply), recipient)


def approve(token: int, spender: int, amount: int) -> Call:
    """Lets the spender (the market) take so much."""
    return Call(token, "approve", (spender, *_u256(amount)))


def transfer(token: int, to: int, amount: int) -> Call:
    return Call(token, "transfer", (to, *_u256(amount)))


def balance(node: Node, token: int, account: int) -> int:
    return _number(node.call(token, "balance_of", [account]))


# Sellers


def deposit(market: int, amount: int) -> Call:
    return Call(market, "deposit", _u256(amount))


def withdraw(market: int, amount: int) -> Call:
    return Call(market, "withdraw", _u256(amount))


def publish_epoch(market: int, number: int, root: bytes) -> Call:
    return Call(market, "publish_epoch", (number, *u256_felts(root)))


def create_listing(
    market: int, provider: str, tier: str, price: int, quantity: int, expires: int, signing_key: int
) -> Call:
    """`price` of one prompt in the basic tier. Raises MarketError for what no listing can be."""
    listings.create("", provider, price, quantity, expires, 0)
    place = _place(tier, TIER_NAMES, "tier")
    return Call(market, "create_listing", (felt_of(provider), place, *_u256(price), quantity, expires, signing_key))


def activate_listing(market: int, listing: int) -> Call:
    return Call(market, "activate_listing", (listing,))


def update_listing(market: int, listing: int, quantity: int) -> Call:
    return Call(market, "update_listing", (listing, quantity))


def cancel_listing(market: int, listing: int) -> Call:
    return Call(market, "cancel_listing", (listing,))


def expire_listing(market: int, listing: int) -> Call:
    return Call(market, "expire_listing", (listing,))


def ban_listing(market: int, listing: int) -> Call:
    return Call(market, "ban_listing", (listing,))


# Purchases


def offer(market: int, listing: int, quantity: int, epoch: int, buyer_key: int, snapshot: int = 0) -> Call:
    """`snapshot` is the version of the seller's snapshot whose certificate the buyer has checked; 0 for none."""
    return Call(market, "offer", (listing, whole(quantity, "quantity", 1, MAX_COUNT), epoch, snapshot, buyer_key))


def pay(market: int, purchase: int, price: int) -> Call:
    return Call(market, "pay", (purchase, *_u256(price)))


def deliver(market: int, purchase: int, parts: Sequence[SlaStatement]) -> Call:
    """`parts` of a receipt of scope `agreement`, all of them facts already."""
    return Call(market, "deliver", (purchase, *service_felts(parts)))


def concede(market: int, purchase: int) -> Call:
    return Call(market, "concede", (purchase,))


def accept(market: int, purchase: int) -> Call:
    return Call(market, "accept", (purchase,))


def expire_purchase(market: int, purchase: int) -> Call:
    return Call(market, "expire_purchase", (purchase,))


# Disputes


def file(market: int, purchase: int, kind: str) -> Call:
    return Call(market, "file", (purchase, _place(kind, KINDS, "kind")))


def collect(envelope: Envelope) -> Call:
    told = (envelope.chain_id, envelope.market, envelope.dispute, envelope.beneficiary, envelope.nonce)
    return Call(envelope.market, "collect", (envelope.dispute, *told, *u256_felts(envelope.evidence)))


def prove_service(market: int, dispute: int, parts: Sequence[SlaStatement]) -> Call:
    """Whose evidence is `service_evidence(parts)`."""
    return Call(market, "prove_service", (dispute, *service_felts(parts)))


def disprove_service(market: int, dispute: int, parts: Sequence[SlaStatement]) -> Call:
    return Call(market, "disprove_service", (dispute, *service_felts(parts)))


def prove_answer(
    market: int, dispute: int, exchange: Exchange, asked: TopkStatement, claimed: Sequence[Row], found: Sequence[Row]
) -> Call:
    """`asked` is any part of the query's receipt, `found` its answer, `claimed` what the seller signed instead; the
    evidence is the hash of the response."""
    felts = (*exchange_felts(exchange), *asked_felts(asked), *_rows(claimed), *_rows(found))
    return Call(market, "prove_answer", (dispute, *felts))


def disprove_answer(
    market: int, dispute: int, exchange: Exchange, asked: TopkStatement, claimed: Sequence[Row]
) -> Call:
    felts = (*exchange_felts(exchange), *asked_felts(asked), *_rows(claimed))
    return Call(market, "disprove_answer", (dispute, *felts))


def prove_double(market: int, dispute: int, first: Exchange, second: Exchange) -> Call:
    """Two responses with one number; the evidence is the hash of the first."""
    return Call(market, "prove_double", (dispute, *exchange_felts(first), *exchange_felts(second)))


def respond(market: int, dispute: int, evidence: bytes) -> Call:
    return Call(market, "respond", (dispute, *u256_felts(evidence)))


def rule(market: int, dispute: int, outcome: str, refund_bps: int = 0) -> Call:
    """`outcome` is valid, invalid, or partial with a refund."""
    if outcome not in disputes.DECIDED:
        raise MarketError(f"outcome: {outcome!r:.40}; choose one of {', '.join(disputes.DECIDED)}")
    bps = whole(refund_bps, "refund_bps", high=BPS)
    return Call(market, "rule", (dispute, disputes.STATES.index(outcome), bps))


def appeal(market: int, dispute: int) -> Call:
    return Call(market, "appeal", (dispute,))


def expire_dispute(market: int, dispute: int) -> Call:
    return Call(market, "expire_dispute", (dispute,))


def execute(market: int, dispute: int) -> Call:
    return Call(market, "execute", (dispute,))


# What proofs bring


def service_felts(parts: Sequence[SlaStatement]) -> list[int]:
    """An `SlaReceipt` of `sla.cairo`. Raises MarketError for a receipt that is not of one agreement."""
    header = parts[0].header
    if any(part.scope != "agreement" for part in parts):
        raise MarketError("receipt.scope: the market needs one of scope agreement; prove it for the agreement")
    out = [header.opened, header.closed, header.requests, header.segments, len(parts)]
    for part in parts:
        leaf, totals = part.leaf, part.totals
        out += [part.segment.index, *u256_felts(leaf.head), leaf.count, leaf.first, leaf.rows, leaf.log_size]
        out += [*u256_felts(leaf.row_root), len(leaf.column_roots)]
        for item in leaf.column_roots:
            key = item.key
            out += [CHANNELS.index(key.channel), key.log_blowup_factor, key.lifting_log_size or 0]
            out += u256_felts(item.root)
        out += [len(part.segment.path), *(felt for sibling in part.segment.path for felt in u256_felts(sibling))]
        counts = [count for band in totals.counts for pair in band for count in pair]
        out += [len(counts), *counts, *totals.latency, *totals.tokens]
    return out


def service_evidence(parts: Sequence[SlaStatement]) -> bytes:
    """What names a receipt as evidence: Blake2s of its statements' digests."""
    return blake2s(b"".join(part.digest() for part in parts)).digest()


def exchange_felts(exchange: Exchange) -> list[int]:
    """An `Exchange` of `exchange.cairo`: the seller's signature is under the response."""
    request, response = exchange.request.message, exchange.response.message
    asked = [request.sequence, request.previous, *u256_felts(request.input), request.sent_at]
    told = [response.received_at, response.answered_at, response.status, int(response.valid), response.tokens]
    return [*asked, *told, *u256_felts(response.output), *exchange.response.signature]


def asked_felts(part: TopkStatement) -> list[int]:
    """An `Asked` of `answer.cairo`."""
    question = part.question
    query = [value % PRIME for value in question.query]
    return [MODES.index(part.mode), METRICS.index(question.metric), len(query), *query, question.k, part.probes]


# What the market holds


def listing(node: Node, market: int, id: int) -> ListingRecord:
    """Raises RevertedError for one that there is not; so do the next two."""
    felts = _Felts(node.call(market, "listing", [id]))
    seller, provider, tier = felts.next(), short_string(felts.next()), TIER_NAMES[felts.next()]
    price, quantity, sold, expires, key = felts.u256(), felts.next(), felts.next(), felts.next(), felts.next()
    return ListingRecord(seller, provider, tier, price, quantity, sold, expires, key, listings.STATES[felts.next()])


def purchase(node: Node, market: int, id: int) -> PurchaseRecord:
    felts = _Felts(node.call(market, "purchase", [id]))
    listing, buyer, seller, price = felts.next(), felts.next(), felts.next(), felts.u256()
    quantity, tier, epoch, root = felts.next(), TIER_NAMES[felts.next()], felts.next(), felts.bytes32()
    keys, deadline, state = (felts.next(), felts.next()), felts.next(), purchases.STATES[felts.next()]
    delivered, refund, in_default = bool(felts.next()), felts.next(), bool(felts.next())
    sold = (listing, buyer, seller, price, quantity, tier, epoch, root, *keys)
    return PurchaseRecord(*sold, deadline, state, delivered, refund, in_default, felts.next())


def dispute(node: Node, market: int, id: int) -> DisputeRecord:
    felts = _Felts(node.call(market, "dispute", [id]))
    parties, kind = (felts.next(), felts.next(), felts.next()), KINDS[felts.next()]
    level, deadline, owes = LEVEL_NAMES[felts.next()], felts.next(), PARTIES[felts.next()]
    state, evidence, refund = disputes.STATES[felts.next()], felts.bytes32(), felts.next()
    decided_by, appellant = DECIDED_BY[felts.next()], PARTIES[felts.next()]
    stood = disputes.STATES[felts.next()]
    decided = (state, evidence, refund, decided_by, appellant, "" if stood == disputes.FILED else stood)
    return DisputeRecord(*parties, kind, level, deadline, owes, *decided, felts.next())


def stake_of(node: Node, market: int, seller: int) -> Stake:
    felts = _Felts(node.call(market, "stake_of", [seller]))
    return Stake(felts.u256(), felts.u256(), felts.u256(), felts.next(), bool(felts.next()))


def held(node: Node, market: int, pot: str) -> int:
    """Of `escrow`, `bonds` or `stakes`."""
    return _number(node.call(market, "held", [_place(pot, POTS, "pot")]))


def agreement(node: Node, market: int, purchase: int) -> int:
    """The id of the `Agreement` that the purchase's messages name."""
    return node.call(market, "agreement", [purchase])[0]


def envelopes(node: Node, market: int, beneficiary: int) -> int:
    """The nonce of its next envelope."""
    return node.call(market, "envelopes", [beneficiary])[0]


def next_epoch(node: Node, market: int, seller: int) -> int:
    """The least number that the seller can still publish."""
    return node.call(market, "next_epoch", [seller])[0]


def epoch_root(node: Node, market: int, seller: int, number: int) -> bytes:
    """32 bytes; zeros if it is not published."""
    return _number(node.call(market, "epoch_root", [seller, number])).to_bytes(32, "big")


class _Felts:
    """Reads an answer from its front."""

    def __init__(self, felts: Sequence[int]) -> None:
        self._felts = iter(felts)

    def next(self) -> int:
        return next(self._felts)

    def u256(self) -> int:
        return self.next() + (self.next() << 128)

    def bytes32(self) -> bytes:
        return self.u256().to_bytes(32, "big")


def _number(felts: Sequence[int]) -> int:
    return felts[0] + (felts[1] << 128)


def _u256(amount: int) -> tuple[int, int]:
    return whole(amount, "amount"), 0


def _rows(rows: Sequence[Row]) -> list[int]:
    return [len(rows), *(felt for id, score in rows for felt in (id, score % PRIME))]


def _place(name: str, names: Sequence[str], where: str) -> int:
    if name not in names:
        raise MarketError(f"{where}: unknown {name!r:.40}; choose one of {', '.join(names)}")
    return names.index(name)
