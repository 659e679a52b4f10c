"""Why a contract refused, in its own words, out of the report of a node.

Nodes print panic data as "0x6d65 ('merkle: root')" for a short string and in double quotes for a long one, or as felts
alone. Errors of calls within calls are objects around the innermost one, or text that ends with it.
"""

from __future__ import annotations

import re
from typing import Any

from octoproof.starknet.profiles import short_string

_NESTED = ("execution_error", "revert_error", "error", "reason")
_HEADER = re.compile(r"Failure reason:|panicked with:")
_ITEM = re.compile(r"0x[0-9a-fA-F]+ \('([^']*)'\)|\"((?:[^\"\\]|\\.)*)\"")
_FELT = re.compile(r"0x[0-9a-fA-F]{2,64}")
_WRAPPERS = {"ENTRYPOINT_FAILED", "argent/multicall-failed"}  # what callers add to the reason
_LONGEST = 300


def check_of(report: Any) -> str:
    """The contract's message; the parts of one with several (field, what is wrong) are joined by colons."""
    while isinstance(report, dict):
        report = next((report[name] for name in _NESTED if name in report), "")
    text = str(report)
    reason = _HEADER.split(text)[-1]
    items = [short or long for short, long in _ITEM.findall(reason)]
    items = [item for item in items if not _FELT.fullmatch(item)] or [
        short_string(int(f, 16)) for f in _FELT.findall(reason)
    ]
    said = ": ".join(item for item in items if item and item not in _WRAPPERS)
    return " ".join((said or reason).split())[:_LONGEST] or "no reason given"
