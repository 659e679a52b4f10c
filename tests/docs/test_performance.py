"""The pages with figures show the recorded runs and nothing else."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_recorded_runs():
    spec = importlib.util.spec_from_file_location("report", ROOT / "benchmarks" / "report.py")
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    pages = [page.read_text() for page in (report.PAGE, report.SCALE, report.CHAIN)]
    assert [report.render(page) for page in pages] == pages, "run: python benchmarks/report.py"
    assert all(any(table in page for page in pages) for table in report.tables().values())
