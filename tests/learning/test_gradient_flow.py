"""Gradient flow against the law of Marchenko and Pastur, its limits and simulation."""

import numpy as np
import pytest

from kerneltheory.core.errors import NotPositiveDefiniteError
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


def test_long_training_is_regression_without_ridge():
    spectrum = Spectrum([1.0, 0.05], [40, 200], tail=0.01)
    for n in (20.0, 120.0, 500.0):
        limit = learning_curve(spectrum, TARGET, n, 0.0)
        flow = gradient_flow_curve(spectrum, TARGET, n, 1e9)
        for field in ("test_error", "bias", "variance_from_noise", "variance_from_sampling"):
            assert getattr(flow, field) == pytest.approx(getattr(limit, field), rel=1e-9)


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
    n, trials = 120, 60
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0.0}, "n must be positive"),
        ({"time": -1.0}, "time must not be negative"),
        ({"time": []}, "time must hold"),
        ({"n": [1.0, 2.0], "time": [1.0, 2.0, 3.0]}, "n and time must broadcast"),
        ({"target": Target([1.0, 1.0], [0.1, 0.2])}, "single noise_variance"),
        ({"spectrum": Spectrum([1.0, -0.1], [1, 2])}, "negative eigenvalues"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"spectrum": TWO, "target": TARGET, "n": 10.0, "time": 1.0} | changes
    with pytest.raises((ValueError, NotPositiveDefiniteError), match=message):
        gradient_flow_curve(**arguments)
