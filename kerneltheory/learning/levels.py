r"""Sums over the levels of a spectrum, and the effective ridge that they determine.

With the learnability :math:`q_k = \lambda_k/(\lambda_k + \kappa)` all sums are of positive terms:
:math:`\sum N q`, :math:`\sum N q^2`, :math:`\sum N q (1-q)`. Nothing here multiplies two numbers
of the size of an eigenvalue, so eigenvalues may span the range of floats.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core.errors import NotPositiveDefiniteError
from kerneltheory.core.records import is_concrete
from kerneltheory.spectra.spectrum import Spectrum

# Entries of a (points, levels) block that is worked on at once: a few MB in float64.
BLOCK_ENTRIES = 2**18
# Newton steps near n = total multiplicity with a tiny ridge only halve the distance to the root
# until kappa ~ sqrt(ridge); this many halvings cover the range of float64. Usual is about ten.
MAX_STEPS = 1100
# Lengths are rounded up to multiples of this: jax compiles once for most spectra.
LENGTH_STEP = 32
# Halvings of a bracket of ln kappa, at most 1500 wide in float64, down to rounding.
HALVINGS = 64


class Levels(NamedTuple):
    """A spectrum in one dtype; masses are multiplied before any rounding to float32.

    It may end in levels without modes, of eigenvalue, multiplicity and mass zero.
    """

    eigenvalues: jax.Array
    multiplicities: jax.Array
    masses: jax.Array
    tail: jax.Array

    @property
    def rank(self) -> jax.Array:
        """The total multiplicity of the positive eigenvalues."""
        return jnp.sum(jnp.where(self.eigenvalues > 0, self.multiplicities, 0))

    @property
    def trace(self) -> jax.Array:
        """h(1)."""
        return jnp.sum(self.masses) + self.tail

    def aligned(self, power: jax.Array) -> jax.Array:
        """The power of a target, and none in the levels without modes."""
        return jnp.pad(power, (0, self.eigenvalues.size - power.size))


def refuse_negative(spectrum: Spectrum) -> None:
    """Refuse a spectrum of which an eigenvalue is known to be negative."""
    if is_concrete(spectrum) and np.any(np.asarray(spectrum.eigenvalues) < 0):
        worst = int(np.argmin(np.asarray(spectrum.eigenvalues)))
        raise NotPositiveDefiniteError(
            "spectrum must not have negative eigenvalues, got "
            f"{float(spectrum.eigenvalues[worst]):.6g} at degree {worst}: kernel ridge regression "
            "has no learning curve for a kernel that is not positive definite"
        )


def levels_of(spectrum: Spectrum, dtype: Any) -> Levels:
    """Return the levels of a spectrum whose eigenvalues are not negative, and some without modes.

    Raises:
        NotPositiveDefiniteError: an eigenvalue is negative.
    """
    refuse_negative(spectrum)
    arrays = spectrum.eigenvalues, spectrum.multiplicities, spectrum.level_masses
    columns = (filled(jnp.asarray(array, dtype)) for array in arrays)
    return Levels(*columns, tail=jnp.asarray(spectrum.tail, dtype))


def filled(array: jax.Array) -> jax.Array:
    """The array, and zeros up to a length that many spectra share."""
    return jnp.pad(array, (0, -array.size % LENGTH_STEP))


def _denominators(levels: Levels, kappa: jax.Array) -> jax.Array:
    # Only a level with eigenvalue 0 at kappa = 0 has no denominator; nothing of it is learned.
    total = levels.eigenvalues + kappa
    return jnp.where(total > 0, total, 1)


def learned(levels: Levels, kappa: jax.Array) -> jax.Array:
    """Return q of every level."""
    return levels.eigenvalues / _denominators(levels, kappa)


def unlearned(levels: Levels, kappa: jax.Array) -> jax.Array:
    """Return 1 - q of every level."""
    total = levels.eigenvalues + kappa
    return jnp.where(total > 0, kappa / _denominators(levels, kappa), 1)


def surplus(levels: Levels, kappa: jax.Array, n: jax.Array) -> jax.Array:
    """Return n - sum N q, which is (ridge + tail)/kappa at the root.

    Well-learned levels are counted as N - N (1 - q), so that n - N is exact and neither a small
    ridge at n = total multiplicity nor a plateau between two levels is lost to rounding.
    """
    denominators = _denominators(levels, kappa)
    known = levels.eigenvalues > kappa
    counted = jnp.where(known, levels.multiplicities, 0)
    missing = jnp.sum(counted * (kappa / denominators))
    rest = jnp.sum(jnp.where(known, 0, levels.masses / denominators))
    return (n - jnp.sum(counted)) + (missing - rest)


def spread(levels: Levels, kappa: jax.Array) -> jax.Array:
    """Return sum N q (1 - q)."""
    denominators = _denominators(levels, kappa)
    return jnp.sum((levels.masses / denominators) * (kappa / denominators))


def dimension(levels: Levels, kappa: jax.Array) -> jax.Array:
    """Return sum N q, the effective dimension."""
    return jnp.sum(levels.masses / _denominators(levels, kappa))


def variance_dimension(levels: Levels, kappa: jax.Array) -> jax.Array:
    """Return sum N q^2."""
    denominators = _denominators(levels, kappa)
    return jnp.sum((levels.masses / denominators) * (levels.eigenvalues / denominators))


def bias(levels: Levels, power: jax.Array, kappa: jax.Array) -> jax.Array:
    """Return sum (1 - q)^2 F^2."""
    return jnp.sum(unlearned(levels, kappa) ** 2 * power)


def _newton(levels: Levels, n: jax.Array, ridge: jax.Array) -> jax.Array:
    r"""The largest root of G = kappa (n - sum N q) - ridge - tail, from the right.

    G is convex and lies above the line :math:`n \kappa - h(1) - \delta`, which vanishes at the
    start: so Newton's steps descend to the largest root, also for a negative ridge. Each is the
    ratio of two sums of positive terms if the ridge is not negative. A point stops when its step
    no longer descends, so the result does not depend on the points solved beside it. Where the
    slope n - sum N q^2 is not positive there is no root, and the answer is NaN.
    """
    total_ridge = ridge + levels.tail
    interpolates_exactly = (total_ridge == 0) & (n >= levels.rank)
    start = jnp.where(interpolates_exactly, 0, (levels.trace + ridge) / n)
    tolerance = 2 * jnp.finfo(start.dtype).eps

    def descends(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return state[1] & (state[2] < MAX_STEPS)

    def step(state: tuple[jax.Array, jax.Array, jax.Array]) -> Any:
        kappa, _, steps = state
        width = spread(levels, kappa)
        slope = surplus(levels, kappa, n) + width
        updated = (kappa * width + total_ridge) / slope
        exists = (slope > 0) & (updated > 0)
        active = exists & (updated < kappa * (1 - tolerance))
        kept = jnp.where(exists, kappa, jnp.nan)
        return jnp.where(active, updated, kept), active, steps + 1

    return jax.lax.while_loop(descends, step, (start, ~interpolates_exactly, jnp.int32(0)))[0]


def effective_ridge_at(levels: Levels, n: jax.Array, ridge: jax.Array) -> jax.Array:
    """Return kappa at one point, differentiable through the equation that defines it."""

    def equation(kappa: jax.Array) -> jax.Array:
        return kappa * surplus(levels, kappa, n) - (ridge + levels.tail)

    # No stop_gradient in the solver: inside lax.map it makes second derivatives wrong.
    return jax.lax.custom_root(
        equation,
        jnp.zeros_like(n),
        lambda _, __: _newton(levels, n, ridge),
        lambda linear, value: value / linear(jnp.ones_like(value)),
    )


def halved(is_above: Any, low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Halve a bracket of a change down to rounding; `is_above` says which points lie above it."""

    def halve(_: int, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        middle = (bracket[0] + bracket[1]) / 2
        above = is_above(middle)
        return jnp.where(above, bracket[0], middle), jnp.where(above, middle, bracket[1])

    return jax.lax.fori_loop(0, HALVINGS, halve, (low, high))


def lowest_effective_ridge_at(levels: Levels, n: jax.Array) -> jax.Array:
    r"""Return the kappa of the most negative ridge, where sum N q^2 = n; 0 from n = rank on.

    The sum falls with kappa. It is at least :math:`M/(1 + \kappa/\lambda_{min})^2` and at most
    :math:`\sum N \lambda^2/\kappa^2`, which brackets the root.
    """
    positive = levels.eigenvalues > 0
    smallest = jnp.min(jnp.where(positive, levels.eigenvalues, jnp.inf))
    unique = n < levels.rank
    within = jnp.where(unique, n, levels.rank / 2)
    largest = jnp.max(levels.eigenvalues)
    ratios = levels.masses * (levels.eigenvalues / largest)
    high = 0.5 * (jnp.log(jnp.sum(ratios)) + jnp.log(largest) - jnp.log(within))
    low = jnp.log(smallest) + jnp.log(jnp.sqrt(levels.rank / within) - 1)

    def missing(kappa: jax.Array) -> jax.Array:
        return within - variance_dimension(levels, kappa)

    def solve(_: Any, __: Any) -> jax.Array:
        below, above = halved(lambda log_kappa: missing(jnp.exp(log_kappa)) > 0, low, high)
        return jnp.exp((below + above) / 2)

    root = jax.lax.custom_root(
        missing,
        jnp.zeros_like(within),
        solve,
        lambda linear, value: value / linear(jnp.ones_like(value)),
    )
    return jnp.where(unique, root, 0)


def lowest_ridge_at(levels: Levels, n: jax.Array) -> jax.Array:
    """Return the most negative ridge, minus the lower edge of the spectrum of the Gram matrix."""
    kappa = lowest_effective_ridge_at(levels, n)
    return -kappa * spread(levels, kappa) - levels.tail


def map_points(function: Any, levels: Levels, *points: jax.Array) -> Any:
    """Apply a function of the levels and one point to flat arrays of points, in blocks."""
    batch = max(1, min(points[0].size, BLOCK_ENTRIES // levels.eigenvalues.size))
    return jax.lax.map(lambda point: function(levels, *point), points, batch_size=batch)
