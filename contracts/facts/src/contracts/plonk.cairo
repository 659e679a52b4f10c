use crate::native::Plonk;

#[starknet::interface]
pub trait IPlonkFacts<TContractState> {
    /// Verifies a proof under the configuration of a preset and stores the statement as a fact. Returns its digest.
    fn verify_plonk(ref self: TContractState, preset: felt252, statement: Plonk, proof: Span<felt252>) -> u256;
}

#[starknet::contract]
pub mod PlonkFacts {
    use octoproof_stark::airs::plonk;
    use octoproof_stark::verifier::{Claim, verify};
    use crate::native::{P, Plonk, plonk_digest, plonk_terms};
    use crate::presets;
    use crate::refuse::require;
    use crate::store::facts;

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
    impl PlonkFactsImpl of super::IPlonkFacts<ContractState> {
        fn verify_plonk(ref self: ContractState, preset: felt252, statement: Plonk, proof: Span<felt252>) -> u256 {
            let config = presets::config(preset);
            let Plonk { log_size, a0, b0 } = statement;
            let security = presets::plonk_security(preset, log_size);
            // One input has one name: P would be the same input as 0 under another digest.
            require(a0 < P, 'a0', 'not below 2^31 - 1');
            require(b0 < P, 'b0', 'not below 2^31 - 1');
            let claim = Claim {
                // The wiring is a constant of the class: with one of the prover's, it is another circuit.
                preprocessed_root: presets::plonk_root(log_size),
                statement_u64: array![log_size.into(), a0.into(), b0.into()].span(),
                public_terms: plonk_terms(statement).span(),
            };
            verify(@plonk::Plonk { log_size }, claim, config, proof);
            let digest = plonk_digest(statement);
            self.facts.store(digest, security);
            digest
        }
    }
}
