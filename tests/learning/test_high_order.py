"""The limit of high dimension against the finite equivalent, and its own closed forms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from kerneltheory.activations.catalogue import erf, relu, tanh
from kerneltheory.core.errors import DivergentError
from kerneltheory.kernels.base import T
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.high_order import high_order_curve
from kerneltheory.learning.marchenko_pastur import marchenko_pastur_shift
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.spectrum import Spectrum, Target
from kerneltheory.sphere.harmonics import cumulative_multiplicity, multiplicity

EPS = np.finfo(float).eps
FIELDS = ("test_error", "bias", "variance", "train_error", "overfitting")


class Series:
    """A kernel given by the Taylor coefficients of h and by h(1)."""

    def __init__(self, coefficients, trace=None):
        self.coefficients = np.array(coefficients, dtype=float)
        self.trace = float(self.coefficients.sum() if trace is None else trace)

    def taylor_coefficients(self, count):
        return np.pad(self.coefficients, (0, max(0, count - self.coefficients.size)))[:count]


EXPONENTIAL = Series([1 / math.factorial(k) for k in range(12)], math.e)
TARGET = Target({0: 0.5, 1: 1.0, 2: 0.7, 3: 0.4}, noise_variance=0.1)
ALPHA = np.array([0.2, 0.9, 1.0, 1.1, 5.0])


def test_shift_solves_its_equation():
    alpha = np.array([1e-3, 0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 2.0, 1e3])[:, None]
    zeta = np.array([1e-14, 1e-6, 1e-2, 1.0, 1e4])
    tau = marchenko_pastur_shift(alpha, zeta)
    # Relative to its positive terms, a residual of a few roundings.
    np.testing.assert_allclose(
        1 / (1 + tau) + zeta / tau, np.broadcast_to(alpha, tau.shape), rtol=1e-12
    )
    stieltjes = 1 / (alpha * tau)
    np.testing.assert_allclose(stieltjes, 1 / (zeta + 1 / (1 + alpha * stieltjes)), rtol=1e-12)
    assert ((1 + tau) * np.sqrt(alpha) > 1).all()


def test_shift_without_ridge():
    np.testing.assert_allclose(marchenko_pastur_shift([0.25, 0.5], 0.0), [3.0, 1.0], rtol=4 * EPS)
    np.testing.assert_array_equal(marchenko_pastur_shift([1.0, 2.0], 0.0), 0)


def test_interpolation_above_the_peak():
    curve = high_order_curve(Series([0, 1, 1]), TARGET, 2, np.array([2.0, 5.0]), 0.0)
    # tau = 0: E0 = alpha/(alpha - 1), and what remains is F_0^2 = 0.5 (no degree 0) + F_3^2 = 0.4.
    overfitting = np.array([2.0, 1.25])
    np.testing.assert_allclose(curve.overfitting, overfitting, rtol=8 * EPS)
    np.testing.assert_allclose(curve.test_error, overfitting * (0.9 + 0.1) - 0.1, rtol=8 * EPS)
    # Of the labels' noise the regression fits a fraction 1/alpha.
    np.testing.assert_allclose(curve.train_error, [0.5, 0.8], rtol=8 * EPS)


def _finite(dim, samples, ridge):
    degrees = range(5)
    counts = np.array([multiplicity(dim, k) for k in degrees], dtype=float)
    masses = EXPONENTIAL.taylor_coefficients(5)
    tail = EXPONENTIAL.trace - masses.sum()
    return learning_curve(Spectrum(masses / counts, counts, tail), TARGET, samples, ridge)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
def test_limit_is_that_of_the_finite_equivalent(order):
    limit = high_order_curve(EXPONENTIAL, TARGET, order, ALPHA, 0.05)
    deviations = []
    for dim in (10**3, 10**5):
        finite = _finite(dim, ALPHA * multiplicity(dim, order), 0.05)
        deviations.append(
            [np.abs(getattr(finite, name) / getattr(limit, name) - 1).max() for name in FIELDS]
        )
    # Corrections are O(1/d): a hundred times the dimension, a hundredth of the deviation, up to
    # the next order, which is 1/1000 of the first at the smaller dimension times constants.
    np.testing.assert_allclose(np.divide(*deviations), 100, rtol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(
    "kernel",
    [
        dot_product_kernel(sympy.exp(2 * T)),
        nngp(erf, 1, weight_variance=2, bias_variance=1),
        ntk(relu, 1, weight_variance=2, bias_variance=sympy.Rational(1, 5)),
    ],
    ids=["exponential", "erf", "relu"],
)
def test_slope_of_the_deviation_from_the_limit(kernel, order):
    alpha, dims = np.array([0.5, 2.0]), [10**4, 10**5, 10**6]
    limit = high_order_curve(kernel, TARGET, order, alpha, 0.05).test_error
    deviations = []
    for dim in dims:
        levels = spectrum(kernel, dim, order + 4)
        n = alpha * float(multiplicity(dim, order))
        deviations.append(np.abs(learning_curve(levels, TARGET, n, 0.05).test_error / limit - 1))
    slopes = np.diff(np.log10(deviations), axis=0)
    # The next order is 1/d of the first, times a constant; rounding 1e-16 times d/constant.
    np.testing.assert_allclose(slopes, -1, atol=0.01)


def test_a_zero_of_symmetry_is_no_degree():
    """Taylor coefficients of tanh are midpoints of balls, of even degrees about 1e-222."""
    kernel = ntk(tanh, 1, weight_variance=2)
    curve = high_order_curve(kernel, Target({2: 0.5}), 3, 4.0, 0.1)
    assert curve.bias >= 0.5
    with pytest.raises(ValueError, match=r"order 2: .* vanishes"):
        high_order_curve(kernel, TARGET, 2, 1.0, 0.1)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_finite_counting_counts_the_samples(order):
    dim = 40
    count, lower = multiplicity(dim, order), cumulative_multiplicity(dim, order - 1)
    alpha = lower / count + ALPHA
    curve = high_order_curve(EXPONENTIAL, TARGET, order, alpha, 0.05, dim=dim, counting="finite")
    learned = np.asarray(curve.learnability)[:, order]
    np.testing.assert_allclose(curve.n, alpha * count, rtol=4 * EPS)
    scale = EXPONENTIAL.coefficients[order]
    higher = EXPONENTIAL.coefficients[order + 1 :].sum()
    # 1e-10: the sum over higher degrees stops at degree 11.
    samples = lower + count * learned + count * (0.05 + higher) / (scale * curve.kappa)
    np.testing.assert_allclose(samples, curve.n, rtol=1e-7)
    overfitting = curve.n / (curve.n - lower - count * learned**2)
    np.testing.assert_allclose(curve.overfitting, overfitting, rtol=1e-10)


def test_a_vanishing_lower_degree_is_never_learned():
    kernel = Series([0.5, 1.0, 0.25, 0.0, 0.25])
    target = Target({3: 0.8, 5: 0.1})
    curve = high_order_curve(kernel, target, 4, np.array([50.0]), 0.1)
    assert curve.bias == pytest.approx(0.9, rel=4 * EPS)
    np.testing.assert_array_equal(curve.learnability[0, [0, 1, 2, 3, 5]], [1, 1, 1, 0, 0])
    with pytest.raises(ValueError, match=r"order 3: .* vanishes"):
        high_order_curve(kernel, target, 3, 1.0, 0.1)


def test_height_of_the_peak():
    noise_and_higher = 0.4 + 0.1
    for zeta in (1e-6, 1e-8):
        curve = high_order_curve(Series([1.0, 1.0, 1.0]), TARGET, 2, 1.0, zeta)
        # T = (F_{>r}^2 + sigma^2)/(2 sqrt zeta) up to a term of order one.
        leading = noise_and_higher / (2 * np.sqrt(zeta))
        assert abs(curve.test_error - leading) < 3


def test_peak_without_ridge_is_refused():
    with pytest.raises(DivergentError, match="alpha = 1"):
        high_order_curve(Series([1.0, 1.0, 1.0]), TARGET, 2, [0.5, 1.0], 0.0)


def test_rounding_of_h_at_one_is_not_taken_for_higher_degrees():
    kernel = Series([0.1, 0.2, 0.3], trace=0.1 + 0.2 + 0.3 + 2e-16)
    assert high_order_curve(kernel, TARGET, 2, 0.5, 0.0).kappa == 1.0  # (1 - alpha)/alpha


def test_derivatives():
    @jax.jit
    def error(alpha, ridge):
        return high_order_curve(EXPONENTIAL, TARGET, 2, alpha, ridge).test_error

    with jax.enable_x64(True):
        for argument in (0, 1):
            place = [0.7, 0.3]
            slope = jax.grad(error, argument)(*map(jnp.asarray, place))
            ends = []
            for sign in (1, -1):
                moved = place.copy()
                moved[argument] += sign * 1e-5
                ends.append(float(error(*moved)))
            # Central differences: truncation 1e-10, rounding eps/1e-5.
            assert float(slope) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-8)
    single = jax.vmap(lambda alpha: error(alpha, 0.1))(jnp.asarray(ALPHA, jnp.float32))
    assert single.dtype == jnp.float32


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"order": 0}, ValueError, "order must be"),
        ({"order": 1.5}, TypeError, "order must be"),
        ({"alpha": 0.0}, ValueError, "alpha must be positive"),
        ({"alpha": [1.0, -1.0]}, ValueError, "alpha must be positive"),
        ({"ridge": -1.0}, ValueError, "ridge must be above -0.21828"),  # mu_>2^2 = e - 5/2
        ({"ridge": np.nan}, ValueError, "ridge must be finite"),
        ({"alpha": [1, 2, 3], "ridge": [1, 2]}, ValueError, "alpha and ridge must broadcast"),
        ({"target": {1: 1.0}}, TypeError, "target must be a Target"),
        ({"kernel": 3}, TypeError, "kernel must be a dot-product kernel"),
        ({"kernel": Series([1.0, 1.0, 1.0], 2.0)}, ValueError, "kernel must have non-negative"),
        ({"counting": "exact"}, ValueError, "counting must be 'limit' or 'finite'"),
        ({"counting": "finite"}, ValueError, "dim must be given"),
        ({"counting": "finite", "dim": 30, "alpha": 0.01}, ValueError, "alpha must be above"),
        ({"dim": 1}, ValueError, "dim must be"),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    arguments = {
        "kernel": EXPONENTIAL,
        "target": TARGET,
        "order": 2,
        "alpha": 1.0,
        "ridge": 0.1,
    } | changes
    with pytest.raises(error, match=message):
        high_order_curve(**arguments)


def test_a_huge_ridge_learns_nothing():
    curve = high_order_curve(Series([0.0, 1.0, 1.0]), Target({2: 1.0}), 2, 0.5, 1e300)
    assert curve.test_error == pytest.approx(1.0, rel=1e-15)


def test_noise_broadcasts():
    kernel, noise = Series([0.0, 1.0, 1.0]), np.array([0.1, 0.2])[:, None]
    many = high_order_curve(kernel, Target({2: 1.0}, noise), 2, [0.5, 2.0, 3.0], 0.1)
    assert many.test_error.shape == many.bias.shape == many.noise_variance.shape == (2, 3)
    one = high_order_curve(kernel, Target({2: 1.0}, 0.2), 2, 2.0, 0.1)
    assert many.test_error[1, 1] == one.test_error
