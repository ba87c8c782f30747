r"""Sums of h P_k over the nodes of a rule in the angle, for every degree at once.

With :math:`\alpha = d/2 - 1` each P_k is a convex combination of cosines (Szego, Orthogonal
Polynomials, 4.9.19), in which nothing cancels:

.. math:: P_k(\cos\theta) = \frac{k!}{(2\alpha)_k} \sum_{j=0}^k
          \frac{(\alpha)_j\,(\alpha)_{k-j}}{j!\,(k-j)!} \cos((k - 2j)\,\theta),
          \qquad d = 2: \cos k\theta

So sums of h with cos(m theta) serve all degrees. The values of h do not depend on the degree and
the dimension, nor the nodes and cosines on the kernel and the dimension; they are kept.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx, fmpz, fmpz_mat

from kerneltheory.core.enclose import plus_minus
from kerneltheory.kernels.base import Kernel

# Cosine, sine and weight of each node.
Nodes = tuple[tuple[arb, arb, arb], ...]


@dataclass(frozen=True)
class Rule:
    """A quadrature rule on (0, pi), symmetric about pi/2.

    Attributes:
        make: makes the nodes in (0, pi/2) from the parameters and a binary precision.
        parameters: which rule of its kind.
        bits: the precision of nodes and values.
    """

    make: Callable[..., Nodes]
    parameters: tuple[Any, ...]
    bits: int

    @property
    def nodes(self) -> Nodes:
        """Those in (0, pi/2)."""
        return _nodes(self)


def density_constant(dim: int) -> arb:
    """Gamma(d/2) / (sqrt(pi) Gamma((d-1)/2)), which the density of the angle starts with."""
    half = arb(dim) / 2
    return (half.lgamma() - (half - arb(1) / 2).lgamma()).exp() / arb.pi().sqrt()


def rule_sums(rule: Rule, kernel: Kernel, dim: int, max_degree: int) -> list[arb]:
    """What the rule makes of the eigenvalues of degrees 0..max_degree."""
    with ctx.workprec(rule.bits):
        constant = density_constant(dim)
        weights = [constant * weight * sine ** (dim - 2) for _, sine, weight in rule.nodes]
        halves = zip(_values(kernel, rule), _cosines(rule, max_degree), strict=False)
        moments = [_moments(weights, values, cosines) for values, cosines in halves]
        if dim == 2:
            return [moments[k % 2][k // 2] for k in range(max_degree + 1)]
        combinations = _combinations(dim, max_degree, rule.bits)
        sums = [
            (rows * arb_mat(len(column), 1, column)).entries()
            for rows, column in zip(combinations, moments, strict=True)
        ]
        return [arb(sums[k % 2][k // 2]) for k in range(max_degree + 1)]


@dataclass(frozen=True)
class _Cosines:
    """cos(m theta) at the nodes, for m of one parity: integers over 2^bits, and error bounds."""

    matrix: arb_mat
    errors: tuple[arb, ...]


def _moments(weights: list[arb], values: list[arb], cosines: _Cosines) -> list[arb]:
    """Sums over the nodes of the values with each cos(m theta)."""
    column = [weight * value for weight, value in zip(weights, values, strict=True)]
    size = sum((abs(entry) for entry in column), arb(0))
    sums = (cosines.matrix * arb_mat(len(column), 1, column)).entries()
    unit = arb(2) ** -ctx.prec
    return [
        unit * entry + plus_minus(error * size)
        for entry, error in zip(sums, cosines.errors, strict=True)
    ]


@functools.lru_cache(maxsize=8)
def _nodes(rule: Rule) -> Nodes:
    with ctx.workprec(rule.bits):
        return rule.make(*rule.parameters, rule.bits)


@functools.lru_cache(maxsize=64)
def _values(kernel: Kernel, rule: Rule) -> tuple[list[arb], list[arb]]:
    """h(t) + h(-t) and h(t) - h(-t) at the nodes."""
    with ctx.workprec(rule.bits):
        cosines = [cosine for cosine, _, _ in rule.nodes]
        pairs = [(arb(kernel.on_balls(c)), arb(kernel.on_balls(-c))) for c in cosines]
        even, odd = ([here + sign * there for here, there in pairs] for sign in (1, -1))
        return even, odd


@functools.lru_cache(maxsize=8)
def _cosines(rule: Rule, max_degree: int) -> tuple[_Cosines, ...]:
    """cos(m theta) = T_m(t) at the nodes, for even and odd m up to a degree, in fixed point.

    There are no odd ones if that is zero.

    Balls would grow by a bit a step. Here T_{m+1} = 2 t T_m - T_{m-1} rounds by less than one unit
    u = 2^-bits; what is off by e at one step is off by |U_i| e <= (i + 1) e after i more, which
    adds up to less than m^2 u. A node that is off by e moves T_m by at most m^2 e (Markov).
    """
    bits = rule.bits
    with ctx.workprec(bits):
        unit = arb(2) ** -bits
        off = unit + max((cosine.rad() for cosine, _, _ in rule.nodes), key=float)
        nodes = np.array([_fixed_point(cosine, bits) for cosine, _, _ in rule.nodes], object)
        rows = [np.full(len(nodes), fmpz(2) ** bits, object), nodes]
        for _ in range(max_degree - 1):
            rows.append((nodes * rows[-1] >> (bits - 1)) - rows[-2])
        return tuple(
            _Cosines(
                arb_mat(fmpz_mat([list(row) for row in rows[parity : max_degree + 1 : 2]])),
                tuple(m * m * (off + unit) for m in range(parity, max_degree + 1, 2)),
            )
            for parity in range(min(max_degree, 1) + 1)
        )


def _fixed_point(ball: arb, bits: int) -> fmpz:
    """The midpoint of a ball in [-1, 1], in units of 2^-bits, rounded."""
    mantissa, exponent = ball.mid().man_exp()
    shift = int(exponent) + bits
    return min(mantissa << shift if shift >= 0 else mantissa >> -shift, fmpz(2) ** bits)


@functools.lru_cache(maxsize=8)
def _combinations(dim: int, max_degree: int, bits: int) -> tuple[arb_mat, ...]:
    """P_k as combinations of cos(m theta), m = k, k - 2, ..., for even and for odd k."""
    with ctx.workprec(bits):
        alpha = arb(dim - 2) / 2
        ratios = [arb(1)]
        size = [arb(1)]
        for j in range(max_degree):
            ratios.append(ratios[-1] * (alpha + j) / (j + 1))
            size.append(size[-1] * (dim - 2 + j) / (j + 1))
        rows: tuple[list[list[arb]], list[list[arb]]] = ([], [])
        for k in range(max_degree + 1):
            width = (max_degree - k % 2) // 2 + 1
            row = [arb(0)] * width
            for m in range(k % 2, k + 1, 2):
                twice = 2 if m else 1
                row[m // 2] = twice * ratios[(k - m) // 2] * ratios[(k + m) // 2] / size[k]
            rows[k % 2].append(row)
        return tuple(arb_mat(part) for part in rows if part)
