r"""Peaks of the test error against the number of samples: multiple descent.

At a fixed ridge the number of samples is explicit in the effective ridge,
:math:`n = \sum N q + \zeta/\kappa` with :math:`\zeta = \delta + \mathrm{tail}`, and so is the risk

.. math:: T + \sigma^2 = \frac{n (B + \sigma^2)}{D}, \quad D = \sum N q (1-q) + \zeta/\kappa,
    \qquad \frac{d \ln (T + \sigma^2)}{d \ln \kappa} = 1 - \frac{D}{n}
        + \frac{2 \sum q (1-q)^2 F^2}{B + \sigma^2} - \frac{2 \sum N q^2 (1-q)}{D}.

In :math:`\ln \kappa` nothing is narrower than about one, however sharp a peak is in n: a scan of
its sign finds every peak.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import Array, ArrayRecord, array_record, static
from kerneltheory.learning.equivalent import (
    MAX_TRUNCATION,
    check_spectrum,
    check_target,
    problem,
    truncation_share,
)
from kerneltheory.learning.levels import (
    Levels,
    bias,
    bias_slope,
    bisected,
    decay,
    dimension,
    learned,
    spread,
)
from kerneltheory.spectra.spectrum import Spectrum, Target

STEPS_PER_E_FOLD = 20


@array_record
class Peaks(ArrayRecord):
    r"""The local maxima of the test error over the number of samples, from few samples on.

    Args:
        levels: of each peak the level that is being learned, the one with the largest part in
            $\sum_k N_k q_k^2$: the degree, on the sphere.
        n: number of samples at the peak.
        test_error: its height; infinite where ridge and tail vanish.
        valley: the lowest test error between the peak before, or the start, and this one.
        kappa: effective ridge at the peak.
        exist: of every level of the spectrum up to the last that is searched, whether it has one.
        ridge: the absolute ridge.

    Examples:
        >>> Peaks(levels=np.array([2]), n=np.array([496.0]), test_error=np.array([0.9]),
        ...       valley=np.array([0.4]), kappa=np.array([0.01]), exist=np.array([0, 0, 1]) > 0,
        ...       ridge=0.1)
        Peaks: 1 of 3 levels, ridge 0.1
        level    n  test error  valley before
            2  496         0.9            0.4
    """

    levels: Array
    n: Array
    test_error: Array
    valley: Array
    kappa: Array
    exist: Array
    ridge: Array | float
    method: str = static("deterministic equivalent")

    def _title(self) -> str:
        count = int(np.sum(self.exist))
        return f"Peaks: {count} of {np.size(self.exist)} levels, ridge {float(self.ridge):.6g}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        columns = self.levels, self.n, self.test_error, self.valley
        rows = [[f"{value:.6g}" for value in row] for row in zip(*columns, strict=True)]
        return ["level", "n", "test error", "valley before"], rows


def peaks(spectrum: Spectrum, target: Target, ridge: float) -> Peaks:
    r"""Return the peaks of the learning curve: where they are, how high, and of which levels.

    Args:
        spectrum: the levels of the kernel.
        target: power of the target at the levels of the spectrum, and one noise variance.
        ridge: absolute ridge $\delta \ge 0$, one number.

    Returns:
        The peaks from n = 1 on. On the sphere the search ends where more samples would learn
        degrees above the spectrum's last; levels of which there is more to learn there are not in
        `exist`.

    Raises:
        ValueError: the ridge is negative or no single number.

    Reference: arXiv:2205.14846.

    Examples:
        >>> features = Spectrum([1 / 100], [100], tail=0.01)
        >>> found = peaks(features, Target([1.0], noise_variance=1.0), ridge=0.0)
        >>> bool(found.exist[0]), bool(abs(found.n[0] - 100) < 1)
        (True, True)
    """
    ridge = float(check.nonnegative("ridge", check.finite("ridge", ridge, ndim=0)))
    check_target(target)
    check_spectrum(spectrum)
    return _found(spectrum, target, ridge, _grid(spectrum, ridge))


def _grid(spectrum: Spectrum, ridge: float) -> np.ndarray:
    """Effective ridges, rising, from where all is learned up to where n = 1 sees nothing."""
    values = np.asarray(spectrum.eigenvalues, dtype=np.float64)
    held = values > 0
    total = ridge + float(spectrum.tail)
    smallest = values[held].min()
    inverse = float(np.sum(np.asarray(spectrum.multiplicities)[held] * (smallest / values[held])))
    low = 1e-3 * min(smallest, math.sqrt(total * smallest / inverse) or smallest)
    high = 4 * (float(spectrum.trace) + ridge)
    steps = math.ceil(STEPS_PER_E_FOLD * (math.log(high) - math.log(low)))
    grid = np.exp(np.linspace(math.log(low), math.log(high), steps))
    if spectrum.dim is None:
        return grid
    return grid[truncation_share(spectrum, grid) <= MAX_TRUNCATION]


@float64_policy
def _found(spectrum: Spectrum, target: Target, ridge: float, grid: np.ndarray) -> Peaks:
    levels, _, _ = problem(spectrum, 1.0, ridge)
    noise = target.single_noise_variance
    power = jnp.asarray(target.powers(len(spectrum.degrees)))
    state = _State(levels, power, jnp.asarray(noise), ridge + levels.tail)
    slopes = np.asarray(_slopes(state, jnp.asarray(grid)))
    tops = np.flatnonzero((slopes[:-1] > 0) & (slopes[1:] <= 0))[::-1]
    kappas = np.asarray(_refined(state, jnp.asarray(grid[tops]), jnp.asarray(grid[tops + 1])))
    lost = noise + float(jnp.sum(jnp.where(levels.eigenvalues > 0, 0, power)))
    if float(state.total_ridge) == 0 and lost > 0:  # the last of its kind stands at kappa = 0
        kappas = np.append(kappas, 0.0)
    samples, risks, shares = map(np.asarray, _described(state, jnp.asarray(kappas)))
    searched, grid_risks, grid_shares = map(np.asarray, _described(state, jnp.asarray(grid)))
    first = np.append(np.inf, kappas)[:-1]
    valleys = [
        grid_risks[(grid > own) & (grid < before) & (searched >= 1)].min(initial=np.inf)
        for own, before in zip(kappas, first, strict=True)
    ]
    keep = samples >= 1
    owners = shares.argmax(axis=-1)[keep]
    return Peaks(
        levels=owners,
        n=samples[keep],
        test_error=risks[keep] - noise,
        valley=np.array(valleys)[keep] - noise,
        kappa=kappas[keep],
        exist=np.isin(np.arange(grid_shares[0].argmax() + 1), owners),
        ridge=ridge,
    )


class _State(NamedTuple):
    levels: Levels
    power: jax.Array
    noise: jax.Array
    total_ridge: jax.Array


def _samples(state: _State, kappa: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return n and D = n - sum N q^2; at kappa = 0 without ridge, the rank and 0."""
    ridge_term = jnp.where(kappa > 0, state.total_ridge / jnp.where(kappa > 0, kappa, 1), 0)
    n = dimension(state.levels, kappa) + ridge_term
    return n, spread(state.levels, kappa) + ridge_term


def _slope(state: _State, kappa: jax.Array) -> jax.Array:
    """The derivative of ln(T + noise) in ln kappa at fixed ridge."""
    n, width = _samples(state, kappa)
    noisy = bias(state.levels, state.power, kappa) + state.noise
    own = bias_slope(state.levels, state.power, kappa) / noisy
    return 1 - width / n + own - 2 * decay(state.levels, kappa) / width


def _description(state: _State, kappa: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return n, T + noise, and N q^2 of every level."""
    n, width = _samples(state, kappa)
    risk = n * (bias(state.levels, state.power, kappa) + state.noise) / width
    share = learned(state.levels, kappa)
    return n, risk, share * jnp.where(share > 0, state.levels.multiplicities, 0) * share


@jax.jit
def _slopes(state: _State, kappas: jax.Array) -> jax.Array:
    return jax.lax.map(lambda kappa: _slope(state, kappa), kappas, batch_size=256)


@jax.jit
def _described(state: _State, kappas: jax.Array) -> Any:
    return jax.lax.map(lambda kappa: _description(state, kappa), kappas, batch_size=256)


@jax.jit
def _refined(state: _State, low: jax.Array, high: jax.Array) -> jax.Array:
    def refine(bracket: tuple[jax.Array, jax.Array]) -> jax.Array:
        return bisected(lambda kappa: -_slope(state, kappa), *map(jnp.log, bracket))

    return jax.lax.map(refine, (low, high))
