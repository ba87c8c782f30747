"""Degrees whose eigenvalues are zero, by proof: a ball that contains zero proves nothing."""

from typing import Any

import sympy

from kerneltheory.activations.pieces import X
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.kernels.base import Kernel, T
from kerneltheory.kernels.kernel import DotProductKernel, NetworkKernel
from kerneltheory.kernels.kinks import has_kinks, pieces_of
from kerneltheory.kernels.maps import is_series
from kerneltheory.spectra.closed_forms import power_weight


def vanishing_degrees(kernel: Kernel, max_degree: int) -> set[int]:
    """Degrees up to max_degree whose eigenvalue is zero, wherever t^n has the degrees n, n - 2, ...

    If h(t) - h(-t) is a polynomial of degree p, all odd degrees above p vanish (bias-free relu
    with one hidden layer); likewise for even ones. An odd activation without bias makes an odd
    kernel, layer by layer.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> vanishing_degrees(dot_product_kernel(sympy.cosh(T) + T), 6)
        {3, 5}
    """
    if isinstance(kernel, NetworkKernel):
        if kernel.bias_variance == 0 and kernel.activation.parity:
            wrong = 1 if kernel.activation.parity == 1 else 0
            return set(range(wrong, max_degree + 1, 2))
        if kernel.depth > 1 or is_series(kernel.activation):
            return set()
    try:
        h: Any = kernel.formula.rhs
    except KernelTheoryError:  # too large to write down
        return set()
    # asin(-t) is -asin(t) to sympy; acos(-t) stays as it is.
    h = h.replace(sympy.acos, lambda u: sympy.pi / 2 - sympy.asin(u))
    zeros: set[int] = set()
    for parity, sign in ((0, 1), (1, -1)):
        part = _on_both_sides(h + sign * h.subs(T, -T))
        if part.is_polynomial(T):
            order = sympy.Poly(part, T).degree() if part != 0 else -1
            zeros |= {k for k in range(max_degree + 1) if k % 2 == parity and k > order}
    return zeros


def _on_both_sides(part: Any) -> Any:
    """An even or odd part of h, without the kinks of h that cancel in it."""
    if has_kinks(part):
        split = pieces_of(part)
        part = part if split.breaks else split.expressions[0].subs(X, T)
    return sympy.expand(part)


def polynomial_zeros(kernel: Kernel, dim: int, max_degree: int) -> set[int]:
    """Degrees whose eigenvalue on S^{d-1} is zero as a rational function of d, for polynomials.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> polynomial_zeros(dot_product_kernel((3 * T**2 - 1) / 2), 3, 3)  # P_2
        {0, 1, 3}
    """
    if not isinstance(kernel, DotProductKernel) or not kernel.expression.is_polynomial(T):
        return set()
    terms = sympy.Poly(kernel.expression, T).terms()
    last = max((power for (power,), _ in terms), default=0)
    zeros = {k for k in range(min(last, max_degree) + 1) if _eigenvalue(terms, dim, k) == 0}
    return zeros | set(range(last + 1, max_degree + 1))


def _eigenvalue(terms: Any, dim: int, degree: int) -> Any:
    """The sum over the powers, exactly."""
    total: Any = sympy.Integer(0)
    for (power,), coefficient in terms:
        j, odd = divmod(power - degree, 2)
        if j >= 0 and not odd:
            total += coefficient * power_weight(degree, j, dim)
    return sympy.expand(total)
