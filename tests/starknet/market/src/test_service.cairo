//! What a service was like: facts about the right requests, all of them, by proofs that are good enough.

use octoproof_market::interface::{
    IPurchasesDispatcherTrait, IPurchasesSafeDispatcherTrait, IViewsDispatcherTrait,
};
use octoproof_market::rules::{
    EVIDENCE_GARBAGE_RESPONSE, EVIDENCE_LATENCY_HIGH, EVIDENCE_OUTPUT_INVALID, EVIDENCE_PROVIDER_ERROR,
    EVIDENCE_TIMEOUT,
};
use octoproof_market::sla::{Refund, RefundTrait, SlaReceipt, SlaReceiptTrait, Subject, surcharge};
use crate::doubles::IFactsDoubleDispatcherTrait;
use crate::world::{
    CONJECTURED, EPOCH, EPOCH_ROOT, PREMIUM, PROVEN, WorldTrait, all_good, all_lost, buyer, counts, from, late, market,
    part, receipt, refused, seller,
};

fn refund(counts: Span<u64>) -> Refund {
    receipt(counts).refund(PREMIUM)
}

#[test]
fn what_counts_refund() {
    assert(refund(all_good()) == Refund { latency: 0, uptime: 0, outputs: 0, invalid_outputs: 0 }, 'good');
    assert(refund(late()) == Refund { latency: 1000, uptime: 0, outputs: 0, invalid_outputs: 0 }, 'late');
    let lost = refund(all_lost());
    assert(lost == Refund { latency: 0, uptime: 10000, outputs: 500, invalid_outputs: 0 } && lost.total() == 10000, 'lost');
    let invalid = refund(counts(90, 10, 0, [0; 4]));
    assert(invalid == Refund { latency: 0, uptime: 0, outputs: 1000, invalid_outputs: 1000 }, 'invalid');
    assert(refund(counts(0, 0, 9, [0; 4])).total() == 10000, 'nothing answered');
    assert(refund(counts(94, 0, 0, [0, 0, 0, 6])).latency == 2500, 'very late');
    assert(refund(counts(95, 0, 0, [0, 0, 0, 5])).latency == 0, 'nearest rank');
    assert(refund(counts(0, 0, 0, [100, 0, 0, 0])).latency == 0, 'by less than 5 %');
}

#[test]
fn a_claim_is_about_its_own_cause() {
    let lost = refund(counts(80, 0, 10, [0, 10, 0, 0]));
    assert(lost.of_kind(EVIDENCE_LATENCY_HIGH) == Some(500), 'latency');
    assert(lost.of_kind(EVIDENCE_TIMEOUT) == Some(10000), 'timeout');
    assert(lost.of_kind(EVIDENCE_PROVIDER_ERROR) == Some(10000), 'error');
    assert(lost.of_kind(EVIDENCE_OUTPUT_INVALID) == Some(0), 'invalid');
    assert(lost.of_kind(EVIDENCE_GARBAGE_RESPONSE) == None, 'for people');
}

#[test]
fn parts_that_all_must_hold_need_more_bits() {
    assert(surcharge(1) == 0 && surcharge(2) == 10 && surcharge(3) == 20 && surcharge(64) == 60, 'tenths');
}

#[test]
#[feature("safe_dispatcher")]
fn facts_must_be_facts_and_good_enough() {
    let world = market();
    let purchase = world.sold();
    from(seller());
    let shown = receipt(all_good());
    let digest = *shown.digests(@world.subject(purchase))[0];
    refused(world.try_purchases.deliver(purchase, shown), 'epoch: not published');
    world.close_epoch();
    refused(world.try_purchases.deliver(purchase, shown), 'service: not a fact');
    world.facts.set(digest, CONJECTURED - 1, PROVEN);
    refused(world.try_purchases.deliver(purchase, shown), 'service: not a fact');
    world.facts.set(digest, CONJECTURED, PROVEN - 1);
    refused(world.try_purchases.deliver(purchase, shown), 'service: not a fact');
    world.facts.set(digest, CONJECTURED, PROVEN);
    // One count more or less is another statement.
    refused(world.try_purchases.deliver(purchase, receipt(counts(101, 0, 0, [0; 4]))), 'service: not a fact');
    refused(world.try_purchases.deliver(purchase, SlaReceipt { closed: 21, ..shown }), 'service: not a fact');
    world.purchases.deliver(purchase, shown);
}

/// A true fact about other requests is none about this purchase.
#[test]
#[feature("safe_dispatcher")]
fn facts_must_be_about_the_purchase() {
    let world = market();
    let purchase = world.sold();
    world.close_epoch();
    let (shown, own) = (receipt(all_good()), world.subject(purchase));
    let others = [
        Subject { seller: 'another', ..own }, Subject { buyer: 'another', ..own }, Subject { agreement: 9, ..own },
        Subject { epoch: EPOCH + 1, ..own }, Subject { epoch_root: EPOCH_ROOT + 1, ..own }, Subject { tier: 1, ..own },
    ];
    for other in others.span() {
        world.facts.set(*shown.digests(other)[0], 1000, 1000);
        refused(world.try_purchases.deliver(purchase, shown), 'service: not a fact');
    }
    world.facts.set(*shown.digests(@own)[0], 1000, 1000);
    world.purchases.deliver(purchase, shown);
}

#[test]
#[feature("safe_dispatcher")]
fn no_segment_is_left_out_or_counted_twice() {
    let world = market();
    let purchase = world.sold();
    world.close_epoch();
    let (good, bad) = (part(all_good(), 0, 200), part(all_lost(), 100, 200));
    let whole = SlaReceipt { opened: 10, closed: 20, requests: 200, segments: 2, parts: array![good, bad].span() };
    let subject = world.subject(purchase);
    for digest in whole.digests(@subject) {
        world.facts.set(*digest, CONJECTURED, PROVEN);
    }
    // Two proofs of which one may be forged are worth a bit less.
    refused(world.try_purchases.deliver(purchase, whole), 'service: not a fact');
    for digest in whole.digests(@subject) {
        world.facts.set(*digest, CONJECTURED + 10, PROVEN + 10);
    }
    let trial = world.try_purchases;
    refused(trial.deliver(purchase, SlaReceipt { parts: array![].span(), ..whole }), 'parts: out of bounds');
    refused(trial.deliver(purchase, SlaReceipt { parts: array![good].span(), ..whole }), 'parts: one is missing');
    refused(trial.deliver(purchase, SlaReceipt { parts: array![good, good].span(), ..whole }), 'parts: not all in order');
    refused(trial.deliver(purchase, SlaReceipt { parts: array![bad, good].span(), ..whole }), 'parts: not all in order');
    let other = part(all_good(), 100, 300);
    refused(trial.deliver(purchase, SlaReceipt { parts: array![good, other].span(), ..whole }), 'parts: they disagree');
    world.purchases.deliver(purchase, whole);
    assert(world.views.purchase(purchase).refund_bps == 1000, 'both count'); // 190 of 200: exactly 95 %
}

#[test]
#[feature("safe_dispatcher")]
fn classes_are_not_left_out() {
    let world = market();
    let purchase = world.sold();
    world.close_epoch();
    let mut short = all_good();
    let _ = short.pop_back();
    let shown = world.fact(purchase, receipt(short));
    refused(world.try_purchases.deliver(purchase, shown), 'counts: not one for each class');
    from(buyer());
}
