"""Cairo reads the statements that Python writes: the same digest, and the same verdict on what is wrong with them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2s
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from air.statement import RootKey, StatementError
from air.statements.question import METRICS, Question, Row, ranked
from air.statements.snapshot import ColumnRoot, PlacedSegment, SegmentLeaf, SnapshotHeader, SnapshotTree, _node, _root
from air.statements.topk import coordinate_bound, score_bound
from air.statements.topk_statement import TOPK, TopkStatement, threshold_of
from octoproof.starknet.statements import (
    PLONK,
    PRIME,
    RANGE_CHECK,
    WIDE_FIB,
    native_digest,
    topk_answer_felts,
    topk_felts,
    topk_result_digest,
)
from tests.starknet.cairo import constant, need_compiler, run_cairo

IMPORTS = (
    "octoproof_facts::native::{Plonk, RangeCheck, WideFib, plonk_digest, range_check_digest, wide_fib_digest}",
    "octoproof_facts::snapshot::PlacedSegment",
    "octoproof_facts::store::{Security, SecurityTrait}",
    "octoproof_facts::topk_result::{TopkAnswer, TopkAnswerTrait}",
    "octoproof_facts::topk_statement::{TopkStatement, TopkStatementTrait}",
    "octoproof_facts::words::digest",
)
TYPE, COUNT = "not in the range of its type", "too many items"
HELPERS = """
fn statement(mut felts: Span<felt252>) -> TopkStatement {
    let read = Serde::<TopkStatement>::deserialize(ref felts).unwrap();
    assert(felts.is_empty(), 'felts left');
    read.check();
    read
}

fn answer(mut felts: Span<felt252>) -> TopkAnswer {
    let read = Serde::<TopkAnswer>::deserialize(ref felts).unwrap();
    assert(felts.is_empty(), 'felts left');
    read
}

fn changed(felts: Span<felt252>, place: u32, value: felt252) -> Span<felt252> {
    let mut out = array![];
    out.append_span(felts.slice(0, place));
    out.append(value);
    out.append_span(felts.slice(place + 1, felts.len() - place - 1));
    out.span()
}
"""


def number(digest: bytes) -> str:
    return f"{int.from_bytes(digest, 'big'):#x}_u256"


def receipt(rng: random.Random, mode: str) -> list[TopkStatement]:
    """All parts of a true answer about a snapshot of nothing but roots."""
    dimension, count = rng.choice([1, 3, 8]), rng.choice([1, 2, 3, 5])
    limit, cells = rng.randint(1, coordinate_bound(dimension)), count if mode == "ivf" else 0
    leaves = []
    for index in range(count + (1 if cells else 0)):
        rows = cells if cells and index == 0 else rng.randint(1, 1 << 10)
        roots = tuple(
            ColumnRoot(RootKey("blake2s", blowup, lifting), rng.randbytes(32))
            for blowup, lifting in rng.sample([(1, None), (5, None), (5, 20)], rng.randint(1, 3))
        )
        live = rows if cells and index == 0 else rng.randint(0, rows)
        leaves.append(SegmentLeaf(index * 3, rng.randint(1, 1 << 40), 10, rows, live, rng.randbytes(32), roots))
    held = leaves[1 if cells else 0 :]
    rows, live = sum(leaf.rows for leaf in held), sum(leaf.live for leaf in held)
    normalised, rule = rng.random() < 0.5, rng.choice(["native", "stoolap"])
    header = SnapshotHeader(dimension, limit, rng.randint(1, 1 << 53), normalised, rows, live, len(leaves), cells, rule)
    tree, bound = SnapshotTree(header, leaves), score_bound(dimension, limit)
    metric = rng.choice(METRICS if normalised else METRICS[:2])
    query = tuple(rng.randint(-limit, limit) for _ in range(dimension))
    question, probes = Question(metric, query, rng.randint(1, 30)), rng.randint(1, cells) if cells else 0

    def part(index: int, threshold: int, rows: Sequence[Row]) -> TopkStatement:
        placed = PlacedSegment(index, leaves[index], tree.path(index))
        told = tuple(row for row in ranked(rows) if row[1] >= threshold)
        return TopkStatement(header, tree.root, placed, mode, question, probes, threshold, told)

    def scored(ids: Sequence[int]) -> list[Row]:
        few = rng.randint(0, bound)  # so that there are ties
        return [(id, rng.choice([rng.randint(-bound, bound), few])) for id in ids]

    parts, wanted = [], list(range(len(leaves)))
    if cells:
        nearest = scored(range(cells))
        parts.append(part(0, threshold_of(header, ranked(nearest), probes), nearest))
        wanted = sorted(id + 1 for id, _ in ranked(nearest)[:probes])
    by_segment = [scored(rng.sample(range(k << 50, (k << 50) + 99), min(leaves[k].live, 9))) for k in wanted]
    threshold = threshold_of(header, ranked(row for rows in by_segment for row in rows), question.k)
    parts += [part(k, threshold, rows) for k, rows in zip(wanted, by_segment, strict=True)]
    for claim in parts:
        claim.check()
    TOPK.check_together(parts)
    return parts


def digests() -> str:
    rng, body = random.Random(5), ""
    for case in range(12):
        parts = receipt(rng, "ivf" if case % 2 else "strict")
        checks = []
        for index, claim in enumerate(parts):
            body += constant(f"D{case}_{index}", topk_felts(claim))
            checks.append(f"assert(statement(D{case}_{index}.span()).digest() == {number(claim.digest())}, 'part');")
        body += constant(f"A{case}", topk_answer_felts(parts))
        rows = "".join(f"({id}, {score})," for id, score in TOPK.result(parts))
        checks.append(
            f"let asked = answer(A{case}.span()); let rows = asked.result(); let told = asked.statements();"
            f"assert(asked.result_digest(rows) == {number(topk_result_digest(parts))}, 'result');"
            f"assert(told.len() == {len(parts)} && *told[0].threshold == {parts[0].threshold}, 'statements');"
            f"let mut expected: Span<(u64, i64)> = array![{rows}].span();"
            "for row in rows { assert((*row.id, *row.score) == *expected.pop_front().unwrap(), 'row'); }"
            "assert(expected.is_empty(), 'rows');"
        )
        body += f"#[test]\nfn digest_{case}() {{ {' '.join(checks)} }}\n"
    native = {
        "wide_fib_digest(WideFib { log_size: 16, columns: 24 })": native_digest(WIDE_FIB, 16, 24),
        "range_check_digest(RangeCheck { table_log: 12, log_size: 10, columns: 3 })": native_digest(
            RANGE_CHECK, 12, 10, 3
        ),
        "plonk_digest(Plonk { log_size: 10, a0: 7, b0: 2147483646 })": native_digest(PLONK, 10, 7, 2147483646),
    }
    checks = [f"assert({call} == {number(digest)}, 'native');" for call, digest in native.items()]
    body += f"#[test]\nfn digest_native() {{ {' '.join(checks)} }}\n"
    checks = []
    for count in (0, 1, 15, 16, 17, 31, 32, 33):  # around whole blocks of 16 words
        words = [rng.randrange(2**32) for _ in range(count)]
        expected = number(blake2s(pack(f"<{count}I", *words)).digest())
        checks.append(f"assert(digest(array![{', '.join(map(str, words))}].span()) == {expected}, '{count} words');")
    return body + f"#[test]\nfn digest_blake2s() {{ {' '.join(checks)} }}\n"


def parts_of() -> str:
    """The figures of several proofs: less log2 of their number, rounded up, and never below zero."""
    checks = []
    for count, bits in ((1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1024, 10)):
        right = f"Security {{ conjectured: {960 - 10 * bits}, proven: {max(0, 55 - 10 * bits)} }}"
        checks.append(f"assert(Security {{ conjectured: 960, proven: 55 }}.of_parts({count}) == {right}, '{count}');")
    return f"#[test]\nfn parts_are_worth_less() {{ {' '.join(checks)} }}\n"


def variants(claim: TopkStatement) -> Iterator[TopkStatement]:
    """The statement with one thing changed at a time, to both sides of every bound."""
    placed, asked, rows = claim.segment, claim.question, claim.emitted
    header, leaf, path = claim.header, placed.leaf, placed.path
    bound, limit, cells = score_bound(header.dimension, header.limit), header.limit, header.cells

    def asking(**changes: Any) -> TopkStatement:
        return replace(claim, question=replace(asked, **changes))

    def telling(*told: Row, threshold: int = claim.threshold) -> TopkStatement:
        return replace(claim, emitted=told, threshold=threshold)

    def alone(
        index: int = 0, of_leaf: Any = None, question: Any = None, siblings: int = 0, **of_header: Any
    ) -> TopkStatement:
        """About a segment without hits, beside others that are all zeros; the root is right: only bounds refuse it."""
        only = replace(leaf, **(of_leaf or {}))
        base = replace(header, segments=1, cells=0, rows=only.rows, live=only.live, normalised=True)
        whole = replace(base, **of_header)
        top, beside = only.digest(), (bytes(32),) * siblings
        for sibling in beside:
            top = _node(top, sibling)
        segment = PlacedSegment(index, only, beside)
        return TopkStatement(whole, _root(whole, top), segment, "strict", question or asked, 0, 0, ())

    yield replace(claim, snapshot_root=bytes(32))
    for index in (placed.index ^ 1, placed.index + 2, header.segments):
        yield replace(claim, segment=replace(placed, index=index))
    for siblings in ((*path, bytes(32)), path[1:], path[::-1], (bytes(32), *path[1:])):
        yield replace(claim, segment=replace(placed, path=siblings))
    for changes in ({"version": leaf.version + 1}, {"row_root": bytes(32)}, {"column_roots": leaf.column_roots[1:]}):
        yield replace(claim, segment=replace(placed, leaf=replace(leaf, **changes)))
    for value in (limit, limit + 1, -limit, -limit - 1):
        yield asking(query=(*asked.query[:-1], value))
    yield asking(query=(*asked.query, 0))
    yield asking(query=asked.query[1:])
    for metric in METRICS:
        yield asking(metric=metric)
        yield alone(question=replace(asked, metric=metric), normalised=False)
    for k in (0, 1, 1000, 1001):
        yield asking(k=k)
    yield replace(claim, mode="ivf" if claim.mode == "strict" else "strict")
    yield replace(alone(), mode="ivf", probes=1)
    for probes in (0, 1, cells, cells + 1):
        yield replace(claim, probes=probes)
    for threshold in (bound, bound + 1, -bound, -bound - 1):
        yield telling(threshold=threshold)
    yield telling(*rows, threshold=claim.threshold + 1)
    yield telling(*rows[::-1])
    yield telling(*rows, *rows[-1:])
    for row in ((2**63 - 1, bound), (2**63 - 2, bound), (7 << 40, bound), (7 << 40, bound + 1)):
        yield telling(*ranked([*rows, row]))
    for row in ((9 << 40, claim.threshold), (9 << 40, claim.threshold - 1), (*(rows or ((3, 0),))[0][:1], bound - 1)):
        yield telling(*ranked([*rows, row]))
    most = coordinate_bound(header.dimension)
    for value in (0, 1, most, most + 1):
        yield alone(limit=value, question=replace(asked, query=(0,) * header.dimension))
    for dimension in (0, 4096, 4097):
        yield alone(dimension=dimension, limit=1, question=replace(asked, query=(0,) * dimension))
    for scale in (0, 1, 1 << 53, (1 << 53) + 1):
        yield alone(scale=scale)
    for total in (0, 1, 1 << 26, (1 << 26) + 1):
        yield alone(rows=total, live=0)
    for live in (leaf.rows, leaf.rows + 1):
        yield alone(live=live)
        yield alone(of_leaf={"live": live}, live=0)
    yield alone(segments=0)
    yield alone(segments=2)
    for depth in (16, 17):
        yield alone(segments=(1 << 16) + depth - 16, siblings=depth)
    yield alone(cells=1)
    yield alone(index=1)
    for number in (1 << 62, (1 << 62) + 1):
        yield alone(of_leaf={"id": number})
        yield alone(of_leaf={"version": number})
    yield alone(of_leaf={"version": 0})
    for log_size in (3, 4, 26, 27):
        yield alone(of_leaf={"log_size": log_size, "rows": 2, "live": 1})
    for held in (0, 1, 1 << leaf.log_size, (1 << leaf.log_size) + 1):
        yield alone(of_leaf={"rows": held, "live": 0}, rows=1 << 11, live=0)
    for told in (((1, 0),), ((1, 0), (2, 0))):
        yield replace(alone(of_leaf={"rows": 1, "live": 1}), emitted=told)


def refused(claim: TopkStatement) -> bool:
    try:
        claim.check()
    except StatementError:
        return True
    return False


def mutants(seed: int) -> tuple[str, dict[str, bool]]:
    """Variants of two statements, one of each mode, and whether Python takes them."""
    rng, body, right = random.Random(seed), "", {}
    for mode in ("strict", "ivf"):
        parts = [part for _ in range(9) for part in receipt(rng, mode) if len(part.emitted) > 2 and part.segment.path]
        for claim in variants(rng.choice(parts)):
            name = f"verdict_{len(right)}"
            right[name] = not refused(claim)
            body += constant(name.upper(), topk_felts(claim))
            body += f"#[test]\nfn {name}() {{ let _ = statement({name.upper()}.span()); }}\n"
    assert len(right) // 6 < sum(right.values()) < len(right) // 2
    return body, right


def reshuffled(rng: random.Random, parts: list[TopkStatement]) -> list[TopkStatement]:
    """The parts of an answer, each possible by itself, but mostly no longer one whole answer."""
    k = rng.randrange(len(parts))
    claim, bound = parts[k], score_bound(parts[0].header.dimension, parts[0].header.limit)
    higher = sorted({score for _, score in claim.emitted if score > claim.threshold} or {claim.threshold})[0]

    def each(threshold: int) -> list[TopkStatement]:
        return [
            replace(part, threshold=threshold, emitted=tuple(row for row in part.emitted if row[1] >= threshold))
            for part in parts
        ]

    twin = (rng.choice(parts).emitted or ((5, bound),))[0]
    choices: list[Callable[[], list[TopkStatement]]] = [
        lambda: parts[:k] + parts[k + 1 :],
        lambda: [*parts[:k], claim, *parts[k:]],
        lambda: parts[::-1],
        lambda: rng.sample(parts, len(parts)),
        lambda: each(higher),
        lambda: each(-bound),
        lambda: [*parts[:k], each(higher)[k], *parts[k + 1 :]],
        lambda: [*parts[:k], replace(claim, emitted=claim.emitted[:-1]), *parts[k + 1 :]],
        lambda: [*parts[:k], replace(claim, emitted=tuple(ranked({*claim.emitted, twin}))), *parts[k + 1 :]],
        lambda: [*parts[:k], replace(claim, emitted=tuple(ranked([*claim.emitted, (6, bound)]))), *parts[k + 1 :]],
        lambda: [replace(part, question=replace(part.question, k=part.question.k + 1)) for part in parts],
        lambda: [replace(part, probes=max(0, part.probes - 1)) for part in parts],
        lambda: [replace(parts[0], emitted=(), threshold=-bound)],
        lambda: [replace(parts[0], segment=parts[-1].segment), *parts[1:]],
    ]
    return rng.choice(choices)()


def answers(seed: int, count: int = 80) -> tuple[str, dict[str, bool]]:
    """Answers that are put together wrongly, and whether Python takes them."""
    rng, body, right = random.Random(seed), "", {}
    while len(right) < count:
        parts = reshuffled(rng, receipt(rng, rng.choice(["strict", "ivf"])))
        if not parts or any(refused(part) for part in parts):
            continue
        case = len(right)
        try:
            TOPK.check_together(parts)
            right[f"answer_{case}"] = True
        except StatementError:
            right[f"answer_{case}"] = False
        body += constant(f"W{case}", topk_answer_felts(parts))
        body += f"#[test]\nfn answer_{case}() {{ answer(W{case}.span()).result(); }}\n"
    assert count // 8 < sum(right.values()) < count // 2
    return body, right


def oversized() -> str:
    """A felt at or above the bound of its field is refused by name, never reduced: one encoding for one statement."""
    claim = receipt(random.Random(8), "strict")[0]
    felts, size, roots = topk_felts(claim), len(claim.question.query), len(claim.segment.leaf.column_roots)
    path = 20 + 5 * roots
    asked = path + 1 + 2 * len(claim.segment.path)
    fields = {
        0: ("snapshot.dimension", 2**64),
        8: ("snapshot.segments", 2**64),
        9: ("snapshot_root", 2**128),
        10: ("snapshot_root", PRIME - 1),
        11: ("segment.index", PRIME - 1),
        17: ("segment.row_root", 2**128),
        19: ("segment.column_roots", 17),
        20: ("segment.column_roots", 2**64),
        path: ("segment.path", 18),
        asked: ("mode", 2**64),
        asked + 2: ("question.query", 4097),
        asked + 3: ("question.query", 2**63),
        asked + 3 + size: ("question.k", 2**64),
        asked + 5 + size: ("threshold", PRIME - 2**63 - 1),
        asked + 6 + size: ("emitted", 4097),
        asked + 7 + size: ("emitted", 2**64),
        len(felts) - 1: ("emitted", 2**63),
    }
    outside = {
        1: ("snapshot.limit", 2**32, "out of bounds"),
        3: ("snapshot.normalised", 2, "out of bounds"),
        4: ("snapshot.row_rule", 2, "out of bounds"),
        asked: ("mode", 2, "out of bounds"),
        asked + 1: ("question.metric", 3, "out of bounds"),
        len(felts) - 2: ("emitted", 2**63, "id out of bounds"),
    }
    cases = [(place, *case, COUNT if case[1] < 2**20 else TYPE) for place, case in fields.items()]
    cases += [(place, *case) for place, case in outside.items()]
    body = constant("FELTS", felts) + "#[test]\nfn felt_honest() { let _ = statement(FELTS.span()); }\n"
    for index, (place, name, value, what) in enumerate(cases):
        body += panics(f"felt_{index}", (name, what), f"statement(changed(FELTS.span(), {place}, {value:#x}))")
    fewer = f"statement(FELTS.span().slice(0, {len(felts) - 1}))"
    body += panics("felt_missing", ("emitted", "calldata ends here"), fewer)
    assert claim.segment.path
    pathless = "let segment = PlacedSegment { path: array![].span(), ..read.segment };"
    pathless = f"let read = statement(FELTS.span()); {pathless} TopkStatement {{ segment, ..read }}.check()"
    body += panics("path_missing", ("segment.path", "too short"), f"{{ {pathless} }}")
    empty = "TopkAnswer { parts: array![].span(), ..answer(A0.span()) }"
    return body + panics("no_parts", ("parts", "none"), f"{empty}.result()")


def panics(name: str, data: tuple[str, str], code: str) -> str:
    return f"#[test]\n#[should_panic(expected: {data})]\nfn {name}() {{ let _ = {code}; }}\n"


def test_cairo_reads_as_python_does(tmp_path: Path) -> None:
    """The same digests and results, the same verdict on every statement, and no felt beyond its type."""
    need_compiler()
    (body, right), (more, others) = mutants(1), answers(1)
    body, right = HELPERS + body + more + digests() + oversized() + parts_of(), right | others
    verdicts = run_cairo(tmp_path, IMPORTS, body)
    assert {name: ok for name, ok in verdicts.items() if ok != right.get(name, True)} == {}
    assert len(verdicts) == body.count("#[test]") == len(right) + 14 + 27 + 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_more_verdicts_are_pythons(seed: int, tmp_path: Path) -> None:
    need_compiler()
    (body, right), (more, others) = mutants(seed), answers(seed, 250)
    assert run_cairo(tmp_path, IMPORTS, HELPERS + body + more) == right | others
