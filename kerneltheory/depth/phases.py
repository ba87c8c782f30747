r"""Phases of deep networks at initialisation: order, chaos and the edge between them.

A layer maps variances by :math:`q' = w\,T(q, q, 1) + b` and correlations, at a fixed point q* of
the variances, by :math:`C(c) = (w\,T(q^*, q^*, c) + b)/q^*`. Its slope at coincident inputs,

.. math:: \chi_1 = C'(1) = w\,E[\phi'(\sqrt{q^*} z)^2],

decides: below one inputs become alike (ordered, c* = 1), above one they become unlike (chaotic,
c* < 1), at one they do neither at any exponential rate (Poole et al., arXiv:1606.05340; Schoenholz
et al., arXiv:1611.01232; Xiao et al., arXiv:1912.13053).
"""

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.activations.duals import correlation_dual
from kerneltheory.core import check, lower
from kerneltheory.core.display import html_table, short_number
from kerneltheory.depth.correlation_map import near_one, stable_correlation
from kerneltheory.depth.fixed_points import (
    FixedPoint,
    FixedPoints,
    variance_fixed_points,
)
from kerneltheory.depth.moment_tables import mean_square
from kerneltheory.depth.moments import VARIANCE, closed_moment, derivative, moment
from kerneltheory.depth.near_zero import square_at_zero

ORDERED, CRITICAL, CHAOTIC, DIVERGENT = "ordered", "critical", "chaotic", "divergent"
_LAYERS = 200
# Of chi_1 - 1: c* may be so near to 1 that derivatives there tell it better than the map's values.
NEARLY_CRITICAL = 1e-6
_LARGEST_DENOMINATOR = 10_000
_BALLS = ("q_star", "c_star", "chi_1", "chi_c", "chi_12")
_SCALES = ("xi_1", "xi_c", "xi_star")


@dataclass(frozen=True)
class ExactPhase:
    """What is known exactly of a phase, as sympy numbers; None where no closed form was proved."""

    q_star: Any
    c_star: Any = None
    chi_1: Any = None
    chi_c: Any = None
    chi_12: Any = None


@dataclass(frozen=True, repr=False)
class Phase:
    r"""A phase: what the correlations of a network tend to as its depth grows, and how fast.

    Where the variance diverges (`name` "divergent") the fields that a fixed point would define are
    None and `divergence` says how it grows.

    Attributes:
        activation: phi.
        weight_variance: w, exact.
        bias_variance: b, exact.
        input_variance: :math:`|x|^2/\mathrm{dim}` of the inputs, which selects among several fixed
            points.
        name: "ordered", "critical", "chaotic" or "divergent".
        q_star: the fixed variance that the inputs' variance tends to.
        c_star: the correlation that others than 1 tend to; 1 but in the chaotic phase. At q* = 0
            it is 1, the limit of vanishing bias.
        chi_1: slope of the correlation map at 1; infinite where phi jumps.
        chi_c: its slope at c*.
        chi_12: :math:`w\,dT'/dk` at q* and correlation 1; infinite where phi has kinks.
        xi_1: :math:`1/|\ln\chi_1|`, a depth in layers, infinite at criticality.
        xi_c: :math:`-1/\ln\chi_c`.
        xi_star: :math:`1/(\ln\chi_1 - \ln\chi_c)`, infinite but in the chaotic phase.
        variance_fixed_points: all fixed points of the variance, with their stability.
        divergence: how the variance grows where it diverges, else "".
        proved: whether the name is proved; near criticality balls may not tell.
        enclosures: names and balls as integers, see `ball`.

    Reference: arXiv:1611.01232.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> critical = phase(relu, 2)
        >>> critical.name, critical.chi_1, critical.xi_1
        ('critical', 1.0, inf)
    """

    activation: Activation
    weight_variance: Any
    bias_variance: Any
    input_variance: Any
    name: str
    q_star: float | None
    c_star: float | None
    chi_1: float | None
    chi_c: float | None
    chi_12: float | None
    xi_1: float | None
    xi_c: float | None
    xi_star: float | None
    variance_fixed_points: FixedPoints
    divergence: str = ""
    proved: bool = True
    enclosures: tuple[tuple[str, Any], ...] = ()

    def ball(self, name: str) -> arb:
        """The certified enclosure of a field.

        Args:
            name: "q_star", "c_star", "chi_1", "chi_c" or "chi_12".

        Raises:
            ValueError: if there is none of that name.
        """
        found = dict(self.enclosures)
        return _from_integers(found[check.one_of("name", name, found)])

    @functools.cached_property
    def exact(self) -> ExactPhase | None:
        """Exact values where q* is a number that computer algebra proves to be fixed, else None.

        Known are the fixed points of relu and its kin, q* = 0, and rational q* where the dual is
        elementary, as q* = 1/2 of erf at w = sqrt(3) pi/4.
        """
        return _exact_phase(self)

    def _rows(self) -> list[list[str]]:
        rows = [
            [name, f"{value:.6g}"]
            for name in (*_BALLS, *_SCALES)
            if (value := getattr(self, name)) is not None
        ]
        points = [
            f"{p.variance:.6g} ({'stable' if p.stable else 'unstable'})"
            for p in self.variance_fixed_points
        ]
        every = "every variance" if self.variance_fixed_points.every else "none"
        rows.append(["fixed variances", ", ".join(points) or every])
        if not self.variance_fixed_points.complete:
            low, high = self.variance_fixed_points.searched
            rows.append(["searched", f"{low:.3g} to {high:.3g}"])
        return rows + ([["diverges", self.divergence]] if self.divergence else [])

    def _title(self) -> str:
        return (
            f"{self.activation.name} with weight_variance={short_number(self.weight_variance)}, "
            f"bias_variance={short_number(self.bias_variance)}: {self.name}"
        )

    def __repr__(self) -> str:
        return "\n".join([self._title(), *(f"{name:>15}  {value}" for name, value in self._rows())])

    def _repr_html_(self) -> str:
        return html_table(self._title(), ("quantity", "value"), self._rows())


def phase(
    phi: Any,
    weight_variance: Any,
    bias_variance: Any = 0,
    *,
    input_variance: Any = 1,
    digits: int = 15,
) -> Phase:
    r"""The phase of deep networks of one activation, by certified root finding.

    .. math:: q^* = w\,E[\phi(\sqrt{q^*} z)^2] + b, \qquad \chi_1 = w\,E[\phi'(\sqrt{q^*} z)^2],
              \qquad c^* = \frac{w\,T(q^*, q^*, c^*) + b}{q^*}, \qquad \chi_c = w\,T'(q^*, q^*, c^*)

    All fixed points of the variance are found. Of several the one is taken that the first layer's
    variance, w input_variance + b, is led to by the recursion, which always converges or diverges.

    Args:
        phi: an activation or a sympy expression in one symbol.
        weight_variance: w > 0: an int, a float (the rational number that it is), a Fraction or a
            real number of sympy, rational or not.
        bias_variance: b >= 0, as w.
        input_variance: mean square of an input's entries, positive; where every variance is fixed,
            as of relu at w = 2, it determines q*.
        digits: relative accuracy of the balls of q* and c*; near criticality more are lost than
            q* has.

    Raises:
        TypeError: if a variance is not a real number.
        ValueError: if w or input_variance is not positive, or b is negative.
        DerivationError: if phi grows too fast for Gaussian inputs.
        PrecisionError: if no proof was found for small variances.

    References:
        arXiv:1606.05340, arXiv:1611.01232, arXiv:1912.13053.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu, tanh
        >>> phase(tanh, 2.25, 0.05)
        tanh with weight_variance=9/4, bias_variance=0.05: chaotic
                 q_star  0.889425
                 c_star  0.567225
                  chi_1  1.09234
                  chi_c  0.93599
                 chi_12  0.690305
                   xi_1  11.3224
                   xi_c  15.1171
                xi_star  6.47372
        fixed variances  0.889425 (stable)
        >>> phase(relu, 2).name, phase(relu, 3).divergence
        ('critical', "q'/q tends to 3/2: the variance grows like (3/2)^depth")
    """
    phi = activation(phi)
    w = _number("weight_variance", weight_variance, positive=True)
    b = _number("bias_variance", bias_variance, positive=False)
    start = _number("input_variance", input_variance, positive=True)
    digits = check.integer("digits", digits, minimum=1)
    return _phase(phi, w, b, start, digits)


@functools.lru_cache(maxsize=512)
def _phase(phi: Activation, w: Any, b: Any, start: Any, digits: int) -> Phase:
    points = variance_fixed_points(phi, w, b, max(digits, 15) + 5)
    first = w * start + b
    if points.every:
        ball = lower.to_ball(first)
        integers = lower.ball_to_integers(ball), lower.ball_to_integers(arb(1))
        chosen = FixedPoint(lower.to_float(ball), 1.0, False, integers, first)
    else:
        chosen = _reached(phi, float(w), float(b), float(first), points)
    given: dict[str, Any] = {
        "activation": phi,
        "weight_variance": w,
        "bias_variance": b,
        "input_variance": start,
        "variance_fixed_points": points,
    }
    if chosen is None:
        none = dict.fromkeys((*_BALLS, *_SCALES))
        divergence = _divergence(points, b)
        return Phase(**given, **none, name=DIVERGENT, divergence=divergence, proved=points.complete)
    return Phase(**given, **_at(phi, w, b, chosen, digits))


def _number(name: str, value: Any, *, positive: bool) -> Any:
    irrational = isinstance(value, sympy.Expr) and not (value.is_Rational or value.is_Float)
    if irrational and value.is_number and value.is_finite and value.is_real:
        number = value
    else:
        number = lower.exact(name, value)
    if number.is_negative or (positive and number == 0):
        raise ValueError(
            f"{name} must {'be positive' if positive else 'not be negative'}, got {value}"
        )
    return number


# --- which fixed point ------------------------------------------------------------------------


def _reached(
    phi: Activation, w: float, b: float, first: float, points: FixedPoints
) -> FixedPoint | None:
    """The fixed point that the recursion leads to, or None where it diverges.

    It settles to the side of a fixed point within some layers (see `fixed_points`: slopes are at
    least -1/2), and moves monotonically from then on, however slowly.
    """
    q = first
    for _ in range(_LAYERS):
        following = w * float(mean_square(phi, 0, q)) + b
        if not math.isfinite(following) or following > 1e200:
            return None
        q, before = following, q
        if abs(q - before) <= 1e-14 * q:
            break
    direction = w * float(mean_square(phi, 0, q)) + b - q
    near = [p for p in points if abs(p.variance - q) <= 1e-9 * max(q, p.variance)]
    if near:
        return near[0]
    if direction > 0:
        return min((p for p in points if p.variance > q), key=_variance, default=None)
    return max((p for p in points if p.variance < q), key=_variance, default=None)


def _variance(point: FixedPoint) -> float:
    return point.variance


def _divergence(points: FixedPoints, b: Any) -> str:
    if points.rate is None:
        return "q'/q grows without bound: the variance grows faster than exponentially in depth"
    if sympy.simplify(points.rate - 1) == 0:
        return (
            f"q'/q tends to 1: the variance grows without bound, slower than exponentially, "
            f"b = {short_number(b)}"
        )
    return f"q'/q tends to {points.rate}: the variance grows like ({points.rate})^depth"


# --- what follows from it ---------------------------------------------------------------------


def _at(phi: Activation, w: Any, b: Any, point: FixedPoint, digits: int) -> dict[str, Any]:
    """The fields of a phase that its fixed point determines."""
    working = max(digits, 15) + 5
    with ctx.workdps(working + 10):
        weight, bias, q = lower.to_ball(w), lower.to_ball(b), point.ball
        chi_1, chi_12 = (_slope_of_order(phi, w, q, order, working) for order in (1, 2))
        name, proved = _name(phi, w, b, point, chi_1)
        if name == CHAOTIC:
            near = None
            if chi_1 - 1 < NEARLY_CRITICAL:
                third = _slope_of_order(phi, w, q, 3, working)
                near = near_one((chi_1, q * chi_12, q**2 * third), digits)
            with ctx.workdps(digits + 5):  # series take as long as their digits
                c, chi_c = near or stable_correlation(phi, weight, bias, q, digits)
        else:
            c, chi_c = arb(1), chi_1
        if name == CRITICAL:
            chi_1 = chi_c = chi_1 if not proved else arb(1)
        balls = (q, c, chi_1, chi_c, chi_12)
        lengths = _lengths(name, chi_1, chi_c)
        integers = tuple(map(_to_integers, balls))
    values = dict(zip(_BALLS, map(lower.to_float, balls), strict=True))
    scales = dict(zip(_SCALES, lengths, strict=True))
    enclosures = tuple(zip(_BALLS, integers, strict=True))
    return values | scales | {"name": name, "proved": proved, "enclosures": enclosures}


def _slope_of_order(phi: Activation, w: Any, q: arb, order: int, digits: int) -> arb:
    """W E[phi^(n)^2], also at q = 0."""
    if not q.is_zero():
        return lower.to_ball(w) * moment(phi, order, q, digits)
    if derivative(phi, order) is None:
        return arb("inf")
    return lower.to_ball(w * square_at_zero(phi, order))


def _name(phi: Activation, w: Any, b: Any, point: FixedPoint, chi_1: arb) -> tuple[str, bool]:
    """The phase, and whether that is proved; an exact chi_1 decides where its ball does not."""
    if chi_1 > 1 or not chi_1.is_finite():
        return CHAOTIC, True
    if chi_1 < 1:
        return ORDERED, True
    exact = _exact_chi(phi, w, b, point)
    return CRITICAL, exact is not None and sympy.simplify(exact - 1) == 0


def _lengths(name: str, chi_1: arb, chi_c: arb) -> tuple[float, float, float]:
    """xi_1, xi_c and xi_star in layers."""
    if name == CRITICAL:
        return math.inf, math.inf, math.inf
    first, second = _log(chi_1), _log(chi_c)
    xi_1, xi_c = (_inverse(abs(value)) for value in (first, second))
    return xi_1, xi_c, _inverse(first - second) if name == CHAOTIC else math.inf


def _log(ball: arb) -> float:
    if ball.is_zero():
        return -math.inf
    return lower.to_float(ball.log()) if ball.is_finite() else math.inf


def _inverse(value: float) -> float:
    return 0.0 if math.isinf(value) else 1 / value


def _to_integers(ball: arb) -> Any:
    return lower.ball_to_integers(ball) if ball.is_finite() else None


def _from_integers(integers: Any) -> arb:
    return arb("inf") if integers is None else lower.ball_from_integers(integers)


# --- exactly ----------------------------------------------------------------------------------


def _exact_variance(phi: Activation, w: Any, b: Any, point: FixedPoint) -> Any:
    """An exact number that is proved to be the fixed point, or None."""
    if point.exact is not None:
        return point.exact
    closed = closed_moment(phi, 0)
    if closed is None:
        return None
    found = Fraction(point.variance).limit_denominator(_LARGEST_DENOMINATOR)
    candidate = sympy.Rational(found.numerator, found.denominator)
    # The ball holds one fixed point: a candidate inside that is one is it.
    if not point.ball.contains(lower.to_fmpq(candidate)):
        return None
    return (
        candidate
        if sympy.simplify(w * closed.subs(VARIANCE, candidate) + b - candidate) == 0
        else None
    )


def _exact_chi(phi: Activation, w: Any, b: Any, point: FixedPoint, order: int = 1) -> Any:
    q = _exact_variance(phi, w, b, point)
    if q is None:
        return None
    if derivative(phi, order) is None:
        return sympy.oo
    if q == 0:
        return w * square_at_zero(phi, order)
    closed = closed_moment(phi, order)
    return None if closed is None else sympy.simplify(w * closed.subs(VARIANCE, q))


def _exact_phase(found: Phase) -> ExactPhase | None:
    phi, w, b = found.activation, found.weight_variance, found.bias_variance
    if found.q_star is None:
        return None
    if found.variance_fixed_points.every:
        point = FixedPoint(found.q_star, 1.0, False, (found.enclosures[0][1],) * 2)
        exact_q = w * found.input_variance + b
        point = FixedPoint(found.q_star, 1.0, False, point.enclosures, exact_q)
    else:
        point = next(p for p in found.variance_fixed_points if p.variance == found.q_star)
    q = _exact_variance(phi, w, b, point)
    if q is None:
        return None
    chi_1, chi_12 = (_exact_chi(phi, w, b, point, order) for order in (1, 2))
    c = sympy.S.One if found.name != CHAOTIC else sympy.S.Zero if found.c_star == 0 else None
    chi_c = chi_1 if c == 1 else None
    if c == 0:
        formula = correlation_dual(phi, 1)
        chi_c = sympy.simplify(
            w * formula.rhs.subs(dict(zip(formula.args, (q, q, 0), strict=True)))
        )
    return ExactPhase(q, c, chi_1, chi_c, chi_12)
