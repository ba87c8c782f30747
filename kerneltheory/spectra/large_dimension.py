r"""Multiplicities and masses of any fixed degree as d grows, as steps of derivations.

Neighbouring degrees have a ratio that is rational in degree and dimension, so each statement holds
for a symbolic degree k. With the weights c_j of :math:`N_k \lambda_k = \sum_j a_{k+2j} c_j`, where
:math:`a_n = h^{(n)}(0)/n! \ge 0`,

.. math:: c_0 \to 1, \qquad 0 \le N_k \lambda_k - a_k c_0 \le c_1 h(1) \to 0.
"""

from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.core.derivation import Evidence, Identity, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.evidence import limit_step, positive_step
from kerneltheory.spectra.gamma_products import GammaProduct, gamma_product
from kerneltheory.spectra.lemmas import POWERS, lemma
from kerneltheory.spectra.summation import D, J, K
from kerneltheory.sphere.harmonics import multiplicity

# N(d, k) of `multiplicity` for symbolic k, and how many degrees compare the two.
MULTIPLICITY = gamma_product(2 * K + D - 2, [D + K - 2], [K + 1, D - 1])
COMPARED = 8


@dataclass(frozen=True)
class GammaRatio(Evidence):
    """The ratio of two products of Gamma functions is a rational function.

    Attributes:
        above, below: the products.
        ratio: what is claimed.
    """

    above: GammaProduct
    below: GammaProduct
    ratio: Any

    def verify(self, digits: int) -> str:
        """Prove it by reducing the quotient."""
        found = self.above * self.below**-1
        if found.gammas:
            raise DerivationError(f"the ratio {found.expression} is not rational")
        return Identity(found.factor, self.ratio).verify(digits)

    def about(self) -> tuple[Any, ...]:
        """The ratio."""
        return (self.ratio,)


@dataclass(frozen=True)
class MultiplicityRatio(Evidence):
    """The ratio of neighbouring multiplicities, for the numbers that `multiplicity` returns.

    Attributes:
        ratio: N(d, k+1)/N(d, k), claimed.
    """

    ratio: Any

    def verify(self, digits: int) -> str:
        """Prove it for all k, and that the Gamma functions are the multiplicities, at several k."""
        GammaRatio(MULTIPLICITY.subs({K: K + 1}), MULTIPLICITY, self.ratio).verify(digits)
        for degree in range(COMPARED):
            found = MULTIPLICITY.subs({K: sympy.Integer(degree)})
            if found.gammas:
                raise DerivationError(f"N(d, {degree}) is not a polynomial in d")
            Identity(found.factor, multiplicity(D, degree)).verify(digits)
        return "proved"

    def about(self) -> tuple[Any, ...]:
        """The ratio."""
        return (self.ratio,)


def multiplicity_steps() -> list[Step]:
    """N grows by a factor of about d/(k+1) from degree to degree, and never decreases."""
    count: Any = sympy.Function("N")
    ratio = (2 * K + D) * (D + K - 2) / ((2 * K + D - 2) * (K + 1))
    excess = sympy.Symbol("epsilon", nonnegative=True)
    return [
        Step(
            sympy.Eq(count(K + 1) / count(K), ratio, evaluate=False),
            "multiplicities of spherical harmonics",
            MultiplicityRatio(ratio),
        ),
        limit_step(ratio / D, D, sympy.oo, 1 / (K + 1), "so N(k)/N(k+1) is about (k+1)/d"),
        positive_step(
            ratio - 1, "multiplicities grow with the degree, for d >= 3", {D: 3 + excess}
        ),
    ]


def mass_steps() -> list[Step]:
    """The mass N lambda of a degree tends to the Taylor coefficient of the kernel."""
    c: Any = sympy.Function("c")
    first, second = (K + D - 2) / (2 * K + D - 2), (K + 1) * (K + 2) / (2 * (2 * K + D))
    later = (K + 2 * J + 1) * (K + 2 * J + 2) / (4 * (J + 1) * (K + J + D / 2))
    excess = sympy.Symbol("epsilon", nonnegative=True)
    weight, at_next = _weight(sympy.Integer(0)), _weight(sympy.Integer(1))
    return [
        lemma(POWERS),
        Step(
            sympy.Eq(c(0, K + 1) / c(0, K), first, evaluate=False),
            "N lambda = a(k) c(0) + a(k+2) c(1) + ..., where c(j) = N(k) lambda(t^(k+2j))",
            GammaRatio(weight.subs({K: K + 1}), weight, first),
        ),
        Step(
            sympy.Eq(c(0, 0), sympy.S.One, evaluate=False),
            "the mean of 1",
            GammaRatio(weight.subs({K: sympy.S.Zero}), gamma_product(1), sympy.S.One),
        ),
        limit_step(first, D, sympy.oo, 1, "c(0) tends to 1, by induction on k"),
        Step(
            sympy.Eq(c(1, K) / c(0, K), second, evaluate=False),
            "the next weight",
            GammaRatio(at_next, weight, second),
        ),
        limit_step(second, D, sympy.oo, 0, "c(1) tends to 0"),
        Step(
            sympy.Eq(c(J + 1, K) / c(J, K), later, evaluate=False),
            "later weights",
            GammaRatio(_weight(J + 1), _weight(J), later),
        ),
        positive_step(
            1 - later,
            "weights decrease for d > k^2 + 2: for a(n) >= 0 the rest is at most c(1) h(1)",
            {D: K**2 + 2 + excess},
        ),
    ]


def _weight(j: Any) -> GammaProduct:
    """c_j(k, d), what the power k + 2j of t adds to the mass of degree k."""
    return MULTIPLICITY * POWERS.eigenvalue(K + 2 * j, K)
