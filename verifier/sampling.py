"""Out-of-domain sampling: at which points every column is opened, and what the constraints say there (PROTOCOL 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from air import circle
from air.circle import SecurePoint
from air.field import QM31, ZERO, combine4
from air.layout import SECURE, Air, ComponentLayout, Node
from air.relation import RelationElements, logup_constraints

COMPOSITION_COLUMNS = 2 * SECURE  # the left and the right half of the composition polynomial, four coordinates each

TreePoints = list[list[list[SecurePoint]]]
Samples = Sequence[Sequence[Sequence[QM31]]]


def sample_points(air: Air, oods: SecurePoint, degree_bound_log: int) -> TreePoints:
    """Points of every column, [tree][column][sample], the composition tree last.

    A row offset is a step on the trace coset of the *common* degree bound D for columns of all sizes: lifting makes
    a smaller column a polynomial of that bound.
    """
    shifted: dict[int, SecurePoint] = {}

    def at(offset: int) -> SecurePoint:
        if offset not in shifted:
            step = circle.point(offset * circle.step(degree_bound_log) % circle.ORDER)
            shifted[offset] = oods if offset == 0 else circle.secure_add(oods, step)
        return shifted[offset]

    trees = [[[at(offset) for offset in mask] for mask in tree] for tree in air.tree_masks]
    return [*trees, [[oods] for _ in range(COMPOSITION_COLUMNS)]]


def sample_counts(air: Air) -> list[list[int]]:
    """How many samples every column has, the composition tree last: the shape of `sampled_values`."""
    return [*([len(mask) for mask in tree] for tree in air.tree_masks), [1] * COMPOSITION_COLUMNS]


def composition_at(
    air: Air,
    sampled: Samples,
    elements: Sequence[RelationElements],
    claimed_sums: Sequence[QM31],
    coefficient: QM31,
    oods: SecurePoint,
    degree_bound_log: int,
) -> QM31:
    """Composition polynomial at the out-of-domain point, from the sampled cells: Horner over all constraints.

    `sampled` must have the shape of `sample_counts`. Raises ZeroDivisionError if the point lies on the trace domain.
    """
    total, main, interaction, sums = ZERO, 0, 0, iter(claimed_sums)
    for component in air.components:
        width, secure_width = len(component.masks), SECURE * component.n_interaction
        values = component.evaluate(_cells(component, sampled, main))
        for node in component.constraints:
            total = total * coefficient + values[node]
        if component.fractions:
            columns = sampled[2][interaction : interaction + secure_width]
            for value in logup_constraints(component, values, _secure(columns), elements, next(sums)):
                total = total * coefficient + value
        main, interaction = main + width, interaction + secure_width
    return total * circle.vanishing(oods[0], degree_bound_log).inverse()


def composition_claim(sampled: Samples, oods: SecurePoint, degree_bound_log: int) -> QM31:
    """The same value, from the samples of the committed halves: left + pi^(D-1)(x) * right."""
    parts = [value for column in sampled[-1] for value in column]
    split = circle.vanishing(oods[0], degree_bound_log)
    return combine4(parts[:SECURE]) + split * combine4(parts[SECURE:])


def _cells(component: ComponentLayout, sampled: Samples, first_column: int) -> Callable[[Node], QM31]:
    """Looks a component's cells up in the samples. Constants become QM31, so that no integer grows without bound."""

    main = sampled[1][first_column : first_column + len(component.masks)]
    preprocessed = [sampled[0][k][0] for k in component.preprocessed]

    def leaf(node: Node) -> QM31:
        value: QM31
        if node[0] == "trace":
            value = main[node[1]][node[2]]
        elif node[0] == "pre":
            value = preprocessed[node[1]]
        else:
            value = QM31(component.constant(node))
        return value

    return leaf


def _secure(columns: Sequence[Sequence[QM31]]) -> list[list[QM31]]:
    """Samples of secure columns from those of their four coordinate columns."""
    groups = [columns[k : k + SECURE] for k in range(0, len(columns), SECURE)]
    return [[combine4(parts) for parts in zip(*group, strict=True)] for group in groups]
