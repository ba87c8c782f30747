"""Uniform points on the sphere."""

import numpy as np

from kerneltheory.core import check


def uniform_sphere(generator: np.random.Generator, count: int, dim: int) -> np.ndarray:
    """Sample points uniformly on S^{d-1}: normalised Gaussian vectors.

    Args:
        generator: numpy's random generator, the only source of randomness.
        count: number of points, at least 1.
        dim: d >= 2.

    Returns:
        float64 array of shape (count, dim) with rows of norm one.

    Examples:
        >>> x = uniform_sphere(np.random.default_rng(0), 5, 3)
        >>> bool(np.allclose(np.sum(x**2, axis=1), 1))
        True
    """
    count = check.integer("count", count, minimum=1)
    dim = check.integer("dim", dim, minimum=2)
    points = generator.standard_normal((count, dim))
    return points / np.linalg.norm(points, axis=1, keepdims=True)
