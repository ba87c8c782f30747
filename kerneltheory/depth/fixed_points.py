r"""All fixed points of the recursion of variances, each in a ball, with a proof that it is alone.

.. math:: q' = f(q) = w\,E[\phi(\sqrt q z)^2] + b

Small variances are decided by `near_zero` (or by q >= b), large ones by `asymptotes`; between them
panels [e, 2e] are covered with Taylor models. :math:`\sqrt q\,E[\phi^2]` increases, so that an
interval may be left out by its ends alone, and :math:`q f'(q) \ge -(f(q) - b)/2`: no slope at a
fixed point is below -1/2 and the recursion has no cycle of length two, hence (Coppel 1955) every
bounded orbit converges to a fixed point.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.core import lower
from kerneltheory.core.errors import PrecisionError
from kerneltheory.depth.asymptotes import asymptotes
from kerneltheory.depth.moments import MomentModel, moment, moment_model, taylor
from kerneltheory.depth.near_zero import at_zero, near_zero

# Panels end at this number times powers of two, where no fixed point is likely.
EDGE = sympy.Rational(45, 64)
_COUNTS = (16, 32, 48)
_DIGITS = 20
# Where no bound of E[phi^2] is known the search ends here at the latest.
LARGEST, _STEPS = 2**12, 40
# Where a search ends if no bound holds at any variance, as of a critical rate at infinity.
UNPROVED = 2**8
_DIVISIONS = 4000
# Intervals are divided off their middle, where a fixed point might sit.
_SPLIT = sympy.Rational(30, 61)
Interval = tuple[Any, Any]


@dataclass(frozen=True)
class FixedPoint:
    """A fixed point q = w E[phi^2] + b.

    Attributes:
        variance: q.
        slope: dq'/dq there.
        stable: whether variances near it approach it (at q = 0: from above).
        enclosures: balls of variance and slope as integers, see `ball`.
        exact: q as an exact number, where it is known to be one; else None.
    """

    variance: float
    slope: float
    stable: bool
    enclosures: tuple[Any, Any]
    exact: Any = None

    @property
    def ball(self) -> arb:
        """The certified enclosure of q."""
        return lower.ball_from_integers(self.enclosures[0])

    @property
    def slope_ball(self) -> arb:
        """The certified enclosure of the slope."""
        return lower.ball_from_integers(self.enclosures[1])


@dataclass(frozen=True)
class FixedPoints:
    """The fixed points of a variance recursion, ascending, and what is known beside them.

    Attributes:
        points: those found, each proved to exist and to be the only one in its ball.
        undecided: intervals in which it was not decided whether there are any.
        complete: whether there are no others, which is proved for every q >= 0.
        searched: the interval outside which a bound excludes them, or the search ended.
        rate: what q'/q tends to as q grows: an exact number, or None if that is not known or
            infinite.
        above: the sign of q' - q beyond the last point.
        every: whether every q is a fixed point.
    """

    points: tuple[FixedPoint, ...]
    undecided: tuple[tuple[float, float], ...]
    complete: bool
    searched: tuple[float, float]
    rate: Any
    above: int
    every: bool = False

    def __iter__(self) -> Any:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)


@functools.lru_cache(maxsize=512)
def variance_fixed_points(
    phi: Activation, weight_variance: Any, bias_variance: Any, digits: int = 20
) -> FixedPoints:
    """Find all fixed points of q' = w E[phi(sqrt(q) z)^2] + b.

    Args:
        phi: the activation.
        weight_variance: w > 0, an exact real number of sympy.
        bias_variance: b >= 0, an exact real number of sympy.
        digits: relative accuracy of the balls.

    Examples:
        >>> from kerneltheory.activations.catalogue import tanh
        >>> found = variance_fixed_points(tanh, sympy.Integer(2), sympy.Integer(0))
        >>> [(round(p.variance, 4), p.stable) for p in found]
        [(0.0, False), (0.618, True)]
    """
    if phi.homogeneous:
        return _of_homogeneous(phi, weight_variance, bias_variance)
    with ctx.workdps(digits + 15):
        return _Search(phi, weight_variance, bias_variance, digits).run()


def _exact_point(value: Any, slope: Any, stable: bool) -> FixedPoint:
    with ctx.workdps(60):
        balls = lower.to_ball(value), lower.to_ball(slope)
        integers = lower.ball_to_integers(balls[0]), lower.ball_to_integers(balls[1])
    first, second = map(lower.to_float, balls)
    return FixedPoint(first, second, stable, integers, sympy.sympify(value))


def _of_homogeneous(phi: Activation, w: Any, b: Any) -> FixedPoints:
    """E[phi^2] = a q: one fixed point b/(1 - w a), all, or none."""
    rate: Any = w * at_zero(phi)[1]
    excess: Any = sympy.simplify(rate - 1)
    if excess.is_zero and b == 0:
        return FixedPoints((), (), True, (0.0, math.inf), rate, 0, every=True)
    if excess.is_negative:
        points, above = (_exact_point(b / (1 - rate), rate, True),), -1
    else:
        points, above = ((_exact_point(0, rate, False),) if b == 0 else ()), 1
    return FixedPoints(points, (), True, (0.0, math.inf), rate, above)


class _Search:
    """The search for one activation and one pair (w, b), at the precision that is set."""

    def __init__(self, phi: Activation, w: Any, b: Any, digits: int) -> None:
        self.phi, self.w, self.b, self.digits = phi, w, b, digits
        self.weight, self.bias = lower.to_ball(w), lower.to_ball(b)

    def run(self) -> FixedPoints:
        """Cover (low, high) and put the zero and both ends to it."""
        points, low = self._from_zero()
        high, above, proved, rate = self._to_infinity()
        intervals, undecided = self._cover(low, max(high, 2 * low))
        points += [self._polished(*found) for found in intervals]
        ends = tuple((float(a), float(z)) for a, z in undecided)
        searched = float(low), (math.inf if proved else float(high))
        complete = proved and not ends
        return FixedPoints(tuple(points), ends, complete, searched, rate, above)

    # --- the ends -----------------------------------------------------------------------------

    def _from_zero(self) -> tuple[list[FixedPoint], Any]:
        """The fixed point at zero, if it is one, and a variance below which is no other."""
        if self.b != 0:
            return [], sympy.Rational(float(self.bias.lower())) * sympy.Rational(99, 100)
        found = near_zero(self.phi, self.w)
        if found.slope is None:
            return [], found.reach
        return [_exact_point(0, found.slope, found.sign < 0)], found.reach

    def _to_infinity(self) -> tuple[Any, int, bool, Any]:
        r"""A variance beyond which q' - q has one sign, that, whether it is proved, the rate.

        In :math:`s = \sqrt q` it is :math:`c_2 s^2 + c_1 s + c_0 + \epsilon`: from where on
        the first that is not zero exceeds all others together, it does so for good.
        """
        lines = asymptotes(self.phi)
        if lines is None:
            return self._while_growing()
        first, second, third = (self.w * c for c in lines.coefficients)
        exact = [sympy.simplify(c) for c in (first - 1, second, third + self.b)]
        rest = [arb(0), *(self.weight * r for r in lines.remainders)]
        sizes = [*(abs(lower.to_ball(c)) for c in exact), arb(0)]
        balls = [size + r for size, r in zip(sizes, rest, strict=True)]
        leading = next((i for i, c in enumerate(exact) if c != 0), 3)
        if leading == 3 or any(r != 0 for r in rest[: leading + 1]):
            return sympy.Integer(UNPROVED), 0, False, first
        sign, s = (1 if exact[leading].is_positive else -1), arb(2) ** -10
        while not balls[leading] > sum(
            (c * s ** (leading - i) for i, c in enumerate(balls) if i > leading), arb(0)
        ):
            s = 2 * s
        high = sympy.Rational(float((s * s).upper()))
        if high > LARGEST:
            return sympy.Integer(UNPROVED), sign, False, first
        return high, sign, True, first

    def _while_growing(self) -> tuple[Any, int, bool, Any]:
        """Where q' > 4q for good, as far as one sees: no line bounds phi."""
        high = sympy.Integer(16)
        while high < LARGEST:
            following = self.weight * moment(self.phi, 0, high, _DIGITS) + self.bias
            if following > 4 * lower.to_ball(high):
                return high, 1, False, None
            high *= 2
        raise PrecisionError(
            f"E[phi^2] of {self.phi.name} neither stays near a line nor exceeds it up to a "
            f"variance of {LARGEST:.0e}; the fixed points cannot be told apart from none"
        )

    # --- between them -------------------------------------------------------------------------

    def _cover(self, low: Any, high: Any) -> tuple[list, list[Interval]]:
        """Isolating intervals with their models, ascending, and what stays undecided."""
        first = math.floor(math.log2(float(low / EDGE)))
        found, undecided = [], []
        edge = EDGE * sympy.Integer(2) ** first
        while edge < high:
            try:
                if not self._left_out(edge, 2 * edge):
                    roots, open_ = self._panel(edge)
                    found += roots
                    undecided += open_
            except PrecisionError:  # phi is too rough for its integrals at this variance
                undecided.append((edge, 2 * edge))
            edge *= 2
        # What is below the lower end was decided by other means.
        roots = [(x, m) for x, m in found if not x[1] <= low]
        return roots, [x for x in undecided if not x[1] <= low]

    def _left_out(self, left: Any, right: Any) -> bool:
        """Whether sqrt(q) E[phi^2] at the ends excludes fixed points between them."""
        values = [self.weight * moment(self.phi, 0, q, _DIGITS) for q in (left, right)]
        ratio = lower.to_ball(right / left).sqrt()
        above = values[0] / ratio + self.bias > lower.to_ball(right)
        return above or values[1] * ratio + self.bias < lower.to_ball(left)

    def _panel(self, edge: Any) -> tuple[list, list[Interval]]:
        """Roots in [e, 2e], with models of more terms while one does not decide."""
        roots, undecided = [], [(edge, 2 * edge)]
        for count in _COUNTS:
            model = moment_model(self.phi, edge * sympy.Rational(3, 2), count, _DIGITS + count // 4)
            again = []
            for interval in undecided:
                found, left = self._isolate(model, interval)
                roots += [(x, model) for x in found]
                again += left
            undecided = _joined(again)
            if not undecided:
                break
        return sorted(roots, key=lambda pair: pair[0][0]), undecided

    def _isolate(self, model: MomentModel, whole: Interval) -> tuple[list, list[Interval]]:
        """Intervals with exactly one root each, by signs at the ends of monotone parts."""
        roots, undecided, pending = [], [], [whole]
        finest = (whole[1] - whole[0]) / 2**_STEPS
        for _ in range(_DIVISIONS):
            if not pending:
                break
            low, high = pending.pop()
            left, right = lower.to_ball(low), lower.to_ball(high)
            if self._excess(model, left, right).contains(0):
                slope = self.weight * model.slope(left.union(right)) - 1
                signs = [_sign(self._at(model, end)) for end in (left, right)]
                if slope.contains(0) or 0 in signs:
                    middle = low + (high - low) * _SPLIT
                    if high - low < finest or _is_hopeless(slope, signs, self, model, low, high):
                        undecided.append((low, high))
                    else:
                        pending += [(middle, high), (low, middle)]
                elif signs[0] != signs[1]:
                    roots.append((low, high))
        return roots, undecided + pending

    def _at(self, model: MomentModel, q: arb) -> arb:
        return self.weight * model.value(q) + self.bias - q

    def _excess(self, model: MomentModel, left: arb, right: arb) -> arb:
        """An enclosure of q' - q on an interval, by its slope from the middle."""
        whole = left.union(right)
        slope = self.weight * model.slope(whole) - 1
        middle = arb(whole.mid())
        return self._at(model, middle) + slope * (whole - middle)

    # --- sharper ------------------------------------------------------------------------------

    def _polished(self, isolating: Interval, model: MomentModel) -> FixedPoint:
        """Interval Newton from an isolating interval, at growing precision."""
        low, high = isolating
        with ctx.workdps(2 * self.digits + 30):
            x = lower.to_ball(low).union(lower.to_ball(high))
            curvature = self.weight * model.curvature(x)
            slope = self.weight * model.slope(x) - 1
            target, working = arb(10) ** -self.digits, 15
            for _ in range(_STEPS):
                middle = arb(x.mid())
                value, first = taylor(self.phi, 0, middle, 2, working)[:2]
                slope = _intersection(slope, self.weight * first - 1 + curvature * (x - middle))
                new = middle - (self.weight * value + self.bias - middle) / slope
                new = _intersection(x, new)
                if new.rad() < target * new.abs_lower():
                    x = new
                    break
                if not new.rad() < x.rad() / 4:
                    working = 2 * working if working < self.digits else self.digits + 15
                x = new
            slope = slope + 1
            integers = lower.ball_to_integers(x), lower.ball_to_integers(slope)
        stable = bool(slope < 1)
        return FixedPoint(lower.to_float(x), lower.to_float(slope), stable, integers)


def _is_hopeless(
    slope: arb, signs: list[int], search: _Search, model: MomentModel, low: Any, high: Any
) -> bool:
    """Whether the model's own error hides the sign, so that no division would show more."""
    middle = lower.to_ball(low + (high - low) * _SPLIT)
    thin = search._at(model, middle)
    spread = abs(search.weight * model.slope(middle) - 1) * lower.to_ball(high - low)
    return thin.contains(0) and arb(spread.abs_upper()) < thin.rad() / 8


def _joined(intervals: list[Interval]) -> list[Interval]:
    """Neighbours that touch, as one; each a little wider, so that signs at its ends may show."""
    joined: list[Interval] = []
    for low, high in sorted(intervals):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def _sign(ball: arb) -> int:
    return int(ball > 0) - int(ball < 0)


def _intersection(a: arb, b: arb) -> arb:
    """Both enclose the same number."""
    return a.intersection(b) if b.is_finite() else a
