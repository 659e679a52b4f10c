// M31, CM31 = M31[i] / (i^2 + 1) and QM31 = CM31[u] / (u^2 - 2 - i): canonical values, unsigned arithmetic (air/field.py).

typedef unsigned int u32;
typedef unsigned long long u64;

#define DEVICE __device__ __forceinline__
#define KERNEL extern "C" __global__ void

constexpr u32 P = 0x7fffffff;

struct cm31 {
    u32 a, b;  // a + b i
};

struct qm31 {
    cm31 x, y;  // x + y u
};

// Number of this thread in a one-dimensional grid.
DEVICE u32 thread_number() { return blockIdx.x * blockDim.x + threadIdx.x; }

// M31. The smaller of s and s - P is the canonical one, because the other wraps around 2^32.

DEVICE u32 add(u32 x, u32 y) {
    u32 s = x + y;
    return min(s, s - P);
}

DEVICE u32 sub(u32 x, u32 y) {
    u32 d = x - y;
    return min(d, d + P);
}

DEVICE u32 neg(u32 x) { return sub(0, x); }

// Sums of products, reduced late: a product is below 2^62, a folded sum below 2^34.

DEVICE u64 product(u32 x, u32 y) { return (u64)x * y; }

DEVICE u64 fold(u64 x) { return (x & P) + (x >> 31); }

// Any u64 mod P.
DEVICE u32 reduce(u64 x) {
    u64 twice = fold(fold(x));  // at most P + 8
    u32 s = (u32)twice;
    return min(s, s - P);
}

DEVICE u32 mul(u32 x, u32 y) {
    u64 p = product(x, y);
    return add((u32)p & P, (u32)(p >> 31));
}

// x 2^k for 0 <= k < 31: the bits turn around within 31.
DEVICE u32 rotate(u32 x, u32 k) { return ((x << k) & P) | (x >> (31 - k)); }

DEVICE u32 squared(u32 x, int times) {
    for (int k = 0; k < times; k++) x = mul(x, x);
    return x;
}

// x^(P-2) along the chain of air/arrays.py; zero stays zero.
DEVICE u32 inverse(u32 x) {
    u32 ones2 = mul(squared(x, 1), x);
    u32 ones4 = mul(squared(ones2, 2), ones2);
    u32 ones8 = mul(squared(ones4, 4), ones4);
    u32 ones16 = mul(squared(ones8, 8), ones8);
    u32 ones24 = mul(squared(ones16, 8), ones8);
    u32 ones28 = mul(squared(ones24, 4), ones4);
    u32 ones29 = mul(squared(ones28, 1), x);
    return mul(squared(ones29, 2), x);
}

// CM31.

DEVICE cm31 add(cm31 x, cm31 y) { return {add(x.a, y.a), add(x.b, y.b)}; }
DEVICE cm31 sub(cm31 x, cm31 y) { return {sub(x.a, y.a), sub(x.b, y.b)}; }
DEVICE cm31 neg(cm31 x) { return {neg(x.a), neg(x.b)}; }
DEVICE cm31 mul(cm31 x, u32 y) { return {mul(x.a, y), mul(x.b, y)}; }

DEVICE cm31 mul(cm31 x, cm31 y) {
    return {reduce(product(x.a, y.a) + product(x.b, P - y.b)), reduce(product(x.a, y.b) + product(x.b, y.a))};
}

DEVICE cm31 inverse(cm31 x) {
    u32 scale = inverse(reduce(product(x.a, x.a) + product(x.b, x.b)));
    return {mul(x.a, scale), mul(neg(x.b), scale)};
}

// x times 2 + i, the square of u.
DEVICE cm31 twist(cm31 x) { return {sub(add(x.a, x.a), x.b), add(x.a, add(x.b, x.b))}; }

// QM31.

DEVICE qm31 secure(u32 x) { return {{x, 0}, {0, 0}}; }
DEVICE qm31 add(qm31 v, qm31 w) { return {add(v.x, w.x), add(v.y, w.y)}; }
DEVICE qm31 add(qm31 v, u32 w) { return {{add(v.x.a, w), v.x.b}, v.y}; }
DEVICE qm31 sub(qm31 v, qm31 w) { return {sub(v.x, w.x), sub(v.y, w.y)}; }
DEVICE qm31 sub(qm31 v, u32 w) { return {{sub(v.x.a, w), v.x.b}, v.y}; }
DEVICE qm31 neg(qm31 v) { return {neg(v.x), neg(v.y)}; }
DEVICE qm31 mul(qm31 v, u32 w) { return {mul(v.x, w), mul(v.y, w)}; }
DEVICE qm31 mul(qm31 v, cm31 w) { return {mul(v.x, w), mul(v.y, w)}; }

DEVICE qm31 mul(qm31 v, qm31 w) {
    cm31 high = twist(mul(v.y, w.y));
    cm31 x = {reduce(product(v.x.a, w.x.a) + product(v.x.b, P - w.x.b) + high.a),
              reduce(product(v.x.a, w.x.b) + product(v.x.b, w.x.a) + high.b)};
    cm31 y = {reduce(product(v.x.a, w.y.a) + product(v.x.b, P - w.y.b) + product(v.y.a, w.x.a) + product(v.y.b, P - w.x.b)),
              reduce(product(v.x.a, w.y.b) + product(v.x.b, w.y.a) + product(v.y.a, w.x.b) + product(v.y.b, w.x.a))};
    return {x, y};
}

DEVICE qm31 inverse(qm31 v) {
    cm31 scale = inverse(sub(mul(v.x, v.x), twist(mul(v.y, v.y))));
    return {mul(v.x, scale), neg(mul(v.y, scale))};
}

// A secure column holds its four coordinates one after the other, `stride` words each.

DEVICE qm31 load_secure(const u32 *values, u64 stride, u64 i) {
    return {{values[i], values[stride + i]}, {values[2 * stride + i], values[3 * stride + i]}};
}

DEVICE void store_secure(u32 *values, u64 stride, u64 i, qm31 v) {
    values[i] = v.x.a;
    values[stride + i] = v.x.b;
    values[2 * stride + i] = v.y.a;
    values[3 * stride + i] = v.y.b;
}
