r"""Second moments of an activation and of its derivatives, as functions of the variance, in balls.

:math:`M_i(q) = E[\phi^{(i)}(\sqrt q z)^2]` is what the recursion of variances and its slopes are
made of: :math:`T(q,q,q) = M_0`, :math:`dT/dk = M_1`, :math:`d^2T/dk^2 = M_2` at k = q. By the heat
equation its derivatives in q are moments with Hermite polynomials,

.. math:: \frac{M_i^{(n)}(q)}{n!} = \frac{\sqrt{(2n)!}}{2^n n!\, q^n}
          E[\phi^{(i)}(\sqrt q z)^2\, he_{2n}(z)],

so one rigorous integration gives as many of them as are asked for.

M is analytic where Re q > 0: with p = 1/Re(1/q), :math:`|M(q)| \le \sqrt{p/|q|}\,M(p)`, and
:math:`\sqrt p\,M(p)` increases. On the disc of radius 4/5 of its real centre c that is at most
3 M(9c/5), which bounds what a Taylor polynomial leaves out (Cauchy).
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, arb_series, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.duals import correlation_dual, dual_class
from kerneltheory.activations.expectation import gaussian_expectations
from kerneltheory.activations.hermite import variance_key
from kerneltheory.activations.series import derivative_of
from kerneltheory.core import lower
from kerneltheory.core.enclose import plus_minus

# Of the disc on which the moment is bounded, in parts of its centre, and that bound's factor.
DISC, DISC_FACTOR = (4, 5), 3
GUARD_DIGITS = 10


@functools.lru_cache(maxsize=1024)
def derivative(phi: Activation, order: int) -> Activation | None:
    """The derivative of phi of an order as a function, or None where it is none.

    Then a derivative before it jumps, and its mean square is infinite.
    """
    found: Activation | None = phi
    for _ in range(order):
        found = None if found is None else derivative_of(found)
    return found


def moment(phi: Activation, order: int, variance: Any, digits: int) -> arb:
    """A ball around M_i(q) at an exact number or a ball q > 0; infinite where phi^(i) is none."""
    return taylor(phi, order, variance, 1, digits)[0]


def taylor(phi: Activation, order: int, variance: Any, count: int, digits: int) -> list[arb]:
    """Balls around the first Taylor coefficients of M_i at q, an exact number or a narrow ball.

    Args:
        phi: the activation.
        order: i, of the derivative of phi.
        variance: q > 0.
        count: how many coefficients.
        digits: relative accuracy aimed at; the balls hold what was reached.

    Returns:
        The coefficients; infinite where a derivative of phi below the i-th jumps.
    """
    if derivative(phi, order) is None:
        return [arb("inf")] * count
    key = variance_key(variance if isinstance(variance, arb) else sympy.Rational(variance))
    return list(_taylor(phi, order, key, count, digits))


@functools.lru_cache(maxsize=8192)
def _taylor(phi: Activation, order: int, key: Any, count: int, digits: int) -> tuple[arb, ...]:
    with ctx.workdps(digits + GUARD_DIGITS):
        q = lower.ball_from_integers(key) if isinstance(key, tuple) else lower.to_ball(key)
        closed = _closed(phi, order)
        if closed is not None:
            return _of_series(closed, q, count)
        function = derivative(phi, order)
        assert function is not None
        root = q.sqrt()
        means = gaussian_expectations([(function, root)] * 2, 2 * count - 1, digits)
        return tuple(
            means[2 * n] * (arb(math.factorial(2 * n)).sqrt() / (math.factorial(n) * (2 * q) ** n))
            for n in range(count)
        )


def _of_series(function: Any, q: arb, count: int) -> tuple[arb, ...]:
    cap = ctx.cap
    try:
        ctx.cap = count
        found = function(arb_series([q, 1], prec=count))
        found = found if isinstance(found, arb_series) else arb_series([found], prec=count)
        return tuple(arb(found[n]) for n in range(count))
    finally:
        ctx.cap = cap


@functools.lru_cache(maxsize=1024)
def _closed(phi: Activation, order: int) -> Any:
    """M_i as a function of balls and their series where the dual is elementary, else None."""
    formula = closed_moment(phi, order)
    return None if formula is None else lower.to_balls((VARIANCE,), formula)


VARIANCE = sympy.Symbol("q", positive=True)


@functools.lru_cache(maxsize=1024)
def closed_moment(phi: Activation, order: int) -> Any:
    """M_i as an expression in the symbol `VARIANCE`, or None where the dual is not elementary.

    Examples:
        >>> from kerneltheory.activations.catalogue import erf, tanh
        >>> closed_moment(erf, 1), closed_moment(tanh, 1)
        (4/(pi*sqrt(4*q + 1)), None)
    """
    if dual_class(phi).name != "elementary" or derivative(phi, order) is None:
        return None
    formula = correlation_dual(phi, order)
    q1, q2, correlation = formula.args
    # c = 1 first: roots of 1 - c^2 are then exactly zero.
    return formula.rhs.subs(correlation, 1).subs({q1: VARIANCE, q2: VARIANCE})


def lowered_moment(phi: Activation, order: int) -> Any:
    """The closed M_i as a function of arrays."""
    return lower.to_jax((VARIANCE,), closed_moment(phi, order))


# --- a polynomial with a bound ----------------------------------------------------------------


@dataclass(frozen=True)
class MomentModel:
    """M_0 near an exact centre: a Taylor polynomial, and a bound of what it leaves out.

    Attributes:
        centre: c.
        coefficients: of powers of q - c.
        bound: of M_0 on the disc of radius 4/5 c around c.
    """

    centre: arb
    coefficients: tuple[arb, ...]
    bound: arb

    def value(self, q: arb) -> arb:
        """An enclosure of M_0 on a ball around c of radius below 4/5 c."""
        return self._derivative(q, 0)

    def slope(self, q: arb) -> arb:
        """An enclosure of M_0'."""
        return self._derivative(q, 1)

    def curvature(self, q: arb) -> arb:
        """An enclosure of M_0''."""
        return self._derivative(q, 2)

    def _derivative(self, q: arb, order: int) -> arb:
        """Horner's scheme, and sum_{n >= N} n!/(n-m)! B x^(n-m), a geometric series' majorant."""
        step, total, count = q - self.centre, arb(0), len(self.coefficients)
        for n in reversed(range(order, count)):
            total = total * step + self.coefficients[n] * math.perm(n, order)
        above, below = DISC
        radius = self.centre * above / below
        x = arb((step / radius).abs_upper())
        # Terms grow by at most this ratio from the first one that is left out.
        ratio = x * (count + 1) / (count + 1 - order)
        if not ratio < 1:
            return arb("nan")
        left_out = self.bound * math.perm(count, order) * x ** (count - order) / (1 - ratio)
        return total + plus_minus(arb((left_out / radius**order).upper()))


@functools.lru_cache(maxsize=2048)
def moment_model(phi: Activation, centre: sympy.Rational, count: int, digits: int) -> MomentModel:
    """The model of M_0 = E[phi^2] around an exact variance, with a number of coefficients."""
    above, below = DISC
    largest = moment(phi, 0, centre * (below + above) / below, digits)
    with ctx.workdps(digits + GUARD_DIGITS):
        coefficients = tuple(taylor(phi, 0, centre, count, digits))
        return MomentModel(lower.to_ball(centre), coefficients, DISC_FACTOR * largest)
