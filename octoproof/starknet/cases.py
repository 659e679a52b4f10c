"""A dispute as a whole, read from the chain: what happened, what was checked, and where the money went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from octoproof.market.dispute import CLOSED, PROOF
from octoproof.market.dispute import STATES as DISPUTE_STATES
from octoproof.market.purchase import STATES as PURCHASE_STATES
from octoproof.starknet import market as calls
from octoproof.starknet.disputes import Step, now_on, timeline
from octoproof.starknet.market import DECIDED_BY, LEVEL_NAMES, PARTIES, DisputeRecord, PurchaseRecord
from octoproof.starknet.node import Node
from octoproof.starknet.trading import Market


@dataclass(frozen=True)
class Moved:
    """An amount in the smallest unit, in the token of prices unless it is of stakes."""

    source: str
    target: str
    amount: int
    why: str
    of_stakes: bool = False


@dataclass(frozen=True)
class Finding:
    """Something that holds, or does not, by what the chain has told."""

    what: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Case:
    """`now` is the time at which it was read."""

    number: int
    market: Market
    dispute: DisputeRecord
    purchase: PurchaseRecord
    steps: tuple[Step, ...]
    now: int

    @property
    def closed(self) -> bool:
        return self.dispute.state in CLOSED

    @property
    def seconds(self) -> int:
        """From filing to the last step, by block times."""
        filed = next(step.at for step in self.steps if step.name == "DisputeFiled")
        return self.steps[-1].at - filed

    def party(self, address: int) -> str:
        """The part that an address has, else the address."""
        setting = self.market.setting
        known = {setting.judge: "judge", setting.court: "court", setting.treasury: "treasury"}
        known |= {self.purchase.buyer: "buyer", self.purchase.seller: "seller"}
        return known.get(address, f"{address:#x}")


def case_of(node: Node, market: Market, number: int) -> Case:
    """Raises RevertedError for a dispute that there is not."""
    dispute = calls.dispute(node, market.address, number)
    purchase = calls.purchase(node, market.address, dispute.purchase)
    steps = timeline(node, market, dispute.purchase, number)
    return Case(number, market, dispute, purchase, tuple(steps), now_on(node))


def moves(case: Case) -> list[Moved]:
    """Every move of money that the steps tell."""
    return [move for step in case.steps for move in _moves(case, step)]


def _moves(case: Case, step: Step) -> Iterator[Moved]:
    told = step.fields
    if step.name == "PurchaseChanged" and PURCHASE_STATES[told["state"]] == "escrowed" and not told["delivered"]:
        yield Moved("buyer", "escrow", case.purchase.price, "price")
    elif step.name == "DisputeFiled":
        yield Moved("buyer", "bonds", told["bond"], "claimant's bond")
    elif step.name == "Settled":
        yield from (
            Moved("escrow", target, amount, why)
            for target, amount, why in (("buyer", told["refunded"], "refund"), ("seller", told["paid"], "payment"))
            if amount
        )
    elif step.name == "BondPaid":
        yield Moved("bonds", case.party(told["to"]), told["amount"], "bond")
    elif step.name == "Slashed" and told["amount"]:
        yield Moved("stake", "treasury", told["amount"], f"offence {told['offences']}", of_stakes=True)


def findings(case: Case) -> list[Finding]:
    """What a reader would check, checked."""
    dispute, setting, money = case.dispute, case.market.setting, moves(case)
    stored = [step for step in case.steps if step.name == "EvidenceStored" and step.fields["envelope"]]
    found = []
    if stored:
        same = all(step.fields["by"] == dispute.claimant for step in stored) and len(stored) == 1
        detail = f"0x{dispute.evidence.hex()} in envelope {stored[0].fields['envelope']:#x}"
        found.append(Finding("evidence is stored once, in an envelope of the claimant's own", same, detail))
    if dispute.decided_by == PROOF:
        bits = f"{setting.min_conjectured / 10:g} bits conjectured and {setting.min_proven / 10:g} proven"
        found.append(Finding("a verified proof decided", True, f"facts count from {bits} on"))
    if case.closed:
        settled = next(step.fields for step in case.steps if step.name == "Settled")
        whole = settled["refunded"] + settled["paid"] == case.purchase.price
        found.append(Finding("refund and payment are the price, to the last unit", whole, f"{case.purchase.price}"))
        bonds = sum(m.amount * ((m.target == "bonds") - (m.source == "bonds")) for m in money)
        appealed = bool(dispute.appellant)  # whose bond came without an event of its own
        found.append(Finding("no bond is left behind", bonds <= 0 if appealed else bonds == 0, f"{max(bonds, 0)} left"))
    late = not case.closed and bool(dispute.owes) and case.now > dispute.deadline
    owed = f"the {dispute.owes} until {dispute.deadline}" if dispute.owes else "nobody"
    found.append(Finding("nobody's time is over", not late, f"owes a move: {owed}"))
    return found


def describe(case: Case, step: Step) -> str:
    """A step in words."""
    told = step.fields
    match step.name:
        case "PurchaseOffered":
            return f"purchase {told['purchase']} offered"
        case "PurchaseChanged":
            done = ", delivered" if told["delivered"] else ""
            refund = f", refund {told['refund_bps'] / 100:g} %" if told["refund_bps"] else ""
            return f"purchase is {PURCHASE_STATES[told['state']]}{done}{refund}"
        case "DisputeFiled":
            return f"claim filed: {case.dispute.kind.replace('_', ' ')}"
        case "EvidenceStored":
            return f"evidence by the {case.party(told['by'])}: {told['evidence']:#066x}"
        case "DisputeChanged":
            owes, decided = PARTIES[told["owes"]], DECIDED_BY[told["decided_by"]]
            text = f"dispute is {DISPUTE_STATES[told['state']].replace('_', ' ')} at level {LEVEL_NAMES[told['level']]}"
            return text + (f", by {decided}" if decided else "") + (f"; the {owes} is next" if owes else "")
        case "Slashed":
            banned = ", and bans it" if told["banned"] else ""
            return f"the stake pays for offence {told['offences']}{banned}"
        case "Settled":
            return "the price leaves escrow"
        case "BondPaid":
            return f"bond to the {case.party(told['to'])}"
    return step.name
