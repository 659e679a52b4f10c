"""Byte fuzzing of everything that reads a stranger's bytes.

    python tests/fuzz/fuzz.py PARSER --minutes 10     mutates the corpus; PARSER `all` takes them in turn
    python tests/fuzz/fuzz.py --corpus                makes the corpus again from the fixtures

A parser may refuse with the errors named beside it and with nothing else; what it accepts it must write back the same.
Inputs that break this are written to corpus/PARSER/crash-DIGEST, where the fast tests try them for ever. With
`--engine atheris`, libFuzzer chooses the inputs by coverage; else our own mutator does, which knows lengths and JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from air.export import air_from_json, air_to_json  # noqa: E402
from air.layout import AirError  # noqa: E402
from air.statement import StatementError, StatementType  # noqa: E402
from air.statements.certify_statement import CERTIFY  # noqa: E402
from air.statements.topk_statement import TOPK  # noqa: E402
from octoproof.vectors.load import load_arrays  # noqa: E402
from octoproof.vectors.manifest import manifest_path, read_manifest, write_manifest  # noqa: E402
from octoproof.vectors.opened import OPENED, OpenedStatement  # noqa: E402
from verifier.errors import ParseError, VerificationError  # noqa: E402
from verifier.proof import proof_from_json, proof_to_json  # noqa: E402
from verifier.receipt import read_receipt, write_receipt  # noqa: E402
from verifier.spec import spec_from_json, spec_to_json  # noqa: E402
from verifier.strict import load_json  # noqa: E402
from verifier.wire import proof_from_wire, proof_to_wire  # noqa: E402

CORPUS = HERE / "corpus"
FIXTURES = HERE.parent / "fixtures"
MEGABYTE = 1 << 20
SLOW_S = 5.0  # at most, and as much again a megabyte; a second is the aim, but other work must not make a finding


@dataclass(frozen=True)
class Parser:
    """`check` parses and, where there is one canonical form, compares what it writes back."""

    check: Callable[[bytes], None]
    refusals: tuple[type[Exception], ...]
    is_json: bool = False


def _receipt(data: bytes) -> None:
    assert write_receipt(read_receipt(data)) == data


def _wire(data: bytes) -> None:
    assert proof_to_wire(*proof_from_wire(data)) == data


def _proof(channel: str) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        proof = proof_from_json(data, channel)
        assert proof_from_json(proof_to_json(proof, channel), channel) == proof

    return check


def _spec(data: bytes) -> None:
    spec = spec_from_json(data)
    again = spec_from_json(json.dumps(spec_to_json(spec)))
    assert (again.air, again.config, again.statement_u64) == (spec.air, spec.config, spec.statement_u64)


def _air(data: bytes) -> None:
    air = air_from_json(load_json(data, "air", 16 * MEGABYTE))
    assert air_from_json(air_to_json(air)) == air


def _words(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4]))


def _statement(kind: StatementType) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        claim = kind.decode(_words(data))
        assert claim.encode() == _words(data)
        claim.check()
        claim.describe()

    return check


@cache
def _honest(parser: str) -> bytes:
    """What goes with the fuzzed bytes."""
    return next(path for path in sorted((CORPUS / parser).iterdir()) if "crash" not in path.name).read_bytes()


@cache
def _opened() -> OpenedStatement:
    return OPENED.decode(_words(_honest("opened")))


def _opening(data: bytes) -> None:
    _opened().check_opening(data)


def _snapshot(manifest: bytes, dictionary: bytes) -> None:
    (payload,) = json.loads(_honest("manifest"))["fields"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, data in (
            (manifest_path(folder, 1), manifest),
            (folder / "dictionaries" / f"{payload['digest']}.json", dictionary),
        ):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        write_manifest(folder, read_manifest(folder, 1))
        assert json.loads(manifest_path(folder, 1).read_bytes()) == json.loads(manifest)


def _manifest(data: bytes) -> None:
    _snapshot(data, _honest("dictionary"))


def _dictionary(data: bytes) -> None:
    _snapshot(_honest("manifest"), data)


def _arrays(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        load_arrays(file.name)


_READING = (ParseError, VerificationError)
PARSERS = {
    "receipt": Parser(_receipt, _READING),
    "wire": Parser(_wire, _READING),
    "proof": Parser(_proof("blake2s"), _READING, True),
    "proof_poseidon252": Parser(_proof("poseidon252"), _READING, True),
    "spec": Parser(_spec, _READING, True),
    "air": Parser(_air, (ParseError, AirError), True),
    "topk": Parser(_statement(TOPK), (StatementError,)),
    "opened": Parser(_statement(OPENED), (StatementError,)),
    "certify": Parser(_statement(CERTIFY), (StatementError,)),
    "opening": Parser(_opening, (StatementError,)),
    "manifest": Parser(_manifest, (*_READING, OSError), True),  # it names dictionaries that may not be there
    "dictionary": Parser(_dictionary, _READING, True),
    "arrays": Parser(_arrays, (ParseError, OSError)),  # zipfile seeks where a damaged directory points
}


def problem(parser: Parser, data: bytes) -> str | None:
    """What the parser did wrong with these bytes."""
    start = time.perf_counter()
    try:
        parser.check(data)
    except parser.refusals as error:
        if "\n" in str(error) or len(str(error)) > 1000:
            return f"a message of {len(str(error))} characters or several lines"
    except Exception:
        return traceback.format_exc(limit=-3)
    took = time.perf_counter() - start
    return f"{took:.1f} s for {len(data)} bytes" if took > SLOW_S * (1 + len(data) / MEGABYTE) else None


def fuzz(name: str, seconds: float, seed: int = 0, most: float = float("inf")) -> tuple[int, dict[str, bytes]]:
    """(inputs tried, findings by their last line). The first `most` inputs of a seed are the same everywhere."""
    parser, rng, findings = PARSERS[name], random.Random(seed), dict[str, bytes]()
    seeds = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end and count < most:
        data = rng.choice(seeds)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = _mutated(data, seeds, parser.is_json, rng)
        wrong = problem(parser, data)
        count += 1
        if wrong is not None:
            findings.setdefault(wrong.strip().splitlines()[-1][:200], data)
    return count, findings


_NUMBERS = (0, 1, 2, 127, 255, 256, 2**31 - 2, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64, -1)
_TEXTS = (
    "null", "true", "[]", "{}", '""', "1.5", "1e400", "NaN", "-Infinity", '"\\ud800"', '"expr"', "[[]]", "-0",
    "9" * 60, '"' + "a" * 300 + '"',
)  # fmt: skip


def _mutated(data: bytes, seeds: list[bytes], is_json: bool, rng: random.Random) -> bytes:
    if is_json and rng.random() < 0.7:
        changed = _mutated_json(data, rng)
        if changed is not None:
            return changed
    at, size = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 8, 32, 100))
    match rng.randrange(8):
        case 0:
            return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + bytes(b ^ (1 << rng.randrange(8)) for b in data[at : at + 1]) + data[at + 1 :]
        case 2:  # a length or a number, aligned
            width = rng.choice((4, 8))
            number = (rng.choice(_NUMBERS) % (1 << 8 * width)).to_bytes(width, "little")
            return data[: at & -4] + number + data[(at & -4) + width :]
        case 3:
            return data[:at]
        case 4:
            return data[:at] + data[at + size :]
        case 5:
            return data[:at] + data[at : at + size] * rng.choice((2, 3, 50)) + data[at + size :]
        case 6:
            other = rng.choice(seeds)
            return data[:at] + other[rng.randrange(len(other) + 1) :]
        case _:
            return data[:at] + rng.randbytes(size) + data[at:]


def _mutated_json(data: bytes, rng: random.Random) -> bytes | None:
    """One value replaced, dropped, doubled or nested; None where the bytes are no JSON any more."""
    try:
        document = json.loads(data)
        node, key = _random_place(document, rng)
    except (ValueError, RecursionError):
        return None
    if node is None:
        return None
    match rng.randrange(6):
        case 0:
            node[key] = rng.choice(_NUMBERS)
        case 1:
            del node[key]
        case 2 if isinstance(node, list):
            node.insert(key, node[key])
        case 3:
            node[key] = [node[key]]
        case 4 if isinstance(node[key], int):
            node[key] += rng.choice((-1, 1, 2**31 - 1))
        case _:
            node[key] = "@@"
    try:
        return json.dumps(document).replace('"@@"', rng.choice(_TEXTS)).encode()
    except (ValueError, RecursionError):
        return None


def _random_place(document: object, rng: random.Random) -> tuple[list | dict | None, int | str]:
    """A container and a key, each level as likely as the next."""
    node, places = document, []
    while isinstance(node, (list, dict)) and node:
        key = rng.randrange(len(node)) if isinstance(node, list) else rng.choice(list(node))
        places.append((node, key))
        node = node[key]
    return rng.choice(places) if places else (None, 0)


def make_corpus() -> Iterator[tuple[str, str, bytes]]:
    """(parser, name, bytes) of small honest inputs."""
    from verifier.receipt import Part, Receipt

    small = ("wide_fib_5x4_default", "expr_plonk_6", "range_check_t6_u8", "wide_fib_6x20_poseidon")
    specs = {name: (FIXTURES / f"{name}.spec.json").read_bytes() for name in small}
    for name, text in specs.items():
        spec = spec_from_json(text)
        data = (FIXTURES / f"{name}.proof.json").read_bytes()
        proof = proof_from_json(data, spec.channel)
        yield "spec", name, text
        yield "wire", name, proof_to_wire(proof, spec.channel)
        if name != "range_check_t6_u8":
            yield "proof_poseidon252" if spec.channel == "poseidon252" else "proof", name, data
            yield "air", name, json.dumps(air_to_json(spec.air)).encode()
            part = Part((1, 1, 2, 3), spec.channel, spec.claimed_sums, proof)
            yield "receipt", name, write_receipt(Receipt((part,) * (1 + (name == small[0]))))
    yield from _vector_corpus()


def _vector_corpus() -> Iterator[tuple[str, str, bytes]]:
    """What a small snapshot with cells, and questions to it, are made of."""
    import numpy as np

    from air.statements.certify_statement import CertifyStatement
    from octoproof.vectors.claims import opened_claim, proven_claims
    from octoproof.vectors.prove import prove_answer
    from octoproof.vectors.query import ask, find
    from octoproof.vectors.snapshot import Snapshot
    from verifier.receipt import OpenedPart

    def words(claim: Any) -> bytes:
        return struct.pack(f"<{len(claim.encode())}I", *claim.encode())

    vectors = np.random.default_rng(0).normal(size=(60, 3))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = np.array(["noun", "verb", "adjective"])[np.arange(60) % 3]
        snapshot = Snapshot.build(vectors, folder / "s", cells=3, payload={"kind": kinds}, presets=("bench",))
        yield "manifest", "cells", manifest_path(folder / "s", 1).read_bytes()
        yield "dictionary", "kind", next((folder / "s" / "dictionaries").iterdir()).read_bytes()
        for mode in ("strict", "ivf"):
            answer = ask(snapshot, find(snapshot, id=7), 4, mode=mode, where={"kind": "verb"}, probes=2)
            for number, (_, claim) in enumerate(proven_claims(answer)[:2]):
                yield "topk", f"{mode}_{number}", words(claim)
        answer = ask(snapshot, find(snapshot, id=7), 4, mode="fast", where={"kind": "verb"}, probes=3)
        yield "opened", "fast", words(opened_claim(answer))
        receipt = prove_answer(answer, backend=None)
        yield "receipt", "opened", receipt
        (part,) = read_receipt(receipt).parts
        assert isinstance(part, OpenedPart)
        yield "opening", "fast", part.opening
        header = snapshot.header
        for number, leaf in enumerate(stored.leaf for stored in snapshot.segments[:2]):
            claim = CertifyStatement(3, header.limit, header.scale, bool(number), (3,), leaf)
            yield "certify", f"unit_{number}", words(claim)
        np.save(folder / "vectors.npy", vectors[:20])
        np.savez(folder / "vectors.npz", vectors=vectors[:20], ids=np.arange(20))
        for file in ("vectors.npy", "vectors.npz"):
            yield "arrays", file, (folder / file).read_bytes()


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("parser", nargs="?", choices=[*PARSERS, "all"])
    arguments.add_argument("--minutes", type=float, default=1.0)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--engine", choices=("own", "atheris"), default="own")
    arguments.add_argument("--corpus", action="store_true")
    asked = arguments.parse_args()
    if asked.corpus:
        for parser, name, data in make_corpus():
            (CORPUS / parser).mkdir(parents=True, exist_ok=True)
            (CORPUS / parser / name).write_bytes(data)
        return 0
    if asked.parser is None:
        arguments.error("name a parser, or --corpus")
    if asked.engine == "atheris":
        return _with_atheris(asked.parser, asked.minutes)
    failed = False
    for name in PARSERS if asked.parser == "all" else [asked.parser]:
        count, findings = fuzz(name, asked.minutes * 60, asked.seed)
        print(f"{name}: {count} inputs, {len(findings)} findings", flush=True)
        for message, data in findings.items():
            path = CORPUS / name / f"crash-{hashlib.blake2s(data, digest_size=6).hexdigest()}"
            path.write_bytes(data)
            print(f"  {path.name}: {message}", flush=True)
        failed |= bool(findings)
    return int(failed)


def _with_atheris(name: str, minutes: float) -> int:
    """libFuzzer ends the process itself."""
    import atheris

    parser = PARSERS[name]

    def one(data: bytes) -> None:
        wrong = problem(parser, data)
        if wrong is not None:
            raise AssertionError(wrong)

    atheris.instrument_all()
    found = CORPUS / name
    with tempfile.TemporaryDirectory() as fresh:
        limits = [f"-max_total_time={int(minutes * 60)}", "-max_len=200000", f"-artifact_prefix={found}/crash-"]
        atheris.Setup([sys.argv[0], *limits, fresh, str(found)], one)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
