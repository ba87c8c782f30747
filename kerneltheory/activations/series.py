r"""Duals that are no finite formula: Mehler's series, with a proven bound on what is left out.

.. math:: T(q_1, q_2, k) = \sum_n a_n(q_1)\,a_n(q_2)\,c^n, \qquad c = k/\sqrt{q_1 q_2}

with the Hermite coefficients a_n of `hermite`. By Cauchy-Schwarz the terms from N on are at most
:math:`\sqrt{R(q_1) R(q_2)}\,|c|^N`, where :math:`R(q) = E[\phi^2] - \sum_{n<N} a_n(q)^2` is the
missing mass (Mehler 1866).
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from flint import acb, arb, arb_series, ctx

from kerneltheory.activations.activation import Activation, X
from kerneltheory.activations.gaussian import K12, Q1, Q2
from kerneltheory.activations.hermite import (
    Variance,
    certified_end,
    certified_hermite_coefficients,
    variance_key,
)
from kerneltheory.activations.pieces import pieces
from kerneltheory.core import check, lower
from kerneltheory.core.enclose import plus_minus
from kerneltheory.core.formula import Formula
from kerneltheory.core.hermite_arrays import (
    PiecewiseFunction,
    evaluate_series,
    left_out,
    terms_needed,
)
from kerneltheory.core.records import is_concrete, real_array

RHO = sympy.Symbol("rho", real=True)
MEHLER = "Mehler, J. reine angew. Math. 66 (1866)"
MAX_TERMS = 1024
# What floating point may miss of E[phi^2], if `MAX_TERMS` terms reach it.
FLOAT_TOLERANCE = 1e-15
# How many derivatives of phi a call has at hand, for its own derivatives by jax.
FURTHER = 2


def derivative_of(phi: Activation) -> Activation | None:
    """The derivative of an activation without jumps, as a function; None if it jumps."""
    split = pieces(phi.expression)
    if any(sympy.simplify(change.subs(X, place)) != 0 for place, change in split.changes):
        return None
    steps = (sympy.diff(change, X) * sympy.Heaviside(X - place) for place, change in split.changes)
    expression = sympy.diff(split.expressions[0], X) + sympy.Add(*steps)
    return Activation(f"derivative of {phi.name}", expression)


def differentiated(phi: Activation, order: int) -> tuple[Activation, int]:
    """phi differentiated up to `order` times, while it has no jump, and how often that was."""
    for done in range(order):
        following = derivative_of(phi)
        if following is None:
            return phi, done
        phi = following
    return phi, order


def to_arrays(phi: Activation) -> PiecewiseFunction:
    """An activation of the series class as a function of arrays."""
    split = pieces(phi.expression)
    functions = tuple(lower.to_jax((X,), e) for e in split.expressions)
    return PiecewiseFunction(tuple(float(b) for b in split.breaks), functions)


# --- in balls ---------------------------------------------------------------------------------


def mehler_ball(
    phi: Activation,
    variances: tuple[Variance, Variance],
    correlation: Any,
    digits: int,
    derivative: int = 0,
    count: int | None = None,
    most: int = MAX_TERMS,
) -> Any:
    r"""Enclosure of the n-th derivative in c of :math:`\sum a_n(q_1) a_n(q_2) c^n`.

    Args:
        phi: the activation.
        variances: q1 and q2, exact or balls.
        correlation: c as a real or complex ball or a series of balls, \|c\| <= 1.
        digits: absolute accuracy that is aimed at; the balls hold what was reached.
        derivative: n.
        count: how many terms are summed; by default as many as the digits need.
        most: how many that may be.
    """
    if isinstance(correlation, arb_series):
        return _series(phi, variances, correlation, digits, derivative, count, most)
    size = arb(correlation.abs_upper())
    if isinstance(correlation, arb):
        size = size.min(arb(1))  # a real correlation is at most one, whatever its ball says
    if count is None:
        count = _enough(phi, variances, size, digits, derivative, most)
    products, missing = _products(phi, *map(variance_key, variances), count, digits)
    total = correlation * 0
    for n in reversed(range(derivative, count)):
        total = total * correlation + products[n] * math.perm(n, derivative)
    tail = arb((_tail_factor(size, count, derivative) * missing).upper())
    rest = plus_minus(tail) if tail.is_finite() else arb("nan")
    return total + (acb(rest, rest) if isinstance(correlation, acb) else rest)


@functools.lru_cache(maxsize=256)
def _products(
    phi: Activation, first: Any, second: Any, count: int, digits: int
) -> tuple[list[arb], arb]:
    """a_n(q1) a_n(q2) for n < count, and the root of the product of both missing masses.

    The variances as `hermite.variance_key` gives them.
    """
    one, mass_1 = certified_hermite_coefficients(phi, first, count, digits)
    other, mass_2 = certified_hermite_coefficients(phi, second, count, digits)
    with ctx.workdps(digits + 15):
        missing_1 = mass_1 - sum((a * a for a in one), arb(0))
        missing_2 = mass_2 - sum((a * a for a in other), arb(0))
        products = [a * b for a, b in zip(one, other, strict=True)]
        return products, (missing_1.abs_upper() * missing_2.abs_upper()).sqrt()


def _enough(
    phi: Activation, variances: Any, size: arb, digits: int, derivative: int, most: int
) -> int:
    """The smallest power of two of terms that leaves less than the digits, or the most allowed."""
    keys, count = tuple(map(variance_key, variances)), 64
    while count < most:
        _, missing = _products(phi, *keys, count, digits)
        if _tail_factor(size, count, derivative) * missing < arb(10) ** -digits:
            break
        count *= 2
    return count


def _tail_factor(x: arb, count: int, m: int) -> arb:
    """Bound of n!/(n-m)! x^{n-m} for all n >= count, which multiplies one of sum |a_n b_n|."""
    if m == 0:
        return x**count if x <= 1 else arb("inf")
    ratio = x * (count + 1) / (count + 1 - m)
    return math.perm(count, m) * x ** (count - m) if ratio < 1 else arb("inf")


def _series(
    phi: Activation,
    variances: Any,
    c: arb_series,
    digits: int,
    derivative: int,
    count: int | None,
    most: int,
) -> arb_series:
    """Taylor's series around the constant term of c."""
    middle = c[0] if len(c) else arb(0)
    step, power, total = c - middle, arb_series([1]), arb_series([0])
    for order in range(ctx.cap):
        value = mehler_ball(phi, variances, middle, digits, derivative + order, count, most)
        total = total + power * (value / math.factorial(order))
        power = power * step
    return total


def _float_terms(phi: Activation, largest: float) -> int:
    """How many terms floating point takes up to a variance."""
    if not 0 < largest < math.inf:
        return MAX_TERMS  # the call refuses it
    # Rounded up, so that other variances of the same scale need no new sums.
    exponent = math.ceil(2 * math.log2(largest)) / 2
    return _rounded_float_terms(phi, 2.0**exponent)


@functools.lru_cache(maxsize=1024)
def _rounded_float_terms(phi: Activation, variance: float) -> int:
    return terms_needed(to_arrays(phi), variance, FLOAT_TOLERANCE, MAX_TERMS)[0]


# --- the object -------------------------------------------------------------------------------


@dataclass(frozen=True)
class HermiteSeries:
    """A dual activation as Mehler's series: for phi that have no closed or one-dimensional form.

    It is called, differentiated and certified as a `Formula` is, and is none: it has no `rhs`.

    Attributes:
        phi: the activation.
        derivative: n, for the n-th derivative in k12 (or rho).
        unit: whether the variances are 1 and the argument is rho, instead of (q1, q2, k12).

    Examples:
        >>> from kerneltheory.activations.catalogue import tanh
        >>> HermiteSeries(tanh, unit=True).certified(sympy.Rational(1, 2), digits=20).str(15)
        '[0.186324413203448 +/- ...]'
    """

    phi: Activation
    derivative: int = 0
    unit: bool = False
    reference: str = MEHLER

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        kind = "dual" if self.unit else "covariance dual"
        suffix = f", derivative {self.derivative}" if self.derivative else ""
        return f"{kind} of {self.phi.name}{suffix}"

    @property
    def args(self) -> tuple[sympy.Symbol, ...]:
        """The arguments, in the order in which a call takes them."""
        return (RHO,) if self.unit else (Q1, Q2, K12)

    @property
    def domain(self) -> sympy.Basic:
        """Where it holds."""
        return sympy.Abs(RHO) <= 1 if self.unit else sympy.Abs(K12) <= sympy.sqrt(Q1 * Q2)

    def diff(self, argument: sympy.Symbol, order: int = 1) -> "HermiteSeries":
        """The exact derivative with respect to k12 or rho.

        Args:
            argument: the symbol k12 or rho, the last of `args`.
            order: of the derivative, at least 1.

        Raises:
            TypeError, ValueError: it is another argument, or the order is no such integer.
        """
        order = check.integer("order", order, minimum=1)
        if argument != self.args[-1]:
            raise ValueError(f"argument must be {self.args[-1]}, got {argument}")
        return HermiteSeries(self.phi, self.derivative + order, self.unit, self.reference)

    def certified(self, *values: Any, digits: int = 30) -> arb:
        r"""A ball that contains the value at exact numbers.

        At \|c\| = 1 it is a one-dimensional integral, elsewhere the series. Where that converges
        slowly (kinks, \|c\| near 1) the ball's radius is what 1024 terms leave.

        Args:
            values: of the arguments, in their order: rationals, floats or balls.
            digits: that are aimed at, at least 1.

        Raises:
            ValueError: if the values are outside the domain.
        """
        digits = check.integer("digits", digits, minimum=1)
        q1, q2, k12 = self._covariance(values)
        phi, done = differentiated(self.phi, self.derivative)
        rest = self.derivative - done
        with ctx.workdps(digits + 15):
            scale = lower.to_ball(q1 * q2).sqrt()
            if k12**2 == q1 * q2 and rest == 0:
                return certified_end(phi, q1, q2, 1 if k12 > 0 else -1, digits)
            c = lower.to_ball(k12) / scale
            value = mehler_ball(phi, (q1, q2), c, digits, rest) / scale**rest
        if not value.is_finite():
            raise ValueError(f"{self.name} is not finite at {self.args} = {values!r}")
        return value

    def _covariance(self, values: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        if len(values) != len(self.args):
            names = ", ".join(map(str, self.args))
            raise TypeError(f"{self.name} takes {len(self.args)} values ({names}), got {values!r}")
        exact = [lower.exact(str(a), v) for a, v in zip(self.args, values, strict=True)]
        q1, q2, k12 = (sympy.Integer(1), sympy.Integer(1), *exact) if self.unit else exact
        if q1 <= 0 or q2 <= 0 or k12**2 > q1 * q2:
            raise ValueError(f"{self.name} holds for {self.domain}, got {values!r}")
        return q1, q2, k12

    def __call__(self, *values: Any) -> Any:
        r"""Evaluate elementwise in floating point, by up to 1024 terms.

        At \|c\| = 1 the value is a one-dimensional integral; elsewhere what the terms leave out is
        at most `left_out`. jax arrays keep their dtype, and jit, vmap and grad go through the call:
        the derivative in k12 is the series of phi'.

        Raises:
            ValueError: if a value is outside the domain, or where the series of a derivative of a
                phi that jumps is not known to converge: then it is infinite at \|c\| = 1.
        """
        phi, order, count, (q1, q2, k12) = self._truncated(values)
        functions = [to_arrays(phi)]
        while not order and len(functions) <= FURTHER and (slope := derivative_of(phi)):
            phi = slope
            functions.append(to_arrays(phi))
        found = evaluate_series(tuple(functions), (q1, q2), k12, count, order, str(self.domain))
        if is_concrete(found) and np.isnan(np.asarray(found)).any():
            raise ValueError(f"{self.name} overflows in floating point at {self.args} = {values!r}")
        if order and is_concrete(found) and not np.isfinite(self.left_out(*values)).all():
            raise ValueError(
                f"{self.name} is infinite where |k12| = sqrt(q1 q2), since derivative "
                f"{self.derivative - order} of phi has a jump, and {count} terms do not tell it so "
                f"near: got {self.args} = {values!r}"
            )
        return found

    def left_out(self, *values: Any) -> Any:
        r"""What the terms that a call takes may leave out, elementwise.

        .. math:: \sqrt{R(q_1) R(q_2)}\,|c|^N, \qquad R(q) = E[\phi^2] - \sum_{n<N} a_n(q)^2

        with phi the function whose products are averaged. It does not count rounding, but where R
        is below the rounding of :math:`E[\phi^2]`, and is an estimate by quadrature, not a ball.

        Args:
            values: of the arguments, in their order, as in a call.

        Examples:
            >>> from kerneltheory.activations.catalogue import softsign, tanh
            >>> [f"{HermiteSeries(phi, unit=True).left_out(0.99):.0e}" for phi in (tanh, softsign)]
            ['7e-18', '4e-13']
        """
        phi, order, count, (q1, q2, k12) = self._truncated(values)
        return left_out(to_arrays(phi), q1, q2, k12, count, order)

    def _truncated(self, values: tuple[Any, ...]) -> tuple[Activation, int, int, tuple]:
        """The function to average, how often its series is differentiated, its terms, arguments."""
        if len(values) != len(self.args):
            self._covariance(values)
        phi, done = differentiated(self.phi, self.derivative)
        arrays = [real_array(str(a), v) for a, v in zip(self.args, values, strict=True)]
        q1, q2, k12 = (1.0, 1.0, *arrays) if self.unit else arrays
        order = self.derivative - done
        if order or not is_concrete(q1, q2):
            return phi, order, MAX_TERMS, (q1, q2, k12)
        largest = max(float(np.max(q, initial=0)) for q in (q1, q2))
        return phi, order, _float_terms(phi, largest), (q1, q2, k12)

    @functools.cached_property
    def latex(self) -> str:
        """The series in LaTeX."""
        power = r"\rho" if self.unit else r"\left(k_{12}/\sqrt{q_1 q_2}\right)"
        factors = "a_n^2" if self.unit else r"a_n(q_1)\,a_n(q_2)"
        body = rf"\sum_{{n=0}}^\infty {factors}\,{power}^n"
        if self.derivative:
            variable = r"\rho" if self.unit else r"k_{12}"
            count = "" if self.derivative == 1 else f"^{self.derivative}"
            body = rf"\frac{{\partial{count}}}{{\partial {variable}{count}}} {body}"
        return body

    def __str__(self) -> str:
        arguments = ", ".join(map(str, self.args))
        power = "rho**n" if self.unit else "(k12/sqrt(q1*q2))**n"
        factors = "a_n**2" if self.unit else "a_n(q1)*a_n(q2)"
        prefix = f"d^{self.derivative}/d{self.args[-1]}^{self.derivative} " * bool(self.derivative)
        return (
            f"{self.name}({arguments}) = {prefix}sum over n of {factors}*{power}, "
            f"a_n(q) = E[phi(sqrt(q) z) he_n(z)], phi(x) = {self.phi.expression}"
        )

    def _repr_latex_(self) -> str:
        arguments = ", ".join(map(sympy.latex, self.args))
        return rf"$\displaystyle \text{{{self.name}}}({arguments}) = {self.latex}$"


Dual = Formula | HermiteSeries
