"""M31, CM31 and QM31: the scalar specification (PROTOCOL 1).

M31 elements are plain Python integers in [0, P). CM31 and QM31 are immutable values with operators that also take
integers, so that one constraint expression evaluates over any of the three.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

P = 2**31 - 1


def inverse(x: int) -> int:
    """1/x mod P. Raises ZeroDivisionError for x = 0 mod P."""
    if x % P == 0:
        raise ZeroDivisionError("inverse of zero in M31")
    return pow(x, P - 2, P)


def signed(x: int) -> int:
    """The representative of an M31 element in [-(P-1)/2, (P-1)/2]."""
    return x - P if x > P // 2 else x


@dataclass(frozen=True, slots=True)
class CM31:
    """a + b i with i^2 = -1."""

    a: int
    b: int = 0

    def __add__(self, other: CM31) -> CM31:
        return CM31((self.a + other.a) % P, (self.b + other.b) % P)

    def __sub__(self, other: CM31) -> CM31:
        return CM31((self.a - other.a) % P, (self.b - other.b) % P)

    def __neg__(self) -> CM31:
        return CM31(-self.a % P, -self.b % P)

    def __mul__(self, other: CM31) -> CM31:
        return CM31((self.a * other.a - self.b * other.b) % P, (self.a * other.b + self.b * other.a) % P)

    def inverse(self) -> CM31:
        """Raises ZeroDivisionError for zero."""
        scale = inverse(self.a * self.a + self.b * self.b)
        return CM31(self.a * scale % P, -self.b * scale % P)


class QM31:
    """(a + b i) + (c + d i) u with u^2 = 2 + i: the secure field, of P^4 elements."""

    __slots__ = ("a", "b", "c", "d")

    def __init__(self, a: int, b: int = 0, c: int = 0, d: int = 0) -> None:
        self.a, self.b, self.c, self.d = a, b, c, d

    @staticmethod
    def of(coordinates: Sequence[int]) -> QM31:
        """From four canonical coordinates. Raises ValueError for another count."""
        a, b, c, d = coordinates
        return QM31(int(a), int(b), int(c), int(d))

    def coordinates(self) -> tuple[int, int, int, int]:
        return (self.a, self.b, self.c, self.d)

    def __repr__(self) -> str:
        return f"QM31({self.a}, {self.b}, {self.c}, {self.d})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            other = QM31(other % P)
        return isinstance(other, QM31) and self.coordinates() == other.coordinates()

    def __hash__(self) -> int:
        return hash(self.coordinates())

    def __bool__(self) -> bool:
        return bool(self.a or self.b or self.c or self.d)

    def __add__(self, other: QM31 | int) -> QM31:
        if isinstance(other, int):
            return QM31((self.a + other) % P, self.b, self.c, self.d)
        return QM31((self.a + other.a) % P, (self.b + other.b) % P, (self.c + other.c) % P, (self.d + other.d) % P)

    __radd__ = __add__

    def __sub__(self, other: QM31 | int) -> QM31:
        if isinstance(other, int):
            return QM31((self.a - other) % P, self.b, self.c, self.d)
        return QM31((self.a - other.a) % P, (self.b - other.b) % P, (self.c - other.c) % P, (self.d - other.d) % P)

    def __rsub__(self, other: int) -> QM31:
        return QM31((other - self.a) % P, -self.b % P, -self.c % P, -self.d % P)

    def __neg__(self) -> QM31:
        return QM31(-self.a % P, -self.b % P, -self.c % P, -self.d % P)

    def __mul__(self, other: QM31 | int) -> QM31:
        if isinstance(other, int):
            return QM31(self.a * other % P, self.b * other % P, self.c * other % P, self.d * other % P)
        a, b, c, d = self.a, self.b, self.c, self.d
        e, f, g, h = other.a, other.b, other.c, other.d
        # (x0 + x1 u)(y0 + y1 u) = x0 y0 + (2 + i) x1 y1 + (x0 y1 + x1 y0) u
        real, imaginary = c * g - d * h, c * h + d * g
        return QM31(
            (a * e - b * f + 2 * real - imaginary) % P,
            (a * f + b * e + real + 2 * imaginary) % P,
            (a * g - b * h + c * e - d * f) % P,
            (a * h + b * g + c * f + d * e) % P,
        )

    __rmul__ = __mul__

    def conjugate(self) -> QM31:
        """Negates the u part; CM31 is the fixed field."""
        return QM31(self.a, self.b, -self.c % P, -self.d % P)

    def inverse(self) -> QM31:
        """(x0 - x1 u) / (x0^2 - (2 + i) x1^2). Raises ZeroDivisionError for zero."""
        x0, x1 = CM31(self.a, self.b), CM31(self.c, self.d)
        scale = (x0 * x0 - CM31(2, 1) * x1 * x1).inverse()
        x0, x1 = x0 * scale, x1 * scale
        return QM31(x0.a, x0.b, -x1.a % P, -x1.b % P)

    def __pow__(self, exponent: int) -> QM31:
        result, base = QM31(1), self
        while exponent:
            if exponent & 1:
                result = result * base
            base, exponent = base * base, exponent >> 1
        return result


ZERO, ONE = QM31(0), QM31(1)
_BASIS = (QM31(1), QM31(0, 1), QM31(0, 0, 1), QM31(0, 0, 0, 1))


def combine4(parts: Sequence[QM31]) -> QM31:
    """The secure value whose four coordinate polynomials have these (secure) evaluations."""
    total = ZERO
    for part, unit in zip(parts, _BASIS, strict=True):
        total = total + part * unit
    return total


def powers(base: QM31, count: int) -> list[QM31]:
    """1, base, base^2, ... (count of them)."""
    out, current = [], ONE
    for _ in range(count):
        out.append(current)
        current = current * base
    return out


def batch_inverse(values: Iterable[QM31]) -> list[QM31]:
    """Inverses by Montgomery's trick. Raises ZeroDivisionError if any is zero."""
    items = list(values)
    prefixes, product = [], ONE
    for value in items:
        prefixes.append(product)
        product = product * value
    product = product.inverse()
    out = [ZERO] * len(items)
    for k in range(len(items) - 1, -1, -1):
        out[k] = product * prefixes[k]
        product = product * items[k]
    return out
