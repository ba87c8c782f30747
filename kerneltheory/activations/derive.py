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

from kerneltheory.activations.activation import Activation, X, activation
from kerneltheory.activations.catalogue import CATALOGUE
from kerneltheory.activations.certificate import HermiteCertificate
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
from kerneltheory.core import check
from kerneltheory.core.derivation import AllOf, Definition, Derivation, Identity, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula
from kerneltheory.core.prove import is_half_power

RHO = sympy.Symbol("rho", real=True)
MAX_ORDER = 12
PRICE = "Price, IRE Trans. Inf. Theory 4 (1958)"


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
        tidied = (sympy.factor(sympy.simplify(c)) * K12**i for i, c in powers.items())
        return sympy.Add(rest, *tidied)


@functools.lru_cache(maxsize=256)
def _chain(phi: Activation) -> Chain:
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


@functools.lru_cache(maxsize=1024)
def _covariance_dual(phi: Activation, derivative: int) -> Formula:
    chain = _chain(phi)
    if derivative <= chain.order:
        rhs = chain.derivative_of_dual(derivative)
    else:
        rhs = sympy.diff(chain.derivative_of_dual(chain.order), K12, derivative - chain.order)
    name = f"covariance dual of {phi.name}" + (f", derivative {derivative}" if derivative else "")
    return Formula(name, (Q1, Q2, K12), rhs, sympy.Abs(K12) <= sympy.sqrt(Q1 * Q2), PRICE)


def covariance_dual(phi: Any, derivative: int = 0) -> Formula:
    r"""Dual activation for Gaussian inputs of any covariance.

    .. math:: T(q_1, q_2, k) = E[\phi(u)\phi(v)], \qquad
              (u, v) \sim N\left(0, \begin{pmatrix} q_1 & k \\ k & q_2 \end{pmatrix}\right)

    Args:
        phi: an activation or a sympy expression in one symbol.
        derivative: n, for the n-th derivative of T in k, which is
            :math:`E[\phi^{(n)}(u)\phi^{(n)}(v)]`.

    Returns:
        A Formula with arguments (q1, q2, k12).

    Raises:
        DerivationError: if phi has no elementary dual.

    References:
        Price (1958); Cho and Saul (2009) and Williams (1996) for relu and erf.

    Examples:
        >>> from kerneltheory.activations.catalogue import erf
        >>> print(covariance_dual(erf, derivative=1).rhs)
        4/(pi*sqrt(-4*k12**2 + 4*q1*q2 + 2*q1 + 2*q2 + 1))
    """
    derivative = check.integer("derivative", derivative, minimum=0)
    return _covariance_dual(activation(phi), derivative)


def dual(phi: Any, derivative: int = 0) -> Formula:
    r"""Dual activation for inputs of unit variance and correlation rho.

    .. math:: \hat\phi(\rho) = E[\phi(u)\phi(v)], \qquad E[u^2] = E[v^2] = 1,\; E[uv] = \rho

    Args:
        phi: an activation or a sympy expression in one symbol.
        derivative: n, for :math:`\hat\phi^{(n)}(\rho) = E[\phi^{(n)}(u)\phi^{(n)}(v)]`.

    Returns:
        A Formula with argument rho in [-1, 1].

    Raises:
        DerivationError: if phi has no elementary dual.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> print(dual(relu, derivative=1).rhs)
        asin(rho)/(2*pi) + 1/4
    """
    phi = activation(phi)
    rhs = covariance_dual(phi, derivative).rhs.subs({Q1: 1, Q2: 1, K12: RHO})
    name = f"dual of {phi.name}" + (f", derivative {derivative}" if derivative else "")
    return Formula(name, (RHO,), rhs, sympy.Abs(RHO) <= 1, PRICE)


@functools.lru_cache(maxsize=1024)
def correlation_dual(phi: Activation, derivative: int = 0) -> Formula:
    """The covariance dual in (q1, q2, c), c = k12 / sqrt(q1 q2), with cancellation done exactly.

    At c = 1 the radicand q1 q2 - k12^2 becomes q1 q2 (1 - c)(1 + c), which is exactly zero.
    """
    correlation = sympy.Symbol("c", real=True)
    rhs: Any = covariance_dual(phi, derivative).rhs
    rhs = rhs.subs(K12, correlation * sympy.sqrt(Q1 * Q2))
    rhs = rhs.replace(
        is_half_power,
        lambda node: _split_root(node, correlation),
    )
    name = f"correlation dual of {phi.name}"
    return Formula(name, (Q1, Q2, correlation), rhs, sympy.Abs(correlation) <= 1, PRICE)


def _split_root(node: sympy.Pow, correlation: sympy.Symbol) -> sympy.Expr:
    """Take positive factors out of a root; keep 1 - c^2 as one non-negative factor."""
    inside, outside = sympy.Integer(1), sympy.Integer(1)
    for factor, count in sympy.factor_list(node.base)[1]:
        if factor.free_symbols <= {Q1, Q2} and factor.is_positive:
            outside *= factor ** (count * node.exp)
        else:
            inside *= factor**count
    constant = sympy.factor_list(node.base)[0]
    return outside * (constant * inside) ** node.exp


# --- the derivation as an object --------------------------------------------------------------


def derive_dual(phi: Any) -> Derivation:
    """The derivation of `covariance_dual(phi)`, step by step, ready to be verified.

    Args:
        phi: an activation or a sympy expression in one symbol.

    Returns:
        A Derivation: definition, Price's theorem, Gaussian integral, boundary values,
        Cauchy's formula; its result is the covariance dual.

    Raises:
        DerivationError: if phi has no elementary dual.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> print(derive_dual(relu).verify(digits=10).statuses[-1])
        certified to 10 digits
    """
    phi = activation(phi)
    chain, result = _chain(phi), covariance_dual(phi)
    steps = [_definition(phi), *_price(chain), *_boundaries(chain), _integral(chain, result)]
    certificate = HermiteCertificate(phi, result)
    steps.append(Step(_equation(0, result.rhs), "Hermite series of phi, in balls", certificate))
    return Derivation(tuple(steps), result)


def _dual_symbol(order: int) -> sympy.Expr:
    function = sympy.Function("T")(Q1, Q2, K12)
    return sympy.Derivative(function, (K12, order)) if order else function


def _equation(order: int, rhs: sympy.Expr) -> Any:
    return sympy.Eq(_dual_symbol(order), rhs, evaluate=False)


def _definition(phi: Activation) -> Step:
    u, v = sympy.symbols("u v", real=True)
    expectation: Any = sympy.Function("E")
    phi_of: Any = phi.expression
    from_u, from_v = (phi_of.subs(X, symbol) for symbol in (u, v))
    statement = _equation(0, expectation(from_u * from_v))
    return Step(statement, "definition of the dual activation")


def _price(chain: Chain) -> list[Step]:
    """One step for the differentiated activation, one for the Gaussian integral."""
    last: Any = chain.derivatives[-1].expression
    u, v = sympy.symbols("u v", real=True)
    expectation = sympy.Function("E")(last.subs(X, u) * last.subs(X, v))
    value = chain.integrand
    return [
        Step(_equation(chain.order, expectation), "Price's theorem", Definition()),
        Step(
            _equation(chain.order, value),
            "Gaussian integral (Isserlis' theorem)",
            HermiteCertificate(chain.phi, covariance_dual(chain.phi, chain.order), chain.order),
        ),
    ]


def _boundaries(chain: Chain) -> list[Step]:
    steps = []
    for order in range(chain.order):
        value = chain.boundary(order)
        claim = covariance_dual(chain.phi, order).rhs.subs(K12, 0)
        statement = sympy.Eq(sympy.Subs(_dual_symbol(order), K12, 0), value, evaluate=False)
        steps.append(Step(statement, "u and v are independent at k12 = 0", Identity(claim, value)))
    return steps


def _integral(chain: Chain, result: Formula) -> Step:
    """The result has the boundary values and the m-th derivative that were found."""
    value = chain.integrand
    parts = [Identity(sympy.diff(result.rhs, K12, chain.order), value)]
    for order in range(chain.order):
        derivative = sympy.diff(result.rhs, K12, order).subs(K12, 0)
        parts.append(Identity(derivative, chain.boundary(order)))
    reason = "Cauchy's formula for repeated integrals"
    return Step(_equation(0, result.rhs), reason, AllOf(tuple(parts)))


# What `kerneltheory verify` and the tests verify.
DERIVATIONS = tuple(functools.partial(derive_dual, phi) for phi in CATALOGUE)
