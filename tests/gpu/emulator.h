// CUDA's execution model on one CPU thread: put in front of a kernel source, it makes that source C++.
//
// The threads of a block run one after the other, each until it ends or waits; those that wait keep a stack of their
// own. Every second launch begins with the last block and the last thread, so a kernel that lacks a barrier, or depends
// on the order of its blocks, is wrong in one launch of two. A launch that breaks a rule of CUDA stops where it does
// so, and says what happened.

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __shared__ static __attribute__((used, section("gpu_shared"), aligned(16)))

struct dim3 {
    unsigned x, y, z;
};

struct alignas(8) uint2 {
    unsigned x, y;
};

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// Where the linker put all shared memory of the source, if it has any.
extern "C" {
extern unsigned char __start_gpu_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_gpu_shared[] __attribute__((weak, visibility("hidden")));
}

static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

typedef unsigned long long word;

constexpr unsigned MAX_THREADS = 1024, WARP = 32;
constexpr size_t STACK = 1 << 17;
constexpr unsigned char POISON = 0xa5;  // four of them are no canonical value

enum State { FREE, READY, AT_WARP, AT_BLOCK, ENDED };

struct Thread {
    State state;
    int line;            // of the barrier it waits at
    ucontext_t context;  // where it goes on
    unsigned turn;       // which exchange buffer its next shuffle uses
};

static Thread threads[MAX_THREADS];
static ucontext_t scheduler, starters[MAX_THREADS];
static char *stacks;
static unsigned count, started, current;
static word exchange[2][MAX_THREADS];
static void (*body)(const word *);
static const word *body_arguments;
static sigjmp_buf stop;
static char message[256];
static void *fault;
static bool backwards;

[[noreturn]] static void fail(const char *what) {
    snprintf(message, sizeof message, "block (%u, %u, %u), thread %u: %s", blockIdx.x, blockIdx.y, blockIdx.z, current, what);
    siglongjmp(stop, 1);
}

static void on_signal(int number, siginfo_t *info, void *) {
    fault = number == SIGSEGV || number == SIGBUS ? info->si_addr : nullptr;
    fail(fault ? "access outside every array" : "undefined behaviour (index, shift or alignment)");
}

static void enter(unsigned thread) {
    current = thread;
    threadIdx = {thread, 0, 0};
}

// One stack runs thread after thread, until one of them waits and keeps the stack for itself.
static void run_threads() {
    while (started < count) {
        unsigned turn = started++, self = backwards ? count - 1 - turn : turn;
        enter(self);
        threads[self].state = READY;
        threads[self].turn = 0;
        body(body_arguments);
        threads[current].state = ENDED;
    }
    setcontext(&scheduler);
}

__attribute__((noinline)) static void wait(State state, int line) {
    Thread &self = threads[current];
    self.state = state;
    self.line = line;
    swapcontext(&self.context, &scheduler);
}

// Lets the threads first .. last - 1 go on if all of them wait at one barrier of this kind.
static bool release(unsigned first, unsigned last, State kind) {
    bool any = false;
    for (unsigned k = first; k < last; k++) any |= threads[k].state == kind;
    if (!any) return false;
    for (unsigned k = first; k < last; k++) {
        current = k;
        if (threads[k].state == ENDED) fail("ended while others wait at a barrier");
        if (threads[k].state != kind) {
            if (kind == AT_BLOCK) return false;
            fail("waits at a block barrier while its warp waits at a warp barrier");
        }
        if (threads[k].line != threads[first].line) fail("waits at another barrier than its neighbours");
    }
    for (unsigned k = first; k < last; k++) threads[k].state = READY;
    return true;
}

static void run_block() {
    if (__start_gpu_shared) memset(__start_gpu_shared, POISON, __stop_gpu_shared - __start_gpu_shared);
    started = 0;
    for (volatile unsigned stack = 0; started < count; stack = stack + 1) {
        getcontext(&starters[stack]);
        starters[stack].uc_stack.ss_sp = stacks + STACK * stack;
        starters[stack].uc_stack.ss_size = STACK;
        starters[stack].uc_link = nullptr;
        makecontext(&starters[stack], run_threads, 0);
        swapcontext(&scheduler, &starters[stack]);
    }
    for (;;) {
        bool moved = false, waiting = false;
        for (unsigned first = 0; first < count; first += WARP)
            moved |= release(first, first + WARP < count ? first + WARP : count, AT_WARP);
        if (!moved) moved = release(0, count, AT_BLOCK);
        for (volatile unsigned turn = 0; turn < count; turn = turn + 1) {
            unsigned k = backwards ? count - 1 - turn : turn;
            waiting |= threads[k].state != ENDED;
            if (threads[k].state != READY) continue;
            enter(k);
            swapcontext(&scheduler, &threads[k].context);
        }
        if (!waiting) return;
        if (!moved) fail("no thread can go on");
    }
}

template <class T> static T shuffle(T value, unsigned lane, int line) {
    static_assert(sizeof(T) <= sizeof(word), "a shuffle moves at most 8 bytes");
    Thread &self = threads[current];
    unsigned buffer = self.turn++ & 1, me = current, first = me & ~(WARP - 1);
    if (lane >= WARP || first + lane >= count) lane = me - first;
    memcpy(&exchange[buffer][me], &value, sizeof value);
    wait(AT_WARP, line);
    memcpy(&value, &exchange[buffer][first + lane], sizeof value);
    return value;
}

// Runs a kernel; returns nullptr or what went wrong, with the address of a faulty access in *where.
static const char *launch(void (*kernel)(const word *), const word *arguments, const unsigned *grid, unsigned block, void **where) {
    static char signal_stack[1 << 16];
    if (!stacks)
        stacks = (char *)mmap(nullptr, STACK * MAX_THREADS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    stack_t old_stack, own = {};
    own.ss_sp = signal_stack;
    own.ss_size = sizeof signal_stack;
    sigaltstack(&own, &old_stack);
    constexpr int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    struct sigaction old[4], action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int k = 0; k < 4; k++) sigaction(signals[k], &action, &old[k]);
    message[0] = 0;
    fault = nullptr;
    body = kernel;
    body_arguments = arguments;
    count = block;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block, 1, 1};
    if (!sigsetjmp(stop, 1))
        for (unsigned z = 0; z < grid[2]; z++)
            for (unsigned y = 0; y < grid[1]; y++)
                for (unsigned x = 0; x < grid[0]; x++) {
                    blockIdx = backwards ? dim3{grid[0] - 1 - x, grid[1] - 1 - y, grid[2] - 1 - z} : dim3{x, y, z};
                    run_block();
                }
    backwards = !backwards;
    for (int k = 0; k < 4; k++) sigaction(signals[k], &old[k], nullptr);
    sigaltstack(&old_stack, nullptr);
    *where = fault;
    return message[0] ? message : nullptr;
}

template <class T> struct Argument {
    static constexpr char kind = 'u';
    static T of(word value) { return (T)value; }
};
template <class T> struct Argument<T *> {
    static constexpr char kind = 'p';
    static T *of(word value) { return (T *)value; }
};

template <unsigned... K> struct Indices {};
template <unsigned N, unsigned... K> struct Count : Count<N - 1, N - 1, K...> {};
template <unsigned... K> struct Count<0, K...> {
    typedef Indices<K...> type;
};

template <class... T, unsigned... K> static void call(void (*kernel)(T...), const word *arguments, Indices<K...>) {
    kernel(Argument<T>::of(arguments[K])...);
}

template <class... T> static const char *signature(void (*)(T...)) {
    static const char kinds[] = {Argument<T>::kind..., 0};
    return kinds;
}

template <class... T> static void call_all(void (*kernel)(T...), const word *arguments) {
    call(kernel, arguments, typename Count<sizeof...(T)>::type());
}

}  // namespace emulator

// The two functions through which a kernel is reached from outside.
#define EMULATOR_ENTRY(name)                                                                                        \
    extern "C" const char *emulator_signature_##name() { return emulator::signature(name); }                        \
    extern "C" const char *emulator_launch_##name(const emulator::word *a, const unsigned *g, unsigned b, void **w) { \
        return emulator::launch([](const emulator::word *x) { emulator::call_all(name, x); }, a, g, b, w);            \
    }

#define __syncthreads() emulator::wait(emulator::AT_BLOCK, __LINE__)
#define __syncwarp(...) emulator::wait(emulator::AT_WARP, __LINE__)
#define __threadfence()
#define __shfl_sync(mask, value, lane) emulator::shuffle(value, (lane) & 31, __LINE__)
#define __shfl_xor_sync(mask, value, bits) emulator::shuffle(value, (emulator::current & 31) ^ (bits), __LINE__)
#define __shfl_down_sync(mask, value, by) emulator::shuffle(value, (emulator::current & 31) + (by), __LINE__)
#define __shfl_up_sync(mask, value, by) emulator::shuffle(value, (emulator::current & 31) - (by), __LINE__)

template <class T> static inline T __ldg(const T *p) { return *p; }
static inline unsigned __umulhi(unsigned x, unsigned y) { return (unsigned)((unsigned long long)x * y >> 32); }
static inline unsigned __brev(unsigned x) { return __builtin_bitreverse32(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
template <class T> static inline T min(T x, T y) { return y < x ? y : x; }
template <class T> static inline T max(T x, T y) { return x < y ? y : x; }

template <class T> static inline T atomicAdd(T *p, T x) { T old = *p; *p = old + x; return old; }
template <class T> static inline T atomicMin(T *p, T x) { T old = *p; *p = min(old, x); return old; }
template <class T> static inline T atomicMax(T *p, T x) { T old = *p; *p = max(old, x); return old; }
template <class T> static inline T atomicOr(T *p, T x) { T old = *p; *p = old | x; return old; }
template <class T> static inline T atomicExch(T *p, T x) { T old = *p; *p = x; return old; }
template <class T> static inline T atomicCAS(T *p, T was, T x) { T old = *p; if (old == was) *p = x; return old; }
