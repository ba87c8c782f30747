r"""The recursion of variances next to q = 0, where a fixed point may sit or be about to.

With :math:`h(x) = \phi(x)^2 + \phi(-x)^2`, :math:`w E[\phi^2] - q = \frac w2 E[h(|u|) - 2u^2/w]`
for u of variance q. If :math:`\phi(0) = 0` and the first power of x that does not cancel in
:math:`h(x) - 2x^2/w` is :math:`c_j x^j`, then the sign of c_j is that of the difference for all
small q: j = 2 but at the critical w, where :math:`w h''(0) = 4`, decided exactly.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, arb_series, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.expectation import gaussian_expectations
from kerneltheory.activations.pieces import X, pieces
from kerneltheory.core import lower
from kerneltheory.core.enclose import interval
from kerneltheory.core.errors import PrecisionError

_HIGHEST, _HALVINGS, _DIGITS = 8, 40, 20


@dataclass(frozen=True)
class NearZero:
    """What holds for 0 < q <= reach without bias: the sign of w E[phi^2] - q.

    Attributes:
        reach: an exact positive number.
        sign: 1 or -1; 0 if the difference vanishes there identically.
        slope: the exact slope of q -> w E[phi^2] at 0, or None where its value there is positive.
    """

    reach: Any
    sign: int
    slope: Any


def sides(phi: Activation) -> tuple[Any, Any]:
    """The expressions in x that phi is next to zero, for x < 0 and for x > 0."""
    parts = pieces(phi.expression).intervals
    left = next(e for low, high, e in parts if low < 0 <= high)
    right = next(e for low, high, e in parts if low <= 0 < high)
    return left, right


def square_at_zero(phi: Activation, order: int) -> Any:
    """E[phi^(n)^2] as q falls to 0, exactly: the mean over both sides."""
    values = (sympy.diff(side, X, order).subs(X, 0) for side in sides(phi))
    return sum(sympy.simplify(value) ** 2 for value in values) / 2


@functools.lru_cache(maxsize=512)
def at_zero(phi: Activation) -> tuple[Any, Any]:
    """E[phi^2] and E[phi'^2] as q falls to 0, exactly.

    Examples:
        >>> from kerneltheory.activations.catalogue import cos, relu, tanh
        >>> [at_zero(phi) for phi in (cos, relu, tanh)]
        [(1, 0), (0, 1/2), (0, 1)]
    """
    square, slope = (sympy.nsimplify(square_at_zero(phi, order)) for order in (0, 1))
    return square, slope


@functools.lru_cache(maxsize=512)
def near_zero(phi: Activation, weight_variance: Any) -> NearZero:
    """The sign of w E[phi^2] - q for small q, with a proved reach.

    Raises:
        PrecisionError: if none was found.
    """
    value, slope = at_zero(phi)
    with ctx.workdps(_DIGITS):
        if value != 0:
            return NearZero(_reach_of_constant(phi, weight_variance), 1, None)
        power, sign = _first_power(phi, weight_variance)
        slope = weight_variance * slope
        if power is None:
            return NearZero(sympy.S.One, _sign_of_rest(phi, weight_variance), slope)
        return NearZero(_reach_of_power(phi, weight_variance, power, sign), sign, slope)


def _reach_of_constant(phi: Activation, weight_variance: Any) -> Any:
    """Where q < 0.95 w min phi^2 over |x| <= d and q <= d^2/4, so that d is two deviations."""
    for k in range(_HALVINGS):
        width = sympy.Rational(1, 2**k) * _first_break(phi)
        least = _least_square(phi, width) * lower.to_ball(weight_variance) * arb("0.95")
        if least > 0:
            below = sympy.Rational(float(least.lower()) * 0.99)
            return min(below, width**2 / 4)
    raise PrecisionError(f"no neighbourhood of 0 was found in which {phi.name} has no zero")


def _least_square(phi: Activation, width: Any) -> arb:
    """Half of the least of h on [0, width], as a lower bound."""
    x = interval(arb(0), lower.to_ball(width))
    left, right = (
        arb(1) * lower.to_balls((X,), e)(y) for e, y in zip(sides(phi), (-x, x), strict=True)
    )
    return arb(((left * left + right * right) / 2).lower())


def _first_power(phi: Activation, weight_variance: Any) -> tuple[int | None, int]:
    """The first power of x in h - 2x^2/w, and its sign; None if h is 2x^2/w."""
    difference = _difference(phi, weight_variance)
    if sympy.simplify(difference) == 0:
        return None, 0
    derivative = sympy.diff(difference, X)
    for power in range(2, _HIGHEST + 1):
        derivative = sympy.diff(derivative, X)
        coefficient = sympy.simplify(derivative.subs(X, 0))
        if coefficient.is_positive or coefficient.is_negative:
            return power, 1 if coefficient.is_positive else -1
    raise PrecisionError(f"the first {_HIGHEST} derivatives of {phi.name} at 0 decide nothing")


def _difference(phi: Activation, weight_variance: Any) -> Any:
    left, right = sides(phi)
    return right**2 + left.subs(X, -X) ** 2 - 2 * X**2 / weight_variance


def _sign_of_rest(phi: Activation, weight_variance: Any) -> int:
    """The sign of w E[phi^2] - q for every q, where h is 2x^2/w up to a kink, as hard_tanh's.

    Beyond it the difference starts from 0 and, where its slope is negative on every piece, falls.
    """
    whole = pieces(
        sympy.expand(phi.expression**2)
        + sympy.expand(phi.expression.subs(X, -X) ** 2)
        - 2 * X**2 / weight_variance
    )
    kinks = [b for b in whole.breaks if b.is_positive]
    if kinks and all(
        _falls(expression, max(low, kinks[0]))
        for low, high, expression in whole.intervals
        if high > kinks[0]
    ):
        return -1
    raise PrecisionError(f"near 0 {phi.name} is a line, and beyond its kinks nothing is decided")


def _falls(expression: Any, low: Any) -> bool:
    """Whether a polynomial falls from `low` on, since no coefficient of its slope is positive."""
    slope = sympy.expand(sympy.diff(expression, X).subs(X, X + low))
    return slope.is_polynomial(X) and all(c.is_negative for c in sympy.Poly(slope, X).coeffs())


def _reach_of_power(phi: Activation, weight_variance: Any, power: int, sign: int) -> Any:
    r"""Where the part |u| <= d of the mean is larger than the rest, of either sign.

    By Taylor's theorem the difference is c(x) x^j with c in the ball of its j-th coefficient over
    [0, d]. With t = d/sqrt(q), :math:`P = P(|z| > t) \le 2e^{-t^2/2}` and Cauchy-Schwarz the rest
    is at most :math:`2\sqrt{E[\phi^4] P} + (2q/w)\sqrt{3P}`; over q^{j/2} it increases with q while
    q <= d^2/(j + 1), so one q decides for all below.
    """
    function = lower.to_balls((X,), _difference(phi, weight_variance))
    for k in range(_HALVINGS):
        width = _first_break(phi) / 2**k
        least = sign * _coefficient(function, interval(arb(0), lower.to_ball(width)), power)
        if not least > 0:
            continue
        for ratio in (100, 200, 400):
            q = width**2 / ratio
            outside = 2 * (-arb(ratio) / 2).exp()
            moments = [_absolute_moment(j) for j in (power, 2 * power)]
            inside = moments[0] - (moments[1] * outside).sqrt()
            root = lower.to_ball(q).sqrt()
            fourth = gaussian_expectations([(phi, root)] * 4, 1, _DIGITS)[0]
            rest = 2 * (fourth * outside).sqrt()
            rest += 2 * root**2 / lower.to_ball(weight_variance) * (3 * outside).sqrt()
            if least * inside * root**power > rest:
                return q
    raise PrecisionError(f"no neighbourhood of 0 was found in which {phi.name} is its power")


def _coefficient(function: Any, x: arb, power: int) -> arb:
    cap = ctx.cap
    try:
        ctx.cap = power + 1
        found = function(arb_series([x, 1], prec=power + 1))
        return arb(found[power]) if isinstance(found, arb_series) else arb(0)
    finally:
        ctx.cap = cap


def _absolute_moment(power: int) -> arb:
    """E|z|^j of a standard normal z."""
    half = arb(power + 1) / 2
    return arb(2) ** (arb(power) / 2) * half.gamma() / arb.pi().sqrt()


def _first_break(phi: Activation) -> Any:
    """A rational number below the distance of the nearest kink from 0, at most one."""
    distances = [abs(float(b.evalf(30))) for b in pieces(phi.expression).breaks if b != 0]
    least = min([1.0, *distances])
    return sympy.Rational(2) ** math.floor(math.log2(least)) * (1 if least == 1.0 else sympy.S.Half)
