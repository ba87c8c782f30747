r"""Hermite coefficients of activations: exact by Stein's lemma, certified by integration.

:math:`\phi(\sqrt q z) = \sum_n a_n(q)\,he_n(z)` with he_n orthonormal for the standard Gaussian.
"""

import functools
import math
from typing import Any

import sympy
from flint import acb, arb, ctx

from kerneltheory.activations.activation import Activation, X, activation
from kerneltheory.activations.gaussian import mean
from kerneltheory.activations.terms import elementary_terms
from kerneltheory.core import check, lower
from kerneltheory.core.enclose import integrate, plus_minus

# Cramer's inequality: |he_n(z)| <= 1.0865 exp(z^2 / 4) for every n
# (Abramowitz and Stegun 22.14.17).
CRAMER = arb("1.0865")


def hermite_coefficients(phi: Any, count: int) -> tuple[sympy.Expr, ...]:
    r"""Exact Hermite coefficients :math:`a_0, \dots, a_{count-1}` at unit variance.

    .. math:: a_n = E[\phi(z)\,he_n(z)] = E[\phi^{(n)}(z)] / \sqrt{n!}

    by Stein's lemma, with derivatives in the sense of distributions.

    Args:
        phi: an activation or a sympy expression in one symbol, of the elementary class.
        count: how many, at least 1.

    Raises:
        DerivationError: if phi is not elementary.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> hermite_coefficients(relu, 4)
        (sqrt(2)/(2*sqrt(pi)), 1/2, 1/(2*sqrt(pi)), 0)
    """
    terms = elementary_terms(activation(phi))
    coefficients = []
    for n in range(check.integer("count", count, minimum=1)):
        value = mean(terms, sympy.Integer(1)) / sympy.sqrt(sympy.factorial(n))
        coefficients.append(sympy.simplify(value))
        terms = terms.differentiate()
    return tuple(coefficients)


def certified_hermite_coefficients(
    phi: Activation, variance: sympy.Rational, count: int, digits: int
) -> tuple[tuple[arb, ...], arb]:
    r"""Balls around :math:`a_n(q)`, n < count, and around :math:`E[\phi(\sqrt q z)^2]`.

    The half lines are cut at +-R; what lies beyond is bounded by Cramer's inequality and the
    incomplete gamma function, and is part of the balls.
    """
    return _certified(phi, variance, count, digits)


@functools.lru_cache(maxsize=256)
def _certified(
    phi: Activation, variance: sympy.Rational, count: int, digits: int
) -> tuple[tuple[arb, ...], arb]:
    with ctx.workdps(digits + 15):
        root = arb(lower.to_fmpq(variance)).sqrt()
        tolerance = arb(10) ** -(digits + 6)
        cut = _cut(digits)
        total = [plus_minus(_tail(phi, root, cut))] * count
        total.append(plus_minus(_tail(phi, root, cut, squared=True)))
        for sign in (1, -1):
            half = _half_line(phi, sign)
            piece = integrate(
                functools.partial(_integrands, half, root, sign, count),
                functools.partial(_majorant, half, root, sign, count),
                arb(0),
                cut,
                tolerance,
            )
            total = [a + b for a, b in zip(total, piece, strict=True)]
        return tuple(total[:-1]), total[-1]


@functools.lru_cache(maxsize=256)
def certified_end(phi: Activation, mirrored: bool, digits: int) -> arb:
    r"""Ball around :math:`E[\phi(z)^2]`, or, mirrored, :math:`E[\phi(z)\phi(-z)]`.

    The dual activation at rho = 1 and at rho = -1, by one-dimensional integration.
    """
    with ctx.workdps(digits + 15):
        cut = _cut(digits)
        total = plus_minus(_tail(phi, arb(1), cut, squared=True))
        for sign in (1, -1):
            other = -sign if mirrored else sign
            factors = ((sign, _half_line(phi, sign)), (other, _half_line(phi, other)))
            value = functools.partial(_product, factors)
            (piece,) = integrate(
                lambda z, value=value: [arb(value(z))],
                lambda z, value=value: arb(acb(value(z)).abs_upper()),
                arb(0),
                cut,
                arb(10) ** -(digits + 6),
            )
            total += piece
        return total


def _product(factors: Any, z: Any) -> Any:
    """The density at z times phi at s z for the signs s."""
    (first, here), (second, there) = factors
    density = (-z * z / 2).exp() / (2 * arb.pi()).sqrt()
    return density * here(first * z) * there(second * z)


def _cut(digits: int) -> arb:
    return arb(math.ceil(math.sqrt(8 * math.log(10) * (digits + 12))) + 6)


def _half_line(phi: Activation, sign: int):
    """The activation on x > 0 or on x < 0, where it is analytic, as a function of balls."""

    def positive(argument: sympy.Expr) -> bool:
        return (argument / X).is_positive == (sign > 0)

    def maximum(*arguments: sympy.Expr) -> sympy.Expr:
        (linear,) = (a for a in arguments if a != 0)
        return linear if positive(linear) else sympy.Integer(0)

    expression = phi.expression.replace(sympy.Max, maximum)
    expression = expression.replace(sympy.Heaviside, lambda u, *_: sympy.Integer(positive(u)))
    expression = expression.replace(sympy.sign, lambda u: sympy.Integer(1 if positive(u) else -1))
    expression = expression.replace(sympy.Abs, lambda u: u if positive(u) else -u)
    return lower.to_balls((X,), expression)


def _integrands(half, root: arb, sign: int, count: int, distance: arb) -> list[arb]:
    z = sign * distance
    density = (-z * z / 2).exp() / (2 * arb.pi()).sqrt()
    value = arb(1) * half(root * z)
    weighted = density * value
    rows = [weighted * polynomial for polynomial in _hermite(z, count)]
    return [*rows, weighted * value]


def _hermite(z, count: int):
    """Orthonormal Hermite polynomials: sqrt(n+1) he_{n+1} = z he_n - sqrt(n) he_{n-1}."""
    roots = [arb(n).sqrt() for n in range(count + 1)]
    previous, current = z * 0, z * 0 + 1
    for n in range(count):
        yield current
        previous, current = current, (z * current - roots[n] * previous) / roots[n + 1]


def _majorant(half, root: arb, sign: int, count: int, distance: acb) -> arb:
    """Bound of every integrand on a complex ball: |he_n(z)| <= |he_n(i |z|)|."""
    z = sign * distance
    density = (-z * z / 2).exp().abs_upper() / (2 * arb.pi()).sqrt()
    value = acb(1) * half(root * z)
    if not value.is_finite():
        return arb("inf")
    size, modulus = arb(z.abs_upper()), arb(value.abs_upper())
    previous, current, largest = arb(0), arb(1), modulus
    for n in range(count):
        largest = largest.max(current)
        scale = arb(n + 1).sqrt()
        previous, current = current, (size * current + arb(n).sqrt() * previous) / scale
    return arb((density * modulus * largest).upper())


def _tail(phi: Activation, root: arb, cut: arb, squared: bool = False) -> arb:
    r"""Bound of the part |z| > R: |phi(x)| <= e^{B|x|} sum |c_i| |x|^i for elementary terms.

    :math:`e^{Bz} \le e^{2B^2} e^{z^2/8}` leaves e^{-z^2/8} of the density after Cramer's
    e^{z^2/4}, and :math:`\int_R^\infty z^i e^{-z^2/8} dz = 8^{(i+1)/2} \Gamma((i+1)/2, R^2/8)/2`.
    For the square, e^{-z^2/2} <= e^{-z^2/4} e^{-R^2/4}.
    """
    sizes: dict[int, arb] = {}
    tilt = arb(0)
    for term in elementary_terms(phi).smooth:
        size = abs(_modulus(term.coefficient) * root**term.power)
        sizes[term.power] = sizes.get(term.power, arb(0)) + size
        tilt = tilt.max(_modulus(sympy.re(term.tilt)) * root)
    if squared:
        sizes, tilt = _square(sizes), 2 * tilt
    scale = (-cut * cut / 4).exp() if squared else CRAMER
    total = sum((s * _moment(i, cut) for i, s in sizes.items()), arb(0))
    return 2 * scale * total * (2 * tilt * tilt).exp() / (2 * arb.pi()).sqrt()


def _modulus(number: sympy.Expr) -> arb:
    return abs(arb(1) * lower.to_balls((), sympy.simplify(sympy.Abs(number)))())


def _square(sizes: dict[int, arb]) -> dict[int, arb]:
    result: dict[int, arb] = {}
    for i, a in sizes.items():
        for j, b in sizes.items():
            result[i + j] = result.get(i + j, arb(0)) + a * b
    return result


def _moment(power: int, cut: arb) -> arb:
    half = arb(power + 1) / 2
    return arb(8) ** half * (cut * cut / 8).gamma_upper(half) / 2
