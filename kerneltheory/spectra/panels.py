r"""Eigenvalues by adaptive rigorous quadrature in the angle, for kernels rough at a pole.

The interval is cut into panels that accumulate at the poles. What lies within a tiny angle of them
is bounded by an enclosure of h or, where that fails, by h(1), the largest value of what is positive
definite.
"""

import functools
import math
from fractions import Fraction
from typing import Any

from flint import acb, arb, ctx

from kerneltheory.core import lower
from kerneltheory.core.enclose import integrate, interval, plus_minus
from kerneltheory.core.errors import PrecisionError
from kerneltheory.kernels.base import BITS_PER_LAYER, Kernel
from kerneltheory.spectra.angle import density_bound, polynomial_bound
from kerneltheory.spectra.rules import density_constant
from kerneltheory.sphere.polynomials import recurrence_steps, run_recurrence


def by_panels(kernel: Kernel, dim: int, max_degree: int, tolerance: arb) -> list[arb]:
    """Enclose the eigenvalues of degrees 0..max_degree, with absolute errors near the tolerance.

    Raises:
        PrecisionError: if h is not known on complex balls, or too rough in the open interval.
    """
    if not kernel.enclose_at_angle(acb(1)).is_finite():
        raise PrecisionError(f"{kernel} is not enclosed on complex balls")
    bits = math.ceil(-float(tolerance.log()) / math.log(2) + 1.4 * max_degree) + 64
    with ctx.workprec(bits):
        constant = density_constant(dim)
        cut = _cut(dim, constant * kernel.ball_at_one(), tolerance / 256)
    # 1 - c needs twice the bits of the smallest angle, and each layer loses them once more.
    bits += (kernel.layers + 2) * math.ceil(-math.log2(float(cut)))
    with ctx.workprec(bits + BITS_PER_LAYER * kernel.layers):
        steps = recurrence_steps(dim, max_degree, lower.to_ball)
        integrand = functools.partial(_integrands, kernel, dim, steps)
        bound = functools.partial(_bound, kernel, dim, max_degree)
        balls = integrate(integrand, bound, cut, arb.pi() / 2, tolerance / constant / 256)
        # Both caps, where |P_k| <= 1.
        caps = plus_minus(_pole_bound(kernel, cut) * cut * cut.sin() ** (dim - 2))
        return [constant * (ball + caps) for ball in balls]


def _cut(dim: int, scale: arb, tolerance: arb) -> arb:
    """An angle below which the density leaves less than the tolerance."""
    cut = Fraction(1)
    target = float((tolerance / scale).log().upper())
    while True:
        angle = float(cut)
        if math.log(angle) + (dim - 2) * math.log(math.sin(angle)) < target:
            return lower.to_ball(cut)
        cut /= 2 if cut <= Fraction(1, 4) else Fraction(8, 7)


def _pole_bound(kernel: Kernel, cut: arb) -> arb:
    """Bound of |h(cos theta)| + |h(-cos theta)| for theta up to the cut."""
    at_one, total = arb(kernel.ball_at_one().abs_upper()), arb(0)
    near = interval(arb(0), cut)
    for angle in (near, arb.pi() - near):
        value = kernel.enclose_at_angle(acb(angle))
        enclosed = value.is_finite() and not kernel.positive_definite
        total += arb(value.abs_upper()) if enclosed else at_one
    return total


def _integrands(kernel: Kernel, dim: int, steps: list[Any], angle: arb) -> list[arb]:
    """H P_k sin^{d-2} at an angle and at its mirror image together, for every degree."""
    cosine = angle.cos()
    weight = angle.sin() ** (dim - 2)
    here, there = arb(kernel.on_balls(cosine)), arb(kernel.on_balls(-cosine))
    halves = (weight * (here + there), weight * (here - there))
    polynomials = run_recurrence(cosine, arb(1), steps)
    return [halves[k % 2] * polynomial for k, polynomial in enumerate(polynomials)]


def _bound(kernel: Kernel, dim: int, max_degree: int, angle: acb) -> arb:
    here = kernel.enclose_at_angle(angle).abs_upper()
    there = kernel.enclose_at_angle(arb.pi() - angle).abs_upper()
    growth = polynomial_bound(max_degree, arb(angle.imag.abs_upper()))
    return arb((density_bound(dim, angle) * growth * (arb(here) + arb(there))).upper())
