r"""How eigenvalues decay at large degree: a power law from the singularities at t = 1 and t = -1.

If the kernel is analytic on (-1, 1) and has the terms :math:`c_+ (1 - t)^\nu` at t = 1 and
:math:`c_- (1 + t)^\nu` at t = -1, with nu no integer, then by Darboux's method

.. math:: \lambda_k \sim \bigl(c_+ + (-1)^k c_-\bigr)\,L_\nu(k), \qquad
          L_\nu(k) = \frac{2^{\nu+d-2}\,\Gamma(d/2)\,\Gamma(\nu + (d-1)/2)}{\sqrt\pi}\,
          \frac{(-\nu)_k}{\Gamma(k + \nu + d - 1)},

where L is the exact eigenvalue of :math:`(1-t)^\nu` and decays as :math:`k^{1-d-2\nu}`: what is
left without these terms is smoother. More terms make an asymptotic expansion.
"""

import functools
from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.core import check
from kerneltheory.core.display import latex, text
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.kernels.base import Kernel, check_kernel
from kerneltheory.spectra.closed_forms import distance_eigenvalue
from kerneltheory.spectra.exact import EigenvalueFormula, argument
from kerneltheory.spectra.gamma_products import GammaProduct, gamma_product
from kerneltheory.spectra.local_series import LocalSeries, at_end, kernel_series, written_out
from kerneltheory.spectra.summation import D, K

DARBOUX = "Darboux (1878); arXiv:2009.14397"
# How far an expansion is taken in search of singular terms, in powers of sqrt(1 - t).
FURTHEST = 16
# Longer constants, in characters, are shown by their leading digits.
LONGEST, LEADING_DIGITS = 120, 15


@dataclass(frozen=True)
class Singularity:
    """One singular term at each end: c_plus (1 - t)^nu and c_minus (1 + t)^nu."""

    nu: Any
    c_plus: Any
    c_minus: Any


@dataclass(frozen=True)
class TailLaw:
    r"""The decay of the eigenvalues of a kernel at large degree.

    Attributes:
        kernel: the kernel.
        dim: d, a number or a symbol.
        singularities: the terms that make the law, the most singular one first; none if the kernel
            is analytic at both ends, where eigenvalues decay faster than any power.
        formula: the law as a Formula in the degree (and dimension); None without singularities.
        tail_mass: the law for the sum of :math:`N \lambda_k` over all degrees above a degree;
            None without singularities.

    Constants are exact. Those of deep networks at t = -1, too large to be written out, are rational
    numbers within 1e-80 of their values.

    Reference: arXiv:2009.14397.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> law = tail_law(nngp(relu, 1, weight_variance=2), 5)
        >>> law
        nngp(relu, depth=1, weight_variance=2, bias_variance=0): lambda_k ~ C k^-7
        C = 90/pi (even k), 0 (odd k)
        nu = 3/2: c_plus = 4*sqrt(2)/(3*pi), c_minus = 4*sqrt(2)/(3*pi)
    """

    kernel: Kernel
    dim: Any
    singularities: tuple[Singularity, ...]
    formula: EigenvalueFormula | None
    tail_mass: EigenvalueFormula | None

    @property
    def nu(self) -> Any:
        """The exponent of the leading singularity, or None."""
        return self.singularities[0].nu if self.singularities else None

    @property
    def c_plus(self) -> Any:
        """The coefficient of (1 - t)^nu."""
        return self.singularities[0].c_plus if self.singularities else sympy.Integer(0)

    @property
    def c_minus(self) -> Any:
        """The coefficient of (1 + t)^nu."""
        return self.singularities[0].c_minus if self.singularities else sympy.Integer(0)

    @property
    def exponent(self) -> Any:
        """The p in lambda_k ~ C k^-p, d - 1 + 2 nu; infinite without singularities."""
        return sympy.oo if self.nu is None else sympy.expand(self.dim - 1 + 2 * self.nu)

    @property
    def even_constant(self) -> Any:
        """The C in lambda_k ~ C k^-p for even k; where it is zero, the decay is faster."""
        return self._constant(1)

    @property
    def odd_constant(self) -> Any:
        """The C in lambda_k ~ C k^-p for odd k; where it is zero, the decay is faster."""
        return self._constant(-1)

    def __call__(self, degree: Any) -> Any:
        """The law at integer degrees, as floats; what `Spectrum.plot` takes as its `law`.

        Args:
            degree: integers of at least 0, any shape.

        Raises:
            TypeError, ValueError: if a degree is no such integer, the dimension is a symbol, or
                there is no law as the decay is faster.
        """
        if self.formula is None:
            raise ValueError(f"there is no law to evaluate: {self}")
        if len(self.formula.args) != 1:
            raise ValueError(f"dim must be a number for a law to evaluate, got {self.dim}")
        degrees = check.nonnegative("degree", degree)
        if (degrees % 1).any():
            raise ValueError(f"degree must hold integers of at least 0, got {check.shown(degree)}")
        return self.formula(degrees.astype(int))

    def _constant(self, sign: int) -> Any:
        if self.nu is None:
            return sympy.Integer(0)
        scale = _amplitude(self.nu) * gamma_product(1, [], [-self.nu])
        total = gamma_product(_signs(self.singularities[0], sign))
        return (total * scale).subs({D: self.dim}).expression

    def __str__(self) -> str:
        if self.nu is None:
            return f"{self.kernel}: analytic at t = 1 and -1, so faster than any power of k"
        rows = [
            f"nu = {s.nu}: c_plus = {_shown(s.c_plus)}, c_minus = {_shown(s.c_minus)}"
            for s in self.singularities
        ]
        power = self.exponent if self.exponent.is_Atom else f"({self.exponent})"
        head = f"{self.kernel}: lambda_k ~ C k^-{power}"
        even, odd = map(_shown, (self.even_constant, self.odd_constant))
        constants = f"C = {even} (even k), {odd} (odd k)"
        return "\n".join([head, constants, *rows])

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        if self.nu is None:
            return r"$\lambda_k = O(k^{-p})$ for every $p$"
        assert self.formula is not None
        law = latex(self.formula.rhs)
        if len(law) > 5 * LONGEST:  # in LaTeX
            even, odd = map(_leading, (self.even_constant, self.odd_constant))
            return (
                rf"$\displaystyle \lambda_k \sim C\,k^{{-{latex(self.exponent)}}},\quad "
                rf"C = \text{{{even} for even }} k, \text{{{odd} for odd }} k$"
            )
        return rf"$\displaystyle \lambda_k \sim {law}$"


def _shown(constant: Any) -> str:
    """A constant in full where that is short, else its leading digits."""
    written = text(constant)
    return _leading(constant) if len(written) > LONGEST else written


def _leading(constant: Any) -> str:
    """The leading digits of a constant; one with a symbol in it has none."""
    return (
        "an expression in d, too long to show"
        if constant.free_symbols
        else (f"{sympy.N(constant, LEADING_DIGITS)} ({LEADING_DIGITS} digits)")
    )


def tail_law(kernel: Kernel, dim: Any, terms: int = 1) -> TailLaw:
    r"""The decay of the eigenvalues of a kernel on S^{d-1} at large degree, with its constants.

    Args:
        kernel: a kernel that is analytic on (-1, 1): a network of any depth whose dual activation
            is elementary (relu and its kin, step, erf, gelu, sin, ...), a dot-product kernel of
            elementary functions, or what `+`, `*` and `compose` make of these.
        dim: d >= 2, an integer or a symbol.
        terms: how many singular exponents the law holds, at least 1. With more it is an asymptotic
            expansion; fewer are given where there are no more.

    Returns:
        A TailLaw. For a kernel that is analytic at t = 1 and -1, such as those of gelu and erf, it
        says that the eigenvalues decay faster than any power.

    Raises:
        KernelTheoryError: if no exact expansion is found, as for activations with kinks off 0.

    References:
        Darboux (1878); arXiv:2009.14397 for the exponents of relu networks.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp, ntk
        >>> law = tail_law(ntk(relu, 3, weight_variance=2), 3)
        >>> law.nu, law.c_plus, law.exponent
        (1/2, -12*sqrt(2)/pi, 3)
        >>> tail_law(nngp(relu, 1, weight_variance=2), sympy.Symbol("d")).odd_constant
        0
    """
    check_kernel(kernel)
    terms = check.integer("terms", terms, minimum=1)
    return _tail_law(kernel, argument("dim", dim, 2), terms)


@functools.lru_cache(maxsize=256)
def _tail_law(kernel: Kernel, dim: Any, terms: int) -> TailLaw:
    found = singularities(kernel, terms)
    if not found:
        return TailLaw(kernel, dim, (), None, None)
    degree = sympy.Symbol("degree") if str(dim) == K.name else K
    values = {D: dim, K: degree}
    args = (degree, dim) if dim.is_Symbol else (degree,)
    domain = sympy.And(degree >= 1, sympy.Ge(dim, 2))

    def formula(name: str, rhs: Any) -> EigenvalueFormula:
        return EigenvalueFormula(
            f"{name} of {kernel}", args, rhs, domain, DARBOUX, degree,
            dim if dim.is_Symbol else None,
        )  # fmt: skip

    eigenvalues = sympy.Add(*(_law(s, values) for s in found))
    masses = sympy.Add(*(_mass(s, values) for s in found))
    return TailLaw(
        kernel, dim, found, formula("tail law", eigenvalues), formula("tail mass", masses)
    )


def _amplitude(nu: Any) -> GammaProduct:
    """The eigenvalue of (1 - t)^nu without (-nu)_k / Gamma(k + nu + d - 1)."""
    scale = sympy.Integer(2) ** (nu + D - 2) / sympy.sqrt(sympy.pi)
    return gamma_product(scale, [D / 2, nu + (D - 1) / 2])


def _law(s: Singularity, values: dict[Any, Any]) -> Any:
    power = gamma_product(sympy.Integer(2) ** -s.nu) * distance_eigenvalue(2 * s.nu, K)
    return _put(_signs(s, (-1) ** K), power, values)


def _signs(s: Singularity, parity: Any) -> Any:
    """c_plus + parity c_minus, which is exactly zero where the two cancel."""
    for sign in (1, -1):
        if sympy.expand(s.c_plus - sign * s.c_minus) == 0:
            return s.c_plus * (1 + sign * parity)
    return sympy.factor_terms(s.c_plus + parity * s.c_minus)


def _put(signs: Any, product: GammaProduct, values: dict[Any, Any]) -> Any:
    dims = {D: values[D]}
    factor = sympy.sympify(signs).subs(dims)
    return (factor * product.subs(dims).expression).xreplace({K: values[K]})


def _mass(s: Singularity, values: dict[Any, Any]) -> Any:
    r"""The sum of N lambda above degree k, for both terms.

    The masses of (1 - t)^nu add up in closed form, since
    :math:`S_m - S_{m+1} = \nu (2m + d - 2) \frac{\Gamma(m+d-2)\,\Gamma(m-\nu)}{m!\,
    \Gamma(m+\nu+d-1)}` for :math:`S_m = \frac{\Gamma(m+d-2)\,\Gamma(m-\nu)}{\Gamma(m)\,
    \Gamma(m+\nu+d-2)}`. Those of (1 + t)^nu alternate: what is left is half a term, at k + 1/2.
    """
    nu, amplitude = s.nu, _amplitude(s.nu) * gamma_product(1, [], [-s.nu, D - 1])
    m = K + 1
    sums = gamma_product(1 / nu, [m + D - 2, m - nu], [m, m + nu + D - 2])
    total = _put(s.c_plus, amplitude * sums, values)
    if s.c_minus != 0:
        total += _put(s.c_minus, amplitude * _half_term(nu), values)
    return total


def _half_term(nu: Any) -> GammaProduct:
    middle = K + sympy.Rational(1, 2)
    sign = -((-1) ** K) / sympy.Integer(2)
    return gamma_product(
        sign * (2 * middle + D - 2), [middle + D - 2, middle - nu],
        [middle + 1, middle + nu + D - 1],
    )  # fmt: skip


# --- singularities ----------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def singularities(kernel: Kernel, terms: int) -> tuple[Singularity, ...]:
    """The most singular terms of a kernel at t = 1 and -1; none if it is analytic at both.

    Raises:
        KernelTheoryError: if an expansion is not known, or has no singular term up to high order
            although there is a root in it.
    """
    singular_ends = [end for end in (1, -1) if kernel_series(kernel, at_end(end, 1)).branched]
    if not singular_ends:
        return ()
    best: tuple[Singularity, ...] = ()
    for order in range(3, FURTHEST + 1):
        ends = {end: kernel_series(kernel, at_end(end, order)) for end in singular_ends}
        best = _common(ends)
        if len(best) >= terms:
            return tuple(
                Singularity(s.nu, written_out(s.c_plus), written_out(s.c_minus))
                for s in best[:terms]
            )
    if best:
        return best
    raise KernelTheoryError(
        f"no singular term of {kernel} was found up to order {FURTHEST} in "
        "sqrt(1 - t), although its formula has a branch point there; the tail law is not known"
    )


def _common(ends: dict[int, LocalSeries]) -> tuple[Singularity, ...]:
    """The singular terms that are known at both ends."""
    known = min(series.order for series in ends.values())
    found: dict[Any, dict[int, Any]] = {}
    for end, series in ends.items():
        for exponent, coefficient in series.terms:
            nu = exponent / 2
            if exponent < known and not (nu.is_Integer and nu >= 0):
                found.setdefault(nu, {})[end] = coefficient
    zero = sympy.Integer(0)
    return tuple(
        Singularity(nu, found[nu].get(1, zero), found[nu].get(-1, zero)) for nu in sorted(found)
    )
