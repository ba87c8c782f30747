r"""Elementary activations as sums of terms whose Gaussian expectations are known.

A smooth term is :math:`c\,x^n e^{-a x^2 + b x} m(x)` with a >= 0, a real or imaginary b and a mark
m: one, the Heaviside step H(x), or erf(g x). A singular term is a derivative of the Dirac delta at
0. The class is closed under differentiation in the sense of distributions, which is what Price's
theorem needs.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.activations.activation import Activation, X
from kerneltheory.core.errors import DerivationError

ONE = sympy.Integer(1)
ZERO = sympy.Integer(0)
STEP = sympy.Heaviside(X)
_WAVES = (sympy.sin, sympy.cos, sympy.sinh, sympy.cosh)


@dataclass(frozen=True)
class Smooth:
    """coefficient * x^power * exp(-decay x^2 + tilt x) * mark; the mark is 1, H(x) or erf(g x)."""

    coefficient: sympy.Expr
    power: int
    decay: sympy.Expr
    tilt: sympy.Expr
    mark: sympy.Expr

    @property
    def is_pure(self) -> bool:
        """Whether there is no mark, so that products with other pure terms stay Gaussian."""
        return self.mark == ONE


@dataclass(frozen=True)
class Terms:
    """A sum of smooth terms and of derivatives of the delta: singular[j] multiplies delta^(j)."""

    smooth: tuple[Smooth, ...]
    singular: tuple[tuple[int, sympy.Expr], ...] = ()

    @property
    def is_pure(self) -> bool:
        """Whether two such sums have a Gaussian expectation in closed form."""
        return all(term.is_pure for term in self.smooth)

    @property
    def is_tilted(self) -> bool:
        """Whether an exponential of x occurs."""
        return any(term.tilt != 0 for term in self.smooth)

    def differentiate(self) -> "Terms":
        """The derivative in the sense of distributions."""
        smooth: dict[tuple, sympy.Expr] = defaultdict(lambda: ZERO)
        singular: dict[int, sympy.Expr] = defaultdict(lambda: ZERO)
        for order, coefficient in self.singular:
            singular[order + 1] += coefficient
        for term in self.smooth:
            c, n, a, b, mark = term.coefficient, term.power, term.decay, term.tilt, term.mark
            if n > 0:
                smooth[n - 1, a, b, mark] += c * n
            smooth[n + 1, a, b, mark] -= 2 * a * c
            smooth[n, a, b, mark] += b * c
            if mark == STEP and n == 0:
                singular[0] += c
            elif isinstance(mark, sympy.erf):
                g = mark.args[0] / X
                smooth[n, a + g**2, b, ONE] += 2 * c * g / sympy.sqrt(sympy.pi)
        return _collect(smooth, singular)

    @property
    def expression(self) -> sympy.Expr:
        """The sum as a sympy expression."""
        total: sympy.Expr = ZERO
        for t in self.smooth:
            exponential = sympy.exp(-t.decay * X**2 + t.tilt * X)
            total += t.coefficient * X**t.power * exponential * t.mark
        for order, c in self.singular:
            delta = sympy.DiracDelta(X) if order == 0 else sympy.DiracDelta(X, order)
            total += c * delta
        return total


def _collect(smooth: dict, singular: dict) -> Terms:
    terms = [Smooth(sympy.expand(c), *key) for key, c in smooth.items()]
    deltas = [(order, sympy.expand(c)) for order, c in sorted(singular.items())]
    return Terms(
        tuple(sorted((t for t in terms if t.coefficient != 0), key=lambda t: str(t))),
        tuple((order, c) for order, c in deltas if c != 0),
    )


def elementary_terms(phi: Activation) -> Terms:
    """Write an activation as elementary terms.

    Raises:
        DerivationError: if it is not a finite sum of them; the message names the factor.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> elementary_terms(relu).differentiate().expression
        Heaviside(x)
    """
    expression = phi.expression.replace(sympy.Max, _step_form)
    expression = expression.replace(sympy.Abs, lambda u: u * (2 * sympy.Heaviside(u) - 1))
    expression = expression.replace(sympy.sign, lambda u: 2 * sympy.Heaviside(u) - 1)
    expression = expression.replace(sympy.Heaviside, _step_at_zero)
    expression = expression.replace(
        lambda node: isinstance(node, _WAVES), lambda node: node.rewrite(sympy.exp)
    )
    smooth: dict[tuple, sympy.Expr] = defaultdict(lambda: ZERO)
    for summand in sympy.Add.make_args(sympy.expand(expression)):
        coefficient, *key = _parse(summand, phi)
        smooth[tuple(key)] += coefficient
    return _collect(smooth, {})


def _step_form(*arguments: sympy.Expr) -> sympy.Expr:
    """max(0, u) = u H(u); any other maximum stays as it is."""
    if len(arguments) == 2 and ZERO in arguments:
        (u,) = (a for a in arguments if a != 0)
        return u * sympy.Heaviside(u)
    return sympy.Max(*arguments, evaluate=False)


def _step_at_zero(argument: sympy.Expr, *_: sympy.Expr) -> sympy.Expr:
    """H(g x) = H(x) for g > 0 and 1 - H(x) for g < 0; a step elsewhere stays as it is."""
    scale = argument / X
    if scale.has(X) or not scale.is_number:
        return sympy.Heaviside(argument, evaluate=False)
    return STEP if scale.is_positive else ONE - STEP


def _parse(summand: sympy.Expr, phi: Activation) -> tuple:
    """(coefficient, power, decay, tilt, mark) of one product."""
    coefficient, product = summand.as_independent(X, as_Add=False)
    power, exponent, mark = 0, ZERO, ONE
    factors: Any = sympy.Mul.make_args(product)
    for factor in factors:
        base, order = factor.as_base_exp()
        if factor == 1:
            continue
        if factor.func == sympy.exp and factor.args[0].is_polynomial(X):
            exponent += factor.args[0]
        elif base == X and order.is_Integer and order >= 0:
            power += int(order)
        elif base == STEP and order.is_Integer and order > 0 and mark in (ONE, STEP):
            mark = STEP
        elif isinstance(factor, sympy.erf) and _is_scaling(factor.args[0]) and mark == ONE:
            scale = factor.args[0] / X
            mark, coefficient = sympy.erf(abs(scale) * X), coefficient * sympy.sign(scale)
        else:
            raise DerivationError(
                f"{phi.name} is not elementary: the factor {factor} of {summand} is none of x^n, "
                "exp(-a x^2 + b x), Heaviside(x), erf(g x), so no derivative of phi has a "
                "Gaussian expectation in closed form here"
            )
    constant, decay, tilt = _exponent(exponent, summand, phi)
    return coefficient * sympy.exp(constant), power, decay, tilt, mark


def _is_scaling(argument: Any) -> bool:
    scale = argument / X
    return not scale.has(X) and scale.is_number


def _exponent(
    exponent: sympy.Expr, summand: sympy.Expr, phi: Activation
) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    """Constant, -a and b of the exponent -a x^2 + b x + constant."""
    polynomial = sympy.Poly(exponent, X)
    quadratic = polynomial.coeff_monomial(X**2)
    if polynomial.degree() > 2 or quadratic.is_positive:
        raise DerivationError(
            f"{phi.name} grows too fast: {summand} has no finite second moment under Gaussian "
            "inputs of every variance; the exponent may be -a x^2 + b x with a >= 0"
        )
    return polynomial.coeff_monomial(1), -quadratic, polynomial.coeff_monomial(X)
