"""Devices: rows of tiles shared out, everything else replicated, the same numbers on any mesh.

What feeds an iteration is computed on whole vectors by every device, in an order that does not
depend on how many there are. Devices share only what is independent row by row, and hand it round
by gathering, which moves numbers and adds none.
"""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from kerneltheory.core.errors import PrecisionWarning
from kerneltheory.core.records import working_dtype

EVERYWHERE = PartitionSpec()
# Devices whose hardware multiplies in float32 at most.
WITHOUT_FLOAT64 = frozenset({"tpu"})


def solver_mesh(mesh: Mesh | None, axis: str) -> Mesh:
    """The mesh to compute on: the given one, or the first device alone.

    Raises:
        TypeError: if it is no mesh.
        ValueError: if it has no such axis.
    """
    if not isinstance(axis, str):
        raise TypeError(f"axis must be the name of an axis of the mesh, got {axis!r}")
    if mesh is None:
        return Mesh(np.array(jax.local_devices()[:1]), (axis,))
    check_axis(mesh, axis)
    # Without the types that axes of a mesh may have: what is sharded is said by hand.
    return Mesh(mesh.devices, mesh.axis_names)


def check_axis(mesh: Any, axis: str) -> None:
    """Refuse what is no mesh, or a mesh without an axis of this name."""
    if not isinstance(mesh, Mesh):
        raise TypeError(
            f"mesh must be a jax.sharding.Mesh, as jax.make_mesh makes it, got {mesh!r}"
        )
    if axis not in mesh.axis_names:
        raise ValueError(f"mesh must have an axis {axis!r}, got the axes {list(mesh.axis_names)}")


def working_precision(mesh: Mesh, *values: Any) -> np.dtype:
    """The dtype to compute in: that of jax arrays; for all else float64 where devices have it.

    Warns:
        PrecisionWarning: if the devices of the mesh have no float64.
    """
    of_jax = any(isinstance(value, jax.Array) for value in values)
    wanted = np.dtype(working_dtype(*values) if of_jax else np.float64)
    platform = mesh.devices.flat[0].platform
    if wanted == np.float64 and platform in WITHOUT_FLOAT64:
        warnings.warn(
            f"devices of platform {platform!r} have no float64: computing in float32",
            PrecisionWarning,
            stacklevel=3,
        )
        return np.dtype(np.float32)
    return wanted


def place(mesh: Mesh, value: Any, dtype: Any = None, spec: Any = EVERYWHERE) -> jax.Array:
    """An array on the devices, whole on each unless `spec` shares it out.

    Every process gives it whole.
    """
    array = np.asarray(value, dtype)
    sharding = NamedSharding(mesh, spec)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def on_every_device(function: Callable, mesh: Mesh) -> Callable:
    """A function of replicated arrays that every device runs whole, the same program on each.

    What the compiler is told is a computation on one device, so that it cannot share out a sum.
    """
    return jax.shard_map(function, mesh=mesh, in_specs=EVERYWHERE, out_specs=EVERYWHERE)


def shares(count: int, devices: int) -> np.ndarray:
    """First and last but one of the items of each device, shape (devices, 2).

    Examples:
        >>> shares(5, 4).tolist()
        [[0, 2], [2, 4], [4, 5], [5, 5]]
    """
    edges = np.minimum(np.arange(devices + 1) * -(-count // devices), count)
    return np.stack([edges[:-1], edges[1:]], axis=1).astype(np.int32)


def pairwise_sum(terms: Any) -> Any:
    """The sum over the first axis in one order on every device, with log2 roundings.

    Examples:
        >>> pairwise_sum(jnp.array([[1.0], [2.0], [3.0]]))
        Array([6.], dtype=float32)
    """
    while terms.shape[0] > 1:
        if terms.shape[0] % 2:
            terms = jnp.concatenate([terms, jnp.zeros_like(terms[:1])])
        terms = terms[0::2] + terms[1::2]
    return terms[0]
