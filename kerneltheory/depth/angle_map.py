r"""The correlation map of one layer at a fixed variance, as two short series in the angle.

Between inputs of one variance q an angle :math:`\theta` apart, :math:`g = 1 - \cos\theta`, a layer
has the slope :math:`\chi(\theta) = w\,T'(q, q, \cos\theta)`, and the gap that follows is
:math:`q' g' = q \int_0^\theta \chi(s) \sin s\,ds`. Both are carried by what they lack at 0,

.. math:: \chi = \chi_1 - \theta^k R(\theta), \qquad q' g' = q\,g\,(\chi_1 - \theta^k S(\theta))

with k = 2 for phi without a kink and k = 1 with one. R and S are analytic on [0, pi], so that their
Chebyshev series are short, and no digit of a small gap is lost in a million layers.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import sympy
from flint import arb, ctx
from numpy.polynomial.chebyshev import chebval, chebvander

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.series import derivative_of, to_arrays
from kerneltheory.core import lower
from kerneltheory.core.errors import PrecisionError
from kerneltheory.core.hermite_arrays import coefficients, mean_square, terms_needed
from kerneltheory.kernels.interpolant import chebyshev_coefficients
from kerneltheory.kernels.maps import ball_maps, check_tangent, is_series

# Lengths of the series that are tried: one compilation serves all maps of one length.
LENGTHS = (16, 32, 64, 128, 256)
# Coefficients below this part of the largest are what rounding leaves.
NEGLIGIBLE = 2.0**-50
# Digits in which the slope of a closed dual is evaluated: its differences keep those of a float.
DIGITS = 35
# Terms of a series, and the part of E[phi'^2] that they may miss.
MOST_TERMS, MISSING = 1024, 1e-15
# Gauss-Legendre nodes for the integral from 0 to an angle; exact beyond all lengths of the series.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(160)


@dataclass(frozen=True, eq=False)
class AngleMap:
    r"""One layer at variance q; `pair_recursion` evaluates it.

    Attributes:
        chi_1: the slope at angle 0.
        power: k.
        series: Chebyshev coefficients of R and S in :math:`2\theta/\pi - 1`, shape (2, length).
    """

    chi_1: float
    power: int
    series: np.ndarray

    @property
    def first(self) -> float:
        r"""R(0): the rate of a kink, or half the slope's derivative :math:`-d\chi/dc` at c = 1."""
        return float(chebval(-1.0, self.series[0]))

    def slope(self, angle: Any) -> Any:
        r""":math:`\chi(\theta)`."""
        return self.chi_1 - angle**self.power * chebval(2 * angle / np.pi - 1, self.series[0])

    def gap(self, gap: Any) -> Any:
        """The gap of the next layer at the fixed variance."""
        angle = 2 * np.arcsin(np.sqrt(np.minimum(gap / 2, 1)))
        lacking = angle**self.power * chebval(2 * angle / np.pi - 1, self.series[1])
        return gap * (self.chi_1 - lacking)


def is_kinked(phi: Activation) -> bool:
    """Whether phi has a kink, where T' is a line in the angle at coincident inputs."""
    slope = derivative_of(phi)
    return slope is not None and derivative_of(slope) is None


def angle_map(
    phi: Activation, weight_variance: Any, variance: Any, chi_1: float | None = None
) -> AngleMap:
    """The map of a layer at one variance.

    Args:
        phi: the activation.
        weight_variance: w, exact.
        variance: q, exact or a float.
        chi_1: the slope at angle 0 where it is known better, as at criticality.

    Raises:
        DivergentError: if phi jumps, so that the slope is infinite.
        PrecisionError: if the longest series is too short, as at a huge variance.
    """
    check_tangent(phi)
    return _angle_map(phi, sympy.Rational(weight_variance), float(variance), chi_1)


@functools.lru_cache(maxsize=4096)
def _angle_map(phi: Activation, w: Any, variance: float, chi_1: float | None) -> AngleMap:
    power = 1 if is_kinked(phi) else 2
    lacking = _series_lacking if is_series(phi) else _ball_lacking
    for length in LENGTHS:
        nodes = (np.cos((np.arange(length) + 0.5) * np.pi / length) + 1) * (np.pi / 2)
        at_one, missing = lacking(phi, w, variance, nodes)
        series = chebyshev_coefficients(missing / nodes**power, 0)
        integrated = chebyshev_coefficients(_weights(length, power) @ series, 0)
        both = np.stack([series, integrated])
        if (np.abs(both[:, -4:]).max(axis=1) <= NEGLIGIBLE * np.abs(both).max(axis=1)).all():
            return AngleMap(at_one if chi_1 is None else chi_1, power, both)
    raise PrecisionError(
        f"the slope of {phi.name} at variance {variance:g} changes too fast with the angle for "
        f"{LENGTHS[-1]} terms; take smaller variances"
    )


@functools.lru_cache(maxsize=16)
def _weights(length: int, power: int) -> np.ndarray:
    r"""S at the nodes from the coefficients of R.

    .. math:: \theta^k S(\theta) (1 - \cos\theta) = \int_0^\theta s^k R(s) \sin s\,ds
    """
    nodes = (np.cos((np.arange(length) + 0.5) * np.pi / length) + 1) * (np.pi / 2)
    share, weights = (_NODES + 1) / 2, _WEIGHTS / 2
    inner = nodes[:, None] * share
    kernel = weights * share**power * np.sin(inner) * nodes[:, None]
    kernel /= 2 * np.sin(nodes[:, None] / 2) ** 2
    return np.einsum("jk,jkn->jn", kernel, chebvander(2 * inner / np.pi - 1, length - 1))


def _ball_lacking(
    phi: Activation, w: Any, variance: float, angles: np.ndarray
) -> tuple[float, np.ndarray]:
    """chi_1, and chi_1 - chi at every angle, for duals that are formulas."""
    maps = ball_maps(phi)
    with ctx.workdps(DIGITS):
        q, weight = arb(variance), arb(lower.to_fmpq(w))
        at_one = weight * maps.variance_slope(q)
        found = [at_one - weight * maps.slope(q, q, arb(float(a)).cos()) for a in angles]
    return lower.to_float(at_one), np.array([lower.to_float(ball) for ball in found])


def _series_lacking(
    phi: Activation, w: Any, variance: float, angles: np.ndarray
) -> tuple[float, np.ndarray]:
    """The same for a Hermite series, as a sum of positive terms b_n^2 (1 - c^n)."""
    slope, weight = derivative_of(phi), float(w)
    assert slope is not None  # check_tangent
    function = to_arrays(slope)
    terms, _ = terms_needed(function, variance, MISSING, MOST_TERMS)
    with jax.enable_x64(True):
        squares = np.asarray(coefficients(function, variance, terms)) ** 2
        total = float(mean_square(function, variance))
    c, n = np.cos(angles)[:, None], np.arange(terms)
    gap = 2 * np.sin(angles / 2)[:, None] ** 2
    # 1 - c^n without cancellation where c is near 1.
    near = -np.expm1(n * np.log1p(-np.minimum(gap, 0.5)))
    powers = np.where(gap < 0.5, near, 1 - c**n)
    # What the terms leave out has c^n of its own, which is near 0 but at the ends.
    rest = max(total - squares.sum(), 0.0)
    beyond = rest * (1 - np.where(c > 0, c, 0)[:, 0] ** terms)
    return weight * total, weight * (powers @ squares + beyond)
