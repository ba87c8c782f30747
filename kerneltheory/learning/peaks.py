r"""Peaks of the test error against the number of samples: multiple descent.

At a fixed ridge the number of samples is explicit in the effective ridge,
:math:`n = \sum N q + \zeta/\kappa` with :math:`\zeta = \delta + \mathrm{tail}`, and so is the risk

.. math:: T + \sigma^2 = \frac{n (B + \sigma^2)}{D}, \quad D = \sum N q (1-q) + \zeta/\kappa,
    \qquad \frac{d \ln (T + \sigma^2)}{d \ln \kappa} = \frac1n \sum N q^2
        + \frac{2 \sum q (1-q)^2 F^2}{B + \sigma^2} - \frac{2 \sum N q^2 (1-q)}{D}.

In :math:`\ln \kappa` nothing is narrower than about one, however sharp a peak is in n: a scan of
its sign finds every peak. All is computed from :math:`\ln \lambda - \ln \kappa` and
:math:`\ln N`, so that levels whose numbers leave the range of floats have their peaks too.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.errors import PrecisionError
from kerneltheory.core.figures import COLORS, PEAK, axes_or_new
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import Array, ArrayRecord, array_record, is_concrete, static
from kerneltheory.learning.equivalent import (
    MAX_TRUNCATION,
    check_spectrum,
    check_target,
    truncation_share,
)
from kerneltheory.learning.levels import halved, refuse_negative
from kerneltheory.spectra.spectrum import Spectrum, Target

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

STEPS_PER_E_FOLD = 20
BATCH = 256
# Beyond so many samples, and above so large an effective ridge, floats overflow.
MOST_SAMPLES = 1e300
LARGEST_LOG = 709.0


@array_record
class Peaks(ArrayRecord):
    r"""The local maxima of the test error over the number of samples, from few samples on.

    Args:
        levels: of each peak the level that is being learned: the last, by falling eigenvalue, that
            is at least half learned, or a later one with the largest part in $\sum_k N_k q_k^2$,
            but before that of the next peak; the degree, on the sphere.
        n: number of samples at the peak.
        test_error: its height; infinite where ridge and tail vanish.
        valley: the lowest test error between the peak before, or the start, and this one.
        kappa: effective ridge at the peak.
        exist: of every level of the spectrum up to the last that is searched, whether it has one.
        ridge: the absolute ridge.
        method: what made the curve.

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

    def to_xarray(self) -> "xarray.Dataset":
        """The peaks on the axis `peak`, and `exist` on the axis `degree`, as an xarray.Dataset."""
        import xarray

        names = "levels", "n", "test_error", "valley", "kappa"
        variables = {name: ("peak", np.asarray(getattr(self, name))) for name in names}
        return xarray.Dataset(
            {**variables, "exist": ("degree", np.asarray(self.exist)), "ridge": float(self.ridge)},
            coords={"degree": np.arange(np.size(self.exist))},
            attrs={"method": self.method},
        )

    def plot(self, ax: "Axes | None" = None, **style: Any) -> "Axes":
        """Mark each peak by a triangle at its n and height, with its level, and return the axes.

        An infinite peak is marked on the upper frame.

        Args:
            ax: axes to draw in, as those of `LearningCurve.plot`, whose scales are kept; empty
                axes become logarithmic. A new figure if None.
            style: passed on to matplotlib for the triangles.
        """
        axes = axes_or_new(ax)
        if not axes.has_data():
            axes.set(xscale="log", yscale="log", xlabel="samples $n$", ylabel="test error")
        finite = np.isfinite(self.test_error)
        _mark(axes, self, finite, axes.transData, style)
        _mark(axes, self, ~finite, axes.get_xaxis_transform(), style)
        return axes


def _mark(axes: "Axes", found: Peaks, chosen: np.ndarray, transform: Any, style: Any) -> None:
    """Draw some of the peaks; those without a height at the height 1 of the frame."""
    samples, height = np.asarray(found.n)[chosen], np.asarray(found.test_error)[chosen]
    height = np.where(np.isfinite(height), height, 1.0)
    if not samples.size:
        return
    look: dict[str, Any] = {
        **PEAK,
        "color": COLORS["test_error"],
        "clip_on": False,
        "transform": transform,
    }
    axes.plot(samples, height, **(look | style))
    for level, x, y in zip(np.asarray(found.levels)[chosen], samples, height, strict=True):
        place: dict[str, Any] = {"xycoords": transform, "textcoords": "offset points"}
        axes.annotate(f"{level}", (x, y), (0, 5), ha="center", annotation_clip=False, **place)


def peaks(spectrum: Spectrum, target: Target, ridge: float) -> Peaks:
    r"""Return the peaks of the learning curve: where they are, how high, and of which levels.

    Args:
        spectrum: the levels of the kernel, not all of eigenvalue zero.
        target: power of the target at the levels of the spectrum, and one noise variance.
        ridge: absolute ridge $\delta \ge 0$, one number.

    Returns:
        The peaks from n = 1 on, in float64. On the sphere the search ends where more samples would
        learn degrees above the spectrum's last, and everywhere at n = 1e300; levels of which less
        than half is learned there are not in `exist`, unless they have their peak.

    How many peaks there are is no function that jax traces: `peaks` does not work under jit, grad
    or vmap. Differentiate `learning_curve` at a peak's n instead.

    Raises:
        ValueError: the ridge is negative or no single number, or no eigenvalue is positive.
        TypeError: an argument is being traced by jax.
        NotPositiveDefiniteError: the spectrum has a negative eigenvalue.
        PrecisionError: one sample learns degrees above the spectrum's last.

    Reference: arXiv:2205.14846.

    Examples:
        >>> features = Spectrum([1 / 100], [100], tail=0.01)
        >>> found = peaks(features, Target([1.0], noise_variance=1.0), ridge=0.0)
        >>> bool(found.exist[0]), bool(abs(found.n[0] - 100) < 1)
        (True, True)
    """
    check_target(target)
    check_spectrum(spectrum)
    if not is_concrete(spectrum, target, ridge):
        raise TypeError(
            "peaks is not traceable by jax, since the number of peaks depends on values: call it "
            "outside jit, grad and vmap, and differentiate kt.learning_curve at a peak's n"
        )
    ridge = float(check.nonnegative("ridge", check.finite("ridge", ridge, ndim=0)))
    refuse_negative(spectrum)
    state = _state(spectrum, target, ridge)
    logs, whole = _grid(spectrum, state, ridge)
    return _found(state, logs, ridge, whole)


class _State(NamedTuple):
    """Logarithms of a spectrum; -infinity is the one of zero."""

    eigenvalues: Any
    multiplicities: Any
    power: Any
    noise: Any
    total_ridge: Any


def _state(spectrum: Spectrum, target: Target, ridge: float) -> _State:
    eigenvalues = np.asarray(spectrum.log_eigenvalues, dtype=np.float64)
    if not (eigenvalues > -np.inf).any():
        raise ValueError("spectrum must have a positive eigenvalue, got none: nothing is learned")
    return _State(
        eigenvalues,
        np.asarray(spectrum.log_multiplicities, dtype=np.float64),
        np.asarray(target.powers(len(spectrum.degrees)), dtype=np.float64),
        np.float64(target.single_noise_variance),
        np.logaddexp(_log(ridge), _log(float(spectrum.tail))),
    )


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _grid(spectrum: Spectrum, state: _State, ridge: float) -> tuple[np.ndarray, bool]:
    """The ln kappa, rising, from where all is learned up to where n = 1 sees nothing.

    And whether that is all of it, and not what is left where the spectrum's levels tell the errors
    and floats hold n.
    """
    held = state.eigenvalues > -np.inf
    logs, counts = state.eigenvalues[held], state.multiplicities[held]
    smallest = logs.min()
    low = smallest
    if state.total_ridge > -np.inf:
        inverse = np.logaddexp.reduce(counts + smallest - logs)
        low = min(smallest, (state.total_ridge + smallest - inverse) / 2)
    low += math.log(1e-3)
    # h(1) + ridge, above which nothing is learned.
    high = math.log(4) + np.logaddexp(np.logaddexp.reduce(counts + logs), state.total_ridge)
    grid = np.linspace(low, high, math.ceil(STEPS_PER_E_FOLD * (high - low)))
    samples = np.asarray(_described(state, grid)[0])
    kept = samples <= MOST_SAMPLES
    if spectrum.dim is not None:
        kappas = np.exp(np.minimum(grid, LARGEST_LOG))
        kept &= truncation_share(spectrum, kappas) <= MAX_TRUNCATION
        if not (samples[kept] >= 1).any():
            last = len(spectrum.degrees) - 1
            raise PrecisionError(
                f"the spectrum stops at degree {last}, but n = 1 sample at ridge {ridge:g} begins "
                f"to learn higher degrees; ask kt.spectrum for max_degree above {last}"
            )
    return grid[kept], bool(kept[0])


@float64_policy
def _found(state: _State, grid: np.ndarray, ridge: float, whole: bool) -> Peaks:
    slopes = np.asarray(_slopes(state, grid))
    tops = np.flatnonzero((slopes[:-1] > 0) & (slopes[1:] < 0))[::-1]
    logs = np.asarray(_refined(state, grid[tops], grid[tops + 1]))
    n, risks, owners = map(np.asarray, _described(state, logs))
    held = state.eigenvalues > -np.inf
    lost = state.noise + np.sum(state.power[~held])
    if whole and state.total_ridge == -np.inf and lost > 0:
        # The last of its kind stands at kappa = 0, where all is learned.
        rank = np.exp(np.logaddexp.reduce(state.multiplicities[held]))
        logs, risks = np.append(logs, -np.inf), np.append(risks, np.inf)
        last = np.where(held, state.eigenvalues, np.inf).argmin()
        n, owners = np.append(n, rank), np.append(owners, last)
    keep = n >= 1
    owners = _one_each(state.eigenvalues, owners)[keep]
    searched = np.append(owners, np.flatnonzero(state.eigenvalues >= grid[0]))
    return Peaks(
        levels=owners,
        n=n[keep],
        test_error=risks[keep] - state.noise,
        valley=_valleys(state, grid, logs)[keep] - state.noise,
        kappa=np.exp(logs[keep]),
        exist=np.isin(np.arange(searched.max(initial=-1) + 1), owners),
        ridge=ridge,
    )


def _one_each(eigenvalues: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """The levels of successive peaks, moved back where one is not before that of the next.

    A level that is not quite half learned at its own peak may look like the next one, which has
    its peak later.
    """
    order = np.argsort(-eigenvalues, kind="stable")
    ranks = np.argsort(order)[owners]
    steps = np.arange(ranks.size)[::-1]
    # Strictly rising: the largest such ranks that are not above the given ones.
    rising = np.minimum.accumulate((ranks + steps)[::-1])[::-1] - steps
    return order[np.maximum(rising, 0)]


def _valleys(state: _State, grid: np.ndarray, tops: np.ndarray) -> np.ndarray:
    """The lowest risk at n >= 1 between each of falling ln kappa and the one before."""
    n, risks, _ = map(np.asarray, _described(state, grid))
    before = np.append(np.inf, tops)[:-1]
    return np.array(
        [
            risks[(grid > own) & (grid < other) & (n >= 1)].min(initial=np.inf)
            for own, other in zip(tops, before, strict=True)
        ]
    )


class _Sums(NamedTuple):
    learned: jax.Array
    unlearned: jax.Array
    masses: jax.Array
    n: jax.Array
    width: jax.Array


def _sums(state: _State, log_kappa: jax.Array) -> _Sums:
    """Return q, 1 - q and N q of every level, n and D, at a finite ln kappa."""
    gap = state.eigenvalues - log_kappa
    small = jnp.exp(-jnp.abs(gap))
    learned = jnp.where(gap > 0, 1, small) / (1 + small)
    unlearned = jnp.where(gap > 0, small, 1) / (1 + small)
    # N may exceed what floats hold where N q does not.
    masses = jnp.exp(state.multiplicities + jnp.minimum(gap, 0)) / (1 + small)
    ridge_term = jnp.exp(state.total_ridge - log_kappa)
    n, width = jnp.sum(masses) + ridge_term, jnp.sum(masses * unlearned) + ridge_term
    return _Sums(learned, unlearned, masses, n, width)


def _slope(state: _State, log_kappa: jax.Array) -> jax.Array:
    """The derivative of ln(T + noise) in ln kappa at fixed ridge."""
    sums = _sums(state, log_kappa)
    unlearned = sums.unlearned**2 * state.power
    own = 2 * jnp.sum(sums.learned * unlearned) / (jnp.sum(unlearned) + state.noise)
    squares = sums.masses * sums.learned
    return jnp.sum(squares) / sums.n + own - 2 * jnp.sum(squares * sums.unlearned) / sums.width


def _description(state: _State, log_kappa: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return n, T + noise, and the level that is being learned."""
    sums = _sums(state, log_kappa)
    noisy = jnp.sum(sums.unlearned**2 * state.power) + state.noise
    # A level of few modes after one of many has never the largest part in the sum of N q^2.
    largest = jnp.argmax(sums.masses * sums.learned)
    known = (state.eigenvalues >= log_kappa) | (jnp.arange(state.eigenvalues.size) == largest)
    last = jnp.argmin(jnp.where(known, state.eigenvalues, jnp.inf))
    return sums.n, noisy * (sums.n / sums.width), last


@jax.jit
def _slopes_jit(state: _State, logs: jax.Array) -> jax.Array:
    return jax.lax.map(lambda log: _slope(state, log), logs, batch_size=BATCH)


@jax.jit
def _described_jit(state: _State, logs: jax.Array) -> Any:
    return jax.lax.map(lambda log: _description(state, log), logs, batch_size=BATCH)


@jax.jit
def _refined_jit(state: _State, low: jax.Array, high: jax.Array) -> jax.Array:
    """Where the slope falls through zero, by halving."""

    def refine(bracket: tuple[jax.Array, jax.Array]) -> jax.Array:
        below, above = halved(lambda log: ~(_slope(state, log) > 0), *bracket)
        return (below + above) / 2

    return jax.lax.map(refine, (low, high))


def _padded(function: Any) -> Any:
    """The function of a state and arrays, which are padded to a power of two.

    So jax compiles once for many numbers of points: a grid's depends on the spectrum's span.
    """

    def evaluated(state: _State, *logs: np.ndarray) -> Any:
        size = logs[0].size
        length = max(16, 2 ** max(size - 1, 0).bit_length())
        filled = (np.pad(x, (0, length - size)) for x in logs)
        return jax.tree.map(lambda x: x[:size], function(state, *filled))

    return evaluated


_slopes, _described, _refined = (
    _padded(float64_policy(function)) for function in (_slopes_jit, _described_jit, _refined_jit)
)
