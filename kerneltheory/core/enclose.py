r"""Rigorous one-dimensional integration of many integrands that share their expensive part.

A Gauss-Legendre rule with n >= 2 nodes on [-1, 1] errs by at most
:math:`\frac{64}{15} \frac{M \rho^{-2n}}{1 - \rho^{-2}}` for an integrand that is analytic and
bounded by M inside the Bernstein ellipse with parameter rho (Trefethen, Approximation Theory and
Approximation Practice, Theorem 19.3): its Chebyshev coefficients are at most 2 M rho^-k, those
below 2n and the odd ones are integrated exactly, and the rule errs by at most 2 + 2/15 on T_k.
M comes from one evaluation on a complex ball that covers the ellipse; where that is
not finite or too large the interval is halved. Unlike flint's own integrator, the same nodes
serve a whole vector of integrands.
"""

import functools
import math
from collections.abc import Callable, Sequence

from flint import acb, arb, ctx

from kerneltheory.core.errors import PrecisionError

ELLIPSE = 3
MAX_INTERVALS = 20_000


@functools.lru_cache(maxsize=64)
def gauss_legendre(count: int, precision: int) -> tuple[tuple[arb, arb], ...]:
    """Nodes on [-1, 1], from right to left, and weights as balls of the given binary precision."""
    with ctx.workprec(precision):
        # Negative nodes are the mirror images of the positive ones, which are half the work.
        right = [arb.legendre_p_root(count, i, weight=True) for i in range((count + 1) // 2)]
        left = [(-node, weight) for node, weight in reversed(right[: count // 2])]
        return tuple(right + left)


def integrate(
    values: Callable[[arb], Sequence[arb]],
    bound: Callable[[acb], arb],
    low: arb,
    high: arb,
    tolerance: arb,
) -> list[arb]:
    """Enclose the integrals over [low, high] of a vector of analytic functions.

    Args:
        values: the integrands at a real point.
        bound: an upper bound of every integrand's modulus on a complex ball; not finite where
            one of them is not proved to be analytic.
        low: the left end.
        high: the right end.
        tolerance: what each piece may contribute to the error; the balls hold what was reached.

    Raises:
        PrecisionError: if the integrands are too rough for the allowed number of intervals.
    """
    limit = 2 * _nodes_needed(arb(1) / tolerance) + 16
    total: list[arb] | None = None
    pending = [(low, high)]
    used = 0
    while used < MAX_INTERVALS:
        used += 1
        if not pending:
            assert total is not None
            return total
        left, right = pending.pop()
        middle, half = (left + right) / 2, (right - left) / 2
        size = half * bound(_ellipse_ball(middle, half))
        count = _nodes_needed(size / tolerance) if size.is_finite() else limit + 1
        if count > limit:
            if right - left < arb(2) ** -ctx.prec:  # no division would show anything new
                break
            pending += [(middle, right), (left, middle)]
            continue
        rule = gauss_legendre(count, ctx.prec)
        piece = _apply(rule, values, middle, half, size * _error_factor(count))
        total = piece if total is None else [a + b for a, b in zip(total, piece, strict=True)]
    raise PrecisionError(
        f"{used} intervals did not suffice; the integrand has a singularity inside "
        f"({left.str(5)}, {right.str(5)})"
    )


def _nodes_needed(excess: arb) -> int:
    """How many nodes (rounded up, so that few rules are made) bring M/tolerance below one."""
    bits = max(1.0, float(excess.upper().log().upper()) / math.log(ELLIPSE) / 2 + 1)
    return 8 * math.ceil(bits / 8)


def _error_factor(count: int) -> arb:
    return arb(64) / 15 / (arb(ELLIPSE) ** (2 * count) * (1 - arb(ELLIPSE) ** -2))


def _ellipse_ball(middle: arb, half: arb) -> acb:
    major = half * (ELLIPSE + arb(1) / ELLIPSE) / 2
    minor = half * (ELLIPSE - arb(1) / ELLIPSE) / 2
    return acb(interval(middle - major, middle + major), interval(-minor, minor))


def interval(low: arb, high: arb) -> arb:
    """The ball that covers [low, high]."""
    return low.union(high)


def plus_minus(radius: arb) -> arb:
    """The ball around zero with (at least) this radius."""
    return (-radius).union(radius)


def _apply(rule, values, middle: arb, half: arb, error: arb) -> list[arb]:
    total: list[arb] | None = None
    for node, weight in rule:
        row = [weight * value for value in values(middle + half * node)]
        total = row if total is None else [a + b for a, b in zip(total, row, strict=True)]
    assert total is not None
    return [half * value + plus_minus(error) for value in total]
