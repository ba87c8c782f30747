r"""Activations whose infinitely deep classifiers are Bayes optimal on the sphere S^s.

A singular kernel :math:`R(u)\,u^{-\alpha}` is optimal where :math:`\alpha = s`
(arXiv:2204.14126, with the Hilbert kernel estimate of Devroye, Gyorfi and Krzyzak, 1998).
"""

import math
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.catalogue import hermite
from kerneltheory.activations.series import RHO
from kerneltheory.core import check, lower
from kerneltheory.core.enclose import interval
from kerneltheory.core.errors import PrecisionError
from kerneltheory.core.formula import Formula

REFERENCE = "arXiv:2204.14126"


def optimal_dual(sphere_dimension: int) -> Formula:
    r"""The dual of `optimal_activation`.

    .. math:: s = 1: \frac{t^7 + t}{2}, \qquad
              s \ge 2: 2^{-s/2} t^3 + (1 - 2^{1-s/2})\,t^2 + 2^{-s/2} t

    Args:
        sphere_dimension: s >= 1, the dimension of the sphere S^s of the inputs, which have s + 1
            coordinates.

    Examples:
        >>> optimal_dual(2).rhs
        rho**3/2 + rho/2
    """
    s = check.integer("sphere_dimension", sphere_dimension, minimum=1)
    rhs = sympy.Add(*(weight * RHO**degree for degree, weight in _weights(s).items()))
    domain = sympy.Abs(RHO) <= 1
    return Formula(f"optimal dual for S^{s}", (RHO,), rhs, domain, REFERENCE)


def optimal_activation(sphere_dimension: int) -> Activation:
    r"""A polynomial whose infinitely deep classifier is Bayes optimal on the sphere S^s.

    .. math:: \phi = \sum_n \sqrt{p_n}\,he_n, \qquad \hat\phi(t) = \sum_n p_n t^n

    with the p_n of `optimal_dual`, and he_n orthonormal: :math:`E[\phi^2] = 1`,
    :math:`\alpha = s` exactly.

    Args:
        sphere_dimension: s >= 1, of inputs with s + 1 coordinates.

    Raises:
        TypeError, ValueError: s is no integer of at least 1.

    References:
        arXiv:2204.14126.

    Examples:
        >>> from kerneltheory.activations.duals import dual
        >>> print(dual(optimal_activation(2)).rhs)
        rho**3/2 + rho/2
    """
    s = check.integer("sphere_dimension", sphere_dimension, minimum=1)
    terms = (sympy.sqrt(p) * _hermite(n) for n, p in _weights(s).items() if p != 0)
    expression: Any = sympy.expand(sympy.Add(*terms))
    return Activation(f"optimal_activation({s})", expression, REFERENCE)


def _hermite(degree: int) -> Any:
    return hermite(degree).expression


def _weights(s: int) -> dict[int, Any]:
    """The p_n, by degree."""
    if s == 1:
        half = sympy.Rational(1, 2)
        return {7: half, 1: half}
    outer = 2 ** sympy.Rational(-s, 2)
    return {3: outer, 2: 1 - 2 * outer, 1: outer}


def optimal_frequency(sphere_dimension: int, digits: int = 30) -> arb:
    r"""The a for which sin(a x) is Bayes optimal on the sphere S^s: a ball around it.

    .. math:: \alpha = \frac{2 \ln(\sinh(u)/u)}{\ln(u \coth u)} = s, \qquad u = a^2

    It is the only root: :math:`f(u) = (s+2) \ln(\sinh(u)/u) - s \ln\cosh u` starts at 0, falls
    and then rises, for every s > 1. For s = 1 there is none, since alpha > 1 for every a.

    Args:
        sphere_dimension: s >= 2.
        digits: of the ball.

    Raises:
        ValueError: s is not an integer of at least 2.

    Examples:
        >>> optimal_frequency(2).str(20)
        '[1.6358710110884818487 +/- ...]'
    """
    s = check.integer("sphere_dimension", sphere_dimension, minimum=2)
    digits = check.integer("digits", digits, minimum=1)
    # f < 0 where it falls, and f > 0 at twice u = s ln(s + 2) + 2.
    low, high = sympy.Rational(1, 64), sympy.Integer(2 * math.ceil(s * math.log(s + 2)) + 4)
    with ctx.workdps(2 * digits + 30):
        left, right = lower.to_ball(low), lower.to_ball(high)
        if not (_excess(left, s) < 0 and _excess(right, s) > 0):
            raise PrecisionError(f"no change of sign was found for s = {s}")
        while not (right - left) < arb(10) ** -(digits + 2):
            middle = ((left + right) / 2).mid()
            value = _excess(middle, s)
            if not (value > 0 or value < 0):
                break
            left, right = (left, middle) if value > 0 else (middle, right)
        return interval(left, right).sqrt()


def _excess(u: arb, s: int) -> arb:
    """The f whose sign is that of alpha - s."""
    return (s + 2) * (u.sinh() / u).log() - s * u.cosh().log()
