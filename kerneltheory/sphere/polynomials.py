"""The normalised Gegenbauer polynomials P_k of S^{d-1}, with P_k(1) = 1.

The recurrence is written once for any arithmetic that has + - *: Python and sympy numbers,
numpy and jax arrays, real and complex balls. In floating point two more forms stay in range where
P_k or N(d, k) does not: sqrt(N) P_k, which is of order one at random points, and log |P_k|.
"""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check


def recurrence(dim: int, degree: int) -> tuple[Fraction, Fraction]:
    r"""Coefficients (a, b) of the step :math:`P_{k+1} = a\,t\,P_k - b\,P_{k-1}`, k >= 0.

    .. math:: (k + d - 2)\,P_{k+1}(t) = (2k + d - 2)\,t\,P_k(t) - k\,P_{k-1}(t)

    They sum to one up to sign (a - b = 1), which keeps P_k(1) = 1. The first is P_1 = t, also at
    d = 2, where the formula is 0/0.
    """
    if degree == 0:
        return Fraction(1), Fraction(0)
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
    return run_recurrence(t, t * 0 + 1, recurrence_steps(dim, max_degree, convert))


def recurrence_steps(
    dim: int, max_degree: int, convert: Callable[[Fraction], Any] = float
) -> list[tuple[Any, Any]]:
    """The coefficients of all steps up to a degree, converted once for many points."""
    pairs = (recurrence(dim, degree) for degree in range(max_degree))
    return [(convert(a), convert(b)) for a, b in pairs]


def run_recurrence(t: Any, first: Any, steps: list[tuple[Any, Any]]) -> Iterator[Any]:
    """Yield first P_0(t), first P_1(t), ..., one degree for each step and degree 0."""
    previous, current = first * 0, first
    yield current
    for a, b in steps:
        previous, current = current, a * t * current - b * previous
        yield current


def gegenbauer(dim: int, degree: int, t: Any, convert: Callable[[Fraction], Any] = float) -> Any:
    r"""Gegenbauer polynomial of S^{d-1} normalised to :math:`P_k(1) = 1`.

    The addition theorem reads
    :math:`\sum_j Y_{kj}(x) Y_{kj}(z) = N(d, k) P_k(x \cdot z)` for harmonics orthonormal under
    the uniform probability measure.

    On [-1, 1] nothing overflows at any degree and dimension, as |P_k| <= 1, and rounding errors
    add up to about 2 (k + 1) eps at most. Where P_k underflows, it is zero: its logarithm is in
    `log_gegenbauer`.

    Args:
        dim: d >= 2 (d = 2: Chebyshev, d = 3: Legendre).
        degree: k >= 0.
        t: a number or an array of cosines, in any arithmetic; lists become numpy arrays.
        convert: makes a coefficient of that arithmetic from a Fraction.

    References:
        DLMF 18.9.1.

    Examples:
        >>> import sympy
        >>> sympy.expand(gegenbauer(3, 2, sympy.Symbol("t"), convert=sympy.Rational))
        3*t**2/2 - 1/2
    """
    dim = check.integer("dim", dim, minimum=2)
    degree = check.integer("degree", degree, minimum=0)
    if isinstance(t, np.ndarray | float | list | tuple):
        t = check.finite("t", t)
    for value in gegenbauer_sequence(dim, t, degree, convert):
        last = value
    return last


def orthonormal_sequence(dim: int, t: Any, max_degree: int) -> Iterator[Any]:
    r"""Yield :math:`Z_k(t) = \sqrt{N(d, k)}\,P_k(t)`, k = 0..max_degree, in floating point.

    They are orthonormal under the density of the cosine, so of order one at random points where
    P_k underflows and N overflows. With
    :math:`c_k^2 = \frac{k (k + d - 3)}{(2k + d - 2)(2k + d - 4)}`, :math:`c_1^2 = 1/d`,

    .. math:: c_{k+1} Z_{k+1} = t\,Z_k - c_k Z_{k-1}

    Args:
        dim: d >= 2.
        t: an array of cosines, numpy or jax.
        max_degree: the last degree.
    """
    previous, current, last = t * 0.0, t * 0.0 + 1.0, 0.0
    yield current
    for degree in range(1, max_degree + 1):
        step = jacobi_entry(dim, degree)
        previous, current = current, (t * current - last * previous) / step
        last = step
        yield current


def jacobi_entry(dim: int, degree: int) -> float:
    """c_k of `orthonormal_sequence`, from integers: the dimension takes no digits away."""
    if degree == 1:
        return 1 / math.sqrt(dim)
    return math.sqrt(
        degree * (degree + dim - 3) / ((2 * degree + dim - 2) * (2 * degree + dim - 4))
    )


class SignAndLog(NamedTuple):
    """A number as sign * exp(logarithm), as numpy's slogdet gives a determinant."""

    sign: Any
    logarithm: Any


def log_gegenbauer(dim: int, degree: int, t: Any) -> SignAndLog:
    r"""Sign of :math:`P_k(t)` and :math:`\ln |P_k(t)|`, also where :math:`P_k` underflows.

    The recurrence of `gegenbauer` with the binary exponent carried beside it: at d = 10^6 and a
    cosine of 10^-3 it passes 10^-308 at degree 100. The logarithm is as good as P_k is relative
    to its neighbours in degree; at a zero of P_k it is minus infinity or that of the rounding.

    Args:
        dim: d >= 2.
        degree: k >= 0.
        t: cosines in [-1, 1]; numpy in float64, jax in its own dtype.

    Returns:
        `SignAndLog(sign, logarithm)`, each of the shape of t.

    Examples:
        >>> sign, logarithm = log_gegenbauer(10**6, 200, np.array([1e-3, 1.0]))
        >>> bool(logarithm[0] < -708), abs(round(float(logarithm[1]), 12))
        (True, 0.0)
    """
    dim = check.integer("dim", dim, minimum=2)
    degree = check.integer("degree", degree, minimum=0)
    t = t if isinstance(t, jax.Array) else check.finite("t", t)
    xp: Any = jnp if isinstance(t, jax.Array) else np
    steps = [recurrence(dim, k) for k in range(1, degree)]
    first, second = (np.array([float(pair[i]) for pair in steps], t.dtype) for i in (0, 1))

    def step(state: tuple[Any, Any, Any], a: Any, b: Any) -> tuple[Any, Any, Any]:
        previous, current, exponent = state
        previous, current = current, a * t * current - b * previous
        _, shift = xp.frexp(xp.maximum(abs(previous), abs(current)))
        return xp.ldexp(previous, -shift), xp.ldexp(current, -shift), exponent + shift

    state = (t * 0 + 1, t, xp.zeros_like(t))
    if isinstance(t, jax.Array):
        state, _ = jax.lax.scan(lambda s, pair: (step(s, *pair), None), state, (first, second))
    else:
        for a, b in zip(first, second, strict=True):
            state = step(state, a, b)
    value, exponent = state[min(degree, 1)], state[2]
    logarithm = xp.log(xp.where(value == 0, 1, abs(value))) + exponent * math.log(2)
    return SignAndLog(xp.sign(value), xp.where(value == 0, -math.inf, logarithm))
