r"""Learning curves against training time: gradient flow of kernel regression.

The predictor after time t, :math:`\dot f = -K(\cdot, X)(f(X) - y)` from :math:`f_0 = 0`, is a
mixture of predictors of complex ridges: with :math:`g_t(z) = (1 - e^{-tz})/z`, entire in z,

.. math:: f_t = K(\cdot, X)\, g_t(K)\, y
        = -\oint \frac{dz}{2\pi i}\, g_t(z)\, K(\cdot, X) (K - z)^{-1} y

around the spectrum of the Gram matrix. Each predictor has the deterministic equivalent of the
ridge -z, continued from the negative axis, and two of them on the same data have

.. math:: E\langle f - f_1, f - f_2\rangle + \sigma^2
        = \frac{\sum (1-q_1)(1-q_2) F^2 + \sigma^2}{1 - \frac1n \sum N q_1 q_2}.

The contour is a hyperbola that opens to the right. It crosses the axis at -O(1/t), where
:math:`e^{-tz}` is of order one, and its nodes are spread evenly in ln z, as eigenvalues are: the
trapezoidal rule converges exponentially.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from kerneltheory.core import check
from kerneltheory.core.errors import PrecisionError
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import check_spectrum, check_target, effective_ridge
from kerneltheory.learning.levels import refuse_negative
from kerneltheory.spectra.spectrum import Spectrum, Target

# The hyperbola's half opening; integrands are analytic in a strip of this half width. With the
# step, the trapezoidal rule is off by exp(-2 pi ANGLE/STEP) = 1e-13.
ANGLE = math.pi / 4
STEP = 1 / 6
# Integrands fall as 1/z^2 beyond the spectrum. They are cut where that is this small.
CUT = 1e-14
NEWTON_STEPS = 40


def gradient_flow_curve(spectrum: Spectrum, target: Target, n: Any, time: Any) -> LearningCurve:
    r"""Return the errors of gradient flow after a training time, from the equivalent.

    With $p_k$ the contour average of the learnabilities, $B = \sum_k (1-p_k)^2 F_k^2$. At time 0
    the predictor is 0, at infinite time that of regression without ridge.

    Args:
        spectrum: the levels of the kernel.
        target: power of the target at the levels of the spectrum, and one noise variance.
        n: number of samples, real > 0, any shape.
        time: $t \ge 0$, of a shape that broadcasts with n. In one unit the residual along an
            eigenvector of the Gram matrix with eigenvalue 1 falls to 1/e.

    Returns:
        The curve with `time`, of the shape to which n and time broadcast.

    Raises:
        ValueError: an argument is out of its range; the message names it.
        NotPositiveDefiniteError: the spectrum has a negative eigenvalue.
        PrecisionError: the effective ridge could not be continued along the contour.

    Reference: the equivalent of arXiv:2006.13198 and Cauchy's formula; for the flow of random
    features arXiv:2108.00782.

    Examples:
        >>> features = Spectrum([1 / 100], [100])
        >>> curve = gradient_flow_curve(features, Target([1.0], 0.5), n=80, time=[0.0, 1.0, 10.0])
        >>> bool(curve.test_error[0] == 1.0 and curve.test_error[1] < curve.test_error[2])
        True
    """
    check_spectrum(spectrum)
    check_target(target)
    refuse_negative(spectrum)
    check.positive("n", n)
    if check.nonnegative("time", time).size == 0:
        raise ValueError("time must hold at least one number, got an empty array")
    check.broadcastable(n=n, time=time)
    n, time = np.broadcast_arrays(np.asarray(n, float), np.asarray(time, float))
    noise = target.single_noise_variance
    power = np.asarray(target.powers(len(spectrum.degrees)))
    moving = time > 0
    errors = np.zeros((4, *time.shape))
    errors[:, ~moving] = np.array([power.sum(), 0.0, 0.0, power.sum() + noise])[:, None]
    if moving.any():
        errors[:, moving] = _errors(spectrum, power, noise, n[moving], time[moving])
    bias, sampling, from_noise, train = map(np.asarray, errors)
    return LearningCurve(
        n=n,
        ridge=np.zeros(time.shape),
        time=time,
        noise_variance=np.full(time.shape, noise),
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
        The curve, whose `time` is the best one, to a part in a thousand; or, where longer training
        is always better, the longest that is tried, $10^6$ over the smallest scale of the Gram
        matrix.

    Raises:
        ValueError: as `gradient_flow_curve` does.

    Examples:
        >>> features = Spectrum([1 / 100], [100])
        >>> curve = optimal_stopping(features, Target([1.0], 0.5), n=80)
        >>> 0.5 < float(curve.time) < 2
        True
    """
    check_spectrum(spectrum)
    samples = check.positive("n", n)
    best = [_best_time(spectrum, target, size) for size in samples.ravel().tolist()]
    curve = gradient_flow_curve(spectrum, target, samples, np.reshape(best, samples.shape))
    return dataclasses.replace(curve, method=f"{curve.method} to the best time")


def _best_time(spectrum: Spectrum, target: Target, n: float) -> float:
    """Scan, then refine: each level that is learned may bring a minimum of its own."""
    values = np.asarray(spectrum.eigenvalues)
    smallest = float(effective_ridge(spectrum, n, 0.0)) * n + values[values > 0].min()
    shortest = 1e-2 / (float(spectrum.trace) * max(n, 1.0))
    grid = np.geomspace(
        shortest, 1e6 / smallest, math.ceil(3 * math.log(1e8 / smallest / shortest))
    )
    errors = np.asarray(gradient_flow_curve(spectrum, target, n, grid).test_error)
    best = int(errors.argmin())
    if best in (0, grid.size - 1):
        return float(grid[best])
    bounds = np.log(grid[[best - 1, best + 1]])

    def error(log_time: float) -> float:
        curve = gradient_flow_curve(spectrum, target, n, math.exp(log_time))
        return float(np.asarray(curve.test_error))

    found = minimize_scalar(error, bounds=tuple(bounds), method="bounded", options={"xatol": 1e-3})
    return math.exp(float(found.x))


def _errors(
    spectrum: Spectrum, power: np.ndarray, noise: float, n: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """Bias, both parts of the variance and the training error, shape (4, points)."""
    z, steps = _contour(float(spectrum.trace) * np.max(n), time)
    kappa = _continued(spectrum, n, z)
    eigenvalues = np.asarray(spectrum.eigenvalues)
    counts = np.where(eigenvalues > 0, np.asarray(spectrum.multiplicities), 0.0)
    scaled = time * z
    flow = steps * np.expm1(-scaled) / z
    decay = -steps * np.exp(-2 * scaled)
    result = np.empty((4, time.size))
    for point in range(time.size):
        total = eigenvalues + kappa[:, point, None]
        learned, unlearned = eigenvalues / total, kappa[:, point, None] / total
        weights = flow[:, point, None]
        mixed = 2 * np.sum(weights * learned, axis=0).real
        sampling, from_noise = _variance(learned, unlearned, weights, counts / n[point], power)
        fit = (unlearned @ power + noise) / kappa[:, point]
        train = 2 * np.sum(decay[:, point] * fit).real / n[point]
        result[:, point] = np.sum((1 - mixed) ** 2 * power), sampling, noise * from_noise, train
    return result


def _contour(largest: float, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""The upper half of the contour for every time, and dz/(2 pi i), of shape (nodes, points).

    The lower half is its conjugate; the first node, on the axis, counts half. With
    :math:`z(u) = (\cosh u \sin\alpha - 1 - i \sinh u \cos\alpha)/t` the upper half is u < 0.
    """
    reach = math.log(largest * float(time.max()) + 1) - math.log(CUT)
    v = np.arange(0, reach, STEP)[:, None]
    z = (np.cosh(v) * math.sin(ANGLE) - 1 + 1j * np.sinh(v) * math.cos(ANGLE)) / time
    slope = (-np.sinh(v) * math.sin(ANGLE) - 1j * np.cosh(v) * math.cos(ANGLE)) / time
    slope[0] /= 2
    return z, slope * STEP / (2j * math.pi)


def _continued(spectrum: Spectrum, n: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The effective ridge of the ridge -z along the contour, from the negative axis on."""
    eigenvalues, masses = np.asarray(spectrum.eigenvalues), np.asarray(spectrum.level_masses)
    kappa = np.empty_like(z)
    kappa[0] = effective_ridge(spectrum, n, -z[0].real)
    for node in range(1, len(z)):
        ridge = float(spectrum.tail) - z[node]
        kappa[node] = _newton(eigenvalues, masses, n, ridge, kappa[node - 1])
    return kappa


def _newton(
    eigenvalues: np.ndarray, masses: np.ndarray, n: np.ndarray, ridge: np.ndarray, start: np.ndarray
) -> np.ndarray:
    kappa = start
    for _ in range(NEWTON_STEPS):
        total = eigenvalues + kappa[:, None]
        spread = np.sum(masses / total * (kappa[:, None] / total), axis=1)
        slope = n - np.sum(masses / total * (eigenvalues / total), axis=1)
        updated = (kappa * spread + ridge) / slope
        change = np.abs(updated - kappa) / np.abs(updated)
        kappa = updated
        if np.all(change <= 1e-14):
            break
    # The root is the one in the lower half plane, with the ridge.
    if not np.all((change <= 1e-10) & (np.imag(kappa) < 0)):
        raise PrecisionError(
            "the effective ridge was lost on the contour of the gradient flow, at "
            f"n = {n[np.argmax(change)]:g}"
        )
    return kappa


def _variance(
    learned: np.ndarray,
    unlearned: np.ndarray,
    weights: np.ndarray,
    counts: np.ndarray,
    power: np.ndarray,
) -> tuple[float, float]:
    """The variances from sampling and, per unit, from noise: the double contour, by halves."""
    sampling = from_noise = 0.0
    for second, left, weight in (
        (learned, unlearned, weights),
        (learned.conj(), unlearned.conj(), weights.conj()),
    ):
        overlap = (learned * counts) @ second.T
        common = 2 * (weights * overlap / (1 - overlap) * weight.T)
        sampling += np.sum(common * ((unlearned * power) @ left.T)).real
        from_noise += np.sum(common).real
    return sampling, from_noise
