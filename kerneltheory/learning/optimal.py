r"""The ridge that minimises the test error.

At fixed n the effective ridge :math:`\kappa` names the ridge,
:math:`\delta = \kappa (n - \sum N q) - \mathrm{tail}`, and the risk is explicit in it:

.. math:: T + \sigma^2 = \frac{n (B + \sigma^2)}{D}, \quad D = n - \sum N q^2, \qquad
    \frac{d \ln (T + \sigma^2)}{d \ln \kappa}
        = \frac{2 \sum q (1-q)^2 F^2}{B + \sigma^2} - \frac{2 \sum N q^2 (1-q)}{D}.

It may have a minimum for each level, so it is scanned before the lowest is refined.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import is_concrete
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import check_target, learning_curve, problem
from kerneltheory.learning.levels import (
    Levels,
    bias,
    bias_slope,
    bisected,
    decay,
    lowest_effective_ridge_at,
    map_points,
    spread,
    surplus,
)
from kerneltheory.spectra.spectrum import Spectrum, Target

# Each term of the risk is a rational function of kappa/lambda: nothing is narrower than this.
STEPS_PER_E_FOLD = 10


def optimal_ridge(spectrum: Spectrum, target: Target, n: Any) -> LearningCurve:
    r"""Return the learning curve at the ridge that minimises the test error at each n.

    Where noise and the power that is not yet learned are small the best ridge may be negative:
    the levels that are not learned already act as a ridge, and as too large a one.

    Args:
        spectrum: the levels of the kernel.
        target: power of the target at the levels of the spectrum, and the label noise.
        n: number of samples, real > 0, any shape that broadcasts with the noise variance.

    Returns:
        The curve. Its `ridge` is the best one; its method says at how many points it is negative.

    Raises:
        ValueError: n is not positive, or the spectrum holds nothing of the target, so that the
            best ridge is infinite.
        PrecisionError: as `learning_curve` does.

    Reference: arXiv:2009.14397 and arXiv:2110.03922 for the optimum; arXiv:2208.00256 for
    negative ridges.

    Examples:
        >>> features = Spectrum([1 / 100], [100])  # one level: the best ridge is S/F^2
        >>> curve = optimal_ridge(features, Target([2.0], noise_variance=0.5), n=[30, 300])
        >>> np.round(curve.ridge, 12)
        array([0.25, 0.25])
    """
    check_target(target)
    ridge = _optimal_ridges(spectrum, target, n)
    curve = learning_curve(spectrum, target, n, ridge)
    negative = int(np.sum(ridge < 0))
    flag = f", negative at {negative} of {ridge.size} points" if negative else ""
    return dataclasses.replace(curve, method=f"{curve.method}, optimal ridge{flag}")


@float64_policy
def _optimal_ridges(spectrum: Spectrum, target: Target, n: Any) -> Any:
    levels, (n, _, noise), shape = problem(spectrum, n, 0.0, target)
    if not is_concrete(levels, n, noise):
        raise TypeError("optimal_ridge chooses a grid by the values given: it cannot be traced")
    power = np.asarray(target.powers(len(spectrum.degrees)))
    eigenvalues = np.asarray(levels.eigenvalues)
    if not np.any(power * eigenvalues > 0):
        raise ValueError(
            "target must have power at a level that the kernel has; without any, the best ridge "
            f"is infinite; got powers {power} at eigenvalues {eigenvalues}"
        )
    low, high = _scales(levels, jnp.asarray(power), n, noise)
    width = float(jnp.max(jnp.log(high) - jnp.log(low)))
    steps = 2 ** math.ceil(math.log2(STEPS_PER_E_FOLD * width))
    return _minimised(steps, levels, jnp.asarray(power), n, noise, low, high).reshape(shape)


@jax.jit
def _scales(
    levels: Levels, power: jax.Array, n: jax.Array, noise: jax.Array
) -> tuple[jax.Array, jax.Array]:
    r"""Effective ridges between which the best one lies.

    The risk is infinite at the lowest effective ridge kappa*; to first order the optimum is at
    least 1.5 kappa*. From n = rank on, where kappa* = 0, the first orders of bias and variance in
    kappa balance at the noise times :math:`\sum N/\lambda / [(n - M) \sum F^2/\lambda^2]`, which
    is 0 without noise. Far above all eigenvalues they do so at
    :math:`\sum N \lambda^2 (\sum F^2 + \sigma^2)/(n \sum F^2 \lambda)`.
    """
    values, counts = levels.eigenvalues, levels.multiplicities
    held = values > 0
    smallest = jnp.min(jnp.where(held, values, jnp.inf))
    largest = jnp.max(values)
    inverse = jnp.where(held, smallest / jnp.where(held, values, 1), 0)
    lost = noise + jnp.sum(jnp.where(held, 0, power))
    above = jnp.maximum(n - levels.rank, 1)
    balance = lost * jnp.sum(counts * inverse) / (above * jnp.sum(power * inverse**2))
    first = smallest * jnp.clip(balance, 1e-30, 1e-2) * 1e-2
    lowest = map_points(lowest_effective_ridge_at, levels, n)
    ratio = values / largest
    top = jnp.sum(levels.masses * ratio) * (jnp.sum(power) + noise) / (n * jnp.sum(power * ratio))
    high = 1e2 * jnp.maximum(largest, top)
    return jnp.where(lowest > 0, 1.02 * lowest, first), high


@functools.partial(jax.jit, static_argnums=0)
def _minimised(steps: int, levels: Levels, power: jax.Array, *points: jax.Array) -> jax.Array:
    def ridge(
        levels: Levels, n: jax.Array, noise: jax.Array, low: jax.Array, high: jax.Array
    ) -> jax.Array:
        def slope(kappa: jax.Array) -> jax.Array:
            width = surplus(levels, kappa, n) + spread(levels, kappa)
            own = bias_slope(levels, power, kappa) / (bias(levels, power, kappa) + noise)
            return own - 2 * decay(levels, kappa) / width

        def risk(kappa: jax.Array) -> jax.Array:
            width = surplus(levels, kappa, n) + spread(levels, kappa)
            return (bias(levels, power, kappa) + noise) / width

        grid = jnp.linspace(jnp.log(low), jnp.log(high), steps)
        best = jnp.argmin(jax.vmap(risk)(jnp.exp(grid)))
        bracket = grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, steps - 1)]
        kappa = bisected(slope, *bracket)
        # Without noise and with more samples than modes all is learned, at kappa = 0.
        lost = noise + jnp.sum(jnp.where(levels.eigenvalues > 0, 0, power))
        kappa = jnp.where((n >= levels.rank) & (lost == 0), 0, kappa)
        return kappa * surplus(levels, kappa, n) - levels.tail

    return map_points(ridge, levels, *points, width=steps)
