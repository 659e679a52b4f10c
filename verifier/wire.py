"""Our binary form of a proof: canonical, bounded, versioned.

Little-endian throughout; counts are u32, field elements u32 below P, hashes 32 bytes. Every value has exactly one
encoding, and a reader refuses trailing bytes. A count is compared with the bytes that are left before anything is
allocated for it.

    "OCTP", version, channel, config (6 x u32, no lifting as 0), nonce u64, number of trees
    per tree: commitment; witness; columns: per column its samples; queries, then the opened values column by column
    first layer; number of inner layers; inner layers: commitment, witness, values
    last layer: log_size, coefficients
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import pack, unpack_from
from typing import TypeVar

import numpy as np

from air.field import QM31, P
from verifier.config import CHANNELS, PcsConfig
from verifier.errors import EncodingError, ParseError, ShapeError
from verifier.hashes import Hash, Hasher, hasher
from verifier.proof import FriLayerProof, FriProof, LastLayer, StarkProof

MAGIC = b"OCTP"
VERSION = 1
MAX_WIRE_BYTES = 256 << 20
_FELT, _HASH = 16, 32
Item = TypeVar("Item")


class Output:
    """Appends to a byte string."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def raw(self, data: bytes) -> None:
        self.parts.append(data)

    def u32(self, *values: int) -> None:
        if not all(0 <= v < 1 << 32 for v in values):
            raise EncodingError("wire: a number does not fit in 32 bits")
        self.parts.append(pack(f"<{len(values)}I", *values))

    def u64(self, value: int) -> None:
        if not 0 <= value < 1 << 64:
            raise EncodingError("wire: a number does not fit in 64 bits")
        self.parts.append(value.to_bytes(8, "little"))

    def felts(self, values: Sequence[QM31]) -> None:
        coordinates = [c for value in values for c in value.coordinates()]
        if not all(0 <= c < P for c in coordinates):
            raise EncodingError("wire: a field element is not canonical")
        self.u32(len(values))
        self.u32(*coordinates)

    def hashes(self, values: Sequence[Hash], kind: Hasher) -> None:
        self.u32(len(values))
        self.parts += [kind.to_bytes(value) for value in values]

    def bytes(self) -> bytes:
        return b"".join(self.parts)


class Input:
    """Reads a byte string from the front; every read is checked against what is left."""

    def __init__(self, data: bytes, where: str, limit: int) -> None:
        if len(data) > limit:
            raise ParseError(f"{where}: {len(data)} bytes, more than the {limit} that are read")
        self._data, self._next, self._where = data, 0, where

    def raw(self, size: int) -> bytes:
        self._need(size)
        self._next += size
        return self._data[self._next - size : self._next]

    def u32(self) -> int:
        return int.from_bytes(self.raw(4), "little")

    def u32s(self, count: int) -> tuple[int, ...]:
        self._need(4 * count)
        self._next += 4 * count
        return unpack_from(f"<{count}I", self._data, self._next - 4 * count)

    def u64(self) -> int:
        return int.from_bytes(self.raw(8), "little")

    def count(self, item_size: int) -> int:
        """A count of items of at least `item_size` bytes each, all of which must be there."""
        count = self.u32()
        self._need(count * item_size)
        return count

    def elements(self, count: int) -> tuple[int, ...]:
        """Canonical M31 values."""
        values = self.u32s(count)
        if values and max(values) >= P:
            raise EncodingError(f"{self._where}: a field element is not canonical")
        return values

    def felts(self) -> tuple[QM31, ...]:
        count = self.count(_FELT)
        values = self.elements(4 * count)
        return tuple(QM31(*values[k : k + 4]) for k in range(0, 4 * count, 4))

    def hashes(self, kind: Hasher) -> tuple[Hash, ...]:
        data = self.raw(_HASH * self.count(_HASH))
        return kind.all_from_bytes([data[k : k + _HASH] for k in range(0, len(data), _HASH)])

    def items(self, item_size: int, read: Callable[[Input], Item]) -> tuple[Item, ...]:
        return tuple(read(self) for _ in range(self.count(item_size)))

    def header(self, magic: bytes, newest: int) -> int:
        """Magic and version; an unknown version is named."""
        if self.raw(len(magic)) != magic:
            raise ParseError(f"{self._where}: does not start with {magic.decode()}")
        version = self.u32()
        if not 1 <= version <= newest:
            raise ParseError(f"{self._where}: format version {version}, this reads 1 to {newest}; update octoproof")
        return version

    def end(self) -> None:
        if self._next != len(self._data):
            raise ParseError(f"{self._where}: {len(self._data) - self._next} trailing bytes")

    def _need(self, size: int) -> None:
        if self._next + size > len(self._data):
            raise ParseError(f"{self._where}: truncated at byte {len(self._data)}")


def proof_to_wire(proof: StarkProof, channel: str) -> bytes:
    """Encodes; raises ShapeError or EncodingError for a proof that cannot be right."""
    out, kind, config, fri = Output(), hasher(channel), proof.config, proof.fri_proof
    trees = len(proof.commitments)
    if not trees == len(proof.sampled_values) == len(proof.decommitments) == len(proof.queried_values):
        raise ShapeError("wire: commitments, samples and openings are not of equally many trees")
    out.raw(MAGIC)
    out.u32(VERSION, CHANNELS.index(channel))
    out.u32(config.pow_bits, config.log_blowup_factor, config.log_last_layer_degree_bound, config.n_queries)
    if config.lifting_log_size == 0:
        raise EncodingError("wire: lifting_log_size 0 means none")
    out.u32(config.fold_step, config.lifting_log_size or 0)
    out.u64(proof.proof_of_work)
    out.u32(trees)
    for tree in range(trees):
        samples, opened = proof.sampled_values[tree], proof.queried_values[tree]
        if len(samples) != len(opened) or len({len(column) for column in opened}) > 1:
            raise ShapeError(f"queried_values[{tree}]: not one value per column and query")
        out.raw(kind.to_bytes(proof.commitments[tree]))
        out.hashes(proof.decommitments[tree], kind)
        out.u32(len(samples))
        for column in samples:
            out.felts(column)
        out.u32(len(opened[0]) if opened else 0)
        values = [value for column in opened for value in column]
        if values and not 0 <= min(values) <= max(values) < P:
            raise EncodingError(f"queried_values[{tree}]: not canonical")
        out.raw(np.array(values, dtype="<u4").tobytes())
    _write_layer(out, fri.first_layer, kind)
    out.u32(len(fri.inner_layers))
    for layer in fri.inner_layers:
        _write_layer(out, layer, kind)
    out.u32(fri.last_layer.log_size)
    out.felts(fri.last_layer.coeffs)
    return out.bytes()


def proof_from_wire(data: bytes) -> tuple[StarkProof, str]:
    """The proof and its channel. Raises ParseError, or EncodingError for a number that is not canonical."""
    source = Input(data, "proof", MAX_WIRE_BYTES)
    source.header(MAGIC, VERSION)
    index = source.u32()
    if index >= len(CHANNELS):
        raise ParseError(f"proof: unknown channel {index}")
    channel = CHANNELS[index]
    kind = hasher(channel)
    pow_bits, blowup, last, queries, step, lifting = source.u32s(6)
    nonce = source.u64()
    trees = source.items(_HASH + 12, lambda s: _read_tree(s, kind))
    proof = StarkProof(
        config=PcsConfig(pow_bits, blowup, last, queries, step, lifting or None),
        commitments=tuple(t[0] for t in trees),
        sampled_values=tuple(t[2] for t in trees),
        decommitments=tuple(t[1] for t in trees),
        queried_values=tuple(t[3] for t in trees),
        proof_of_work=nonce,
        fri_proof=_read_fri(source, kind),
    )
    source.end()
    return proof, channel


_Tree = tuple[Hash, tuple[Hash, ...], tuple[tuple[QM31, ...], ...], tuple[tuple[int, ...], ...]]


def _read_tree(source: Input, kind: Hasher) -> _Tree:
    root = kind.from_bytes(source.raw(_HASH))
    witness = source.hashes(kind)
    samples = source.items(4, Input.felts)
    width = source.u32()
    if not samples and width:
        raise ParseError("proof: a tree without columns has no queries")
    opened = tuple(source.elements(width) for _ in samples)
    return root, witness, samples, opened


def _write_layer(out: Output, layer: FriLayerProof, kind: Hasher) -> None:
    out.raw(kind.to_bytes(layer.commitment))
    out.hashes(layer.hash_witness, kind)
    out.felts(layer.fri_witness)


def _read_layer(source: Input, kind: Hasher) -> FriLayerProof:
    root = kind.from_bytes(source.raw(_HASH))
    witness = source.hashes(kind)
    return FriLayerProof(source.felts(), witness, root)


def _read_fri(source: Input, kind: Hasher) -> FriProof:
    first = _read_layer(source, kind)
    inner = source.items(_HASH + 8, lambda s: _read_layer(s, kind))
    log_size = source.u32()
    return FriProof(first, inner, LastLayer(source.felts(), log_size))
