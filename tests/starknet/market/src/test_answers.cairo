//! What the seller signed: an answer that a fact contradicts, and two responses with one number.

use octoproof_facts::question::Question;
use octoproof_facts::topk_statement::Row;
use octoproof_market::answer::{Asked, answer_digest};
use octoproof_market::exchange::{Exchange, ExchangeTrait};
use octoproof_market::interface::{
    IDisputesDispatcherTrait, IDisputesSafeDispatcherTrait, IViewsDispatcherTrait,
};
use octoproof_market::rules::dispute::{KEEP, SLASHED};
use octoproof_market::rules::{EVIDENCE_DOUBLE, EVIDENCE_TIMEOUT, EVIDENCE_WRONG_ANSWER};
use crate::doubles::IFactsDoubleDispatcherTrait;
use crate::world::{
    CONJECTURED, PROVEN, SECRET, SNAPSHOT_ROOT, UNIT, World, WorldTrait, all_good, buyer, exchange, from, market,
    refused, seller, signed, stranger,
};

fn asked() -> Asked {
    Asked { mode: 0, question: Question { metric: 1, query: array![3, -4].span(), k: 2 }, probes: 0 }
}

fn right() -> Span<Row> {
    array![Row { id: 8, score: -1 }, Row { id: 3, score: -5 }].span()
}

fn wrong() -> Span<Row> {
    array![Row { id: 3, score: -1 }, Row { id: 8, score: -5 }].span()
}

/// A dispute about an answer, with the right one known as a fact, and what the seller signed.
fn answered(world: @World, claimed: Span<Row>) -> (u64, Exchange) {
    world.publish_snapshot();
    let dispute = world.disputed(all_good(), EVIDENCE_WRONG_ANSWER);
    world.facts.set(answer_digest(SNAPSHOT_ROOT, @asked(), right()), CONJECTURED, PROVEN);
    let parties = world.parties(1);
    let told = exchange(@parties, 2, answer_digest(SNAPSHOT_ROOT, @asked(), claimed), SECRET);
    world.collect(dispute, told.check(@parties).into());
    (dispute, told)
}

#[test]
#[feature("safe_dispatcher")]
fn a_wrong_answer_slashes() {
    let world = market();
    let (dispute, told) = answered(@world, wrong());
    from(seller());
    refused(world.try_disputes.disprove_answer(dispute, told, asked(), wrong()), 'answer: not a fact');
    refused(world.try_disputes.prove_answer(dispute, told, asked(), wrong(), right()), 'dispute: not allowed');
    from(buyer());
    world.disputes.prove_answer(dispute, told, asked(), wrong(), right());
    world.disputes.execute(dispute);
    assert(world.views.dispute(dispute).state == SLASHED, 'slashed');
    assert(world.moved(buyer()) == (0, 0) && world.views.stake_of(seller()).held == 900 * UNIT, 'money');
}

#[test]
#[feature("safe_dispatcher")]
fn a_right_answer_is_defended() {
    let world = market();
    let (dispute, told) = answered(@world, right());
    let trial = world.try_disputes;
    refused(trial.prove_answer(dispute, told, asked(), right(), right()), 'answer: the claimed one');
    refused(trial.prove_answer(dispute, told, asked(), right(), wrong()), 'answer: not a fact');
    from(seller());
    world.disputes.disprove_answer(dispute, told, asked(), right());
    world.disputes.execute(dispute);
    assert(world.views.dispute(dispute).state == KEEP && world.moved(seller()) == (210 * UNIT, 0), 'bond');
}

#[test]
#[feature("safe_dispatcher")]
fn only_what_the_seller_signed_about_this_purchase_counts() {
    let world = market();
    let (dispute, told) = answered(@world, wrong());
    let trial = world.try_disputes;
    let unsigned = 'response: not signed by seller';
    let other_row = array![Row { id: 4, score: -1 }].span();
    refused(trial.prove_answer(dispute, told, asked(), other_row, right()), 'answer: not what was signed');
    let other_question = Asked { mode: 1, ..asked() };
    refused(trial.prove_answer(dispute, told, other_question, wrong(), right()), 'answer: not what was signed');
    let other_output = Exchange { output: told.output + 1, ..told };
    refused(trial.prove_answer(dispute, other_output, asked(), wrong(), right()), unsigned);
    refused(trial.prove_answer(dispute, Exchange { sequence: 3, ..told }, asked(), wrong(), right()), unsigned);
    refused(trial.prove_answer(dispute, Exchange { r: 1, ..told }, asked(), wrong(), right()), unsigned);
    let forged = exchange(@world.parties(1), 2, told.output, SECRET + 1);
    refused(trial.prove_answer(dispute, forged, asked(), wrong(), right()), unsigned);
    // Signed, but not what the evidence names.
    let second = exchange(@world.parties(1), 3, told.output, SECRET);
    refused(trial.prove_answer(dispute, second, asked(), wrong(), right()), 'evidence: another');
    // A response that says it failed claims nothing.
    world.facts.set(answer_digest(SNAPSHOT_ROOT, @asked(), right()), CONJECTURED, PROVEN - 1);
    refused(trial.prove_answer(dispute, told, asked(), wrong(), right()), 'answer: not a fact');
}

#[test]
#[feature("safe_dispatcher")]
fn a_failed_request_has_no_wrong_answer() {
    let world = market();
    world.publish_snapshot();
    let dispute = world.disputed(all_good(), EVIDENCE_WRONG_ANSWER);
    let parties = world.parties(1);
    let output = answer_digest(SNAPSHOT_ROOT, @asked(), wrong());
    let failed = Exchange { status: 500, valid: false, ..exchange(@parties, 2, output, SECRET) };
    let told = signed(failed, @parties, SECRET);
    world.collect(dispute, told.check(@parties).into());
    refused(world.try_disputes.prove_answer(dispute, told, asked(), wrong(), right()), 'response: no answer');
}

#[test]
#[feature("safe_dispatcher")]
fn a_purchase_without_vectors_has_no_wrong_answer() {
    let world = market();
    let dispute = world.disputed(all_good(), EVIDENCE_WRONG_ANSWER);
    let told = exchange(@world.parties(1), 2, answer_digest(0, @asked(), wrong()), SECRET);
    world.collect(dispute, 5);
    refused(world.try_disputes.prove_answer(dispute, told, asked(), wrong(), right()), 'purchase: has no snapshot');
}

#[test]
#[feature("safe_dispatcher")]
fn two_answers_to_one_number_slash() {
    let world = market();
    let dispute = world.disputed(all_good(), EVIDENCE_DOUBLE);
    let parties = world.parties(1);
    let (one, two) = (exchange(@parties, 2, 1, SECRET), exchange(@parties, 2, 9, SECRET));
    world.collect(dispute, one.check(@parties).into());
    let trial = world.try_disputes;
    refused(trial.prove_double(dispute, two, one), 'evidence: another');
    refused(trial.prove_double(dispute, one, one), 'double: the same response');
    refused(trial.prove_double(dispute, one, exchange(@parties, 3, 9, SECRET)), 'double: two numbers');
    refused(trial.prove_double(dispute, one, exchange(@parties, 2, 9, SECRET + 1)), 'response: not signed by seller');
    refused(trial.prove_answer(dispute, one, asked(), wrong(), right()), 'kind: not a wrong answer');
    from(stranger());
    refused(trial.prove_double(dispute, one, two), 'dispute: not allowed');
    from(buyer());
    world.disputes.prove_double(dispute, one, two);
    world.disputes.execute(dispute);
    assert(world.views.dispute(dispute).state == SLASHED, 'slashed');
}

#[test]
#[feature("safe_dispatcher")]
fn a_proof_is_of_the_kind_that_was_claimed() {
    let world = market();
    let dispute = world.disputed(all_good(), EVIDENCE_TIMEOUT);
    let parties = world.parties(1);
    let (one, two) = (exchange(@parties, 2, 1, SECRET), exchange(@parties, 2, 9, SECRET));
    world.collect(dispute, one.check(@parties).into());
    refused(world.try_disputes.prove_double(dispute, one, two), 'kind: not a double answer');
}
