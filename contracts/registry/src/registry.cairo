use starknet::ContractAddress;

/// A published snapshot: its root (`air/statements/snapshot.py`) and the block in which it was published.
#[derive(Copy, Drop, Debug, PartialEq, Serde, starknet::Store)]
pub struct Snapshot {
    pub root: u256,
    pub block: u64,
}

#[starknet::interface]
pub trait IRegistry<TContractState> {
    /// Publishes a root as this version of the caller's snapshot. Nothing is ever overwritten: versions ascend from 1,
    /// and may leave numbers out. Panics with 'version: not above the last' or 'root: zero'.
    fn publish(ref self: TContractState, version: u64, root: u256);
    /// What the owner published under this version. Panics with 'version: not published'.
    fn snapshot(self: @TContractState, owner: ContractAddress, version: u64) -> Snapshot;
    /// The owner's last version, 0 if there is none.
    fn latest_version(self: @TContractState, owner: ContractAddress) -> u64;
}

/// It has no owner, no upgrade and no way to take a record back: whoever reads it trusts the chain and the publisher.
#[starknet::contract]
pub mod SnapshotRegistry {
    use core::num::traits::Zero;
    use starknet::storage::{Map, StorageMapReadAccess, StorageMapWriteAccess};
    use starknet::{ContractAddress, get_block_number, get_caller_address};
    use super::{IRegistry, Snapshot};

    #[storage]
    struct Storage {
        snapshots: Map<(ContractAddress, u64), Snapshot>,
        latest: Map<ContractAddress, u64>,
    }

    #[event]
    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub enum Event {
        Published: Published,
    }

    #[derive(Drop, Debug, PartialEq, starknet::Event)]
    pub struct Published {
        #[key]
        pub owner: ContractAddress,
        #[key]
        pub version: u64,
        pub root: u256,
        pub block: u64,
    }

    #[abi(embed_v0)]
    impl RegistryImpl of IRegistry<ContractState> {
        fn publish(ref self: ContractState, version: u64, root: u256) {
            let owner = get_caller_address();
            // Also keeps a version from being published twice: the last one only rises.
            assert(version > self.latest.read(owner), 'version: not above the last');
            assert(root.is_non_zero(), 'root: zero');
            let block = get_block_number();
            self.snapshots.write((owner, version), Snapshot { root, block });
            self.latest.write(owner, version);
            self.emit(Published { owner, version, root, block });
        }

        fn snapshot(self: @ContractState, owner: ContractAddress, version: u64) -> Snapshot {
            let found = self.snapshots.read((owner, version));
            assert(found.root.is_non_zero(), 'version: not published');
            found
        }

        fn latest_version(self: @ContractState, owner: ContractAddress) -> u64 {
            self.latest.read(owner)
        }
    }
}
