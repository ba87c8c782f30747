"""The dual activation of one phi as layer maps in each of the three arithmetics."""

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.duals import correlation_dual, dual_class
from kerneltheory.activations.hermite import certified_end
from kerneltheory.activations.series import derivative_of, mehler_ball, to_arrays
from kerneltheory.core import lower
from kerneltheory.core.differentiable import ROUNDING, rounded_correlation, with_slope
from kerneltheory.core.errors import DivergentError
from kerneltheory.core.formula import Formula
from kerneltheory.core.hermite_arrays import (
    coefficients,
    mean_square,
    mehler_sum,
    terms_needed,
)
from kerneltheory.kernels.recursion import LayerMaps, repeat

UNROLLED = 8
# Of a series: what arrays may miss of E[phi^2], and the most terms that are summed in a layer.
TOLERANCE = 1e-15
MAX_TERMS = 512
# Below this part of T(q, q, 1) and this gap a difference of T would lose too many digits. Three
# nodes then integrate the slope, over an angle of a few hundredths of its scale, to rounding.
CANCELLED, SMALL_GAP = 1e-4, 1e-3
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_GAP_NODES, _GAP_WEIGHTS = ((_NODES + 1) / 2).tolist(), (_WEIGHTS / 2).tolist()
# Layers after which variances move too little to change how many terms they need.
SETTLED = 8


def _at_one(formula: Formula) -> Formula:
    """The formula in q on the diagonal: q1 = q2 = q and c = 1, put in exactly."""
    q1, q2, correlation = formula.args
    return formula.substitute({correlation: sympy.Integer(1)}).substitute({q2: q1})


def _formulas(phi: Activation) -> tuple[Formula, Formula, Formula, Formula]:
    value, slope = correlation_dual(phi), correlation_dual(phi, 1)
    return value, slope, _at_one(value), _at_one(slope)


def check_tangent(phi: Activation) -> None:
    """Refuse activations that jump: their derivative has an infinite second moment."""
    if derivative_of(phi) is None:
        raise DivergentError(
            f"the NTK of {phi.name} diverges: E[phi'(u)^2] is infinite on the diagonal; "
            "its NNGP kernel is finite, use kt.nngp"
        )


def _lowered(translate: Callable[..., Any], formula: Formula) -> Callable[..., Any]:
    """Translate a formula; a step's slope at c = 1 is infinite, and only an NTK asks for it."""

    def infinite(*_: Any) -> Any:
        raise DivergentError(f"{formula.name} is infinite on the diagonal")

    if formula.rhs.has(sympy.zoo, sympy.oo):
        return infinite
    return translate(formula.args, formula.rhs)


@functools.lru_cache(maxsize=256)
def symbolic_maps(phi: Activation) -> LayerMaps[sympy.Expr]:
    """Layer maps on sympy expressions."""
    value, slope, variance, variance_slope = (
        functools.partial(_substitute, formula) for formula in _formulas(phi)
    )
    return LayerMaps(value, slope, variance, variance_slope, sympy.sqrt, lambda c: c)


def _substitute(formula: Formula, *values: sympy.Expr) -> Any:
    return formula.rhs.subs(dict(zip(formula.args, values, strict=True)), simultaneous=True)


@functools.lru_cache(maxsize=256)
def ball_maps(phi: Activation) -> LayerMaps[Any]:
    """Layer maps on real balls, complex balls and ball power series."""
    if is_series(phi):
        return _series_ball_maps(phi)

    def lowered(order: int) -> Callable[..., Any]:
        return _lowered(lower.to_balls, correlation_dual(phi, order))

    def on_diagonal(order: int) -> Callable[..., Any]:
        function = _lowered(lower.to_balls, _at_one(correlation_dual(phi, order)))
        return lambda q: arb(function(q))

    def both() -> Callable[..., Any]:
        value, slope = (correlation_dual(phi, order) for order in (0, 1))
        return lower.to_balls(value.args, (value.rhs, slope.rhs))

    value, slope = (_Late(functools.partial(lowered, order)) for order in (0, 1))
    variance, variance_slope = (_Late(functools.partial(on_diagonal, order)) for order in (0, 1))
    return LayerMaps(
        value,
        slope,
        variance,
        variance_slope,
        lower.square_root,
        lambda c: c,
        both=_Late(both),
    )


class _Late:
    """A map that is derived and translated when it is first called: an NNGP needs no slope."""

    def __init__(self, make: Callable[[], Callable[..., Any]]) -> None:
        self._make = make

    @functools.cached_property
    def _map(self) -> Callable[..., Any]:
        return self._make()

    def __call__(self, *values: Any) -> Any:
        return self._map(*values)


def is_series(phi: Activation) -> bool:
    """Whether the dual of phi is no formula but its Hermite series."""
    return dual_class(phi).name == "series"


def _series_ball_maps(phi: Activation) -> LayerMaps[Any]:
    derivative = derivative_of(phi)

    def at(function: Activation | None, q1: Any, q2: Any, c: Any) -> Any:
        if function is None:
            raise DivergentError(f"the derivative of {phi.name} has no finite second moment")
        return mehler_ball(function, (q1, q2), c, _digits(), most=MAX_TERMS)

    def variance(function: Activation | None, q: Any) -> arb:
        if function is None:
            raise DivergentError(f"the derivative of {phi.name} has no finite second moment")
        return certified_end(function, q, q, 1, _digits())

    value, slope = (lower.entry_by_entry(functools.partial(at, f)) for f in (phi, derivative))
    return LayerMaps(
        value,
        slope,
        functools.partial(variance, phi),
        functools.partial(variance, derivative),
        lower.square_root,
        lambda c: c,
    )


def _digits() -> int:
    """Of the current precision, in steps, so that few sets of coefficients are computed."""
    return 5 * math.ceil(ctx.dps / 5)


@functools.lru_cache(maxsize=256)
def numeric_maps(phi: Activation, terms: int = 0) -> LayerMaps[Any]:
    """Layer maps on arrays, with their exact derivatives.

    Args:
        phi: the activation.
        terms: how many terms are summed, where the dual is a series.
    """
    if is_series(phi):
        return _series_numeric_maps(phi, terms)
    *between, at_one, slope_at_one = _formulas(phi)
    value, slope, curvature = (
        _lowered(lower.to_jax, _in_gaps(formula))
        for formula in (*between, correlation_dual(phi, 2))
    )
    variance, variance_slope = (_lowered(lower.to_jax, f) for f in (at_one, slope_at_one))
    maps = _differentiable_maps(value, slope, curvature, variance, variance_slope)
    if _at_one(correlation_dual(phi, 2)).rhs.has(sympy.zoo, sympy.oo, sympy.nan):
        maps = _with_gaps(maps, curvature, _line_in_angle if phi.homogeneous else _near_one)
    return maps if dual_class(phi).name == "elementary" else replace(maps, repeat=_rolled)


def _in_gaps(formula: Formula) -> Formula:
    """Even polynomials in c whose terms differ in sign, as polynomials in (1 - c)(1 + c).

    Near c = 1 and c = -1 terms of the highest powers of the variances would cancel, as those of
    4 q1 q2 - 4 c^2 q1 q2 + 2 q1 + 2 q2 + 1.
    """
    correlation, gaps = formula.args[-1], sympy.Dummy("gaps")

    def cancels(node: Any) -> bool:
        if not (node.is_Add and node.has(correlation) and node.is_polynomial(correlation)):
            return False
        signs = {term.could_extract_minus_sign() for term in node.args}
        return len(signs) == 2 and node.subs(correlation, -correlation) == node

    def rewritten(node: sympy.Expr) -> sympy.Expr:
        in_gaps = sum(
            coefficient * (1 - gaps) ** (power // 2)
            for (power,), coefficient in sympy.Poly(node, correlation).terms()
        )
        collected = sympy.collect(sympy.expand(in_gaps), gaps)
        return collected.subs(gaps, (1 - correlation) * (1 + correlation))

    return replace(formula, rhs=formula.rhs.replace(cancels, rewritten))


def _differentiable_maps(
    value: Any, first: Any, second: Any, variance: Any, variance_slope: Any
) -> LayerMaps[Any]:
    first = with_slope(first, functools.partial(_by_correlation, second))
    value = with_slope(value, functools.partial(_by_correlation, first))
    return LayerMaps(
        value, first, variance, variance_slope, jnp.sqrt, rounded_correlation, compiled_repeat
    )


def _by_correlation(slope: Callable[..., Any], q1: Any, q2: Any, c: Any) -> Any:
    """The derivative in c of a map whose derivative in the covariance is given.

    Where it is infinite, as that of the slope of relu at coincident inputs, the map has the kink of
    a distance: its derivative along the inputs averages to 0.
    """
    derivative = slope(q1, q2, c) * jnp.sqrt(q1) * jnp.sqrt(q2)
    return jnp.where(jnp.isfinite(derivative), derivative, 0)


def _with_gaps(maps: LayerMaps[Any], curvature: Any, of_gap: Any) -> LayerMaps[Any]:
    """The maps of a gap g = 1 - c, for a T' that is smooth in the angle and not in c."""
    slope, drop = of_gap(maps)

    def by_gap(derivative: Any, q: Any, gap: Any) -> Any:
        return -_by_correlation(derivative, q, q, 1 - gap)

    slope_at_gap = with_slope(slope, functools.partial(by_gap, curvature))
    drop = with_slope(drop, lambda q, gap: q * slope_at_gap(q, gap))
    return replace(maps, drop=drop, slope_at_gap=slope_at_gap)


def _line_in_angle(maps: LayerMaps[Any]) -> tuple[Any, Any]:
    r"""T' and the drop of T for homogeneous phi, whose T' is a line in the angle.

    .. math:: T' = s - r\theta, \qquad T(q, q, 1) - T(q, q, \cos\theta)
        = q \int_0^\theta T' \sin = q\,(s\,g - r\,(\sin\theta - \theta \cos\theta))
    """

    def line(gap: Any) -> tuple[Any, Any]:
        one = jnp.ones((), gap.dtype)
        end = maps.variance_slope(one)
        return end, (end - maps.slope(one, one, -one)) / math.pi

    def angle_and_halves(gap: Any) -> tuple[Any, Any, Any]:
        """The angle, and the sine and cosine of its half: a small gap tells all their digits."""
        sine, cosine = jnp.sqrt(gap / 2), jnp.sqrt(jnp.maximum(1 - gap / 2, 0))
        return 4 * jnp.arctan(sine / (1 + cosine)), sine, cosine

    def slope(q: Any, gap: Any) -> Any:
        end, rate = line(gap)
        return end - rate * angle_and_halves(gap)[0]

    def drop(q: Any, gap: Any) -> Any:
        end, rate = line(gap)
        angle, sine, cosine = angle_and_halves(gap)
        # The difference is rounded by eps times the angle, which moves the next angle by eps.
        lost = end * gap - rate * (2 * sine * cosine - angle * (1 - gap))
        return q * jnp.maximum(lost, 0)

    return slope, drop


def _near_one(maps: LayerMaps[Any]) -> tuple[Any, Any]:
    """T' and the drop of T for any phi, by integrating T' where a difference of T would cancel."""

    def slope(q: Any, gap: Any) -> Any:
        # At a gap that c resolves; from there to 0 the slope is a line in the angle, to rounding.
        c = 1 - jnp.maximum(gap, ROUNDING * jnp.finfo(gap.dtype).eps)
        end = maps.variance_slope(q)
        return end - (end - maps.slope(q, q, c)) * jnp.sqrt(gap / (1 - c))

    def drop(q: Any, gap: Any) -> Any:
        end = maps.variance(q)
        far = end - maps.value(q, q, 1 - gap)
        angle = 2 * jnp.arcsin(jnp.sqrt(jnp.clip(gap / 2, 0, 1)))
        near = sum(
            weight * jnp.sin(node * angle) * slope(q, 2 * jnp.sin(node * angle / 2) ** 2)
            for node, weight in zip(_GAP_NODES, _GAP_WEIGHTS, strict=True)
        )
        cancelled = (far < CANCELLED * end) & (gap < SMALL_GAP)
        return jnp.where(cancelled, q * angle * near, jnp.maximum(far, 0))

    return slope, drop


def _series_numeric_maps(phi: Activation, terms: int) -> LayerMaps[Any]:
    derivative = derivative_of(phi)
    function = to_arrays(phi)
    slope_function = None if derivative is None else to_arrays(derivative)

    def sums(order: int, q1: Any, q2: Any, c: Any) -> Any:
        first, second = coefficients(function, q1, terms), coefficients(function, q2, terms)
        return mehler_sum(first, second, c, order) / (jnp.sqrt(q1) * jnp.sqrt(q2)) ** order

    def diagonal(of: Any, q: Any) -> Any:
        if of is None:
            raise DivergentError(f"the derivative of {phi.name} has no finite second moment")
        return mean_square(of, q)

    value, first, second = (functools.partial(sums, order) for order in range(3))
    variance, variance_slope = (
        functools.partial(diagonal, of) for of in (function, slope_function)
    )
    maps = _differentiable_maps(value, first, second, variance, variance_slope)
    return replace(maps, repeat=_rolled)


@functools.lru_cache(maxsize=1024)
def terms_for(
    phi: Activation, depth: int, weight_variance: float, bias_variance: float, largest: float
) -> tuple[int, float]:
    """How many terms of a series float64 takes in a network, and what share they leave out.

    Args:
        phi: the activation.
        depth: number of hidden layers.
        weight_variance: of every layer.
        bias_variance: of every layer.
        largest: the largest variance of a first preactivation.

    Returns:
        The number of terms, and the largest part of E[phi^2] that is missing in a layer; (0, 0)
        where the dual is a formula.
    """
    if not is_series(phi):
        return 0, 0.0
    function, q, found = to_arrays(phi), largest, []
    with jax.enable_x64(True):
        for _ in range(min(depth, SETTLED)):
            found.append(terms_needed(function, q, TOLERANCE, MAX_TERMS))
            q = weight_variance * float(mean_square(function, q)) + bias_variance
    return max(found)


def compiled_repeat(count: int, step: Callable[[Any], Any], state: Any) -> Any:
    """Apply a layer several times; deep networks as one compiled loop.

    Unrolled, a shallow network is faster and a network of 300 layers takes minutes to compile.
    """
    return repeat(count, step, state) if count <= UNROLLED else _rolled(count, step, state)


def _rolled(count: int, step: Callable[[Any], Any], state: Any) -> Any:
    """Apply a layer several times as one compiled loop."""

    def body(_: Any, state: Any) -> Any:
        # A map may be a constant: the state keeps its shapes and dtypes.
        return jax.tree.map(
            lambda old, new: jnp.broadcast_to(jnp.asarray(new, old.dtype), old.shape),
            state,
            step(state),
        )

    return jax.lax.fori_loop(0, count, body, state)
