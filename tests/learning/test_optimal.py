"""The best ridge against brute force, closed forms and its theorems; the lowest one too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneltheory.core.errors import NotPositiveDefiniteError
from kerneltheory.learning.equivalent import effective_ridge, learning_curve, lowest_ridge
from kerneltheory.learning.optimal import optimal_ridge
from kerneltheory.learning.random_features import random_feature_curve
from kerneltheory.spectra.spectrum import Spectrum, Target

EPS = np.finfo(float).eps
THREE = Spectrum([1.0, 0.1, 0.003], [1, 20, 200], tail=0.01)
SAMPLES = np.array([3.0, 15.0, 21.0, 60.0, 200.0, 221.0, 500.0, 1e4])


def _random_problem(generator):
    levels = generator.choice([1, 4])
    eigenvalues = np.sort(10.0 ** generator.uniform(-6, 0, levels))[::-1]
    counts = np.ceil(10.0 ** generator.uniform(0, 3, levels))
    tail = generator.choice([0.0, 10.0 ** generator.uniform(-6, 0)])
    target = Target(generator.random(levels), generator.choice([0.0, 0.01, 1.0]))
    return Spectrum(eigenvalues, counts, tail=tail), target


@pytest.mark.slow
def test_no_ridge_of_a_dense_grid_is_better():
    generator = np.random.default_rng(0)
    for _ in range(6):
        spectrum, target = _random_problem(generator)
        n = 10.0 ** generator.uniform(0, 3.5)
        best = optimal_ridge(spectrum, target, n)
        lowest, scale = float(lowest_ridge(spectrum, n)), float(spectrum.trace)
        above = lowest + np.geomspace(1e-9, 1e4, 2000) * scale
        errors = learning_curve(spectrum, target, n, above).test_error
        assert best.test_error <= errors.min() * (1 + 1e-9)
        # Nearby ridges are no better: it is a minimum, not a low value somewhere else.
        if best.ridge > lowest:
            near = lowest + (best.ridge - lowest) * np.array([0.99, 1.01])
            beside = learning_curve(spectrum, target, n, near).test_error
            assert (beside >= best.test_error * (1 - 1e-12)).all()


def test_one_level_has_its_optimum_in_closed_form():
    # Arbitrary alpha, S = noise, F^2 = 2, mass one: zeta* = S/F^2, less what the tail gives.
    spectrum = Spectrum([1 / 400], [400], tail=0.6)
    best = optimal_ridge(spectrum, Target([2.0], noise_variance=0.8), SAMPLES)
    # The minimum of a function is flat, its slope is not: the ridge is right to rounding.
    np.testing.assert_allclose(best.ridge, 0.4 - 0.6, rtol=1e-11)
    assert "negative at 8 of 8" in best.method


@pytest.mark.slow
def test_noise_broadcasts_and_more_of_it_asks_for_more_ridge():
    best = optimal_ridge(THREE, Target([1.0, 1.0, 1.0], np.array([[0.01], [0.1], [1.0]])), SAMPLES)
    assert best.ridge.shape == (3, 8)
    assert (np.diff(best.ridge, axis=0) > 0).all()


def test_without_noise_enough_samples_need_no_ridge():
    spectrum = Spectrum([1.0, 0.1], [2, 20])
    best = optimal_ridge(spectrum, Target([1.0, 1.0]), 30)
    assert best.ridge == 0
    assert best.test_error == 0


def test_a_target_that_cannot_be_learned_is_refused():
    with pytest.raises(ValueError, match="the best ridge is infinite"):
        optimal_ridge(Spectrum([1.0, 0.0], [2, 20]), Target([0.0, 1.0]), 5)


def test_the_lowest_ridge_is_the_edge_of_the_law_of_marchenko_and_pastur():
    alpha = np.array([0.01, 0.25, 0.9, 0.999])
    lowest = lowest_ridge(Spectrum([1 / 1000], [1000]), 1000 * alpha)
    # Near alpha = 1 the edge is the square of a small difference.
    bound = 100 * EPS / (1 - np.sqrt(alpha))
    assert (np.abs(lowest / -((1 - np.sqrt(alpha)) ** 2) - 1) < bound).all()


def test_the_error_diverges_at_the_lowest_ridge_and_below_it_is_refused():
    for n in (5.0, 60.0, 150.0):
        lowest = float(lowest_ridge(THREE, n))
        gaps = np.array([1e-2, 1e-4, 1e-6])
        curve = learning_curve(THREE, Target([1.0, 1.0, 1.0], 0.1), n, lowest * (1 - gaps))
        # The root is a double one there: E0 grows as gap^(-1/2).
        np.testing.assert_allclose(curve.overfitting[1:] / curve.overfitting[:-1], 10, rtol=0.2)
        with pytest.raises(ValueError, match=r"ridge must be above -\d\.\d+ at n"):
            learning_curve(THREE, Target([1.0]), n, lowest * (1 + 1e-9))


def test_at_a_negative_ridge_the_effective_ridge_solves_its_equation():
    for n in (5.0, 60.0, 150.0):
        ridge = 0.9 * float(lowest_ridge(THREE, n))
        kappa = float(effective_ridge(THREE, n, ridge))
        learned = THREE.eigenvalues / (THREE.eigenvalues + kappa)
        counted = np.sum(THREE.multiplicities * learned) + (ridge + 0.01) / kappa
        overfitting = 1 / (1 - np.sum(THREE.multiplicities * learned**2) / n)
        assert overfitting > 1
        assert counted == pytest.approx(n, rel=40 * EPS * overfitting)


def test_more_samples_than_modes_bear_no_ridge_below_the_tail():
    np.testing.assert_allclose(lowest_ridge(THREE, [221.0, 1e6]), -0.01, rtol=4 * EPS)


LEVELS = Spectrum([1.0, 0.1, 0.01], [1, 20, 200], tail=0.01)
TARGET = Target([0.3, 1.0, 0.5], noise_variance=0.2)


@pytest.mark.slow
def test_no_ridge_of_a_fine_grid_is_better_for_random_features():
    generator = np.random.default_rng(0)
    grid = np.concatenate([[0.0], 10.0 ** np.linspace(-14, 5, 600)])
    for _ in range(10):
        eigenvalues = 10.0 ** -np.sort(generator.uniform(0, 6, 4))
        counts, tail = generator.integers(1, 300, 4), generator.choice([0.0, 1e-3])
        spectrum = Spectrum(eigenvalues, counts, tail=tail)
        power = generator.random(4) * 10.0 ** -generator.uniform(0, 4, 4)
        target = Target(power, generator.choice([0.0, 1e-3, 0.3]))
        n, features = 10 ** generator.uniform(0, 3, 2)
        best = optimal_ridge(spectrum, target, n, features).test_error
        # T + noise is rounded by some eps; the minimum is flat.
        least = random_feature_curve(spectrum, target, n, features, grid).test_error.min()
        assert best <= least + 1e-13 * (least + target.noise_variance)


@pytest.mark.slow
def test_least_error_falls_with_samples_and_with_features():
    n, features = np.geomspace(2, 300, 12), np.geomspace(3, 200, 10)[:, None]
    error = optimal_ridge(LEVELS, TARGET, n, features).test_error
    assert (np.diff(error, axis=0) < 0).all()
    assert (np.diff(error, axis=1) < 0).all()
    # At a small ridge it does not: double descent.
    peak = random_feature_curve(LEVELS, TARGET, n, features, 1e-6).test_error
    assert (np.diff(peak, axis=1) > 0).any()


@pytest.mark.slow
@pytest.mark.parametrize("features", [pytest.param(None, marks=pytest.mark.kin), 90.0])
def test_derivatives_are_those_of_the_minimum(features):
    def found(point):
        target = Target(point[1:4], point[4])
        return optimal_ridge(LEVELS, target, point[0], features).ridge

    with jax.enable_x64(True):
        point = jnp.array([60.0, 0.3, 1, 0.5, 0.2])
        moved = [(found(point + 1e-4 * unit), found(point - 1e-4 * unit)) for unit in jnp.eye(5)]
        slopes = [(right - left) / 2e-4 for right, left in moved]
        # Truncation of 1e-8 third derivatives, up to some hundred in the powers of 0.2.
        np.testing.assert_allclose(jax.jit(jax.grad(found))(point), slopes, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be positive"),
        ({"features": 0}, ValueError, "features must be positive"),
        ({"features": np.ones(3), "n": np.ones(2)}, ValueError, "must broadcast"),
        ({"spectrum": None}, TypeError, "spectrum must be a Spectrum"),
        ({"spectrum": Spectrum([1, -1], [1, 1])}, NotPositiveDefiniteError, "at degree 1"),
        ({"target": None}, TypeError, "target must be a Target"),
        ({"target": Target({9: 1.0})}, ValueError, "target degree 9"),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    with pytest.raises(error, match=message):
        optimal_ridge(**({"spectrum": LEVELS, "target": TARGET, "n": 10} | changes))


@pytest.mark.slow
@pytest.mark.parametrize("noise", [1e3, 1e8, 1e12])
@pytest.mark.parametrize("features", [None, 1e9])
def test_large_noise_does_not_drown_the_optimum(noise, features):
    level = Spectrum([1.0], [100])
    best = optimal_ridge(level, Target([1.0], noise), [1.0, 50.0, 1000.0], features).ridge
    np.testing.assert_allclose(best, 100 * noise, rtol=1e-6)
