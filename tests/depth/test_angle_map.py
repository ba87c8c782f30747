"""The correlation map in the angle, against closed forms in many digits."""

import math

import mpmath
import numpy as np
import pytest
import sympy

import kerneltheory as kt
from kerneltheory.depth.angle_map import angle_map, is_kinked

GAPS = np.array([1e-14, 1e-9, 1e-4, 0.03, 0.7, 1.5, 1.999])
# Rounding of a series of some 64 terms and of the angle.
TOLERANCE = 2e-14


def test_relu_is_a_line_in_the_angle():
    found = angle_map(kt.relu, sympy.Integer(2), 1.0)
    angles = np.linspace(0, math.pi, 50)
    assert is_kinked(kt.relu)
    assert found.first == pytest.approx(1 / math.pi, rel=1e-14)
    np.testing.assert_allclose(found.slope(angles), 1 - angles / math.pi, atol=1e-15)


def test_the_gap_of_relu_keeps_its_digits():
    """Cho and Saul (2009): c' = (sin a + (pi - a) cos a)/pi."""
    found = angle_map(kt.relu, sympy.Integer(2), 1.0)
    with mpmath.workdps(50):
        angles = [mpmath.acos(1 - mpmath.mpf(g)) for g in GAPS]
        truth = [1 - (mpmath.sin(a) + (mpmath.pi - a) * mpmath.cos(a)) / mpmath.pi for a in angles]
    np.testing.assert_allclose(found.gap(GAPS), np.array(truth, dtype=float), rtol=TOLERANCE)


@pytest.mark.parametrize(("w", "q"), [("3/2", 0.5), ("4", 3.0)])
def test_the_gap_of_erf_keeps_its_digits(w, q):
    """Williams (1996): T = (2/pi) asin(2 k/(1 + 2 q)); over q, not over w T + b."""
    found = angle_map(kt.erf, sympy.Rational(w), q)
    with mpmath.workdps(50):
        scale = 2 * mpmath.mpf(q) / (1 + 2 * mpmath.mpf(q))
        weight = mpmath.mpf(sympy.Rational(w).p) / sympy.Rational(w).q
        truth = [
            weight * 2 / mpmath.pi / q
            * (mpmath.asin(scale) - mpmath.asin(scale * (1 - mpmath.mpf(g))))
            for g in GAPS
        ]  # fmt: skip
    np.testing.assert_allclose(found.gap(GAPS), np.array(truth, dtype=float), rtol=TOLERANCE)


def test_a_series_agrees_with_quadrature():
    """The gap of tanh by its Hermite series, and as E[(phi(u) - phi(v))^2] on Legendre's nodes.

    The nearest pole is 1.28 from the line: 300 nodes on [-13, 13] err by 1.1^-600 = 1e-25.
    """
    q, gap = 1.5, np.array([1e-8, 0.2, 0.9, 1.7])
    found = angle_map(kt.tanh, sympy.Integer(2), q)
    nodes, weights = np.polynomial.legendre.leggauss(300)
    z = 13 * nodes
    weights = weights * np.exp(-z * z / 2)
    weights /= weights.sum()
    # u, v = half their sum +- half their difference, which are independent.
    total, apart = np.sqrt(q * (1 - gap / 2)), np.sqrt(q * gap / 2)
    u, v = (total[:, None, None] * z[:, None] + s * apart[:, None, None] * z for s in (1, -1))
    # tanh(u) - tanh(v) without cancellation.
    change = np.sinh(2 * apart[:, None, None] * z) / (np.cosh(u) * np.cosh(v))
    truth = 2 * np.einsum("i,j,gij->g", weights, weights, change**2) / (2 * q)
    np.testing.assert_allclose(found.gap(gap), truth, rtol=1e-12)
    assert not is_kinked(kt.tanh)


def test_jumps_and_huge_variances_are_refused():
    with pytest.raises(kt.DivergentError, match="diverges"):
        angle_map(kt.step, sympy.Integer(1), 1.0)
    with pytest.raises(kt.PrecisionError, match="smaller variances"):
        angle_map(kt.erf, sympy.Integer(1), 1e9)
