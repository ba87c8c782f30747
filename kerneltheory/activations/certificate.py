"""Certificates of a dual and of derivatives: Hermite coefficients in balls, tails included."""

import math
import random
from dataclasses import dataclass, replace
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation, X
from kerneltheory.activations.catalogue import hermite
from kerneltheory.activations.gaussian import mean
from kerneltheory.activations.hermite import certified_end, certified_hermite_coefficients
from kerneltheory.activations.series import derivative_of, mehler_ball
from kerneltheory.activations.terms import ONE, Terms
from kerneltheory.core import lower
from kerneltheory.core.derivation import Evidence
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula

POINTS = 3
SEED = 20
# Of a series: the coefficients that are checked one by one, and the terms at the ends.
STEIN = 8
TERMS_AT_ENDS = 64
# Derivatives of a dual that are certified by the same coefficients.
SHARED = 2
# Degrees n at which a derivative of phi is compared with phi.
DEGREES = 6


@dataclass(frozen=True)
class HermiteCertificate(Evidence):
    r"""The formula in (q1, q2, k12) equals the n-th derivative in k12 of the Hermite series.

    .. math:: T = \sum_n a_n(q_1) a_n(q_2) c^n, \qquad c = k_{12} / \sqrt{q_1 q_2}

    Both sides are analytic for \|c\| < 1, so agreement is checked at random rational points with
    \|c\| <= 1/2, where the terms left out are bounded by the missing mass
    :math:`R(q) = E[\phi^2] - \sum_n a_n(q)^2` of both variances. The formula itself is also checked
    at unit variance and c = 1 and -1, against one-dimensional integrals.
    """

    phi: Activation
    formula: Formula
    derivative: int = 0

    def verify(self, digits: int) -> str:
        """Compare formula and series at every point."""
        for point in self.points():
            self._compare(point, self.series(*point, digits), "Hermite series", digits)
        if self.derivative == 0:
            for end in (1, -1):
                point = (sympy.Integer(1), sympy.Integer(1), sympy.Integer(end))
                expected = certified_end(self.phi, point[0], point[1], end, digits)
                self._compare(point, expected, "integral", digits)
        return f"certified to {digits} digits"

    def _compare(self, point: tuple[Any, Any, Any], expected: arb, name: str, digits: int) -> None:
        place = f"at q1 = {point[0]}, q2 = {point[1]}, k12 = {point[2]}"
        try:
            found = self.formula.certified(*point, digits=digits + 5)
        except ValueError as error:
            raise DerivationError(f"{place} the formula is not a real number: {error}") from error
        names = "the formula gives", f"the {name} of {self.phi.name} gives"
        compare(found, expected, place, names, digits)

    def about(self) -> tuple[sympy.Expr, ...]:
        """The formula, whichever derivative it is."""
        return (self.formula.rhs,)

    def points(self) -> list[tuple[sympy.Rational, sympy.Rational, sympy.Rational]]:
        """Unit variances and random ones; the roots of q1 and q2 are rational, so c is too."""
        generator = random.Random(SEED)
        points = []
        for index in range(POINTS):
            r1, r2 = (
                (sympy.Rational(1), sympy.Rational(1))
                if index == 0
                else (sympy.Rational(generator.randint(5, 15), 10) for _ in range(2))
            )
            c = sympy.Rational(generator.choice((-1, 1)) * generator.randint(10, 50), 100)
            points.append((r1**2, r2**2, c * r1 * r2))
        return points

    def series(
        self, q1: sympy.Rational, q2: sympy.Rational, k12: sympy.Rational, digits: int
    ) -> arb:
        """The derivative of the Hermite series at one point, as a ball."""
        count = series_length(digits) + 4 * max(self.derivative - SHARED, 0)
        with ctx.workdps(digits + 15):
            scale = lower.to_ball(q1 * q2).sqrt()
            c = lower.to_ball(k12) / scale
            value = mehler_ball(self.phi, (q1, q2), c, digits, self.derivative, count)
            return value / scale**self.derivative


@dataclass(frozen=True)
class DistributionalDerivative(Evidence):
    r"""Some terms are the m-th derivative of phi in the sense of distributions.

    By Stein's lemma, with the orthonormal Hermite polynomials and coefficients of phi,

    .. math:: E[\phi^{(m)}(z)\,he_n(z)] = \sqrt{(n+m)!/n!}\; a_{n+m}

    The left side is exact, from the terms; the right side is integrated from phi itself, in balls.
    A lost term, factor or sign shows in the first degrees, although six coefficients do not
    determine a distribution. What is stated with it is
    :math:`E[\phi^{(m)}(u)\,\phi^{(m)}(v)]`.

    Attributes:
        phi: the activation.
        terms: what is claimed to be its m-th derivative.
        order: m.
    """

    phi: Activation
    terms: Terms
    order: int

    def verify(self, digits: int) -> str:
        """Compare the coefficients of the first degrees, each with those of phi."""
        m = self.order
        # As many as the certificate of the result needs, so that one integration serves both.
        count = max(series_length(digits), DEGREES + m)
        coefficients, _ = certified_hermite_coefficients(self.phi, ONE, count, digits)
        moments = self._moments()
        with ctx.workdps(digits + 15):
            for n in range(DEGREES):
                found = lower.to_ball(_hermite_mean(n, moments))
                scale = arb(math.perm(n + m, m)).sqrt()
                claim = f"E[he_n(z) f(z)] for f = {self.terms.expression} is"
                names = claim, f"for the derivative {m} of {self.phi.name}"
                compare(found, scale * coefficients[n + m], f"at n = {n}", names, digits)
        return f"certified to {digits} digits"

    def about(self) -> tuple[sympy.Expr, ...]:
        """The expectation of the terms at u and at v."""
        return (expected_product(self.terms.expression),)

    def _moments(self) -> list[Any]:
        """E[z^k terms(z)] for a standard Gaussian z, exactly."""
        means: list[Any] = [mean(times_power(self.terms, k), ONE) for k in range(DEGREES)]
        # Sines and cosines are pairs of conjugate exponentials: what is left of i cancels.
        return [sympy.re(m.expand(complex=True)) if m.has(sympy.I) else m for m in means]


def expected_product(function: sympy.Expr) -> sympy.Expr:
    """E[f(u) f(v)] as it is written in a derivation, for f in the symbol of activations."""
    u, v = sympy.symbols("u v", real=True)
    expectation: Any = sympy.Function("E")
    of_u: Any = function.subs(X, u)
    return expectation(of_u * function.subs(X, v))


def _hermite_mean(n: int, moments: list[Any]) -> Any:
    """E[f(z) he_n(z)] from the moments E[z^k f(z)]."""
    if n == 0:
        return moments[0]
    weights: Any = sympy.Poly(hermite(n).expression, X).terms()
    return sympy.Add(*(weight * moments[power] for (power,), weight in weights))


def times_power(terms: Terms, power: int) -> Terms:
    r"""x^k times the terms, which are terms again.

    :math:`x^k \delta^{(j)} = (-1)^k \frac{j!}{(j-k)!}\,\delta^{(j-k)}`, and zero for k > j:
    under a test function p, :math:`(-1)^j (x^k p)^{(j)}(0)` keeps the one term of Leibniz' rule in
    which all k derivatives fall on x^k.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.activations.terms import elementary_terms
        >>> delta = elementary_terms(relu).differentiate().differentiate()
        >>> times_power(delta.differentiate(), 1).expression
        -DiracDelta(x)
    """
    smooth = tuple(replace(term, power=term.power + power) for term in terms.smooth)
    singular = tuple(
        (order - power, (-1) ** power * math.perm(order, power) * coefficient)
        for order, coefficient in terms.singular
        if order >= power
    )
    return Terms(smooth, singular)


def series_length(digits: int) -> int:
    """How many terms of the series at c = 1/2 leave less than 10^(-digits - 4).

    So many also of its first derivatives, which need more: one integration serves them all.
    """
    return math.ceil((digits + 4) / math.log10(2)) + 4 * SHARED


@dataclass(frozen=True)
class SeriesCertificate(Evidence):
    r"""The Hermite series of phi is its dual, within the bound of what is left out.

    Its coefficients satisfy Stein's lemma, :math:`\sqrt{n}\,a_n = \sqrt q\,E[\phi' he_{n-1}]`,
    where both sides are integrals on their own; at c = 1 and -1 the sums lie within the missing
    mass of :math:`E[\phi(\sqrt{q_1} z)\phi(\pm\sqrt{q_2} z)]`.
    """

    phi: Activation

    def verify(self, digits: int) -> str:
        """Check coefficients and ends, in two normalisations."""
        for q1, q2 in ((1, 1), (sympy.Rational(9, 4), sympy.Rational(1, 4))):
            variances = sympy.Integer(1) * q1, sympy.Integer(1) * q2
            for variance in variances:
                self._stein(variance, digits)
            for end in (1, -1):
                self._end(variances, end, digits)
        return f"certified to {digits} digits"

    def _stein(self, variance: sympy.Rational, digits: int) -> None:
        derivative = derivative_of(self.phi)
        if derivative is None:
            return
        own, _ = certified_hermite_coefficients(self.phi, variance, STEIN, digits)
        slopes, _ = certified_hermite_coefficients(derivative, variance, STEIN, digits)
        with ctx.workdps(digits + 15):
            root = lower.to_ball(variance).sqrt()
            for n in range(1, STEIN):
                left, right = arb(n).sqrt() * own[n], root * slopes[n - 1]
                place = f"at n = {n} and q = {variance}"
                names = f"sqrt(n) a_n of {self.phi.name} is", "that of its derivative"
                compare(left, right, place, names, digits)

    def _end(self, variances: Any, end: int, digits: int) -> None:
        total = mehler_ball(self.phi, variances, arb(end), digits, 0, TERMS_AT_ENDS)
        integral = certified_end(self.phi, variances[0], variances[1], end, digits)
        if not total.overlaps(integral):
            raise DerivationError(
                f"at q1, q2 = {variances} and c = {end} the series of {self.phi.name} is "
                f"{total.str(15)} and the integral {integral.str(15)}"
            )


def compare(found: arb, expected: arb, place: str, names: tuple[str, str], digits: int) -> None:
    """Two balls around one number: they must meet, and be narrow."""
    balls = f"{names[0]} {found.str(15)} and {names[1]} {expected.str(15)}"
    if not found.overlaps(expected):
        raise DerivationError(f"{place}, {balls}")
    if not max(found.rad(), expected.rad()) < arb(10) ** -digits:
        raise DerivationError(
            f"{place} the enclosures are too wide to certify {digits} digits: {balls}"
        )
