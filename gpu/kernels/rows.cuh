// Rows of a trace and their neighbours in storage order (PROTOCOL 2).

#include "field.cuh"

// Where row `row` of a column of 2^n values lies.
DEVICE u32 row_position(u32 row, u32 n) {
    u32 d = row & 1 ? (1u << n) - (row + 1) / 2 : row / 2;
    return __brev(d) >> (32 - n);
}

// The row that lies at a position.
DEVICE u32 position_row(u32 position, u32 n) {
    u32 d = __brev(position) >> (32 - n), half = 1u << (n - 1);
    return d < half ? 2 * d : 2 * ((1u << n) - d) - 1;
}

// Position of the value `offset` rows away on the trace domain of 2^n points.
DEVICE u32 trace_neighbour(u32 position, int offset, u32 n) {
    return row_position((position_row(position, n) + (u32)offset) & ((1u << n) - 1), n);
}

// The same on the evaluation domain of 2^(n+1) points.
DEVICE u32 domain_neighbour(u32 position, int offset, u32 n) {
    u32 half = 1u << n, d = __brev(position) >> (31 - n);
    u32 moved = d < half ? (d + (u32)offset) & (half - 1) : half + ((d - half - (u32)offset) & (half - 1));
    return __brev(moved) >> (31 - n);
}
