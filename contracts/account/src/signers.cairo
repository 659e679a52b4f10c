//! Sets of signers, and what so many of them have signed.
//!
//! A set is a threshold k and the signers' public keys (x coordinates on the Stark curve), ascending. A signature is
//! a list of k triples (public key, r, s) in the same order.

use core::ec::EcPointTrait;
use core::ec::stark_curve::ORDER;
use core::ecdsa::check_ecdsa_signature;

/// Bounds what validation costs: a set is read, and every signature of it checked, before anybody pays.
pub const MAX_SIGNERS: u32 = 16;

/// Panics for a set that could lock the account, or let fewer than k keys open it.
pub fn check_set(threshold: u32, mut signers: Span<felt252>) {
    assert(signers.len() <= MAX_SIGNERS, 'account: too many signers');
    assert(0 < threshold, 'account: threshold is zero'); // else an empty signature opens the account
    assert(threshold <= signers.len(), 'account: threshold over signers'); // else nothing ever opens it
    let mut last: u256 = 0;
    while let Some(key) = signers.pop_front() {
        let value: u256 = (*key).into();
        // Ascending, and so distinct and not zero: one key that is listed twice would count as two signers.
        assert(last < value, 'account: signers not ascending');
        // A number that is no key can never sign, and would count for the threshold.
        assert(EcPointTrait::new_nz_from_x(*key).is_some(), 'account: signer not on curve');
        last = value;
    }
}

/// Whether `threshold` of the signers, each once, have signed the hash.
pub fn signed(hash: felt252, mut signature: Span<felt252>, threshold: u32, mut signers: Span<felt252>) -> bool {
    // Exactly k: signatures that nobody needs could be added and removed by everybody who passes them on.
    if signature.len() != 3 * threshold || !is_signable(hash) {
        return false;
    }
    let mut valid = true;
    while let Some(triple) = signature.multi_pop_front::<3>() {
        let [key, r, s] = (*triple).unbox();
        // Signers before the one that was found are passed for good, so none is counted twice.
        if !found(ref signers, key) || !is_scalar(r) || !is_scalar(s) || !check_ecdsa_signature(hash, key, r, s) {
            valid = false;
            break;
        }
    }
    valid
}

/// Takes signers away up to and including this key.
fn found(ref signers: Span<felt252>, key: felt252) -> bool {
    loop {
        match signers.pop_front() {
            Some(signer) => if *signer == key {
                break true;
            },
            None => { break false; },
        }
    }
}

/// For 0 modulo the order anybody can make a signature: R = cQ, r = x(R), s = r / c. An asker that passes on what it
/// never set would ask for this hash.
fn is_signable(hash: felt252) -> bool {
    hash != 0 && hash != ORDER
}

/// 0 < value < ORDER, which `check_ecdsa_signature` leaves to its caller: s + ORDER would do as well as s. So does
/// ORDER - s, a second signature that everybody can make of a first one, and nothing here counts signatures.
fn is_scalar(value: felt252) -> bool {
    let number: u256 = value.into();
    value != 0 && number < ORDER.into()
}
