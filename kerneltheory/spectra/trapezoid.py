r"""Eigenvalues of positive definite kernels by the trapezoidal rule in x = artanh t.

.. math:: \lambda_k = c_d \int_{-\infty}^\infty f(x)\,dx, \qquad
          f(x) = h(\tanh x)\,P_k(\tanh x)\,\operatorname{sech}^{d-1} x, \qquad
          c_d = \frac{\Gamma(d/2)}{\sqrt\pi\,\Gamma((d-1)/2)}

Values of h on (-1, 1) are all that is needed, so that any singularities at t = 1 and -1 do: a
kernel that is positive definite in every dimension is :math:`h = \sum a_n t^n` with
:math:`a_n \ge 0` (Schoenberg, Duke Math. J. 9 (1942)), analytic and at most h(1) in the unit disc,
and tanh maps the strip :math:`|\mathrm{Im}\,x| < \pi/4` onto that disc. On the line
:math:`\mathrm{Im}\,x = y`, where :math:`|\cosh z|^2 = \cosh^2 x - \sin^2 y \ge
\cos^2 y\,\cosh^2 x`,

- :math:`|\operatorname{sech} z| \le \operatorname{sech} x/\cos y`,
- :math:`|P_k(\cos\theta)| \le \cosh(k\,\mathrm{Im}\,\theta)`, with
  :math:`2 \cosh \mathrm{Im}\,\theta = |1 - t| + |1 + t| = 2 \cosh x/|\cosh z| \le 2/\cos y`.

So :math:`c_d \int |f(x + iy)|\,dx \le M = h(1) \cosh(k \beta)/\cos^{d-1} a` for
:math:`|y| \le a \le \pi/4`, :math:`\cosh\beta = 1/\cos a`, and the rule with step s errs by at most

.. math:: \frac{2 M}{e^{2\pi a/s} - 1}
          \quad\text{(Trefethen and Weideman, SIAM Review 56 (2014), Theorem 5.1).}

It is cut where what is left of it, at most :math:`c_d\,h(1)\,s \sum \operatorname{sech}^{d-1} x_n`,
falls faster than a geometric series.
"""

import math
from fractions import Fraction

from flint import arb, ctx

from kerneltheory.core import lower
from kerneltheory.core.enclose import plus_minus
from kerneltheory.core.errors import PrecisionError
from kerneltheory.kernels.base import BITS_PER_LAYER, Kernel
from kerneltheory.spectra.rules import Nodes, Rule, density_constant, rule_sums

# Half widths of strips, in units of pi. In wide ones the weight of a large dimension grows.
STRIPS = tuple(Fraction(n, 64) for n in range(1, 17))
MAX_NODES = 2**15


def by_trapezoid(kernel: Kernel, dim: int, max_degree: int, tolerance: arb) -> list[arb]:
    """Enclose the eigenvalues of degrees 0..max_degree, with absolute errors near the tolerance.

    Raises:
        PrecisionError: if h is not known to be positive definite, or the rule would need too many
            nodes.
    """
    if not kernel.positive_definite:
        raise PrecisionError(f"{kernel} is not known to be positive definite in every dimension")
    at_one = arb(kernel.ball_at_one().abs_upper())
    target = -float((tolerance / at_one).log())
    strip, step = _strip_and_step(dim, max_degree, target)
    reach = _reach(dim, target)
    count = math.ceil(reach / step)
    if count > MAX_NODES:
        raise PrecisionError(f"{2 * count} nodes would be needed, more than {2 * MAX_NODES}")
    bits = math.ceil(-float(tolerance.log()) / math.log(2)) + 64
    # As in the other rules in the angle, which is 2 exp(-x) near the poles.
    bits += (kernel.layers + 2) * math.ceil(reach / math.log(2)) + BITS_PER_LAYER * kernel.layers
    with ctx.workprec(bits):
        error = _between_nodes(dim, max_degree, strip, step) + _beyond(dim, step, count)
        error = plus_minus(at_one * error)
    sums = rule_sums(Rule(_nodes, (step, count), bits), kernel, dim, max_degree)
    with ctx.workprec(bits):
        return [ball + error for ball in sums]


# --- the error, in units of h(1) ----------------------------------------------------------------


def _strip_and_step(dim: int, max_degree: int, target: float) -> tuple[Fraction, Fraction]:
    """The strip that allows the longest step for a target -log(error), and that step."""

    def longest(strip: Fraction) -> float:
        angle = math.pi * float(strip)
        growth = max_degree * math.asinh(math.tan(angle)) - (dim - 1) * math.log(math.cos(angle))
        return 2 * math.pi * angle / (max(target, 0) + growth + 2)

    strip = max(STRIPS, key=longest)
    return strip, Fraction(1, math.ceil(1 / longest(strip)))


def _reach(dim: int, target: float) -> float:
    r"""Where :math:`c_d\,\operatorname{sech}^{d-1} x` has fallen so far."""
    log_cosh = (max(target, 0) + math.log(dim) / 2 + 3) / (dim - 1)
    return log_cosh + math.log1p(math.sqrt(-math.expm1(-2 * log_cosh)))


def _between_nodes(dim: int, max_degree: int, strip: Fraction, step: Fraction) -> arb:
    """What an infinite sum with this step may miss of the integral."""
    angle = arb.pi() * lower.to_ball(strip)
    secant = 1 / angle.cos()
    size = (max_degree * secant.acosh()).cosh() * secant ** (dim - 1)
    return 2 * size / (2 * arb.pi() * angle / lower.to_ball(step)).expm1()


def _beyond(dim: int, step: Fraction, count: int) -> arb:
    r"""What the nodes from `count` on may add on both sides.

    :math:`\cosh(x + s)/\cosh x = \cosh s + \sinh s\,\tanh x` grows with x, so the terms fall faster
    than in a geometric series with the first ratio.
    """
    s = lower.to_ball(step)
    first = s * (count + arb(1) / 2)
    ratio = (s.cosh() + s.sinh() * first.tanh()) ** (1 - dim)
    return 2 * density_constant(dim) * s * first.cosh() ** (1 - dim) / (1 - ratio)


def _nodes(step: Fraction, count: int, _: int) -> Nodes:
    """The angle of cosine tanh x has the sine sech x, and moves by sech x dx."""
    s = lower.to_ball(step)
    arguments = (s * (n + arb(1) / 2) for n in range(count))
    return tuple((x.tanh(), 1 / x.cosh(), s / x.cosh()) for x in arguments)
