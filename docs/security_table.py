"""Writes the table of docs/security.md from the figures that the verifier computes.

python docs/security_table.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from air.layout import Air  # noqa: E402
from air.statements.native import native  # noqa: E402
from air.statements.topk import TopK, topk_air  # noqa: E402
from verifier.config import PRESETS  # noqa: E402
from verifier.security import security  # noqa: E402

PAGE = HERE / "security.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
LOG_SIZES = (10, 16, 18, 20, 22)


def table() -> str:
    """Every preset with a wide and a top-k AIR of every size."""
    head = ("preset", "AIR", *(f"2^{n} rows" for n in LOG_SIZES), "what binds at 2^20")
    rows = [[name, label, *cells, bound] for name, label, cells, bound in _rows()]
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _rows() -> Iterator[tuple[str, str, list[str], str]]:
    for name, preset in PRESETS.items():
        for label, make in (("100 columns", _wide), ("top-k, 100 dimensions", _topk)):
            found = {n: security(preset, make(n)) for n in LOG_SIZES}
            cells = [f"{found[n]['conjectured']} / {found[n]['proven']}" for n in LOG_SIZES]
            yield f"`{name}`", label, cells, f"{found[20]['binds']} ({found[20]['regime']})"


def _wide(log_size: int) -> Air:
    return native({"name": "wide_fib", "components": [{"log_size": log_size, "n_cols": 100}]}).air


def _topk(log_size: int) -> Air:
    return topk_air(TopK(log_size, "l2", (1,) * 100, 0))


def rewritten(page: str) -> str:
    """The page with the table of today."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
