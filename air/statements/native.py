"""The four AIRs that a spec names instead of carrying as AIR JSON: parameters in, everything determined out.

Their columns, like their statements, are fixed functions of the parameters (PROTOCOL 14), so tree 0 is public.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from air.circle import Column
from air.component import build
from air.field import P
from air.layout import MAX_COLUMNS, MAX_LOG_SIZE, MIN_LOG_SIZE, Air, AirError
from air.relation import PublicTerm
from air.statements.plonk import Plonk, public_terms
from air.statements.range_check import RangeTable, RangeUser
from air.statements.row_fib import RowFib
from air.statements.wide_fib import WideFib


@dataclass(frozen=True)
class NativeAir:
    """An AIR with its prescribed statement; `preprocessed` and `main` make the columns, in storage order."""

    air: Air
    statement_u64: tuple[int, ...]
    preprocessed: Callable[[], list[Column]]
    main: Callable[[], list[Column]]
    public_terms: tuple[PublicTerm, ...] = ()


def native(document: Mapping[str, Any]) -> NativeAir:
    """From `{"name": ..., parameters}`. Raises AirError naming the parameter."""
    makers = {"wide_fib": _wide_fib, "row_fib": _row_fib, "range_check": _range_check, "plonk": _plonk}
    name = document.get("name")
    if not isinstance(name, str) or name not in makers:
        raise AirError(f"air.name: {name!r:.40} is not one of {', '.join(makers)}, expr")
    return makers[name](document)


def _wide_fib(doc: Mapping[str, Any]) -> NativeAir:
    _only(doc, "name", "components")
    parts = [_members(c, log_size=_SIZES, n_cols=(3, MAX_COLUMNS)) for c in _list(doc, "components")]
    _limit_columns(n_cols for _, n_cols in parts)
    components = [WideFib(n, width) for n, width in parts]
    sizes = tuple(c.log_size for c in components)
    return NativeAir(build(components), sizes, list, lambda: [x for c in components for x in c.trace()])


def _row_fib(doc: Mapping[str, Any]) -> NativeAir:
    _only(doc, "name", "components")
    components = [RowFib(*_members(c, log_size=_SIZES, x0=(0, P - 1))) for c in _list(doc, "components")]
    by_size = {c.log_size: c for c in reversed(components)}
    first_uses = list(dict.fromkeys(c.log_size for c in components))
    return NativeAir(
        build(components),
        tuple(v for c in components for v in (c.log_size, c.x0)),
        lambda: [x for n in first_uses for x in by_size[n].tree0()],
        lambda: [x for c in components for x in c.trace()],
    )


def _range_check(doc: Mapping[str, Any]) -> NativeAir:
    _only(doc, "name", "table_log", "users")
    table = RangeTable(_integer(doc, "table_log", _SIZES))
    parts = [_members(u, log_size=_SIZES, n_cols=(1, MAX_COLUMNS), batch=(1, 2)) for u in _list(doc, "users")]
    _limit_columns(n_cols for _, n_cols, _ in parts)
    users = [RangeUser(*part) for part in parts]

    def main() -> list[Column]:
        used = [column for k, user in enumerate(users) for column in user.trace(table.log_size, k)]
        return table.trace(used) + used

    sizes = (table.log_size, *(u.log_size for u in users))
    return NativeAir(build([table, *users]), sizes, table.tree0, main)


def _plonk(doc: Mapping[str, Any]) -> NativeAir:
    _only(doc, "name", "log_size", "a0", "b0")
    circuit = Plonk(_integer(doc, "log_size", _SIZES))
    a0, b0 = _integer(doc, "a0", (0, P - 1)), _integer(doc, "b0", (0, P - 1))
    statement = (circuit.log_size, a0, b0)
    return NativeAir(build([circuit]), statement, circuit.tree0, lambda: circuit.trace(a0, b0), public_terms(a0, b0))


_SIZES = (MIN_LOG_SIZE, MAX_LOG_SIZE)


def _integer(doc: Mapping[str, Any], key: str, bounds: tuple[int, int]) -> int:
    value = doc.get(key)
    if type(value) is not int or not bounds[0] <= value <= bounds[1]:
        raise AirError(f"air.{key}: must be an integer in {bounds[0]}..{bounds[1]}")
    return value


def _members(doc: Any, **bounds: tuple[int, int]) -> list[int]:
    if not isinstance(doc, dict):
        raise AirError("air: every component must be an object")
    _only(doc, *bounds)
    return [_integer(doc, key, limits) for key, limits in bounds.items()]


def _list(doc: Mapping[str, Any], key: str) -> list[Any]:
    value = doc.get(key)
    if not isinstance(value, list) or not 1 <= len(value) <= 64:
        raise AirError(f"air.{key}: must be a list of 1 to 64 components")
    return value


def _limit_columns(widths: Iterable[int]) -> None:
    """Before anything is built: a short document could name a million columns."""
    if sum(widths) > MAX_COLUMNS:
        raise AirError(f"air: more than {MAX_COLUMNS} columns")


def _only(doc: Mapping[str, Any], *known: str) -> None:
    unknown = set(doc) - set(known)
    if unknown:
        name = min(unknown)
        raise AirError(f"air.{name if name.isidentifier() else repr(name)[:60]}: unknown field")
