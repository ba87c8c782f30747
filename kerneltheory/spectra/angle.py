r"""Eigenvalues by one Gauss-Legendre rule in the angle, with a rigorous bound of its error.

.. math:: \lambda_k = \frac{\Gamma(d/2)}{\sqrt\pi\,\Gamma((d-1)/2)}
          \int_0^\pi h(\cos\theta)\,P_k(\cos\theta)\,\sin^{d-2}\theta\,d\theta

The integrand is analytic around the closed interval: the angle resolves the branch points of h at
t = 1 and -1. In the ellipse with foci 0 and pi and semi-axes (pi/4)(rho +- 1/rho) it is at most
:math:`M \cosh(b)^{d-2} P_k(\cosh b)`, b the smaller semi-axis, since P_k is a positive combination
of cosines (see `spectra.rules`), :math:`|\cos m\theta| \le \cosh(m\,\mathrm{Im}\,\theta)`
and :math:`|\sin\theta| \le \cosh(\mathrm{Im}\,\theta)`. M bounds h on balls that cover
the ellipse; it depends on the kernel alone and is kept.
"""

import functools
import math
from fractions import Fraction

from flint import acb, arb, ctx

from kerneltheory.core.enclose import gauss_legendre, plus_minus
from kerneltheory.core.errors import PrecisionError
from kerneltheory.core.lower import to_ball
from kerneltheory.kernels.base import BITS_PER_LAYER, Kernel
from kerneltheory.spectra.cover import COVER_BITS, MAX_BALLS, cover
from kerneltheory.spectra.rules import Nodes, Rule, density_constant, rule_sums
from kerneltheory.sphere.polynomials import recurrence_steps, run_recurrence

# Parameters of ellipses, from wide ones to narrow ones. In wider ones P_k grows as fast as the
# rule converges, and kernels take longer to enclose.
ELLIPSES = tuple(Fraction(n, 64) for n in (128, 100, 92, 86, 80, 76, 72, 69, 67))
MAX_NODES = 4096
# Sizes of rules and precisions are rounded up to these, so that few sets of nodes are made.
NODE_STEPS = 32, 64, 128
BIT_STEP = 128
# The widest ellipse for kernels of so many layers: in wider ones more time goes into enclosing
# the kernel than into a few more nodes.
WIDEST = {1: ELLIPSES[0], 2: ELLIPSES[2], 3: ELLIPSES[3]}
WIDEST_OF_DEEP = ELLIPSES[5]
# The first ellipse saves a third of the nodes: that is not worth more balls than these.
BALLS_OF_FIRST = 128


def by_angle(kernel: Kernel, dim: int, max_degree: int, tolerance: arb) -> list[arb]:
    """Enclose the eigenvalues of degrees 0..max_degree, with absolute errors near the tolerance.

    Raises:
        PrecisionError: if h is not proved to be analytic around [0, pi] in the angle, or if the
            rule would need too many nodes.
    """
    target = -float(tolerance.log())
    count, rho, bound = _rule_for(kernel, dim, max_degree, target)
    bits = math.ceil(target / math.log(2)) + 64
    # 1 - c needs twice the bits of the smallest angle, 4.5 / count^2, and each layer loses them
    # once more.
    bits += (kernel.layers + 2) * math.ceil(
        2 * math.log2(count) - 2
    ) + BITS_PER_LAYER * kernel.layers
    bits = BIT_STEP * math.ceil(bits / BIT_STEP)
    sums = rule_sums(Rule(_nodes_of, (count,), bits), kernel, dim, max_degree)
    with ctx.workprec(bits):
        parameter = to_ball(rho)
        # Gauss-Legendre on an interval of length pi: see core.enclose.
        error = arb.pi() / 2 * bound * arb(64) / 15 / (parameter ** (2 * count))
        error = plus_minus(density_constant(dim) * error / (1 - parameter**-2))
        return [ball + error for ball in sums]


def density_bound(dim: int, angle: acb) -> arb:
    """Bound of |sin theta|^{d-2} on a ball of angles, in centred form."""
    middle = angle.mid()
    sine = middle.sin() + angle.cos() * (angle - middle)
    return arb(sine.abs_upper()) ** (dim - 2)


def polynomial_bound(max_degree: int, height: arb) -> arb:
    """|P_k(cos theta)| <= cosh(k Im theta): P_k is a positive combination of cosines."""
    return (max_degree * height).cosh()


# --- the error ---------------------------------------------------------------------------------


def _rule_for(
    kernel: Kernel, dim: int, max_degree: int, target: float
) -> tuple[int, Fraction, arb]:
    """The number of nodes for a target -log(error), the ellipse, and the integrand's bound on it.

    The best ellipse if h were constant is tried first, then ever narrower ones.
    """
    if not all(kernel.enclose_at_angle(acb(pole)).is_finite() for pole in (arb(0), arb.pi())):
        raise PrecisionError(f"{kernel} is not proved to be analytic at a pole, in the angle")
    widest = WIDEST.get(kernel.layers, WIDEST_OF_DEEP)
    ellipses = [rho for rho in ELLIPSES if rho <= widest]
    costs = [_nodes(rho, dim, max_degree, target, 0.0) for rho in ellipses]
    for rho in ellipses[costs.index(min(costs)) :: 2]:
        largest = largest_value(kernel, rho)
        if largest is None:
            continue
        count = _nodes(rho, dim, max_degree, target, float(largest.log()))
        if count > MAX_NODES:
            break
        # Balls lose up to 1.3 bits at a step of the recurrence.
        with ctx.workprec(COVER_BITS + 2 * max_degree):
            t = arb(_axes(rho)[1]).cosh()
            # The largest is the last: beyond t = 1 they grow with the degree.
            *_, polynomial = run_recurrence(t, arb(1), recurrence_steps(dim, max_degree, to_ball))
            return count, rho, arb((t ** (dim - 2) * polynomial * largest).upper())
    raise PrecisionError(f"{kernel} is not enclosed by one rule in the angle at dim = {dim}")


def _nodes(rho: Fraction, dim: int, max_degree: int, target: float, log_size: float) -> int:
    minor = _axes(rho)[1]
    growth = (dim - 2) * math.log(math.cosh(minor)) + log_size + 4
    growth += _log_polynomial(dim, max_degree, math.cosh(minor))
    count = max(growth + target, 1) / (2 * math.log(rho)) + 1
    step = NODE_STEPS[(count > 512) + (count > 1024)]
    return step * math.ceil(count / step)


@functools.lru_cache(maxsize=512)
def _log_polynomial(dim: int, degree: int, t: float) -> float:
    """log P_k(t) for t >= 1, by the recurrence of P_{k+1} / P_k."""
    logarithm, ratio = 0.0, math.inf
    for a, b in recurrence_steps(dim, degree):
        ratio = a * t - b / ratio
        logarithm += math.log(ratio)
    return logarithm


def _axes(rho: Fraction) -> tuple[float, float]:
    """Both semi-axes, rounded up."""
    scale = math.pi / 4 * (1 + 1e-14)
    return scale * float(rho + 1 / rho), scale * float(rho - 1 / rho)


@functools.lru_cache(maxsize=512)
def largest_value(kernel: Kernel, rho: Fraction) -> arb | None:
    """Bound of |h(cos theta)| in the ellipse; None where h is not proved to be analytic there.

    What is positive definite in every dimension is a power series of positive coefficients
    (Schoenberg, Duke Math. J. 9 (1942)): at most h(1) where |cos theta| <= 1 between the poles, so
    that balls cover only the ends of the ellipse, where the angle may lead to another branch.
    """
    major, minor = _axes(rho)

    def inside(x: float, y: float) -> bool:
        return (x / major) ** 2 + (y / minor) ** 2 <= 1

    def in_unit_disc(x: float, y: float) -> bool:
        return x < math.pi / 2 and math.sinh(y) <= math.cos(x)

    known = None
    if kernel.positive_definite:
        with ctx.workprec(COVER_BITS):
            known = in_unit_disc, arb(kernel.ball_at_one().abs_upper())
    most = BALLS_OF_FIRST if rho == ELLIPSES[0] else MAX_BALLS
    return cover(kernel.enclose_at_angle, math.pi / 2, major, minor, inside, most=most, known=known)


# --- the rule ----------------------------------------------------------------------------------


def _nodes_of(count: int, bits: int) -> Nodes:
    quarter = arb.pi() / 2
    rule = [(quarter * (1 - x), quarter * w) for x, w in gauss_legendre(count, bits) if x > 0]
    return tuple((angle.cos(), angle.sin(), weight) for angle, weight in rule)
