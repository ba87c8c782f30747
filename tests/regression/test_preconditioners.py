"""Preconditioners against the matrices that they stand for."""

import jax
import numpy as np
import pytest
import sympy

import kerneltheory as kt
from kerneltheory.regression import preconditioners
from kerneltheory.regression.gram_product import make_tiles
from kerneltheory.regression.mesh import place, solver_mesh
from kerneltheory.sphere.polynomials import gegenbauer_sequence
from kerneltheory.sphere.sampling import uniform_sphere

DIM, COUNT = 5, 60
MESH = solver_mesh(None, "rows")
KERNEL = kt.dot_product_kernel(sympy.exp(sympy.Symbol("t")))


@pytest.fixture
def X(rng):
    return np.sqrt(DIM) * uniform_sphere(rng, COUNT, DIM)


@pytest.mark.parametrize("norm", [1.0, DIM**0.5])
def test_low_eigenvalues_are_those_of_the_spectrum(norm, X):
    """On the unit sphere a network has a kernel of its own: inputs of variance 1/d, not 1."""
    kernel = kt.nngp(kt.erf, 1, weight_variance=2, bias_variance=1)
    found = preconditioners.low_eigenvalues(kernel, norm / DIM**0.5 * X, 3)
    same = kt.nngp(kt.erf, 1, weight_variance=2 * norm**2 / DIM, bias_variance=1)
    # The last layer multiplies by the weight variance, and adds the bias to degree 0.
    bias = np.array([1.0, 0.0, 0.0, 0.0])
    expected = (np.asarray(kt.spectrum(same, DIM, 3).eigenvalues) - bias) * DIM / norm**2 + bias
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


def test_harmonic_factor_is_the_low_part_of_the_kernel(X):
    """The addition theorem: F F' = sum_k lambda_k N_k P_k."""
    scales = np.sqrt([2.0, 0.5, 0.25, 0.125])
    with jax.enable_x64(True):
        rows = make_tiles(KERNEL, X, MESH, np.float64).rows
        factor = np.asarray(
            preconditioners.harmonic_factor(
                rows, place(MESH, scales), degrees=(0, 1, 2, 3), count=COUNT, mesh=MESH
            )
        )
    assert not factor[COUNT:].any()
    polynomials = gegenbauer_sequence(DIM, X @ X.T / DIM, 3)
    counts = [1, 5, 14, 30]
    low = sum(c * s**2 * p for c, s, p in zip(counts, scales, polynomials, strict=True))
    np.testing.assert_allclose(factor[:COUNT] @ factor[:COUNT].T, low, rtol=0, atol=1e-12)


def reference(gram, uniforms):
    """Algorithm 1 of arXiv:2207.06503, on a whole matrix."""
    left, factor = np.diag(gram).copy(), np.zeros((len(gram), len(uniforms)))
    for i, uniform in enumerate(uniforms):
        pivot = np.searchsorted(np.cumsum(left), uniform * left.sum(), side="right")
        column = gram[:, pivot] - factor @ factor[pivot]
        factor[:, i] = column / np.sqrt(column[pivot])
        left = np.maximum(left - factor[:, i] ** 2, 0)
    return factor


def test_factor_is_that_of_the_published_algorithm(X, rng):
    uniforms, gram = rng.random(12), KERNEL.gram(X)
    with jax.enable_x64(True):
        tiles = make_tiles(KERNEL, X, MESH, np.float64)
        found = preconditioners.pivoted_cholesky(
            tiles, place(MESH, uniforms), count=COUNT, mesh=MESH
        )
    np.testing.assert_allclose(found[:COUNT], reference(gram, uniforms), rtol=0, atol=1e-11)
    assert not np.asarray(found)[COUNT:].any()


def test_repeated_rows_are_no_pivots_twice(X, rng):
    """Three directions, each many times: after three columns nothing is left but rounding."""
    rows = X[rng.integers(0, 3, COUNT)]
    with jax.enable_x64(True):
        tiles = make_tiles(KERNEL, rows, MESH, np.float64)
        uniforms = place(MESH, rng.random(12))
        factor = np.asarray(
            preconditioners.pivoted_cholesky(tiles, uniforms, count=COUNT, mesh=MESH)
        )[:COUNT]
    assert np.isfinite(factor).all()
    assert not factor[:, 3:].any()
    np.testing.assert_allclose(factor @ factor.T, KERNEL.gram(rows), rtol=0, atol=1e-13)


def test_inverse_is_that_of_factor_and_shift(rng):
    factor, vectors = rng.standard_normal((40, 6)), rng.standard_normal((40, 2))
    with jax.enable_x64(True):
        shift = place(MESH, 0.5)
        whitened, definite = preconditioners.whiten(place(MESH, factor), shift, mesh=MESH)
        inverse = preconditioners.Preconditioner(whitened, shift)
        found = preconditioners.apply(inverse, place(MESH, vectors))
    assert definite
    expected = np.linalg.solve(factor @ factor.T + 0.5 * np.eye(40), vectors)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_auto_tells_a_sphere_from_data(X):
    dim = 4
    rng = np.random.default_rng(3)
    sphere = uniform_sphere(rng, 400, dim)
    squeezed = sphere * [1, 1, 1, 0.3]
    cap = squeezed / np.linalg.norm(squeezed, axis=1, keepdims=True)
    assert preconditioners.choose("auto", sphere, None) == "harmonics"
    assert preconditioners.choose("auto", squeezed, None) == "cholesky"
    assert preconditioners.choose("auto", cap, None) == "cholesky"
    assert preconditioners.choose("auto", sphere, 1) == "cholesky"
    assert preconditioners.choose("harmonics", cap, None) == "harmonics"
