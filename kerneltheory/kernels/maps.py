"""The dual activation of one phi as layer maps in each of the three arithmetics."""

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.duals import correlation_dual, dual_class
from kerneltheory.activations.hermite import certified_end
from kerneltheory.activations.series import derivative_of, mehler_ball, to_arrays
from kerneltheory.core import lower
from kerneltheory.core.errors import DivergentError
from kerneltheory.core.formula import Formula
from kerneltheory.core.hermite_arrays import (
    coefficients,
    mean_square,
    mehler_sum,
    terms_needed,
)
from kerneltheory.kernels.gram import replace_value
from kerneltheory.kernels.recursion import LayerMaps, repeat

UNROLLED = 8
# Of a series: what arrays may miss of E[phi^2], and the most terms that are summed in a layer.
TOLERANCE = 1e-15
MAX_TERMS = 512
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
    formulas = _formulas(phi)
    value, slope, variance, variance_slope = (_lowered(lower.to_balls, f) for f in formulas)
    return LayerMaps(
        value,
        slope,
        lambda q: arb(variance(q)),
        lambda q: arb(variance_slope(q)),
        lower.square_root,
        lambda c: c,
    )


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

    value, tangent = functools.partial(at, phi), functools.partial(at, derivative)
    return LayerMaps(
        value,
        tangent,
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
    value, slope, variance, variance_slope = (
        _lowered(lower.to_jax, formula) for formula in _formulas(phi)
    )
    curvature = _lowered(lower.to_jax, correlation_dual(phi, 2))
    maps = _differentiable_maps(value, slope, curvature, variance, variance_slope)
    return maps if dual_class(phi).name == "elementary" else replace(maps, repeat=_rolled)


def _differentiable_maps(
    value: Any, first: Any, second: Any, variance: Any, variance_slope: Any
) -> LayerMaps[Any]:
    first = _with_derivative(first, second)
    value = _with_derivative(value, first)
    return LayerMaps(
        value, first, variance, variance_slope, jnp.sqrt, rounded_correlation, compiled_repeat
    )


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


def _with_derivative(function: Callable, derivative: Callable) -> Callable:
    """A map of (q1, q2, c) whose derivative in c is the lowered exact one.

    Differentiating the lowered map instead gives NaN at c = +-1, where roots of 1 - c^2 cancel.
    Where the exact derivative is infinite, as that of the slope of relu at coincident inputs, the
    map has the kink of a distance: its derivative along the inputs averages to 0.
    """

    def evaluate(q1: Any, q2: Any, c: Any) -> Any:
        result = function(q1, q2, c)
        shape = jnp.broadcast_shapes(jnp.shape(q1), jnp.shape(q2), jnp.shape(c))
        return jnp.broadcast_to(jnp.asarray(result, jnp.result_type(c)), shape)

    def derive(primals: Any, tangents: Any) -> Any:
        (q1, q2, c), (dq1, dq2, dc) = primals, tangents
        result, along_variances = jax.jvp(
            lambda first, second: evaluate(first, second, c), (q1, q2), (dq1, dq2)
        )
        by_correlation = derivative(q1, q2, c) * jnp.sqrt(q1) * jnp.sqrt(q2)
        by_correlation = jnp.where(jnp.isfinite(by_correlation), by_correlation, 0)
        return result, along_variances + by_correlation * dc

    differentiable = jax.custom_jvp(evaluate)
    differentiable.defjvp(derive)
    return differentiable


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


def rounded_correlation(c: Any) -> Any:
    """Clip to [-1, 1]; a correlation that rounding cannot tell from one is one.

    An angle below sqrt(8 eps) is not resolved by its cosine, and coincident inputs must give the
    diagonal exactly.
    """
    clipped = jnp.clip(c, -1, 1)
    near = 1 - clipped < 4 * jnp.finfo(clipped.dtype).eps
    return replace_value(c, jnp.where(near, jnp.ones_like(clipped), clipped))
