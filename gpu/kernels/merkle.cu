// Leaves and nodes of lifted Merkle trees, and what an opening reads (prover/merkle.py).
//
// A layer of n digests is stored word by word, (8, n). A tree holds its layers one after the other, the root first.

#include "blake2s.cuh"

constexpr u32 HASHERS = 256;  // threads of a block of any kernel here that hashes

#define SHARED_DIGESTS __shared__ u32 shared[8][HASHERS]

// Where a tree's layer of 2^depth digests begins.
DEVICE u64 layer_start(u32 depth) { return 8 * ((1ull << depth) - 1); }

DEVICE void store_digest(u32 *layer, u64 stride, u64 i, const digest &h) {
#pragma unroll
    for (u32 w = 0; w < 8; w++) layer[w * stride + i] = h.words[w];
}

// Position that stands for position s of a domain 2^lift times as large.
DEVICE u32 lifted(u32 s, u32 lift) { return (s >> lift >> 1 << 1) + (s & 1); }

// Digest of the values at position s of all columns, sixteen at a time.
DEVICE digest hash_row(const u32 *const *columns, const u32 *lifts, u32 n, u32 s, u32 reduced) {
    digest h = initial_state();
    for (u32 first = 0; first < n; first += 16) {
        u32 m[16];
#pragma unroll
        for (u32 k = 0; k < 16; k++) m[k] = first + k < n ? columns[first + k][lifted(s, lifts[first + k])] : 0;
        compress(h, m, 4 * min(first + 16, n), first + 16 >= n);
    }
    reduce_words(h, reduced);
    return h;
}

// Hashes the digests of this block's first `count` threads pairwise; the first count / 2 threads have the results.
DEVICE void climb(digest &h, u32 (*shared)[HASHERS], u32 count, u32 reduced) {
    __syncthreads();  // the digests of the level before have been read
    if (threadIdx.x < count) {
#pragma unroll
        for (u32 w = 0; w < 8; w++) shared[w][threadIdx.x] = h.words[w];
    }
    __syncthreads();
    if (threadIdx.x >= count / 2) return;
    u32 m[16];
#pragma unroll
    for (u32 w = 0; w < 8; w++) {
        m[w] = shared[w][2 * threadIdx.x];
        m[8 + w] = shared[w][2 * threadIdx.x + 1];
    }
    h = hash_block(m, reduced);
}

// Climbs `levels` from a leaf a thread and writes the layer that is reached.
DEVICE void climb_from_leaves(digest &h, u32 (*shared)[HASHERS], u32 levels, u32 n, u32 reduced, u32 *layer) {
    for (u32 level = 0; level < levels; level++) climb(h, shared, HASHERS >> level, reduced);
    u32 width = HASHERS >> levels, i = blockIdx.x * width + threadIdx.x;
    if (threadIdx.x < width && i < n >> levels) store_digest(layer, n >> levels, i, h);
}

// The layer `levels` <= 8 above n leaves (then n is a multiple of 256) or the leaves themselves (levels = 0), each of
// all columns at its position. Columns are sorted by size; lifts are the log ratios to n. Reads 4 bytes a column and
// leaf, neighbours side by side, writes 32 bytes a digest.
KERNEL __launch_bounds__(256) hash_columns(const u32 *const *columns, const u32 *lifts, u32 n_columns, u32 n,
                                           u32 levels, u32 reduced, u32 *layer) {
    SHARED_DIGESTS;
    u32 s = thread_number();
    digest h = hash_row(columns, lifts, n_columns, s < n ? s : 0, reduced);
    climb_from_leaves(h, shared, levels, n, reduced, layer);
}

// The same of leaves with the rows 4s .. 4s + 3 of four columns, row by row. Reads 64 bytes a leaf.
KERNEL __launch_bounds__(256) hash_packed(const uint4 *const *columns, u32 n, u32 levels, u32 reduced, u32 *layer) {
    SHARED_DIGESTS;
    u32 s = thread_number();
    if (s >= n) s = 0;
    uint4 a = columns[0][s], b = columns[1][s], c = columns[2][s], d = columns[3][s];
    u32 m[16] = {a.x, b.x, c.x, d.x, a.y, b.y, c.y, d.y, a.z, b.z, c.z, d.z, a.w, b.w, c.w, d.w};
    digest h = hash_block(m, reduced);
    climb_from_leaves(h, shared, levels, n, reduced, layer);
}

// Leaves at chosen positions of a tree as `hash_columns` makes it, or, packed, as `hash_packed`.
KERNEL __launch_bounds__(256) hash_positions(const u32 *const *columns, const u32 *lifts, u32 n_columns,
                                             const u32 *positions, u32 n, u32 packed, u32 reduced, u32 *layer) {
    u32 i = thread_number();
    if (i >= n) return;
    u32 s = positions[i];
    if (!packed) return store_digest(layer, n, i, hash_row(columns, lifts, n_columns, s, reduced));
    u32 m[16];
#pragma unroll
    for (u32 k = 0; k < 16; k++) m[k] = columns[k % 4][4 * s + k / 4];
    store_digest(layer, n, i, hash_block(m, reduced));
}

// The `levels` <= 9 layers of a tree above that of 2^depth digests, from which a block takes 2 blockDim.x. Reads 64 and
// writes 32 bytes a node of the first of these layers, and writes 32 a node of the others.
KERNEL __launch_bounds__(256) hash_nodes(u32 *tree, u32 depth, u32 levels, u32 reduced) {
    SHARED_DIGESTS;
    const u32 *children = tree + layer_start(depth);
    u64 parent = thread_number(), stride = 1ull << depth;
    u32 m[16];
#pragma unroll
    for (u32 w = 0; w < 8; w++) {
        uint2 both = *(const uint2 *)(children + w * stride + 2 * parent);
        m[w] = both.x;
        m[8 + w] = both.y;
    }
    digest h = hash_block(m, reduced);
    store_digest(tree + layer_start(depth - 1), stride / 2, parent, h);
    for (u32 level = 1; level < levels; level++) {
        u32 width = blockDim.x >> level;
        climb(h, shared, 2 * width, reduced);
        if (threadIdx.x < width)
            store_digest(tree + layer_start(depth - 1 - level), stride >> (level + 1), blockIdx.x * width + threadIdx.x, h);
    }
}

// out[i] = values[places[i]].
KERNEL gather(const u32 *values, const u32 *places, u32 n, u32 *out) {
    u32 i = thread_number();
    if (i < n) out[i] = values[places[i]];
}

// out (positions, columns): the values of all columns at positions of a domain, by their lifts.
KERNEL gather_rows(const u32 *const *columns, const u32 *lifts, u32 n_columns, const u32 *positions, u32 n, u32 *out) {
    u32 i = thread_number();
    if (i >= n * n_columns) return;
    u32 column = i % n_columns;
    out[i] = columns[column][lifted(positions[i / n_columns], lifts[column])];
}
