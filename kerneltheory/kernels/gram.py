"""Gram matrices as array code: one jitted tile, and a loop that fills the matrix with it."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.differentiable import COINCIDENT, replace_value
from kerneltheory.core.precision import float64_policy

# Rows of a tile: its arrays stay in the caches of a core.
TILE = 512


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
    """The two series of `interpolant.Interpolant` at every cosine.

    With z = T_2(x) a series in x is one in the T_k(z) plus x times one in the
    :math:`V_k(z) = T_{2k+1}(x)/x`, of one recurrence: two chains of half the length, which a
    processor runs at the same time.
    """
    cosines = jnp.clip(cosines, -1, 1)
    chord = jnp.sqrt(1 - jnp.abs(cosines))
    x = 2 * (1 + bend) * chord / (1 + bend * chord) - 1
    z = 2 * x * x - 1
    near, far = coefficients
    even = odd = (jnp.zeros_like(x), jnp.zeros_like(x))
    for k in range(coefficients.shape[1] - 2, -1, -2):
        first = jnp.where(cosines >= 0, near[k], far[k])
        second = jnp.where(cosines >= 0, near[k + 1], far[k + 1])
        even = first + (2 * z * even[0] - even[1]), even[0]
        odd = second + (2 * z * odd[0] - odd[1]), odd[0]
    values = even[0] - z * even[1] + x * (odd[0] - odd[1])
    # What rounding cannot tell from one is one, as in `differentiable.rounded_correlation`.
    return jnp.where(1 - cosines < COINCIDENT * jnp.finfo(cosines.dtype).eps, at_one, values)
