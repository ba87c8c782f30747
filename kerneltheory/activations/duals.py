r"""Dual activations in the form that their class allows.

- elementary: some derivative of phi is a sum of polynomials times Gaussians, exponentials and
  deltas at 0, and Price's theorem gives the dual in elementary functions;
- one-dimensional: phi is made of such terms with steps and erf anywhere, and the dual of normal
  and bivariate normal distributions, each a one-dimensional integral;
- series: anything else of finite variance. The dual is its Hermite series, and no formula.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sympy

from kerneltheory.activations.activation import Activation, activation
from kerneltheory.activations.gaussian import K12, Q1, Q2
from kerneltheory.activations.growth import growth
from kerneltheory.activations.orthant import orthant_dual
from kerneltheory.activations.price import elementary_dual, price_chain
from kerneltheory.activations.series import RHO, Dual, HermiteSeries
from kerneltheory.core import check, lower
from kerneltheory.core.differentiable import by_correlation, inside, of_covariance
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula
from kerneltheory.core.prove import is_half_power

PRICE = "Price, IRE Trans. Inf. Theory 4 (1958)"
ORTHANT = "Plackett, Biometrika 41 (1954); Owen, Ann. Math. Stat. 27 (1956)"


@dataclass(frozen=True)
class DualClass:
    """What kind of dual an activation has, and why not a simpler one.

    Attributes:
        name: "elementary", "one-dimensional" or "series".
        reason: what decided it.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def dual_class(phi: Any) -> DualClass:
    """Which class the dual of an activation belongs to.

    Args:
        phi: an activation or a sympy expression in one symbol.

    Raises:
        DerivationError: if phi grows too fast to have a dual at every variance.

    Examples:
        >>> from kerneltheory.activations.catalogue import hard_tanh, relu, tanh
        >>> [dual_class(phi).name for phi in (relu, hard_tanh, tanh)]
        ['elementary', 'one-dimensional', 'series']
    """
    return _dual_class(activation(phi))


@functools.lru_cache(maxsize=512)
def _dual_class(phi: Activation) -> DualClass:
    growth(phi)
    try:
        chain = price_chain(phi)
        _ = chain.integrand
        return DualClass("elementary", f"derivative {chain.order} has a Gaussian expectation")
    except DerivationError as error:
        not_elementary = str(error)
    try:
        orthant_dual(phi, 0)
        return DualClass("one-dimensional", not_elementary)
    except DerivationError as error:
        return DualClass("series", str(error))


@dataclass(frozen=True)
class DualFormula(Formula):
    """A dual activation, in (q1, q2, k12) or in rho, whose derivative is the next dual.

    Floating point evaluates it in the correlation, where nothing cancels, and differentiates it by
    the exact derivative, which is right at correlations 1 and -1.

    Attributes:
        phi: the activation.
        derivative: n, for the n-th derivative in k12 (or rho).
    """

    phi: Activation = field(kw_only=True)
    derivative: int = field(kw_only=True)

    def _on_arrays(self) -> Callable[..., Any]:
        unit = len(self.args) == 1

        def orders(n: int) -> Callable[..., Any]:
            form = correlation_dual(self.phi, n)
            form = form.substitute({Q1: sympy.Integer(1), Q2: sympy.Integer(1)}) if unit else form
            return lower.to_jax(form.args, form.rhs)

        function = by_correlation(orders, self.derivative)
        return (lambda rho: function(inside(rho))) if unit else of_covariance(function)


@functools.lru_cache(maxsize=1024)
def _covariance_dual(phi: Activation, derivative: int) -> Dual:
    kind = dual_class(phi).name
    if kind == "series":
        return HermiteSeries(phi, derivative)
    elementary = kind == "elementary"
    rhs = (elementary_dual if elementary else orthant_dual)(phi, derivative)
    name = f"covariance dual of {phi.name}" + (f", derivative {derivative}" if derivative else "")
    domain = sympy.Abs(K12) <= sympy.sqrt(Q1 * Q2)
    source = PRICE if elementary else ORTHANT
    return DualFormula(name, (Q1, Q2, K12), rhs, domain, source, phi=phi, derivative=derivative)


def covariance_dual(phi: Any, derivative: int = 0) -> Dual:
    r"""Dual activation for Gaussian inputs of any covariance.

    .. math:: T(q_1, q_2, k) = E[\phi(u)\phi(v)], \qquad
              (u, v) \sim N\left(0, \begin{pmatrix} q_1 & k \\ k & q_2 \end{pmatrix}\right)

    Args:
        phi: an activation or a sympy expression in one symbol.
        derivative: n, for the n-th derivative of T in k, which is
            :math:`E[\phi^{(n)}(u)\phi^{(n)}(v)]`.

    Returns:
        A Formula with arguments (q1, q2, k12), or a HermiteSeries where there is none.

    Raises:
        DerivationError: if phi grows too fast.

    References:
        Price (1958); Cho and Saul (2009) and Williams (1996) for relu and erf.

    Examples:
        >>> from kerneltheory.activations.catalogue import erf
        >>> print(covariance_dual(erf, derivative=1).rhs)
        4/(pi*sqrt(-4*k12**2 + 4*q1*q2 + 2*q1 + 2*q2 + 1))
    """
    derivative = check.integer("derivative", derivative, minimum=0)
    return _covariance_dual(activation(phi), derivative)


def dual(phi: Any, derivative: int = 0) -> Dual:
    r"""Dual activation for inputs of unit variance and correlation rho.

    .. math:: \hat\phi(\rho) = E[\phi(u)\phi(v)], \qquad E[u^2] = E[v^2] = 1,\; E[uv] = \rho

    Args:
        phi: an activation or a sympy expression in one symbol.
        derivative: n, for :math:`\hat\phi^{(n)}(\rho) = E[\phi^{(n)}(u)\phi^{(n)}(v)]`.

    Returns:
        A Formula with argument rho in [-1, 1], or a HermiteSeries where there is none.

    Raises:
        DerivationError: if phi grows too fast.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu, tanh
        >>> print(dual(relu, derivative=1).rhs)
        asin(rho)/(2*pi) + 1/4
        >>> type(dual(tanh)).__name__
        'HermiteSeries'
    """
    phi = activation(phi)
    general = covariance_dual(phi, derivative)
    if isinstance(general, HermiteSeries):
        return HermiteSeries(phi, general.derivative, unit=True)
    rhs = general.rhs.subs({Q1: 1, Q2: 1, K12: RHO})
    name = f"dual of {phi.name}" + (f", derivative {derivative}" if derivative else "")
    domain, source = sympy.Abs(RHO) <= 1, general.reference
    return DualFormula(name, (RHO,), rhs, domain, source, phi=phi, derivative=derivative)


def closed_dual(phi: Activation, derivative: int = 0) -> Formula:
    """The covariance dual where it is a formula.

    Raises:
        DerivationError: if it is a series, with the reason.
    """
    found = _covariance_dual(phi, derivative)
    if isinstance(found, HermiteSeries):
        raise DerivationError(f"the dual of {phi.name} is a series: {dual_class(phi).reason}")
    return found


@functools.lru_cache(maxsize=1024)
def correlation_dual(phi: Activation, derivative: int = 0) -> Formula:
    """The covariance dual in (q1, q2, c), c = k12 / sqrt(q1 q2), with cancellation done exactly.

    At c = 1 the radicand q1 q2 - k12^2 becomes q1 q2 (1 - c)(1 + c), which is exactly zero.
    """
    correlation = sympy.Symbol("c", real=True)
    rhs: Any = closed_dual(phi, derivative).rhs
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
    constant, factors = sympy.factor_list(node.base)
    for factor, count in factors:
        if factor.free_symbols <= {Q1, Q2} and factor.is_positive:
            outside *= factor ** (count * node.exp)
        else:
            # A negative constant enters a factor: floats know -0, whose root has the inverse -inf.
            inside *= (-factor if constant < 0 and count == 1 else factor) ** count
            constant = -constant if constant < 0 and count == 1 else constant
    return outside * (constant * inside) ** node.exp
