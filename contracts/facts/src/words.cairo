//! The canonical encoding of statements (DESIGN 4) and its hash: what `air/statement.py` writes, word for word.
//!
//! Integers are i64 in two's complement, low word first; 32-byte strings are eight words in byte order; lists are
//! their count and then their items. A 32-byte string is a `u256` here, big-endian, so that it reads as its hex does.
//! Not inlined for the same reason as in `refuse`.

use core::blake::{blake2s_compress, blake2s_finalize};
use core::box::BoxTrait;
use core::integer::u128_byte_reverse;

const WORD: NonZero<u64> = 0x100000000;
const WORDS_2: NonZero<u128> = 0x10000000000000000;
const WORD_128: u128 = 0x100000000;

#[generate_trait]
pub impl Words of WordsTrait {
    fn add_u32(ref self: Array<u32>, value: u32) {
        self.append(value);
    }

    /// An i64 that is not negative. The caller has checked that it is below 2^63.
    #[inline(never)]
    fn add_u64(ref self: Array<u32>, value: u64) {
        let (high, low) = DivRem::div_rem(value, WORD);
        self.append(low.try_into().unwrap());
        self.append(high.try_into().unwrap());
    }

    #[inline(never)]
    fn add_i64(ref self: Array<u32>, value: i64) {
        let felt: felt252 = value.into();
        let bits = if value < 0 {
            felt + 0x10000000000000000
        } else {
            felt
        };
        self.add_u64(bits.try_into().unwrap());
    }

    #[inline(never)]
    fn add_bytes32(ref self: Array<u32>, value: u256) {
        for half in [value.high, value.low].span() {
            let (high, low) = DivRem::div_rem(u128_byte_reverse(*half), WORDS_2);
            self.add_u64(low.try_into().unwrap());
            self.add_u64(high.try_into().unwrap());
        }
    }
}

/// Blake2s-256 (RFC 7693, no key) over words as little-endian bytes: eight words.
#[inline(never)]
pub fn blake2s(words: Span<u32>) -> [u32; 8] {
    // The initial state of RFC 7693, its first word mixed with the length of the output, 32.
    let mut state = BoxTrait::new(
        [
            0x6B08E647, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
        ],
    );
    let mut rest = words;
    let mut bytes = 0;
    while rest.len() > 16 {
        let block = rest.multi_pop_front::<16>().unwrap();
        bytes += 64;
        state = blake2s_compress(state, bytes, *block);
    }
    bytes += 4 * rest.len();
    let mut last: Array<u32> = array![];
    last.append_span(rest);
    while last.len() != 16 {
        last.append(0);
    }
    let mut padded = last.span();
    let block = padded.multi_pop_front::<16>().unwrap();
    blake2s_finalize(state, bytes, *block).unbox()
}

/// A hash as a big-endian number.
pub fn to_u256(hash: [u32; 8]) -> u256 {
    let [a, b, c, d, e, f, g, h] = hash;
    u256 { high: big_endian(a, b, c, d), low: big_endian(e, f, g, h) }
}

/// The words of a 32-byte string, which is how roots are compared and digests enter the transcript.
pub fn to_words(value: u256) -> [u32; 8] {
    let mut words: Array<u32> = array![];
    words.add_bytes32(value);
    let mut span = words.span();
    span.multi_pop_front::<8>().unwrap().unbox()
}

/// `air.statement.digest` as a number.
pub fn digest(words: Span<u32>) -> u256 {
    to_u256(blake2s(words))
}

/// The first words that are mixed into a transcript: a digest as four little-endian u64 (DESIGN 4).
pub fn digest_u64s(digest: u256) -> Array<u64> {
    let mut out: Array<u64> = array![];
    for half in [digest.high, digest.low].span() {
        let (high, low) = DivRem::div_rem(u128_byte_reverse(*half), WORDS_2);
        out.append(low.try_into().unwrap());
        out.append(high.try_into().unwrap());
    }
    out
}

fn big_endian(a: u32, b: u32, c: u32, d: u32) -> u128 {
    let high = d.into() * WORD_128 + c.into();
    let low = b.into() * WORD_128 + a.into();
    u128_byte_reverse(high * 0x10000000000000000 + low)
}
