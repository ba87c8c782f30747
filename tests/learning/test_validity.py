"""The estimated error of the equivalent: its moments, and where it has nothing to say."""

import numpy as np
import pytest

from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.high_order import high_order_curve
from kerneltheory.learning.random_features import random_feature_curve
from kerneltheory.learning.validity import _fourth_moment
from kerneltheory.spectra.spectrum import Spectrum, Target
from kerneltheory.sphere.harmonics import multiplicity

GIVEN = Spectrum([1.0, 0.1, 0.01], [1, 20, 200], tail=0.01)
TARGET = Target([0.3, 1.0, 0.5], noise_variance=0.2)


def test_the_moment_of_gaussian_features_is_that_of_samples_of_them():
    generator = np.random.default_rng(0)
    learned, counts, n = np.array([0.9, 0.3]), np.array([5, 40]), 50.0
    scale = np.repeat(learned, counts) / n
    products = np.sum(generator.normal(size=(2, 200_000, 45)).prod(0) * scale, axis=1) ** 4
    moment = _fourth_moment((counts * learned)[None], learned[None], np.array([[n]]), None)
    error = products.std() / np.sqrt(products.size)
    assert abs(products.mean() - moment[0]) < 4 * error


@pytest.mark.parametrize(("degree", "kurtosis"), [(1, 3), (2, 15), (3, 93)])
def test_harmonics_have_the_kurtosis_of_hermite_polynomials_in_high_dimension(degree, kurtosis):
    # E He_k^4/k!^2 = 3, 15, 93; corrections are of order 1/d.
    dim = 10**5
    counted = np.zeros((1, 4))
    counted[0, degree] = multiplicity(dim, degree)
    n = np.array([[7.0]])
    moment = _fourth_moment(counted, np.ones((1, 4)), n, dim)[0]
    assert moment * 7.0**4 / counted.sum() ** 2 == pytest.approx(kurtosis, rel=100 / dim)


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
    features = random_feature_curve(GIVEN, TARGET, 30, 60, 0.1)
    assert limit.validity is None
    assert features.validity is None
    assert features.valid is None
