// Sums over the rows of a secure column (4, 2^n), which lies in storage order. Blocks of 256 threads.

#include "rows.cuh"

constexpr u32 THREADS = 256, EACH = 4;  // a block sums 1024 rows, a thread four

// The sum of the values of all threads before this one.
DEVICE u32 sum_before(u32 value) {
    __shared__ u32 sums[THREADS];
    u32 t = threadIdx.x;
    sums[t] = value;
    __syncthreads();
    for (u32 step = 1; step < THREADS; step *= 2) {
        u32 other = t >= step ? sums[t - step] : 0;
        __syncthreads();
        sums[t] = add(sums[t], other);
        __syncthreads();
    }
    return t ? sums[t - 1] : 0;
}

// In place: each value becomes the sum of its block's rows up to it; totals (4, blocks) are those of whole blocks.
// Reads and writes 16 bytes a row at scattered places, so that memory moves eight times as much. Grid: (blocks, 4).
KERNEL sum_rows(u32 *values, u32 n, u32 *totals) {
    u32 rows = 1u << n, first = blockIdx.x * THREADS * EACH + threadIdx.x * EACH;
    u32 *column = values + (u64)blockIdx.y * rows;
    u32 own[EACH], total = 0;
    for (u32 k = 0; k < EACH; k++) {
        u32 value = first + k < rows ? column[row_position(first + k, n)] : 0;
        own[k] = total = add(total, value);
    }
    u32 before = sum_before(total);
    for (u32 k = 0; k < EACH; k++)
        if (first + k < rows) column[row_position(first + k, n)] = add(before, own[k]);
    if (threadIdx.x == THREADS - 1) totals[blockIdx.y * gridDim.x + blockIdx.x] = add(before, total);
}

// (4, blocks) totals -> (4, blocks + 1) sums of the blocks before each, the whole sum last. Grid: (1, 4).
KERNEL sum_blocks(const u32 *totals, u32 blocks, u32 *before) {
    const u32 *own = totals + blockIdx.y * blocks;
    u32 *out = before + blockIdx.y * (blocks + 1);
    u32 each = (blocks + THREADS - 1) / THREADS, total = 0;
    u32 first = min(threadIdx.x * each, blocks), last = min(first + each, blocks);
    for (u32 k = first; k < last; k++) total = add(total, own[k]);
    u32 sum = sum_before(total);
    for (u32 k = first; k < last; k++) {
        out[k] = sum;
        sum = add(sum, own[k]);
    }
    if (threadIdx.x == THREADS - 1) out[blocks] = sum;
}

// In place: adds the sums of the blocks before, and takes the share for every row off. Reads and writes 16 bytes a row.
KERNEL finish_rows(u32 *values, u32 n, const u32 *before, u32 blocks, u32 s0, u32 s1, u32 s2, u32 s3) {
    u32 i = thread_number(), rows = 1u << n;
    if (i >= rows) return;
    u32 row = position_row(i, n), block = row / (THREADS * EACH), stride = blocks + 1;
    qm31 sum = add(load_secure(values, rows, i), load_secure(before, stride, block));
    qm31 share = {{s0, s1}, {s2, s3}};
    store_secure(values, rows, i, sub(sum, mul(share, row + 1)));
}
