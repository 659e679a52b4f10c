//! A contract for tests of the client: it counts how often it was called, so that a call that has effect twice shows.

#[starknet::interface]
pub trait ICounter<State> {
    fn increase(ref self: State, by: u64);
    fn get(self: @State) -> u64;
}

#[starknet::contract]
mod Counter {
    use starknet::storage::{StoragePointerReadAccess, StoragePointerWriteAccess};
    use starknet::{ContractAddress, get_caller_address};

    #[storage]
    struct Storage {
        value: u64,
    }

    #[event]
    #[derive(Drop, starknet::Event)]
    enum Event {
        Increased: Increased,
    }

    #[derive(Drop, starknet::Event)]
    struct Increased {
        #[key]
        caller: ContractAddress,
        by: u64,
        value: u256,
    }

    #[abi(embed_v0)]
    impl CounterImpl of super::ICounter<ContractState> {
        fn increase(ref self: ContractState, by: u64) {
            assert(by < 100, 'counter: by');
            assert!(by != 99, "counter: {by} is refused in a long message");
            let value = self.value.read() + by;
            self.value.write(value);
            self.emit(Increased { caller: get_caller_address(), by, value: value.into() });
        }

        fn get(self: @ContractState) -> u64 {
            self.value.read()
        }
    }
}
