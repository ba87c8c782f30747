r"""Gaussian expectations of elementary terms, in closed form.

u, v are jointly Gaussian with variances q1, q2 and covariance k. Every expectation of two pure
terms without exponentials of x is a sum of :math:`c\,k^i D^{-j-1/2}` with
:math:`D = \alpha - \beta k^2`; with them there is a factor exp(polynomial / D).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sympy

from kerneltheory.activations.activation import X
from kerneltheory.activations.terms import ONE, STEP, Smooth, Terms
from kerneltheory.core.errors import DerivationError

Q1, Q2 = sympy.symbols("q1 q2", positive=True)
K12 = sympy.Symbol("k12", real=True)
# Numerators of exponents from here on are those of floats.
LONG = 2**20


@dataclass
class RadicalSum:
    r"""A sum of :math:`c_{ij}\,k^i D^{-j-1/2}` with :math:`D = \alpha - \beta k^2`.

    beta = 0 makes it a polynomial in k.
    """

    alpha: sympy.Expr
    beta: sympy.Expr
    coefficients: dict[tuple[int, int], sympy.Expr] = field(default_factory=dict)

    def add_polynomial(self, polynomial: sympy.Expr, half_power: int) -> None:
        """Add polynomial(k) * D^(-half_power - 1/2)."""
        for (power,), coefficient in sympy.Poly(polynomial, K12).terms():
            key = (power, half_power)
            self.coefficients[key] = self.coefficients.get(key, sympy.Integer(0)) + coefficient


def wick(i: int, j: int) -> Iterator[tuple[sympy.Rational, int, int, int]]:
    """Isserlis' theorem for E[u^i v^j]: (count, pairs uu, pairs uv, pairs vv)."""
    for cross in range(min(i, j) + 1):
        if (i - cross) % 2 or (j - cross) % 2:
            continue
        first, second = (i - cross) // 2, (j - cross) // 2
        count = (
            sympy.factorial(i)
            * sympy.factorial(j)
            / (
                sympy.factorial(cross)
                * sympy.factorial(first)
                * sympy.factorial(second)
                * 2 ** (first + second)
            )
        )
        yield count, first, cross, second


def double_factorial(n: int) -> sympy.Expr:
    """(n - 1)!! for even n, the n-th moment of a standard Gaussian; 0 for odd n."""
    return sympy.factorial2(n - 1) if n % 2 == 0 else sympy.Integer(0)


# --- one variable -----------------------------------------------------------------------------


def mean(terms: Terms, variance: sympy.Expr) -> sympy.Expr:
    """E[terms(u)] for u of the given variance; a delta gives the density's derivative at 0."""
    total: Any = sympy.Add(*(_smooth_mean(term, variance) for term in terms.smooth))
    for order, coefficient in terms.singular:
        total += coefficient * _density_derivative(order, variance)
    return tidied(sympy.factor, total)


def tidied(tidy: Callable[[Any], Any], expression: Any) -> Any:
    """Apply factor or simplify, with exponentials of long rationals held apart.

    To sympy exp(p/q) is the p-th power of exp(1/q): a polynomial of degree p.
    """
    apart = {
        node: sympy.Dummy(positive=True)
        for node in expression.atoms(sympy.exp)
        if node.exp.is_Rational and abs(node.exp.p) > LONG
    }
    back = {symbol: node for node, symbol in apart.items()}
    return tidy(expression.xreplace(apart)).xreplace(back)


def _density_derivative(order: int, variance: sympy.Expr) -> sympy.Expr:
    """(-1)^n p^(n)(0) for the Gaussian density p; odd orders vanish."""
    sign = (-1) ** (order // 2)
    moment = double_factorial(order)
    return sign * moment / (variance ** sympy.Rational(order + 1, 2) * sympy.sqrt(2 * sympy.pi))


def _smooth_mean(term: Smooth, variance: sympy.Expr) -> sympy.Expr:
    """Tilt the Gaussian by exp(-a x^2 + b x), then take a (half) moment."""
    spread = 1 + 2 * term.decay * variance
    tilted, weight = variance / spread, term.coefficient / sympy.sqrt(spread)
    n = term.power
    if term.mark == ONE:
        weight *= sympy.exp(term.tilt**2 * tilted / 2)
        return weight * _shifted_moment(n, term.tilt * tilted, tilted)
    if term.tilt != 0:
        raise DerivationError(f"the mean of exp({term.tilt} x) times {term.mark} is not elementary")
    if term.mark == STEP:
        half_moment = 2 ** sympy.Rational(n, 2) * sympy.gamma(sympy.Rational(n + 1, 2))
        power = sympy.sqrt(tilted) ** n
        return weight * half_moment / sympy.sqrt(sympy.pi) * power / 2
    return weight * _erf_moment(n, term.mark.args[0] / X, tilted)


def _shifted_moment(n: int, shift: sympy.Expr, variance: sympy.Expr) -> sympy.Expr:
    """E[(u + shift)^n] for a centred Gaussian u."""
    return sympy.Add(
        *(
            sympy.binomial(n, i) * shift ** (n - i) * double_factorial(i) * variance ** (i // 2)
            for i in range(0, n + 1, 2)
        )
    )


def _erf_moment(n: int, g: sympy.Expr, variance: sympy.Expr) -> sympy.Expr:
    """E[u^n erf(g u)] by Stein's lemma, E[u h(u)] = variance E[h'(u)]."""
    if n % 2 == 0:
        return sympy.Integer(0)
    pure = Smooth(2 * g / sympy.sqrt(sympy.pi), n - 1, g**2, sympy.Integer(0), ONE)
    rest = (n - 1) * _erf_moment(n - 2, g, variance) if n > 1 else 0
    return variance * (rest + _smooth_mean(pure, variance))


# --- two variables ----------------------------------------------------------------------------


def pair_expectation(terms: Terms) -> list[RadicalSum]:
    """E[terms(u) terms(v)] of pure untilted terms, one RadicalSum for every radicand."""
    sums: dict[tuple[sympy.Expr, sympy.Expr], RadicalSum] = {}
    for first in terms.smooth:
        for second in terms.smooth:
            _add_smooth_pair(sums, first, second)
        for order, c in terms.singular:
            _add_mixed_pair(sums, first, order, c, Q1, Q2)
            _add_mixed_pair(sums, first, order, c, Q2, Q1)
    for i, c in terms.singular:
        for j, d in terms.singular:
            _add_singular_pair(sums, i, c, j, d)
    return list(sums.values())


def tilted_pair_expectation(terms: Terms) -> sympy.Expr:
    """E[terms(u) terms(v)] of pure smooth terms with exponentials of x, in real form."""
    weights: dict[sympy.Expr, sympy.Expr] = {}
    for first in terms.smooth:
        for second in terms.smooth:
            weight, exponent = _tilted_pair(first, second)
            weights[exponent] = weights.get(exponent, sympy.Integer(0)) + weight
    return sympy.Add(*(_real_pair(even, weights) for even in _even_parts(weights)))


@dataclass(frozen=True)
class TiltedLaw:
    """The Gaussian that exp(-a u^2 - b v^2 + s u + t v) makes of the law of (u, v).

    Attributes:
        radicand: the expectation of the factor is exp(exponent) / sqrt(radicand).
        exponent: see above.
        covariance: Sigma', as (uu, uv, vv).
        means: Sigma' (s, t).
    """

    radicand: sympy.Expr
    exponent: sympy.Expr
    covariance: tuple[sympy.Expr, sympy.Expr, sympy.Expr]
    means: tuple[sympy.Expr, sympy.Expr]


def tilted_law(first: Any, second: Any, q1: Any, q2: Any, k: Any) -> TiltedLaw:
    """The law under the decays and tilts of two terms, from variances q1, q2 and covariance k."""
    a, b, s, t = first.decay, second.decay, first.tilt, second.tilt
    radicand = sympy.expand((1 + 2 * a * q1) * (1 + 2 * b * q2) - 4 * a * b * k**2)
    uu = (q1 * (1 + 2 * b * q2) - 2 * b * k**2) / radicand
    vv = (q2 * (1 + 2 * a * q1) - 2 * a * k**2) / radicand
    uv = k / radicand
    means = (uu * s + uv * t, uv * s + vv * t)
    exponent = sympy.cancel((means[0] * s + means[1] * t) / 2)
    return TiltedLaw(radicand, exponent, (uu, uv, vv), means)


def _tilted_pair(first: Smooth, second: Smooth) -> tuple[sympy.Expr, sympy.Expr]:
    """Weight and exponent of the expectation of a product."""
    law = tilted_law(first, second, Q1, Q2, K12)
    i, j, covariance, shifts = first.power, second.power, law.covariance, law.means
    moment: sympy.Expr = sympy.Integer(0)
    for m in range(i + 1):
        for n in range(j + 1):
            shift = sympy.binomial(i, m) * shifts[0] ** (i - m)
            shift *= sympy.binomial(j, n) * shifts[1] ** (j - n)
            moment += shift * sympy.Add(
                *(
                    count * covariance[0] ** uu * covariance[1] ** uv * covariance[2] ** vv
                    for count, uu, uv, vv in wick(m, n)
                )
            )
    weight = first.coefficient * second.coefficient * moment / sympy.sqrt(law.radicand)
    return weight, law.exponent


def _even_parts(weights: dict[sympy.Expr, sympy.Expr]) -> list[sympy.Expr]:
    """The parts of the exponents that are even in k12, each once."""
    evens = (sympy.cancel((e + e.subs(K12, -K12)) / 2) for e in weights)
    return list(dict.fromkeys(evens))


def _real_pair(even: sympy.Expr, weights: dict[sympy.Expr, sympy.Expr]) -> sympy.Expr:
    """The summands whose exponents are `even` plus or minus one odd part, by cosh and sinh.

    Imaginary tilts (of sines and cosines) leave real exponents and conjugate weights.
    """
    total: sympy.Expr = sympy.Integer(0)
    odds = {sympy.cancel(e - even) for e in weights}
    odds = {odd for odd in odds if sympy.cancel(odd + odd.subs(K12, -K12)) == 0}
    for odd in sorted(odds, key=str):
        if odd.could_extract_minus_sign() and -odd in odds:
            continue
        plus = _real(weights.get(sympy.cancel(even + odd), sympy.Integer(0)))
        minus = _real(weights.get(sympy.cancel(even - odd), sympy.Integer(0)))
        if odd == 0:
            total += plus
        elif plus == 0 or minus == 0:
            total += plus * sympy.exp(odd) + minus * sympy.exp(-odd)
        else:
            total += sympy.factor(plus + minus) * sympy.cosh(odd)
            total += sympy.factor(plus - minus) * sympy.sinh(odd)
    return total * sympy.exp(even)


def _real(weight: Any) -> Any:
    """A weight that is real because its conjugate occurs too, without imaginary units."""
    if not weight.has(sympy.I):
        return sympy.factor(weight)
    real = sympy.re(sympy.expand(weight, complex=True))
    return sympy.factor(sympy.simplify(real))


def _sum_for(sums: dict, alpha: sympy.Expr, beta: sympy.Expr) -> RadicalSum:
    return sums.setdefault((alpha, beta), RadicalSum(alpha, beta))


def _add_smooth_pair(sums: dict, first: Smooth, second: Smooth) -> None:
    """Tilting by exp(-a u^2 - b v^2) leaves a Gaussian whose covariance is a ratio over D."""
    a, b, i, j = first.decay, second.decay, first.power, second.power
    alpha = (1 + 2 * a * Q1) * (1 + 2 * b * Q2)
    target = _sum_for(sums, alpha, 4 * a * b)
    numerator_11 = Q1 * (1 + 2 * b * Q2) - 2 * b * K12**2
    numerator_22 = Q2 * (1 + 2 * a * Q1) - 2 * a * K12**2
    weight = first.coefficient * second.coefficient
    for count, uu, uv, vv in wick(i, j):
        polynomial = weight * count * numerator_11**uu * K12**uv * numerator_22**vv
        target.add_polynomial(polynomial, uu + uv + vv)


def _add_singular_pair(sums: dict, i: int, c: sympy.Expr, j: int, d: sympy.Expr) -> None:
    """Derivatives of the joint density at the origin, (-1)^{i+j} d_u^i d_v^j p(0, 0)."""
    target = _sum_for(sums, Q1 * Q2, sympy.Integer(1))
    weight = c * d * (-1) ** (i + j) / (2 * sympy.pi)
    for count, uu, uv, vv in wick(i, j):
        polynomial = weight * count * (-Q2) ** uu * K12**uv * (-Q1) ** vv
        target.add_polynomial(polynomial, uu + uv + vv)


def _add_mixed_pair(
    sums: dict, term: Smooth, order: int, c: sympy.Expr, q: sympy.Expr, p: sympy.Expr
) -> None:
    """E[x^n exp(-a x^2) delta(y)]: the other variable is pinned at 0; x has variance q, y p."""
    if order:
        raise DerivationError(
            "the expectation of a smooth term times a derivative of the delta is not available; "
            "write the activation without the step that causes it"
        )
    if term.power % 2:
        return
    target = _sum_for(sums, p * (1 + 2 * term.decay * q), 2 * term.decay)
    moment = double_factorial(term.power) * (q * p - K12**2) ** (term.power // 2)
    weight = term.coefficient * c / sympy.sqrt(2 * sympy.pi)
    target.add_polynomial(weight * moment, term.power // 2)
