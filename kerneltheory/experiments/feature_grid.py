"""Simulations that calibrate the `validity` of random-feature curves, and their figure."""

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import erf

from kerneltheory.activations.catalogue import relu
from kerneltheory.experiments.feature_trial import (
    GaussianFeatures,
    Neurons,
    errors_of,
    smooth_neurons,
)
from kerneltheory.experiments.judgement import Judged, draw, groups, judge
from kerneltheory.kernels.kernel import nngp
from kerneltheory.learning.random_features import random_feature_curve
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.spectrum import Spectrum, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POWER = {0: 0.1, 1: 0.4, 2: 0.3, 3: 0.2}
NOISES, RIDGES = (0.0, 0.1), (1e-4, 1e-2, 1e-1, 1.0)
# Samples and features, all pairs of each family's: up to twice N(d, 2) on the sphere.
SIZES = {0: (16, 32, 64, 128, 256), 10: (16, 27, 54, 108, 216), 20: (20, 52, 104, 209, 418)}
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
    # The coefficients are roots of the eigenvalues, up to signs, which begin at degree 4.
    roots = np.sqrt(np.asarray(levels.eigenvalues)[: max(POWER) + 1])

    def rectified(u: np.ndarray) -> np.ndarray:
        return np.maximum(u, 0)

    return Neurons(dim, rectified, kernel, levels, roots), POWER


def _smooth(activation: Callable[[np.ndarray], np.ndarray], dim: int) -> tuple[Neurons, Any]:
    return smooth_neurons(dim, activation, HIGHEST_DEGREE), POWER


MODELS: dict[str, Callable[[int], tuple[GaussianFeatures | Neurons, Any]]] = {
    "relu": _relu,
    "erf": functools.partial(_smooth, lambda u: erf(u + 0.5)),
    "exp": functools.partial(_smooth, lambda u: np.exp(u / 2)),
    "power": lambda _: (
        GaussianFeatures(Spectrum(np.arange(1.0, 301) ** -1.5, np.ones(300))),
        np.arange(1.0, 301) ** -2.0,
    ),
    "levels": lambda _: (
        GaussianFeatures(Spectrum(np.array([0.5, 0.03, 0.002, 1e-4]), np.array([1, 10, 100, 500]))),
        POWER,
    ),
}
SPHERICAL = ("relu", "erf", "exp")


def grid() -> Iterator[tuple[str, int, int, int]]:
    """Every name, dimension, number of samples and of features."""
    for name in MODELS:
        for dim in (10, 20) if name in SPHERICAL else (0,):
            for n in SIZES[dim]:
                for features in SIZES[dim]:
                    yield name, dim, n, features


def simulated(name: str, dim: int, n: int, p: int) -> list[Point]:
    """Simulate every ridge and noise of one setting: one decomposition a trial serves them all."""
    features, power = model(name, dim)
    target = Target(power)
    levels = np.asarray(target.powers(len(features.spectrum.degrees)))
    trials = int(np.clip(3000 // min(n, p), 8, 120))
    generator = np.random.default_rng([SEED, list(MODELS).index(name), dim, n, p])
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


def judged(points: list[Point]) -> list[Judged]:
    """Compare every point with the deterministic equivalent."""
    found = []
    for (name, dim), group in groups(points, 2).items():
        features, power = model(name, dim)
        n, p, ridge, noise = np.array([point[2:6] for point in group]).T
        curve = random_feature_curve(features.spectrum, Target(power, noise), n, p, ridge)
        found += judge(group, curve)
    return found


def figure(found: list[Judged]) -> "Figure":
    """Deviations against the smaller number, and against their estimate."""
    parts = {
        "sphere, $d = 10$": [one for one in found if one.point.dim == 10],
        "sphere, $d = 20$": [one for one in found if one.point.dim == 20],
        "Gaussian": [one for one in found if not one.point.dim],
    }
    return draw(parts, lambda point: min(point.n, point.features), "samples or features, the fewer")
