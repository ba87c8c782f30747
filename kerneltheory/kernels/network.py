"""What a network's kernel computes with: its formula, its array functions, its interpolants.

All are kept in caches, not in the kernel, which stays a small record: equal kernels share them.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from flint import arb, ctx
from jax.tree_util import Partial

from kerneltheory.activations.duals import dual_class
from kerneltheory.core import lower
from kerneltheory.core.differentiable import ROUNDING
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.core.formula import Formula
from kerneltheory.kernels import recursion
from kerneltheory.kernels.base import BITS_PER_LAYER, MAX_OPERATIONS, T
from kerneltheory.kernels.gram import (
    first_variance,
    interpolated_tile,
    preactivations,
    separated_diagonal,
    separated_tile,
)
from kerneltheory.kernels.interpolant import Interpolant, interpolate
from kerneltheory.kernels.maps import is_series, numeric_maps, symbolic_maps, terms_for
from kerneltheory.kernels.recursion import LayerMaps
from kerneltheory.kernels.separated import Separated, separate

if TYPE_CHECKING:
    from kerneltheory.kernels.kernel import NetworkKernel

# Entries from which a Gram matrix pays for building an interpolant, which takes as long as the
# recursion at about a million entries. That of rows of norm 1 or sqrt(dim) will be used again; one
# of another norm perhaps never.
ENTRIES, ENTRIES_OF_OTHER_NORM = 2**18, 2**21
# Of rows of any norm the variances are rounded outwards to this part of a power of two, so that
# other rows of the same scale are served by the same sum of products.
STEPS = 4


@functools.lru_cache(maxsize=256)
def network_formula(kernel: "NetworkKernel") -> Formula:
    """The kernel h as an exact Formula in t; refused where the depth makes it too large."""
    w, b = kernel.weight_variance, kernel.bias_variance
    q = w + b

    def bounded_repeat(count: int, step: Callable[[Any], Any], state: Any) -> Any:
        """Stop after the first layer that is too large: each multiplies the size."""
        for layer in range(1, count + 1):
            state = step(state)
            operations = max(sympy.count_ops(part) for part in state if part is not None)
            if operations > MAX_OPERATIONS:
                raise KernelTheoryError(
                    f"the formula of {kernel} has {operations} operations at layer {layer}, more "
                    f"than {MAX_OPERATIONS}; call the kernel instead, which runs the recursion"
                )
        return state

    rhs = recursion.covariances(
        dataclasses.replace(symbolic_maps(kernel.activation), repeat=bounded_repeat),
        kernel.depth,
        w,
        b,
        (q, q),
        (w * T + b) / q,
        kernel.tangent,
    )
    expanded = sympy.expand(rhs)
    rhs = expanded if sympy.count_ops(expanded) <= MAX_OPERATIONS else rhs
    return Formula(repr(kernel), (T,), rhs, sympy.Abs(T) <= 1, "arXiv:1806.07572")


@functools.lru_cache(maxsize=256)
def network_functions(kernel: "NetworkKernel", terms: int) -> tuple[Any, Partial, Any]:
    """The profile in t, the jitted tile and the diagonal, as functions of arrays.

    Args:
        kernel: the kernel.
        terms: how many terms are summed where the dual of its activation is a series.
    """
    maps = numeric_maps(kernel.activation, terms)
    depth, tangent = kernel.depth, kernel.tangent
    w, b = float(kernel.weight_variance), float(kernel.bias_variance)

    @jax.jit
    def tile(X: Any, Z: Any) -> Any:
        q1, q2, start = preactivations(w, b, X, Z)
        if kernel.activation.homogeneous:
            return recursion.from_gap(maps, depth, w, b, (q1, q2), 1 - start, tangent)
        return recursion.covariances(maps, depth, w, b, (q1, q2), start, tangent)

    @jax.jit
    def diagonal(X: Any) -> Any:
        return recursion.diagonal(maps, depth, w, b, first_variance(w, b, X), tangent)

    return functools.partial(_profile, kernel, maps, 1.0), Partial(tile), diagonal


def _profile(kernel: "NetworkKernel", maps: LayerMaps, mean_square: float, t: Any) -> Any:
    """The kernel at cosines of inputs with |x|^2/dim = mean_square, by the recursion."""
    w, b = float(kernel.weight_variance), float(kernel.bias_variance)
    q = float(kernel.weight_variance * sympy.Rational(mean_square) + kernel.bias_variance)
    gap = (w * mean_square / q) * (1 - t)
    same = jnp.asarray(q, gap.dtype)
    return recursion.from_gap(maps, kernel.depth, w, b, (same, same), gap, kernel.tangent)


@functools.lru_cache(maxsize=256)
def homogeneous_profile(kernel: "NetworkKernel") -> Callable[[Any], Any]:
    """h(t)/h(1) as a function of arrays, by the recursion in units of each layer's variance."""
    maps = numeric_maps(kernel.activation)
    w, b = kernel.weight_variance, kernel.bias_variance
    weight, share, relative_bias = float(w), float(w / (w + b)), float(b / (w + b))

    def profile(t: Any) -> Any:
        one = jnp.ones((), t.dtype)
        return recursion.correlations(
            maps,
            kernel.depth,
            weight,
            jnp.asarray(relative_bias, t.dtype),
            one,
            share * (1 - t),
            kernel.tangent,
        )

    return profile


# --- rows of one norm -------------------------------------------------------------------------


def sphere_functions(
    kernel: "NetworkKernel", X: np.ndarray, Z: np.ndarray
) -> tuple[Partial, Any] | None:
    """The tile of a Gram matrix by an interpolant in the cosine, and its constant diagonal.

    The cost does not change with the depth. None where the recursion has to be run: for rows of
    different norms, for matrices too small to pay for an interpolant, for kernels without one.
    """
    if X.shape[0] * Z.shape[0] < ENTRIES:
        return None
    mean_square = _common_mean_square(X, Z)
    found = None if mean_square is None else network_interpolant(kernel, mean_square)
    if found is None:
        return None
    tile = Partial(interpolated_tile, found.coefficients, found.bend, found.at_one)
    return tile, lambda block: np.full(block.shape[0], found.at_one)


def _common_mean_square(rows: np.ndarray, columns: np.ndarray) -> float | None:
    """|x|^2/dim of all rows, rounded to a usual value; None if they differ beyond rounding."""
    squares = np.concatenate([np.mean(block * block, axis=1) for block in (rows, columns)])
    candidates = [1.0, 1 / rows.shape[1]]
    if rows.shape[0] * columns.shape[0] >= ENTRIES_OF_OTHER_NORM:
        candidates.append(float(np.mean(squares)))
    for common in candidates:
        # Rows of zeros have no cosine.
        close = np.abs(squares - common).max() <= ROUNDING * np.finfo(float).eps * common
        if close and common > np.finfo(float).tiny:
            return common
    return None


@functools.lru_cache(maxsize=64)
def network_interpolant(kernel: "NetworkKernel", mean_square: float) -> Interpolant | None:
    """The interpolant of a kernel for inputs of one norm, or None where it has none."""
    with ctx.workdps(40):
        at_one = kernel.ball_at_one(mean_square)
    if is_series(kernel.activation):
        return interpolate(_by_recursion(kernel, mean_square), at_one, 128)
    on_balls = functools.partial(kernel.on_balls, mean_square=mean_square)
    return interpolate(on_balls, at_one, 200 + BITS_PER_LAYER * kernel.depth)


def _by_recursion(kernel: "NetworkKernel", mean_square: float) -> Callable[[arb], arb]:
    """The kernel of a series, whose balls take long: its slope is finite, so floats serve."""
    w, b = float(kernel.weight_variance), float(kernel.bias_variance)
    terms, _ = terms_for(kernel.activation, kernel.depth, w, b, w * mean_square + b)
    maps = numeric_maps(kernel.activation, terms)
    profile = jax.jit(functools.partial(_profile, kernel, maps, mean_square))

    def value(cosine: arb) -> arb:
        with jax.enable_x64(True):
            return arb(float(profile(jnp.asarray(lower.to_float(cosine)))))

    return value


# --- rows of any norm -------------------------------------------------------------------------


def separated_functions(
    kernel: "NetworkKernel", X: np.ndarray, Z: np.ndarray
) -> tuple[Any, Any] | None:
    """The tile and the diagonal of a Gram matrix by a sum of products, for rows of any norm.

    None where the recursion has to be run: for matrices too small to pay for finding that sum,
    where layers are formulas, which cost as little, and for kernels without a short sum.
    """
    if X.shape[0] * Z.shape[0] < ENTRIES or dual_class(kernel.activation).name == "elementary":
        return None
    w, b = float(kernel.weight_variance), float(kernel.bias_variance)
    squares = np.concatenate([np.mean(rows * rows, axis=1) for rows in (X, Z)])
    with np.errstate(divide="ignore", over="ignore"):
        steps = STEPS * np.log2([w * squares.min() + b, w * squares.max() + b])
    if not np.isfinite(steps).all():
        return None
    low, high = math.floor(steps[0]) / STEPS, (math.floor(steps[1]) + 1) / STEPS
    found = network_separated(kernel, 2.0**low, 2.0**high)
    if found is None:
        return None
    return (
        functools.partial(separated_tile, found.ranks, found.parts, w, b),
        functools.partial(separated_diagonal, found.parts, w, b),
    )


@functools.lru_cache(maxsize=64)
def network_separated(kernel: "NetworkKernel", low: float, high: float) -> Separated | None:
    """The sum of products of a kernel for first preactivations of variances in a range."""
    depth, tangent, phi = kernel.depth, kernel.tangent, kernel.activation
    w, b = float(kernel.weight_variance), float(kernel.bias_variance)
    maps = numeric_maps(phi, terms_for(phi, depth, w, b, high)[0])
    if maps.drop is not None:  # T' has a root's branch point where rows meet, in q as in c
        return None

    @jax.jit
    def pair(q1: Any, q2: Any, c: Any) -> Any:
        return recursion.covariances(maps, depth, w, b, (q1, q2), c, tangent)

    @jax.jit
    def diagonal(q: Any) -> Any:
        return recursion.diagonal(maps, depth, w, b, q, tangent)

    def on_arrays(function: Callable[..., Any], *arguments: np.ndarray) -> np.ndarray:
        *variances, last = arguments
        last = np.broadcast_to(last, np.broadcast_shapes(*(a.shape for a in arguments)))
        with jax.enable_x64(True):
            return np.asarray(function(*map(jnp.asarray, (*variances, last))))

    return separate(
        functools.partial(on_arrays, pair), functools.partial(on_arrays, diagonal), low, high
    )
