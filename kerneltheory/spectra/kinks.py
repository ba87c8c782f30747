r"""Eigenvalues of kernels with kinks or jumps inside (-1, 1): closed, or piece by piece.

.. math:: \lambda_k = \frac{\Gamma(d/2)}{\sqrt\pi\,\Gamma((d-1)/2)} \sum_i
          \int_{\theta_{i+1}}^{\theta_i} h_i(\cos\theta)\,P_k(\cos\theta)\,\sin^{d-2}\theta\,d\theta

with the breaks :math:`\cos\theta_i` and the pieces h_i, each of them analytic on its interval.
"""

import math
from collections.abc import Set
from typing import Any

import sympy
from flint import acb, arb, ctx

from kerneltheory.activations.pieces import Pieces, X
from kerneltheory.core import lower
from kerneltheory.core.enclose import integrate
from kerneltheory.core.errors import DerivationError, KernelTheoryError, PrecisionError
from kerneltheory.kernels.base import Kernel
from kerneltheory.kernels.combine import CombinedKernel, ComposedKernel
from kerneltheory.kernels.kernel import DotProductKernel
from kerneltheory.kernels.kinks import has_kinks, pieces_of
from kerneltheory.spectra.angle import density_bound, polynomial_bound
from kerneltheory.spectra.exact import eigenvalue
from kerneltheory.spectra.rules import density_constant
from kerneltheory.spectra.summation import K
from kerneltheory.sphere.polynomials import recurrence_steps, run_recurrence


def is_kinked(kernel: Kernel) -> bool:
    """Whether a function with kinks or jumps enters the kernel.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> t = sympy.Symbol("t")
        >>> is_kinked(dot_product_kernel(sympy.Abs(t)) + dot_product_kernel(sympy.exp(t)))
        True
    """
    if isinstance(kernel, CombinedKernel):
        return any(map(is_kinked, kernel.parts))
    if isinstance(kernel, ComposedKernel):
        return is_kinked(kernel.outer) or is_kinked(kernel.inner)
    return isinstance(kernel, DotProductKernel) and has_kinks(kernel.expression)


def by_closed_form(
    kernel: Kernel, dim: int, max_degree: int, digits: int, zeros: Set[int]
) -> list[arb]:
    """Enclose the eigenvalues of degrees 0..max_degree to so many digits, from their closed form.

    Raises:
        PrecisionError: if there is none.
    """
    try:
        formula = eigenvalue(kernel, K, dim)
    except DerivationError as error:
        raise PrecisionError(str(error.__cause__ or error)) from error
    return [
        arb(0) if k in zeros else formula.certified(k, digits=digits) for k in range(max_degree + 1)
    ]


def by_pieces(kernel: Kernel, dim: int, max_degree: int, tolerance: arb) -> list[arb]:
    """Enclose the eigenvalues of degrees 0..max_degree, with absolute errors near the tolerance.

    Raises:
        PrecisionError: if a piece is not analytic on its closed interval.
        DerivationError: if the breaks are not found exactly.
    """
    bits = math.ceil(-float(tolerance.log()) / math.log(2) + 1.4 * max_degree) + 64
    with ctx.workprec(bits):
        constant = density_constant(dim)
        parts = pieces_of(kernel.formula.rhs)
        total = integrals_of_pieces(parts, dim, max_degree, tolerance / constant / 256)
        return [constant * integral for integral in total[:-1]]


def integrals_of_pieces(parts: Pieces, dim: int, max_degree: int, tolerance: arb) -> list[arb]:
    """Integrals over the angle of g P_k sin^{d-2} for every degree, and of g^2 sin^{d-2}.

    Args:
        parts: g on the real line, analytic between its breaks and at them from either side.
        dim: d >= 2.
        max_degree: the highest degree.
        tolerance: of the error that each panel may add.

    Raises:
        PrecisionError: if a piece is too rough.
    """
    total = [arb(0)] * (max_degree + 2)
    for low, high, expression in parts.intervals:
        if low < 1 and high > -1:
            ends = _angle(min(high, 1)), _angle(max(low, -1))
            piece = _integrals(expression, dim, max_degree, *ends, tolerance)
            total = [a + b for a, b in zip(total, piece, strict=True)]
    return total


def _angle(cosine: Any) -> arb:
    return arb(lower.to_balls((), sympy.acos(cosine))())


def _integrals(
    g: sympy.Expr, dim: int, max_degree: int, low: arb, high: arb, tolerance: arb
) -> list[arb]:
    function = lower.to_balls((X,), g)
    steps = recurrence_steps(dim, max_degree, lower.to_ball)

    def values(angle: arb) -> list[arb]:
        cosine, weight = angle.cos(), angle.sin() ** (dim - 2)
        value = arb(function(cosine))
        parts = run_recurrence(cosine, weight * value, steps)
        return [*parts, weight * value * value]

    def bound(angle: acb) -> arb:
        size = arb(acb(function(angle.cos())).abs_upper())
        growth = polynomial_bound(max_degree, arb(angle.imag.abs_upper()))
        return arb((density_bound(dim, angle) * size * (growth + size)).upper())

    try:
        return integrate(values, bound, low, high, tolerance)
    except KernelTheoryError as error:
        raise type(error)(f"the piece {g}: {error}") from error
