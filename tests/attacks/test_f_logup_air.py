"""F. LogUp and AIR: balances, selectors, ranges, sizes (ANCHORS 5.2, 24 to 29 and 31; 30 is in test_f_topk)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from air.circle import to_rows, to_storage
from air.component import Component, build, main
from air.field import QM31, P
from air.layout import AirError
from air.relation import Lookup, Relation, public_sum
from air.statements.row_fib import RowFib
from air.statements.wide_fib import WideFib
from verifier.config import PcsConfig
from verifier.errors import LogupError, OodsError, PreprocessedRootError, ShapeError, StatementError
from verifier.security import figures
from verifier.spec import Spec
from verifier.stark import verify_stark

CONFIG = PcsConfig(pow_bits=0, log_blowup_factor=1, log_last_layer_degree_bound=0, n_queries=3)
ONE, OTHER = Relation("one"), Relation("other")


@pytest.fixture
def free_sums(reference: Any) -> type:
    """A prover whose first claimed sum is whatever makes the lookups balance."""

    class FreeSums(reference.ReferenceProver):
        def interaction(self) -> Any:
            columns, sums = super().interaction()
            surplus = sum(sums, public_sum(self.spec.balancing_terms, self.elements))
            return columns, [sums[0] - surplus, *sums[1:]]

    return FreeSums


def outside_of_the_table(case: Any, without_work: Any) -> tuple[Any, list[Any]]:
    spec = without_work(case("range_check_t6_u8").spec)
    columns = spec.native.main()
    columns[1][5] = 64
    return spec, columns


def test_f24_unbalanced_lookups(case: Any, reference: Any, refused: Any, without_work: Any, command: Any) -> None:
    """A value outside of the table; everything else, claimed sums too, is honest."""
    spec, columns = outside_of_the_table(case, without_work)
    claimed, proof = reference.ReferenceProver(spec, main=columns).prove()
    assert claimed.claimed_sums[0] + claimed.claimed_sums[1] != QM31(0)
    refused(LogupError, claimed, proof)
    assert command(claimed, proof) == 1


def test_f24_free_claimed_sum(case: Any, free_sums: Any, refused: Any, without_work: Any, oracle_accepts: Any) -> None:
    """The sums balance, but one is not that of its columns."""
    spec, columns = outside_of_the_table(case, without_work)
    claimed, proof = free_sums(spec, main=columns).prove()
    assert claimed.claimed_sums[0] + claimed.claimed_sums[1] == QM31(0)
    refused(OodsError, claimed, proof)
    assert not oracle_accepts(claimed, proof)


def test_f24_sums_missing_or_too_many(case: Any, refused: Any) -> None:
    c = case("range_check_t6_u8")
    one, two = c.spec.claimed_sums
    for sums in ((), (one,), (one, two, QM31(0)), (one + two,)):
        refused(ShapeError, replace(c.spec, claimed_sums=sums), c.proof)
    refused(OodsError, replace(c.spec, claimed_sums=(two, one)), c.proof)


def test_f24_public_terms_are_the_verifiers(case: Any, reference: Any, refused: Any) -> None:
    """A wrong public input of plonk, with a proof made for it: the AIR's own terms count, not the prover's."""
    c = case("plonk_8")
    columns = c.spec.native.main()
    columns[1][0] = (int(columns[1][0]) + 1) % P
    refused(LogupError, *reference.ReferenceProver(c.spec, main=columns).prove())


@dataclass(frozen=True)
class User(Component):
    log_size: int
    relation: Relation

    batch = 1
    v = main()

    def constraints(self, row: Any) -> Iterator[Lookup]:
        yield self.relation.use(row.v)


@dataclass(frozen=True)
class Table(Component):
    log_size: int
    relation: Relation

    batch = 1
    v, multiplicity = main(count=2), main()

    def constraints(self, row: Any) -> Iterator[Lookup]:
        yield self.relation.provide(row.v[0], times=row.multiplicity)


def pair(user: Relation, table: Relation) -> tuple[Spec, list[Any]]:
    values = np.arange(16, dtype=np.uint32)
    air = build([User(4, user), Table(4, table)])
    return Spec(air, "blake2s", CONFIG, True, ()), [values, values, values, np.ones(16, dtype=np.uint32)]


def test_f24_a_relation_that_nobody_uses() -> None:
    """It would draw challenges and add a sum that no column binds."""
    spec, _ = pair(ONE, ONE)
    with pytest.raises(AirError):
        replace(spec.air, relations=("one", "nobody"))


def test_f25_multiplicities_wrap(case: Any, refused: Any) -> None:
    """P uses of one tuple count as none: an AIR with so many fractions of a relation is refused."""
    spec, _ = pair(ONE, ONE)
    user, table = spec.air.components
    # 2^26 rows times 32 fractions are 2^31 uses.
    wide = replace(user, log_size=26, fractions=user.fractions * 32)
    air = replace(spec.air, components=(wide, table))
    c = case("plonk_8")
    config = replace(CONFIG, lifting_log_size=27)
    refused(LogupError, replace(spec, air=air, claimed_sums=(QM31(0), QM31(0)), config=config), c.proof)


def test_f26_tuples_of_another_relation(reference: Any, refused: Any, free_sums: Any) -> None:
    """The same values, provided to another relation: every relation has its own challenges."""
    verify_stark(*reference.ReferenceProver(*with_main(pair(ONE, ONE))).prove())
    refused(LogupError, *reference.ReferenceProver(*with_main(pair(ONE, OTHER))).prove())
    refused(OodsError, *free_sums(*with_main(pair(ONE, OTHER))).prove())


def with_main(made: tuple[Spec, list[Any]]) -> tuple[Spec, list[Any], list[Any]]:
    return made[0], [], made[1]


def test_f26_tuples_of_another_length(case: Any) -> None:
    """(a) and (a, 0) are one fraction: a relation has one length."""

    class Long(User):
        def constraints(self, row: Any) -> Iterator[Lookup]:
            yield self.relation.use(row.v, 0)

    with pytest.raises(AirError):
        build([Long(4, ONE), Table(4, ONE)])


def test_f27_lookup_challenges_are_counted(case: Any) -> None:
    """No grinding before the lookup challenges (Stwo's format has none): the figures pay for them instead."""
    config = PcsConfig(60, 16, 0, 100)
    with_lookups = case("range_check_t8_u5_u7").spec.air
    without = build([WideFib(with_lookups.log_size, 3)])
    assert figures(config, with_lookups).proven < figures(config, without).proven


@pytest.mark.parametrize("column", [0, 1, 2])
def test_f28_first_row_at_another_row(column: int, case: Any, reference: Any, refused: Any) -> None:
    """The whole run moved by one row: transitions hold all the same, the first-row constraints do not."""
    c = case("row_fib_6")
    columns = c.spec.native.main()
    columns[column] = to_storage(np.roll(to_rows(columns[column]), 1))
    refused(OodsError, *reference.ReferenceProver(c.spec, main=columns).prove())


def test_f28_transitions_are_not_switched_off(case: Any, reference: Any, refused: Any) -> None:
    """The rows where `active` is 0 are free, and only they: a change one row earlier is found."""
    c = case("row_fib_6")
    for row in (61, 40, 1):
        columns = c.spec.native.main()
        x = to_rows(columns[0])
        x[row] ^= 1
        columns[0] = to_storage(x)
        refused(OodsError, *reference.ReferenceProver(c.spec, main=columns).prove())


def test_f28_order_and_number_of_components(case: Any, reference: Any, refused: Any) -> None:
    """The list of components is the statement's: another order, or one less, is another claim."""
    c = case("wide_fib_mixed_5_8_6")
    first, *others = c.spec.air.components
    for components, error in (
        ((*others, first), OodsError),
        (tuple(others), ShapeError),
        ((first, first, *others), ShapeError),
    ):
        refused(error, replace(c.spec, air=replace(c.spec.air, components=components), native=None), c.proof)
    # Components that a verifier could not tell apart by their shape: exchanged in the trace, with another start.
    twins = build([RowFib(5, 1), RowFib(5, 4)])
    columns = [*RowFib(5, 4).trace(), *RowFib(5, 1).trace()]
    spec = Spec(twins, "blake2s", CONFIG, True, (5, 1, 5, 4))
    refused(OodsError, *reference.ReferenceProver(spec, RowFib(5, 1).tree0(), columns).prove())


def test_f29_right_modulo_p_only(case: Any, reference: Any, free_sums: Any, refused: Any, without_work: Any) -> None:
    """-1 in a column of small values: P - 1 is no value of the table, whatever the sums say."""
    spec = without_work(case("range_check_t6_u8").spec)
    for value in (P - 1, 64, 1 << 30):
        columns = spec.native.main()
        columns[2][9] = value
        refused(LogupError, *reference.ReferenceProver(spec, main=columns).prove())
        refused(OodsError, *free_sums(spec, main=columns).prove())


def test_f31_all_zero_trace(case: Any, reference: Any, refused: Any, free_sums: Any, without_work: Any) -> None:
    """Zeros satisfy every homogeneous constraint; boundary constraints and public terms do not vanish on them."""
    fib = without_work(case("row_fib_6").spec)
    zeros = [np.zeros(64, dtype=np.uint32)] * 3
    refused(OodsError, *reference.ReferenceProver(fib, main=zeros).prove())
    plonk = without_work(case("plonk_8").spec)
    zeros = [np.zeros(256, dtype=np.uint32)] * 4
    refused(LogupError, *reference.ReferenceProver(plonk, main=zeros).prove())
    refused(OodsError, *free_sums(plonk, main=zeros).prove())


def test_f31_all_selectors_zero(case: Any, reference: Any, refused: Any, command: Any, without_work: Any) -> None:
    """With selectors of its own, a trace of zeros and a counter satisfies everything: tree 0 is not the prover's."""
    spec = without_work(case("row_fib_6").spec)
    none = [np.zeros(64, dtype=np.uint32)] * 2
    air = spec.air
    fib = air.components[0]
    selected = tuple(fib.constraints[k] for k in (0, 1, 2, 3, 5))  # all that carry a selector
    homogeneous = replace(air, components=(replace(fib, constraints=selected),))
    anything = [np.arange(64, dtype=np.uint32)] * 3
    weak = replace(spec, air=homogeneous, native=None, preprocessed_root=None)
    claimed, proof = reference.ReferenceProver(weak, none, anything).prove()
    verify_stark(claimed, proof)  # who takes the root from the prover believes this
    honest = replace(claimed, preprocessed_root=case("row_fib_6").proof.commitments[0])
    refused(PreprocessedRootError, honest, proof)
    assert command(honest, proof) == 1


@pytest.mark.parametrize("log_size", [4, 5])
def test_f31_miniature(log_size: int, case: Any, reference: Any, refused: Any, without_work: Any) -> None:
    """16 rows for a claim about 64: the sizes are the statement's, in the AIR, the transcript and the domains."""
    claim = without_work(case("row_fib_6").spec)
    small = RowFib(log_size, 1)
    spec = replace(claim, air=build([small]), native=None)
    _, proof = reference.ReferenceProver(spec, small.tree0(), small.trace()).prove()
    refused(PreprocessedRootError, claim, proof)
    wide = without_work(case("wide_fib_6x8_noconfigmix").spec)
    tiny = WideFib(log_size, 8)
    _, proof = reference.ReferenceProver(replace(wide, air=build([tiny]), native=None), [], tiny.trace()).prove()
    refused(OodsError, wide, proof)


def test_f31_the_sizes_of_a_named_air_are_its_statement(case: Any, refused: Any) -> None:
    c = case("wide_fib_6x8_noconfigmix")
    refused(StatementError, replace(c.spec, statement_u64=(20,)), c.proof)
    refused(StatementError, replace(c.spec, statement_u64=()), c.proof)
