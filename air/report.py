"""Degree and cost of an AIR: what each component commits and computes, before anything is proven."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from air.layout import SECURE, Air, ComponentLayout


@dataclass(frozen=True)
class ComponentCost:
    """Counts for one component; `cells` are committed M31 values of trees 1 and 2, `operations` are per row."""

    name: str
    log_size: int
    preprocessed: int
    main: int
    interaction: int
    constraints: int
    max_degree: int
    lookups: int
    operations: dict[str, int]
    samples: int

    @property
    def cells(self) -> int:
        return (self.main + self.interaction) << self.log_size


def component_cost(component: ComponentLayout) -> ComponentCost:
    operations = Counter(node[0] for node in component.nodes if node[0] in ("add", "sub", "mul", "neg"))
    masks = [*component.masks, *(m for m in component.interaction_masks for _ in range(SECURE))]
    return ComponentCost(
        name=component.name,
        log_size=component.log_size,
        preprocessed=len(component.preprocessed),
        main=len(component.masks),
        interaction=SECURE * component.n_interaction,
        constraints=component.n_constraints,
        max_degree=max(component.constraint_degrees, default=0),
        lookups=len(component.fractions),
        operations=dict(operations),
        samples=len(component.preprocessed) + sum(len(m) for m in masks),
    )


def costs(air: Air) -> list[ComponentCost]:
    """One row a component, in order."""
    return [component_cost(c) for c in air.components]
