//! Where the money goes when a purchase or a dispute is over (`octoproof/market/case.py`).
//!
//! Shares are rounded down: of a price, the buyer's refund is, and the seller gets what is left.

use starknet::ContractAddress;
use crate::dispute::{Dispute, NOBODY};
use crate::rules::dispute::{FILED, INVALID, KEEP, PARTIAL, PARTIAL_REFUND, SLASHED, VALID, by};
use crate::rules::{APPEAL_BOND_BPS, BOND_BPS, share};

/// An amount out of the bonds.
#[derive(Copy, Drop, Debug, PartialEq)]
pub struct Bond {
    pub to: ContractAddress,
    pub amount: u256,
}

/// What a claimant deposits: lost to the respondent if the claim fails.
pub fn bond(price: u256) -> u256 {
    core::cmp::max(1, share(price, BOND_BPS))
}

/// What an appellant deposits: lost to the other party if the vote changes nothing.
pub fn appeal_bond(price: u256) -> u256 {
    core::cmp::max(1, share(price, APPEAL_BOND_BPS))
}

/// A price as (refund to the buyer, rest to the seller).
pub fn split(price: u256, refund_bps: u64) -> (u256, u256) {
    let refund = share(price, refund_bps);
    (refund, price - refund)
}

/// The bonds of a dispute that was carried out, the claimant's first.
pub fn bonds(dispute: @Dispute, price: u256) -> Array<Bond> {
    let (claimant, respondent) = (*dispute.claimant, *dispute.respondent);
    // Where nobody ever decided, nobody has said that the claim is false.
    let unfounded = *dispute.decided_by == NOBODY && *dispute.stood == FILED;
    let loses = *dispute.state == KEEP && !unfounded;
    let mut out = array![Bond { to: if loses {
        respondent
    } else {
        claimant
    }, amount: bond(price) }];
    if *dispute.appellant != by::ANYONE {
        let (appellant, other) = if *dispute.appellant == by::CLAIMANT {
            (claimant, respondent)
        } else {
            (respondent, claimant)
        };
        let unchanged = before(dispute) == (*dispute.state, *dispute.refund_bps);
        let lost = unchanged && *dispute.decided_by != NOBODY;
        out.append(Bond { to: if lost {
            other
        } else {
            appellant
        }, amount: appeal_bond(price) });
    }
    out
}

/// How the ruling that was appealed against would have ended.
fn before(dispute: @Dispute) -> (u8, u64) {
    let stood = *dispute.stood;
    let closed = if stood == VALID {
        SLASHED
    } else if stood == PARTIAL {
        PARTIAL_REFUND
    } else {
        assert(stood == INVALID, 'dispute: no ruling before');
        KEEP
    };
    (closed, *dispute.stood_bps)
}
