r"""The fixed point of the correlation map at a fixed variance, certified.

.. math:: C(c) = (w\,T(q, q, c) + b)/q, \qquad C(1) = 1, \qquad C'(c) = w\,T'(q, q, c)

By Mehler's series the coefficients of C are not negative: it is convex on [0, 1] with C(0) >= 0.
Hence besides 1 it has at most one fixed point in [0, 1), unless C is the identity: exactly one
where :math:`\chi_1 = C'(1) > 1` (it attracts, with slope below one), none where
:math:`\chi_1 \le 1`.
"""

from flint import arb

from kerneltheory.activations.activation import Activation
from kerneltheory.core.errors import PrecisionError
from kerneltheory.kernels.maps import ball_maps

_STEPS = 200


def stable_correlation(
    phi: Activation, weight: arb, bias: arb, variance: arb, digits: int
) -> tuple[arb, arb]:
    """Balls around c* in [0, 1) and the slope chi_c there, at the precision that is set.

    Newton's method on the convex C(c) - c increases from 0 to c*; the signs of C(c) - c on both
    sides of where it ends then prove it.

    Args:
        phi: the activation, with chi_1 > 1.
        weight: w, a ball.
        bias: b, a ball.
        variance: q, a ball around a fixed point.
        digits: of the ball of c*.

    Raises:
        PrecisionError: if the signs are hidden by rounding.
    """
    maps = ball_maps(phi)
    if bias.is_zero() and phi.parity == -1:
        zero = arb(0)
        return zero, weight * maps.slope(variance, variance, zero)

    def excess(c: arb) -> arb:
        return (weight * maps.value(variance, variance, c) + bias) / variance - c

    def slope(c: arb) -> arb:
        return weight * maps.slope(variance, variance, c)

    c, target = arb(0), arb(10) ** -digits
    for _ in range(_STEPS):
        step = arb((excess(c) / (1 - slope(c))).mid())
        if not step.is_finite() or abs(step) < target / 100:
            break
        c = arb((c + step).mid()).min(1 - target)
    width = target
    while width < 1e-3:
        low, high = (c - width).max(arb(0)), c + width
        if (low.is_zero() or excess(low) > 0) and high < 1 and excess(high) < 0:
            found = low.union(high)
            return found, slope(found)
        width *= 10
    raise PrecisionError(
        f"the correlation that {phi.name} tends to, near {c.str(6)}, is hidden by the error of "
        f"its dual; ask for more digits"
    )
