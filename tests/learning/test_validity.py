"""The estimated error of the equivalent: its moments, and where it has nothing to say."""

import dataclasses

import numpy as np
import pytest

from kerneltheory import ntk, relu, spectrum
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.high_order import high_order_curve
from kerneltheory.learning.random_features import random_feature_curve
from kerneltheory.learning.validity import _fourth_moment, counts, shares
from kerneltheory.spectra.spectrum import Spectrum, Target
from kerneltheory.sphere.harmonics import multiplicity

GIVEN = Spectrum([1.0, 0.1, 0.01], [1, 20, 200], tail=0.01)
TARGET = Target([0.3, 1.0, 0.5], noise_variance=0.2)


def test_the_moment_of_gaussian_features_is_that_of_samples_of_them():
    generator = np.random.default_rng(0)
    learned, counts, n = np.array([0.9, 0.3]), np.array([5, 40]), 50.0
    scale = np.repeat(learned, counts) / n
    products = np.sum(generator.normal(size=(2, 200_000, 45)).prod(0) * scale, axis=1) ** 4
    moment = _fourth_moment((counts * learned)[None] / n, learned[None], np.array([n]), None) / n
    error = products.std() / np.sqrt(products.size)
    assert abs(products.mean() - moment[0]) < 4 * error


@pytest.mark.parametrize(("degree", "kurtosis"), [(1, 3), (2, 15), (3, 93)])
def test_harmonics_have_the_kurtosis_of_hermite_polynomials_in_high_dimension(degree, kurtosis):
    # E He_k^4/k!^2 = 3, 15, 93; corrections are of order 1/d.
    dim = 10**5
    counted = np.zeros((1, 4))
    counted[0, degree] = multiplicity(dim, degree)
    n = 7.0
    moment = _fourth_moment(counted / n, np.ones((1, 4)), np.array([n]), dim)[0]
    assert moment * n**3 / counted.sum() ** 2 == pytest.approx(kurtosis, rel=100 / dim)


def test_estimates_have_the_shape_of_the_curve_and_fall_with_n():
    curve = learning_curve(GIVEN, TARGET, np.array([2.0, 20.0, 2e4])[:, None], [0.1, 1.0])
    assert curve.validity.shape == (3, 2)
    assert (np.diff(curve.validity, axis=0) < 0).all()
    assert "valid at" in repr(curve)
    assert curve.to_xarray()["validity"].shape == (3, 2)


def test_nothing_is_known_where_the_error_diverges():
    near = learning_curve(Spectrum([0.01], [100]), Target([1.0], 0.1), 100.0, [1e-9, 1.0])
    assert near.validity[0] > 10 * near.validity[1]
    assert not near.valid[0]


def test_other_curves_have_no_estimate():
    class Quadratic:
        trace = 2.0

        def taylor_coefficients(self, count):
            return np.array([0.0, 1.0, 1.0])[:count]

    limit = high_order_curve(Quadratic(), Target({2: 1.0}), 2, alpha=0.5, ridge=0.1)
    assert limit.validity is None
    assert limit.valid is None


# Warnings are errors here: nothing may overflow or be undefined on the way.
@pytest.mark.parametrize(
    ("n", "ridge"),
    [(1e-300, 0.1), (10.0, 1e300), (10.0, 1e308), (1e200, 0.0), (1e300, 1e-300), (1e300, 1e300)],
)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_extreme_numbers_have_estimates_and_parts_of_the_error(n, ridge, noise):
    curve = learning_curve(GIVEN, Target(TARGET.power, noise), n, ridge)
    assert 0.05 / n <= curve.validity <= max(0.05 / n + 1, 0.051 / n)
    assert ((curve.learnability >= 0) & (curve.learnability <= 1)).all()
    assert curve.degree_errors.sum() == pytest.approx(float(curve.test_error), rel=1e-14)


def test_levels_too_large_to_count_have_estimates():
    # On the sphere in 10,000 dimensions degree 200 has more harmonics than floats count.
    levels = spectrum(ntk(relu, 2, weight_variance=2.0), 10**4, 200)
    assert levels.multiplicities[-1] == np.inf
    curve = learning_curve(levels, Target({1: 1.0}, 0.1), np.array([1.0, 1e6]), 1e-3)
    assert np.isfinite(curve.validity).all()
    np.testing.assert_allclose(curve.degree_errors.sum(-1), curve.test_error, rtol=1e-14)


def test_nothing_is_known_where_the_curve_is_infinite():
    curve = learning_curve(GIVEN, TARGET, [30.0, 40.0], 0.1)
    infinite = np.array([np.inf, 1.0])
    curve = dataclasses.replace(curve, test_error=infinite, overfitting=infinite)
    assert curve.validity[0] == np.inf
    assert np.isfinite(curve.validity[1])
    curve = dataclasses.replace(
        curve, level_masses=np.array([1.0, 2.0, 0.0]), eigenvalues=[1, 0.1, 0]
    )
    assert np.array_equal(curve.degree_errors[0], [np.inf, np.inf, 0.5])


def test_shares_of_equal_vanishing_infinite_and_largest_numbers():
    largest = np.finfo(float).max
    learned, unlearned = shares([0.0, 1e-300, largest, np.inf], np.array([0.0, 1e-300, largest]))
    np.testing.assert_allclose(learned[0], [0, 1, 1, 1])
    np.testing.assert_allclose(learned[1], [0, 0.5, 1, 1])
    np.testing.assert_allclose(learned[2], [0, 0, 0.5, 1])
    np.testing.assert_allclose(learned + unlearned, 1)
    np.testing.assert_array_equal(counts([2.0, 0.0], [1.0, 0.0], np.zeros(1)), [[2, 0]])


# --- random features ----------------------------------------------------------------------------


def test_random_features_are_trusted_with_more_of_both():
    curve = random_feature_curve(GIVEN, TARGET, [[20.0], [60], [3000]], [30.0, 100, 1e5], 0.1)
    assert curve.validity.shape == (3, 3)
    assert (np.diff(np.diag(curve.validity)) < 0).all()
    assert curve.valid[2, 2]
    assert "valid at" in repr(curve)


@pytest.mark.parametrize(
    ("n", "features", "ridge"),
    [
        (1e-300, 60.0, 0.1),
        (60.0, 1e-300, 0.1),
        (10.0, 1e300, 0.0),
        (10.0, 20.0, 1e300),
        (300.0, 400.0, 0.0),
        (1e300, 1e300, 1e-300),
        (1e-200, 1e200, 1e-100),
    ],
)
def test_extreme_random_features_have_estimates(n, features, ridge):
    curve = random_feature_curve(GIVEN, TARGET, n, features, ridge)
    assert curve.validity >= 0  # infinity where nothing is known, and never NaN


def test_numbers_of_samples_near_the_end_of_floats_are_refused():
    for n in (1e-306, 1e-310, 5e-324):
        with pytest.raises(ValueError, match=r"n must be at least 2\.33e-302"):
            learning_curve(GIVEN, TARGET, n, 0.1)
        with pytest.raises(ValueError, match=r"features must be at least 2\.33e-302"):
            random_feature_curve(GIVEN, TARGET, 30.0, n, 0.1)
    assert learning_curve(GIVEN, TARGET, 3e-302, 0.1).test_error == pytest.approx(1.8)
