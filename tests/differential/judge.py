"""Changes one thing in a proof or a spec, again and again, and compares our verdict with Stwo's on the same files.

    python tests/differential/judge.py --count 2000 --seed 1 --oracle PATH [--walk] [--only NAME] [--json]

Accepted mutants, exceptions other than ParseError and VerificationError, and verdicts that differ are findings; the
exit code is 1 if there are any. `--walk` goes through every leaf of every proof instead of drawing at random. Without
`--oracle` only our own verdicts are judged.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count, islice
from pathlib import Path
from time import process_time
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

import verifier.stark
from air.field import P
from verifier.channel import Channel
from verifier.config import tree_height
from verifier.errors import ParseError, VerificationError
from verifier.hashes import Hash, Hasher, hasher
from verifier.merkle import leaf_order, preprocessed_positions
from verifier.proof import proof_from_json
from verifier.quotients import column_log_sizes
from verifier.spec import spec_from_json
from verifier.stark import verify_stark

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
Path_ = tuple[Any, ...]
MAX_SECONDS, MAX_BYTES = 1.0, 200e6  # of processor time, so that a busy machine does not count
SPEC_FIELDS = ("config", "mix_config", "statement_u64", "claimed_sums", "public_terms", "preprocessed_root")


@dataclass(frozen=True)
class Case:
    """An honest proof; `leaves` and `lists` are the paths of its document, grouped by the names on them."""

    name: str
    spec: Any
    proof: Any

    def groups(self, which: str, kind: str) -> list[list[Path_]]:
        return _groups(self.name, which, kind)

    def document(self, which: str) -> Any:
        return self.spec if which == "spec" else self.proof


@dataclass(frozen=True)
class Mutant:
    """What was changed where, and both documents."""

    case: str
    kind: str
    path: Path_
    spec: Any
    proof: Any

    def __str__(self) -> str:
        return f"{self.case}: {self.kind} at {'.'.join(map(str, self.path))}"


@dataclass
class Report:
    """Counts by kind of change and by our verdict, and every finding."""

    mutants: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_growth_bytes: int = 0

    @property
    def findings(self) -> list[str]:
        return self.accepted + self.foreign + self.differences + self.slow


@cache
def load(name: str) -> Case:
    texts = [(FIXTURES / f"{name}.{kind}.json").read_text() for kind in ("spec", "proof")]
    return Case(name, *map(json.loads, texts))


def names(only: str | None = None) -> list[str]:
    found = sorted(p.name.removesuffix(".spec.json") for p in FIXTURES.glob("*.spec.json"))
    return [name for name in found if only is None or only in name]


@cache
def _groups(name: str, which: str, kind: str) -> list[list[Path_]]:
    """Paths of leaves or of lists, one group a kind of field: nine leaves of ten are bytes of hashes."""
    groups = defaultdict(list)
    case = load(name)
    document = {k: case.spec[k] for k in SPEC_FIELDS if k in case.spec} if which == "spec" else case.proof
    for path, value in _walk(document):
        if isinstance(value, (list, dict)) == (kind == "lists") and not isinstance(value, dict):
            depth = sum(isinstance(key, int) for key in path)
            groups[tuple(key for key in path if isinstance(key, str)), depth].append(path)
    return list(groups.values())


def _walk(node: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _walk(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _walk(value, (*path, index))


def at(document: Any, path: Path_) -> Any:
    for key in path:
        document = document[key]
    return document


def put(document: Any, path: Path_, value: Any) -> Any:
    """A copy with one part replaced; what is not on the path is shared."""
    if not path:
        return value
    out = dict(document) if isinstance(document, dict) else list(document)
    out[path[0]] = put(document[path[0]], path[1:], value)
    return out


def _number(change: Callable[[int], int]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return change(value)
        if isinstance(value, str):  # a felt252 in decimal, or a root in hexadecimal
            changed = change(int(value, 10 if value.isdigit() and len(value) != 64 else 16))
            return f"{changed % 2**256:064x}" if len(value) == 64 else str(changed)
        return 1

    return apply


LEAF_CHANGES = {
    "plus 1": _number(lambda v: v + 1),
    "minus 1": _number(lambda v: v - 1),
    "zero": _number(lambda v: 0),
    "P": _number(lambda v: P),
    "P - 1": _number(lambda v: P - 1),
    "plus P": _number(lambda v: v + P),
    "2^32 - 1": _number(lambda v: 2**32 - 1),
}


def flip(value: Any, rng: random.Random) -> Any:
    return _number(lambda v: v ^ 1 << rng.randrange(8 if v < 256 else 31))(value)


def edit_list(kind: str, items: list[Any], rng: random.Random) -> list[Any]:
    """swap neighbours, drop or duplicate one; empty lists get a zero."""
    if not items:
        return [0]
    k = rng.randrange(len(items))
    if kind == "drop":
        return items[:k] + items[k + 1 :]
    if kind == "duplicate":
        return [*items[: k + 1], *items[k:]]
    if len(items) == 1:
        return items
    k = min(k, len(items) - 2)
    return [*items[:k], items[k + 1], items[k], *items[k + 2 :]]


def splice(case: Case, path: Path_, rng: random.Random) -> Any:
    """The part at the same place of another honest proof: of the same AIR if there is one, else of any."""
    air = case.name.split("_")[0]
    others = [n for n in names() if n != case.name]
    others.sort(key=lambda n: (not n.startswith(air), rng.random()))
    for other in others:
        try:
            return at(load(other).proof, path)
        except (KeyError, IndexError, TypeError):
            continue
    return at(case.proof, path)


def mutants(cases: Sequence[Case], rng: random.Random) -> Iterator[Mutant]:
    """Without end. Every kind of change and every kind of field is as likely as any other."""
    kinds = [*LEAF_CHANGES, "flip", "flip", "swap", "drop", "duplicate", "splice", "splice", "rehash", "regrind"]
    while True:
        case, kind = rng.choice(cases), rng.choice(kinds)
        which = "spec" if rng.random() < 0.15 and kind not in ("rehash", "regrind", "splice") else "proof"
        made = mutate(case, which, kind, rng)
        if meaning(made.spec, made.proof) != meaning(case.spec, case.proof):
            yield made


def meaning(spec: Any, proof: Any) -> Any:
    """Public terms are a sum: their order has no meaning, here or in Stwo. Receipts bind it."""
    terms = spec.get("public_terms")
    return (spec if terms is None else spec | {"public_terms": sorted(terms, key=json.dumps)}), proof


def mutate(case: Case, which: str, kind: str, rng: random.Random, path: Path_ | None = None) -> Mutant:
    if kind == "rehash":
        return rehash(case, rng)
    if path is None:
        groups = case.groups(which, "lists" if kind in ("swap", "drop", "duplicate", "splice") else "leaves")
        if kind == "regrind":
            groups = [g for g in groups if g[0][0] == "fri_proof" and "log_size" not in g[0]]
        path = rng.choice(rng.choice(groups))
    old = at(case.document(which), path)
    if kind in ("swap", "drop", "duplicate"):
        new = edit_list(kind, old, rng)
    elif kind == "splice":
        new = splice(case, path, rng)
    else:
        new = flip(old, rng) if kind in ("flip", "regrind") else LEAF_CHANGES[kind](old)
    changed = put(case.document(which), path, new)
    if kind == "regrind":
        changed = regrind(case, changed)
    pair = (changed, case.proof) if which == "spec" else (case.spec, changed)
    return Mutant(case.name, kind, (which, *path), *pair)


def walk(cases: Sequence[Case], rng: random.Random) -> Iterator[Mutant]:
    """Every leaf of every proof once, with another change each."""
    turn = count()
    kinds = [*LEAF_CHANGES, "flip"]
    for case in cases:
        for path in (path for group in case.groups("proof", "leaves") for path in group):
            made = mutate(case, "proof", kinds[next(turn) % len(kinds)], rng, path)
            if made.proof != case.proof:
                yield made


@cache
def _queries(name: str) -> Any:
    """Positions that the honest proof opens."""
    case, seen = load(name), []
    draw = verifier.stark.draw_queries

    def record(*arguments: Any) -> Any:
        seen.append(draw(*arguments))
        return seen[-1]

    spec = spec_from_json(json.dumps(case.spec))
    with mock.patch.object(verifier.stark, "draw_queries", record):
        verifier.stark.verify_stark(spec, proof_from_json(json.dumps(case.proof), spec.channel))
    return seen[0]


def rehash(case: Case, rng: random.Random) -> Mutant:
    """One opened value changed, and the root that its path leads to put in the place of the committed one."""
    tree = rng.choice([k for k, columns in enumerate(case.proof["queried_values"]) if columns])
    values = copy.deepcopy(case.proof["queried_values"][tree])
    column, query = rng.randrange(len(values)), rng.randrange(len(values[0]))
    values[column][query] = (values[column][query] + 1) % P
    proof = put(case.proof, ("queried_values", tree), values)
    proof = put(proof, ("commitments", tree), root_of(case, tree, values))
    return Mutant(case.name, "rehash", ("proof", "queried_values", tree, column, query), case.spec, proof)


def root_of(case: Case, tree: int, values: list[list[int]]) -> Any:
    """The root, as JSON, to which these opened values lead with the proof's own witness."""
    spec = spec_from_json(json.dumps(case.spec))
    sizes, kind, positions = column_log_sizes(spec.air)[tree], hasher(spec.channel), _queries(case.name)
    height = spec.config.lifting_log(spec.air.log_size)
    if tree == 0:
        low = tree_height(sizes, spec.config)
        height, positions = low, preprocessed_positions(positions, low, height)
    rows = np.array(values, dtype=np.uint32)[leaf_order(sizes)].T
    leaves = dict(sorted(zip(positions.tolist(), kind.leaves(rows), strict=True)))
    found = case.proof["decommitments"][tree]["hash_witness"]
    root = implied_root(kind, height, leaves, [int(h) if kind.numeric else bytes(h) for h in found])
    return list(root) if isinstance(root, bytes) else str(root)


def implied_root(kind: Hasher, height: int, leaves: dict[int, Hash], witness: list[Hash]) -> Hash:
    rest = iter(witness)
    for _ in range(height):
        above: dict[int, Hash] = {}
        for position in leaves:
            if position >> 1 not in above:
                pair = [leaves[p] if p in leaves else next(rest) for p in (position, position ^ 1)]
                above[position >> 1] = kind.node(*(pair[::-1] if position & 1 else pair))
        leaves = above
    return leaves[0]


def regrind(case: Case, proof: Any) -> Any:
    """Another nonce, for which the changed proof passes the proof of work."""
    spec = spec_from_json(json.dumps(case.spec))
    seen: list[Channel] = []

    class Stop(Exception):
        pass

    def stop(self: Channel, bits: int, nonce: int) -> bool:
        seen.append(self)
        raise Stop

    inside = type(verifier.stark.channel(spec.channel))
    try:
        with mock.patch.object(inside, "verify_pow_nonce", stop):
            verify_stark(spec, proof_from_json(json.dumps(proof), spec.channel))
    except (Stop, ParseError, VerificationError):
        pass
    bits = spec.config.pow_bits
    if not seen or bits > (10 if spec.channel != "poseidon252" else 5):
        return proof
    nonce = next(n for n in count() if seen[0].verify_pow_nonce(bits, n))
    return put(proof, ("proof_of_work",), nonce)


def ours(spec: str, proof: str) -> str:
    """ "accepted", or the class of the refusal."""
    try:
        read = spec_from_json(spec)
        verify_stark(read, proof_from_json(proof, read.channel))
    except (ParseError, VerificationError) as error:
        return type(error).__name__
    return "accepted"


def theirs(oracle: Path, folder: Path, spec: str, proof: str) -> bool:
    """Whether Stwo accepts. Exit code 2 is for specs it cannot use: no acceptance either."""
    files = [folder / "spec.json", folder / "proof.json"]
    files[0].write_text(spec)
    files[1].write_text(proof)
    done = subprocess.run([oracle, "verify", *files], capture_output=True, timeout=60)
    return done.returncode == 0


def judge(found: Iterator[Mutant], oracle: Path | None = None) -> Report:
    """Judges all mutants. Needs no clean-up; nothing is left on disk."""
    report, before = Report(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        for mutant in found:
            spec, proof = json.dumps(mutant.spec), json.dumps(mutant.proof)
            started = process_time()
            try:
                verdict = ours(spec, proof)
            except Exception as error:  # the finding that this is about
                verdict = "foreign"
                report.foreign.append(f"{mutant}: {type(error).__name__}: {error}")
            seconds = process_time() - started
            report.mutants += 1
            report.kinds[mutant.kind] += 1
            report.verdicts[verdict] += 1
            report.slowest_s = max(report.slowest_s, seconds)
            if seconds > MAX_SECONDS:
                report.slow.append(f"{mutant}: {seconds:.2f} s")
            if verdict == "accepted":
                report.accepted.append(str(mutant))
            if oracle and theirs(oracle, Path(folder), spec, proof) != (verdict == "accepted"):
                report.differences.append(f"{mutant}: ours {verdict}, Stwo the opposite")
    report.peak_growth_bytes = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--oracle", type=Path)
    parser.add_argument("--only", help="fixtures whose name contains this")
    parser.add_argument("--walk", action="store_true", help="every leaf once; --count is ignored")
    chosen = parser.parse_args(arguments)
    cases, rng = [load(name) for name in names(chosen.only)], random.Random(chosen.seed)
    found = walk(cases, rng) if chosen.walk else islice(mutants(cases, rng), chosen.count)
    report = judge(found, chosen.oracle)
    print(f"{report.mutants} mutants: {dict(report.kinds)}")
    print(f"verdicts: {dict(report.verdicts)}")
    print(f"slowest refusal {report.slowest_s:.2f} s, memory grew by {report.peak_growth_bytes / 1e6:.0f} MB")
    print(f"findings: {len(report.findings)}", *report.findings, sep="\n  ")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
