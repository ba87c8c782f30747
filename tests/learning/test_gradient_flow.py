"""Gradient flow against the law of Marchenko and Pastur, its limits and simulation."""

import jax
import numpy as np
import pytest

import kerneltheory as kt
from kerneltheory.core.errors import DivergentError, NotPositiveDefiniteError, PrecisionError
from kerneltheory.learning import gradient_flow
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.gradient_flow import gradient_flow_curve, optimal_stopping
from kerneltheory.learning.optimal import optimal_ridge
from kerneltheory.spectra.spectrum import Spectrum, Target

TWO = Spectrum([1.0, 0.05], [40, 200])
TARGET = Target([1.0, 0.5], 0.2)
TIMES = np.array([1e-4, 1e-2, 0.1, 0.3, 1.0, 10.0])


def _marchenko_pastur(alpha):
    """Points and weights of the law of the eigenvalues of a Gram matrix, apart from its atom.

    With x = 1 + alpha + 2 sqrt(alpha) cos(phi) the density is analytic and periodic in phi.
    """
    angles = (np.arange(4000) + 0.5) * np.pi / 4000
    points = 1 + alpha + 2 * np.sqrt(alpha) * np.cos(angles)
    return points, 4 * alpha * np.sin(angles) ** 2 / (2 * points) / 4000


@pytest.mark.parametrize("alpha", [0.3, 0.9, 3.0])
def test_one_level_is_an_integral_over_the_law_of_marchenko_and_pastur(alpha):
    features, noise = 200.0, 0.3
    times = np.array([0.01, 0.5, 3.0, 40.0])
    curve = gradient_flow_curve(
        Spectrum([1 / features], [features]), Target([1.0], noise), alpha * features, times
    )
    points, weights = _marchenko_pastur(alpha)  # of the M eigenvalues of the covariance
    left = np.exp(-times[:, None] * points)
    unseen = 1 - weights.sum()
    squares = unseen + left**2 @ weights
    np.testing.assert_allclose(curve.conditional_bias, squares, rtol=1e-10, atol=1e-15)
    fitted = (1 - left) ** 2 / points
    np.testing.assert_allclose(curve.variance_from_noise, noise * (fitted @ weights), rtol=1e-10)
    np.testing.assert_allclose(curve.bias, (unseen + left @ weights) ** 2, rtol=1e-10, atol=1e-15)
    # The Gram matrix has the same eigenvalues, and zeros where there are more samples.
    atom = (alpha - weights.sum()) / alpha
    labels = left**2 @ (weights * points) / alpha + noise * (left**2 @ weights / alpha + atom)
    np.testing.assert_allclose(curve.train_error, labels, rtol=1e-10, atol=1e-12)


def _fields(curve):
    names = "bias", "variance_from_sampling", "variance_from_noise", "train_error"
    return np.array([getattr(curve, name) for name in names])


@pytest.mark.parametrize("tail", [0.0, 0.01])
def test_long_training_is_regression_without_ridge(tail):
    spectrum = Spectrum([1.0, 0.05], [40, 200], tail=tail)
    n = np.array([20.0, 120.0, 239.0, 500.0])
    limit = learning_curve(spectrum, TARGET, n, 0.0)
    for time in (1e9, 1e300, np.inf):
        flow = gradient_flow_curve(spectrum, TARGET, n, time)
        np.testing.assert_allclose(_fields(flow), _fields(limit), rtol=1e-9)


def test_training_that_is_nearly_over_joins_its_limit():
    """Along the contour, at 99/100 of the time from which the limit itself is returned."""
    n = np.array([20.0, 120.0, 500.0])
    problem = gradient_flow._problem(TWO, TARGET)
    time = 0.99 * gradient_flow.ENDED / gradient_flow._smallest_rate(problem, n)
    flow, limit = (gradient_flow_curve(TWO, TARGET, n, t) for t in (time, np.inf))
    np.testing.assert_allclose(_fields(flow), _fields(limit), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("alpha", [0.5, 0.95, 1.05, 4.0])
def test_no_eigenvalue_is_below_the_smallest_rate(alpha):
    """One level: the edge of the law of Marchenko and Pastur, and a bound of its order."""
    problem = gradient_flow._problem(Spectrum([1 / 200], [200]), Target([1.0]))
    edge = (1 - np.sqrt(alpha)) ** 2
    rate = gradient_flow._smallest_rate(problem, np.array([200 * alpha]))[0]
    assert 0.2 * edge < rate <= edge * (1 + 1e-12)


def test_times_beyond_all_scales_are_their_limits():
    curve = gradient_flow_curve(TWO, TARGET, 30.0, [0.0, 5e-324, 1e-300, 1e-31, 1e-20])
    np.testing.assert_allclose(curve.test_error, 1.5, rtol=1e-13)
    np.testing.assert_allclose(curve.train_error, 1.7, rtol=1e-13)


def test_as_many_samples_as_modes_diverge_with_the_time():
    with pytest.raises(DivergentError, match="n = 240"):
        gradient_flow_curve(TWO, TARGET, 240.0, np.inf)
    # Half a power of the time, from the eigenvalues that accumulate at 0.
    errors = gradient_flow_curve(TWO, TARGET, 240.0, [1e20, 1e22, 1e300]).test_error
    np.testing.assert_allclose(errors / errors[0], [1, 10, 1e140], rtol=1e-8)


def test_no_error_is_negative():
    n = np.array([[20.0], [240.0], [400.0]])
    curve = gradient_flow_curve(TWO, TARGET, n, np.geomspace(1e-8, 40, 40))
    assert (_fields(curve) >= 0).all()


def test_multiplicities_may_exceed_floats():
    spectrum = kt.spectrum(kt.ntk(kt.relu, 1, weight_variance=2, bias_variance=1), 10**4, 200)
    assert np.isinf(spectrum.multiplicities).any()
    short = kt.Spectrum(
        spectrum.eigenvalues[:9],
        spectrum.multiplicities[:9],
        tail=float(spectrum.level_masses[9:].sum()) + float(spectrum.tail),
    )
    target = Target({0: 0.3, 1: 1.0}, 0.1)
    curves = [gradient_flow_curve(s, target, 50.0, [0.1, 1.0]) for s in (spectrum, short)]
    np.testing.assert_allclose(*map(_fields, curves), rtol=1e-9, atol=1e-16)
    stopped = optimal_stopping(spectrum, target, 50.0)
    assert np.isfinite(stopped.test_error)
    assert stopped.test_error <= curves[0].test_error.min()


def test_a_spectrum_that_stops_too_soon_is_refused():
    spectrum = kt.spectrum(kt.ntk(kt.relu, 1, weight_variance=2, bias_variance=1), 10, 3)
    target = Target({1: 1.0}, 0.1)
    assert gradient_flow_curve(spectrum, target, 1000.0, 1e-6).test_error < 1
    for time in (1.0, np.inf):
        with pytest.raises(PrecisionError, match="stops at degree 3"):
            gradient_flow_curve(spectrum, target, 1000.0, [1e-6, time])


def test_no_training_is_no_predictor():
    curve = gradient_flow_curve(TWO, TARGET, 30, [0.0, 1e-9])
    assert curve.test_error[0] == 1.5
    assert curve.train_error[0] == pytest.approx(1.7, rel=1e-15)
    # To first order f_t = t K(., X) y, whose overlap with the target is t n sum lambda F^2.
    slope = 2 * 30 * (1.0 + 0.05 * 0.5)
    assert 1.5 - curve.test_error[1] == pytest.approx(1e-9 * slope, rel=1e-5)


@pytest.mark.slow
def test_simulated_gradient_flow_agrees():
    """A linear Gaussian model, averaged exactly over target and noise given the samples."""
    generator = np.random.default_rng(3)
    n, trials = 120, 30
    scale = np.repeat(TWO.eigenvalues, [40, 200])
    amplitudes = np.repeat(np.array([1.0, 0.5]) / [40, 200], [40, 200])
    measured = []
    for _ in range(trials):
        features = generator.standard_normal((n, scale.size))
        values, vectors = np.linalg.eigh((features * scale) @ features.T)
        errors = []
        for time in TIMES:
            coefficients = (vectors * (-np.expm1(-time * values) / values)) @ vectors.T
            hat = scale[:, None] * (features.T @ coefficients)
            residual = np.eye(scale.size) - hat @ features
            test = np.sum(residual**2 * amplitudes) + 0.2 * np.sum(hat**2)
            left = (vectors * np.exp(-time * values)) @ vectors.T
            train = (np.sum((left @ features) ** 2 * amplitudes) + 0.2 * np.sum(left**2)) / n
            errors.append((test, train))
        measured.append(errors)
    mean = np.mean(measured, axis=0)
    error = np.std(measured, axis=0) / np.sqrt(trials)
    curve = gradient_flow_curve(TWO, TARGET, n, TIMES)
    # The equivalent's own error is of relative order 1/n.
    assert (np.abs(mean[:, 0] - curve.test_error) < 4 * error[:, 0] + curve.test_error / n).all()
    shorter = slice(0, 4)  # later only the smallest eigenvalues are left
    off = np.abs(mean[shorter, 1] - curve.train_error[shorter])
    assert (off < 4 * error[shorter, 1] + 5 * curve.train_error[shorter] / n).all()


@pytest.mark.slow
def test_early_stopping_does_about_as_well_as_the_best_ridge():
    n = np.array([30.0, 120.0, 1000.0])
    stopped, best = optimal_stopping(TWO, TARGET, n), optimal_ridge(TWO, TARGET, n)
    assert (stopped.test_error >= best.test_error).all()
    # For an isotropic target the risk of the best time is within 1.22 of the best ridge's
    # (arXiv:1810.10082), and here it is nearly that of the ridge.
    assert (stopped.test_error < 1.22 * best.test_error).all()


@pytest.mark.slow
def test_the_best_time_is_best():
    n = np.array([30.0, 120.0, 240.0, 1000.0])
    stopped = optimal_stopping(TWO, TARGET, n)
    assert stopped.time.shape == n.shape
    times = np.geomspace(1e-4, 50, 100)
    errors = gradient_flow_curve(TWO, TARGET, n[:, None], times).test_error
    assert (stopped.test_error <= errors.min(axis=1) * (1 + 1e-9)).all()
    near = stopped.time[:, None] * [0.998, 1, 1.002]
    errors = gradient_flow_curve(TWO, TARGET, n[:, None], near).test_error
    assert (errors.argmin(axis=1) == 1).all()


def test_best_times_at_the_ends():
    clean = Target([1.0, 0.5])
    assert optimal_stopping(TWO, clean, 500.0).time == np.inf
    unheld = optimal_stopping(Spectrum([1.0, 0.0], [3, 4], tail=0.1), Target({1: 1.0}, 0.1), 9.0)
    assert unheld.time == 0
    assert unheld.test_error == 1
    # To second order in t, which is all where the target is hardly more than the noise.
    faint = optimal_stopping(TWO, Target([1e-8, 0.0], 0.2), 30.0)
    assert faint.time == pytest.approx(1e-8 / (0.2 * (40 + 200 * 0.05**2)), rel=2e-3)
    # With as many samples as modes the error without noise still falls with the time.
    assert 1e3 < optimal_stopping(TWO, clean, 240.0).time < np.inf


def test_nothing_to_learn():
    empty = Spectrum([0.0], [3], tail=1.0)
    curve = gradient_flow_curve(empty, Target([1.0], 0.1), 10.0, [0.0, 1.0, np.inf])
    np.testing.assert_allclose(curve.test_error, 1, rtol=1e-13)
    np.testing.assert_allclose(curve.train_error, [1.1, 1.1 * np.exp(-2), 0], rtol=1e-12)
    with pytest.raises(ValueError, match="spectrum must have a positive eigenvalue"):
        optimal_stopping(empty, Target([1.0], 0.1), 10.0)


def test_jax_cannot_trace_it():
    with pytest.raises(TypeError, match="gradient_flow_curve cannot be traced"):
        jax.jit(lambda n: gradient_flow_curve(TWO, TARGET, n, 1.0).test_error)(30.0)
    with pytest.raises(TypeError, match="gradient_flow_curve cannot be traced"):
        jax.grad(lambda x: gradient_flow_curve(TWO, Target({0: x}), 9.0, 1.0).bias)(1.0)
    with pytest.raises(TypeError, match="optimal_stopping cannot be traced"):
        jax.jit(lambda n: optimal_stopping(TWO, TARGET, n).test_error)(30.0)


def test_arrays_of_jax_are_computed_with_in_float64():
    rounded = jax.tree.map(lambda leaf: np.float64(np.float32(leaf)), TWO)
    given = jax.tree.map(lambda leaf: jax.numpy.asarray(leaf, "float32"), TWO)
    curves = [gradient_flow_curve(s, TARGET, 30.0, 1.0) for s in (given, rounded)]
    np.testing.assert_allclose(*map(_fields, curves), rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0.0}, "n must be positive"),
        ({"time": -1.0}, "time must not be negative"),
        ({"time": []}, "time must hold"),
        ({"time": [1.0, np.nan]}, "time must be finite"),
        ({"time": -np.inf}, "time must be finite"),
        ({"n": [1.0, 2.0], "time": [1.0, 2.0, 3.0]}, "n and time must broadcast"),
        ({"target": Target([1.0, 1.0], [0.1, 0.2])}, "single noise_variance"),
        ({"spectrum": Spectrum([1.0, -0.1], [1, 2])}, "negative eigenvalues"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"spectrum": TWO, "target": TARGET, "n": 10.0, "time": 1.0} | changes
    with pytest.raises((ValueError, NotPositiveDefiniteError), match=message):
        gradient_flow_curve(**arguments)
