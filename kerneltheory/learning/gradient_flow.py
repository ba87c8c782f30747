r"""Learning curves against training time: gradient flow of kernel regression.

The predictor after time t, :math:`\dot f = -K(\cdot, X)(f(X) - y)` from :math:`f_0 = 0`, is a
mixture of predictors of complex ridges. Around the spectrum of the Gram matrix and 0,

.. math:: f_t = K(\cdot, X) \frac{1 - e^{-tK}}{K} y
        = \oint \frac{dz}{2\pi i}\, \frac{e^{-tz}}{z}\, K(\cdot, X) (K - z)^{-1} y,

as the integral of :math:`(K - z)^{-1}/z` itself vanishes. Each predictor has the deterministic
equivalent of the ridge -z, continued from the negative axis, and two on the same data have

.. math:: E\langle f - f_1, f - f_2\rangle + \sigma^2
        = \frac{\sum (1-q_1)(1-q_2) F^2 + \sigma^2}{1 - \frac1n \sum N q_1 q_2}.

The contour is a hyperbola that opens to the right, and scales as 1/t: with

.. math:: tz = \cosh v \sin\alpha - 1 + i \sinh v \cos\alpha

the nodes are even in v, about ln z, as eigenvalues are, and the trapezoidal rule converges
exponentially.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.errors import PrecisionError
from kerneltheory.core.records import is_concrete
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import (
    check_spectrum,
    check_target,
    learning_curve,
    refuse_truncation,
)
from kerneltheory.learning.levels import refuse_negative
from kerneltheory.spectra.spectrum import Spectrum, Target

# The hyperbola's half opening; integrands are analytic in a strip of this half width. With the
# step, the trapezoidal rule is off by exp(-2 pi ANGLE/STEP) = 1e-15.
ANGLE = math.pi / 4
STEP = 1 / 7
# The contour ends where exp(-tz) is exp(-REACH) = 1e-16.
REACH = 37
# Along the contour a few steps do. On the axis, with a tiny ridge at n = total multiplicity, they
# only halve the distance to the root at first.
NEWTON_STEPS = 1100
# Before IDLE over the trace of the Gram matrix no residual has moved by more than that; after
# ENDED over its smallest eigenvalue what is left to learn is exp(-ENDED).
IDLE = 1e-30
ENDED = 100
LONGEST = 1e300
# Entries of an array (points, nodes, levels) that are worked on at once.
BLOCK_ENTRIES = 2**17
# The scan for the best time: points in each factor of e, and of each refinement.
DENSITY = 3
ZOOMS, ZOOMED = 3, 17
# By how much the best test error must undercut that of endless training to be told from it.
GAIN = 1e-9
# Levels of less than this share of sum N q^2 are left out of it: their squares leave the range of
# normal floats, where arithmetic is slow.
NEGLIGIBLE = 1e-30
ROUNDING = float(np.finfo(float).eps)


class _Problem(NamedTuple):
    """A spectrum in float64, and a target on its levels."""

    spectrum: Spectrum
    eigenvalues: np.ndarray
    multiplicities: np.ndarray
    masses: np.ndarray
    tail: float
    power: np.ndarray
    noise: float

    @property
    def rank(self) -> float:
        return float(self.multiplicities[self.eigenvalues > 0].sum())

    @property
    def trace(self) -> float:
        return float(self.masses.sum()) + self.tail


def gradient_flow_curve(spectrum: Spectrum, target: Target, n: Any, time: Any) -> LearningCurve:
    r"""Return the errors of gradient flow after a training time, from the equivalent.

    With $p_k$ the contour average of the learnabilities, $B = \sum_k (1-p_k)^2 F_k^2$. At time 0
    the predictor is 0, at infinite time that of regression without ridge. It computes in float64
    and cannot be traced by jax: there is no gradient, and no `jit`.

    Args:
        spectrum: the levels of the kernel.
        target: power of the target at the levels of the spectrum, and one noise variance.
        n: number of samples, real > 0, any shape.
        time: $t \ge 0$ or infinite, of a shape that broadcasts with n. In one unit the residual
            along an eigenvector of the Gram matrix with eigenvalue 1 falls to 1/e.

    Returns:
        The curve with `time`, of the shape to which n and time broadcast.

    Raises:
        TypeError: an argument is traced by jax.
        ValueError: an argument is out of its range; the message names it.
        NotPositiveDefiniteError: the spectrum has a negative eigenvalue.
        DivergentError: the time is infinite, the tail is zero and n is the total multiplicity.
        PrecisionError: the effective ridge could not be continued along the contour; or the
            spectrum of a kernel on the sphere stops at a degree that is learned in that time,
            as with a ridge of 0.29/t, the least on the contour.

    Reference: the equivalent of arXiv:2006.13198 and Cauchy's formula; for the flow of random
    features arXiv:2108.00782.

    Examples:
        >>> features = Spectrum([1 / 100], [100])
        >>> curve = gradient_flow_curve(features, Target([1.0], 0.5), n=80, time=[0.0, 1.0, 10.0])
        >>> bool(curve.test_error[0] == 1.0 and curve.test_error[1] < curve.test_error[2])
        True
    """
    _refuse_traced("gradient_flow_curve", spectrum, target, n, time)
    problem = _problem(spectrum, target)
    check.positive("n", n)
    _check_time(time)
    check.broadcastable(n=n, time=time)
    n, time = np.broadcast_arrays(np.asarray(n, float), np.asarray(time, float))
    flat = _checked_errors(problem, n.ravel(), time.ravel())
    bias, sampling, from_noise, train = flat.reshape(4, *time.shape)
    return LearningCurve(
        n=n,
        ridge=np.zeros(time.shape),
        time=time,
        noise_variance=np.full(time.shape, problem.noise),
        test_error=np.asarray(bias + sampling + from_noise),
        bias=bias,
        variance=np.asarray(sampling + from_noise),
        variance_from_sampling=sampling,
        variance_from_noise=from_noise,
        conditional_bias=np.asarray(bias + sampling),
        train_error=train,
        method="deterministic equivalent, gradient flow",
    )


def optimal_stopping(spectrum: Spectrum, target: Target, n: Any) -> LearningCurve:
    r"""Return the learning curve of gradient flow that is stopped at the best time for each n.

    Args:
        spectrum: the levels of the kernel.
        target: power of the target at the levels of the spectrum, and one noise variance.
        n: number of samples, real > 0, any shape.

    Returns:
        The curve, whose `time` is the best one, to a part in a thousand. It is infinite where
        longer training is always better, to a part in $10^9$ of the error or its rounding, and 0
        where the kernel holds nothing of the target. With n the total multiplicity and no tail,
        where the error of endless training may be infinite, no time is longer than $10^6$ over n
        times the smallest eigenvalue.

    Raises:
        ValueError: as `gradient_flow_curve` does; or the spectrum has no positive eigenvalue.
        TypeError, PrecisionError: as `gradient_flow_curve` does, at the best time.

    Examples:
        >>> features = Spectrum([1 / 100], [100])
        >>> curve = optimal_stopping(features, Target([1.0], 0.5), n=80)
        >>> 0.5 < float(curve.time) < 2
        True
    """
    _refuse_traced("optimal_stopping", spectrum, target, n)
    problem = _problem(spectrum, target)
    samples = check.positive("n", n)
    if not np.any(problem.eigenvalues > 0):
        raise ValueError(
            "spectrum must have a positive eigenvalue, else nothing is ever learned and no time "
            f"is best, got {problem.eigenvalues}"
        )
    best = _best_times(problem, samples.ravel()).reshape(samples.shape)
    curve = gradient_flow_curve(spectrum, target, samples, best)
    return dataclasses.replace(curve, method=f"{curve.method} to the best time")


def _refuse_traced(name: str, *arguments: Any) -> None:
    if not is_concrete(*arguments):
        raise TypeError(
            f"{name} cannot be traced by jax (jit, grad or vmap): it follows a root in numpy; "
            "call it with concrete arrays, outside of the transformed function"
        )


def _problem(spectrum: Spectrum, target: Target) -> _Problem:
    check_spectrum(spectrum)
    check_target(target)
    refuse_negative(spectrum)
    spectrum = jax.tree.map(lambda leaf: np.asarray(leaf, float), spectrum)
    power = np.asarray(target.powers(len(spectrum.degrees)), float)
    return _Problem(
        spectrum=spectrum,
        eigenvalues=np.asarray(spectrum.eigenvalues),
        multiplicities=np.asarray(spectrum.multiplicities),
        masses=np.asarray(spectrum.level_masses),
        tail=float(spectrum.tail),
        power=power,
        noise=target.single_noise_variance,
    )


def _check_time(time: Any) -> None:
    given = np.asarray(time)
    finite = np.where(np.isposinf(given), 0.0, given) if given.dtype.kind == "f" else time
    if check.nonnegative("time", finite).size == 0:
        raise ValueError("time must hold at least one number, got an empty array")


def _checked_errors(problem: _Problem, n: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Bias, both parts of the variance and the training error, shape (4, points)."""
    idle = _idle(problem, n, time)
    ended = ~idle & _ended(problem, n, time)
    moving = ~idle & ~ended
    result = np.empty((4, time.size))
    result[:, idle] = _untrained(problem)
    if ended.any():
        fields = "bias", "variance_from_sampling", "variance_from_noise", "train_error"
        target = Target(problem.power, problem.noise)
        curve = learning_curve(problem.spectrum, target, n[ended], 0.0)
        result[:, ended] = [getattr(curve, field) for field in fields]
    if moving.any():
        n, time = n[moving], time[moving]
        start = _on_axis(problem, n, time)
        points: Any = n, -NODES[0].real / time
        refuse_truncation(problem.spectrum, start, points)
        result[:, moving] = _errors(problem, n, time, start)
    return result


def _idle(problem: _Problem, n: np.ndarray, time: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return time <= IDLE / problem.trace / n if problem.trace > 0 else np.isfinite(time)


def _untrained(problem: _Problem) -> np.ndarray:
    power = problem.power.sum()
    return np.array([power, 0.0, 0.0, power + problem.noise])[:, None]


def _ended(problem: _Problem, n: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Where the residual along every eigenvector has died out."""
    if not np.any(time > 0):
        return np.zeros(time.shape, bool)
    with np.errstate(divide="ignore", over="ignore"):
        return np.isinf(time) | (time >= ENDED / _smallest_rate(problem, n))


def _smallest_rate(problem: _Problem, n: np.ndarray) -> np.ndarray:
    r"""A number below the smallest positive eigenvalue of the Gram matrix, of its order.

    That eigenvalue is :math:`\mathrm{tail} + \max_\kappa \kappa (\sum N q - n)`. The maximum is
    taken at half the effective ridge. Where that is 0, n is at least the rank, and the covariance
    is above its smallest eigenvalue times a white one, whose edge is known. At n = rank it is 0.
    """
    smallest = problem.eigenvalues[problem.eigenvalues > 0].min(initial=np.inf)
    rate = smallest * (np.sqrt(n) - math.sqrt(problem.rank)) ** 2
    ridged = (n < problem.rank) | (problem.tail > 0)
    n = n[ridged]
    kappa = _real_ridge(problem, n, np.zeros(n.shape)) / 2
    rate[ridged] = problem.tail + np.maximum(-kappa * _surplus(problem, n, kappa), 0)
    return rate


def _best_times(problem: _Problem, n: np.ndarray) -> np.ndarray:
    """Scan, then refine: each level that is learned may bring a minimum of its own."""
    slope = np.sum(problem.eigenvalues * problem.power)
    if slope == 0:
        return np.zeros(n.shape)
    labels = problem.power.sum() + problem.noise
    rate = _smallest_rate(problem, n)
    smallest = problem.eigenvalues[problem.eigenvalues > 0].min()
    with np.errstate(divide="ignore", over="ignore"):
        longest = np.where(rate > 0, ENDED / rate, 1e6 / (n * smallest))
    # Eigenvalues at the edge of the range of floats ask for no longer a time.
    longest = np.minimum(longest, LONGEST)
    low, high = np.log(1e-2 * _early_time(problem, n, slope)), np.log(longest)
    count = math.ceil(DENSITY * float(np.max(high - low))) + 2
    endless = np.zeros(n.shape, bool)
    best = low
    for size in (count, *ZOOMS * (ZOOMED,)):
        grid = np.linspace(low, high, size, axis=-1)
        errors = _test_errors(problem, n, np.exp(grid))
        if size == count:
            bound = (1 + GAIN) * errors.min(axis=-1) + ROUNDING * labels
            endless = (rate > 0) & (errors[:, -1] <= bound)
        place = errors.argmin(axis=-1)[:, None]
        best, low, high = (
            np.take_along_axis(grid, np.clip(place + shift, 0, size - 1), axis=-1)[:, 0]
            for shift in (0, -1, 1)
        )
    return np.where(endless, np.inf, np.exp(best))


def _early_time(problem: _Problem, n: np.ndarray, slope: float) -> np.ndarray:
    r"""A time before that of the least error: of the first eigenvector, or of the first noise.

    To second order :math:`T = P - 2 t n \sum \lambda F^2 + t^2 n (2 n \sum \lambda^2 F^2
    + h(1) \sum \lambda F^2 + (P + \sigma^2) \sum N \lambda^2)`, see `flow_derivations`.
    """
    labels = problem.power.sum() + problem.noise
    spread = labels * np.sum(problem.masses * problem.eigenvalues)
    squares = np.sum(problem.eigenvalues**2 * problem.power)
    change = 2 * n * squares + problem.trace * slope + spread
    return np.minimum(1 / (n * problem.trace), slope / change)


def _test_errors(problem: _Problem, n: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The test errors at times of shape (points of n, times)."""
    flat_n, flat_time = np.repeat(n, time.shape[1]), time.ravel()
    result = np.full(flat_time.shape, problem.power.sum())
    moving = ~_idle(problem, flat_n, flat_time)
    flat_n, flat_time = flat_n[moving], flat_time[moving]
    if moving.any():
        start = _on_axis(problem, flat_n, flat_time)
        result[moving] = _errors(problem, flat_n, flat_time, start)[:3].sum(axis=0)
    return result.reshape(time.shape)


def _contour() -> tuple[np.ndarray, np.ndarray]:
    r"""The upper half of the contour of :math:`w = tz`, and :math:`dw/(2\pi i)`, counted twice.

    The lower half is its conjugate; the first node, on the axis, counts once.
    """
    v = np.arange(0, math.acosh((1 + REACH) / math.sin(ANGLE)), STEP)
    w = np.cosh(v) * math.sin(ANGLE) - 1 + 1j * np.sinh(v) * math.cos(ANGLE)
    slope = -np.sinh(v) * math.sin(ANGLE) - 1j * np.cosh(v) * math.cos(ANGLE)
    slope[0] /= 2
    return w, slope * STEP / (1j * math.pi)


NODES, STEPS = _contour()
# Twice the real part of a sum over nodes is the integral, hence the halves in a double one.
FLOW = STEPS * np.exp(-NODES) / NODES
DECAY = -STEPS * np.exp(-2 * NODES)


def _on_axis(problem: _Problem, n: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The effective ridge at the node on the negative axis."""
    return _real_ridge(problem, n, -NODES[0].real / time)


def _real_ridge(problem: _Problem, n: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """As `effective_ridge`: from the right, above the root of a convex function."""
    return _newton(problem, n, problem.tail + ridge, (problem.trace + ridge) / n)


def _errors(problem: _Problem, n: np.ndarray, time: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Bias, both parts of the variance and the training error, shape (4, points), by blocks."""
    points = max(1, BLOCK_ENTRIES // (NODES.size * problem.eigenvalues.size))
    blocks = (slice(first, first + points) for first in range(0, time.size, points))
    parts = [_block_errors(problem, n[part], time[part], start[part]) for part in blocks]
    # None is negative, but for rounding where the training is nearly over or has hardly begun.
    return np.maximum(np.concatenate(parts, axis=1), 0)


def _block_errors(
    problem: _Problem, n: np.ndarray, time: np.ndarray, start: np.ndarray
) -> np.ndarray:
    kappa = _continued(problem, n, time, start)
    total = problem.eigenvalues + kappa[..., None]
    unlearned = kappa[..., None] / total
    left = np.einsum("j,pjk->pk", FLOW, unlearned).real
    sampling, from_noise = _variance(problem, n, kappa, total, unlearned)
    fit = (unlearned @ problem.power + problem.noise) / (n * time)[:, None] / kappa
    bias, train = left**2 @ problem.power, (fit @ DECAY).real
    return np.array([bias, sampling, problem.noise * from_noise, train])


def _continued(problem: _Problem, n: np.ndarray, time: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The effective ridge of the ridge -z along the contour, shape (points, nodes)."""
    kappa = np.empty((time.size, NODES.size), complex)
    kappa[:, 0] = start
    for node in range(1, NODES.size):
        ridge = problem.tail - NODES[node] / time
        kappa[:, node] = _newton(problem, n, ridge, kappa[:, node - 1])
    # The root is the one in the lower half plane, with the ridge.
    _refuse_lost(n, np.all(np.imag(kappa[:, 1:]) < 0, axis=1))
    return kappa


def _newton(problem: _Problem, n: np.ndarray, ridge: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    change = np.full(n.shape, np.inf)
    for _ in range(NEWTON_STEPS):
        total = problem.eigenvalues + kappa[:, None]
        spread = np.sum(problem.masses / total * (kappa[:, None] / total), axis=1)
        updated = (kappa * spread + ridge) / (_surplus(problem, n, kappa) + spread)
        change = np.abs(updated - kappa) / np.abs(updated)
        kappa = updated
        # Convergence is quadratic: the next change would be of the size of rounding.
        if np.all(change <= 1e-9):
            break
    _refuse_lost(n, change <= 1e-9)
    return kappa


def _refuse_lost(n: np.ndarray, found: np.ndarray) -> None:
    if not found.all():
        raise PrecisionError(
            "the effective ridge was lost on the contour of the gradient flow, at "
            f"n = {n[np.argmin(found)]:g}"
        )


def _surplus(problem: _Problem, n: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    """n - sum N q, where well-learned levels count as N - N (1 - q): n - N is exact."""
    total = problem.eigenvalues + kappa[:, None]
    known = problem.eigenvalues > np.abs(kappa)[:, None]
    counted = np.where(known, problem.multiplicities, 0.0)
    missing = np.sum(counted * (kappa[:, None] / total), axis=1)
    rest = np.sum(np.where(known, 0.0, problem.masses / total), axis=1)
    return (n - counted.sum(axis=1)) + (missing - rest)


def _variance(
    problem: _Problem, n: np.ndarray, kappa: np.ndarray, total: np.ndarray, unlearned: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""The variances from sampling and, per unit, from noise: the double contour, by halves.

    As in `_surplus`, :math:`n - \sum N q_1 q_2` counts levels that are learned at all nodes as
    :math:`N - N (1 - q_1) - N q_1 (1 - q_2)`.
    """
    held = _held(problem, total)
    learned, counts = (x[held] / total[..., held] for x in (problem.eigenvalues, problem.masses))
    left, missed = unlearned[..., held], unlearned[..., problem.power > 0]
    known = (problem.eigenvalues[held] > np.abs(kappa).max(axis=1)[:, None])[:, None]
    counted = np.where(known, problem.multiplicities[held], 0.0)
    first = n[:, None] - counted.sum(axis=-1) + np.sum(counted * left, axis=-1)
    second = np.where(known, left, -learned)
    weighted = missed * problem.power[problem.power > 0]
    sampling = from_noise = np.zeros(n.shape)
    for conjugate in (np.asarray, np.conj):
        overlap = counts @ conjugate(learned).mT
        gap = first[..., None] + counts @ conjugate(second).mT
        common = FLOW[:, None] * (overlap / gap) * conjugate(FLOW) / 2
        errors = weighted @ conjugate(missed).mT
        sampling = sampling + np.sum(common * errors, axis=(1, 2)).real
        from_noise = from_noise + np.sum(common, axis=(1, 2)).real
    return sampling, from_noise


def _held(problem: _Problem, total: np.ndarray) -> np.ndarray:
    """The levels whose share in sum N q^2 is not negligible at some node."""
    closest = np.abs(total).min(axis=(0, 1))
    shares = problem.masses / closest * (problem.eigenvalues / closest)
    return shares >= NEGLIGIBLE * shares.max()
