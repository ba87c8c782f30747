r"""Derivation of dual activations by Price's theorem.

For u, v jointly Gaussian with variances q1, q2 and covariance k the dual activation is
:math:`T = E[\phi(u)\phi(v)]`, and :math:`\partial^m T/\partial k^m = E[\phi^{(m)}(u)
\phi^{(m)}(v)]` with derivatives in the sense of distributions (Price 1958). The engine
differentiates phi until that expectation is a Gaussian integral, and integrates back from k = 0,
where u and v are independent.
"""

import functools
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.activations.catalogue import CATALOGUE
from kerneltheory.activations.certificate import (
    DistributionalDerivative,
    HermiteCertificate,
    SeriesCertificate,
    expected_product,
)
from kerneltheory.activations.duals import closed_dual, covariance_dual, dual_class
from kerneltheory.activations.gaussian import K12, Q1, Q2
from kerneltheory.activations.orthant import atoms
from kerneltheory.activations.pieces import X, pieces
from kerneltheory.activations.price import Chain, price_chain
from kerneltheory.activations.series import differentiated
from kerneltheory.activations.terms import marked_terms
from kerneltheory.core import check
from kerneltheory.core.derivation import Derivation, Evidence, Identity, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula


@dataclass(frozen=True)
class RepeatedIntegral(Evidence):
    """A right-hand side has a given m-th derivative in k12 and given lower ones at k12 = 0.

    Attributes:
        rhs: the integrated expression.
        integrand: its m-th derivative.
        boundaries: its derivatives 0, ..., m - 1 at k12 = 0.
    """

    rhs: sympy.Expr
    integrand: sympy.Expr
    boundaries: tuple[sympy.Expr, ...]

    def verify(self, digits: int) -> str:
        """Prove that the derivatives are equal, or name a point at which they differ."""
        Identity(sympy.diff(self.rhs, K12, len(self.boundaries)), self.integrand).verify(digits)
        for order, value in enumerate(self.boundaries):
            Identity(sympy.diff(self.rhs, K12, order).subs(K12, 0), value).verify(digits)
        return "proved"

    def about(self) -> tuple[sympy.Expr, ...]:
        """The integrated expression."""
        return (self.rhs,)


@dataclass(frozen=True)
class SameFunction(Evidence):
    """Two expressions have the same breaks, and computer algebra makes them equal between these."""

    left: sympy.Expr
    right: sympy.Expr

    def verify(self, digits: int) -> str:
        """Prove it piece by piece, or name a point at which they differ."""
        first, second = pieces(self.left), pieces(self.right)
        if first.breaks != second.breaks:
            raise DerivationError(
                f"{self.left} has breaks at {first.breaks} and {self.right} at {second.breaks}"
            )
        for a, b in zip(first.expressions, second.expressions, strict=True):
            Identity(sympy.expand(a), sympy.expand(b)).verify(digits)
        return "proved"

    def about(self) -> tuple[sympy.Expr, ...]:
        """Both sides."""
        return self.left, self.right


def derive_dual(phi: Any, derivative: int = 0) -> Derivation:
    """The derivation of `covariance_dual(phi, derivative)`, step by step, ready to be verified.

    Args:
        phi: an activation or a sympy expression in one symbol.
        derivative: n, for the n-th derivative in k12.

    Returns:
        A Derivation whose result is the covariance dual. Its steps depend on the class of phi
        (`dual_class`): Price's theorem, Gaussian integral, boundary values and Cauchy's formula;
        or moments of a truncated bivariate normal distribution; or Mehler's series. A derivative
        has one more by Price's theorem, each with a certificate of its own.

    Raises:
        DerivationError: if phi grows too fast.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> print(derive_dual(relu).verify(digits=10).statuses[-1])
        certified to 10 digits
    """
    phi = activation(phi)
    derivative = check.integer("derivative", derivative, minimum=0)
    if derivative:
        steps = (_price_of_series if dual_class(phi).name == "series" else _price_of_formula)(
            phi, derivative
        )
        return Derivation((_definition(phi), *steps), covariance_dual(phi, derivative))
    kind = dual_class(phi)
    build = {"elementary": _elementary, "one-dimensional": _one_dimensional, "series": _series}
    return Derivation((_definition(phi), *build[kind.name](phi)), covariance_dual(phi))


def _elementary(phi: Activation) -> list[Step]:
    chain, result = price_chain(phi), closed_dual(phi)
    last = Step(
        _equation(0, result.rhs), "Hermite series of phi, in balls", HermiteCertificate(phi, result)
    )
    return [*_price(chain), *_boundaries(chain), _integral(chain, result), last]


def _one_dimensional(phi: Activation) -> list[Step]:
    result, first = closed_dual(phi), closed_dual(phi, 1)
    whole: Any = sympy.Add(*(atom.expression for atom in atoms(marked_terms(phi))))
    split = Step(
        _equal(sympy.Function("phi")(X), whole),
        "terms on half lines, each pointing to where it is small",
        SameFunction(phi.expression, whole),
    )
    moments = "moments of a truncated bivariate normal distribution (Stein's lemma)"
    return [
        split,
        Step(_equation(0, result.rhs), moments, HermiteCertificate(phi, result)),
        Step(_equation(1, first.rhs), "Price's theorem", HermiteCertificate(phi, first, 1)),
    ]


def _series(phi: Activation) -> list[Step]:
    reason = "Mehler's formula, a(n, q) the Hermite coefficients of phi"
    return [Step(_equation(0, _mehler()), reason, SeriesCertificate(phi))]


def _mehler() -> Any:
    n = sympy.Symbol("n", integer=True, nonnegative=True)
    a: Any = sympy.Function("a")
    terms = a(n, Q1) * a(n, Q2) * (K12 / sympy.sqrt(Q1 * Q2)) ** n
    return sympy.Sum(terms, (n, 0, sympy.oo))


def _price_of_formula(phi: Activation, order: int) -> list[Step]:
    """Each derivative is that of the one before: compared with the series of phi."""
    return [
        Step(
            _equation(n, closed_dual(phi, n).rhs),
            "Price's theorem",
            HermiteCertificate(phi, closed_dual(phi, n), n),
        )
        for n in range(1, order + 1)
    ]


def _price_of_series(phi: Activation, order: int) -> list[Step]:
    """The series of the last derivative of phi that is a function, whose coefficients are proved.

    The certificate of each function compares its coefficients with those of the next one.
    """
    last, taken = differentiated(phi, order)
    steps = []
    for n in range(taken):
        before, _ = differentiated(phi, n)
        product: Any = expected_product(differentiated(phi, n + 1)[0].expression)
        lemma = "Price's theorem; the next derivative of phi by Stein's lemma"
        steps.append(Step(_equation(n + 1, product), lemma, SeriesCertificate(before)))
    total = sympy.diff(_mehler(), (K12, order - taken)) if order > taken else _mehler()
    reason = f"Mehler's formula, a(n, q) the Hermite coefficients of derivative {taken} of phi"
    return [*steps, Step(_equation(order, total), reason, SeriesCertificate(last))]


def _dual_symbol(order: int) -> sympy.Expr:
    function = sympy.Function("T")(Q1, Q2, K12)
    return sympy.Derivative(function, (K12, order)) if order else function


def _equation(order: int, rhs: sympy.Expr) -> Any:
    return _equal(_dual_symbol(order), rhs)


def _equal(left: Any, right: Any) -> Any:
    return sympy.Eq(left, right, evaluate=False)


def _definition(phi: Activation) -> Step:
    return Step(_equation(0, expected_product(phi.expression)), "definition of the dual activation")


def _price(chain: Chain) -> list[Step]:
    """One step for the differentiated activation, one for the Gaussian integral."""
    last = chain.derivatives[-1]
    value = chain.integrand
    return [
        Step(
            _equation(chain.order, expected_product(last.expression)),
            f"Price's theorem; derivative {chain.order} of phi by Stein's lemma",
            DistributionalDerivative(chain.phi, last, chain.order),
        ),
        Step(
            _equation(chain.order, value),
            "Gaussian integral (Isserlis' theorem)",
            HermiteCertificate(chain.phi, closed_dual(chain.phi, chain.order), chain.order),
        ),
    ]


def _boundaries(chain: Chain) -> list[Step]:
    steps = []
    for order in range(chain.order):
        value = chain.boundary(order)
        claim: Any = closed_dual(chain.phi, order).rhs.subs(K12, 0)
        statement = sympy.Eq(sympy.Subs(_dual_symbol(order), K12, 0), value, evaluate=False)
        steps.append(Step(statement, "u and v are independent at k12 = 0", Identity(claim, value)))
    return steps


def _integral(chain: Chain, result: Formula) -> Step:
    """The result has the boundary values and the m-th derivative that were found."""
    boundaries = tuple(chain.boundary(order) for order in range(chain.order))
    evidence = RepeatedIntegral(result.rhs, chain.integrand, boundaries)
    return Step(_equation(0, result.rhs), "Cauchy's formula for repeated integrals", evidence)


# What `kerneltheory verify` and the tests verify.
DERIVATIONS = tuple(
    functools.partial(derive_dual, phi, order) for phi in CATALOGUE for order in range(3)
)
