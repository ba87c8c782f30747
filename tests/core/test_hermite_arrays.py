"""Hermite coefficients and Mehler's sum on arrays, against balls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from kerneltheory.activations.activation import X, activation
from kerneltheory.activations.catalogue import softsign, tanh
from kerneltheory.activations.hermite import certified_hermite_coefficients
from kerneltheory.activations.series import to_arrays
from kerneltheory.core.hermite_arrays import coefficients, mean_square, mehler_sum

# The last has its kink away from 0, where the nodes move with the variance.
PHIS = [tanh, softsign, activation(sympy.Max(sympy.Rational(1, 2), X) / (1 + X**2), name="kink")]


@pytest.mark.parametrize("phi", PHIS, ids=lambda phi: phi.name)
def test_coefficients_and_second_moment_lie_in_the_balls(phi):
    variances, count = (sympy.Rational(1, 4), sympy.Integer(1), sympy.Integer(9)), 64
    with jax.enable_x64(True):
        q = jnp.asarray([float(v) for v in variances])
        found = np.asarray(coefficients(to_arrays(phi), q, count))
        moments = np.asarray(mean_square(to_arrays(phi), q))
    for column, moment, variance in zip(found.T, moments, variances, strict=True):
        balls, mass = certified_hermite_coefficients(phi, variance, count, 18)
        # Sums of about two thousand terms of size one, whose roundings are independent.
        np.testing.assert_allclose(column, [float(b.mid()) for b in balls], rtol=0, atol=1e-14)
        assert moment == pytest.approx(float(mass.mid()), rel=1e-14, abs=0)


@pytest.mark.parametrize("derivative", [0, 1, 2])
def test_mehlers_sum_is_the_polynomial(derivative, rng):
    first, second = rng.standard_normal((2, 37, 3))
    c = np.array([-0.75, 0.0, 0.5])
    with jax.enable_x64(True):
        found = mehler_sum(*map(jnp.asarray, (first, second, c)), derivative)
    for column in range(3):
        polynomial = np.polynomial.Polynomial(first[:, column] * second[:, column])
        expected = polynomial.deriv(derivative)(c[column]) if derivative else polynomial(c[column])
        assert float(found[column]) == pytest.approx(expected, rel=1e-12)
