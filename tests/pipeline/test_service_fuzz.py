"""Whatever is sent to the service, it answers: refused in one line, never with a 500, and it goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from octoproof.cli.serve import listening, server
from octoproof.pipeline.limits import Rate, Rules
from octoproof.pipeline.service import Desk
from octoproof.pipeline.snapshots import Snapshots
from octoproof.pipeline.threads import StoreThreads
from octoproof.vectors.snapshot import Snapshot

REFUSALS = {400, 404, 405, 409, 413, 422}
JSON = {"Content-Type": "application/json"}
GOOD = {"snapshot": "small", "id": 1, "k": 3, "preset": "bench"}
FIELDS = [
    *GOOD,
    "version",
    "query",
    "label",
    "metric",
    "mode",
    "where",
    "probes",
    "candidates",
    "priority",
    "deadline_s",
]

quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
text = st.text(st.characters(), max_size=30)  # halves of characters and NUL bytes included
scalar = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | text
    | st.sampled_from(
        [2**63, 2**63 - 1, -1, 0, 1e308, 1e-308, 10**400, "\ud800", "\x00", "small", "bench", "__proto__"]
    )
)
value = st.recursive(scalar, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=4))


@contextmanager
def serving(folder: Path, snapshots: dict[str, Path], **rules: Any) -> Iterator[str]:
    with listening("127.0.0.1", 0) as listener, StoreThreads(folder) as threads:
        running = server(Desk(threads, Snapshots(snapshots)), Rules(**rules))
        thread = Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    place = tmp_path_factory.mktemp("fuzz")
    vectors = np.random.default_rng(7).normal(0, 1, (90, 4)).astype(np.float32)
    labels = [f"w{k}" for k in range(90)]
    Snapshot.build(vectors, place / "small", segment_rows=40, labels=labels, presets=("bench",))
    with (
        serving(place / "store", {"small": place / "small"}, rate=Rate(1e6, 1e6)) as url,
        httpx.Client(base_url=url, timeout=30) as opened,
    ):
        yield opened


def check(answer: httpx.Response, *good: int) -> None:
    """One of these, or a refusal in one line."""
    assert answer.status_code in REFUSALS | set(good), (answer.status_code, answer.text)
    if answer.status_code in REFUSALS:
        assert answer.headers["content-type"] == "application/json"
        document = answer.json()
        assert document.keys() == {"error"}
        assert document["error"]
        assert len(document["error"].splitlines()) == 1


@quick
@given(changed=st.dictionaries(st.sampled_from(FIELDS) | text, value, max_size=4))
@example(changed={"id": None, "query": [float("nan")] * 4})
@example(changed={"id": None, "query": [10**400, 0, 0, 0]})
@example(changed={"id": None, "query": [1e308, -1e308, 5e-324, -0.0]})
@example(changed={"id": None, "label": "\ud800"})
@example(changed={"where": {"\ud800": "\ud800"}})
@example(changed={"where": {"label": "\x00"}})
@example(changed={"\ud800": 1})
@example(changed={"id": 2**63 - 1})
@example(changed={"deadline_s": 5e-324})
def test_submissions(client: httpx.Client, changed: dict[str, Any]) -> None:
    document = {name: item for name, item in (GOOD | changed).items() if item is not None}
    check(client.post("/v1/jobs", content=json.dumps(document), headers=JSON), 202)


@quick
@given(body=st.binary(max_size=200) | value.map(json.dumps).map(str.encode))
@example(body=b"[" * 100_000)
@example(body=b'{"id": ' + b"9" * 5000 + b"}")
@example(body=b'{"snapshot": "small", "id": 1, "k": NaN}')
@example(body=b'{"label": "\xff\xfe"}')
@example(body=b"\xef\xbb\xbf{}")
@example(body=b'{"where": ' * 5000 + b"1" + b"}" * 5000)
def test_bodies(client: httpx.Client, body: bytes) -> None:
    check(client.post("/v1/jobs", content=body, headers=JSON))
    check(client.post("/v1/jobs", content=body, headers={"Content-Type": "application/octet-stream"}))
    check(client.post("/v1/verify", content=body))


@quick
@given(
    path=st.sampled_from(["jobs", "verify", "jobs/0123456789abcdef", "jobs/0123456789abcdef/receipt", "snapshots"])
    | st.binary(max_size=20).map(lambda name: f"jobs/{quote(name)}"),
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "OPTIONS"]),
    query=st.dictionaries(
        st.sampled_from(["state", "limit", "root", "min_proven", "min_conjectured"]),
        st.binary(max_size=20) | st.sampled_from([b"nan", b"inf", b"9" * 5000, b"queued", b"1", b"0" * 64]),
    ),
)
@example(path="jobs", method="GET", query={"limit": b"1" * 5000})
@example(path="verify", method="POST", query={"min_proven": b"nan"})
@example(path="jobs/%ff%00", method="GET", query={})
def test_paths_and_parameters(client: httpx.Client, path: str, method: str, query: dict[str, bytes]) -> None:
    parameters = "&".join(f"{name}={quote(item)}" for name, item in query.items())
    check(client.request(method, f"/v1/{path}?{parameters}"), 200)


@quick
@given(
    name=st.sampled_from(
        [
            "Host",
            "Authorization",
            "Idempotency-Key",
            "Content-Length",
            "Content-Type",
            "If-None-Match",
            "Transfer-Encoding",
        ]
    ),
    content=st.binary(max_size=30).filter(lambda raw: not {10, 13} & set(raw)),
    path=st.sampled_from(["/v1/jobs", "/v1/jobs/0123456789abcdef/receipt", "/v1/verify"]),
)
@example(name="Content-Length", content=b"9" * 30, path="/v1/verify")
@example(name="Content-Length", content=b"-1", path="/v1/jobs")
@example(name="Content-Length", content="²".encode("latin-1"), path="/v1/jobs")
@example(name="Content-Type", content=b"application/json; charset=\xff", path="/v1/jobs")
def test_headers(client: httpx.Client, name: str, content: bytes, path: str) -> None:
    """Bytes of all kinds; such that are not HTTP, the server itself refuses."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as connection:
        head = b"" if name == "Host" else b"Host: localhost\r\n"
        connection.sendall(b"POST %s HTTP/1.1\r\n%s%s: %s\r\n\r\n" % (path.encode(), head, name.encode(), content))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    assert not answer or int(answer.split()[1]) in REFUSALS, answer


def test_it_still_works(client: httpx.Client) -> None:
    assert client.post("/v1/jobs", json=GOOD).status_code == 202


def takes_something(operation: Any) -> bool:
    """Whether there is anything about it that can be wrong."""
    return bool([*operation.path_parameters, *operation.query, *operation.headers, *operation.body])


@pytest.mark.slow
def test_schemathesis(client: httpx.Client) -> None:
    """Every operation of the OpenAPI document, with what fits it and what does not: answers are what it says."""
    schemathesis = pytest.importorskip("schemathesis")
    told = pytest.importorskip("schemathesis.specs.openapi.checks")
    checks = [
        schemathesis.checks.not_a_server_error,
        told.status_code_conformance,
        told.content_type_conformance,
        told.response_schema_conformance,
    ]
    operations = [
        found.ok() for found in schemathesis.openapi.from_url(f"{client.base_url}/openapi.json").get_all_operations()
    ]
    assert len(operations) >= 10
    for operation in operations:
        for mode in schemathesis.GenerationMode:

            @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def each(case: Any) -> None:
                case.call_and_validate(checks=checks)

            if mode is schemathesis.GenerationMode.POSITIVE or takes_something(operation):
                each()
