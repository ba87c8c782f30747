"""The normalised Gegenbauer polynomials P_k of S^{d-1}, with P_k(1) = 1.

The recurrence is written once for any arithmetic that has + - *: Python and sympy numbers,
numpy and jax arrays, real and complex balls.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from kerneltheory.core import check


def recurrence(dim: int, degree: int) -> tuple[Fraction, Fraction]:
    r"""Coefficients (a, b) of the step :math:`P_{k+1} = a\,t\,P_k - b\,P_{k-1}`, k >= 1.

    .. math:: (k + d - 2)\,P_{k+1}(t) = (2k + d - 2)\,t\,P_k(t) - k\,P_{k-1}(t)

    They sum to one up to sign (a - b = 1), which keeps P_k(1) = 1.
    """
    return (
        Fraction(2 * degree + dim - 2, degree + dim - 2),
        Fraction(degree, degree + dim - 2),
    )


def gegenbauer_sequence(
    dim: int, t: Any, max_degree: int, convert: Callable[[Fraction], Any] = float
) -> Iterator[Any]:
    """Yield P_0(t), P_1(t), ..., P_max_degree(t) on S^{d-1}.

    Args:
        dim: d >= 2.
        t: a number or an array of cosines, in any arithmetic.
        max_degree: the last degree.
        convert: makes a coefficient of the arithmetic of `t` from a Fraction.
    """
    previous, current = t * 0 + 1, t
    yield previous
    if max_degree >= 1:
        yield current
    for degree in range(1, max_degree):
        a, b = recurrence(dim, degree)
        previous, current = current, convert(a) * t * current - convert(b) * previous
        yield current


def gegenbauer(dim: int, degree: int, t: Any, convert: Callable[[Fraction], Any] = float) -> Any:
    r"""Gegenbauer polynomial of S^{d-1} normalised to :math:`P_k(1) = 1`.

    The addition theorem reads
    :math:`\sum_j Y_{kj}(x) Y_{kj}(z) = N(d, k) P_k(x \cdot z)` for harmonics orthonormal under
    the uniform probability measure.

    Args:
        dim: d >= 2 (d = 2: Chebyshev, d = 3: Legendre).
        degree: k >= 0.
        t: a number or an array of cosines, in any arithmetic.
        convert: makes a coefficient of that arithmetic from a Fraction.

    Examples:
        >>> import sympy
        >>> sympy.expand(gegenbauer(3, 2, sympy.Symbol("t"), convert=sympy.Rational))
        3*t**2/2 - 1/2
    """
    dim = check.integer("dim", dim, minimum=2)
    degree = check.integer("degree", degree, minimum=0)
    for value in gegenbauer_sequence(dim, t, degree, convert):
        last = value
    return last


def power_coefficients(dim: int, weights: list[Any]) -> list[Any]:
    r"""Coefficients in powers of t of :math:`\sum_k w_k P_k(t)`.

    The sum runs in the arithmetic of the weights: pass Fractions or balls, since the powers
    alternate in sign and cancel.

    Examples:
        >>> power_coefficients(3, [Fraction(0), Fraction(0), Fraction(2)])
        [Fraction(-1, 1), Fraction(0, 1), Fraction(3, 1)]
    """
    dim = check.integer("dim", dim, minimum=2)
    size = len(weights)
    total = [weights[0] * 0 for _ in range(size)]
    previous, current = [Fraction(1)], [Fraction(0), Fraction(1)]
    for degree, weight in enumerate(weights):
        row = previous if degree == 0 else current
        for power, coefficient in enumerate(row):
            total[power] += _scale(weight, coefficient)
        if degree >= 1:
            a, b = recurrence(dim, degree)
            raised = [Fraction(0)] + [a * c for c in current]
            for power, coefficient in enumerate(previous):
                raised[power] -= b * coefficient
            previous, current = current, raised
    return total


def _scale(weight: Any, coefficient: Fraction) -> Any:
    if isinstance(weight, Fraction | int):
        return weight * coefficient
    return weight * coefficient.numerator / coefficient.denominator
