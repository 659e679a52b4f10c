//! A Circle STARK verifier for Stwo 2.3.0 proofs (Blake2s), with one generated evaluator per AIR.
pub mod air;
pub mod airs;
pub mod blake;
pub mod channel;
pub mod circle;
pub mod config;
pub mod fri;
pub mod lanes;
pub mod logup;
pub mod m31;
pub mod merkle;
pub mod qm31;
pub mod quotients;
pub mod twiddles;
pub mod verifier;
pub mod words;
