"""Where learning curves are simulated: their points, and the regressions that points share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerneltheory.core import check

MIN_TRIALS = 4


@dataclass(frozen=True, eq=False)
class Group:
    """The points at one ridge, as entries of a table (sizes, labels): one factor serves it all.

    Attributes:
        ridge: their ridge.
        sizes: their numbers of samples, rising, (sizes,).
        labels: the labels that they are of, rising, (labels,).
        where: places of the points among those of the trial, (points,).
        row, column: their places in the table, (points,).
    """

    ridge: float
    sizes: np.ndarray
    labels: np.ndarray
    where: np.ndarray
    row: np.ndarray
    column: np.ndarray

    @property
    def largest(self) -> int:
        """The number of samples that the factor needs."""
        return int(self.sizes[-1])

    def within(self, larger: "Group") -> tuple[np.ndarray, ...]:
        """The index of this table in that of a trial which has more points."""
        return np.ix_(
            np.searchsorted(larger.sizes, self.sizes), np.searchsorted(larger.labels, self.labels)
        )


@dataclass(frozen=True, eq=False)
class Points:
    """The points of one curve after the other, flat.

    Attributes:
        n: number of samples, (points,).
        ridge: absolute ridge, (points,).
        labels: which labels, (points,), an index of `label_sets`.
        counts: number of trials, (points,).
        shapes: of the curves.
        label_sets: (curve, noise variance) of the labels that differ.
    """

    n: np.ndarray
    ridge: np.ndarray
    labels: np.ndarray
    counts: np.ndarray
    shapes: tuple[tuple[int, ...], ...]
    label_sets: tuple[tuple[int, float], ...]

    @property
    def trials(self) -> int:
        """The number of trials that some point takes."""
        return int(self.counts.max())

    @property
    def noise_variance(self) -> np.ndarray:
        """The noise variance at each point."""
        return np.array([noise for _, noise in self.label_sets])[self.labels]

    def curves(self) -> Iterable[tuple[slice, tuple[int, ...]]]:
        """The points of each curve, and its shape."""
        start = 0
        for shape in self.shapes:
            stop = start + int(np.prod(shape, dtype=int))
            yield slice(start, stop), shape
            start = stop

    def active(self, trial: int) -> np.ndarray:
        """The places of the points that take part in a trial, which the trial before it has too."""
        return np.flatnonzero(self.counts > trial)

    def groups(self, trial: int) -> tuple[Group, ...]:
        """The points that take part in a trial, by ridge."""
        active = self.active(trial)
        ridges, member = np.unique(self.ridge[active], return_inverse=True)
        groups = []
        for index, ridge in enumerate(ridges):
            where = np.flatnonzero(member == index)
            sizes, row = np.unique(self.n[active[where]], return_inverse=True)
            labels, column = np.unique(self.labels[active[where]], return_inverse=True)
            groups.append(Group(float(ridge), sizes, labels, where, row, column))
        return tuple(groups)


def gather(groups: Sequence[Group], tables: Iterable[np.ndarray]) -> np.ndarray:
    """Values at the points of a trial from one table (sizes, labels) for each of its groups."""
    values = np.empty(sum(len(group.where) for group in groups))
    for group, table in zip(groups, tables, strict=True):
        values[group.where] = table[group.row, group.column]
    return values


def gather_each(
    groups: Sequence[Group], tables: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The same of every quantity that the groups have a table of."""
    return {name: gather(groups, (table[name] for table in tables)) for name in tables[0]}


def matched(
    groups: Sequence[Group], larger: Sequence[Group]
) -> Iterator[tuple[Group, int, tuple[np.ndarray, ...]]]:
    """Each group, the place of its ridge in a trial with more points, and its index there."""
    ridges = [group.ridge for group in larger]
    for group in groups:
        place = ridges.index(group.ridge)
        yield group, place, group.within(larger[place])


def broadcast_points(n: Any, ridge: Any, noises: Sequence[Any], trials: Any) -> Points:
    """The points of one curve for each noise variance, to which n and ridge are broadcast.

    Args:
        n: numbers of samples, integers of at least 1, any shape.
        ridge: absolute ridges >= 0, any shape.
        noises: noise variances >= 0 of each curve, any shape.
        trials: at least 4; one number, or an array that broadcasts to the shape of every curve.

    Raises:
        ValueError, TypeError: an argument is out of its range, or the shapes do not broadcast.

    Examples:
        >>> points = broadcast_points([10, 20], [[0.1], [0.2]], [0.0], 5)
        >>> [group.ridge for group in points.groups(0)], points.n
        ([0.1, 0.2], array([10, 20, 10, 20]))
    """
    n = check.integers("n", n, minimum=1)
    ridge = check.nonnegative("ridge", ridge)
    trials = check.integers("trials", trials, minimum=MIN_TRIALS)
    columns, shapes, label_sets = [], [], []
    for curve, noise in enumerate(noises):
        noise = np.asarray(noise, np.float64)
        for name, value in (("ridge", ridge), ("noise_variance", noise)):
            if value.size == 0:
                raise ValueError(f"{name} must hold at least one number, got an empty array")
        check.broadcastable(n=n, ridge=ridge, noise_variance=noise)
        shape = np.broadcast_shapes(n.shape, ridge.shape, noise.shape)
        counts = _counts(trials, shape)
        values, which = np.unique(noise, return_inverse=True)
        which = len(label_sets) + which.reshape(noise.shape)
        label_sets += [(curve, float(value)) for value in values]
        shapes.append(shape)
        columns.append([np.broadcast_to(v, shape).ravel() for v in (n, ridge, which, counts)])
    n, ridge, labels, counts = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return Points(n, ridge, labels, counts, tuple(shapes), tuple(label_sets))


def _counts(trials: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.broadcast_to(trials, shape)
    except ValueError:
        raise ValueError(
            f"trials must be one integer or an array that broadcasts to the shape {shape} of the "
            f"curve, got shape {trials.shape}"
        ) from None
