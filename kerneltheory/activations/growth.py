r"""How fast an activation can grow: a proven bound by a few rules on its expression.

:math:`|\phi(x)| \le e^{B|x|} \sum_i s_i |x|^i` for every real x. With it the part of a Gaussian
integral beyond a cut is bounded, without which no cut integral is a certificate.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.pieces import X, pieces
from kerneltheory.core import lower
from kerneltheory.core.errors import DerivationError

_Y = sympy.Symbol("y", positive=True)
_BOUNDED = {sympy.tanh: 1, sympy.erf: 1, sympy.sin: 1, sympy.cos: 1, sympy.atan: 2}
_SIZES_BITS = 64


@dataclass(frozen=True)
class Growth:
    """The bound exp(rate y) sum_i sizes[i] y^i for y >= 0."""

    sizes: dict[int, arb]
    rate: arb

    def __add__(self, other: "Growth") -> "Growth":
        """A bound of the sum."""
        powers = {*self.sizes, *other.sizes}
        sizes = {i: self.sizes.get(i, arb(0)) + other.sizes.get(i, arb(0)) for i in powers}
        return Growth(sizes, self.rate.max(other.rate))

    def __mul__(self, other: "Growth") -> "Growth":
        """A bound of the product."""
        sizes: dict[int, arb] = {}
        for i, a in self.sizes.items():
            for j, b in other.sizes.items():
                sizes[i + j] = sizes.get(i + j, arb(0)) + a * b
        return Growth(sizes, self.rate + other.rate)

    def scaled(self, factor: arb) -> "Growth":
        """The bound at factor * y."""
        return Growth({i: s * factor**i for i, s in self.sizes.items()}, self.rate * factor)


@functools.lru_cache(maxsize=512)
def growth(phi: Activation) -> Growth:
    """The bound of an activation on the whole line, at both signs of x and on every piece.

    Raises:
        DerivationError: if phi grows too fast for Gaussian inputs, or no rule bounds a part of it.
    """
    total = Growth({}, arb(0))
    with ctx.workprec(_SIZES_BITS):
        for low, high, expression in pieces(phi.expression).intervals:
            for sign in (1, -1):
                if (high > 0) if sign > 0 else (low < 0):
                    total += _bound(expression.subs(X, sign * _Y), phi)
    return Growth(total.sizes, total.rate.max(arb(0)))


def _bound(u: Any, phi: Activation) -> Growth:
    """A bound of |u| for every y > 0, by the form of u."""
    if u.is_number:
        return _constant(u)
    if u == _Y:
        return Growth({1: arb(1)}, arb(0))
    if u.is_Add or u.is_Mul:
        bounds = [_bound(part, phi) for part in u.args]
        return functools.reduce(lambda a, b: a + b if u.is_Add else a * b, bounds)
    if _is_bounded(u):
        return _constant(sympy.Integer(_BOUNDED[type(u)]))
    for form, rule in _RULES.items():
        if isinstance(u, form):
            found = rule(u, phi)
            if found is not None:
                return found
    raise DerivationError(
        f"no bound is known of how {phi.name} grows: its part {u.subs(_Y, sympy.Abs(X))} is none "
        "of the sums, products, powers, exponentials and bounded functions that are understood"
    )


def _is_bounded(u: Any) -> bool:
    return type(u) in _BOUNDED and bool(u.args[0].is_real)


def _constant(number: Any) -> Growth:
    ball = lower.to_ball(sympy.Abs(number).doit())
    return Growth({0: arb(ball.abs_upper())}, arb(0))


def _power(u: Any, phi: Activation) -> Growth | None:
    """|u|^r <= (1 + |u|)^ceil(r), and |u|^-r <= f^-r if u >= f > 0, or e^{-rby} if u >= e^{by}."""
    base, order = u.base, u.exp
    if not order.is_Rational:
        return None
    if order > 0:
        bound = _bound(base, phi) + (Growth({}, arb(0)) if order.is_Integer else _constant(1))
        return functools.reduce(lambda a, b: a * b, [bound] * int(sympy.ceiling(order)))
    floor = _floor(base)
    if floor is None:
        part, below = (e.subs(_Y, sympy.Abs(X)) for e in (u, base))
        raise DerivationError(
            f"no bound is known of how {phi.name} grows: its part {part} may have a pole, since no "
            f"positive number is seen below {below}"
        )
    rising = _rising(base)
    if rising:
        return Growth({0: arb(1)}, -_constant(abs(order) * rising).sizes[0])
    return _constant(floor**order)


def _rising(u: Any) -> Any:
    """A number b with u >= exp(b y) for every y > 0, if one is seen: that of a positive term."""
    for part in u.args if u.is_Add else ():
        exponent: Any = part.args[0] if isinstance(part, sympy.exp) else sympy.S.Zero
        rate, least = exponent.coeff(_Y), _least(u - part)
        if rate.is_positive and exponent == rate * _Y and least is not None and least >= 0:
            return rate
    return None


def _exponential(u: Any, phi: Activation) -> Growth | None:
    """exp(-a y^2 + b y + c) <= exp(c + max(b, 0) y), and exp(v) <= 1 if v <= 0."""
    exponent = u.args[0]
    if exponent.is_polynomial(_Y):
        polynomial = sympy.Poly(exponent, _Y)
        linear, constant = polynomial.coeff_monomial(_Y), polynomial.coeff_monomial(1)
        falls = polynomial.degree() == 1 or polynomial.LC().is_negative
        if not falls:
            raise DerivationError(
                f"{phi.name} grows too fast: {u.subs(_Y, sympy.Abs(X))} has no finite second "
                "moment under Gaussian inputs of every variance; exponents may be -a x^2 + b x "
                "with a >= 0"
            )
        if polynomial.degree() <= 2:
            rate = sympy.Max(linear, 0)
            return Growth(_constant(sympy.exp(constant)).sizes, _constant(rate).sizes[0])
    return _constant(sympy.Integer(1)) if exponent.is_nonpositive else None


def _hyperbolic(u: Any, phi: Activation) -> Growth | None:
    """cosh(v) and sinh(v) are at most exp(|v|)."""
    inner = _bound(u.args[0], phi)
    if inner.rate != 0 or max(inner.sizes) > 1:
        return None
    sizes = inner.sizes
    return Growth({0: sizes.get(0, arb(0)).exp()}, sizes.get(1, arb(0)))


def _logarithm(u: Any, phi: Activation) -> Growth | None:
    """|log v| <= v + 1/f if v >= f > 0; linear if f <= v <= S e^{By}, by log(S) + B y."""
    floor = _floor(u.args[0])
    if floor is None:
        return None
    inner = _bound(u.args[0], phi)
    if inner.rate > 0 and set(inner.sizes) == {0}:
        size = inner.sizes[0].max(arb(1)).log()
        return Growth({0: size, 1: inner.rate}, arb(0)) + _constant(abs(sympy.log(floor)))
    return inner + _constant(1 / floor)


def _identity(u: Any, phi: Activation) -> Growth:
    """|asinh v| <= |v|."""
    return _bound(u.args[0], phi)


_RULES: dict[Any, Callable[[Any, Activation], Growth | None]] = {
    sympy.Pow: _power,
    sympy.exp: _exponential,
    sympy.sinh: _hyperbolic,
    sympy.cosh: _hyperbolic,
    sympy.log: _logarithm,
    sympy.asinh: _identity,
}


def _floor(u: Any) -> Any:
    """A positive number below u for every y > 0, if one is seen."""
    least = _least(u)
    return least if least is not None and least.is_positive else None


def _least(u: Any) -> Any:
    """A number below u for every y > 0, if one is seen."""
    if u.is_number:
        return u
    if u.is_polynomial(_Y):
        return _least_of_polynomial(sympy.Poly(u, _Y))
    if u.is_Add:
        rest = [part for part in u.args if not part.is_polynomial(_Y)]
        parts = [_least(part) for part in (u - sympy.Add(*rest), *rest)]
        return None if None in parts else sympy.Add(*parts)
    if u.is_Mul or (u.is_Pow and u.exp.is_positive):
        factors = u.args if u.is_Mul else (u.base,)
        floors = [_floor(factor) for factor in factors]
        if None not in floors:
            return sympy.Mul(*floors) if u.is_Mul else floors[0] ** u.exp
    if isinstance(u, sympy.cosh) or (isinstance(u, sympy.exp) and u.args[0].is_nonnegative):
        return sympy.Integer(1)
    if u.is_nonnegative:
        return sympy.Integer(0)
    coefficient, function = u.as_independent(_Y, as_Add=False)
    return -abs(coefficient) * _BOUNDED[type(function)] if _is_bounded(function) else None


def _least_of_polynomial(polynomial: Any) -> Any:
    """A number below a polynomial on y >= 0, positive if one is found.

    Coefficients that are not rational are rounded down. A number f < p(0) is below p if p - f has
    no root, which Sturm's theorem tells.
    """
    floor = polynomial.eval(0)
    if all(c.is_nonnegative for c in polynomial.coeffs()):
        return floor
    below = sympy.Poly({m: _rounded_down(c) for m, c in polynomial.terms()}, _Y, domain="QQ")
    floor = below.eval(0)
    if not floor.is_positive or below.LC() < 0 or below.count_roots(0, sympy.oo):
        return None
    while (below - floor).count_roots(0, sympy.oo):
        floor /= 2
    return floor


def _rounded_down(number: Any) -> Any:
    return number if number.is_Rational else sympy.floor(number * 2**40) / sympy.Integer(2) ** 40
