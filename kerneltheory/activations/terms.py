r"""Elementary activations as sums of terms whose Gaussian expectations are known.

A smooth term is :math:`p(x)\,e^{-a x^2} m(x)` with a polynomial p, a >= 0 and a mark m: one, the
Heaviside step H(x), or erf(g x). A singular term is a derivative of the Dirac delta at 0.
The class is closed under differentiation in the sense of distributions, which is what Price's
theorem needs.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.activations.activation import Activation, X
from kerneltheory.core.errors import DerivationError

ONE = sympy.Integer(1)
STEP = sympy.Heaviside(X)


@dataclass(frozen=True)
class Smooth:
    """coefficient * x^power * exp(-decay x^2) * mark, the mark being 1, H(x) or erf(g x)."""

    coefficient: sympy.Expr
    power: int
    decay: sympy.Expr
    mark: sympy.Expr

    @property
    def is_pure(self) -> bool:
        """Whether the mark is 1."""
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

    def differentiate(self) -> "Terms":
        """The derivative in the sense of distributions."""
        smooth: dict[tuple, sympy.Expr] = defaultdict(lambda: sympy.Integer(0))
        singular: dict[int, sympy.Expr] = defaultdict(lambda: sympy.Integer(0))
        for order, coefficient in self.singular:
            singular[order + 1] += coefficient
        for term in self.smooth:
            c, n, a, mark = term.coefficient, term.power, term.decay, term.mark
            if n > 0:
                smooth[n - 1, a, mark] += c * n
            smooth[n + 1, a, mark] -= 2 * a * c
            if mark == STEP and n == 0:
                singular[0] += c
            elif isinstance(mark, sympy.erf):
                g = mark.args[0] / X
                smooth[n, a + g**2, ONE] += 2 * c * g / sympy.sqrt(sympy.pi)
        return _collect(smooth, singular)

    @property
    def expression(self) -> sympy.Expr:
        """The sum as a sympy expression."""
        total: sympy.Expr = sympy.Integer(0)
        for t in self.smooth:
            total += t.coefficient * X**t.power * sympy.exp(-t.decay * X**2) * t.mark
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
    expression = phi.expression.replace(sympy.Max, _step_form).replace(
        sympy.Abs, lambda u: u * (2 * sympy.Heaviside(u) - 1)
    )
    expression = expression.replace(sympy.sign, lambda u: 2 * sympy.Heaviside(u) - 1)
    smooth: dict[tuple, sympy.Expr] = defaultdict(lambda: sympy.Integer(0))
    for summand in sympy.Add.make_args(sympy.expand(expression)):
        coefficient, *key = _parse(summand, phi)
        smooth[tuple(key)] += coefficient
    return _collect(smooth, {})


def _step_form(*arguments: sympy.Expr) -> sympy.Expr:
    """max(0, u) = u H(u); any other maximum stays as it is."""
    if len(arguments) == 2 and sympy.Integer(0) in arguments:
        (u,) = (a for a in arguments if a != 0)
        return u * sympy.Heaviside(u)
    return sympy.Max(*arguments, evaluate=False)


def _parse(summand: sympy.Expr, phi: Activation) -> tuple:
    """(coefficient, power, decay, mark) of one product."""
    coefficient, product = summand.as_independent(X, as_Add=False)
    power, decay, mark = 0, sympy.Integer(0), ONE
    for factor in sympy.Mul.make_args(product):
        base, exponent = factor.as_base_exp()
        scale = _scale_of(factor)
        if factor == 1:
            continue
        if base == X and exponent.is_Integer and exponent >= 0:
            power += int(exponent)
        elif isinstance(factor, sympy.exp) and _is_gaussian(factor):
            decay -= _exponent(factor).coeff(X, 2)
        elif _is_step(base) and exponent.is_Integer and exponent > 0 and mark == ONE:
            mark = STEP
        elif isinstance(factor, sympy.erf) and scale is not None and mark == ONE:
            mark, coefficient = sympy.erf(abs(scale) * X), coefficient * sympy.sign(scale)
        else:
            raise DerivationError(
                f"{phi.name} is not elementary: the factor {factor} of {summand} is none of x^n, "
                "exp(-a x^2), Heaviside(x), erf(g x), so no derivative of phi has a Gaussian "
                "expectation in closed form here"
            )
    return coefficient, power, decay, mark


def _is_step(base: sympy.Expr) -> bool:
    return isinstance(base, sympy.Heaviside) and _scale_of(base) == 1


def _exponent(factor: sympy.exp) -> Any:
    return factor.args[0]


def _is_gaussian(factor: sympy.exp) -> bool:
    exponent = _exponent(factor)
    polynomial = sympy.Poly(exponent, X) if exponent.is_polynomial(X) else None
    return (
        polynomial is not None
        and polynomial.monoms() == [(2,)]
        and polynomial.LC().is_negative is True
    )


def _scale_of(factor: sympy.Basic) -> sympy.Expr | None:
    """G if the factor is a function of g x with a number g; Heaviside(g x) counts as g = 1."""
    if not factor.args:
        return None
    scale = factor.args[0] / X
    if scale.has(X) or not scale.is_number:
        return None
    if isinstance(factor, sympy.Heaviside):
        return sympy.Integer(1) if scale.is_positive else None
    return scale
