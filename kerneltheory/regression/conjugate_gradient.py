r"""Conjugate gradients on several right-hand sides at once, down to a residual that is certified.

Each product with the Gram matrix serves all right-hand sides, each of which has its own steps
(Hestenes and Stiefel 1952; Saad, Iterative Methods for Sparse Linear Systems, algorithm 9.1). The
residual that the recursion carries drifts from the true one. So when it is small enough the true
one is computed, with a bound of its rounding, and the recursion starts again from there if need be.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from kerneltheory.core.errors import NotPositiveDefiniteError, PrecisionError
from kerneltheory.regression import preconditioners
from kerneltheory.regression.gram_product import (
    GramTiles,
    product,
    product_and_size,
    summation_error,
)
from kerneltheory.regression.mesh import on_every_device, place
from kerneltheory.regression.preconditioners import Preconditioner

# The recursion aims at this part of what the tolerance leaves beside rounding.
AIM = 0.5
# More than what rounding takes from a bound and from norms: relative, not in units.
ROUNDED_UP = 1.001
# A restart that does not gain this factor will not gain more.
GAIN = 0.5


class System(NamedTuple):
    """(K + ridge) a = y, on every device.

    Attributes:
        tiles: of K, of padded rows.
        ridge: a number.
        preconditioner: an approximate inverse, or None.
        is_sample: 1 where a row is one, 0 where it is padding.
    """

    tiles: GramTiles
    ridge: jax.Array
    preconditioner: Preconditioner | None
    is_sample: jax.Array


class State(NamedTuple):
    """One iteration: arrays (rows, outputs), and numbers one an output.

    Attributes:
        solution: a.
        residual, direction: of the recursion.
        descent: r' M^{-1} r.
        norm: of the residual.
        active: whether it is still above the target.
        curvature: p'(K + ridge) p of the last direction, for those that were active, else 1.
        rounding: what of it may be rounding.
    """

    solution: jax.Array
    residual: jax.Array
    direction: jax.Array
    descent: jax.Array
    norm: jax.Array
    active: jax.Array
    curvature: jax.Array
    rounding: jax.Array


class Outcome(NamedTuple):
    """What `solve` reached: a, iterations, and relative residuals, bounded and on the way."""

    solution: np.ndarray
    iterations: int
    bound: np.ndarray
    history: np.ndarray


def solve(
    system: System,
    labels: np.ndarray,
    tolerance: float,
    max_iterations: int,
    *,
    mesh: Mesh,
    axis: str,
    tell: Callable[[int, float], Any] = lambda iteration, residual: None,
) -> Outcome:
    """Solve for all labels to a certified residual.

    Args:
        system: the equations.
        labels: y, padded with zeros, (rows, outputs).
        tolerance: of the residual relative to the norm of the labels, for each output.
        max_iterations: of all restarts together.
        mesh: the devices.
        axis: the axis of the mesh along which they share rows of tiles.
        tell: told of every iteration and its largest relative residual.

    Raises:
        PrecisionError: if it is not reached.
        NotPositiveDefiniteError: if K + ridge has a negative eigenvalue beyond rounding.
    """
    dtype = system.tiles.rows.dtype
    scale = np.sqrt(np.sum(np.square(labels, dtype=np.float64), axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    y, solution = place(mesh, labels, dtype), place(mesh, 0 * labels, dtype)
    history: list[np.ndarray] = []
    previous = np.full(scale.shape, np.inf)
    # Of a = 0 all products are known.
    residual, errors = residual_of(system, solution, y, solution, solution, mesh=mesh)
    while True:
        norm, rounding = (np.linalg.norm(part, axis=0) / scale for part in (residual, errors))
        bound = ROUNDED_UP * (norm + rounding)
        if not history:
            history.append(norm)
        if (bound <= tolerance).all():
            return Outcome(np.asarray(solution), len(history) - 1, bound, np.array(history))
        # Written so that NaN counts as stuck.
        gains = (rounding < tolerance) & (bound <= GAIN * previous)
        stuck = ~(bound <= tolerance) & ~gains
        if stuck.any() or len(history) > max_iterations:
            raise PrecisionError(_shortfall(tolerance, bound, rounding, len(history) - 1, dtype))
        target = AIM * np.maximum(tolerance - rounding, 0) * scale
        aim = place(mesh, target, dtype)
        state = start(system, solution, residual, aim, mesh=mesh)
        while np.asarray(state.active).any() and len(history) <= max_iterations:
            image = product(system.tiles, state.direction, mesh=mesh, axis=axis)
            state = step(system, state, image, aim, mesh=mesh)
            _refuse_negative(state)
            history.append(np.asarray(state.norm, np.float64) / scale)
            tell(len(history) - 1, float(history[-1].max()))
        solution, previous = state.solution, bound
        residual, errors = certified_residual(system, solution, y, mesh=mesh, axis=axis)


def _refuse_negative(state: State) -> None:
    curvature, rounding = np.asarray(state.curvature), np.asarray(state.rounding)
    if (curvature < -rounding).any():
        raise NotPositiveDefiniteError(
            "K + ridge I has a negative eigenvalue: p'(K + ridge I)p is "
            f"{curvature.min():.3g} at a vector p, of which at most {rounding.max():.1g} is "
            "rounding. Check that the kernel is positive definite, or raise the ridge"
        )


def _shortfall(
    tolerance: float, bound: np.ndarray, rounding: np.ndarray, iterations: int, dtype: Any
) -> str:
    if not np.isfinite(bound).all():
        return f"the solution leaves the range of {dtype}: scale the kernel, or raise the ridge"
    worst = int(bound.argmax())
    reached = (
        f"the relative residual is known to be below {bound[worst]:.2g} after {iterations} "
        f"iterations, not below the tolerance {tolerance:.2g}"
    )
    if rounding[worst] > 0.1 * bound[worst]:
        return (
            f"{reached}: rounding in {dtype} alone may be {rounding[worst]:.2g}. Take a larger "
            "tolerance or a larger ridge" + (", or float64" if dtype == np.float32 else "")
        )
    return f"{reached}. Take a larger tolerance, max_iterations, rank or ridge"


@functools.partial(jax.jit, static_argnames="mesh")
def start(system: System, solution: Any, residual: Any, target: Any, *, mesh: Mesh) -> State:
    """The state of the recursion before its first step, from a and its residual."""

    def on_device(system: System, solution: Any, residual: Any, target: Any) -> State:
        image = _preconditioned(system, residual)
        norm = jnp.sqrt(_dot(residual, residual))
        descent = _dot(residual, image)
        one = jnp.ones_like(norm)
        active = (norm > target) & (descent > 0)
        return State(solution, residual, image, descent, norm, active, one, one)

    return on_every_device(on_device, mesh)(system, solution, residual, target)


@functools.partial(jax.jit, static_argnames="mesh")
def step(system: System, state: State, image: Any, target: Any, *, mesh: Mesh) -> State:
    """One step of every active output, given K p for its direction p; others stay as they are."""
    return on_every_device(_step, mesh)(system, state, image, target)


def _step(system: System, state: State, image: Any, target: Any) -> State:
    p = state.direction
    image = (image + system.ridge * p) * system.is_sample
    curvature = jnp.where(state.active, _dot(p, image), 1)
    # |p'Kp| is at most the square of this sum, by Cauchy and Schwarz, and so is its rounding.
    deviation = jnp.sqrt(system.tiles.diagonal + system.ridge)[:, None] * system.is_sample
    unit = summation_error(p.shape[0], p.dtype) + p.shape[0] * float(jnp.finfo(p.dtype).eps)
    rounding = unit * jnp.sum(deviation * jnp.abs(p), axis=0) ** 2
    going = state.active & (curvature > 0)
    length = jnp.where(going, state.descent / jnp.where(going, curvature, 1), 0)
    solution = state.solution + length * p
    residual = state.residual - length * image
    image = _preconditioned(system, residual)
    descent = _dot(residual, image)
    norm = jnp.sqrt(_dot(residual, residual))
    going = going & (descent > 0)
    ratio = jnp.where(going, descent / jnp.where(going, state.descent, 1), 0)
    active = going & (norm > target)
    return State(solution, residual, image + ratio * p, descent, norm, active, curvature, rounding)


def _dot(a: Any, b: Any) -> Any:
    """The inner products of columns."""
    return jnp.sum(a * b, axis=0)


def _preconditioned(system: System, residual: Any) -> Any:
    if system.preconditioner is None:
        return residual
    return preconditioners.apply(system.preconditioner, residual)


def certified_residual(
    system: System, solution: Any, labels: Any, *, mesh: Mesh, axis: str
) -> tuple[Any, Any]:
    """The residual y - (K + ridge) a, and a bound of how far each entry is from the true one."""
    image, size = product_and_size(system.tiles, solution, mesh=mesh, axis=axis)
    return residual_of(system, solution, labels, image, size, mesh=mesh)


@functools.partial(jax.jit, static_argnames="mesh")
def residual_of(
    system: System, solution: Any, labels: Any, image: Any, size: Any, *, mesh: Mesh
) -> tuple[Any, Any]:
    r"""The same from K a and |K| |a|.

    With gamma of `summation_error` and three operations more on each row, the residual is off by
    at most :math:`(\gamma + 4u)(|K||a| + \text{ridge}\,|a| + |y|)`, to first order in u.
    Padding has none.
    """

    def on_device(system: System, solution: Any, labels: Any, image: Any, size: Any) -> Any:
        mask = system.is_sample
        residual = (labels - image - system.ridge * solution) * mask
        sizes = (size + system.ridge * jnp.abs(solution) + jnp.abs(labels)) * mask
        unit = summation_error(labels.shape[0], labels.dtype) + 2 * jnp.finfo(labels.dtype).eps
        return residual, unit * sizes

    return on_every_device(on_device, mesh)(system, solution, labels, image, size)
