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
from collections.abc import Mapping

import sympy

from kerneltheory.activations.gaussian import K12, RadicalSum

HALF = sympy.Rational(1, 2)
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


def repeated_integral(integrand: RadicalSum, times: int) -> sympy.Expr:
    r"""Integrate `times` times from 0 by Cauchy's formula.

    .. math:: \int_0^k \frac{(k - s)^{m-1}}{(m-1)!} f(s)\,ds
    """
    alpha, beta = integrand.alpha, integrand.beta
    total: Combination = {}
    for (i, j), c in integrand.coefficients.items():
        if times == 0:
            total = _combine((sympy.Integer(1), total), (c, {(-1 - 2 * j, i): sympy.Integer(1)}))
            continue
        for power in range(times):
            weight = c * sympy.binomial(times - 1, power) * (-1) ** power
            inner = radical_integral(alpha, beta, i + power, j)
            shifted = {(kind, n + times - 1 - power): value for (kind, n), value in inner.items()}
            total = _combine((sympy.Integer(1), total), (weight, shifted))
    factorial = sympy.factorial(max(times - 1, 0))
    return _expression(_combine((1 / factorial, total)), alpha, beta)


def _expression(combination: Combination, alpha: sympy.Expr, beta: sympy.Expr) -> sympy.Expr:
    """Polynomial + polynomial asin + one ratio over the lowest power of D."""
    radicand = sympy.expand(alpha - beta * K12**2) if beta != 0 else alpha
    plain = sympy.Add(*(c * K12**i for (kind, i), c in combination.items() if kind == "one"))
    angle = sympy.Add(*(c * K12**i for (kind, i), c in combination.items() if kind == "asin"))
    powers = {(p, i): c for (p, i), c in combination.items() if isinstance(p, int)}
    result = plain + sympy.factor(angle) * sympy.asin(K12 * sympy.sqrt(beta / alpha))
    if not powers:
        return result
    if beta == 0:
        return result + sympy.Add(
            *(c * K12**i * alpha ** sympy.Rational(p, 2) for (p, i), c in powers.items())
        )
    lowest = min(p for p, _ in powers)
    numerator = sympy.Add(
        *(c * K12**i * radicand ** ((p - lowest) // 2) for (p, i), c in powers.items())
    )
    numerator = sympy.factor(numerator)
    return result + numerator * radicand ** sympy.Rational(lowest, 2)
