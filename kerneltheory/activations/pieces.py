"""Where an expression changes its form: breakpoints, and what it is between them.

Maxima, absolute values, signs, steps and cases are the kinks and jumps of activations. Between
them the expression is analytic, which is what derivation and rigorous integration both need.
"""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.core.errors import DerivationError

X = sympy.Symbol("x", real=True)
SWITCHES = (sympy.Max, sympy.Min, sympy.Abs, sympy.sign, sympy.Heaviside, sympy.Piecewise)


@dataclass(frozen=True)
class Pieces:
    """An expression in `X` on the real line: expressions[i] between breaks[i - 1] and breaks[i].

    Attributes:
        breaks: exact real numbers, ascending.
        expressions: one more, each without switches. What holds at a break itself is left out.
    """

    breaks: tuple[sympy.Expr, ...]
    expressions: tuple[sympy.Expr, ...]

    @property
    def intervals(self) -> list[tuple[Any, Any, sympy.Expr]]:
        """(low, high, expression) from left to right; the first low and last high are infinite."""
        ends = [-sympy.oo, *self.breaks, sympy.oo]
        return [
            (low, high, expression)
            for (low, high), expression in zip(
                itertools.pairwise(ends), self.expressions, strict=True
            )
        ]

    @property
    def changes(self) -> list[tuple[sympy.Expr, Any]]:
        """(break, right - left) at every break: the first piece and these steps are the whole."""
        differences = (right - left for left, right in itertools.pairwise(self.expressions))
        return list(zip(self.breaks, differences, strict=True))

    def mirrored(self) -> "Pieces":
        """The pieces of the expression at -x."""
        return Pieces(
            tuple(-b for b in reversed(self.breaks)),
            tuple(e.subs(X, -X) for e in reversed(self.expressions)),
        )


@functools.lru_cache(maxsize=512)
def pieces(expression: sympy.Expr) -> Pieces:
    """Split an expression in `X` where a maximum, absolute value, sign, step or case switches.

    Raises:
        DerivationError: if a switch depends on something whose real roots are not exact: known are
            those of polynomials in x and of monotone functions of them.

    Examples:
        >>> pieces(sympy.Max(-1, sympy.Min(1, X)))
        Pieces(breaks=(-1, 1), expressions=(-1, x, 1))
    """
    found = _split(expression, -sympy.oo, sympy.oo)
    breaks, expressions = [], [found[0][1]]
    for low, part in found[1:]:
        if sympy.expand(part - expressions[-1]) != 0:
            breaks.append(low)
            expressions.append(part)
    return Pieces(tuple(breaks), tuple(expressions))


def _split(expression: Any, low: Any, high: Any) -> list[tuple[Any, sympy.Expr]]:
    """(left end, expression) of every part of (low, high), by resolving innermost switches."""
    node = _innermost_switch(expression)
    if node is None:
        return [(low, expression)]
    roots = {root for u in _decisive(node) for root in _real_roots(u, node)}
    ends = [low, *sorted((r for r in roots if low < r < high), key=lambda r: r.evalf(50)), high]
    parts: list[tuple[Any, sympy.Expr]] = []
    for left, right in itertools.pairwise(ends):
        resolved = _resolve(node, _inside(left, right))
        parts += _split(expression.xreplace({node: resolved}), left, right)
    return parts


def _innermost_switch(expression: Any) -> Any:
    for node in sympy.postorder_traversal(expression):
        if isinstance(node, SWITCHES) and node.has(X):
            return node
    return None


def _decisive(node: Any) -> list[Any]:
    """The expressions whose signs decide which form a switch takes."""
    arguments: Any = node.args
    if isinstance(node, sympy.Max | sympy.Min):
        return [a - b for a, b in itertools.combinations(arguments, 2)]
    if isinstance(node, sympy.Piecewise):
        relations = [r for _, c in arguments for r in c.atoms(sympy.core.relational.Relational)]
        if any(
            c.replace(lambda n: n in relations, lambda _: sympy.true).has(X) for _, c in arguments
        ):
            raise DerivationError(f"the cases of {node} are not all comparisons")
        return [r.lhs - r.rhs for r in relations]
    return [arguments[0]]


def _real_roots(u: Any, node: Any) -> list[Any]:
    """Where u changes its sign: the real roots of its factors, and of what they are functions of.

    Raises:
        DerivationError: if they are not found exactly.
    """
    u = sympy.expand(u)
    if not u.has(X):
        return []
    if u.is_polynomial(X):
        return _polynomial_roots(u, node)
    u = sympy.factor(u)
    if u.is_positive or u.is_negative:
        return []
    if u.is_Mul or u.is_Pow:
        # A pole changes the sign as a root does.
        bases = u.args if u.is_Mul else (u.base,)
        return [root for base in bases for root in _real_roots(base, node)]
    constant, rest = u.as_independent(X, as_Add=True)
    factor, function = rest.as_independent(X, as_Add=False)
    if type(function) in _MONOTONE:
        level = _MONOTONE[type(function)](-constant / factor)
        return [] if level is None else _real_roots(function.args[0] - level, node)
    raise DerivationError(
        f"the switch {node} changes its form where {u} is zero, and only the roots of "
        "polynomials in x, and of monotone functions of them, are found exactly"
    )


def _inside_range(largest: Any, inverse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The inverse of an odd function that increases from -largest to largest; None beyond."""
    return lambda y: inverse(y) if (largest - abs(y)).is_positive else None


# The inverses of increasing functions, as expressions that have a form in balls.
_MONOTONE: dict[Any, Callable[[Any], Any]] = {
    sympy.tanh: _inside_range(sympy.Integer(1), lambda y: sympy.log((1 + y) / (1 - y)) / 2),
    sympy.erf: _inside_range(sympy.Integer(1), sympy.erfinv),
    sympy.atan: _inside_range(sympy.pi / 2, sympy.tan),
    sympy.sinh: lambda y: sympy.asinh(y),
    sympy.asinh: lambda y: sympy.sinh(y),
    sympy.exp: lambda y: sympy.log(y) if y.is_positive else None,
    sympy.log: lambda y: sympy.exp(y),
}


def _polynomial_roots(u: Any, node: Any) -> list[Any]:
    polynomial: Any = sympy.Poly(u, X)
    roots = list(sympy.roots(polynomial, filter="R"))
    # Roots by radicals may be real without being seen to be, or not be found: Sturm counts them.
    if len(roots) != (1 if polynomial.degree() == 1 else _count_real_roots(polynomial)):
        raise DerivationError(
            f"the switch {node} changes its form at the real roots of {u}, of which only {roots} "
            "were found exactly"
        )
    return roots


def _count_real_roots(polynomial: Any) -> int:
    """How many different real roots there are; -1 if the coefficients do not allow to tell."""
    try:
        return int(polynomial.sqf_part().count_roots())
    except (sympy.PolynomialError, NotImplementedError, ValueError):
        return -1


def _inside(low: Any, high: Any) -> Any:
    if low == -sympy.oo:
        return sympy.Integer(0) if high == sympy.oo else high - 1
    return low + 1 if high == sympy.oo else (low + high) / 2


def _resolve(node: Any, sample: Any) -> Any:
    """The form of a switch on the interval that the sample point lies in."""
    arguments: Any = node.args
    if isinstance(node, sympy.Max):
        return max(arguments, key=lambda a: a.subs(X, sample).evalf(50))
    if isinstance(node, sympy.Min):
        return min(arguments, key=lambda a: a.subs(X, sample).evalf(50))
    if isinstance(node, sympy.Piecewise):
        for part, condition in arguments:
            if condition.subs(X, sample) == sympy.true:
                return part
        raise DerivationError(f"{node} has no case for x = {sample}")
    positive = arguments[0].subs(X, sample) > 0
    if isinstance(node, sympy.Abs):
        return arguments[0] if positive else -arguments[0]
    if isinstance(node, sympy.sign):
        return sympy.Integer(1 if positive else -1)
    return sympy.Integer(1 if positive else 0)
