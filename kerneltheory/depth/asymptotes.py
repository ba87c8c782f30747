r"""The lines that an activation approaches: how E[phi^2] behaves at large variance.

If :math:`\phi(\pm y) = \alpha_\pm y + \beta_\pm + e_\pm(y)` for y > 0 with remainders e that decay
exponentially, then for u of variance q, from :math:`E|u| = \sqrt{2q/\pi}`,

.. math:: E[\phi(u)^2] = \tfrac12 \sum_\pm \Big(\alpha_\pm^2 q
          + 2 \alpha_\pm \beta_\pm \sqrt{2q/\pi} + \beta_\pm^2\Big) + \epsilon, \qquad
          |\epsilon| \le \frac{1}{\sqrt{2 \pi q}} \sum_\pm \int_0^\infty
          |2 (\alpha_\pm y + \beta_\pm)\,e_\pm + e_\pm^2|\,dy,

without which a search for fixed points could not end. Where a remainder is only bounded, as that of
a wave or of softsign, :math:`|\phi(\pm y) - \alpha_\pm y| \le M_\pm` gives

.. math:: E[\phi(u)^2] = \tfrac12 \sum_\pm \alpha_\pm^2 q + \epsilon, \qquad
          |\epsilon| \le \sum_\pm \Big(|\alpha_\pm| M_\pm \sqrt{2q/\pi} + \tfrac12 M_\pm^2\Big).

Beyond the last kink an expression is written in y and E = exp(-y), and a few rules carry "a line
and a remainder" through it.
"""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.pieces import X, pieces
from kerneltheory.core import lower
from kerneltheory.core.enclose import interval

_Y = sympy.Symbol("y", positive=True)
_E = sympy.Symbol("E", positive=True)
_BITS = 64
# How finely the part before a line is reached is enclosed, and where it ends at the earliest.
_PARTS, _FAR = 1024, 16
# Functions of bounded values, and a bound.
_BOUNDED = {sympy.sin: 1, sympy.cos: 1, sympy.atan: 2}


@dataclass(frozen=True)
class Asymptotes:
    r"""E[phi^2] at large q: :math:`a q + a_1 \sqrt q + a_0 + \epsilon`.

    Attributes:
        coefficients: a, a_1, a_0, exactly; a_1 and a_0 are 0 where epsilon has terms as large.
        remainders: :math:`|\epsilon| \le r_1 \sqrt q + r_0 + r_{-1}/\sqrt q`; balls of these.
    """

    coefficients: tuple[Any, Any, Any]
    remainders: tuple[arb, arb, arb]

    @property
    def rate(self) -> Any:
        """What E[phi^2]/q tends to as q grows, exactly."""
        return self.coefficients[0]

    @property
    def strays(self) -> bool:
        """Whether phi stays near lines, not all level, without approaching them, as x + sin x."""
        return bool(self.remainders[0] != 0)


@functools.lru_cache(maxsize=512)
def asymptotes(phi: Activation) -> Asymptotes | None:
    """How E[phi^2] grows by the lines that phi stays near, or None where no rule shows any.

    Examples:
        >>> from kerneltheory.activations.catalogue import elu, exp, softplus, tanh
        >>> [found and found.coefficients for found in map(asymptotes, (tanh, softplus, exp))]
        [(0, 0, 1), (1/2, 0, 0), None]
    """
    parts = pieces(phi.expression).intervals
    with ctx.workprec(_BITS):
        sides = [
            _line(_in_decays(expression.subs(X, sign * _Y)))
            for sign, expression in ((-1, parts[0][2]), (1, parts[-1][2]))
        ]
        if sides[0] is None or sides[1] is None:
            return None
        both = list(zip((-1, 1), (sides[0], sides[1]), strict=True))
        if all(line.rate > 0 for _, line in both):
            root = sympy.sqrt(2 / sympy.pi)
            coefficients = (
                sum(line.slope**2 for _, line in both) / 2,
                sum(line.slope * line.level for _, line in both) * root,
                sum(line.level**2 for _, line in both) / 2,
            )
            total = sum((_deficit(phi, sign, line) for sign, line in both), arb(0))
            return Asymptotes(coefficients, (arb(0), arb(0), total / (2 * arb.pi()).sqrt()))
        rate = sum(line.slope**2 for _, line in both) / 2
        first, second = arb(0), arb(0)
        for sign, line in both:
            distance = _distance(phi, sign, line)
            first += abs(lower.to_ball(line.slope)) * distance * (2 / arb.pi()).sqrt()
            second += distance * distance / 2
        zero = sympy.S.Zero
        return Asymptotes((rate, zero, zero), (arb(first.upper()), arb(second.upper()), arb(0)))


def _deficit(phi: Activation, sign: int, line: "_Line") -> arb:
    """A bound of the integral of |phi^2 - (line)^2| over one side."""
    slope, level = lower.to_ball(line.slope), lower.to_ball(line.level)
    start = _start(phi, line)
    total = arb(0)
    # What cancels in phi - line does so before balls are put in.
    straight = line.slope * sign * X + line.level
    for y, rest in _values(phi, sign, start, straight):
        total += 2 * y.rad() * arb((rest * (rest + 2 * (slope * y + level))).abs_upper())
    rate, size = lower.to_ball(line.rate), line.size * (-lower.to_ball(line.rate) * start).exp()
    total += 2 * size * (abs(slope) * (start / rate + 1 / rate**2) + abs(level) / rate)
    return arb((total + size * size / (2 * rate)).upper())


def _distance(phi: Activation, sign: int, line: "_Line") -> arb:
    """A bound of |phi - slope y| on one side."""
    start = _start(phi, line)
    tail = abs(lower.to_ball(line.level)) + line.size
    sloped = line.slope * sign * X
    values = (arb(value.abs_upper()) for _, value in _values(phi, sign, start, sloped))
    return functools.reduce(arb.max, values, tail)


def _start(phi: Activation, line: "_Line") -> arb:
    """From where on the remainder of a line is bounded."""
    breaks = [abs(lower.to_ball(b)) for b in pieces(phi.expression).breaks if b != 0]
    return arb(max([line.start, _FAR, *(math.ceil(float(b.upper())) for b in breaks)]))


def _values(phi: Activation, sign: int, start: arb, less: Any = sympy.S.Zero) -> Any:
    """Balls of y that cover [0, start], each with that of phi(sign y) - less, piece by piece."""
    for low, high, expression in pieces(phi.expression).intervals:
        function = lower.to_balls((X,), sympy.expand(expression - less))
        left = (lower.to_ball(low) if low.is_finite else -start).max(-start if sign < 0 else arb(0))
        right = (lower.to_ball(high) if high.is_finite else start).min(
            start if sign > 0 else arb(0)
        )
        if not left < right:
            continue
        for i in range(_PARTS):
            ends = [left + (right - left) * j / _PARTS for j in (i, i + 1)]
            x = interval(*ends)
            yield sign * x, function(x) * arb(1)


# --- lines with a remainder -------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """The function slope y + level + e(y), |e(y)| <= size exp(-rate y) for y >= start."""

    slope: Any
    level: Any
    size: arb
    rate: Any
    start: int = 0


def _in_decays(u: Any) -> Any:
    """An expression in y with its exponentials of lines as powers of E = exp(-y)."""
    u = u.replace(sympy.tanh, lambda v: (sympy.exp(2 * v) - 1) / (sympy.exp(2 * v) + 1))
    u = u.replace(
        lambda node: isinstance(node, sympy.exp) and _is_rational_line(node.args[0]),
        lambda node: (
            _E ** -node.args[0].coeff(_Y) * sympy.exp(node.args[0] - node.args[0].coeff(_Y) * _Y)
        ),
    )
    return u.replace(sympy.log, _logarithm)


def _is_rational_line(u: Any) -> bool:
    u = sympy.expand(u)
    return u.is_polynomial(_Y) and sympy.Poly(u, _Y).degree() == 1 and u.coeff(_Y).is_Rational


def _logarithm(v: Any) -> Any:
    """Log of a fraction with its power of E taken out, which is a line."""
    v = sympy.together(v)
    power = sympy.limit(sympy.log(v) / sympy.log(_E), _E, 0, "+") if v.has(_E) else sympy.S.Zero
    return sympy.log(sympy.cancel(v * _E**-power), evaluate=False) - power * _Y


def _line(u: Any) -> _Line | None:
    """The line that an expression in y and E approaches, by its form."""
    if u.is_number:
        return _Line(sympy.S.Zero, u, arb(0), sympy.S.One)
    if u == _Y:
        return _Line(sympy.S.One, sympy.S.Zero, arb(0), sympy.S.One)
    if u == _E:
        return _Line(sympy.S.Zero, sympy.S.Zero, arb(1), sympy.S.One)
    if u.is_rational_function(_Y) and not u.has(_E) and not u.is_polynomial(_Y):
        divided = sympy.apart(u, _Y)
        u = divided if divided.is_Add else u
    if u.is_rational_function(_Y, _E) and u.has(_E):
        u = sympy.cancel(u)
    if u.is_Add or u.is_Mul:
        lines = [line for part in u.args for line in _lines(part, u.is_Mul)]
        if u.is_Add or None in lines:
            return functools.reduce(_sum, lines)
        # What decays first: it takes powers of y with it.
        return functools.reduce(_product, sorted(lines, key=_is_steep))
    if u.is_Pow and u.exp.is_Integer:
        base = _line(u.base)
        power = functools.reduce(_product, itertools.repeat(base, abs(int(u.exp))))
        return power if u.exp > 0 else _reciprocal(power)
    if type(u) in _BOUNDED and u.args[0].is_real is not False:
        return _Line(sympy.S.Zero, sympy.S.Zero, arb(_BOUNDED[type(u)]), sympy.S.Zero)
    rule = {sympy.erf: _error_function, sympy.log: _log, sympy.exp: _gaussian}.get(type(u))
    return None if rule is None else rule(u.args[0])


def _is_steep(line: Any) -> bool:
    return line.slope != 0


def _lines(u: Any, is_factor: bool) -> list[_Line | None]:
    """The line of a part; of a factor y^n that of each y."""
    if is_factor and u.is_Pow and u.base == _Y and u.exp.is_Integer and u.exp > 0:
        return [_line(_Y)] * int(u.exp)
    return [_line(u)]


def _sum(a: _Line | None, b: _Line | None) -> _Line | None:
    if a is None or b is None:
        return None
    rate = b.rate if a.size == 0 else a.rate if b.size == 0 else min(a.rate, b.rate)
    return _Line(a.slope + b.slope, a.level + b.level, a.size + b.size, rate, max(a.start, b.start))


def _product(a: _Line | None, b: _Line | None) -> _Line | None:
    """y e(y) decays at half the rate of e: y exp(-r y/2) <= 2/(e r)."""
    if a is None or b is None:
        return None
    a, b = (a, b) if a.slope != 0 else (b, a)
    if b.slope != 0:
        return None
    parts = [(abs(lower.to_ball(a.level)) + a.size, b), (abs(lower.to_ball(b.level)), a)]
    total = sum((factor * line.size for factor, line in parts), arb(0))
    rate = min((line.rate for _, line in parts if line.size != 0), default=sympy.S.One)
    if a.slope != 0 and b.size != 0:
        if b.rate == 0:
            return None
        rate = min(rate, b.rate / 2)
        total += abs(lower.to_ball(a.slope)) * b.size * 2 / (arb(1).exp() * lower.to_ball(b.rate))
    start = max(a.start, b.start)
    return _Line(a.slope * b.level, a.level * b.level, total, rate, start)


def _settled(line: _Line) -> _Line | None:
    """The same from where its remainder is at most half its level on; the slope is zero."""
    if line.slope != 0 or line.level == 0 or (line.size != 0 and line.rate == 0):
        return None
    ratio = float((2 * line.size / abs(lower.to_ball(line.level))).upper())
    start = math.ceil(math.log(max(ratio, 1)) / float(line.rate)) if ratio > 1 else 0
    return _Line(line.slope, line.level, line.size, line.rate, max(line.start, start))


def _reciprocal(line: _Line | None) -> _Line | None:
    if line is None:
        return None
    if line.slope != 0:  # at most 2/(|slope| y), y >= 1, where the line is past its level
        past = 2 * (abs(lower.to_ball(line.level)) + line.size) / abs(lower.to_ball(line.slope))
        start = max(line.start, 1, math.ceil(float(past.upper())))
        return _Line(
            sympy.S.Zero, sympy.S.Zero, 2 / abs(lower.to_ball(line.slope)), sympy.S.Zero, start
        )
    settled = _settled(line)
    if settled is None:
        return None
    size = 2 * line.size / lower.to_ball(line.level) ** 2
    return _Line(sympy.S.Zero, 1 / line.level, size, line.rate, settled.start)


def _log(u: Any) -> _Line | None:
    line = _line(u)
    settled = None if line is None else _settled(line)
    if settled is None or not settled.level.is_positive:
        return None
    size = 2 * settled.size / lower.to_ball(settled.level)
    return _Line(sympy.S.Zero, sympy.log(settled.level), size, settled.rate, settled.start)


def _error_function(u: Any) -> _Line | None:
    """1 - erf(v) <= exp(-v^2) <= exp(1/4 - v) for v >= 0."""
    line = _line(u)
    if line is None or line.slope == 0:
        return line and _Line(sympy.S.Zero, sympy.S.Zero, arb(1), sympy.S.Zero, line.start)
    slope, level = abs(line.slope), line.level * sympy.sign(line.slope)
    if not level.is_number:
        return None
    below = lower.to_ball(-level / slope).upper()
    start = max(line.start, math.ceil(float(below)), 0)
    size = (arb(1) / 4 - lower.to_ball(level) + line.size).exp()
    rate = sympy.Rational(math.floor(float(lower.to_ball(slope).lower()) * 2**20), 2**20)
    # A remainder of the argument would enter size and start; none of the rules leaves one here.
    if line.size != 0:
        return None
    return _Line(sympy.S.Zero, sympy.sign(line.slope), size, rate, start)


def _gaussian(u: Any) -> _Line | None:
    """exp(-a y^2 + b y + c) <= exp(c + (b + 1)^2/(4 a)) exp(-y)."""
    if not u.is_polynomial(_Y) or sympy.Poly(u, _Y).degree() != 2:
        return None
    a, b, c = (sympy.Poly(u, _Y).coeff_monomial(_Y**i) for i in (2, 1, 0))
    if not a.is_negative:
        return None
    size = lower.to_ball(sympy.exp(c - (b + 1) ** 2 / (4 * a)))
    return _Line(sympy.S.Zero, sympy.S.Zero, size, sympy.S.One)
