//! An ERC-20 token with a fixed supply, with the names, events and errors of OpenZeppelin's.

use starknet::ContractAddress;

#[starknet::interface]
pub trait IERC20<State> {
    fn name(self: @State) -> ByteArray;
    fn symbol(self: @State) -> ByteArray;
    fn decimals(self: @State) -> u8;
    fn total_supply(self: @State) -> u256;
    fn balance_of(self: @State, account: ContractAddress) -> u256;
    fn allowance(self: @State, owner: ContractAddress, spender: ContractAddress) -> u256;
    fn transfer(ref self: State, recipient: ContractAddress, amount: u256) -> bool;
    fn transfer_from(ref self: State, sender: ContractAddress, recipient: ContractAddress, amount: u256) -> bool;
    fn approve(ref self: State, spender: ContractAddress, amount: u256) -> bool;
}

/// The names in camel case that older wallets call.
#[starknet::interface]
pub trait IERC20Camel<State> {
    fn totalSupply(self: @State) -> u256;
    fn balanceOf(self: @State, account: ContractAddress) -> u256;
    fn transferFrom(ref self: State, sender: ContractAddress, recipient: ContractAddress, amount: u256) -> bool;
}

#[starknet::contract]
pub mod Token {
    use core::num::traits::{Bounded, Zero};
    use starknet::storage::{
        Map, StorageMapReadAccess, StorageMapWriteAccess, StoragePointerReadAccess, StoragePointerWriteAccess,
    };
    use starknet::{ContractAddress, get_caller_address};
    use super::{IERC20, IERC20Camel};

    #[storage]
    struct Storage {
        name: ByteArray,
        symbol: ByteArray,
        total_supply: u256,
        balances: Map<ContractAddress, u256>,
        allowances: Map<(ContractAddress, ContractAddress), u256>,
    }

    #[event]
    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub enum Event {
        Transfer: Transfer,
        Approval: Approval,
    }

    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub struct Transfer {
        #[key]
        pub from: ContractAddress,
        #[key]
        pub to: ContractAddress,
        pub value: u256,
    }

    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub struct Approval {
        #[key]
        pub owner: ContractAddress,
        #[key]
        pub spender: ContractAddress,
        pub value: u256,
    }

    /// All there will ever be goes to the recipient: nothing mints later.
    #[constructor]
    fn constructor(ref self: ContractState, name: ByteArray, symbol: ByteArray, supply: u256, recipient: ContractAddress) {
        assert(recipient.is_non_zero(), 'ERC20: mint to 0');
        self.name.write(name);
        self.symbol.write(symbol);
        self.total_supply.write(supply);
        self.balances.write(recipient, supply);
        self.emit(Transfer { from: Zero::zero(), to: recipient, value: supply });
    }

    #[abi(embed_v0)]
    impl ERC20 of IERC20<ContractState> {
        fn name(self: @ContractState) -> ByteArray {
            self.name.read()
        }

        fn symbol(self: @ContractState) -> ByteArray {
            self.symbol.read()
        }

        fn decimals(self: @ContractState) -> u8 {
            18
        }

        fn total_supply(self: @ContractState) -> u256 {
            self.total_supply.read()
        }

        fn balance_of(self: @ContractState, account: ContractAddress) -> u256 {
            self.balances.read(account)
        }

        fn allowance(self: @ContractState, owner: ContractAddress, spender: ContractAddress) -> u256 {
            self.allowances.read((owner, spender))
        }

        fn transfer(ref self: ContractState, recipient: ContractAddress, amount: u256) -> bool {
            self.move(get_caller_address(), recipient, amount);
            true
        }

        fn transfer_from(
            ref self: ContractState, sender: ContractAddress, recipient: ContractAddress, amount: u256,
        ) -> bool {
            let spender = get_caller_address();
            let allowed = self.allowances.read((sender, spender));
            if allowed != Bounded::MAX { // without end, as OpenZeppelin has it
                assert(allowed >= amount, 'ERC20: insufficient allowance');
                self.allowances.write((sender, spender), allowed - amount);
            }
            self.move(sender, recipient, amount);
            true
        }

        fn approve(ref self: ContractState, spender: ContractAddress, amount: u256) -> bool {
            let owner = get_caller_address();
            assert(spender.is_non_zero(), 'ERC20: approve to 0');
            self.allowances.write((owner, spender), amount);
            self.emit(Approval { owner, spender, value: amount });
            true
        }
    }

    #[abi(embed_v0)]
    impl ERC20Camel of IERC20Camel<ContractState> {
        fn totalSupply(self: @ContractState) -> u256 {
            self.total_supply()
        }

        fn balanceOf(self: @ContractState, account: ContractAddress) -> u256 {
            self.balance_of(account)
        }

        fn transferFrom(
            ref self: ContractState, sender: ContractAddress, recipient: ContractAddress, amount: u256,
        ) -> bool {
            self.transfer_from(sender, recipient, amount)
        }
    }

    #[generate_trait]
    impl Moves of MovesTrait {
        fn move(ref self: ContractState, from: ContractAddress, to: ContractAddress, value: u256) {
            assert(from.is_non_zero(), 'ERC20: transfer from 0');
            assert(to.is_non_zero(), 'ERC20: transfer to 0');
            let held = self.balances.read(from);
            assert(held >= value, 'ERC20: insufficient balance');
            self.balances.write(from, held - value);
            self.balances.write(to, self.balances.read(to) + value);
            self.emit(Transfer { from, to, value });
        }
    }
}
