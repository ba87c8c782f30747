r"""Integration back from Price's theorem: Cauchy's formula for repeated integrals.

Only :math:`I_{ij}(k) = \int_0^k s^i D(s)^{-j-1/2} ds` with :math:`D = \alpha - \beta s^2` occurs,
and three recurrences reduce it to

- :math:`I_{00} = \operatorname{asin}(k\sqrt{\beta/\alpha})/\sqrt\beta`,
- :math:`I_{1j} = [D^{1/2-j}]_0^k / (\beta (2j - 1))`,
- :math:`I_{ij} = (\alpha I_{i-2,j} - I_{i-2,j-1})/\beta` from :math:`s^2 = (\alpha - D)/\beta`,
- :math:`(2j-1)\,\alpha I_{0j} = k D^{1/2-j} + (2j-2) I_{0,j-1}` from the derivative of
  :math:`s D^{1/2-j}`.

General symbolic integration is slow or fails here and is not needed.
"""

import functools
from typing import Any

import sympy

from kerneltheory.activations.gaussian import K12, RadicalSum

HALF = sympy.Rational(1, 2)


@functools.lru_cache(maxsize=1024)
def radical_integral(alpha: sympy.Expr, beta: sympy.Expr, i: int, j: int) -> sympy.Expr:
    """The integral of s^i D(s)^(-j - 1/2) from 0 to k12."""
    k, radicand = K12, alpha - beta * K12**2
    if beta == 0:
        return alpha ** (-j - HALF) * k ** (i + 1) / (i + 1)
    if i >= 2:
        lower = radical_integral(alpha, beta, i - 2, j)
        return (alpha * lower - radical_integral(alpha, beta, i - 2, j - 1)) / beta
    if i == 1:
        return (radicand ** (HALF - j) - alpha ** (HALF - j)) / (beta * (2 * j - 1))
    if j == 0:
        return sympy.asin(k * sympy.sqrt(beta / alpha)) / sympy.sqrt(beta)
    if j > 0:
        lower = radical_integral(alpha, beta, 0, j - 1)
        return (k * radicand ** (HALF - j) + (2 * j - 2) * lower) / ((2 * j - 1) * alpha)
    upper = radical_integral(alpha, beta, 0, j + 1)
    return ((2 * j + 1) * alpha * upper - k * radicand ** (-HALF - j)) / (2 * j)


def repeated_integral(integrand: RadicalSum, times: int) -> sympy.Expr:
    r"""Integrate `times` times from 0 by Cauchy's formula.

    .. math:: \int_0^k \frac{(k - s)^{m-1}}{(m-1)!} f(s)\,ds
    """
    if times == 0:
        return integrand.expression
    total = sympy.Integer(0)
    for (i, j), c in integrand.coefficients.items():
        for power in range(times):
            weight = sympy.binomial(times - 1, power) * (-1) ** power * K12 ** (times - 1 - power)
            inner = radical_integral(integrand.alpha, integrand.beta, i + power, j)
            total += c * weight * inner
    return total / sympy.factorial(times - 1)


def is_half_power(node: Any) -> bool:
    """Whether a node is a power with an exponent n + 1/2."""
    return node.is_Pow and node.exp.is_Rational and node.exp.q == 2


def collect_radicals(expression: Any) -> sympy.Expr:
    """Write an expression over the basis 1, asin, powers of sqrt(D), coefficients factored."""
    expression = sympy.expand(sympy.expand_mul(expression), power_base=False)
    keys = set(expression.atoms(sympy.asin))
    keys |= {power for power in expression.atoms(sympy.Pow) if is_half_power(power)}
    keys = {key for key in keys if key.has(K12)}
    rest: dict[sympy.Expr, sympy.Expr] = {}
    for summand in sympy.Add.make_args(expression):
        basis = sympy.Mul(*(f for f in sympy.Mul.make_args(summand) if f in keys))
        rest[basis] = rest.get(basis, sympy.Integer(0)) + summand / basis
    return sympy.Add(*(basis * sympy.factor(c) for basis, c in rest.items()))
