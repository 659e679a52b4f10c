//! Which snapshot roots an owner has published, and since which block: an append-only record.

pub mod registry;
#[cfg(test)]
mod test_registry;
