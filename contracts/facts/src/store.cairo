//! Where facts are kept: statements that have been verified, by digest, with the security of their proofs.

/// Bits of security in tenths, rounded down: what `verifier/security.py` says of the preset and the AIR.
#[derive(Copy, Drop, Debug, Serde, PartialEq)]
pub struct Security {
    pub conjectured: u16,
    pub proven: u16,
}

#[generate_trait]
pub impl SecurityImpl of SecurityTrait {
    /// Of `count` independent proofs that must all hold: a forger needs to break one. Less log2 of the count, rounded up.
    fn of_parts(self: Security, count: u32) -> Security {
        let (mut bits, mut reached) = (0, 1);
        while reached < count {
            reached *= 2;
            bits += 1;
        }
        Security { conjectured: less(self.conjectured, 10 * bits), proven: less(self.proven, 10 * bits) }
    }
}

fn less(value: u16, by: u16) -> u16 {
    if value > by {
        value - by
    } else {
        0
    }
}

impl SecurityPacking of starknet::storage_access::StorePacking<Security, u32> {
    fn pack(value: Security) -> u32 {
        value.conjectured.into() * 0x10000 + value.proven.into()
    }

    fn unpack(value: u32) -> Security {
        let (conjectured, proven) = DivRem::div_rem(value, 0x10000);
        Security { conjectured: conjectured.try_into().unwrap(), proven: proven.try_into().unwrap() }
    }
}

#[starknet::interface]
pub trait IFacts<State> {
    /// Whether the statement has been verified by proofs of at least this security, both in tenths of a bit.
    ///
    /// A consumer that does not say what it needs would take a proof of three queries for one of seventy (ANCHORS H36).
    fn is_fact(self: @State, digest: u256, min_conjectured: u16, min_proven: u16) -> bool;
    /// The best figures so far; zeros if the statement has not been verified.
    fn security_of(self: @State, digest: u256) -> Security;
}

#[starknet::component]
pub mod facts {
    use starknet::storage::{Map, StorageMapReadAccess, StorageMapWriteAccess};
    use super::{IFacts, Security};

    #[storage]
    pub struct Storage {
        facts: Map<u256, Security>,
    }

    #[event]
    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub enum Event {
        FactStored: FactStored,
    }

    /// A statement is a fact from now on, or is one by better proofs than before.
    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub struct FactStored {
        #[key]
        pub digest: u256,
        pub conjectured: u16,
        pub proven: u16,
    }

    #[embeddable_as(Facts)]
    pub impl FactsImpl<TContractState, +HasComponent<TContractState>> of IFacts<ComponentState<TContractState>> {
        fn is_fact(self: @ComponentState<TContractState>, digest: u256, min_conjectured: u16, min_proven: u16) -> bool {
            let held = self.facts.read(digest);
            held.conjectured > 0 && held.conjectured >= min_conjectured && held.proven >= min_proven
        }

        fn security_of(self: @ComponentState<TContractState>, digest: u256) -> Security {
            self.facts.read(digest)
        }
    }

    #[generate_trait]
    pub impl InternalImpl<TContractState, +HasComponent<TContractState>> of InternalTrait<TContractState> {
        /// Keeps the better of each figure, and says whether that changed anything: the same proof a second time does
        /// not, and tells nothing.
        fn store(ref self: ComponentState<TContractState>, digest: u256, security: Security) -> bool {
            let held = self.facts.read(digest);
            let better = Security {
                conjectured: core::cmp::max(held.conjectured, security.conjectured),
                proven: core::cmp::max(held.proven, security.proven),
            };
            if better != held {
                self.facts.write(digest, better);
                self.emit(FactStored { digest, conjectured: better.conjectured, proven: better.proven });
            }
            better != held
        }
    }
}
