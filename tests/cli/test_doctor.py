"""`octoproof doctor`, and the sentence about import names that another distribution also installs."""

from __future__ import annotations

from typing import Any

from octoproof.cli.doctor import clashes


def test_report(octoproof: Any) -> None:
    report = octoproof("doctor", "--json").json
    assert report["machine"]["cores"] >= 1
    assert isinstance(report["machine"]["avx512"], bool)
    assert report["packages"]["numpy"] != "missing"
    assert set(report["kernels"]) == {"folder", "files"}
    assert "memory" in octoproof("doctor").out


def test_clashes_are_named_in_one_sentence() -> None:
    installed = {"air": ["octoproof", "pyair"], "verifier": ["octoproof"], "numpy": ["numpy"]}
    sentence = clashes(installed)
    assert sentence is not None
    assert "air (from pyair)" in sentence
    assert "verifier" not in sentence
    assert "\n" not in sentence


def test_no_clash() -> None:
    assert clashes({"air": ["octoproof"], "octoproof": ["octoproof"]}) is None
    assert clashes({}) is None
