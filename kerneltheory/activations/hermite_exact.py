r"""Exact Hermite coefficients of elementary terms: the first ones, and the n-th for a symbol n.

By Stein's lemma :math:`\sqrt{n!}\,a_n = E[\phi^{(n)}(z)]`. Where :math:`\phi^{(m)}` is a sum of
derivatives of the delta and of :math:`x^p e^{-ax^2+bx}`, higher derivatives have expectations that
are known for every order: of the Gaussian density at 0, and from the generating function

.. math:: E[e^{-a(z+t)^2 + b(z+t)}] = (1+2a)^{-1/2}
          \exp\left(\frac{b^2/2 + bt - at^2}{1+2a}\right) .
"""

import functools
from typing import Any

import sympy

from kerneltheory.activations.activation import Activation
from kerneltheory.activations.gaussian import mean, tidied
from kerneltheory.activations.price import price_chain
from kerneltheory.activations.terms import Smooth, Terms

_B = sympy.Symbol("b")


@functools.lru_cache(maxsize=256)
def exact_coefficients(terms: Terms, count: int) -> tuple[sympy.Expr, ...]:
    """a_0, ..., a_{count-1} at unit variance, by differentiation."""
    found = []
    for k in range(count):
        value = mean(terms, sympy.Integer(1)) / sympy.sqrt(sympy.factorial(k))
        found.append(tidied(sympy.simplify, value))
        terms = terms.differentiate()
    return tuple(found)


def coefficient_in_closed_form(phi: Activation, n: sympy.Symbol) -> Any:
    """a_n at unit variance for every integer n >= 0.

    Raises:
        DerivationError: if phi is not elementary.
    """
    chain = price_chain(phi)
    last, order = chain.derivatives[-1], chain.order
    r = n - order
    expectation = sympy.Add(*(_smooth(term, r) for term in last.smooth))
    for level, coefficient in last.singular:
        expectation += coefficient * _density_derivative(level + r)
    general = tidied(sympy.simplify, expectation) / sympy.sqrt(sympy.factorial(n))
    first = exact_coefficients(chain.derivatives[0], order + _exceptions(last))
    if not first:
        return general
    return sympy.Piecewise(
        *((value, sympy.Eq(n, k)) for k, value in enumerate(first)), (general, True)
    )


def _exceptions(last: Terms) -> int:
    """How many derivatives more it takes until no polynomial factor can be differentiated away."""
    return max((t.power + (t.decay == 0 and t.tilt == 0) for t in last.smooth), default=0)


def _even_moment(r: Any) -> Any:
    """(-1)^(r/2) (r - 1)!! for even r and 0 for odd r."""
    gamma = sympy.gamma((r + 1) / 2)
    return sympy.cos(sympy.pi * r / 2) * 2 ** (r / 2) * gamma / sympy.sqrt(sympy.pi)


def _density_derivative(r: Any) -> Any:
    """E[delta^(r)(z)] = (-1)^r p^(r)(0) of the Gaussian density p."""
    return _even_moment(r) / sympy.sqrt(2 * sympy.pi)


def _smooth(term: Smooth, r: Any) -> Any:
    """E of the r-th derivative of c x^p exp(-a x^2 + b x); x^p is a p-th derivative in b."""
    a, spread = term.decay, 1 + 2 * term.decay
    if a == 0 and term.tilt == 0:
        return sympy.Integer(0)  # a power of x, differentiated away
    weight = sympy.exp(_B**2 / (2 * spread)) / sympy.sqrt(spread)
    if a == 0:
        value = weight * _B**r
    else:
        argument = _B / (2 * sympy.sqrt(a * spread))
        value = weight * sympy.sqrt(a / spread) ** r * sympy.hermite(r, argument)
    value = sympy.diff(value, _B, term.power)
    if a != 0 and term.tilt == 0:
        # Hermite polynomials at 0, which sympy does not know for a symbolic degree.
        value = value.replace(sympy.hermite, lambda d, x: _hermite_at_zero(d, x))
    return term.coefficient * value.subs(_B, term.tilt)


def _hermite_at_zero(degree: Any, argument: Any) -> Any:
    """H_d(0) = (-1)^(d/2) 2^(d/2) (d - 1)!! for even d and 0 for odd d."""
    return 2 ** (degree / 2) * _even_moment(degree)
