"""Gaussian quadrature for the distribution of the cosine between two points of the sphere."""

import numpy as np
from scipy.special import roots_chebyt, roots_gegenbauer

from kerneltheory.core import check


def cosine_quadrature(dim: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Nodes and weights for expectations over the cosine t of two uniform points of S^{d-1}.

    The density of t is
    :math:`\frac{\Gamma(d/2)}{\sqrt\pi\,\Gamma((d-1)/2)} (1 - t^2)^{(d-3)/2}`; the rule is exact
    for polynomials of degree below twice `count`. Errors of the sum are absolute: an
    expectation far below the largest value of the integrand loses its digits.

    Args:
        dim: d >= 2.
        count: number of nodes, at least 1.

    Returns:
        Nodes in (-1, 1) and weights that sum to one, both of shape (count,).

    Examples:
        >>> t, w = cosine_quadrature(5, 10)
        >>> bool(np.isclose(w @ t**2, 1 / 5))
        True
    """
    dim = check.integer("dim", dim, minimum=2)
    count = check.integer("count", count, minimum=1)
    nodes, weights = roots_chebyt(count) if dim == 2 else roots_gegenbauer(count, dim / 2 - 1)
    return nodes, weights / weights.sum()
