//! The Fiat-Shamir channel: what the prover says is mixed in before the next challenge is drawn (PROTOCOL 5).

#[feature("bounded-int-utils")]
use core::internal::bounded_int::{BoundedInt, DivRemHelper, UnitInt, div_rem};
use crate::blake;
use crate::m31::{M31, PRIME_NZ};
use crate::qm31::QM31;
use crate::words::Hash;

impl ReduceWord of DivRemHelper<u32, UnitInt<0x7fffffff>> {
    type DivT = BoundedInt<0, 2>;
    type RemT = M31;
}

#[derive(Drop)]
pub struct Channel {
    digest: Hash,
    draws: u32,
}

#[generate_trait]
pub impl ChannelImpl of ChannelTrait {
    fn new() -> Channel {
        Channel { digest: BoxTrait::new([0, 0, 0, 0, 0, 0, 0, 0]), draws: 0 }
    }

    /// Field elements or 32-bit words: both are mixed as little-endian words.
    fn mix_words(ref self: Channel, words: Span<u32>) {
        self.digest = blake::chain(self.digest, words);
        self.draws = 0;
    }

    fn mix_u64(ref self: Channel, value: u64) {
        let (high, low) = DivRem::div_rem(value, 0x100000000);
        self.mix_words([low.try_into().unwrap(), high.try_into().unwrap()].span());
    }

    fn mix_root(ref self: Channel, root: Hash) {
        self.digest = blake::node(self.digest, root);
        self.draws = 0;
    }

    fn draw_words(ref self: Channel) -> [u32; 8] {
        let [a, b, c, d, e, f, g, h] = self.digest.unbox();
        let message = BoxTrait::new([a, b, c, d, e, f, g, h, self.draws, 0, 0, 0, 0, 0, 0, 0]);
        self.draws += 1;
        blake::short(message, 37).unbox()
    }

    fn draw_secure(ref self: Channel) -> QM31 {
        let (first, _) = self.draw_pair();
        first
    }

    /// Two elements of one draw. Words of 2P and above are drawn again: a challenge must be uniform.
    fn draw_pair(ref self: Channel) -> (QM31, QM31) {
        let [a, b, c, d, e, f, g, h] = self.draw_words();
        let (qa, a) = div_rem(a, PRIME_NZ);
        let (qb, b) = div_rem(b, PRIME_NZ);
        let (qc, c) = div_rem(c, PRIME_NZ);
        let (qd, d) = div_rem(d, PRIME_NZ);
        let (qe, e) = div_rem(e, PRIME_NZ);
        let (qf, f) = div_rem(f, PRIME_NZ);
        let (qg, g) = div_rem(g, PRIME_NZ);
        let (qh, h) = div_rem(h, PRIME_NZ);
        if qa == 2 || qb == 2 || qc == 2 || qd == 2 || qe == 2 || qf == 2 || qg == 2 || qh == 2 {
            return self.draw_pair();
        }
        (QM31 { a, b, c, d }, QM31 { a: e, b: f, c: g, d: h })
    }

    /// Whether the nonce meets `bits` bits of proof of work, bits <= 64.
    fn check_work(self: @Channel, bits: u32, low: u32, high: u32) -> bool {
        let [a, b, c, d, e, f, g, h] = self.digest.unbox();
        let prefix = blake::short(BoxTrait::new([0x12345678, 0, 0, 0, a, b, c, d, e, f, g, h, bits, 0, 0, 0]), 52);
        let [a, b, c, d, e, f, g, h] = prefix.unbox();
        let result = blake::short(BoxTrait::new([a, b, c, d, e, f, g, h, low, high, 0, 0, 0, 0, 0, 0]), 40);
        let [first, second, _, _, _, _, _, _] = result.unbox();
        let value: u128 = first.into() + second.into() * 0x100000000;
        let (_, rest) = DivRem::div_rem(value, power_of_two(bits).try_into().unwrap());
        rest == 0
    }
}

fn power_of_two(exponent: u32) -> u128 {
    let mut value = 1;
    for _ in 0..exponent {
        value *= 2;
    }
    value
}
