"""Proof that an algebraic expression with square roots is identically zero, and refutation.

General simplification is slow and gives up silently. Here every square root of a positive
quantity becomes a symbol R with R^2 = its radicand, and the numerator is reduced to normal form.
"""

import random
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.core import lower

TRIALS = 5
SEED = 20


def is_half_power(node: Any) -> bool:
    """Whether a node is a power with an exponent n + 1/2."""
    return node.is_Pow and node.exp.is_Rational and node.exp.q == 2


def is_zero(expression: sympy.Expr) -> bool:
    """Whether `expression` is proved to vanish where its radicands are positive.

    True is a proof; False means that no proof was found. Transcendental atoms (pi, asin, exp of
    one argument) are treated as independent, which can only lose proofs.

    Examples:
        >>> x = sympy.Symbol("x", positive=True)
        >>> is_zero(1 / (sympy.sqrt(x) - 1) - (sympy.sqrt(x) + 1) / (x - 1))
        True
        >>> is_zero(sympy.sqrt(x) - x)
        False
    """
    radicals: dict[sympy.Expr, sympy.Symbol] = {}
    rational = _replace_radicals(sympy.sympify(expression), radicals)
    numerator, _ = sympy.fraction(sympy.together(rational))
    numerator = sympy.expand(numerator)
    for radicand, symbol in radicals.items():
        try:
            remainder = sympy.rem(numerator, symbol**2 - radicand, symbol)
        except sympy.PolynomialError:  # the root is also inside a function
            continue
        numerator = sympy.expand(sympy.fraction(sympy.together(remainder))[0])
    return numerator == 0


def counterexample(expression: sympy.Expr) -> dict[Any, Any] | None:
    """A rational point at which `expression` is proved not to vanish, if a few trials find one.

    Positive symbols are drawn from [1, 2] and others from [-1/2, 1/2], so that a covariance does
    not exceed the variances.
    """
    generator = random.Random(SEED)
    symbols = tuple(sorted(expression.free_symbols, key=str))
    function = lower.to_balls(symbols, expression)
    for _ in range(TRIALS):
        draws = [sympy.Rational(generator.randint(1, 99), 100) for _ in symbols]
        shifts = [1 if symbol.is_positive else -sympy.Rational(1, 2) for symbol in symbols]
        values = [draw + shift for draw, shift in zip(draws, shifts, strict=True)]
        with ctx.workdps(30):
            ball = arb(function(*(lower.to_ball(value) for value in values)))
        if ball.is_finite() and not ball.contains(0):
            return dict(zip(symbols, values, strict=True))
    return None


def _replace_radicals(expression: sympy.Expr, radicals: dict) -> Any:
    """Half-integer powers become powers of symbols, one for each factor of known sign."""

    def replace(node: Any) -> sympy.Expr:
        result: sympy.Expr = sympy.Integer(1)
        for factor, count in _positive_factors(node.base):
            if factor.is_Rational:  # sympy itself multiplies and reduces roots of numbers
                root = sympy.sqrt(factor)
            else:
                root = radicals.setdefault(factor, sympy.Dummy(f"R{len(radicals)}", positive=True))
            result *= root ** (2 * node.exp * count)
        return result

    return expression.replace(is_half_power, replace)


def _positive_factors(base: sympy.Expr) -> list[tuple[sympy.Expr, int]]:
    """Factors of known sign, and the rest as one: sqrt(a b) = sqrt(a) sqrt(b) needs a, b >= 0."""
    found: dict[sympy.Expr, int] = {}
    rest: sympy.Expr = sympy.Integer(1)
    for part, sign in zip(sympy.fraction(sympy.together(base)), (1, -1), strict=True):
        constant, factors = sympy.factor_list(part)  # pyright: ignore
        for factor, count in [*factors, (abs(constant), 1), (sympy.sign(constant), 1)]:
            if not factor.is_positive:
                rest *= factor ** (sign * count)
            elif factor != 1:
                found[factor] = found.get(factor, 0) + sign * count
    unsplit = [(sympy.expand(rest), 1)] if rest != 1 else []
    return [*found.items(), *unsplit]
