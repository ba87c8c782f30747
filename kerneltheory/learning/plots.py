r"""Figures of learning curves: errors, their parts by level, and what is learned when."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core.figures import COLORS
from kerneltheory.learning.curve import MEASURES, LearningCurve, varying, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The share of a level that is worth an area, and the learnability that is worth a row.
VISIBLE = 0.01
_PEAK: dict[str, Any] = {"marker": "v", "linestyle": "none", "markersize": 5, "gid": "peaks"}


def plot_fields(
    curve: LearningCurve, ax: "Axes | None", fields: tuple[str, ...], **style: Any
) -> "Axes":
    """Draw fields against n or alpha; `LearningCurve.plot` says how."""
    for field in fields:
        if field not in MEASURES:
            raise ValueError(f"fields must be among {', '.join(MEASURES)}, got {field!r}")
    axes = _axes(ax)
    for field, value in curve.measured():
        if field in fields:
            _draw(axes, curve, field, value, style)
    axes.set(xscale="log", yscale="log", ylabel="error")
    _label_samples(axes, curve)
    axes.legend()
    return axes


def plot_degrees(
    curve: LearningCurve, ax: "Axes | None" = None, most: int = 7, **style: Any
) -> "Axes":
    """Draw the parts of the test error by level; `LearningCurve.plot_degrees` says how."""
    import matplotlib as mpl

    errors = curve.degree_errors
    if errors is None:
        raise ValueError("the curve has no errors by level, as those of `learning_curve` have")
    samples, errors = _single_axis(curve, np.asarray(errors))
    shares = (errors / errors.sum(axis=1, keepdims=True)).max(axis=0)
    largest = np.argsort(shares, kind="stable")[::-1][:most]
    largest = np.sort(largest[shares[largest] > VISIBLE])
    rest = errors.sum(axis=1) - errors[:, largest].sum(axis=1)
    axes = _axes(ax)
    colors = [*mpl.colormaps["viridis"](np.linspace(0.05, 0.95, len(largest))), "0.8"]
    labels = [f"degree {level}" for level in largest]
    areas = [errors[:, level] for level in largest]
    if len(largest) < errors.shape[1]:
        labels, areas = [*labels, "all others"], [*areas, rest]
    options: dict[str, Any] = {"colors": colors[: len(areas)], "edgecolor": "white"}
    options |= {"linewidth": 0.4, "labels": labels} | style
    axes.stackplot(samples, *areas, **options)
    axes.set(xscale="log", ylabel="test error", xlim=(samples.min(), samples.max()))
    axes.set_ylim(bottom=0)
    _label_samples(axes, curve)
    axes.legend(reverse=True)
    return axes


def plot_learnability(curve: LearningCurve, ax: "Axes | None" = None, **style: Any) -> "Axes":
    """Draw q by level and n; `LearningCurve.plot_learnability` says how."""
    from matplotlib.ticker import MaxNLocator

    learned = curve.learnability
    if learned is None:
        raise ValueError("the curve has no learnabilities, as those of `learning_curve` have")
    samples, learned = _single_axis(curve, np.asarray(learned))
    axes = _axes(ax)
    begun = np.flatnonzero((learned > VISIBLE).any(axis=0))
    learned = learned[:, : begun.max(initial=0) + 2]
    levels = np.arange(learned.shape[1])
    options: dict[str, Any] = {"vmin": 0, "vmax": 1, "cmap": "cividis", "shading": "nearest"}
    options |= {"rasterized": True} | style
    mesh = axes.pcolormesh(samples, levels, learned.T, **options)
    axes.figure.colorbar(mesh, ax=axes, label=r"learnability $q_k$")
    axes.set(xscale="log", ylabel="degree $k$")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _label_samples(axes, curve)
    return axes


def _axes(ax: "Axes | None") -> "Axes":
    import matplotlib.pyplot as plt

    return plt.subplots()[1] if ax is None else ax


def _label_samples(axes: "Axes", curve: LearningCurve) -> None:
    axes.set_xlabel("samples $n$" if curve.samples()[0] == "n" else r"$\alpha$")


def _single_axis(curve: LearningCurve, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The samples and values (samples, levels) of a curve that is one line."""
    samples = curve.samples()[1]
    if samples.size < 2 or samples.size != max(samples.shape):
        raise ValueError(
            "the curve must have one axis, of several n at one ridge and noise variance, got "
            f"shape {samples.shape}"
        )
    return samples.ravel(), values.reshape(samples.size, -1)


def _draw(
    axes: "Axes", curve: LearningCurve, field: str, value: np.ndarray, style: dict[str, Any]
) -> None:
    error = curve.standard_error(field)
    samples = curve.samples()[1]
    several = {k: v for k, v in curve.parameters().items() if np.unique(v).size > 1}
    lines = _lines(samples, value, error, *several.values())
    dots: dict[str, Any] = {"fmt": "o", "capsize": 2}
    for x, y, bar, *values in zip(*lines, strict=True):
        constant = [
            f"{key} {own[0]:.3g}"
            for key, own in zip(several, values, strict=True)
            if (own == own[0]).all()
        ]
        label = ", ".join([words(field), *constant])
        color = {} if constant or field not in COLORS else {"color": COLORS[field]}
        options: dict[str, Any] = {"label": label} | color | style
        if error is None:
            (line,) = axes.plot(x, y, **options)
            if field == "test_error":
                _mark_peaks(axes, x, y, line.get_color())
        else:
            axes.errorbar(x, y, yerr=bar, **(dots | options))


def _mark_peaks(axes: "Axes", x: np.ndarray, y: np.ndarray, color: Any) -> None:
    """Put a triangle above each inner point that is above both its neighbours."""
    inner = y[1:-1]
    tops = np.flatnonzero((inner > y[:-2]) & (inner > y[2:])) + 1
    if tops.size:
        axes.plot(x[tops], y[tops] * 1.06, color=color, **_PEAK)


def _lines(samples: np.ndarray, *columns: np.ndarray | None) -> Iterator[np.ndarray]:
    """Each column as rows along the axis of n, shape (lines, points)."""
    axis = max(varying(samples), default=samples.ndim - 1)
    for column in (samples, *columns):
        values = samples if column is None else column
        moved = np.moveaxis(values, axis, -1) if values.ndim else values
        yield np.atleast_1d(moved).reshape(-1, moved.shape[-1] if moved.ndim else 1)
