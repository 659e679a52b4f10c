use crate::native::WideFib;

#[starknet::interface]
pub trait IWideFibFacts<TContractState> {
    /// Verifies a proof under the configuration of a preset and stores the statement as a fact. Returns its digest.
    fn verify_wide_fib(ref self: TContractState, preset: felt252, statement: WideFib, proof: Span<felt252>) -> u256;
}

#[starknet::contract]
pub mod WideFibFacts {
    use octoproof_stark::airs::wide_fib_24::WideFib24;
    use octoproof_stark::blake::EMPTY_ROOT;
    use octoproof_stark::verifier::{Claim, verify};
    use crate::native::{WideFib, wide_fib_digest};
    use crate::presets;
    use crate::refuse::require;
    use crate::store::facts;

    const COLUMNS: u32 = 24;

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
    pub enum Event {
        #[flat]
        FactsEvent: facts::Event,
    }

    #[abi(embed_v0)]
    impl WideFibFactsImpl of super::IWideFibFacts<ContractState> {
        fn verify_wide_fib(
            ref self: ContractState, preset: felt252, statement: WideFib, proof: Span<felt252>,
        ) -> u256 {
            let config = presets::config(preset);
            let security = presets::wide_fib_security(preset, statement.log_size);
            require(statement.columns == COLUMNS, 'columns', 'not 24');
            let claim = Claim {
                preprocessed_root: EMPTY_ROOT,
                statement_u64: array![statement.log_size.into()].span(),
                public_terms: array![].span(),
            };
            verify(@WideFib24 { log_size: statement.log_size }, claim, config, proof);
            let digest = wide_fib_digest(statement);
            self.facts.store(digest, security);
            digest
        }
    }
}
