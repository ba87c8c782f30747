"""The grid of a sweep: its settings and points, and the dataset of its trials on named axes."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from kerneltheory.core import check
from kerneltheory.experiments.points import MIN_TRIALS, Points, broadcast_points
from kerneltheory.experiments.simulate import sphere_problem
from kerneltheory.experiments.statistics import TrialTable
from kerneltheory.experiments.store import Records
from kerneltheory.experiments.trial import SphereProblem
from kerneltheory.kernels.base import Kernel, check_kernel
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import check_target
from kerneltheory.spectra.spectrum import Target

if TYPE_CHECKING:
    import xarray

LARGEST_SEED = 2**63 - 1  # of the integers on an axis


@dataclass(frozen=True)
class Grid:
    """All that the trials of a sweep are determined by, in types that JSON has.

    A setting is one (kernel, dim, seed), whose points (noise variance, ridge, n) share trials.

    Attributes:
        kernel: the definition of each kernel by its name.
        power: of the target, by degree.
        noise_variance, dim, ridge, seed: the values on their axes.
        n: those at each dim, as many at each.
        trials: one number, or nested lists that broadcast to (noise variance, ridge, n).
        labels: "averaged" or "drawn".
    """

    kernel: dict[str, str]
    power: list[float]
    noise_variance: list[float]
    dim: list[int]
    n: list[list[int]]
    ridge: list[float]
    trials: Any
    seed: list[int]
    labels: str

    @property
    def settings(self) -> list[tuple[str, int, int]]:
        """Every (kernel, dim, seed), the last running fastest."""
        return list(product(self.kernel, self.dim, self.seed))

    @property
    def counts(self) -> list[int]:
        """The number of trials of each setting."""
        return [self.points(dim).trials for _, dim, _ in self.settings]

    def points(self, dim: int) -> Points:
        """The points (noise variance, ridge, n) of every setting of one dim."""
        n, ridge, noise = self._axes(dim)
        return broadcast_points(n, ridge, [noise], self.trials)

    def problems(self, kernels: Mapping[str, Kernel]) -> list[SphereProblem]:
        """What the trials of each setting share."""
        problems = []
        for name, dim in product(self.kernel, self.dim):
            n, ridge, noise = self._axes(dim)
            target = Target(np.array(self.power), noise)
            first = sphere_problem(
                kernels[name], target, dim, n, ridge, self.trials, self.seed[0], labels=self.labels
            )
            problems += [dataclasses.replace(first, seed=seed) for seed in self.seed]
        return problems

    def _axes(self, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The numbers n, ridges and noise variances in shapes that broadcast to the grid."""
        n = np.array(self.n[self.dim.index(dim)])
        return n, np.array(self.ridge)[:, None], np.array(self.noise_variance)[:, None, None]

    def dataset(self, records: Records, attributes: Mapping[str, Any]) -> "xarray.Dataset":
        """What all trials measured, with standard errors, on the axes of the grid."""
        import xarray

        curves, wall_time, devices = [], 0.0, set()
        for setting, (_, dim, _) in enumerate(self.settings):
            table = TrialTable(self.points(dim))
            for trial in range(table.points.trials):
                record = records[setting, trial]
                table.add(trial, record.arrays)
                wall_time += record.wall_time
                devices.add(record.device)
            curves += table.learning_curves("sweep")
        sizes, n = (("n",), self.n[0])
        if any(row != self.n[0] for row in self.n):
            sizes, n = (("place",), (("dim", "place"), np.array(self.n)))
        inner = ("noise_variance", "ridge", *sizes)
        axes = ("kernel", "dim", "seed", *inner)
        fields = {name: (axes, values) for name, values in self._fields(curves)}
        coordinates = {
            name: np.array(list(getattr(self, name)))
            for name in ("kernel", "dim", "seed", "noise_variance", "ridge")
        }
        told = {
            "method": f"simulation on the sphere, labels {self.labels}",
            "specification": json.dumps(dataclasses.asdict(self)),
            "device": "; ".join(sorted(devices)),
            "wall_time": wall_time,
        }
        return xarray.Dataset(
            fields | {"trials": (inner, np.array(curves[0].trials))},
            coords=coordinates | {"n": n},
            attrs=told | dict(attributes),
        )

    def _fields(self, curves: list[LearningCurve]) -> list[tuple[str, np.ndarray]]:
        """Each measured field and its standard error, in the shape of the grid."""
        shape = len(self.kernel), len(self.dim), len(self.seed), *curves[0].shape
        columns = []
        for name, _ in curves[0].measured():
            values = [np.asarray(getattr(curve, name)) for curve in curves]
            errors = [np.asarray(curve.standard_error(name)) for curve in curves]
            columns.append((name, np.reshape(values, shape)))
            columns.append((f"{name}_standard_error", np.reshape(errors, shape)))
        return columns


# --- from the arguments of a call ---------------------------------------------------------------


def make_grid(
    kernels: Mapping[str, Kernel],
    target: Any,
    dim: Any,
    n: Any,
    ridge: Any,
    trials: Any,
    seed: Any,
    labels: Any,
) -> Grid:
    """Check the arguments of `sweep`, but for those that `sphere_problem` checks."""
    check_target(target)
    dims = _axis("dim", check.integers("dim", dim, minimum=2))
    return Grid(
        kernel={name: definition(kernel) for name, kernel in kernels.items()},
        power=np.asarray(target.powers(max(1, target.highest_degree + 1)), np.float64).tolist(),
        noise_variance=_axis("noise_variance", np.asarray(target.noise_variance, np.float64)),
        dim=dims,
        n=_sizes(n, dims),
        ridge=_axis("ridge", check.nonnegative("ridge", ridge)),
        trials=check.integers("trials", trials, minimum=MIN_TRIALS).tolist(),
        seed=_seeds(seed),
        labels=labels,
    )


def named_kernels(kernel: Any) -> dict[str, Kernel]:
    """One kernel or several by name, which is its text unless a mapping gives another.

    Raises:
        TypeError: one is no kernel, or a name no string.
        ValueError: there is none, or two have one name.
    """
    if isinstance(kernel, Mapping):
        named = list(kernel.items())
    else:
        several = kernel if isinstance(kernel, list | tuple) else [kernel]
        named = [(str(one), one) for one in several]
    if not named:
        raise ValueError(f"kernel must be at least one kernel, got {kernel!r}")
    for name, one in named:
        check_kernel(one)
        if not isinstance(name, str):
            raise TypeError(f"kernel must be a mapping from strings, got the name {name!r}")
    if len(dict(named)) < len(named):
        names = [name for name, _ in named]
        raise ValueError(
            f"kernel must hold kernels of different names, got {names}; give a mapping from names"
        )
    return dict(named)


def definition(value: Any) -> str:
    """The text of a kernel with all that determines it, the same in every process."""
    if isinstance(value, sympy.Basic):
        return sympy.srepr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        inside = ", ".join(f"{name}={definition(part)}" for name, part in fields)
        return f"{type(value).__name__}({inside})"
    if isinstance(value, tuple):
        return f"({', '.join(map(definition, value))})"
    if isinstance(value, str | int | float):
        return repr(value)
    raise TypeError(
        "kernel must be a dataclass of numbers, strings, sympy expressions and such dataclasses, "
        f"got {type(value).__name__} in it"
    )


def _axis(name: str, values: np.ndarray) -> list[Any]:
    """The values on an axis, all different."""
    if values.ndim > 1 or values.size == 0:
        raise ValueError(f"{name} must be one value or a list of them, got shape {values.shape}")
    numbers = np.atleast_1d(values).tolist()
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{name} must hold different values, got {numbers}")
    return numbers


def _seeds(seed: Any) -> list[int]:
    given = seed if isinstance(seed, list | tuple | range | np.ndarray) else [seed]
    seeds = [check.integer("seed", one, minimum=0) for one in given]
    if max(seeds, default=0) > LARGEST_SEED:
        raise ValueError(f"seed must be an integer of at most 2^63 - 1, got {max(seeds)}")
    return _axis("seed", np.array(seeds, np.int64))


def _sizes(n: Any, dims: list[int]) -> list[list[int]]:
    """The numbers of samples at each dim."""
    if not isinstance(n, Mapping):
        n = dict.fromkeys(dims, n)
    if set(n) != set(dims):
        raise ValueError(f"n must have the keys {dims} where it is a mapping, got {list(n)}")
    sizes = [_axis("n", check.integers("n", n[dim], minimum=1)) for dim in dims]
    if len({len(row) for row in sizes}) > 1:
        lengths = ", ".join(f"{len(row)} at dim {d}" for d, row in zip(dims, sizes, strict=True))
        raise ValueError(
            f"n must hold as many numbers at every dim, so that there is an axis, got {lengths}; "
            "else make one sweep for each dim"
        )
    return sizes
