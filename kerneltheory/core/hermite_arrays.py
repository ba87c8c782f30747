r"""Hermite series on arrays: coefficients by quadrature, and Mehler's sum.

:math:`\phi(\sqrt q z) = \sum_n a_n(q)\,he_n(z)` and
:math:`E[\phi(u)\phi(v)] = \sum_n a_n(q_1) a_n(q_2) c^n`. Composite Gauss-Legendre panels shrink
towards 0, where activations with a large variance change fast.
"""

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core.precision import float64_policy

# exp(-REACH^2/4), what Cramer's inequality leaves of an integrand, is below rounding.
REACH = 13.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_OUTER = np.arange(0.25, REACH + 0.125, 0.25)
_INNER = 0.25 * 2.0 ** np.arange(-6, 0)
CHUNK = 16


@dataclass(frozen=True)
class PiecewiseFunction:
    """A function on the real line: functions[i] between breaks[i - 1] and breaks[i]."""

    breaks: tuple[float, ...]
    functions: tuple[Callable[[Any], Any], ...]

    def __call__(self, x: Any) -> Any:
        """Evaluate elementwise."""
        value = jnp.broadcast_to(jnp.asarray(self.functions[0](x), x.dtype), x.shape)
        for place, function in zip(self.breaks, self.functions[1:], strict=True):
            value = jnp.where(x > place, function(x), value)
        return value

    @property
    def has_fixed_nodes(self) -> bool:
        """Whether it is analytic but at 0, so that the nodes serve every variance."""
        return all(place == 0 for place in self.breaks)


@functools.lru_cache(maxsize=1)
def _panels() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, REACH]."""
    ends = np.concatenate([[0.0], _INNER, _OUTER])
    middle, half = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
    nodes = middle[:, None] + half[:, None] * _NODES
    return nodes.ravel(), (half[:, None] * _WEIGHTS).ravel()


@functools.lru_cache(maxsize=8)
def _fixed_rule(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes z, and he_n(z) times density times weight, shape (count, nodes)."""
    half, weights = _panels()
    z, weights = np.concatenate([-half[::-1], half]), np.concatenate([weights[::-1], weights])
    rows = np.empty((count, z.size))
    previous, current = np.zeros_like(z), np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    for n in range(count):
        rows[n] = current * weights
        following = (z * current - np.sqrt(n) * previous) / np.sqrt(n + 1)
        previous, current = current, following
    return z, rows


def coefficients(phi: PiecewiseFunction, variance: Any, count: int) -> Any:
    """a_n(q) for n < count; the shape of the result is (count, *variance.shape)."""
    variance = jnp.asarray(variance)
    if phi.has_fixed_nodes:
        z, rows = _fixed_rule(count)
        values = phi(jnp.sqrt(variance)[..., None] * jnp.asarray(z, variance.dtype))
        return jnp.moveaxis(values @ jnp.asarray(rows, variance.dtype).T, -1, 0)
    return _moving_coefficients(phi, variance, count)


def mean_square(phi: PiecewiseFunction, variance: Any) -> Any:
    """E[phi(sqrt(q) z)^2]."""
    variance = jnp.asarray(variance)
    z, weights = _nodes(phi, variance)
    values = phi(jnp.sqrt(variance)[..., None] * z)
    return jnp.sum(values * values * weights, axis=-1)


def _nodes(phi: PiecewiseFunction, variance: Any) -> tuple[Any, Any]:
    """Nodes, and weights times the density, for every variance; they avoid the breaks."""
    if phi.has_fixed_nodes:
        z, rows = _fixed_rule(1)
        return jnp.asarray(z, variance.dtype), jnp.asarray(rows[0], variance.dtype)
    root = jnp.sqrt(variance)[..., None]
    places = [jnp.clip(place / root, -REACH, REACH) for place in sorted({0.0, *phi.breaks})]
    ends = [jnp.full_like(root, -REACH), *places, jnp.full_like(root, REACH)]
    half, weights = _panels()
    nodes, masses = [], []
    for low, high in itertools.pairwise(ends):
        width = high - low
        nodes.append(low + width * (half / REACH))
        masses.append(width * (weights / REACH))
    z, mass = jnp.concatenate(nodes, axis=-1), jnp.concatenate(masses, axis=-1)
    return z, mass * jnp.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def _moving_coefficients(phi: PiecewiseFunction, variance: Any, count: int) -> Any:
    z, weights = _nodes(phi, variance)
    values = phi(jnp.sqrt(variance)[..., None] * z) * weights

    def step(state: Any, n: Any) -> Any:
        previous, current = state
        following = (z * current - jnp.sqrt(n) * previous) / jnp.sqrt(n + 1)
        return (current, following), jnp.sum(values * current, axis=-1)

    start = jnp.zeros_like(z), jnp.ones_like(z)
    return jax.lax.scan(step, start, jnp.arange(count, dtype=z.dtype))[1]


def mehler_sum(first: Any, second: Any, correlation: Any, derivative: int = 0) -> Any:
    r""":math:`\sum_n a_n b_n c^n`, or a derivative of it in c; n is the first axis of a and b."""
    if derivative:
        weights = [math.perm(n, derivative) for n in range(derivative, first.shape[0])]
        first, second = _weighted(first[derivative:], weights), second[derivative:]
    padding = -first.shape[0] % CHUNK

    def padded(rows: Any) -> Any:
        return jnp.concatenate([rows, jnp.zeros((padding, *rows.shape[1:]), rows.dtype)])

    first, second = padded(first), padded(second)
    chunks = first.shape[0] // CHUNK
    shape = jnp.broadcast_shapes(first.shape[1:], second.shape[1:], correlation.shape)

    def horner(index: Any, total: Any) -> Any:
        start = (chunks - 1 - index) * CHUNK
        a = jax.lax.dynamic_slice_in_dim(first, start, CHUNK)
        b = jax.lax.dynamic_slice_in_dim(second, start, CHUNK)
        for n in reversed(range(CHUNK)):
            total = total * correlation + a[n] * b[n]
        return total

    return jax.lax.fori_loop(0, chunks, horner, jnp.zeros(shape, correlation.dtype))


def _weighted(rows: Any, weights: list[int]) -> Any:
    column = np.array(weights, dtype=float).reshape(-1, *(1,) * (rows.ndim - 1))
    return rows * jnp.asarray(column, rows.dtype)


def terms_needed(
    phi: PiecewiseFunction, variance: float, tolerance: float, largest: int
) -> tuple[int, float]:
    """The least power of two of terms that leave a small part of E[phi^2], and that part."""
    with jax.enable_x64(True):
        q = jnp.asarray(variance)
        mass = float(mean_square(phi, q))
        missing = 1 - np.cumsum(np.asarray(coefficients(phi, q, largest)) ** 2) / mass
    count = 32
    while count < largest and abs(missing[count - 1]) > tolerance:
        count *= 2
    return count, float(max(missing[count - 1], 0))


@float64_policy
def _evaluate(
    phi: PiecewiseFunction, q1: Any, q2: Any, k12: Any, count: int, derivative: int
) -> Any:
    q1, q2, k12 = (jnp.asarray(value, jnp.result_type(float)) for value in (q1, q2, k12))
    scale = jnp.sqrt(q1) * jnp.sqrt(q2)
    first, second = coefficients(phi, q1, count), coefficients(phi, q2, count)
    shape = jnp.broadcast_shapes(q1.shape, q2.shape, k12.shape)
    first, second = (_aligned(rows, len(shape)) for rows in (first, second))
    correlation = jnp.clip(k12 / scale, -1, 1)
    return mehler_sum(first, second, correlation, derivative) / scale**derivative


def evaluate_series(
    phi: PiecewiseFunction,
    q1: Any,
    q2: Any,
    k12: Any,
    count: int,
    derivative: int,
    domain: str,
) -> Any:
    """The series, or its first derivative in k12, at variances and covariances that broadcast.

    Raises:
        ValueError: if |k12| exceeds sqrt(q1 q2) by more than rounding.
    """
    q1, q2, k12 = (np.asarray(value, dtype=float) for value in (q1, q2, k12))
    if not (q1 > 0).all() or not (q2 > 0).all():
        raise ValueError(f"variances must be positive, got {min(q1.min(), q2.min())}")
    if not (np.abs(k12) <= np.sqrt(q1) * np.sqrt(q2) * (1 + 4 * np.finfo(float).eps)).all():
        raise ValueError(f"the dual holds for {domain}, got {k12} at q1 = {q1}, q2 = {q2}")
    return _evaluate(phi, q1, q2, k12, count, derivative)


def _aligned(rows: Any, dimensions: int) -> Any:
    """Coefficients whose axes after the first broadcast to the given number of dimensions."""
    missing = dimensions - (rows.ndim - 1)
    return rows.reshape(rows.shape[0], *(1,) * missing, *rows.shape[1:])
