"""Harmonics as functions: the addition theorem makes a set of N functions an orthonormal basis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneltheory.core.errors import PrecisionError
from kerneltheory.sphere.basis import harmonic_basis, zonal_harmonic
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer

EPS = np.finfo(float).eps


def directions(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("dim", [2, 3, 4, 9])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_basis_obeys_the_addition_theorem(degree, dim, rng):
    """N functions whose products add up to the reproducing kernel are an orthonormal basis."""
    X, Z = rng.standard_normal((30, dim)), rng.standard_normal((20, dim))
    count = multiplicity(dim, degree)
    basis = harmonic_basis(degree, X)
    assert basis.shape == (30, count)
    kernel = count * gegenbauer(dim, degree, directions(X) @ directions(Z).T)
    # Every column is off by a few eps of its bound sqrt(N).
    np.testing.assert_allclose(basis @ harmonic_basis(degree, Z).T, kernel, atol=32 * count * EPS)


def test_basis_is_orthonormal_on_average(rng):
    dim, rows = 4, 40_000
    X = rng.standard_normal((rows, dim))
    basis = np.concatenate([harmonic_basis(k, X) for k in range(4)], axis=1)
    products = basis[:, :, None] * basis[:, None, :]
    mean, error = products.mean(axis=0), products.std(axis=0) / np.sqrt(rows)
    # 465 different entries: 4.5 standard errors happen to one of them in about 300 runs.
    assert np.all(np.abs(mean - np.eye(len(mean))) <= 4.5 * error + 1e-12)


def test_degrees_are_even_or_odd_and_blind_to_norms(rng):
    X = rng.standard_normal((5, 6))
    scales = np.array([1e-200, 1, 7, 1e100, 1e300])[:, None]
    for degree in range(4):
        values = harmonic_basis(degree, X)
        np.testing.assert_allclose(harmonic_basis(degree, -X), (-1) ** degree * values, rtol=1e-15)
        np.testing.assert_allclose(harmonic_basis(degree, X * scales), values, atol=1e-13)


@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize("degree", [1, 3])
def test_zonal_harmonic_is_the_basis_summed_at_the_pole(degree, dim, rng):
    pole, X = rng.standard_normal(dim), rng.standard_normal((10, dim))
    expected = harmonic_basis(degree, X) @ harmonic_basis(degree, pole[None])[0]
    count = multiplicity(dim, degree)
    np.testing.assert_allclose(
        zonal_harmonic(degree, pole, X) * np.sqrt(count), expected, atol=32 * count * EPS
    )


@pytest.mark.parametrize(("degree", "dim"), [(5, 3), (4, 10), (2, 10**4)])
def test_zonal_harmonic_has_unit_norm(degree, dim, rng):
    # Low degrees: the squares of others are too heavy-tailed for standard errors.
    rows = 20_000 if dim < 100 else 300
    values = zonal_harmonic(degree, np.eye(1, dim)[0], rng.standard_normal((rows, dim))) ** 2
    assert abs(values.mean() - 1) < 4.5 * values.std() / np.sqrt(rows)


@pytest.mark.slow
def test_jax_keeps_its_dtype_and_sees_through():
    X = jnp.asarray(np.random.default_rng(2).standard_normal((3, 4)), jnp.float32)
    assert jax.jit(lambda x: harmonic_basis(2, x))(X).dtype == jnp.float32
    slope = jax.grad(lambda x: zonal_harmonic(2, X[0], x).sum())(X)
    # A function of the direction does not change along the row.
    np.testing.assert_allclose(jnp.sum(slope * X, axis=1), 0, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda X: harmonic_basis(4, X), ValueError, "degree must be at most 3, got 4; zonal"),
        (lambda X: harmonic_basis(-1, X), ValueError, "degree must be an integer"),
        (lambda X: harmonic_basis(1, X[0]), ValueError, "X must have 2 dimensions"),
        (lambda X: harmonic_basis(1, X[:, :1]), ValueError, "dim >= 2"),
        (lambda X: harmonic_basis(1, 0 * X), ValueError, "no zero row"),
        (lambda X: harmonic_basis(1, X * np.nan), ValueError, "X must be finite"),
        (lambda X: zonal_harmonic(1, X[0, :2], X), ValueError, r"pole must have shape \(3,\)"),
        (lambda X: zonal_harmonic(1, 0 * X[0], X), ValueError, "pole must have no zero row"),
        (
            lambda X: zonal_harmonic(200, np.ones(10**6), np.ones((1, 10**6))),
            PrecisionError,
            "overflows near the pole; take log_gegenbauer",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((2, 3)))
