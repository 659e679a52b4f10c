//! The money that the market holds: what came in for which purpose, so that nothing is paid from what is another's.
//!
//! Prices and bonds are in one token, stakes in another. Both are chosen at construction, and are still not trusted: one
//! that calls back meets a lock, one that keeps a fee or returns false is refused.

/// Why money is held.
#[derive(Copy, Drop, Debug, PartialEq, Serde)]
pub enum Pot {
    Escrow,
    Bonds,
    Stakes,
}

#[starknet::component]
pub mod vault {
    use core::num::traits::Zero;
    use starknet::storage::{
        Map, StorageMapReadAccess, StorageMapWriteAccess, StoragePointerReadAccess, StoragePointerWriteAccess,
    };
    use starknet::{ContractAddress, get_contract_address};
    use crate::token::{IERC20Dispatcher, IERC20DispatcherTrait};
    use super::Pot;

    #[storage]
    pub struct Storage {
        payment: ContractAddress,
        collateral: ContractAddress,
        held: Map<felt252, u256>,
        busy: bool,
    }

    #[event]
    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub enum Event {}

    #[generate_trait]
    pub impl VaultImpl<TContractState, +HasComponent<TContractState>> of VaultTrait<TContractState> {
        fn open(ref self: ComponentState<TContractState>, payment: ContractAddress, collateral: ContractAddress) {
            assert(payment.is_non_zero() && collateral.is_non_zero(), 'token: zero address');
            self.payment.write(payment);
            self.collateral.write(collateral);
        }

        fn tokens(self: @ComponentState<TContractState>) -> (ContractAddress, ContractAddress) {
            (self.payment.read(), self.collateral.read())
        }

        fn held(self: @ComponentState<TContractState>, pot: Pot) -> u256 {
            self.held.read(key(pot))
        }

        /// Every function that changes anything is between `lock` and `unlock`: a token that calls back while it is
        /// asked to move money would otherwise find a state of which half is written (ANCHORS H37).
        fn lock(ref self: ComponentState<TContractState>) {
            assert(!self.busy.read(), 'market: re-entered');
            self.busy.write(true);
        }

        fn unlock(ref self: ComponentState<TContractState>) {
            self.busy.write(false);
        }

        /// Takes an amount that the account has approved. Panics if less than that arrives.
        fn take(ref self: ComponentState<TContractState>, pot: Pot, from: ContractAddress, amount: u256) {
            assert(amount > 0, 'amount: zero');
            self.held.write(key(pot), self.held.read(key(pot)) + amount);
            let (token, own) = (self.token(pot), get_contract_address());
            let before = token.balance_of(own);
            assert(token.transfer_from(from, own, amount), 'token: refused');
            assert(token.balance_of(own) == before + amount, 'token: not the amount');
        }

        /// Gives an amount out, nothing if it is zero. Panics before it gives what another pot holds.
        fn give(ref self: ComponentState<TContractState>, pot: Pot, to: ContractAddress, amount: u256) {
            if amount == 0 {
                return;
            }
            let held = self.held.read(key(pot));
            assert(held >= amount, 'vault: the pot holds less');
            self.held.write(key(pot), held - amount);
            assert(self.token(pot).transfer(to, amount), 'token: refused');
        }
    }

    #[generate_trait]
    impl Tokens<TContractState, +HasComponent<TContractState>> of TokensTrait<TContractState> {
        fn token(self: @ComponentState<TContractState>, pot: Pot) -> IERC20Dispatcher {
            let contract_address = match pot {
                Pot::Stakes => self.collateral.read(),
                _ => self.payment.read(),
            };
            IERC20Dispatcher { contract_address }
        }
    }

    fn key(pot: Pot) -> felt252 {
        match pot {
            Pot::Escrow => 'escrow',
            Pot::Bonds => 'bonds',
            Pot::Stakes => 'stakes',
        }
    }
}
