"""From a component's expression DAG to CUDA kernels, generated once for every structure (DESIGN 3).

Two kinds a component, each in as many kernels as registers demand. `composition` adds the weighted constraints of every
evaluation point to four coordinate columns (PROTOCOL 7.2); `fractions` writes the interaction columns of every trace
row, without the running sum over rows (PROTOCOL 12):

    composition_k(columns, sums, constants, weights, out, log_size, scale, adding)
    fractions_k(columns, constants, out, log_size)

One thread works on one point. `columns` are the addresses of the component's preprocessed and main columns, `sums`
those of its interaction columns; `constants` is laid out as `emit.Places` says, so that a new statement compiles no new
kernel, and `weights` are those of the constraints among them; `scale` is 1/V on the first half of the points and its
negative on the second; `adding` is 0 where nothing is in `out` yet. Where a component repeats itself, as Poseidon2 does
for every permutation of a row, one kernel serves all repetitions: it is handed the columns and weights from others on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from air.field import QM31
from air.layout import SECURE, ComponentLayout
from gpu.device import Array, Device, Kernel, source
from gpu.emit import Statements, first_column, peak_live, schedule

BLOCK = 128  # threads: each may have 255 registers, and eight warps run on a multiprocessor even so
MAX_LIVE = 128  # values alive at once in one kernel; addresses, sums and temporaries take about 60 registers more
MAX_NODES = 1500  # of one kernel: compile time grows faster than code
_LOOKUP_COST = 12  # nodes that a value of a lookup counts for
_SHARED = 0.9  # a half as costly as that shares most of its nodes, such as the score of top-k, with the other


def _composition(component: ComponentLayout, items: Sequence[int], column: int, batch: int) -> list[str]:
    """Adds the weighted constraints of these indices (those of the interaction columns come last)."""
    body, own = Statements(component, "domain_neighbour", column, batch), len(component.constraints)
    body.start_sums("total")
    for index in (i for i in items if i < own):
        (value,) = body.values([component.constraints[index]])
        body.accumulate("total", value, f"weights + {SECURE * (index - items[0])}")
    body.add("qm31 value = reduce(total);")
    for index in (i for i in items if i >= own):
        number, step = index - own, f"s{index - own - batch}"
        numerator, denominator = body.batch(number)
        body.add(f"qm31 {step} = {body.secure(number, 0)};")
        if number:
            body.add(f"{step} = sub({step}, {body.secure(number - 1, 0)});")
        if number + 1 == component.n_interaction:
            body.add(f"{step} = sub({step}, {body.secure(number, -1)});")
            body.add(f"{step} = add({step}, constant(constants + {body.places.share}));")
        body.add(f"{step} = sub(mul({step}, {denominator}), {numerator});")
        body.add(f"value = add(value, mul({step}, constant(weights + {SECURE * (index - items[0])})));")
    body.add("value = mul(value, i >> log_size ? neg(scale) : scale);")
    body.add("if (adding) value = add(value, load_secure(out, points, i));")
    body.add("store_secure(out, points, i, value);")
    return body.lines


def _fractions(component: ComponentLayout, items: Sequence[int], column: int, batch: int) -> list[str]:
    """Writes the interaction columns of these batches, each on top of the one before it; `out` starts at `batch`."""
    body = Statements(component, "trace_neighbour", column, batch)
    body.add(f"qm31 value = {'load_secure(out, points, i)' if items[0] else 'secure(0u)'};")
    for index in items:
        numerator, denominator = body.batch(index)
        body.add(f"value = add(value, mul({numerator}, inverse({denominator})));")
        body.add(f"store_secure(out + {SECURE * (index - batch)} * points, points, i, value);")
    return body.lines


_Emitter = Callable[[ComponentLayout, Sequence[int], int, int], list[str]]
_ARGUMENTS = "u32 *out, u32 log_size"
_KINDS: dict[str, tuple[_Emitter, str, str]] = {
    "composition": (
        _composition,
        f"const u32 *const *sums, const u32 *constants, const u32 *weights, {_ARGUMENTS}, u32 scale, u32 adding",
        "2ull << log_size",
    ),
    "fractions": (_fractions, f"const u32 *constants, {_ARGUMENTS}", "1ull << log_size"),
}


@dataclass(frozen=True)
class Step:
    """One launch: the kernel, the first of the component's columns, interaction columns and constraints (or batches)
    that it is handed."""

    kernel: Kernel
    column: int
    batch: int
    item: int


def _roots(component: ComponentLayout, kind: str) -> list[list[int]]:
    """The nodes that every constraint (or batch) is made of."""
    roots = [[c] for c in component.constraints] if kind == "composition" else []
    return roots + [[i for f in batch for i in (f.multiplicity, *f.values)] for batch in component.batches]


def parts(component: ComponentLayout, kind: str) -> list[list[int]]:
    """Constraints (or batches) in runs that make one kernel each: neither too long nor with too many live values.

    Where a run shares nothing with what follows, small ones are joined and large ones end: a component that repeats
    itself is cut in the same way every time."""
    roots, runs, known = _roots(component, kind), list[list[int]](), set[int]()
    for index, own in enumerate(roots):
        needed = set(schedule(component, own, set()))
        if not runs or known.isdisjoint(needed):
            runs.append([])
            known = set()
        runs[-1].append(index)
        known |= needed
    joined: list[list[int]] = []
    for run in runs:
        if joined and _cost(component, roots, joined[-1] + run) <= MAX_NODES // 2:
            joined[-1] += run
        else:
            joined.append(run)
    return [part for run in joined for part in _halved(component, roots, run)]


def _cost(component: ComponentLayout, roots: Sequence[Sequence[int]], run: Sequence[int]) -> int:
    """Nodes that a run computes, and what its constraints and lookups are worth in nodes."""
    lookups, known = len(roots) - component.n_interaction, set[int]()
    nodes = sum(len(schedule(component, roots[index], known)) for index in run)
    return nodes + sum(_LOOKUP_COST * len(roots[index]) if index >= lookups else 1 for index in run)


def _halved(component: ComponentLayout, roots: Sequence[Sequence[int]], run: list[int]) -> list[list[int]]:
    """The run, in halves of halves of it while too many values are alive, or while there is too much code of which the
    halves share little."""
    halves = run[: len(run) // 2], run[len(run) // 2 :]
    cost, half_cost = _cost(component, roots, run), max(_cost(component, roots, half) for half in halves)
    long = cost > MAX_NODES and half_cost <= _SHARED * cost
    if len(run) > 1 and (long or peak_live(component, [roots[index] for index in run]) > MAX_LIVE):
        return [part for half in halves for part in _halved(component, roots, half)]
    return [run]


_made: dict[tuple[str, str], tuple[Step, ...]] = {}


def steps(component: ComponentLayout, kind: str) -> tuple[Step, ...]:
    """The launches of a kind, `composition` or `fractions`, in their order."""
    key = (component.structure, kind)
    if key not in _made:
        _made[key] = _steps(component, kind)
    return _made[key]


def _steps(component: ComponentLayout, kind: str) -> tuple[Step, ...]:
    statements, arguments, points = _KINDS[kind]
    roots, lookups = _roots(component, kind), len(_roots(component, kind)) - component.n_interaction
    bodies: dict[str, str] = {}  # by the statements, the kernel's name
    found = []
    for items in parts(component, kind):
        column = first_column(component, [i for k in items for i in roots[k]])
        batch = max(0, items[0] - lookups - 1)  # the one before is read, too
        body = "".join(f"    {line}\n" for line in statements(component, items, column, batch))
        found.append((bodies.setdefault(body, f"{kind}_{len(bodies)}"), column, batch, items[0]))
    text = [source("airs.cuh")]
    for body, name in bodies.items():
        text += [
            f"KERNEL __launch_bounds__({BLOCK}) {name}(const u32 *const *columns, {arguments}) {{",
            f"    const u64 points = {points};",
            "    const u32 i = thread_number();",
            "    if (i >= points) return;",
            f"{body}}}",
        ]
    code = "\n".join(text) + "\n"
    return tuple(Step(Kernel(code, name), *firsts) for name, *firsts in found)


def constants(device: Device, component: ComponentLayout, secure: Sequence[QM31]) -> Array:
    """`secure` are the constraints' weights, the share and the relations' elements (`emit.Places`)."""
    words = [*(w for value in secure for w in value.coordinates()), *component.parameters]
    return device.upload(np.array(words, dtype=np.uint32))


def grid(points: int) -> tuple[int]:
    """Blocks for so many threads."""
    return (-(-points // BLOCK),)
