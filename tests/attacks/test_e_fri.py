"""E. FRI and the commitment scheme: degrees, queries and parameters are the verifier's (ANCHORS 5.2, 20 to 23)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from air import circle
from air.component import build
from air.field import QM31, P
from air.layout import Air
from air.statement import Reader, StatementError, Writer, digest
from air.statements.wide_fib import WideFib
from verifier.config import PRESETS
from verifier.errors import (
    ConfigError,
    FriError,
    MerkleError,
    OodsError,
    SecurityError,
    ShapeError,
)
from verifier.errors import StatementError as RefusedStatement
from verifier.fri import layer_plan
from verifier.proof import LastLayer
from verifier.quotients import column_log_sizes, powers_array, quotient_terms
from verifier.receipt import Part, Receipt, read_receipt, statement_spec, verify, write_receipt
from verifier.sampling import sample_points
from verifier.stark import verify_stark


def false_trace(case: Any, without_work: Any, **config: int) -> tuple[Any, list[Any]]:
    """(spec of row_fib with x0 = 1, a trace that starts with 2)."""
    spec = without_work(case("row_fib_6").spec, **config)
    main = spec.native.main()
    main[0] = (main[0] + np.uint32(1)) % np.uint32(P)
    return spec, main


def test_e20_zero_queries(case: Any, liar: Any, refused: Any, without_work: Any, command: Any) -> None:
    """Without queries nothing after the out-of-domain point is looked at, and samples may be anything."""
    spec, main = false_trace(case, without_work, n_queries=0)
    claimed, proof = liar(spec, main=main).prove()
    refused(ConfigError, claimed, proof)
    demanded = replace(claimed, config=replace(spec.config, n_queries=3))
    refused(ConfigError, demanded, proof)
    assert command(demanded, proof) == 1


@pytest.mark.parametrize("count", [1, 2, 4, 100])
def test_e20_another_number_of_queries(count: int, case: Any, reference: Any, refused: Any, without_work: Any) -> None:
    spec = without_work(case("row_fib_6").spec)
    _, proof = reference.ReferenceProver(without_work(spec, n_queries=count)).prove()
    refused(ConfigError, spec, proof)
    refused(OodsError, spec, replace(proof, config=spec.config))


def test_e20_queries_of_the_provers_choice(
    case: Any, reference: Any, liar: Any, refused: Any, without_work: Any
) -> None:
    """Positions come from the transcript: fewer of them, or others, do not open."""
    spec, main = false_trace(case, without_work, n_queries=6)

    class Fewer(liar):
        def draw_queries(self) -> list[int]:
            return super().draw_queries()[:1]

    class Chosen(reference.ReferenceProver):
        def draw_queries(self) -> list[int]:
            return [q ^ 2 for q in super().draw_queries()]

    refused(ShapeError, *Fewer(spec, main=main).prove())
    refused(MerkleError, *Chosen(spec).prove())


def test_e20_fewer_rounds_and_another_arity(case: Any, reference: Any, refused: Any, without_work: Any) -> None:
    """The plan of the layers follows from the spec; a proof that folds otherwise has another number of layers."""
    spec = without_work(case("row_fib_6").spec)

    def folding(**changes: int) -> type:
        class Forger(reference.ReferenceProver):
            def plan(self) -> Any:
                return layer_plan(replace(self.config, **changes), self.degree)

            def last_layer(self, values: Any) -> LastLayer:
                return replace(super().last_layer(values), log_size=0)

        return Forger

    for changes in ({"fold_step": 2}, {"fold_step": 3}, {"log_last_layer_degree_bound": 3}):
        refused(ShapeError, *folding(**changes)(spec).prove())
        _, proof = reference.ReferenceProver(without_work(spec, **changes)).prove()
        refused(ConfigError, spec, proof)


def test_e20_under_reported_rounds(case: Any, refused: Any) -> None:
    c = case("row_fib_6")
    fri = c.proof.fri_proof
    for layers in ((), fri.inner_layers[:-1], fri.inner_layers[1:], (*fri.inner_layers, fri.inner_layers[-1])):
        refused(ShapeError, c.spec, replace(c.proof, fri_proof=replace(fri, inner_layers=layers)))


@pytest.mark.parametrize("honest_size", [True, False])
def test_e20_longer_last_layer(
    honest_size: bool, case: Any, reference: Any, liar: Any, refused: Any, without_work: Any, command: Any
) -> None:
    """Plonky3 GHSA-f69f-5fx9-w9r9 (a): enough coefficients interpolate whatever the folding ends in."""

    class Forger(liar):
        def last_layer(self, values: Any) -> LastLayer:
            whole = reference.line_coefficients(values, self.log_of(values))
            return LastLayer(tuple(QM31.of(c) for c in whole.tolist()), 2 if honest_size else 1)

    spec, main = false_trace(case, without_work, log_last_layer_degree_bound=1)
    claimed, proof = Forger(spec, main=main).prove()
    assert len(proof.fri_proof.last_layer.coeffs) == 4
    refused(FriError, claimed, proof)
    assert command(claimed, proof) == 1


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_e20_last_layer_of_higher_degree(bound: int, case: Any, liar: Any, refused: Any, without_work: Any) -> None:
    """A last layer cut off at the bound: it is not what the queries fold to."""
    spec, main = false_trace(case, without_work, log_last_layer_degree_bound=bound, n_queries=8)
    refused(FriError, *liar(spec, main=main).prove())


@pytest.mark.parametrize("tree", [1, 2])
def test_e20_columns_that_are_no_polynomials(
    tree: int, case: Any, reference: Any, refused: Any, without_work: Any
) -> None:
    """Half of a committed column is noise; samples are those of the honest polynomial."""

    class Forger(reference.ReferenceProver):
        def extend(self, index: int, coefficients: Any) -> Any:
            extended = super().extend(index, coefficients)
            if index == tree:
                rng = np.random.default_rng(1)
                extended[0][1::2] = rng.integers(0, P, len(extended[0]) // 2)
            return extended

    refused(FriError, *Forger(without_work(case("row_fib_6").spec, n_queries=12)).prove())


def test_e20_a_changed_layer(case: Any, reference: Any, refused: Any, without_work: Any) -> None:
    """One inner layer is not the fold of the one before: the openings of neighbouring layers are compared."""

    class Forger(reference.ReferenceProver):
        def layer_values(self, index: int, values: Any) -> Any:
            return np.zeros_like(values) if index == 2 else values

    refused(MerkleError, *Forger(without_work(case("row_fib_6").spec)).prove())


LIMITS = {
    "below a column": {"lifting_log_size": 6},
    "beyond the circle group": {"lifting_log_size": 31},
    "domain too large": {"log_blowup_factor": 16, "lifting_log_size": None},
    "trace below the last layer": {"log_last_layer_degree_bound": 6},
    "trace below a fold": {"fold_step": 7},
    "blow-up of one": {"log_blowup_factor": 0},
    "negative blow-up": {"log_blowup_factor": -1},
    "no fold": {"fold_step": 0},
    "negative queries": {"n_queries": -3},
    "too many queries": {"n_queries": 1 << 20},
    "huge last layer": {"log_last_layer_degree_bound": 1 << 40},
}


@pytest.mark.parametrize("what", LIMITS)
def test_e21_e22_parameters_out_of_their_limits(what: str, case: Any, refused: Any, without_work: Any) -> None:
    c = case("row_fib_6")
    spec = without_work(c.spec, **LIMITS[what])
    if what == "domain too large":
        air = build([WideFib(16, 3)])
        spec = replace(spec, air=air, native=None, statement_u64=())
    refused(ConfigError, spec, replace(c.proof, config=spec.config))


def test_e21_trees_of_unequal_height(case: Any, refused: Any) -> None:
    """Queries address all trees but the first alike: a lower interaction tree would be opened at other rows."""
    c = case("range_check_t6_u8")
    table, user = c.spec.air.components
    air = replace(c.spec.air, components=(table, replace(user, fractions=())))
    spec = replace(c.spec, air=air, native=None, claimed_sums=c.spec.claimed_sums[:1])
    refused(ConfigError, spec, c.proof)


def test_e21_columns_opened_at_no_point(case: Any, refused: Any) -> None:
    """A column that no component reads has no sample, but its opened values still belong to the root."""
    c = case("expr_topk_8")
    unread = [k for k, samples in enumerate(c.proof.sampled_values[0]) if not samples]
    assert unread
    for column in unread:
        samples = ((QM31(1),), *c.proof.sampled_values[0][column + 1 :])
        sampled = ((*c.proof.sampled_values[0][:column], *samples), *c.proof.sampled_values[1:])
        refused(ShapeError, c.spec, replace(c.proof, sampled_values=sampled))
        values = tuple(v ^ 1 for v in c.proof.queried_values[0][column])
        tree = (*c.proof.queried_values[0][:column], values, *c.proof.queried_values[0][column + 1 :])
        refused(MerkleError, c.spec, replace(c.proof, queried_values=(tree, *c.proof.queried_values[1:])))


def test_e21_lifted_columns_are_bound_to_their_period(case: Any) -> None:
    """A running sum of a smaller component takes one more term, at the second point moved by its period."""
    c = case("range_check_t8_u5_u7")
    air, lifting = c.spec.air, c.spec.config.lifting_log(c.spec.air.log_size)
    points = sample_points(air, circle.secure_point(QM31(1, 2, 3, 4)), lifting - 1)
    sampled = [[[QM31(k) for k, _ in enumerate(column)] for column in tree] for tree in points]
    terms = quotient_terms(column_log_sizes(air), points, sampled, 1, lifting)
    columns = list(zip(air.tree_log_sizes[2], points[2], strict=True))
    for column, (size, places) in enumerate(columns):
        own = [term for term in terms if (term.tree, term.column) == (2, column)]
        assert len(own) == (3 if len(places) == 2 else 1)
        if len(places) == 2:
            shift = circle.point(circle.step(lifting) << (size + 1) & circle.ORDER - 1)
            assert own[0].point == circle.secure_add(places[1], shift)
            assert own[0].value == own[2].value
    assert any(len(places) == 2 and size < lifting - 1 for size, places in columns)


@dataclass(frozen=True)
class Fibonacci:
    """A toy claim: there is a wide_fib trace of these sizes."""

    log_size: int
    width: int

    def encode(self) -> list[int]:
        return Writer().header(77, 1).i64(self.log_size).i64(self.width).words

    def digest(self) -> bytes:
        return digest(self.encode())

    def air(self) -> Air:
        return build([WideFib(self.log_size, self.width)])

    def public_terms(self) -> tuple[()]:
        return ()

    def preprocessed_root(self, key: Any) -> None:
        return None

    def check(self) -> None:
        if not (4 <= self.log_size <= 10 and 3 <= self.width <= 10):
            raise StatementError("sizes are out of bounds")

    def describe(self) -> dict[str, Any]:
        return {"log_size": self.log_size, "width": self.width}


class FibonacciType:
    TYPE, VERSION, NAME = 77, 1, "fibonacci"

    def decode(self, words: Any) -> Fibonacci:
        source = Reader(words)
        source.header(77, 1)
        out = Fibonacci(source.i64(), source.i64())
        source.end()
        return out

    def check_together(self, statements: Any) -> None:
        if len(statements) != 1:
            raise StatementError("one part only")


ACCEPTED = {77: FibonacciType()}


def receipt(reference: Any, claim: Fibonacci, config: Any, proven: Fibonacci | None = None, parts: int = 1) -> bytes:
    """A receipt of `claim`; if `proven` is given, the proof is of that one."""
    honest = proven or claim
    spec = statement_spec(honest, "blake2s", config)
    main = WideFib(honest.log_size, honest.width).trace()
    spec, proof = reference.ReferenceProver(spec, [], main).prove()
    part = Part(tuple(claim.encode()), "blake2s", spec.claimed_sums, proof)
    return write_receipt(Receipt((part,) * parts))


def test_e22_security_is_demanded_by_the_verifier(reference: Any) -> None:
    """A weak config makes a valid proof of nothing: 96 conjectured bits are needed unless the caller says otherwise."""
    data = receipt(reference, Fibonacci(5, 3), PRESETS["test"])
    assert verify(data, ACCEPTED, min_conjectured=5.0).security.conjectured == 5
    for demand in ({}, {"min_conjectured": 6.0}, {"min_conjectured": 0.0, "min_proven": 60.0}):
        with pytest.raises(SecurityError):
            verify(data, ACCEPTED, **demand)
    # Before any work is done for it: the proof is not even looked at.
    false = receipt(reference, Fibonacci(5, 3), PRESETS["test"], Fibonacci(5, 4))
    for demand in ({}, {"min_conjectured": 0.0, "min_proven": 60.0}):
        with pytest.raises(SecurityError):
            verify(false, ACCEPTED, **demand)


def test_e22_statements_are_encoded_once(reference: Any) -> None:
    """Words that a lenient reader would pass over, no words, or words of two types."""

    class Lenient(FibonacciType):
        def decode(self, words: Any) -> Fibonacci:
            return super().decode(words[:6])

    honest = read_receipt(receipt(reference, Fibonacci(5, 3), PRESETS["test"])).parts[0]
    longer, empty = replace(honest, statement=(*honest.statement, 0)), replace(honest, statement=())
    other = replace(honest, statement=(78, *honest.statement[1:]))
    for parts in ((longer,), (empty,), (empty, empty), (honest, other), (honest, empty)):
        with pytest.raises(RefusedStatement):
            verify(write_receipt(Receipt(parts)), {77: Lenient(), 78: Lenient()}, min_conjectured=0)


@pytest.mark.parametrize("proven", [Fibonacci(5, 3), Fibonacci(6, 4), Fibonacci(6, 3)])
def test_e22_a_receipt_of_another_statement(proven: Fibonacci, reference: Any) -> None:
    """Sizes and digest of the statement are in the transcript: log size, width or nothing at all may differ."""
    claim = Fibonacci(6, 3)
    data = receipt(reference, claim, PRESETS["test"], proven)
    if proven == claim:
        verify(data, ACCEPTED, min_conjectured=0)
        return
    with pytest.raises((OodsError, ShapeError)) as caught:
        verify(data, ACCEPTED, min_conjectured=0)
    assert caught.type is (ShapeError if proven.width != claim.width else OodsError)


def test_e22_statement_types_and_parts_are_the_callers(reference: Any) -> None:
    data = receipt(reference, Fibonacci(5, 3), PRESETS["test"])
    with pytest.raises(RefusedStatement):
        verify(data, {}, min_conjectured=0)
    with pytest.raises(RefusedStatement):
        verify(data, {78: FibonacciType()}, min_conjectured=0)
    with pytest.raises(RefusedStatement):
        verify(receipt(reference, Fibonacci(5, 3), PRESETS["test"], parts=2), ACCEPTED, min_conjectured=0)
    with pytest.raises(RefusedStatement):
        verify(receipt(reference, Fibonacci(11, 3), PRESETS["test"], Fibonacci(5, 3)), ACCEPTED, min_conjectured=0)


def test_e23_constraints_that_do_not_hold(
    case: Any, reference: Any, refused: Any, without_work: Any, command: Any
) -> None:
    """An honest prover with a false trace: its composition is no polynomial, and the random point shows it."""
    spec, main = false_trace(case, without_work)
    claimed, proof = reference.ReferenceProver(spec, main=main).prove()
    refused(OodsError, claimed, proof)
    assert command(claimed, proof) == 1


def test_e23_lies_about_samples(case: Any, liar: Any, refused: Any, without_work: Any) -> None:
    """Samples chosen so that the out-of-domain check holds are not the values of the committed polynomials."""
    spec, main = false_trace(case, without_work)
    refused(FriError, *liar(spec, main=main).prove())


def test_e23_composition_of_higher_degree(case: Any, liar: Any, refused: Any, without_work: Any) -> None:
    """The rational function C/V itself, committed value by value: right everywhere, but of too high a degree."""

    class Forger(liar):
        def extend(self, index: int, coefficients: Any) -> Any:
            extended = super().extend(index, coefficients)
            if index == len(self.air.tree_log_sizes):
                exact = self.composition()
                assert len(exact) == len(extended[0])
                for k in range(4):
                    extended[k], extended[4 + k] = exact[:, k], np.zeros_like(extended[k])
            return extended

    spec, main = false_trace(case, without_work)
    refused(FriError, *Forger(spec, main=main).prove())


def test_e23_quotient_coefficients_are_powers(case: Any) -> None:
    """One coefficient a term: 1, r, r^2, ... without repetition or gap."""
    r = QM31(3, 1, 4, 1)
    assert powers_array(r, 7).tolist() == [list((r**k).coordinates()) for k in range(7)]


def test_e_honest_toy_is_valid(reference: Any) -> None:
    claim = Fibonacci(6, 5)
    spec, proof = reference.ReferenceProver(
        statement_spec(claim, "blake2s", PRESETS["test"]), [], WideFib(6, 5).trace()
    ).prove()
    verify_stark(spec, proof)
