//! An account of k-of-n signers: what it runs, and who may change it, is what its signers signed.

pub mod account;
pub mod signers;

#[cfg(test)]
mod tests;
