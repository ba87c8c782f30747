"""The dual activation of one phi as layer maps in each of the three arithmetics."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import sympy
from flint import acb, arb

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.derive import correlation_dual
from kerneltheory.core import lower
from kerneltheory.core.errors import DivergentError
from kerneltheory.core.formula import Formula
from kerneltheory.kernels.centred import Centred
from kerneltheory.kernels.gram import replace_value
from kerneltheory.kernels.recursion import LayerMaps, repeat

UNROLLED = 8


def _at_one(formula: Formula) -> Formula:
    """The formula in q on the diagonal: q1 = q2 = q and c = 1, put in exactly."""
    q1, q2, correlation = formula.args
    return formula.substitute({correlation: sympy.Integer(1)}).substitute({q2: q1})


def _formulas(phi: Activation) -> tuple[Formula, Formula, Formula, Formula]:
    value, slope = correlation_dual(phi), correlation_dual(phi, 1)
    return value, slope, _at_one(value), _at_one(slope)


def check_tangent(phi: Activation) -> None:
    """Refuse activations whose derivative has an infinite second moment."""
    if not _at_one(correlation_dual(phi, 1)).rhs.is_finite:
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
    """Layer maps on real balls, complex balls, ball power series and centred forms."""
    formulas = _formulas(phi)
    value, slope, variance, variance_slope = (_lowered(lower.to_balls, f) for f in formulas)
    return LayerMaps(
        functools.partial(_centred_value, value, slope),
        functools.partial(_centred_slope, slope),
        lambda q: arb(variance(q)),
        lambda q: arb(variance_slope(q)),
        lower.square_root,
        lambda c: c,
    )


def _centred_value(value: Callable, slope: Callable, q1: Any, q2: Any, c: Any) -> Any:
    if not isinstance(c, Centred):
        return value(q1, q2, c)
    scale = lower.square_root(q1) * lower.square_root(q2)
    return c.apply(functools.partial(value, q1, q2), lambda x: slope(q1, q2, x) * scale)


def _centred_slope(slope: Callable, q1: Any, q2: Any, c: Any) -> Any:
    return acb(slope(q1, q2, c.box)) if isinstance(c, Centred) else slope(q1, q2, c)


@functools.lru_cache(maxsize=256)
def numeric_maps(phi: Activation) -> LayerMaps[Any]:
    """Layer maps on arrays, with their exact derivatives."""
    value, slope, variance, variance_slope = (
        _lowered(lower.to_jax, formula) for formula in _formulas(phi)
    )
    curvature = _lowered(lower.to_jax, correlation_dual(phi, 2))
    slope = _with_derivative(slope, curvature)
    value = _with_derivative(value, slope)
    return LayerMaps(
        value, slope, variance, variance_slope, jnp.sqrt, rounded_correlation, compiled_repeat
    )


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
    if count <= UNROLLED:
        return repeat(count, step, state)

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
