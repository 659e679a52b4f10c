//! What is taken for the real thing in tests alone.

use starknet::ContractAddress;

#[starknet::interface]
pub trait IFactsDouble<State> {
    /// Makes a statement a fact without any proof.
    fn set(ref self: State, digest: u256, conjectured: u16, proven: u16);
}

#[starknet::contract]
pub mod FactsDouble {
    use octoproof_facts::store::{IFacts, Security};
    use starknet::storage::{Map, StorageMapReadAccess, StorageMapWriteAccess};

    #[storage]
    struct Storage {
        facts: Map<u256, (u16, u16)>,
    }

    #[abi(embed_v0)]
    impl Double of super::IFactsDouble<ContractState> {
        fn set(ref self: ContractState, digest: u256, conjectured: u16, proven: u16) {
            self.facts.write(digest, (conjectured, proven));
        }
    }

    #[abi(embed_v0)]
    impl Facts of IFacts<ContractState> {
        fn is_fact(self: @ContractState, digest: u256, min_conjectured: u16, min_proven: u16) -> bool {
            let (conjectured, proven) = self.facts.read(digest);
            conjectured > 0 && conjectured >= min_conjectured && proven >= min_proven
        }

        fn security_of(self: @ContractState, digest: u256) -> Security {
            let (conjectured, proven) = self.facts.read(digest);
            Security { conjectured, proven }
        }
    }
}

/// What a hostile token does when it is asked to move something.
pub const HONEST: u8 = 0;
pub const KEEPS_A_UNIT: u8 = 1;
pub const SAYS_NO: u8 = 2;
/// Calls the market again, and passes on what that panics with.
pub const CALLS_BACK: u8 = 3;

#[starknet::interface]
pub trait IHostile<State> {
    fn set(ref self: State, mood: u8, market: ContractAddress, selector: felt252, calldata: Array<felt252>);
    fn balance_of(self: @State, account: ContractAddress) -> u256;
    fn transfer(ref self: State, recipient: ContractAddress, amount: u256) -> bool;
    fn transfer_from(ref self: State, sender: ContractAddress, recipient: ContractAddress, amount: u256) -> bool;
}

#[starknet::contract]
pub mod HostileToken {
    use starknet::storage::{
        Map, MutableVecTrait, StorageMapReadAccess, StorageMapWriteAccess, StoragePointerReadAccess,
        StoragePointerWriteAccess, Vec,
    };
    use starknet::syscalls::call_contract_syscall;
    use starknet::{ContractAddress, SyscallResultTrait, get_caller_address};
    use super::{CALLS_BACK, IHostile, KEEPS_A_UNIT, SAYS_NO};

    #[storage]
    struct Storage {
        mood: u8,
        market: ContractAddress,
        selector: felt252,
        calldata: Vec<felt252>,
        received: Map<ContractAddress, u256>,
    }

    #[abi(embed_v0)]
    impl Hostile of IHostile<ContractState> {
        fn set(ref self: ContractState, mood: u8, market: ContractAddress, selector: felt252, calldata: Array<felt252>) {
            self.mood.write(mood);
            self.market.write(market);
            self.selector.write(selector);
            while self.calldata.pop().is_some() {}
            for felt in calldata {
                self.calldata.push(felt);
            }
        }

        fn balance_of(self: @ContractState, account: ContractAddress) -> u256 {
            self.received.read(account)
        }

        fn transfer(ref self: ContractState, recipient: ContractAddress, amount: u256) -> bool {
            self.move(get_caller_address(), recipient, amount)
        }

        fn transfer_from(
            ref self: ContractState, sender: ContractAddress, recipient: ContractAddress, amount: u256,
        ) -> bool {
            self.move(sender, recipient, amount)
        }
    }

    #[generate_trait]
    impl Moves of MovesTrait {
        fn move(ref self: ContractState, from: ContractAddress, to: ContractAddress, amount: u256) -> bool {
            let mood = self.mood.read();
            if mood == CALLS_BACK {
                let mut calldata = array![];
                for place in 0..self.calldata.len() {
                    calldata.append(self.calldata.at(place).read());
                }
                call_contract_syscall(self.market.read(), self.selector.read(), calldata.span()).unwrap_syscall();
            }
            let arrives = if mood == KEEPS_A_UNIT {
                amount - 1
            } else {
                amount
            };
            self.received.write(to, self.received.read(to) + arrives);
            mood != SAYS_NO
        }
    }
}
