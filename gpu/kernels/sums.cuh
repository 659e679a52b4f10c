// Sums of products of base values and secure constants, in 64 bits a coordinate and reduced late.

#include "field.cuh"

struct wide_sums {
    u64 a, b, c, d;
};

// s += x * w, w the four words of a secure constant. Three products fit on top of folded sums: 3 * 2^62 + 2^34 < 2^64.
DEVICE void accumulate(wide_sums &s, u32 x, const u32 *w) {
    s.a += product(x, w[0]);
    s.b += product(x, w[1]);
    s.c += product(x, w[2]);
    s.d += product(x, w[3]);
}

DEVICE void fold(wide_sums &s) { s = {fold(s.a), fold(s.b), fold(s.c), fold(s.d)}; }

DEVICE qm31 reduce(const wide_sums &s) { return {{reduce(s.a), reduce(s.b)}, {reduce(s.c), reduce(s.d)}}; }

// A secure constant that lies in four neighbouring words.
DEVICE qm31 constant(const u32 *words) { return load_secure(words, 1, 0); }
