// DEEP quotients (prover/quotients.py), a point a thread.

#include "twiddles.cuh"

struct sums {
    u64 words[4];
};

// total + x w, coordinate by coordinate; four such products fit on a folded total.
DEVICE void add_products(sums &total, u32 x, uint4 w) {
    total.words[0] += product(x, w.x);
    total.words[1] += product(x, w.y);
    total.words[2] += product(x, w.z);
    total.words[3] += product(x, w.w);
}

// The sum over the groups of (sum of weight x column - Y slope - intercept) / denominator at the position.
//
// Group g has the entries starts[g] .. starts[g + 1] - 1, a multiple of four, of columns, lifts and weights; constants
// holds 14 words a group: the constant, X and Y coefficients of the denominator (CM31), then -sum(w A) and -sum(w E).
// Positions are the first n of the lifting domain, whose layer-1 twiddles are `points`. Reads 4 bytes an entry and
// position, neighbours side by side, and writes 16 a position.
KERNEL __launch_bounds__(128) quotients(const u32 *const *columns, const u32 *lifts, const uint4 *weights,
                                        const u32 *starts, const u32 *constants, u32 groups, const uint2 *points,
                                        u32 n, u32 *out) {
    u32 p = thread_number();
    if (p >= n) return;
    // A pair (x, y) makes eight points, its symmetries: X is x or y, Y the other one.
    uint2 pair = __ldg(points + (p >> 3));
    u32 k = p & 7, x = k < 4 ? pair.x : pair.y, y = k < 4 ? pair.y : pair.x;
    if (0xcc >> k & 1) x = P - x;  // at 2, 3, 6, 7
    if (0x96 >> k & 1) y = P - y;  // at 1, 2, 4, 7
    qm31 total = secure(0);
    for (u32 g = 0; g < groups; g++) {
        const u32 *c = constants + 14 * g;
        sums s = {{c[10], c[11], c[12], c[13]}};
        for (u32 e = starts[g]; e < starts[g + 1]; e += 4) {
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                u32 lift = lifts[e + j];
                add_products(s, columns[e + j][(p >> lift >> 1 << 1) + (p & 1)], __ldg(weights + e + j));
            }
#pragma unroll
            for (u32 j = 0; j < 4; j++) s.words[j] = fold(s.words[j]);
        }
        add_products(s, y, make_uint4(c[6], c[7], c[8], c[9]));
        qm31 numerator = {{reduce(s.words[0]), reduce(s.words[1])}, {reduce(s.words[2]), reduce(s.words[3])}};
        cm31 denominator = {reduce(product(x, c[2]) + product(y, c[4]) + c[0]),
                            reduce(product(x, c[3]) + product(y, c[5]) + c[1])};
        total = add(total, mul(numerator, inverse(denominator)));
    }
    store_secure(out, n, p, total);
}
