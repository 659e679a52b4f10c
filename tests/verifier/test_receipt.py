"""Receipts: one file, one verdict, and everything around the proof that a forger may try."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass

import pytest

from air.component import build
from air.statement import Reader, StatementError, Writer, digest
from air.statements.row_fib import RowFib
from verifier import errors
from verifier.config import PRESETS, PcsConfig
from verifier.errors import ConfigError, ParseError, SecurityError, VerificationError
from verifier.hashes import hasher
from verifier.merkle import commit
from verifier.polynomial import extend
from verifier.receipt import (
    OpenedPart,
    Part,
    Receipt,
    digest_of,
    read_receipt,
    registry,
    statement_spec,
    verify,
    write_receipt,
)

CONFIG = PcsConfig(0, 4, 0, 24)  # 96 conjectured bits without grinding


@dataclass(frozen=True)
class Fibonacci:
    """Row x of a Fibonacci trace starts at x0; part `index` of `count`."""

    x0: int
    index: int = 0
    count: int = 1

    def encode(self):
        return Writer().header(900, 1).i64(self.x0).u32(self.index).u32(self.count).words

    def digest(self):
        return digest(self.encode())

    def air(self):
        return build([self.component()])

    def component(self):
        return RowFib(4, self.x0)

    def public_terms(self):
        return ()

    def preprocessed_root(self, key):
        columns = [extend(c, key.log_blowup_factor) for c in self.component().tree0()]
        kind = hasher(key.channel)
        return kind.to_bytes(commit(columns, key.lifting_log_size, kind))

    def check(self):
        if not 0 <= self.x0 < 1000:
            raise StatementError("x0: outside 0..999")

    def describe(self):
        return {"x0": self.x0}


class FibonacciType:
    TYPE, VERSION, NAME = 900, 1, "fibonacci"

    def decode(self, words):
        source = Reader(words)
        source.header(self.TYPE, self.VERSION)
        out = Fibonacci(source.i64(), source.u32(), source.u32())
        source.end()
        return out

    def check_together(self, statements):
        if [s.index for s in statements] != list(range(statements[0].count)):
            raise StatementError("parts are missing, doubled or out of order")


KIND = FibonacciType()
ACCEPTED = {900: KIND}


@pytest.fixture(scope="module")
def make(reference):
    cache = {}

    def part(statement, config=CONFIG, channel="blake2s"):
        key = (statement, config, channel)
        if key not in cache:
            spec = statement_spec(statement, channel, config)
            component = statement.component()
            proof = reference.prove(spec, component.tree0(), component.trace())
            cache[key] = Part(tuple(statement.encode()), channel, (), proof)
        return cache[key]

    return part


def receipt(*parts):
    return write_receipt(Receipt(parts))


@pytest.mark.parametrize("channel", ["blake2s", "blake2s_m31", "poseidon252"])
def test_valid(make, channel):
    data = receipt(make(Fibonacci(5), channel=channel))
    verdict = verify(data, ACCEPTED)
    assert verdict.name == "fibonacci"
    assert verdict.version == 1
    assert verdict.parts[0].statement == Fibonacci(5)
    assert verdict.parts[0].checks[-1].name == "fri"
    assert verdict.security.conjectured == 96
    assert 0 < verdict.security.proven < 96
    assert verdict.describe()["parts"] == [{"x0": 5}]
    assert write_receipt(read_receipt(data)) == data


def test_presets_without_worth_are_refused_by_default(make):
    for name in ("test", "bench"):
        data = receipt(make(Fibonacci(5), PRESETS[name]))
        with pytest.raises(SecurityError):
            verify(data, ACCEPTED)
        figure = verify(data, ACCEPTED, min_conjectured=0).security
        assert figure.conjectured < 20
    weak = receipt(make(Fibonacci(5)))
    with pytest.raises(SecurityError):
        verify(weak, ACCEPTED, min_conjectured=97)
    with pytest.raises(SecurityError):
        verify(weak, ACCEPTED, min_proven=90)
    verify(weak, ACCEPTED, min_conjectured=96, min_proven=20)


def test_parts_share_the_figure(make):
    parts = [make(Fibonacci(5, k, 4)) for k in range(4)]
    verdict = verify(receipt(*parts), ACCEPTED)
    assert verdict.security.conjectured == 94
    assert [p.security.conjectured for p in verdict.parts] == [96] * 4
    with pytest.raises(SecurityError):
        verify(receipt(*parts), ACCEPTED, min_conjectured=96)
    for wrong in (parts[:3], parts[1:], parts[::-1], parts * 2, [parts[0]] * 4):
        with pytest.raises(errors.StatementError):
            verify(receipt(*wrong), ACCEPTED)


def test_one_bad_part_among_good_ones(make):
    parts = [make(Fibonacci(5, k, 3)) for k in range(3)]
    bad = dataclasses.replace(parts[1], proof=parts[2].proof)
    with pytest.raises(VerificationError, match="part 2 of 3"):
        verify(receipt(parts[0], bad, parts[2]), ACCEPTED)


def test_statement_is_bound(make):
    part = make(Fibonacci(5))
    for other in (Fibonacci(6), Fibonacci(5, 0, 1)):
        changed = dataclasses.replace(part, statement=tuple(other.encode()))
        if changed.statement == part.statement:
            continue
        with pytest.raises(VerificationError):
            verify(receipt(changed), ACCEPTED)
    # The AIR does not read index and count: only the digest in the transcript binds them.
    one = dataclasses.replace(make(Fibonacci(5, 0, 2)), statement=tuple(Fibonacci(5).encode()))
    with pytest.raises(VerificationError):
        verify(receipt(one), ACCEPTED)


@pytest.mark.parametrize(
    "words",
    [
        (),
        (900,),
        (901, 1, 5, 0, 0, 1),
        (900, 2, 5, 0, 0, 1),
        (900, 0, 5, 0, 0, 1),
        (900, 1, 5, 0, 0),
        (900, 1, 5, 0, 0, 1, 0),
        (900, 1, 1000, 0, 0, 1),
        (900, 1, 2**32 - 1, 2**32 - 1, 0, 1),
    ],
)
def test_bad_statements(make, words):
    part = dataclasses.replace(make(Fibonacci(5)), statement=words)
    with pytest.raises(errors.StatementError):
        verify(receipt(part), ACCEPTED)


def test_only_accepted_types(make):
    data = receipt(make(Fibonacci(5)))
    with pytest.raises(errors.StatementError, match="900 is not accepted"):
        verify(data, {})
    mixed = receipt(make(Fibonacci(5)), dataclasses.replace(make(Fibonacci(5)), statement=(901, 1)))
    with pytest.raises(errors.StatementError):
        verify(mixed, {900: KIND, 901: KIND})
    with pytest.raises(StatementError):
        registry(KIND, FibonacciType())
    assert registry(KIND, KIND) == ACCEPTED


def test_config_of_the_receipt_is_checked(make):
    part = make(Fibonacci(5))
    for change in ({"n_queries": 0}, {"log_blowup_factor": 0}, {"pow_bits": 61}, {"fold_step": 20}):
        config = dataclasses.replace(part.proof.config, **change)
        bad = dataclasses.replace(part, proof=dataclasses.replace(part.proof, config=config))
        with pytest.raises(ConfigError):
            verify(receipt(bad), ACCEPTED)
    # More bits claimed than the proof was made with.
    config = dataclasses.replace(part.proof.config, n_queries=30)
    with pytest.raises(VerificationError):
        verify(
            receipt(dataclasses.replace(part, proof=dataclasses.replace(part.proof, config=config))),
            ACCEPTED,
            min_conjectured=120,
        )


def test_claimed_sums_must_not_be_there(make):
    from air.field import QM31

    with pytest.raises(VerificationError):
        verify(receipt(dataclasses.replace(make(Fibonacci(5)), claimed_sums=(QM31(0),))), ACCEPTED)


def test_bytes(make):
    data = receipt(make(Fibonacci(5)))
    for bad in (b"", data[:-1], data + b"\0", data[:17] + b"\x09\0\0\0" + data[21:], b"X" + data[1:], data[:30]):
        with pytest.raises(ParseError):
            verify(bad, ACCEPTED)
    for version, message in (
        (9, "format version 9"),
        (0, "format version 0"),
        (1, "version 1 is no longer read; prove"),
    ):
        with pytest.raises(ParseError, match=message):
            verify(data[:17] + bytes([version, 0, 0, 0]) + data[21:], ACCEPTED)
    empty = write_receipt(Receipt(()))
    with pytest.raises(ParseError):
        verify(empty, ACCEPTED)


def test_every_byte_counts(make):
    data = receipt(make(Fibonacci(5)))
    rng = random.Random(2)
    for position in [*range(120), *(rng.randrange(len(data)) for _ in range(150))]:
        bad = bytearray(data)
        bad[position] ^= 1 << rng.randrange(8)
        with pytest.raises((ParseError, VerificationError)):
            verify(bytes(bad), ACCEPTED, min_conjectured=0)


def test_missing_root(make):
    class Rootless(Fibonacci):
        def preprocessed_root(self, key):
            return None

    class Kind(FibonacciType):
        def decode(self, words):
            return Rootless(super().decode(words).x0)

    with pytest.raises(errors.PreprocessedRootError):
        verify(receipt(make(Fibonacci(5))), {900: Kind()})


def test_what_has_to_be_proven_is_not_opened(make):
    for opening in (b"", bytes(100), write_receipt(Receipt(())), receipt(make(Fibonacci(5)))):
        part = OpenedPart(tuple(Fibonacci(5).encode()), opening)
        with pytest.raises(errors.StatementError, match="has to be proven, but the part only opens data"):
            verify(receipt(part), ACCEPTED, min_conjectured=0)
    one, two = (make(Fibonacci(5, k, 2)) for k in range(2))
    with pytest.raises(errors.StatementError, match=r"part 2 of 2: .*has to be proven"):
        verify(receipt(one, OpenedPart(two.statement, b"")), ACCEPTED)


def test_digest_of_parts():
    one, two = Fibonacci(5, 0, 2), Fibonacci(5, 1, 2)
    assert digest_of([one, two]) != digest_of([two, one])
    assert len(digest_of([one])) == 32
