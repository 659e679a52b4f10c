"""What a certificate claims: a version of a segment is well-formed (`certify`), whatever snapshots hold it.

One part for each certified segment. Whoever reads a snapshot asks `covers` whether verified parts speak of its segment
under its header.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import Any

import air.statement as statements
from air.layout import Air
from air.relation import PublicTerm
from air.statement import Reader, RootKey, StatementError, Writer
from air.statements.certify import Certify, certify_air, certify_public_terms, check_counts
from air.statements.question import require
from air.statements.snapshot import MAX_FIELDS, MAX_VALUES, SegmentLeaf, SnapshotHeader
from air.statements.topk import coordinate_bound

MAX_SCALE = 1 << 53


@dataclass(frozen=True)
class CertifyStatement:
    """One part. `values` are the sizes of the payload fields' dictionaries; with `unit`, live rows are unit vectors as
    rounded by this scale."""

    dimension: int
    limit: int
    scale: int
    unit: bool
    values: tuple[int, ...]
    leaf: SegmentLeaf

    def encode(self) -> list[int]:
        out = Writer().header(CERTIFY.TYPE, CERTIFY.VERSION)
        out.i64(self.dimension).i64(self.limit).i64(self.scale).i64(int(self.unit)).i64s(self.values)
        self.leaf.write(out)
        return out.words

    def digest(self) -> bytes:
        return statements.digest(self.encode())

    def component(self) -> Certify:
        """The component that holds the constraints."""
        norms = unit_norms(self.dimension, self.limit, self.scale) if self.unit else None
        return Certify(self.leaf.log_size, self.dimension, self.limit, self.leaf.rows, self.values, norms)

    def air(self) -> Air:
        return self._air

    @cached_property
    def _air(self) -> Air:
        return certify_air(self.component())

    def public_terms(self) -> tuple[PublicTerm, ...]:
        return certify_public_terms(self.component(), self._air, self.leaf.live)

    def preprocessed_root(self, key: RootKey) -> bytes:
        return self.leaf.column_root(key)

    def check(self) -> None:
        """Everything that can be said of one part. Raises StatementError naming the field."""
        self.leaf.check()
        try:
            bound = coordinate_bound(self.dimension)
            check_counts(self.dimension, self.leaf.log_size)
        except ValueError as error:
            raise StatementError(str(error)) from None
        require(1 <= self.limit <= bound, f"limit: {self.limit} is outside 1..{bound}")
        require(1 <= self.scale <= MAX_SCALE, f"scale: {self.scale} is outside 1..{MAX_SCALE}")
        require(len(self.values) <= MAX_FIELDS, f"values: {len(self.values)} fields, at most {MAX_FIELDS}")
        for index, count in enumerate(self.values):
            require(0 <= count <= MAX_VALUES, f"values[{index}]: {count} is outside 0..{MAX_VALUES}")
        if self.unit:
            least, largest = unit_norms(self.dimension, self.limit, self.scale)
            require(least <= largest, f"scale: no unit vector has coordinates up to {self.limit}")

    def describe(self) -> dict[str, Any]:
        return {
            "proves": PROVES + (PROVES_UNIT if self.unit else ""),
            "dimension": self.dimension,
            "limit": self.limit,
            "scale": self.scale,
            "unit": self.unit,
            "values": list(self.values),
            "segment": {
                "id": self.leaf.id,
                "version": self.leaf.version,
                "rows": self.leaf.rows,
                "live": self.leaf.live,
            },
            "rests_on": "the column root of the segment",
        }


PROVES = "coordinates are in range, lengths right, live rows counted, their ids distinct, and payload codes known"
PROVES_UNIT = "; live rows are of unit length"


class CertifyType:
    """The statement type; `CERTIFY` is the one to register."""

    TYPE: int = 3
    VERSION: int = 1
    NAME: str = "certify"

    def decode(self, words: Sequence[int]) -> CertifyStatement:
        source = Reader(words)
        source.header(self.TYPE, self.VERSION)
        dimension, limit, scale, unit = (source.i64() for _ in range(4))
        require(unit in (0, 1), f"unit: {unit} is not 0 or 1")
        values, leaf = source.i64s(MAX_FIELDS), SegmentLeaf.read(source)
        source.end()
        return CertifyStatement(dimension, limit, scale, bool(unit), values, leaf)

    def check_together(self, statements: Sequence[CertifyStatement]) -> None:
        """Any segments of one quantisation, each once."""
        first = statements[0]
        for name in ("dimension", "limit", "scale"):
            same = all(getattr(part, name) == getattr(first, name) for part in statements)
            require(same, f"{name}: the parts of the receipt disagree")
        require(len({part.leaf for part in statements}) == len(statements), "leaf: a segment is certified twice")


CERTIFY = CertifyType()


def covers(
    statements: Iterable[CertifyStatement], header: SnapshotHeader, leaf: SegmentLeaf, is_centroids: bool
) -> bool:
    """Whether some part certifies this version of a segment for snapshots with this header.

    It is as true as the parts are verified. Dictionaries only grow, so that codes in a smaller one are in this one.
    Centroids are means of rows, hence of no fixed length."""
    return any(
        part.leaf == leaf
        and (part.dimension, part.limit, part.scale) == (header.dimension, header.limit, header.scale)
        and len(part.values) == len(header.fields)
        and all(count <= field.values for count, field in zip(part.values, header.fields, strict=True))
        and (part.unit or is_centroids or not header.normalised)
        for part in statements
    )


def unit_norms(dimension: int, limit: int, scale: int) -> tuple[int, int]:
    """The least and the largest |x|^2 of a unit vector's coordinates; the least is larger if there is no such vector.

    x is f u, rounded, with f = scale / 2^32 and |u| = 1: each coordinate moves by at most 1/2, hence |x| is within
    sqrt(D) / 2 of f. The margin of 2^-16 is for u and its product with f, which are computed in float64: their relative
    error is below (D + 8) 2^-53, which f < 2^21 makes less than 2^-19."""
    reach = isqrt(dimension << 62) + 1 + (1 << 16)  # like the scale in units of 2^-32
    shortest, longest = max(0, scale - reach), scale + reach
    return -(-(shortest**2) >> 64), min(longest**2 >> 64, dimension * limit**2)
