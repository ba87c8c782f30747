"""Simulated test errors in a table, compared with theory and with its `validity`; their figure."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

import numpy as np
from tqdm import tqdm

from kerneltheory.core.figures import CYCLE, look, panel_title
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.validity import TOLERANCE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A named tuple of str, int and float, whose last fields are test_error and standard_error.
Point = Any


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


JUDGEMENTS = Judged._fields[1:]


def judge(points: Iterable[Point], curve: LearningCurve) -> list[Judged]:
    """Compare points with the theory at them, in the same order."""
    predicted, validity = np.asarray(curve.test_error), curve.validity
    assert validity is not None
    return [
        Judged(point, point.test_error / theory - 1, point.standard_error / theory, float(estimate))
        for point, theory, estimate in zip(points, predicted.tolist(), validity, strict=True)
    ]


def groups(points: Iterable[Point], fields: int) -> Mapping[tuple[Any, ...], list[Point]]:
    """The points that agree in their first fields."""
    found: dict[tuple[Any, ...], list[Point]] = {}
    for point in points:
        found.setdefault(tuple(point[:fields]), []).append(point)
    return found


def summary(judged: Sequence[Judged]) -> Mapping[str, float]:
    """How many points there are, are accepted, and of these agree; and the false acceptance."""
    accepted = [one for one in judged if one.valid]
    agreeing = sum(one.agrees for one in accepted)
    return {
        "points": len(judged),
        "accepted": len(accepted) / len(judged),
        "agreeing": agreeing / len(accepted),
        "false acceptance": 1 - agreeing / len(accepted),
    }


def report(judged: Sequence[Judged]) -> str:
    """The summary, and every point that is accepted and does not agree."""
    lines = [", ".join(f"{name} {value:.4g}" for name, value in summary(judged).items())]
    for one in judged:
        if one.valid and not one.agrees:
            own = ", ".join(map(str, one.point))
            lines.append(f"{own}: off by {one.deviation:+.2%}, estimated {one.validity:.2%}")
    return "\n".join([*lines, ""])


def columns(judged: Sequence[Judged]) -> dict[str, np.ndarray]:
    """All of them as arrays by name, from which `rows` makes them again."""
    names = (*judged[0].point._fields, *JUDGEMENTS)
    values = zip(*((*one.point, *one[1:]) for one in judged), strict=True)
    return {name: np.array(value) for name, value in zip(names, values, strict=True)}


def rows(arrays: Mapping[str, np.ndarray], kind: type) -> list[Judged]:
    """What `columns` turned into arrays, with points of this kind."""
    *values, deviation, error, validity = (column.tolist() for column in arrays.values())
    points = (kind(*own) for own in zip(*values, strict=True))
    return list(map(Judged, points, deviation, error, validity))


def measure(
    path: Path, settings: Iterable[Any], simulated: Callable[..., list[Point]], kind: type
) -> list[Point]:
    """The points of settings; what a table lacks of them is simulated and added to it."""
    points = read(path, kind)
    wanted = list(map(tuple, settings))
    held = set(groups(points, len(wanted[0])))
    missing = [setting for setting in wanted if setting not in held]
    for setting in tqdm(missing, desc=path.stem, disable=not missing):
        points += simulated(*setting)
        write(path, points)
    own = groups(points, len(wanted[0]))
    return [point for setting in wanted for point in own[setting]]


def read(path: Path, kind: type) -> list[Point]:
    """The points of a table, named tuples of this kind; none if there is no such file."""
    if not path.exists():
        return []
    types = get_type_hints(kind).values()
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [
        kind(*(convert(entry) for convert, entry in zip(types, row, strict=True))) for row in rows
    ]


def write(path: Path, points: Sequence[Point]) -> None:
    """Write a table of points."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(points[0]._fields)
        table.writerows([*p[:-2], f"{p.test_error:.7g}", f"{p.standard_error:.3g}"] for p in points)


def draw(
    parts: Mapping[str, Sequence[Judged]], size: Callable[[Point], float], label: str
) -> "Figure":
    """Deviations against a size of each point, and against their estimate; colors by part."""
    import matplotlib.pyplot as plt

    with look():
        figure, panels = plt.subplots(1, 2, figsize=(7.2, 3.0))
        for color, (name, own) in zip(CYCLE, parts.items(), strict=False):
            sizes = np.array([size(one.point) for one in own])
            deviation = 100 * np.array([one.deviation for one in own])
            validity = 100 * np.array([one.validity for one in own])
            valid = np.array([one.valid for one in own])
            for chosen, filled in ((valid, True), (~valid, False)):
                style: dict[str, Any] = {"color": color, "markersize": 2.5, "linestyle": "none"}
                style |= {"marker": "o", "markerfacecolor": color if filled else "none"}
                shown = name + ("" if filled else ", not valid") if chosen.any() else None
                panels[0].plot(sizes[chosen], deviation[chosen], label=shown, **style)
                panels[1].plot(validity[chosen], np.abs(deviation[chosen]), **style)
        _dress(panels, label)
    return figure


def _dress(panels: Any, label: str) -> None:
    left, right = panels
    left.set(xscale="log", xlabel=label, ylabel="simulation over theory, less one (%)")
    left.tick_params(axis="x", which="minor", labelbottom=False)
    left.axhspan(-1, 1, color="0.9", zorder=0)
    left.legend()
    panel_title(left, "a", "Error of the deterministic equivalent")
    right.set(xscale="log", yscale="log", xlim=(0.01, 30), ylim=(0.01, 30))
    right.set(xlabel="estimated |deviation| (%)", ylabel="measured |deviation| (%)")
    right.axvline(100 * TOLERANCE, color="0.6", linewidth=0.8)
    right.plot([0.01, 30], [0.01, 30], color="0.6", linewidth=0.8)
    panel_title(right, "b", "Estimated and measured error")
