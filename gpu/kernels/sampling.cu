// Polynomials at a point outside their domain: coefficient k times the product of the factors that the bits of k
// select (PROTOCOL 3). Low bits are a thread's number, the middle ones its loop, the high ones the block.

#include "sums.cuh"

constexpr u32 THREADS = 256;

// out (2^bits, 4): the basis of the `bits` factors (bits, 4). Writes 16 bytes a thread.
KERNEL basis(const u32 *factors, u32 bits, u32 *out) {
    u32 k = thread_number();
    if (k >> bits) return;
    qm31 value = secure(1);
    for (u32 bit = 0; bit < bits; bit++)
        if (k >> bit & 1) value = mul(value, constant(factors + 4 * bit));
    store_secure(out + 4 * k, 1, 0, value);
}

// The sum over all threads of a block, in thread 0.
DEVICE qm31 block_sum(qm31 value) {
    __shared__ u32 sums[4 * THREADS];
    u32 t = threadIdx.x;
    store_secure(sums, THREADS, t, value);
    __syncthreads();
    for (u32 half = THREADS / 2; half; half /= 2) {
        if (t < half) {
            value = add(value, load_secure(sums, THREADS, t + half));
            store_secure(sums, THREADS, t, value);
        }
        __syncthreads();
    }
    return value;
}

// out (columns, chunks, 4): every chunk of 2^(low + middle) coefficients folded with the bases of its bits. Reads 4
// bytes a coefficient. Grid: (chunks, columns).
KERNEL fold_chunks(const u32 *const *columns, u32 low, u32 middle, const u32 *lows, const u32 *middles, u32 *out) {
    u32 t = threadIdx.x;
    const u32 *own = columns[blockIdx.y] + ((u64)blockIdx.x << (low + middle));
    qm31 value = secure(0);
    if (!(t >> low)) {
        wide_sums s = {0, 0, 0, 0};
        for (u32 k = 0; k < 1u << middle; k++) {
            if (k & 1) fold(s);
            accumulate(s, own[(k << low) + t], middles + 4 * k);
        }
        value = mul(reduce(s), constant(lows + 4 * t));
    }
    value = block_sum(value);
    if (t == 0) store_secure(out + 4 * ((u64)blockIdx.y * gridDim.x + blockIdx.x), 1, 0, value);
}

// out (columns, 4): the folded chunks (columns, chunks, 4) with the basis of the high bits. Grid: (columns).
KERNEL fold_highs(const u32 *chunks, u32 count, const u32 *highs, u32 *out) {
    const u32 *own = chunks + 4 * (u64)blockIdx.x * count;
    qm31 value = secure(0);
    for (u32 k = threadIdx.x; k < count; k += THREADS)
        value = add(value, mul(constant(own + 4 * k), constant(highs + 4 * k)));
    value = block_sum(value);
    if (threadIdx.x == 0) store_secure(out + 4 * blockIdx.x, 1, 0, value);
}
