r"""Critical initialisations: weight and bias variances at which signals neither grow nor shrink.

For one input of preactivation variance K the next layer has :math:`K' = w E[\phi^2] + b`. Two
perturbations matter: along the input, and perpendicular to it,

.. math:: \chi_\parallel = \frac{dK'}{dK} = \frac{w}{2K^2} E[\phi^2 (z^2 - K)], \qquad
          \chi_\perp = w E[\phi'^2], \qquad z \sim N(0, K).

A network is critical at a fixed point :math:`K^*` where both are 1 (arXiv:2106.10165). Near it

.. math:: K' - K = a\,(K - K^*)^{1+m}, \qquad \chi_\perp - 1 = b_\perp (K - K^*)^m

so that :math:`|K - K^*| \sim (m |a| l)^{-1/m}` after l layers and perturbations decay as powers
of l, :math:`p_\parallel = 1 + 1/m` and :math:`p_\perp = b_\perp/(m a)`.
"""

import functools
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation, X, activation
from kerneltheory.activations.expectation import gaussian_expectations
from kerneltheory.activations.growth import growth
from kerneltheory.activations.series import derivative_of
from kerneltheory.core import check, lower
from kerneltheory.core.errors import DivergentError, PrecisionError
from kerneltheory.depth import half_stable
from kerneltheory.depth.critical_record import (
    AT_ZERO,
    HALF_STABLE,
    NONE,
    ON_LINE,
    SCALE_INVARIANT,
    CriticalPoint,
    critical_record,
)
from kerneltheory.depth.moments import moment, taylor
from kerneltheory.depth.near_zero import sides


def critical_point(phi: Any, *, variance: Any = None, digits: Any = 30) -> CriticalPoint:
    r"""Where :math:`\chi_\parallel = \chi_\perp = 1`, and which universality class phi is in.

    The first that applies:

    - scale-invariant: :math:`\phi(x) = a_\pm x` for :math:`\pm x > 0`;
      :math:`w = 2/(a_+^2 + a_-^2)`, b = 0, at every K.
    - K* = 0: :math:`\phi(0) = 0`; :math:`w = 2/(\phi'(0+)^2 + \phi'(0-)^2)`, b = 0 and a drift
      a < 0, so that :math:`K \sim (m|a|l)^{-1/m}`. Of a smooth phi m = 1 and
      :math:`a = s_3/s_1 + \tfrac34 (s_2/s_1)^2, s_i = \phi^{(i)}(0)`; where
      :math:`\phi\phi''` jumps at 0, as that of softsign, m = 1/2.
    - half-stable: :math:`E[\phi\phi''] = 0` at :math:`K^* > 0`, and b >= 0. All such variances
      between 1/1000 and 1000 are found, and certified by interval Newton.
    - none of these: said, with the reason.

    Args:
        phi: an activation or a sympy expression in one symbol.
        variance: K > 0; then the pair (w, b) with :math:`\chi_\perp = 1` and K as a fixed point,
            :math:`w = 1/E[\phi'^2]`, :math:`b = K - w E[\phi^2]`, whatever :math:`\chi_\parallel`
            is there.
        digits: how many significant digits are certified.

    Raises:
        DerivationError: phi grows too fast for Gaussian inputs.
        DivergentError: a variance is given and phi jumps, so that :math:`\chi_\perp` is infinite.
        ValueError: the variance is not positive, or has no b >= 0.
        PrecisionError: signs or digits were not reached, as at double zeros.

    Reference: arXiv:2106.10165, chapter 5.

    Examples:
        >>> from kerneltheory.activations.catalogue import gelu, softplus, tanh
        >>> critical_point(tanh).universality, critical_point(tanh).exact("p_perp")
        ('K* = 0', 1)
        >>> critical_point(gelu, digits=12)
        CriticalPoint of gelu: half-stable (E[phi phi''] = 0 at one variance in [0.001, 1000])
          weight variance w  1.98305825744
          bias variance b    0.172922390756
          K*                 3.56155281281
          ...
        >>> critical_point(softplus).reason
        "phi(0) is not 0, and phi phi'' > 0, so that chi_par > chi_perp at every variance"
    """
    phi = activation(phi)
    digits = check.integer("digits", digits, minimum=1)
    growth(phi)
    if variance is None:
        return _critical_point(phi, digits)
    exact = lower.exact("variance", variance)
    if exact <= 0:
        raise ValueError(f"variance must be positive, got {variance!r}")
    return _at_variance(phi, exact, digits)


@functools.lru_cache(maxsize=256)
def _critical_point(phi: Activation, digits: int) -> CriticalPoint:
    if phi.homogeneous:
        return _scale_invariant(phi, digits)
    if derivative_of(phi) is None:
        return CriticalPoint(phi, NONE, "phi jumps, so that E[phi'^2] is infinite", digits)
    local = _at_zero(phi, digits)
    return local if local.universality == AT_ZERO else _at_positive(phi, local.reason, digits)


# --- scale invariance and K* = 0: exact -------------------------------------------------------


def _scale_invariant(phi: Activation, digits: int) -> CriticalPoint:
    below, above = _sides(phi)
    squares, fourths = (below[1] ** n + above[1] ** n for n in (2, 4))
    values = {
        "weight_variance": 2 / squares,
        "bias_variance": 0,
        "chi_par": 1,
        "chi_perp": 1,
        "drift": 0,
        "perpendicular_drift": 0,
        "p_par": 0,
        "p_perp": 0,
        "vertex_slope": 6 * fourths / squares**2 - 1,
    }
    return critical_record(phi, SCALE_INVARIANT, "two lines that meet at 0", digits, values)


def _sides(phi: Activation) -> tuple[list[Any], list[Any]]:
    """phi and its first three derivatives on the left and on the right of 0."""
    left, right = (
        [_value_at_zero(sympy.diff(side, X, n)) for n in range(4)] for side in sides(phi)
    )
    return left, right


def _value_at_zero(expression: Any) -> Any:
    value = expression.subs(X, 0)
    if value.has(sympy.nan, sympy.zoo, sympy.oo):
        value = sympy.limit(expression, X, 0)
    return value if value.is_Rational else sympy.simplify(value)


def _at_zero(phi: Activation, digits: int) -> CriticalPoint:
    """The class of K* = 0, or "none" with the reason."""

    def none(reason: str) -> CriticalPoint:
        return CriticalPoint(phi, NONE, reason, digits)

    (at_0, s, t, u), (at_0_too, s2, t2, u2) = _sides(phi)
    if at_0 != 0 or at_0_too != 0:
        return none("phi(0) is not 0")
    square = (s**2 + s2**2) / 2
    if square == 0:
        return none("phi'(0) is 0")
    if not all(value.is_finite for value in (s, t, u, s2, t2, u2)):
        return none("phi has no third derivatives at 0")
    order, drift = sympy.Rational(1, 2), sympy.sqrt(2 / sympy.pi) * (s2 * t2 - s * t) / square
    drift = across = sympy.simplify(drift)
    if drift == 0:
        order = sympy.Integer(1)
        cubic, bent = (s * u + s2 * u2) / (2 * square), (t**2 + t2**2) / (2 * square)
        drift, across = (sympy.simplify(cubic + c * bent) for c in (sympy.Rational(3, 4), 1))
    if not drift.is_negative:
        fate = "repels (a > 0)" if drift.is_positive else "is not decided by a = 0"
        return none(f"K* = 0 {fate}, with w = {sympy.simplify(1 / square)} and b = 0")
    values = {
        "weight_variance": sympy.simplify(1 / square),
        "bias_variance": 0,
        "variance": 0,
        "chi_par": 1,
        "chi_perp": 1,
        "order": order,
        "drift": drift,
        "perpendicular_drift": across,
        "p_par": 1 + 1 / order,
        "p_perp": sympy.simplify(across / (order * drift)),
        "vertex_slope": sympy.Rational(2, 3),
    }
    if across.is_negative:
        values["tangent_limit"] = -1 / across if order == 1 else 0
    return critical_record(phi, AT_ZERO, "K* = 0 attracts (a < 0)", digits, values)


# --- K* > 0: enclosed -------------------------------------------------------------------------


def _at_positive(phi: Activation, before: str, digits: int) -> CriticalPoint:
    """The half-stable point of least variance with b >= 0, or why there is none."""

    def none(reason: str) -> CriticalPoint:
        return CriticalPoint(phi, NONE, f"{before}, and {reason}", digits)

    found = half_stable.curvature(phi)
    if found.vanishes:
        return none("chi_par = chi_perp at every variance: give one as `variance`")
    if found.sign:
        relation = "> 0" if found.sign > 0 else "< 0"
        order = ">" if found.sign > 0 else "<"
        return none(f"phi phi'' {relation}, so that chi_par {order} chi_perp at every variance")
    search = half_stable.zeros(phi)
    within = f"in [{float(search.low):g}, {float(search.high):g}]"
    if not search.brackets:
        relation = "> 0" if search.sign > 0 else "< 0"
        return none(f"E[phi phi''] {relation} at every variance {within}: proved")
    negative = []
    for bracket in search.brackets:
        variance = half_stable.refine(phi, bracket, digits)
        values = _pair(phi, variance, digits)
        if values["bias_variance"] < 0:
            negative.append(f"b = {values['bias_variance'].str(6, radius=False)}")
            continue
        count = "one variance" if len(search.brackets) == 1 else f"{len(search.brackets)} variances"
        values |= _exponents(phi, variance, values["weight_variance"], digits)
        reason = f"E[phi phi''] = 0 at {count} {within}"
        return critical_record(phi, HALF_STABLE, reason, digits, values)
    return none(f"E[phi phi''] = 0 {within} only where {', '.join(negative)} is negative")


def _pair(phi: Activation, variance: arb, digits: int) -> dict[str, Any]:
    """w and b for which chi_perp = 1 at a fixed point, and both susceptibilities there."""
    working = digits + 15
    square, growing = taylor(phi, 0, variance, 2, working)
    slope = moment(phi, 1, variance, working)
    with ctx.workdps(working):
        w = 1 / slope
        b = variance - w * square
        if b.contains(0) and not b.is_zero():
            raise PrecisionError(
                f"the sign of the bias variance {b.str(5)} of {phi.name} at K = {variance.str(8)} "
                "was not decided"
            )
        return {
            "weight_variance": w,
            "bias_variance": b,
            "variance": variance,
            "chi_par": w * growing,
            "chi_perp": w * slope,
        }


def _exponents(phi: Activation, variance: arb, w: arb, digits: int) -> dict[str, Any]:
    """How the variance and chi_perp move away from a half-stable point, and the vertex there."""
    working = digits + 15
    square, _, bent = taylor(phi, 0, variance, 3, working)
    _, across = taylor(phi, 1, variance, 2, working)
    with ctx.workdps(working):
        (fourth,) = gaussian_expectations([(phi, variance.sqrt())] * 4, 1, working)
        return {
            "order": sympy.Integer(1),
            "drift": w * bent,
            "perpendicular_drift": w * across,
            "p_par": sympy.Integer(2),
            "p_perp": across / bent,
            "vertex_slope": w**2 * (fourth - square**2) / variance**2,
        }


@functools.lru_cache(maxsize=256)
def _at_variance(phi: Activation, variance: sympy.Rational, digits: int) -> CriticalPoint:
    if phi.homogeneous:
        values = dict(_scale_invariant(phi, digits).values) | {"variance": variance}
        return critical_record(phi, SCALE_INVARIANT, "two lines that meet at 0", digits, values)
    if derivative_of(phi) is None:
        raise DivergentError(
            f"chi_perp of {phi.name} is infinite at every variance, since phi jumps"
        )
    with ctx.workdps(digits + 30):
        values = _pair(phi, lower.to_ball(variance), digits)
    if values["bias_variance"] < 0:
        raise ValueError(
            f"variance must be one at which chi_perp = 1 with a bias variance b >= 0; at "
            f"{variance} {phi.name} has b = {values['bias_variance'].str(6, radius=False)}"
        )
    reason = f"chi_perp = 1 at the fixed point K = {variance}"
    return critical_record(phi, ON_LINE, reason, digits, values | {"variance": variance})
