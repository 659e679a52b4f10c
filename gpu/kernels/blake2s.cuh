// Blake2s-256, one message a thread (RFC 7693; prover/blake2s.py).

#include "field.cuh"

constexpr u32 IV0 = 0x6a09e667, IV1 = 0xbb67ae85, IV2 = 0x3c6ef372, IV3 = 0xa54ff53a;
constexpr u32 IV4 = 0x510e527f, IV5 = 0x9b05688c, IV6 = 0x1f83d9ab, IV7 = 0x5be0cd19;

struct digest {
    u32 words[8];
};

// Digest length 32, no key, fan-out and depth 1.
DEVICE digest initial_state() { return {{IV0 ^ 0x01010020, IV1, IV2, IV3, IV4, IV5, IV6, IV7}}; }

template <u32 K> DEVICE u32 rotate_right(u32 x) { return (x >> K) | (x << (32 - K)); }

DEVICE void mix(u32 &a, u32 &b, u32 &c, u32 &d, u32 x, u32 y) {
    a += b + x;
    d = rotate_right<16>(d ^ a);
    c += d;
    b = rotate_right<12>(b ^ c);
    a += b + y;
    d = rotate_right<8>(d ^ a);
    c += d;
    b = rotate_right<7>(b ^ c);
}

// One round with the schedule's sixteen words, as template arguments so that no index is left at run time.
template <u32 A, u32 B, u32 C, u32 D, u32 E, u32 F, u32 G, u32 H, u32 I, u32 J, u32 K, u32 L, u32 M, u32 N, u32 O, u32 Q>
DEVICE void round(u32 (&v)[16], const u32 (&m)[16]) {
    mix(v[0], v[4], v[8], v[12], m[A], m[B]);
    mix(v[1], v[5], v[9], v[13], m[C], m[D]);
    mix(v[2], v[6], v[10], v[14], m[E], m[F]);
    mix(v[3], v[7], v[11], v[15], m[G], m[H]);
    mix(v[0], v[5], v[10], v[15], m[I], m[J]);
    mix(v[1], v[6], v[11], v[12], m[K], m[L]);
    mix(v[2], v[7], v[8], v[13], m[M], m[N]);
    mix(v[3], v[4], v[9], v[14], m[O], m[Q]);
}

// One compression; `length` counts the bytes hashed with it.
DEVICE void compress(digest &h, const u32 (&m)[16], u32 length, bool last) {
    u32 v[16] = {h.words[0], h.words[1], h.words[2], h.words[3], h.words[4], h.words[5], h.words[6], h.words[7],
                 IV0, IV1, IV2, IV3, IV4 ^ length, IV5, last ? ~IV6 : IV6, IV7};
    round<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>(v, m);
    round<14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3>(v, m);
    round<11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4>(v, m);
    round<7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8>(v, m);
    round<9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13>(v, m);
    round<2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9>(v, m);
    round<12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11>(v, m);
    round<13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10>(v, m);
    round<6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5>(v, m);
    round<10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0>(v, m);
#pragma unroll
    for (u32 k = 0; k < 8; k++) h.words[k] ^= v[k] ^ v[k + 8];
}

// Every word mod P, for the variant Blake2s-M31.
DEVICE void reduce_words(digest &h, u32 reduced) {
    if (!reduced) return;
#pragma unroll
    for (u32 k = 0; k < 8; k++) h.words[k] = reduce(h.words[k]);
}

// Of one block of 64 bytes.
DEVICE digest hash_block(const u32 (&m)[16], u32 reduced) {
    digest h = initial_state();
    compress(h, m, 64, true);
    reduce_words(h, reduced);
    return h;
}
