//! A market for AI services: stakes, listings, purchases in escrow, service levels settled by facts, disputes.
//!
//! The rules are `rules`, generated from the tables of octoproof/market, where docs/market.md explains them. What goes
//! from one state to another is pure (`listing`, `purchase`, `dispute`, `payout`); `market` has storage, money and time.

pub mod answer;
pub mod dispute;
pub mod evidence;
pub mod events;
pub mod exchange;
pub mod interface;
pub mod listing;
pub mod market;
pub mod payout;
pub mod purchase;
pub mod rules;
pub mod sla;
pub mod token;
pub mod vault;
