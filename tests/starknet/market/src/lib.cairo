//! Tests of the market contract, with a facts contract and tokens that are made for tests only.

mod doubles;
mod test_answers;
mod test_disputes;
mod test_funds;
mod test_listings;
mod test_purchases;
mod test_service;
mod test_token;
mod world;
