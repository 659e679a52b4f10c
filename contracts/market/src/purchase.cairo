//! Purchases: the price in escrow until it is released, refunded or disputed (`octoproof/market/purchase.py`).

use starknet::ContractAddress;
use crate::rules::purchase::{ESCROWED, Guards, INITIATED, event, next};
use crate::rules::{BPS, CHALLENGE_S, DELIVERY_S, ESCROW_S, TIERS};

/// `epoch` is the seller's epoch that the requests belong to, `snapshot_root` the vectors that they are about, or 0.
/// `refund_bps` is what the buyer gets back as things stand, `deadline` the last second of who owes the next move.
#[derive(Copy, Drop, Debug, PartialEq, Serde, starknet::Store)]
pub struct Purchase {
    pub listing: u64,
    pub buyer: ContractAddress,
    pub seller: ContractAddress,
    pub price: u256,
    pub quantity: u64,
    pub tier: u8,
    pub epoch: u64,
    pub snapshot_root: u256,
    pub seller_key: felt252,
    pub buyer_key: felt252,
    pub deadline: u64,
    pub state: u8,
    pub delivered: bool,
    pub refund_bps: u64,
    pub in_default: bool,
    pub dispute: u64,
}

#[generate_trait]
pub impl PurchaseImpl of PurchaseTrait {
    /// How long an offer waits to be paid.
    fn offered_until(now: u64) -> u64 {
        now + ESCROW_S
    }

    /// The purchase after an event. `refund_bps` comes with a delivery, from the receipt, and with the end of a dispute:
    /// then the larger of both holds, since a claim that fails does not undo what the seller has shown. `proven`: a
    /// verified receipt says so, or the seller concedes all. Panics for what is not allowed.
    fn step(self: Purchase, event: u8, by: u8, now: u64, paid: u256, refund_bps: u64, proven: bool) -> Purchase {
        assert(refund_bps <= BPS, 'refund: out of bounds');
        let refund = core::cmp::max(self.refund_bps, refund_bps);
        let guards = Guards {
            in_time: now <= self.deadline,
            overdue: now > self.deadline,
            paid_in_full: paid == self.price,
            delivered: self.delivered,
            undelivered: !self.delivered,
            proven,
            refund_none: refund == 0,
            refund_partial: 0 < refund && refund < BPS,
            refund_full: refund == BPS,
        };
        let Some(state) = next(self.state, event, by, guards) else {
            core::panics::panic(array!['purchase: not allowed', self.state.into(), event.into()])
        };
        if event == event::ESCROW {
            return Purchase { state, deadline: now + DELIVERY_S, ..self };
        }
        if event == event::DELIVER {
            return Purchase { state, delivered: true, refund_bps: refund, deadline: now + CHALLENGE_S, ..self };
        }
        if event == event::EXPIRE && self.state == ESCROWED && !self.delivered {
            return Purchase { state, refund_bps: BPS, in_default: true, ..self };
        }
        if event == event::RESOLVE {
            return Purchase { state, refund_bps: refund, ..self };
        }
        Purchase { state, ..self }
    }
}

/// What so many prompts cost in a tier, rounded down. Panics unless it is at least one unit and below 2^128.
pub fn price_of(base: u256, quantity: u64, tier: u8) -> u256 {
    let bps = *TIERS.span()[tier.into()].price_bps;
    let price = base * quantity.into() * bps.into() / BPS.into();
    assert(price > 0 && price.high == 0, 'price: out of bounds');
    price
}

/// A purchase that nobody has paid yet begins here.
pub const FIRST: u8 = INITIATED;
