"""Powers by degree: exact ones of zonal functions, and estimates with their standard errors."""

import numpy as np
import problems
import pytest
import sympy

from kerneltheory.core.errors import PrecisionError
from kerneltheory.spectra.decomposition import decompose, decompose_zonal
from kerneltheory.sphere.basis import harmonic_basis, zonal_harmonic
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.sampling import uniform_sphere

t = sympy.Symbol("t")
EPS = np.finfo(float).eps


@pytest.mark.parametrize("dim", [2, 3, 24, 10**6])
@pytest.mark.parametrize("order", [0, 1])
def test_rectified_powers_have_the_powers_of_the_literature(order, dim):
    g = sympy.Heaviside(t) if order == 0 else sympy.Max(0, t)
    found = decompose_zonal(g, dim, 6)
    expected = [
        multiplicity(dim, k) * float(problems.rectified_power(dim, order, k)) ** 2 for k in range(7)
    ]
    np.testing.assert_allclose(found.power, expected, rtol=1e-12, atol=1e-17 * found.mean_square)
    assert found.mean_square == pytest.approx(0.5 if order == 0 else 1 / (2 * dim), rel=4 * EPS)
    assert np.all(np.abs(found.power - expected) <= found.error + 1e-12 * np.array(expected))


def test_a_zonal_polynomial_has_one_degree():
    legendre = (35 * t**4 - 30 * t**2 + 3) / 8
    found = decompose_zonal(legendre, 3, 6)
    np.testing.assert_allclose(found.power, np.eye(7)[4] / 9, atol=1e-16)  # 1/N(3, 4)
    assert found.remaining == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("dim", [2, 5, 1000])
def test_quadrature_is_as_close_as_it_says(dim):
    for g, numeric in (
        (sympy.exp(2 * t), lambda x: np.exp(2 * x)),
        (sympy.Max(t, sympy.Rational(1, 5)), lambda x: np.maximum(x, 0.2)),
        (sympy.sign(t), np.sign),
    ):
        truth, found = decompose_zonal(g, dim, 6), decompose_zonal(numeric, dim, 6)
        assert np.all(np.abs(found.power - truth.power) <= found.error + truth.error)


def test_powers_of_samples_are_unbiased_and_so_are_their_errors(rng):
    """200 data sets of one function with noise: mean and spread against what each one says."""
    dim, rows, trials = 4, 100, 200
    powers, errors = [], []
    for _ in range(trials):
        X = 3 * uniform_sphere(rng, rows, dim)
        y = 2 * X[:, 0] / 3 * np.sqrt(dim) / 2 + np.sqrt(0.5) * zonal_harmonic(2, np.ones(dim), X)
        found = decompose(y + 0.5 * rng.standard_normal(rows), X, 3)
        powers.append(found.power)
        errors.append(found.error**2)
    powers, errors = np.array(powers), np.array(errors)
    spread = powers.std(axis=0, ddof=1)
    assert np.all(np.abs(powers.mean(axis=0) - [0, 1, 0.5, 0]) < 4 * spread / np.sqrt(trials))
    # The mean of the squares is the variance, up to the noise of both and the cuts at zero, which
    # can only add. A variance of 200 draws is known to 10%, here of a skewed distribution.
    ratio = errors.mean(axis=0) / spread**2
    assert np.all(ratio > 0.65)
    assert np.all(ratio[[1, 2]] < 1.5)


def test_samples_by_all_pairs(rng):
    """The estimator, by its definition."""
    X = uniform_sphere(rng, 20, 3)
    y = rng.standard_normal(20)
    found = decompose(lambda rows: y, X, 3)
    for k in range(4):
        basis = harmonic_basis(k, X)
        total = sum(
            y[i] * y[j] * basis[i] @ basis[j] for i in range(20) for j in range(20) if i != j
        )
        assert found.power[k] == pytest.approx(total / 380, abs=1e-12)
    assert found.mean_square == pytest.approx(np.mean(y**2))


def test_rows_that_coincide_and_high_dimensions_stay_finite(rng):
    X = np.repeat(uniform_sphere(rng, 10, 3000), 2, axis=0)
    found = decompose(np.ones(20), X, 8)
    assert np.isfinite(found.power).all()
    assert np.isfinite(found.error).all()


def test_target_takes_no_negative_powers(rng):
    found = decompose(rng.standard_normal(50), uniform_sphere(rng, 50, 5), 4)
    assert found.power.min() < 0
    target = found.target(noise_variance=0.3)
    np.testing.assert_array_equal(target.powers(5), np.maximum(found.power, 0))
    assert target.noise_variance == 0.3
    assert "pairs of 50 samples" in repr(found)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: decompose(np.ones(3), np.eye(3), 1), ValueError, "at least four rows"),
        (lambda: decompose(np.ones(3), np.eye(4), 1), ValueError, "one value for each of 4 rows"),
        (lambda: decompose([1, 2, 3, np.nan], np.eye(4), 1), ValueError, "f must be finite"),
        (lambda: decompose(np.ones(4), np.eye(4), -1), ValueError, "max_degree must be"),
        (lambda: decompose_zonal("relu", 3, 1), TypeError, "g must be a sympy expression"),
        (lambda: decompose_zonal(t * sympy.Symbol("s"), 3, 1), ValueError, "one free symbol"),
        (lambda: decompose_zonal(t, 1, 1), ValueError, "dim must be"),
        (lambda: decompose_zonal(lambda x: x[1:], 3, 1), ValueError, "g must keep the shape"),
        (lambda: decompose_zonal(lambda x: x * np.inf, 3, 1), ValueError, "g must be finite"),
        (lambda: decompose_zonal(1 / t, 3, 1), PrecisionError, "pass a numeric function instead"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
