"""docs/performance.md shows the recorded runs and nothing else."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_recorded_runs():
    spec = importlib.util.spec_from_file_location("report", ROOT / "benchmarks" / "report.py")
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    page = (ROOT / "docs" / "performance.md").read_text()
    assert report.render(page) == page, "run: python benchmarks/report.py"
    assert all(table in page for table in report.tables().values())
