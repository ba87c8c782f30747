r"""Eigenvalues from the Taylor coefficients :math:`a_n` of h at t = 0.

.. math:: \lambda_k = \sum_j a_{k+2j}\,w_{k,j}, \qquad
    w_{k,j} = E[t^{k+2j} P_k] = \frac{\Gamma(d/2)\,(k+2j)!}{2^{k+2j}\,j!\,\Gamma(k+j+d/2)}

With :math:`a_n \ge 0` nothing cancels, at any degree and dimension. The weights fall, from some j
on, by the factors :math:`1 - p_j/(j+1)` with p_j growing towards (d-1)/2, so that terms after j = J
add up to at most :math:`w_{k,J}` times the smallest of

- :math:`h(1) - \sum_{n<N} a_n`, N = k + 2J, if h is positive definite in all dimensions,
- :math:`M(R)\,R^{-N}/(1 - R^{-2})` if h is at most M(R) on a disc of radius R > 1 (Cauchy),
- :math:`M(1)\,(1 + (J+1)/(p_J - 1))`, where singularities at t = 1 and -1 leave h bounded.
"""

import functools
import math
from collections.abc import Sequence, Set

from flint import acb, arb, ctx

from kerneltheory.core import lower
from kerneltheory.core.enclose import plus_minus
from kerneltheory.core.errors import KernelTheoryError, PrecisionError
from kerneltheory.kernels.base import Kernel
from kerneltheory.spectra.cover import cover

RADII = (2, 8, 32, 128, 512, 2048, 8192)
MOST_TERMS = 4096
MOST_BITS = 2**15


def by_power_series(
    kernel: Kernel, dim: int, max_degree: int, digits: int, zeros: Set[int]
) -> list[arb]:
    """Enclose the eigenvalues of degrees 0..max_degree to so many digits.

    Args:
        kernel: with a Taylor series at t = 0.
        dim: d >= 2.
        max_degree: the highest degree.
        digits: relative accuracy.
        zeros: degrees whose eigenvalues are proved to vanish.

    Raises:
        PrecisionError: if the series converges too slowly, or too little is known of its rest.
    """
    count = max_degree + 64
    slowest = _terms_to_begin_with(dim, max_degree, digits)
    if not is_entire(kernel) and slowest < MOST_TERMS:
        count = max(count, slowest)
    bits = math.ceil(digits * math.log2(10)) + 64
    while count <= MOST_TERMS and bits <= MOST_BITS:
        sums, rests = _sums_and_rests(kernel, dim, max_degree, count, bits)
        with ctx.workprec(bits):
            found = [arb(0) if k in zeros else sums[k] + rests[k] for k in range(max_degree + 1)]
        if all(_sharp(ball, digits) for ball in found):
            return found
        if all(_sharp(ball, digits + 1) for k, ball in enumerate(sums) if k not in zeros):
            # What is left is the difference of h(1) and a sum, and needs bits, too.
            count, bits = math.ceil(1.5 * count), math.ceil(1.5 * bits)
        else:
            bits *= 2
    raise PrecisionError(
        f"the power series of {kernel} converges too slowly at dim = {dim}: {MOST_TERMS} terms and "
        f"{MOST_BITS} bits do not give {digits} digits to degree {max_degree}"
    )


def _sharp(ball: arb, digits: int) -> bool:
    return lower.relative_radius(ball) < 10.0**-digits


def _terms_to_begin_with(dim: int, max_degree: int, digits: int) -> int:
    """Where the weights of the highest degree have fallen by so many digits, if a_n ~ n^-3/2."""
    log = peak = 0.0
    for j in range(MOST_TERMS):
        n = max_degree + 2 * j
        peak = max(peak, log - 1.5 * math.log(n + 1))
        if log - peak < -(digits + 2) * math.log(10):
            return n
        log += math.log((n + 1) * (n + 2) / ((2 * j + 2) * (n + max_degree + dim)))
    return MOST_TERMS


def _sums_and_rests(
    kernel: Kernel, dim: int, max_degree: int, count: int, bits: int
) -> tuple[list[arb], list[arb]]:
    """The sums of the first `count` terms of the power series, and balls around what is left."""
    with ctx.workprec(bits):
        try:
            coefficients = _taylor_balls(kernel, count, bits)
        except (ValueError, ZeroDivisionError, KernelTheoryError) as error:
            raise PrecisionError(f"{kernel} has no Taylor series at t = 0 ({error})") from error
        if not all(a.is_finite() for a in coefficients):
            raise PrecisionError(f"{kernel} has no Taylor series at t = 0 to {count} terms")
        rest = _Rest(kernel, dim, coefficients)
        sums, rests, first = [], [], arb(1)
        for k in range(max_degree + 1):
            weight, total = first, arb(0)
            terms = 0
            for n in range(k, count, 2):
                total += coefficients[n] * weight
                terms += 1
                weight *= (n + 1) * (n + 2)
                weight /= 2 * terms * (n + k + dim)
            sums.append(total)
            rests.append(plus_minus(rest.bound(k, terms, weight)))
            first = first * (k + 1) / (2 * k + dim)
        return sums, rests


@functools.lru_cache(maxsize=64)
def _taylor_balls(kernel: Kernel, count: int, bits: int) -> tuple[arb, ...]:
    return kernel.taylor_balls(count, bits)


class _Rest:
    """Bounds of what the terms of a power series beyond the known ones add to eigenvalues."""

    def __init__(self, kernel: Kernel, dim: int, coefficients: Sequence[arb]) -> None:
        self.dim, count = dim, len(coefficients)
        self.flat: list[arb] = []
        if kernel.positive_definite:
            self.flat.append(kernel.ball_at_one() - sum(coefficients, arb(0)))
        for radius in RADII:
            largest = largest_on_disc(kernel, radius)
            if largest is None:  # nor is it known on wider discs
                break
            self.flat.append(largest / arb(radius) ** count / (1 - arb(radius) ** -2))
        # Where singularities leave h bounded on the closed disc; discs are sharper, if there are.
        self.unit = None if self.flat else largest_on_unit_disc(kernel)
        if not self.flat and self.unit is None:
            raise PrecisionError(f"nothing is known of the rest of the power series of {kernel}")

    def bound(self, k: int, j: int, weight: arb) -> arb:
        """Of the terms a_{k+2i} w_{k,i}, i >= j, where w_{k,j} is the weight."""
        d = self.dim
        excess = j * (2 * d - 2) + k + 2 * d - 2 - k * k
        if excess <= 0:  # the weights still grow, up to one at most
            weight = arb(1)
        bounds = list(self.flat)
        power = arb(excess) / (2 * (2 * k + 2 * j + d))
        if self.unit is not None and excess > 0 and power > 1:
            bounds.append(self.unit * (1 + (j + 1) / (power - 1)))
        if not bounds:
            return arb("inf")
        # Of the upper ends: the minimum of balls would be as wide as the widest.
        least = functools.reduce(arb.min, (arb(bound.abs_upper()) for bound in bounds))
        return arb((weight * least).abs_upper())


def is_entire(kernel: Kernel) -> bool:
    """Whether h is proved to be analytic on a disc twice as large as the unit disc."""
    return largest_on_disc(kernel, RADII[0]) is not None


@functools.lru_cache(maxsize=512)
def largest_on_disc(kernel: Kernel, radius: int) -> arb | None:
    """Bound of |h(t)| for |t| <= radius; None where h is not proved to be analytic."""

    def function(t: acb) -> acb:
        try:
            return acb(kernel.on_balls(t))
        except (TypeError, ValueError, KernelTheoryError):  # not known on complex balls
            return acb("nan")

    def inside(x: float, y: float) -> bool:
        return x * x + y * y <= radius**2

    return cover(function, 0.0, radius, radius, inside, ratio=math.inf)


@functools.lru_cache(maxsize=512)
def largest_on_unit_disc(kernel: Kernel) -> arb | None:
    """Bound of |h(t)| for |t| < 1, also where h has branch points at t = 1 and -1.

    In the angle the disc is |sinh(Im theta)| <= sin(Re theta).
    """

    def inside(x: float, y: float) -> bool:
        return x <= math.pi / 2 and math.sinh(y) <= math.cos(x)

    return cover(kernel.enclose_at_angle, math.pi / 2, math.pi / 2, math.asinh(1) + 1e-12, inside)
