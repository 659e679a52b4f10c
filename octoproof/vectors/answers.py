"""Queries as a program asks them: NumPy in, NumPy and Arrow out, with the receipt beside the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from octoproof.device import backend, tree_bytes_of
from octoproof.vectors.errors import VectorError
from octoproof.vectors.prove import Trees, prove_answer
from octoproof.vectors.query import Answer, Match, ask, find, quantise_query
from octoproof.vectors.receipts import QueryReceipt, QueryVerdict
from octoproof.vectors.rerank import Agreement
from octoproof.vectors.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """The matches of a query, best first, and how it went. `receipt` and `verdict` are there if it was proven: the
    receipt has been verified before it is handed out."""

    answer: Answer = field(repr=False)
    matches: tuple[Match, ...]
    timings: dict[str, float | None]
    receipt: QueryReceipt | None = None
    verdict: QueryVerdict | None = field(default=None, repr=False)

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        return np.array([match.id for match in self.matches], dtype=np.int64)

    @property
    def scores(self) -> npt.NDArray[np.int64]:
        """The integers that are proven: higher is nearer."""
        return np.array([match.score for match in self.matches], dtype=np.int64)

    @property
    def distances(self) -> npt.NDArray[np.float64]:
        """In units of the input (`quantise.distance`)."""
        return np.array([match.distance for match in self.matches], dtype=np.float64)

    @property
    def labels(self) -> list[str | None]:
        return [match.label for match in self.matches]

    @property
    def agreement(self) -> Agreement:
        """How the floating-point order of the candidates compares with the proven order of integers."""
        return self.answer.agreement

    def to_arrow(self) -> pyarrow.Table:
        """Columns id, label, score, distance. Raises VectorError without the package pyarrow."""
        try:
            import pyarrow
        except ImportError:
            raise VectorError("arrow: needs the package pyarrow; install octoproof[arrow]") from None
        labels = pyarrow.array(self.labels, type=pyarrow.string())
        columns = {"id": self.ids, "label": labels, "score": self.scores, "distance": self.distances}
        return pyarrow.table(columns)


class Session:
    """Queries with proofs, one after the other: committed segments stay in memory between them. A context manager."""

    def __init__(self, preset: str = "standard", threads: int | None = None) -> None:
        self.preset = preset
        self._context = backend(threads)
        self.device = self._context.__enter__()
        self.trees = Trees(tree_bytes_of(self.device))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the device's threads."""
        self._context.__exit__(None, None, None)

    def prove(
        self, answer: Answer, progress: Progress | None = None
    ) -> tuple[QueryReceipt, QueryVerdict, dict[str, float]]:
        """(the receipt, its verdict, seconds of both steps). Nothing is handed out that has not been verified."""
        times = [perf_counter()]
        data = prove_answer(answer, self.preset, backend=self.device, trees=self.trees, progress=progress)
        times.append(perf_counter())
        receipt = QueryReceipt(data)
        # The caller chose the preset, weak or not.
        verdict = receipt.verify(answer.snapshot.root, min_conjectured=0.0)
        times.append(perf_counter())
        return receipt, verdict, {"prove_s": times[1] - times[0], "verify_s": times[2] - times[1]}


def query(
    snapshot: Snapshot,
    vector: npt.ArrayLike | None = None,
    *,
    id: int | None = None,
    label: str | None = None,
    k: int = 10,
    metric: str = "l2",
    mode: str = "strict",
    where: Mapping[str, str] | None = None,
    probes: int | None = None,
    candidates: int | None = None,
    prove: bool = False,
    session: Session | None = None,
    progress: Progress | None = None,
) -> Result:
    """The k nearest vectors to a (D,) vector, or to the one with this `id` or `label`; with `prove`, a receipt.

    `mode` is strict, ivf, candidates or fast (`octoproof.vectors.query`), `where` filters by payload fields. Give a
    `session` to keep committed segments between queries. Raises VectorError for a question that cannot be asked."""
    if sum(given is not None for given in (vector, id, label)) != 1:
        raise VectorError("query: give one of vector, id and label")
    started = perf_counter()
    asked = quantise_query(snapshot, vector) if vector is not None else find(snapshot, id=id, label=label)
    answer = ask(snapshot, asked, k, metric, mode, where=where, probes=probes, candidates=candidates)
    timings: dict[str, float | None] = {"search_s": perf_counter() - started, "prove_s": None, "verify_s": None}
    if not prove:
        return Result(answer, answer.matches, timings)
    if session is None:
        with Session() as own:
            receipt, verdict, spent = own.prove(answer, progress)
    else:
        receipt, verdict, spent = session.prove(answer, progress)
    return Result(answer, answer.matches, timings | spent, receipt, verdict)
