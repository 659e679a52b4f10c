"""Roots in M31 of the small polynomials that a constraint is in one of its cells."""

from __future__ import annotations

from collections.abc import Sequence

from air.field import P, inverse

Polynomial = list[int]  # coefficients, constant first, no leading zeros


def roots(coefficients: Sequence[int]) -> list[int]:
    """All distinct roots, ascending; none for a constant. Coefficients are M31, constant first."""
    polynomial = _trim([c % P for c in coefficients])
    if len(polynomial) < 2:
        return []
    if len(polynomial) == 2:
        return [-polynomial[0] * inverse(polynomial[1]) % P]
    # x^P - x is the product of all x - a: what it shares with the polynomial are the roots.
    frobenius = _power([0, 1], P, polynomial)
    return sorted(_split(_gcd(polynomial, _subtract(frobenius, [0, 1])), 1))


def interpolate(values: Sequence[int]) -> Polynomial:
    """The polynomial of degree at most 3 with these values at 0, 1, 2, 3."""
    a, b, c, d = values
    second, third = c - 2 * b + a, d - 3 * c + 3 * b - a  # differences
    half, sixth = second * inverse(2), third * inverse(6)
    return [a % P, (b - a - half + 2 * sixth) % P, (half - 3 * sixth) % P, sixth % P]


def _split(polynomial: Polynomial, shift: int) -> list[int]:
    """Roots of a product of distinct linear factors: about half of all a + shift are squares."""
    if len(polynomial) < 3:
        return roots(polynomial)
    half = _subtract(_power([shift, 1], (P - 1) // 2, polynomial), [1])
    factor = _gcd(polynomial, half)
    if not 1 < len(factor) < len(polynomial):
        return _split(polynomial, shift + 1)
    return _split(factor, shift + 1) + _split(_divide(polynomial, factor)[0], shift + 1)


def _trim(polynomial: Polynomial) -> Polynomial:
    while polynomial and polynomial[-1] == 0:
        polynomial = polynomial[:-1]
    return polynomial


def _subtract(a: Polynomial, b: Polynomial) -> Polynomial:
    size = max(len(a), len(b))
    padded = zip(a + [0] * (size - len(a)), b + [0] * (size - len(b)), strict=True)
    return _trim([(x - y) % P for x, y in padded])


def _divide(a: Polynomial, b: Polynomial) -> tuple[Polynomial, Polynomial]:
    scale, quotient = inverse(b[-1]), [0] * max(0, len(a) - len(b) + 1)
    rest = list(a)
    for k in range(len(quotient) - 1, -1, -1):
        quotient[k] = rest[k + len(b) - 1] * scale % P
        for j, value in enumerate(b):
            rest[k + j] = (rest[k + j] - quotient[k] * value) % P
    return quotient, _trim(rest)


def _gcd(a: Polynomial, b: Polynomial) -> Polynomial:
    while b:
        a, b = b, _divide(a, b)[1]
    return a


def _power(base: Polynomial, exponent: int, modulus: Polynomial) -> Polynomial:
    result: Polynomial = [1]
    while exponent:
        if exponent & 1:
            result = _product(result, base, modulus)
        base, exponent = _product(base, base, modulus), exponent >> 1
    return result


def _product(a: Polynomial, b: Polynomial, modulus: Polynomial) -> Polynomial:
    out = [0] * (len(a) + len(b))
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] = (out[i + j] + x * y) % P
    return _divide(_trim(out), modulus)[1]
