"""Receipts whose parts show data instead of proving over them, and the border between the two."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from dataclasses import dataclass

import pytest

from air.statement import Reader, StatementError, Writer, digest
from verifier import errors
from verifier.errors import ParseError, SecurityError, VerificationError
from verifier.receipt import MAX_PARTS, OpenedPart, Part, Receipt, read_receipt, verify, write_receipt
from verifier.security import OPENING


@dataclass(frozen=True)
class Shown:
    """The number of zeros that the opening consists of."""

    count: int

    def encode(self):
        return Writer().header(901, 1).i64(self.count).words

    def digest(self):
        return digest(self.encode())

    def check(self):
        if not 0 <= self.count <= 100:
            raise StatementError("count: outside 0..100")

    def check_opening(self, opening):
        if opening != bytes(self.count):
            raise StatementError("opening: not so many zeros")

    def describe(self):
        return {"count": self.count}


class ShownType:
    TYPE, VERSION, NAME = 901, 1, "shown"

    def decode(self, words):
        source = Reader(words)
        source.header(self.TYPE, self.VERSION)
        out = Shown(source.i64())
        source.end()
        return out

    def check_together(self, statements):
        if len(set(statements)) != len(statements):
            raise StatementError("a part twice")


SHOWN = {901: ShownType()}
FIRST = 33  # where the first part starts: the words of its statement, counted, then its form


@pytest.fixture
def proven(case):
    """A part with some proof, under a statement that is shown by opening data."""
    made = case("wide_fib_5x4_default")
    return Part(tuple(Shown(5).encode()), made.spec.channel, made.spec.claimed_sums, made.proof)


def receipt(*parts):
    return write_receipt(Receipt(parts))


def shown(*counts, opening=None):
    return [OpenedPart(tuple(Shown(n).encode()), bytes(n) if opening is None else opening) for n in counts]


def test_valid_openings():
    data = receipt(*shown(5))
    verdict = verify(data, SHOWN)
    (part,) = verdict.parts
    assert (verdict.name, part.statement, part.channel, part.config) == ("shown", Shown(5), None, None)
    assert (part.security, verdict.security) == (OPENING, OPENING)
    assert [check.name for check in part.checks] == ["opening"]
    told = verdict.describe()
    assert (told["parts"], told["channel"], told["preset"]) == ([{"count": 5}], None, None)
    assert write_receipt(read_receipt(data)) == data
    four = verify(receipt(*shown(0, 1, 2, 3)), SHOWN)
    assert four.security.conjectured == four.security.proven == 126
    verify(receipt(*shown(0)), SHOWN, min_conjectured=128, min_proven=128)


def test_an_opening_that_shows_something_else():
    for opening in (b"", bytes(4), bytes(6), b"\0\0\0\0\1"):
        with pytest.raises(errors.StatementError, match="part 1 of 1: opening: not so many zeros"):
            verify(receipt(*shown(5, opening=opening)), SHOWN)
    with pytest.raises(errors.StatementError, match="part 2 of 2"):
        verify(receipt(*shown(5), *shown(6, opening=bytes(5))), SHOWN)
    with pytest.raises(errors.StatementError, match="a part twice"):
        verify(receipt(*shown(5, 5)), SHOWN)
    with pytest.raises(errors.StatementError, match="count: outside"):
        verify(receipt(OpenedPart(tuple(Shown(-1).encode()), b"")), SHOWN)
    with pytest.raises(errors.StatementError, match="not accepted"):
        verify(receipt(*shown(5)), {900: SHOWN[901]})


def test_openings_are_worth_no_more_than_the_hash():
    for demand in ({"min_conjectured": 129}, {"min_proven": 129}, {"min_proven": float("nan")}):
        with pytest.raises(SecurityError):
            verify(receipt(*shown(5)), SHOWN, **demand)
    # Demanded before the opening is looked at.
    with pytest.raises(SecurityError):
        verify(receipt(*shown(5, opening=b"")), SHOWN, min_conjectured=129)


def test_what_is_opened_cannot_be_proven(proven):
    with pytest.raises(errors.StatementError, match="is shown by opening data, but the part has a proof"):
        verify(receipt(proven), SHOWN, min_conjectured=0)


@pytest.mark.parametrize("form", [2, 3, 255, 1 << 31, (1 << 32) - 1])
def test_forms_that_there_are_not(form, proven):
    for part in (proven, *shown(5)):
        data = receipt(part)
        at = FIRST + 4 * (1 + len(part.statement))
        assert data[at : at + 4] in (bytes(4), b"\1\0\0\0")
        with pytest.raises(ParseError, match=f"a part of form {form}, this reads 0 and 1"):
            verify(data[:at] + form.to_bytes(4, "little") + data[at + 4 :], SHOWN)


def test_the_form_is_not_the_files_choice(proven):
    """The one for the other: then the bytes are read as what they are not."""
    for part in (proven, *shown(5)):
        bad, at = bytearray(receipt(part)), FIRST + 4 * (1 + len(part.statement))
        bad[at] ^= 1
        with pytest.raises((ParseError, errors.StatementError)):
            verify(bytes(bad), SHOWN, min_conjectured=0)


def test_openings_of_another_length_than_they_say():
    data = receipt(*shown(40))
    at = len(data) - 44
    assert data[at : at + 4] == b"\x28\0\0\0"
    for length in (0, 39, 41, 1 << 31, (1 << 32) - 1):
        with pytest.raises(ParseError):
            verify(data[:at] + length.to_bytes(4, "little") + data[at + 4 :], SHOWN)
    for size in range(len(data)):
        cut = data[:21] + size.to_bytes(8, "little") + data[29:] if size > 29 else data
        with pytest.raises(ParseError):
            verify(cut[:size], SHOWN)


def test_as_many_parts_as_are_read():
    many = [OpenedPart((901,), b"")] * MAX_PARTS
    assert len(read_receipt(receipt(*many)).parts) == MAX_PARTS
    with pytest.raises(ParseError, match=f"{MAX_PARTS + 1} parts"):
        read_receipt(receipt(*many, many[0]))


def test_hostile_lengths_allocate_nothing(proven):
    for data in (receipt(*shown(40)), receipt(proven)):
        for at in range(17, min(len(data), 400), 4):
            for size in ((1 << 32) - 1, 1 << 31, 1 << 24):
                bad = data[:at] + size.to_bytes(4, "little") + data[at + 4 :]
                tracemalloc.start()
                with suppress(ParseError, VerificationError):
                    read_receipt(bad)
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert peak < (1 << 20) + 100 * len(data)


def test_every_byte_of_an_opening_counts():
    data = receipt(*shown(5, 6))
    for position in range(len(data)):
        bad = bytearray(data)
        bad[position] ^= 4
        with pytest.raises((ParseError, VerificationError)):
            verify(bytes(bad), SHOWN)
