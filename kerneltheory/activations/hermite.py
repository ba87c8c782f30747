r"""Hermite coefficients of activations: exact by Stein's lemma, certified by integration.

:math:`\phi(\sqrt q z) = \sum_n a_n(q)\,he_n(z)` with he_n orthonormal for the standard Gaussian.
"""

import functools
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.activations.expectation import gaussian_expectations
from kerneltheory.activations.hermite_exact import coefficient_in_closed_form, exact_coefficients
from kerneltheory.activations.terms import elementary_terms
from kerneltheory.core import check, lower
from kerneltheory.core.errors import DerivationError

# A variance: exact, or a ball where it is what a layer before has made of one.
Variance = sympy.Rational | arb


def hermite_coefficients(phi: Any, count: Any, digits: int = 30) -> Any:
    r"""Hermite coefficients :math:`a_0, \dots, a_{count-1}` at unit variance.

    .. math:: a_n = E[\phi(z)\,he_n(z)] = E[\phi^{(n)}(z)] / \sqrt{n!}

    Exact by Stein's lemma, with derivatives in the sense of distributions, where phi is a finite
    sum of polynomials times Gaussians, exponentials, steps at 0 and erf; balls elsewhere.

    Args:
        phi: an activation or a sympy expression in one symbol.
        count: how many, at least 1; or a symbol n.
        digits: absolute accuracy of the balls, where these are needed.

    Returns:
        sympy expressions where they are exact, else `flint.arb` balls that contain them. For a
        symbol n, the closed form of the n-th coefficient for every n >= 0.

    Raises:
        DerivationError: if phi grows too fast, or in a way that no rule bounds; for a symbol n, if
            phi is not elementary and so has no closed form here.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu, tanh
        >>> hermite_coefficients(relu, 4)
        (sqrt(2)/(2*sqrt(pi)), 1/2, 1/(2*sqrt(pi)), 0)
        >>> from kerneltheory.activations.catalogue import exp
        >>> hermite_coefficients(exp, sympy.Symbol("n"))
        exp(1/2)/sqrt(factorial(n))
        >>> hermite_coefficients(tanh, 2, digits=10)[1].str(8)
        '[0.60570551 +/- ...]'
    """
    phi = activation(phi)
    if isinstance(count, sympy.Symbol):
        return coefficient_in_closed_form(phi, count)
    count = check.integer("count", count, minimum=1)
    digits = check.integer("digits", digits, minimum=1)
    try:
        return exact_coefficients(elementary_terms(phi), count)
    except DerivationError:
        return certified_hermite_coefficients(phi, sympy.Integer(1), count, digits)[0]


def certified_hermite_coefficients(
    phi: Activation, variance: Variance, count: int, digits: int
) -> tuple[tuple[arb, ...], arb]:
    r"""Balls around :math:`a_n(q)`, n < count, and around :math:`E[\phi(\sqrt q z)^2]`."""
    return _certified(phi, variance_key(variance), count, digits)


@functools.lru_cache(maxsize=256)
def _certified(
    phi: Activation, variance: Any, count: int, digits: int
) -> tuple[tuple[arb, ...], arb]:
    root = _root(variance, digits)
    coefficients = gaussian_expectations([(phi, root)], count, digits)
    return tuple(coefficients), certified_end(phi, variance, variance, 1, digits)


def certified_end(
    phi: Activation, first: Variance, second: Variance, correlation: int, digits: int
) -> arb:
    r"""Ball around :math:`E[\phi(\sqrt{q_1} z)\,\phi(\pm\sqrt{q_2} z)]`.

    The dual activation at c = 1 and at c = -1, by one-dimensional integration.
    """
    return _end(phi, variance_key(first), variance_key(second), correlation, digits)


@functools.lru_cache(maxsize=256)
def _end(phi: Activation, first: Any, second: Any, correlation: int, digits: int) -> arb:
    roots = _root(first, digits), correlation * _root(second, digits)
    (value,) = gaussian_expectations([(phi, root) for root in roots], 1, digits)
    return value


def variance_key(variance: Any) -> Any:
    """What identifies a variance in a cache: balls do not hash."""
    return lower.ball_to_integers(variance) if isinstance(variance, arb) else variance


def _root(variance: Any, digits: int) -> arb:
    with ctx.workdps(digits + 15):
        if isinstance(variance, tuple):
            return lower.ball_from_integers(variance).sqrt()
        return lower.to_ball(variance).sqrt()
