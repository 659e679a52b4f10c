"""AIR JSON, version 1 (DESIGN 3): any AIR as data, both ways. Unknown keys are ignored; everything else is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from air.layout import MAX_COLUMNS, MAX_NODES, Air, AirError, ComponentLayout, Fraction, Node, PreprocessedColumn

VERSION = 1


def air_to_json(air: Air) -> dict[str, Any]:
    """The document that `octoproof air export` writes. Parameters become constants."""
    return {
        "version": VERSION,
        "preprocessed": [{"id": c.id, "log_size": c.log_size} for c in air.preprocessed],
        "relations": list(air.relations),
        "components": [_component_to_json(c) for c in air.components],
    }


def _component_to_json(component: ComponentLayout) -> dict[str, Any]:
    return {
        "name": component.name,
        "log_size": component.log_size,
        "preprocessed": list(component.preprocessed),
        "trace": [list(mask) for mask in component.masks],
        "nodes": [["const", component.constant(n)] if n[0] == "param" else list(n) for n in component.nodes],
        "constraints": list(component.constraints),
        "fractions": [
            {"relation": f.relation, "multiplicity": f.multiplicity, "values": list(f.values)}
            for f in component.fractions
        ],
        "batch": component.batch,
    }


def air_from_json(document: Any) -> Air:
    """Parses AIR JSON. Raises AirError naming the field."""
    root = _object(document, "air")
    if _integer(root, "version", "air") != VERSION:
        raise AirError(f"air.version: {root['version']} is not supported, this reads version {VERSION}")
    columns = [_object(c, "air.preprocessed") for c in _list(root, "preprocessed", "air")]
    return Air(
        tuple(
            PreprocessedColumn(_string(c, "id", "air.preprocessed"), _integer(c, "log_size", "air.preprocessed"))
            for c in columns
        ),
        tuple(_text(r, "air.relations") for r in _list(root, "relations", "air")),
        tuple(_component(c, f"air.components[{k}]") for k, c in enumerate(_list(root, "components", "air"))),
    )


def _component(document: Any, where: str) -> ComponentLayout:
    doc = _object(document, where)
    nodes = tuple(_node(n, f"{where}.nodes") for n in _list(doc, "nodes", where, MAX_NODES))
    return ComponentLayout(
        name=_string(doc, "name", where),
        log_size=_integer(doc, "log_size", where),
        preprocessed=_integers(_list(doc, "preprocessed", where), f"{where}.preprocessed"),
        masks=tuple(_integers(_array(m, f"{where}.trace"), f"{where}.trace") for m in _list(doc, "trace", where)),
        nodes=nodes,
        constraints=_integers(_list(doc, "constraints", where, MAX_NODES), f"{where}.constraints"),
        fractions=tuple(_fraction(f, f"{where}.fractions") for f in _list(doc, "fractions", where)),
        batch=_integer(doc, "batch", where),
    )


def _node(item: Any, where: str) -> Node:
    node = _array(item, where)
    # A stranger's AIR has no parameters: they are resolved on export.
    if not node or node[0] not in ("const", "pre", "trace", "add", "sub", "mul", "neg"):
        raise AirError(f"{where}: {item!r:.60} is not a node")
    return (node[0], *_integers(node[1:], where))


def _fraction(item: Any, where: str) -> Fraction:
    doc = _object(item, where)
    values = _integers(_list(doc, "values", where), f"{where}.values")
    return Fraction(_integer(doc, "relation", where), _integer(doc, "multiplicity", where), values)


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise AirError(f"{where}: must be an object")
    return value


def _array(value: Any, where: str, limit: int = MAX_COLUMNS) -> list[Any]:
    if not isinstance(value, list) or len(value) > limit:
        raise AirError(f"{where}: must be a list of at most {limit}")
    return value


def _member(doc: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in doc:
        raise AirError(f"{where}.{key}: missing")
    return doc[key]


def _list(doc: Mapping[str, Any], key: str, where: str, limit: int = MAX_COLUMNS) -> list[Any]:
    return _array(_member(doc, key, where), f"{where}.{key}", limit)


def _integers(values: Sequence[Any], where: str) -> tuple[int, ...]:
    if any(type(v) is not int or not -(2**31) < v < 2**31 for v in values):
        raise AirError(f"{where}: must hold integers of 32 bits")
    return tuple(values)


def _integer(doc: Mapping[str, Any], key: str, where: str) -> int:
    return _integers([_member(doc, key, where)], f"{where}.{key}")[0]


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise AirError(f"{where}: must be a string of at most 200 characters")
    return value


def _string(doc: Mapping[str, Any], key: str, where: str) -> str:
    return _text(_member(doc, key, where), f"{where}.{key}")
