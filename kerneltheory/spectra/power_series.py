r"""Eigenvalues from the Taylor coefficients :math:`a_n` of h at t = 0.

.. math:: \lambda_k = \sum_j a_{k+2j}\,w_{k,j}, \qquad
    w_{k,j} = E[t^{k+2j} P_k] = \frac{\Gamma(d/2)\,(k+2j)!}{2^{k+2j}\,j!\,\Gamma(k+j+d/2)}

With :math:`a_n \ge 0` nothing cancels, at any degree and dimension. The weights change by

.. math:: \frac{w_{k,j}}{w_{k,j-1}} = \frac{(j + (k-1)/2)\,(j + k/2)}{j\,(j + k + d/2 - 1)}
    = 1 + \frac{k(k-1)/4 - j (d-1)/2}{j\,(j + k + d/2 - 1)},

which falls with j until it is at most one, and stays so. Terms from j = J on, n >= N = k + 2J, add
up to at most one of

- :math:`w_{k,J}\,r^{-N} \sum_{n \ge N} |a_n| r^n` for any r >= 1 whose square is not less than the
  ratio at j = J + 1. Of the sum, the terms with n >= C, that are not known, are
  :math:`h(r) - \sum_{n<C} a_n r^n` if h is positive definite in all dimensions and analytic on
  [0, r] (the radius of convergence of a series of positive terms is a singular point: Pringsheim),
  and at most :math:`M\,2^{-C}/(1 - 1/4)` if h is at most M on a disc of radius 2 r (Cauchy).
- :math:`M\,w_{k,J}\,(1 + (J+1)/(p - 1))` once they fall by factors :math:`1 - p_j/(j+1)` with p_j
  growing from p towards (d-1)/2, where singularities at t = 1 and -1 leave h at most M.
"""

import functools
import math
from collections.abc import Iterator, Sequence, Set
from fractions import Fraction

import numpy as np
from flint import acb, arb, arb_poly, ctx

from kerneltheory.core import lower
from kerneltheory.core.enclose import interval, plus_minus
from kerneltheory.core.errors import KernelTheoryError, PrecisionError
from kerneltheory.kernels.base import Kernel
from kerneltheory.spectra.cover import COVER_BITS, cover

RADII = (2, 8, 32, 128, 512, 2048, 8192)
MOST_TERMS = 4096
MOST_BITS = 2**15
# Coefficients from which the fall of all is guessed.
PROBED_TERMS = 48
# Of the real axis beyond t = 1, on which h is enclosed.
MOST_SEGMENTS = 64
# After so many terms the rest is looked at.
STRIDE = 16


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
    count, bits = _to_begin_with(kernel, dim, max_degree, digits)
    while count <= MOST_TERMS and bits <= MOST_BITS:
        sums, rests = _sums_and_rests(kernel, dim, max_degree, count, bits, digits, zeros)
        with ctx.workprec(bits):
            found = [total + rest for total, rest in zip(sums, rests, strict=True)]
        if all(_sharp(ball, digits) for ball in found):
            return found
        if all(_sharp(ball, digits + 1) for ball in sums):
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


def _to_begin_with(kernel: Kernel, dim: int, max_degree: int, digits: int) -> tuple[int, int]:
    """How many terms and bits to try first."""
    count, bits = max_degree + 64, math.ceil(digits * math.log2(10)) + 64
    if is_entire(kernel):
        return count, bits
    radius = largest_radius(kernel) if kernel.positive_definite else 1
    needed = _terms_needed(dim, max_degree, (digits + 3) * math.log(10), math.log(radius))
    return max(count, needed) if needed < MOST_TERMS else count, bits


def _terms_needed(dim: int, max_degree: int, falling: float, rate: float) -> int:
    """Where the bound of the highest degree's terms has fallen by exp(-falling) from their peak.

    The terms as if a_n ~ n^-3/2 exp(-rate n), the bound as if it fell without the power of n.
    """
    log, peak = 0.0, -math.inf
    for j in range(MOST_TERMS):
        n = max_degree + 2 * j
        peak = max(peak, log - 1.5 * math.log(n + 1))
        if log - peak < -falling:
            return n
        log += math.log((n + 1) * (n + 2) / ((2 * j + 2) * (n + max_degree + dim))) - 2 * rate
    return MOST_TERMS


@functools.lru_cache(maxsize=256)
def geometric_slope(kernel: Kernel) -> float:
    """The limit of (log |a_n|)/n, guessed from the first coefficients; 0 if they show none.

    Of coefficients like n^c exp(s n) the slopes between n, 2 n and 4 n differ by a factor of two in
    what c adds to s.
    """
    pairs = first_coefficients(kernel)
    if pairs is None or not pairs.all():
        return 0.0
    quarter, half, last = len(pairs) // 4, len(pairs) // 2, len(pairs) - 1
    logs = np.log(pairs)
    early = (logs[half] - logs[quarter]) / (2 * (half - quarter))
    late = (logs[last] - logs[half]) / (2 * (last - half))
    return min(float(2 * late - early), 0.0)


@functools.lru_cache(maxsize=256)
def first_coefficients(kernel: Kernel) -> np.ndarray | None:
    """The larger of |a_2i| and |a_2i+1| for the first few i; None where h has no such series."""
    try:
        coefficients = np.abs(kernel.taylor_coefficients(PROBED_TERMS))
    except KernelTheoryError:
        return None
    return np.maximum(coefficients[::2], coefficients[1::2])


def _sums_and_rests(
    kernel: Kernel,
    dim: int,
    max_degree: int,
    count: int,
    bits: int,
    digits: int,
    zeros: Set[int],
) -> tuple[list[arb], list[arb]]:
    """Sums of the series, of `count` coefficients at most, and balls around what is left out."""
    with ctx.workprec(bits):
        try:
            coefficients = _taylor_balls(kernel, count, bits)
        except (ValueError, ZeroDivisionError, KernelTheoryError) as error:
            raise PrecisionError(f"{kernel} has no Taylor series at t = 0 ({error})") from error
        if not all(a.is_finite() for a in coefficients):
            raise PrecisionError(f"{kernel} has no Taylor series at t = 0 to {count} terms")
        rest, negligible = _Rest(kernel, dim, coefficients), arb(10) ** -(digits + 2)
        sums, rests, first = [], [], arb(1)
        for k in range(max_degree + 1):
            total, bound = arb(0), arb(0)
            if k not in zeros:
                total, bound = _sum_and_rest(coefficients, rest, k, first, negligible)
            sums.append(total)
            rests.append(plus_minus(bound))
            first = first * (k + 1) / (2 * k + dim)
        return sums, rests


def _sum_and_rest(
    coefficients: Sequence[arb], rest: "_Rest", k: int, weight: arb, negligible: arb
) -> tuple[arb, arb]:
    """Sum of a_{k+2j} w_{k,j} until the rest is relatively negligible, and a bound of the rest."""
    total, terms = arb(0), 0
    for n in range(k, len(coefficients), 2):
        if terms % STRIDE == 0 and rest.decreasing:
            bound = rest.bound(k, terms, weight)
            if bound < abs(total) * negligible:
                return total, bound
        total += coefficients[n] * weight
        terms += 1
        weight *= (n + 1) * (n + 2)
        weight /= 2 * terms * (n + k + rest.dim)
    return total, rest.bound(k, terms, weight)


@functools.lru_cache(maxsize=64)
def _taylor_balls(kernel: Kernel, count: int, bits: int) -> tuple[arb, ...]:
    radius = math.exp(-geometric_slope(kernel))
    return kernel.taylor_balls(count, bits, Fraction(math.floor(64 * radius), 64))


class _Rest:
    """Bounds of what the terms of a power series from some j on add to eigenvalues.

    Attributes:
        dim: d.
        decreasing: whether the terms that are known make the bounds smaller, too.
    """

    def __init__(self, kernel: Kernel, dim: int, coefficients: Sequence[arb]) -> None:
        self.dim = dim
        # With each r, bounds of sum |a_n| r^(n - N) over n >= N.
        self._sums = [
            (radius, _sums_from_each(radius, coefficients, beyond))
            for radius, beyond in _beyond(kernel, coefficients)
        ]
        self.decreasing = bool(self._sums)
        # Where singularities leave h bounded on the closed disc; the others are sharper.
        self._unit = None if self._sums else largest_on_unit_disc(kernel)
        if not self._sums and self._unit is None:
            raise PrecisionError(f"nothing is known of the rest of the power series of {kernel}")

    def bound(self, k: int, j: int, weight: arb) -> arb:
        """Of the terms a_{k+2i} w_{k,i}, i >= j, where w_{k,j} is the weight."""
        if self._unit is not None:
            return self._unit_bound(self._unit, k, j, weight)
        n, d = k + 2 * j, self.dim
        above, below = (n + 1) * (n + 2), 2 * (j + 1) * (n + k + d)
        bounds = [
            weight * sums[n]
            for radius, sums in self._sums
            if above <= below * radius**2 and n < len(sums)
        ]
        # Where the weights still grow faster, they are at most one.
        bounds = bounds or [sums[min(n, len(sums) - 1)] for _, sums in self._sums]
        return functools.reduce(arb.min, (arb(bound.abs_upper()) for bound in bounds))

    def _unit_bound(self, largest: arb, k: int, j: int, weight: arb) -> arb:
        d = self.dim
        excess = j * (2 * d - 2) + k + 2 * d - 2 - k * k
        power = arb(excess) / (2 * (2 * k + 2 * j + d))
        if not (excess > 0 and power > 1):
            return arb("inf")
        return arb((weight * largest * (1 + (j + 1) / (power - 1))).abs_upper())


def _beyond(kernel: Kernel, coefficients: Sequence[arb]) -> Iterator[tuple[Fraction, arb]]:
    """Some r >= 1, each with a bound of the sum of |a_n| r^n over the n that are not known."""
    count = len(coefficients)
    if kernel.positive_definite:
        known = arb_poly(list(coefficients))
        yield Fraction(1), kernel.ball_at_one() - known(arb(1))
        radius = largest_radius(kernel)
        if radius > 1:
            point = lower.to_ball(radius)
            yield radius, arb(kernel.on_balls(point)) - known(point)
    for radius in RADII:
        largest = largest_on_disc(kernel, radius)
        if largest is None:  # nor is it known on wider discs
            return
        yield Fraction(radius, 2), largest / arb(2) ** count / (1 - arb(1) / 4)


def _sums_from_each(radius: Fraction, coefficients: Sequence[arb], beyond: arb) -> list[arb]:
    """Bounds of the sums of |a_n| r^(n - N) over n >= N, for each N."""
    r = lower.to_ball(radius)
    # Upper ends: the minimum of balls would be as wide as the widest.
    total = arb((arb(beyond.abs_upper()) / r ** len(coefficients)).upper())
    sums = [total]
    for coefficient in reversed(coefficients):
        total = arb((abs(coefficient) + r * total).upper())
        sums.append(total)
    return sums[::-1]


@functools.lru_cache(maxsize=256)
def largest_radius(kernel: Kernel) -> Fraction:
    """The r >= 1 used for a positive definite h, that is proved to be analytic on [1, r] if r > 1.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel, nngp
        >>> from kerneltheory.activations.catalogue import erf, relu
        >>> largest_radius(nngp(relu, 1, weight_variance=2))
        Fraction(1, 1)
        >>> 1.2 < largest_radius(nngp(erf, 1, weight_variance=2)) < 1.25  # singular at 5/4
        True
    """
    beyond_one = math.exp(-geometric_slope(kernel)) - 1
    for share in (0.95, 0.8, 0.5):
        radius = 1 + Fraction(math.floor(256 * share * beyond_one), 256)
        if radius > 1 and _is_analytic_between(kernel, 1.0, float(radius)):
            return radius
    return Fraction(1)


def _is_analytic_between(kernel: Kernel, low: float, high: float) -> bool:
    """Whether h is proved to be analytic at each real point in [low, high]."""
    pending = [(low, high)]
    with ctx.workprec(COVER_BITS):
        if not _on_complex_balls(kernel, acb(high)).is_finite():
            return False
        for _ in range(MOST_SEGMENTS):
            if not pending:
                return True
            left, right = pending.pop()
            ball = acb(interval(arb(left), arb(right)))
            if not _on_complex_balls(kernel, ball).is_finite():
                middle = (left + right) / 2
                pending += [(left, middle), (middle, right)]
    return False


def _on_complex_balls(kernel: Kernel, t: acb) -> acb:
    try:
        return acb(kernel.on_balls(t))
    except (TypeError, ValueError, KernelTheoryError):  # not known there
        return acb("nan")


def is_entire(kernel: Kernel) -> bool:
    """Whether h is proved to be analytic on a disc twice as large as the unit disc."""
    return largest_on_disc(kernel, RADII[0]) is not None


@functools.lru_cache(maxsize=512)
def largest_on_disc(kernel: Kernel, radius: int) -> arb | None:
    """Bound of |h(t)| for |t| <= radius; None where h is not proved to be analytic."""

    def inside(x: float, y: float) -> bool:
        return x * x + y * y <= radius**2

    function = functools.partial(_on_complex_balls, kernel)
    return cover(function, 0.0, radius, radius, inside, ratio=math.inf)


@functools.lru_cache(maxsize=512)
def largest_on_unit_disc(kernel: Kernel) -> arb | None:
    """Bound of |h(t)| for |t| < 1, also where h has branch points at t = 1 and -1.

    In the angle the disc is |sinh(Im theta)| <= sin(Re theta).
    """

    def inside(x: float, y: float) -> bool:
        return x <= math.pi / 2 and math.sinh(y) <= math.cos(x)

    return cover(kernel.enclose_at_angle, math.pi / 2, math.pi / 2, math.asinh(1) + 1e-12, inside)
