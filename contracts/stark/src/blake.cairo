//! Blake2s-256 over words, as leaves, nodes and the channel need it (PROTOCOL 4).

use core::blake::{blake2s_compress, blake2s_finalize};
use crate::m31;
use crate::words::Hash;

/// H of no bytes: the root of a tree without columns.
pub const EMPTY_ROOT: [u32; 8] = [
    0x307a2169, 0x94809079, 0xd02111e1, 0x7c4a3542, 0x48b6551f, 0x1ea5a12c, 0xfd0d251b, 0xf9eed01e,
];

/// The initial state for an unkeyed hash of 32 bytes.
fn initial() -> Hash {
    BoxTrait::new(
        [0x6b08e647, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19],
    )
}

/// H(left || right).
#[inline]
pub fn node(left: Hash, right: Hash) -> Hash {
    let [a, b, c, d, e, f, g, h] = left.unbox();
    let [i, j, k, l, m, n, o, p] = right.unbox();
    blake2s_finalize(initial(), 64, BoxTrait::new([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]))
}

/// H of sixteen words.
#[inline]
pub fn block(words: Box<[u32; 16]>) -> Hash {
    blake2s_finalize(initial(), 64, words)
}

/// H of the first `bytes` bytes of a block whose other bytes are zero.
#[inline]
pub fn short(words: Box<[u32; 16]>, bytes: u32) -> Hash {
    blake2s_finalize(initial(), bytes, words)
}

/// H of the hash and the words after it.
pub fn chain(first: Hash, words: Span<u32>) -> Hash {
    let mut words = words;
    let bytes = 32 + 4 * words.len();
    let [a, b, c, d, e, f, g, h] = first.unbox();
    let [i, j, k, l, m, n, o, p] = padded_8(ref words);
    let message = BoxTrait::new([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]);
    if words.is_empty() {
        return blake2s_finalize(initial(), bytes, message);
    }
    finish(blake2s_compress(initial(), 64, message), 64, words)
}

/// H of one row of field elements, of at least one word. Panics where a word is not canonical.
pub fn row(words: Span<u32>) -> Hash {
    let mut rest = words;
    while let Some(boxed) = rest.multi_pop_front::<8>() {
        let [a, b, c, d, e, f, g, h] = (*boxed).unbox();
        m31::read(a);
        m31::read(b);
        m31::read(c);
        m31::read(d);
        m31::read(e);
        m31::read(f);
        m31::read(g);
        m31::read(h);
    }
    for word in rest {
        m31::read(*word);
    }
    finish(initial(), 0, words)
}

/// Goes on with at least one word more after `bytes` bytes.
fn finish(state: Hash, bytes: u32, words: Span<u32>) -> Hash {
    let mut words = words;
    let mut state = state;
    let mut bytes = bytes;
    while words.len() > 16 {
        bytes += 64;
        state = blake2s_compress(state, bytes, *words.multi_pop_front::<16>().unwrap());
    }
    let total = bytes + 4 * words.len();
    let [a, b, c, d, e, f, g, h] = padded_8(ref words);
    let [i, j, k, l, m, n, o, p] = padded_8(ref words);
    blake2s_finalize(state, total, BoxTrait::new([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]))
}

/// The next eight words, or what there is and zeros after it.
fn padded_8(ref words: Span<u32>) -> [u32; 8] {
    if let Some(boxed) = words.multi_pop_front::<8>() {
        return (*boxed).unbox();
    }
    let mut filled: Array<u32> = array![];
    filled.append_span(words);
    for _ in words.len()..8 {
        filled.append(0);
    }
    words = array![].span();
    let mut filled = filled.span();
    (*filled.multi_pop_front::<8>().unwrap()).unbox()
}
