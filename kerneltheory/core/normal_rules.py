r"""Derivations of the rules by which the functions of `core.normal` are differentiated.

Each function is written out in elementary functions, and :math:`\Phi_2` as an integral,

.. math:: \Phi_2(h, k, \rho) = \int_{-\infty}^h \varphi(x)\,
          \Phi\left(\frac{k - \rho x}{\sqrt{1 - \rho^2}}\right) dx,

with the density :math:`\varphi`. Computer algebra does the rest.
"""

import functools
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.core.derivation import Derivation, Evidence, Identity, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula
from kerneltheory.core.normal import (
    BivariateExponential,
    BivariateNormalCDF,
    ConditionalNormalCDF,
    NormalCDF,
    density,
)

H, K, RHO, X = sympy.symbols("h k rho x", real=True)
PLACKETT = "Plackett, Biometrika 41 (1954)"
ZERO = sympy.Integer(0)
_TIGHTNESS = sympy.sqrt(1 - RHO**2)
# Where the limit of a primitive is taken: it falls like a Gaussian in x for every k and |rho| < 1.
_POINT = {K: sympy.Rational(1, 3), RHO: sympy.Rational(1, 2)}


def written_out(expression: Any) -> Any:
    """The same in elementary functions."""
    meanings = {
        ConditionalNormalCDF: lambda h, k, rho: NormalCDF((k - rho * h) / sympy.sqrt(1 - rho**2)),
        BivariateExponential: lambda h, k, rho: sympy.exp(
            -(h**2 - 2 * rho * h * k + k**2) / (2 * (1 - rho**2))
        ),
        NormalCDF: lambda h: (1 + sympy.erf(h / sympy.sqrt(2))) / 2,
    }
    for function, meaning in meanings.items():
        expression = expression.replace(function, meaning)
    return expression


def _prove_equal(left: Any, right: Any, digits: int) -> str:
    """Prove that what multiplies each exponential is the same on both sides."""
    coefficients: dict[Any, list[Any]] = {}
    for index, side in enumerate((left, right)):
        plain = written_out(side)
        exponentials = sorted(plain.atoms(sympy.exp), key=str)
        symbols = sympy.symbols(f"e:{len(exponentials)}", cls=sympy.Dummy)
        renamed = plain.xreplace(dict(zip(exponentials, symbols, strict=True)))
        polynomial: Any = sympy.Poly(renamed, *symbols) if symbols else None
        for powers, coefficient in polynomial.terms() if symbols else [((), plain)]:
            pairs = zip(powers, exponentials, strict=True)
            exponent = sympy.Add(*(power * e.args[0] for power, e in pairs))
            found = coefficients.setdefault(sympy.cancel(sympy.together(exponent)), [ZERO, ZERO])
            found[index] += coefficient
    for pair in coefficients.values():
        Identity(*pair).verify(digits)
    return "proved"


@dataclass(frozen=True)
class WrittenOut(Evidence):
    """A rule is equal to an expression when both are written out."""

    expression: sympy.Expr
    rule: sympy.Expr

    def verify(self, digits: int) -> str:
        """Prove it, or name a point at which they differ."""
        return _prove_equal(self.expression, self.rule, digits)

    def about(self) -> tuple[sympy.Expr, ...]:
        """The rule."""
        return (self.rule,)


@dataclass(frozen=True)
class Primitive(Evidence):
    r"""A rule in h is the integral of an expression in x from :math:`-\infty` to h."""

    integrand: sympy.Expr
    rule: sympy.Expr

    def verify(self, digits: int) -> str:
        """Prove that its derivative is the integrand and its limit zero."""
        primitive: Any = written_out(self.rule).subs(H, X)
        limit = sympy.limit(primitive.subs(_POINT), X, -sympy.oo)
        if limit != 0:
            raise DerivationError(f"at x = -oo, {self.rule} is {limit} and not zero at {_POINT}")
        return _prove_equal(sympy.diff(primitive, X), self.integrand, digits)

    def about(self) -> tuple[sympy.Expr, ...]:
        """The rule."""
        return (self.rule,)


def derive_rule(function: Any, argument: int) -> Derivation:
    """The derivation of a partial derivative of a function of `core.normal`.

    Args:
        function: one of its four functions.
        argument: which argument is differentiated by, from 1.

    Examples:
        >>> print(derive_rule(BivariateNormalCDF, 3).verify(digits=10).statuses[-1])
        proved
    """
    arguments = (H,) if function is NormalCDF else (H, K, RHO)
    named: Any = function(*arguments)
    variable = arguments[argument - 1]
    rule = named.fdiff(argument)
    statement: Any = sympy.Eq(sympy.Derivative(named, variable), rule, evaluate=False)
    last = (
        _of_an_integral(statement, variable)
        if function is BivariateNormalCDF
        else Step(
            statement, "chain rule", WrittenOut(sympy.diff(written_out(named), variable), rule)
        )
    )
    domain = sympy.true if function is NormalCDF else sympy.Abs(RHO) < 1
    name = f"derivative of {function.__name__} in {variable}"
    return Derivation((_definition(named), last), Formula(name, arguments, rule, domain, PLACKETT))


def _integrand() -> Any:
    return density(X) * NormalCDF((K - RHO * X) / _TIGHTNESS)


def _definition(named: Any) -> Step:
    meaning: Any = (
        sympy.Integral(_integrand(), (X, -sympy.oo, H))
        if isinstance(named, BivariateNormalCDF)
        else written_out(named)
    )
    return Step(sympy.Eq(named, meaning, evaluate=False), "definition")


def _of_an_integral(statement: sympy.Eq, variable: sympy.Symbol) -> Step:
    """The derivative of the integral in its end, or that of its integrand, integrated."""
    rule: Any = statement.rhs
    if variable == H:
        evidence = WrittenOut(_integrand().subs(X, H), rule)
        return Step(statement, "fundamental theorem of calculus", evidence)
    derivative = sympy.diff(written_out(_integrand()), variable)
    reason = "derivative of the integrand, which is one in x of what vanishes at -oo"
    return Step(statement, reason, Primitive(derivative, rule))


# What `kerneltheory verify` and the tests verify.
DERIVATIONS = tuple(
    functools.partial(derive_rule, function, argument)
    for function in (NormalCDF, BivariateNormalCDF, ConditionalNormalCDF, BivariateExponential)
    for argument in range(1, 1 + (1 if function is NormalCDF else 3))
)
