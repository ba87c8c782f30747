r"""The masses N(d, k) lambda_k at fixed degree, as a series in 1/d.

With the Taylor coefficients a_n of the kernel,

.. math:: N(d, k)\,\lambda_k = \sum_j a_{k+2j}\,c_j(k, d), \qquad
          c_j = N(d, k)\,\frac{(k + 2j)!\;\Gamma(d/2)}{2^{k+2j}\,j!\;\Gamma(k + j + d/2)}
          = \frac{(k + 2j)!}{k!\,j!\,2^j}\,d^{-j} \bigl(1 + O(1/d)\bigr)

so j up to p gives the order p. The Gamma functions are expanded by Stirling's series,
:math:`\ln \frac{\Gamma(x + a)}{\Gamma(x)} = a \ln x + \sum_r (-1)^{r+1}
\frac{B_{r+1}(a) - B_{r+1}}{r (r + 1) x^r}`, which makes the coefficients polynomials in k.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.core import check
from kerneltheory.core.derivation import Derivation, Evidence, Identity, Step
from kerneltheory.core.display import latex
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.formula import Formula
from kerneltheory.kernels.base import Kernel, check_kernel
from kerneltheory.spectra.closed_forms import power_weight
from kerneltheory.spectra.lemmas import POWERS, lemma
from kerneltheory.spectra.local_series import at_zero, kernel_series, written_out
from kerneltheory.spectra.summation import D, K
from kerneltheory.sphere.harmonics import multiplicity

REFERENCE = "arXiv:2205.14846 (leading order)"


@dataclass(frozen=True)
class DimensionSeries(Formula):
    """The first terms of a series in 1/d, as a Formula in d, and the order of what is left out.

    Attributes:
        coefficients: of 1, 1/d, 1/d^2, ...
    """

    coefficients: tuple[Any, ...] = ()

    @property
    def remainder(self) -> sympy.Order:
        """What is left out, O(d^-p)."""
        (dim,) = self.args
        return sympy.Order(dim ** -len(self.coefficients), (dim, sympy.oo))

    def __str__(self) -> str:
        return f"{super().__str__()} + O({self.args[0]}**(-{len(self.coefficients)}))"

    def _repr_latex_(self) -> str:
        (dim,) = map(latex, self.args)
        rest = rf"O\left({dim}^{{-{len(self.coefficients)}}}\right)"
        return rf"$\displaystyle N \lambda = {self.latex} + {rest}$"


def eigenvalue_expansion(
    kernel: Kernel, degree: int, order: int, dim: sympy.Symbol = D
) -> DimensionSeries:
    r"""The mass of one degree, N(d, k) lambda_k, as a series in 1/d.

    .. math:: N \lambda_k = a_k + \frac1d \Bigl[\tfrac{(k+1)(k+2)}2 a_{k+2}
              - \tfrac{k(k-1)}2 a_k\Bigr] + \dots, \qquad a_n = h^{(n)}(0)/n!

    Args:
        kernel: a network whose dual activation is elementary, a dot-product kernel of elementary
            functions, or what `+`, `*` and `compose` make of these.
        degree: k >= 0.
        order: the highest power of 1/d, at least 0.
        dim: the symbol that stands for d.

    Returns:
        A Formula in d with the `coefficients` and the `remainder`.

    Raises:
        KernelTheoryError: if the kernel has no exact Taylor coefficients.

    References:
        arXiv:2205.14846 for the leading order.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> t = sympy.Symbol("t")
        >>> print(eigenvalue_expansion(dot_product_kernel(t**2), 0, 2))
        mass of degree 0 of dot_product_kernel(t**2)(d) = 1/d + O(d**(-3))
        >>> eigenvalue_expansion(dot_product_kernel(sympy.exp(t)), 1, 2).coefficients
        (1, 1/2, -7/8)
    """
    check_kernel(kernel)
    degree = check.integer("degree", degree, minimum=0)
    order = check.integer("order", order, minimum=0)
    if not isinstance(dim, sympy.Symbol):
        raise TypeError(f"dim must be a sympy symbol, got {dim!r}")
    taylor = taylor_coefficients(kernel, degree + 2 * order + 1)
    coefficients = [sympy.Integer(0)] * (order + 1)
    for j in range(order + 1):
        for i, weight in enumerate(weight_series(sympy.Integer(degree), j, order - j)):
            coefficients[j + i] += weight * taylor[degree + 2 * j]
    coefficients = tuple(map(sympy.expand, coefficients))
    rhs = sympy.Add(*(c / dim**i for i, c in enumerate(coefficients)))
    name = f"mass of degree {degree} of {kernel}"
    return DimensionSeries(name, (dim,), rhs, sympy.Ge(dim, 2), REFERENCE, coefficients)


@functools.lru_cache(maxsize=256)
def taylor_coefficients(kernel: Kernel, count: int) -> tuple[Any, ...]:
    """The Taylor coefficients of the kernel at t = 0, exact unless too large to be written out."""
    terms = dict(kernel_series(kernel, at_zero(count)).terms)
    return tuple(written_out(terms.get(sympy.Integer(n), sympy.S.Zero)) for n in range(count))


def weight_series(k: Any, j: int, order: int) -> list[Any]:
    """Coefficients of d^-j, ..., d^-(j + order) in c_j(k, d), polynomials in k.

    Examples:
        >>> [sympy.factor(c) for c in weight_series(K, 0, 1)]
        [1, -k*(k - 1)/2]
    """
    # ln of (2k + d - 2) Gamma(d + k - 2) / Gamma(d - 1) and of Gamma(d/2) / Gamma(d/2 + k + j).
    logarithm = [sympy.Integer(0)] * (order + 1)
    for r in range(1, order + 1):
        sign = (-1) ** (r + 1)
        logarithm[r] += sign * (2 * k - 2) ** r / sympy.Integer(r)
        logarithm[r] += sign * (_bernoulli(r, k - 2) - _bernoulli(r, sympy.Integer(-1)))
        logarithm[r] -= sign * 2**r * (_bernoulli(r, k + j) - _bernoulli(r, sympy.Integer(0)))
    scale = sympy.rf(k + 1, 2 * j) / (sympy.factorial(j) * 2**j)
    return [sympy.expand(scale * value) for value in _exponential(logarithm)]


def _bernoulli(r: int, x: Any) -> Any:
    return sympy.expand(sympy.bernoulli(r + 1, x)) / (r * (r + 1))


def _exponential(logarithm: Sequence[Any]) -> list[Any]:
    """Exp of a power series without constant term, by n e_n = sum_i i l_i e_{n-i}."""
    result: list[Any] = [sympy.Integer(1)]
    for n in range(1, len(logarithm)):
        total = sympy.Add(*(i * logarithm[i] * result[n - i] for i in range(1, n + 1)))
        result.append(sympy.expand(total / n))
    return result


# --- derivation -------------------------------------------------------------------------------


@dataclass(frozen=True)
class RationalSeries(Evidence):
    """A weight c_j, a rational function of d at a fixed degree, has the series that is claimed.

    Attributes:
        degree: k.
        j: which weight.
        claimed: its series, a polynomial in 1/d.
        order: the highest power of 1/d.
    """

    degree: int
    j: int
    claimed: Any
    order: int

    def verify(self, digits: int) -> str:
        """Prove that the difference is a rational function that decays fast enough."""
        difference = sympy.together(exact_weight(self.degree, self.j) - self.claimed)
        above, below = (sympy.Poly(part, D) for part in sympy.fraction(sympy.cancel(difference)))
        if not above.is_zero and above.degree() - below.degree() >= -self.order:
            raise DerivationError(
                f"the weight of a({self.degree + 2 * self.j}) differs from {self.claimed} by a "
                f"term of order d^{above.degree() - below.degree()}"
            )
        return "proved"

    def about(self) -> tuple[Any, ...]:
        """The series."""
        return (self.claimed,)


def exact_weight(degree: int, j: int) -> Any:
    """c_j(k, d), a rational function of d."""
    return multiplicity(D, degree) * power_weight(degree, j, D)


def derive_eigenvalue_expansion(
    kernel: Kernel, degree: int, order: int, dim: sympy.Symbol = D
) -> Derivation:
    """The derivation of `eigenvalue_expansion`, each of whose steps is proved by algebra.

    Args:
        kernel: as in `eigenvalue_expansion`.
        degree: as in `eigenvalue_expansion`.
        order: as in `eigenvalue_expansion`.
        dim: as in `eigenvalue_expansion`.

    Raises:
        KernelTheoryError: as in `eigenvalue_expansion`.

    Reference: arXiv:2205.14846 for the leading order.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> t = sympy.Symbol("t")
        >>> derivation = derive_eigenvalue_expansion(dot_product_kernel(sympy.exp(t)), 2, 3)
        >>> set(derivation.verify().statuses)
        {'proved'}
    """
    result = eigenvalue_expansion(kernel, degree, order, dim)
    a, c = sympy.Function("a"), sympy.Function("c")
    taylor = taylor_coefficients(kernel, degree + 2 * order + 1)
    steps = [lemma(POWERS)]
    total: Any = sympy.Integer(0)
    for j in range(order + 1):
        series = weight_series(sympy.Integer(degree), j, order - j)
        claimed = sympy.Add(*(value / D ** (j + i) for i, value in enumerate(series)))
        statement = sympy.Eq(c(j, D), claimed, evaluate=False)
        reason = f"weight of a({degree + 2 * j}), by Stirling's series; rest O(d^-{order + 1})"
        steps.append(Step(statement, reason, RationalSeries(degree, j, claimed, order)))
        total += claimed * taylor[degree + 2 * j]
    whole = sympy.Function("N")(degree, dim) * sympy.Function("lambda")(degree, dim)
    numbers = ", ".join(f"{a(degree + 2 * j)} = {taylor[degree + 2 * j]}" for j in range(order + 1))
    steps.append(
        Step(
            sympy.Eq(whole, result.rhs, evaluate=False),
            f"sum with {numbers}; later terms are O(d^-{order + 1})",
            Identity(result.rhs, total.subs(D, dim)),
        )
    )
    return Derivation(tuple(steps), result)


def derive_general_expansion(order: int) -> Derivation:
    """The series for any kernel and degree, in its coefficients a_k, a_{k+2}, ... as symbols.

    Each coefficient is a polynomial in k; it is proved at more degrees than its own degree.
    """
    symbols = sympy.symbols(f"a:{order + 1}", real=True)
    rhs = sympy.Add(
        *(
            symbols[j] * sympy.factor(value) / D ** (j + i)
            for j in range(order + 1)
            for i, value in enumerate(weight_series(K, j, order - j))
        )
    )
    statement = sympy.Eq(
        sympy.Function("N")(K, D) * sympy.Function("lambda")(K, D), rhs, evaluate=False
    )
    # A weight's coefficient of d^-(j+i) has degree 2j + 2i in k.
    evidence = ManyDegrees(rhs, symbols, order)
    result = Formula("mass of a degree", (K, D, *symbols), rhs, D >= 2, REFERENCE)
    reason = "Stirling's series, with a0 = a(k), a1 = a(k+2), ...; at fixed k the rest is O(d^-p)"
    return Derivation((lemma(POWERS), Step(statement, reason, evidence)), result)


@dataclass(frozen=True)
class ManyDegrees(Evidence):
    """A series with polynomial coefficients in k is right at enough degrees to be right at all.

    Attributes:
        claimed: the series in 1/d, k and the Taylor coefficients.
        symbols: the Taylor coefficients a_k, a_{k+2}, ...
        order: the highest power of 1/d.
    """

    claimed: Any
    symbols: tuple[Any, ...]
    order: int

    def verify(self, digits: int) -> str:
        """Prove each weight at one degree more than its polynomials have roots."""
        linear: Any = sympy.expand(self.claimed)
        for j, symbol in enumerate(self.symbols):
            weight = linear.coeff(symbol)
            if sympy.Poly(weight, K).degree() > 2 * self.order:
                raise DerivationError(f"the weight of {symbol} has too high a degree in k")
            for degree in range(2 * self.order + 1):
                RationalSeries(degree, j, weight.subs(K, degree), self.order).verify(digits)
        return "proved"

    def about(self) -> tuple[Any, ...]:
        """The series."""
        return (self.claimed,)


DERIVATIONS = (functools.partial(derive_general_expansion, 3),)
