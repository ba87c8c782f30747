r"""Maxima, minima and unit steps in arrays and in balls: the kinks and jumps of real functions.

Between its switches a function is analytic. A complex ball, or the constant term of a power series
of balls, that holds a switch has no analytic function on it: there the result is not finite, or a
series is refused. On a real ball it encloses both sides.
"""

import functools
from typing import Any

import jax.numpy as jnp
import sympy
from flint import acb, arb, arb_series

# sympy has its own way to print these, which takes no scalars beside arrays.
_PRINTED = {kind: sympy.Function(f"Array{kind.__name__}") for kind in (sympy.Max, sympy.Min)}
_STEP = sympy.Function("ArrayStep")
ON_ARRAYS = {
    "ArrayMax": lambda *values: functools.reduce(jnp.maximum, values),
    "ArrayMin": lambda *values: functools.reduce(jnp.minimum, values),
    "ArrayStep": lambda x: jnp.heaviside(x, 0.5),
}


def for_arrays(expression: Any) -> Any:
    """The expression with its switches under the names of `ON_ARRAYS`."""
    for kind, printed in _PRINTED.items():
        expression = expression.replace(kind, printed)
    return expression.replace(sympy.Heaviside, lambda x, at_zero: _STEP(x))


def _side(value: Any) -> int:
    """1 or -1 where the real part is positive or negative, 0 where that is open."""
    if isinstance(value, arb_series):
        value = value[0]
    real = value.real if isinstance(value, acb) else value
    return int(real > 0) - int(real < 0)


def _undecided(value: Any) -> acb:
    if isinstance(value, arb_series):
        raise ValueError("there is a kink or a jump at the point of expansion")
    return acb("nan")


def _larger(a: Any, b: Any) -> Any:
    difference = a - b
    side = _side(difference)
    if side:
        return a if side > 0 else b
    return a.max(b) if isinstance(difference, arb) else _undecided(difference)


def _maximum(*values: Any) -> Any:
    return functools.reduce(_larger, values)


def _minimum(*values: Any) -> Any:
    return -_maximum(*(-value for value in values))


def _step(x: Any, at_zero: Any) -> Any:
    side = _side(x)
    if side:
        return arb(1 if side > 0 else 0)
    if not isinstance(x, arb):
        return _undecided(x)
    return at_zero if x.is_zero() else arb(0).union(arb(1))


def _spike(x: Any) -> Any:
    """The derivative of the step, which is zero but at the jump."""
    return arb(0) if _side(x) else _undecided(x)


# By the names of sympy's functions.
ON_BALLS = {"Max": _maximum, "Min": _minimum, "Heaviside": _step, "DiracDelta": _spike}
