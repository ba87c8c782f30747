"""The first correction to the equivalent of random features, against exact errors and laws."""

import numpy as np
import pytest

from kerneltheory.learning import feature_validity
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.feature_validity import Edges, Points, _returns, _rings, _widths
from kerneltheory.learning.random_features import random_feature_curve
from kerneltheory.spectra.spectrum import Spectrum, Target

MODES, POWER, NOISE = 400, 0.7, 0.3
FLAT = Spectrum(np.array([1.0]), np.array([MODES]))


def _linear(n, p, features):
    """The error of least squares on Gaussian inputs: inverse Wishart matrices, exactly."""
    if features:  # on p < n random combinations, of which the rest of the target is noise
        rest = POWER * (1 - p / MODES) + NOISE
        return rest * (n - 1) / (n - p - 1) - NOISE
    if n > MODES:
        return NOISE * MODES / (n - MODES - 1)
    return POWER * (1 - n / MODES) + NOISE * n / (MODES - n - 1)


@pytest.mark.parametrize(
    ("n", "p"), [(100, 1e12), (300, 1e12), (600, 1e12), (1200, 1e12), (200, 50), (500, 300)]
)
def test_without_ridge_the_correction_is_that_of_inverse_wishart_matrices(n, p):
    curve = random_feature_curve(FLAT, Target([POWER], NOISE), float(n), float(p), 0.0)
    exact = _linear(n, p, p < n)
    gap = min(abs(n - min(p, MODES)), abs(MODES - min(n, p)))
    # What is left is of second order in the inverse of what the numbers differ by.
    assert abs(exact / float(curve.test_error * (1 + curve.correction)) - 1) < 2 / gap**2
    assert abs(exact / float(curve.test_error) - 1) > 4 / gap**2 or p < n


def test_infinitely_many_samples_leave_the_part_that_features_do_not_span():
    curve = random_feature_curve(FLAT, Target([POWER], NOISE), 1e12, [20.0, 100.0], 0.0)
    np.testing.assert_allclose(curve.test_error, POWER * (1 - np.array([20, 100]) / MODES))
    assert np.all(np.abs(curve.correction) < 1e-6)


def _some_edges():
    generator = np.random.default_rng(3)
    learned, counts = np.array([[0.9, 0.6, 0.2, 0.01]]), np.array([1.0, 10, 54, 210])
    crossing = counts * learned * (1 - learned)
    roots = generator.choice([-1, 1], 4) * counts * np.sqrt(learned * (1 - learned))
    squares = counts * learned**2
    return Edges(
        counts * learned, counts * learned, crossing, roots, (squares, squares), np.array([0.1])
    )


@pytest.mark.parametrize("dim", [None, 10])
def test_one_more_sample_adds_the_logarithm_of_its_own_variance(dim):
    r"""dL_1/dn at fixed edges is v/2 - Gamma/(2n): E ln X of a new sample, to first order."""
    edges, step = _some_edges(), 1e-4
    sphere = None if dim is None else feature_validity.sphere_of(dim, 4)
    none = np.zeros(1)

    def rings(n):
        points = Points(np.array([n]), np.array([90.0]), (none, none), none)
        return [float(np.real(x[0])) for x in _rings(edges, points, sphere)]

    n = 130.0
    rise = (rings(n * (1 + step))[0] - rings(n * (1 - step))[0]) / (2 * step)
    _, spread, response, _ = rings(n)
    # The central difference is off by the square of its step.
    assert rise == pytest.approx((spread - response) / 2, rel=1e-6)


def test_returns_between_two_vertices_are_logarithms_and_their_series():
    square = np.array([-3.0, -0.3, -1.001e-3, -0.999e-3, 1e-7, 0.999e-3, 1.001e-3, 0.2])
    # The series leaves out the sixth power; the logarithm loses eps over the square.
    tolerance = 1e-8
    np.testing.assert_allclose(
        _returns(square), np.log1p(-square) + square, rtol=tolerance, atol=1e-16
    )
    expected = np.log1p(-square) + square / (1 - square)
    np.testing.assert_allclose(_widths(square), expected, rtol=tolerance, atol=1e-16)


def test_coefficients_and_their_signs_are_the_same_and_matter():
    spectrum = Spectrum([0.5, 0.05, 0.004], [1, 10, 54], dim=10, domain="sphere")
    target = Target([0.3, 1.0, 0.5], noise_variance=0.2)
    given = [
        random_feature_curve(spectrum, target, 40, 60, 0.01, signs=signs)
        for signs in ([0.7, -0.2, 0.06], [1, -1, 1], [1, 1, 1], None)
    ]
    found = [float(curve.correction) for curve in given]
    assert found[0] == found[1] != found[2] == found[3]
    assert given[0].test_error == given[3].test_error


@pytest.mark.parametrize("signs", [[1.0, 1.0], 1.0, [[1.0], [1.0], [1.0]]])
def test_signs_must_be_one_for_each_level(signs):
    spectrum = Spectrum([0.5, 0.05, 0.004], [1, 10, 54], dim=10, domain="sphere")
    with pytest.raises(ValueError, match="signs must hold one number for each of 3 levels"):
        random_feature_curve(spectrum, Target([1.0]), 40, 60, 0.01, signs=signs)


def test_regression_on_the_kernel_itself_has_no_such_correction():
    curve = learning_curve(FLAT, Target([POWER], NOISE), 100, 0.1)
    assert curve.correction is None
    assert curve.correction_error is None


def test_the_peak_without_ridge_is_beyond_any_correction():
    curve = random_feature_curve(FLAT, Target([POWER], NOISE), 100, 100, [1e-9, 1.0])
    assert curve.validity[0] > 1
    assert curve.validity[1] < 0.05


def test_points_are_corrected_one_by_one_whatever_the_block(monkeypatch):
    n = np.array([20.0, 60.0, 300.0, 5000.0])
    spectrum = Spectrum([0.5, 0.05, 0.004], [1, 10, 54], dim=10, domain="sphere")
    curve = random_feature_curve(spectrum, Target([0.3, 1.0, 0.5], 0.2), n, 100.0, 0.01)
    whole = curve.correction
    monkeypatch.setattr(feature_validity, "BLOCK_ENTRIES", 6)
    # The scale of epsilon is that of a block, at which rounding differs.
    np.testing.assert_allclose(curve.correction, whole, rtol=1e-8)


def test_the_correction_vanishes_with_the_numbers_of_samples_and_features():
    curve = random_feature_curve(
        Spectrum([0.5, 0.05, 0.004], [1, 10, 54], dim=10, domain="sphere"),
        Target([0.3, 1.0, 0.5], 0.2),
        np.array([1e3, 1e4, 1e5]),
        np.array([1e3, 1e4, 1e5]),
        0.01,
    )
    ratios = curve.correction[:-1] / curve.correction[1:]
    # The equivalent is off by 1/n, of which the next order is smaller by 1/n again.
    np.testing.assert_allclose(ratios[1], 10, rtol=0.3)
