"""Exact averages over targets, noise and test points against sums over harmonics and draws."""

import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose
from scipy.special import eval_legendre, gammaln, lpmv

from kerneltheory.experiments.simulate import sphere_problem
from kerneltheory.experiments.trial import AveragedTrial, DrawnTrial
from kerneltheory.kernels.kernel import dot_product_kernel
from kerneltheory.regression.nested import NestedRegression
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.spectrum import Target
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer_sequence
from kerneltheory.sphere.sampling import uniform_sphere

EPS = np.finfo(float).eps
T = sympy.Symbol("t", real=True)
EXPONENTIAL = dot_product_kernel(sympy.exp(T))
TARGET = Target({0: 0.2, 1: 0.5, 2: 0.3, 3: 0.1}, noise_variance=0.15)
SIZES = [1, 2, 7, 20, 40]
RIDGE = 0.05
# The eigenvalue of degree 12 of exp(t) at d = 3 is 3e-15.
HIGHEST = 12


def real_harmonics(x):
    """Orthonormal real harmonics of S^2 by degree, (points, (HIGHEST + 1)^2), and the degrees."""
    polar, azimuth = x[:, 2], np.arctan2(x[:, 1], x[:, 0])
    columns, degrees = [], []
    for k in range(HIGHEST + 1):
        for m in range(-k, k + 1):
            order = abs(m)
            log_norm = gammaln(k - order + 1) - gammaln(k + order + 1)
            scale = np.sqrt((2 * k + 1) * np.exp(log_norm) * (2 if m else 1))
            wave = np.cos(m * azimuth) if m >= 0 else np.sin(order * azimuth)
            columns.append(scale * lpmv(order, k, polar) * wave)
            degrees.append(k)
    return np.array(columns).T, np.array(degrees)


def predictions(trial, cross, sizes):
    """Of the drawn labels, by a regression of their own."""
    (group,) = trial.groups
    nested = NestedRegression(trial._gram(), trial.labels[:, 0], group.ridge)
    return nested.predictions(cross, sizes)


class Sphere:
    """Two fixed training sets of S^2 and everything about them as sums over harmonics."""

    def __init__(self):
        self.problem = sphere_problem(EXPONENTIAL, TARGET, 3, SIZES, RIDGE, 4, 0)
        self.trials = [AveragedTrial(self.problem, np.random.default_rng([7, i])) for i in (0, 1)]
        harmonics = [real_harmonics(trial.x) for trial in self.trials]
        self.degrees = harmonics[0][1]
        self.harmonics = [values for values, _ in harmonics]
        self.eigenvalues = np.asarray(self.problem.spectrum.eigenvalues)[self.degrees]
        counts = np.array([multiplicity(3, int(k)) for k in self.degrees])
        self.power = TARGET.powers(HIGHEST + 1)[self.degrees] / counts

    def zonal(self, weights, first=0, second=0):
        return (self.harmonics[first] * weights) @ self.harmonics[second].T

    def inverse(self, which, n):
        gram = self.zonal(self.eigenvalues, which, which)[:n, :n]
        return np.linalg.inv(gram + RIDGE * np.eye(n))


@pytest.fixture(scope="module")
def sphere():
    return Sphere()


def test_harmonics_obey_the_addition_theorem(sphere):
    cosines = sphere.trials[0].x @ sphere.trials[1].x.T
    for k in range(HIGHEST + 1):
        expected = (2 * k + 1) * eval_legendre(k, cosines)
        # Derivatives of harmonics are at most k^2 times their values, up to 2k + 1.
        assert_allclose(
            sphere.zonal(sphere.degrees == k, 0, 1), expected, rtol=0, atol=EPS * 8 * (k + 1) ** 3
        )


@pytest.mark.parametrize("second", [0, 1])
def test_label_kernel_and_norm_matrices_are_sums_over_harmonics(sphere, second):
    x, z = sphere.trials[0].x, sphere.trials[second].x
    above = sphere.degrees >= 2
    for name, weights in (
        ("S", sphere.power),
        ("C", sphere.eigenvalues * sphere.power),
        ("E", above * sphere.eigenvalues**2),
    ):
        expected = sphere.zonal(weights, 0, second)
        atol = 200 * EPS * np.sum(weights)
        assert_allclose(sphere.problem.zonal_matrix(name, x, z), expected, rtol=0, atol=atol)
    features = sphere.trials[0]._features @ sphere.trials[second]._features.T
    expected = sphere.zonal(~above * sphere.eigenvalues**2, 0, second)
    assert_allclose(features, expected, rtol=0, atol=64 * EPS * np.abs(expected).max())


@pytest.mark.parametrize("dim", [2, 3, 5, 24])
def test_zonal_sums_of_high_degree_keep_their_digits(dim, rng):
    # In powers of the cosine the coefficients of degree 40 reach 1e15 and cancel.
    target = Target({40: 1.0})
    problem = sphere_problem(EXPONENTIAL, target, dim, [10], RIDGE, 4, 0)
    x = uniform_sphere(rng, 10, dim)
    *_, expected = gegenbauer_sequence(dim, x @ x.T, 40)
    # A cosine is off by eps, and the slope of P_k at most k^2.
    assert_allclose(problem.zonal_matrix("S", x, x), expected, rtol=0, atol=2 * 40**2 * EPS)


def test_averaged_test_error_is_the_trace_formula_of_dense_matrices(sphere):
    measured = sphere.trials[0].measured()["test_error"]
    labels = sphere.zonal(sphere.power)
    overlap = sphere.zonal(sphere.eigenvalues * sphere.power)
    form = sphere.zonal(sphere.eigenvalues**2)
    for n, value in zip(SIZES, measured, strict=True):
        inverse = sphere.inverse(0, n)
        noisy = labels[:n, :n] + 0.15 * np.eye(n)
        expected = 1.1 - 2 * np.trace(inverse @ overlap[:n, :n])
        expected += np.trace(inverse @ noisy @ inverse @ form[:n, :n])
        # n eps times the condition number 40 e / 0.05 of the largest system is 2e-11.
        assert value == pytest.approx(expected, rel=1e-10)


def test_averaged_bias_is_the_trace_formula_of_dense_matrices(sphere):
    measured = sphere.trials[0].bias_with(sphere.trials[1])
    labels, form = sphere.zonal(sphere.power, 0, 1), sphere.zonal(sphere.eigenvalues**2, 1, 0)
    weights = sphere.eigenvalues * sphere.power
    for n, value in zip(SIZES, measured, strict=True):
        first, second = sphere.inverse(0, n), sphere.inverse(1, n)
        expected = 1.1 - sum(
            np.trace(inverse @ sphere.zonal(weights, which, which)[:n, :n])
            for which, inverse in ((0, first), (1, second))
        )
        expected += np.trace(first @ labels[:n, :n] @ second @ form[:n, :n])
        assert value == pytest.approx(expected, rel=1e-10)


def test_averages_given_the_samples_are_means_over_drawn_targets_and_noise(sphere):
    """Random isotropic targets in the basis of harmonics; errors as distances in that basis."""
    generator, draws = np.random.default_rng(3), 4000
    f = np.sqrt(sphere.power)[:, None] * generator.standard_normal((len(sphere.power), draws))
    noise = np.sqrt(0.15) * generator.standard_normal((2, max(SIZES), draws))
    test_error = sphere.trials[0].measured()["test_error"]
    bias = sphere.trials[0].bias_with(sphere.trials[1])
    for index, n in enumerate(SIZES):
        residuals = []
        for which in (0, 1):
            basis = sphere.harmonics[which][:n]
            coefficients = sphere.inverse(which, n) @ (basis @ f + noise[which, :n])
            residuals.append(f - sphere.eigenvalues[:, None] * (basis.T @ coefficients))
        for average, values in (
            (test_error[index], np.sum(residuals[0] ** 2, axis=0)),
            (bias[index], np.sum(residuals[0] * residuals[1], axis=0)),
        ):
            # Ten comparisons: by chance one is off by 4 standard errors in 1500 runs.
            assert abs(values.mean() - average) < 4 * values.std() / np.sqrt(draws)


@pytest.mark.parametrize("ridge", [1e-3, 0.5])
def test_drawn_test_error_is_that_of_many_test_points(ridge):
    dim, sizes = 5, np.array([1, 10, 80])
    problem = sphere_problem(EXPONENTIAL, TARGET, dim, sizes, ridge, 4, 0)
    trial = DrawnTrial(problem, np.random.default_rng(11))
    points = uniform_sphere(np.random.default_rng(12), 20000, dim)
    target = sum(
        np.sqrt(TARGET.power[k] * multiplicity(dim, k)) * part
        for k, part in enumerate(gegenbauer_sequence(dim, points[:, 0], 3))
    )
    cross = np.exp(trial.x @ points.T)
    errors = (predictions(trial, cross, sizes) - target) ** 2
    standard_errors = errors.std(axis=1) / np.sqrt(errors.shape[1])
    assert np.all(
        np.abs(trial.measured()["test_error"] - errors.mean(axis=1)) < 4 * standard_errors
    )


def test_drawn_bias_is_the_inner_product_of_residuals_at_many_test_points():
    dim, sizes = 5, np.array([1, 10, 80])
    problem = sphere_problem(EXPONENTIAL, TARGET, dim, sizes, RIDGE, 4, 0)
    trials = [DrawnTrial(problem, np.random.default_rng([13, i])) for i in (0, 1)]
    points = uniform_sphere(np.random.default_rng(14), 20000, dim)
    target = sum(
        np.sqrt(TARGET.power[k] * multiplicity(dim, k)) * part
        for k, part in enumerate(gegenbauer_sequence(dim, points[:, 0], 3))
    )
    first, second = (
        predictions(trial, np.exp(trial.x @ points.T), sizes) - target for trial in trials
    )
    products = first * second
    standard_errors = products.std(axis=1) / np.sqrt(products.shape[1])
    bias = trials[1].bias_with(trials[0])
    assert np.all(np.abs(bias - products.mean(axis=1)) < 4 * standard_errors)


@pytest.mark.parametrize("run", [DrawnTrial, AveragedTrial])
def test_bias_with_a_trial_of_more_sizes_uses_the_sizes_in_common(run):
    problem = sphere_problem(EXPONENTIAL, TARGET, 4, SIZES, RIDGE, [5, 5, 5, 4, 4], 0)
    large = run(problem, np.random.default_rng(0), 3)
    small = run(problem, np.random.default_rng(1), 4)
    first = run(problem, np.random.default_rng(0), 4)
    # The same generator gives the same first rows, but another draw of noise after them.
    assert_allclose(large.x[: len(first.x)], first.x)
    shape = small.bias_with(large).shape
    assert shape == (3,)
    if run is AveragedTrial:
        assert_allclose(small.bias_with(large), small.bias_with(first), rtol=1e-12)


def test_samples_that_rounding_puts_beyond_each_other(monkeypatch, rng):
    """In low dimension two samples may be so close that their cosine is rounded above one."""
    x = uniform_sphere(rng, 200, 2)
    longest = x[np.argmax(np.sum(x * x, axis=1))]
    assert longest @ longest > 1
    pair = np.array([longest, longest, -longest])
    monkeypatch.setattr("kerneltheory.experiments.trial.uniform_sphere", lambda *_: pair)
    problem = sphere_problem(EXPONENTIAL, TARGET, 2, [3], RIDGE, 4, 0)
    assert np.isfinite(DrawnTrial(problem, rng).measured()["test_error"]).all()


def cholesky_in_extended_precision(matrix):
    factor = np.array(matrix, dtype=np.longdouble)
    for j in range(len(factor)):
        factor[j:, j] -= factor[j:, :j] @ factor[j, :j]
        factor[j:, j] /= np.sqrt(factor[j, j])
    return np.tril(factor)


def solve_triangular_in_extended_precision(lower, right):
    solution = np.array(right, dtype=np.longdouble)
    for j in range(len(lower)):
        solution[j] = (solution[j] - lower[j, :j] @ solution[:j]) / lower[j, j]
    return solution


def test_a_small_ridge_does_not_turn_rounding_into_error():
    """The kernel of the headline: coefficients near 1e5 meet a matrix D with entries near 1."""
    dim, n, ridge = 24, 700, 1e-6
    kernel = dot_product_kernel(sympy.exp(-(1 - T) / 10))
    target = Target({1: 0.5, 2: 0.3, 3: 0.2}, noise_variance=0.1)
    problem = sphere_problem(kernel, target, dim, [n], ridge, 4, 0)
    trial = DrawnTrial(problem, np.random.default_rng(0))
    x = trial.x.astype(np.longdouble)
    cosines = x @ x.T
    np.fill_diagonal(cosines, 1)
    lower = cholesky_in_extended_precision(
        np.exp((cosines - 1) / 10) + np.longdouble(ridge) * np.eye(n)
    )
    labels = solve_triangular_in_extended_precision(lower, trial.labels[:, 0])
    flipped = lower.T[::-1, ::-1]
    coefficients = solve_triangular_in_extended_precision(flipped, labels[::-1])[::-1]
    levels = spectrum(kernel, dim, 12)
    squares = levels.level_masses * levels.eigenvalues
    parts = gegenbauer_sequence(dim, cosines, 12, lambda f: _extended(f))
    form = sum(np.longdouble(w) * part for w, part in zip(squares, parts, strict=True))
    exact = 1 - 2 * coefficients @ trial.overlap[:, 0] + coefficients @ form @ coefficients
    # The system has the condition number 700/5e-6: 1e-7 of relative rounding in coefficients.
    assert trial.measured()["test_error"][0] == pytest.approx(float(exact), rel=1e-6)


def _extended(fraction):
    return np.longdouble(fraction.numerator) / np.longdouble(fraction.denominator)
