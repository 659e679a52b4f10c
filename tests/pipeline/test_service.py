"""The service over HTTP: jobs from submission to receipt with a real runner, and every rule of who may ask what."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from octoproof.cli.serve import app, listening, server
from octoproof.pipeline.jobs import OPEN
from octoproof.pipeline.limits import MAX_BODY_BYTES, MAX_CLIENTS, Rate, Rules, Slots, token_from_file
from octoproof.pipeline.service import Desk
from octoproof.pipeline.snapshots import Snapshots
from octoproof.pipeline.store import Store
from octoproof.pipeline.threads import StoreThreads
from octoproof.vectors.answers import Session
from octoproof.vectors.errors import VectorError
from octoproof.vectors.receipts import QueryReceipt
from octoproof.vectors.snapshot import Snapshot
from verifier.errors import StatementError

TOKEN = b"a-token-of-many-letters"
BENCH = {"snapshot": "small", "preset": "bench", "k": 3}


def build(folder: Path) -> Snapshot:
    vectors = np.random.default_rng(7).normal(0, 1, (90, 4)).astype(np.float32)
    labels = [f"w{k}" for k in range(90)]
    return Snapshot.build(vectors, folder, segment_rows=40, labels=labels, presets=("bench",))


@contextmanager
def serving(
    folder: Path, snapshots: dict[str, Path], desk: dict[str, Any] | None = None, **rules: Any
) -> Iterator[str]:
    """The URL of a service in this process, without a runner."""
    with listening("127.0.0.1", 0) as listener, StoreThreads(folder) as threads:
        running = server(Desk(threads, Snapshots(snapshots), **(desk or {})), Rules(**rules))
        thread = Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()


class Served:
    """`octoproof serve` as a user starts it, with its runner and Ray."""

    def __init__(self, store: Path, snapshot: Snapshot) -> None:
        self.store, self.snapshot = store, snapshot
        named = f"small={self.snapshot.folder}"
        command = ["serve", "--store", str(self.store), "--snapshot", named, "--port", "0", "--workers", "1", "--json"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "octoproof", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        self.events = [json.loads(self.process.stdout.readline())]
        Thread(target=self._read, daemon=True).start()
        self.client = httpx.Client(base_url=self.events[0]["url"], timeout=30)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def submit(self, **asked: Any) -> dict[str, Any]:
        answer = self.client.post("/v1/jobs", json=BENCH | asked)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def ended(self, id: str) -> dict[str, Any]:
        def job() -> dict[str, Any] | None:
            answer = self.client.get(f"/v1/jobs/{id}")
            assert answer.status_code == 200, answer.text
            return answer.json() if answer.json()["state"] not in OPEN else None

        return until(job)

    @property
    def runner(self) -> int | None:
        """The process of the runner."""
        parents = {int(path.parent.name): path for path in Path("/proc").glob("[0-9]*/stat")}
        found = [pid for pid, path in parents.items() if _parent(path) == self.process.pid]
        return found[0] if found else None


def _parent(path: Path) -> int | None:
    try:
        return int(path.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def in_session(id: int) -> list[int]:
    """Processes of a session that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == id and state != "Z":
            found.append(int(path.parent.name))
    return found


def until(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Ends it as a system does, and looks for what was left behind."""
    place = tmp_path_factory.mktemp("served")
    found = Served(place / "store", build(place / "small"))
    yield found
    until(lambda: found.runner)
    session = found.runner
    found.process.terminate()
    assert found.process.wait(60) == 0
    assert session is not None
    until(lambda: not in_session(session), 20)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("small") / "small").folder


@pytest.fixture(scope="module")
def local(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service without a runner: jobs stay queued."""
    with (
        serving(tmp_path_factory.mktemp("local") / "store", {"small": small}) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client


# Jobs, with a runner.


def test_from_submission_to_receipt(served: Served) -> None:
    job = served.submit(label="w7")
    done = served.ended(job["id"])
    assert (done["state"], done["part"], done["parts"]) == ("verified", 3, 3), done
    assert done["snapshot"] == "small"
    answer = served.client.get(f"/v1/jobs/{job['id']}/receipt")
    assert answer.headers["etag"] == f'"{done["receipt"]}"'
    verdict = QueryReceipt(answer.content).verify(served.snapshot.root, min_conjectured=0.0)
    found = served.snapshot.query(label="w7", k=3)
    assert [id for id, _ in verdict.results] == found.ids.tolist()
    again = served.client.get(f"/v1/jobs/{job['id']}/receipt", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert served.submit(label="w7", priority="high")["state"] == "verified"  # the same job
    with pytest.raises(StatementError, match="another snapshot"):
        QueryReceipt(answer.content).verify("00" * 32, min_conjectured=0.0)


def test_events_until_the_end(served: Served) -> None:
    job = served.submit(label="w8")
    with served.client.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [event.split("\n") for event in "".join(stream.iter_text()).split("\n\n") if event]
    assert [name for name, _ in events[:-1]] == ["event: job"] * (len(events) - 1)
    assert events[-1] == ["event: end", "data: {}"]
    last = json.loads(events[-2][1].removeprefix("data: "))
    assert last == served.client.get(f"/v1/jobs/{job['id']}").json()
    assert last["state"] == "verified"


@pytest.mark.parametrize(("mode", "parts"), [("strict", 3), ("fast", 1), ("candidates", 1)])
def test_explanation(served: Served, mode: str, parts: int) -> None:
    job = served.ended(served.submit(label="w9", mode=mode)["id"])
    found = served.client.get(f"/v1/jobs/{job['id']}/explain").json()
    verdict, layout = found["verdict"], found["layout"]
    receipt = served.client.get(f"/v1/jobs/{job['id']}/receipt").content
    assert verdict["valid"]
    assert verdict["claim"]["parts"] == parts
    results = served.snapshot.query(label="w9", k=3, mode=mode)
    assert verdict["claim"]["results"] == [
        {"id": match.id, "score": match.score, "label": match.label} for match in results.matches
    ]
    assert all(check["ok"] for check in verdict["checks"])
    assert {check["part"] for check in verdict["checks"]} == {*range(1, parts + 1), None}  # None: the root
    assert sum(check["ms"] or 0.0 for check in verdict["checks"]) <= verdict["ms"]

    def add_up(node: dict[str, Any]) -> int:
        size = sum(map(add_up, node["parts"]))
        assert not node["parts"] or node["size"] == size, node["name"]
        assert node["size"] > 0
        return node["size"]

    assert add_up(layout) == len(receipt)
    assert served.client.get(f"/v1/jobs/{job['id']}/explain").json() == found  # the same times: kept


def test_a_killed_runner_loses_nothing(served: Served) -> None:
    until(lambda: served.runner)
    session = served.runner
    assert session is not None
    os.kill(session, signal.SIGKILL)
    job = served.submit(label="w10")
    assert served.ended(job["id"])["state"] == "verified"
    assert in_session(session) == []
    told = [event["message"] for event in served.events if event["event"] == "runner"]
    assert any(message.startswith("runner ended with -9; it is started again in") for message in told)


def test_two_hundred_clients_at_once(served: Served) -> None:
    """Each with a connection of its own; together more requests than the rate allows."""
    place = served.client.base_url.host, served.client.base_url.port
    head = "Host: localhost\r\nContent-Type: application/json\r\n"

    async def ask(number: int) -> list[int]:
        reader, writer = await asyncio.open_connection(*place)
        codes = []
        for turn in range(3):
            body = json.dumps(BENCH | {"id": (number + turn) % 5})
            writer.write(f"POST /v1/jobs HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            codes.append(int(answer.split()[1]))
            await reader.readexactly(int(answer.partition(b"content-length: ")[2].split()[0]))
        writer.close()
        return codes

    async def all_of_them() -> list[list[int]]:
        return await asyncio.gather(*(ask(number) for number in range(200)))

    codes = [code for own in asyncio.run(all_of_them()) for code in own]
    assert set(codes) <= {202, 429}
    assert codes.count(202) >= 200
    time.sleep(1.0)  # half of the bucket fills again


def test_metrics(served: Served) -> None:
    done = served.ended(served.submit(label="w11")["id"])
    assert done["state"] == "verified"
    text = served.client.get("/metrics").text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    count = served.client.get("/v1/jobs").json()["counts"]["verified"]
    assert float(figures['octoproof_jobs{state="verified"}']) == count
    for name in ("proof_gen_queue_latency_seconds", "prove_seconds"):
        assert float(figures[f"octoproof_{name}_count"]) == count
        assert float(figures[f'octoproof_{name}_bucket{{le="+Inf"}}']) == count
    assert float(figures["octoproof_proofs_per_minute"]) >= 1
    assert float(figures["octoproof_runners"]) == 1
    assert float(figures['octoproof_tombstone_ratio{snapshot="small"}']) == 0.0
    assert float(figures['octoproof_compaction_queue_depth{snapshot="small"}']) == 0.0
    assert float(figures['octoproof_recall_estimate{snapshot="small"}']) == 1.0
    for process in ("service", "runner"):
        assert 30e6 < float(figures[f'octoproof_resident_memory_bytes{{of="{process}"}}']) < 8e9


def test_events_of_the_command_line(served: Served) -> None:
    assert served.events[0].keys() == {"event", "url", "store", "snapshots"}
    assert served.events[0]["snapshots"] == ["small"]
    assert {event["event"] for event in served.events} == {"serving", "runner", "jobs"}
    assert any(event["counts"]["verified"] > 0 for event in served.events if event["event"] == "jobs")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_service_loses_nothing(tmp_path: Path) -> None:
    """At fifty points of its life, from the start of Ray to the release of receipts."""
    snapshot, wanted = build(tmp_path / "small"), dict[str, int]()
    chance = random.Random(5)
    for number in range(50):
        service = Served(tmp_path / "store", snapshot)
        wanted |= {service.submit(id=id)["id"]: id for id in (number, number + 30)}
        session = until(lambda service=service: service.runner)
        time.sleep(chance.uniform(0.0, 9.0))
        service.process.kill()
        service.process.wait()
        until(lambda session=session: not in_session(session), 30)  # the runner ends with it
    last = Served(tmp_path / "store", snapshot)
    try:
        with Session("bench", threads=1) as proving:
            for job, id in wanted.items():
                done = last.ended(job)
                assert done["state"] == "verified", done
                receipt = last.client.get(f"/v1/jobs/{job}/receipt").content
                assert receipt == snapshot.query(id=id, k=3, prove=True, session=proving).receipt.data
        assert last.client.get("/v1/jobs").json()["counts"]["verified"] == len(wanted)
    finally:
        last.process.terminate()
        last.process.wait()


# Submission, without a runner.


def test_submission_is_quick(local: httpx.Client) -> None:
    spent = []
    for number in range(20):
        started = time.perf_counter()
        assert local.post("/v1/jobs", json=BENCH | {"id": number}).status_code == 202
        spent.append(time.perf_counter() - started)
    assert min(spent) < 0.03  # 50 ms are allowed; one of TCP's delays would be 40


def test_jobs_by_state_and_cancelled(local: httpx.Client) -> None:
    job = local.post("/v1/jobs", json=BENCH | {"query": [0.5, -1, 0, 2.25], "where": {"label": "w3"}}).json()
    assert (job["state"], job["where"], job["priority"]) == ("queued", {"label": "w3"}, "normal")
    assert job["id"] in [one["id"] for one in local.get("/v1/jobs?state=queued&limit=500").json()["jobs"]]
    missing = local.get(f"/v1/jobs/{job['id']}/receipt")
    assert missing.status_code == 404
    assert "the job is queued" in missing.json()["error"]
    assert local.get(f"/v1/jobs/{job['id']}/explain").status_code == 404
    assert local.delete(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    assert local.delete(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    assert job["id"] not in [one["id"] for one in local.get("/v1/jobs?state=queued&limit=500").json()["jobs"]]
    assert [one["id"] for one in local.get("/v1/jobs?state=cancelled").json()["jobs"]] == [job["id"]]
    assert len(local.get("/v1/jobs?limit=1").json()["jobs"]) == 1
    again = local.post("/v1/jobs", json=BENCH | {"query": [0.5, -1, 0, 2.25], "where": {"label": "w3"}}).json()
    assert (again["id"], again["state"]) == (job["id"], "queued")


def test_idempotency_outlives_the_service(small: Path, tmp_path: Path) -> None:
    body, key = BENCH | {"label": "w1", "deadline_s": 60.0}, {"Idempotency-Key": "k-1"}
    with serving(tmp_path, {"small": small}) as url:
        first = httpx.post(f"{url}/v1/jobs", json=body, headers=key)
        assert first.status_code == 202
        httpx.delete(f"{url}/v1/jobs/{first.json()['id']}")
        spelled = json.dumps(dict(reversed(body.items())), indent=4)  # the same request in other bytes
        headers = key | {"Content-Type": "application/json"}
        assert httpx.post(f"{url}/v1/jobs", content=spelled, headers=headers).content == first.content
        assert httpx.get(f"{url}/v1/jobs/{first.json()['id']}").json()["state"] == "cancelled"  # it was not done again
        refused = httpx.post(f"{url}/v1/jobs", json=body | {"k": 4}, headers=key)
        assert refused.status_code == 409
        assert refused.json()["error"].startswith("idempotency-key: used before")
        assert httpx.post(f"{url}/v1/jobs", json=body, headers={"Idempotency-Key": "a b"}).status_code == 422
        wrong = httpx.post(f"{url}/v1/jobs", json=body | {"label": "nobody"}, headers={"Idempotency-Key": "k-2"})
        assert wrong.status_code == 422
        right = httpx.post(f"{url}/v1/jobs", json=body, headers={"Idempotency-Key": "k-2"})
        assert right.status_code == 202  # what was refused does not use the key up
    with serving(tmp_path, {"small": small}) as url:
        assert httpx.post(f"{url}/v1/jobs", json=body, headers=key).content == first.content
        assert httpx.get(f"{url}/v1/jobs").json()["counts"]["queued"] == 1


def test_idempotency_keys_are_kept_for_a_day(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, {"small": small}) as url:

        def code(k: int) -> int:
            return httpx.post(
                f"{url}/v1/jobs", json=BENCH | {"id": 1, "k": k}, headers={"Idempotency-Key": "k"}
            ).status_code

        assert [code(3), code(4)] == [202, 409]
        monkeypatch.setattr("octoproof.pipeline.idempotency.KEEP_S", -1.0)
        assert code(4) == 202


def test_a_newer_version_is_seen_at_once(tmp_path: Path) -> None:
    snapshot = build(tmp_path / "grows")
    with serving(tmp_path / "store", {"grows": snapshot.folder}) as url:
        asked = BENCH | {"snapshot": "grows", "label": "w1"}
        assert httpx.post(f"{url}/v1/jobs", json=asked).json()["version"] == 1
        changed = snapshot.delete(range(25))
        assert changed.number >= 2
        (view,) = httpx.get(f"{url}/v1/snapshots").json()
        assert (view["version"], view["root"], view["live"]) == (changed.number, changed.root.hex(), 65)
        assert view["tombstones"] == 1 - changed.header.live / changed.header.rows
        assert httpx.post(f"{url}/v1/jobs", json=asked).status_code == 422  # its vector is deleted
        old = httpx.post(f"{url}/v1/jobs", json=asked | {"version": 1}).json()
        assert old["snapshot_root"] == snapshot.root.hex()
        figures = httpx.get(f"{url}/metrics").text
        assert f'octoproof_tombstone_ratio{{snapshot="grows"}} {view["tombstones"]}' in figures
        assert f'octoproof_compaction_queue_depth{{snapshot="grows"}} {len(view["compaction"])}.0' in figures


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"snapshot": "large"}, "snapshot: 'large' is not served here; these are: small"),
        ({"snapshot": "../small"}, "snapshot: '../small' is not served here"),
        ({"version": 9}, "at: no version 9"),
        ({"id": None}, "give one of query, id and label, not 0"),
        ({"label": "w1"}, "give one of query, id and label, not 2"),
        ({"id": 90}, "id: 90 is not in this snapshot"),
        ({"id": True}, "id: Input should be a valid integer"),
        ({"id": 1.0}, "id: Input should be a valid integer"),
        ({"id": 10**30}, "id: "),
        ({"id": None, "query": [1.0, 2.0]}, "query: "),
        ({"id": None, "query": [1.0, 2.0, 3.0, 1e30]}, "query: "),
        ({"id": None, "label": "nobody\u0000"}, "label: 'nobody\\x00' is not in this snapshot"),
        ({"k": 0}, "k: "),
        ({"k": 1001}, "k: "),
        ({"k": 200, "mode": "candidates"}, "k: 200 is outside 1..128"),
        ({"metric": "cosine"}, "metric: cosine needs a normalised snapshot"),
        ({"mode": "ivf"}, "mode: ivf needs a snapshot with cells"),
        ({"where": {"colour": "red"}}, "where: no field 'colour'"),
        ({"where": {"label": "w99"}}, "where: no row of this snapshot has label='w99'"),
        ({"preset": "strongest"}, "preset: Input should be 'test'"),
        ({"deadline_s": 0}, "deadline_s: "),
        ({"priority": "urgent"}, "priority: "),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_what_is_refused(local: httpx.Client, changed: dict[str, Any], message: str) -> None:
    answer = local.post("/v1/jobs", json={key: v for key, v in (BENCH | {"id": 1} | changed).items() if v is not None})
    assert answer.status_code == 422, answer.text
    assert answer.json().keys() == {"error"}
    assert message in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("path", ["/v1/jobs/0123456789abcdef", "/v1/jobs/0123456789abcdef/events", "/v2/jobs", "/.git"])
def test_what_is_missing(local: httpx.Client, path: str) -> None:
    answer = local.get(path)
    assert answer.status_code == 404
    assert answer.json().keys() == {"error"}


def test_verification(local: httpx.Client, served: Served) -> None:
    job = served.ended(served.submit(label="w12")["id"])
    receipt = served.client.get(f"/v1/jobs/{job['id']}/receipt").content

    def verified(data: bytes, **parameters: Any) -> httpx.Response:
        headers = {"Content-Type": "application/octet-stream"}
        return local.post("/v1/verify", content=data, params=parameters, headers=headers)

    root = served.snapshot.root.hex()
    assert verified(receipt, root=root, min_conjectured=0).json()["valid"]
    other = verified(receipt, root="00" * 32, min_conjectured=0).json()
    assert (other["valid"], other["reason"]) == (False, "snapshot root: the receipt is about another snapshot")
    assert "at least 96.0 are demanded" in verified(receipt).json()["reason"]
    assert "at least 50.0 are demanded" in verified(receipt, min_conjectured=0, min_proven=50).json()["reason"]
    damaged = bytearray(receipt)
    damaged[-9] ^= 1
    refused = verified(bytes(damaged), min_conjectured=0).json()
    assert not refused["valid"]
    assert [check["ok"] for check in refused["checks"]].count(False) == 1
    assert verified(receipt[:-1]).status_code == 400
    assert verified(b"").status_code == 400
    assert verified(receipt, root="12").status_code == 422
    assert verified(receipt, min_proven="nan").status_code == 422


# Limits.


def raw(client: httpx.Client, request: bytes) -> bytes:
    """What the service answers to these very bytes, which need not be HTTP."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while not answer.endswith(b"}") and (more := connection.recv(65536)):
            answer += more
        return answer


def test_a_body_that_is_too_large_is_not_waited_for(local: httpx.Client) -> None:
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = raw(local, head + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1))
    assert answer.startswith(b"HTTP/1.1 413 ")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = raw(local, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17)
    assert answer.startswith(b"HTTP/1.1 413 ")
    fits = local.post("/v1/jobs", content=b" " * MAX_BODY_BYTES, headers={"Content-Type": "application/json"})
    assert fits.status_code != 413


def test_a_slow_body_is_given_up(local: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octoproof.pipeline.limits.BODY_S", 0.1)
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    answer = raw(local, head)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"body: not complete after" in answer


def test_the_token(small: Path, tmp_path: Path) -> None:
    with serving(tmp_path, {"small": small}, token=TOKEN) as url:

        def code(path: str, **headers: str) -> int:
            return httpx.get(url + path, headers=headers).status_code

        for path in ("/v1/jobs", "/v1/snapshots", "/metrics", "/v1/nothing"):
            assert code(path) == 401
            assert code(path, Authorization="Bearer a-token-of-many-letterS") == 401
            assert code(path, Authorization=f"Basic {TOKEN.decode()}") == 401
            assert code(f"{path}?token={TOKEN.decode()}") == 401
        assert httpx.get(f"{url}/v1/jobs").headers["www-authenticate"] == "Bearer"
        assert code("/v1/jobs", Authorization=f"Bearer {TOKEN.decode()}") == 200
        assert code("/v1/jobs", Authorization=f"bearer {TOKEN.decode()}", Host="proofs.example") == 200
        assert [code(path) for path in ("/", "/page.js", "/page.css", "/healthz", "/openapi.json")] == [200] * 5


def test_other_sites_cannot_ask(local: httpx.Client) -> None:
    """Without a token: neither by a name that they point at this machine, nor from their pages."""
    own = f"http://localhost:{local.base_url.port}"
    assert local.get("/v1/jobs", headers={"Host": "evil.example"}).status_code == 400
    assert local.get("/v1/jobs", headers={"Host": f"localhost:{local.base_url.port}", "Origin": own}).status_code == 200
    assert local.get("/v1/jobs", headers={"Origin": "http://evil.example"}).status_code == 400
    assert local.get("/v1/jobs", headers={"Origin": "null"}).status_code == 400
    assert raw(local, b"GET /v1/jobs HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    plain = {"Content-Type": "text/plain"}  # what a page may send elsewhere without asking
    assert local.post("/v1/jobs", content=json.dumps(BENCH | {"id": 1}), headers=plain).status_code == 422


def test_headers_of_every_answer(local: httpx.Client) -> None:
    for path in ("/", "/v1/jobs", "/v1/nothing"):
        headers = local.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
    assert local.get("/v1/jobs").headers["cache-control"] == "no-store"


def test_the_rate_of_a_client(small: Path, tmp_path: Path) -> None:
    with (
        serving(tmp_path, {"small": small}, rate=Rate(per_s=0.5, burst=3)) as url,
        httpx.Client(base_url=url) as client,
    ):
        assert [client.get("/v1/snapshots").status_code for _ in range(3)] == [200] * 3
        refused = client.get("/v1/snapshots", headers={"X-Forwarded-For": "10.1.1.1"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert refused.json().keys() == {"error"}
        assert client.get("/healthz").json() == {"ok": True, "runner": False}


def test_token_buckets() -> None:
    now = 0.0
    rate = Rate(per_s=2.0, burst=2.0, clock=lambda: now)
    assert [rate.wait("10.0.0.1") for _ in range(3)] == [0.0, 0.0, 0.5]
    assert rate.wait("10.0.0.2") == 0.0
    now = 0.5
    assert [rate.wait("10.0.0.1") for _ in range(2)] == [0.0, 0.5]
    assert [rate.wait(f"2001:db8::{k:x}") for k in range(3)] == [0.0, 0.0, 0.5]  # one network
    assert rate.wait("2001:db8:0:1::1") == 0.0
    now = 100.0
    assert [rate.wait("10.0.0.1") for _ in range(3)] == [0.0, 0.0, 0.5]  # never more than the burst
    for k in range(MAX_CLIENTS):
        rate.wait(f"c{k}")
    assert rate.wait("10.0.0.1") == 0.0  # forgotten: the memory for clients is bounded


def test_listeners_and_verifications_are_bounded(small: Path, tmp_path: Path) -> None:
    desk = {"listeners": Slots("events", 2), "verifying": Slots("verify", 1)}
    with serving(tmp_path, {"small": small}, desk) as url, httpx.Client(base_url=url) as client:
        job = client.post("/v1/jobs", json=BENCH | {"id": 1}).json()
        path = f"/v1/jobs/{job['id']}/events"
        with client.stream("GET", path) as one:
            assert one.status_code == 200
            with client.stream("GET", path) as two:
                assert two.status_code == 200
                refused = client.get(path)
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        until(lambda: desk["listeners"]._inside == 0, 5)  # who has gone makes room
        head = b"POST /v1/verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        with socket.create_connection((client.base_url.host, client.base_url.port)) as slow:
            slow.sendall(head)  # holds the only slot
            until(lambda: desk["verifying"]._inside == 1, 5)
            assert client.post("/v1/verify", content=b"x").status_code == 429
        until(lambda: desk["verifying"]._inside == 0, 5)
        assert client.post("/v1/verify", content=b"x").status_code == 400


# The command line.


def test_starts_that_are_refused(tmp_path: Path, small: Path) -> None:
    wrong: dict[str, tuple[object, ...]] = {
        "host: 0.0.0.0 can be reached by others": ("--host", "0.0.0.0"),
        "give NAME=FOLDER": ("--snapshot", small),
        "no-such-folder": ("--snapshot", "a=no-such-folder"),
    }
    for message, arguments in wrong.items():
        ran = CliRunner().invoke(app, ["--store", str(tmp_path), *map(str, arguments)])
        assert message in f"{ran.output} {ran.exception}"
        assert ran.exit_code != 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(VectorError, match=f"port: cannot listen at 127.0.0.1, port {port}"):
            listening("127.0.0.1", port).__enter__()
    command = [sys.executable, "-m", "octoproof", "serve", "--store", str(tmp_path), "--host", "0.0.0.0"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 2
    assert process.stderr.startswith("octoproof: host: 0.0.0.0 can be reached by others")


def test_tokens_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(TOKEN + b"\n")
    path.chmod(0o640)
    with pytest.raises(VectorError, match="has mode 0640, others could read it; chmod 600 it"):
        token_from_file(path)
    path.chmod(0o600)
    assert token_from_file(path) == TOKEN
    for wrong in (b"short", b"a token with spaces in", b"two-lines-of-a-token\nmore", b"", b"x" * 600, b"\xff" * 20):
        path.write_bytes(wrong)
        with pytest.raises(VectorError, match="token: must be 16 to 512"):
            token_from_file(path)
    with pytest.raises(VectorError, match="is no file"):
        token_from_file(tmp_path)


def test_the_token_comes_by_a_descriptor_and_is_never_told(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, TOKEN)
    os.close(writing)
    command = [sys.executable, "-m", "octoproof", "serve", "--store", tmp_path, "--port", "0", "--token-fd", reading]
    process = subprocess.Popen(
        [*map(str, command), "--json"], pass_fds=[reading], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    os.close(reading)
    assert process.stdout is not None
    first = process.stdout.readline()
    url = json.loads(first)["url"]
    try:
        assert httpx.get(f"{url}v1/jobs").status_code == 401
        assert httpx.get(f"{url}v1/jobs", headers={"Authorization": f"Bearer {TOKEN.decode()}"}).status_code == 200
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        assert TOKEN not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert TOKEN not in Path(f"/proc/{process.pid}/environ").read_bytes()
        assert children.exists()
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert TOKEN.decode() not in first + rest
    with Store(tmp_path) as store:
        assert store.runners() == []
