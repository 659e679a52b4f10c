// The heaps themselves: no thread needs another's result.

#include "twiddles.cuh"

// Thread m fills the nodes 2m and 2m + 1 of both heaps: x and y of a point, and 1/x and 1/y.
//
// The pairs of level k, nodes 2^k .. 2^(k+1) - 1, are the point 2^(28-k) G turned by 2^(28-s) G for every bit s of the
// pair's number; points[k] is 2^(28-k) G. Reads nothing worth counting, writes 16 bytes a thread.
KERNEL fill_twiddles(const uint2 *points, u32 *forward, u32 *backward, u32 pairs) {
    u32 m = thread_number();
    if (m >= pairs) return;
    u32 level = 32 - __clz(m);
    uint2 point = __ldg(points + level);
    if (m == 0) point.y = point.x;
    u32 number = m == 0 ? 0 : m - (1u << (level - 1));
    for (u32 s = 0; number >> s; s++) {
        if (!(number >> s & 1)) continue;
        uint2 turn = __ldg(points + s);
        point = make_uint2(sub(mul(point.x, turn.x), mul(point.y, turn.y)), add(mul(point.x, turn.y), mul(point.y, turn.x)));
    }
    u32 both = inverse(mul(point.x, point.y));
    ((uint2 *)forward)[m] = point;
    ((uint2 *)backward)[m] = make_uint2(mul(both, point.y), mul(both, point.x));
}
