r"""Sums of hypergeometric terms in closed form.

.. math:: \sum_{i \ge 0} u_i, \qquad u_i = u\,P(i)\,z^i\,
          \frac{\prod_a (a)_i}{\prod_b (b)_i}

A polynomial P is expanded in falling factorials, which shift the parameters a and b. What is left
is summed by Gauss's theorem at z = 1, is a Bessel function if there is no a, and a generalised
hypergeometric function else.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.core.errors import DerivationError
from kerneltheory.spectra.gamma_products import GammaProduct, combine, gamma_product, number_power

# The summation index, and the degree and dimension of every formula until they are replaced.
J = sympy.Symbol("j", integer=True, nonnegative=True)
K = sympy.Symbol("k", integer=True, nonnegative=True)
D = sympy.Symbol("d", positive=True)
# Beyond this order a Bessel function is easier to read than hyperbolic functions.
HIGHEST_BESSEL = 6
# A sum is split into at most about as many functions.
MOST_SHIFTS = 8


@dataclass(frozen=True)
class TermSeries:
    """The terms u_i; the i! that makes them hypergeometric is the 1 in `lower`.

    Attributes:
        scale: u.
        upper, lower: a and b.
        argument: z.
        polynomial: P, in the symbol `J`.
    """

    scale: GammaProduct
    upper: tuple[Any, ...]
    lower: tuple[Any, ...]
    argument: Any
    polynomial: Any = sympy.S.One


@dataclass(frozen=True)
class Term:
    """One summand of a closed form: a product of Gamma functions times a special function."""

    product: GammaProduct
    function: Any = sympy.S.One

    def subs(self, values: Mapping[Any, Any]) -> "Term":
        """Put in values and reduce again."""
        function = sympy.sympify(self.function).subs(values, simultaneous=True)
        return Term(self.product.subs(values), function)

    @property
    def expression(self) -> Any:
        """The term as a sympy expression."""
        return self.product.expression * self.function


@dataclass(frozen=True)
class ClosedForm:
    """A sum of terms, and what has to be positive for it to hold (the sum diverges else)."""

    terms: tuple[Term, ...]
    positive: tuple[Any, ...] = ()

    def subs(self, values: Mapping[Any, Any]) -> "ClosedForm":
        """Put in values and reduce again."""
        return add(
            [
                ClosedForm(
                    tuple(term.subs(values) for term in self.terms),
                    tuple(condition.subs(values) for condition in self.positive),
                )
            ]
        )

    @property
    def expression(self) -> Any:
        """The sum as a sympy expression."""
        return sympy.Add(*(term.expression for term in self.terms))


def add(forms: Iterable[ClosedForm]) -> ClosedForm:
    """Add closed forms; terms whose ratio is rational become one."""
    forms = list(forms)
    by_function: dict[Any, list[GammaProduct]] = {}
    for form in forms:
        for term in form.terms:
            by_function.setdefault(term.function, []).append(term.product)
    terms = tuple(
        Term(product, function)
        for function, products in by_function.items()
        for product in combine(products)
    )
    conditions = dict.fromkeys(c for form in forms for c in form.positive)
    return ClosedForm(terms, tuple(conditions))


def sum_series(series: TermSeries) -> ClosedForm:
    """The sum in closed form.

    Raises:
        DerivationError: if it does not converge, or at z = 1 has no closed form in Gamma functions.

    Examples:
        >>> x = sympy.Symbol("x", positive=True)
        >>> half = sympy.Rational(1, 2)
        >>> gauss = sum_series(TermSeries(gamma_product(), (half, half), (1, x), sympy.S.One))
        >>> gamma = sympy.gamma
        >>> sympy.gammasimp(gauss.expression - gamma(x - 1) * gamma(x) / gamma(x - half) ** 2)
        0
    """
    series = _cancelled(series)
    absorbed = _absorbed(series)
    counts = len(absorbed.upper), len(absorbed.lower) - 1
    if series.argument == 1 and counts == (2, 1):
        return _gauss(absorbed)
    if counts in ((0, 1), (0, 0)):
        return _shifted(absorbed)
    if len(series.upper) >= len(series.lower):
        size = abs(series.argument)
        if len(series.upper) > len(series.lower) or not (size < 1) == sympy.true:
            raise DerivationError(
                f"a hypergeometric series with {len(series.upper)} parameters above and "
                f"{len(series.lower) - 1} below at {series.argument} has no closed form here"
            )
    return _shifted(series)


def _cancelled(series: TermSeries) -> TermSeries:
    """Drop what is above and below, and see to it that i! is below."""
    upper = [sympy.expand(a) for a in series.upper]
    lower = [sympy.expand(b) for b in series.lower]
    for a in list(upper):
        if a in lower:
            upper.remove(a)
            lower.remove(a)
    if 1 not in lower:
        upper.append(sympy.Integer(1))
        lower.append(sympy.Integer(1))
    return TermSeries(
        series.scale, tuple(upper), tuple(lower), series.argument, sympy.expand(series.polynomial)
    )


def _absorbed(series: TermSeries) -> TermSeries:
    """Move into P the pairs a = b + m with a whole m > 0: (b + m)_i / (b)_i is a polynomial."""
    upper, lower = list(series.upper), list(series.lower)
    scale, polynomial = series.scale, series.polynomial
    for a in list(upper):
        for b in _without_one(lower):
            distance = sympy.expand(a - b)
            if distance.is_Integer and 0 < distance <= MOST_SHIFTS:
                upper.remove(a)
                lower.remove(b)
                steps = range(int(distance))
                polynomial *= sympy.Mul(*(J + b + i for i in steps))
                scale *= gamma_product(1 / sympy.Mul(*(b + i for i in steps)))
                break
    return TermSeries(scale, tuple(upper), tuple(lower), series.argument, polynomial)


def _falling(polynomial: Any) -> list[Any]:
    """Coefficients p_i in P(j) = sum p_i j (j-1) ... (j-i+1), by differences at 0."""
    count = len(sympy.Poly(polynomial, J).all_coeffs())
    row = [sympy.sympify(polynomial).subs(J, i) for i in range(count)]
    found = []
    for i in range(count):
        found.append(row[0] / sympy.factorial(i))
        row = [after - before for before, after in itertools.pairwise(row)]
    return found


def _gauss(series: TermSeries) -> ClosedForm:
    r"""Sum at z = 1 by 2F1(a, b; c; 1) = Gamma(c) Gamma(c-a-b) / (Gamma(c-a) Gamma(c-b))."""
    a, b = series.upper
    (c,) = _without_one(series.lower)
    gap = sympy.expand(c - a - b)
    coefficients = _falling(series.polynomial)
    total: Any = sympy.Integer(0)
    for i, coefficient in enumerate(coefficients):
        weight = sympy.rf(a, i) * sympy.rf(b, i)
        total += coefficient * weight / sympy.Mul(*(gap - m for m in range(1, i + 1)))
    common = gamma_product(sympy.factor(total), [c, gap], [c - a, c - b])
    condition = sympy.expand(gap - len(coefficients) + 1)
    return ClosedForm((Term(series.scale * common),), (condition,))


def _shifted(series: TermSeries) -> ClosedForm:
    """One special function for each falling factorial."""
    terms = []
    for i, coefficient in enumerate(_falling(series.polynomial)):
        if coefficient == 0:
            continue
        below = _without_one(series.lower)
        weight = sympy.Mul(*(sympy.rf(a, i) for a in series.upper))
        weight *= coefficient * series.argument**i / sympy.Mul(*(sympy.rf(b, i) for b in below))
        shifted = [a + i for a in series.upper], [b + i for b in below]
        factor, function = _named(*shifted, series.argument)
        terms.append(Term(series.scale * gamma_product(sympy.factor(weight)) * factor, function))
    return ClosedForm(tuple(terms))


def _without_one(lower: Iterable[Any]) -> list[Any]:
    rest = list(lower)
    rest.remove(1)
    return rest


def _named(upper: list[Any], lower: list[Any], z: Any) -> tuple[GammaProduct, Any]:
    """The hypergeometric function as a factor times a function that has a name."""
    if not upper and not lower:
        return gamma_product(sympy.exp(z)), sympy.Integer(1)
    if not lower and len(upper) == 1:
        return gamma_product((1 - z) ** -upper[0]), sympy.Integer(1)
    if upper or len(lower) != 1:
        return gamma_product(), sympy.hyper(tuple(upper), tuple(lower), z)
    (b,) = lower
    root = sympy.sqrt(abs(z))
    bessel = sympy.besseli if z > 0 else sympy.besselj
    return gamma_product(number_power(root, 1 - b), [b]), bessel(b - 1, 2 * root)


def elementary(number: Any) -> Any:
    """A number whose Bessel functions of half an odd order are written in sinh and cosh.

    Examples:
        >>> elementary(sympy.sqrt(sympy.pi / 2) * sympy.besseli(sympy.Rational(3, 2), 1))
        -sinh(1) + cosh(1)
    """
    if not number.has(sympy.besseli):
        return number
    written = number.replace(sympy.besseli, _half_bessel)
    return number if written.has(sympy.besseli) else sympy.expand(written)


def _half_bessel(order: Any, z: Any) -> Any:
    r"""From :math:`I_{1/2} = \sqrt{2/(\pi z)} \sinh z` and -1/2 with cosh, upwards."""
    at = sympy.Rational(1, 2)
    if (2 * order) % 2 != 1 or order > HIGHEST_BESSEL:
        return sympy.besseli(order, z)
    scale = sympy.sqrt(2 / (sympy.pi * z))
    below, here = scale * sympy.cosh(z), scale * sympy.sinh(z)
    if order == -at:
        return below
    while at < order:
        below, here = here, sympy.expand(below - 2 * at / z * here)
        at += 1
    return here
