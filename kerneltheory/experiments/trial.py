"""One trial on the sphere: samples, a factor for each ridge, exact errors at every point."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.experiments.points import Group, Points, gather, gather_each, matched
from kerneltheory.experiments.statistics import label_errors
from kerneltheory.kernels.base import Kernel
from kerneltheory.regression.averages import congruence, prefix_block_sums, prefix_traces
from kerneltheory.regression.nested import NestedRegression
from kerneltheory.spectra.spectrum import Spectrum, Target
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer_sequence, recurrence
from kerneltheory.sphere.sampling import uniform_sphere


@dataclass(frozen=True, eq=False)
class SphereProblem:
    """What all trials on the sphere share.

    Attributes:
        kernel, dim: of the regression.
        targets: one for each curve.
        spectrum: the degrees that errors are summed over.
        points: of the curves, whose `label_sets` are (target, noise variance).
        labels: "averaged" or "drawn".
        seed: of everything random, together with the index of the trial.
    """

    kernel: Kernel
    dim: int
    targets: tuple[Target, ...]
    spectrum: Spectrum
    points: Points
    labels: Literal["averaged", "drawn"]
    seed: int

    noisy = True

    @property
    def method(self) -> str:
        """What makes the curves, in words."""
        return f"simulation on the sphere, dim {self.dim}, labels {self.labels}"

    def trial(self, index: int) -> "DrawnTrial":
        """Draw and fit the trial of this index."""
        kind = AveragedTrial if self.labels == "averaged" else DrawnTrial
        return kind(self, np.random.default_rng([self.seed, index]), index)

    def target_of(self, label: int) -> int:
        """The target of one of the labels."""
        return self.points.label_sets[label][0]

    def total_powers(self, labels: np.ndarray) -> np.ndarray:
        """|f|^2 of labels."""
        return np.array([float(self.targets[self.target_of(i)].total_power) for i in labels])

    def zonal_matrix(self, name: str, x: np.ndarray, z: np.ndarray, target: int = 0) -> np.ndarray:
        """S or C of a target, or E, between two sets of samples, (len(x), len(z))."""
        weights = self._weights(name, target)
        with jax.enable_x64(True):
            return np.array(_clenshaw(self.dim, *map(jnp.asarray, (weights, x, z))))

    def _weights(self, name: str, target: int) -> np.ndarray:
        """Weights of P_0, P_1, ... in S and C, and in E, which is D from degree 2 on."""
        levels = self.spectrum
        eigenvalues = np.asarray(levels.eigenvalues)
        if name == "E":
            weights = np.where(levels.degrees < 2, 0.0, levels.level_masses * eigenvalues)
        else:
            powers = np.asarray(self.targets[target].powers(len(levels.degrees)))
            weights = powers if name == "S" else eigenvalues * powers
        return np.trim_zeros(weights, "b")


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


@dataclass(frozen=True, eq=False)
class _Fit:
    """What is kept of the regressions at one ridge.

    Attributes:
        tables: each measured quantity, (sizes, labels).
        linear: mean or value of the inner product of target and predictor, (sizes, labels).
        low_degrees: V'a of the drawn labels, (1 + d, sizes, labels); L^{-1} V if averaged.
        factor: the coefficients a, (sizes, labels, N); L^{-1} if averaged.
    """

    tables: dict[str, np.ndarray]
    linear: np.ndarray
    low_degrees: np.ndarray
    factor: np.ndarray


class DrawnTrial:
    """Samples, one target of each kind and its noise: test error and bias of this draw.

    The direction w of all targets is the first axis: samples are isotropic. All noises are
    multiples of one draw.
    """

    def __init__(
        self, problem: SphereProblem, generator: np.random.Generator, index: int = 0
    ) -> None:
        self.problem = problem
        self.groups = problem.points.groups(index)
        size = max(group.largest for group in self.groups)
        self.x = uniform_sphere(generator, size, problem.dim)
        self.labels, self.overlap = self._labels(generator.standard_normal(size))
        gram, form = self._gram(), self._norm_form()
        self.fits = [self._fit_group(group, gram, form) for group in self.groups]

    def _gram(self) -> np.ndarray:
        """The kernel between the samples."""
        cosines = self.x @ self.x.T
        np.clip(cosines, -1.0, 1.0, out=cosines)
        np.fill_diagonal(cosines, 1.0)
        return self.problem.kernel(cosines)

    def _norm_form(self) -> np.ndarray | None:
        """What quadratic forms at all ridges share, where they leave it as it is."""
        return self.problem.zonal_matrix("E", self.x, self.x)

    def _labels(self, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All labels y, and the overlaps c of their targets with the kernel, (N, labels)."""
        problem = self.problem
        sets = problem.points.label_sets
        labels = np.sqrt([variance for _, variance in sets]) * noise[:, None]
        overlap = np.zeros_like(labels)
        counts = len(problem.spectrum.degrees)
        powers = np.array([problem.targets[target].powers(counts) for target, _ in sets])
        highest = int(np.flatnonzero(powers.any(axis=0)).max(initial=0))
        parts = gegenbauer_sequence(problem.dim, self.x[:, 0], highest)
        for degree, part in enumerate(parts):
            scale = np.sqrt(powers[:, degree] * multiplicity(problem.dim, degree))
            values = scale * part[:, None]
            labels += values
            overlap += problem.spectrum.eigenvalues[degree] * values
        return labels, overlap

    def _fit_group(self, group: Group, gram: np.ndarray, form: np.ndarray | None) -> _Fit:
        size = group.largest
        labels = self.labels[:size, group.labels]
        regression = NestedRegression(gram[:size, :size], labels, group.ridge)
        return self._fit(group, regression, form, label_errors(regression, group.sizes))

    def _fit(
        self,
        group: Group,
        regression: NestedRegression,
        form: np.ndarray | None,
        tables: dict[str, np.ndarray],
    ) -> _Fit:
        assert form is not None
        size, shape = group.largest, (len(group.sizes), len(group.labels))
        rows = np.moveaxis(regression.coefficients(group.sizes), 0, -1)
        flat = rows.reshape(-1, size).T
        low = self._features[:size].T @ flat
        linear = regression.linear_form(self.overlap[:size, group.labels], group.sizes)
        square = regression.quadratic_form(form[:size, :size], group.sizes)
        square += np.einsum("ij,ij->j", low, low).reshape(shape)
        test_error = self.problem.total_powers(group.labels) - 2 * linear + square
        low_degrees = low.reshape(-1, *shape)
        return _Fit(tables | {"test_error": test_error}, linear, low_degrees, rows)

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

    def measured(self) -> dict[str, np.ndarray]:
        """Every quantity but the bias, at the points of the trial."""
        return gather_each(self.groups, [fit.tables for fit in self.fits])

    def bias_with(self, other: "DrawnTrial") -> np.ndarray:
        """The inner product of the residuals of two trials, at the points of this one."""
        cross = self._cross_form(other)
        tables = []
        pairs = matched(self.groups, other.groups)
        for (group, place, index), fit in zip(pairs, self.fits, strict=True):
            inner = self._inner(group, fit, other, place, cross)
            theirs = other.fits[place].linear[index]
            total = self.problem.total_powers(group.labels)
            tables.append(total - fit.linear - theirs + inner)
        return gather(self.groups, tables)

    def _cross_form(self, other: "DrawnTrial") -> np.ndarray | None:
        """What the inner products at all ridges share, where they leave it as it is."""
        return self.problem.zonal_matrix("E", self.x, other.x[: len(self.x)])

    def _inner(
        self, group: Group, fit: _Fit, other: "DrawnTrial", place: int, cross: np.ndarray | None
    ) -> np.ndarray:
        """The inner product of the two predictors, (sizes, labels)."""
        assert cross is not None
        size, shape = group.largest, (len(group.sizes), len(group.labels))
        rows, columns = index = group.within(other.groups[place])
        theirs = other.fits[place].factor[index][..., :size].reshape(-1, size).T
        low = other.fits[place].low_degrees[:, rows, columns]
        product = cross[:size, :size] @ theirs
        inner = np.einsum("ij,ij->j", fit.factor.reshape(-1, size).T, product)
        inner += np.einsum(
            "ij,ij->j", fit.low_degrees.reshape(len(low), -1), low.reshape(len(low), -1)
        )
        return inner.reshape(shape)


class AveragedTrial(DrawnTrial):
    """Samples: test error and bias averaged over isotropic targets and noise."""

    def _norm_form(self) -> np.ndarray | None:
        return None

    def _fit(
        self,
        group: Group,
        regression: NestedRegression,
        form: np.ndarray | None,
        tables: dict[str, np.ndarray],
    ) -> _Fit:
        inverse, size = regression.inverse_factor, group.largest
        low = inverse @ self._features[:size]
        norm = congruence(inverse, self._zonal("E", size), inverse)
        norm += low @ low.T
        linear = np.empty((len(group.sizes), len(group.labels)))
        test_error = np.empty_like(linear)
        for target, columns in self._by_target(group):
            overlap = prefix_traces(inverse, self._zonal("C", size, target))[group.sizes - 1]
            # The least noise comes with the target at no cost.
            covariance = self._zonal("S", size, target)
            covariance[np.diag_indices(size)] += self._noises(group)[columns].min()
            first = congruence(inverse, covariance, inverse)
            square = prefix_block_sums(first, norm)[group.sizes - 1]
            linear[:, columns] = overlap[:, None]
            power = float(self.problem.targets[target].total_power)
            test_error[:, columns] = (power - 2 * overlap + square)[:, None]
        self._add_noise(test_error, group, inverse, norm)
        return _Fit(tables | {"test_error": test_error}, linear, low, inverse)

    def _add_noise(
        self, test_error: np.ndarray, group: Group, inverse: np.ndarray, norm: np.ndarray
    ) -> None:
        """Add what each noise has beyond the least of its target, times tr(M D M)."""
        excess = self._noises(group)
        for _, columns in self._by_target(group):
            excess[columns] -= excess[columns].min()
        if excess.any():
            first = congruence(inverse, np.eye(group.largest), inverse)
            test_error += prefix_block_sums(first, norm)[group.sizes - 1, None] * excess

    def _noises(self, group: Group) -> np.ndarray:
        return np.array([self.problem.points.label_sets[label][1] for label in group.labels])

    def _by_target(self, group: Group) -> Iterator[tuple[int, np.ndarray]]:
        """Each target of a group, and the places of its labels."""
        targets = np.array([self.problem.target_of(label) for label in group.labels])
        for target in np.unique(targets):
            yield int(target), np.flatnonzero(targets == target)

    def _zonal(
        self, name: str, size: int, target: int = 0, other: "DrawnTrial | None" = None
    ) -> np.ndarray:
        """The leading block: compiled for the shape of the whole, whatever the block."""
        points = self.x if other is None else other.x[: len(self.x)]
        return self.problem.zonal_matrix(name, self.x, points, target)[:size, :size]

    def _cross_form(self, other: "DrawnTrial") -> np.ndarray | None:
        return None

    def _inner(
        self, group: Group, fit: _Fit, other: "DrawnTrial", place: int, cross: np.ndarray | None
    ) -> np.ndarray:
        size, theirs = group.largest, other.fits[place]
        norm = congruence(fit.factor, self._zonal("E", size, other=other), theirs.factor)
        norm += fit.low_degrees @ theirs.low_degrees[:size].T
        inner = np.empty_like(fit.linear)
        for target, columns in self._by_target(group):
            covariance = self._zonal("S", size, target, other)
            first = congruence(fit.factor, covariance, theirs.factor)
            inner[:, columns] = prefix_block_sums(first, norm)[group.sizes - 1, None]
        return inner
