"""The certificate of a dual activation: its Hermite series, in balls, with what is left out."""

import math
import random
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.hermite import certified_end, certified_hermite_coefficients
from kerneltheory.core import lower
from kerneltheory.core.derivation import Evidence
from kerneltheory.core.enclose import plus_minus
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula

POINTS = 3
SEED = 20


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
                expected = certified_end(self.phi, end == -1, digits)
                self._compare(point, expected, "integral", digits)
        return f"certified to {digits} digits"

    def _compare(self, point: tuple[Any, Any, Any], expected: arb, name: str, digits: int) -> None:
        found = self.formula.certified(*point, digits=digits + 5)
        place = f"at q1 = {point[0]}, q2 = {point[1]}, k12 = {point[2]}"
        if not found.overlaps(expected):
            raise DerivationError(
                f"{place} the formula gives {found.str(15)} and the {name} of {self.phi.name} "
                f"gives {expected.str(15)}"
            )
        if not max(found.rad(), expected.rad()) < arb(10) ** -digits:
            raise DerivationError(
                f"{place} the enclosures are too wide to certify {digits} digits: "
                f"{found.str(15)} and {expected.str(15)}"
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
        first, mass_1 = certified_hermite_coefficients(self.phi, q1, count, digits)
        second, mass_2 = certified_hermite_coefficients(self.phi, q2, count, digits)
        with ctx.workdps(digits + 15):
            scale = arb(lower.to_fmpq(q1 * q2)).sqrt()
            c = arb(lower.to_fmpq(k12)) / scale
            total, m = arb(0), self.derivative
            for n in range(m, count):
                total += first[n] * second[n] * math.perm(n, m) * c ** (n - m)
            missing_1 = mass_1 - sum((a * a for a in first), arb(0))
            missing_2 = mass_2 - sum((a * a for a in second), arb(0))
            mass = (missing_1.abs_upper() * missing_2.abs_upper()).sqrt()
            tail = _geometric_tail(abs(c), count, m) * mass
            return (total + plus_minus(arb(tail.upper()))) / scale**m


def _geometric_tail(x: arb, count: int, m: int) -> arb:
    """Bound of sum_{n >= count} n!/(n-m)! x^{n-m}: the ratio of its terms decreases in n."""
    ratio = x * (count + 1) / (count + 1 - m)
    return math.perm(count, m) * x ** (count - m) / (1 - ratio)
