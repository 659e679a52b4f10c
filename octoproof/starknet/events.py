"""Events by name: what a contract emitted, read with the ABI of its class."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict
from starknet_py.abi.v2.parser import AbiParser
from starknet_py.cairo.v2.type_parser import TypeParser
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.serialization.data_serializers.payload_serializer import PayloadSerializer
from starknet_py.serialization.factory import serializer_for_type

from octoproof.starknet.receipts import Event


class NamedEvent(BaseModel):
    """`fields` are Python values: integers, booleans, lists, and dictionaries for structs."""

    model_config = ConfigDict(frozen=True)
    contract: int
    name: str
    fields: dict[str, Any]


def named(events: Iterable[Event], contract: int, abi: str) -> list[NamedEvent]:
    """Those events of a contract that the ABI of its class (JSON) knows, in order.

    Raises starknet_py's errors for an event that is not as the ABI says, which a contract of this class never emits."""
    known = _readers(abi)
    found = []
    for event in events:
        if event.contract == contract and event.keys and event.keys[0] in known:
            name, keys, data = known[event.keys[0]]
            fields = keys.deserialize(list(event.keys[1:])).as_dict() | data.deserialize(list(event.data)).as_dict()
            found.append(NamedEvent(contract=contract, name=name, fields=fields))
    return found


@lru_cache(maxsize=16)
def _readers(abi: str) -> dict[int, tuple[str, PayloadSerializer, PayloadSerializer]]:
    """By selector: the name, and what reads keys and data."""
    items = json.loads(abi)
    parsed = AbiParser(items).parse()
    types = TypeParser({**parsed.defined_structures, **parsed.defined_enums})
    readers = {}
    for item in items:
        if item["type"] == "event" and item["kind"] == "struct":
            name = item["name"].rsplit("::", 1)[-1]
            parts = [
                PayloadSerializer(
                    OrderedDict(
                        (member["name"], serializer_for_type(types.parse_inline_type(member["type"])))
                        for member in item["members"]
                        if member["kind"] == kind
                    )
                )
                for kind in ("key", "data")
            ]
            readers[get_selector_from_name(name)] = (name, *parts)
    return readers
