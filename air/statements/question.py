"""What is asked of a snapshot: a query with its metric, k and filters, and the order in which answers rank.

Every statement about an answer holds one, so that all say the same of what they answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from air.statement import Reader, StatementError, Writer
from air.statements.snapshot import MAX_FIELDS, MAX_VALUE_BYTES, MAX_VALUES, SnapshotHeader, dictionary_digest
from air.statements.topk import MAX_DIMENSION, id_limbs, score_bound

METRICS = ("ip", "l2", "cosine")  # cosine is ip on a normalised snapshot
MAX_K = 1000

Row = tuple[int, int]  # id, score
Dictionaries = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Filter:
    """Only rows whose payload field has this value. `code` is the value's place in the dictionary, from 1."""

    field: int
    code: int
    value: str

    def write(self, out: Writer) -> None:
        out.i64(self.field).i64(self.code).text(self.value)

    @classmethod
    def read(cls, source: Reader) -> Filter:
        return cls(source.i64(), source.i64(), source.text(MAX_VALUE_BYTES))


@dataclass(frozen=True)
class Question:
    """The k best rows for a query of integer coordinates, among those that pass every filter."""

    metric: str
    query: tuple[int, ...]
    k: int
    filters: tuple[Filter, ...] = ()

    def write(self, out: Writer) -> None:
        out.i64(METRICS.index(self.metric)).i64s(self.query).i64(self.k)
        out.items(self.filters, lambda writer, item: item.write(writer))

    @classmethod
    def read(cls, source: Reader) -> Question:
        metric = source.i64()
        require(0 <= metric < len(METRICS), f"metric: {metric} is unknown")
        query, k = source.i64s(MAX_DIMENSION), source.i64()
        return cls(METRICS[metric], query, k, source.items(Filter.read, MAX_FIELDS))

    def check(self, header: SnapshotHeader) -> None:
        """Raises StatementError for a question that this snapshot cannot be asked."""
        require(len(self.query) == header.dimension, "query: not of the snapshot's dimension")
        for index, value in enumerate(self.query):
            require(abs(value) <= header.limit, f"query[{index}]: {value} is outside +-{header.limit}")
        require(self.metric in METRICS, f"metric: {self.metric!r:.40} is unknown")
        require(self.metric != "cosine" or header.normalised, "metric: cosine needs a normalised snapshot")
        require(1 <= self.k <= MAX_K, f"k: {self.k} is outside 1..{MAX_K}")
        fields = [item.field for item in self.filters]
        require(fields == sorted(set(fields)), "filters: fields must ascend, each at most once")
        for item in self.filters:
            require(0 <= item.field < len(header.fields), f"filters: field {item.field} is not in the snapshot")
            field = header.fields[item.field]
            require(1 <= item.code <= field.values, f"filters.{field.name}: code {item.code} is not in the dictionary")

    def check_dictionaries(self, header: SnapshotHeader, dictionaries: Dictionaries) -> None:
        """Raises StatementError unless these are the dictionaries of the filtered fields, and the codes in them.

        A dictionary with a value twice would let a prover choose which half of its rows to show."""
        require(len(dictionaries) == len(self.filters), "dictionaries: one is needed for every filter")
        for item, values in zip(self.filters, dictionaries, strict=True):
            field = header.fields[item.field]
            same = len(values) == field.values and dictionary_digest(values) == field.digest
            require(same, f"dictionaries.{field.name}: not that of the snapshot")
            require(len(set(values)) == len(values), f"dictionaries.{field.name}: a value appears twice")
            right = values[item.code - 1] == item.value
            require(right, f"filters.{field.name}: code {item.code} does not stand for {item.value!r:.60}")

    def describe(self, header: SnapshotHeader) -> dict[str, Any]:
        where = {header.fields[item.field].name: item.value for item in self.filters}
        return {"metric": self.metric, "k": self.k, "where": where, "query": list(self.query)}


def score_metric(metric: str) -> str:
    """How scores are computed: q.x (`ip`), or 2 q.x - |x|^2 (`l2`), which falls as the squared distance rises."""
    return "ip" if metric == "cosine" else metric


def write_dictionaries(out: Writer, dictionaries: Dictionaries) -> None:
    out.items(dictionaries, lambda writer, values: writer.items(values, Writer.text))


def read_dictionaries(source: Reader) -> Dictionaries:
    """Every value is a word or more, so that what is allocated is bounded by what is there."""
    return source.items(lambda r: r.items(lambda reader: reader.text(MAX_VALUE_BYTES), MAX_VALUES), MAX_FIELDS)


def ranked(rows: Iterable[Row]) -> list[Row]:
    """Rows with the higher score first, ties by the smaller id."""
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def check_rows(rows: Sequence[Row], header: SnapshotHeader, name: str) -> None:
    """Raises StatementError unless the rows are in order, their ids distinct and valid, their scores in bounds."""
    bound = score_bound(header.dimension, header.limit)
    require(len({id for id, _ in rows}) == len(rows), f"{name}: an id appears twice")
    require(list(rows) == ranked(rows), f"{name}: not in order, higher score and smaller id first")
    for id, score in rows:
        require(abs(score) <= bound, f"{name}: the score {score} of id {id} is outside +-{bound}")
        try:
            id_limbs(id)
        except ValueError as error:
            raise StatementError(f"{name}: {error}") from None


def require(condition: bool, message: str) -> None:
    """Raises StatementError with the message unless the condition holds."""
    if not condition:
        raise StatementError(message)
