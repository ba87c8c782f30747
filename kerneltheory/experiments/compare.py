"""Comparison of a theoretical with a simulated learning curve."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core import check
from kerneltheory.core.figures import COLORS, CYCLE, axes_or_new, dots, plain_log_ticks
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.display import is_varied, words
from kerneltheory.learning.plots import LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIELDS = ("test_error", "bias", "variance")
# What says which point of theory belongs to a point of the simulation, where both know it.
KEYS = ("n", "ridge", "noise_variance")
_LOOKS = (("-", "o"), ("--", "s"), (":", "^"))


@dataclass(frozen=True, eq=False)
class Deviation:
    """How one field of the simulation deviates from theory, point by point of the simulation.

    Attributes:
        relative: simulated / theory - 1, (points,).
        z: (simulated - theory) / standard error, (points,).
    """

    relative: np.ndarray
    z: np.ndarray

    @property
    def largest(self) -> float:
        """The largest deviation in standard errors."""
        return float(np.abs(self.z).max())

    @property
    def root_mean_square(self) -> float:
        """The root-mean-square deviation in standard errors."""
        return float(np.sqrt(np.mean(self.z**2)))

    def beyond(self, standard_errors: Any = 3.0) -> np.ndarray:
        """What of the relative deviations is beyond so many standard errors, (points,).

        Args:
            standard_errors: how many, one number or one for each point.
        """
        within = np.asarray(standard_errors) / np.maximum(np.abs(self.z), np.finfo(float).tiny)
        return np.abs(self.relative) * np.maximum(0, 1 - within)

    def fraction_within(self, standard_errors: float = 3.0, relative: float = 0.01) -> float:
        """Fraction of the points within so many standard errors or the relative deviation."""
        close = (np.abs(self.z) <= standard_errors) | (np.abs(self.relative) <= relative)
        return float(close.mean())


@dataclass(frozen=True, eq=False)
class Comparison:
    """Theory and simulation, and how they deviate at the same points; made by `compare`.

    Attributes:
        theory, simulated: the curves.
        deviations: a Deviation by name of the field, for the fields that both have.
    """

    theory: LearningCurve
    simulated: LearningCurve
    deviations: tuple[tuple[str, Deviation], ...]

    def __getitem__(self, field: str) -> Deviation:
        return dict(self.deviations)[field]

    def __repr__(self) -> str:
        header = (
            f"{'':<12}{'points':>7}{'largest z':>11}{'rms z':>8}{'largest rel.':>14}"
            f"{'within 3 s.e. or 1%':>21}"
        )
        return "\n".join([header, *(_row(name, d) for name, d in self.deviations)])

    def _repr_html_(self) -> str:
        return f"<pre>{self!r}</pre>"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Theory as lines and the simulation as dots with standard errors; return the axes.

        There is a colour for each field or, at several ridges or noise variances, for each of
        them.

        Args:
            ax: axes to draw in; a new figure if None.
        """
        axes = axes_or_new(ax)
        draw_curves(axes, self.theory, self.simulated, tuple(name for name, _ in self.deviations))
        axes.legend()
        return axes


def _row(name: str, deviation: Deviation) -> str:
    return (
        f"{name.replace('_', ' '):<12}{deviation.z.size:>7}{deviation.largest:>11.2f}"
        f"{deviation.root_mean_square:>8.2f}{np.abs(deviation.relative).max():>14.2%}"
        f"{deviation.fraction_within():>21.1%}"
    )


def draw_curves(
    axes: "Axes", theory: LearningCurve, simulated: LearningCurve, fields: tuple[str, ...]
) -> None:
    """Draw theory as lines and the simulation as dots, against the first parameter that varies."""
    known = simulated.parameters()
    axis = next((name for name in KEYS if name in known and is_varied(known[name])), "n")
    lines = _lines(axis, theory, simulated)
    for (line, (own, its)), field in product(enumerate(lines), fields):
        style, marker = _LOOKS[fields.index(field) if len(lines) > 1 else 0]
        color = CYCLE[line % len(CYCLE)] if len(lines) > 1 else COLORS.get(field, "black")
        x, y, error = (_flat(simulated, value)[own] for value in _drawn(simulated, axis, field))
        at, expected = (_flat(theory, getattr(theory, name))[its] for name in (axis, field))
        label = ", ".join([words(field), *_told(axis, simulated, own)])
        axes.plot(at, expected, color=color, linestyle=style, label=label)
        dots(axes, x, y, error, color=color, fmt=marker, markersize=2.5)
    scale = "log" if (known[axis] > 0).all() else "linear"
    axes.set(xscale=scale, yscale="log", xlabel=LABELS[axis], ylabel="error")
    plain_log_ticks(axes)


def _drawn(curve: LearningCurve, axis: str, field: str) -> tuple[Any, Any, Any]:
    return getattr(curve, axis), getattr(curve, field), curve.standard_error(field)


def _lines(
    axis: str, theory: LearningCurve, simulated: LearningCurve
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The places of the points of each line, of simulation and theory, in ascending order."""
    others = [name for name in _shared(theory, simulated) if name != axis]
    own, its = _keys(simulated, others), _keys(theory, others)
    values = dict.fromkeys(own)
    if 1 < len(values) == len(own):  # a parameter that goes with the axis, as the best ridge does
        own, its = _keys(simulated, [axis, *others]), _keys(theory, [axis, *others])
        pairs = [(np.arange(len(own)), _places(its, set(own)))]
    else:
        pairs = [(_places(own, {value}), _places(its, {value})) for value in values]
    at, expected = (_flat(curve, getattr(curve, axis)) for curve in (simulated, theory))
    return [(_sorted(at, one), _sorted(expected, other)) for one, other in pairs]


def _sorted(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The places in the order of their values."""
    return places[np.argsort(values[places], kind="stable")]


def _told(axis: str, curve: LearningCurve, places: np.ndarray) -> list[str]:
    """The parameters of a line that other lines have different."""
    told = {k: v for k, v in curve.parameters().items() if k in KEYS and k != axis}
    return [
        f"{words(name)} {value.flat[places[0]]:.3g}"
        for name, value in told.items()
        if is_varied(value) and not is_varied(value.ravel()[places])
    ]


def compare(theory: LearningCurve, simulated: LearningCurve, *, min_n: int = 1) -> Comparison:
    """Compare a simulation with theory, in standard errors.

    Args:
        theory: a curve of any shape that holds every point (n, ridge, noise variance) of the
            simulation, as far as both curves know these.
        simulated: a curve with standard errors, of any shape.
        min_n: leave out smaller n.

    Returns:
        A Comparison of test error, bias and variance, where both curves have them; it prints as
        a table and draws itself.

    Raises:
        TypeError: if an argument is not a LearningCurve.
        ValueError: if the simulation has no standard errors, theory lacks one of its points or
            has several values there, or they have no field in common.

    Examples:
        >>> from kerneltheory.learning.curve import StandardErrors
        >>> n = np.array([10, 20])
        >>> theory = LearningCurve(n=n, test_error=np.array([0.5, 0.25]))
        >>> simulated = LearningCurve(
        ...     n=n, test_error=np.array([0.51, 0.25]),
        ...     standard_errors=StandardErrors(test_error=np.array([0.01, 0.01])))
        >>> round(compare(theory, simulated)["test_error"].largest, 6)
        1.0
    """
    for name, curve in (("theory", theory), ("simulated", simulated)):
        if not isinstance(curve, LearningCurve):
            raise TypeError(f"{name} must be a LearningCurve, got {type(curve).__name__}")
    if simulated.standard_errors is None:
        raise ValueError("simulated must have standard_errors, got a curve without")
    if theory.n is None or simulated.n is None:
        raise ValueError("theory and simulated must both have n, got a curve without")
    least = float(check.finite("min_n", min_n, ndim=0))
    kept, index = _matched(theory, simulated, least)
    deviations = tuple(
        (field, _deviation(field, theory, index, simulated, kept))
        for field in FIELDS
        if _has(theory, field) and _has(simulated, field) and _has(simulated.standard_errors, field)
    )
    if not deviations:
        raise ValueError(f"theory and simulated must have a field in common of {FIELDS}")
    return Comparison(theory, simulated, deviations)


def _matched(
    theory: LearningCurve, simulated: LearningCurve, min_n: float
) -> tuple[np.ndarray, np.ndarray]:
    """The places of the simulated points to compare, and those of the same points of theory."""
    simulated_n = _flat(simulated, simulated.n)
    kept = np.flatnonzero(simulated_n >= min_n)
    missing = np.setdiff1d(simulated_n[kept], _flat(theory, theory.n))
    if not kept.size:
        raise ValueError(
            f"min_n must not leave out all of the simulation, whose n are at most "
            f"{simulated_n.max():g}, got {min_n:g}"
        )
    if missing.size:
        raise ValueError(f"theory must hold every n of the simulation, lacks {missing[:5]}")
    names = _shared(theory, simulated)
    places: dict[tuple[float, ...], int] = {}
    for place, key in enumerate(_keys(theory, names)):
        if places.setdefault(key, place) != place:
            _refuse_two(theory, places[key], place)
    keys = _keys(simulated, names)
    wanted = [keys[place] for place in kept]
    for key in wanted:
        if key not in places:
            point = ", ".join(f"{words(k)} = {v:g}" for k, v in zip(names, key, strict=True))
            raise ValueError(
                "theory and simulated must have the same ridge and noise variance at each n, "
                f"theory lacks {point}"
            )
    return kept, np.array([places[key] for key in wanted])


def _refuse_two(theory: LearningCurve, first: int, second: int) -> None:
    """Refuse two points of theory that only differ in what a simulation does not have."""
    held = (_flat(theory, getattr(theory, name)) for name in FIELDS if _has(theory, name))
    if any(values[first] != values[second] for values in held):
        varied = [name for name, value in theory.parameters().items() if is_varied(value)]
        raise ValueError(
            f"theory must have one value at each n, ridge and noise variance, got several "
            f"(it varies in {', '.join(map(words, varied))}); take the part that was simulated"
        )


def _shared(theory: LearningCurve, simulated: LearningCurve) -> list[str]:
    """The parameters that both curves know."""
    return [name for name in KEYS if _has(theory, name) and _has(simulated, name)]


def _keys(curve: LearningCurve, names: list[str]) -> list[tuple[float, ...]]:
    """The values of parameters at each point."""
    columns = [_flat(curve, getattr(curve, name)).astype(float).tolist() for name in names]
    return list(zip(*columns, strict=True)) if columns else [()] * int(np.prod(curve.shape))


def _places(keys: list[tuple[float, ...]], wanted: set[tuple[float, ...]]) -> np.ndarray:
    return np.array([place for place, key in enumerate(keys) if key in wanted], dtype=int)


def _flat(curve: LearningCurve, values: Any) -> np.ndarray:
    """One value for each point of a curve, (points,)."""
    return np.broadcast_to(np.asarray(values), curve.shape).ravel()


def _has(record: Any, field: str) -> bool:
    return getattr(record, field, None) is not None


def _deviation(
    field: str, theory: LearningCurve, index: np.ndarray, simulated: LearningCurve, kept: np.ndarray
) -> Deviation:
    expected = _flat(theory, getattr(theory, field))[index]
    measured = _flat(simulated, getattr(simulated, field))[kept]
    error = _flat(simulated, simulated.standard_error(field))[kept]
    # An average that is exact (n = 1) fluctuates by rounding only.
    error = np.maximum(error, 8 * np.finfo(float).eps * np.abs(measured))
    difference, tiny = measured - expected, np.finfo(float).tiny
    with np.errstate(over="ignore"):  # off from zero is infinitely far off
        relative = difference / np.maximum(np.abs(expected), tiny)
        return Deviation(relative, difference / np.maximum(error, tiny))
