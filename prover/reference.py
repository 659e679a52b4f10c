"""What every kernel computes, in plain NumPy and Python straight from PROTOCOL: slow, and the specification.

The kernels must agree with these functions bit for bit. Columns are uint32 arrays in storage order, secure columns
(4, 2^n); names and arguments follow the kernels' files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import count

import numpy as np
import numpy.typing as npt

from air import arrays, circle
from air.circle import Column, SecurePoint
from air.field import QM31, P

Wide = npt.NDArray[np.uint64]
Hash = bytes | int
Group = tuple[SecurePoint, Sequence[tuple[int, QM31, QM31]]]  # as `quotients.SampleGroup`


# Twiddles and the circle FFT (PROTOCOL 3).


@lru_cache(maxsize=256)
def layer_twiddles(log_size: int, layer: int) -> Wide:
    """One twiddle a block: y of the domain point at rev(2h), or x of 2^(layer-1) times that at rev(h << (layer+1))."""
    blocks = np.arange(1 << (log_size - 1 - layer), dtype=np.int64) << (layer + 1)
    indices = circle.domain_indices(log_size)[circle.bit_reverse_array(blocks, log_size)]
    x, y = circle.points(indices << max(0, layer - 1))
    return y if layer == 0 else x


def twiddle_buffer(log_size: int) -> Wide:
    """Stwo's buffer for the half coset of log size K: the layers 1, 2, ... of a domain twice as large, then a 1."""
    layers = [layer_twiddles(log_size + 1, layer) for layer in range(1, log_size + 1)]
    return np.concatenate([*layers, np.ones(1, dtype=np.uint64)])


def evaluate(coefficients: npt.NDArray[np.uint32], log_out: int) -> npt.NDArray[np.uint32]:
    """(n, 2^log_in) coefficients -> (n, 2^log_out) values."""
    n, size = coefficients.shape
    values = np.zeros((n, 1 << log_out), dtype=np.uint64)
    values[:, :size] = coefficients
    for layer in range(log_out - 1, -1, -1):
        pairs = values.reshape(n, -1, 2, 1 << layer)
        u, v = pairs[:, :, 0], arrays.mul(pairs[:, :, 1], layer_twiddles(log_out, layer)[:, None])
        values = np.stack([arrays.add(u, v), arrays.sub(u, v)], axis=2)
    return values.reshape(n, -1).astype(np.uint32)


def interpolate(values: npt.NDArray[np.uint32], domain_log: int | None = None) -> npt.NDArray[np.uint32]:
    """(n, 2^m) values, on the canonic domain or on the first positions of a larger one -> coefficients."""
    n, size = values.shape
    log_size = size.bit_length() - 1
    domain_log = log_size if domain_log is None else domain_log
    current = values.astype(np.uint64)
    for layer in range(log_size):
        pairs = current.reshape(n, -1, 2, 1 << layer)
        t = arrays.inv(layer_twiddles(domain_log, layer)[: pairs.shape[1], None])
        u, v = pairs[:, :, 0], pairs[:, :, 1]
        current = np.stack([arrays.add(u, v), arrays.mul(arrays.sub(u, v), t)], axis=2)
    return arrays.mul(current.reshape(n, -1), np.uint64(pow(2, -log_size, P))).astype(np.uint32)


def evaluate_at(coefficients: npt.NDArray[np.uint32], factors: Sequence[QM31]) -> npt.NDArray[np.uint32]:
    """(n, 2^m) coefficients folded with the m factors, lowest bit first -> (n, 4)."""
    values = arrays.secure(coefficients.astype(np.uint64))
    for factor in factors:
        values = arrays.add(values[:, ::2], arrays.qmul(values[:, 1::2], arrays.qarray([factor])))
    return values[:, 0].astype(np.uint32)


# Hashing (PROTOCOL 4).


def lift(column: Column, log_size: int) -> Column:
    """The lifted column of 2^log_size values."""
    own = column.size.bit_length() - 1
    return column[[circle.lifted_position(s, own, log_size) for s in range(1 << log_size)]]


def reduce_words(digest: bytes) -> bytes:
    """Every 32-bit word mod P."""
    return b"".join((int.from_bytes(digest[k : k + 4], "little") % P).to_bytes(4, "little") for k in range(0, 32, 4))


def hash_bytes(hash_name: str, data: bytes) -> bytes:
    digest = hashlib.blake2s(data).digest()
    return reduce_words(digest) if hash_name == "blake2s_m31" else digest


def hash_leaf(hash_name: str, row: Sequence[int]) -> Hash:
    """Of the M31 values of one leaf."""
    if hash_name != "poseidon252":
        return hash_bytes(hash_name, b"".join(int(v).to_bytes(4, "little") for v in row))
    from poseidon_py.poseidon_hash import poseidon_hash_many

    felts = []
    for start in range(0, len(row), 8):
        group = row[start : start + 8]
        felt = sum(int(v) << 31 * k for k, v in enumerate(reversed(group)))
        felts.append(felt + (len(group) << 248 if len(group) < 8 else 0))
    return int(poseidon_hash_many(felts))


def hash_node(left: Hash, right: Hash, hash_name: str) -> Hash:
    if isinstance(left, bytes) and isinstance(right, bytes):
        return hash_bytes(hash_name, left + right)
    from poseidon_py.poseidon_hash import poseidon_hash

    return int(poseidon_hash(left, right))


def commit(
    columns: Sequence[Column], lifting_log: int | None, hash_name: str, packed: bool = False
) -> list[list[Hash]]:
    """All layers of digests, root first, of at least one column."""
    ordered = sorted(columns, key=lambda column: column.size)
    height = ordered[-1].size.bit_length() - 1 if lifting_log is None else lifting_log
    rows = np.stack([lift(column, height) for column in ordered], axis=1)
    if packed:
        rows = rows.reshape(-1, 16)
    layers = [[hash_leaf(hash_name, row.tolist()) for row in rows]]
    while len(layers[0]) > 1:
        below = layers[0]
        layers.insert(0, [hash_node(below[i], below[i + 1], hash_name) for i in range(0, len(below), 2)])
    return layers


def decommit(layers: Sequence[Sequence[Hash]], positions: Sequence[int]) -> list[Hash]:
    """The hash witness for ascending positions: level by level the siblings that are not known themselves."""
    witness, known = [], sorted(set(positions))
    for layer in reversed(layers[1:]):
        witness += [layer[p ^ 1] for p in known if p ^ 1 not in known]
        known = sorted({p >> 1 for p in known})
    return witness


# Quotients (PROTOCOL 8).


def quotients(
    columns: Sequence[Column], groups: Sequence[Group], lifting_log: int, degree_log: int
) -> npt.NDArray[np.uint32]:
    """(4, 2^D): term by term, w (C f - A Y - E) / den at every point."""
    positions = circle.bit_reversal(lifting_log)[: 1 << degree_log]
    x, y = circle.points(circle.domain_indices(lifting_log)[positions])
    zero = np.zeros_like(x)
    total = np.zeros((x.size, 4), dtype=np.uint64)
    for (sx, sy), terms in groups:
        (rx, ix), (ry, iy) = ((arrays.qarray([s])[:, :2], arrays.qarray([s])[:, 2:]) for s in (sx, sy))
        left = arrays.cmul(arrays.sub(rx, np.stack([x, zero], axis=1)), iy)
        right = arrays.cmul(arrays.sub(ry, np.stack([y, zero], axis=1)), ix)
        inverse = arrays.cinv(arrays.sub(left, right))
        secure_inverse = np.concatenate([inverse, np.zeros_like(inverse)], axis=1)
        for column, value, weight in terms:
            a, c = value.conjugate() - value, sy.conjugate() - sy
            e = value * c - a * sy
            f = lift(columns[column], lifting_log)[: 1 << degree_log].astype(np.uint64)
            numerator = arrays.mul(f[:, None], arrays.qarray([weight * c]))
            numerator = arrays.sub(numerator, arrays.mul(y[:, None], arrays.qarray([weight * a])))
            numerator = arrays.sub(numerator, arrays.qarray([weight * e]))
            total = arrays.add(total, arrays.qmul(numerator, secure_inverse))
    return total.T.astype(np.uint32)


# FRI (PROTOCOL 9).


def fold_circle(values: npt.NDArray[np.uint32], alpha: QM31) -> npt.NDArray[np.uint32]:
    return _fold(values, alpha, layer_twiddles(values.shape[1].bit_length() - 1, 0))


def fold_line(values: npt.NDArray[np.uint32], alpha: QM31) -> npt.NDArray[np.uint32]:
    return _fold(values, alpha, _line_points(values.shape[1].bit_length() - 1)[::2])


def _line_points(log_size: int) -> Wide:
    """The x coordinates of a line domain, the coset half_odds of log size n, in storage order."""
    indices = (1 << (29 - log_size)) + circle.bit_reversal(log_size) * (1 << (31 - log_size))
    return circle.points(indices)[0]


def _fold(values: npt.NDArray[np.uint32], alpha: QM31, t: Wide) -> npt.NDArray[np.uint32]:
    a, b = values[:, ::2].T.astype(np.uint64), values[:, 1::2].T.astype(np.uint64)
    f1 = arrays.mul(arrays.sub(a, b), arrays.inv(t)[:, None])
    return arrays.add(arrays.add(a, b), arrays.qmul(f1, arrays.qarray([alpha]))).T.astype(np.uint32)


def evaluate_line(stored: Sequence[QM31], log_size: int) -> npt.NDArray[np.uint32]:
    """Values (4, 2^log_size) on a line domain of the polynomial with these coefficients in bit-reversed order."""

    def at(coefficients: Sequence[QM31], x: QM31) -> QM31:
        if len(coefficients) == 1:
            return coefficients[0]
        half = len(coefficients) // 2
        return at(coefficients[:half], circle.double_x(x)) + x * at(coefficients[half:], circle.double_x(x))

    values = [at(stored, QM31(int(x))) for x in _line_points(log_size)]
    return arrays.qarray(values).T.astype(np.uint32)


# Proof of work (PROTOCOL 5).


def grind(hash_name: str, digest: Hash, bits: int) -> int:
    for hi in count():
        for lo in range(1 << 20):
            if work_value(hash_name, digest, bits, hi << 32 | lo) % (1 << bits) == 0:
                return hi << 32 | lo
    raise AssertionError("unreachable: the count does not end")


def work_value(hash_name: str, digest: Hash, bits: int, nonce: int) -> int:
    """What must be divisible by 2^bits."""
    if isinstance(digest, bytes):
        data = (0x12345678).to_bytes(4, "little") + bytes(12) + digest + bits.to_bytes(4, "little")
        outcome = hash_bytes(hash_name, hash_bytes(hash_name, data) + nonce.to_bytes(8, "little"))
        return int.from_bytes(outcome[:16], "little")
    from poseidon_py.poseidon_hash import poseidon_hash, poseidon_hash_many

    return int(poseidon_hash(poseidon_hash_many([0x12345678, digest, bits]), nonce)) % (1 << 128)
