"""Proof that an algebraic expression with square roots is identically zero.

General simplification is slow and gives up silently. Here every square root of a positive
quantity becomes a symbol R with R^2 = its radicand, and the numerator is reduced to normal form.
"""

import sympy


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
        remainder = sympy.rem(numerator, symbol**2 - radicand, symbol)
        numerator = sympy.expand(remainder)
    return numerator == 0


def _replace_radicals(expression: sympy.Expr, radicals: dict) -> sympy.Expr:
    """Half-integer powers of a product become products of symbols, one for each factor."""

    def is_radical(node: sympy.Basic) -> bool:
        return isinstance(node, sympy.Pow) and node.exp.is_Rational and node.exp.q == 2

    def replace(node: sympy.Pow) -> sympy.Expr:
        result: sympy.Expr = sympy.Integer(1)
        for factor, count in _positive_factors(node.base):
            symbol = radicals.setdefault(factor, sympy.Dummy(f"R{len(radicals)}", positive=True))
            result *= symbol ** (2 * node.exp * count)
        return result

    return expression.replace(is_radical, replace)


def _positive_factors(base: sympy.Expr) -> list[tuple[sympy.Expr, int]]:
    numerator, denominator = sympy.fraction(sympy.together(base))
    found: dict[sympy.Expr, int] = {}
    for part, sign in ((numerator, 1), (denominator, -1)):
        constant, factors = sympy.factor_list(part)
        if constant < 0 and len(factors) == 1 and factors[0][1] == 1:
            constant, factors = -constant, [(sympy.expand(-factors[0][0]), 1)]
        if constant < 0:
            return [(base, 1)]
        for factor, count in [*factors, (constant, 1)]:
            if factor != 1:
                found[factor] = found.get(factor, 0) + sign * count
    return list(found.items())
