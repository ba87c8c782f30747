"""The bivariate normal distribution in its three arithmetics, against integrals and identities."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import sympy
from flint import acb, arb, arb_series, ctx

from kerneltheory.core import lower, normal_arrays, normal_balls
from kerneltheory.core.normal import (
    BivariateExponential,
    BivariateNormalCDF,
    ConditionalNormalCDF,
    NormalCDF,
)

H, K, R = sympy.symbols("h k rho", real=True)
FUNCTIONS = (BivariateNormalCDF, ConditionalNormalCDF, BivariateExponential)


def truth(h, k, rho):
    """P(X <= h, Y <= k) as the integral over X of a conditional distribution."""
    h, k, rho = mp.mpf(h), mp.mpf(k), mp.mpf(rho)
    s = mp.sqrt((1 - rho) * (1 + rho))
    centre = k / rho if rho else mp.mpf(0)
    cuts = [c for c in (centre - 8 * s, centre, centre + 8 * s, h - 2, h - 8) if -20 < c < h]
    return mp.quad(lambda x: mp.npdf(x) * mp.ncdf((k - rho * x) / s), [-20, *sorted(cuts), h])


POINTS = [
    (0.5, -0.25, 0.3),
    (-3, -4, 0.5),
    (-3, -4, -0.5),
    (2, -1, 0.999),
    (1, 1, 0.9999),
    (1, 1.001, -0.999),
    (0, 1, -0.7),
    (-6, 2, 0.25),
]


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_balls_contain_the_integral_and_floats_are_relatively_close(point):
    with mp.workdps(40), ctx.workdps(30):
        expected = truth(*point)
        ball = normal_balls.bivariate_normal_cdf(*map(arb, point))
        assert abs(ball - arb(mp.nstr(expected, 38))).abs_upper() < 1e-20 * float(expected)
    found = float(_floats(normal_arrays.bivariate_normal_cdf, *point))
    # The level's own rounding moves the tail by its size times eps, here by less than 40 eps.
    assert found == pytest.approx(float(expected), rel=1e-13, abs=0)


def _floats(function, *point):
    with jax.enable_x64(True):
        return np.asarray(function(*map(jnp.asarray, map(float, point))))


def test_floats_are_balls_everywhere(rng):
    size = 10.0 ** rng.uniform(-2, 1, 300)
    h, k = rng.standard_normal((2, 300)) * size
    k[::5] = h[::5]
    rho = rng.uniform(-1, 1, 300)
    rho[::3] = np.sign(rho[::3]) * (1 - 10.0 ** rng.uniform(-15, -1, 100))
    found = _floats_of(normal_arrays.bivariate_normal_cdf, h, k, rho)
    for value, *point in zip(found, h, k, rho, strict=True):
        with ctx.workdps(30):
            exact = float(normal_balls.bivariate_normal_cdf(*map(arb, point)).mid())
        assert value == pytest.approx(exact, rel=1e-12, abs=1e-300)


def _floats_of(function, *arrays):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(function)(*map(jnp.asarray, arrays)))


@pytest.mark.parametrize("rho", [0.4, -0.95])
def test_sheppards_quadrant_and_reflection(rho):
    # Sheppard (1899): P(X <= 0, Y <= 0); and P(X <= h) = P(.., Y <= k) + P(.., -Y <= -k).
    corner = float(_floats(normal_arrays.bivariate_normal_cdf, 0, 0, rho))
    assert corner == pytest.approx(0.25 + np.arcsin(rho) / (2 * np.pi), rel=1e-14, abs=0)
    first = float(_floats(normal_arrays.bivariate_normal_cdf, -0.7, 1.2, rho))
    second = float(_floats(normal_arrays.bivariate_normal_cdf, -0.7, -1.2, -rho))
    assert first + second == pytest.approx(float(mp.ncdf(-0.7)), rel=1e-14, abs=0)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_derivatives_are_difference_quotients_in_balls(function):
    point = (sympy.Rational(1, 3), sympy.Rational(-3, 4), sympy.Rational(2, 5))
    step = sympy.Rational(1, 10**10)
    for index, symbol in enumerate((H, K, R)):
        slope = sympy.diff(function(H, K, R), symbol)
        up, down = list(point), list(point)
        up[index], down[index] = point[index] + step, point[index] - step
        with ctx.workdps(50):
            value = arb(1) * lower.to_balls((H, K, R), slope)(*map(_arb, point))
            whole = lower.to_balls((H, K, R), function(H, K, R))
            quotient = (whole(*map(_arb, up)) - whole(*map(_arb, down))) / (2 * _arb(step))
            # Central differences err by step^2/6 of a third derivative below 100.
            assert abs(value - quotient).abs_upper() < 20e-20


def _arb(value):
    return arb(lower.to_fmpq(value))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bivariate_normal_cdf", "conditional_normal_cdf"])
def test_gradients_of_arrays_are_those_of_the_formula(name):
    function = {f.__name__: f for f in FUNCTIONS}[
        "BivariateNormalCDF" if name.startswith("bi") else "ConditionalNormalCDF"
    ]
    point = (0.5, -0.75, 0.625)
    with jax.enable_x64(True):
        found = jax.grad(getattr(normal_arrays, name), argnums=(0, 1, 2))(*point)
    for value, symbol in zip(found, (H, K, R), strict=True):
        slope = lower.to_balls((H, K, R), sympy.diff(function(H, K, R), symbol))
        with ctx.workdps(30):
            assert float(value) == pytest.approx(float((arb(1) * slope(*map(arb, point))).mid()))


def test_wide_balls_and_complex_balls_contain_the_values():
    wide = normal_balls.bivariate_normal_cdf(arb(0.5, 0.01), arb(-1, 0.01), arb(0.3, 0.01))
    for shift in (-0.009, 0, 0.009):
        inner = normal_balls.bivariate_normal_cdf(arb(0.5 + shift), arb(-1 - shift), arb(0.3))
        assert wide.overlaps(inner)
        assert wide.contains(inner.mid())
    # Analytic: the mean over a circle is the value at its centre.
    centre, total, count = (0.5, -1.0, 0.3), acb(0), 16
    for n in range(count):
        step = acb(arb(2 * n) / count).exp_pi_i() * 0.1
        total += normal_balls.bivariate_normal_cdf(*(acb(c) + step for c in centre))
    middle = normal_balls.bivariate_normal_cdf(*map(arb, centre))
    assert abs(total / count - acb(middle)).abs_upper() < 1e-12


def test_series_of_balls_sum_to_the_values():
    t, at = arb_series([0, 1], prec=12), arb(1) / 64
    found = normal_balls.bivariate_normal_cdf(0.5 + t, t * t - 1, 0.3 - t / 2)
    total = sum((arb(found[n]) * at**n for n in range(10)), arb(0))
    value = normal_balls.bivariate_normal_cdf(0.5 + at, at * at - 1, 0.3 - at / 2)
    # Analytic for |t| < 1, with coefficients of order 1: what is left out is near 64^-10.
    assert abs(total - value).abs_upper() < 1e-14


def test_ends_of_the_correlation_are_exact():
    a = sympy.Symbol("a", positive=True)
    assert BivariateNormalCDF(-a, a, 1) == NormalCDF(-a)
    assert BivariateNormalCDF(-a, -2 * a, -1) == 0
    assert BivariateNormalCDF(a, 2 * a, -1) == NormalCDF(a) - NormalCDF(-2 * a)
    assert ConditionalNormalCDF(a, a, 1) == sympy.Rational(1, 2)
    assert ConditionalNormalCDF(a, -a, 1) == 0
    assert BivariateExponential(a, a, 1) == sympy.exp(-(a**2) / 2)
    assert BivariateExponential(a, -a, 1) == 0
    for rho in (1.0, -1.0):
        found = _floats(normal_arrays.bivariate_normal_cdf, 0.5, -0.25, rho)
        expected = mp.ncdf(-0.25) if rho > 0 else mp.ncdf(0.5) - mp.ncdf(0.25)
        assert float(found) == pytest.approx(float(expected), rel=1e-14, abs=0)
