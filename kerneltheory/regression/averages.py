r"""Averages over labels of kernel ridge regression, exact given the samples, at every n at once.

For labels of covariance S (target) + noise, every average of a quadratic functional of the
predictor is a trace with M(n) = (K_n + ridge I)^{-1} = L_n^{-T} L_n^{-1}. Since the leading blocks
of L^{-1} A L^{-T} belong to the smaller problems,

    tr(M_n A_n) = sum_{i<=n} (L^{-1} A L^{-T})_ii
    tr(M_n A_n M'_n B_n') = sum_{i,j<=n} (L^{-1} A L'^{-T})_ij (L^{-1} B L'^{-T})_ij

where a prime denotes a second, independent training set. Two triangular products for each
matrix serve every n.
"""

import numpy as np
from scipy.linalg import get_blas_funcs

(_trmm,) = get_blas_funcs(("trmm",), dtype=np.float64)


def congruence(first: np.ndarray, matrix: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return L^{-1} A L'^{-T} for the inverse factors of two regressions.

    Args:
        first: L^{-1}, (N, N), the `inverse_factor` of a `NestedRegression`.
        matrix: A, (N, N); it is overwritten where its memory order allows.
        second: L'^{-1}, at least as large; the same as `first` for one training set.

    Examples:
        >>> congruence(np.eye(2) / 2, np.eye(2), np.eye(2) / 2)
        array([[0.25, 0.  ],
               [0.  , 0.25]])
    """
    # LAPACK sees the transpose of a row-ordered array, so everything below is transposed:
    # (L^{-1} A L'^{-T})' = L'^{-1} A' L^{-T}.
    size = len(matrix)
    right = second[:size, :size]
    result = _trmm(1.0, right.T, matrix.T, trans_a=1, overwrite_b=1)
    result = _trmm(1.0, first.T, result, side=1, overwrite_b=1)
    return result.T


def prefix_traces(inverse_factor: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return tr(M_n A_n) at every n, shape (N,).

    Args:
        inverse_factor: L^{-1}, (N, N), where M = L^{-T} L^{-1}.
        matrix: A, (N, N); it is overwritten where its memory order allows.

    Examples:
        >>> prefix_traces(np.eye(2) / 2, np.eye(2))
        array([0.25, 0.5 ])
    """
    half = _trmm(1.0, inverse_factor.T, matrix.T, side=1, overwrite_b=1)
    # half' = A' L^{-T} seen from here: its columns pair with the rows of L^{-1}.
    return np.cumsum(np.einsum("ij,ij->i", inverse_factor, half.T))


def prefix_block_sums(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the sums of first_ij second_ij over i, j <= n at every n, shape (N,).

    Args:
        first: (N, N).
        second: (N, N).

    Examples:
        >>> prefix_block_sums(np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 2)))
        array([ 1., 10.])
    """
    size, panel = len(first), 256
    increments = np.zeros(size)
    for start in range(0, size, panel):
        stop = min(start + panel, size)
        rows = slice(start, stop)
        increments[rows] += np.einsum("ij,ij->i", first[rows, :start], second[rows, :start])
        increments[rows] += np.einsum("ij,ij->j", first[:start, rows], second[:start, rows])
        corner = first[rows, rows] * second[rows, rows]
        increments[rows] += np.tril(corner).sum(axis=1) + np.triu(corner, 1).sum(axis=0)
    return np.cumsum(increments)
