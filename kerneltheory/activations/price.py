r"""Elementary duals by Price's theorem: differentiate, take a Gaussian integral, integrate back.

:math:`\partial^m T/\partial k^m = E[\phi^{(m)}(u)\phi^{(m)}(v)]` with derivatives in the sense of
distributions (Price 1958). phi is differentiated until that expectation is a Gaussian integral,
which is integrated back from k = 0, where u and v are independent.
"""

import functools
from dataclasses import dataclass

import sympy

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.gaussian import (
    K12,
    Q1,
    Q2,
    RadicalSum,
    mean,
    pair_expectation,
    tilted_pair_expectation,
)
from kerneltheory.activations.integrate import repeated_integral
from kerneltheory.activations.terms import Terms, elementary_terms
from kerneltheory.core.errors import DerivationError

MAX_ORDER = 12


@dataclass(frozen=True)
class Chain:
    """phi, phi', ..., phi^(m) as elementary terms; the last one is pure."""

    phi: Activation
    derivatives: tuple[Terms, ...]

    @property
    def order(self) -> int:
        """How often phi was differentiated."""
        return len(self.derivatives) - 1

    @functools.cached_property
    def integrands(self) -> list[RadicalSum]:
        """E[phi^(m)(u) phi^(m)(v)] as radical sums; none where exponentials occur."""
        return [] if self.derivatives[-1].is_tilted else pair_expectation(self.derivatives[-1])

    @functools.cached_property
    def integrand(self) -> sympy.Expr:
        """E[phi^(m)(u) phi^(m)(v)] as an expression."""
        if self.derivatives[-1].is_tilted:
            return tilted_pair_expectation(self.derivatives[-1])
        return self._integrate(0, {})

    def boundary(self, order: int) -> sympy.Expr:
        """E[phi^(j)(u)] E[phi^(j)(v)], the value of the j-th derivative of T at k = 0."""
        terms = self.derivatives[order]
        return mean(terms, Q1) * mean(terms, Q2)

    def derivative_of_dual(self, order: int) -> sympy.Expr:
        """The n-th derivative of T with respect to k, n <= m, integrated back from order m."""
        if order == self.order:
            return self.integrand
        boundaries = {
            j - order: self.boundary(j) / sympy.factorial(j - order)
            for j in range(order, self.order)
        }
        return self._integrate(self.order - order, boundaries)

    def _integrate(self, times: int, powers: dict[int, sympy.Expr]) -> sympy.Expr:
        """Add the integrals to a polynomial in k, whose coefficients are tidied."""
        rest: sympy.Expr = sympy.Integer(0)
        for integrand in self.integrands:
            plain, other = repeated_integral(integrand, times)
            rest += other
            for power, coefficient in plain.items():
                powers[power] = powers.get(power, sympy.Integer(0)) + coefficient
        tidied = (sympy.factor(c) * K12**i for i, c in powers.items())
        return sympy.Add(rest, *tidied)


@functools.lru_cache(maxsize=256)
def price_chain(phi: Activation) -> Chain:
    """Differentiate an activation until it is pure.

    Raises:
        DerivationError: if it is not elementary, saying why or how far the derivatives went.
    """
    derivatives = [elementary_terms(phi)]
    if derivatives[0].is_tilted and not derivatives[0].is_pure:
        raise DerivationError(
            f"{phi.name} mixes exponentials of x with steps or erf: integrating back from Price's "
            "theorem leaves bivariate normal probabilities, which are not elementary"
        )
    while not derivatives[-1].is_pure:
        if len(derivatives) > MAX_ORDER:
            raise DerivationError(
                f"{MAX_ORDER} derivatives of {phi.name} were taken and none is a sum of "
                "polynomials times Gaussians and deltas at 0: it has no elementary dual"
            )
        derivatives.append(derivatives[-1].differentiate())
    return Chain(phi, tuple(derivatives))


def elementary_dual(phi: Activation, derivative: int) -> sympy.Expr:
    """The n-th derivative of T with respect to k12, as an elementary expression.

    Raises:
        DerivationError: if phi is not elementary.
    """
    chain = price_chain(phi)
    known = min(derivative, chain.order)
    return sympy.diff(chain.derivative_of_dual(known), K12, derivative - known)
