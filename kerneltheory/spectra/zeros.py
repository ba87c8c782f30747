"""Degrees whose eigenvalues are zero, by proof: a ball that contains zero proves nothing."""

from typing import Any

import sympy

from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.kernels.base import Kernel, T
from kerneltheory.kernels.kernel import NetworkKernel


def proved_zeros(kernel: Kernel, dim: int, max_degree: int) -> set[int]:
    """Degrees whose eigenvalue is zero, by proof.

    If h(t) - h(-t) is a polynomial of degree p, all odd degrees above p vanish (bias-free relu
    with one hidden layer); likewise for even ones. An odd activation without bias makes an odd
    kernel, layer by layer. A polynomial's eigenvalues are rational numbers.
    """
    zeros: set[int] = set()
    if isinstance(kernel, NetworkKernel) and kernel.depth > 1:
        if kernel.bias_variance == 0 and kernel.activation.parity:
            wrong = 1 if kernel.activation.parity == 1 else 0
            zeros = set(range(wrong, max_degree + 1, 2))
        return zeros
    try:
        h: Any = kernel.formula.rhs
    except KernelTheoryError:  # too large to write down
        return zeros
    # asin(-t) is -asin(t) to sympy; acos(-t) stays as it is.
    h = h.replace(sympy.acos, lambda u: sympy.pi / 2 - sympy.asin(u))
    for parity, sign in ((0, 1), (1, -1)):
        part = sympy.expand(h + sign * h.subs(T, -T))
        if part.is_polynomial(T):
            order = sympy.Poly(part, T).degree() if part != 0 else -1
            zeros |= {k for k in range(max_degree + 1) if k % 2 == parity and k > order}
    if h.is_polynomial(T):
        zeros |= {k for k in range(max_degree + 1) if _polynomial_eigenvalue(h, dim, k) == 0}
    return zeros


def _polynomial_eigenvalue(h: Any, dim: int, degree: int) -> Any:
    r"""The terminating series, exactly.

    .. math:: \lambda_k = \sum_j \frac{a_{k+2j}\,(k + 2j)!}{2^{k+2j}\,j!\,(d/2)_{k+j}}
    """
    half = sympy.Rational(dim, 2)
    total: Any = sympy.Integer(0)
    for (power,), coefficient in sympy.Poly(h, T).terms():
        j, odd = divmod(power - degree, 2)
        if j >= 0 and not odd:
            weight = sympy.factorial(power) / (2**power * sympy.factorial(j))
            total += coefficient * weight / sympy.rf(half, degree + j)
    return sympy.expand(total)
