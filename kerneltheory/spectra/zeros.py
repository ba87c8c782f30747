"""Degrees whose eigenvalues are zero, by proof: a ball that contains zero proves nothing."""

from typing import Any

import sympy

from kerneltheory.activations.pieces import X
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.kernels.base import Kernel, T
from kerneltheory.kernels.kernel import DotProductKernel, NetworkKernel
from kerneltheory.kernels.kinks import has_kinks, pieces_of
from kerneltheory.spectra.closed_forms import power_weight


def vanishing_degrees(kernel: Kernel, max_degree: int) -> set[int]:
    """Degrees up to max_degree whose eigenvalue is zero, wherever t^n has the degrees n, n - 2, ...

    If h(t) - h(-t) is a polynomial of degree p, all odd degrees above p vanish; likewise for even
    ones. In the kernels of a hidden layer without bias that part is made of the same part of the
    activation, and has its degree (1 for relu); an odd activation without bias makes an odd kernel,
    layer by layer.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> vanishing_degrees(dot_product_kernel(sympy.cosh(T) + T), 6)
        {3, 5}
    """
    network = isinstance(kernel, NetworkKernel)
    orders = _orders_of_network(kernel) if network else _orders(kernel)
    return {
        k
        for parity, order in enumerate(orders)
        if order is not None
        for k in range(parity, max_degree + 1, 2)
        if k > order
    }


def _orders_of_network(kernel: NetworkKernel) -> tuple[int | None, int | None]:
    """The degrees of the even and of the odd part of h, -1 for zero; None for no polynomial.

    T is the sum of a_n(q1) a_n(q2) c^n with the Hermite coefficients a_n of phi; a derivative of
    odd degree p times t gives the tangent kernel that degree, too.
    """
    phi = kernel.activation
    if kernel.bias_variance == 0:
        even, odd = (phi.polynomial_part(sign) for sign in (1, -1))
        if kernel.depth == 1:
            return even, odd
        return (-1 if even == -1 else None), (-1 if odd == -1 else None)
    if kernel.depth > 1 or not phi.expression.is_polynomial(X):
        return None, None
    degree = int(sympy.Poly(phi.expression, X).degree())
    return degree, degree


def _orders(kernel: Kernel) -> tuple[int | None, int | None]:
    """The same from the formula."""
    try:
        h: Any = kernel.formula.rhs
    except KernelTheoryError:  # too large to write down
        return None, None
    # asin(-t) is -asin(t) to sympy; acos(-t) stays as it is.
    h = h.replace(sympy.acos, lambda u: sympy.pi / 2 - sympy.asin(u))
    even, odd = (_on_both_sides(h + sign * h.subs(T, -T)) for sign in (1, -1))
    return _order(even), _order(odd)


def _order(part: Any) -> int | None:
    if not part.is_polynomial(T):
        return None
    return int(sympy.Poly(part, T).degree()) if part != 0 else -1


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
