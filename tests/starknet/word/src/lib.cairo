//! Facts by word alone, for tests of what comes after a fact.

#[starknet::interface]
pub trait IFactsByWord<State> {
    /// Makes a statement a fact without any proof.
    fn set(ref self: State, digest: u256, conjectured: u16, proven: u16);
}

#[starknet::contract]
pub mod FactsByWord {
    use octoproof_facts::store::{Security, facts};

    component!(path: facts, storage: facts, event: FactsEvent);

    #[abi(embed_v0)]
    impl Facts = facts::Facts<ContractState>;
    impl FactsInternal = facts::InternalImpl<ContractState>;

    #[storage]
    struct Storage {
        #[substorage(v0)]
        facts: facts::Storage,
    }

    #[event]
    #[derive(Drop, starknet::Event)]
    enum Event {
        #[flat]
        FactsEvent: facts::Event,
    }

    #[abi(embed_v0)]
    impl ByWord of super::IFactsByWord<ContractState> {
        fn set(ref self: ContractState, digest: u256, conjectured: u16, proven: u16) {
            self.facts.store(digest, Security { conjectured, proven });
        }
    }
}
