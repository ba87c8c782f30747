"""Gram matrices as array code: one jitted tile, and a loop that fills the matrix with it."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.differentiable import COINCIDENT, replace_value, rounded_correlation
from kerneltheory.core.precision import float64_policy

# Rows of a tile: its arrays stay in the caches of a core.
TILE = 512
# Of a sum of products, how many one compiled loop takes: twice as many are not compiled as one.
PRODUCTS = 192

# How many products each even coefficient of a `separated.Separated` has, and each odd one.
Ranks = tuple[tuple[int, ...], tuple[int, ...]]


@float64_policy
def elementwise(profile: Callable[[Any], Any], at_one: float, cosines: Any) -> Any:
    """A kernel's profile at every cosine, with its exact value where the cosine is one."""
    return _elementwise(profile, at_one, jnp.asarray(cosines, dtype=jnp.result_type(float)))


@functools.partial(jax.jit, static_argnums=0)
def _elementwise(profile: Callable[[Any], Any], at_one: float, cosines: Any) -> Any:
    values = profile(cosines)
    return replace_value(values, jnp.where(cosines == 1, jnp.asarray(at_one, values.dtype), values))


def gram_matrix(
    tile: Callable[[Any, Any], Any], diagonal: Callable[[Any], Any], X: Any, Z: Any | None
) -> Any:
    """Fill a Gram matrix from tiles.

    Args:
        tile: jitted function of two blocks of rows, giving their block of the matrix.
        diagonal: function of a block of rows, giving k(x, x) exactly.
        X: rows, shape (n, dim).
        Z: other rows, shape (m, dim), or None for X: then one triangle is computed and mirrored.

    Returns:
        Array of shape (n, m): numpy float64 for numpy input, else a jax array of X's dtype.
    """
    traced = isinstance(X, jax.Array) or isinstance(Z, jax.Array)
    rows = _rows("X", X)
    columns = None if Z is None else _rows("Z", Z)
    if columns is not None and columns.shape[1] != rows.shape[1]:
        raise ValueError(f"Z must have {rows.shape[1]} columns as X has, got shape {columns.shape}")
    if traced:
        return _traced_gram(tile, diagonal, rows, columns)
    with jax.enable_x64(True):
        return _filled(tile, diagonal, rows, columns)


def _rows(name: str, rows: Any) -> Any:
    """A matrix; only that of a jax array can be known while it is traced."""
    if not isinstance(rows, jax.Array):
        return check.finite(name, rows, ndim=2)
    if rows.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions, got shape {rows.shape}")
    return rows


def _traced_gram(tile: Callable, diagonal: Callable, X: Any, Z: Any | None) -> Any:
    if Z is not None:
        return tile(jnp.asarray(X), jnp.asarray(Z))
    return mirrored(tile(X, X), diagonal(X))


def mirrored(values: Any, diagonal: Any) -> Any:
    """The lower triangle copied up, with another diagonal; numpy or jax as the values are."""
    if not isinstance(values, jax.Array):
        triangle = np.tril(values, -1)
        result = triangle + triangle.T
        np.fill_diagonal(result, diagonal)
        return result
    triangle = jnp.tril(values, -1)
    index = jnp.arange(values.shape[0])
    return (triangle + triangle.T).at[index, index].set(diagonal)


def _filled(tile: Callable, diagonal: Callable, X: np.ndarray, Z: np.ndarray | None) -> np.ndarray:
    columns = X if Z is None else Z
    gram = np.empty((X.shape[0], columns.shape[0]))
    height, width = _tile_size(X.shape[0]), _tile_size(columns.shape[0])
    blocks = (
        (i, j, tile(_block(X, i, height), _block(columns, j, width)))
        for i in range(0, X.shape[0], height)
        for j in range(i if Z is None else 0, columns.shape[0], width)
    )
    for i, j, block in _one_ahead(blocks):
        target = gram[i : i + height, j : j + width]
        target[...] = np.asarray(block)[: target.shape[0], : target.shape[1]]
        if Z is None and j > i:
            gram[j : j + width, i : i + height] = target.T
        elif Z is None:
            _symmetrise(target)
    if Z is None:
        np.fill_diagonal(gram, np.asarray(diagonal(jnp.asarray(X))))
    return gram


def _one_ahead(items: Iterator[Any]) -> Iterator[Any]:
    """The same items, each asked for early: jax computes a block while numpy copies another."""
    waiting = next(items, None)
    for item in items:
        yield waiting
        waiting = item
    if waiting is not None:
        yield waiting


def _tile_size(count: int) -> int:
    """Tiles of one size, so that one compilation serves, with hardly a row to spare."""
    return max(1, -(-count // max(1, -(-count // TILE))))


def _block(rows: np.ndarray, start: int, size: int) -> Any:
    """Rows from `start` on; beyond the end the last one again, which is dropped afterwards."""
    return jnp.asarray(rows.take(np.arange(start, start + size), axis=0, mode="clip"))


def _symmetrise(block: np.ndarray) -> None:
    """Copy the lower triangle up: a product X X' is not symmetric to the last bit everywhere."""
    for i in range(block.shape[0] - 1):
        block[i, i + 1 :] = block[i + 1 :, i]


# --- rows of one norm -------------------------------------------------------------------------


@jax.jit
def interpolated_tile(coefficients: Any, bend: Any, at_one: Any, X: Any, Z: Any) -> Any:
    """A block of the Gram matrix of a kernel on the sphere, from the interpolant of the kernel."""
    norms, others = (jnp.sqrt(jnp.sum(rows * rows, axis=1)) for rows in (X, Z))
    cosines = (X @ Z.T) / (norms[:, None] * others[None, :])
    return interpolated(coefficients, bend, at_one, cosines)


@jax.jit
def interpolated(coefficients: Any, bend: Any, at_one: Any, cosines: Any) -> Any:
    """The two series of `interpolant.Interpolant` at every cosine."""
    cosines = jnp.clip(cosines, -1, 1)
    chord = jnp.sqrt(1 - jnp.abs(cosines))
    x = 2 * (1 + bend) * chord / (1 + bend * chord) - 1
    values = chebyshev_sum([jnp.where(cosines >= 0, *pair) for pair in coefficients.T], x)
    # What rounding cannot tell from one is one, as in `differentiable.rounded_correlation`.
    return jnp.where(1 - cosines < COINCIDENT * jnp.finfo(cosines.dtype).eps, at_one, values)


def chebyshev_sum(coefficients: Sequence[Any], x: Any) -> Any:
    r"""The sum of c_k T_k(x) by Clenshaw's recurrence.

    With z = T_2(x) the polynomials of even and those of odd degree have one recurrence each,
    :math:`T_{k+2} = 2 z T_k - T_{k-2}`: two chains of half the length, which a processor runs at
    the same time.
    """
    return _chain(coefficients[::2], 0, x) + _chain(coefficients[1::2], 1, x)


def _chain(coefficients: Sequence[Any], degree: int, x: Any) -> Any:
    """The sum of c_j T_{degree + 2 j}(x): b_0 T_degree - b_1 T_{degree - 2}."""
    z = 2 * x * x - 1
    this = last = jnp.zeros_like(x)
    for coefficient in reversed(coefficients):
        this, last = coefficient + (2 * z * this - last), this
    before, polynomial = (x, x) if degree % 2 else (z, jnp.ones_like(x))
    for _ in range(degree // 2):
        before, polynomial = polynomial, 2 * z * polynomial - before
    return this * polynomial - last * before


# --- rows of any norm -------------------------------------------------------------------------


def first_variance(w: Any, b: Any, rows: Any) -> Any:
    """q of the first preactivation of every row."""
    return w * jnp.sum(rows * rows, axis=1) / rows.shape[1] + b


def preactivations(w: Any, b: Any, X: Any, Z: Any) -> tuple[Any, Any, Any]:
    """(q1, q2, c) of the first preactivation of every pair of rows, q1 a column and q2 a row."""
    q1, q2 = first_variance(w, b, X)[:, None], first_variance(w, b, Z)[None, :]
    covariance = w * (X @ Z.T) / X.shape[1] + b
    return q1, q2, rounded_correlation(covariance / (jnp.sqrt(q1) * jnp.sqrt(q2)))


def separated_tile(ranks: Ranks, parts: Any, w: Any, b: Any, X: Any, Z: Any) -> Any:
    """A block of the Gram matrix of a network's kernel, from its `separated.Separated`."""
    return _separated(ranks, parts, *_first(w, b, X, Z))


_first = jax.jit(preactivations)


@jax.jit
def separated_diagonal(parts: Any, w: Any, b: Any, X: Any) -> Any:
    """Its diagonal, where the correlation is exactly one."""
    return _on_diagonal(parts, first_variance(w, b, X))


def _separated(ranks: Ranks, parts: Any, q1: Any, q2: Any, c: Any) -> Any:
    """The sum of products at every pair of a column q1 and a row q2.

    Several compiled calls: a loop of more products is slower by far more than their number.
    """
    left, right = _both_factors(parts, q1, q2)
    total, start = jnp.zeros_like(c), 0
    for parity in (0, 1):
        degree = parity
        for stretch in _stretches(ranks[parity]):
            total = _add_products(stretch, degree, start, left, right, total, c)
            degree, start = degree + 2 * len(stretch), start + sum(stretch)
    return total


def _stretches(ranks: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Stretches of coefficients, none of many products."""
    start = 0
    while start < len(ranks):
        end = start + 1
        while end < len(ranks) and sum(ranks[start : end + 1]) <= PRODUCTS:
            end += 1
        yield ranks[start:end]
        start = end


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _add_products(
    ranks: tuple[int, ...], degree: int, start: int, left: Any, right: Any, total: Any, x: Any
) -> Any:
    """The total and those of its terms that have T_degree(x), T_{degree + 2}(x), ..."""
    ends = np.cumsum((start, *ranks)).tolist()
    # A sum of its own for every coefficient: in one chain each product would wait for the last.
    sums = [
        sum((left[r] * right[r] for r in range(*both)), jnp.zeros((), x.dtype))
        for both in itertools.pairwise(ends)
    ]
    return total + _chain(sums, degree, x)


@jax.jit
def _both_factors(parts: Any, q1: Any, q2: Any) -> tuple[Any, Any]:
    """The functions u of rows of variances q, times the root of d; those of q1 with the signs."""
    left, right = (
        jnp.tensordot(parts[0].T, _in_log(parts, q), axes=1) * jnp.sqrt(_on_diagonal(parts, q))
        for q in (q1, q2)
    )
    return left * parts[1][:, None, None], right


def _on_diagonal(parts: Any, q: Any) -> Any:
    """d(q) of `separated.Separated`."""
    return jnp.exp(jnp.tensordot(parts[2], _in_log(parts, q), axes=1))


def _in_log(parts: Any, q: Any) -> Any:
    """Chebyshev's polynomials in log q; their number is the first axis."""
    low, high = (jnp.log(end) for end in parts[3])
    x = (2 * jnp.log(q) - low - high) / (high - low)

    def step(state: tuple[Any, Any], _: Any) -> tuple[tuple[Any, Any], Any]:
        this, following = state
        return (following, 2 * x * following - this), this

    return jax.lax.scan(step, (jnp.ones_like(x), x), length=parts[0].shape[0])[1]
