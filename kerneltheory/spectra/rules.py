"""Sums of h P_k over the nodes of a rule in the angle, for every degree at once.

The values of h do not depend on the degree and the dimension, nor the nodes and P_k on the kernel;
both are kept.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flint import arb, arb_mat, ctx

from kerneltheory.core import lower
from kerneltheory.kernels.base import Kernel
from kerneltheory.sphere.polynomials import recurrence_steps, run_recurrence

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
    halves, rows = _values(kernel, rule), _projection(dim, max_degree, rule)
    with ctx.workprec(rule.bits):
        sums = [(row * half).entries() for row, half in zip(rows, halves, strict=True)]
        return [arb(sums[k % 2][k // 2]) for k in range(max_degree + 1)]


@functools.lru_cache(maxsize=8)
def _nodes(rule: Rule) -> Nodes:
    with ctx.workprec(rule.bits):
        return rule.make(*rule.parameters, rule.bits)


@functools.lru_cache(maxsize=64)
def _values(kernel: Kernel, rule: Rule) -> tuple[arb_mat, arb_mat]:
    """h(t) + h(-t) and h(t) - h(-t) at the nodes, as columns."""
    with ctx.workprec(rule.bits):
        cosines = [cosine for cosine, _, _ in rule.nodes]
        pairs = [(arb(kernel.on_balls(c)), arb(kernel.on_balls(-c))) for c in cosines]
        even, odd = ([here + sign * there for here, there in pairs] for sign in (1, -1))
        return arb_mat(len(pairs), 1, even), arb_mat(len(pairs), 1, odd)


@functools.lru_cache(maxsize=8)
def _projection(dim: int, max_degree: int, rule: Rule) -> tuple[arb_mat, arb_mat]:
    """Weight times density times P_k at each node, for the even and for the odd degrees."""
    with ctx.workprec(rule.bits):
        steps = recurrence_steps(dim, max_degree, lower.to_ball)
        constant = density_constant(dim)
        columns = [
            run_recurrence(cosine, constant * weight * sine ** (dim - 2), steps)
            for cosine, sine, weight in rule.nodes
        ]
        rows = list(zip(*columns, strict=True))
        return arb_mat(rows[0::2]), arb_mat(rows[1::2] or [[arb(0)] * len(rows[0])])
