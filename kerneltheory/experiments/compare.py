"""Comparison of a theoretical with a simulated learning curve."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core.figures import COLORS
from kerneltheory.learning.curve import LearningCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIELDS = ("test_error", "bias", "variance")


@dataclass(frozen=True, eq=False)
class Deviation:
    """How one field of the simulation deviates from theory, entry by entry.

    Attributes:
        relative: simulated / theory - 1.
        z: (simulated - theory) / standard error.
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

    def fraction_within(self, standard_errors: float = 3.0, relative: float = 0.01) -> float:
        """Fraction of the points within so many standard errors or the relative deviation."""
        close = (np.abs(self.z) <= standard_errors) | (np.abs(self.relative) <= relative)
        return float(close.mean())


@dataclass(frozen=True, eq=False)
class Comparison:
    """Theory and simulation at the same n, and how they deviate; made by `compare`.

    Attributes:
        theory, simulated: the curves, at the simulated n.
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
        """Theory as lines and the simulation as dots with standard errors; return the axes."""
        import matplotlib.pyplot as plt

        axes = plt.subplots()[1] if ax is None else ax
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
    """Draw theory as lines and the simulation as dots, a colour for each field."""
    for field in fields:
        color, label = COLORS.get(field, "black"), field.replace("_", " ")
        axes.plot(np.asarray(theory.n), getattr(theory, field), color=color, label=label)
        axes.errorbar(
            np.asarray(simulated.n),
            getattr(simulated, field),
            yerr=getattr(simulated.standard_errors, field),
            color=color,
            fmt="o",
            markersize=2.5,
            elinewidth=0.8,
            markeredgewidth=0,
        )
    axes.set(xscale="log", yscale="log", xlabel="samples $n$", ylabel="error")


def compare(theory: LearningCurve, simulated: LearningCurve, *, min_n: int = 1) -> Comparison:
    """Compare a simulation with theory, in standard errors.

    Args:
        theory: a curve that holds every n of the simulation.
        simulated: a curve with standard errors.
        min_n: leave out smaller n.

    Returns:
        A Comparison of test error, bias and variance, where both curves have them; it prints as
        a table and draws itself.

    Raises:
        TypeError: if an argument is not a LearningCurve.
        ValueError: if the simulation has no standard errors, theory lacks one of its n or is of
            another ridge, or they have no field in common.

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
    simulated_n, theory_n = np.ravel(simulated.n), np.ravel(theory.n)
    kept = np.flatnonzero(simulated_n >= min_n)
    missing = np.setdiff1d(simulated_n[kept], theory_n)
    if missing.size or not kept.size:
        raise ValueError(f"theory must hold every n of the simulation, lacks {missing[:5]}")
    order = np.argsort(theory_n)
    index = order[np.searchsorted(theory_n, simulated_n[kept], sorter=order)]
    known = theory.ridge is not None and simulated.ridge is not None
    if known and np.any(_ridges(theory)[index] != _ridges(simulated)[kept]):
        raise ValueError("theory and simulated must have the same ridge at each n")
    deviations = tuple(
        (field, _deviation(field, theory, index, simulated, kept))
        for field in FIELDS
        if _has(theory, field) and _has(simulated, field) and _has(simulated.standard_errors, field)
    )
    if not deviations:
        raise ValueError(f"theory and simulated must have a field in common of {FIELDS}")
    return Comparison(theory, simulated, deviations)


def _ridges(curve: LearningCurve) -> np.ndarray:
    return np.broadcast_to(np.asarray(curve.ridge), np.asarray(curve.n).shape).ravel()


def _has(record: Any, field: str) -> bool:
    return getattr(record, field, None) is not None


def _deviation(
    field: str, theory: LearningCurve, index: np.ndarray, simulated: LearningCurve, kept: np.ndarray
) -> Deviation:
    expected = np.ravel(getattr(theory, field))[index]
    measured = np.ravel(getattr(simulated, field))[kept]
    error = np.ravel(getattr(simulated.standard_errors, field))[kept]
    # An average that is exact (n = 1) fluctuates by rounding only.
    error = np.maximum(error, 8 * np.finfo(float).eps * np.abs(measured))
    difference, tiny = measured - expected, np.finfo(float).tiny
    with np.errstate(over="ignore"):  # off from zero is infinitely far off
        relative = difference / np.maximum(np.abs(expected), tiny)
        return Deviation(relative, difference / np.maximum(error, tiny))
