use starknet::ContractAddress;
use starknet::syscalls::deploy_syscall;
use starknet::testing::{pop_log, set_block_number, set_contract_address};
use crate::registry::SnapshotRegistry::{Event, Published};
use crate::registry::{IRegistryDispatcher, IRegistryDispatcherTrait, Snapshot, SnapshotRegistry};

const ROOT: u256 = 0x1234000000000000000000000000000000000000000000000000000000005678;

fn alice() -> ContractAddress {
    0xa11ce.try_into().unwrap()
}

fn bob() -> ContractAddress {
    0xb0b.try_into().unwrap()
}

fn registry() -> IRegistryDispatcher {
    let class = SnapshotRegistry::TEST_CLASS_HASH.try_into().unwrap();
    let (contract_address, _) = deploy_syscall(class, 0, array![].span(), false).unwrap();
    set_contract_address(alice());
    IRegistryDispatcher { contract_address }
}

#[test]
fn what_was_published_is_found() {
    let registry = registry();
    set_block_number(7);
    registry.publish(1, ROOT);
    set_block_number(9);
    registry.publish(5, ROOT + 1);
    assert(registry.snapshot(alice(), 1) == Snapshot { root: ROOT, block: 7 }, 'first');
    assert(registry.snapshot(alice(), 5) == Snapshot { root: ROOT + 1, block: 9 }, 'second');
    assert(registry.latest_version(alice()) == 5, 'latest');
    let told = Event::Published(Published { owner: alice(), version: 1, root: ROOT, block: 7 });
    assert(pop_log(registry.contract_address) == Some(told), 'event');
}

#[test]
fn owners_do_not_meet() {
    let registry = registry();
    registry.publish(3, ROOT);
    set_contract_address(bob());
    assert(registry.latest_version(bob()) == 0, 'none yet');
    registry.publish(1, ROOT + 1);
    assert(registry.snapshot(alice(), 3).root == ROOT, 'of alice');
    assert(registry.snapshot(bob(), 1).root == ROOT + 1, 'of bob');
}

#[test]
#[should_panic(expected: ('version: not above the last', 'ENTRYPOINT_FAILED'))]
fn a_version_is_not_overwritten() {
    let registry = registry();
    registry.publish(1, ROOT);
    registry.publish(1, ROOT + 1);
}

#[test]
#[should_panic(expected: ('version: not above the last', 'ENTRYPOINT_FAILED'))]
fn versions_ascend() {
    let registry = registry();
    registry.publish(2, ROOT);
    registry.publish(1, ROOT);
}

#[test]
#[should_panic(expected: ('version: not above the last', 'ENTRYPOINT_FAILED'))]
fn version_0_means_none() {
    registry().publish(0, ROOT);
}

#[test]
#[should_panic(expected: ('root: zero', 'ENTRYPOINT_FAILED'))]
fn a_root_is_not_zero() {
    registry().publish(1, 0);
}

#[test]
#[should_panic(expected: ('version: not published', 'ENTRYPOINT_FAILED'))]
fn a_left_out_version_is_not_found() {
    let registry = registry();
    registry.publish(2, ROOT);
    registry.snapshot(alice(), 1);
}

#[test]
#[should_panic(expected: ('version: not published', 'ENTRYPOINT_FAILED'))]
fn what_others_published_is_not_found() {
    let registry = registry();
    registry.publish(1, ROOT);
    registry.snapshot(bob(), 1);
}
