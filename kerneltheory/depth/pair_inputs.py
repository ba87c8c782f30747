"""Where the recursion over pairs starts: data, or points of one correlation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from kerneltheory.core import check

# Variances that differ by less than this, relatively, are one: rows were brought to one norm.
ONE_VARIANCE = 1e-13


@dataclass(frozen=True)
class EquicorrelatedPoints:
    """Points at the fixed variance, any two of which have one correlation after the first layer.

    Of convolutional networks this holds of all pairs of pixels, of one point or of two.

    Attributes:
        count: m, at least 2.
        correlation: c in (-1, 1) of the first preactivations.
        pixels: of each point; 1 for fully-connected networks.

    Examples:
        >>> EquicorrelatedPoints(10, 0.5)
        EquicorrelatedPoints(count=10, correlation=0.5, pixels=1)
    """

    count: int
    correlation: float
    pixels: int = 1

    def __post_init__(self) -> None:
        check.integer("count", self.count, minimum=2)
        check.integer("pixels", self.pixels, minimum=1)
        c = float(check.finite("correlation", self.correlation, ndim=0))
        lowest = -1 / (self.count * self.pixels - 1)
        if not lowest <= c < 1:
            raise ValueError(
                f"correlation must be in [{lowest:.3g}, 1), where it is that of {self.count} "
                f"points of {self.pixels} pixels, got {c}"
            )


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of inputs and pixels that a readout needs, and where they start.

    Attributes:
        inputs: how many inputs there are, those to be predicted included.
        first, second: (input, pixel) of both ends, index arrays of shape (pairs, offsets, pixels).
        gap: 1 - c of the first preactivations, of that shape.
        variances: of the first preactivations, shape (inputs, pixels).
    """

    inputs: int
    first: tuple[np.ndarray, np.ndarray]
    second: tuple[np.ndarray, np.ndarray]
    gap: np.ndarray
    variances: np.ndarray

    def matrix(self, values: Any) -> np.ndarray:
        """The mean over offsets and pixels, as a symmetric matrix of inputs."""
        means = np.asarray(values).mean(axis=(1, 2))
        i, j = self.first[0][:, 0, 0], self.second[0][:, 0, 0]
        result = np.empty((self.inputs, self.inputs))
        result[i, j] = result[j, i] = means
        return result


def pairs_of(
    X: np.ndarray, weight_variance: float, bias_variance: float, window: int, pooled: bool
) -> Pairs:
    r"""All pairs of inputs, after the first layer.

    .. math:: \frac{q_1 + q_2}{2} - K = \frac{w}{2 c} A\,|x - z|^2, \qquad
        \sqrt{q_1 q_2}\,g = \frac{q_1 + q_2}{2} - K - \frac{(\sqrt{q_1} - \sqrt{q_2})^2}{2}

    Args:
        X: shape (inputs, pixels, channels).
        weight_variance: w.
        bias_variance: b.
        window: width of the circular window.
        pooled: whether all pairs of pixels are needed, or those of equal places.
    """
    count, pixels, channels = X.shape
    rows, columns = np.triu_indices(count)
    place = np.arange(pixels)
    offsets = place if pooled else place[:1]
    shape = len(rows), len(offsets), pixels
    first = (
        np.broadcast_to(rows[:, None, None], shape),
        np.broadcast_to(place, shape),
    )
    second = (
        np.broadcast_to(columns[:, None, None], shape),
        np.broadcast_to((place + offsets[:, None]) % pixels, shape),
    )
    flat = X.reshape(-1, channels)
    # Of differences, so that close inputs keep their digits.
    apart = cdist(flat, flat, "sqeuclidean")
    apart = apart[first[0] * pixels + first[1], second[0] * pixels + second[1]]
    squares = np.einsum("iac,iac->ia", X, X)
    scale = weight_variance / channels
    variances = scale * circular_mean(squares, window) + bias_variance
    q1, q2 = variances[first], variances[second]
    lost = scale / 2 * circular_mean(apart, window) - (np.sqrt(q1) - np.sqrt(q2)) ** 2 / 2
    gap = np.clip(lost / np.sqrt(q1 * q2), 0, 2)
    return Pairs(count, first, second, gap, variances)


def circular_mean(values: np.ndarray, window: int) -> np.ndarray:
    """The circular average over the last axis; the same as `pair_recursion.window_mean`."""
    shifts = range(-(window // 2), window - window // 2)
    return np.sum([np.roll(values, shift, axis=-1) for shift in shifts], axis=0) / window


def equal_pairs(points: EquicorrelatedPoints, variance: float) -> Pairs:
    """One pair for all: two inputs of one pixel."""
    index = np.zeros((3, 1, 1), dtype=int)
    first, second = index.copy(), index.copy()
    first[2], second[1:] = 1, 1
    gap = np.array([0.0, 1 - float(points.correlation), 0.0]).reshape(3, 1, 1)
    return Pairs(2, (first, index), (second, index), gap, np.full((2, 1), variance))


def one_variance(variances: np.ndarray) -> bool:
    """Whether all variances are the same but for the rounding of what made them."""
    return bool(np.ptp(variances) <= ONE_VARIANCE * variances.max())
