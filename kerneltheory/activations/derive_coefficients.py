r"""Derivation of Hermite coefficients in closed form for every degree n, by Stein's lemma."""

import functools
from dataclasses import dataclass
from typing import Any

import sympy
from flint import ctx

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.activations.catalogue import ELEMENTARY
from kerneltheory.activations.certificate import compare, series_length
from kerneltheory.activations.hermite import certified_hermite_coefficients, hermite_coefficients
from kerneltheory.activations.pieces import X
from kerneltheory.core import lower
from kerneltheory.core.derivation import Derivation, Evidence, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula

N = sympy.Symbol("n", integer=True, nonnegative=True)
STEIN = "Stein, Ann. Statist. 9 (1981)"
# Every degree below the first number, and then some: parities, exceptions and factorials all show.
FIRST, LATER = 16, (25, 40)


@dataclass(frozen=True)
class CoefficientCertificate(Evidence):
    """A closed form in n equals the integrals of phi times Hermite polynomials at many degrees.

    Degrees 0 to 15, 25 and 40. They do not determine a function of n, but no dropped factor, sign,
    parity or exception of a low degree passes.
    """

    phi: Activation
    closed: sympy.Expr

    def verify(self, digits: int) -> str:
        """Compare with integrals in balls, degree by degree."""
        count = max(series_length(digits), LATER[-1] + 1)
        balls, _ = certified_hermite_coefficients(self.phi, sympy.Integer(1), count, digits)
        for degree in (*range(FIRST), *LATER):
            value: Any = self.closed.subs(N, degree)
            # Waves are pairs of conjugate exponentials: what is left of i cancels.
            value = sympy.re(value.expand(complex=True)) if value.has(sympy.I) else value
            if value.has(sympy.nan, sympy.zoo):
                raise DerivationError(f"at n = {degree}, the closed form is {value}")
            with ctx.workdps(digits + 15):
                found = lower.to_ball(value)
            names = "the closed form gives", f"the integral of {self.phi.name} gives"
            compare(found, balls[degree], f"at n = {degree}", names, digits)
        return f"certified to {digits} digits"

    def about(self) -> tuple[sympy.Expr, ...]:
        """The closed form."""
        return (self.closed,)


def derive_hermite_coefficients(phi: Any) -> Derivation:
    r"""The derivation of `hermite_coefficients(phi, n)` for a symbol n.

    Args:
        phi: an activation or a sympy expression in one symbol, of the elementary class.

    Returns:
        A Derivation whose result is a Formula in n: :math:`a_n = E[\phi^{(n)}(z)]/\sqrt{n!}`.

    Raises:
        DerivationError: if phi has no closed form in n.

    Examples:
        >>> from kerneltheory.activations.catalogue import exp
        >>> print(derive_hermite_coefficients(exp).verify(digits=12).statuses[-1])
        certified to 12 digits
    """
    phi = activation(phi)
    closed: Any = hermite_coefficients(phi, N)
    a, he, z = sympy.Function("a")(N), sympy.Function("he"), sympy.Symbol("z", real=True)
    expectation: Any = sympy.Function("E")
    defined: Any = expectation(phi.expression.subs(X, z) * he(N, z))
    steps = (
        Step(sympy.Eq(a, defined, evaluate=False), "definition, he(n, z) orthonormal"),
        Step(
            sympy.Eq(a, closed, evaluate=False),
            "Stein's lemma: sqrt(n!) a(n) is the mean of the n-th derivative of phi",
            CoefficientCertificate(phi, closed),
        ),
    )
    return Derivation(
        steps, Formula(f"Hermite coefficients of {phi.name}", (N,), closed, reference=STEIN)
    )


# What `kerneltheory verify` and the tests verify.
DERIVATIONS = tuple(functools.partial(derive_hermite_coefficients, phi) for phi in ELEMENTARY)
