r"""Second moments of an activation and of its derivatives as arrays in float64.

:math:`M_i(q) = E[\phi^{(i)}(\sqrt q z)^2]` is analytic where Re q > 0, hence in s = ln q in
the strip \|Im s\| < pi/2. On an octave, of half-length ln(2)/2 in s, that is a Bernstein ellipse
with parameter 9: Chebyshev interpolation at 20 points errs by about 9^-20, far below rounding. So
a table of 20 quadratures an octave serves any number of variances, for every activation.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.series import to_arrays
from kerneltheory.core import hermite_arrays
from kerneltheory.depth.moments import closed_moment, derivative, lowered_moment

NODES = 20
# Growth over an octave from which the logarithm is tabulated: that of an exponential is entire.
STEEP = 1e3
# Variances outside of this are refused: quadrature does not resolve phi there.
LOWEST_OCTAVE, HIGHEST_OCTAVE = -60, 20
_ANGLES = (np.arange(NODES) + 0.5) * np.pi / NODES
POINTS = np.cos(_ANGLES)[::-1]
# From values at the points to Chebyshev coefficients.
_TO_COEFFICIENTS = (
    2
    / NODES
    * np.cos(np.arange(NODES)[:, None] * _ANGLES[::-1])
    * np.where(np.arange(NODES), 1, 0.5)[:, None]
)


def mean_square(phi: Activation, order: int, variance: Any) -> np.ndarray:
    """M_i at variances, float64; infinite where a derivative of phi before the i-th jumps."""
    q = np.asarray(variance, dtype=float)
    if derivative(phi, order) is None:
        return np.full(q.shape, np.inf)
    with jax.enable_x64(True):
        return np.asarray(_compiled(phi, order)(jnp.asarray(q)))


@functools.lru_cache(maxsize=512)
def _compiled(phi: Activation, order: int) -> Callable[..., Any]:
    if closed_moment(phi, order) is not None:
        function = lowered_moment(phi, order)
        return jax.jit(lambda q: jnp.broadcast_to(jnp.asarray(function(q), q.dtype), q.shape))
    arrays = to_arrays(derivative(phi, order))  # pyright: ignore[reportArgumentType]
    return jax.jit(functools.partial(hermite_arrays.mean_square, arrays))


def octave_nodes(octave: int) -> np.ndarray:
    """The variances at which an octave [2^k, 2^(k+1)] is tabulated, ascending."""
    return np.exp(math.log(2) * (octave + (POINTS + 1) / 2))


@dataclass(frozen=True)
class Table:
    """Chebyshev series in ln q of a moment, or of its logarithm where it grows by much.

    Attributes:
        coefficients: one row for each octave.
        logarithmic: whether a row is of the logarithm.
        first: the first octave.
    """

    coefficients: np.ndarray
    logarithmic: np.ndarray
    first: int

    def __call__(self, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """M and dM/dq at positive variances inside the octaves."""
        place = np.log2(variance) - self.first
        index = np.clip(np.floor(place).astype(int), 0, len(self.coefficients) - 1)
        x = np.clip(2 * (place - index) - 1, -1, 1)
        rows, logarithmic = self.coefficients[index], self.logarithmic[index]
        value = _clenshaw(rows, x)
        slope = _clenshaw(np.polynomial.chebyshev.chebder(rows, axis=-1), x)
        value = np.exp(np.where(logarithmic, value, 0)) * np.where(logarithmic, 1, value)
        slope = np.where(logarithmic, value, 1) * slope
        return value, slope * (2 / math.log(2)) / variance


@functools.lru_cache(maxsize=128)
def table(phi: Activation, order: int, first: int, last: int) -> Table:
    """M_i over the octaves first, ..., last."""
    nodes = np.stack([octave_nodes(k) for k in range(first, last + 1)])
    values = mean_square(phi, order, nodes)
    least = values.min(axis=1)
    logarithmic = (least > 0) & (values.max(axis=1) > STEEP * least)
    with np.errstate(divide="ignore"):
        values = np.where(logarithmic[:, None], np.log(values), values)
    return Table(values @ _TO_COEFFICIENTS.T, logarithmic, first)


def _clenshaw(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.polynomial.chebyshev.chebval(x, np.moveaxis(rows, -1, 0), tensor=False)


def interpolated_rows(rows: np.ndarray, octave: int, variance: np.ndarray) -> np.ndarray:
    """Functions given at the nodes of one octave, shape (nodes, functions), at variances in it."""
    x = np.clip(2 * (np.log2(variance) - octave) - 1, -1, 1)
    polynomials = np.polynomial.chebyshev.chebvander(x, NODES - 1)
    return (polynomials @ _TO_COEFFICIENTS) @ rows
