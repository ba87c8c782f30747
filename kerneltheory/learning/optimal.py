r"""The ridge at which the test error is least, of kernel regression and on random features.

The test error is explicit in the effective ridge :math:`\kappa` of the (mean) kernel, and so is
the ridge: :math:`\delta = \kappa (n - z)` with :math:`z = \sum N q + \mathrm{tail}/\kappa`, and
:math:`\delta = \kappa (n - z)(p - z)/p` on p random features. As a function of
:math:`\ln\kappa` nothing in it changes within less than a unit: a scan in smaller steps finds the
valley of the lowest minimum, and the sign of the slope the minimum in it.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import is_concrete, positive, working_dtype
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import (
    check_spectrum,
    check_target,
    flat_points,
    learning_curve,
    shaped,
)
from kerneltheory.learning.levels import (
    Levels,
    bias,
    effective_ridge_at,
    halved,
    learned,
    levels_of,
    lowest_effective_ridge_at,
    map_points,
    spread,
    surplus,
    variance_dimension,
)
from kerneltheory.learning.random_features import (
    feature_errors_at,
    gaps_at,
    random_feature_curve,
)
from kerneltheory.spectra.spectrum import Spectrum, Target

# Of ln kappa, in which q (1 - q) of a level is a bump three units wide.
STEP = 0.125


def optimal_ridge(
    spectrum: Spectrum, target: Target, n: Any, features: Any = None
) -> LearningCurve:
    r"""Return the learning curve at the ridge that minimises the test error at each n.

    Where noise and the power that is not yet learned are small the best ridge of a kernel may be
    negative: the levels that are not learned already act as a ridge, and as too large a one.

    Args:
        spectrum: the levels of the kernel, or of the mean kernel of random features.
        target: power of the target at the levels of the spectrum, and the label noise.
        n: number of samples, real > 0, any shape.
        features: number of random features, real > 0, any shape; None for the kernel itself.
            Their ridge is not negative.

    Returns:
        The curve, of the shape to which n, features and the noise variance broadcast. Its `ridge`
        is the best one; its method says at how many points it is negative. It is differentiable
        in all arguments, but where the best ridge jumps between valleys.

    Raises:
        ValueError: n or features is not positive, or the spectrum holds nothing of the target, so
            that the best ridge is infinite.
        NotPositiveDefiniteError: the spectrum has a negative eigenvalue.
        PrecisionError: as `learning_curve` does.

    Reference: arXiv:2009.14397, arXiv:2208.00256 for negative ridges; arXiv:2311.14646, where the
    least error is shown to fall with n and with the number of features.

    Examples:
        >>> level = Spectrum([1 / 100], [100])  # the best ridge is the noise over the power
        >>> curve = optimal_ridge(level, Target([2.0], noise_variance=0.5), n=[30, 300])
        >>> np.round(curve.ridge, 9)
        array([0.25, 0.25])
    """
    check_target(target)
    check_spectrum(spectrum)
    ridge = _best(spectrum, target, n, features)
    if features is None:
        curve = learning_curve(spectrum, target, n, ridge)
    else:
        curve = random_feature_curve(spectrum, target, n, features, ridge)
    negative = int(np.sum(np.asarray(ridge) < 0)) if is_concrete(ridge) else 0
    flag = f", negative at {negative} of {np.size(ridge)} points" if negative else ""
    return dataclasses.replace(curve, method=f"{curve.method}, optimal ridge{flag}")


@float64_policy
def _best(spectrum: Spectrum, target: Target, n: Any, features: Any) -> Any:
    positive("n", n)
    given = {} if features is None else {"features": features}
    for name, value in given.items():
        positive(name, value)
    check.broadcastable(n=n, **given, noise_variance=target.noise_variance)
    dtype = working_dtype(spectrum, n, features, target)
    levels = levels_of(spectrum, dtype)
    power = levels.aligned(jnp.asarray(target.powers(len(spectrum.degrees)), dtype))
    if is_concrete(levels, power) and not np.any(np.asarray(power * levels.eigenvalues) > 0):
        degrees = np.flatnonzero(power).tolist()
        raise ValueError(
            "target must have power at a level that the kernel has; without any, the best ridge "
            f"is infinite; got power at the levels {degrees}, where the eigenvalues vanish"
        )
    # So many features that no float tells the kernel from its mean.
    many = float(np.sqrt(jnp.finfo(dtype).max)) if features is None else features
    points, shape = flat_points(levels, n, many, target.noise_variance, dtype=dtype)
    solve = _of_kernel if features is None else _of_features
    return shaped(solve(levels, power, *points), shape)


@jax.jit
def _of_kernel(levels: Levels, power: jax.Array, *points: jax.Array) -> jax.Array:
    def ridge(levels: Levels, n: Any, features: Any, noise: Any) -> jax.Array:
        def error(logarithm: jax.Array) -> jax.Array:
            kappa = jnp.exp(logarithm)
            width = surplus(levels, kappa, n) + spread(levels, kappa)
            excess = variance_dimension(levels, kappa) / width
            own = bias(levels, power, kappa)
            risk = _risk(levels, power, kappa, own, excess * (own + noise))
            return jnp.where(width > 0, risk, jnp.inf)

        # The error is infinite at the most negative ridge.
        edge = lowest_effective_ridge_at(levels, n)
        low = jnp.where(edge > 0, 1.02 * edge, _far_below(levels, power, n, noise))
        bounds = jnp.log(low), jnp.log(_highest(levels, power, n, features, noise))
        logarithm = _least(error, *bounds)
        kappa = jnp.where(logarithm > bounds[0], jnp.exp(logarithm), 0)
        return kappa * surplus(levels, kappa, n) - levels.tail

    return map_points(ridge, levels, *points)


@jax.jit
def _of_features(levels: Levels, power: jax.Array, *points: jax.Array) -> jax.Array:
    def ridge(levels: Levels, n: Any, features: Any, noise: Any) -> jax.Array:
        def error(logarithm: jax.Array) -> jax.Array:
            gamma = jnp.exp(logarithm)
            gaps = gaps_at(levels, gamma, n, features)
            errors = feature_errors_at(levels, power, gamma, gaps, n, noise)
            # At n = p the gaps at the lower bound are lost to rounding; the error is infinite.
            risk = _risk(levels, power, gamma, errors["bias"], errors["variance"])
            return jnp.where(errors["overfitting"] > 0, risk, jnp.inf)

        edge = effective_ridge_at(levels, jnp.minimum(n, features), jnp.zeros_like(n))
        low = jnp.where(edge > 0, edge, _far_below(levels, power, n, noise))
        bounds = jnp.log(low), jnp.log(_highest(levels, power, n, features, noise))
        logarithm = _least(error, *bounds)
        gamma = jnp.exp(logarithm)
        gaps = gaps_at(levels, gamma, n, features)
        ridge = gamma * gaps.samples * (gaps.features / features)
        return jnp.where(logarithm > bounds[0], jnp.maximum(ridge, 0), 0)

    return map_points(ridge, levels, *points)


def _risk(
    levels: Levels, power: jax.Array, kappa: jax.Array, own: jax.Array, variance: jax.Array
) -> jax.Array:
    """The logarithm of T over the power, precise where little is left of it, or hardly any gained.

    T less the power is the variance less sum F^2 q (2 - q), which the power does not drown.
    """
    total = jnp.sum(power)
    total = jnp.where(total > 0, total, 1)
    share = learned(levels, kappa)
    gained = (variance - jnp.sum(power * share * (2 - share))) / total
    left = (own + variance) / total
    small = left < 0.5
    return jnp.where(
        small, jnp.log(jnp.where(small, left, 1)), jnp.log1p(jnp.where(small, 0, gained))
    )


def _far_below(levels: Levels, power: jax.Array, n: jax.Array, noise: jax.Array) -> jax.Array:
    """A kappa far below that of the least error where all modes have been seen.

    There the variance falls with kappa at the rate of its size times (sum N/lambda)/n, and the
    squared bias rises with its square over lambda^2: both are out of reach of this kappa.
    """
    smallest = jnp.min(jnp.where(levels.eigenvalues > 0, levels.eigenvalues, jnp.inf))
    share = jnp.where(noise > 0, noise / (noise + jnp.sum(power)), 1)
    far = smallest * jnp.finfo(n.dtype).eps * share / jnp.maximum(n, 1)
    return jnp.maximum(far, jnp.finfo(n.dtype).tiny)


def _highest(levels: Levels, power: jax.Array, n: Any, features: Any, noise: Any) -> jax.Array:
    r"""A kappa above that of the least error, where T = P - 2 c_1/kappa + c_2/kappa^2.

    With P the power, c_1 = sum lambda F^2 and c_2 at most what is below, the minimum is at
    c_2/c_1 if that is above h(1), so that the expansion holds, and else not far above h(1).
    """
    largest = jnp.max(levels.eigenvalues)
    scaled = levels.eigenvalues / largest
    trace = levels.trace / largest
    first = jnp.sum(scaled * power)
    samples = (jnp.sum(power) + noise) / n * (trace + trace**2 / features)
    second = 3 * jnp.sum(power * scaled) + trace / features * first + samples
    ratio = jnp.where(first > 0, second / jnp.where(first > 0, first, 1), 1)
    return 1e3 * largest * (1 + trace + ratio)


def _least(error: Any, low: jax.Array, high: jax.Array) -> jax.Array:
    """Where a function is least, differentiable: its slope vanishes, or it is the lower bound."""
    slope = jax.grad(error)
    return jax.lax.custom_root(
        lambda point: jnp.where(point > low, slope(point), point - low),
        low,
        lambda _, __: _search(error, slope, low, high),
        lambda linear, value: value / linear(jnp.ones_like(value)),
    )


def _search(error: Any, slope: Any, low: jax.Array, high: jax.Array) -> jax.Array:
    """The best of a scan, then halving by the sign of the slope."""

    def scan(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        point, best, least = state
        value = error(point)
        better = value < least
        return point + STEP, jnp.where(better, point, best), jnp.where(better, value, least)

    start = low, low, jnp.full_like(low, jnp.inf)
    best = jax.lax.while_loop(lambda state: state[0] < high, scan, start)[1]
    first = jnp.where(best < low + 1.5 * STEP, low, best - STEP)
    left, right = halved(lambda point: slope(point) > 0, first, best + STEP)
    # All halvings went to the left: the slope is positive from the lower bound on.
    return jnp.where(left <= low, low, (left + right) / 2)
