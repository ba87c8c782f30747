"""Evidence by the algebra of rational functions: limits, inequalities and equality at a root."""

from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.core.derivation import Evidence, Identity, Step
from kerneltheory.core.errors import DerivationError


@dataclass(frozen=True)
class RationalLimit(Evidence):
    """A rational function of one symbol has a limit: its reduced form is continuous there.

    Attributes:
        expression: rational in `symbol`; other symbols are positive numbers.
        symbol: what tends to the point.
        point: a number or infinity.
        value: the limit.
    """

    expression: Any
    symbol: sympy.Symbol
    point: Any
    value: Any

    def verify(self, digits: int) -> str:
        """Prove it: numerator and denominator at the point, after common factors are cancelled."""
        small = sympy.Dummy("epsilon")
        place = 1 / small if self.point == sympy.oo else self.point + small
        reduced = sympy.cancel(sympy.together(self.expression.subs(self.symbol, place)))
        above, below = (sympy.expand(part) for part in sympy.fraction(reduced))
        if not (above.is_polynomial(small) and below.is_polynomial(small)):
            raise DerivationError(f"{self.expression} is not rational in {self.symbol}")
        # Other symbols may take any positive value, so the denominator must keep its sign.
        at_point = below.subs(small, 0)
        if not (_is_positive(at_point) or _is_positive(-at_point)):
            raise DerivationError(
                f"{self.expression} is not proved to be finite as {self.symbol} -> {self.point}"
            )
        return Identity(above.subs(small, 0) / at_point, sympy.sympify(self.value)).verify(digits)

    def about(self) -> tuple[Any, ...]:
        """The limit."""
        return (self.value,)


@dataclass(frozen=True)
class Positive(Evidence):
    """A rational function is positive since all coefficients of its polynomials are.

    Its symbols are non-negative numbers, or positive ones where they are declared so.

    Attributes:
        expression: the function.
    """

    expression: Any

    def verify(self, digits: int) -> str:
        """Prove it, or name a point at which it is not positive."""
        above, below = sympy.fraction(sympy.cancel(sympy.together(self.expression)))
        for sign in (1, -1):
            if _is_positive(sign * above) and _is_positive(sign * below):
                return "proved"
        point = {symbol: sympy.Rational(1, 3) for symbol in self.expression.free_symbols}
        for value in (sympy.Rational(1, 100), sympy.Rational(1, 3), sympy.Integer(100)):
            point = dict.fromkeys(point, value)
            if self.expression.subs(point) <= 0:
                place = ", ".join(f"{symbol} = {value}" for symbol in sorted(point, key=str))
                raise DerivationError(f"at {place}, {self.expression} is not positive")
        raise DerivationError(f"no proof was found that {self.expression} is positive")


@dataclass(frozen=True)
class Root(Evidence):
    """A closed form solves an equation: with it the difference of both sides vanishes.

    Attributes:
        relation: the expression that vanishes.
        symbol: the unknown.
        value: the closed form.
    """

    relation: Any
    symbol: sympy.Symbol
    value: Any

    def verify(self, digits: int) -> str:
        """Prove it by substitution."""
        return Identity(self.relation.subs(self.symbol, self.value), sympy.S.Zero).verify(digits)

    def about(self) -> tuple[Any, ...]:
        """The closed form."""
        return (self.value,)


@dataclass(frozen=True)
class EqualAtRoots(Evidence):
    """Two rational functions agree at the roots of a polynomial, which divides their difference.

    Attributes:
        left, right: the functions.
        polynomial: the polynomial.
        symbol: its unknown.
    """

    left: Any
    right: Any
    polynomial: Any
    symbol: sympy.Symbol

    def verify(self, digits: int) -> str:
        """Prove it: the numerator of the difference leaves no remainder."""
        difference = sympy.cancel(sympy.together(self.left - self.right))
        above, _ = sympy.fraction(difference)  # reduced: what divides one does not divide the other
        divisor = sympy.numer(sympy.together(self.polynomial))
        remainder = sympy.rem(above, divisor, self.symbol)
        if sympy.expand(remainder) != 0:
            raise DerivationError(
                f"{self.left} and {self.right} differ where {self.polynomial} vanishes, by a "
                f"multiple of {sympy.factor(remainder)}"
            )
        return "proved"

    def about(self) -> tuple[Any, ...]:
        """Both functions."""
        return self.left, self.right


def identity_step(left: Any, right: Any, reason: str, name: Any = None) -> Step:
    """The step `name = right`, or `left = right`, because left and right are identical."""
    stated, right = left if name is None else name, sympy.sympify(right)
    return Step(sympy.Eq(stated, right, evaluate=False), reason, Identity(left, right))


def limit_step(expression: Any, symbol: Any, point: Any, value: Any, reason: str) -> Step:
    """The step that states the limit of a rational function."""
    value = sympy.sympify(value)
    stated = sympy.Limit(expression, symbol, point, "-" if point == sympy.oo else "+")
    evidence = RationalLimit(expression, symbol, point, value)
    return Step(sympy.Eq(stated, value, evaluate=False), reason, evidence)


def positive_step(expression: Any, reason: str, where: dict[Any, Any] | None = None) -> Step:
    """The step that states that a rational function is positive.

    `where` says of which values: it puts symbols for which the proof holds in place of others.
    """
    stated = sympy.Gt(expression, 0, evaluate=False)
    return Step(stated, reason, Positive(expression.subs(where or {}, simultaneous=True)))


def _is_positive(expression: Any) -> bool:
    """Whether the coefficients prove that a polynomial is positive for non-negative symbols."""
    expanded = sympy.expand(expression)
    symbols = sorted(expanded.free_symbols, key=str)
    if not symbols:
        return bool(expanded.is_positive)
    if not expanded.is_polynomial(*symbols):
        return False
    terms = sympy.Poly(expanded, *symbols).terms()
    known = all(symbol.is_nonnegative for symbol in symbols)
    if not known or not all(coefficient.is_positive for _, coefficient in terms):
        return False
    return any(
        all(symbol.is_positive for symbol, power in zip(symbols, powers, strict=True) if power)
        for powers, _ in terms
    )
