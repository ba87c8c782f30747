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

With p random features these are samples of a second kind, of which the same holds with
:math:`m_p = p E[w^4]`, w over p in place of n. What m shifts by itself is, at each kind, the
effective ridge of that kind alone, of which :math:`\gamma` follows a share,

.. math:: m = \Big(\frac{b}{b + s}\, m_n + \frac{a}{a + s}\, m_p\Big)
        \Big|\frac{d \ln T}{d \ln \gamma}\Big|
        + \frac{m_n}{2} \frac{(E_0 - 1)(T + \sigma^2)}{T}
        + \Big(\frac2n + \frac2p\Big) \frac{E_0}{T} \sum_k q_k^2 (1 - q_k)^2 F_k^2,

with a, b and s of `learning.random_features`. In the last term the length of a single mode in n
samples and p features fluctuates, its square by 2/n and 2/p, and with it :math:`(1 - q)^2`: on the
sphere that is little, in a spectrum of few large modes it is not. Again this is no bound. Its form
and its numbers 1, 1/2 and 2 are calibrated by simulation (`experiments.feature_grid`), with neurons
of uniform directions in 10 and 20 dimensions and with Gaussian features, 16 to 418 of them and of
the samples: it calls 11 points in 20 valid, of which one in 25 is off by more than one part in 100,
by 2.1 parts at most; of the others 3 in 5 are no worse. Of what a spectrum does not tell it knows
nothing: relu neurons of Gaussian weights, whose lengths are random, are off by up to two parts in
100 more in 10 dimensions.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.sphere.polynomials import gegenbauer_sequence
from kerneltheory.sphere.quadrature import cosine_quadrature

if TYPE_CHECKING:
    from kerneltheory.learning.curve import LearningCurve

# A point is called valid where the estimate is below this.
TOLERANCE = 0.01
BLOCK_ENTRIES = 2**22


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
    levels = tuple(
        np.asarray(value, dtype=float)
        for value in (curve.eigenvalues, curve.level_masses, curve.power)
    )
    shape = curve.shape
    values = [curve.kappa, curve.n, curve.test_error, curve.overfitting, curve.noise_variance]
    estimate = _errors
    if curve.features is not None:
        values += [curve.features, curve.ridge]
        estimate = _feature_errors
    points = tuple(
        np.broadcast_to(np.asarray(value, dtype=float), shape).ravel() for value in values
    )
    # Where the equivalent diverges nothing is known of its error.
    known = np.all(np.isfinite(points), axis=0)
    result = np.full(known.shape, np.inf)
    if known.any():
        result[known] = estimate(levels, tuple(value[known] for value in points), curve.dim)
    return result.reshape(shape)


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


def _feature_errors(
    levels: tuple[np.ndarray, ...], points: tuple[np.ndarray, ...], dim: int | None
) -> np.ndarray:
    """The estimate at points (gamma, n, T, E_0, noise, p, ridge) where all of these are finite."""
    eigenvalues, masses, power = levels
    gamma, n, test_error, overfitting, noise, features, _ = points
    learned, unlearned = shares(eigenvalues, gamma)
    fewer, more = np.minimum(n, features), np.maximum(n, features)
    with np.errstate(over="ignore", invalid="ignore"):
        # N q, and all that is compared with it, in units of the smaller one of n and p.
        counted = counts(masses, eigenvalues, gamma) / fewer[:, None]
        own = _fourth_moment(counted, learned, fewer, dim)
        other = own * (fewer / more) ** 3
        of_samples, of_features = np.where(n < features, (own, other), (other, own))
        gaps, width, steepness = _gaps(points, learned, unlearned, counted)
        # How much of a change of its own effective ridge gamma takes over, of either kind.
        following = [gap / np.where(gap + width > 0, gap + width, 1) for gap in gaps[::-1]]
        slope = _feature_slope((gaps[0], width, steepness, following[0]), levels, points)
        shift = (following[0] * of_samples + following[1] * of_features) * np.abs(slope)
        shift += of_samples * (overfitting - 1) * (test_error + noise) / 2
        single = overfitting * np.sum((learned * unlearned) ** 2 * power, axis=1)
        tiny = np.finfo(float).tiny
        shift += 2 * (single / np.maximum(n, tiny) + single / np.maximum(features, tiny))
        found = shift / np.where(test_error > 0, test_error, np.inf)
    return np.where(np.isnan(found), np.inf, found)


def _gaps(
    points: tuple[np.ndarray, ...], learned: np.ndarray, unlearned: np.ndarray, counted: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """The gaps (a, b), s, and d ln s/d ln gamma, over min(n, p).

    The gaps are known from their difference and from a b = ridge p/gamma, and tell the tail.
    """
    gamma, n, *_, features, ridge = points
    fewer, more = np.minimum(n, features), np.maximum(n, features)
    area = ridge / np.where(gamma > 0, gamma, 1) * (features / more) / more
    apart = (more - fewer) / more
    total = np.sqrt(apart**2 + 4 * area) + apart
    small = 2 * area / np.where(total > 0, total, 1) * (more / fewer)
    effective = counted.sum(axis=1)
    small = np.where(gamma > 0, small, 1 - effective)
    tail = np.maximum(1 - small - effective, 0)
    width = np.sum(counted * unlearned, axis=1) + tail
    fall = np.sum(counted * unlearned * (unlearned - learned), axis=1) + tail
    gaps = small + (n - fewer) / fewer, small + (features - fewer) / fewer
    return gaps, width, -fall / np.where(width > 0, width, 1)


def _feature_slope(
    sums: tuple[np.ndarray, ...], levels: tuple[np.ndarray, ...], points: tuple[np.ndarray, ...]
) -> np.ndarray:
    r"""Return dT/d ln gamma at fixed n and p, from (a, s, d ln s/d ln gamma, b/(b + s)).

    With S = s/(b + s) it is :math:`T + \sigma^2 = E_0 (\sum (1-q)^2 F^2 + S \sum q (1-q) F^2
    + \sigma^2)` and :math:`n/E_0 = a + b S`, where a and b rise with :math:`\ln \gamma` by s.
    """
    gap, width, steepness, rest = sums
    gamma, _, test_error, overfitting, noise, *_ = points
    learned, unlearned = shares(levels[0], gamma)
    share = np.where(width > 0, 1 - rest, 0)
    change = steepness * rest - share  # d ln S/d ln gamma
    moving = learned * unlearned * levels[2]
    rise = np.sum(moving * (2 * unlearned + share[:, None] * (learned - unlearned)), axis=1)
    rise += share * change * moving.sum(axis=1)
    below = gap + width * rest
    growth = width / np.where(below > 0, below, 1) * (1 + share + rest * change)
    return overfitting * rise - (test_error + noise) * growth


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
