"""Derivations of eigenvalues in closed form, step by step, and what certifies them."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, ctx

from kerneltheory.activations import catalogue
from kerneltheory.core.derivation import Derivation, Evidence, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.kernels.base import Kernel, T
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra.closed_forms import (
    DISTANCE,
    Features,
    OddDistance,
    Part,
    Powers,
    RectifiedPower,
    SeriesPart,
    power_eigenvalue,
    rectified_eigenvalue,
)
from kerneltheory.spectra.domains import certified_spectrum
from kerneltheory.spectra.enclosure import BY_PIECES, sphere_levels
from kerneltheory.spectra.exact import EigenvalueFormula, argument, eigenvalue, kernel_parts
from kerneltheory.spectra.gamma_products import (
    GammaProduct,
    combine,
    from_expression,
    gamma_product,
)
from kerneltheory.spectra.hypergeometric import DifferentialEquation, N
from kerneltheory.spectra.kinks import is_kinked
from kerneltheory.spectra.lemmas import DISTANCES, POWERS, RECTIFIED, derive_family, lemma
from kerneltheory.spectra.summation import D, J, K, TermSeries

# Where a formula is compared with enclosed eigenvalues.
DEGREES, DIMENSIONS = range(6), (3, 8)


@dataclass(frozen=True)
class SummandRatio(Evidence):
    """The ratio of neighbouring summands of a series follows from that of its coefficients.

    Attributes:
        part: the part of the kernel whose eigenvalue is summed.
        first: the first exponent.
        ratio: what is claimed, in the symbol `J` of summation and in degree and dimension.
        given: the degree and the dimension, numbers or symbols.
    """

    part: SeriesPart
    first: Any
    ratio: Any
    given: tuple[Any, Any]

    def verify(self, digits: int) -> str:
        """Prove it from the coefficients and from the eigenvalues of powers."""
        c, n = self.part.coefficients, self.first + 2 * J
        family = DISTANCES if self.part.in_distance else POWERS
        steps = range(0, 2, c.modulus)
        coefficients = sympy.Mul(*(c.ratio(n + i) for i in steps))
        weights = family.eigenvalue(N + 2, K) * family.eigenvalue(N, K) ** -1
        if weights.gammas:
            raise DerivationError(f"the eigenvalues of {family.function} have no rational ratio")
        found = coefficients * weights.factor.subs(N, n)
        found = found.xreplace(dict(zip((K, D), self.given, strict=True)))
        if sympy.cancel(sympy.together(found - self.ratio)) != 0:
            raise DerivationError(f"the summands have the ratio {found}, not {self.ratio}")
        return "proved"

    def about(self) -> tuple[Any, ...]:
        """The ratio."""
        return (self.ratio,)


@dataclass(frozen=True)
class SpectrumCertificate(Evidence):
    """A formula gives the enclosed eigenvalues, at several degrees and in several dimensions.

    Attributes:
        kernel: the kernel.
        formula: its eigenvalue.
        given: the degree and the dimension, as they were asked for.
    """

    kernel: Kernel
    formula: EigenvalueFormula
    given: tuple[Any, Any]

    def verify(self, digits: int) -> str:
        """Compare them all."""
        degree, dim = self.given
        degrees = DEGREES if degree.is_Symbol else [int(degree)]
        for d in DIMENSIONS if dim.is_Symbol else [int(dim)]:
            expected = self._enclosed(d, max(degrees), digits)
            for k in degrees:
                self._compare(k, d, expected[k], digits)
        return f"certified to {digits} digits"

    def _enclosed(self, dim: int, max_degree: int, digits: int) -> tuple[arb, ...]:
        """By integration, not by the formula in question."""
        if is_kinked(self.kernel):
            return sphere_levels(self.kernel, dim, max_degree, digits, [BY_PIECES])[0]
        return certified_spectrum(self.kernel, dim, max_degree, digits).eigenvalues

    def _compare(self, k: int, d: int, expected: arb, digits: int) -> None:
        values = [v for v, asked in zip((k, d), self.given, strict=True) if asked.is_Symbol]
        with ctx.workdps(digits + 20):
            found = self.formula.certified(*values, digits=digits + 5)
            if not found.overlaps(expected) or (expected.is_zero() and not found.is_zero()):
                raise DerivationError(
                    f"at degree {k} and dim = {d} the formula gives {found.str(15)} and "
                    f"the enclosure {expected.str(15)}"
                )

    def about(self) -> tuple[Any, ...]:
        """The formula."""
        return (self.formula.rhs,)


@dataclass(frozen=True)
class LinearCombination(Evidence):
    """A formula is the sum over powers and rectified powers of their eigenvalues, degree by degree.

    Attributes:
        parts: the parts of the kernel.
        formula: its eigenvalue.
        given: the degree and the dimension, as they were asked for.
    """

    parts: tuple[Part, ...]
    formula: EigenvalueFormula
    given: tuple[Any, Any]

    def verify(self, digits: int) -> str:
        """Prove it in general, and at the degrees that the powers have."""
        degree, _ = self.given
        self._compare(degree)
        if degree.is_Symbol:
            for k in range(max((n for _, n in self._powers()), default=-1) + 1):
                self._compare(sympy.Integer(k))
        return "proved"

    def _compare(self, k: Any) -> None:
        degree, dim = self.given
        rhs: Any = self.formula.rhs
        if isinstance(rhs, sympy.Piecewise):
            cases: Any = rhs.args
            met = (part for part, condition in cases if condition.subs(degree, k) == sympy.true)
            rhs = cases[-1][0] if k.is_Symbol else next(met)
        claimed = [from_expression(part.subs(degree, k)) for part in sympy.Add.make_args(rhs)]
        rest = combine([*claimed, *(gamma_product(-1) * known for known in self._known(k, dim))])
        if rest:
            difference = sympy.Add(*(product.expression for product in rest))
            raise DerivationError(f"at degree {k} the formula is wrong by {difference}")

    def _known(self, k: Any, dim: Any) -> Iterator[GammaProduct]:
        for part in self.parts:
            if isinstance(part, RectifiedPower):
                yield gamma_product(part.coefficient) * rectified_eigenvalue(part.power, k, dim)
        # Only finitely many degrees, and so no symbol, have a part in powers.
        for coefficient, n in self._powers() if not k.is_Symbol else ():
            if n >= k and (n - k) % 2 == 0:
                yield gamma_product(coefficient) * power_eigenvalue(sympy.Integer(n), k, dim)

    def _powers(self) -> list[tuple[Any, int]]:
        polynomials = (part.polynomial for part in self.parts if isinstance(part, Powers))
        return [(c, n) for p in polynomials for (n,), c in sympy.Poly(p, T).terms()]

    def about(self) -> tuple[Any, ...]:
        """The formula."""
        return (self.formula.rhs,)


def derive_eigenvalue(kernel: Kernel, degree: Any, dim: Any) -> Derivation:
    """The derivation of `eigenvalue(kernel, degree, dim)`, step by step, ready to be verified.

    Its steps are the theorem of Funk and Hecke, the eigenvalues of powers, the coefficients of the
    kernel and the ratio of the summands (each proved by algebra), and the sum: of finitely many
    powers and rectified powers it is proved, too, and else compared with enclosed eigenvalues.

    Args:
        kernel: as in `eigenvalue`.
        degree: as in `eigenvalue`.
        dim: as in `eigenvalue`.

    Raises:
        DerivationError, DivergentError: as in `eigenvalue`.

    Examples:
        >>> k, d = sympy.symbols("k d")
        >>> derivation = derive_eigenvalue(dot_product_kernel(sympy.exp(T)), k, d)
        >>> print(derivation.verify(digits=10).statuses[-1])
        certified to 10 digits
    """
    formula = eigenvalue(kernel, degree, dim)
    given = argument("degree", degree, 0), argument("dim", dim, 2)
    left = sympy.Function("lambda")(*given)
    expectation: Any = sympy.Function("E")
    polynomial: Any = sympy.Function(f"P_{given[0]}")
    integrand = sympy.Function("h")(T) * polynomial(T)
    parts = kernel_parts(kernel)
    evidence = (
        LinearCombination(parts, formula, given)
        if _is_linear(parts)
        else SpectrumCertificate(kernel, formula, given)
    )
    steps = [
        Step(_equal(left, expectation(integrand)), "theorem of Funk and Hecke"),
        *_lemmas(parts),
        *(step for part in parts if isinstance(part, SeriesPart) for step in _series(part, given)),
        Step(_equal(left, formula.rhs), _reason(parts), evidence),
    ]
    return Derivation(tuple(steps), formula)


def _equal(left: Any, right: Any) -> Any:
    return sympy.Eq(left, right, evaluate=False)


def _lemmas(parts: tuple[Part, ...]) -> list[Step]:
    needed = []
    for part in parts:
        if isinstance(part, Features):
            needed += [RECTIFIED, POWERS] if part.tangent else [RECTIFIED]
        elif isinstance(part, RectifiedPower):
            needed.append(RECTIFIED)
        elif isinstance(part, OddDistance) or (isinstance(part, SeriesPart) and part.in_distance):
            needed.append(DISTANCES)
        else:
            needed.append(POWERS)
    return [lemma(family) for family in dict.fromkeys(needed)]


def _series(part: SeriesPart, given: tuple[Any, Any]) -> list[Step]:
    """The coefficients of a part, and the ratio of the summands of its eigenvalue."""
    c, a = part.coefficients, sympy.Function("a")
    variable = "r" if part.in_distance else "t"
    ratio = sympy.factor(c.ratio(N))
    reason = (
        f"coefficients of {variable}^n, n = {c.start}, {c.start + c.modulus}, ... with "
        f"a({c.start}) = {c.first}: the function solves their differential equation"
    )
    x = DISTANCE if part.in_distance else T
    equation = DifferentialEquation(part.function, x, c, ratio)
    statement = _equal(a(N + c.modulus) / a(N), ratio)
    degree = K if given[0].is_Symbol else given[0]
    parities = (0, 1) if given[0].is_Symbol else (int(degree) % 2,)
    sums = {first: terms for p in parities for first, terms in part.series(degree, p)}
    return [
        Step(statement, reason, equation),
        *(_summand_step(part, first, terms, given) for first, terms in sums.items()),
    ]


def _summand_step(part: SeriesPart, first: Any, terms: TermSeries, given: tuple[Any, Any]) -> Step:
    u, names = sympy.Function("u"), {K: given[0], D: given[1]}
    parameters = (
        sympy.Mul(*(J + parameter for parameter in group)) for group in (terms.upper, terms.lower)
    )
    above, below = parameters
    ends = (sympy.sympify(terms.polynomial).subs(J, j) for j in (J + 1, J))
    after, before = ends
    claim = sympy.factor(terms.argument * above * after / (below * before)).xreplace(names)
    variable = "r" if part.in_distance else "t"
    reason = f"summands u(j) = a(n) lambda({variable}^n), n = {first.xreplace(names)} + 2 j"
    return Step(_equal(u(J + 1) / u(J), claim), reason, SummandRatio(part, first, claim, given))


def _is_linear(parts: tuple[Part, ...]) -> bool:
    return all(isinstance(part, RectifiedPower | Powers) for part in parts)


def _reason(parts: tuple[Part, ...]) -> str:
    if any(isinstance(part, Features) for part in parts):
        return "addition theorem: the eigenvalue of averaged features is the square of theirs"
    if _is_linear(parts):
        return "linear in the kernel"
    return "sum of the series (Gauss's theorem, Bessel and hypergeometric functions)"


def _stated() -> tuple[Any, ...]:
    """One kernel of each kind, in all degrees and dimensions."""
    half = sympy.Rational(1, 2)
    kernels = (
        dot_product_kernel(sympy.exp(T)),
        dot_product_kernel(sympy.exp(4 * T - 4)),
        dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * T))),
        dot_product_kernel((1 + T) ** 3),
        dot_product_kernel((1 - T) ** half),
        dot_product_kernel(1 / (2 - T)),
        dot_product_kernel(sympy.Max(T, 0)),
        dot_product_kernel(T**2 * sympy.Heaviside(T) - sympy.Heaviside(T) + T),
        nngp(catalogue.relu, 1, weight_variance=2),
        ntk(catalogue.relu, 1, weight_variance=2),
        nngp(catalogue.step, 1, weight_variance=1),
        nngp(catalogue.erf, 1, weight_variance=2),
        ntk(catalogue.erf, 1, weight_variance=2),
        ntk(catalogue.sin, 1, weight_variance=2),
        nngp(catalogue.gelu, 1, weight_variance=2),
    )
    derived = (functools.partial(derive_eigenvalue, kernel, K, D) for kernel in kernels)
    families = (functools.partial(derive_family, f) for f in (POWERS, RECTIFIED, DISTANCES))
    return (*families, *derived)


DERIVATIONS = _stated()
