r"""Activations as sums of terms whose Gaussian expectations are known.

A smooth term is :math:`c\,x^n e^{-a x^2 + b x} m(x)` with a >= 0, a real or imaginary b and a mark
m: one, a step H(x - s), or erf(g x + h). A singular term is a derivative of the Dirac delta at 0.
Terms whose marks lie at 0 are elementary: they stay so under differentiation in the sense of
distributions, which is what Price's theorem needs. Others are left to `orthant`.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.pieces import X, pieces
from kerneltheory.core.errors import DerivationError

ONE = sympy.Integer(1)
ZERO = sympy.Integer(0)
STEP = sympy.Heaviside(X)
_WAVES = (sympy.sin, sympy.cos, sympy.sinh, sympy.cosh)


@dataclass(frozen=True)
class Smooth:
    """coefficient * x^power * exp(-decay x^2 + tilt x) * mark; marks as above."""

    coefficient: sympy.Expr
    power: int
    decay: sympy.Expr
    tilt: sympy.Expr
    mark: sympy.Expr

    @property
    def is_pure(self) -> bool:
        """Whether there is no mark, so that products with other pure terms stay Gaussian."""
        return self.mark == ONE

    @property
    def location(self) -> sympy.Expr:
        """Where the step or the middle of the erf is; 0 without a mark."""
        if self.is_pure:
            return ZERO
        argument = sympy.Poly(self.mark.args[0], X)
        return -argument.coeff_monomial(1) / argument.coeff_monomial(X)


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
        """The derivative in the sense of distributions.

        Raises:
            DerivationError: if there is a jump away from 0, whose delta is no elementary term.
        """
        jumps: dict[sympy.Expr, sympy.Expr] = defaultdict(lambda: ZERO)
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
            if isinstance(mark, sympy.Heaviside):
                place = term.location
                jumps[place] += c * place**n * sympy.exp(-a * place**2 + b * place)
            elif isinstance(mark, sympy.erf):
                inner: Any = mark.args[0]
                slope = sympy.diff(inner, X)
                shift = inner.subs(X, 0)
                weight = 2 * c * slope * sympy.exp(-(shift**2)) / sympy.sqrt(sympy.pi)
                smooth[n, a + slope**2, b - 2 * slope * shift, ONE] += weight
        singular[0] += jumps.pop(ZERO, ZERO)
        for place, jump in jumps.items():
            if sympy.simplify(jump) != 0:
                raise DerivationError(f"there is a jump of {jump} at {place}, away from 0")
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
    terms = marked_terms(phi)
    for term in terms.smooth:
        if term.location != 0:
            raise DerivationError(
                f"{phi.name} is not elementary: it has {term.mark}, and Price's theorem leaves a "
                "Gaussian density away from 0, whose integral over the covariance is not elementary"
            )
    return terms


def marked_terms(phi: Activation) -> Terms:
    """Write an activation as smooth terms whose steps and erf may lie anywhere on the line.

    Raises:
        DerivationError: if it is not a finite sum of them; the message names the factor.
    """
    split = pieces(phi.expression)
    smooth: dict[tuple, sympy.Expr] = defaultdict(lambda: ZERO)
    parts: list[tuple[Any, Any]] = [(ONE, split.expressions[0])]
    parts += [(sympy.Heaviside(X - place), change) for place, change in split.changes]
    for mark, expression in parts:
        waves_as_exponentials = expression.replace(
            lambda node: isinstance(node, _WAVES), lambda node: node.rewrite(sympy.exp)
        )
        for summand in sympy.Add.make_args(sympy.expand(waves_as_exponentials)):
            if summand == 0:
                continue
            coefficient, *key = _parse(summand, mark, phi)
            smooth[tuple(key)] += coefficient
    return _collect(smooth, {})


def _parse(summand: sympy.Expr, mark: sympy.Expr, phi: Activation) -> tuple:
    """(coefficient, power, decay, tilt, mark) of one product."""
    coefficient, product = summand.as_independent(X, as_Add=False)
    power, exponent = 0, ZERO
    factors: Any = sympy.Mul.make_args(product)
    for factor in factors:
        base, order = factor.as_base_exp()
        if factor == 1:
            continue
        if factor.func == sympy.exp and factor.args[0].is_polynomial(X):
            exponent += factor.args[0]
        elif base == X and order.is_Integer and order >= 0:
            power += int(order)
        elif isinstance(factor, sympy.erf) and _is_linear(factor.args[0]) and mark == ONE:
            argument: Any = factor.args[0]
            rising = sympy.diff(argument, X) > 0
            mark = factor if rising else sympy.erf(-argument)
            coefficient = coefficient if rising else -coefficient
        else:
            raise DerivationError(
                f"{phi.name} is not elementary: the factor {factor} of {summand} is none of x^n, "
                "exp(-a x^2 + b x), Heaviside(x), erf(g x), so no derivative of phi has a "
                "Gaussian expectation in closed form here"
            )
    constant, decay, tilt = _exponent(exponent, summand, phi)
    return coefficient * sympy.exp(constant), power, decay, tilt, mark


def _is_linear(argument: Any) -> bool:
    return argument.is_polynomial(X) and sympy.Poly(argument, X).degree() == 1


def _exponent(
    exponent: sympy.Expr, summand: sympy.Expr, phi: Activation
) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    """Constant, -a and b of the exponent -a x^2 + b x + constant."""
    polynomial = sympy.Poly(exponent, X)
    quadratic = polynomial.coeff_monomial(X**2)
    if not quadratic.is_real:
        raise DerivationError(f"{phi.name} has waves in x^2: {summand} is no elementary term")
    if polynomial.degree() > 2 or quadratic.is_positive:
        raise DerivationError(
            f"{phi.name} grows too fast: {summand} has no finite second moment under Gaussian "
            "inputs of every variance; the exponent may be -a x^2 + b x with a >= 0"
        )
    return polynomial.coeff_monomial(1), -quadratic, polynomial.coeff_monomial(X)
