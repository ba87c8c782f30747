"""The fixed variance at every pair of a grid of weight and bias variances, in float64."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerneltheory.activations.activation import Activation
from kerneltheory.depth.moment_tables import (
    HIGHEST_OCTAVE,
    LOWEST_OCTAVE,
    mean_square,
    octave_nodes,
    table,
)

_LAYERS, _HALVINGS = 100, 60
# Without biases variances may fall to 0: below this octave they count as zero.
_UNBIASED_OCTAVE = -40
_EVERY = 4  # of the nodes of an octave one in so many tells where q' - q changes its sign


@dataclass(frozen=True)
class Moments:
    """Tables of E[phi^2] and E[phi'^2] over a range of octaves."""

    phi: Activation
    first: int
    last: int

    def __call__(self, order: int, variance: np.ndarray) -> tuple[Any, Any]:
        """A moment and its slope at variances, which are clipped to the range."""
        of_variance = table(self.phi, order, self.first, self.last)
        return of_variance(np.clip(variance, self.low, self.high))

    @property
    def low(self) -> float:
        """The least variance."""
        return 2.0**self.first

    @property
    def high(self) -> float:
        """The largest variance."""
        return 2.0 ** (self.last + 1)


def moments_for(phi: Activation, biases: np.ndarray) -> Moments:
    """Tables over the octaves that fixed points may lie in and in which float64 resolves phi."""
    if biases.min() > 0:
        first = int(np.floor(np.log2(biases.min()))) - 1
    else:
        positive = biases[biases > 0]
        least = np.log2(positive.min()) if positive.size else 0
        first = min(_UNBIASED_OCTAVE, int(np.floor(least)) - 1)
    first, last = max(first, LOWEST_OCTAVE), HIGHEST_OCTAVE
    tops = 2.0 ** np.arange(first + 1, last + 2)
    with np.errstate(all="ignore"):
        values = [mean_square(phi, order, tops) for order in (0, 1)]
    fits = (values[0] < 1e150) & np.isfinite(values[0]) & ~np.isnan(values[1])
    count = int(np.argmin(fits)) if not fits.all() else len(fits)
    return Moments(phi, first, first + max(count, 1) - 1)


def fixed_variances(
    moments: Moments, weight: np.ndarray, bias: np.ndarray, start: np.ndarray, zero_fixed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The fixed variance reached from a start, and how many there are, at aligned points.

    Args:
        moments: of the activation.
        weight: w, shape (points,).
        bias: b, shape (points,).
        start: the variance of the first preactivation, shape (points,).
        zero_fixed: whether phi vanishes at 0, so that 0 is fixed without bias.

    Returns:
        q*, 0 or infinite where the variance falls or grows beyond the tables; the number of fixed
        points that signs of q' - q on about five nodes an octave tell.
    """
    nodes = np.concatenate(
        [octave_nodes(k)[::_EVERY] for k in range(moments.first, moments.last + 1)]
    )
    squares = moments(0, nodes)[0]
    rises = weight[:, None] * squares + bias[:, None] > nodes
    count = np.sum(rises[:, 1:] != rises[:, :-1], axis=1) + (zero_fixed & (bias == 0))
    q = start.copy()
    for _ in range(_LAYERS):
        q = np.clip(weight * moments(0, q)[0] + bias, moments.low, moments.high)
    up = weight * moments(0, q)[0] + bias > q
    low, high = _brackets(nodes, rises, q, up, moments)
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * high)
        above = weight * moments(0, middle)[0] + bias > middle
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    found = np.sqrt(low * high)
    found = np.where(up & (high >= moments.high), np.inf, found)
    return np.where(~up & (low <= moments.low) & (bias == 0), 0.0, found), count


def _brackets(
    nodes: np.ndarray, rises: np.ndarray, q: np.ndarray, up: np.ndarray, moments: Moments
) -> tuple[np.ndarray, np.ndarray]:
    """Variances around the first change of sign above q, or the last below it."""
    above, below = nodes > q[:, None], nodes < q[:, None]
    ends_above = above & ~rises
    ends_below = below & rises
    first = np.where(ends_above.any(1), nodes[np.argmax(ends_above, axis=1)], moments.high)
    reverse = np.argmax(ends_below[:, ::-1], axis=1)
    last = np.where(ends_below.any(1), nodes[::-1][reverse], moments.low)
    return np.where(up, q, last), np.where(up, first, q)
