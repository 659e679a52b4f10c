//! The account contract: SNIP-6 with declare and deploy, SRC-5, and a set of signers that only the account changes.
//!
//! A transaction is replayed neither on this chain (the protocol takes every nonce once) nor on another or for another
//! account (chain id and sender are part of the hash that is signed).

use starknet::account::Call;

/// SNIP-6, and the same id for `__validate__`, `__execute__` and `is_valid_signature`.
pub const ISRC6_ID: felt252 = 0x2ceccef7f994940b3962a6c67e0ba4fcd37df7d131417c604f91e03caecc1cd;
/// SNIP-5: `supports_interface`.
pub const ISRC5_ID: felt252 = 0x3f918d17e5ee77373b56385708f855659a07f75997f365cf87748628532a055;

#[starknet::interface]
pub trait IAccount<State> {
    /// 'VALID' if the transaction is signed; called by the protocol alone.
    fn __validate__(self: @State, calls: Array<Call>) -> felt252;
    /// Runs the calls in order and returns what each returned; called by the protocol alone.
    fn __execute__(ref self: State, calls: Array<Call>) -> Array<Span<felt252>>;
    /// 'VALID' if so many signers signed the hash, else 0. The asker has to make the hash itself, from a message that
    /// names this account (SNIP-12): for a hash that a stranger chose, the stranger can have made the signature too.
    fn is_valid_signature(self: @State, hash: felt252, signature: Array<felt252>) -> felt252;
    fn __validate_declare__(self: @State, class_hash: felt252) -> felt252;
    /// The arguments of the constructor follow the salt.
    fn __validate_deploy__(
        self: @State, class_hash: felt252, contract_address_salt: felt252, threshold: u32, signers: Span<felt252>,
    ) -> felt252;
    fn supports_interface(self: @State, interface_id: felt252) -> bool;
    /// Replaces the set, as one change; only by a call of the account to itself, which the present signers signed.
    fn set_signers(ref self: State, threshold: u32, signers: Span<felt252>);
    /// Threshold and public keys, ascending.
    fn get_signers(self: @State) -> (u32, Span<felt252>);
}

#[starknet::contract(account)]
pub mod Account {
    use core::num::traits::Zero;
    use starknet::account::Call;
    use starknet::storage::{
        MutableVecTrait, StoragePointerReadAccess, StoragePointerWriteAccess, Vec, VecTrait,
    };
    use starknet::syscalls::call_contract_syscall;
    use starknet::{SyscallResultTrait, VALIDATED, get_caller_address, get_contract_address, get_tx_info};
    use crate::signers::{check_set, signed};
    use super::{IAccount, ISRC5_ID, ISRC6_ID};

    #[storage]
    struct Storage {
        threshold: u32,
        signers: Vec<felt252>,
    }

    #[event]
    #[derive(Drop, starknet::Event)]
    pub enum Event {
        SignersSet: SignersSet,
    }

    /// The set that holds from now on.
    #[derive(Drop, starknet::Event)]
    pub struct SignersSet {
        pub threshold: u32,
        pub signers: Span<felt252>,
    }

    #[constructor]
    fn constructor(ref self: ContractState, threshold: u32, signers: Span<felt252>) {
        write(ref self, threshold, signers);
    }

    #[abi(embed_v0)]
    impl AccountImpl of IAccount<ContractState> {
        fn __validate__(self: @ContractState, calls: Array<Call>) -> felt252 {
            validate(self)
        }

        fn __execute__(ref self: ContractState, mut calls: Array<Call>) -> Array<Span<felt252>> {
            only_protocol(); // else every contract that the account calls could have it run more, unsigned
            let version: u256 = get_tx_info().unbox().version.into();
            // Version 0 was not validated at all. The upper half marks a simulation, whose hash is another.
            assert(version.low >= 3, 'account: transaction version');
            let mut results = array![];
            while let Some(call) = calls.pop_front() {
                results.append(call_contract_syscall(call.to, call.selector, call.calldata).unwrap_syscall());
            }
            results
        }

        fn is_valid_signature(self: @ContractState, hash: felt252, signature: Array<felt252>) -> felt252 {
            let (threshold, signers) = self.get_signers();
            if signed(hash, signature.span(), threshold, signers) {
                VALIDATED
            } else {
                0
            }
        }

        fn __validate_declare__(self: @ContractState, class_hash: felt252) -> felt252 {
            validate(self)
        }

        fn __validate_deploy__(
            self: @ContractState,
            class_hash: felt252,
            contract_address_salt: felt252,
            threshold: u32,
            signers: Span<felt252>,
        ) -> felt252 {
            validate(self) // by the set that the constructor has just written: the address is made of it
        }

        fn supports_interface(self: @ContractState, interface_id: felt252) -> bool {
            interface_id == ISRC6_ID || interface_id == ISRC5_ID
        }

        fn set_signers(ref self: ContractState, threshold: u32, signers: Span<felt252>) {
            assert(get_caller_address() == get_contract_address(), 'account: only by itself');
            write(ref self, threshold, signers);
        }

        fn get_signers(self: @ContractState) -> (u32, Span<felt252>) {
            let mut signers = array![];
            for place in 0..self.signers.len() {
                signers.append(self.signers.at(place).read());
            }
            (self.threshold.read(), signers.span())
        }
    }

    fn write(ref self: ContractState, threshold: u32, signers: Span<felt252>) {
        check_set(threshold, signers);
        while self.signers.pop().is_some() {}
        for key in signers {
            self.signers.push(*key);
        }
        self.threshold.write(threshold);
        self.emit(SignersSet { threshold, signers });
    }

    fn validate(self: @ContractState) -> felt252 {
        only_protocol();
        let transaction = get_tx_info().unbox();
        let (threshold, signers) = self.get_signers();
        assert(signed(transaction.transaction_hash, transaction.signature, threshold, signers), 'account: signature');
        VALIDATED
    }

    fn only_protocol() {
        assert(get_caller_address().is_zero(), 'account: only by the protocol');
    }
}
