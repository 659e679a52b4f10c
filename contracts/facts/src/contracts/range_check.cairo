use crate::native::RangeCheck;

#[starknet::interface]
pub trait IRangeCheckFacts<TContractState> {
    /// Verifies a proof under the configuration of a preset and stores the statement as a fact. Returns its digest.
    fn verify_range_check(
        ref self: TContractState, preset: felt252, statement: RangeCheck, proof: Span<felt252>,
    ) -> u256;
}

#[starknet::contract]
pub mod RangeCheckFacts {
    use octoproof_stark::airs::range_check;
    use octoproof_stark::verifier::{Claim, verify};
    use crate::native::{RangeCheck, range_check_digest};
    use crate::presets;
    use crate::refuse::{require, within};
    use crate::store::facts;

    const COLUMNS: u32 = 3;
    const MIN_LOG_SIZE: u64 = 4;

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
    impl RangeCheckFactsImpl of super::IRangeCheckFacts<ContractState> {
        fn verify_range_check(
            ref self: ContractState, preset: felt252, statement: RangeCheck, proof: Span<felt252>,
        ) -> u256 {
            let config = presets::config(preset);
            let RangeCheck { table_log, log_size, columns } = statement;
            require(columns == COLUMNS, 'columns', 'not 3');
            // The figures are those of users as long as the table; shorter ones look less up.
            within(log_size.into(), MIN_LOG_SIZE, table_log.into(), 'log_size');
            let security = presets::range_check_security(preset, table_log);
            let claim = Claim {
                // The table is a constant of the class: with one of the prover's, any cell would be in range.
                preprocessed_root: presets::range_check_root(table_log),
                statement_u64: array![table_log.into(), log_size.into()].span(),
                public_terms: array![].span(),
            };
            verify(@range_check::RangeCheck { table_log, log_size }, claim, config, proof);
            let digest = range_check_digest(statement);
            self.facts.store(digest, security);
            digest
        }
    }
}
