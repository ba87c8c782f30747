"""Simulations that calibrate the `validity` of random-feature curves, and their figure."""

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import erf, ndtr

from kerneltheory.activations.catalogue import relu
from kerneltheory.experiments.feature_trial import (
    GaussianFeatures,
    Neurons,
    errors_of,
    smooth_neurons,
)
from kerneltheory.experiments.judgement import Judged, draw, groups, judge
from kerneltheory.kernels.kernel import nngp
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.random_features import random_feature_curve
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.spectrum import Spectrum, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POWER = {0: 0.1, 1: 0.4, 2: 0.3, 3: 0.2}
NOISES, RIDGES = (0.0, 0.1), (1e-6, 1e-4, 1e-2, 1e-1, 1.0)
# Samples and features, all pairs of each family's: at least twice N(d, 2) on the sphere.
SIZES = {
    0: (16, 32, 64, 128, 256),
    10: (16, 27, 54, 108, 216),
    20: (20, 52, 104, 209, 418),
    30: (30, 116, 232, 464, 928),
}
# Trials, in units of 3000 over the smaller number: single errors scatter less in more dimensions.
TRIALS = {0: 8, 10: 4, 20: 2, 30: 1}
SEED, HIGHEST_DEGREE = 1, 40


class Point(NamedTuple):
    """One simulated test error, the mean over trials, and its standard error.

    The dimension is that of the sphere, 0 for Gaussian features.
    """

    name: str
    dim: int
    n: int
    features: int
    ridge: float
    noise: float
    trials: int
    test_error: float
    standard_error: float


@functools.cache
def model(name: str, dim: int) -> tuple[GaussianFeatures | Neurons, Any]:
    """The features of a name, and the power of the target."""
    return MODELS[name](dim)


def _relu(dim: int) -> tuple[Neurons, Any]:
    kernel = nngp(relu, 1, weight_variance=1)
    levels = spectrum(kernel, dim, HIGHEST_DEGREE)
    # The coefficients are roots of the eigenvalues, of the signs of 1/Gamma((3 - k)/2).
    degrees = np.arange(HIGHEST_DEGREE + 1)
    signs = np.where((degrees % 4 == 0) & (degrees > 0), -1, 1)
    coefficients = signs * np.sqrt(np.asarray(levels.eigenvalues))

    def rectified(u: np.ndarray) -> np.ndarray:
        return np.maximum(u, 0)

    return Neurons(dim, rectified, kernel, levels, coefficients), POWER


def _smooth(activation: Callable[[np.ndarray], np.ndarray], dim: int) -> tuple[Neurons, Any]:
    return smooth_neurons(dim, activation, HIGHEST_DEGREE), POWER


MODELS: dict[str, Callable[[int], tuple[GaussianFeatures | Neurons, Any]]] = {
    "relu": _relu,
    "erf": functools.partial(_smooth, lambda u: erf(u + 0.5)),
    "exp": functools.partial(_smooth, lambda u: np.exp(u / 2)),
    "gelu": functools.partial(_smooth, lambda u: u * ndtr(u)),
    "fourier": functools.partial(_smooth, lambda u: np.sin(u) + np.cos(u)),
    "power": lambda _: (
        GaussianFeatures(Spectrum(np.arange(1.0, 301) ** -1.5, np.ones(300))),
        np.arange(1.0, 301) ** -2.0,
    ),
    "levels": lambda _: (
        GaussianFeatures(Spectrum(np.array([0.5, 0.03, 0.002, 1e-4]), np.array([1, 10, 100, 500]))),
        POWER,
    ),
}
SPHERICAL = ("relu", "erf", "exp", "gelu", "fourier")


def grid() -> Iterator[tuple[str, int, int, int]]:
    """Every name, dimension, number of samples and of features."""
    for name in MODELS:
        for dim in (10, 20, 30) if name in SPHERICAL else (0,):
            for n in SIZES[dim]:
                for features in SIZES[dim]:
                    yield name, dim, n, features


def simulated(name: str, dim: int, n: int, p: int) -> list[Point]:
    """Simulate every ridge and noise of one setting: one decomposition a trial serves them all."""
    features, power = model(name, dim)
    target = Target(power)
    levels = np.asarray(target.powers(len(features.spectrum.degrees)))
    trials = TRIALS[dim] * int(np.clip(3000 // min(n, p), 8, 120))
    generator = np.random.default_rng([SEED, *name.encode(), dim, n, p])
    errors = np.array(
        [
            errors_of(features.draw(generator, n, p, levels), target, RIDGES, NOISES)
            for _ in range(trials)
        ]
    )
    mean, error = errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(trials)
    return [
        Point(name, dim, n, p, ridge, noise, trials, float(mean[i, j]), float(error[i, j]))
        for i, ridge in enumerate(RIDGES)
        for j, noise in enumerate(NOISES)
    ]


def judged(points: list[Point], *, corrected: bool = False, signed: bool = True) -> list[Judged]:
    """Compare every point with the deterministic equivalent.

    Args:
        points: of the table.
        corrected: whether the first correction is added, and its error is the estimate.
        signed: whether theory knows the signs of the coefficients.
    """
    found = []
    for (name, dim), group in groups(points, 2).items():
        features, power = model(name, dim)
        n, p, ridge, noise = np.array([point[2:6] for point in group]).T
        signs = features.coefficients if signed and isinstance(features, Neurons) else None
        target = Target(power, noise)
        curve = random_feature_curve(features.spectrum, target, n, p, ridge, signs=signs)
        change = curve.correction if corrected else None
        found += judge(group, curve) if change is None else _judge_corrected(group, curve, change)
    return found


def _judge_corrected(group: list[Point], curve: LearningCurve, change: Any) -> list[Judged]:
    error = curve.correction_error
    assert error is not None
    predicted = np.asarray(curve.test_error) * (1 + np.where(np.isfinite(change), change, 0))
    return [
        Judged(point, point.test_error / theory - 1, point.standard_error / theory, float(own))
        for point, theory, own in zip(group, predicted.tolist(), error, strict=True)
    ]


def figure(found: list[Judged]) -> "Figure":
    """Deviations against the smaller number, and against their estimate."""
    parts = {
        "sphere, $d = 10$": [one for one in found if one.point.dim == 10],
        "sphere, $d = 20$": [one for one in found if one.point.dim == 20],
        "sphere, $d = 30$": [one for one in found if one.point.dim == 30],
        "Gaussian": [one for one in found if not one.point.dim],
    }
    return draw(parts, lambda point: min(point.n, point.features), "samples or features, the fewer")
