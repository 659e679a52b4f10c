"""Every AIR of ours with small inputs of its own, so that it can be shown, checked, exported and timed by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from air.circle import Column, to_storage
from air.component import build
from air.layout import Air
from air.relation import PublicTerm
from air.statements import poseidon2, topk
from air.statements.native import native

PERMUTATION_COLUMNS = poseidon2.Poseidon2(4, instances=1).width


@dataclass(frozen=True)
class Example:
    """An AIR with a statement; the makers give its columns in storage order, where it brings columns at all."""

    label: str
    air: Air
    statement_u64: Sequence[int] = ()
    public_terms: Sequence[PublicTerm] = ()
    preprocessed: Callable[[], list[Column]] | None = None
    main: Callable[[], list[Column]] | None = None


@dataclass(frozen=True)
class Family:
    """One line of `air list`. `document` is what a spec says under `air`, for the AIRs that a spec can name."""

    name: str
    summary: str
    document: Callable[[int, int], dict[str, Any]] | None = None
    make: Callable[[int, int], Example] | None = field(default=None, repr=False)

    def example(self, log_size: int, columns: int) -> Example:
        if self.document is not None:
            return native_example(self.name, self.document(log_size, columns))
        assert self.make is not None
        return self.make(log_size, columns)


def native_example(label: str, document: dict[str, Any]) -> Example:
    """Raises AirError naming the parameter."""
    chosen = native(document)
    return Example(label, chosen.air, chosen.statement_u64, chosen.public_terms, chosen.preprocessed, chosen.main)


def _topk(log_size: int, dimension: int) -> Example:
    """The ten nearest of 2^log_size - 3 made-up vectors; the last three rows are padding."""
    ids = np.arange(1 << log_size, dtype=np.int64)
    k = np.arange(dimension, dtype=np.int64)
    live = ids < len(ids) - 3
    x = ((ids[:, None] * (2 * k + 3) + 7 * k + ids[:, None] ** 2) % 201 - 100) * live[:, None]
    query = tuple(int(v) for v in x[0])
    norm = (x * x).sum(axis=1)
    scores = (2 * x @ x[0] - norm).astype(np.int32)
    threshold = int(np.sort(scores[live])[-10])
    results = [(int(i), int(scores[i])) for i in np.flatnonzero(live & (scores >= threshold))]
    limbs = [ids >> topk.ID_BITS * j & (1 << topk.ID_BITS) - 1 for j in range(topk.N_ID_LIMBS)]
    segment = [*(x.T % (2**31 - 1)), norm, *limbs, live]
    component = topk.TopK(log_size, "l2", query, threshold)
    no_codes = np.zeros((0, len(ids)), dtype=np.uint32)
    return Example(
        "topk",
        topk.topk_air(component),
        (log_size, topk.LIMB_BITS),
        topk.topk_public_terms(results),
        lambda: [to_storage(column.astype(np.uint32)) for column in segment],
        lambda: topk.topk_trace(component, to_storage(scores), to_storage(live), no_codes),
    )


def _poseidon2(log_size: int, columns: int) -> Example:
    """Sixteen chains that fill the trace, with as many permutations a row as fit the columns, at least one."""
    component = poseidon2.Poseidon2(log_size, max(1, columns // PERMUTATION_COLUMNS))
    start = np.arange(16 * poseidon2.WIDTH, dtype=np.uint32).reshape(16, poseidon2.WIDTH)
    end = poseidon2.permute_chains(start, (component.instances << log_size) // len(start))
    return Example(
        "poseidon2",
        build([component]),
        (log_size,),
        poseidon2.poseidon2_public_terms(start.tolist(), end.tolist()),
        list,
        lambda: component.trace(start),
    )


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "wide_fib",
            "c[k+2] = c[k]^2 + c[k+1]^2 along every row",
            lambda n, width: {"name": "wide_fib", "components": [{"log_size": n, "n_cols": width}]},
        ),
        Family(
            "row_fib",
            "Fibonacci down the rows, with selectors",
            lambda n, width: {"name": "row_fib", "components": [{"log_size": n, "x0": 1}]},
        ),
        Family(
            "range_check",
            "columns looked up in a table of all values",
            lambda n, width: {
                "name": "range_check",
                "table_log": n,
                "users": [{"log_size": n, "n_cols": width, "batch": 2}],
            },
        ),
        Family(
            "plonk",
            "gates with copy constraints by LogUp",
            lambda n, width: {"name": "plonk", "log_size": n, "a0": 1, "b0": 1},
        ),
        Family("poseidon2", "chains of the Poseidon2 permutation", make=_poseidon2),
        Family("topk", "exactly the rows of a segment that score at least a threshold", make=_topk),
    )
}
