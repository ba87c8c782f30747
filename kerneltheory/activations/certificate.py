"""The certificate of a dual activation: its Hermite series, in balls, with what is left out."""

import math
import random
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.hermite import certified_end, certified_hermite_coefficients
from kerneltheory.activations.series import derivative_of, mehler_ball
from kerneltheory.core import lower
from kerneltheory.core.derivation import Evidence
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula

POINTS = 3
SEED = 20
# Of a series: the coefficients that are checked one by one, and the terms at the ends.
STEIN = 8
TERMS_AT_ENDS = 64


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
        found = self.formula.certified(*point, digits=digits + 5)
        place = f"at q1 = {point[0]}, q2 = {point[1]}, k12 = {point[2]}"
        _compare(
            found, expected, f"{place} the formula gives", f"the {name} of {self.phi.name}", digits
        )

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
        count = math.ceil((digits + 4) / math.log10(2)) + 4 * self.derivative
        with ctx.workdps(digits + 15):
            scale = arb(lower.to_fmpq(q1 * q2)).sqrt()
            c = arb(lower.to_fmpq(k12)) / scale
            value = mehler_ball(self.phi, (q1, q2), c, digits, self.derivative, count)
            return value / scale**self.derivative


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
            root = arb(lower.to_fmpq(variance)).sqrt()
            for n in range(1, STEIN):
                left, right = arb(n).sqrt() * own[n], root * slopes[n - 1]
                place = f"coefficient {n} of {self.phi.name} at q = {variance}"
                _compare(left, right, f"{place} is", "by Stein's lemma", digits)

    def _end(self, variances: Any, end: int, digits: int) -> None:
        total = mehler_ball(self.phi, variances, arb(end), digits, 0, TERMS_AT_ENDS)
        integral = certified_end(self.phi, *variances, end, digits)
        if not total.overlaps(integral):
            raise DerivationError(
                f"at q1, q2 = {variances} and c = {end} the series of {self.phi.name} is "
                f"{total.str(15)} and the integral {integral.str(15)}"
            )


def _compare(found: arb, expected: arb, what: str, name: str, digits: int) -> None:
    """Two balls around one number: they must meet, and be narrow."""
    if not found.overlaps(expected):
        raise DerivationError(f"{what} {found.str(15)} and {name} {expected.str(15)}")
    if not max(found.rad(), expected.rad()) < arb(10) ** -digits:
        raise DerivationError(
            f"{what} enclosed too widely to certify {digits} digits: "
            f"{found.str(15)} and {name} {expected.str(15)}"
        )
