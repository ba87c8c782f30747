"""One trial of a simulated learning curve: samples, one factorisation, exact errors at every n."""

import functools
from dataclasses import dataclass, replace
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.kernels.kernel import Kernel
from kerneltheory.regression.averages import congruence, prefix_block_sums, prefix_traces
from kerneltheory.regression.nested import NestedRegression
from kerneltheory.spectra.spectrum import Spectrum, Target
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer_sequence, power_coefficients
from kerneltheory.sphere.sampling import uniform_sphere


@dataclass(frozen=True)
class Problem:
    """What all trials share: `sizes` rise, `zonal_functions` are those of `zonal_powers`."""

    kernel: Kernel
    spectrum: Spectrum
    target: Target
    dim: int
    sizes: np.ndarray
    ridge: float
    zonal_functions: dict[str, tuple[float, ...]]

    def with_sizes(self, sizes: np.ndarray) -> "Problem":
        """The same problem at other numbers of samples."""
        return replace(self, sizes=sizes)

    @property
    def total_power(self) -> float:
        """|f|^2."""
        return float(self.target.total_power)

    def zonal_matrix(self, name: str, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """S, C or D between two sets of samples, (len(x), len(z))."""
        with jax.enable_x64(True):
            matrix = _horner(self.zonal_functions[name], jnp.asarray(x), jnp.asarray(z))
            return np.array(matrix)


def zonal_powers(spectrum: Spectrum, target: Target, dim: int) -> dict[str, tuple[float, ...]]:
    """Power coefficients in the cosine of S, C and D."""
    levels = range(len(spectrum.degrees))
    powers = [Fraction(float(p)) for p in target.powers(len(levels))]
    values = [Fraction(float(v)) for v in np.asarray(spectrum.eigenvalues)]
    weights = {
        "S": powers,
        "C": [v * p for v, p in zip(values, powers, strict=True)],
        "D": [multiplicity(dim, k) * v * v for k, v in zip(levels, values, strict=True)],
    }
    return {name: _float_powers(dim, row) for name, row in weights.items()}


def _float_powers(dim: int, weights: list[Fraction]) -> tuple[float, ...]:
    """The powers of t alternate and cancel, so they are summed exactly and rounded once."""
    while len(weights) > 1 and weights[-1] == 0:
        weights = weights[:-1]
    return tuple(float(c) for c in power_coefficients(dim, weights))


@functools.partial(jax.jit, static_argnums=0)
def _horner(coefficients: tuple[float, ...], x: jax.Array, z: jax.Array) -> jax.Array:
    cosines = x @ z.T
    total = jnp.full_like(cosines, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * cosines + coefficient
    return total


class DrawnTrial:
    """Samples, one target and its noise: test error and bias of this draw.

    The direction w of the target is the first axis: samples are isotropic.
    """

    def __init__(self, problem: Problem, generator: np.random.Generator) -> None:
        self.problem = problem
        size = int(problem.sizes[-1])
        self.x = uniform_sphere(generator, size, problem.dim)
        noise = generator.standard_normal(size)
        labels, self.overlap = self._labels(noise)
        cosines = self.x @ self.x.T
        np.fill_diagonal(cosines, 1.0)
        self.regression = NestedRegression(problem.kernel(cosines), labels, problem.ridge)

    def _labels(self, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels y, and the overlaps c of the target with the kernel at the samples."""
        problem = self.problem
        labels = np.sqrt(float(problem.target.noise_variance)) * noise
        overlap = np.zeros_like(labels)
        powers = problem.target.powers(len(problem.spectrum.degrees))
        highest = int(np.flatnonzero(powers).max(initial=0))
        parts = gegenbauer_sequence(problem.dim, self.x[:, 0], highest)
        for degree, part in enumerate(parts):
            values = np.sqrt(powers[degree] * multiplicity(problem.dim, degree)) * part
            labels += values
            overlap += problem.spectrum.eigenvalues[degree] * values
        return labels, overlap

    def measured(self) -> dict[str, np.ndarray]:
        """Every quantity but the bias, at the sizes."""
        index = self.problem.sizes - 1
        errors = self.regression.errors()
        return {
            "test_error": self._test_error(),
            "train_error": errors.train_error[index],
            "gcv": errors.generalized_cross_validation[index],
            "leave_one_out": errors.leave_one_out[index],
        }

    @functools.cached_property
    def _coefficients(self) -> np.ndarray:
        return self.regression.coefficients(self.problem.sizes)

    @functools.cached_property
    def _linear(self) -> np.ndarray:
        return self.regression.linear_form(self.overlap, self.problem.sizes)

    def _test_error(self) -> np.ndarray:
        form = self.problem.zonal_matrix("D", self.x, self.x)
        square = self.regression.quadratic_form(form, self.problem.sizes)
        return self.problem.total_power - 2 * self._linear + square

    def bias_with(self, other: "DrawnTrial") -> np.ndarray:
        """The inner product of the residuals of two trials, at the sizes of this one."""
        size, count = len(self.x), len(self.problem.sizes)
        cross = self.problem.zonal_matrix("D", self.x, other.x[:size])
        product = cross @ other._coefficients[:size, :count]
        inner = np.einsum("ij,ij->j", self._coefficients, product)
        return self.problem.total_power - self._linear - other._linear[:count] + inner


class AveragedTrial(DrawnTrial):
    """Samples: test error and bias averaged over isotropic targets and noise."""

    @functools.cached_property
    def _linear(self) -> np.ndarray:
        """tr(M C) at the sizes."""
        matrix = self.problem.zonal_matrix("C", self.x, self.x)
        return prefix_traces(self.regression, matrix)[self.problem.sizes - 1]

    def _test_error(self) -> np.ndarray:
        labels = self.problem.zonal_matrix("S", self.x, self.x)
        labels[np.diag_indices_from(labels)] += float(self.problem.target.noise_variance)
        square = self._traces(labels, self, self.problem.zonal_matrix("D", self.x, self.x))
        return self.problem.total_power - 2 * self._linear + square

    def bias_with(self, other: "AveragedTrial") -> np.ndarray:  # pyright: ignore
        """The averaged inner product of the residuals of two trials, at the sizes of this one."""
        size, count = len(self.x), len(self.problem.sizes)
        labels, form = (
            self.problem.zonal_matrix(name, self.x, other.x[:size]) for name in ("S", "D")
        )
        inner = self._traces(labels, other, form)
        return self.problem.total_power - self._linear - other._linear[:count] + inner

    def _traces(self, labels: np.ndarray, other: "AveragedTrial", form: np.ndarray) -> np.ndarray:
        """tr(M_1 A M_2 B') at the sizes."""
        first = congruence(self.regression, labels, other.regression)
        second = congruence(self.regression, form, other.regression)
        return prefix_block_sums(first, second)[self.problem.sizes - 1]
