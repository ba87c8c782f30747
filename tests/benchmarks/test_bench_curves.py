"""Learning curves at many points, each in a group with a plain loop over scipy's brentq.

The baseline solves a few points with the sums written out in numpy: read the ratio of minima times
the ratio of the numbers of points. Compilation happens in the warm-up round.
"""

import numpy as np
import pytest
from scipy.optimize import brentq

from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.optimal import optimal_ridge
from kerneltheory.learning.random_features import random_feature_curve
from kerneltheory.spectra.power_law import power_law_spectrum, power_law_target

ROUNDS, FEW = 5, 20
LEVELS, MODES = 100, 10_000
RIDGE = 1e-3


def problem(levels):
    return power_law_spectrum(1.5, levels), power_law_target(1.8, levels, noise_variance=0.01)


def feature_points(count):
    return np.geomspace(1, 5000, count), np.geomspace(3, 8000, count)[::-1]


def measure(benchmark, function):
    return benchmark.pedantic(function, rounds=ROUNDS, warmup_rounds=1)


def plain_kappas(spectrum, samples):
    """Kappa by bracketing in its logarithm."""
    values, tail, top = spectrum.eigenvalues, spectrum.tail, float(spectrum.trace) + RIDGE

    def kappa(n):
        def excess(logarithm):
            at = np.exp(logarithm)
            return n - np.sum(values / (values + at)) - (RIDGE + tail) / at

        return np.exp(brentq(excess, np.log(RIDGE / n) - 1, np.log(top / n) + 1, xtol=1e-14))

    return np.array([kappa(n) for n in samples])


def plain_gammas(spectrum, samples, features):
    """Gamma the same way, on the branch that begins where z = min(n, p)."""
    values, tail, trace = spectrum.eigenvalues, spectrum.tail, float(spectrum.trace)

    def z(logarithm):
        at = np.exp(logarithm)
        return np.sum(values / (values + at)) + tail / at

    def gamma(n, p):
        high = np.log(trace / n + trace / p + RIDGE / n) + 1
        fewest = brentq(lambda x: min(n, p) - z(x), np.log(tail / min(n, p)) - 1, high, xtol=1e-14)
        equation = lambda x: np.exp(x) * (n - z(x)) * (p - z(x)) / p - RIDGE  # noqa: E731
        return np.exp(brentq(equation, fewest, high, xtol=1e-14))

    return np.array([gamma(n, p) for n, p in zip(samples, features, strict=True)])


@pytest.mark.parametrize("levels", [LEVELS])
def test_baseline_kernel_regression_by_brentq(benchmark, levels):
    benchmark.group = f"{FEW} points by brentq, 10,000 points, on {levels} levels"
    spectrum, _ = problem(levels)
    assert (measure(benchmark, lambda: plain_kappas(spectrum, np.geomspace(1, 1e4, FEW))) > 0).all()


@pytest.mark.parametrize("levels", [LEVELS])
def test_kernel_regression(benchmark, levels):
    benchmark.group = f"{FEW} points by brentq, 10,000 points, on {levels} levels"
    spectrum, target = problem(levels)
    n, ridge = np.geomspace(1, 1e4, 100), np.geomspace(1e-6, 1, 100)[:, None]
    curve = measure(benchmark, lambda: learning_curve(spectrum, target, n, ridge))
    assert curve.test_error.shape == (100, 100)
    few = np.geomspace(1, 1e4, FEW)
    kappa = learning_curve(spectrum, target, few, RIDGE).kappa
    np.testing.assert_allclose(kappa, plain_kappas(spectrum, few), rtol=1e-9)


def test_baseline_random_features_by_brentq(benchmark):
    benchmark.group = f"{FEW} points by brentq, 1,000 points, of random features on {MODES} modes"
    spectrum, _ = problem(MODES)
    assert (measure(benchmark, lambda: plain_gammas(spectrum, *feature_points(FEW))) > 0).all()


def test_random_features(benchmark):
    benchmark.group = f"{FEW} points by brentq, 1,000 points, of random features on {MODES} modes"
    spectrum, target = problem(MODES)
    n, features = feature_points(1000)
    curve = measure(benchmark, lambda: random_feature_curve(spectrum, target, n, features, RIDGE))
    assert np.isfinite(curve.test_error).all()
    few = feature_points(FEW)
    gamma = random_feature_curve(spectrum, target, *few, RIDGE).kappa
    np.testing.assert_allclose(gamma, plain_gammas(spectrum, *few), rtol=1e-9)


def test_optimal_ridges(benchmark):
    benchmark.group = f"100 optimal ridges of random features on {LEVELS} levels"
    spectrum, target = problem(LEVELS)
    n, features = feature_points(100)
    curve = measure(benchmark, lambda: optimal_ridge(spectrum, target, n, features))
    assert np.isfinite(curve.test_error).all()
