// What the kernels that `compile` generates stand on.

#include "sums.cuh"
#include "rows.cuh"
