r"""Preconditioners: what is large in a Gram matrix as a factor of low rank, the rest as a number.

With :math:`K \approx F F' + (\text{rest})` and s = ridge + the mean of what F leaves of the
diagonal, :math:`K + \text{ridge}` is about :math:`F F' + s`, whose inverse takes two products with
the n x rank matrix Q = F R^{-1}, R'R = F'F + s:

.. math:: (F F' + s)^{-1} = (1 - Q Q')/s.

Two factors are known: harmonics of low degree times the roots of their eigenvalues, of rows spread
over the sphere; and columns of K itself at random pivots, of any rows.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from kerneltheory.kernels.base import Kernel
from kerneltheory.regression.gram_product import GramTiles
from kerneltheory.regression.mesh import on_every_device, place
from kerneltheory.sphere.basis import HIGHEST_DEGREE, harmonic_basis
from kerneltheory.sphere.harmonics import cumulative_multiplicity, multiplicity
from kerneltheory.sphere.polynomials import orthonormal_sequence
from kerneltheory.sphere.quadrature import cosine_quadrature

NAMES = ("auto", "harmonics", "cholesky", "none")
# Columns of a factor per root of n, where none are asked for: as in arXiv:2304.12465, about.
COLUMNS_PER_ROOT = 4
# Samples per column of harmonics, where no rank is asked for.
SAMPLES_PER_HARMONIC = 4
# A degree is worth its columns where n eigenvalue is above this part of what is left to the shift.
WORTH = 10.0
# Nodes of the quadrature for the eigenvalues of low degrees, of which a few digits are enough.
NODES = 128
# Squared norms that differ by less than this part are one, also of rows in float32.
SAME = 1e-5
# How far from isotropic rows may be, in units of what uniform rows are on average.
ISOTROPY = 3.0


class Preconditioner(NamedTuple):
    """The approximate inverse (1 - Q Q')/s, on every device.

    Attributes:
        whitened: Q, padded with zero rows, (rows, rank).
        shift: s.
    """

    whitened: jax.Array
    shift: jax.Array


def apply(preconditioner: Preconditioner, vectors: Any) -> Any:
    """The approximate inverse times vectors, (rows, outputs)."""
    q, shift = preconditioner
    with jax.default_matmul_precision("highest"):
        return (vectors - q @ (q.T @ vectors)) / shift


def choose(name: str, X: np.ndarray, rank: int | None) -> str:
    """The preconditioner that a name stands for.

    "auto" is harmonics where rows look uniform on a sphere and are enough for degree 1, else a
    Cholesky factor.

    Raises:
        ValueError: if the name is unknown, or harmonics are asked for where there are none.
    """
    if name not in NAMES:
        raise ValueError(f"preconditioner must be one of {list(NAMES)}, got {name!r}")
    on_sphere = X.shape[1] >= 2 and _has_one_norm(X)
    if name == "harmonics" and not on_sphere:
        raise ValueError(
            'preconditioner "harmonics" takes rows of one norm and of at least two columns; take '
            '"cholesky" for these'
        )
    if name != "auto":
        return name
    enough = on_sphere and highest_degree(X, rank) >= 1
    return "harmonics" if enough and _is_isotropic(X) else "cholesky"


def _has_one_norm(X: np.ndarray) -> bool:
    squares = np.einsum("ij,ij->i", X, X)
    return bool(squares.max() > 0 and np.ptp(squares) <= SAME * squares.max())


def _is_isotropic(X: np.ndarray) -> bool:
    r"""Whether the second moments of directions u are those of uniform ones.

    Of those :math:`E|d\,\overline{u u'} - 1|^2 = d (d - 1)/n`, d the columns.
    """
    count, dim = X.shape
    moments = dim * (X.T @ X) / np.einsum("ij,ij->", X, X)
    return bool(np.sum((moments - np.eye(dim)) ** 2) <= ISOTROPY * dim * (dim - 1) / count)


def highest_degree(X: np.ndarray, rank: int | None) -> int:
    """The highest degree whose harmonics, with those below, are no more columns than wanted."""
    count, dim = X.shape
    most = max(1, count // SAMPLES_PER_HARMONIC) if rank is None else rank
    degrees = range(HIGHEST_DEGREE + 1)
    return max(k for k in degrees if k == 0 or cumulative_multiplicity(dim, k) <= most)


def build(
    name: str,
    kernel: Kernel,
    X: np.ndarray,
    tiles: GramTiles,
    ridge: float,
    *,
    mesh: Mesh,
    rank: int | None,
    seed: int,
) -> tuple[Preconditioner | None, str]:
    """A preconditioner for K(X, X) + ridge by its name, and what it is in words."""
    count, dtype = len(X), tiles.rows.dtype
    if name == "none":
        return None, "none"
    if name == "harmonics":
        scales = harmonic_scales(kernel, X, ridge, rank)
        degrees = tuple(np.flatnonzero(scales).tolist()) or (0,)
        chosen = place(mesh, scales[list(degrees)], dtype)
        factor = harmonic_factor(tiles.rows, chosen, degrees=degrees, count=count, mesh=mesh)
        words = f"harmonics of degree {', '.join(map(str, degrees))}"
    else:
        columns = min(count, int(COLUMNS_PER_ROOT * np.sqrt(count)) if rank is None else rank)
        # Drawn here, where devices play no part.
        uniforms = place(mesh, np.random.default_rng(seed).random(columns), dtype)
        factor = pivoted_cholesky(tiles, uniforms, count=count, mesh=mesh)
        words = f"randomly pivoted Cholesky factor, seed {seed}"
    preconditioner = _whitened(factor, tiles.diagonal, count, ridge, mesh)
    return preconditioner, f"{words}: {factor.shape[1]} columns"


def _whitened(factor: Any, diagonal: Any, count: int, ridge: float, mesh: Mesh) -> Preconditioner:
    held = float(np.sum(np.square(factor), dtype=np.float64))
    total = float(np.sum(np.asarray(diagonal)[:count], dtype=np.float64))
    rounding = float(np.finfo(factor.dtype).eps) * (total + held)
    # One where all else is zero: the matrix is, and any number serves.
    shift = ridge + max((total - held) / count, rounding) or 1.0
    while True:
        placed = place(mesh, shift, factor.dtype)
        whitened, definite = whiten(factor, placed, mesh=mesh)
        if definite:
            return Preconditioner(whitened, placed)
        shift *= 10  # F'F + s was not positive definite to rounding


@functools.partial(jax.jit, static_argnames="mesh")
def whiten(factor: Any, shift: Any, *, mesh: Mesh) -> tuple[Any, Any]:
    """Q = F R^{-1} with R'R = F'F + s, and whether that is positive definite to rounding."""

    def on_device(factor: Any, shift: Any) -> tuple[Any, Any]:
        with jax.default_matmul_precision("highest"):
            one = jnp.eye(factor.shape[1], dtype=factor.dtype)
            lower = jnp.linalg.cholesky(factor.T @ factor + shift * one)
            inverse = jax.scipy.linalg.solve_triangular(lower, one, lower=True)
            return factor @ inverse.T, jnp.isfinite(inverse).all()

    return on_every_device(on_device, mesh)(factor, shift)


# --- harmonics --------------------------------------------------------------------------------


def harmonic_scales(kernel: Kernel, X: np.ndarray, ridge: float, rank: int | None) -> np.ndarray:
    """Roots of the eigenvalues of degrees from 0 on; zero for a degree that is not worth it."""
    count, dim = X.shape
    values = low_eigenvalues(kernel, X, highest_degree(X, rank))
    masses = values * [multiplicity(dim, k) for k in range(len(values))]
    at_one = float(np.asarray(kernel.gram(_row_of_norm(X)))[0, 0])
    worth = count * values > WORTH * (ridge + max(at_one - masses.sum(), 0.0))
    return np.sqrt(np.where(worth, values, 0.0))


def low_eigenvalues(kernel: Kernel, X: np.ndarray, highest: int) -> np.ndarray:
    r"""Eigenvalues of degrees 0..highest on the sphere of the rows, to a few digits.

    :math:`\lambda_k = E[h(t) P_k(t)]`, where h is the kernel between rows of their norm.
    """
    dim = X.shape[1]
    cosines, weights = cosine_quadrature(dim, NODES)
    pole = _row_of_norm(X)
    points = np.outer(cosines, pole) + np.outer(np.sqrt(1 - cosines**2), np.roll(pole, 1))
    values = weights * np.asarray(kernel.gram(pole, points))[0]
    harmonics = orthonormal_sequence(dim, cosines, highest)
    counts = [multiplicity(dim, k) for k in range(highest + 1)]
    return np.maximum([values @ z for z in harmonics] / np.sqrt(counts), 0.0)


def _row_of_norm(X: np.ndarray) -> np.ndarray:
    """One row along the first axis, of the norm of rows, which rounding may have moved."""
    dim = X.shape[1]
    square = float(np.mean(np.einsum("ij,ij->i", X, X)))
    row = np.zeros((1, dim))
    row[0, 0] = np.sqrt(dim if abs(square - dim) <= SAME * dim else square)
    return row


@functools.partial(jax.jit, static_argnames=("degrees", "count", "mesh"))
def harmonic_factor(
    rows: Any, scales: Any, *, degrees: tuple[int, ...], count: int, mesh: Mesh
) -> Any:
    """F of the harmonics of some degrees, scaled; zero in rows of padding."""

    def on_device(rows: Any, scales: Any) -> Any:
        parts = [scale * harmonic_basis(k, rows) for k, scale in zip(degrees, scales, strict=True)]
        factor = jnp.concatenate(parts, axis=1)
        return jnp.where(jnp.arange(len(rows))[:, None] < count, factor, 0)

    return on_every_device(on_device, mesh)(rows, scales)


# --- columns at random pivots -----------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=("count", "mesh"))
def pivoted_cholesky(tiles: GramTiles, uniforms: Any, *, count: int, mesh: Mesh) -> Any:
    """F of a partial Cholesky factorisation, each pivot drawn by what is left of the diagonal.

    Args:
        tiles: of K(X, X).
        uniforms: numbers in [0, 1), one a column.
        count: how many of the rows are samples; F is zero in the others.
        mesh: the devices.

    References:
        arXiv:2207.06503, Algorithm 1.
    """
    return on_every_device(functools.partial(_pivoted, count), mesh)(tiles, uniforms)


def _pivoted(count: int, tiles: GramTiles, uniforms: Any) -> Any:
    is_sample = jnp.arange(len(tiles.rows)) < count
    diagonal = jnp.where(is_sample, tiles.diagonal, 0)
    # What is left of it below this is rounding, and no pivot.
    rounding = count * jnp.finfo(diagonal.dtype).eps * diagonal

    def add_column(index: Any, state: Any) -> Any:
        factor, left = state
        cumulative = jnp.cumsum(left)
        pivot = jnp.searchsorted(cumulative, uniforms[index] * cumulative[-1], side="right")
        pivot = jnp.minimum(pivot, count - 1)
        column = tiles.tile(tiles.rows, tiles.rows[pivot][None])[:, 0] - factor @ factor[pivot]
        usable = left[pivot] > rounding[pivot]
        scale = jnp.where(usable, 1 / jnp.sqrt(jnp.where(usable, left[pivot], 1)), 0)
        column = jnp.where(is_sample, column, 0) * scale
        # The tile rounds what the diagonal has exactly.
        column = column.at[pivot].set(left[pivot] * scale)
        left = jnp.maximum(left - column**2, 0).at[pivot].set(0)
        return factor.at[:, index].set(column), left

    factor = jnp.zeros((len(tiles.rows), len(uniforms)), diagonal.dtype)
    with jax.default_matmul_precision("highest"):
        return jax.lax.fori_loop(0, len(uniforms), add_column, (factor, diagonal))[0]
