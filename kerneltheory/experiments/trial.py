"""One trial of a simulated learning curve: samples, one factorisation, exact errors at every n."""

import functools
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.kernels.base import Kernel
from kerneltheory.regression.averages import congruence, prefix_block_sums, prefix_traces
from kerneltheory.regression.nested import NestedRegression
from kerneltheory.spectra.spectrum import Spectrum, Target
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer_sequence, recurrence
from kerneltheory.sphere.sampling import uniform_sphere


@dataclass(frozen=True)
class Problem:
    """What all trials share: `sizes` rise, `zonal_weights` are those of that function."""

    kernel: Kernel
    spectrum: Spectrum
    target: Target
    dim: int
    sizes: np.ndarray
    ridge: float
    zonal_weights: dict[str, np.ndarray]

    def with_sizes(self, sizes: np.ndarray) -> "Problem":
        """The same problem at other numbers of samples."""
        return replace(self, sizes=sizes)

    @property
    def total_power(self) -> float:
        """|f|^2."""
        return float(self.target.total_power)

    def zonal_matrix(self, name: str, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """S, C or E between two sets of samples, (len(x), len(z))."""
        weights = self.zonal_weights[name]
        with jax.enable_x64(True):
            return np.array(_clenshaw(self.dim, *map(jnp.asarray, (weights, x, z))))


def zonal_weights(spectrum: Spectrum, target: Target) -> dict[str, np.ndarray]:
    """Weights of P_0, P_1, ... in S and C, and in E, which is D from degree 2 on."""
    powers = np.asarray(target.powers(len(spectrum.degrees)))
    eigenvalues = np.asarray(spectrum.eigenvalues)
    squares = np.where(spectrum.degrees < 2, 0.0, spectrum.level_masses * eigenvalues)
    rows = {"S": powers, "C": eigenvalues * powers, "E": squares}
    return {name: np.trim_zeros(row, "b") for name, row in rows.items()}


@functools.partial(jax.jit, static_argnums=0)
def _clenshaw(dim: int, weights: jax.Array, x: jax.Array, z: jax.Array) -> jax.Array:
    """Sum the P_k without their powers of the cosine, which alternate and cancel."""
    cosines = x @ z.T
    total = after = jnp.zeros_like(cosines)
    for degree in range(len(weights) - 1, -1, -1):
        a = float(recurrence(dim, degree)[0]) if degree else 1.0
        b = float(recurrence(dim, degree + 1)[1])
        total, after = weights[degree] + a * cosines * total - b * after, total
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
        np.clip(cosines, -1.0, 1.0, out=cosines)
        np.fill_diagonal(cosines, 1.0)
        self.regression = NestedRegression(problem.kernel(cosines), labels, problem.ridge)

    def _labels(self, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels y, and the overlaps c of the target with the kernel at the samples."""
        problem = self.problem
        labels = np.sqrt(problem.target.single_noise_variance) * noise
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

    @functools.cached_property
    def _features(self) -> np.ndarray:
        """V of D = E + V V': the degrees 0 and 1 as the features 1 and sqrt(d) x, (N, 1 + d).

        They are by far the largest part of D, and would fill its entries with rounding that the
        coefficients magnify where the ridge is small. In V'a they cancel as they should.
        """
        constant, linear = self.problem.spectrum.eigenvalues[:2]
        features = np.full((len(self.x), 1 + self.problem.dim), constant)
        features[:, 1:] = linear * np.sqrt(self.problem.dim) * self.x
        return features

    @functools.cached_property
    def _low_degrees(self) -> np.ndarray:
        return self._features.T @ self._coefficients

    def _test_error(self) -> np.ndarray:
        form = self.problem.zonal_matrix("E", self.x, self.x)
        square = self.regression.quadratic_form(form, self.problem.sizes)
        square += np.einsum("ij,ij->j", self._low_degrees, self._low_degrees)
        return self.problem.total_power - 2 * self._linear + square

    def bias_with(self, other: "DrawnTrial") -> np.ndarray:
        """The inner product of the residuals of two trials, at the sizes of this one."""
        size, count = len(self.x), len(self.problem.sizes)
        cross = self.problem.zonal_matrix("E", self.x, other.x[:size])
        product = cross @ other._coefficients[:size, :count]
        inner = np.einsum("ij,ij->j", self._coefficients, product)
        inner += np.einsum("ij,ij->j", self._low_degrees, other._low_degrees[:, :count])
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
        labels[np.diag_indices_from(labels)] += self.problem.target.single_noise_variance
        square = self._traces(labels, self)
        return self.problem.total_power - 2 * self._linear + square

    def bias_with(self, other: DrawnTrial) -> np.ndarray:
        """The averaged inner product of the residuals of two trials, at the sizes of this one."""
        size, count = len(self.x), len(self.problem.sizes)
        labels = self.problem.zonal_matrix("S", self.x, other.x[:size])
        inner = self._traces(labels, other)
        return self.problem.total_power - self._linear - other._linear[:count] + inner

    @functools.cached_property
    def _low_degrees(self) -> np.ndarray:
        """L^{-1} V."""
        return self.regression.inverse_factor @ self._features

    def _traces(self, labels: np.ndarray, other: DrawnTrial) -> np.ndarray:
        """tr(M_1 A M_2 D') at the sizes."""
        size = len(self.x)
        first = congruence(self.regression, labels, other.regression)
        form = self.problem.zonal_matrix("E", self.x, other.x[:size])
        second = congruence(self.regression, form, other.regression)
        second += self._low_degrees @ other._low_degrees[:size].T
        return prefix_block_sums(first, second)[self.problem.sizes - 1]
