//! What the market offers. Everything that is refused is so with a short text that names it; states, parties and kinds
//! are the numbers of `rules`.

use octoproof_facts::topk_statement::Row;
use starknet::ContractAddress;
use crate::answer::Asked;
use crate::dispute::Dispute;
use crate::evidence::Envelope;
use crate::exchange::Exchange;
use crate::listing::Listing;
use crate::purchase::Purchase;
use crate::rules::Stake;
use crate::sla::SlaReceipt;
use crate::vault::Pot;

/// What a market is fixed to at construction; nobody can change any of it.
#[derive(Copy, Drop, Debug, PartialEq, Serde, starknet::Store)]
pub struct Setting {
    /// Contracts whose facts count: of service levels, and of answers to vector queries.
    pub sla_facts: ContractAddress,
    pub answer_facts: ContractAddress,
    /// In tenths of a bit, what a fact must be worth.
    pub min_conjectured: u16,
    pub min_proven: u16,
    pub registry: ContractAddress,
    pub treasury: ContractAddress,
    /// Who rules at the levels of arbitration and of appeals: of disputes that come there, and of nothing else.
    pub judge: ContractAddress,
    pub court: ContractAddress,
}

#[starknet::interface]
pub trait ISellers<State> {
    /// Adds to the caller's stake, which backs all its listings.
    fn deposit(ref self: State, amount: u256);
    /// Takes from it, while none of the caller's purchases is open.
    fn withdraw(ref self: State, amount: u256);
    /// Commits to the caller's log of an epoch, once; numbers ascend.
    fn publish_epoch(ref self: State, number: u64, root: u256);
    /// A new listing's number. `signing_key` is the Stark key that the caller signs its log with.
    fn create_listing(
        ref self: State, provider: felt252, tier: u8, price: u256, quantity: u64, expires: u64, signing_key: felt252,
    ) -> u64;
    fn activate_listing(ref self: State, listing: u64);
    fn update_listing(ref self: State, listing: u64, quantity: u64);
    fn cancel_listing(ref self: State, listing: u64);
    /// Anyone may end a listing that is overdue,
    fn expire_listing(ref self: State, listing: u64);
    /// ... or whose seller is banned.
    fn ban_listing(ref self: State, listing: u64);
}

#[starknet::interface]
pub trait IPurchases<State> {
    /// A new purchase's number. `epoch` is one that the seller has not closed; `snapshot` is the version of the seller's
    /// snapshot whose certificate the caller has checked, or 0 where no vectors are involved.
    fn offer(
        ref self: State, listing: u64, quantity: u64, epoch: u64, snapshot: u64, buyer_key: felt252,
    ) -> u64;
    /// Puts the price into escrow; the amount has to be the price.
    fn pay(ref self: State, purchase: u64, amount: u256);
    /// The seller shows by facts what its service was like.
    fn deliver(ref self: State, purchase: u64, receipt: SlaReceipt);
    /// The seller gives all back, as where nothing was asked and there is nothing to show.
    fn concede(ref self: State, purchase: u64);
    /// The buyer agrees to what the delivery says.
    fn accept(ref self: State, purchase: u64);
    /// Anyone may end the wait of a purchase that is overdue.
    fn expire_purchase(ref self: State, purchase: u64);
}

#[starknet::interface]
pub trait IDisputes<State> {
    /// The buyer claims; takes the bond. Returns the dispute's number.
    fn file(ref self: State, purchase: u64, kind: u8) -> u64;
    /// The claimant's evidence, which it has not used before.
    fn collect(ref self: State, dispute: u64, envelope: Envelope);
    /// The claimant's proof, by facts about the requests; the evidence is `sla::evidence_of`.
    fn prove_service(ref self: State, dispute: u64, receipt: SlaReceipt);
    /// ... by the seller's signature under an answer that is not the right one, `found`; the evidence is the response.
    fn prove_answer(
        ref self: State, dispute: u64, exchange: Exchange, asked: Asked, claimed: Span<Row>, found: Span<Row>,
    );
    /// ... by the seller's signatures under two responses with one number; the evidence is the first.
    fn prove_double(ref self: State, dispute: u64, first: Exchange, second: Exchange);
    /// The respondent's proof that there is no such violation,
    fn disprove_service(ref self: State, dispute: u64, receipt: SlaReceipt);
    /// ... or that the answer in the evidence is the right one.
    fn disprove_answer(ref self: State, dispute: u64, exchange: Exchange, asked: Asked, claimed: Span<Row>);
    /// The respondent answers without a proof, with a hash; a judge is next.
    fn respond(ref self: State, dispute: u64, evidence: u256);
    /// The judge or the vote, whoever owes it: VALID, PARTIAL with so many basis points, or INVALID.
    fn rule(ref self: State, dispute: u64, outcome: u8, refund_bps: u64);
    /// The loser asks for a vote; takes the bond.
    fn appeal(ref self: State, dispute: u64);
    /// Anyone may end the wait of a dispute that is overdue,
    fn expire_dispute(ref self: State, dispute: u64);
    /// ... and carry out a decision that stands.
    fn execute(ref self: State, dispute: u64);
}

#[starknet::interface]
pub trait IViews<State> {
    fn setting(self: @State) -> Setting;
    /// Of prices and bonds, and of stakes.
    fn tokens(self: @State) -> (ContractAddress, ContractAddress);
    fn held(self: @State, pot: Pot) -> u256;
    fn stake_of(self: @State, seller: ContractAddress) -> Stake;
    fn open_purchases(self: @State, seller: ContractAddress) -> u64;
    /// 0 if it is not published.
    fn epoch_root(self: @State, seller: ContractAddress, number: u64) -> u256;
    /// The least number that the seller can still publish.
    fn next_epoch(self: @State, seller: ContractAddress) -> u64;
    fn listing(self: @State, id: u64) -> Listing;
    fn purchase(self: @State, id: u64) -> Purchase;
    fn dispute(self: @State, id: u64) -> Dispute;
    /// What the messages of this purchase's parties name.
    fn agreement(self: @State, purchase: u64) -> felt252;
    /// How many envelopes of a beneficiary have been taken: the nonce of its next one.
    fn envelopes(self: @State, beneficiary: ContractAddress) -> u64;
    fn is_used(self: @State, by: ContractAddress, evidence: u256) -> bool;
}
