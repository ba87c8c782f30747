"""Simulations that calibrate the `validity` of learning curves, and the figure that shows them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import sympy

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.experiments.judgement import Judged, draw, groups, judge
from kerneltheory.experiments.simulate import simulate
from kerneltheory.kernels.base import Kernel, T
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.spectrum import Target
from kerneltheory.sphere.harmonics import multiplicity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BIAS = sympy.Rational(1, 10)
KERNELS: dict[str, Kernel] = {
    "exp": dot_product_kernel(sympy.exp(T)),
    "gauss": dot_product_kernel(sympy.exp(3 * (T - 1))),
    "nngp": nngp(relu, 1, weight_variance=2, bias_variance=BIAS),
    "ntk": ntk(relu, 1, weight_variance=2, bias_variance=BIAS),
    "erf": nngp(erf, 2, weight_variance=2, bias_variance=BIAS),
}
POWER = {0: 0.1, 1: 0.4, 2: 0.3, 3: 0.2}
NOISES, RIDGES = (0.0, 0.1), (1e-6, 1e-3, 1e-1, 1.0)
# Of every dimension: the largest n in units of N(d, 3), and how many trials, in units of 400/n.
DIMENSIONS = {10: (2.0, 10), 20: (1.0, 8), 30: (0.5, 4)}
ORDERS, SHARES, FEW = (1, 2, 3), (0.25, 0.5, 1, 2), (8, 16, 24)
HIGHEST_DEGREE = 60


class Point(NamedTuple):
    """One simulated test error, the mean over trials, and its standard error."""

    dim: int
    kernel: str
    ridge: float
    noise: float
    n: int
    trials: int
    test_error: float
    standard_error: float


def sizes(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of samples, alpha N(d, r) for every order r, and of trials."""
    largest, base = DIMENSIONS[dim]
    counts = {int(share * multiplicity(dim, r)) for r in ORDERS for share in SHARES}
    n = np.array(sorted(counts | set(FEW)))
    n = n[(n >= 5) & (n <= largest * multiplicity(dim, 3))]
    trials = np.clip(base * 400 // n, 4, base * 6)
    return n, np.minimum.accumulate(trials)


def simulated(dim: int, name: str, ridge: float, noise: float) -> list[Point]:
    """Simulate every n of one dimension, kernel, ridge and noise."""
    n, trials = sizes(dim)
    target = Target(POWER, noise)
    curve = simulate(KERNELS[name], target, dim, n, ridge, trials, 1, progress=False)
    errors = curve.standard_errors
    assert errors is not None
    columns = n, trials, np.asarray(curve.test_error), np.asarray(errors.test_error)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Point(dim, name, ridge, noise, *row) for row in rows]


def grid() -> Iterator[tuple[int, str, float, float]]:
    """Every dimension, kernel, ridge and noise."""
    for dim in DIMENSIONS:
        for name in KERNELS:
            for ridge in RIDGES:
                for noise in NOISES:
                    yield dim, name, ridge, noise


def judged(points: list[Point]) -> list[Judged]:
    """Compare every point with the deterministic equivalent."""
    found = []
    for (dim, name, ridge, noise), group in groups(points, 4).items():
        levels = spectrum(KERNELS[name], dim, HIGHEST_DEGREE)
        n = np.array([point.n for point in group])
        found += judge(group, learning_curve(levels, Target(POWER, noise), n, ridge))
    return found


def figure(found: list[Judged]) -> "Figure":
    """Deviations against n, and against their estimate."""
    parts = {f"$d = {dim}$": [one for one in found if one.point.dim == dim] for dim in DIMENSIONS}
    return draw(parts, lambda point: point.n, "samples $n$")
