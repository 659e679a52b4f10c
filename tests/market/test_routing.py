"""The routing log: a decision's path, what its policy takes, and an audit that reads no prompt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.market.audit import FIELDS, audit
from octoproof.market.commitments import Opening, Record, SealedRecord
from octoproof.market.disclosure import Policy
from octoproof.market.errors import MarketError, RuleError
from octoproof.market.money import MAX_COUNT
from octoproof.market.routing import (
    POLICIES,
    Decision,
    Offer,
    RoutingHead,
    RoutingLog,
    RoutingProof,
    check_choice,
    choose,
)
from verifier.errors import VerificationError

OFFERS = (
    Offer("ann", "gpt-4", 30, 900, 99),
    Offer("bob", "gpt-4", 10, 2_000, 60),
    Offer("cat", "gpt-4", 20, 300, 80),
    Offer("dan", "gpt-4", 12, 500, 90),
)
PROMPTS = [b"a prompt that nobody else may read, number %d" % number for number in range(5)]


def decision(sequence: int, policy: str = "cheapest", chosen: Offer | None = None) -> Decision:
    request = Opening(PROMPTS[sequence % 5], bytes(32)).commitment
    taken = chosen or choose(policy, OFFERS)
    return Decision(sequence, request, policy, OFFERS, taken, 1_000 + sequence, Policy("on_dispute"))


def log(count: int, **lies: Record) -> tuple[list[Record], RoutingLog]:
    """A log of so many decisions, with some of them replaced: `_2=record`."""
    records = [decision(k).record(bytes([k % 256]) * 32) for k in range(count)]
    for place, record in lies.items():
        records[int(place[1:])] = record
    return records, RoutingLog([record.sealed() for record in records])


def proof(records: list[Record], tree: RoutingLog, index: int, names=FIELDS) -> RoutingProof:
    return tree.prove(index, records[index].disclose(names))


@pytest.mark.parametrize(
    ("policy", "provider"), [("cheapest", "bob"), ("fastest", "cat"), ("quality", "ann"), ("balanced", "dan")]
)
def test_policies(policy, provider):
    assert choose(policy, OFFERS).provider == provider
    assert choose(policy, OFFERS[::-1]).provider == provider


NUMBERS = st.integers(0, MAX_COUNT)
SOME_OFFERS = st.lists(
    st.builds(Offer, st.sampled_from("ab"), st.just("x"), NUMBERS, NUMBERS, st.integers(0, 100)), min_size=1, max_size=4
)


@settings(deadline=None)
@given(SOME_OFFERS, st.sampled_from(sorted(POLICIES)))
def test_a_choice_does_not_depend_on_the_order_of_offers(offers, policy):
    assert choose(policy, offers[::-1]) == choose(policy, offers[1:] + offers[:1]) == choose(policy, offers)


@settings(deadline=None)
@given(SOME_OFFERS)
def test_balanced_is_the_exact_quotient(offers):
    taken = choose("balanced", offers)
    for offer in offers:
        assert taken.price * taken.latency_ms * (offer.quality + 1) <= offer.price * offer.latency_ms * (
            taken.quality + 1
        )


@pytest.mark.parametrize("offers", [[], [Offer("a", "m", -1, 0, 0)], [Offer("a", "m", 0, 0, 101)], [OFFERS[0]] * 257])
def test_offers_that_are_none(offers):
    with pytest.raises(MarketError):
        choose("cheapest", offers)
    with pytest.raises(MarketError, match="unknown 'dearest'"):
        choose("dearest", OFFERS)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9])
def test_every_decision_has_a_path_and_no_other_place(count):
    records, tree = log(count)
    root = tree.head.digest()
    for index in range(count):
        told = proof(records, tree, index, ["sequence", "provider"])
        assert told.check(root)["provider"] == b"bob"
        assert not {"request", "offers"} & told.check(root).keys()
        for other in set(range(-1, count + 2)) - {index}:
            with pytest.raises(VerificationError):
                replace(told, index=other).check(root)


def test_proofs_that_lie():
    records, tree = log(5)
    root, told = tree.head.digest(), proof(records, tree, 2)
    told.check(root)
    other_records, other = log(5, _2=decision(2, "fastest").record(bytes(32)))
    lies = [
        replace(told, path=told.path[:-1]),
        replace(told, path=(*told.path, bytes(32))),
        replace(told, path=(bytes(32), *told.path[1:])),
        replace(told, path=(b"", *told.path[1:])),
        replace(told, head=RoutingHead(6, told.head.top)),
        replace(told, head=RoutingHead(0, told.head.top)),
        replace(told, head=other.head),
        replace(told, disclosure=other_records[2].disclose(FIELDS)),
        replace(told, disclosure=replace(told.disclosure, opened=records[3].disclose(FIELDS).opened)),
        proof(other_records, other, 2),
    ]
    first, *others = told.disclosure.record.commitments
    for cut in (first[1][:-1], first[1] + b"\0", b""):
        record = SealedRecord(((first[0], cut), *others))
        lies.append(replace(told, disclosure=replace(told.disclosure, record=record)))
    for lie in lies:
        with pytest.raises(VerificationError):
            lie.check(root)


def test_a_decision_put_at_another_place_is_seen():
    records, tree = log(3, _1=decision(2).record(bytes(32)))
    with pytest.raises(RuleError, match=r"routing\.sequence"):
        proof(records, tree, 1).check(tree.head.digest())


def test_the_filling_of_a_tree_is_no_decision():
    records, tree = log(3)
    assert tree.head.count == 3
    with pytest.raises(MarketError):
        tree.prove(3, records[2].disclose([]))
    with pytest.raises(MarketError):
        RoutingLog([])
    assert RoutingHead(4, tree.head.top).digest() != tree.head.digest()


def test_a_choice_can_be_repeated_by_whoever_is_shown_it():
    records, tree = log(2)
    values = proof(records, tree, 1).check(tree.head.digest())
    assert check_choice(values) == OFFERS[1]
    for name in ("policy", "offers", "provider", "model"):
        with pytest.raises(RuleError, match=f"{name} must be disclosed"):
            check_choice({key: value for key, value in values.items() if key != name})
    for changed in (
        {"policy": b"dearest"},
        {"offers": b"\1"},
        {"offers": values["offers"][:-4]},
        {"provider": b"\xff"},
    ):
        with pytest.raises(RuleError, match="cannot be read"):
            check_choice(values | changed)
    for changed in ({"provider": b"ann"}, {"model": b"gpt-3"}, {"policy": b"fastest"}):
        with pytest.raises(RuleError, match="the policy takes"):
            check_choice(values | changed)


def test_an_audit_provides_what_is_proven_and_flags_the_rest():
    lie = decision(1, "cheapest", chosen=OFFERS[0]).record(bytes(32))  # the dearest, called the cheapest
    records, tree = log(5, _1=lie)
    proofs = {k: proof(records, tree, k) for k in range(5)}
    proofs[2] = proof(records, tree, 2, ["sequence", "policy"])
    proofs[3] = proof(records, tree, 0)
    del proofs[4]
    findings = audit(tree.head.digest(), tree.head, proofs)
    assert [bool(finding.violation) for finding in findings] == [False, True, True, True, True]
    assert "went to ann" in findings[1].violation
    assert "not disclosed: offers, provider" in findings[2].violation
    assert findings[4].violation == "no proof was given"
    assert [finding.index for finding in findings] == list(range(5))
    with pytest.raises(VerificationError, match=r"audit\.head"):
        audit(tree.head.digest(), RoutingHead(4, tree.head.top), proofs)


def test_an_auditor_reads_no_prompt():
    records, tree = log(5)
    findings = audit(tree.head.digest(), tree.head, {k: proof(records, tree, k) for k in range(5)})
    assert not any(finding.violation for finding in findings)
    seen = repr(findings).encode() + b"".join(value for f in findings for value in f.provided.values())
    assert "request" not in findings[0].provided
    for prompt in PROMPTS:
        assert prompt not in seen
        assert prompt[:12] not in seen
