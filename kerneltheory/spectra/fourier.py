"""Eigenvalues on the circle of a function given by its values, fast."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.fft import dct

from kerneltheory.core import check

FEWEST_ANGLES, MOST_ANGLES = 2**8, 2**20


def fourier_eigenvalues(
    h: Callable[[Any], Any], max_degree: int, tolerance: float = 1e-14
) -> tuple[np.ndarray, np.ndarray, str]:
    r"""Eigenvalues on the circle of a function of the cosine, by a fast Fourier transform.

    .. math:: \lambda_k = \frac1\pi \int_0^\pi h(\cos\theta) \cos(k\theta)\,d\theta

    by the trapezoid rule, whose error is :math:`\sum_{j \ge 1} (\lambda_{2jM-k} + \lambda_{2jM+k})`
    with M steps in [0, pi]: exponentially small where h(cos) is analytic on the circle; for a kink
    :math:`|\theta|` the eigenvalues fall as k^-2 and the error as M^-2. Steps are quartered until
    that changes nothing beyond the tolerance, at most to pi/2^20.

    Args:
        h: a function of an array of cosines, or a kernel.
        max_degree: the highest degree.
        tolerance: of the change, relative to the largest |h|.

    Returns:
        The eigenvalues; an estimate of the error of each: its change when the steps were last
        quartered, which is at least its error where eigenvalues fall at least as fast as 1/k, and
        what rounding adds; both of shape (max_degree + 1,). And the method.

    Raises:
        ValueError: if h gives another shape, or what is not finite.

    Examples:
        >>> values, errors, _ = fourier_eigenvalues(lambda t: np.exp(t), 2)
        >>> from scipy.special import iv
        >>> bool(np.all(np.abs(values - iv(np.arange(3), 1)) < errors))
        True
    """
    max_degree = check.integer("max_degree", max_degree, minimum=0)
    steps = FEWEST_ANGLES
    while steps < 2 * max_degree:
        steps *= 4
    values, _ = _trapezoid(h, steps, max_degree)
    while True:
        steps *= 4
        coarse = values
        values, largest = _trapezoid(h, steps, max_degree)
        change = np.abs(values - coarse)
        if change.max() <= tolerance * largest or steps >= MOST_ANGLES:
            # Angles are rounded, values are, and each butterfly of the transform is.
            rounding = np.finfo(float).eps * (4 + np.log2(steps)) * largest
            return values, change + rounding, f"trapezoid rule in the angle, {steps} steps,"


def _trapezoid(h: Callable[[Any], Any], steps: int, max_degree: int) -> tuple[np.ndarray, float]:
    cosines = np.cos(np.pi * np.arange(steps + 1) / steps)
    heights = check.values("kernel", h, cosines)
    transform = np.asarray(dct(heights, type=1)) / (2 * steps)
    return transform[: max_degree + 1], float(np.abs(heights).max())
