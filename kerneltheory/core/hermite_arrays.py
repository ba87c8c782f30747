r"""Hermite series on arrays: coefficients by quadrature, and Mehler's sum.

:math:`\phi(\sqrt q z) = \sum_n a_n(q)\,he_n(z)` and
:math:`E[\phi(u)\phi(v)] = \sum_n a_n(q_1) a_n(q_2) c^n`. Composite Gauss-Legendre panels shrink
towards 0, where activations with a large variance change fast.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core.differentiable import ROUNDING, by_correlation, of_covariance
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import is_concrete, working_dtype

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
        return jnp.tensordot(jnp.asarray(rows, variance.dtype), values, axes=(1, -1))
    return _moving_coefficients(phi, variance, count)


def mean_square(phi: PiecewiseFunction, variance: Any) -> Any:
    """E[phi(sqrt(q) z)^2]."""
    variance = jnp.asarray(variance)
    z, weights = _nodes(phi, jnp.sqrt(variance))
    values = phi(jnp.sqrt(variance)[..., None] * z)
    return jnp.sum(values * values * weights, axis=-1)


def mean_product(phi: PiecewiseFunction, first: Any, second: Any) -> Any:
    """E[phi(r z) phi(s z)] for roots r > 0 and s of variances; s < 0 where inputs are opposite."""
    z, weights = _nodes(phi, first, second)
    first, second = (phi(jnp.asarray(root)[..., None] * z) for root in (first, second))
    return jnp.sum(first * second * weights, axis=-1)


def _nodes(phi: PiecewiseFunction, *roots: Any) -> tuple[Any, Any]:
    """Nodes, and weights times the density; phi(r z) has no break inside a panel for any root."""
    dtype = jnp.result_type(*roots)
    if phi.has_fixed_nodes:
        z, rows = _fixed_rule(1)
        return jnp.asarray(z, dtype), jnp.asarray(rows[0], dtype)
    inside = [jnp.clip(place / r, -REACH, REACH) for r in roots for place in {0.0, *phi.breaks}]
    outside = [jnp.full((), sign * REACH, dtype) for sign in (-1, 1)]
    ends = jnp.sort(jnp.stack(jnp.broadcast_arrays(*inside, *outside), axis=-1), axis=-1)
    half, weights = _panels()
    low, width = ends[..., :-1, None], jnp.diff(ends)[..., None]
    z, mass = (
        part.reshape(*part.shape[:-2], -1)
        for part in (low + width * (half / REACH), width * (weights / REACH))
    )
    return z, mass * jnp.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def _moving_coefficients(phi: PiecewiseFunction, variance: Any, count: int) -> Any:
    z, weights = _nodes(phi, jnp.sqrt(variance))
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


def dual_map(functions: tuple[PiecewiseFunction, ...], count: int, order: int) -> Callable:
    r"""A dual activation of (q1, q2, c) by the first terms of its series, and both its ends.

    .. math:: \sum_{n<N} a_n b_n c^n + e\,|c|^m + o\,\mathrm{sign}(c)\,|c|^{m'}

    where e and o are the sums of the even and of the odd terms that are left out, and m, m' >= N
    their mean degrees. The integrals of phi and of phi' at c = 1 and -1 give them: there value and
    slope are right, and elsewhere less is left out than the bound of the terms says, since
    :math:`||c|^n - |c|^m| \le |c|^N`.

    Args:
        functions: phi and its derivatives, of which none but the last has a jump.
        count: N, even.
        order: of the derivative in the covariance. Beyond the last function it is that of the
            series, which has no ends: it is infinite at coincident inputs.
    """

    def orders(n: int) -> Callable[..., Any]:
        taken = min(n, len(functions) - 1)
        return functools.partial(_sum, functions[taken:], count, n - taken)

    return by_correlation(orders, order)


def _sum(functions: Any, count: int, order: int, q1: Any, q2: Any, c: Any) -> Any:
    dimensions = len(jnp.broadcast_shapes(q1.shape, q2.shape, c.shape))
    first, second = (_aligned(coefficients(functions[0], q, count), dimensions) for q in (q1, q2))
    if order:
        return mehler_sum(first, second, c, order) / (jnp.sqrt(q1) * jnp.sqrt(q2)) ** order
    return mehler_sum(first, second, c) + _beyond(functions, q1, q2, first * second, c)


def _beyond(functions: Any, q1: Any, q2: Any, products: Any, c: Any) -> Any:
    """What the terms beyond the given ones add up to: exactly at c = 1 and -1, else about."""
    count, roots = products.shape[0], (jnp.sqrt(q1), jnp.sqrt(q2))

    def ends(function: PiecewiseFunction) -> tuple[Any, Any]:
        return tuple(mean_product(function, roots[0], sign * roots[1]) for sign in (1, -1))

    def missing(parity: int, total: Any, weights: Any = 1) -> Any:
        return total - jnp.sum((products * weights)[parity::2], axis=0)

    same, opposite = ends(functions[0])
    masses = missing(0, (same + opposite) / 2), missing(1, (same - opposite) / 2)
    degrees = [jnp.asarray(count, c.dtype)] * 2
    if functions[1:]:  # where phi jumps the mean degree is infinite
        same, opposite = (roots[0] * roots[1] * end for end in ends(functions[1]))
        n = _aligned(jnp.arange(count, dtype=c.dtype), products.ndim - 1)
        moments = missing(0, (same - opposite) / 2, n), missing(1, (same + opposite) / 2, n)
        degrees = [_ratio(*pair, count) for pair in zip(moments, masses, strict=True)]
    size = jnp.abs(c)
    return masses[0] * size ** degrees[0] + jnp.sign(c) * masses[1] * size ** degrees[1]


def _ratio(moment: Any, mass: Any, least: int) -> Any:
    """A mean degree; where rounding is all that is left of a mass, any."""
    ratio = moment / jnp.where(mass == 0, 1, mass)
    return jax.lax.stop_gradient(jnp.maximum(ratio, least))


def _aligned(rows: Any, dimensions: int) -> Any:
    """Coefficients whose axes after the first broadcast to the given number of dimensions."""
    missing = dimensions - (rows.ndim - 1)
    return rows.reshape(rows.shape[0], *(1,) * missing, *rows.shape[1:])


@float64_policy
def evaluate_series(
    functions: tuple[PiecewiseFunction, ...],
    variances: tuple[Any, Any],
    k12: Any,
    count: int,
    order: int,
    domain: str,
) -> Any:
    """The series at variances and covariances that broadcast; arguments as of `dual_map`.

    Raises:
        ValueError: if |k12| exceeds sqrt(q1 q2) by more than rounding. Traced by jax, where values
            are not known, the result is NaN instead.
    """
    q1, q2 = variances
    dtype = working_dtype(q1, q2, k12)
    q1, q2, k12 = (jnp.asarray(value, dtype) for value in (q1, q2, k12))
    size = (1 + ROUNDING * jnp.finfo(dtype).eps) * jnp.sqrt(q1) * jnp.sqrt(q2)
    holds = (jnp.abs(k12) <= size) & (q1 > 0) & (q2 > 0)
    if is_concrete(holds) and not holds.all():
        raise ValueError(
            f"the dual holds for positive variances and {domain}, got {k12} at q1 = {q1}, q2 = {q2}"
        )
    return _series(functions, count, order, q1, q2, k12)


@float64_policy
def left_out(phi: PiecewiseFunction, q1: Any, q2: Any, k12: Any, count: int, order: int) -> Any:
    r"""Bound of what :func:`dual_map` leaves out, :math:`\sqrt{R(q_1) R(q_2)}\,|c|^N`.

    R is the part of E[phi^2] that N terms miss, or what rounding makes of it where that is more.
    The m-th derivative of the series has the factor N!/(N-m)! and c^{-m}; where that still grows
    with N, near \|c\| = 1, the bound is infinite.
    """
    q1, q2, k12 = (jnp.asarray(v, working_dtype(q1, q2, k12)) for v in (q1, q2, k12))
    root = jnp.ones((), q1.dtype)
    for q in (q1, q2):
        mass = mean_square(phi, q)
        missing = mass - jnp.sum(coefficients(phi, q, count) ** 2, axis=0)
        root = root * jnp.sqrt(jnp.maximum(missing, mass * jnp.finfo(q.dtype).eps))
    scale = jnp.sqrt(q1) * jnp.sqrt(q2)
    c = jnp.minimum(jnp.abs(k12) / scale, 1)
    falls = c * (count + 1) < count + 1 - order
    factor = math.perm(count, order) * c ** (count - order) / scale**order
    return root * jnp.where(falls | (order == 0), factor, jnp.inf)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _series(functions: Any, count: int, order: int, q1: Any, q2: Any, k12: Any) -> Any:
    return of_covariance(dual_map(functions, count, order))(q1, q2, k12)
