r"""How far the deterministic equivalent is off: an estimate for each point of a learning curve.

The equivalent takes the features of a sample for Gaussian and their number for infinite. To first
order the hat matrix has between two samples at cosine t the entry

.. math:: w(t) = \frac1n \sum_k N_k q_k P_k(t), \qquad n E[w^2] = \frac1n \sum_k N_k q_k^2,

and the chains of such entries that the equivalent sums go wrong first where they pass twice
between the same two samples: by the fourth moment :math:`m = n E[w^4]`. It is :math:`3/n` and less
for Gaussian features, and larger by the kurtosis of harmonics of degree k, which rises from
3 for k = 1 to 15 and 93 for k = 2 and 3 in high dimension, over :math:`N_k/n`. As a relative shift
of :math:`\kappa` and of the variance it makes the relative error of the test error

.. math:: e = m\,\Big|\frac{d \ln T}{d \ln \kappa}
        + \frac{(E_0 - 1)(T + \sigma^2)}{2 T}\Big| + \frac{1}{20 n}.

The form is a scaling argument, not a bound; its three numbers 1, 1/2 and 1/20 are calibrated by
simulation on the sphere (`experiments.validity_grid`): of 5 to 2,500 samples in 10, 20 and 30
dimensions it calls nine points in ten valid, of which one in twenty is off by more than one part in
100, all of these in 10 dimensions.

With random features it is the size of the correction of `learning.feature_validity`, which is
derived and has no such numbers, or the error estimated for the corrected curve if that is larger.
It is compared (`experiments.feature_grid`) with 4,250 simulated points: features of five
activations with uniform directions in 10, 20 and 30 dimensions and Gaussian features, 16 to 928 of
them and of the samples, ridges from 1e-6 to 1. Given the signs of the coefficients it accepts 73
points in 100, of which 98 agree within one part in 100 or three standard errors and none is off by
more than 1.5 parts. Only 77 in 100 agree at all, and 26 are off by more than one part: with one
false acceptance in twenty no estimate could accept more than 81. On the sphere these are 76, 80 and
84, in 30 dimensions 90, 95 and all. Without signs 72 are accepted, of which 96 agree. Of what a
spectrum does not tell it knows nothing: relu neurons of Gaussian weights, whose lengths are random,
are off by up to two parts in 100 more in 10 dimensions.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.learning.feature_validity import corrections
from kerneltheory.sphere.polynomials import gegenbauer_sequence
from kerneltheory.sphere.quadrature import cosine_quadrature

if TYPE_CHECKING:
    from kerneltheory.learning.curve import LearningCurve

# A point is called valid where the estimate is below this.
TOLERANCE = 0.01
BLOCK_ENTRIES = 2**22
# Degrees of an unknown activation whose coefficients pass for positive; higher ones for Gaussian.
SHAPED = 3


def equivalent_error(curve: "LearningCurve") -> np.ndarray | None:
    r"""Return the estimated relative error of the test error, of the shape of the curve.

    The fourth moment is that of harmonics where the curve knows its dimension, else that of
    Gaussian features, :math:`3 E[w^2]^2 + 6 \sum_k N_k q_k^4/n^4`.

    Args:
        curve: from `learning_curve` or `random_feature_curve`. Others, which state their error
            otherwise, have none: None.
    """
    if curve.error is not None or curve.level_masses is None:
        return None
    found = first_correction(curve)
    if found is not None:
        return np.maximum(np.abs(found[0]), found[1])
    levels = tuple(
        np.asarray(value, dtype=float)
        for value in (curve.eigenvalues, curve.level_masses, curve.power)
    )
    shape = curve.shape
    values = curve.kappa, curve.n, curve.test_error, curve.overfitting, curve.noise_variance
    points, known = _finite(values, shape)
    result = np.full(known.shape, np.inf)
    if known.any():
        result[known] = _errors(levels, points, curve.dim)
    return result.reshape(shape)


def _finite(
    values: tuple[Any, ...], shape: tuple[int, ...]
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The points at which all is finite, and which these are: else nothing is known."""
    points = tuple(
        np.broadcast_to(np.asarray(value, dtype=float), shape).ravel() for value in values
    )
    known = np.all(np.isfinite(points), axis=0)
    return tuple(value[known] for value in points), known


def first_correction(curve: "LearningCurve") -> tuple[np.ndarray, np.ndarray] | None:
    """Return the first correction to the test error of random features, relatively, and its error.

    Args:
        curve: from `random_feature_curve`; of others None.

    Returns:
        Both of the shape of the curve; infinity where nothing is known.
    """
    if curve.features is None or curve.level_masses is None:
        return None
    values = curve.kappa, curve.n, curve.features, curve.ridge, curve.noise_variance
    points, known = _finite((*values, curve.test_error, curve.overfitting), curve.shape)
    eigenvalues, masses, power = (
        np.asarray(value, dtype=float)
        for value in (curve.eigenvalues, curve.level_masses, curve.power)
    )
    unknown = np.arange(len(power)) < SHAPED
    signs = unknown if curve.signs is None else np.asarray(curve.signs)
    found = np.full((2, known.size), np.inf)
    if known.any():
        spectral = eigenvalues, masses, power, signs
        found[:, known] = corrections(spectral, points[:-1], curve.dim)
    correction, error = found.reshape(2, *curve.shape)
    return correction, error


def shares(eigenvalues: Any, kappa: Any) -> tuple[np.ndarray, np.ndarray]:
    r"""Return :math:`q = \lambda/(\lambda + \kappa)` and :math:`1 - q` of every level.

    By the ratio of the smaller to the larger, so that nothing overflows or cancels; an eigenvalue
    may be infinite. A level that the kernel does not have is not learned, also at kappa = 0.

    Args:
        eigenvalues: shape (levels,).
        kappa: any shape.

    Returns:
        Two arrays of the shape of kappa + (levels,).
    """
    eigenvalues, kappa = np.asarray(eigenvalues), np.asarray(kappa)[..., None]
    larger = np.maximum(eigenvalues, kappa)
    ratio = np.minimum(eigenvalues, kappa) / np.where(larger == 0, 1, larger)
    above = eigenvalues > kappa
    return np.where(above, 1, ratio) / (1 + ratio), np.where(above, ratio, 1) / (1 + ratio)


def counts(masses: Any, eigenvalues: Any, kappa: Any) -> np.ndarray:
    """Return N q of every level from N lambda, of the shape of kappa + (levels,)."""
    total = np.asarray(eigenvalues) + np.asarray(kappa)[..., None]
    return np.asarray(masses) / np.where(total == 0, 1, total)


def _errors(
    levels: tuple[np.ndarray, ...], points: tuple[np.ndarray, ...], dim: int | None
) -> np.ndarray:
    """The estimate at points (kappa, n, T, E_0, noise) where all of these are finite."""
    eigenvalues, masses, power = levels
    kappa, n, test_error, overfitting, noise = points
    learned, unlearned = shares(eigenvalues, kappa)
    # N q/n, which is of order 1 however few or many samples there are.
    counted = counts(masses, eigenvalues, kappa) / n[:, None]
    moment = _fourth_moment(counted, learned, n, dim)
    # d T/d ln kappa = E_0 (2 sum q (1-q)^2 F^2 - (T + noise)/E_0 * 2 E_0/n sum N q^2 (1-q)).
    bias_slope = 2 * np.sum(learned * unlearned**2 * power, axis=1)
    decay = 2 * np.sum(counted * learned * unlearned, axis=1)
    noisy = test_error + noise
    slope = overfitting * (bias_slope - noisy * decay)
    change = np.abs(slope + (overfitting - 1) * noisy / 2)
    # An error of 0 does not change; of subnormal n no inverse is a float.
    scale = np.where(test_error > 0, test_error, np.inf)
    return moment * (change / scale) + 0.05 / np.maximum(n, np.finfo(float).tiny)


def _fourth_moment(
    counted: np.ndarray, learned: np.ndarray, n: np.ndarray, dim: int | None
) -> np.ndarray:
    """n E[w^4] of every point, shape (points,), from N q/n and q, shape (points, levels)."""
    if dim is None:
        single = learned / n[:, None]
        square = np.sum(counted * single, axis=1)
        return n * (3 * square**2 + 6 * np.sum(counted * single**3, axis=1))
    levels = counted.shape[1]
    cosines, weights = cosine_quadrature(dim, 2 * levels)
    zonal = np.array(list(gegenbauer_sequence(dim, cosines, levels - 1)))
    block = max(1, BLOCK_ENTRIES // len(cosines))
    parts = [
        (counted[start : start + block] @ zonal) ** 4 @ weights for start in range(0, len(n), block)
    ]
    return n * np.concatenate(parts)
