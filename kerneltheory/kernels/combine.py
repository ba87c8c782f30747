"""Sums, products, positive multiples, powers and compositions of kernels, which are kernels."""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from flint import arb
from jax.tree_util import Partial

from kerneltheory.core import lower
from kerneltheory.core.differentiable import COINCIDENT, rounded_correlation
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.core.formula import Formula
from kerneltheory.kernels.base import MAX_OPERATIONS, Kernel, T
from kerneltheory.kernels.centred import Centred
from kerneltheory.kernels.gram import mirrored

_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "*": operator.mul}
# Rows whose Gram matrix is computed for the sake of its diagonal.
BLOCK = 64


def combine(symbol: str, first: Kernel, second: Any) -> Any:
    """`first + second` or `first * second`; NotImplemented if the second is no kernel or factor.

    Raises:
        ValueError: if a factor is not positive.
    """
    if isinstance(second, Kernel):
        return CombinedKernel(symbol, (first, second))
    if symbol == "+" or isinstance(second, str):
        return NotImplemented
    factor = lower.exact("factor", second)
    if factor <= 0:
        raise ValueError(f"a kernel can be multiplied by positive numbers only, got {factor}")
    if isinstance(first, CombinedKernel):
        return CombinedKernel(first.symbol, first.parts, first.scale * factor)
    return CombinedKernel("*", (first,), factor)


@dataclass(frozen=True, repr=False)
class CombinedKernel(Kernel):
    """A positive multiple of the sum or of the product of kernels; made by `+`, `*` and `**`.

    Attributes:
        symbol: "+" or "*".
        parts: the kernels.
        scale: an exact positive factor.
    """

    symbol: str
    parts: tuple[Kernel, ...]
    scale: Any = 1

    def __repr__(self) -> str:
        body = f" {self.symbol} ".join(map(repr, self.parts))
        body = f"({body})" if len(self.parts) > 1 else body
        return body if self.scale == 1 else f"{self.scale} * {body}"

    @property
    def layers(self) -> int:
        """The largest depth among the parts."""
        return max(part.layers for part in self.parts)

    @property
    def positive_definite(self) -> bool:
        """Whether every part is known to be."""
        return all(part.positive_definite for part in self.parts)

    @property
    def formula(self) -> Formula:
        """The kernel h as an exact Formula in t."""
        rhs = self.scale * functools.reduce(
            _OPERATIONS[self.symbol], (part.formula.rhs for part in self.parts)
        )
        return Formula(repr(self), (T,), rhs, sympy.Abs(T) <= 1)

    @property
    def profile(self) -> Any:
        """The kernel h as a function of arrays."""
        return _combined_profile(self)

    def gram(self, X: Any, Z: Any | None = None) -> Any:
        """Gram matrix: the parts' Gram matrices, combined entry by entry.

        Args:
            X: rows, shape (n, d), as every part accepts them.
            Z: rows, shape (m, d), or None for X.

        Returns:
            Array of shape (n, m).
        """
        grams = (part.gram(X, Z) for part in self.parts)
        return float(self.scale) * functools.reduce(_OPERATIONS[self.symbol], grams)

    def tile_functions(self, X: Any, Z: Any) -> tuple[Partial, Callable[[Any], Any]]:
        """As of every kernel: those of the parts, combined."""
        tiles, diagonals = zip(*(part.tile_functions(X, Z) for part in self.parts), strict=True)
        combined = _combination(self.symbol, float(self.scale))
        return Partial(combined, tiles), lambda rows: combined(diagonals, rows)

    def on_balls(self, cosine: Any) -> Any:
        """Enclosure of h at a real or complex ball, a power series or an array of balls."""
        values = (part.on_balls(cosine) for part in self.parts)
        return lower.to_ball(self.scale) * functools.reduce(_OPERATIONS[self.symbol], values)

    def at_half_angle(self, half: Centred) -> Centred:
        """Enclosure of h(cos 2a) on a complex ball."""
        values = (part.at_half_angle(half) for part in self.parts)
        return functools.reduce(_OPERATIONS[self.symbol], values) * lower.to_ball(self.scale)

    def ball_at_one(self) -> arb:
        """Enclosure of h(1) at flint's current precision."""
        values = (part.ball_at_one() for part in self.parts)
        return lower.to_ball(self.scale) * functools.reduce(_OPERATIONS[self.symbol], values)


@functools.lru_cache(maxsize=256)
def _combination(symbol: str, scale: float) -> Callable[..., Any]:
    """The combination of functions at equal arguments; the same object for equal kernels."""
    return lambda functions, *arguments: (
        scale * functools.reduce(_OPERATIONS[symbol], (part(*arguments) for part in functions))
    )


@functools.lru_cache(maxsize=256)
def _combined_profile(kernel: CombinedKernel) -> Callable[[Any], Any]:
    combined = _combination(kernel.symbol, float(kernel.scale))
    return functools.partial(combined, [part.profile for part in kernel.parts])


@dataclass(frozen=True, repr=False)
class ComposedKernel(Kernel):
    r"""A kernel on the unit feature vectors of another one; made by `compose`.

    .. math:: h(t) = h_{\text{outer}}\bigl(h_{\text{inner}}(t) / h_{\text{inner}}(1)\bigr)

    Attributes:
        outer: the kernel that is applied last, to correlations.
        inner: the kernel that is applied first, to inputs.
    """

    outer: Kernel
    inner: Kernel

    def __repr__(self) -> str:
        return f"{self.outer!r}.compose({self.inner!r})"

    @property
    def layers(self) -> int:
        """Those of both."""
        return self.outer.layers + self.inner.layers

    @property
    def positive_definite(self) -> bool:
        """Whether both are known to be.

        The outer one is then a power series with non-negative coefficients (Schoenberg, 1942), and
        powers and sums of what is positive definite are.
        """
        return self.outer.positive_definite and self.inner.positive_definite

    @property
    def formula(self) -> Formula:
        """The kernel h as an exact Formula in t; refused where it is too large."""
        return _composed_formula(self)

    @property
    def profile(self) -> Any:
        """The kernel h as a function of arrays."""
        return _composed_profile(self)

    def gram(self, X: Any, Z: Any | None = None) -> Any:
        """Gram matrix: the outer kernel at the correlations of the inner one.

        Args:
            X: rows, shape (n, d), as the inner kernel accepts them.
            Z: rows, shape (m, d), or None for X.

        Returns:
            Array of shape (n, m); for Z None symmetric, its diagonal exactly h(1).
        """
        gram = self.inner.gram(X, Z)
        xp = jnp if isinstance(gram, jax.Array) else np
        first = xp.sqrt(xp.diagonal(gram) if Z is None else _diagonal(self.inner, X))
        second = first if Z is None else xp.sqrt(_diagonal(self.inner, Z))
        # Rounding may leave [-1, 1] by more than the outer kernel takes for rounding; and what it
        # cannot tell from one is one, as in `differentiable.rounded_correlation`.
        cosines = xp.clip(gram / (first[:, None] * second), -1, 1)
        near = 1 - cosines < COINCIDENT * xp.finfo(cosines.dtype).eps
        values = self.outer(xp.where(near, xp.ones_like(cosines), cosines))
        return values if Z is not None else mirrored(values, self.trace)

    def on_balls(self, cosine: Any) -> Any:
        """Enclosure of h at a real or complex ball, a power series or an array of balls."""
        return self.outer.on_balls(self.inner.on_balls(cosine) / self.inner.ball_at_one())

    def at_half_angle(self, half: Centred) -> Centred:
        """Enclosure of h(cos 2a) on a complex ball."""
        return self.outer.at_half_angle(self.inner.half_angle_after(half))

    def half_angle_after(self, half: Centred) -> Centred:
        """The half angle between feature vectors, from that between inputs."""
        return self.outer.half_angle_after(self.inner.half_angle_after(half))

    def ball_at_one(self) -> arb:
        """Enclosure of h(1), which is that of the outer kernel."""
        return self.outer.ball_at_one()


@functools.lru_cache(maxsize=256)
def _composed_formula(kernel: ComposedKernel) -> Formula:
    outer: Any = kernel.outer.formula.rhs
    inner: Any = kernel.inner.formula.rhs
    correlation = sympy.expand(inner / inner.subs(T, 1))
    operations = sympy.count_ops(outer) + outer.count(T) * sympy.count_ops(correlation)
    if operations > MAX_OPERATIONS:
        raise KernelTheoryError(
            f"the formula of {kernel} has about {operations} operations, more than "
            f"{MAX_OPERATIONS}; call the kernel instead, which composes numbers"
        )
    return Formula(repr(kernel), (T,), outer.subs(T, correlation), sympy.Abs(T) <= 1)


@functools.lru_cache(maxsize=256)
def _composed_profile(kernel: ComposedKernel) -> Callable[[Any], Any]:
    outer, inner, at_one = kernel.outer.profile, kernel.inner.profile, kernel.inner.trace

    def profile(t: Any) -> Any:
        return outer(rounded_correlation(inner(t) / at_one))

    return profile


def _diagonal(kernel: Kernel, rows: Any) -> Any:
    """k(x, x) of every row, from small blocks of the Gram matrix."""
    xp = jnp if isinstance(rows, jax.Array) else np
    rows = rows if isinstance(rows, jax.Array) else np.asarray(rows)
    blocks = (kernel.gram(rows[i : i + BLOCK]) for i in range(0, rows.shape[0], BLOCK))
    return xp.concatenate([xp.diagonal(block) for block in blocks])
