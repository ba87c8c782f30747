r"""A dual activation divided by its value at 1: the layer map of correlations without biases.

.. math:: \psi(t) = \frac{E[\phi(u)\phi(v)]}{E[\phi^2]} = \sum_n p_n t^n, \qquad
          p_n = \frac{a_n^2}{E[\phi^2]} \ge 0, \quad \sum_n p_n = 1, \quad E[uv] = t

so that the kernel of L hidden layers, each of unit variance, is :math:`\psi(\psi(\dots\psi(t)))`.
It is the generating function of a probability law, and what the kernel does at large depth is what
a branching process with that law does after many generations.
"""

import functools
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.activations.duals import DualFormula, dual_class
from kerneltheory.activations.hermite import hermite_coefficients
from kerneltheory.activations.series import HermiteSeries
from kerneltheory.core import lower
from kerneltheory.core.formula import Formula
from kerneltheory.core.prove import is_zero
from kerneltheory.depth.moments import VARIANCE, closed_moment, derivative, moment
from kerneltheory.kernels.base import T
from kerneltheory.kernels.kernel import DotProductKernel, dot_product_kernel
from kerneltheory.kernels.maps import ball_maps

# An exact expression where there is one, else a ball; sympy's infinity where it diverges.
Number = Any
# How far a number is resolved before it counts as undecided whether it is zero.
DECIDING_DIGITS = 60
# Of a dual that is given as a formula, how many Taylor coefficients are seen not to be negative.
CHECKED_COEFFICIENTS = 24
ONE = sympy.Integer(1)


@dataclass(frozen=True)
class UnitDual:
    """The map psi of one activation, or of a dual given as a kernel of the cosine.

    Attributes:
        source: phi, or the dual.
    """

    source: Activation | DotProductKernel

    @property
    def name(self) -> str:
        """What it is the dual of."""
        if isinstance(self.source, Activation):
            return self.source.name
        return str(self.source.expression)

    def mean(self, digits: int = DECIDING_DIGITS) -> Number:
        """E[phi] at unit second moment; of a dual that is given, the root of its value at 0."""
        return _moments(self.source, digits).mean

    def mean_slope(self, digits: int = DECIDING_DIGITS) -> Number:
        """E[phi'] at unit second moment; of a dual that is given, the root of its slope at 0."""
        return _moments(self.source, digits).mean_slope

    def slope_at_zero(self, digits: int = DECIDING_DIGITS) -> Number:
        """The p_1 = psi'(0)."""
        return square(self.mean_slope(digits))

    def slope_at_one(self, digits: int = DECIDING_DIGITS) -> Number:
        """psi'(1) = E[phi'^2]/E[phi^2]; infinite for a phi that jumps."""
        return _moments(self.source, digits).slope_at_one

    def curvature_at_one(self, digits: int = DECIDING_DIGITS) -> arb | None:
        """Ball around psi''(1); None where it is infinite, as for phi with kinks."""
        return _curvature(self.source, digits)

    def __call__(self, cosine: arb) -> arb:
        """Enclosure of psi at flint's current precision."""
        if isinstance(self.source, Activation):
            maps = ball_maps(self.source)
            return arb(maps.value(arb(1), arb(1), cosine)) / maps.variance(arb(1))
        return arb(self.source.on_balls(cosine))


def unit_dual(phi: Any) -> UnitDual:
    """The normalised dual of an activation, or of a Formula in the correlation.

    Raises:
        TypeError: if it is neither.
        ValueError: if a Formula has more arguments than the correlation, or is no dual: one of its
            Taylor coefficients is negative.
        DerivationError: if phi grows too fast to have a dual.
    """
    if isinstance(phi, DualFormula | HermiteSeries) and phi.derivative == 0:
        return unit_dual(phi.phi)
    if isinstance(phi, Formula | HermiteSeries):
        return UnitDual(_given(phi))
    phi = activation(phi)
    dual_class(phi)  # refuses what grows too fast
    return UnitDual(phi)


def _given(formula: Formula | HermiteSeries) -> DotProductKernel:
    if len(formula.args) != 1 or not isinstance(formula, Formula):
        raise ValueError(
            "phi must be an activation, an expression in one symbol or a dual activation as a "
            f"Formula in the correlation, got {formula.name}, a function of {formula.args}"
        )
    at_one: Any = formula.rhs.subs(formula.args[0], 1)
    if not at_one.is_positive:
        raise ValueError(f"phi must have a dual that is positive at 1, got {formula}")
    kernel = dot_product_kernel(formula.rhs / at_one)
    bits = 53 + 8 * CHECKED_COEFFICIENTS
    for degree, ball in enumerate(kernel.taylor_balls(CHECKED_COEFFICIENTS, bits)):
        if not ball.is_finite() or ball < 0:
            raise ValueError(
                "phi must have a dual activation whose Taylor coefficients are not negative, got "
                f"{formula.name}, whose coefficient {degree} is {ball.str(6, radius=False)}"
            )
    return kernel


# --- moments ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Moments:
    mean: Number
    mean_slope: Number
    slope_at_one: Number


@functools.lru_cache(maxsize=256)
def _moments(source: Activation | DotProductKernel, digits: int) -> _Moments:
    if isinstance(source, DotProductKernel):
        return _moments_of_dual(source)
    with ctx.workdps(digits + 10):
        mean, slope = _coefficients(source, digits)
        square_mean, square_slope = (_square_mean(source, order, digits) for order in (0, 1))
        root = sqrt(square_mean)
        steepness = square_slope if square_slope == sympy.oo else divide(square_slope, square_mean)
        return _Moments(divide(mean, root), divide(slope, root), steepness)


def _coefficients(phi: Activation, digits: int) -> tuple[Number, ...]:
    """a_0 and a_1, exact where they are known; those that parity sets to zero are."""
    found = list(hermite_coefficients(phi, 2, digits))
    for index, parity in enumerate((-1, 1)):
        if phi.parity == parity:
            found[index] = sympy.Integer(0)
    return tuple(found)


def _square_mean(phi: Activation, order: int, digits: int) -> Number:
    """The mean square of a derivative of phi; infinite from the one after a jump."""
    if derivative(phi, order) is None:
        return sympy.oo
    closed = closed_moment(phi, order)
    return moment(phi, order, 1, digits) if closed is None else _at_one(closed)


@functools.lru_cache(maxsize=256)
def _at_one(closed: sympy.Expr) -> sympy.Expr:
    return sympy.simplify(closed.subs(VARIANCE, 1))


@functools.lru_cache(maxsize=256)
def _moments_of_dual(kernel: DotProductKernel) -> _Moments:
    slope = sympy.diff(kernel.expression, T)
    steepness = slope.subs(T, 1)
    if not steepness.is_finite:
        steepness = sympy.limit(slope, T, 1, "-")
    values = (kernel.expression.subs(T, 0), slope.subs(T, 0))
    mean, mean_slope = (sympy.sqrt(sympy.simplify(value)) for value in values)
    return _Moments(mean, mean_slope, sympy.simplify(steepness))


@functools.lru_cache(maxsize=256)
def _curvature(source: Activation | DotProductKernel, digits: int) -> arb | None:
    if isinstance(source, DotProductKernel):
        second: Any = sympy.diff(source.expression, T, 2).subs(T, 1)
        return ball(second, digits) if second.is_finite else None
    above, below = (_square_mean(source, order, digits) for order in (2, 0))
    with ctx.workdps(digits + 10):
        return None if above == sympy.oo else ball(above, digits) / ball(below, digits)


# --- numbers that are exact or balls ----------------------------------------------------------


def ball(value: Number, digits: int) -> arb:
    """A ball around an exact number, or the ball that it is."""
    if isinstance(value, arb):
        return value
    with ctx.workdps(digits + 10):
        return lower.to_ball(value)


def square(value: Number) -> Number:
    """The square, exact where the number is."""
    return value * value if isinstance(value, arb) else sympy.simplify(value**2)


def sqrt(value: Number) -> Number:
    """The root, exact where the number is."""
    return value.sqrt() if isinstance(value, arb) else sympy.sqrt(value)


def divide(above: Number, below: Number) -> Number:
    """The quotient, exact where both numbers are, or the first is an exact zero."""
    if isinstance(above, arb) or isinstance(below, arb):
        zero = not isinstance(above, arb) and above == 0
        digits = DECIDING_DIGITS if zero else int(ctx.dps)
        return above if zero else ball(above, digits) / ball(below, digits)
    return sympy.simplify(above / below)


def sign(value: Number) -> int | None:
    """-1, 0 or 1 with a proof; None if none was found."""
    if not isinstance(value, arb):
        if value in (sympy.oo, -sympy.oo):
            return 1 if value == sympy.oo else -1
        if value == 0 or is_zero(value):
            return 0
        value = ball(value, DECIDING_DIGITS)
    return 1 if value > 0 else -1 if value < 0 else None


def shown(value: Number, digits: int = 10) -> str:
    """A short text: the expression with its value, or the digits of a ball."""
    if isinstance(value, arb):
        return value.str(digits, radius=False)
    text = str(value)
    if value.is_Integer or value in (sympy.oo, -sympy.oo):
        return text
    number = ball(value, digits).str(digits, radius=False)
    return f"{text} = {number}" if len(text) <= 40 else number
