r"""Deep kernels at criticality, chi_1 = 1: the gap, the NTK and their corrections, as derivations.

The gap g = 1 - c obeys one recursion whatever the data, which only set where it starts: a constant
in 1/g (smooth) or in 1/theta (kinked). Sums use the theorem of Stolz and Cesaro:
:math:`x_{l+1} - x_l \to L` implies :math:`x_l/l \to L`.
"""

from typing import Any

import sympy

from kerneltheory.activations.catalogue import relu
from kerneltheory.activations.duals import correlation_dual
from kerneltheory.core.derivation import Derivation, Step
from kerneltheory.core.evidence import Root, identity_step, limit_step
from kerneltheory.core.formula import Formula
from kerneltheory.depth.depth_laws import (
    CHI_12,
    CRITICAL_GAPS,
    DEPTH,
    KINK,
    LAWS,
    ORDERS,
    REFERENCE,
    VARIANCE,
)

GAP, ANGLE = sympy.symbols("g theta", positive=True)
# d chi/dc at c = 1 of a smooth phi, q chi_12, and its next derivative; the next term of a kink's.
_RISE = VARIANCE * CHI_12
_SECOND, _NEXT = sympy.symbols("Z e", real=True)
# What the remainder of an expansion is a multiple of.
_REST = sympy.Symbol("R", real=True)
_OFFSET, _SHIFT = sympy.symbols("kappa_1 kappa_2", positive=True)
_S = sympy.Symbol("s", positive=True)


def smooth_gap_steps() -> list[Step]:
    """The gap of a smooth activation: 1/g grows by q chi_12/2 in a layer."""
    slope = 1 - _RISE * _S + _SECOND * _S**2 / 2
    following = GAP - _RISE * GAP**2 / 2 + _SECOND * GAP**3 / 6
    with_rest = following + _REST * GAP**4
    growth = 1 / with_rest - 1 / GAP
    correction = _RISE**2 / 4 - _SECOND / 6
    return [
        identity_step(
            sympy.integrate(slope, (_S, 0, GAP)), following,
            "g' = integral of chi from c to 1; chi = 1 - q chi_12 s + Z s^2/2 at 1 - c = s",
            sympy.Symbol("g'"),
        ),
        limit_step(with_rest / GAP, GAP, 0, 1, "g falls, to 0: the fixed point c = 1"),
        limit_step(growth, GAP, 0, _RISE / 2, "1/g' - 1/g, whatever the remainder R g^4"),
        limit_step(
            (growth - _RISE / 2) / GAP, GAP, 0, correction,
            "its next order B: with g = 2/(q chi_12 l) it sums to (2 B/(q chi_12)) log l",
        ),
    ]  # fmt: skip


def derive_critical_gap_smooth() -> Derivation:
    """The gap of two inputs at criticality, for a smooth activation."""
    result = CRITICAL_GAPS["smooth"]
    steps = [
        *smooth_gap_steps(),
        Step(
            sympy.Eq(GAP, result, evaluate=False),
            "Stolz-Cesaro: 1/(l g) -> q chi_12/2; corrections of the order log l/l",
            Root(1 / GAP - DEPTH * _RISE / 2, GAP, result),
        ),
    ]
    args = (DEPTH, VARIANCE, CHI_12)
    return derivation_of(steps, "gap at criticality, smooth activation", args, result)


def critical_log_coefficient() -> Formula:
    r"""The coefficient of log l in 1/g at criticality: q chi_12/2 - Z/(3 q chi_12).

    :math:`1/g = \frac{q \chi_{12}}{2} l + \beta \log l + O(1)`, :math:`\beta = 2B/(q \chi_{12})`,
    where Z is the second derivative of chi in c at c = 1.
    """
    result = _RISE / 2 - _SECOND / (3 * _RISE)
    return Formula("coefficient of log l", (VARIANCE, CHI_12, _SECOND), result, reference=REFERENCE)


def derive_log_correction() -> Derivation:
    """The logarithm by which 1/g at criticality departs from a line in l."""
    formula = critical_log_coefficient()
    correction = _RISE**2 / 4 - _SECOND / 6
    steps = [
        *smooth_gap_steps(),
        identity_step(
            correction * CRITICAL_GAPS["smooth"] * DEPTH, formula.rhs,
            "B g = beta/l with g = 2/(q chi_12 l); the sum of 1/l is log l",
            sympy.Symbol("beta"),
        ),
    ]  # fmt: skip
    return Derivation(tuple(steps), formula)


def kinked_gap_steps() -> list[Step]:
    """The angle of a kinked activation: 1/theta grows by a/3 in a layer."""
    slope = 1 - KINK * _S + _NEXT * _S**2
    # sin s up to s^3 gives the integral up to theta^4.
    lost = sympy.integrate(sympy.expand(slope * (_S - _S**3 / 6)), (_S, 0, ANGLE))
    half = sympy.expand(lost - _above(lost, 4))
    fall = KINK / 3
    next_order = _REST
    following = ANGLE - fall * ANGLE**2 + next_order * ANGLE**3
    cosine = sympy.expand(following**2 / 2 - following**4 / 24)
    return [
        identity_step(
            half, ANGLE**2 / 2 - KINK * ANGLE**3 / 3 + (_NEXT / 4 - sympy.Rational(1, 24))
            * ANGLE**4,
            "1 - c' = integral of chi sin from 0 to theta, chi = 1 - a s + e s^2, up to theta^4",
            sympy.Symbol("g'"),
        ),
        identity_step(
            sympy.expand(cosine - _above(cosine, 3)), sympy.expand(half - _above(half, 3)),
            "1 - cos theta' with theta' = theta - a theta^2/3 + O(theta^3) is the same up to "
            "theta^3",
        ),
        limit_step(1 / following - 1 / ANGLE, ANGLE, 0, fall, "1/theta' - 1/theta"),
    ]  # fmt: skip


def derive_critical_gap_kinked() -> Derivation:
    """The gap of two inputs at criticality, for an activation with a kink."""
    angle = 3 / (KINK * DEPTH)
    result = CRITICAL_GAPS["kinked"]
    steps = [
        *kinked_gap_steps(),
        Step(
            sympy.Eq(ANGLE, angle, evaluate=False),
            "Stolz-Cesaro: 1/(l theta) -> a/3",
            Root(1 / ANGLE - DEPTH * KINK / 3, ANGLE, angle),
        ),
        identity_step(angle**2 / 2, result, "g = theta^2/2 up to theta^4", GAP),
    ]
    return derivation_of(steps, "gap at criticality, kinked activation", (DEPTH, KINK), result)


def derive_relu_gap() -> Derivation:
    """The gap of relu at criticality: 9 pi^2/(2 l^2)."""
    slope = correlation_dual(relu, 1)
    c = slope.args[-1]
    weight = sympy.Integer(2)
    kink = 1 / sympy.pi
    result = sympy.Rational(9, 2) * sympy.pi**2 / DEPTH**2
    steps = [
        identity_step(
            weight * slope.rhs.subs(c, 1), 1, "chi_1 at w = 2, b = 0", sympy.Symbol("chi_1")
        ),
        identity_step(
            weight * sympy.diff(slope.rhs, c) * sympy.sqrt(1 - c**2), kink,
            "-d chi/d theta = sin(theta) d chi/dc: chi is a line in the angle",
            KINK,
        ),
        *kinked_gap_steps(),
        identity_step(CRITICAL_GAPS["kinked"].subs(KINK, kink), result, "a = 1/pi", GAP),
    ]  # fmt: skip
    return derivation_of(steps, "gap at criticality, relu", (DEPTH,), result)


def _ratio_steps(kind: str) -> list[Step]:
    """p_ab/(l q) at criticality: p' = q (1 - g') + chi p."""
    k = ORDERS[kind]
    ratio = sympy.Symbol("pi", positive=True)
    limit = VARIANCE / (1 + k)
    source = {"smooth": _RISE * GAP, "kinked": KINK * 3 / (KINK * DEPTH)}[kind]
    gap = CRITICAL_GAPS[kind]
    return [
        identity_step(
            source.subs(GAP, gap), k / DEPTH,
            "1 - chi to leading order in 1/l, whatever the activation",
            1 - sympy.Symbol("chi"),
        ),
        Step(
            sympy.Eq(ratio, limit, evaluate=False),
            "p = l pi in p' = q + (1 - k/l) p: where pi stays",
            Root((DEPTH + 1) * ratio - VARIANCE - (DEPTH - k) * ratio, ratio, limit),
        ),
        identity_step(
            (VARIANCE + (DEPTH - k) * (limit + _OFFSET)) / (DEPTH + 1) - limit,
            (DEPTH - k) / (DEPTH + 1) * _OFFSET,
            "a distance kappa_1 from there is multiplied by (l - k)/(l + 1)",
        ),
        identity_step(
            (DEPTH - k) / (DEPTH + 1), 1 - (1 + k) / (DEPTH + 1),
            "whose product over l vanishes as l^-(k + 1): what the terms of order o(1/l) add to "
            "chi, and g' to q, vanishes too",
        ),
        limit_step(
            (limit * DEPTH) / ((DEPTH + 1) * VARIANCE), DEPTH, sympy.oo, sympy.Rational(1, 1 + k),
            "p_ab/p_aa with p_aa = (l + 1) q",
        ),
    ]  # fmt: skip


def _ntk_derivation(kind: str) -> Derivation:
    gap_steps = smooth_gap_steps() if kind == "smooth" else kinked_gap_steps()
    result = LAWS["ntk", "critical", kind].lacking
    ratio = sympy.Rational(1, 1 + ORDERS[kind])
    last = identity_step(1 - ratio, result, "s = 1 - p_ab/p_aa", _S)
    steps = [*gap_steps, *_ratio_steps(kind), last]
    return derivation_of(steps, f"what the NTK lacks at criticality, {kind} activation", (), result)


def derive_critical_ntk_smooth() -> Derivation:
    """Off the diagonal the NTK of a smooth activation is a third of the diagonal at criticality."""
    return _ntk_derivation("smooth")


def derive_critical_ntk_kinked() -> Derivation:
    """Off the diagonal the NTK of a kinked activation is a quarter of it at criticality."""
    return _ntk_derivation("kinked")


def derive_critical_predictor() -> Derivation:
    r"""The mean predictor at criticality, which falls as 1/l for labels of mean zero.

    Of two training points and labels 1, -1 it is the difference of the kernel with both, over
    lambda_bulk. Data differ by the constants kappa in 1/g or 1/theta.
    """
    same, other, k1, k2 = sympy.symbols("A B k_1 k_2", positive=True)
    inverse = (sympy.Matrix([[same, other], [other, same]]).inv() * sympy.Matrix([1, -1])).T
    result = 1 / DEPTH
    steps = [
        identity_step(
            inverse[0] * k1 + inverse[1] * k2, (k1 - k2) / (same - other),
            "k_* K^-1 y of two points, y = (1, -1)", sympy.Symbol("P y"),
        ),
        *_predictor_steps("smooth", _RISE, 2, "g", "q chi_12", 1),
        *_predictor_steps("kinked", KINK, 3, "theta", "a", 3 / (KINK * DEPTH)),
        identity_step(LAWS["ntk", "critical", "smooth"].predictor, result, "the rate of all four"),
    ]  # fmt: skip
    return derivation_of(steps, "mean predictor at criticality", (DEPTH,), result)


def _predictor_steps(
    kind: str, rate: Any, power: int, variable: str, shown: str, gap_of: Any
) -> list[Step]:
    """The mean predictor of NNGP and NTK where 1/x = rate l/power + kappa for each of two pairs.

    Args:
        kind: of the activation.
        rate: what the inverse of the variable grows by in so many layers.
        power: of 1/l in the fall of the NTK's differences.
        variable: the x, the gap or the angle.
        shown: the rate, as the reasons write it.
        gap_of: the difference of gaps over that of the variable.
    """
    apart, growth = _SHIFT - _OFFSET, rate / power
    pairs = [1 / (growth * DEPTH + offset) for offset in (_OFFSET, _SHIFT)]
    change = apart / growth**2
    response = sympy.Symbol("delta", positive=True)
    diagonal = DEPTH * VARIANCE
    tangent = power * VARIANCE * apart / ((power + 1) * rate)
    chain = "" if gap_of == 1 else ", with g_1 - g_2 = theta (theta_1 - theta_2)"
    return [
        limit_step(
            DEPTH**2 * (pairs[0] - pairs[1]), DEPTH, sympy.oo, change,
            f"{kind}: l^2 ({variable}_1 - {variable}_2) where "
            f"1/{variable}_i = {shown} l/{power} + kappa_i",
        ),
        identity_step(
            DEPTH * VARIANCE * (change / DEPTH**2) * gap_of / (CRITICAL_GAPS[kind] * VARIANCE),
            power * (power - 1) * apart / rate, f"NNGP, {kind}: l P y{chain}",
        ),
        Step(
            sympy.Eq(response, tangent, evaluate=False),
            f"NTK, {kind}: delta' = (1 - {power}/l) delta + "
            f"{shown} ({variable}_1 - {variable}_2) l q/{power + 1} is still there",
            Root(response * power / DEPTH - rate * change / DEPTH**2 * diagonal / (power + 1),
                 response, tangent),
        ),
        identity_step(
            DEPTH * tangent / (power * diagonal / (power + 1)), apart / rate,
            f"NTK, {kind}: l P y, with lambda_bulk = {power} l q/{power + 1}",
        ),
    ]  # fmt: skip


def _above(expression: Any, order: int) -> Any:
    """The terms of a polynomial in theta beyond an order."""
    terms = sympy.Poly(expression, ANGLE).terms()
    return sum(factor * ANGLE**power for (power,), factor in terms if power > order)


def derivation_of(steps: list[Step], name: str, args: tuple[Any, ...], result: Any) -> Derivation:
    """The chain of steps that ends in a law of large depth."""
    return Derivation(tuple(steps), Formula(name, args, sympy.sympify(result), reference=REFERENCE))


DERIVATIONS = (
    derive_critical_gap_smooth,
    derive_log_correction,
    derive_critical_gap_kinked,
    derive_relu_gap,
    derive_critical_ntk_smooth,
    derive_critical_ntk_kinked,
    derive_critical_predictor,
)
