r"""The recursion over all pairs of inputs and pixels at once, stable to any depth.

The state holds one entry for a pair of inputs, an offset o and a pixel a: that of the pixels a of
one input and a + o of the other. A convolution with a circular window averages along a,
:math:`(A f)_a = \frac{1}{k} \sum_\delta f_{a + \delta}`, so that offsets do not mix:

.. math:: K' = w A(T(K)) + b, \qquad \Theta' = K' + w A(T'(K)\,\Theta)

(arXiv:1810.05148, arXiv:1904.11955). A fully-connected network is the case of one pixel. At equal
variances it is carried by what pairs lack of a coincident pair with :math:`\Theta = p`, and by what
they have of it,

.. math:: g = 1 - K/q, \qquad s = 1 - \Theta/p, \qquad r = \Theta/p

whose recursions add positive terms: with :math:`\chi = \chi_1 - \epsilon` and t = q/p

.. math:: q' g' = q A(g (\chi_1 - \theta^k S)), \qquad p' = q' + \chi_1 p, \qquad
    p' s' = q' g' + p A(\epsilon + \chi s), \qquad p' r' = q' (1 - g') + p A(\chi r)

No entry overflows, whatever q and p do, and each keeps its relative accuracy.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kerneltheory.kernels.gram import chebyshev_sum
from kerneltheory.kernels.recursion import LayerMaps


class PairState(NamedTuple):
    """What is carried through depth; arrays of shape (pairs, offsets, pixels) but for numbers."""

    gap: Any
    lacking: Any
    ratio: Any
    share: Any  # t = q/p, a number
    log_tangent: Any  # log p, a number


class LayerParts(NamedTuple):
    """An `angle_map.AngleMap` as arrays, and the growth of the variance in this layer."""

    chi_1: Any
    series: Any
    growth: Any  # q'/q


def window_mean(values: Any, window: int) -> Any:
    """The circular average along the last axis, over `window` neighbours centred at each."""
    if window == 1:
        return values
    shifts = range(-(window // 2), window - window // 2)
    return sum(jnp.roll(values, shift, axis=-1) for shift in shifts) / window


def layer(state: PairState, parts: LayerParts, power: int, window: int) -> PairState:
    """One layer, at one variance of all inputs and pixels."""
    gap, lacking, ratio, share, log_tangent = state
    angle = 2 * jnp.arcsin(jnp.sqrt(jnp.minimum(gap / 2, 1)))
    x, to_power = 2 * angle / jnp.pi - 1, angle**power
    slope, integral = (chebyshev_sum(list(row), x) * to_power for row in parts.series)
    chi = parts.chi_1 - slope
    following = window_mean(gap * (parts.chi_1 - integral), window) / parts.growth
    # p'/p, and q'/p' beside p/p', which add up to one for equal inputs.
    grown = share * parts.growth + parts.chi_1
    new, old = share * parts.growth / grown, 1 / grown
    return PairState(
        following,
        new * following + old * window_mean(slope + chi * lacking, window),
        new * (1 - following) + old * window_mean(chi * ratio, window),
        new,
        log_tangent + jnp.log(grown),
    )


@functools.partial(jax.jit, static_argnums=(3, 4))
def layers(state: PairState, parts: LayerParts, count: Any, power: int, window: int) -> PairState:
    """The same layer `count` times; the count is traced, so one compilation serves all."""
    return jax.lax.fori_loop(0, count, lambda _, s: layer(s, parts, power, window), state)


class UnequalState(NamedTuple):
    """The state of inputs of unequal variances: Theta itself is carried, over few layers."""

    variances: Any  # of every input and pixel, shape (inputs, pixels)
    gap: Any
    tangent: Any


@functools.partial(jax.jit, static_argnums=(0, 5))
def unequal_layer(
    maps: LayerMaps, state: UnequalState, first: Any, second: Any, parameters: Any, window: int
) -> UnequalState:
    r"""One layer at unequal variances, which rounds the gap to a few units of 2^-53.

    .. math:: \sqrt{q_1' q_2'}\,g' = \frac{b\,(\sqrt{a_1} - \sqrt{a_2})^2}
        {\sqrt{q_1' q_2'} + b + \sqrt{a_1 a_2}} + \sqrt{a_1 a_2} - w A(T), \qquad a = q' - b

    Args:
        maps: the dual activation on arrays.
        state: before the layer.
        first: (input, pixel) of one end of every pair, index arrays.
        second: of the other end.
        parameters: w and b.
        window: the width.
    """
    w, b = parameters
    q, gap, tangent = state
    q1, q2, c = q[first], q[second], 1 - gap
    weighted = w * window_mean(maps.variance(q), window)
    a1, a2, new = weighted[first], weighted[second], weighted + b
    scale = jnp.sqrt(new[first]) * jnp.sqrt(new[second])
    value = w * window_mean(maps.value(q1, q2, c), window)
    product = jnp.sqrt(a1) * jnp.sqrt(a2)
    by_bias = b * (jnp.sqrt(a1) - jnp.sqrt(a2)) ** 2 / (scale + b + product)
    same = (first[0] == second[0]) & (first[1] == second[1])
    lost = jnp.where(same, 0, jnp.maximum(by_bias + product - value, 0))
    slope = jnp.where(same, maps.variance_slope(q1), maps.slope(q1, q2, c))
    tangent = scale - lost + w * window_mean(slope * tangent, window)
    return UnequalState(new, lost / scale, tangent)
