// Twiddles as a heap (prover/twiddles.py): a block with node i has its halves' twiddles at 2i and 2i + 1. Entry 0
// repeats entry 1, so that the first pair too is (x, y) up to sign.

#include "field.cuh"

// Of a pair (x, y) in layer 1: the layer-0 twiddle y, -y, -x or x of a node below it.
DEVICE u32 symmetry(u32 x, u32 y, u32 node) {
    u32 v = (node & 3) < 2 ? y : x;
    return (node & 3) == 1 || (node & 3) == 2 ? P - v : v;
}

// Twiddle of layer 0, or its inverse, by whether the heap holds twiddles or inverses.
DEVICE u32 layer_zero(const u32 *heap, u32 node) {
    u32 pair = node >> 2 << 1;
    return node == 1 ? P - 1 : symmetry(__ldg(heap + pair), __ldg(heap + pair + 1), node);
}
