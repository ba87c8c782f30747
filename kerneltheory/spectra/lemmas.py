r"""The three families whose eigenvalues are products of Gamma functions, proved by induction.

With f_k(n) the eigenvalue of :math:`t^n`, of :math:`t_+^n` or of the n-th power of the distance
:math:`r = \sqrt{2 - 2t}`, the recurrence of the Gegenbauer polynomials relates neighbours,

.. math:: \lambda_k(t h) = \frac{(k + d - 2)\,\lambda_{k+1}(h) + k\,\lambda_{k-1}(h)}{2k + d - 2}

and t h is the function of the next exponent, or makes it by :math:`r^{n+2} = (2 - 2t) r^n`. So
f_{k+1} follows from lower degrees for all exponents at once, and f_0 is a Beta integral.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.core.derivation import Derivation, Evidence, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula
from kerneltheory.spectra.closed_forms import (
    HALF,
    distance_eigenvalue,
    power_eigenvalue,
    rectified_eigenvalue,
    times_t,
)
from kerneltheory.spectra.gamma_products import (
    GammaProduct,
    combine,
    from_expression,
    gamma_product,
)
from kerneltheory.spectra.hypergeometric import N
from kerneltheory.spectra.summation import D, K

RODRIGUES = "Mueller, Spherical Harmonics (1966); Bach, arXiv:1412.8690"


@dataclass(frozen=True)
class Family:
    """A family of functions of t, one for each exponent n.

    Attributes:
        name: of the function with exponent n.
        eigenvalue: its eigenvalue as a function of n and k.
        mean: its eigenvalue of degree 0, a Beta integral.
        function: the function, with exponent `N`.
        in_distance: whether the next exponent is n + 2 by 2 - 2t, or n + 1 by t.
    """

    name: str
    eigenvalue: Callable[[Any, Any], GammaProduct]
    mean: Any
    function: Any
    in_distance: bool = False


_SINE_MEAN = gamma_product(1 / sympy.sqrt(sympy.pi), [D / 2, (N + 1) * HALF], [(N + D) / 2])
_DISTANCE_MEAN = gamma_product(
    sympy.Integer(2) ** (N + D - 2) / sympy.sqrt(sympy.pi),
    [D / 2, (N + D - 1) / 2],
    [N * HALF + D - 1],
)
_T, _RECTIFIED, _R = sympy.Symbol("t", real=True), sympy.Symbol("t_+"), sympy.Symbol("r")
POWERS = Family("power", power_eigenvalue, _SINE_MEAN, _T**N)
RECTIFIED = Family(
    "rectified power",
    rectified_eigenvalue,
    gamma_product(HALF) * _SINE_MEAN,
    _RECTIFIED**N,
)
DISTANCES = Family(
    "power of the distance", distance_eigenvalue, _DISTANCE_MEAN, _R**N, in_distance=True
)


@dataclass(frozen=True)
class DegreeInduction(Evidence):
    """A formula in n, k and d holds for a family: at degree 0, and from degree to degree.

    Attributes:
        formula: the claim.
        family: the family.
    """

    formula: Any
    family: Family

    def verify(self, digits: int) -> str:
        """Prove both by reducing products of Gamma functions."""
        start = self._at(N, sympy.Integer(0)) * self.family.mean**-1
        if start.gammas or start.factor != 1:
            raise DerivationError(
                f"at degree 0 the eigenvalue of {self.family.function} is not the Beta integral "
                f"{self.family.mean.expression}"
            )
        rest = combine([*self._next(), *(gamma_product(-1) * p for p in self._times())])
        if rest:
            raise DerivationError(
                f"the eigenvalues of {self.family.function} violate the recurrence in the degree "
                f"by {sympy.Add(*(p.expression for p in rest))}"
            )
        return "proved"

    def about(self) -> tuple[Any, ...]:
        """The claim."""
        return (self.formula,)

    def _at(self, n: Any, k: Any) -> GammaProduct:
        return from_expression(self.formula.subs({N: n, K: k}, simultaneous=True))

    def _next(self) -> list[GammaProduct]:
        """The eigenvalue of t times the function, from the functions of the family."""
        if not self.family.in_distance:
            return [self._at(N + 1, K)]
        return [self._at(N, K), gamma_product(-HALF) * self._at(N + 2, K)]

    def _times(self) -> list[GammaProduct]:
        """The same from the recurrence in the degree."""
        return times_t(lambda k: self._at(N, k), K)


def lemma(family: Family) -> Step:
    """The eigenvalue of a family as a step of a derivation."""
    formula = family.eigenvalue(N, K).expression
    left = sympy.Function("lambda")(family.function)
    reason = "Rodrigues' formula and a Beta integral; by induction on the degree"
    return Step(sympy.Eq(left, formula, evaluate=False), reason, DegreeInduction(formula, family))


def derive_family(family: Family) -> Derivation:
    """The derivation of the eigenvalue of a family, in n, k and d."""
    step = lemma(family)
    name = f"eigenvalue of a {family.name}"
    result = Formula(name, (N, K, D), family.eigenvalue(N, K).expression, D >= 2, RODRIGUES)
    return Derivation((step,), result)
