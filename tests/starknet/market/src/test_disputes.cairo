//! Disputes: every level, every silence, every must-reject of US-5, and where the money goes.

use octoproof_market::dispute::{NOBODY, PROOF, RULING, SILENCE};
use octoproof_market::events::{BondPaid, DisputeChanged, DisputeFiled, EvidenceStored, Slashed};
use octoproof_market::evidence::{Envelope, EnvelopeTrait};
use octoproof_market::interface::{
    IDisputesDispatcherTrait, IDisputesSafeDispatcherTrait, IPurchasesDispatcherTrait, IPurchasesSafeDispatcherTrait,
    ISellersDispatcherTrait, ISellersSafeDispatcherTrait, IViewsDispatcherTrait, IViewsSafeDispatcherTrait,
};
use octoproof_market::market::Market::Event;
use octoproof_market::rules::dispute::{
    FILED, INVALID, INVESTIGATING, KEEP, PARTIAL, PARTIAL_REFUND, SLASHED, VALID, by,
};
use octoproof_market::rules::{
    APPEAL_DEADLINE_S, APPEAL_WINDOW_S, ARBITRATION_DEADLINE_S, AUTOMATED_DEADLINE_S, CHALLENGE_S,
    EVIDENCE_GARBAGE_RESPONSE, EVIDENCE_LATENCY_HIGH, EVIDENCE_OMISSION, EVIDENCE_OUTPUT_INVALID,
    EVIDENCE_PROVIDER_ERROR, EVIDENCE_TIMEOUT, LEVEL_APPEAL, LEVEL_ARBITRATION, LEVEL_AUTOMATED, LEVEL_EVIDENCE,
    MIN_STAKE, OFFENCE_TIMEOUT, listing as listing_rules, purchase as purchase_rules,
};
use octoproof_market::sla::{SlaReceiptTrait, evidence_of};
use octoproof_market::vault::Pot;
use starknet::testing::pop_log;
use crate::world::{
    CHAIN, NOW, UNIT, World, WorldTrait, all_good, all_lost, at, buyer, court, from, judge, late, market, receipt,
    refused, seller, stranger, told,
};

const HASH: u256 = 0xe71dece;
const BOND: u256 = 10 * UNIT;
const APPEAL_BOND: u256 = 20 * UNIT;

/// A violation that the seller has shown itself, claimed, proven and carried out at once. Returns the dispute.
fn proven(world: @World, purchase: u64) -> u64 {
    from(seller());
    world.purchases.deliver(purchase, world.fact(purchase, receipt(all_lost())));
    from(buyer());
    let dispute = world.disputes.file(purchase, EVIDENCE_PROVIDER_ERROR);
    let shown = receipt(all_lost());
    world.collect(dispute, evidence_of(shown.digests(@world.subject(purchase))));
    world.disputes.prove_service(dispute, shown);
    world.disputes.execute(dispute);
    dispute
}

/// A dispute that only people can decide, as far as the judge.
fn judged(world: @World) -> u64 {
    let dispute = world.disputed(late(), EVIDENCE_GARBAGE_RESPONSE);
    world.collect(dispute, HASH);
    from(seller());
    world.disputes.respond(dispute, 5);
    dispute
}

#[test]
fn a_proven_violation_refunds_and_slashes_at_once() { // US-5, all within one second
    let world = market();
    let purchase = world.sold();
    world.close_epoch();
    let dispute = proven(@world, purchase);
    let found = world.views.dispute(dispute);
    assert(found.state == SLASHED && found.decided_by == PROOF && found.level == LEVEL_AUTOMATED, 'dispute');
    assert(world.views.purchase(purchase).state == purchase_rules::REFUNDED, 'purchase');
    assert(world.moved(buyer()) == (0, 0), 'price and bond are back');
    let stake = world.views.stake_of(seller());
    assert(stake.held == 900 * UNIT && stake.offences == 1 && !stake.banned, 'slashed');
    assert(world.views.held(Pot::Bonds) == 0 && world.views.held(Pot::Escrow) == 0, 'pots');
    assert(world.views.held(Pot::Stakes) == 900 * UNIT, 'stakes');
}

#[test]
fn what_is_told() {
    let world = market();
    let purchase = world.delivered(all_good());
    let mut skipped: Option<Event> = pop_log(world.address);
    while skipped.is_some() {
        skipped = pop_log(world.address);
    }
    from(buyer());
    let dispute = world.disputes.file(purchase, EVIDENCE_TIMEOUT);
    let _: Option<Event> = pop_log(world.address); // the purchase's
    let claimant = buyer();
    let filed = DisputeFiled { dispute, purchase, claimant, kind: EVIDENCE_TIMEOUT, bond: BOND };
    assert(pop_log(world.address) == Some(Event::DisputeFiled(filed)), 'filed');
    let changed = DisputeChanged {
        dispute, state: FILED, level: LEVEL_AUTOMATED, owes: by::CLAIMANT, decided_by: 0, refund_bps: 0,
        deadline: NOW + AUTOMATED_DEADLINE_S,
    };
    assert(pop_log(world.address) == Some(Event::DisputeChanged(changed)), 'changed');
    let envelope = world.envelope(dispute, HASH);
    world.disputes.collect(dispute, envelope);
    let stored = EvidenceStored { dispute, by: claimant, evidence: HASH, envelope: envelope.hash() };
    assert(pop_log(world.address) == Some(Event::EvidenceStored(stored)), 'stored');
}

#[test]
#[feature("safe_dispatcher")]
fn the_fourth_offence_bans() {
    let world = market();
    let listing = world.listed(MIN_STAKE);
    from(buyer());
    let mut purchases = array![];
    for _ in 0..5_u8 {
        purchases.append(world.bought(listing));
    }
    world.close_epoch();
    let mut held = array![900, 750, 525, 187, 187].span();
    for purchase in purchases.span() {
        proven(@world, *purchase);
        let left: u256 = *held.pop_front().unwrap();
        assert(world.views.stake_of(seller()).held / UNIT == left, 'stake');
    }
    let stake = world.views.stake_of(seller());
    assert(stake.held == 187_500_000_000_000_000_000 && stake.banned && stake.offences == 4, 'banned');
    assert(world.moved(buyer()) == (0, 0), 'all refunded, the fifth too');
    from(stranger());
    world.sellers.ban_listing(listing);
    assert(world.views.listing(listing).state == listing_rules::CANCELLED, 'listing');
    from(seller());
    refused(world.try_sellers.deposit(1), 'stake: banned');
    let other = world.sellers.create_listing('other', 0, 1, 10, NOW + 9, 1);
    refused(world.try_sellers.activate_listing(other), 'listing: not allowed');
    world.sellers.withdraw(stake.held); // what is left is not lost
}

#[test]
#[feature("safe_dispatcher")]
fn a_false_claim_loses_its_bond() {
    let world = market();
    let dispute = world.disputed(all_good(), EVIDENCE_TIMEOUT);
    world.collect(dispute, HASH);
    let shown = receipt(all_good());
    refused(world.try_disputes.disprove_service(dispute, shown), 'dispute: not allowed'); // not by the claimant
    refused(world.try_disputes.prove_service(dispute, shown), 'evidence: another');
    from(seller());
    world.disputes.disprove_service(dispute, shown);
    from(stranger());
    world.disputes.execute(dispute);
    assert(world.views.dispute(dispute).state == KEEP, 'dispute');
    assert(world.views.purchase(1).state == purchase_rules::CONFIRMED, 'purchase');
    assert(world.moved(seller()) == (200 * UNIT + BOND, 0), 'seller');
    assert(world.moved(buyer()) == (0, 200 * UNIT + BOND), 'buyer');
    assert(told(@world, Event::BondPaid(BondPaid { dispute, to: seller(), amount: BOND })), 'event');
}

#[test]
#[feature("safe_dispatcher")]
fn a_true_claim_cannot_be_disproven() {
    let world = market();
    let dispute = world.disputed(all_lost(), EVIDENCE_TIMEOUT);
    world.collect(dispute, HASH);
    from(seller());
    refused(world.try_disputes.disprove_service(dispute, receipt(all_lost())), 'service: a violation');
}

#[test]
fn a_partial_violation_refunds_a_part() {
    let world = market();
    let dispute = world.disputed(late(), EVIDENCE_LATENCY_HIGH);
    let shown = receipt(late());
    world.collect(dispute, evidence_of(shown.digests(@world.subject(1))));
    world.disputes.prove_service(dispute, shown);
    world.disputes.execute(dispute);
    assert(world.views.dispute(dispute).state == PARTIAL_REFUND, 'dispute');
    assert(world.views.purchase(1).state == purchase_rules::PARTIALLY_REFUNDED, 'purchase');
    assert(world.moved(buyer()) == (0, 180 * UNIT), 'bond is back');
    assert(world.views.stake_of(seller()).offences == 0, 'no offence');
}

#[test]
#[feature("safe_dispatcher")]
fn a_claim_without_a_violation_proves_nothing() {
    let world = market();
    let dispute = world.disputed(all_good(), EVIDENCE_TIMEOUT);
    let shown = receipt(all_good());
    world.collect(dispute, evidence_of(shown.digests(@world.subject(1))));
    refused(world.try_disputes.prove_service(dispute, shown), 'dispute: not allowed');
}

#[test]
#[feature("safe_dispatcher")]
fn only_the_buyer_files_and_only_after_a_delivery() {
    let world = market();
    let purchase = world.sold();
    from(buyer());
    refused(world.try_disputes.file(purchase, 0), 'purchase: not allowed');
    world.close_epoch();
    world.purchases.deliver(purchase, world.fact(purchase, receipt(all_good())));
    refused(world.try_disputes.file(purchase, 0), 'purchase: not allowed'); // the seller
    from(stranger());
    refused(world.try_disputes.file(purchase, 0), 'purchase: not allowed');
    from(buyer());
    refused(world.try_disputes.file(purchase, 11), 'kind: unknown');
    at(NOW + CHALLENGE_S + 1);
    refused(world.try_disputes.file(purchase, 0), 'purchase: not allowed');
    at(NOW + CHALLENGE_S);
    world.disputes.file(purchase, 0);
    refused(world.try_disputes.file(purchase, 0), 'purchase: not allowed'); // not twice
    refused(world.try_purchases.accept(purchase), 'purchase: not allowed');
    refused(world.try_views.dispute(9), 'dispute: there is none');
}

#[test]
#[feature("safe_dispatcher")]
fn no_dispute_about_what_is_completed() {
    let world = market();
    let purchase = world.delivered(all_good());
    from(buyer());
    world.purchases.accept(purchase);
    refused(world.try_disputes.file(purchase, 0), 'purchase: not allowed');
}

#[test]
#[feature("safe_dispatcher")]
fn no_step_is_skipped() { // filed to slashed, say
    let world = market();
    let dispute = world.disputed(all_lost(), EVIDENCE_TIMEOUT);
    let trial = world.try_disputes;
    let shown = receipt(all_lost());
    from(buyer());
    refused(trial.execute(dispute), 'dispute: not allowed');
    refused(trial.prove_service(dispute, shown), 'evidence: another');
    refused(trial.appeal(dispute), 'dispute: not allowed');
    refused(trial.expire_dispute(dispute), 'dispute: not allowed');
    from(seller());
    refused(trial.respond(dispute, 1), 'dispute: not allowed');
    refused(trial.disprove_service(dispute, shown), 'service: a violation');
    from(judge());
    refused(trial.rule(dispute, VALID, 0), 'dispute: not allowed');
    refused(trial.rule(dispute, SLASHED, 0), 'outcome: unknown');
}

#[test]
#[feature("safe_dispatcher")]
fn evidence_serves_once() {
    let world = market();
    let listing = world.listed(MIN_STAKE);
    let (first, second) = (world.bought(listing), world.bought(listing));
    world.close_epoch();
    for purchase in [first, second].span() {
        from(seller());
        world.purchases.deliver(*purchase, world.fact(*purchase, receipt(all_good())));
    }
    from(buyer());
    let (one, other) = (world.disputes.file(first, 0), world.disputes.file(second, 0));
    world.collect(one, HASH);
    assert(world.views.is_used(buyer(), HASH) && !world.views.is_used(seller(), HASH), 'stored');
    let trial = world.try_disputes;
    refused(trial.collect(one, world.envelope(one, HASH + 1)), 'dispute: not allowed'); // one set of evidence
    refused(trial.collect(other, world.envelope(other, HASH)), 'dispute: not allowed'); // the same twice
    assert(world.views.envelopes(buyer()) == 1, 'what is refused is not counted');
    world.collect(other, HASH + 1);
}

#[test]
#[feature("safe_dispatcher")]
fn an_envelope_is_for_one_place() {
    let world = market();
    let dispute = world.disputed(all_good(), EVIDENCE_TIMEOUT);
    from(buyer());
    let (own, trial) = (world.envelope(dispute, HASH), world.try_disputes);
    refused(trial.collect(dispute, Envelope { chain_id: 'SN_MAIN', ..own }), 'envelope: another chain');
    refused(trial.collect(dispute, Envelope { market: stranger(), ..own }), 'envelope: another contract');
    refused(trial.collect(dispute, Envelope { dispute: 2, ..own }), 'envelope: another dispute');
    refused(trial.collect(dispute, Envelope { beneficiary: stranger(), ..own }), 'envelope: another beneficiary');
    refused(trial.collect(dispute, Envelope { nonce: 1, ..own }), 'envelope: not the next nonce');
    refused(trial.collect(dispute, Envelope { evidence: 0, ..own }), 'evidence: zero');
    for other in [stranger(), seller(), judge()].span() { // front-running helps nobody
        from(*other);
        refused(trial.collect(dispute, own), 'envelope: another beneficiary');
        refused(trial.collect(dispute, Envelope { beneficiary: *other, ..own }), 'dispute: not allowed');
    }
    from(buyer());
    world.disputes.collect(dispute, own);
    assert(own.hash() != Envelope { chain_id: CHAIN + 1, ..own }.hash(), 'hash');
}

#[test]
#[feature("safe_dispatcher")]
fn a_claimant_without_evidence_loses() {
    let world = market();
    let dispute = world.disputed(late(), EVIDENCE_TIMEOUT);
    at(NOW + AUTOMATED_DEADLINE_S);
    refused(world.try_disputes.expire_dispute(dispute), 'dispute: not allowed');
    at(NOW + AUTOMATED_DEADLINE_S + 1);
    from(buyer());
    refused(world.try_disputes.collect(dispute, world.envelope(dispute, HASH)), 'dispute: not allowed');
    from(stranger());
    world.disputes.expire_dispute(dispute);
    world.disputes.execute(dispute);
    assert(world.views.dispute(dispute).decided_by == SILENCE, 'silence');
    // A claim that fails does not undo what the seller itself has shown.
    assert(world.moved(seller()) == (180 * UNIT + BOND, 0), 'seller');
}

#[test]
#[feature("safe_dispatcher")]
fn a_silent_respondent_loses() {
    let world = market();
    let dispute = world.disputed(all_good(), EVIDENCE_OMISSION);
    world.collect(dispute, HASH);
    at(NOW + AUTOMATED_DEADLINE_S);
    refused(world.try_disputes.expire_dispute(dispute), 'dispute: not allowed');
    at(NOW + AUTOMATED_DEADLINE_S + 1);
    from(seller());
    refused(world.try_disputes.respond(dispute, 1), 'dispute: not allowed');
    refused(world.try_disputes.disprove_service(dispute, receipt(all_good())), 'kind: not about the service');
    from(stranger());
    world.disputes.expire_dispute(dispute);
    world.disputes.execute(dispute);
    assert(world.views.dispute(dispute).state == SLASHED, 'slashed');
    assert(world.moved(buyer()) == (0, 0) && world.views.stake_of(seller()).offences == 1, 'money');
}

#[test]
#[feature("safe_dispatcher")]
fn what_only_people_can_judge_never_goes_the_automated_way() {
    let world = market();
    let dispute = world.disputed(all_lost(), EVIDENCE_GARBAGE_RESPONSE);
    assert(world.views.dispute(dispute).level == LEVEL_EVIDENCE, 'level');
    let shown = receipt(all_lost());
    world.collect(dispute, evidence_of(shown.digests(@world.subject(1))));
    refused(world.try_disputes.prove_service(dispute, shown), 'kind: not about the service');
}

#[test]
fn invalid_outputs_go_the_automated_way() {
    let world = market();
    let counts = crate::world::counts(0, 100, 0, [0; 4]);
    let dispute = world.disputed(counts, EVIDENCE_OUTPUT_INVALID);
    let shown = receipt(counts);
    world.collect(dispute, evidence_of(shown.digests(@world.subject(1))));
    world.disputes.prove_service(dispute, shown);
    assert(world.views.dispute(dispute).state == VALID, 'valid');
}

#[test]
#[feature("safe_dispatcher")]
fn a_judge_rules_and_its_ruling_waits_for_an_appeal() {
    let world = market();
    let dispute = judged(@world);
    assert(world.views.dispute(dispute).level == LEVEL_ARBITRATION, 'level');
    let trial = world.try_disputes;
    for other in [seller(), buyer(), stranger(), court()].span() {
        from(*other);
        refused(trial.rule(dispute, VALID, 0), 'dispute: not allowed');
    }
    from(judge());
    refused(trial.rule(dispute, PARTIAL, 0), 'dispute: not allowed');
    refused(trial.rule(dispute, PARTIAL, 10000), 'dispute: not allowed');
    refused(trial.rule(dispute, PARTIAL, 10001), 'refund: out of bounds');
    world.disputes.rule(dispute, PARTIAL, 4000);
    refused(trial.rule(dispute, VALID, 0), 'dispute: not allowed');
    at(NOW + APPEAL_WINDOW_S);
    refused(trial.execute(dispute), 'dispute: not allowed');
    at(NOW + APPEAL_WINDOW_S + 1);
    from(buyer());
    refused(trial.appeal(dispute), 'dispute: not allowed');
    world.disputes.execute(dispute);
    let found = world.views.dispute(dispute);
    assert(found.state == PARTIAL_REFUND && found.decided_by == RULING, 'state');
    assert(world.moved(buyer()) == (0, 120 * UNIT) && world.moved(seller()) == (120 * UNIT, 0), 'money');
}

#[test]
#[feature("safe_dispatcher")]
fn an_appeal_that_changes_nothing_costs_its_bond() {
    let world = market();
    let dispute = judged(@world);
    from(judge());
    world.disputes.rule(dispute, INVALID, 0);
    from(seller());
    refused(world.try_disputes.appeal(dispute), 'dispute: not allowed'); // it has won
    from(buyer());
    world.disputes.appeal(dispute);
    refused(world.try_disputes.appeal(dispute), 'dispute: not allowed'); // once
    assert(world.views.held(Pot::Bonds) == BOND + APPEAL_BOND, 'bonds');
    from(judge());
    refused(world.try_disputes.rule(dispute, INVALID, 0), 'dispute: not allowed'); // the vote's turn
    from(court());
    world.disputes.rule(dispute, INVALID, 0);
    from(buyer());
    refused(world.try_disputes.appeal(dispute), 'dispute: not allowed');
    world.disputes.execute(dispute); // at once: nobody is above the vote
    assert(world.moved(seller()) == (180 * UNIT + BOND + APPEAL_BOND, 0), 'seller');
    assert(world.views.held(Pot::Bonds) == 0, 'no bond is left');
}

#[test]
fn an_appeal_that_changes_the_ruling_gets_its_bond_back() {
    let world = market();
    let dispute = judged(@world);
    from(judge());
    world.disputes.rule(dispute, INVALID, 0);
    from(buyer());
    world.disputes.appeal(dispute);
    from(court());
    world.disputes.rule(dispute, VALID, 0);
    world.disputes.execute(dispute);
    assert(world.views.dispute(dispute).state == SLASHED, 'slashed');
    assert(world.moved(buyer()) == (0, 0) && world.moved(seller()) == (0, 0), 'all back');
    assert(world.views.stake_of(seller()).held == 900 * UNIT, 'stake');
}

#[test]
fn where_nobody_decides_the_ruling_stands() {
    let world = market();
    let dispute = judged(@world);
    from(judge());
    world.disputes.rule(dispute, VALID, 0);
    from(seller());
    world.disputes.appeal(dispute);
    at(NOW + APPEAL_DEADLINE_S + 1);
    from(stranger());
    world.disputes.expire_dispute(dispute);
    world.disputes.execute(dispute);
    let found = world.views.dispute(dispute);
    assert(found.state == SLASHED && found.decided_by == NOBODY && found.level == LEVEL_APPEAL, 'state');
    assert(world.moved(buyer()) == (0, 0) && world.moved(seller()) == (0, 0), 'bonds are back');
}

#[test]
fn where_nobody_ever_decides_the_payment_stands() {
    let world = market();
    let dispute = judged(@world);
    at(NOW + ARBITRATION_DEADLINE_S + 1);
    from(stranger());
    world.disputes.expire_dispute(dispute); // up to the vote
    let found = world.views.dispute(dispute);
    assert(found.state == INVESTIGATING && found.owes == by::VOTE, 'vote');
    at(NOW + ARBITRATION_DEADLINE_S + APPEAL_DEADLINE_S + 2);
    world.disputes.expire_dispute(dispute);
    world.disputes.execute(dispute);
    assert(world.views.dispute(dispute).state == KEEP, 'keep');
    // Late by the seller's own receipt; the claim has not been found false, so its bond is back.
    assert(world.moved(seller()) == (180 * UNIT, 0) && world.moved(buyer()) == (0, 180 * UNIT), 'money');
}

#[test]
#[feature("safe_dispatcher")]
fn a_dispute_is_paid_out_once() {
    let world = market();
    let purchase = world.sold();
    world.close_epoch();
    let dispute = proven(@world, purchase);
    at(NOW + 100_000_000);
    for account in [buyer(), seller(), judge(), court(), stranger()].span() {
        from(*account);
        refused(world.try_disputes.execute(dispute), 'dispute: not allowed');
        refused(world.try_disputes.expire_dispute(dispute), 'dispute: not allowed');
        refused(world.try_disputes.appeal(dispute), 'dispute: not allowed');
        refused(world.try_purchases.accept(purchase), 'purchase: not allowed');
        refused(world.try_purchases.expire_purchase(purchase), 'purchase: not allowed');
    }
}

#[test]
fn the_offence_is_told() {
    let world = market();
    let purchase = world.sold();
    world.close_epoch();
    from(seller());
    world.purchases.concede(purchase);
    from(buyer());
    let dispute = world.disputes.file(purchase, EVIDENCE_TIMEOUT);
    let shown = world.fact(purchase, receipt(all_lost()));
    world.collect(dispute, evidence_of(shown.digests(@world.subject(purchase))));
    world.disputes.prove_service(dispute, shown);
    world.disputes.execute(dispute);
    let slashed = Slashed {
        seller: seller(), purchase, offence: OFFENCE_TIMEOUT, amount: 100 * UNIT, held: 900 * UNIT, offences: 1,
        banned: false,
    };
    assert(told(@world, Event::Slashed(slashed)), 'event');
}
