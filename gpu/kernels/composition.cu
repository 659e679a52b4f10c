// What the generated kernels of `compile` leave to do.

#include "field.cuh"

// large (4, 2^(n+1)) += small (4, 2^(n+1-k)), lifted (PROTOCOL 3). Reads and writes 16 bytes a point, and reads the
// small values at a 2^k-th of that.
KERNEL add_lifted(u32 *large, u32 points, const u32 *small, u32 k) {
    u32 i = thread_number();
    if (i >= points) return;
    qm31 lifted = load_secure(small, points >> k, ((i >> (k + 1)) << 1) + (i & 1));
    store_secure(large, points, i, add(load_secure(large, points, i), lifted));
}
