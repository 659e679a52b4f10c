"""The word codec of statements: one encoding for every value, nothing else readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from air.statement import Reader, StatementError, Writer, digest


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.binary(min_size=32, max_size=32), st.text(max_size=40))
def test_round_trip(numbers, data, text):
    out = Writer().header(3, 2).i64s(numbers).bytes32(data).text(text)
    out.items([(n,) for n in numbers], lambda w, item: w.i64(item[0]))
    source = Reader(out.words)
    assert source.header(3, 2) == 2
    assert source.i64s() == tuple(numbers)
    assert source.bytes32() == data
    assert source.text() == text
    assert source.items(Reader.i64) == tuple(numbers)
    source.end()
    assert digest(out.words) == __import__("hashlib").blake2s(out.to_bytes()).digest()


def test_layout():
    """DESIGN 4: low word first, byte order of strings kept, counts in one word."""
    assert Writer().i64(-2).words == [0xFFFFFFFE, 0xFFFFFFFF]
    assert Writer().i64((5 << 32) + 7).words == [7, 5]
    assert Writer().bytes32(bytes(range(32))).to_bytes() == bytes(range(32))
    assert Writer().i64s([1, 2]).words == [2, 1, 0, 2, 0]
    assert Writer().text("hallo").to_bytes() == b"\x05\0\0\0hallo\0\0\0"


def test_refusals():
    for write in (
        lambda: Writer().u32(-1),
        lambda: Writer().u32(1 << 32),
        lambda: Writer().i64(1 << 63),
        lambda: Writer().bytes32(b"short"),
    ):
        with pytest.raises(StatementError):
            write()
    for words, read in (
        ([], lambda r: r.u32()),
        ([1], lambda r: r.i64()),
        ([1], lambda r: r.end()),
        ([0xFFFFFFFF], lambda r: r.i64s()),
        ([5, 1, 2, 3, 4], lambda r: r.items(Reader.i64)),
        ([3, 0, 0, 0], lambda r: r.items(Reader.u32, limit=2)),
        ([1, 0x100], lambda r: r.text()),
        ([1, 0xFF], lambda r: r.text()),
        ([5000, 0], lambda r: r.text()),
        ([2, 1], lambda r: r.header(1, 1)),
        ([1, 0], lambda r: r.header(1, 1)),
        ([1, 2], lambda r: r.header(1, 1)),
    ):
        with pytest.raises(StatementError):
            read(Reader(words))
    for words in ([-1], [1 << 32], [True], [1.0]):
        with pytest.raises(StatementError):
            Reader(words)
