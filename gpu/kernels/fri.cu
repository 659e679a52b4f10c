// FRI folds (prover/fri.py): up to three in a thread, which then reads 2^S neighbours and writes one value.

#include "twiddles.cuh"

// 2^S neighbours, side by side in one or two accesses.
template <u32 S> DEVICE void load_neighbours(u32 (&v)[1 << S], const u32 *p) {
    if constexpr (S == 1) {
        uint2 both = *(const uint2 *)p;
        v[0] = both.x;
        v[1] = both.y;
    } else {
#pragma unroll
        for (u32 k = 0; k < 1 << S; k += 4) {
            uint4 four = *(const uint4 *)(p + k);
            v[k] = four.x;
            v[k + 1] = four.y;
            v[k + 2] = four.z;
            v[k + 3] = four.w;
        }
    }
}

// The folds from the one with 2^S results a thread on, of values v (2^(S+1)), with alpha, alpha^2, ...; the i-th block
// of a layer of n results. The twiddles of a fold with n results are the nodes n .. 2n - 1.
template <u32 S> DEVICE qm31 fold_neighbours(const qm31 *v, qm31 alpha, const u32 *heap, u32 n, u32 i, u32 on_circle) {
    qm31 folded[1 << S];
#pragma unroll
    for (u32 k = 0; k < 1 << S; k++) {
        u32 node = n + (i << S) + k, t = on_circle ? layer_zero(heap, node) : __ldg(heap + node);
        qm31 a = v[2 * k], b = v[2 * k + 1];
        folded[k] = add(add(a, b), mul(mul(sub(a, b), t), alpha));
    }
    if constexpr (S == 0)
        return folded[0];
    else
        return fold_neighbours<S - 1>(folded, mul(alpha, alpha), heap, n / 2, i, 0);
}

template <u32 S> DEVICE void fold_values(const u32 *values, u32 n, qm31 alpha, const u32 *heap, u32 on_circle, u32 *out) {
    u32 i = thread_number(), results = n >> S;
    if (i >= results) return;
    u32 coordinates[4][1 << S];
#pragma unroll
    for (u32 c = 0; c < 4; c++) load_neighbours<S>(coordinates[c], values + (u64)c * n + (i << S));
    qm31 v[1 << S];
#pragma unroll
    for (u32 k = 0; k < 1 << S; k++) v[k] = {{coordinates[0][k], coordinates[1][k]}, {coordinates[2][k], coordinates[3][k]}};
    store_secure(out, results, i, fold_neighbours<S - 1>(v, alpha, heap, n / 2, i, on_circle));
}

// Values (4, n) to (4, n / 2^S) with alpha = a + b i + (c + d i) u and the heap of inverse twiddles. Reads 16 bytes a
// value and about 4 a result of each fold, writes 16 a result of the last.
KERNEL fold_once(const u32 *values, u32 n, u32 a, u32 b, u32 c, u32 d, const u32 *heap, u32 on_circle, u32 *out) {
    fold_values<1>(values, n, {{a, b}, {c, d}}, heap, on_circle, out);
}

KERNEL fold_twice(const u32 *values, u32 n, u32 a, u32 b, u32 c, u32 d, const u32 *heap, u32 on_circle, u32 *out) {
    fold_values<2>(values, n, {{a, b}, {c, d}}, heap, on_circle, out);
}

KERNEL fold_thrice(const u32 *values, u32 n, u32 a, u32 b, u32 c, u32 d, const u32 *heap, u32 on_circle, u32 *out) {
    fold_values<3>(values, n, {{a, b}, {c, d}}, heap, on_circle, out);
}
