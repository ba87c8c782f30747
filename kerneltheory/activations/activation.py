"""The Activation record: a nonlinearity as an exact expression in one real variable."""

import functools
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.activations.pieces import X, pieces
from kerneltheory.core.display import latex, short_numbers


@dataclass(frozen=True)
class Activation:
    """A nonlinearity phi, as an exact expression in the symbol `X`.

    Attributes:
        name: a short name.
        expression: phi(x).
        reference: where it is from.

    Examples:
        >>> Activation("square", X**2)
        Activation(name='square', expression=x**2, reference='')
    """

    name: str
    expression: sympy.Expr
    reference: str = ""

    def __post_init__(self) -> None:
        # What help() and `?` show of a constant such as `kt.relu`.
        origin = f"\n\nReference: {self.reference}." if self.reference else ""
        object.__setattr__(
            self,
            "__doc__",
            f"The activation {self}.{origin}\n\nIt is an `Activation`, the argument `phi` of "
            f"`kt.dual`, `kt.nngp`, `kt.ntk`, `kt.phase` and others.",
        )

    @functools.cached_property
    def parity(self) -> int:
        """1 if phi is even, -1 if it is odd, 0 if neither is seen."""
        for sign in (1, -1):
            if self.polynomial_part(-sign) == -1:
                return sign
        return 0

    def polynomial_part(self, sign: int) -> int | None:
        """Degree of phi(x) + sign phi(-x), -1 if that is zero; None if it is no polynomial.

        Args:
            sign: 1 or -1.

        Examples:
            >>> Activation("relu", sympy.Max(X, 0)).polynomial_part(-1)  # x
            1
        """
        straight = pieces(self.expression)
        mirrored = straight.mirrored()
        if straight.breaks != mirrored.breaks:
            return None
        pairs = zip(straight.expressions, mirrored.expressions, strict=True)
        parts = {sympy.expand(a + sign * b) for a, b in pairs}
        (part, *others) = parts
        if others or not part.is_polynomial(X):
            return None
        return -1 if part == 0 else int(sympy.Poly(part, X).degree())

    @functools.cached_property
    def homogeneous(self) -> bool:
        """Whether phi(s x) = s phi(x) for s > 0 is seen: two lines that meet at 0, as relu."""
        size = sympy.Dummy(positive=True)
        return all(
            sympy.expand(
                self.expression.subs(X, side * size) - size * self.expression.subs(X, side)
            )
            == 0
            for side in (1, -1)
        )

    def __str__(self) -> str:
        return f"{self.name}: x -> {short_numbers(self.expression)}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle \\phi(x) = {latex(short_numbers(self.expression))}$"


def activation(expression: Any, name: str | None = None) -> Activation:
    """An activation from any real sympy expression in one symbol.

    Args:
        expression: an `Activation`, or a sympy expression with one free symbol. A float in it
            means the rational number that it is.
        name: a short name; the expression's text if none is given.

    Raises:
        TypeError: if it is neither.
        ValueError: if the expression has no free symbol or more than one.

    Examples:
        >>> u = sympy.Symbol("u")
        >>> print(activation(u**2, name="square"))
        square: x -> x**2
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a short text or None, got {name!r}")
    if isinstance(expression, Activation):
        return expression
    if not isinstance(expression, sympy.Expr):
        raise TypeError(
            "phi must be an Activation or a sympy expression in one symbol, "
            f"got {type(expression).__name__} {expression!r}"
        )
    symbols = sorted(expression.free_symbols, key=str)
    if len(symbols) != 1:
        raise ValueError(
            f"phi must have exactly one free symbol, got {[str(s) for s in symbols]}; "
            "substitute numbers for its parameters"
        )
    expression = expression.subs(symbols[0], X)
    known = _in_known_functions(expression)
    _check_real(known)
    return Activation(name or str(expression), known)


def _in_known_functions(expression: Any) -> Any:
    """The same function in those that derivations understand, its floats exact.

    A float means the rational number that it is, as it does where a factory takes one.
    """
    expression = expression.replace(
        lambda node: node.is_Float and node.is_finite, lambda node: sympy.Rational(node)
    )
    expression = expression.replace(sympy.erfc, lambda u: 1 - sympy.erf(u))
    expression = expression.replace(sympy.sech, lambda u: 1 / sympy.cosh(u))
    return expression.replace(
        lambda node: node.is_Pow and node.base.is_positive and not node.exp.is_number,
        lambda node: sympy.exp(node.exp * sympy.log(node.base)),
    )


# Points of both signs, at which no kink is likely.
_SAMPLES = tuple(sympy.Rational(sign * p, 3) for p in (1, 4, 10, 100, 10_000) for sign in (-1, 1))


def _check_real(expression: sympy.Expr) -> None:
    """Refuse an expression that is complex or infinite at some real point.

    Raises:
        ValueError: naming the point.
    """
    for point in _SAMPLES:
        try:
            value: Any = expression.subs(X, point)
        except ValueError:  # a maximum of numbers so close that they are not told apart
            continue
        if value.is_real is False or value.has(sympy.zoo, sympy.nan):
            raise ValueError(
                f"phi must be real on the real line, got {expression}, which is {value} at "
                f"x = {point}"
            )
