r"""One learning curve through all orders: from n of order 1 to any power of the dimension.

In the limit of order r lower degrees take all their $N_k$ samples and higher ones
$\mu_k^2/\kappa$. Both are upper bounds of $N_k \lambda_k/(\lambda_k + \kappa)$, so that the
effective ridge of each order lies above that of all degrees together, and the least of them is
the best: it is that of the order whose window holds n, and continuous where windows meet.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import is_concrete, positive, working_dtype
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import check_target, curve_of, errors_at, flat_points
from kerneltheory.learning.high_order import DotProductKernel, limit_masses
from kerneltheory.learning.levels import Levels, filled, map_points, spread, variance_dimension
from kerneltheory.learning.marchenko_pastur import marchenko_pastur_shift
from kerneltheory.learning.risk import refuse_divergence
from kerneltheory.spectra.spectrum import Target
from kerneltheory.sphere.harmonics import multiplicity

# Beyond this order n is no moderate power of d, and d not large.
HIGHEST_ORDER = 30
# Degrees kept above the last one with as many harmonics as samples.
MORE_DEGREES = 2
ERROR = "relative error O(1/dim); at most 20% at dim 30, 7% at 100, 1% at 1000 in five kernels"


class _Degrees(NamedTuple):
    """The degrees 0 to R of the limit, in one dtype; shapes (R + 1,)."""

    masses: Any  # mu_k^2
    counts: Any  # N_k, 0 where the kernel has no degree k
    eigenvalues: Any  # mu_k^2/N_k
    lower_counts: Any  # sum of counts below k
    excess: Any  # mu_{>k}^2


@float64_policy
def multiscale_curve(
    kernel: DotProductKernel,
    target: Target,
    dim: int,
    n: Any,
    ridge: Any,
    *,
    max_order: int | None = None,
) -> LearningCurve:
    r"""Return the learning curve over all orders at once, from the limits of every order.

    With $N_k = N(d, k)$, $\lambda_k = \mu_k^2/N_k$ and the root $\tau$ of `marchenko_pastur_shift`,
    $$\kappa = \min_r \lambda_r\,
      \tau\Big(\frac{n - N_{<r}}{N_r}, \frac{\delta + \mu_{>r}^2}{\mu_r^2}\Big),$$
    the minimum over all r with $\mu_r \ne 0$ and $N_{<r} < n$, corrected by one step of Newton's
    method towards the root of
    $n = \sum_k N_k \lambda_k/(\lambda_k + \kappa) + \delta/\kappa$; the errors follow as in
    `learning_curve`. All is in closed form, continuous in n and ridge, and tends to each
    `high_order_curve` as d grows. Degrees with $\mu_k = 0$ are never learned.

    Args:
        kernel: has `taylor_coefficients(count)` and `trace`, h(1).
        target: its power by degree, and the label noise.
        dim: d >= 3.
        n: number of samples, > 0, any shape.
        ridge: absolute ridge $\delta \ge 0$, of a shape that broadcasts with n.
        max_order: highest degree that is kept; by default two more than the first with N(d, k)
            above all n. Traced n need it.

    Returns:
        The curve. `kappa` and `eigenvalues` are absolute; the relative errors against
        `learning_curve` in five kernels, n from d^0.1 to d^4.3, were at most 20% at d = 30, 7%
        at 100 and 1% at 1000, and mostly below 1.5%.

    Raises:
        ValueError: an argument is out of its range, or n is so large that orders above 30 count.
        TypeError: n is traced and `max_order` is not given.
        DivergentError: without ridge, a kernel of finitely many degrees with exactly as many
            harmonics as samples: the variance is infinite.

    Reference: arXiv:2205.14846, for each order.

    Examples:
        >>> class Cubic:
        ...     trace = 1.0
        ...     def taylor_coefficients(self, count):
        ...         return np.array([0.0, 0.5, 0.0, 0.5] + [0.0] * count)[:count]
        >>> target = Target({1: 1.0, 2: 0.25, 3: 0.5})
        >>> curve = multiscale_curve(Cubic(), target, 1000, n=[30, 1e5, 1e11], ridge=0.01)
        >>> curve.test_error.round(2)  # nothing, degree 1, and then degree 3 is learned
        array([1.73, 0.76, 0.25])
    """
    dim = check.integer("dim", dim, minimum=3)
    check_target(target)
    positive("n", n)
    if is_concrete(ridge):
        check.nonnegative("ridge", ridge)
    noise = target.noise_variance
    check.broadcastable(n=n, ridge=ridge)
    if np.ndim(noise):
        check.broadcastable(n=n, ridge=ridge, noise_variance=noise)
    last = _last_degree(dim, n, max_order, target.highest_degree)
    dtype = working_dtype(target, n, ridge)
    columns, left_out = _degrees(kernel, dim, last, dtype)
    degrees = _Degrees(*(filled(jnp.asarray(column)) for column in columns))
    levels = Levels(
        degrees.eigenvalues, degrees.counts, degrees.masses, jnp.asarray(left_out, dtype)
    )
    points, shape = flat_points(levels, n, ridge, noise, dtype=dtype)
    power = jnp.asarray(target.powers(last + 1), dtype)
    aligned = levels.aligned(power)
    lost = points[2] + jnp.sum(jnp.where(levels.eigenvalues > 0, 0, aligned))
    refuse_divergence(points[0], levels.rank, points[1] + levels.tail, lost)
    flat = _errors(levels, degrees, aligned, *points)
    held = np.flatnonzero(columns.masses)
    found = f"0 to {last}" if len(held) == last + 1 else ", ".join(map(str, held.tolist()))
    method = f"limits of the orders {found} at dim {dim}, joined"
    return curve_of(levels, power, points, flat, shape, method=method, error=ERROR)


def _last_degree(dim: int, n: Any, max_order: int | None, target_degree: int) -> int:
    if max_order is not None:
        max_order = check.integer("max_order", max_order, minimum=0)
    if not is_concrete(n):
        if max_order is None:
            raise TypeError("max_order must be given where n is traced by jax, got None")
        return max(max_order, target_degree)
    largest = float(np.max(np.asarray(n)))
    orders = range(HIGHEST_ORDER + 1 if max_order is None else max_order + 1)
    beyond = next((k for k in orders if multiplicity(dim, k) > largest), None)
    if beyond is None:
        highest = orders[-1]
        raise ValueError(
            f"n must be less than N(dim, {highest}) = {multiplicity(dim, highest):.3g}, the number "
            f"of harmonics of the highest order at dim {dim}, got {largest:g}; "
            + ("ask for a higher max_order" if max_order is not None else "use learning_curve")
        )
    return max(beyond + MORE_DEGREES if max_order is None else max_order, target_degree)


def _degrees(kernel: DotProductKernel, dim: int, last: int, dtype: Any) -> tuple[_Degrees, float]:
    """The degrees up to the last, and what those above it hold of h(1)."""
    masses, left_out = limit_masses(kernel, last + 1)
    counts = np.array([float(multiplicity(dim, k)) for k in range(last + 1)])
    eigenvalues, counts = masses / counts, np.where(masses > 0, counts, 0.0)
    # Sums from the smallest side: mu_{>k}^2 by subtraction from h(1) would be lost to rounding.
    excess = left_out + np.append(np.cumsum(masses[:0:-1])[::-1], 0.0)
    columns = masses, counts, eigenvalues, np.cumsum(counts) - counts, excess
    return _Degrees(*(np.asarray(column, dtype) for column in columns)), excess[-1]


def _effective_ridge(degrees: _Degrees, left_out: Any, n: jax.Array, ridge: jax.Array) -> jax.Array:
    """The least kappa of the orders that the kernel has, and of the order above all of them."""
    samples = n[..., None] - degrees.lower_counts
    exists = degrees.masses > 0
    reached = exists & (samples > 0)
    counts, masses = (jnp.where(exists, column, 1) for column in (degrees.counts, degrees.masses))
    alpha = jnp.where(reached, samples, counts) / counts
    zeta = (ridge[..., None] + degrees.excess) / masses
    kappa = degrees.eigenvalues * jnp.asarray(marchenko_pastur_shift(alpha, zeta))
    least = jnp.min(jnp.where(reached, kappa, jnp.inf), axis=-1, initial=jnp.inf)
    surplus = n - degrees.counts.sum()
    above = (ridge + left_out) / jnp.where(surplus > 0, surplus, 1)
    return jnp.minimum(least, jnp.where(surplus > 0, above, jnp.inf))


@jax.jit
def _errors(
    levels: Levels, degrees: _Degrees, power: jax.Array, *points: jax.Array
) -> dict[str, Any]:

    def errors(levels: Levels, n: Any, ridge: Any, noise: Any) -> dict[str, jax.Array]:
        above = _effective_ridge(degrees, levels.tail, n, ridge)
        # The equation is convex: from above its root Newton's method stays above.
        width = spread(levels, above)
        slope = n - variance_dimension(levels, above)
        kappa = (above * width + ridge + levels.tail) / slope
        return errors_at(levels, power, kappa, (n, ridge, noise))

    return map_points(errors, levels, *points)
