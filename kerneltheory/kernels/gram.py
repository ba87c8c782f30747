"""Gram matrices as array code: one jitted tile, and a loop that fills the matrix with it."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.precision import float64_policy

TILE = 1024


@float64_policy
def elementwise(profile: Callable[[Any], Any], at_one: float, cosines: Any) -> Any:
    """A kernel's profile at every cosine, with its exact value where the cosine is one."""
    return _elementwise(profile, at_one, jnp.asarray(cosines, dtype=jnp.result_type(float)))


@functools.partial(jax.jit, static_argnums=0)
def _elementwise(profile: Callable[[Any], Any], at_one: float, cosines: Any) -> Any:
    values = profile(cosines)
    return replace_value(values, jnp.where(cosines == 1, jnp.asarray(at_one, values.dtype), values))


def replace_value(value: Any, better: Any) -> Any:
    """`better`, a correction of `value` within rounding, with the derivative of `value`."""
    return jax.lax.stop_gradient(better) + (value - jax.lax.stop_gradient(value))


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
    lower = jnp.tril(tile(X, X), -1)
    gram = lower + lower.T
    index = jnp.arange(X.shape[0])
    return gram.at[index, index].set(diagonal(X))


def _filled(tile: Callable, diagonal: Callable, X: np.ndarray, Z: np.ndarray | None) -> np.ndarray:
    columns = X if Z is None else Z
    gram = np.empty((X.shape[0], columns.shape[0]))
    for i in range(0, X.shape[0], TILE):
        for j in range(i if Z is None else 0, columns.shape[0], TILE):
            block = np.asarray(
                tile(jnp.asarray(X[i : i + TILE]), jnp.asarray(columns[j : j + TILE]))
            )
            gram[i : i + TILE, j : j + TILE] = block
            if Z is None and j > i:
                gram[j : j + TILE, i : i + TILE] = block.T
    if Z is None:
        for i in range(0, X.shape[0], TILE):
            _symmetrise(gram[i : i + TILE, i : i + TILE])
        np.fill_diagonal(gram, np.asarray(diagonal(jnp.asarray(X))))
    return gram


def _symmetrise(block: np.ndarray) -> None:
    """Copy the lower triangle up: a product X X' is not symmetric to the last bit everywhere."""
    upper = np.triu_indices_from(block, 1)
    block[upper] = block.T[upper]
