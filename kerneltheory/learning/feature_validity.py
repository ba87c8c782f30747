r"""The first correction to the equivalent of random features, which estimates its error.

Let :math:`L = E \ln\det(\hat K + \delta)`. Every error follows from its derivatives. With labels
of covariance :math:`C_y` it is :math:`Y = E\, y^T (\hat K + \delta)^{-1} y = \partial_\epsilon L`
along :math:`\hat K + \delta + \epsilon C_y`; and if r is the residual at a new point and X the
ridge plus the posterior variance there,

.. math:: Y_{n+1} - Y_n = E[r^2/X], \quad -\partial_\delta Y_{n+1}/(n+1) = E[r^2/X^2], \quad
          T + \sigma^2 = E[r^2] \approx (1 + v) \frac{E[r^2/X]^2}{E[r^2/X^2]},

with v the relative variance of X. Samples and features are the vertices of one graph, the entries
of its normalised resolvent its edges: between two samples, two features, or one of each

.. math:: w_{nn} = \frac1n \sum_k N_k q_k P_k, \quad w_{pp} = \frac1p \sum_k N_k q_k P_k, \quad
          w_{np}^2 = -\frac{1}{np} \Big(\sum_k \pm N_k \sqrt{q_k (1 - q_k)} P_k\Big)^2.

The equivalent sums the chains that never return. The first that it lacks are rings of double
edges. With :math:`G_l` the two by two matrix of the averages of n, p and :math:`\sqrt{np}` times
:math:`w^2 P_l`, and :math:`\Gamma_l = G_l/(1 - G_l)`, they add to L, for Gaussian features of
Gaussian samples,

.. math:: L_1 = \tfrac12 \ln\det(1 - G_0), \qquad n v = 2 \Gamma_{0,nn}.

On the sphere an edge from a vertex to itself does not fluctuate, and rings of degrees l > 0 count:

.. math:: L_1 = \tfrac12 \ln\det(1 - G_0) + \mathrm{tr}\,(G_0 + \tfrac12 G_0^2)
          - \tfrac12 \sum_{l > 0} N_l\, \mathrm{tr}\,(\Gamma_l - \ln(1 - G_l) - 2 G_l - G_l^2),

    n v = 2 (G_0^2 \Gamma_0)_{nn} + \sum_{l > 0} N_l (\Gamma_l^2 + 2 G_l^2 \Gamma_l)_{nn}.

Their parts of second order sum over all l to fourth moments of w: :math:`-w^4/2` for every pair of
vertices. As :math:`w_{np}` is large for few pairs, theirs is :math:`\ln(1 - w^2) + w^2`, which two
vertices by themselves have. One more sample adds the mean of ln X to L, so that :math:`v -
\Gamma_{0,nn}/n` is twice what :math:`L_1` grows by with n at the same edges. To first order then

.. math:: \delta T = D\, \partial_\epsilon L_1 + (T + \sigma^2) (v - \Gamma_{0,nn}/n), \qquad
          D = 2 X \partial_n + \frac{X^2}{n} \partial_\delta.

What this leaves is of second order, about :math:`(\Gamma_{0,nn}/n + \Gamma_{0,pp}/p)^2/4` of T.
Nothing in the correction is fitted; that quarter is measured (`experiments.feature_grid`).
"""

from typing import Any, NamedTuple

import numpy as np

from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer_sequence
from kerneltheory.sphere.quadrature import cosine_quadrature

CHANNELS = 8  # degrees l > 0 of which all powers of G_l are summed
STEP, TILT = 1e-4, 1e-20  # of the difference along D, and of epsilon
SECOND = 0.25
BLOCK_ENTRIES = 2**19
# Of more harmonics than this many for each pair of a sample and a feature none is met twice.
UNSEEN = 1e3


class Levels(NamedTuple):
    """Masses N lambda/gamma, lambda/gamma, signed roots of N, and power, shape (points, levels)."""

    masses: np.ndarray
    ratio: np.ndarray
    roots: np.ndarray
    power: np.ndarray
    tail: np.ndarray


class Points(NamedTuple):
    """n and p, and what z leaves of them, shape (points,)."""

    n: np.ndarray
    features: np.ndarray
    gaps: tuple[np.ndarray, np.ndarray]
    noise: np.ndarray


class Edges(NamedTuple):
    """N q of samples and of features, N q (1-q) and its root with N, and N q^2; the tail."""

    samples: np.ndarray
    features: np.ndarray
    crossing: np.ndarray
    roots: np.ndarray
    squares: tuple[np.ndarray, np.ndarray]
    tail: np.ndarray


class Sphere(NamedTuple):
    """P_k at nodes, shape (levels, nodes), the weights, and N_l and weighted P_l for l > 0."""

    zonal: np.ndarray
    weights: np.ndarray
    counts: np.ndarray
    channels: np.ndarray


def corrections(
    spectral: tuple[np.ndarray, ...], points: tuple[np.ndarray, ...], dim: int | None
) -> np.ndarray:
    r"""Return the first correction to T over T, and the estimated error of what it corrects.

    Args:
        spectral: eigenvalues, N lambda, power and signs, shape (levels,).
        points: gamma, n, p, ridge, noise variance and T, finite, shape (points,).
        dim: d on the sphere; None for Gaussian features.

    Returns:
        Shape (2, points): infinity where nothing is known.
    """
    sphere = None if dim is None else sphere_of(dim, len(spectral[0]))
    block = max(1, BLOCK_ENTRIES // len(spectral[0]))
    found = np.empty((2, len(points[0])))
    with np.errstate(all="ignore"):
        for start in range(0, len(points[0]), block):
            own = slice(start, start + block)
            *known, test_error = (value[own] for value in points)
            levels, setting = _problem(spectral, tuple(known))
            found[:, own] = _corrections(levels, setting, test_error, sphere)
    found[:, ~np.isfinite(found).all(axis=0)] = np.inf
    return found


def _problem(
    spectral: tuple[np.ndarray, ...], points: tuple[np.ndarray, ...]
) -> tuple[Levels, Points]:
    """The gaps are known from their difference and their product, and tell the tail."""
    eigenvalues, masses, power, signs = spectral
    gamma, n, p, ridge, noise = points
    # Where gamma vanishes every level is learned, but for what nothing else depends on.
    least = np.min(eigenvalues[eigenvalues > 0], initial=np.inf)
    small = np.maximum(gamma, 1e-14 * least)
    learned = np.sum(masses / (eigenvalues + small[:, None]), axis=1)
    apart, area = np.abs(p - n), ridge / small * p
    nearest = 2 * area / np.maximum(np.sqrt(apart**2 + 4 * area) + apart, np.finfo(float).tiny)
    nearest = np.where(gamma > 0, nearest, np.minimum(n, p) - learned)
    gaps = nearest + np.maximum(n - p, 0), nearest + np.maximum(p - n, 0)
    tail = np.maximum(np.minimum(n, p) - nearest - learned, 0)
    counts = np.where(eigenvalues > 0, masses / np.where(eigenvalues > 0, eigenvalues, 1), 0)
    seen = counts <= UNSEEN * (n * p)[:, None]
    roots = np.where(seen, np.sqrt(np.where(seen, counts, 0)) * signs, 0)
    levels = Levels(masses / small[:, None], eigenvalues / small[:, None], roots, power, tail)
    return levels, Points(n, p, gaps, noise)


def _corrections(
    levels: Levels, points: Points, test_error: np.ndarray, sphere: Sphere | None
) -> tuple[np.ndarray, np.ndarray]:
    r"""The correction :math:`D \partial_\epsilon L_1 + (T + \sigma^2)(v - \Gamma_{0,nn}/n)` over T.

    The derivative along epsilon is that of complex numbers, D along n and the ridge a difference.
    """
    n = points.n
    zero = np.zeros_like(n)
    flat = _edges(levels, (zero, zero), zero)
    value, spread, response, other = _rings(flat, points, sphere)
    slope = _slope(levels, points, flat, sphere)
    # Rings that grow with their length have no sum: the logarithm is that of a negative number.
    slope = np.where(np.isnan(value), np.nan, slope)
    change = slope + (test_error + points.noise) * (spread - response) / n
    correction = change / np.where(test_error > 0, test_error, np.inf)
    return correction, SECOND * (response / n + other / points.features) ** 2


def _slope(levels: Levels, points: Points, flat: Edges, sphere: Sphere | None) -> np.ndarray:
    r"""The derivative of L_1 along :math:`\epsilon` and D."""
    width = flat.crossing.sum(axis=1) + flat.tail
    along = np.array(_solved(points.gaps, width, points.n, 0 * points.n))
    step = STEP / np.maximum(1, np.abs(along).max(axis=0))
    tilt = TILT / (np.max(levels.power) + np.max(points.noise) + np.finfo(float).tiny)
    values = []
    for change in (step, -step):
        shifts = along * change + 0j
        for _ in range(5):
            edges = _edges(levels, shifts, 1j * tilt)
            excess = _excess(points, edges, shifts, change, 1j * tilt)
            shifts = shifts - np.array(_solved(points.gaps, width, *excess))
        larger = points._replace(n=points.n * (1 + 2 * change))
        values.append(_rings(_edges(levels, shifts, 1j * tilt), larger, sphere)[0])
    return np.imag(values[0] - values[1]) / (2 * step * tilt)


def sphere_of(dim: int, levels: int) -> Sphere:
    """The table of Legendre polynomials at nodes that integrate fourth powers exactly."""
    cosines, weights = cosine_quadrature(dim, 2 * levels)
    zonal = np.array(list(gegenbauer_sequence(dim, cosines, max(levels - 1, CHANNELS))))
    counts = np.array([float(multiplicity(dim, degree)) for degree in range(1, CHANNELS + 1)])
    return Sphere(zonal[:levels], weights, counts, (zonal[1 : CHANNELS + 1] * weights).T)


def _solved(gaps: Any, width: Any, first: Any, second: Any) -> tuple[np.ndarray, np.ndarray]:
    """The shifts (u, v) of (a + s) u + s v = first, s u + (b + s) v = second."""
    a, b = gaps
    below = a * b + width * (a + b)
    return (
        ((b + width) * first - width * second) / below,
        ((a + width) * second - width * first) / below,
    )


def _excess(points: Points, edges: Edges, shifts: Any, change: Any, tilt: Any) -> Any:
    """What a e^u + z exceeds n by, and b e^v + z exceeds p, of a + n change, n (1 + 2 change)."""
    (a, b), n = points.gaps, points.n
    u, v = shifts
    samples = (a + n * change + tilt * points.noise) * np.exp(u) + edges.samples.sum(axis=1)
    features = b * np.exp(v) + edges.features.sum(axis=1)
    return samples + edges.tail - n * (1 + 2 * change), features + edges.tail - points.features


def _edges(levels: Levels, shifts: Any, tilt: Any) -> Edges:
    """Sums at n/X times e^u, p/X' times e^v, X' that of features, and labels of weight tilt."""
    u, v = shifts
    both = np.exp(u + v)[:, None]
    labels = (tilt * np.exp(u))[:, None] * levels.power
    kernel, ratio = both * levels.masses, both * levels.ratio
    # Of the labels' power in one mode, power/N, first order in tilt is enough.
    single = np.where(
        levels.masses > 0, levels.ratio / np.where(levels.masses > 0, levels.masses, 1), 0
    )
    total = 1 + ratio + labels * single
    samples, features = (kernel + labels) / total, kernel / total
    roots = levels.roots * np.sqrt(kernel) / total
    crossing = kernel / total**2
    squares = samples * (ratio + labels * single) / total, features * ratio / total
    return Edges(samples, features, crossing, roots, squares, levels.tail * both[:, 0])


def _rings(edges: Edges, points: Points, sphere: Sphere | None) -> tuple[np.ndarray, ...]:
    """L_1, n v, Gamma_{0,nn} and Gamma_{0,pp}."""
    n, p = points.n, points.features
    squares = [x.sum(axis=1) for x in edges.squares]
    crossing = edges.crossing.sum(axis=1) + edges.tail
    first = _matrix(squares[0] / n, squares[1] / p, crossing * (crossing / n / p))
    response = _response(first)
    simple = np.log(_determinant(first)) / 2
    if sphere is None:
        return simple, 2 * response[..., 0, 0], response[..., 0, 0], response[..., 1, 1]
    square = first @ first
    simple = simple + _trace(first) + 0.75 * _trace(square)
    spread = 2 * (square @ response)[..., 0, 0] - square[..., 0, 0]
    pairs, wider = _pairs(edges, points, sphere)
    more, broader = _degrees(edges, points, sphere)
    total = spread + wider + broader
    return simple + pairs + more, total, response[..., 0, 0], response[..., 1, 1]


def _pairs(edges: Edges, points: Points, sphere: Sphere) -> tuple[np.ndarray, np.ndarray]:
    """What passes twice and more often between two vertices: its parts of L_1 and of n v."""
    n, p = points.n, points.features
    own, other, crossed = _fields(edges, points, sphere)
    both = n * p
    # What has no shape is Gaussian.
    shapeless = np.where(edges.roots == 0, edges.crossing, 0).sum(axis=1) + edges.tail
    shaped = edges.crossing.sum(axis=1) + edges.tail - shapeless
    loose = 6 * shapeless * shaped + 3 * shapeless**2
    fourth = n**2 * (own**2 @ sphere.weights), p**2 * (other**2 @ sphere.weights)
    value = -(fourth[0] + fourth[1] + 2 * loose / both) / 4
    value = value + both * (_returns(-crossed) @ sphere.weights)
    wider = 2 * both * (_widths(-crossed) @ sphere.weights)
    return value, fourth[0] + wider + loose / both


def _fields(edges: Edges, points: Points, sphere: Sphere) -> tuple[np.ndarray, ...]:
    """The sizes of w^2 for the three edges at the nodes, shape (points, nodes)."""
    n, p = points.n[:, None], points.features[:, None]
    own, other, crossed = (x @ sphere.zonal for x in (edges.samples, edges.features, edges.roots))
    return (own / n) ** 2, (other / p) ** 2, crossed**2 / n / p


def _returns(square: np.ndarray) -> np.ndarray:
    """ln(1 - w^2) + w^2."""
    small = np.abs(square) < 1e-3
    series = -(square**2) * (1 / 2 + square * (1 / 3 + square * (1 / 4 + square / 5)))
    return np.where(small, series, np.log(1 - np.where(small, 0, square)) + square)


def _widths(square: np.ndarray) -> np.ndarray:
    """ln(1 - w^2) + w^2/(1 - w^2): how n times the other one grows with n, as w^2 falls with it."""
    small = np.abs(square) < 1e-3
    series = square**2 * (1 / 2 + square * (2 / 3 + square * (3 / 4 + 4 / 5 * square)))
    left = 1 - np.where(small, 0, square)
    return np.where(small, series, np.log(left) + square / left)


def _degrees(edges: Edges, points: Points, sphere: Sphere) -> tuple[np.ndarray, np.ndarray]:
    """What rings of more than two double edges of degrees l > 0 add to L_1 and to n v."""
    n, p = points.n[:, None], points.features[:, None]
    own, other, crossed = (x @ sphere.channels for x in _fields(edges, points, sphere))
    ring = _matrix(n * own, p * other, n * p * crossed**2)
    response, square = _response(ring), ring @ ring
    cube = square @ ring
    longer = -np.log(_determinant(ring)) - _trace(ring) - _trace(square) / 2
    # Of short rings the difference is lost in rounding.
    longer = np.where(np.abs(_trace(square)) < 1e-6, _trace(cube) / 3, longer)
    value = -(_trace(square @ response) + longer) / 2
    spread = ring @ response @ (response + ring) + 2 * square @ response
    return value @ sphere.counts, spread[..., 0, 0] @ sphere.counts


def _matrix(samples: Any, features: Any, crossing: Any) -> np.ndarray:
    """G, symmetric, of the square of its entry off the diagonal."""
    off = np.sqrt(crossing)
    return np.stack([np.stack([samples, off], -1), np.stack([off, features], -1)], -2)


def _response(matrix: np.ndarray) -> np.ndarray:
    """G/(1 - G)."""
    (a, b), (c, d) = np.moveaxis(matrix, (-2, -1), (0, 1))
    below = _determinant(matrix)
    inverse = np.stack([np.stack([1 - d, b], -1), np.stack([c, 1 - a], -1)], -2)
    return matrix @ inverse / below[..., None, None]


def _determinant(matrix: np.ndarray) -> np.ndarray:
    """The determinant of 1 - G."""
    return (1 - matrix[..., 0, 0]) * (1 - matrix[..., 1, 1]) - matrix[..., 0, 1] ** 2


def _trace(matrix: np.ndarray) -> np.ndarray:
    return matrix[..., 0, 0] + matrix[..., 1, 1]
