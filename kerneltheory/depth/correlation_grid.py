r"""The correlation that a chaotic network's inputs tend to, at arrays of fixed variances.

With :math:`g = 1 - c` the equation C(c) = c says that the mean of w T' over [c, 1] is one:

.. math:: \frac{w}{q} \cdot \frac{T(q,q,1) - T(q,q,c)}{1 - c} = \frac wq \sum_j R_j c^j = 1,
          \qquad R_j = \sum_{n > j} a_n(q)^2,

which increases with c and loses no digits near the edge of chaos, where C(c) - c would.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.series import to_arrays
from kerneltheory.core import hermite_arrays
from kerneltheory.depth.moment_tables import NODES, interpolated_rows, octave_nodes
from kerneltheory.depth.moments import derivative
from kerneltheory.kernels.maps import is_series, numeric_maps

TERMS = 512
# The search in sqrt(1 - c): the least value, how narrow it ends, and the most steps.
_LEAST, _SETTLED, _MOST, _ROUNDING = 1e-8, 1e-15, 120, 4e-15
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def chaotic_correlations(
    phi: Activation, weight: np.ndarray, variance: np.ndarray, chi_1: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """C* and chi_c at points where chi_1 > 1, each of shape (points,)."""
    if not weight.size:
        return np.ones(0), np.ones(0)
    with jax.enable_x64(True):
        if is_series(phi):
            rows, ends = _squares(phi, variance), variance * chi_1 / weight
            found = _solve_series(rows, ends, weight, variance)
        else:
            found = _solver(phi)(weight, variance)
        return tuple(np.asarray(part) for part in found)  # pyright: ignore[reportReturnType]


def _root(mean_slope: Callable[[Any], Any], weight: Any) -> Any:
    """The gap at which w times a mean slope, which falls with the gap, is one.

    In t = sqrt(gap), since T' of a kinked phi is smooth in that: regula falsi (Illinois), and
    every third time a bisection, until all points are settled.
    """

    def excess(t: Any) -> Any:
        return weight * mean_slope(t * t) - 1

    def unsettled(state: Any) -> Any:
        low, high, _, _, _, value, count = state
        return (count < _MOST) & jnp.any((high - low > _SETTLED) & (jnp.abs(value) > _ROUNDING))

    def step(state: Any) -> Any:
        low, high, above, below, found, value, count = state
        open_ = jnp.abs(value) > _ROUNDING
        secant = low + (high - low) * above / (above - below)
        middle = jnp.where(count % 3 == 2, (low + high) / 2, jnp.clip(secant, low, high))
        value = jnp.where(open_, excess(middle), value)
        chaotic = value > 0
        # The end that stays weighs half, so that the next secant moves it.
        above, below = (
            jnp.where(chaotic, value, above / 2),
            jnp.where(chaotic, below / 2, value),
        )
        ends = jnp.where(chaotic, middle, low), jnp.where(chaotic, high, middle)
        return *ends, above, below, jnp.where(open_, middle, found), value, count + 1

    low, high = jnp.full_like(weight, _LEAST), jnp.ones_like(weight)
    above, below = excess(low), excess(high)
    # The end itself, c = 0, where the mean slope is not below 1/w: odd phi without bias.
    at_zero, at_one = below >= -1e-13, above <= 0
    value = jnp.where(at_zero | at_one, 0.0, 1.0)
    state = (low, high, above, below, low, value, 0)
    found = jax.lax.while_loop(unsettled, step, state)[4]
    return jnp.where(at_zero, 1.0, found**2)


@functools.lru_cache(maxsize=64)
def _solver(phi: Activation) -> Callable[..., Any]:
    """The solver where T and T' are formulas."""
    maps = numeric_maps(phi)
    jumps = derivative(phi, 1) is None

    def mean_slope(q: Any, gap: Any) -> Any:
        if jumps:  # c* is away from 1, and T' infinite there
            return (maps.variance(q) - maps.value(q, q, 1 - gap)) / (q * gap)
        if maps.drop is not None:
            return maps.drop(q, gap) / (q * gap)
        at = (1 + jnp.asarray(_NODES)) / 2
        slopes = maps.slope(q[:, None], q[:, None], 1 - gap[:, None] * at)
        return slopes @ jnp.asarray(_WEIGHTS / 2)

    @jax.jit
    def solve(weight: Any, q: Any) -> Any:
        gap = _root(functools.partial(mean_slope, q), weight)
        by_gap = None if jumps else maps.slope_at_gap
        slope = maps.slope(q, q, 1 - gap) if by_gap is None else by_gap(q, gap)
        return 1 - gap, weight * slope

    return solve


def _squares(phi: Activation, variance: np.ndarray) -> np.ndarray:
    """a_n(q)^2 for n < 512, shape (points, 512), interpolated within octaves."""
    octaves = np.floor(np.log2(variance)).astype(int)
    rows = np.empty((variance.size, TERMS))
    for octave in np.unique(octaves):
        chosen = octaves == octave
        nodes = _node_squares(phi, int(octave))
        rows[chosen] = interpolated_rows(nodes, int(octave), variance[chosen])
    return np.maximum(rows, 0)


@functools.lru_cache(maxsize=256)
def _node_squares(phi: Activation, octave: int) -> np.ndarray:
    """a_n^2 at the nodes of an octave, shape (nodes, terms)."""
    function = _coefficients(phi)
    squares = np.asarray(function(jnp.asarray(octave_nodes(octave)))) ** 2
    return squares.T.reshape(NODES, TERMS)


@functools.lru_cache(maxsize=64)
def _coefficients(phi: Activation) -> Callable[..., Any]:
    arrays = to_arrays(phi)
    return jax.jit(lambda q: hermite_arrays.coefficients(arrays, q, TERMS))


@jax.jit
def _solve_series(squares: Any, at_one: Any, weight: Any, q: Any) -> Any:
    """By the polynomial in c; one term more gives it the value q E[phi'^2] that it has at 1."""
    tails = jnp.cumsum(squares[:, ::-1], axis=1)[:, ::-1][:, 1:].T
    beyond = jnp.maximum(at_one - jnp.sum(tails, axis=0), 0)
    coefficients = jnp.concatenate([tails, beyond[None]])

    def horner(rows: Any, c: Any) -> Any:
        def step(total: Any, row: Any) -> tuple[Any, None]:
            return total * c + row, None

        return jax.lax.scan(step, jnp.zeros_like(c), rows, reverse=True)[0]

    gap = _root(lambda g: horner(coefficients, 1 - g) / q, weight)
    n = jnp.arange(1, TERMS, dtype=squares.dtype)[:, None]
    slope = horner(squares[:, 1:].T * n, 1 - gap) / q
    return 1 - gap, weight * slope
