//! Every refusal once, and what has to pass beside it. Signatures are by the private keys 0x3333 (A), 0x1111 (B) and 0x2222 (C).

use core::ec::stark_curve::ORDER;
use core::ecdsa::check_ecdsa_signature;
use starknet::account::Call;
use starknet::syscalls::deploy_syscall;
use starknet::testing::{
    pop_log, set_contract_address, set_signature, set_transaction_hash, set_version,
};
use starknet::{ContractAddress, SyscallResultTrait, VALIDATED};
use crate::account::{
    Account, IAccountDispatcher, IAccountDispatcherTrait, IAccountSafeDispatcher, IAccountSafeDispatcherTrait, ISRC5_ID,
    ISRC6_ID,
};
use crate::signers::{check_set, signed};

const A: felt252 = 0x102560da2308127e6f0c079182ff4c63736fa57db33429cc80f9c63cbac564b;
const B: felt252 = 0x3a68ed59df05e2313925e0f0c83b5951decacdf9109d7d8969541eb8b4b7e89;
const C: felt252 = 0x6bfa2238af7eb25ad41eb8787234d303b4df22a36d545216bf9b91935636c80;
const HASH: felt252 = 0x3d4384ff5cec32b86462e89f5a803b55ff0048c4f5a10ba9d6cd381317d9c3;
const BY_A: [felt252; 3] = [
    A, 0x1cc9b4315034d3a7c194f597d08d48a5724b824fe61aaa61ec5b122d11ea7c6,
    0x5d05c144cb47a7c9cbc30d31aa513dd62a6487210c9d84b861517f19f5ae3b9,
];
const BY_B: [felt252; 3] = [
    B, 0x77d073211bf95ada9b38b6945789e32d6945271289710d33f119f584b0e72ad,
    0x86103c67c2fc66c1ba75afb74628a008c5f43074fe7aed53d382267407b68a,
];
const BY_C: [felt252; 3] = [
    C, 0xf2762ce79dfbdce1f486f0278cd2b2ecf60c52734fdb2585505f231465f657,
    0x39510b358b641c4e96389796b8499c06e60355b10e885aca0edc326b48cc3fd,
];

fn joined(parts: Array<[felt252; 3]>) -> Array<felt252> {
    let mut out = array![];
    for part in parts {
        out.append_span(part.span());
    }
    out
}

fn two_of_three(signature: Array<felt252>) -> bool {
    signed(HASH, signature.span(), 2, [A, B, C].span())
}

#[test]
fn two_of_three_sign() {
    assert!(two_of_three(joined(array![BY_A, BY_B])));
    assert!(two_of_three(joined(array![BY_A, BY_C])));
    assert!(two_of_three(joined(array![BY_B, BY_C])));
}

#[test]
fn one_signature_twice_is_one() {
    assert!(!two_of_three(joined(array![BY_A, BY_A])));
    assert!(!two_of_three(joined(array![BY_C, BY_C])));
}

#[test]
fn signatures_ascend() {
    assert!(!two_of_three(joined(array![BY_B, BY_A])));
}

#[test]
fn too_few_and_too_many_do_not_sign() {
    assert!(!two_of_three(array![]));
    assert!(!two_of_three(joined(array![BY_A])));
    assert!(!two_of_three(joined(array![BY_A, BY_B, BY_C])));
    let mut cut = joined(array![BY_A, BY_B]);
    let _ = cut.pop_front();
    assert!(!two_of_three(cut));
}

#[test]
fn strangers_do_not_sign() {
    assert!(!signed(HASH, joined(array![BY_A, BY_B]).span(), 2, [A, C].span()));
    assert!(signed(HASH, joined(array![BY_A, BY_C]).span(), 2, [A, C].span()));
}

#[test]
fn another_hash_is_not_signed() {
    assert!(!signed(HASH + 1, joined(array![BY_A]).span(), 1, [A].span()));
}

#[test]
fn a_signature_of_one_does_not_count_for_another() {
    let [_, r, s] = BY_A;
    assert!(!signed(HASH, [B, r, s].span(), 1, [B].span()));
}

#[test]
fn s_beyond_the_order_is_refused() {
    // The key 0x1111 with the nonce 7 and s = 1; the core library takes s + ORDER for s.
    let (hash, r) = (
        0xd7d4d5c2d73453d97d7a92ce2cd9187c049befd52c45f7d236f4d1e9178131, 0x743829e0a179f8afe223fc8112dfc8d024ab6b235fd42283c4f5970259ce7b7,
    );
    assert!(signed(hash, [B, r, 1].span(), 1, [B].span()));
    assert!(check_ecdsa_signature(hash, B, r, ORDER + 1));
    assert!(!signed(hash, [B, r, ORDER + 1].span(), 1, [B].span()));
    assert!(!signed(hash, [B, r, 0].span(), 1, [B].span()));
    assert!(!signed(hash, [B, 0, 1].span(), 1, [B].span()));
}

#[test]
fn r_beyond_the_order_is_refused() {
    // A key made for this signature: Q = (5 R - hash G) / r with a point R whose x is beyond the order.
    let (key, r) = (
        0x4660464da3b0451be8b644c86586a34bed8af8296c9bbd3ffe4ef8a51506ca7,
        0x800000000000010ffffffffffffffffb781126dcae7b2321e66a241adc64d30,
    );
    assert!(check_ecdsa_signature(0x1234567, key, r, 5));
    assert!(!signed(0x1234567, [key, r, 5].span(), 1, [key].span()));
}

#[test]
fn nobody_signs_zero() {
    // R = Q, r = x(Q), s = r: made without the private key.
    assert!(check_ecdsa_signature(0, A, A, A));
    assert!(check_ecdsa_signature(ORDER, A, A, A));
    assert!(!signed(0, [A, A, A].span(), 1, [A].span()));
    assert!(!signed(ORDER, [A, A, A].span(), 1, [A].span()));
}

#[test]
#[should_panic(expected: 'account: threshold is zero')]
fn a_threshold_of_zero_is_refused() {
    check_set(0, [A].span());
}

#[test]
#[should_panic(expected: 'account: threshold over signers')]
fn a_threshold_that_nobody_reaches_is_refused() {
    check_set(3, [A, B].span());
}

#[test]
#[should_panic(expected: 'account: signers not ascending')]
fn a_signer_twice_is_refused() {
    check_set(2, [A, A].span());
}

#[test]
#[should_panic(expected: 'account: signers not ascending')]
fn signers_out_of_order_are_refused() {
    check_set(1, [B, A].span());
}

#[test]
#[should_panic(expected: 'account: signers not ascending')]
fn a_zero_key_is_refused() {
    check_set(1, [0, A].span());
}

#[test]
#[should_panic(expected: 'account: signer not on curve')]
fn a_number_that_is_no_key_is_refused() {
    check_set(1, [5, A].span());
}

#[test]
#[should_panic(expected: 'account: too many signers')]
fn a_crowd_is_refused() {
    let mut signers = array![];
    for key in 1_u32..18 {
        signers.append(key.into());
    }
    check_set(1, signers.span());
}

/// Deploys an account of A alone. The transaction is one of version 3 that A signed, and comes from the protocol.
fn deploy() -> ContractAddress {
    let (address, _) = deploy_syscall(Account::TEST_CLASS_HASH, 0, [1, 1, A].span(), false).unwrap_syscall();
    set_version(3);
    set_transaction_hash(HASH);
    set_signature(BY_A.span());
    protocol();
    address
}

fn account(address: ContractAddress) -> IAccountDispatcher {
    IAccountDispatcher { contract_address: address }
}

/// Calls come from nobody, as those of the protocol do.
fn protocol() {
    set_contract_address(0.try_into().unwrap());
}

fn somebody() -> ContractAddress {
    0x123.try_into().unwrap()
}

fn to_itself(account: ContractAddress, threshold: felt252, signers: Span<felt252>) -> Array<Call> {
    let mut calldata = array![threshold, signers.len().into()];
    calldata.append_span(signers);
    array![Call { to: account, selector: selector!("set_signers"), calldata: calldata.span() }]
}

#[test]
fn a_signed_transaction_is_valid() {
    let address = deploy();
    assert_eq!(account(address).__validate__(array![]), VALIDATED);
    assert_eq!(account(address).__validate_declare__(1), VALIDATED);
    assert_eq!(account(address).__validate_deploy__(1, 0, 1, [A].span()), VALIDATED);
}

#[test]
#[should_panic(expected: ('account: signature', 'ENTRYPOINT_FAILED'))]
fn an_unsigned_transaction_is_refused() {
    let address = deploy();
    set_signature([].span());
    account(address).__validate__(array![]);
}

#[test]
#[should_panic(expected: ('account: signature', 'ENTRYPOINT_FAILED'))]
fn an_unsigned_declaration_is_refused() {
    let address = deploy();
    set_transaction_hash(HASH + 1);
    account(address).__validate_declare__(1);
}

#[test]
#[should_panic(expected: ('account: signature', 'ENTRYPOINT_FAILED'))]
fn an_unsigned_deployment_is_refused() {
    let address = deploy();
    set_signature(BY_B.span());
    account(address).__validate_deploy__(1, 0, 1, [A].span());
}

#[test]
#[should_panic(expected: ('account: only by the protocol', 'ENTRYPOINT_FAILED'))]
fn a_contract_cannot_have_it_validate() {
    let address = deploy();
    set_contract_address(somebody());
    account(address).__validate__(array![]);
}

#[test]
#[should_panic(expected: ('account: only by the protocol', 'ENTRYPOINT_FAILED'))]
fn a_contract_cannot_have_it_execute() {
    let address = deploy();
    set_contract_address(somebody());
    account(address).__execute__(array![]);
}

#[test]
#[should_panic(expected: ('account: transaction version', 'ENTRYPOINT_FAILED'))]
fn a_transaction_that_was_not_validated_is_not_executed() {
    let address = deploy();
    set_version(0);
    account(address).__execute__(array![]);
}

#[test]
fn a_simulation_is_executed() {
    let address = deploy();
    set_version(0x100000000000000000000000000000003);
    assert!(account(address).__execute__(array![]).is_empty());
}

#[test]
fn it_changes_its_signers_itself() {
    let address = deploy();
    let results = account(address).__execute__(to_itself(address, 2, [A, B, C].span()));
    assert_eq!(results.len(), 1);
    let (threshold, signers) = account(address).get_signers();
    assert_eq!(threshold, 2);
    assert_eq!(signers, [A, B, C].span());
    account(address).__execute__(to_itself(address, 1, [B].span()));
    let (threshold, signers) = account(address).get_signers();
    assert_eq!(threshold, 1);
    assert_eq!(signers, [B].span());
    assert_eq!(account(address).is_valid_signature(HASH, joined(array![BY_B])), VALIDATED);
    assert_eq!(account(address).is_valid_signature(HASH, joined(array![BY_A])), 0);
}

#[test]
fn every_set_is_an_event() {
    let address = deploy();
    account(address).__execute__(to_itself(address, 2, [B, C].span()));
    assert_eq!(next_set(address), (1, [A].span()));
    assert_eq!(next_set(address), (2, [B, C].span()));
}

fn next_set(address: ContractAddress) -> (u32, Span<felt252>) {
    match pop_log::<Account::Event>(address).unwrap() {
        Account::Event::SignersSet(set) => (set.threshold, set.signers),
    }
}

#[test]
#[should_panic(expected: ('account: only by itself', 'ENTRYPOINT_FAILED'))]
fn nobody_else_changes_its_signers() {
    let address = deploy();
    set_contract_address(somebody());
    account(address).set_signers(1, [B].span());
}

#[test]
#[feature("safe_dispatcher")]
fn a_refused_change_leaves_the_set() {
    let address = deploy();
    let refused = IAccountSafeDispatcher { contract_address: address }
        .__execute__(to_itself(address, 3, [B, C].span()));
    assert_eq!(*refused.unwrap_err().at(0), 'account: threshold over signers');
    let (threshold, signers) = account(address).get_signers();
    assert_eq!((threshold, signers), (1, [A].span()));
}

#[test]
fn it_says_what_it_is() {
    let address = deploy();
    assert!(account(address).supports_interface(ISRC5_ID));
    assert!(account(address).supports_interface(ISRC6_ID));
    assert!(!account(address).supports_interface(0xffffffff));
}
