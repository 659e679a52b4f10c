//! What a claim rests on: a hash, in an envelope that is worth something in one place only.

use core::hash::{HashStateExTrait, HashStateTrait};
use core::num::traits::Zero;
use core::poseidon::PoseidonTrait;
use starknet::{ContractAddress, get_contract_address, get_tx_info};

/// Evidence for one dispute of one contract on one chain. `nonce` counts the beneficiary's envelopes from 0.
///
/// Replayed on another chain, contract or dispute, or for another beneficiary, it is refused (ANCHORS H34, H35).
#[derive(Copy, Drop, Debug, PartialEq, Serde, Hash)]
pub struct Envelope {
    pub chain_id: felt252,
    pub market: ContractAddress,
    pub dispute: u64,
    pub beneficiary: ContractAddress,
    pub nonce: u64,
    pub evidence: u256,
}

#[generate_trait]
pub impl EnvelopeImpl of EnvelopeTrait {
    /// Panics unless it is meant for this dispute of this contract, and for this beneficiary's next turn.
    fn check(self: @Envelope, dispute: u64, beneficiary: ContractAddress, nonce: u64) {
        assert(*self.chain_id == get_tx_info().unbox().chain_id, 'envelope: another chain');
        assert(*self.market == get_contract_address(), 'envelope: another contract');
        assert(*self.dispute == dispute, 'envelope: another dispute');
        assert(*self.beneficiary == beneficiary, 'envelope: another beneficiary');
        assert(*self.nonce == nonce, 'envelope: not the next nonce');
        assert(self.evidence.is_non_zero(), 'evidence: zero');
    }

    fn hash(self: @Envelope) -> felt252 {
        PoseidonTrait::new().update('octoproof evidence').update_with(*self).finalize()
    }
}

/// What names a purchase in the messages that its parties sign: no other chain, contract or purchase has it.
pub fn agreement_of(purchase: u64, buyer: ContractAddress, seller: ContractAddress) -> felt252 {
    PoseidonTrait::new()
        .update('octoproof agreement')
        .update(get_tx_info().unbox().chain_id)
        .update(get_contract_address().into())
        .update(purchase.into())
        .update(buyer.into())
        .update(seller.into())
        .finalize()
}
