//! One contract a type of statement. None has an owner, an upgrade or a switch: what its class says is all it can do.

pub mod plonk;
pub mod range_check;
pub mod topk;
pub mod wide_fib;
