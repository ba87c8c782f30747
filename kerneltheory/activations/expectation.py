r"""Rigorous Gaussian expectations of one variable: E[phi_1(r_1 z) phi_2(r_2 z) ... he_n(z)].

Between the breakpoints of its factors the integrand is analytic and integrated in balls; what
lies beyond a cut is bounded by the growth of the factors and is part of the balls.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from flint import acb, arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.growth import Growth, growth
from kerneltheory.activations.pieces import X, pieces
from kerneltheory.core import lower
from kerneltheory.core.enclose import integrate, plus_minus

# Cramer's inequality: |he_n(z)| <= 1.0865 exp(z^2 / 4) for every n
# (Abramowitz and Stegun 22.14.17).
CRAMER = arb("1.0865")
# An activation and the scale of its argument; a negative scale mirrors it.
Factor = tuple[Activation, arb]


def gaussian_expectations(factors: Sequence[Factor], count: int, digits: int) -> list[arb]:
    r"""Balls around :math:`E[\prod_i \phi_i(r_i z)\,he_n(z)]` for n < count, he_n orthonormal."""
    # The recurrence of he_n loses about half a bit a degree, in balls.
    with ctx.workdps(digits + 15 + count // 6):
        cut = _cut(digits)
        breaks = _merged([b for factor in factors for b in _breaks(*factor) if not abs(b) > cut])
        left_out = _tail(factors, cut, count) + _gaps(factors, breaks)
        total = [plus_minus(left_out)] * count
        for low, high, functions in _segments(factors, [-cut, *breaks, cut]):
            piece = integrate(
                functools.partial(_integrands, functions, count),
                functools.partial(_majorant, functions, count),
                low,
                high,
                arb(10) ** -(digits + 6),
            )
            total = [a + b for a, b in zip(total, piece, strict=True)]
        return total


def _cut(digits: int) -> arb:
    return arb(math.ceil(math.sqrt(8 * math.log(10) * (digits + 12))) + 6)


# --- where the integrand is analytic ----------------------------------------------------------


def _segments(
    factors: Sequence[Factor], ends: list[arb]
) -> list[tuple[arb, arb, list[Callable[[Any], Any]]]]:
    """The intervals between the ends, each with the factors as functions of z there."""
    segments = []
    for low, high in itertools.pairwise(ends):
        middle = ((low + high) / 2).mid()
        segments.append((low, high, [_at(phi, root, middle) for phi, root in factors]))
    return segments


def _breaks(phi: Activation, root: arb) -> list[arb]:
    return [lower.to_ball(b) / root for b in pieces(phi.expression).breaks]


def _merged(breaks: list[arb]) -> list[arb]:
    """In order; breaks that the balls cannot tell apart become one ball that holds both."""
    merged: list[arb] = []
    for b in sorted(breaks, key=lambda ball: float(ball.mid())):
        if merged and merged[-1].overlaps(b):
            merged[-1] = merged[-1].union(b)
        else:
            merged.append(b)
    return merged


def _gaps(factors: Sequence[Factor], breaks: list[arb]) -> arb:
    """Bound of the integrals over the balls of the breaks, in which no form is known to hold."""
    bound = _growth(factors)
    total = arb(0)
    for ball in breaks:
        size = arb(ball.abs_upper())
        value = sum((s * size**i for i, s in bound.sizes.items()), arb(0))
        total += 2 * ball.rad() * CRAMER * value * (bound.rate * size).exp()
    return arb(total.upper())


def _growth(factors: Sequence[Factor]) -> Growth:
    bounds = (growth(phi).scaled(abs(root)) for phi, root in factors)
    return functools.reduce(Growth.__mul__, bounds)


def _at(phi: Activation, root: arb, point: arb) -> Callable[[Any], Any]:
    """The factor as a function of z, in the form that it has near a point."""
    split = pieces(phi.expression)
    index = sum(1 for b in split.breaks if lower.to_ball(b) < root * point)
    function = lower.to_balls((X,), split.expressions[index])
    return lambda z: function(root * z)


# --- the integrand and its bounds -------------------------------------------------------------


def _integrands(functions: Sequence[Callable], count: int, z: arb) -> list[arb]:
    weighted = (-z * z / 2).exp() / (2 * arb.pi()).sqrt()
    for function in functions:
        weighted *= function(z)
    return [weighted * polynomial for polynomial in _hermite(z, count)]


def _hermite(z: arb, count: int):
    """Orthonormal Hermite polynomials: sqrt(n+1) he_{n+1} = z he_n - sqrt(n) he_{n-1}."""
    previous, current = z * 0, z * 0 + 1
    for n in range(count):
        yield current
        root, following = _roots(n, ctx.prec)
        previous, current = current, (z * current - root * previous) / following


@functools.lru_cache(maxsize=4096)
def _roots(n: int, precision: int) -> tuple[arb, arb]:
    """The roots of n and n + 1, at the precision that is set."""
    return arb(n).sqrt(), arb(n + 1).sqrt()


def _majorant(functions: Sequence[Callable], count: int, z: acb) -> arb:
    """Bound of every integrand on a complex ball."""
    density = (-z * z / 2).exp().abs_upper() / (2 * arb.pi()).sqrt()
    modulus = arb(1)
    for function in functions:
        value = acb(1) * function(z)
        if not value.is_finite():
            return arb("inf")
        modulus *= arb(value.abs_upper())
    return arb((density * modulus * _hermite_bound(count, z)).upper())


def _hermite_bound(count: int, z: acb) -> arb:
    r"""Bound of \|he_n(x + iy)\| for n < count, from Mehler's kernel at z and its conjugate.

    .. math:: \sum_n r^n |he_n|^2 = (1 - r^2)^{-1/2}
              \exp\left(\frac{r x^2}{1 + r} + \frac{r y^2}{1 - r}\right), \qquad 0 < r < 1

    whose terms are positive; 1 - r near y / sqrt(n) makes the bound near exp(x^2/4 + sqrt(n) y).
    """
    if count == 1:
        return arb(1)
    x, y = arb(z.real.abs_upper()), arb(z.imag.abs_upper())
    r = 1 / (1 + max(float(y), 1 / count) / arb(count).sqrt())
    exponent = r * x * x / (1 + r) + r * y * y / (1 - r)
    return (exponent.exp() / ((1 - r * r).sqrt() * r ** (count - 1))).sqrt()


def _tail(factors: Sequence[Factor], cut: arb, count: int) -> arb:
    r"""Bound of the part |z| > R, with :math:`|\prod \phi| \le e^{B|z|} \sum_i s_i |z|^i`.

    :math:`e^{Bz} \le e^{2B^2} e^{z^2/8}` leaves e^{-z^2/8} of the density after Cramer's
    e^{z^2/4}, and :math:`\int_R^\infty z^i e^{-z^2/8} dz = 8^{(i+1)/2} \Gamma((i+1)/2, R^2/8)/2`.
    Without Hermite polynomials e^{-z^2/2} <= e^{-z^2/4} e^{-R^2/4}.
    """
    bound = _growth(factors)
    scale = CRAMER if count > 1 else (-cut * cut / 4).exp()
    total = sum((s * _moment(i, cut) for i, s in bound.sizes.items()), arb(0))
    total *= 2 * scale * (2 * bound.rate * bound.rate).exp() / (2 * arb.pi()).sqrt()
    return arb(total.upper())


def _moment(power: int, cut: arb) -> arb:
    half = arb(power + 1) / 2
    return arb(8) ** half * (cut * cut / 8).gamma_upper(half) / 2
