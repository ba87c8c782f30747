"""Simulations that calibrate the `validity` of learning curves, and the figure that shows them."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sympy
from tqdm import tqdm

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.core.figures import CYCLE, look, panel_title
from kerneltheory.experiments.simulate import simulate
from kerneltheory.kernels.base import Kernel, T
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.validity import TOLERANCE
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


class Judged(NamedTuple):
    """A point, how far the equivalent is off relatively, and the estimate of that."""

    point: Point
    deviation: float
    relative_standard_error: float
    validity: float

    @property
    def valid(self) -> bool:
        """Whether the estimate accepts it."""
        return self.validity < TOLERANCE

    @property
    def agrees(self) -> bool:
        """Whether theory is within three standard errors or one part in 100."""
        return abs(self.deviation) < max(TOLERANCE, 3 * self.relative_standard_error)


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


def measure(path: Path) -> list[Point]:
    """The points of a table; what it lacks of the grid is simulated and added to it."""
    points = read(path)
    held = {point[:4] for point in points}
    missing = [setting for setting in grid() if setting not in held]
    for setting in tqdm(missing, desc="validity", disable=not missing):
        points += simulated(*setting)
        write(path, points)
    return points


def read(path: Path) -> list[Point]:
    """The points of a table, none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [
        Point(int(dim), name, float(ridge), float(noise), int(n), int(trials), float(t), float(s))
        for dim, name, ridge, noise, n, trials, t, s in rows
    ]


def write(path: Path, points: list[Point]) -> None:
    """Write a table of points."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Point._fields)
        table.writerows([*p[:6], f"{p.test_error:.7g}", f"{p.standard_error:.3g}"] for p in points)


def judge(points: list[Point]) -> list[Judged]:
    """Compare every point with the deterministic equivalent."""
    groups: dict[tuple[Any, ...], list[Point]] = {}
    for point in points:
        groups.setdefault(point[:4], []).append(point)
    found = []
    for (dim, name, ridge, noise), group in groups.items():
        levels = spectrum(KERNELS[name], dim, HIGHEST_DEGREE)
        n = np.array([point.n for point in group])
        curve = learning_curve(levels, Target(POWER, noise), n, ridge)
        predicted, validity = np.asarray(curve.test_error), curve.validity
        assert validity is not None
        for point, theory, estimate in zip(group, predicted.tolist(), validity, strict=True):
            deviation = point.test_error / theory - 1
            found.append(Judged(point, deviation, point.standard_error / theory, float(estimate)))
    return found


def summary(judged: list[Judged]) -> Mapping[str, float]:
    """How many points there are, are accepted, and of these agree; and the false acceptance."""
    accepted = [one for one in judged if one.valid]
    agreeing = sum(one.agrees for one in accepted)
    return {
        "points": len(judged),
        "accepted": len(accepted) / len(judged),
        "agreeing": agreeing / len(accepted),
        "false acceptance": 1 - agreeing / len(accepted),
    }


def draw(judged: list[Judged]) -> "Figure":
    """Deviations against n, and against their estimate."""
    import matplotlib.pyplot as plt

    with look():
        figure, panels = plt.subplots(1, 2, figsize=(7.2, 3.0))
        for color, dim in zip(CYCLE, DIMENSIONS, strict=False):
            own = [one for one in judged if one.point.dim == dim]
            n = np.array([one.point.n for one in own])
            deviation = 100 * np.array([one.deviation for one in own])
            validity = 100 * np.array([one.validity for one in own])
            valid = np.array([one.valid for one in own])
            for chosen, filled in ((valid, True), (~valid, False)):
                style: dict[str, Any] = {"color": color, "markersize": 2.5, "linestyle": "none"}
                style |= {"marker": "o", "markerfacecolor": color if filled else "none"}
                label = f"$d = {dim}$" + ("" if filled else ", not valid")
                label = label if chosen.any() else None
                panels[0].plot(n[chosen], deviation[chosen], label=label, **style)
                panels[1].plot(validity[chosen], np.abs(deviation[chosen]), **style)
        _dress(panels)
    return figure


def _dress(panels: Any) -> None:
    left, right = panels
    left.set(xscale="log", xlabel="samples $n$", ylabel="simulation over theory, less one (%)")
    left.axhspan(-1, 1, color="0.9", zorder=0)
    left.legend()
    panel_title(left, "a", "Error of the deterministic equivalent")
    right.set(xscale="log", yscale="log", xlim=(0.01, 30), ylim=(0.01, 30))
    right.set(xlabel="estimated |deviation| (%)", ylabel="measured |deviation| (%)")
    right.axvline(100 * TOLERANCE, color="0.6", linewidth=0.8)
    right.plot([0.01, 30], [0.01, 30], color="0.6", linewidth=0.8)
    panel_title(right, "b", "Estimated and measured error")
