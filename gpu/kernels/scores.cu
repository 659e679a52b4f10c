// Scores of vectors: the same integers as octoproof/vectors/scan.py.

#include "field.cuh"

constexpr u32 TOGETHER = 8;  // queries that a column is read for once

// Sums mod 2^32 of two neighbouring rows' int16 coordinates, times the queries' weights (queries, dimension).
template <u32 QUERIES>
DEVICE void scores(const u32 *columns, const u32 *norms, u32 words, u32 dimension, const u32 *weights, u32 *out) {
    u32 i = thread_number();
    if (i >= words) return;
    u32 low[QUERIES], high[QUERIES];
    for (u32 q = 0; q < QUERIES; q++) {
        low[q] = 0u - norms[2 * i];
        high[q] = 0u - norms[2 * i + 1];
    }
    for (u32 d = 0; d < dimension; d++) {
        u32 pair = columns[(u64)d * words + i];
        u32 first = (u32)(int)(short)(pair & 0xffff), second = (u32)(int)(short)(pair >> 16);
        for (u32 q = 0; q < QUERIES; q++) {
            low[q] += weights[q * dimension + d] * first;
            high[q] += weights[q * dimension + d] * second;
        }
    }
    for (u32 q = 0; q < QUERIES; q++) {
        out[2 * ((u64)q * words + i)] = low[q];
        out[2 * ((u64)q * words + i) + 1] = high[q];
    }
}

// out (queries, rows): weights times columns (dimension, rows) of int16, less the norms (rows). A thread has two rows;
// reads 2 bytes a coordinate once for all queries, writes 4 bytes a score.
KERNEL scores_of_one(const u32 *columns, const u32 *norms, u32 words, u32 dimension, const u32 *weights, u32 *out) {
    scores<1>(columns, norms, words, dimension, weights, out);
}

KERNEL scores_of_many(const u32 *columns, const u32 *norms, u32 words, u32 dimension, const u32 *weights, u32 *out) {
    scores<TOGETHER>(columns, norms, words, dimension, weights, out);
}
