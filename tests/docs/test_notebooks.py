"""notebooks/vector_query.ipynb runs in a fresh kernel, says what it should, and is stored as it ran."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "vector_query.ipynb"
TIMED = {"prove", "modes"}  # cells that print times
ABSOLUTE = re.compile(r"(?<![\w.)/])/\w[\w.-]*/")


def texts(book: Any) -> dict[str, str]:
    """What each code cell printed or showed as text, by the cell's id."""
    found = {}
    for cell in book.cells:
        if cell.cell_type == "code":
            # A stream may come in any number of pieces, and an image's text is only its size.
            said = [output.get("text") or output.get("data", {}).get("text/markdown", "") for output in cell.outputs]
            found[cell.id] = "".join(said)
    return found


@pytest.fixture(scope="module")
def stored() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """The texts of a run."""
    book = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}})
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT)})
    return texts(book)


def test_lies_are_refused_and_the_truth_is_not(said: dict[str, str]) -> None:
    honest, swapped, changed = said["lie"].splitlines()
    assert honest == "as it was made: VALID"
    assert swapped == "'coastline' instead of 'coastal': REFUSED, part 1 of 1: claimed_sums: lookups do not balance"
    assert changed.startswith("one bit changed: REFUSED, ")
    assert "about my question: True" in said["prove"]


def test_a_certificate_certifies(said: dict[str, str]) -> None:
    assert "certified: False" in said["prove"]
    assert "certified: True" in said["certificate"]


def test_a_receipt_is_about_one_version(said: dict[str, str]) -> None:
    first, *later = said["versions"].splitlines()[2:]
    assert first.endswith("| ocean, sea, waters, seas | VALID |")
    assert [line.rpartition("| REFUSED, ")[2] for line in later] == [
        "snapshot root: the receipt is about another snapshot |"
    ] * 2


def test_every_mode_proves_something_else(said: dict[str, str]) -> None:
    rows = [[text.strip() for text in line.split("|")[1:-1]] for line in said["modes"].splitlines()[2:]]
    assert [row[0] for row in rows] == ["strict", "ivf", "candidates", "fast"]
    assert rows[0][1] == "10"
    assert len({row[-1] for row in rows}) == 4


def test_what_is_stored_is_what_a_run_says(stored: Any, said: dict[str, str]) -> None:
    kept = texts(stored)
    for id in kept.keys() - TIMED:
        assert kept[id] == said[id], f"cell {id}; run: jupyter execute --inplace notebooks/vector_query.ipynb"


def test_every_cell_is_stored_with_its_outputs(stored: Any) -> None:
    cells = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(cell.outputs for cell in cells)
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert NOTEBOOK.stat().st_size < 400_000


def test_no_absolute_path_is_stored() -> None:
    book = json.loads(NOTEBOOK.read_text())
    for cell in book["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
    assert ABSOLUTE.search('saved in "/tmp/octoproof-x/words"')
    assert ABSOLUTE.findall(json.dumps(book)) == []
