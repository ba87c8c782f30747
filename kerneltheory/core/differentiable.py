"""Array functions of a correlation that keep exact values and derivatives at its ends."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# A correlation of rows of a few thousand columns is computed to this many units of rounding.
ROUNDING = 64
# A gap 1 - c below this many units counts as none: an angle below sqrt(8 eps) is not resolved by
# its cosine, and coincident inputs must give the diagonal exactly.
COINCIDENT = 4


def replace_value(value: Any, better: Any) -> Any:
    """`better`, a correction of `value` within rounding, with the derivative of `value`."""
    return jax.lax.stop_gradient(better) + (value - jax.lax.stop_gradient(value))


def rounded_correlation(c: Any) -> Any:
    """Clip to [-1, 1]; a correlation that rounding cannot tell from one is one."""
    clipped = jnp.clip(c, -1, 1)
    near = 1 - clipped < COINCIDENT * jnp.finfo(clipped.dtype).eps
    return replace_value(c, jnp.where(near, jnp.ones_like(clipped), clipped))


def inside(c: Any) -> Any:
    """Clip to [-1, 1] what rounding put just outside; NaN what is further out."""
    clipped = replace_value(c, jnp.clip(c, -1, 1))
    outside = jnp.abs(c) > 1 + ROUNDING * jnp.finfo(c.dtype).eps
    return jnp.where(outside, jnp.nan, clipped)


def of_covariance(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of (q1, q2, c) as one of (q1, q2, k), k = c sqrt(q1 q2)."""

    def evaluate(q1: Any, q2: Any, k: Any) -> Any:
        scale = jnp.sqrt(q1) * jnp.sqrt(q2)
        c = inside(k / jnp.where(scale > 0, scale, 1))
        # Antipodal inputs are as exact as coincident ones.
        settled = -rounded_correlation(-rounded_correlation(c))
        return function(q1, q2, jnp.where(jnp.isnan(c), c, settled))

    return evaluate


def by_correlation(orders: Callable[[int], Callable[..., Any]], order: int) -> Callable[..., Any]:
    """A function of (..., c) that knows its derivatives.

    Args:
        orders: the n-th derivative in the covariance as a function of (q1, q2, c), or of c alone
            where both variances are one.
        order: which of them is wanted.
    """

    def slope(*arguments: Any) -> Any:
        value = by_correlation(orders, order + 1)(*arguments)
        for variance in arguments[:-1]:
            value = value * jnp.sqrt(variance)
        return value

    return with_slope(orders(order), slope)


def with_slope(function: Callable[..., Any], slope: Callable[..., Any]) -> Callable[..., Any]:
    """A function of (..., c) whose derivative in c is another function of the same arguments.

    Differentiating a lowered formula gives NaN at c = +-1, where roots of 1 - c^2 cancel; the
    exact derivative, lowered, is right there.
    """

    def evaluate(*arguments: Any) -> Any:
        result, c = function(*arguments), arguments[-1]
        shape = jnp.broadcast_shapes(*map(jnp.shape, arguments))
        return jnp.broadcast_to(jnp.asarray(result, jnp.result_type(c)), shape)

    def derive(primals: Any, tangents: Any) -> Any:
        *variances, c = primals
        result, change = evaluate(*primals), slope(*primals) * tangents[-1]
        if variances:
            _, along = jax.jvp(lambda *q: evaluate(*q, c), tuple(variances), tuple(tangents[:-1]))
            change = change + along
        return result, change

    differentiable = jax.custom_jvp(evaluate)
    differentiable.defjvp(derive)
    return differentiable
