// Proof of work (prover/grind.py).

#include "blake2s.cuh"

constexpr u32 LOW_BITS = 20;

// best[0] becomes the smallest number i < count for which the first hash word of nonce start + i has no bit of `mask`.
//
// Numbers run through the nonces (hi << 32) | lo with lo < 2^20 in order, from (hi, lo) on. A thread takes every
// gridDim-th of them until one before its own has been found.
KERNEL __launch_bounds__(256) find_nonce(const u32 *prefix, u32 hi, u32 lo, u32 count, u32 mask, u32 reduced, u32 *best) {
    for (u32 i = thread_number(); i < count; i += gridDim.x * blockDim.x) {
        if (*(volatile u32 *)best < i) return;
        u32 number = lo + i;
        u32 m[16] = {prefix[0], prefix[1], prefix[2], prefix[3], prefix[4], prefix[5], prefix[6], prefix[7],
                     number & ((1u << LOW_BITS) - 1), hi + (number >> LOW_BITS), 0, 0, 0, 0, 0, 0};
        digest h = initial_state();
        compress(h, m, 40, true);
        u32 word = reduced ? reduce(h.words[0]) : h.words[0];
        if ((word & mask) == 0) {
            atomicMin(best, i);
            return;
        }
    }
}
