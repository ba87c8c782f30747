"""Gaussian quadrature for the distribution of the cosine between two points of the sphere."""

import numpy as np
from scipy.linalg import eigh_tridiagonal

from kerneltheory.core import check
from kerneltheory.sphere.polynomials import jacobi_entry, orthonormal_sequence


def cosine_quadrature(dim: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Nodes and weights for expectations over the cosine t of two uniform points of S^{d-1}.

    The density of t is
    :math:`\frac{\Gamma(d/2)}{\sqrt\pi\,\Gamma((d-1)/2)} (1 - t^2)^{(d-3)/2}`; the rule is exact
    for polynomials of degree below twice `count`. Errors of the sum are absolute: an
    expectation far below the largest value of the integrand loses its digits. Nodes are the
    eigenvalues of the Jacobi matrix of the :math:`Z_k = \sqrt{N(d, k)} P_k`, weights
    :math:`1/\sum_k Z_k^2` (zero where the sum overflows), so that no dimension is too high.

    Args:
        dim: d >= 2.
        count: number of nodes, at least 1.

    Returns:
        Nodes in (-1, 1) and weights that sum to one, both of shape (count,).

    References:
        Golub and Welsch, Calculation of Gauss quadrature rules (1969).

    Examples:
        >>> t, w = cosine_quadrature(5, 10)
        >>> bool(np.isclose(w @ t**2, 1 / 5))
        True
    """
    dim = check.integer("dim", dim, minimum=2)
    count = check.integer("count", count, minimum=1)
    entries = np.array([jacobi_entry(dim, degree) for degree in range(1, count)])
    nodes = np.asarray(eigh_tridiagonal(np.zeros(count), entries, eigvals_only=True))
    nodes = (nodes - nodes[::-1]) / 2  # the density is even
    with np.errstate(over="ignore", invalid="ignore"):
        squares = sum(values**2 for values in orthonormal_sequence(dim, nodes, count - 1))
    weights = 1 / np.where(np.isfinite(squares), squares, np.inf)
    weights += weights[::-1]
    return nodes, weights / weights.sum()
