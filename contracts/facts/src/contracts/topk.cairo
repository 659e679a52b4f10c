use crate::topk_result::TopkAnswer;
use crate::topk_statement::TopkStatement;

#[starknet::interface]
pub trait ITopkFacts<TContractState> {
    /// Verifies one part of a query, under the configuration of a preset, and stores it as a fact. Returns its digest.
    /// Panics with the field and what is wrong with it, or with the check that the proof failed.
    fn verify_topk(
        ref self: TContractState, preset: felt252, statement: TopkStatement, proof: Span<felt252>,
    ) -> u256;
    /// From parts that are facts: stores which rows are the k best of the snapshot (strict) or of the probed cells
    /// (ivf) as a fact of its own. Returns its digest, and tells the rows in an event.
    fn combine_topk(ref self: TContractState, answer: TopkAnswer) -> u256;
}

#[starknet::contract]
pub mod TopkFacts {
    use octoproof_stark::verifier::{Claim, verify};
    use crate::presets;
    use crate::refuse::require;
    use crate::snapshot::PlacedSegmentTrait;
    use crate::store::{Security, SecurityTrait, facts};
    use crate::topk_air::{TABLE_LOG, topk_air};
    use crate::topk_result::{TopkAnswer, TopkAnswerTrait};
    use crate::topk_statement::{TopkStatement, TopkStatementTrait};
    use crate::words::{digest_u64s, to_words};

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
    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub enum Event {
        #[flat]
        FactsEvent: facts::Event,
        ResultStored: ResultStored,
    }

    /// How many rows a result has. The rows are in the calldata, and the digest binds them: an event holds 300 felts at
    /// most, and a result of more rows could otherwise be proven but never stored.
    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub struct ResultStored {
        #[key]
        pub digest: u256,
        #[key]
        pub snapshot_root: u256,
        pub rows: u32,
    }

    #[abi(embed_v0)]
    impl TopkFactsImpl of super::ITopkFacts<ContractState> {
        fn verify_topk(
            ref self: ContractState, preset: felt252, statement: TopkStatement, proof: Span<felt252>,
        ) -> u256 {
            let config = presets::config(preset);
            statement.check();
            let log_size = statement.segment.log_size.try_into().unwrap();
            let security = presets::topk_security(preset, log_size);
            let digest = statement.digest();
            let mut words = digest_u64s(digest);
            words.append(log_size.into());
            words.append(TABLE_LOG);
            let claim = Claim {
                preprocessed_root: to_words(
                    statement.segment.column_root(config.log_blowup_factor, config.lifting_log_size),
                ),
                statement_u64: words.span(),
                public_terms: statement.public_terms().span(),
            };
            verify(@topk_air(@statement), claim, config, proof);
            self.facts.store(digest, security);
            digest
        }

        fn combine_topk(ref self: ContractState, answer: TopkAnswer) -> u256 {
            let rows = answer.result();
            let mut weakest = Security { conjectured: 0xffff, proven: 0xffff };
            let parts = answer.statements();
            for part in parts {
                let held = self.facts.security_of(part.digest());
                require(held.conjectured > 0, 'parts', 'not a fact');
                weakest = Security {
                    conjectured: core::cmp::min(weakest.conjectured, held.conjectured),
                    proven: core::cmp::min(weakest.proven, held.proven),
                };
            }
            let digest = answer.result_digest(rows);
            if self.facts.store(digest, weakest.of_parts(parts.len())) {
                self.emit(ResultStored { digest, snapshot_root: answer.snapshot_root, rows: rows.len() });
            }
            digest
        }
    }
}
