// The circle FFT in tiles of 2^12 values (prover/fft.py): each value is in a register while four layers are done,
// and goes through shared memory to the thread that does the next four.
//
// A tile is either 2^12 neighbours, for the twelve lowest layers, or 2^R rows of 2^(12-R) neighbours, for R <= 8 layers
// further up. A round on the tile bits g .. g+3 has the sixteen values that differ in these bits in one thread.

#include "twiddles.cuh"

constexpr u32 TILE_LOG = 12, ROUND = 4, VALUES = 16;
constexpr u32 SMALL_LOG = 11;  // transforms up to this size are done layer by layer in shared memory

template <bool FORWARD> DEVICE void butterfly(u32 &u, u32 &v, u32 t) {
    if (FORWARD) {
        u32 x = mul(v, t);
        v = sub(u, x);
        u = add(u, x);
    } else {
        u32 d = sub(u, v);
        u = add(u, v);
        v = mul(d, t);
    }
}

// The COUNT uppermost layers between sixteen values, from the STEP-th on; `node` is the block of all sixteen. LOWEST:
// the last is layer 0, whose twiddles come out of those of layer 1. Unrolled by recursion, for only then does every
// compiler keep the values in registers.
template <bool FORWARD, u32 COUNT, bool LOWEST, u32 STEP = 0>
DEVICE void layers(u32 (&v)[VALUES], const u32 *heap, u32 node) {
    constexpr u32 depth = FORWARD ? STEP : COUNT - 1 - STEP, half = (VALUES / 2) >> depth;
#pragma unroll
    for (u32 k = 0; k < 1u << depth; k++) {
        u32 t;
        if constexpr (LOWEST && depth == ROUND - 1) {
            u32 pair = (node << (depth - 1)) + (k >> 2 << 1);
            t = symmetry(heap[pair], heap[pair + 1], k);
        } else {
            t = heap[(node << depth) + k];
        }
#pragma unroll
        for (u32 j = 0; j < half; j++) butterfly<FORWARD>(v[2 * half * k + j], v[2 * half * k + j + half], t);
    }
    if constexpr (STEP + 1 < COUNT) layers<FORWARD, COUNT, LOWEST, STEP + 1>(v, heap, node);
}

template <bool FORWARD> DEVICE void some_layers(u32 (&v)[VALUES], const u32 *heap, u32 node, u32 count) {
    switch (count) {
        case 1: return layers<FORWARD, 1, false>(v, heap, node);
        case 2: return layers<FORWARD, 2, false>(v, heap, node);
        case 3: return layers<FORWARD, 3, false>(v, heap, node);
        default: return layers<FORWARD, 4, false>(v, heap, node);
    }
}

// Where in the tile the k-th value of this thread lies in the round on the bits g .. g+3.
DEVICE u32 place(u32 g, u32 k) {
    u32 t = threadIdx.x;
    return ((t >> g << (g + ROUND)) | (t & ((1u << g) - 1))) + (k << g);
}

// A word of padding after every sixteen spreads each round's accesses over the banks.
DEVICE u32 padded(u32 i) { return i + (i >> 4); }

// Hands the values over from one round to another. A thread writes where it read last, so one barrier is enough.
template <u32 FROM, u32 TO> DEVICE void exchange(u32 (&v)[VALUES], u32 *tile) {
    u32 *from = tile + padded(place(FROM, 0)), *to = tile + padded(place(TO, 0));
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) from[padded(k << FROM)] = v[k];  // no carry: padding is linear here
    __syncthreads();
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) v[k] = to[padded(k << TO)];
}

#define TILE_MEMORY __shared__ u32 tile[(1 << TILE_LOG) + (1 << (TILE_LOG - 4))]

// The twelve lowest layers of every block of 2^12 positions. Columns of 2^log_out values; block j is read from
// position j 2^12 mod 2^source_log of its source. Moves 8 bytes a value; neighbouring blocks of the grid do the same
// block of different columns, so that its 2^12 twiddles come from the cache.
KERNEL __launch_bounds__(256, 4) forward_tiles(const u32 *const *sources, u32 *const *targets, const u32 *heap,
                                            u32 columns, u32 source_log, u32 log_out) {
    TILE_MEMORY;
    u32 column = blockIdx.x % columns, block = blockIdx.x / columns;
    const u32 *source = sources[column] + ((block << TILE_LOG) & ((1u << source_log) - 1));
    u32 *target = targets[column] + (block << TILE_LOG);
    u32 node = (1u << (log_out - TILE_LOG)) + block, t = threadIdx.x, v[VALUES];
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) v[k] = source[place(8, k)];
    layers<true, 4, false>(v, heap, node);
    exchange<8, 4>(v, tile);
    layers<true, 4, false>(v, heap, (node << 4) + (t >> 4));
    exchange<4, 0>(v, tile);
    layers<true, 4, true>(v, heap, (node << 8) + t);
    exchange<0, 8>(v, tile);
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) target[place(8, k)] = v[k];
}

// The inverse, in place, and every value times 2^shift.
KERNEL __launch_bounds__(256, 4) backward_tiles(u32 *const *values, const u32 *heap, u32 columns, u32 domain_log, u32 shift) {
    TILE_MEMORY;
    u32 column = blockIdx.x % columns, block = blockIdx.x / columns;
    u32 *target = values[column] + (block << TILE_LOG);
    u32 node = (1u << (domain_log - TILE_LOG)) + block, t = threadIdx.x, v[VALUES];
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) v[k] = target[place(8, k)];
    exchange<8, 0>(v, tile);
    layers<false, 4, true>(v, heap, (node << 8) + t);
    exchange<0, 4>(v, tile);
    layers<false, 4, false>(v, heap, (node << 4) + (t >> 4));
    exchange<4, 8>(v, tile);
    layers<false, 4, false>(v, heap, node);
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) target[place(8, k)] = rotate(v[k], shift);
}

// Where the value at place i of a tile of rows lies: its rows are 2^(log - count) apart.
DEVICE u32 row_place(u32 i, u32 log, u32 count) {
    u32 width = TILE_LOG - count;
    return (i >> width << (log - count)) + (i & ((1u << width) - 1));
}

// The `count` <= 8 uppermost layers of every block of 2^log > 2^12 positions; sources as in `forward_tiles`. Moves 8
// bytes a value, at least 64 of them side by side.
KERNEL __launch_bounds__(256, 4) forward_rows(const u32 *const *sources, u32 *const *targets, const u32 *heap,
                                           u32 source_log, u32 log_out, u32 log, u32 count) {
    TILE_MEMORY;
    u32 block = blockIdx.x >> (log - TILE_LOG), part = blockIdx.x & ((1u << (log - TILE_LOG)) - 1);
    u32 base = (block << log) + (part << (TILE_LOG - count)), node = (1u << (log_out - log)) + block, v[VALUES];
    const u32 *source = sources[blockIdx.y] + (base & ((1u << source_log) - 1));
    u32 *target = targets[blockIdx.y] + base, g = count > ROUND ? 4 : 8;
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) v[k] = source[row_place(place(8, k), log, count)];
    some_layers<true>(v, heap, node, min(count, ROUND));
    if (count > ROUND) {
        exchange<8, 4>(v, tile);
        some_layers<true>(v, heap, (node << 4) + (threadIdx.x >> 4), count - ROUND);
    }
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) target[row_place(place(g, k), log, count)] = v[k];
}

// The inverse, in place, and every value times 2^shift.
KERNEL __launch_bounds__(256, 4) backward_rows(u32 *const *values, const u32 *heap, u32 domain_log, u32 log, u32 count, u32 shift) {
    TILE_MEMORY;
    u32 block = blockIdx.x >> (log - TILE_LOG), part = blockIdx.x & ((1u << (log - TILE_LOG)) - 1);
    u32 base = (block << log) + (part << (TILE_LOG - count)), node = (1u << (domain_log - log)) + block, v[VALUES];
    u32 *target = values[blockIdx.y] + base, g = count > ROUND ? 4 : 8;
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) v[k] = target[row_place(place(g, k), log, count)];
    if (count > ROUND) {
        some_layers<false>(v, heap, (node << 4) + (threadIdx.x >> 4), count - ROUND);
        exchange<4, 8>(v, tile);
    }
    some_layers<false>(v, heap, node, min(count, ROUND));
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) target[row_place(place(8, k), log, count)] = rotate(v[k], shift);
}

// The end of an interpolation and the beginning of an evaluation: the `count` uppermost layers of columns of 2^log > 2^12
// values backward, in place and times 2^shift, and then forward for every 2^log positions of 2^log_out. Reads 4 bytes a
// value and writes 4, and 4 for each of the targets'.
KERNEL __launch_bounds__(256, 3) turn_rows(u32 *const *values, u32 *const *targets, const u32 *backward, const u32 *forward,
                                           u32 log, u32 log_out, u32 count, u32 shift) {
    TILE_MEMORY;
    u32 base = blockIdx.x << (TILE_LOG - count), lower = threadIdx.x >> 4, g = count > ROUND ? 4 : 8, v[VALUES];
    u32 *source = values[blockIdx.y] + base;
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) v[k] = source[row_place(place(g, k), log, count)];
    if (count > ROUND) {
        some_layers<false>(v, backward, (1 << 4) + lower, count - ROUND);
        exchange<4, 8>(v, tile);
    }
    some_layers<false>(v, backward, 1, min(count, ROUND));
#pragma unroll
    for (u32 k = 0; k < VALUES; k++) source[row_place(place(8, k), log, count)] = v[k] = rotate(v[k], shift);
    for (u32 block = 0; block < 1u << (log_out - log); block++) {
        u32 node = (1u << (log_out - log)) + block, w[VALUES];
        u32 *target = targets[blockIdx.y] + (block << log) + base;
#pragma unroll
        for (u32 k = 0; k < VALUES; k++) w[k] = v[k];
        some_layers<true>(w, forward, node, min(count, ROUND));
        if (count > ROUND) {
            if (block) __syncthreads();  // the block before has been read
            exchange<8, 4>(w, tile);
            some_layers<true>(w, forward, (node << 4) + lower, count - ROUND);
        }
#pragma unroll
        for (u32 k = 0; k < VALUES; k++) target[row_place(place(g, k), log, count)] = w[k];
    }
}

// All layers of a block of 2^log <= 2^11 values in shared memory; `root` is its node.
template <bool FORWARD> DEVICE void small_transform(u32 *v, const u32 *heap, u32 log, u32 root) {
    for (u32 step = 0; step < log; step++) {
        u32 layer = FORWARD ? log - 1 - step : step;
        __syncthreads();
        for (u32 p = threadIdx.x; p < 1u << (log - 1); p += blockDim.x) {
            u32 block = p >> layer, i = (block << (layer + 1)) | (p & ((1u << layer) - 1));
            u32 node = (root << (log - 1 - layer)) + block;
            butterfly<FORWARD>(v[i], v[i + (1u << layer)], layer ? __ldg(heap + node) : layer_zero(heap, node));
        }
    }
    __syncthreads();
}

// Whole transforms of 2^log values each, one a block, as `forward_tiles`.
KERNEL forward_small(const u32 *const *sources, u32 *const *targets, const u32 *heap, u32 columns, u32 log, u32 log_out) {
    __shared__ u32 v[1 << SMALL_LOG];
    u32 column = blockIdx.x % columns, block = blockIdx.x / columns;
    for (u32 i = threadIdx.x; i < 1u << log; i += blockDim.x) v[i] = sources[column][i];
    small_transform<true>(v, heap, log, (1u << (log_out - log)) + block);
    u32 *target = targets[column] + (block << log);
    for (u32 i = threadIdx.x; i < 1u << log; i += blockDim.x) target[i] = v[i];
}

KERNEL backward_small(u32 *const *values, const u32 *heap, u32 domain_log, u32 log, u32 shift) {
    __shared__ u32 v[1 << SMALL_LOG];
    u32 *target = values[blockIdx.x];
    for (u32 i = threadIdx.x; i < 1u << log; i += blockDim.x) v[i] = target[i];
    small_transform<false>(v, heap, log, 1u << (domain_log - log));
    for (u32 i = threadIdx.x; i < 1u << log; i += blockDim.x) target[i] = rotate(v[i], shift);
}
