// Floating-point distances of vectors: the same bits as octoproof/vectors/rerank.py.

#include "field.cuh"

// Products and sums rounded on their own, from the first coordinate to the last: nothing is fused, so that every
// machine finds the same bits (rerank.py). out (n, 2) are the sums of (x - q)^2 or x q, and of x^2. A thread has one
// candidate; asked (n) are the numbers of the candidates' queries.
KERNEL float_sums(const float *vectors, u32 n, u32 dimension, const float *queries, const u32 *asked, u32 squares,
                  double *out) {
    u32 i = thread_number();
    if (i >= n) return;
    const float *vector = vectors + (u64)i * dimension, *query = queries + (u64)asked[i] * dimension;
    double total = 0.0, own = 0.0;
    for (u32 d = 0; d < dimension; d++) {
        double x = vector[d], q = query[d], difference = __dsub_rn(x, q);
        total = __dadd_rn(total, squares ? __dmul_rn(difference, difference) : __dmul_rn(x, q));
        own = __dadd_rn(own, __dmul_rn(x, x));
    }
    out[2 * (u64)i] = total;
    out[2 * (u64)i + 1] = own;
}
