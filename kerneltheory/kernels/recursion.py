r"""The layer step of fully connected networks, written once for every arithmetic.

With :math:`T(q_1, q_2, c)` the dual activation at variances q1, q2 and correlation c, and
:math:`T' = dT/dk`, one hidden layer maps

.. math::
    K' &= w\,T + b, \qquad q' = w\,T(q, q, 1) + b, \qquad c' = K' / \sqrt{q_1' q_2'} \\
    \Theta' &= K' + w\,T'\,\Theta

starting from :math:`K = \Theta = w\,x \cdot z/d + b` (arXiv:1806.07572, arXiv:1912.02803). The
state is (variances, correlation), never raw covariances: their rounding grows like chi_1^depth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Number = TypeVar("Number")


def repeat(count: int, step: Callable[[Any], Any], state: Any) -> Any:
    """Apply a layer to a state `count` times."""
    for _ in range(count):
        state = step(state)
    return state


@dataclass(frozen=True)
class LayerMaps(Generic[Number]):
    """The dual activation lowered to one arithmetic.

    Attributes:
        value, slope: T and T' as functions of (q1, q2, c).
        variance, variance_slope: T(q, q, 1) and T'(q, q, 1), where c = 1 was put in exactly.
        root: the square root.
        correlation: brings a computed correlation back into its domain, where rounding may have
            left it (the identity where arithmetic does not round).
        repeat: applies a layer to a state several times.
        drop: T(q, q, 1) - T(q, q, 1 - g) as a function of (q, g), and
        slope_at_gap: T'(q, q, 1 - g), both to what g is worth near 0; given only where T' has an
            infinite derivative there and arithmetic rounds.
        both: T and T' as one function of (q1, q2, c), where they share work.
    """

    value: Callable[[Number, Number, Number], Number]
    slope: Callable[[Number, Number, Number], Number]
    variance: Callable[[Number], Number]
    variance_slope: Callable[[Number], Number]
    root: Callable[[Number], Number]
    correlation: Callable[[Number], Number]
    repeat: Callable[[int, Callable[[Any], Any], Any], Any] = repeat
    drop: Callable[[Number, Number], Number] | None = None
    slope_at_gap: Callable[[Number, Number], Number] | None = None
    both: Callable[[Number, Number, Number], tuple[Number, Number]] | None = None

    def value_and_slope(self, q1: Number, q2: Number, c: Number) -> tuple[Number, Number]:
        """T and T'."""
        return self.both(q1, q2, c) if self.both else (self.value(q1, q2, c), self.slope(q1, q2, c))


def covariances(
    maps: LayerMaps,
    depth: int,
    weight_variance: Any,
    bias_variance: Any,
    variances: tuple[Any, Any],
    correlation: Any,
    tangent: bool,
) -> Any:
    """NNGP (or, with `tangent`, NTK) of two inputs after `depth` hidden layers.

    Args:
        maps: the dual activation in the arithmetic of the other arguments.
        depth: number of hidden layers.
        weight_variance: w of every layer.
        bias_variance: b of every layer.
        variances: q1, q2 of the first preactivation.
        correlation: c of the first preactivation.
        tangent: whether to return Theta instead of K.
    """
    w, b = weight_variance, bias_variance

    def layer(state: Any) -> Any:
        q1, q2, correlation, _, theta = state
        if tangent:
            value, slope = maps.value_and_slope(q1, q2, correlation)
        else:
            value, slope = maps.value(q1, q2, correlation), None
        covariance = w * value + b
        if tangent:
            theta = covariance + w * slope * theta
        q1, q2 = w * maps.variance(q1) + b, w * maps.variance(q2) + b
        correlation = maps.correlation(covariance / (maps.root(q1) * maps.root(q2)))
        return q1, q2, correlation, covariance, theta

    start = maps.root(variances[0]) * maps.root(variances[1]) * correlation
    state = (*variances, correlation, start, start if tangent else None)
    *_, covariance, theta = maps.repeat(depth, layer, state)
    return theta if tangent else covariance


def diagonal(
    maps: LayerMaps,
    depth: int,
    weight_variance: Any,
    bias_variance: Any,
    variance: Any,
    tangent: bool,
) -> Any:
    """The same for two equal inputs, where the correlation is exactly one in every layer."""
    w, b = weight_variance, bias_variance

    def layer(state: Any) -> Any:
        q, theta = state
        following = w * maps.variance(q) + b
        if tangent:
            theta = following + w * maps.variance_slope(q) * theta
        return following, theta

    q, theta = maps.repeat(depth, layer, (variance, variance if tangent else None))
    return theta if tangent else q


def from_gap(
    maps: LayerMaps,
    depth: int,
    weight_variance: Any,
    bias_variance: Any,
    variances: tuple[Any, Any],
    gap: Any,
    tangent: bool,
) -> Any:
    r"""The same as `covariances`, from the gap g = 1 - c, where q1 = q2 or phi is homogeneous.

    There :math:`T(q_1, q_2, c) = T(m, m, c)`, :math:`m = \sqrt{q_1 q_2}`. The slope of a kinked phi
    moves by :math:`\epsilon/\sqrt g` where c is rounded. No layer rounds it where all terms are
    positive: with :math:`a_i = w\,T(q_i, q_i, 1) = q_i' - b`

    .. math:: m' g' = \frac{b\,(\sqrt{a_1} - \sqrt{a_2})^2}{m' + b + \sqrt{a_1 a_2}}
        + w\,(T(m, m, 1) - T(m, m, 1 - g)), \qquad K' = m' (1 - g')
    """
    w, b, drop, slope = weight_variance, bias_variance, maps.drop, maps.slope_at_gap
    if drop is None or slope is None or not tangent:
        start = maps.correlation(1 - gap)
        return covariances(maps, depth, w, b, variances, start, tangent)

    def layer(state: Any) -> Any:
        q1, q2, gap, theta = state
        mean = maps.root(q1) * maps.root(q2)
        a1, a2 = w * maps.variance(q1), w * maps.variance(q2)
        q1, q2, root1, root2 = a1 + b, a2 + b, maps.root(a1), maps.root(a2)
        following = maps.root(q1) * maps.root(q2)
        apart = b * (root1 - root2) ** 2 / (following + b + root1 * root2)
        lost = apart + w * drop(mean, gap)
        theta = following - lost + w * slope(mean, gap) * theta
        return q1, q2, lost / following, theta

    start = maps.root(variances[0]) * maps.root(variances[1]) * (1 - gap)
    return maps.repeat(depth, layer, (*variances, gap, start))[-1]


def correlations(
    maps: LayerMaps,
    depth: int,
    weight_variance: Any,
    relative_bias: Any,
    one: Any,
    gap: Any,
    tangent: bool,
) -> Any:
    r"""K or Theta of two inputs of one variance, over that of equal inputs, for homogeneous phi.

    With :math:`\phi(s x) = s \phi(x)` for s > 0, :math:`T(q, q, c) = q\,T(1, 1, c)`. In units of
    the layer's variance, which may grow like :math:`w^l`, nothing overflows:

    .. math:: s = w\,T(1, 1, 1) + \beta, \qquad g' = w\,(T(1, 1, 1) - T(1, 1, 1 - g))/s,
        \qquad \beta' = \beta/s

    Args:
        maps: the dual activation in the arithmetic of the other arguments.
        depth: number of hidden layers.
        weight_variance: w of every layer.
        relative_bias: beta, the bias variance over the variance of the first preactivation.
        one: the number 1 in this arithmetic.
        gap: g = 1 - c of the first preactivation.
        tangent: whether to return the ratio of Theta instead of K.
    """
    w = weight_variance
    drop = maps.drop or (lambda q, gap: maps.variance(q) - maps.value(q, q, one - gap))
    slope = maps.slope_at_gap or (lambda q, gap: maps.slope(q, q, one - gap))

    def layer(state: Any) -> Any:
        bias, gap, theta, theta_at_one = state
        growth = w * maps.variance(one) + bias
        following = w * drop(one, gap) / growth
        if tangent:
            theta = one - following + w / growth * slope(one, gap) * theta
            theta_at_one = one + w / growth * maps.variance_slope(one) * theta_at_one
        return bias / growth, following, theta, theta_at_one

    start = (one - gap, one) if tangent else (None, None)
    state = maps.repeat(depth, layer, (relative_bias, gap, *start))
    _, gap, theta, theta_at_one = state
    return theta / theta_at_one if tangent else one - gap
