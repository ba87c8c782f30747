r"""Kernels as functions of the angle, enclosed on complex balls that may hold the poles.

With the cosine :math:`t = \cos 2a` the dual of an activation with kinks is analytic in the half
angle a also at a = 0, where it has a branch point in t. So is the next layer's half angle,

.. math:: \sin^2 a' = \frac{w\,(E(0) - E(a))}{2 q'}, \qquad E(a) = T(q, q, \cos 2a),

as :math:`E(0) - E(a) = a^2 G(a)` with G analytic and not zero: :math:`a' = \arcsin(a \sqrt{w G /
(2 q')})`. Near a = 0, G is enclosed by Taylor's theorem: :math:`-2 G(a)` is in the convex hull of
:math:`E''` on the segment from 0 to a. States are centred forms, so that widths do not grow faster
than they must.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import sympy
from flint import acb, arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.duals import correlation_dual, dual_class
from kerneltheory.activations.series import derivative_of
from kerneltheory.core import lower
from kerneltheory.core.prove import is_zero
from kerneltheory.kernels.centred import Centred
from kerneltheory.kernels.maps import ball_maps

HALF_ANGLE = sympy.Symbol("a", positive=True)
_SQUARED_SINE = sympy.Symbol("s", positive=True)
_VARIANCE = sympy.Symbol("q", positive=True)
_COSINE = sympy.Symbol("c", real=True)


def in_half_angle(expression: Any, cosine: sympy.Symbol) -> Any:
    """The expression with its cosine at cos(2a), 0 <= a <= pi/2; roots of 1 - t^2 are resolved.

    Examples:
        >>> t = sympy.Symbol("t", real=True)
        >>> in_half_angle(sympy.sqrt(1 - t**2) + sympy.acos(t), t)
        2*a + 2*sin(a)*cos(a)
    """
    resolved = _resolved(expression.subs(cosine, _COSINE))
    return resolved.subs(_SQUARED_SINE, sympy.sin(HALF_ANGLE) ** 2)


def _resolved(expression: Any) -> Any:
    """The expression in s = sin^2 a, and in a where it has branch points at s = 0 or 1."""
    expression = expression.subs(_COSINE, 1 - 2 * _SQUARED_SINE)
    expression = expression.replace(sympy.acos, lambda u: sympy.pi / 2 - sympy.asin(u))
    expression = expression.replace(sympy.asin, _arc_sine)
    return expression.replace(_is_root, _resolved_root)


def _arc_sine(argument: Any) -> Any:
    for sign in (1, -1):
        if sympy.expand(argument - sign * (1 - 2 * _SQUARED_SINE)) == 0:
            return sign * (sympy.pi / 2 - 2 * HALF_ANGLE)
    return sympy.asin(argument)


def _is_root(node: Any) -> bool:
    return node.is_Pow and node.exp.is_Rational and not node.exp.is_Integer


def _resolved_root(node: Any) -> Any:
    """Take the factors sin^2 a and cos^2 a out of a root."""
    s, a = _SQUARED_SINE, HALF_ANGLE
    base: Any = sympy.together(node.base)
    if not base.is_rational_function(s):
        return node
    sine = cosine = 0
    for part, sign in zip(sympy.fraction(base), (1, -1), strict=True):
        for factor, power in sympy.factor_list(part, s)[1]:
            sine += sign * power * (factor == s)
            cosine += sign * power * (factor in (s - 1, 1 - s))
    rest = sympy.cancel(base / (s**sine * (1 - s) ** cosine))
    return (sympy.sin(a) ** sine * sympy.cos(a) ** cosine) ** (2 * node.exp) * rest**node.exp


@dataclass(frozen=True)
class AngleMaps:
    """A dual activation of two inputs of one variance q, on complex balls.

    Attributes:
        smooth: whether the dual has no branch points at the poles. The maps are then functions of
            the cosine c, and else of the half angle a.
        value: T(q, q, c) and its derivatives in c or a: the first, or the first two.
        slope: T'(q, q, c) and its first derivative in c or a; nothing where T' diverges.
        even: whether E'(q, 0) = 0 is proved: what makes the next half angle analytic at 0.
    """

    smooth: bool
    value: tuple[Callable[..., Any], ...]
    slope: tuple[Callable[..., Any], ...]
    even: bool


@functools.lru_cache(maxsize=256)
def angle_maps(phi: Activation) -> AngleMaps | None:
    """The maps of an activation whose dual is elementary; None for the others."""
    if dual_class(phi).name != "elementary":
        return None
    orders = (0, 1) if derivative_of(phi) is not None else (0,)
    formulas = [_on_sphere(phi, order) for order in orders]
    smooth = not any(_resolved(formula).has(HALF_ANGLE) for formula in formulas)
    variable = _COSINE if smooth else HALF_ANGLE
    if not smooth:
        formulas = [in_half_angle(formula, _COSINE) for formula in formulas]
    # Two derivatives of T, one of T' where it is finite.
    if len(formulas) > 1:
        slope = [formulas[1], sympy.diff(formulas[1], variable)]
        value = [formulas[0], *_derivatives_of_value(slope[0], slope[1], variable)]
    else:
        slope, first = [], sympy.diff(formulas[0], variable)
        value = [formulas[0], first, sympy.diff(first, variable)]
    even = not smooth and is_zero(value[1].subs(HALF_ANGLE, 0))
    lowered = functools.partial(lower.to_balls, (_VARIANCE, variable))
    return AngleMaps(smooth, tuple(map(lowered, value)), tuple(map(lowered, slope)), even)


def _derivatives_of_value(slope: Any, its_slope: Any, variable: sympy.Symbol) -> list[Any]:
    """The first two of T(q, q, c), from its derivative in the covariance q c and that one's own."""
    if variable == _COSINE:
        return [_VARIANCE * slope, _VARIANCE * its_slope]
    sine, cosine = sympy.sin(2 * HALF_ANGLE), sympy.cos(2 * HALF_ANGLE)
    first = -2 * _VARIANCE * sine * slope
    return [first, -2 * _VARIANCE * (2 * cosine * slope + sine * its_slope)]


def _on_sphere(phi: Activation, order: int) -> Any:
    formula = correlation_dual(phi, order)
    q1, q2, correlation = formula.args
    rhs: Any = formula.rhs
    return rhs.subs({q1: _VARIANCE, q2: _VARIANCE, correlation: _COSINE})


@functools.lru_cache(maxsize=256)
def lowered_expression(expression: Any, cosine: sympy.Symbol) -> tuple[Callable[..., Any], ...]:
    """A function of the cosine and its derivative, as functions of a ball around a half angle."""
    value = in_half_angle(expression, cosine)
    both = value, sympy.diff(value, HALF_ANGLE)
    return tuple(lower.to_balls((HALF_ANGLE,), part) for part in both)


def half_of(angle: acb) -> Centred:
    """The half angle of the inputs, on a ball of angles."""
    middle = angle.mid()
    return Centred(middle / 2, acb(0.5), angle - middle)


def _with_bias(half: Centred, share: arb) -> Centred:
    """The half angle of the first preactivations: sin a = sqrt(share) sin(theta/2)."""
    if share == 1:
        return half
    root = share.sqrt()
    return half.apply(
        lambda a: arcsine(root * a.sin()),
        lambda a: root * a.cos() / lower.square_root(1 - share * a.sin() ** 2),
    )


def _next_half_angle(maps: AngleMaps, layer: "_Layer", a: Centred, value: Centred) -> Centred:
    r"""The half angle after a layer, :math:`\sin^2 a' = f\,(E(0) - E(a))` with f = w / (2 q')."""
    found = half_angle_of((value * -1 + layer.at_zero) * layer.factor)
    if maps.even and not found.box.is_finite():
        return _next_near_pole(maps, layer, a)
    return found


def half_angle_of(square: Centred) -> Centred:
    """The half angle a whose sin^2 a is given, away from the poles."""
    return square.apply(
        lambda s: arcsine(lower.square_root(s)),
        lambda s: 1 / (2 * lower.square_root(s) * lower.square_root(1 - s)),
    )


def _next_near_pole(maps: AngleMaps, layer: "_Layer", a: Centred) -> Centred:
    """The same where sin^2 a' has a zero or negative values, which its root cannot be taken of."""
    q, factor, at_zero = layer

    def around(a: acb, direct: acb) -> acb:
        """The mean of E'' on the segment from 0 to a, from its values there or from a quotient."""
        return _sharper(acb(maps.value[2](q, a.union(acb(0)))), direct)

    def root(a: acb) -> Any:
        mean = around(a, 2 * (maps.value[0](q, a) - at_zero) / a**2)
        return lower.square_root(-factor / 2 * mean)

    def derivative(a: acb) -> Any:
        sine_over_a = root(a)
        cosine = lower.square_root(1 - (a * sine_over_a) ** 2)
        return -factor / 2 * around(a, maps.value[1](q, a) / a) / (sine_over_a * cosine)

    return a.apply(lambda a: arcsine(a * root(a)), derivative)


def _sharper(first: acb, second: acb) -> acb:
    """Whichever of two enclosures of one number is finite and narrower."""
    widths = [max(ball.real.rad(), ball.imag.rad()) for ball in (first, second)]
    return second if not first.is_finite() or widths[1] < widths[0] else first


def arcsine(value: Any) -> Any:
    """The arc sine; NaN on a complex ball that meets its branch cuts."""
    if not (1 - value * value).sqrt(analytic=True).is_finite():
        return acb("nan")
    return value.asin()


class _Layer(NamedTuple):
    """What a layer does not take from the angle: variance, w/(2 q') and T(q, q, 1) at angle 0."""

    variance: arb
    factor: arb
    at_zero: acb


@functools.lru_cache(maxsize=64)
def _layers(kernel: Any, precision: int) -> tuple[tuple[arb, ...], tuple[_Layer, ...]]:
    """(w, b, share) of a network and its layers, the same for all angles."""
    w, b, q, share = kernel.ball_parameters()
    maps, diagonal = angle_maps(kernel.activation), ball_maps(kernel.activation).variance
    assert maps is not None
    found = []
    for _ in range(kernel.depth):
        following = w * diagonal(q) + b
        found.append(_Layer(q, w / (2 * following), acb(maps.value[0](q, acb(0)))))
        q = following
    return (w, b, share), tuple(found)


def layers(kernel: Any, half: Centred) -> tuple[Centred, Callable[[], Centred]]:
    """The kernel, and the half angle after the layers of a network, from that of the inputs.

    A smooth dual carries the correlation from layer to layer, a kinked one the half angle. The
    kernels of odd and even activations are odd and even: the further hemisphere is reflected, so
    that no half angle comes near the branch point of the other pole.

    Returns:
        Both; the half angle is computed when it is called for.
    """
    maps = angle_maps(kernel.activation)
    if maps is None:
        lost = Centred(acb("nan"), acb("nan"), half.reach)
        return lost, lambda: lost
    (w, b, share), found = _layers(kernel, ctx.prec)
    parity = 0 if maps.smooth or b != 0 else kernel.activation.parity
    reflected = parity != 0 and half.middle.real > arb.pi() / 4
    half = half * -1 + arb.pi() / 2 if reflected else half
    state = _cosine(half) * share + (1 - share) if maps.smooth else _with_bias(half, share)
    value = covariance = tangent = (state if maps.smooth else _cosine(state)) * found[0].variance

    def following(layer: _Layer) -> Centred:
        """The state after a layer."""
        if maps.smooth:
            return covariance * (2 * layer.factor / w)
        return _next_half_angle(maps, layer, state, value)

    for i, layer in enumerate(found):
        value = _apply(maps.value, layer.variance, state)
        covariance = w * value + b
        if kernel.tangent:
            tangent = covariance + w * (_apply(maps.slope, layer.variance, state) * tangent)
        if i + 1 < len(found):
            state = following(layer)
    result = tangent if kernel.tangent else covariance

    def after() -> Centred:
        last = following(found[-1])
        last = half_angle_of(last * -0.5 + 0.5) if maps.smooth else last
        return last * -1 + arb.pi() / 2 if reflected and parity < 0 else last

    return result * -1 if reflected and parity < 0 else result, after


def _cosine(half: Centred) -> Centred:
    return half.apply(lambda a: (2 * a).cos(), lambda a: -2 * (2 * a).sin())


def _apply(parts: tuple[Callable[..., Any], ...], q: arb, state: Centred) -> Centred:
    return state.apply(*(functools.partial(part, q) for part in parts[:2]))
