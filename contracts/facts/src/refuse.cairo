//! How a statement is refused: the panic data are the field and what is wrong with it, two short strings.
//!
//! Nothing here is inlined: with hundreds of calls, a class would grow by thousands of felts.

/// Panics with (field, what) unless the condition holds.
#[inline(never)]
pub fn require(condition: bool, field: felt252, what: felt252) {
    if !condition {
        core::panics::panic(array![field, what]);
    }
}

/// Panics unless low <= value <= high.
#[inline(never)]
pub fn within(value: u64, low: u64, high: u64, field: felt252) {
    require(low <= value && value <= high, field, 'out of bounds');
}

/// The next felt of calldata as a number of a type, or a panic that names the field: a felt beyond the type's bounds
/// is never reduced (ANCHORS C16).
#[inline(never)]
pub fn take<T, +TryInto<felt252, T>>(ref calldata: Span<felt252>, field: felt252) -> T {
    match calldata.pop_front() {
        Some(felt) => match (*felt).try_into() {
            Some(value) => value,
            None => core::panics::panic(array![field, 'not in the range of its type']),
        },
        None => core::panics::panic(array![field, 'calldata ends here']),
    }
}

/// Two felts, low half first.
#[inline(never)]
pub fn take_u256(ref calldata: Span<felt252>, field: felt252) -> u256 {
    u256 { low: take(ref calldata, field), high: take(ref calldata, field) }
}

/// The length of a list, of at most `most` items.
#[inline(never)]
pub fn take_count(ref calldata: Span<felt252>, most: u32, field: felt252) -> u32 {
    let count = take(ref calldata, field);
    require(count <= most, field, 'too many items');
    count
}
