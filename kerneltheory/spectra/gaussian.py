r"""Eigenvalues of kernels of Gaussian inputs x ~ N(0, I_d), exactly at finite d.

The norm r = |x| is independent of the direction, so a kernel invariant under rotations splits by
the degree k of the harmonic in the direction. For :math:`h(x \cdot z/d)` with
:math:`h = \sum_n a_n t^n`, the cosine c and :math:`w_{n,k} = E[c^n P_k(c)]`,

.. math:: h(x \cdot z / d) = \sum_k N(d, k) P_k(c) \sum_{j \ge 0} b_j\,(r r')^{k+2j}, \qquad
          b_j = a_n d^{-n} w_{n,k}, \quad n = k + 2j

so the eigenvalues of the block k, each of multiplicity N(d, k), are those of the infinite matrix

.. math:: \sqrt{b_i b_j}\,E[r^{2(k+i+j)}], \qquad E[r^{2s}] = 2^s\,(d/2)_s

Its leading principal blocks enclose them: what is cut off moves no eigenvalue by more than its
trace, which is known. The j-th largest one belongs to the Hermite polynomials of degree n = k + 2j
(Laguerre polynomials of :math:`r^2/2` times harmonics). In high dimension those of one n meet, if
no a_n vanishes: :math:`\lambda = a_n\,n!/d^n (1 + O(1/d))`, and with the
:math:`\binom{d+n-1}{n}` Hermite polynomials of degree n the mass of degree n is
:math:`a_n + O(1/d)`, as that of degree n on the sphere.

Networks see the norm of a row through each layer's variance and are no functions of x.z alone. For
homogeneous activations without bias they are :math:`r r' h(c)/d`, of one radial eigenfunction r for
each harmonic, and :math:`E[r^2] = d` makes the spectrum exactly that of the sphere. Other networks
are refused.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import sympy
from flint import acb_mat, arb, arb_mat, ctx

from kerneltheory.core import check, lower
from kerneltheory.core.enclose import plus_minus
from kerneltheory.core.errors import (
    DivergentError,
    KernelTheoryError,
    NotPositiveDefiniteError,
    PrecisionError,
)
from kerneltheory.kernels.base import Kernel, T, check_kernel
from kerneltheory.kernels.combine import CombinedKernel
from kerneltheory.kernels.kernel import DotProductKernel, NetworkKernel
from kerneltheory.spectra.certified import Levels, left_out
from kerneltheory.spectra.enclosure import sphere_levels
from kerneltheory.sphere.harmonics import multiplicity

MAX_ATTEMPTS = 4
# A larger matrix takes minutes; it comes with rates a near d/2, where E[h(|x|^2/d)] diverges.
MAX_TERMS = 160


def gaussian_levels(kernel: Kernel, dim: int, max_degree: int, digits: int = 30) -> Levels:
    r"""Eigenvalues for inputs x ~ N(0, I_d), up to a total degree.

    Args:
        kernel: a dot-product kernel :math:`h(x \cdot z/d)` with h a sum of polynomials times
            exponentials of t (also cosh and sinh) and no negative Taylor coefficient; or a network
            kernel of a homogeneous activation (relu and its kin) without bias.
        dim: d >= 2.
        max_degree: the highest total degree n.
        digits: relative accuracy of each eigenvalue that is not zero.

    Returns:
        The eigenvalues, their multiplicities N(d, k), a ball around :math:`E[h(|x|^2/d)]` less
        their sum, and the method. The levels are those of `gaussian_degrees`, in its order.

    Raises:
        KernelTheoryError: if the kernel depends on norms in another way, or h is not such a sum:
            its expectation over Gaussian norms is then not known, or infinite.
        DivergentError: if :math:`E[h(|x|^2/d)]` is infinite: :math:`e^{a t}` needs d > 2 a.
        NotPositiveDefiniteError: if a Taylor coefficient is negative.
        PrecisionError: if an eigenvalue was not enclosed to `digits` digits.

    References:
        Weyl, Das asymptotische Verteilungsgesetz (1912), for what adding a positive operator does;
        DLMF 18.18.28 (Mehler) gives the spectrum of exp(t) in closed form.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> balls, counts, tail, _ = gaussian_levels(dot_product_kernel(T), 5, 1)
        >>> [round(float(ball), 9) for ball in balls], counts, tail.contains(0)
        ([0.0, 0.2], (1, 5), True)
    """
    check_kernel(kernel)
    dim = check.integer("dim", dim, minimum=2)
    max_degree = check.integer("max_degree", max_degree, minimum=0)
    digits = check.integer("digits", digits, minimum=1)
    if is_radial(kernel):
        balls, counts, tail, method = sphere_levels(kernel, dim, max_degree, digits)
        return balls, counts, tail, f"that of the sphere: {method}"
    growth = _growth(kernel)
    for term in growth:
        term.expectation(dim)  # refuses what diverges
    parts = _parity_part(growth, 0), _parity_part(growth, 1)
    bits = math.ceil(3.33 * digits) + 128
    for _ in range(MAX_ATTEMPTS):
        with ctx.workprec(bits):
            blocks = [
                _block(kernel, parts[k % 2], dim, k, (max_degree - k) // 2 + 1, digits)
                for k in range(max_degree + 1)
            ]
            accuracy = max(lower.relative_radius(ball) for block in blocks for ball in block)
            if accuracy < 10.0**-digits:
                return _sorted(blocks, growth, dim, max_degree)
        bits *= 2
    raise PrecisionError(
        f"the eigenvalues of {kernel} for Gaussian inputs of dim = {dim} were not enclosed to "
        f"{digits} digits with {bits // 2} bits; ask for a lower max_degree or fewer digits"
    )


def gaussian_degrees(kernel: Kernel, max_degree: int) -> tuple[tuple[int, int], ...]:
    """(n, k) of each level: total degree, and degree of the harmonic in the direction.

    By rising n and falling k = n, n - 2, ...; for networks n = k alone.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> gaussian_degrees(dot_product_kernel(sympy.exp(T)), 3)
        ((0, 0), (1, 1), (2, 2), (2, 0), (3, 3), (3, 1))
    """
    lowest = (lambda n: n) if is_radial(kernel) else (lambda n: 0)
    return tuple((n, k) for n in range(max_degree + 1) for k in range(n, lowest(n) - 1, -2))


def is_radial(kernel: Kernel) -> bool:
    """Whether the kernel is r r' h(c)/d: a network of a homogeneous activation without bias."""
    return (
        isinstance(kernel, NetworkKernel)
        and kernel.activation.homogeneous
        and kernel.bias_variance == 0
    )


def _sorted(
    blocks: list[list[arb]], growth: tuple["Term", ...], dim: int, max_degree: int
) -> Levels:
    degrees = [(n, k) for n in range(max_degree + 1) for k in range(n, -1, -2)]
    balls = tuple(blocks[k][(n - k) // 2] for n, k in degrees)
    counts = tuple(multiplicity(dim, k) for _, k in degrees)
    total = sum((term.expectation(dim) for term in growth), arb(0))
    return balls, counts, left_out(total, counts, balls), "certified radial blocks"


# --- how h grows ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """One term c t^m exp(a t) of h; c and a are exact."""

    constant: sympy.Expr
    power: int
    rate: sympy.Expr

    def expectation(self, dim: int) -> arb:
        r""":math:`c\,(1 - 2a/d)^{-d/2-m}\,(2/d)^m\,(d/2)_m`, that of the term at |x|^2/d."""
        c, a = lower.to_ball(self.constant), lower.to_ball(self.rate)
        shrink = 1 - 2 * a / dim
        if not shrink > 0:
            raise DivergentError(
                f"E[h(|x|^2/d)] is infinite at dim = {dim}: h grows as exp({self.rate} t), which "
                f"needs dim > {2 * self.rate}"
            )
        half = arb(dim) / 2
        moment = half.rising(self.power) / (half * shrink) ** self.power
        return c * moment * (-half * shrink.log()).exp()

    def cut_off(self, dim: int, k: int, j: int) -> arb:
        r"""Bound of :math:`\sum_{i \ge j} |a_n| n!\,d^{-n} (d/2 + k + i)_i / i!`, n = k + 2i.

        The ratio of successive summands is at most the product of three factors that fall with i;
        not finite while that is not below one.
        """
        n, m, a = k + 2 * j, self.power, abs(lower.to_ball(self.rate))
        if a.is_zero():
            return abs(self._summand(dim, k, m)) if m >= n and (m - n) % 2 == 0 else arb(0)
        if n <= m:
            return arb("nan")
        start = arb(dim) / 2 + k
        ratio = (a / dim) ** 2 * ((n + 2) * (n + 1)) / ((n + 2 - m) * (n + 1 - m))
        ratio *= 2 * (2 + (start - 1) / (j + 1))
        return abs(self._summand(dim, k, n)) / (1 - ratio) if ratio < 1 else arb("nan")

    def _summand(self, dim: int, k: int, n: int) -> arb:
        i, start = (n - k) // 2, arb(dim) / 2 + k
        coefficient = lower.to_ball(self.constant) * lower.to_ball(self.rate) ** (n - self.power)
        size = coefficient * arb(n).fac() / arb(n - self.power).fac()
        return size * (start + i).rising(i) / arb(i).fac() / arb(dim) ** n


def _parity_part(growth: tuple[Term, ...], parity: int) -> tuple[Term, ...]:
    """The even or the odd part of h; empty if its terms cancel."""
    constants: dict[tuple[int, Any], Any] = {}
    for term in growth:
        mirror = (-1) ** (term.power + parity)
        for key, sign in (((term.power, term.rate), 1), ((term.power, -term.rate), mirror)):
            constants[key] = constants.get(key, 0) + sign * term.constant / 2
    return tuple(
        Term(constant, power, rate)
        for (power, rate), constant in constants.items()
        if sympy.expand(constant) != 0
    )


def _growth(kernel: Kernel) -> tuple[Term, ...]:
    """h as a sum of terms c t^m exp(a t)."""
    if not _is_function_of_product(kernel):
        raise KernelTheoryError(
            f"{kernel} depends on the norms of Gaussian inputs, not on x.z alone; take domain="
            '"sphere", its spectrum on rows of squared norm d, around which norms concentrate'
        )
    expression = sympy.expand(kernel.formula.rhs.rewrite(sympy.exp).expand(), power_exp=False)
    return tuple(_term(kernel, sympy.powsimp(part)) for part in sympy.Add.make_args(expression))


def _is_function_of_product(kernel: Kernel) -> bool:
    if isinstance(kernel, CombinedKernel):
        return all(map(_is_function_of_product, kernel.parts))
    return isinstance(kernel, DotProductKernel)


def _term(kernel: Kernel, part: Any) -> Term:
    constant, exponent, power = sympy.Integer(1), sympy.Integer(0), 0
    for factor in sympy.Mul.make_args(part):
        base, degree = factor.as_base_exp()
        if not factor.has(T):
            constant *= factor
        elif isinstance(factor, sympy.exp):
            exponent += factor.args[0]
        elif base == T and degree.is_Integer and degree > 0:
            power += int(degree)
        else:
            raise _unknown_growth(kernel)
    linear = sympy.Poly(exponent, T) if exponent.is_polynomial(T) else None
    if linear is None or linear.degree() > 1 or not all(c.is_real for c in linear.all_coeffs()):
        raise _unknown_growth(kernel)
    return Term(constant * sympy.exp(linear.nth(0)), power, linear.nth(1))


def _unknown_growth(kernel: Kernel) -> KernelTheoryError:
    return KernelTheoryError(
        f"{kernel} is not a sum of polynomials times exponentials of t; for Gaussian inputs x.z/d "
        'is unbounded and h must be known there: take domain="sphere" for normalised rows'
    )


# --- one block --------------------------------------------------------------------------------


def _block(
    kernel: Kernel, growth: tuple[Term, ...], dim: int, k: int, count: int, digits: int
) -> list[arb]:
    """The `count` largest eigenvalues of the block of harmonic degree k, falling."""
    size = count
    while True:
        b = _coefficients(kernel, growth, dim, k, size)
        rest = sum((term.cut_off(dim, k, size) for term in growth), arb(0))
        diagonal = [x * _moment(dim, k + 2 * j) for j, x in b[:count]]
        small = all(rest * _excess(dim, count, digits) < x for x in diagonal)
        if rest.is_zero() or (small and len(diagonal) == count):
            break
        size += 2 + size // 4
        if size > MAX_TERMS:
            raise PrecisionError(
                f"{MAX_TERMS} terms of {kernel} did not suffice for {digits} digits at dim = "
                f"{dim}; ask for a lower max_degree or fewer digits"
            )
    # Powers of r are nearly dependent: their moments take about that many bits away.
    with ctx.workprec(ctx.prec + 8 * size):
        b = _coefficients(kernel, growth, dim, k, size)
        values = _eigenvalues(
            [[(x * y).sqrt() * _moment(dim, k + i + j) for j, y in b] for i, x in b]
        )
    values = (values + [arb(0)] * count)[:count]
    return [value + plus_minus(arb(rest.upper())) for value in values]


def _coefficients(
    kernel: Kernel, growth: tuple[Term, ...], dim: int, k: int, size: int
) -> list[tuple[int, arb]]:
    """(j, b_j) where b_j is not zero."""
    found = []
    for j in range(size):
        n = k + 2 * j
        exact = _derivative_at_zero(growth, n)
        if exact == 0:
            continue
        derivative = lower.to_ball(exact)
        if derivative < 0:
            raise NotPositiveDefiniteError(
                f"{kernel} is not positive definite for Gaussian inputs: its derivative of order "
                f"{n} at t = 0 is {derivative.str(5)}"
            )
        weight = derivative / arb(j).fac() / (arb(dim) / 2).rising(k + j)
        found.append((j, weight / arb(2 * dim) ** n))
    return found


@functools.lru_cache(maxsize=4096)
def _derivative_at_zero(growth: tuple[Term, ...], n: int) -> sympy.Expr:
    """h^(n)(0), exact, so that it is zero where it vanishes."""
    return sympy.expand(
        sympy.Add(
            *(
                term.constant * term.rate ** (n - term.power) * sympy.ff(n, term.power)
                for term in growth
                if n >= term.power
            )
        )
    )


def _moment(dim: int, half_power: int) -> arb:
    """E r^(2s)."""
    return arb(2) ** half_power * (arb(dim) / 2).rising(half_power)


def _excess(dim: int, count: int, digits: int) -> arb:
    """How far below a diagonal entry the cut must be.

    The j-th entry is above the eigenvalue that it stands for, by about (d/2)^j/j!: functions of
    lower degree share in it.
    """
    return arb(10) ** (digits + 2) * (arb(dim) / 2 + 2 * count) ** count


def _eigenvalues(matrix: list[list[arb]]) -> list[arb]:
    """Enclose the eigenvalues of a positive matrix, falling; not finite if they are too close."""
    if not matrix:
        return []
    values = acb_mat(arb_mat(matrix)).eig(nonstop=True)
    return sorted((value.real for value in values), key=lambda v: -float(v.mid()))
