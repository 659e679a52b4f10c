"""What `bench query` and `bench snapshot` measure: the main job as users run it, and what commitments cost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from octoproof.device import backend
from octoproof.measure import peak_memory
from octoproof.vectors.answers import Session
from octoproof.vectors.build import build_snapshot
from octoproof.vectors.certify import certificate_of
from octoproof.vectors.change import append, delete
from octoproof.vectors.load import load_arrays
from octoproof.vectors.query import ask, quantise_query
from octoproof.vectors.receipts import Certificate
from octoproof.vectors.rowtree import RowTree, row_leaves
from octoproof.vectors.snapshot import Snapshot

Tell = Callable[[str], None]
_CLUSTER = 64  # made-up vectors lie in clusters of so many, as real ones do; without any, no index helps


@dataclass(frozen=True)
class Job:
    """What is asked of what; `file` None means made-up vectors of the two sizes after it."""

    file: Path | None
    rows: int
    dimension: int
    segment_rows: int
    cells: int
    mode: str
    metric: str
    probes: int | None
    k: int
    preset: str


def measure_queries(job: Job, queries: int, searches: int, threads: int | None, tell: Tell) -> dict[str, Any]:
    """Seconds of every step; the first query, which may compile kernels and commit segments, is reported apart.

    Recall is the share of the k nearest that is found: of the exact integer search, and of exact search in float32."""
    vectors = vectors_of(job.file, job.rows, job.dimension)
    rng = np.random.default_rng(7)
    chosen = _questions(vectors, rng, max(queries + 1, searches))
    steps: dict[str, list[float]] = {"search": [], "prove": [], "verify": []}
    with tempfile.TemporaryDirectory(prefix="octoproof-bench-") as folder, Session(job.preset, threads) as session:
        tell("building")
        started = perf_counter()
        snapshot = _built(vectors, Path(folder) / "snapshot", job)
        seconds = {"build": [perf_counter() - started]}
        asked = [quantise_query(snapshot, vector) for vector in chosen]
        options: dict[str, Any] = {"k": job.k, "metric": job.metric}
        found = []
        tell("searching")
        for query in asked[:searches]:
            started = perf_counter()
            found.append(ask(snapshot, query, mode=job.mode, probes=job.probes, **options))
            steps["search"].append(perf_counter() - started)
        receipt_bytes, agreeing = 0, sum(answer.agreement.same_order for answer in found)
        for number, query in enumerate(asked[: queries + 1]):
            tell(f"proving {number} of {queries}")
            answer = ask(snapshot, query, mode=job.mode, probes=job.probes, **options)
            receipt, _, spent = session.prove(answer)
            receipt_bytes = max(receipt_bytes, len(receipt))
            if number == 0:
                seconds["first proof"] = [spent["prove_s"]]
            else:
                steps["prove"].append(spent["prove_s"])
                steps["verify"].append(spent["verify_s"])
        peak = peak_memory()  # before the comparison below, which is no part of the job
        tell("counting recall")
        exact = [[m.id for m in ask(snapshot, query, **options).matches] for query in asked[:searches]]
        ids = [[match.id for match in answer.matches] for answer in found]
        by_float = _nearest(vectors, chosen[:searches], job.k, job.metric)
    return {
        "rows": len(vectors),
        "segments": len(snapshot.segments),
        **{name: value for name, value in asdict(job).items() if name not in ("file", "rows", "dimension")},
        "dimension": int(vectors.shape[1]),
        "vectors": job.file.name if job.file else "made up",
        "queries": queries,
        "searches": searches,
        "seconds": {name: _spread(values) for name, values in (seconds | steps).items()},
        "recall": {"exact": _recall(ids, exact), "float32": _recall(ids, by_float)},
        "float_order_agrees": agreeing / searches,
        "receipt_bytes": receipt_bytes,
        "peak_rss_bytes": peak,
    }


def measure_snapshot(file: Path | None, rows: int, dimension: int, appended: int, tell: Tell) -> dict[str, Any]:
    """Seconds of committing, of changing, and of certifying one segment."""
    vectors = vectors_of(file, rows, dimension)
    extra = vectors[:appended] + np.float32(1e-3)
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        tell(name)
        started = perf_counter()
        out = work()
        seconds[name] = perf_counter() - started
        return out

    with tempfile.TemporaryDirectory(prefix="octoproof-bench-") as folder:
        target = Path(folder) / "snapshot"
        limit = float(np.abs(vectors).max()) * 1.01
        snapshot: Snapshot = timed("build", lambda: build_snapshot(vectors, target, limit=limit))
        small = _first_segment(snapshot, Path(folder) / "one")
        coordinates = snapshot.quantiser(vectors)
        ids, live, codes = (
            np.arange(len(vectors)),
            np.ones(len(vectors), dtype=bool),
            np.zeros((0, len(vectors)), np.uint32),
        )
        row_leaves(ids[:512], live[:512], coordinates[:512], codes[:, :512])  # compiles the kernel
        tree = timed("row root of all rows", lambda: RowTree.build(row_leaves(ids, live, coordinates, codes)))
        one = np.array([len(vectors) // 2])
        leaf = row_leaves(ids[one], ~live[one], coordinates[one], codes[:, one])
        timed("row root after one changed row", lambda: (tree.update(one, leaf), tree.root))
        timed(f"append {len(extra)}", lambda: append(target, extra))
        timed("delete one", lambda: delete(target, [len(vectors) // 2]))
        with backend() as device:
            timed("certify one segment, cold", lambda: certificate_of(small, backend=device))
            for path in (small.folder / "certificates").iterdir():
                path.unlink()
            data, _ = timed("certify one segment, warm", lambda: certificate_of(small, backend=device))
        started = perf_counter()
        Certificate.verify(data)
        verify_ms = (perf_counter() - started) * 1e3
    return {
        "rows": len(vectors),
        "dimension": int(vectors.shape[1]),
        "seconds": seconds,
        "certificate_bytes": len(data),
        "verify_ms": verify_ms,
        "peak_rss_bytes": peak_memory(),
    }


def _first_segment(snapshot: Snapshot, folder: Path) -> Snapshot:
    """A snapshot of the first segment alone."""
    floats = snapshot.segments[0].segment.floats
    return build_snapshot(np.array(floats), folder, limit=snapshot.quantiser.largest * 0.99)


def vectors_of(file: Path | None, rows: int, dimension: int) -> npt.NDArray[np.float32]:
    """Those of a file, or made-up ones in clusters."""
    if file is not None:
        return np.asarray(load_arrays(file).vectors, dtype=np.float32)
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((max(1, rows // _CLUSTER), dimension), dtype=np.float32)
    out = rng.standard_normal((rows, dimension), dtype=np.float32)
    out *= np.float32(0.4)
    out += centres[rng.integers(0, len(centres), rows)]
    return out


def _questions(vectors: npt.NDArray[np.float32], rng: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    """Vectors near those that there are, within their range."""
    some = vectors[rng.integers(0, len(vectors), count)]
    moved = some + rng.standard_normal(some.shape, dtype=np.float32) * (0.1 * float(vectors.std()))
    largest = float(np.abs(vectors).max())
    return np.clip(moved, -largest, largest)


def _built(vectors: npt.NDArray[np.float32], folder: Path, job: Job) -> Snapshot:
    return build_snapshot(
        vectors,
        folder,
        segment_rows=job.segment_rows,
        cells=job.cells,
        presets=(job.preset,),
        normalise=job.metric == "cosine",
    )


def _nearest(
    vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], k: int, metric: str
) -> list[list[int]]:
    """Exact search in float32, by matrix products."""
    lengths = np.sqrt((vectors * vectors).sum(axis=1))
    out = []
    for query in queries:
        product = vectors @ query
        if metric == "l2":
            product = 2 * product - lengths * lengths
        elif metric == "cosine":
            product = product / lengths
        places = np.argpartition(-product, k - 1)[:k] if len(product) > k else np.arange(len(product))
        out.append(places.tolist())
    return out


def _recall(found: Iterable[list[int]], wanted: Iterable[list[int]]) -> float:
    pairs = list(zip(found, wanted, strict=True))
    return sum(len(set(a) & set(b)) for a, b in pairs) / max(1, sum(len(b) for _, b in pairs))


def _spread(values: list[float]) -> dict[str, float]:
    p95 = quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
    return {"min": min(values), "p50": median(values), "p95": p95}
