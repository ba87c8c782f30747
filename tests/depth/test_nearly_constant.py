"""Matrices near a product: eigenvalues and predictors against 60 digits."""

import mpmath
import numpy as np
import pytest

from kerneltheory.depth.nearly_constant import NearlyConstant


def distances(size, count=7):
    """Squared distances of random points, a matrix W whose u u' - W is positive definite."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((count, 9))
    return size * ((X[:, None] - X) ** 2).sum(axis=2) / 2, rng.uniform(0.5, 2, count)


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-13, 1e-40])
@pytest.mark.parametrize("equal", [True, False])
def test_eigenvalues_and_predictor_keep_their_digits(size, equal):
    """Relative errors of the smallest eigenvalue, where the matrix's own rounding is 1e-16/size."""
    W, u = distances(size)
    u = np.ones_like(u) if equal else u
    W = W * np.outer(u, u)
    found = NearlyConstant(u[:5], W[:5, :5])
    with mpmath.workdps(100):
        exact = mpmath.matrix(np.outer(u, u).tolist()) - mpmath.matrix(W.tolist())
        for i in range(7):
            for j in range(7):
                exact[i, j] = mpmath.mpf(u[i]) * mpmath.mpf(u[j]) - mpmath.mpf(W[i, j])
        train = exact[:5, :5]
        values = [float(v) for v in mpmath.eigsy(train, eigvals_only=True)]
        predictor = np.array((exact[5:, :5] * train**-1).tolist(), dtype=float)
    # The matrix itself serves at 1e-3, with its rounding over the smallest eigenvalue.
    tolerance = 1e-11 if size > 1e-5 else 1e-12
    np.testing.assert_allclose(found.eigenvalues, values, rtol=tolerance)
    np.testing.assert_allclose(found.mean_predictor(u[5:], W[5:, :5]), predictor, rtol=1e-10)
