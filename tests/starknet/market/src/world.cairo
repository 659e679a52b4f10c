//! A market with its parties: everybody has tokens and has approved the market.

use core::ec::stark_curve::{GEN_X, GEN_Y, ORDER};
use core::ec::{EcPointTrait, EcStateTrait};
use core::math::{u256_inv_mod, u256_mul_mod_n};
use octoproof_market::evidence::Envelope;
use octoproof_market::exchange::{Exchange, ExchangeTrait, Parties};
use octoproof_market::interface::{
    IDisputesDispatcher, IDisputesDispatcherTrait, IDisputesSafeDispatcher, IPurchasesDispatcher,
    IPurchasesDispatcherTrait, IPurchasesSafeDispatcher, ISellersDispatcher, ISellersDispatcherTrait,
    ISellersSafeDispatcher, IViewsDispatcher, IViewsDispatcherTrait, IViewsSafeDispatcher, Setting,
};
use octoproof_market::market::Market;
use octoproof_market::market::Market::Event;
use octoproof_market::rules::MIN_STAKE;
use octoproof_market::sla::{SlaPart, SlaReceipt, SlaReceiptTrait, Subject};
use octoproof_market::token::{IERC20Dispatcher, IERC20DispatcherTrait, Token};
use octoproof_registry::registry::{IRegistryDispatcher, IRegistryDispatcherTrait, SnapshotRegistry};
use starknet::syscalls::deploy_syscall;
use starknet::testing::{pop_log, set_block_timestamp, set_chain_id, set_contract_address};
use starknet::{ClassHash, ContractAddress};
use crate::doubles::{FactsDouble, IFactsDoubleDispatcher, IFactsDoubleDispatcherTrait};

pub const CHAIN: felt252 = 'OCTO_DEVNET_TEST';
pub const NOW: u64 = 1_000_000;
pub const SECRET: u256 = 0x1234567;
pub const UNIT: u256 = 1_000_000_000_000_000_000;
pub const FUNDS: u256 = 100_000 * UNIT;
pub const EPOCH: u64 = 5;
pub const EPOCH_ROOT: u256 = 0x5eed;
pub const SNAPSHOT_ROOT: u256 = 0x5a45;
pub const CONJECTURED: u16 = 960;
pub const PROVEN: u16 = 700;
pub const PREMIUM: u8 = 2;

/// By interface; the safe ones return what a call panics with.
#[derive(Copy, Drop)]
pub struct World {
    pub address: ContractAddress,
    pub sellers: ISellersDispatcher,
    pub purchases: IPurchasesDispatcher,
    pub disputes: IDisputesDispatcher,
    pub views: IViewsDispatcher,
    pub try_sellers: ISellersSafeDispatcher,
    pub try_purchases: IPurchasesSafeDispatcher,
    pub try_disputes: IDisputesSafeDispatcher,
    pub try_views: IViewsSafeDispatcher,
    pub payment: IERC20Dispatcher,
    pub collateral: IERC20Dispatcher,
    pub facts: IFactsDoubleDispatcher,
    pub registry: IRegistryDispatcher,
}

pub fn address(number: felt252) -> ContractAddress {
    number.try_into().unwrap()
}

pub fn seller() -> ContractAddress {
    address('seller')
}

pub fn buyer() -> ContractAddress {
    address('buyer')
}

pub fn stranger() -> ContractAddress {
    address('stranger')
}

pub fn judge() -> ContractAddress {
    address('judge')
}

pub fn court() -> ContractAddress {
    address('court')
}

pub fn treasury() -> ContractAddress {
    address('treasury')
}

/// The next call is this one's.
pub fn from(caller: ContractAddress) {
    set_contract_address(caller);
}

pub fn at(time: u64) {
    set_block_timestamp(time);
}

pub fn deploy(class: ClassHash, salt: felt252, calldata: Array<felt252>) -> ContractAddress {
    let (address, _) = deploy_syscall(class, salt, calldata.span(), false).unwrap();
    address
}

pub fn token(salt: felt252, recipient: ContractAddress) -> ContractAddress {
    let mut calldata = array![];
    let (name, symbol): (ByteArray, ByteArray) = ("Octo work", "OCTO-W");
    name.serialize(ref calldata);
    symbol.serialize(ref calldata);
    (10 * FUNDS).serialize(ref calldata);
    calldata.append(recipient.into());
    deploy(Token::TEST_CLASS_HASH, salt, calldata)
}

pub fn setting(facts: ContractAddress, registry: ContractAddress) -> Setting {
    Setting {
        sla_facts: facts,
        answer_facts: facts,
        min_conjectured: CONJECTURED,
        min_proven: PROVEN,
        registry,
        treasury: treasury(),
        judge: judge(),
        court: court(),
    }
}

/// A market on these two tokens.
pub fn market_on(payment: ContractAddress, collateral: ContractAddress) -> World {
    set_chain_id(CHAIN);
    at(NOW);
    let facts = deploy(FactsDouble::TEST_CLASS_HASH, 0, array![]);
    let registry = deploy(SnapshotRegistry::TEST_CLASS_HASH, 0, array![]);
    let mut calldata = array![payment.into(), collateral.into()];
    setting(facts, registry).serialize(ref calldata);
    let contract_address = deploy(Market::TEST_CLASS_HASH, 0, calldata);
    World {
        address: contract_address,
        sellers: ISellersDispatcher { contract_address },
        purchases: IPurchasesDispatcher { contract_address },
        disputes: IDisputesDispatcher { contract_address },
        views: IViewsDispatcher { contract_address },
        try_sellers: ISellersSafeDispatcher { contract_address },
        try_purchases: IPurchasesSafeDispatcher { contract_address },
        try_disputes: IDisputesSafeDispatcher { contract_address },
        try_views: IViewsSafeDispatcher { contract_address },
        payment: IERC20Dispatcher { contract_address: payment },
        collateral: IERC20Dispatcher { contract_address: collateral },
        facts: IFactsDoubleDispatcher { contract_address: facts },
        registry: IRegistryDispatcher { contract_address: registry },
    }
}

pub fn market() -> World {
    let world = market_on(token(1, treasury()), token(2, treasury()));
    for account in [seller(), buyer(), stranger()].span() {
        from(treasury());
        world.payment.transfer(*account, FUNDS);
        world.collateral.transfer(*account, FUNDS);
        from(*account);
        world.payment.approve(world.address, FUNDS);
        world.collateral.approve(world.address, FUNDS);
    }
    world
}

#[generate_trait]
pub impl WorldImpl of WorldTrait {
    /// An active listing of 1,000 prompts at 1 unit each, premium, by a seller with so much at stake.
    fn listed(self: @World, stake: u256) -> u64 {
        from(seller());
        self.sellers.deposit(stake);
        let listing = self.sellers.create_listing('other', PREMIUM, UNIT, 1000, NOW + 10_000_000, public_key(SECRET));
        self.sellers.activate_listing(listing);
        listing
    }

    /// A purchase of 100 prompts for 200 units (premium is twice the price), in escrow.
    fn bought(self: @World, listing: u64) -> u64 {
        from(buyer());
        let version = if self.registry.latest_version(seller()) > 0 {
            1
        } else {
            0
        };
        let purchase = self.purchases.offer(listing, 100, EPOCH, version, 1);
        self.purchases.pay(purchase, 200 * UNIT);
        purchase
    }

    /// The first purchase of a fresh market, in escrow; the seller has 1,000 units at stake.
    fn sold(self: @World) -> u64 {
        self.bought(self.listed(MIN_STAKE))
    }

    fn close_epoch(self: @World) {
        from(seller());
        self.sellers.publish_epoch(EPOCH, EPOCH_ROOT);
    }

    fn publish_snapshot(self: @World) {
        from(seller());
        self.registry.publish(1, SNAPSHOT_ROOT);
    }

    fn subject(self: @World, purchase: u64) -> Subject {
        Subject {
            seller: seller().into(),
            buyer: buyer().into(),
            agreement: self.views.agreement(purchase),
            epoch: EPOCH,
            epoch_root: EPOCH_ROOT,
            tier: PREMIUM,
        }
    }

    /// The receipt, after its statements were made facts.
    fn fact(self: @World, purchase: u64, receipt: SlaReceipt) -> SlaReceipt {
        for digest in receipt.digests(@self.subject(purchase)) {
            self.facts.set(*digest, CONJECTURED, PROVEN);
        }
        receipt
    }

    /// A purchase whose seller has shown these counts.
    fn delivered(self: @World, counts: Span<u64>) -> u64 {
        let purchase = self.sold();
        self.close_epoch();
        self.purchases.deliver(purchase, self.fact(purchase, receipt(counts)));
        purchase
    }

    /// A dispute about it.
    fn disputed(self: @World, counts: Span<u64>, kind: u8) -> u64 {
        let purchase = self.delivered(counts);
        from(buyer());
        self.disputes.file(purchase, kind)
    }

    /// The buyer's evidence, in a proper envelope.
    fn collect(self: @World, dispute: u64, evidence: u256) {
        from(buyer());
        self.disputes.collect(dispute, self.envelope(dispute, evidence));
    }

    fn envelope(self: @World, dispute: u64, evidence: u256) -> Envelope {
        let (beneficiary, nonce) = (buyer(), self.views.envelopes(buyer()));
        Envelope { chain_id: CHAIN, market: *self.address, dispute, beneficiary, nonce, evidence }
    }

    fn parties(self: @World, purchase: u64) -> Parties {
        Parties {
            agreement: self.views.agreement(purchase),
            epoch: EPOCH,
            buyer: buyer().into(),
            seller: seller().into(),
            seller_key: public_key(SECRET),
        }
    }

    /// What an account has gained or lost of the token for prices, as (gained, lost).
    fn moved(self: @World, account: ContractAddress) -> (u256, u256) {
        difference(self.payment.balance_of(account))
    }
}

fn difference(balance: u256) -> (u256, u256) {
    if balance >= FUNDS {
        (balance - FUNDS, 0)
    } else {
        (0, FUNDS - balance)
    }
}

/// Good, invalid and failed requests within the first edge, and good ones in each later band.
pub fn counts(good: u64, invalid: u64, failed: u64, late: [u64; 4]) -> Span<u64> {
    let mut out = array![0, failed, 0, invalid, 0, good];
    for band in late.span() {
        for count in [0, 0, 0, 0, 0, *band].span() {
            out.append(*count);
        }
    }
    out.span()
}

pub fn all_good() -> Span<u64> {
    counts(100, 0, 0, [0; 4])
}

/// A tenth of all fails: availability below 95 %, which refunds everything.
pub fn all_lost() -> Span<u64> {
    counts(90, 0, 10, [0; 4])
}

/// More than a twentieth is late by 10 to 25 %: 10 % refund.
pub fn late() -> Span<u64> {
    counts(90, 0, 0, [0, 0, 10, 0])
}

pub fn total(counts: Span<u64>) -> u64 {
    let mut sum = 0;
    for count in counts {
        sum += *count;
    }
    sum
}

/// An epoch of one segment.
pub fn receipt(counts: Span<u64>) -> SlaReceipt {
    let rows = total(counts);
    SlaReceipt { opened: 10, closed: 20, requests: rows, segments: 1, parts: array![part(counts, 0, rows)].span() }
}

/// A segment that begins with this request of `count`.
pub fn part(counts: Span<u64>, first: u64, count: u64) -> SlaPart {
    SlaPart {
        index: 0,
        head: 7,
        count,
        first,
        rows: total(counts),
        log_size: 10,
        row_root: 8,
        column_roots: array![].span(),
        path: array![].span(),
        counts,
        latency: (1, 2),
        tokens: (3, 4),
    }
}

/// Whether the market has told this; what it has told is read to its end.
pub fn told(world: @World, wanted: Event) -> bool {
    let mut found = false;
    while let Some(event) = pop_log::<Event>(*world.address) {
        found = found || @event == @wanted;
    }
    found
}

/// Fails unless the call was refused with this text.
pub fn refused<T, +Drop<T>>(result: Result<T, Array<felt252>>, why: felt252) {
    match result {
        Ok(_) => core::panics::panic(array!['not refused', why]),
        Err(data) => if *data[0] != why {
            core::panics::panic(array!['refused otherwise', why, *data[0]]);
        },
    }
}

fn times(scalar: u256) -> felt252 {
    let generator = EcPointTrait::new_nz(GEN_X, GEN_Y).unwrap();
    let mut state = EcStateTrait::init();
    state.add_mul(scalar.try_into().unwrap(), generator);
    state.finalize_nz().unwrap().x()
}

pub fn public_key(secret: u256) -> felt252 {
    times(secret)
}

/// Stark ECDSA with a nonce that is no secret.
pub fn sign(hash: felt252, secret: u256) -> (felt252, felt252) {
    let order: NonZero<u256> = Into::<felt252, u256>::into(ORDER).try_into().unwrap();
    let nonce: u256 = 0x98765;
    let r = times(nonce);
    let sum = (hash.into() + u256_mul_mod_n(r.into(), secret, order)) % order.into();
    let inverse: u256 = u256_inv_mod(nonce, order).unwrap().into();
    (r, u256_mul_mod_n(sum, inverse, order).try_into().unwrap())
}

/// A response with this output, signed by the secret's owner.
pub fn exchange(parties: @Parties, sequence: u64, output: u256, secret: u256) -> Exchange {
    let unsigned = Exchange {
        sequence,
        previous: 3,
        input: 4,
        sent_at: 11,
        received_at: 12,
        answered_at: 13,
        status: 200,
        valid: true,
        tokens: 5,
        output,
        r: 0,
        s: 0,
    };
    signed(unsigned, parties, secret)
}

pub fn signed(unsigned: Exchange, parties: @Parties, secret: u256) -> Exchange {
    let (r, s) = sign(unsigned.response_hash(parties), secret);
    Exchange { r, s, ..unsigned }
}
