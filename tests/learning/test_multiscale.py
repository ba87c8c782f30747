"""The curve through all orders against the finite equivalent and the limit of each order."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.core.errors import DivergentError
from kerneltheory.kernels.base import T
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.learning.equivalent import effective_ridge, learning_curve
from kerneltheory.learning.high_order import high_order_curve
from kerneltheory.learning.multiscale import multiscale_curve
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.spectrum import Spectrum, Target
from kerneltheory.sphere.harmonics import multiplicity

TARGET = Target({0: 0.1, 1: 1.0, 2: 0.7, 3: 0.5, 4: 0.3}, noise_variance=0.1)
KERNELS = {
    "exponential": dot_product_kernel(sympy.exp(T)),
    "fourth power": dot_product_kernel((1 + T) ** 4),
    "relu": ntk(relu, 1, weight_variance=2),
    "relu with bias": ntk(relu, 1, weight_variance=2, bias_variance=sympy.Rational(1, 10)),
    "deep erf": nngp(erf, 2, weight_variance=2, bias_variance=1),
}


class Series:
    """A kernel given by the Taylor coefficients of h."""

    def __init__(self, *coefficients):
        self.coefficients = np.array(coefficients, dtype=float)
        self.trace = float(self.coefficients.sum())

    def taylor_coefficients(self, count):
        return np.pad(self.coefficients, (0, max(0, count - self.coefficients.size)))[:count]


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("dim", "error"), [(30, 0.2), (100, 0.07), (1000, 0.01)])
def test_stated_error_against_the_finite_equivalent(name, dim, error):
    """What the record and the docstring say."""
    kernel, n = KERNELS[name], dim ** np.linspace(0.1, 4.3, 300)
    levels = spectrum(kernel, dim, 10)
    for ridge in (0.0, 0.1):
        if name == "fourth power" and ridge == 0:
            # There the noise alone is left above the last harmonic, after a peak of any height.
            n = n[n < 0.5 * levels.multiplicities[:5].sum()]
        finite = learning_curve(levels, TARGET, n, ridge)
        deviation = multiscale_curve(kernel, TARGET, dim, n, ridge).test_error / finite.test_error
        assert np.abs(deviation - 1).max() < error
        assert np.median(np.abs(deviation - 1)) < 0.015


@pytest.mark.parametrize("name", KERNELS)
def test_curve_is_continuous_and_positive(name):
    # The windows of the orders meet somewhere between these points.
    n = np.geomspace(2, 1e7, 20_001)
    curve = multiscale_curve(KERNELS[name], TARGET, 100, n, 1e-3)
    logarithm = np.log(curve.kappa)
    assert (np.asarray(curve.test_error) > 0).all()
    # d ln kappa/d ln n = -E0, up to what the last Newton step leaves.
    steps = np.diff(logarithm) / np.diff(np.log(n))
    assert (steps < 0).all()
    highest = np.maximum(curve.overfitting[1:], curve.overfitting[:-1])
    assert (np.abs(steps) < 1.1 * highest).all()


def test_limits_lie_above_the_equation_of_all_orders():
    """The kernel of limiting masses, exactly: kappa is not below its effective ridge."""
    coefficients = [1 / math.factorial(k) for k in range(8)]
    kernel = Series(*coefficients)
    counts = np.array([float(multiplicity(50, k)) for k in range(8)])
    levels = Spectrum(np.array(coefficients) / counts, counts)
    n = np.geomspace(0.5, 1e7, 501)
    exact = effective_ridge(levels, n, 0.01)
    found = multiscale_curve(kernel, TARGET, 50, n, 0.01, max_order=7).kappa
    assert (found >= exact * (1 - 1e-12)).all()
    assert (found <= exact * 1.02).all()


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, 3])
def test_each_order_is_its_limit(order):
    kernel, alpha = KERNELS["exponential"], np.array([0.5, 2.0])
    limit = high_order_curve(kernel, TARGET, order, alpha, 0.05)
    deviations = []
    for dim in (10**3, 10**5):
        curve = multiscale_curve(kernel, TARGET, dim, alpha * multiplicity(dim, order), 0.05)
        deviations.append(np.abs(curve.test_error / limit.test_error - 1).max())
    # O(1/d), with what the ratio of finite and limiting multiplicities adds of higher order.
    assert deviations[0] / deviations[1] == pytest.approx(100, rel=0.2)


def test_plateaus_between_the_orders():
    dim = 10**6
    powers = [0.1, 1.0, 0.7, 0.5, 0.3]
    n = np.array([float(dim) ** (order + 0.5) for order in range(4)])
    curve = multiscale_curve(KERNELS["exponential"], Target(powers), dim, n, 0.0)
    # The next degree has learned 2 mu_(r+1)^2 (r+1)!/(mu_>r^2 sqrt(d)) of its power: 4%, at most.
    expected = [sum(powers[order + 1 :]) for order in range(4)]
    np.testing.assert_allclose(curve.test_error, expected, rtol=0.1)


def test_missing_degrees_stay_unlearned():
    kernel = KERNELS["relu"]
    curve = multiscale_curve(kernel, Target({1: 1.0, 3: 0.25}), 1000, [1e5, 1e9, 1e11], 0.0)
    np.testing.assert_array_equal(np.asarray(curve.learnability)[:, 3], 0)
    assert (np.asarray(curve.bias) >= 0.25).all()
    assert "orders 0, 1, 2, 4, " in curve.method
    odd = multiscale_curve(Series(0, 0.5, 0, 0.5), Target({0: 1.0, 2: 2.0}), 50, [10.0, 1e8], 0.1)
    np.testing.assert_array_equal(odd.bias, 3.0)


def test_finitely_many_harmonics():
    kernel = Series(0, 1.0, 1.0)  # 30 + 464 harmonics at d = 30
    rank = 494
    curve = multiscale_curve(kernel, Target({1: 1.0, 2: 0.5}, 0.2), 30, [493.0, 600.0], 0.0)
    assert curve.kappa[1] == 0
    assert curve.test_error[1] == pytest.approx(0.2 * rank / (600 - rank), rel=1e-13)
    assert curve.train_error[1] == pytest.approx(0.2 * (600 - rank) / 600, rel=1e-13)
    with pytest.raises(DivergentError, match="rank of the kernel 494"):
        multiscale_curve(kernel, TARGET, 30, rank, 0.0)


def test_parts_add_up():
    curve = multiscale_curve(KERNELS["relu"], TARGET, 40, np.geomspace(1, 1e5, 40), 0.2)
    close = {"rtol": 1e-13}
    np.testing.assert_allclose(curve.bias + curve.variance, curve.test_error, **close)
    np.testing.assert_allclose(curve.test_error + 0.1, curve.gcv, **close)
    parts = curve.variance_from_sampling + curve.variance_from_noise
    np.testing.assert_allclose(parts, curve.variance, **close)
    factor = 0.2 / (curve.n * curve.kappa)
    np.testing.assert_allclose(curve.train_error, factor**2 * curve.gcv, **close)


def test_traced_samples():
    def error(n):
        return multiscale_curve(KERNELS["relu"], TARGET, 40, n, 0.2, max_order=6).test_error

    n = 300.0
    with jax.enable_x64(True):
        slope = float(jax.jit(jax.grad(error))(jnp.asarray(n)))
    ends = [float(error(n * (1 + sign * 1e-5))) for sign in (1, -1)]
    assert slope == pytest.approx((ends[0] - ends[1]) / (2e-5 * n), rel=1e-6)
    with pytest.raises(TypeError, match="max_order must be given"):
        jax.jit(lambda n: multiscale_curve(KERNELS["relu"], TARGET, 40, n, 0.2).bias)(n)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"kernel": 3}, TypeError, "kernel must be a dot-product kernel"),
        ({"kernel": Series(1.0, -0.5, 1.0)}, ValueError, "kernel must have non-negative"),
        ({"target": {1: 1.0}}, TypeError, "target must be a Target"),
        ({"dim": 2}, ValueError, "dim must be an integer of at least 3"),
        ({"n": 0}, ValueError, "n must be positive"),
        ({"n": 1e12, "dim": 3}, ValueError, "n must be less than"),
        ({"ridge": -0.1}, ValueError, "ridge must not be negative"),
        ({"n": [1, 2, 3], "ridge": [1, 2]}, ValueError, "n and ridge must broadcast"),
        ({"max_order": -1}, ValueError, "max_order must be"),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    given = {"kernel": KERNELS["relu"], "target": TARGET, "dim": 30, "n": 100, "ridge": 0.1}
    with pytest.raises(error, match=message):
        multiscale_curve(**(given | changes))


def test_orders_that_samples_learn_are_not_left_out():
    with pytest.raises(ValueError, match="higher max_order"):
        multiscale_curve(KERNELS["exponential"], Target({1: 1.0}), 30, 1e9, 0.1, max_order=2)
