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
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

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
        halves = [np.array(weights, object) * values for values in _values(kernel, rule)]
        moments = _moments(halves, *_cosines(rule, max_degree), max_degree)
        if dim == 2:
            return moments
        sums = [
            (rows * arb_mat(rows.ncols(), 1, moments[parity::2])).entries()
            for parity, rows in enumerate(_combinations(dim, max_degree, rule.bits))
        ]
        return [arb(sums[k % 2][k // 2]) for k in range(max_degree + 1)]


def _moments(
    halves: list[np.ndarray], near: list[np.ndarray], far: arb_mat, max_degree: int
) -> list[arb]:
    r"""Sums over the nodes with cos(m theta), m <= max_degree, of what is even or odd as m is.

    With :math:`2 \cos a\theta \cos b\theta = \cos (b + a)\theta + \cos (b - a)\theta` all are
    found from those with few cosines for small a times few others for large b.
    """
    width = len(near)
    rows = [list(row * halves[a % 2]) for a, row in enumerate(near)]
    products = arb_mat(rows) * far
    moments: list[arb] = []
    for m in range(max_degree + 1):
        g, a = divmod(m, width)
        product = arb(products[a, g])
        moments.append(2 * product - moments[g * width - a] if a and g else product)
    return moments


@functools.lru_cache(maxsize=8)
def _nodes(rule: Rule) -> Nodes:
    with ctx.workprec(rule.bits):
        return rule.make(*rule.parameters, rule.bits)


def _node_cosines(rule: Rule) -> np.ndarray:
    return np.array([cosine for cosine, _, _ in rule.nodes], object)


@functools.lru_cache(maxsize=64)
def _values(kernel: Kernel, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """h(t) + h(-t) and h(t) - h(-t) at the nodes."""
    with ctx.workprec(rule.bits):
        cosines = _node_cosines(rule)
        here, there = (kernel.on_balls(t) + cosines * 0 for t in (cosines, -cosines))
        return here + there, here - there


@functools.lru_cache(maxsize=8)
def _cosines(rule: Rule, max_degree: int) -> tuple[list[np.ndarray], arb_mat]:
    """At the nodes, cos(a theta) for a below an even s, and cos(s g theta) up to the degree."""
    width = 2 * math.ceil(math.sqrt(max_degree + 1) / 2)
    with ctx.workprec(rule.bits):
        near = _multiples(_node_cosines(rule), width)
        far = _multiples(near[width], max_degree // width)
        return near[:width], arb_mat([list(row) for row in far]).transpose()


def _multiples(cosine: np.ndarray, count: int) -> list[np.ndarray]:
    """cos(m theta), m = 0..count, from cos(theta).

    By halves, so that balls grow like m^2; in the recurrence they would grow by a bit a step.
    """
    rows = [cosine * 0 + 1, cosine]
    for m in range(2, count + 1):
        rows.append(2 * rows[m // 2] * rows[m - m // 2] - rows[m % 2])
    return rows[: count + 1]


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
