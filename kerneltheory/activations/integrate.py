r"""Integration back from Price's theorem: Cauchy's formula for repeated integrals.

Only :math:`I_{ij}(k) = \int_0^k s^i D(s)^{-j-1/2} ds` with :math:`D = \alpha - \beta s^2` occurs,
and recurrences reduce it to asin and powers of D:

- :math:`I_{00} = \operatorname{asin}(k\sqrt{\beta/\alpha})/\sqrt\beta`,
- :math:`I_{1j} = [D^{1/2-j}]_0^k / (\beta (2j - 1))`,
- :math:`I_{ij} = (\alpha I_{i-2,j} - I_{i-2,j-1})/\beta` from :math:`s^2 = (\alpha - D)/\beta`,
- :math:`(2j-1)\,\alpha I_{0j} = k D^{1/2-j} + (2j-2) I_{0,j-1}` from the derivative of
  :math:`s D^{1/2-j}`.

Results are kept as coefficients of a basis; general symbolic integration and simplification are
slow or fail here and are not needed.
"""

import functools
from collections import defaultdict
from collections.abc import Mapping

import sympy

from kerneltheory.activations.gaussian import K12, Q1, Q2, RadicalSum

HALF = sympy.Rational(1, 2)
# alpha stands for itself while integrating: as a polynomial in q1 and q2 it would swell.
ALPHA = sympy.Symbol("alpha", positive=True)
_VARIABLES = (Q1, Q2, K12)
_GENERATORS = (ALPHA, 1 / ALPHA, *_VARIABLES)
# The basis: k^i ("one"), k^i asin(k sqrt(beta/alpha)) ("asin"), k^i D^(p/2) for odd p.
Basis = tuple[str | int, int]
Combination = Mapping[Basis, sympy.Expr]


def _combine(*scaled: tuple[sympy.Expr, Combination]) -> Combination:
    total: dict[Basis, sympy.Expr] = {}
    for scale, combination in scaled:
        for key, coefficient in combination.items():
            total[key] = total.get(key, sympy.Integer(0)) + scale * coefficient
    return total


@functools.lru_cache(maxsize=4096)
def radical_integral(alpha: sympy.Expr, beta: sympy.Expr, i: int, j: int) -> Combination:
    """The integral of s^i D(s)^(-j - 1/2) from 0 to k12, over the basis."""
    if beta == 0:
        return {("one", i + 1): alpha ** (-j - HALF) / (i + 1)}
    if i >= 2:
        first = radical_integral(alpha, beta, i - 2, j)
        second = radical_integral(alpha, beta, i - 2, j - 1)
        return _combine((alpha / beta, first), (-1 / beta, second))
    if i == 1:
        scale = 1 / (beta * (2 * j - 1))
        return {(1 - 2 * j, 0): scale, ("one", 0): -scale * alpha ** (HALF - j)}
    if j == 0:
        return {("asin", 0): 1 / sympy.sqrt(beta)}
    if j > 0:
        scale = 1 / ((2 * j - 1) * alpha)
        rest = radical_integral(alpha, beta, 0, j - 1) if j > 1 else {}
        return _combine((scale, {(1 - 2 * j, 1): sympy.Integer(1)}), ((2 * j - 2) * scale, rest))
    rest = radical_integral(alpha, beta, 0, j + 1)
    power: Combination = {(-1 - 2 * j, 1): sympy.Integer(1)}
    scale = sympy.Rational(1, 2 * j)
    return _combine(((2 * j + 1) * alpha * scale, rest), (-scale, power))


def repeated_integral(
    integrand: RadicalSum, times: int
) -> tuple[dict[int, sympy.Expr], sympy.Expr]:
    r"""Integrate `times` times from 0 by Cauchy's formula.

    .. math:: \int_0^k \frac{(k - s)^{m-1}}{(m-1)!} f(s)\,ds

    Returns:
        The coefficients of the powers of k, and all that is not a polynomial in k.
    """
    total: Combination = {}
    for (i, j), c in integrand.coefficients.items():
        if times == 0:
            total = _combine((sympy.Integer(1), total), (c, {(-1 - 2 * j, i): sympy.Integer(1)}))
            continue
        for power in range(times):
            weight = c * sympy.binomial(times - 1, power) * (-1) ** power
            inner = radical_integral(ALPHA, integrand.beta, i + power, j)
            shifted = {(kind, n + times - 1 - power): value for (kind, n), value in inner.items()}
            total = _combine((sympy.Integer(1), total), (weight, shifted))
    factorial = sympy.factorial(max(times - 1, 0))
    return _expression(_combine((1 / factorial, total)), integrand.alpha, integrand.beta)


def _expression(
    combination: Combination, alpha: sympy.Expr, beta: sympy.Expr
) -> tuple[dict[int, sympy.Expr], sympy.Expr]:
    """Powers of k, and polynomial asin + one ratio over the lowest power of D."""
    plain: dict[int, sympy.Expr] = {}
    for (kind, i), c in combination.items():
        if kind == "one":
            # Constants of integration hold odd powers of sqrt(alpha) only.
            whole = sympy.expand(c * sympy.sqrt(ALPHA))
            plain[i] = _over_alpha([(whole, sympy.Integer(1))], alpha) / sympy.sqrt(alpha)
        elif isinstance(kind, int) and beta == 0:
            plain[i] = plain.get(i, sympy.Integer(0)) + c * alpha ** sympy.Rational(kind, 2)
    angle = [(c, K12**i) for (kind, i), c in combination.items() if kind == "asin"]
    result = _over_alpha(angle, alpha) * sympy.asin(K12 * sympy.sqrt(beta / alpha))
    powers = {(p, i): c for (p, i), c in combination.items() if isinstance(p, int) and beta != 0}
    if not powers:
        return plain, result
    lowest = min(p for p, _ in powers)
    numerator = [
        (c, K12**i * (ALPHA - beta * K12**2) ** ((p - lowest) // 2)) for (p, i), c in powers.items()
    ]
    radicand = sympy.expand(alpha - beta * K12**2)
    return plain, result + _over_alpha(numerator, alpha) * radicand ** sympy.Rational(lowest, 2)


def _over_alpha(products: list[tuple[sympy.Expr, sympy.Expr]], alpha: sympy.Expr) -> sympy.Expr:
    """Factor a sum of products of polynomials whose denominators are powers of alpha only.

    Bringing it over one power by hand keeps to polynomial arithmetic, which is fast, and faster
    over the rational numbers: what the first term has besides them, as 1/pi, is divided by.
    """
    if not products:
        return sympy.Integer(0)
    unit = _irrational_part(products[0][0])
    terms: dict[int, dict[tuple, list[sympy.Expr]]] = defaultdict(lambda: defaultdict(list))
    for left, right in products:
        product = sympy.Poly(left / unit, *_GENERATORS) * sympy.Poly(right, *_GENERATORS)
        for (up, down, *rest), coefficient in product.terms():
            terms[up - down][tuple(rest)].append(coefficient)
    rows = {power: _polynomial(row) for power, row in terms.items()}
    powers = [power for power, row in rows.items() if row]
    depth = max((-power for power in powers if power < 0), default=0)
    total, inserted = _polynomial({}), sympy.Poly(alpha, *_VARIABLES)
    for power in range(max(powers, default=0), -depth - 1, -1):
        total = total * inserted + rows.get(power, 0)
    constant, factors = total.factor_list()
    return unit * constant * sympy.Mul(*(f.as_expr() ** n for f, n in factors)) / alpha**depth


def _irrational_part(expression: sympy.Expr) -> sympy.Expr:
    """Of the number that the first term has as a factor."""
    first = sympy.Add.make_args(sympy.expand(expression))[0]
    number, _ = first.as_independent(ALPHA, *_VARIABLES)
    return number / number.as_coeff_Mul()[0] if number != 0 else number + 1


def _polynomial(terms: Mapping[tuple, list[sympy.Expr]]) -> sympy.Poly:
    """A polynomial in k12, q1 and q2 from the summands of its coefficients."""
    return sympy.Poly({m: sympy.Add(*found) for m, found in terms.items()}, *_VARIABLES)
