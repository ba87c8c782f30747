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


def near_one(slopes: tuple[arb, arb, arb], digits: int) -> tuple[arb, arb] | None:
    """Balls around c* and chi_c where Taylor's theorem tells c* to so many digits, else None.

    Args:
        slopes: the first three derivatives of C at 1, balls, infinite where phi has kinks.
        digits: of the ball of c*.
    """
    chi_1, second, third = slopes
    excess = chi_1 - 1
    if not (excess > 0 and second > 0 and second.is_finite() and third.is_finite()):
        return None
    low = arb((2 * excess / second).lower())
    high = arb((2 * excess / second * (1 + 4 * excess * third / second**2)).upper())
    if not (high < 1 and (second - high * third) * high / 2 > excess):
        return None
    gap = low.union(high)
    if not arb(gap.rad()) < arb(10) ** -digits:
        return None
    return 1 - gap, chi_1 - (second - high * third).union(second) * gap


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
