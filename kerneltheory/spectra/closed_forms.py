r"""Eigenvalues of the parts of a kernel in closed form.

Three families have an eigenvalue that is a product of Gamma functions at every degree k, the same
expression for all: powers :math:`t^n`, powers :math:`|x - z|^n = (2 - 2t)^{n/2}` of the distance,
and rectified powers :math:`t_+^a`, which are not positive definite: as features, squared, they make
the kernels of homogeneous activations. A kernel whose series in t or in the distance has
hypergeometric coefficients is summed term by term.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.kernels.base import T
from kerneltheory.spectra.gamma_products import GammaProduct, combine, gamma_product, number_power
from kerneltheory.spectra.hypergeometric import Coefficients, N
from kerneltheory.spectra.summation import (
    ClosedForm,
    D,
    J,
    K,
    Term,
    TermSeries,
    add,
    sum_series,
)

# The distance |x - z| of unit vectors.
DISTANCE = sympy.Symbol("r", positive=True)
HALF = sympy.Rational(1, 2)


# --- the three families -----------------------------------------------------------------------


def power_eigenvalue(n: Any, k: Any, d: Any = D) -> GammaProduct:
    r"""Eigenvalue of t^n at a degree k <= n with n - k even.

    .. math:: \frac{\Gamma(n + 1)\,\Gamma(d/2)}{2^n\,\Gamma((n - k)/2 + 1)\,\Gamma((n + k + d)/2)}
    """
    n = sympy.sympify(n)
    return gamma_product(sympy.Integer(2) ** -n, [n + 1, d / 2], [(n - k) / 2 + 1, (n + k + d) / 2])


def power_weight(k: Any, j: int, d: Any) -> Any:
    r"""Eigenvalue of t^{k+2j} at degree k, a number: a rational function of d.

    .. math:: \frac{(k + 2j)!}{2^{k+2j}\,j!\,(d/2)_{k+j}}

    Examples:
        >>> power_weight(0, 1, D), power_weight(2, 1, 3)
        (1/d, 4/35)
    """
    n = k + 2 * j
    scale = sympy.factorial(n) / (sympy.Integer(2) ** n * sympy.factorial(j))
    return scale / sympy.rf(sympy.sympify(d) / 2, k + j)


def distance_eigenvalue(n: Any, k: Any, d: Any = D) -> GammaProduct:
    r"""Eigenvalue of (2 - 2t)^nu at nu = n/2, n odd; for integer nu the limit from there.

    .. math:: \frac{4^{\nu} 2^{d-2}\,\Gamma(d/2)\,\Gamma(\nu + (d-1)/2)}
              {\sqrt\pi\,\Gamma(k + \nu + d - 1)}\,\frac{\Gamma(k - \nu)}{\Gamma(-\nu)}
    """
    nu = sympy.sympify(n) / 2
    factor = number_power(sympy.Integer(2), 2 * nu + d - 2) / sympy.sqrt(sympy.pi)
    above, below = [d / 2, nu + (d - 1) / 2], [k + nu + d - 1]
    if nu.is_integer:  # (-nu)_k = (-1)^k nu! / (nu - k)!
        factor *= (-1) ** k
        above, below = [*above, nu + 1], [*below, nu - k + 1]
    else:
        above, below = [*above, k - nu], [*below, -nu]
    return gamma_product(factor, above, below)


def rectified_eigenvalue(a: Any, k: Any, d: Any = D) -> GammaProduct:
    r"""E[t_+^a P_k], zero where (k - a)/2 is a positive integer.

    .. math:: \frac{\Gamma(a + 1)\,\Gamma(d/2)}
              {2^{a+1}\,\Gamma((a - k)/2 + 1)\,\Gamma((a + k + d)/2)}
    """
    return gamma_product(HALF) * power_eigenvalue(a, k, d)


# --- parts of a kernel ------------------------------------------------------------------------


class Part(ABC):
    """A part of a kernel with a closed eigenvalue."""

    @abstractmethod
    def eigenvalue(self, k: Any, parity: int, d: Any = D) -> ClosedForm:
        """The eigenvalue at a degree of the given parity.

        Args:
            k: the degree, an integer or the symbol `K`.
            parity: of the degree.
            d: the dimension, an integer or the symbol `D`.
        """

    @property
    @abstractmethod
    def regular_from(self) -> int:
        """The degree from which on the form for symbolic k holds."""


@dataclass(frozen=True)
class Powers(Part):
    """A polynomial in t, which has no degree above its own."""

    polynomial: Any

    def eigenvalue(self, k: Any, parity: int, d: Any = D) -> ClosedForm:
        """The sum over its powers; nothing for symbolic k."""
        if k is K:
            return ClosedForm(())
        terms = (
            Term(gamma_product(coefficient) * power_eigenvalue(sympy.Integer(n), k, d))
            for (n,), coefficient in sympy.Poly(self.polynomial, T).terms()
            if n >= k and (n - k) % 2 == 0
        )
        return add([ClosedForm(tuple(terms))])

    @property
    def regular_from(self) -> int:
        """One more than its degree."""
        return int(sympy.Poly(self.polynomial, T).degree()) + 1


@dataclass(frozen=True)
class RectifiedPower(Part):
    """A multiple of :math:`t_+^a`, a >= 0; the unit step for a = 0."""

    coefficient: Any
    power: Any

    def eigenvalue(self, k: Any, parity: int, d: Any = D) -> ClosedForm:
        """One product, zero at degrees a + 2, a + 4, ... of an integer a."""
        product = gamma_product(self.coefficient) * rectified_eigenvalue(self.power, k, d)
        return ClosedForm((Term(product),)) if product.factor != 0 else ClosedForm(())

    @property
    def regular_from(self) -> int:
        """Every degree."""
        return 0


@dataclass(frozen=True)
class OddDistance(Part):
    """A multiple of an odd power of the distance."""

    coefficient: Any
    power: int

    def eigenvalue(self, k: Any, parity: int, d: Any = D) -> ClosedForm:
        """One product."""
        product = gamma_product(self.coefficient) * distance_eigenvalue(self.power, k, d)
        return ClosedForm((Term(product),))

    @property
    def regular_from(self) -> int:
        """Every degree."""
        return 0


@dataclass(frozen=True)
class SeriesPart(Part):
    """One residue class of a series in t or in the distance.

    Attributes:
        function: the function whose series it is, in `T` or `DISTANCE`.
        coefficients: those of the class.
    """

    function: Any
    coefficients: Coefficients

    @property
    def in_distance(self) -> bool:
        """Whether the series is in the distance."""
        return self.function.has(DISTANCE)

    @property
    def regular_from(self) -> int:
        """Degrees below do not start with their own power."""
        start = self.coefficients.start
        return -(-start // 2) if self.in_distance else start

    def eigenvalue(self, k: Any, parity: int, d: Any = D) -> ClosedForm:
        """The sum of the series; two of them for a function of the distance of no parity."""
        return add(sum_series(terms) for _, terms in self.series(k, parity, d))

    def series(self, k: Any, parity: int, d: Any = D) -> Iterator[tuple[Any, TermSeries]]:
        """The first exponent and the summed terms, for each series that has degree k."""
        c = self.coefficients
        remainders = (0, 1) if self.in_distance else (parity,)
        for remainder in remainders:
            if c.modulus == 1 or c.start % 2 == remainder:
                n = self._first(k, remainder)
                yield n, self._terms(n, k, d)

    def _first(self, k: Any, remainder: int) -> Any:
        """The first exponent of this remainder modulo 2 whose power has degree k."""
        start = self.coefficients.start + (self.coefficients.start - remainder) % 2
        if self.in_distance and remainder:
            return sympy.Integer(start)
        lowest = 2 * k if self.in_distance else k
        return lowest if k is K else sympy.Integer(max(start, lowest))

    def _terms(self, n: Any, k: Any, d: Any) -> TermSeries:
        c = self.coefficients
        if n.is_number:
            scale, divisor = gamma_product(c.value(int(n))), c.polynomial.subs(N, n)
        else:
            scale, divisor = c.closed(n), c.polynomial.subs(N, c.start)
        upper, lower = list(c.upper), list(c.lower)
        constant = c.constant
        if c.modulus == 1:
            constant = constant**2
            upper, lower = upper + [a + 1 for a in upper], lower + [b + 1 for b in lower]
        argument = sympy.expand(constant * sympy.Integer(2) ** (len(upper) - len(lower)))
        above, below = [(n + a) / 2 for a in upper], [(n + b) / 2 for b in lower]
        if self.in_distance:
            argument *= 4
            above += [(n + d - 1) / 2, n / 2 + 1]
            below += [n / 2 + 1 - k, n / 2 + k + d - 1]
            scale *= distance_eigenvalue(n, k, d)
        else:
            above += [(n + 1) / 2, (n + 2) / 2]
            below += [(n - k) / 2 + 1, (n + k + d) / 2]
            scale *= power_eigenvalue(n, k, d)
        polynomial = c.polynomial.subs(N, n + 2 * J) / divisor
        return TermSeries(scale, tuple(above), tuple(below), argument, polynomial)


@dataclass(frozen=True)
class Features(Part):
    r"""The network of one hidden layer, without bias, whose activation is homogeneous.

    phi(x) = even x^n for both signs plus rectified x_+^n is a function of the cosine between
    weight and input, with the Funk-Hecke coefficient phi_k = E[phi(t) P_k]; averaged over weights
    of uniform direction, its products have the eigenvalue phi_k^2.

    Attributes:
        straight, rectified: the weights of x^n and x_+^n.
        power: n.
        weight_variance: w.
        tangent: whether it is the tangent kernel.
        scale: a factor in front.
    """

    straight: Any
    rectified: Any
    power: int
    weight_variance: Any
    tangent: bool
    scale: Any = 1

    def eigenvalue(self, k: Any, parity: int, d: Any = D) -> ClosedForm:
        """That of the NNGP and, for the NTK, of w t times the one of phi'."""
        n, w = self.power, self.weight_variance
        scale = gamma_product(self.scale * w)
        products = [scale * self._covariance(self.straight, self.rectified, n, k)]
        if self.tangent:
            inner = functools.partial(
                self._covariance, n * self.straight, n * self.rectified, n - 1
            )
            products += [scale * gamma_product(w) * product for product in times_t(inner, k)]
        terms = tuple(map(Term, combine(products)))
        return ClosedForm(terms).subs({D: d})

    def _covariance(self, straight: Any, rectified: Any, n: int, k: Any) -> GammaProduct:
        """E[phi(u) phi(v)] with variances w: E|g|^2n w^n phi_k^2 for a Gaussian vector g."""
        signs = rectified + straight * (1 + sympy.expand((-1) ** (n + k)))
        coefficient = gamma_product(signs) * rectified_eigenvalue(n, k)
        radius = gamma_product((2 * self.weight_variance) ** n, [D / 2 + n], [D / 2])
        return radius * coefficient**2

    @property
    def regular_from(self) -> int:
        """Every degree."""
        return 0


def times_t(eigenvalue: Any, k: Any) -> list[GammaProduct]:
    r"""The summands of the eigenvalue of t h, from that of h.

    .. math::
        \lambda_k(t h) = \frac{(k + d - 2)\,\lambda_{k+1}(h) + k\,\lambda_{k-1}(h)}{2k + d - 2}
    """
    if k == 0:
        return [eigenvalue(sympy.Integer(1))]
    total = 2 * k + D - 2
    return [
        gamma_product((k + D - 2) / total) * eigenvalue(k + 1),
        gamma_product(k / total) * eigenvalue(k - 1),
    ]
