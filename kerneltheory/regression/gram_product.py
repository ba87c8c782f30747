"""Products of Gram matrices with vectors, the matrix computed in tiles and never stored."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jax.tree_util import Partial

from kerneltheory.core import check
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.core.records import is_concrete
from kerneltheory.kernels.base import Kernel, check_kernel
from kerneltheory.regression.mesh import (
    EVERYWHERE,
    pairwise_sum,
    place,
    shares,
    solver_mesh,
    working_precision,
)

# The shape of a tile, on any number of devices: with what is made of it, it stays in the caches of
# a core. A sum over a tile's columns is one over short chunks, whose sums are added in pairs:
# rounding grows with the length of what is added one by one.
TILE_ROWS, TILE_COLUMNS, CHUNK = 512, 128, 16


class GramTiles(NamedTuple):
    """A Gram matrix that is not there: what its tiles are computed from, on every device.

    Attributes:
        tile: function of two blocks of rows.
        rows, columns: padded to whole tiles with copies of the last row.
        diagonal: k(x, x) of the padded rows, exactly; None if the columns are other rows.
    """

    tile: Partial
    rows: jax.Array
    columns: jax.Array
    diagonal: Any


def gram_product(
    kernel: Kernel, X: Any, V: Any, Z: Any = None, *, mesh: Mesh | None = None, axis: str = "rows"
) -> Any:
    r"""Product of a Gram matrix with vectors, computed in tiles: memory O(n + m), not O(n m).

    .. math:: (K V)_i = \sum_j k(x_i, z_j)\,V_j

    With the coefficients of a regression on Z it gives the predictions at X.

    Args:
        kernel: any kernel of the package.
        X: rows, shape (n, d), as `kernel.gram` takes them. numpy is computed in float64, jax in
            its own dtype.
        V: one vector or several, shape (m,) or (m, outputs).
        Z: other rows, shape (m, d), or None for X: then the diagonal of K is exact.
        mesh: devices that share the rows of tiles, or None for the first device. The result is the
            same on any number of devices, to the bit.
        axis: the axis of the mesh along which they do.

    Returns:
        Array of shape (n,) or (n, outputs).

    Raises:
        ValueError, TypeError: if an argument is not finite or does not fit the others, if the mesh
            has no such axis, or if the kernel refuses the rows.
        KernelTheoryError: if the product leaves the range of the numbers.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> kernel, X = nngp(relu, 1, weight_variance=2), np.sqrt(2) * np.eye(2)
        >>> bool(np.allclose(gram_product(kernel, X, [1.0, 2.0]), kernel.gram(X) @ [1.0, 2.0]))
        True
    """
    mesh = solver_mesh(mesh, axis)
    dtype = working_precision(mesh, X, V, Z)
    points = checked_rows(kernel, X)
    centres = points if Z is None else checked_rows(kernel, Z, "Z")
    if centres.shape[1] != points.shape[1]:
        raise ValueError(
            f"Z must have {points.shape[1]} columns as X has, got shape {centres.shape}"
        )
    vectors = check.finite("V", V)
    if vectors.ndim not in (1, 2) or vectors.size == 0 or len(vectors) != len(centres):
        raise ValueError(
            f"V must have shape ({len(centres)},) or ({len(centres)}, outputs), got {vectors.shape}"
        )
    with jax.enable_x64(dtype == np.float64):
        tiles = make_tiles(kernel, points, mesh, dtype, None if Z is None else centres)
        padded = pad(vectors.reshape(len(centres), -1), len(tiles.columns))
        values = product(tiles, place(mesh, padded, dtype), mesh=mesh, axis=axis)
        result = np.asarray(values)[: len(points)].reshape(len(points), *vectors.shape[1:])
        if not np.isfinite(result).all():
            raise KernelTheoryError(f"the product leaves the range of {dtype}; scale K or V")
        return jnp.asarray(result) if _is_of_jax(X, V, Z) else result


def checked_rows(kernel: Kernel, X: Any, name: str = "X") -> np.ndarray:
    """Finite rows that the kernel takes, as numpy holds them; float32 stays float32.

    Raises:
        ValueError, TypeError: if they are not, or hold nothing; or the kernel is not one.
    """
    check_kernel(kernel)
    if not is_concrete(X):
        raise TypeError(f"{name} must hold known numbers: this function is not traced by jax")
    rows = check.rows(name, X)
    # One column of the matrix: the kernel looks at all rows. Those of a jax array it takes as
    # they are, since float32 does not hold norms to the digits that it would ask for.
    given = X if isinstance(X, jax.Array) else rows
    column = np.asarray(kernel.gram(given, given[:1]))
    if not np.isfinite(column).all():
        raise KernelTheoryError(
            f"{kernel} is not a number between rows {int(np.argmin(np.isfinite(column)))} and 0 of "
            f"{name}: is a row zero, or out of the range of {column.dtype}?"
        )
    return rows


def make_tiles(
    kernel: Kernel, X: np.ndarray, mesh: Mesh, dtype: Any, Z: np.ndarray | None = None
) -> GramTiles:
    """The tiles of K(X, Z), or of K(X, X) with its exact diagonal, on a mesh."""
    tile, diagonal = kernel.tile_functions(X, X if Z is None else Z)
    multiple = max(TILE_ROWS, TILE_COLUMNS) if Z is None else TILE_ROWS
    rows = place(mesh, pad(X, _rounded_up(len(X), multiple), "edge"), dtype)
    if Z is not None:
        columns = pad(Z, _rounded_up(len(Z), TILE_COLUMNS), "edge")
        return GramTiles(tile, rows, place(mesh, columns, dtype), None)
    exact = pad(np.asarray(diagonal(jnp.asarray(X, dtype))), len(rows), "edge")
    return GramTiles(tile, rows, rows, place(mesh, exact, dtype))


def pad(values: np.ndarray, count: int, mode: Any = "constant") -> np.ndarray:
    """More rows at the end, up to a number of them: zeros, or copies of the last."""
    return np.pad(values, [(0, count - len(values)), *[(0, 0)] * (values.ndim - 1)], mode)


def _rounded_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _is_of_jax(*values: Any) -> bool:
    return any(isinstance(value, jax.Array) for value in values)


def summation_error(columns: int, dtype: Any) -> float:
    r"""A bound of the rounding in a product, in units of :math:`|K|\,|V|`.

    A sum of c products, in whatever order, is off by at most gamma_c of the sum of their sizes,
    gamma_c = c u/(1 - c u); adding up pairs of pairs costs log2 of their number more (Higham,
    Accuracy and Stability of Numerical Algorithms, sections 3.1 and 4.2).
    """
    tiles = -(-columns // TILE_COLUMNS)
    depth = CHUNK + (TILE_COLUMNS // CHUNK - 1).bit_length() + (tiles - 1).bit_length()
    unit = float(np.finfo(dtype).eps) / 2
    return depth * unit / (1 - depth * unit)


def product(tiles: GramTiles, vectors: Any, *, mesh: Mesh, axis: str) -> Any:
    """K V, each device computing its rows of tiles, on every device in the end.

    Args:
        tiles: the matrix, of n padded rows and m padded columns.
        vectors: V, shape (m, outputs), zero where columns are padding.
        mesh: the devices.
        axis: the axis of the mesh along which they share rows of tiles.

    Returns:
        Shape (n, outputs); rows of padding hold those of the last row.
    """
    return _shared(tiles, vectors, mesh, axis, False)[0]


def product_and_size(tiles: GramTiles, vectors: Any, *, mesh: Mesh, axis: str) -> tuple[Any, Any]:
    r"""The same, and :math:`|K|\,|V|`, which its rounding is measured by."""
    return _shared(tiles, vectors, mesh, axis, True)


def _shared(tiles: GramTiles, vectors: Any, mesh: Mesh, axis: str, sizes: bool) -> Any:
    bounds = shares(tiles.rows.shape[0] // TILE_ROWS, mesh.shape[axis])
    placed = place(mesh, bounds, spec=PartitionSpec(axis))
    return shared_product(tiles, vectors, placed, mesh=mesh, axis=axis, sizes=sizes)


@functools.partial(jax.jit, static_argnames=("mesh", "axis", "sizes"))
def shared_product(
    tiles: GramTiles, vectors: Any, bounds: Any, *, mesh: Mesh, axis: str, sizes: bool
) -> Any:
    """(K V,), or (K V, |K| |V|); device i computes the rows of tiles bounds[i, 0] to bounds[i, 1].

    The bounds are arguments: a loop whose length the compiler knew could be compiled in another
    way where it is short, with other roundings.
    """
    count = tiles.rows.shape[0] // TILE_ROWS
    capacity = -(-count // mesh.shape[axis])

    def on_device(tiles: GramTiles, vectors: Any, bounds: Any) -> Any:
        first, end = bounds[0, 0], bounds[0, 1]

        def fill(index: Any, buffers: Any) -> Any:
            sums = row_of_tiles(tiles, vectors, index, sizes)
            return tuple(
                jax.lax.dynamic_update_index_in_dim(buffer, value, index - first, 0)
                for buffer, value in zip(buffers, sums, strict=True)
            )

        shape = (capacity, TILE_ROWS, vectors.shape[1])
        empty = tuple(jnp.zeros(shape, vectors.dtype) for _ in range(1 + sizes))
        filled = jax.lax.fori_loop(first, end, fill, empty)
        gathered = (jax.lax.all_gather(part, axis, tiled=True) for part in filled)
        return tuple(part.reshape(-1, vectors.shape[1])[: tiles.rows.shape[0]] for part in gathered)

    # TPUs and some GPUs would round factors to fewer digits than float32 has.
    with jax.default_matmul_precision("highest"):
        return jax.shard_map(
            on_device,
            mesh=mesh,
            in_specs=(EVERYWHERE, EVERYWHERE, PartitionSpec(axis)),
            out_specs=EVERYWHERE,
            check_vma=False,  # what is gathered is the same everywhere, which types do not know
        )(tiles, vectors, bounds)


def row_of_tiles(tiles: GramTiles, vectors: Any, index: Any, sizes: bool) -> tuple[Any, ...]:
    """One row of tiles times the vectors, and of absolute values if asked for; every sum in pairs.

    Returns:
        One or two arrays of shape (TILE_ROWS, outputs).
    """
    start = index * TILE_ROWS
    rows = jax.lax.dynamic_slice_in_dim(tiles.rows, start, TILE_ROWS)
    row_ids = start + jnp.arange(TILE_ROWS)
    width = TILE_COLUMNS

    def one_tile(_: None, column: Any) -> Any:
        others = jax.lax.dynamic_slice_in_dim(tiles.columns, column * width, width)
        block = tiles.tile(rows, others)
        if tiles.diagonal is not None:
            exact = jax.lax.dynamic_slice_in_dim(tiles.diagonal, start, TILE_ROWS)
            column_ids = column * width + jnp.arange(width)
            block = jnp.where(row_ids[:, None] == column_ids, exact[:, None], block)
        here = jax.lax.dynamic_slice_in_dim(vectors, column * width, width)
        parts = _in_chunks(block, here)
        return None, (parts, _in_chunks(jnp.abs(block), jnp.abs(here))) if sizes else (parts,)

    _, parts = jax.lax.scan(one_tile, None, jnp.arange(tiles.columns.shape[0] // width))
    return tuple(map(pairwise_sum, parts))


def _in_chunks(block: Any, vectors: Any) -> Any:
    """The product of a tile and its part of the vectors."""
    chunks = block.reshape(TILE_ROWS, -1, CHUNK), vectors.reshape(-1, CHUNK, vectors.shape[1])
    return pairwise_sum(jnp.einsum("rcs,csm->crm", *chunks))
