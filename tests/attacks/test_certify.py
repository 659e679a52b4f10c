"""Segments that are not well-formed, each with the witness that comes nearest to certifying it.

Whoever commits a segment chooses its tree 0 and the root in its leaf: nothing but the certificate stands between a
malformed segment and the proofs of top-k over it. Every lie here is caught by one rule alone, so that none of the
rules can be left out; then a search changes the rest of the trace, and a prover that checks nothing proves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from air.check import imbalances, violations
from air.circle import to_rows, to_storage
from air.field import P
from air.relation import PublicTerm, public_sum
from air.repair import Repair
from air.statement import RootKey
from air.statements.certify import Certify, certify_air, certify_public_terms, groups, intervals
from air.statements.certify_statement import CERTIFY, CertifyStatement, unit_norms
from air.statements.snapshot import ColumnRoot, SegmentLeaf
from air.statements.topk import RangeTable
from verifier.config import PRESETS
from verifier.errors import LogupError, OodsError, PreprocessedRootError, StatementError, VerificationError
from verifier.hashes import hasher
from verifier.merkle import commit
from verifier.polynomial import extend
from verifier.receipt import Part, Receipt, registry, statement_spec, verify, write_receipt

Array = np.ndarray
CONFIG = PRESETS["test"]
KEY = RootKey("blake2s", CONFIG.log_blowup_factor)
ACCEPTED = registry(CERTIFY)
LOG, SIZE, ROWS, DIMENSION, LIMIT, CODES = 4, 16, 11, 3, 20, 4
SCALE = LIMIT << 32
X, NORM, ID, LIVE, CODE = 0, 3, 4, 7, 8  # columns of tree 0
PLACE, LINK, TOP, MIDDLE, DIGIT, GAP = 0, 1, 2, 3, 4, 13  # of the main trace
N_OWN = 16
# (highest, middle, lowest) limb: neighbours differ first in each of the three.
LIMBS = [(0, 0, 5), (0, 0, 9), (0, 1, 3), (0, 1, 7), (0, 6, 0), (1, 0, 0), (1, 0, 2), (1, 2, 0), (3, 0, 1), (3, 5, 0)]
LIMBS += [(3, 5, 9)]


@dataclass(frozen=True)
class Lie:
    """Columns in row order: `tree` is tree 0, `own` the main columns of `Certify`. `live` rows are told to live."""

    certify: Certify
    tree: Array
    own: Array
    live: int

    @property
    def air(self):
        return certify_air(self.certify)

    @property
    def terms(self) -> tuple[PublicTerm, ...]:
        return certify_public_terms(self.certify, self.air, self.live)

    @property
    def main(self) -> list[Array]:
        """With tables that provide whatever they can."""
        of_live = self.tree[NORM][self.tree[LIVE] == 1]
        looked_up = [(self.tree[X:NORM] + self.certify.limit) % P, self.tree[CODE], of_live - self.certify.shortest]
        tables = [
            table.trace(np.bincount(values[(values >= 0) & (values <= table.top)], minlength=table.top + 1))
            for table, values in zip(intervals(self.certify), looked_up, strict=False)
        ]
        digits = [self.own[k] for k in range(DIGIT, N_OWN) if (k - DIGIT) % 3 < 2]
        tables.append(RangeTable().trace([digit[digit < 1024] for digit in digits]))
        idle = [np.zeros(SIZE, dtype=np.uint32) for _ in groups(self.certify)]
        return [*self.own.astype(np.uint32), *idle, *(to_rows(c) for table in tables for c in table)]

    def failures(self, main: list[Array] | None = None) -> list[str]:
        """The constraints of `Certify` that fail, as numbers, and the relations that do not balance."""
        columns = self.main if main is None else main
        found = [f"{v.component} {v.constraint}" for v in violations(self.air, self.pre, columns)]
        return found + sorted({i.relation for i in imbalances(self.air, self.pre, columns, self.terms)})

    @property
    def pre(self) -> list[Array]:
        return list(self.tree.astype(np.uint32))

    def put(self, column: int, row: int, value: int) -> Lie:
        """A cell of tree 0; the number of live rows is told as it is then."""
        tree = self.tree.copy()
        tree[column, row] = value % P
        return replace(self, tree=tree, live=int(tree[LIVE].sum() % P))

    def vector(self, row: int, x: tuple[int, ...]) -> Lie:
        """A row's coordinates, with the norm that goes with them."""
        out = self
        for k, value in enumerate(x):
            out = out.put(X + k, row, value)
        return out.put(NORM, row, sum(v * v for v in x))

    def id(self, row: int, limbs: tuple[int, ...]) -> Lie:
        """A row's id, and a witness for it as far as there is one."""
        out = self
        for k, limb in enumerate(reversed(limbs)):
            out = out.put(ID + k, row, limb)
        return out.honest_rest()

    def set(self, column: int, row: int, value: int) -> Lie:
        """A cell of the main trace."""
        own = self.own.copy()
        own[column, row] = value % P
        return replace(self, own=own)

    def honest_rest(self, place: Array | None = None, link: Array | None = None) -> Lie:
        """The main columns of this tree 0, with the largest digit outside of its range where a number has no digits."""
        place = np.arange(SIZE) if place is None else place
        link = (place < self.certify.rows - 1).astype(np.int64) if link is None else link
        limbs = self.tree[ID : ID + 3]
        rise = np.roll(limbs, -1, axis=1) - limbs
        top = (link == 1) & (rise[2] != 0)
        middle = (link == 1) & ~top & (rise[1] != 0)
        gap = (np.where(top, rise[2], np.where(middle, rise[1], rise[0])) * link - link) % P
        digits = [digit for number in (*limbs, gap) for digit in (number & 1023, number >> 10 & 1023, number >> 20)]
        return replace(self, own=np.array([place, link, top, middle, *digits], dtype=np.int64) % P)

    def gap(self, row: int, value: int) -> Lie:
        """The gap's digits set to a number."""
        value %= P
        return self.set(GAP, row, value & 1023).set(GAP + 1, row, value >> 10 & 1023).set(GAP + 2, row, value >> 20)

    def claim(self, **changes: Any) -> Lie:
        """Another claim of the same tree 0."""
        return replace(self, certify=replace(self.certify, **changes))


@cache
def honest(unit: bool = False) -> Lie:
    """Eleven rows, the fifth of them dead."""
    rng = np.random.default_rng(3)
    vectors = rng.integers(-LIMIT, LIMIT + 1, (ROWS, DIMENSION))
    if unit:
        vectors = np.rint(vectors * LIMIT / np.sqrt((vectors**2).sum(axis=1, keepdims=True))).astype(np.int64)
    tree = np.zeros((CODE + 1, SIZE), dtype=np.int64)
    tree[X:NORM, :ROWS] = vectors.T % P
    tree[NORM, :ROWS] = (vectors**2).sum(axis=1)
    tree[ID : ID + 3, :ROWS] = np.array(LIMBS).T[::-1]
    tree[LIVE, :ROWS] = 1
    tree[LIVE, 4] = 0
    tree[CODE, :ROWS] = rng.integers(0, CODES + 1, ROWS)
    norms = unit_norms(DIMENSION, LIMIT, SCALE) if unit else None
    start = Lie(Certify(LOG, DIMENSION, LIMIT, ROWS, (CODES,), norms), tree, np.zeros((N_OWN, SIZE)), ROWS - 1)
    return start.honest_rest()


def early_start(lie: Lie) -> Lie:
    """The places -2..13, so that thirteen rows are linked, and two more may live than the leaf says there are."""
    more = lie
    for row, limbs in ((11, (3, 5, 10)), (12, (4, 0, 0))):
        more = more.id(row, limbs).put(LIVE, row, 1)
    place = np.arange(-2, 14)
    return more.put(LIVE, 0, 0).honest_rest(place % P, (place < ROWS - 1).astype(np.int64))


def unlinked(lie: Lie) -> Lie:
    """No row is linked to the next: then only the first may live, and the others' ids may be anything."""
    dead = replace(lie, tree=np.where(np.arange(CODE + 1)[:, None] == LIVE, 0, lie.tree))
    same = dead.put(LIVE, 0, 1).id(5, LIMBS[4])
    return same.honest_rest(link=np.zeros(SIZE, dtype=np.int64))


def long_link(lie: Lie) -> Lie:
    """A row beyond the leaf's lives, linked like those before it."""
    more = lie.id(ROWS, (3, 5, 10)).put(LIVE, ROWS, 1)
    return more.honest_rest(link=(np.arange(SIZE) < ROWS).astype(np.int64))


def chosen(lie: Lie, row: int, top: int, middle: int, gap: int) -> Lie:
    """Another choice of the limb that rises; the lowest one is chosen by what is left of the link."""
    return lie.set(TOP, row, top).set(MIDDLE, row, middle).gap(row, gap)


HONEST = honest()
TRUE_IDS = "a limb chosen minus once, of true ids"  # a lie about the witness alone
# What is committed or claimed, and the only rules that refuse it: constraints of `Certify` by number, or a relation.
LIES: dict[str, tuple[str, Lie]] = {
    "wrong norm": ("Certify 0", HONEST.put(NORM, 3, 7)),
    "norm off by P in the integers": ("Certify 0", HONEST.put(NORM, 3, -1)),
    "live twice": ("Certify 1", HONEST.put(LIVE, 3, 2)),
    "live minus once": ("Certify 1", HONEST.put(LIVE, 3, -1)),
    "places from -2": ("Certify 3", early_start(HONEST)),
    "equal ids of unlinked rows": ("Certify 4", unlinked(HONEST)),
    "live row after `rows`, linked": ("Certify 5", long_link(HONEST)),
    "live row after `rows`": ("Certify 6", HONEST.id(ROWS, (3, 5, 10)).put(LIVE, ROWS, 1)),
    "live padding": ("Certify 6", HONEST.put(LIVE, SIZE - 1, 1)),
    "rows claimed too few": ("Certify 6", HONEST.claim(rows=ROWS - 1).honest_rest()),
    "one row claimed of eleven": ("Certify 6", HONEST.claim(rows=1).honest_rest()),
    "lowest limb of 22 bits": ("Certify 7", HONEST.id(10, (3, 5, 1 << 21))),
    "middle limb of 22 bits": ("Certify 8", HONEST.id(10, (3, 1 << 21, 0))),
    "highest limb of 22 bits": ("Certify 9", HONEST.id(10, (1 << 21, 0, 0))),
    "limb of padding of 22 bits": ("Certify 8", HONEST.id(13, (0, 1 << 21, 0))),
    "falling ids": ("Certify 10", HONEST.id(3, (0, 1, 2))),
    "equal ids": ("Certify 10", HONEST.id(3, (0, 1, 3))),
    "ids that fall in the middle limb": ("Certify 10", HONEST.id(7, (1, 0, 1)).id(6, (1, 1, 0))),
    "ids that fall in the highest limb": ("Certify 10", HONEST.id(10, (0, 9, 9))),
    "equal ids, far apart": ("Certify 10", HONEST.id(9, LIMBS[1])),
    "rows claimed too many": ("Certify 10", HONEST.claim(rows=ROWS + 1).honest_rest()),
    "lowest limb that is not its digits": ("Certify 11", HONEST.put(ID, 10, 0)),
    "middle limb that is not its digits": ("Certify 12", HONEST.put(ID + 1, 10, 4)),
    "highest limb that is not its digits": ("Certify 13", HONEST.put(ID + 2, 10, 2)),
    TRUE_IDS: ("Certify 14", chosen(HONEST, 0, -1, 1, 3)),
    "a fall outweighed by a lower limb": ("Certify 15", chosen(HONEST.id(5, (0, 9, 9)).id(4, (2, 9, 2)), 4, 1, -1, 4)),
    "a fall counted minus once": ("Certify 16", chosen(HONEST.id(3, (0, 1, 1)), 2, 1, 1, 1)),
    "a rise below a fall in the highest limb": ("Certify 17", chosen(HONEST.id(9, (1, 5, 0)), 8, 0, 1, 4)),
    "a rise below a fall in the middle limb": ("Certify 18", chosen(HONEST.id(10, (3, 4, 9)), 9, 0, 0, 8)),
    "equal ids with a gap": ("Certify 19", HONEST.id(3, (0, 1, 3)).gap(2, 0)),
    "a fall in digits below zero": (
        "range_10",
        HONEST.id(3, (0, 1, 2)).gap(2, 0).set(GAP, 2, -2),
    ),
    "coordinate above Q": ("coordinate", HONEST.vector(3, (LIMIT + 1, 0, 0))),
    "coordinate below -Q": ("coordinate", HONEST.vector(3, (0, -LIMIT - 1, 0))),
    "coordinate that wraps around": ("coordinate", HONEST.vector(3, (0, 0, 1 << 30))),
    "coordinate of a dead row": ("coordinate", HONEST.vector(4, (LIMIT + 1, 0, 0))),
    "coordinate of padding": ("coordinate", HONEST.vector(15, (LIMIT + 1, 0, 0))),
    "norm that wraps around to a small one": ("coordinate", HONEST.vector(3, (1 << 16, 0, 0))),
    "code too large": ("code_0", HONEST.put(CODE, 3, CODES + 1)),
    "code below zero": ("code_0", HONEST.put(CODE, 3, -1)),
    "code of padding": ("code_0", HONEST.put(CODE, 15, CODES + 1)),
    "fewer live rows told": ("live", replace(HONEST, live=HONEST.live - 1)),
    "more live rows told": ("live", replace(HONEST, live=HONEST.live + 1)),
    "a row that is longer than the others": ("norm", honest(True).vector(3, (20, 20, 20))),
    "a row that is shorter than the others": ("norm", honest(True).vector(3, (10, 0, 0))),
    "a row of no length": ("norm", honest(True).vector(3, (0, 0, 0))),
}


QUICK = [
    "wrong norm",
    "live twice",
    "live row after `rows`",
    "live row after `rows`, linked",
    "rows claimed too few",
    "rows claimed too many",
    "lowest limb of 22 bits",
    "equal ids",
    "falling ids",
    "a fall in digits below zero",
    "coordinate above Q",
    "coordinate below -Q",
    "coordinate that wraps around",
    "code too large",
    "more live rows told",
    "a row that is longer than the others",
]
SOME = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in LIES]


@pytest.mark.parametrize("unit", [False, True])
def test_the_honest_segment_holds(unit: bool) -> None:
    assert honest(unit).failures() == []


@pytest.mark.parametrize("what", LIES)
def test_one_rule_alone_refuses_it(what: str) -> None:
    rule, lie = LIES[what]
    assert lie.failures() == [rule]


def test_every_rule_is_the_only_one_to_refuse_something() -> None:
    rules = {rule for rule, _ in LIES.values()}
    constraints = {f"Certify {k}" for k in range(len(HONEST.air.components[0].constraints))}
    # Without constraint 2 places could also run from 8 to 15 twice, but then every row would be linked, in a circle.
    assert rules == constraints - {"Certify 2"} | set(honest(True).air.relations)


def test_what_is_dead_need_not_be_of_unit_length() -> None:
    assert honest(True).vector(4, (20, 20, 20)).failures() == []


def mended(lie: Lie) -> list[Array] | None:
    """Another witness for this tree 0, if the search that `air.soundness` forges with finds one."""
    main = lie.main
    repair = Repair(lie.air, lie.pre, main)
    starts = [{}]
    for failure in violations(lie.air, lie.pre, main):
        component = [layout.name for layout in lie.air.components].index(failure.component)
        for column in repair.columns(component, failure.constraint):
            for row in (failure.row, (failure.row + 1) % SIZE):
                cell = component, column, row
                starts += [{cell: value} for value in (repair.honest(cell), *repair.alternatives(cell)[:3], 0, 1)]
    first = np.cumsum([0, *(len(layout.masks) for layout in lie.air.components)])
    for start in starts:
        changes = repair.run(start, lie.terms, 30)
        if changes is not None:
            found = [column.copy() for column in main]
            for (component, column, row), value in changes.items():
                found[first[component] + column][row] = value
            if lie.failures(found) == []:
                return found
    return None


@pytest.mark.parametrize("what", [one for one in SOME if one.values != (TRUE_IDS,)])
def test_no_other_witness_is_found(what: str) -> None:
    assert mended(LIES[what][1]) is None


@pytest.mark.parametrize("column", [PLACE, LINK, TOP, MIDDLE, DIGIT, GAP])
def test_the_search_mends_what_can_be_mended(column: int) -> None:
    broken = HONEST.set(column, 2, int(HONEST.own[column][2]) ^ 1)
    assert broken.failures()
    assert mended(broken) is not None


def statement(lie: Lie) -> CertifyStatement:
    """What its owner claims of it: the leaf names the root of the malformed tree 0."""
    root = commit([extend(to_storage(column), 1) for column in lie.pre], None, hasher("blake2s"))
    leaf = SegmentLeaf(0, 1, LOG, lie.certify.rows, lie.live, bytes(32), (ColumnRoot(KEY, bytes(root)),))
    unit = lie.certify.norms is not None
    return CertifyStatement(DIMENSION, LIMIT, SCALE, unit, lie.certify.values, leaf)


@pytest.fixture
def part(reference: Any) -> Callable[..., Part]:
    """part(lie, free): its proof; with `free`, the claimed sums are made to balance."""

    class FreeSums(reference.ReferenceProver):
        def interaction(self) -> Any:
            columns, sums = super().interaction()
            surplus = sum(sums, public_sum(self.spec.balancing_terms, self.elements))
            return columns, [sums[0] - surplus, *sums[1:]]

    def make(lie: Lie, free: bool = False) -> Part:
        claim = statement(lie)
        spec = statement_spec(claim, KEY.channel, CONFIG)
        columns = ([to_storage(column) for column in tree] for tree in (lie.pre, lie.main))
        spec, proof = (FreeSums if free else reference.ReferenceProver)(spec, *columns).prove()
        return Part(tuple(claim.encode()), KEY.channel, spec.claimed_sums, proof)

    return make


def judged(*parts: Part) -> Any:
    return verify(write_receipt(Receipt(parts)), ACCEPTED, min_conjectured=0)


def refusal(error: type[VerificationError], *parts: Part) -> None:
    with pytest.raises(VerificationError) as caught:
        judged(*parts)
    assert caught.type is error, f"{caught.type.__name__}: {caught.value}"


@pytest.mark.parametrize("unit", [False, True])
def test_an_honest_certificate(unit: bool, part: Any) -> None:
    (verdict,) = judged(part(honest(unit))).parts
    assert verdict.statement == statement(honest(unit))


@pytest.mark.parametrize("what", SOME)
def test_a_lie_is_not_certified(what: str, part: Any) -> None:
    rule, lie = LIES[what]
    if lie.live < 0 or lie.live > lie.certify.rows:
        with pytest.raises(ValueError, match="live"):
            statement(lie).check()
        return
    refusal(OodsError if rule.startswith("Certify") else LogupError, part(lie))
    if not rule.startswith("Certify"):
        refusal(OodsError, part(lie, free=True))


def test_a_certificate_is_of_its_own_segment(part: Any) -> None:
    """The honest proof in the name of a malformed segment."""
    longer = honest(True).vector(3, (20, 20, 20))
    made = part(honest(True))
    refusal(PreprocessedRootError, replace(made, statement=tuple(statement(longer).encode())))


CLAIMS = {
    "limit": {"limit": LIMIT + 1},
    "scale": {"scale": SCALE + (1 << 32)},
    "values": {"values": (CODES + 1,)},
    "unit": {"unit": False},
}


@pytest.mark.parametrize("what", CLAIMS)
def test_a_certificate_is_of_its_own_claim(what: str, part: Any) -> None:
    made = part(honest(True))
    other = replace(statement(honest(True)), **CLAIMS[what])
    with pytest.raises(VerificationError):
        judged(replace(made, statement=tuple(other.encode())))


@pytest.mark.parametrize("changes", [{"rows": ROWS + 1}, {"live": ROWS - 2}, {"version": 2}, {"id": 1}])
def test_a_certificate_is_of_its_own_leaf(changes: dict[str, int], part: Any) -> None:
    made, claim = part(HONEST), statement(HONEST)
    other = replace(claim, leaf=replace(claim.leaf, **changes))
    with pytest.raises(VerificationError):
        judged(replace(made, statement=tuple(other.encode())))


def test_a_segment_is_certified_once(part: Any) -> None:
    made = part(HONEST)
    refusal(StatementError, made, made)
