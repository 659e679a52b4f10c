"""Requests: which are the same job, how they are written and read, and the snapshot that they are about."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace
from typing import Any

import pytest

from octoproof.pipeline import request as module
from octoproof.pipeline.request import OpenSnapshots, Request, request_from_json, request_of
from octoproof.vectors.errors import VectorError
from octoproof.vectors.query import find
from octoproof.vectors.snapshot import Snapshot
from verifier.errors import ParseError

REQUEST = Request("/data/words", 2, "ab" * 32, (1, -2, 3), 5, "l2", "strict", (("label", "noun"),), 0, 0, "bench")
OTHER: dict[str, Any] = {
    "root": "cd" * 32,
    "query": (1, -2, 4),
    "k": 6,
    "metric": "ip",
    "mode": "ivf",
    "where": (),
    "probes": 3,
    "candidates": 50,
    "preset": "standard",
}
PLACE: dict[str, Any] = {"snapshot": "/elsewhere", "version": 3}


def test_every_field_is_part_of_the_key_or_a_place():
    assert set(OTHER) | set(PLACE) == {field.name for field in fields(Request)}


@pytest.mark.parametrize("name", OTHER)
def test_another_question_is_another_job(name):
    assert replace(REQUEST, **{name: OTHER[name]}).key != REQUEST.key


@pytest.mark.parametrize("name", PLACE)
def test_where_the_snapshot_lies_makes_no_other_job(name):
    assert replace(REQUEST, **{name: PLACE[name]}).key == REQUEST.key


def test_another_format_is_another_job(monkeypatch):
    before = REQUEST.key
    monkeypatch.setattr(module, "FORMATS", "receipt 99")
    assert REQUEST.key != before


def test_written_and_read():
    assert request_from_json(REQUEST.to_json()) == REQUEST
    assert request_from_json(REQUEST.to_json().encode()) == REQUEST


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"k": "5"}, "request.k"),
        ({"k": 5.0}, "not an integer"),
        ({"k": True}, "request.k"),
        ({"version": None}, "request.version"),
        ({"query": [1, "2"]}, "request.query"),
        ({"query": 7}, "request.query"),
        ({"where": [["label"]]}, "request.where"),
        ({"where": [["label", 3]]}, "request.where"),
        ({"where": {"label": "noun"}}, "request.where"),
        ({"mode": 1}, "request.mode"),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_document_is_named(change, named):
    with pytest.raises(ParseError, match=named):
        request_from_json(json.dumps(json.loads(REQUEST.to_json()) | change))


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '"x"', "1" * (module.MAX_REQUEST_BYTES + 1)])
def test_no_document_is_refused(text):
    with pytest.raises(ParseError, match="request"):
        request_from_json(text)


def test_of_a_question(snapshot):
    made = request_of(snapshot, find(snapshot, id=3), where={"label": "noun"}, preset="bench")
    assert made.root == snapshot.root.hex()
    assert made.query == tuple(int(v) for v in snapshot.segments[0].segment.vector(3))
    assert made.where == (("label", "noun"),)
    assert made.snapshot.startswith("/")
    assert made.open().root == snapshot.root
    assert made.answer(made.open()).matches[0].id == 3


def test_filters_in_any_order_are_the_same_job(snapshot):
    asked = find(snapshot, id=4)
    one, two = (request_of(snapshot, asked, where=where) for where in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}))
    assert one == two


def test_an_unknown_preset_is_refused(snapshot):
    with pytest.raises(VectorError, match="preset: 'best' is not one of"):
        request_of(snapshot, find(snapshot, id=4), preset="best")


def test_a_snapshot_of_another_root_is_refused(asking):
    with pytest.raises(ParseError, match="has another root than was asked"):
        replace(asking(), root="00" * 32).open()


def test_a_version_that_is_gone_is_refused(asking):
    with pytest.raises(VectorError, match="no version 9"):
        replace(asking(), version=9).open()


def test_snapshots_stay_opened_the_latest_first(snapshot, asking, tmp_path, monkeypatch):
    opened = list[str]()
    real = Request.open
    monkeypatch.setattr(Request, "open", lambda self: opened.append(self.snapshot) or real(self))
    places = [str(tmp_path / f"{number}") for number in range(OpenSnapshots.KEPT + 1)]
    for place in places:
        shutil.copytree(snapshot.folder, place)
    held = OpenSnapshots()
    for place in (*places[:-1], places[0], *places[-1:], places[0], places[1]):
        assert isinstance(held.get(replace(asking(), snapshot=place)), Snapshot)
    assert opened == [*places, places[1]]  # the one used least lately had to go
