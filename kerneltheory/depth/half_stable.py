r"""Where both susceptibilities are 1 at a positive variance: the zeros of a Gaussian mean, proved.

Stein's lemma makes two equations one, since

.. math:: \chi_\parallel - \chi_\perp = w\,M(K), \qquad M(K) = E[\phi(u)\,\phi''(u)],
          \quad u \sim N(0, K)

with the second derivative in the sense of distributions. By the heat equation
:math:`M^{(n)}(K) = E[\phi\phi''\,He_{2n}(u/\sqrt K)]/(2K)^n`, so one integration at the middle of
an interval of variances gives a Taylor polynomial there, and Cauchy-Schwarz its remainder:

.. math:: |M^{(n)}(K)| \le \frac{\sqrt{(2n)!}}{(2K)^n}\sqrt{E_K[(\phi\phi'')^2]}, \qquad
          E_K \le \sqrt{K_2/K}\,E_{K_2} \quad (K \le K_2).

Intervals that cover the range are either proved to hold no zero, or a single one.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, arb_series, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.expectation import gaussian_expectations
from kerneltheory.activations.growth import growth
from kerneltheory.activations.pieces import X, pieces
from kerneltheory.core import lower
from kerneltheory.core.enclose import interval, plus_minus
from kerneltheory.core.errors import PrecisionError

# The variances that are searched; activations have their scale near 1.
LOWEST, HIGHEST = sympy.Rational(1, 1000), sympy.Integer(1000)
# Half of an interval over its middle, so that a remainder is half of the one before.
SPREAD = sympy.Rational(1, 3)
ORDER, SEARCH_DIGITS = 12, 8
# Bisections of an interval on its polynomial, which costs little, before it is given up.
BISECTIONS = 40


@dataclass(frozen=True)
class Curvature:
    """phi phi'' as a function and as point masses at the kinks.

    Attributes:
        function: the product of phi and its second derivative between the breaks.
        masses: (b, phi(b) times the step of phi' at b), exact, where that is not zero.
        sign: 1 or -1 where it is seen to be nowhere of the other sign, else 0.
    """

    function: Activation
    masses: tuple[tuple[sympy.Expr, sympy.Expr], ...]
    sign: int

    @property
    def smooth(self) -> bool:
        """Whether there is more than masses."""
        return self.function.expression != 0

    @property
    def vanishes(self) -> bool:
        """Whether it is zero everywhere, so that every variance is a zero of its mean."""
        return not self.masses and not self.smooth


@functools.lru_cache(maxsize=256)
def curvature(phi: Activation) -> Curvature:
    """The product of a continuous activation and its second derivative."""
    split = pieces(phi.expression)
    products = [_times_second(e) for e in split.expressions]
    cases = [(e, sympy.Lt(X, b)) for e, b in zip(products, split.breaks, strict=False)]
    joined: Any = sympy.Piecewise(*cases, (products[-1], True))
    masses = []
    for place, change in split.changes:
        step = sympy.diff(change, X).subs(X, place)
        mass = sympy.simplify(step * phi.expression.subs(X, place))
        if mass != 0:
            masses.append((place, mass))
    sign = _common_sign([e * sympy.diff(e, X, 2) for e in split.expressions], masses)
    return Curvature(Activation(f"curvature of {phi.name}", joined), tuple(masses), sign)


def _common_sign(products: list[Any], masses: list[tuple[Any, Any]]) -> int:
    parts = [*map(sympy.factor, products), *(mass for _, mass in masses)]
    if all(part.is_nonnegative for part in parts):
        return 1
    return -1 if all(part.is_nonpositive for part in parts) else 0


def _times_second(u: Any) -> Any:
    """u u'', with exponentials in tanh: no exponentials cancel, which bounds could not see."""
    u = u.replace(
        lambda node: isinstance(node, sympy.tanh) and isinstance(node.args[0], sympy.log),
        lambda node: (node.args[0].args[0] ** 2 - 1) / (node.args[0].args[0] ** 2 + 1),
    )
    rates = {sympy.cancel(node.args[0] / X) for node in u.atoms(sympy.exp)}
    if not rates or not all(rate.is_Integer for rate in rates):
        return u * sympy.diff(u, X, 2)
    half, symbol = sympy.tanh(X / 2), sympy.Dummy("T")
    u = u.replace(
        lambda node: isinstance(node, sympy.exp),
        lambda node: ((1 + half) / (1 - half)) ** sympy.cancel(node.args[0] / X),
    )
    product: Any = sympy.factor((u * sympy.diff(u, X, 2)).subs(half, symbol))
    return product.subs(symbol, half)


@dataclass(frozen=True)
class Expansion:
    """The mean curvature at middle + t, |t| <= radius: sum coefficients[n] t^n, up to rest |t|^N.

    Attributes:
        middle: of the variances, exact.
        radius: how far it holds.
        coefficients: balls.
        rest: bound of the N-th derivative over N!.
    """

    middle: arb
    radius: arb
    coefficients: tuple[arb, ...]
    rest: arb

    def value(self, t: arb) -> arb:
        """Enclose M(middle + t)."""
        total = arb(0)
        for coefficient in reversed(self.coefficients):
            total = total * t + coefficient
        return total + plus_minus(self.rest * arb(t.abs_upper()) ** len(self.coefficients))

    def slope(self, t: arb) -> arb:
        """Enclose M'(middle + t)."""
        total, count = arb(0), len(self.coefficients)
        for n in reversed(range(1, count)):
            total = total * t + n * self.coefficients[n]
        return total + plus_minus(count * self.rest * arb(t.abs_upper()) ** (count - 1))


def expand(phi: Activation, middle: arb, radius: arb, order: int, digits: int) -> Expansion:
    """Expand the mean curvature around a variance, with its remainder out to a radius."""
    with ctx.workdps(digits + 15):
        coefficients = _coefficients(phi, middle, order, digits)
        rest = _remainder(phi, middle - radius, middle + radius, order, digits)
        return Expansion(middle, radius, tuple(coefficients), rest)


def _coefficients(phi: Activation, variance: arb, order: int, digits: int) -> list[arb]:
    """Balls around M^(n)(K)/n! for n < order."""
    found = curvature(phi)
    total = [arb(0)] * order
    if found.smooth:
        factor = (found.function, variance.sqrt())
        means = gaussian_expectations([factor], 2 * order - 1, digits)
        total = [
            mean * arb(math.factorial(2 * n)).sqrt() / (math.factorial(n) * (2 * variance) ** n)
            for n, mean in enumerate(means[::2])
        ]
    series = _of_masses(found, variance, order)
    return [a + b for a, b in zip(total, series, strict=True)]


def _of_masses(found: Curvature, variance: arb, order: int) -> list[arb]:
    """Taylor coefficients in K of the point masses times the density at their places."""
    cap, ctx.cap = ctx.cap, order
    try:
        K, total = arb_series([variance, 1]), arb_series([0])
        for place, mass in found.masses:
            b, weight = lower.to_ball(place), lower.to_ball(mass)
            one = arb_series([1])
            density = (-b * b / 2 * (one / K)).exp() * (one / (2 * arb.pi() * K).sqrt())
            total = total + weight * density
        return [total[n] for n in range(order)]
    finally:
        ctx.cap = cap


def _remainder(phi: Activation, low: arb, high: arb, order: int, digits: int) -> arb:
    """Bound of |M^(n)|/n!, n the order, on an interval of variances."""
    found = curvature(phi)
    total = arb(0)
    if found.smooth:
        (square,) = gaussian_expectations([(found.function, high.sqrt())] * 2, 1, digits)
        norm = ((high / low).sqrt() * arb(square.abs_upper())).sqrt()
        scale = arb(math.factorial(2 * order)).sqrt() / (math.factorial(order) * (2 * low) ** order)
        total += norm * scale
    for place, mass in found.masses:
        total += _mass_remainder(lower.to_ball(place), lower.to_ball(mass), low, high, order)
    return arb(total.upper())


def _mass_remainder(b: arb, mass: arb, low: arb, high: arb, order: int) -> arb:
    """Cauchy's bound of a derivative over its factorial, of a mass times the density at b.

    On the disc of radius 0.9 low around any K of the interval, Re(1/K) is at least 1/(K + radius).
    """
    radius = low * 9 / 10
    largest = (-b * b / (2 * (high + radius))).exp() / (2 * arb.pi() * (low - radius)).sqrt()
    return arb((abs(mass) * largest / radius**order).abs_upper())


# --- all zeros --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """What the search for zeros has proved.

    Attributes:
        low, high: the variances between which it holds, exact.
        brackets: of the zeros, each the only one in its bracket; there are no others.
        sign: of the mean curvature at the low end.
    """

    low: Any
    high: Any
    brackets: tuple[tuple[arb, arb], ...]
    sign: int


@functools.lru_cache(maxsize=256)
def zeros(phi: Activation) -> Search:
    """All zeros of the mean curvature between `LOWEST` and `HIGHEST`.

    Where phi grows exponentially the range ends where its mean squares are still moderate.

    Raises:
        PrecisionError: if signs are not decided, as around a double zero.
    """
    high: Any = HIGHEST
    rate = float(growth(curvature(phi).function).rate)
    if rate > 0:
        high = min(high, sympy.Rational(round(16 / rate**2), 16))
    with ctx.workdps(SEARCH_DIGITS + 15):
        brackets, sign = [], 0
        start: Any = LOWEST
        while start < high:
            end = min(high, start * (1 + SPREAD) / (1 - SPREAD))
            middle, radius = (lower.to_ball(part / 2) for part in (start + end, end - start))
            expansion = expand(phi, middle, radius, ORDER, SEARCH_DIGITS)
            sign = sign or _sign(expansion.value(-expansion.radius))
            brackets += _isolated(phi, expansion, -expansion.radius, expansion.radius, BISECTIONS)
            start = end
        return Search(LOWEST, high, tuple(brackets), sign)


def _sign(value: arb) -> int:
    return 1 if value > 0 else -1 if value < 0 else 0


def _isolated(
    phi: Activation, expansion: Expansion, low: arb, high: arb, left: int
) -> list[tuple[arb, arb]]:
    """Brackets of the zeros at middle + t for t in [low, high]."""
    inside = interval(low, high)
    if _sign(expansion.value(inside)):
        return []
    ends = [_sign(expansion.value(end)) for end in (low, high)]
    if _sign(expansion.slope(inside)) and all(ends):
        place = expansion.middle
        return [(place + low, place + high)] if ends[0] != ends[1] else []
    if not left:
        raise PrecisionError(
            f"whether chi_par = chi_perp for {phi.name} near K = {expansion.middle.str(8)} was not "
            "decided: a zero of <phi phi''> there may be double"
        )
    middle = ((low + high) / 2).mid()
    return [
        *_isolated(phi, expansion, low, middle, left - 1),
        *_isolated(phi, expansion, middle, high, left - 1),
    ]


def refine(phi: Activation, bracket: tuple[arb, arb], digits: int) -> arb:
    """A ball of the given relative accuracy around the zero in a bracket, by interval Newton.

    Raises:
        PrecisionError: if Newton's step does not map its interval into itself.
    """
    working = digits + 10
    with ctx.workdps(working + 15):
        middle = ((bracket[0] + bracket[1]) / 2).mid()
        for _ in range(6 + working.bit_length()):
            value, slope = _coefficients(phi, middle, 2, working)
            step = value / slope
            moved = middle - step
            middle = min(max(moved.mid(), bracket[0].mid()), bracket[1].mid())
            if abs(step) < middle * arb(10) ** -(working - 2):
                break
        radius = (middle * arb(10) ** -(digits + 5)).mid()
        expansion = expand(phi, middle, radius, 2, working)
        found = middle - expansion.coefficients[0] / expansion.slope(plus_minus(radius))
        if not interval(middle - radius, middle + radius).contains_interior(found):
            raise PrecisionError(
                f"the zero of <phi phi''> of {phi.name} near K = {middle.str(10)} was not "
                f"certified to {digits} digits"
            )
        return found
