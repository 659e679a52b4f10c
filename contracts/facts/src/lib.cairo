//! Contracts that verify a statement's proof and remember the statement as a fact.

pub mod contracts;
pub mod native;
pub mod presets;
pub mod question;
pub mod refuse;
pub mod snapshot;
pub mod store;
pub mod topk_air;
pub mod topk_result;
pub mod topk_statement;
pub mod words;
