//! Listings: what a seller offers (`octoproof/market/listing.py`).

use core::num::traits::Zero;
use starknet::ContractAddress;
use crate::rules::listing::{CREATED, Guards, event, next};
use crate::rules::{MIN_QUANTITY, MIN_STAKE, Stake, TIERS};

const MAX_COUNT: u64 = 0xffffffffff;
const PROVIDERS: [felt252; 4] = ['openai', 'anthropic', 'google', 'other'];

/// `quantity` prompts at `price` each, in a tier's service level, of which `sold` are sold; open until `expires`.
/// `signing_key` is what the seller signs its log with.
#[derive(Copy, Drop, Debug, PartialEq, Serde, starknet::Store)]
pub struct Listing {
    pub seller: ContractAddress,
    pub provider: felt252,
    pub tier: u8,
    pub price: u256,
    pub quantity: u64,
    pub sold: u64,
    pub expires: u64,
    pub signing_key: felt252,
    pub state: u8,
}

#[generate_trait]
pub impl ListingImpl of ListingTrait {
    /// Panics for one that could not be sold from.
    fn check(self: @Listing, now: u64) {
        let mut known = false;
        for name in PROVIDERS.span() {
            known = known || name == self.provider;
        }
        assert(known, 'provider: unknown');
        assert((*self.tier).into() < TIERS.span().len(), 'tier: unknown');
        assert(*self.price > 0 && *self.price.high == 0, 'price: out of bounds');
        assert(MIN_QUANTITY <= *self.quantity && *self.quantity <= MAX_COUNT, 'quantity: out of bounds');
        assert(now < *self.expires && *self.expires <= MAX_COUNT, 'expires: out of bounds');
        assert(self.signing_key.is_non_zero(), 'signing_key: zero');
        assert(*self.state == CREATED && *self.sold == 0, 'listing: not new');
    }

    /// The listing after an event. `quantity` is how many are bought, or the new total. Panics for what is not allowed.
    fn step(self: Listing, event: u8, by: u8, now: u64, stake: Stake, quantity: u64) -> Listing {
        assert(quantity <= MAX_COUNT, 'quantity: out of bounds');
        let sold = self.sold + quantity;
        let guards = Guards {
            in_time: now <= self.expires,
            overdue: now > self.expires,
            staked: stake.held >= MIN_STAKE && !stake.banned,
            banned: stake.banned,
            in_stock: quantity > 0 && sold < self.quantity,
            sells_out: quantity > 0 && sold == self.quantity,
            above_sold: quantity >= MIN_QUANTITY && quantity > self.sold,
        };
        let Some(state) = next(self.state, event, by, guards) else {
            core::panics::panic(array!['listing: not allowed', self.state.into(), event.into()])
        };
        if event == event::SELL {
            return Listing { state, sold, ..self };
        }
        if event == event::UPDATE {
            return Listing { state, quantity, ..self };
        }
        Listing { state, ..self }
    }
}
