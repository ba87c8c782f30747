r"""What infinitely deep networks classify by, derived from iterates of one function.

:math:`\psi(t) = \sum_n p_n t^n` is the normalised dual, a weighted mean of powers, and the kernel
of L layers its L-th iterate. `classifiers` states what follows.
"""

from dataclasses import dataclass
from typing import Any

import sympy
from flint import ctx

from kerneltheory.core.derivation import Derivation, Evidence, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.evidence import identity_step, limit_step, positive_step
from kerneltheory.core.formula import Formula
from kerneltheory.depth.optimal_activations import optimal_dual
from kerneltheory.depth.singular_kernel import SingularKernel
from kerneltheory.depth.unit_dual import ball, unit_dual

REFERENCE = "arXiv:2204.14126"
KARLIN = "Karlin and McGregor, Trans. Am. Math. Soc. 132 (1968)"

# The cosine, psi'(0), psi'(1), a weighted mean of powers between 0 and 1, and its rest to 1.
T, RATE, STEEPNESS, REST = sympy.symbols("t p_1 m r", positive=True)
# The dimension s of the sphere, the number n of training points and the sum of their labels.
SPHERE, COUNT, VOTES = sympy.symbols("s n S", positive=True)
LIMIT, GAP, SMALL = sympy.symbols("c_* g epsilon", positive=True)
# Below one, as what is missing of one: positive values prove inequalities.
_P, _X = (1 / (1 + symbol) for symbol in sympy.symbols("a b", positive=True))
_Q: Any = sympy.Function("Q")
_PSI: Any = sympy.Function("psi")
CERTIFIED_SPHERES = (1, 2, 3)


def derive_singular_exponent() -> Derivation:
    r"""The exponent :math:`-2 \ln p_1/\ln m` of the singular kernel, with the bounds of Q."""
    exponent = -2 * sympy.log(RATE) / sympy.log(STEEPNESS)
    ratio = RATE + (1 - RATE) * T
    value = RATE * T + (1 - RATE) * T**2 * (1 - REST)
    half = exponent / 2
    second, curvature = sympy.symbols("q_2 p_2", positive=True)
    series = T + second * T**2
    deeper = series.subs(T, RATE * T + curvature * T**2)
    coefficient = sympy.expand(deeper - RATE * series).coeff(T, 2)
    steps = (
        Step(
            sympy.Eq(_PSI(T), value, evaluate=False),
            "definition: p_1 t + (1 - p_1) t^2 (1 - r), since the mean of t^(n-2) over n >= 2 is "
            "1 - r in [0, 1]",
        ),
        identity_step(
            T * ratio - value, (1 - RATE) * T**2 * REST,
            "so p_1 t <= psi <= t (p_1 + (1 - p_1) t): the upper bound is missed by",
        ),
        identity_step(
            T * ratio / (RATE * T), 1 + (1 - RATE) * T / RATE,
            "x_L/p_1^L grows with L, by a factor of at most",
        ),
        identity_step(
            1 - ratio, (1 - RATE) * (1 - T),
            "and x falls by a factor of at most p_1 + (1 - p_1) x, which lacks of 1",
        ),
        positive_step(
            (1 - RATE) * (1 - T), "positive below t = 1, so that iterates fall to 0",
            {RATE: _P, T: _X},
        ),
        identity_step(
            (1 - RATE) / RATE * T / ((1 - RATE) * (1 - T)), T / (RATE * (1 - T)),
            "ln(1 + z) <= z and the geometric series: ln Q - ln(x_L/p_1^L) is at most",
        ),
        identity_step(
            coefficient.subs(second, curvature / (RATE - RATE**2)), 0,
            "Q(psi(t)) = p_1 Q(t) at second order, with q_2 = p_2/(p_1 - p_1^2)",
        ),
        Step(
            sympy.Eq(_Q(_PSI(T)), RATE * _Q(T), evaluate=False),
            "one layer more or less makes the same limit, so at every t",
            SchroederCertificate(CERTIFIED_SPHERES),
        ),
        identity_step(
            RATE * sympy.exp(half * sympy.log(STEEPNESS)), 1,
            "H(psi) = m H next to t = 1, where H ~ 1 - t: Q H^(alpha/2) does not change with a "
            "layer, and so has period ln m in ln H",
        ),
        identity_step(
            sympy.expand(2 - 2 * T), 2 * (1 - T), "the squared distance of unit vectors",
            sympy.Symbol("u^2"),
        ),
        Step(
            sympy.Eq(sympy.Symbol("alpha"), exponent, evaluate=False),
            "definition: Q ~ (u^2/2)^(-alpha/2) times the periodic factor",
        ),
    )  # fmt: skip
    domain = sympy.And(RATE < 1, STEEPNESS > 1)
    name = "exponent of the singular kernel"
    return Derivation(steps, Formula(name, (RATE, STEEPNESS), exponent, domain, KARLIN))


@dataclass(frozen=True)
class SchroederCertificate(Evidence):
    """Koenigs' function at t and at psi(t), enclosed from each by itself, of optimal duals.

    Attributes:
        spheres: the s of the duals.
    """

    spheres: tuple[int, ...]

    def verify(self, digits: int) -> str:
        """Compare enclosures at t = 1/3 and 9/10."""
        for s in self.spheres:
            dual = unit_dual(optimal_dual(s))
            kernel = SingularKernel(dual)
            rate = dual.slope_at_zero()
            for t in (sympy.Rational(1, 3), sympy.Rational(9, 10)):
                with ctx.workdps(digits + 15):
                    after = dual(ball(t, digits + 15))
                    found = kernel.certified(after, digits)
                    claim = ball(rate, digits + 15) * kernel.certified(t, digits)
                if not found.overlaps(claim):
                    raise DerivationError(
                        f"for S^{s} at t = {t} the limit kernel of psi(t) is {found.str(12)} and "
                        f"not {claim.str(12)}"
                    )
        return f"certified to {digits} digits"


def derive_optimal_dual() -> Derivation:
    """The dual of exponent s for the sphere S^s, s >= 2."""
    outer = 2 ** (-SPHERE / 2)
    dual = outer * T**3 + (1 - 2 * outer) * T**2 + outer * T
    slope = sympy.diff(dual, T)
    exponent = -2 * sympy.expand_log(sympy.log(outer), force=True) / sympy.log(2)
    above = sympy.Symbol("e", positive=True)
    one = optimal_dual(1)
    t = one.args[0]
    steps = (
        Step(sympy.Eq(_PSI(T), dual, evaluate=False), "definition, s >= 2"),
        identity_step(dual.subs(T, 1), 1, "its coefficients add up to", _PSI(1)),
        positive_step(
            1 - 1 / (1 + above),
            "the one of t^2, 1 - 2^(1-s/2), with 2^(s/2-1) = 1 + e, for s > 2; it is 0 for s = 2",
        ),
        identity_step(slope.subs(T, 0), outer, "psi'(0)", RATE),
        identity_step(slope.subs(T, 1), 2, "psi'(1)", STEEPNESS),
        identity_step(exponent, SPHERE, "-2 ln psi'(0)/ln psi'(1)", sympy.Symbol("alpha")),
        identity_step(
            -2 * sympy.expand_log(sympy.log(one.rhs.diff(t).subs(t, 0)), force=True)
            / sympy.expand_log(sympy.log(one.rhs.diff(t).subs(t, 1)).subs(
                sympy.log(4), 2 * sympy.log(2)), force=True),
            1, "and of (t^7 + t)/2, of slopes 1/2 and 4, for s = 1", sympy.Symbol("alpha_1"),
        ),
    )  # fmt: skip
    args, domain = (T, SPHERE), sympy.And(SPHERE >= 2, T <= 1)
    return Derivation(steps, Formula("dual that is optimal on S^s", args, dual, domain, REFERENCE))


def derive_sine_exponent() -> Derivation:
    r"""The exponent of sin(a x) in :math:`u = a^2`, and that each s >= 2 has one frequency."""
    u, k = sympy.symbols("u k", positive=True)
    dual = sympy.sinh(u * T) / sympy.sinh(u)
    slope = sympy.diff(dual, T)
    rate, steepness = u / sympy.sinh(u), u * sympy.cosh(u) / sympy.sinh(u)
    exponent = 2 * sympy.log(1 / rate) / sympy.log(steepness)
    lead = (2 + SPHERE) * sympy.log(sympy.sinh(u) / u) - SPHERE * sympy.log(sympy.cosh(u))
    coth, tanh = sympy.cosh(u) / sympy.sinh(u), sympy.sinh(u) / sympy.cosh(u)
    ratio = (2 * k - 1) / (2 * k + 1)
    steps = (
        Step(sympy.Eq(_PSI(T), dual, evaluate=False), "the dual of sin(a x) over its value at 1"),
        identity_step(slope.subs(T, 0), rate, "psi'(0)", RATE),
        identity_step(slope.subs(T, 1), steepness, "psi'(1)", STEEPNESS),
        Step(
            sympy.Eq(sympy.Symbol("alpha"), exponent, evaluate=False),
            "definition: -2 ln psi'(0)/ln psi'(1)",
        ),
        identity_step(
            sympy.diff(lead, u), (2 + SPHERE) * (coth - 1 / u) - SPHERE * tanh,
            "alpha > s where f = (s+2) ln(sinh u/u) - s ln cosh u is positive; its slope is zero "
            "where (coth u - 1/u)/tanh u = s/(s+2)",
        ),
        identity_step(
            (1 / sympy.factorial(2 * k) - 2 / sympy.factorial(2 * k + 1)).subs(
                sympy.factorial(2 * k + 1), (2 * k + 1) * sympy.factorial(2 * k)),
            ratio / sympy.factorial(2 * k),
            "in v = 2u that is (v (cosh v + 1) - 2 sinh v)/(v (cosh v - 1)): its coefficients of "
            "v^(2k+1) are, above, with 1/(2k)! below",
        ),
        positive_step(
            sympy.cancel(ratio.subs(k, k + 1) - ratio),
            "their ratio rises with k, so the quotient does, from 1/3 to 1 (Biernacki and Krzyz, "
            "1955): f falls, then rises, and has one root for s > 1",
        ),
        limit_step(ratio, k, sympy.oo, 1, "the last ratio; the first, at k = 1, is 1/3"),
    )  # fmt: skip
    name = "exponent of the singular kernel of sin(a x), u = a^2"
    return Derivation(steps, Formula(name, (u,), exponent, reference=REFERENCE))


def derive_majority_vote() -> Derivation:
    """The predictor where different inputs have one cosine c: the mean label."""
    inverse = (1 - LIMIT * COUNT / (1 - LIMIT + COUNT * LIMIT)) / (1 - LIMIT)
    predictor = LIMIT * VOTES / (1 - LIMIT + COUNT * LIMIT)
    steps = (
        Step(
            sympy.Eq(
                sympy.Symbol("K"), (1 - LIMIT) * sympy.Symbol("I") + LIMIT * sympy.Symbol("J")
            ),
            "definition: 1 for equal inputs and c for others, J the matrix of ones; c = c* where "
            "psi'(1) > 1, since psi is convex with psi(0) > 0, and c -> 1 where psi'(1) = 1",
        ),
        identity_step(
            (1 - LIMIT + COUNT * LIMIT) * inverse, 1,
            "K takes the vector of ones to 1 - c + n c times it; its inverse multiplies it by",
        ),
        identity_step(
            LIMIT * VOTES * inverse, predictor,
            "y K^-1 k with k = c (1, ..., 1) and S the sum of the labels", sympy.Symbol("f"),
        ),
        limit_step(predictor, LIMIT, 1, VOTES / COUNT, "at the edge of chaos, where c -> 1"),
    )  # fmt: skip
    domain = sympy.And(LIMIT > 0, LIMIT <= 1)
    name = "predictor of the majority vote"
    return Derivation(steps, Formula(name, (LIMIT, VOTES, COUNT), predictor, domain, REFERENCE))


def derive_ordered_limit() -> Derivation:
    r"""Bounds of H, the limit of :math:`(1 - K^L)/m^L` in the ordered phase m < 1."""
    curvature = sympy.Symbol("psi_2", positive=True)
    lower = STEEPNESS * GAP - curvature * GAP**2 / 2
    lost = curvature * GAP / (2 * STEEPNESS)
    total = lost / (1 - STEEPNESS)
    weights, mean, kernel = sympy.symbols("c mu H", positive=True)
    steps = (
        Step(
            sympy.Ge(1 - _PSI(1 - GAP), lower, evaluate=False),
            "definition: psi'' is at most psi_2 = psi''(1), and psi is convex, so that "
            "1 - psi(1 - g) <= m g",
        ),
        identity_step(
            lower / (STEEPNESS * GAP), 1 - lost, "g_L/m^L falls with L, by a factor of at least"
        ),
        identity_step(
            lost / (1 - STEEPNESS), total,
            "g falls by m in a layer, and the product of 1 - z_j is at least 1 - sum z_j: what "
            "is lost in all is at most this part",
        ),
        identity_step(total.subs(GAP, 0), 0, "which vanishes with the gap"),
        identity_step(
            (mean - SMALL * kernel * (weights / SMALL)).expand(), mean - kernel * weights,
            "K = J - epsilon H: with weights c/epsilon that add up to mu, the equations K a = y "
            "are mu - H c = y and sum c = epsilon mu, 0 in the limit",
        ),
    )  # fmt: skip
    args = GAP, STEEPNESS, curvature
    name = "part of (1 - K^L)/m^L that is lost after a gap g"
    return Derivation(steps, Formula(name, args, total, STEEPNESS < 1, REFERENCE))


def derive_nearest_neighbour() -> Derivation:
    r"""Where psi has no term below :math:`t^k`, k >= 2: smaller cosines lose doubly fast."""
    order, layer = sympy.symbols("k L", positive=True)
    below, above = sympy.symbols("t_1 t_2", positive=True)
    bound = (below / above) ** (order**layer)
    steps = (
        Step(
            sympy.Le(_PSI(below) / _PSI(above), (below / above) ** order, evaluate=False),
            "definition: psi(t)/t^k has no negative coefficient and grows; t_1 < t_2",
        ),
        identity_step(
            sympy.powsimp(sympy.powdenest(bound**order, force=True)),
            (below / above) ** (order ** (layer + 1)),
            "one layer more, by induction on L",
        ),
    )  # fmt: skip
    args = below, above, order, layer
    name = "bound of the ratio of deep kernels at two cosines"
    return Derivation(steps, Formula(name, args, bound, below < above, REFERENCE))


DERIVATIONS = (
    derive_singular_exponent,
    derive_optimal_dual,
    derive_sine_exponent,
    derive_majority_vote,
    derive_ordered_limit,
    derive_nearest_neighbour,
)
