"""Duals that are series: floats against balls up to the ends, jax through them, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from kerneltheory.activations.activation import X, activation
from kerneltheory.activations.catalogue import softsign, tanh
from kerneltheory.activations.duals import covariance_dual, dual
from kerneltheory.activations.series import HermiteSeries

# Its kink is away from 0, and at opposite inputs on the other side.
KINK = activation(sympy.Max(sympy.Rational(1, 2), X) / (1 + X**2), name="kink")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phi", "derivative"), [(tanh, 0), (softsign, 0), (softsign, 1), (KINK, 0)], ids=str
)
def test_ends_are_the_integrals(phi, derivative):
    q1, q2 = sympy.Integer(100), sympy.Rational(1, 4)
    found = covariance_dual(phi, derivative)
    scale = np.sqrt(float(found.certified(q1, q1, q1) * found.certified(q2, q2, q2)))
    for end in (-1, 1):
        k = end * sympy.sqrt(q1 * q2)
        truth = found.certified(q1, q2, k, digits=17)
        assert truth.rad() < 1e-16
        # Sums of about two thousand terms round.
        assert abs(float(found(*map(float, (q1, q2, k)))) - float(truth.mid())) < 1e-12 * scale


def tanh_by_trapezium(variance, c):
    """E[tanh(u) tanh(v)] for v = c u + s y; the poles of tanh make both sums exact to rounding."""
    root, s = np.sqrt(variance), np.sqrt((1 - c) * (1 + c))
    z, y = np.arange(-9, 9, 1 / 64), np.arange(-9, 9, 1 / 8)
    densities = [np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0]) for x in (z, y)]
    inner = np.tanh(root * (c * z[:, None] + s * y)) @ densities[1]
    return float(densities[0] @ (np.tanh(root * z) * inner))


@pytest.mark.parametrize("sign", [1, -1])
def test_near_the_ends_what_is_stated_holds(sign):
    """At a variance so large that 1024 terms miss 1e-6 of the mass."""
    found, end = covariance_dual(tanh), 100.0 * sign
    at_end, slope = (
        abs(float(found(100.0, 100.0, end))),
        float(covariance_dual(tanh, 1)(100.0, 100.0, 100.0)),
    )
    for gap in (1e-8, 1e-4, 1e-3, 1e-2):
        k = end * (1 - gap)
        value, stated = (float(f(100.0, 100.0, k)) for f in (found, found.left_out))
        assert abs(value - tanh_by_trapezium(100.0, k / 100)) < stated + 1e-14
        # An odd dual with a positive series is convex: it lies above its tangent at 1.
        assert abs(value) >= at_end - 100 * gap * slope - 1e-14


def test_what_is_stated_is_little_where_the_series_is_fast():
    assert dual(tanh).left_out(1.0) < 1e-15
    assert dual(softsign).left_out(0.5) == 0
    assert 1e-12 < dual(softsign).left_out(1.0) < 1e-7


@pytest.mark.slow
def test_jax_goes_through():
    found, slope = dual(tanh), dual(tanh, 1)
    rho = jnp.linspace(-1, 1, 5, dtype=jnp.float32)
    exact, tilt = found(np.asarray(rho, float)), slope(np.asarray(rho, float))
    traced, gradient = jax.jit(jax.vmap(jax.value_and_grad(found)))(rho)
    # The derivative is the slope at the ends too, where that of the terms alone is not.
    for values, expected in ((found(rho), exact), (traced, exact), (gradient, tilt)):
        assert isinstance(values, jax.Array)
        assert values.dtype == jnp.float32
        np.testing.assert_allclose(values, expected, rtol=0, atol=2e-6)
    general, k = covariance_dual(tanh), jnp.float32(0.5)
    by_variance = jax.grad(lambda q: general(q, 2.0, k))(jnp.float32(1.0))
    # T is smooth in q: the error of the quotient is T''' h^2 / 6 and rounding / h.
    quotient = (general(1.001, 2.0, 0.5) - general(0.999, 2.0, 0.5)) / 0.002
    assert float(by_variance) == pytest.approx(float(quotient), abs=1e-5)


def test_numpy_stays_numpy_in_float64():
    broadcast = covariance_dual(tanh)(np.ones((3, 1)), 2.0, np.array([0.1, 0.2]))
    assert isinstance(broadcast, np.ndarray)
    assert (broadcast.dtype, broadcast.shape) == (np.float64, (3, 2))


@pytest.mark.parametrize("value", [1.5, jnp.float32(-1.5)])
def test_outside_the_domain_is_refused(value):
    with pytest.raises(ValueError, match=r"the dual holds for .*Abs\(rho\) <= 1"):
        dual(tanh)(value)
    assert np.isnan(jax.jit(dual(tanh))(jnp.float32(1.5)))


def test_bad_arguments():
    with pytest.raises(TypeError, match="rho must be a real array, got str"):
        dual(tanh)("a")
    with pytest.raises(ValueError, match="rho must be finite"):
        dual(tanh)(np.nan)
    with pytest.raises(ValueError, match="positive variances"):
        covariance_dual(tanh)(-1.0, 1.0, 0.0)
    with pytest.raises(TypeError, match="takes 3 values"):
        covariance_dual(tanh)(1.0)


@pytest.mark.slow
def test_derivatives_of_a_jump_are_refused_where_they_are_infinite():
    third = dual(softsign, 3)  # softsign'' jumps at 0
    assert float(third(0.5)) == pytest.approx(float(third.certified(0.5).mid()), rel=1e-13)
    for near in (1.0, -1.0, 0.9999):
        with pytest.raises(
            ValueError, match=r"is infinite where .* derivative 2 of phi has a jump"
        ):
            third(near)


def test_series_displays_squares():
    assert "a_n^2" in HermiteSeries(tanh, unit=True).latex
    assert "a_n(q_1)" in HermiteSeries(tanh).latex
