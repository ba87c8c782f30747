"""Regression on random rows of a finite set against its theory, with generic eigenvectors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import eigh

from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.subsets import subset_learning_curve
from kerneltheory.spectra.spectrum import Spectrum, Target

# Small, so that LAPACK stays on one thread: the tests share cores with each other.
ROWS, DRAWS = 100, 60
EPS = np.finfo(float).eps


def problem():
    """Eigenvalues 1/i^1.5 and powers 1/i^1.2, both as of the whole set."""
    ranks = np.arange(1, ROWS + 1)
    spectrum = Spectrum(ranks**-1.5, np.ones(ROWS))
    return spectrum, Target(ranks**-1.2)


def rotation(generator):
    """Uniform over the orthogonal group, by Gaussians with the signs of R fixed (Mezzadri 2007)."""
    q, r = np.linalg.qr(generator.standard_normal((ROWS, ROWS)))
    return q * np.sign(np.diag(r))


class Draw:
    """A data set with random eigenvectors."""

    def __init__(self, generator):
        spectrum, target = problem()
        self.vectors = rotation(generator)
        self.gram = (self.vectors * (ROWS * spectrum.eigenvalues)) @ self.vectors.T
        self.y = self.vectors @ np.sqrt(ROWS * target.powers(ROWS))

    def predictions(self, rows, ridge):
        system = self.gram[np.ix_(rows, rows)] + ridge * np.eye(len(rows))
        return self.gram[:, rows] @ np.linalg.solve(system, self.y[rows])


@pytest.fixture(scope="module", params=[0.0, 2.0])
def measured(request):
    """Means over draws of a data set, of two subsets of each, with their standard errors."""
    generator, ridge, n = np.random.default_rng(5), request.param, [10, 40, 80]
    values = {name: [] for name in ("test_error", "bias", "learned")}
    for _ in range(DRAWS):
        draw = Draw(generator)
        rows = {name: [] for name in values}
        for size in n:
            subsets = [generator.permutation(ROWS)[:size] for _ in (0, 1)]
            fitted = [draw.predictions(subset, ridge) for subset in subsets]
            left = [~np.isin(np.arange(ROWS), subset) for subset in subsets]
            first, second = (draw.y - f for f in fitted)
            both = left[0] & left[1]
            rows["test_error"].append(np.mean(first[left[0]] ** 2))
            # Given that a row is in neither, its residuals are independent.
            rows["bias"].append(np.mean(first[both] * second[both]))
            # f = K R y: how much of the mode of rank 20 the predictor has, on the whole set.
            mode = draw.vectors[:, 19]
            rows["learned"].append((mode @ fitted[0]) / (mode @ draw.y))
        for name, row in rows.items():
            values[name].append(row)
    means = {name: np.mean(v, axis=0) for name, v in values.items()}
    errors = {name: np.std(v, axis=0, ddof=1) / np.sqrt(DRAWS) for name, v in values.items()}
    return np.array(n), ridge, means, errors


# The theory is that of many rows: what it leaves out is of the order of 1/n or 1/(M - n), here
# 1/40 to 1/10.
def _finite_size(n):
    return 1 / np.minimum(n, ROWS - n)


@pytest.mark.parametrize("field", ["test_error", "bias"])
def test_errors_on_the_rows_left_out(measured, field):
    n, ridge, means, errors = measured
    expected = getattr(subset_learning_curve(*problem(), n, ridge), field)
    bound = 3 * errors[field] + _finite_size(n) * expected
    assert np.all(np.abs(means[field] - expected) < bound)
    # The comparison decides: a factor 1 - n/M more or less would be seen at the larger n.
    assert np.all(bound[1:] < 0.5 * expected[1:] * n[1:] / ROWS)


def test_learnability_is_the_share_of_a_mode_in_the_mean_predictor(measured):
    n, ridge, means, errors = measured
    learnability = subset_learning_curve(*problem(), n, ridge).learnability[:, 19]
    bound = 3 * errors["learned"] + _finite_size(n)
    assert np.all(np.abs(means["learned"] - learnability) < bound)


def test_the_effective_ridge_solves_the_equation_of_the_subset():
    spectrum, target = problem()
    n = np.array([1.0, 24.5, 80, 99])
    for ridge in (0.0, 2.0, 50.0):
        eta = ROWS * subset_learning_curve(spectrum, target, n, ridge).kappa
        whole = ROWS * spectrum.eigenvalues
        counted = np.sum((whole + ridge) / (whole + eta[:, None]), axis=1)
        # A sum of 100 terms at most 1, whose slope in ln eta is at most n.
        assert_allclose(counted, n, rtol=1e-12)


def test_without_ridge_independent_samples_miss_the_rows_left_out():
    """The same sum of squares lies on fewer rows: exactly, since the rest are interpolated."""
    spectrum, target = problem()
    n = np.array([24, 50, 80])
    independent = learning_curve(spectrum, target, n, 0.0)
    subsets = subset_learning_curve(spectrum, target, n, 0.0)
    ratio = subsets.test_error / independent.test_error
    assert_allclose(ratio, 1 / (1 - n / ROWS), rtol=8 * EPS)
    assert_allclose(subsets.kappa, independent.kappa, rtol=1e-12)


def test_a_ridge_is_a_kernel_that_tells_rows_apart(rng):
    """On rows left out K with a ridge and K + ridge I without one are the same predictor."""
    draw = Draw(rng)
    rows, ridge = rng.permutation(ROWS)[:60], 3.0
    left = np.setdiff1d(np.arange(ROWS), rows)
    shifted = draw.gram + ridge * np.eye(ROWS)
    other = shifted[:, rows] @ np.linalg.solve(shifted[np.ix_(rows, rows)], draw.y[rows])
    # Both solve the same well-conditioned system.
    assert_allclose(draw.predictions(rows, ridge)[left], other[left], rtol=0, atol=1e-9)
    assert_allclose(other[rows], draw.y[rows], rtol=0, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 3.0])
def test_rows_that_tell_nothing_of_each_other(ridge):
    """K = I: every row left out is predicted as 0, without any variance, at every n."""
    whole = Spectrum(np.full(50, 1 / 50), np.ones(50))
    labels = Target(np.arange(50.0))
    curve = subset_learning_curve(whole, labels, np.array([1.0, 10, 25, 49]), ridge)
    total = labels.total_power
    # 1 - n/M loses up to 50 units of rounding at n = 49, and its square twice that.
    assert_allclose(curve.test_error, total, rtol=400 * EPS)
    assert_allclose(curve.bias, total, rtol=400 * EPS)
    assert_allclose(curve.variance, 0, atol=800 * EPS * total)
    assert_allclose(curve.overfitting, 1, rtol=400 * EPS)


def test_errors_are_consistent_with_each_other():
    spectrum, target = problem()
    curve = subset_learning_curve(spectrum, target, np.array([[10.0, 30], [60, 95]]), 0.5)
    assert curve.test_error.shape == (2, 2)
    assert_allclose(curve.bias + curve.variance, curve.test_error, rtol=8 * EPS)
    assert_allclose(curve.overfitting * curve.bias, curve.test_error, rtol=16 * EPS)
    assert np.all(curve.variance > 0)
    unlearned = np.sum((1 - curve.learnability) ** 2 * target.powers(ROWS), axis=-1)
    left = 1 - curve.n / ROWS
    # 1 - q of the kernel with the ridge on its diagonal: what of a residual the ridge is.
    shifted = (curve.kappa - 0.5 / ROWS) / curve.kappa
    assert_allclose(curve.bias, unlearned * shifted**2 / left**2, rtol=1e-10)


def test_a_spectrum_measured_on_rows_and_one_of_levels_agree(rng):
    """Multiplicities count rows."""
    levels = Spectrum([0.5, 0.1], [3, 17])
    single = Spectrum(np.repeat([0.5, 0.1], [3, 17]), np.ones(20))
    powers = Target([0.7, 0.3]), Target(np.repeat([0.7 / 3, 0.3 / 17], [3, 17]))
    n = np.array([1.0, 5, 19])
    first = subset_learning_curve(levels, powers[0], n, 0.1)
    second = subset_learning_curve(single, powers[1], n, 0.1)
    assert_allclose(first.test_error, second.test_error, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must lie between 0 and the number of rows 100"),
        ({"n": [10, 100]}, ValueError, "n must lie between 0 and the number of rows 100"),
        ({"n": []}, ValueError, "n must lie between"),
        ({"n": np.nan}, ValueError, "n must be finite"),
        ({"n": "10"}, TypeError, "n must be a real array"),
        ({"ridge": -1.0}, ValueError, "ridge must not be negative"),
        ({"ridge": [0.1, 0.2]}, ValueError, "ridge must have 0 dimensions"),
        ({"target": Target([1.0], 0.1)}, ValueError, "target must have no noise_variance"),
        ({"target": [1.0]}, TypeError, "target must be a Target"),
        ({"spectrum": [1.0]}, TypeError, "spectrum must be a Spectrum"),
        ({"spectrum": Spectrum([1.0], [100], tail=0.1)}, ValueError, "spectrum must hold every"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    spectrum, target = problem()
    given = {"spectrum": spectrum, "target": target, "n": 10, "ridge": 0.1} | arguments
    with pytest.raises(error, match=message):
        subset_learning_curve(**given)


def test_the_draws_have_the_spectrum_and_the_powers(rng):
    draw = Draw(rng)
    spectrum, target = problem()
    values, vectors = eigh(draw.gram)
    # Rounding of a symmetric matrix moves eigenvalues by a few eps of the largest, times M.
    atol = ROWS * EPS * values[-1]
    assert_allclose(values[::-1] / ROWS, spectrum.eigenvalues, rtol=0, atol=atol)
    power = (vectors.T @ draw.y)[::-1] ** 2 / ROWS
    assert_allclose(power[:20], target.powers(ROWS)[:20], rtol=1e-8)
