"""Bounds of analytic functions in regions of the plane, from balls that cover them."""

import math
from collections.abc import Callable
from typing import Any

from flint import acb, arb, ctx

from kerneltheory.core.enclose import interval

COVER_BITS = 80
MAX_BALLS = 2000
PROBES = 8
# Of the region's height: a ball so small that h is not finite on holds a singularity.
SMALLEST = 2.0**-9


def cover(
    function: Callable[[acb], Any],
    centre: float,
    major: float,
    minor: float,
    inside: Callable[[float, float], bool],
    ratio: float = 64.0,
    most: int = MAX_BALLS,
    known: tuple[Callable[[float, float], bool], arb] | None = None,
) -> arb | None:
    """Bound of a function, real on the reals, in a region symmetric about its axes.

    Args:
        function: encloses the function on a complex ball, not finite if it is not analytic there.
        centre: of the region, on the real axis.
        major: its half width.
        minor: its half height.
        inside: whether a point, relative to the centre and in the quarter with x, y >= 0, is in
            the region; what is nearer to the axes than a point inside is inside, too.
        ratio: to the largest bound so far, above which a ball is divided.
        most: how many balls may be tried.
        known: whether a point is in a part of the region of which a bound is known, and that bound;
            what is nearer to the axes than a point of that part is in it, too.

    Returns:
        The bound, or None if no division into balls was found on all of which it is finite.
    """
    in_known, largest = known or (_nowhere, arb(0))
    with ctx.workprec(COVER_BITS):
        # Singularities are mostly on the real axis: there they cost a few points, not many balls.
        points = (acb(arb(centre) + major * i / PROBES) for i in range(-PROBES, PROBES + 1))
        if not all(acb(function(point)).is_finite() for point in points):
            return None
    columns = max(4, math.ceil(2 * major / minor))
    width, height = 2 * major / columns, minor
    pending = [(-major + i * width, 0.0, width, height) for i in range(columns)]
    with ctx.workprec(COVER_BITS):
        for _ in range(most):
            if not pending:
                return arb(largest.upper())
            x, y, width, height = pending.pop()
            nearest = 0.0 if x <= 0 <= x + width else min(abs(x), abs(x + width))
            # A little wider than the box: sums of floats are rounded.
            if not inside(nearest * (1 - 1e-12), y * (1 - 1e-12)):
                continue
            furthest = max(abs(x), abs(x + width))
            if in_known(furthest * (1 + 1e-12), (y + height) * (1 + 1e-12)):
                continue
            slack = 1e-13 * major
            left, low = arb(centre) + (x - slack), arb(y - slack)
            right, high = left + (width + 2 * slack), low + (height + 2 * slack)
            value = acb(function(acb(interval(left, right), interval(low, high))))
            if value.is_finite() and value.abs_upper() <= ratio * (1 + largest):
                largest = largest.max(arb(value.abs_upper()))
                continue
            half, rise = width / 2, height / 2
            if rise < minor * SMALLEST:
                return None
            pending += [(x + i * half, y + j * rise, half, rise) for i in (0, 1) for j in (0, 1)]
    return None


def _nowhere(_: float, __: float) -> bool:
    return False
