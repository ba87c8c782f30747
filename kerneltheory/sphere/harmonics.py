"""How many spherical harmonics of each degree S^{d-1} carries."""

import math
from typing import overload

import sympy

from kerneltheory.core import check


@overload
def multiplicity(dim: int, degree: int) -> int: ...
@overload
def multiplicity(dim: sympy.Expr, degree: int) -> sympy.Expr: ...
def multiplicity(dim, degree):
    r"""Number of linearly independent spherical harmonics of one degree on S^{d-1}.

    .. math:: N(d, 0) = 1, \qquad N(d, k) = \frac{2k + d - 2}{k} \binom{d + k - 3}{k - 1}

    Args:
        dim: d >= 2, the dimension of the surrounding space; an integer or a sympy expression.
        degree: k >= 0, an integer.

    Returns:
        An exact integer, or for a symbolic `dim` a polynomial in it.

    References:
        Mueller, Spherical Harmonics (1966).

    Examples:
        >>> multiplicity(3, 5), multiplicity(2, 0), multiplicity(24, 3)
        (11, 1, 2576)
        >>> multiplicity(sympy.Symbol("d"), 2)
        d**2/2 + d/2 - 1
    """
    degree = check.integer("degree", degree, minimum=0)
    if isinstance(dim, sympy.Expr) and not dim.is_Integer:
        return _multiplicity_polynomial(dim, degree)
    dim = check.integer("dim", dim, minimum=2)
    if degree == 0:
        return 1
    return (2 * degree + dim - 2) * math.comb(dim + degree - 3, degree - 1) // degree


def _multiplicity_polynomial(dim: sympy.Expr, degree: int) -> sympy.Expr:
    if degree == 0:
        return sympy.Integer(1)
    binomial = sympy.rf(dim - 1, degree - 1) / sympy.factorial(degree - 1)
    return sympy.expand((2 * degree + dim - 2) * binomial / degree)


def cumulative_multiplicity(dim: int, degree: int) -> int:
    r"""Number of spherical harmonics of degree at most k on S^{d-1}: the peak of order k.

    .. math:: N(d, \le k) = \binom{d + k - 1}{k} + \binom{d + k - 2}{k - 1}

    Args:
        dim: d >= 2.
        degree: k >= 0.

    Examples:
        >>> [cumulative_multiplicity(24, k) for k in (1, 2, 3)]
        [25, 324, 2900]
    """
    dim = check.integer("dim", dim, minimum=2)
    degree = check.integer("degree", degree, minimum=0)
    return sum(multiplicity(dim, k) for k in range(degree + 1))
