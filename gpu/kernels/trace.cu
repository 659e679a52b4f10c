// Traces made where they are proven, in storage order (air/statements/*.py say what they hold).

#include "rows.cuh"

// Wide Fibonacci: position r starts with (1, r). Writes 4 bytes a cell.
KERNEL wide_fib(u32 *out, u32 n, u32 width) {
    u32 i = thread_number();
    u64 rows = 1ull << n;
    if (i >= rows) return;
    u32 a = 1, b = i;
    out[i] = a;
    out[rows + i] = b;
    for (u32 column = 2; column < width; column++) {
        u32 c = add(mul(a, a), mul(b, b));
        out[column * rows + i] = c;
        a = b;
        b = c;
    }
}

// Poseidon2 of width 16 over M31, with the matrices and the constant of air/statements/poseidon2.py.

constexpr u32 WIDTH = 16, HALF_FULL = 4, PARTIAL = 14, CONSTANT = 1234;
constexpr u32 CELLS = WIDTH + 2 * (2 * HALF_FULL * WIDTH + PARTIAL);

DEVICE void external(u32 *state) {
    u32 sums[4] = {0, 0, 0, 0};
    for (u32 k = 0; k < WIDTH; k += 4) {
        u32 a = state[k], b = state[k + 1], c = state[k + 2], d = state[k + 3];
        u32 ab = add(a, b), cd = add(c, d);
        u32 low = add(rotate(b, 1), cd), high = add(rotate(d, 1), ab);
        u32 fourth = add(rotate(cd, 2), high), second = add(rotate(ab, 2), low);
        state[k] = add(high, second);
        state[k + 1] = second;
        state[k + 2] = add(low, fourth);
        state[k + 3] = fourth;
        for (u32 j = 0; j < 4; j++) sums[j] = add(sums[j], state[k + j]);
    }
    for (u32 k = 0; k < WIDTH; k++) state[k] = add(state[k], sums[k % 4]);
}

DEVICE void internal(u32 *state) {
    u32 total = 0;
    for (u32 k = 0; k < WIDTH; k++) total = add(total, state[k]);
    for (u32 k = 0; k < WIDTH; k++) state[k] = add(rotate(state[k], k + 1), total);
}

// One permutation; the square and the fifth power of every S-box go to `cells`, `stride` words apart, if it is given.
DEVICE void permute(u32 *state, u32 *cells, u64 stride) {
    for (u32 round = 0; round < 2 * HALF_FULL + PARTIAL; round++) {
        bool full = round < HALF_FULL || round >= HALF_FULL + PARTIAL;
        for (u32 k = 0; k < WIDTH; k++)
            if (full || k == 0) state[k] = add(state[k], CONSTANT);
        if (full) external(state);
        else internal(state);
        for (u32 k = 0; k < WIDTH; k++)
            if (full || k == 0) {
                u32 square = mul(state[k], state[k]);
                state[k] = mul(mul(square, square), state[k]);
                if (cells) {
                    cells[0] = square;
                    cells[stride] = state[k];
                    cells += 2 * stride;
                }
            }
    }
}

// states (chains, links, 16): where every permutation of a chain starts, from its start (chains, 16). Writes 64 bytes
// a permutation; a chain is one thread's.
KERNEL poseidon2_links(const u32 *start, u32 chains, u32 links, u32 *states) {
    u32 chain = thread_number();
    if (chain >= chains) return;
    u32 state[WIDTH];
    for (u32 k = 0; k < WIDTH; k++) state[k] = start[chain * WIDTH + k];
    for (u32 link = 0; link < links; link++) {
        u32 *target = states + ((u64)chain * links + link) * WIDTH;
        for (u32 k = 0; k < WIDTH; k++) target[k] = state[k];
        if (link + 1 < links) permute(state, nullptr, 0);
    }
}

// The 300 cells of every permutation. Reads 64 bytes and writes 1200 for each. Grid: (positions, instances of a row).
KERNEL poseidon2_cells(const u32 *states, u32 n, u32 *out) {
    u32 i = thread_number();
    u64 rows = 1ull << n;
    if (i >= rows) return;
    const u32 *start = states + ((u64)position_row(i, n) * gridDim.y + blockIdx.y) * WIDTH;
    u32 *cells = out + blockIdx.y * CELLS * rows + i;
    u32 state[WIDTH];
    for (u32 k = 0; k < WIDTH; k++) cells[k * rows] = state[k] = start[k];
    permute(state, cells + WIDTH * rows, rows);
}

// Top-k: the columns of air/statements/topk.py, (4 + 2 filters, rows), out of every row's score, whether it is live and
// its payload codes (fields, rows). `filters` are pairs of a field and the code it must have.
constexpr u32 LIMB_BITS = 10, LIMBS = 3, VALUES = 1 << LIMB_BITS;

// Reads 8 bytes a row and 4 a filter, writes 16 and 8. counts (1024) += how often each limb occurs; largest = the
// largest gap. Blocks of 256 threads.
KERNEL topk(const u32 *scores, const u32 *live, const u32 *codes, u32 n, const u32 *filters, u32 n_filters,
            u32 threshold, u32 *out, u32 *counts, u32 *largest) {
    __shared__ u32 own[VALUES];
    for (u32 k = threadIdx.x; k < VALUES; k += blockDim.x) own[k] = 0;
    __syncthreads();
    u32 i = thread_number();
    u64 rows = 1ull << n;
    if (i < rows) {
        u32 passing = live[i];
        for (u32 k = 0; k < n_filters; k++) {
            u32 other = sub(codes[filters[2 * k] * rows + i], filters[2 * k + 1]);
            passing = other ? 0 : passing;
            out[(1 + LIMBS + k) * rows + i] = passing;
            out[(1 + LIMBS + n_filters + k) * rows + i] = inverse(other);
        }
        u32 above = scores[i] - threshold;  // two's complement: negative where the top bit is set
        u32 gap = passing ? (above >> 31 ? ~above : above) : 0;
        out[i] = passing & ~(above >> 31);
        for (u32 k = 0; k < LIMBS; k++) {
            u32 limb = (gap >> (LIMB_BITS * k)) & (VALUES - 1);
            out[(1 + k) * rows + i] = limb;
            atomicAdd(own + limb, 1u);
        }
        if (gap >> (LIMB_BITS * LIMBS)) atomicMax(largest, gap);
    }
    __syncthreads();
    for (u32 k = threadIdx.x; k < VALUES; k += blockDim.x)
        if (own[k]) atomicAdd(counts + k, own[k]);
}
