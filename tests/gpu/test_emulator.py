"""The emulated device does what CUDA does, and refuses what CUDA forbids."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from gpu.device import Array, Device, Kernel, source

KERNELS = (
    source("field.cuh")
    + """
KERNEL places(u32 *out) {
    u32 block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    out[block * blockDim.x + threadIdx.x] = block << 16 | threadIdx.x;
}

KERNEL __launch_bounds__(256) reversed(const u32 *x, u32 *out) {
    __shared__ u32 kept[256];
    u32 t = threadIdx.x;
    for (u32 turn = 0; turn < 3; turn++) {
        kept[t] = turn ? kept[t] : x[t];
        __syncthreads();
        u32 other = kept[blockDim.x - 1 - t];
        __syncthreads();
        kept[t] = other;
    }
    out[t] = kept[t];
}

KERNEL hasty(const u32 *x, u32 *out, u32 by) {
    __shared__ u32 kept[64];
    kept[threadIdx.x] = x[threadIdx.x];
    out[threadIdx.x] = kept[(threadIdx.x + by) % 64];
}

KERNEL ordered(u32 *out) { out[blockIdx.x] = atomicAdd(out + gridDim.x, 1u); }

KERNEL shuffles(const u32 *x, u32 *out) {
    u32 t = threadIdx.x, n = blockDim.x, v = x[t];
    out[t] = __shfl_xor_sync(~0u, v, 5);
    out[n + t] = __shfl_down_sync(~0u, v, 3);
    out[2 * n + t] = __shfl_up_sync(~0u, v, 4);
    out[3 * n + t] = __shfl_sync(~0u, v, 9);
}

KERNEL warp_sum(const u32 *x, u32 *total) {
    u64 v = x[threadIdx.x];
    for (u32 step = 16; step; step /= 2) v += __shfl_xor_sync(~0u, v, step);
    if (threadIdx.x % 32 == 0) atomicAdd(total, (u32)v);
    atomicMin(total + 1, x[threadIdx.x]);
    atomicMax(total + 2, x[threadIdx.x]);
    atomicOr(total + 3, x[threadIdx.x]);
}

KERNEL copies(const u32 *x, u32 *out, u32 shift) { out[threadIdx.x] = x[threadIdx.x + shift]; }

KERNEL copies_fours(const uint4 *x, uint4 *out) { out[threadIdx.x] = x[threadIdx.x]; }

KERNEL over_shared(u32 *out, u32 shift) {
    __shared__ u32 kept[64];
    kept[threadIdx.x + shift] = 1;
    __syncthreads();
    out[threadIdx.x] = kept[threadIdx.x];
}

KERNEL unset_shared(u32 *out) {
    __shared__ u32 kept[64];
    if (blockIdx.x == 0) kept[threadIdx.x] = 7;
    __syncthreads();
    out[blockIdx.x * 64 + threadIdx.x] = kept[threadIdx.x];
}

KERNEL ends_early(u32 *out) {
    if (threadIdx.x == 3) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

KERNEL parts_ways(u32 *out) {
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    out[threadIdx.x] = 1;
}

KERNEL half_a_warp(u32 *out) {
    if (threadIdx.x % 32 < 16)
        out[threadIdx.x] = __shfl_xor_sync(~0u, threadIdx.x, 1);
    else
        __syncthreads();
}

KERNEL shifts(u32 *out, u32 by) { out[threadIdx.x] = 1u << by; }
"""
)


@pytest.fixture
def device(emulator: ModuleType) -> Device:
    return emulator.EmulatedDevice()


def _kernel(name: str) -> Kernel:
    return Kernel(KERNELS, name)


def _numbers(device: Device, n: int) -> tuple[np.ndarray, Array]:
    values = np.random.default_rng(n).integers(0, 1 << 20, n, dtype=np.uint32)
    return values, device.upload(values)


def test_memory(device: Device) -> None:
    values, array = _numbers(device, 37)
    assert (device.download(array) == values).all()
    assert (device.download(array[5:9]) == values[5:9]).all()
    target = device.empty(37)
    assert (device.download(target) == 0xA5A5A5A5).all()
    device.copy(array, target)
    assert (device.download(target) == values).all()
    assert [part.size for part in device.empty(12).rows(4)] == [3] * 4
    assert device.download(device.upload(np.array([1, 2], dtype=np.uint64))).tolist() == [1, 0, 2, 0]
    with pytest.raises(ValueError, match="contiguous"):
        array[::2]


def test_every_thread_runs_once(device: Device) -> None:
    for grid, block in (((3,), 5), ((2, 3), 33), ((2, 2, 2), 1024)):
        blocks = int(np.prod(grid))
        out = device.empty(blocks * block)
        device.launch(_kernel("places"), grid, block, out)
        expected = (np.arange(blocks)[:, None] << 16 | np.arange(block)).ravel()
        assert (device.download(out) == expected).all()


@pytest.mark.parametrize("block", [1, 31, 64, 256])
def test_barriers(device: Device, block: int) -> None:
    values, x = _numbers(device, block)
    out = device.empty(block)
    device.launch(_kernel("reversed"), (1,), block, x, out)
    assert (device.download(out) == values[::-1]).all()


@pytest.mark.parametrize("by", [1, 32, 63])
def test_a_missing_barrier_shows(device: Device, by: int) -> None:
    """In one of two launches, whether the value comes from an earlier or from a later thread."""
    values, x = _numbers(device, 64)
    found = []
    for _ in range(2):
        out = device.empty(64)
        device.launch(_kernel("hasty"), (1,), 64, x, out, by)
        found.append((device.download(out) == np.roll(values, -by)).all())
    assert not all(found)


def test_blocks_run_in_either_order(device: Device) -> None:
    orders = []
    for _ in range(2):
        out = device.upload(np.zeros(4, dtype=np.uint32))
        device.launch(_kernel("ordered"), (3,), 1, out)
        orders.append(device.download(out)[:3].tolist())
    assert sorted(orders) == [[0, 1, 2], [2, 1, 0]]


def test_shuffles_and_atomics(device: Device) -> None:
    values, x = _numbers(device, 96)
    out = device.empty(4 * 96)
    device.launch(_kernel("shuffles"), (1,), 96, x, out)
    warps, lanes = values.reshape(3, 32), np.arange(32)
    expected = [
        warps[:, lanes ^ 5],
        warps[:, np.where(lanes + 3 < 32, lanes + 3, lanes)],
        warps[:, np.where(lanes >= 4, lanes - 4, lanes)],
        np.repeat(warps[:, 9:10], 32, axis=1),
    ]
    assert (device.download(out).reshape(4, 3, 32) == np.stack(expected)).all()
    total = device.upload(np.array([0, 1 << 31, 0, 0], dtype=np.uint32))
    device.launch(_kernel("warp_sum"), (1,), 96, x, total)
    assert device.download(total).tolist() == [values.sum(), values.min(), values.max(), np.bitwise_or.reduce(values)]


def _fails(
    device: Device, emulator: ModuleType, match: str, name: str, grid: int, block: int, *arguments: object
) -> None:
    with pytest.raises(emulator.EmulatorError, match=match):
        device.launch(_kernel(name), (grid,), block, *arguments)


def test_accesses_outside_an_array(device: Device, emulator: ModuleType) -> None:
    values, x = _numbers(device, 64)
    out = device.empty(64)
    _fails(
        device, emulator, r"copies: block .*thread 6[23]: .*entry 6[45] of an array of 64", "copies", 1, 64, x, out, 2
    )
    _fails(
        device, emulator, r"thread 6[0-3]: .*entry 6[0-3] of an array of 60", "copies", 1, 64, x, device.empty(60), 0
    )
    _fails(device, emulator, "undefined behaviour", "over_shared", 1, 64, out, 1)
    device.launch(_kernel("copies"), (1,), 64, x, out, 0)  # the device goes on after a failure
    assert (device.download(out) == values).all()


def test_writes_beside_an_array_are_found(emulator: ModuleType) -> None:
    """Where the end of the array is not that of its pages."""
    device = emulator.EmulatedDevice()
    _, x = _numbers(device, 64)
    out = device.empty(61)
    device.launch(_kernel("copies"), (1,), 62, x, out, 0)
    with pytest.raises(emulator.EmulatorError, match="outside an array of 61 words"):
        device.check()


def test_misaligned_accesses(device: Device, emulator: ModuleType) -> None:
    _, x = _numbers(device, 64)
    device.launch(_kernel("copies_fours"), (1,), 15, x[4:], device.empty(64))
    _fails(device, emulator, "undefined behaviour", "copies_fours", 1, 15, x[1:], device.empty(64))


def test_shifts_by_too_much(device: Device, emulator: ModuleType) -> None:
    device.launch(_kernel("shifts"), (1,), 1, device.empty(1), 31)
    _fails(device, emulator, "undefined behaviour", "shifts", 1, 1, device.empty(1), 32)


def test_shared_memory_does_not_outlive_its_block(device: Device) -> None:
    out = device.empty(128)
    device.launch(_kernel("unset_shared"), (2,), 64, out)
    assert device.download(out).tolist() == [7] * 64 + [0xA5A5A5A5] * 64


def test_threads_that_part_at_a_barrier(device: Device, emulator: ModuleType) -> None:
    out = device.empty(64)
    _fails(device, emulator, "thread 3: ended while others wait", "ends_early", 1, 64, out)
    _fails(device, emulator, "thread 32: waits at another barrier", "parts_ways", 1, 64, out)
    _fails(device, emulator, "thread 16: waits at a block barrier while its warp", "half_a_warp", 1, 32, out)


def test_wrong_launches(device: Device, emulator: ModuleType) -> None:
    _, x = _numbers(device, 64)
    _fails(device, emulator, "takes ppu .*, not puu", "copies", 1, 64, x, 1, 0)
    _fails(device, emulator, "takes ppu .*, not pp", "copies", 1, 64, x, x)
    _fails(device, emulator, "no unsigned int", "copies", 1, 64, x, x, -1)
    _fails(device, emulator, "no launch", "copies", 1, 1025, x, x, 0)
    _fails(device, emulator, "no launch", "copies", 0, 64, x, x, 0)
    with pytest.raises(emulator.EmulatorError, match="does not compile"):
        device.launch(Kernel("KERNEL f(u32 *x) { y; }", "f"), (1,), 1, x)


def test_memory_runs_out_and_comes_back(emulator: ModuleType) -> None:
    device = emulator.EmulatedDevice(memory=4096)
    array = device.empty(1000)
    with pytest.raises(MemoryError, match="400 bytes asked for, 96 free"):
        device.empty(100)
    view = array[:10]
    del array
    assert device.free_memory() == 96  # a view keeps it
    del view
    assert device.free_memory() == 4096
    device.empty(1024)
