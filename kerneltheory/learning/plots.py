r"""Figures of learning curves: errors, their parts by level, and what is learned when."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.signal import find_peaks

from kerneltheory.core import check
from kerneltheory.core.figures import COLORS, CYCLE, PEAK, axes_or_new, plain_log_ticks
from kerneltheory.learning.curve import MEASURES, LearningCurve
from kerneltheory.learning.display import is_varied, varying, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The share of a level that is worth an area, and the learnability that is worth a row.
VISIBLE = 0.01
DEFAULT = ("test_error", "bias", "variance")
# What is no squared error, and so has an axis label of its own.
OTHERS = MEASURES[MEASURES.index("overfitting") :]
LABELS = {
    "n": "samples $n$",
    "alpha": r"$\alpha$",
    "features": "features $p$",
    "time": "training time $t$",
    "ridge": r"ridge $\delta$",
    "noise_variance": r"noise variance $\sigma^2$",
}
# Of the logarithm of the error: less is a matter of rounding, and not seen.
_PROMINENCE = 1e-3
# An error that is zero may be computed as less, by so much of the largest.
_ROUNDING = 1e-12
# Values from zero on that span more than this have an axis that is linear up to the smallest.
_WIDE = 100
# Colours of fields that have none of their own.
_SPARE = [color for color in CYCLE if color not in map(COLORS.get, DEFAULT)]
_DASHES = ("-", "--", ":", "-.")


def plot_fields(
    curve: LearningCurve, ax: "Axes | None", fields: str | Iterable[str] | None, **style: Any
) -> "Axes":
    """Draw fields against the parameter of the curve; `LearningCurve.plot` says how."""
    names = _chosen(curve, fields)
    values = [np.asarray(getattr(curve, name)) for name in names]
    axis = _axis(curve)
    axes = axes_or_new(ax)
    for order, name in enumerate(names):
        color = COLORS.get(name, _SPARE[order % len(_SPARE)])
        _draw(axes, curve, axis, name, (color, _DASHES[order % len(_DASHES)]), style)
    own = [words(name) for name in names if name in OTHERS]
    errors = ["error"] if len(own) < len(names) else []
    axes.set_ylabel(", ".join([*errors, *own]))
    _label_axis(axes, curve, axis)
    axes.set_yscale("log" if _fits_logarithms(values) else "linear")
    plain_log_ticks(axes)
    axes.legend()
    return axes


def _chosen(curve: LearningCurve, fields: str | Iterable[str] | None) -> list[str]:
    """The names of the fields to draw, all of which the curve has."""
    legal = (*MEASURES, "kare")
    held = [name for name in legal if getattr(curve, name) is not None]
    names = [fields] if isinstance(fields, str) else list(DEFAULT if fields is None else fields)
    for name in names:
        if name not in legal:
            raise ValueError(f"fields must be among {', '.join(legal)}, got {name!r}")
    absent = [name for name in names if name not in held]
    names = [name for name in names if name in held]
    if not names or (absent and fields is not None):
        lacking = f"has no {', '.join(absent)}" if absent else "needs a field to draw"
        raise ValueError(f"the curve {lacking}; it has {', '.join(held) or 'no fields at all'}")
    return names


def plot_degrees(
    curve: LearningCurve, ax: "Axes | None" = None, most: int = 7, **style: Any
) -> "Axes":
    """Draw the parts of the test error by level; `LearningCurve.plot_degrees` says how."""
    import matplotlib as mpl

    most = check.integer("most", most, minimum=1)
    errors = curve.degree_errors
    if errors is None:
        raise ValueError("the curve has no errors by level, as those of `learning_curve` have")
    axis, x, errors = _single_axis(curve, np.asarray(errors))
    total = errors.sum(axis=1, keepdims=True)
    shares = (errors / np.where(total > 0, total, 1)).max(axis=0)
    largest = np.argsort(shares, kind="stable")[::-1][:most]
    largest = np.sort(largest[shares[largest] > VISIBLE])
    rest = np.delete(errors, largest, axis=1).sum(axis=1)
    axes = axes_or_new(ax)
    colors = [*mpl.colormaps["viridis"](np.linspace(0.05, 0.95, len(largest))), "0.8"]
    labels = [f"degree {level}" for level in largest]
    areas = [errors[:, level] for level in largest]
    if len(largest) < errors.shape[1]:
        labels, areas = [*labels, "all others"], [*areas, rest]
    options: dict[str, Any] = {"colors": colors[: len(areas)], "edgecolor": "white"}
    options |= {"linewidth": 0.4, "labels": labels} | style
    axes.stackplot(x, *areas, **options)
    _label_axis(axes, curve, axis)
    axes.set(ylabel="test error", xlim=(x.min(), x.max()))
    axes.set_ylim(bottom=0)
    axes.legend(reverse=True)
    return axes


def plot_learnability(curve: LearningCurve, ax: "Axes | None" = None, **style: Any) -> "Axes":
    """Draw q by level and n; `LearningCurve.plot_learnability` says how."""
    from matplotlib.ticker import MaxNLocator

    learned = curve.learnability
    if learned is None:
        raise ValueError("the curve has no learnabilities, as those of `learning_curve` have")
    axis, x, learned = _single_axis(curve, np.asarray(learned))
    axes = axes_or_new(ax)
    begun = np.flatnonzero((learned > VISIBLE).any(axis=0))
    learned = learned[:, : begun.max(initial=0) + 2]
    levels = np.arange(learned.shape[1])
    options: dict[str, Any] = {"vmin": 0, "vmax": 1, "cmap": "cividis", "shading": "nearest"}
    options |= {"rasterized": True} | style
    mesh = axes.pcolormesh(x, levels, learned.T, **options)
    axes.figure.colorbar(mesh, ax=axes, label=r"learnability $q_k$")
    axes.set_ylabel("degree $k$")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _label_axis(axes, curve, axis)
    return axes


def _fits_logarithms(values: list[np.ndarray]) -> bool:
    """Whether some entries are positive, and no field is below zero by more than rounding."""
    tops = [value.max(initial=0, where=np.isfinite(value)) for value in values]
    lows = [value.min(initial=0) for value in values]
    return max(tops) > 0 and all(
        low >= -_ROUNDING * top for low, top in zip(lows, tops, strict=True)
    )


def _axis(curve: LearningCurve) -> str:
    """The parameter to draw against: the first that varies, else the first there is."""
    parameters = curve.parameters()
    if not parameters:
        raise ValueError("the curve has no parameter to draw against, such as n")
    varied = (name for name, value in parameters.items() if is_varied(value))
    return next(varied, next(iter(parameters)))


def _label_axis(axes: "Axes", curve: LearningCurve, axis: str) -> None:
    """Label the axis of the parameter, also with the n of all points if that is another."""
    parameters = curve.parameters()
    n, x = parameters.get("n"), parameters[axis]
    at_n = "" if axis == "n" or n is None or is_varied(n) else f" at $n$ = {n.flat[0]:.6g}"
    axes.set_xlabel(LABELS[axis] + at_n)
    if (x > 0).all():
        axes.set_xscale("log")
    elif (x >= 0).all() and x.max() > _WIDE * (smallest := x[x > 0].min(initial=np.inf)):
        axes.set_xscale("symlog", linthresh=smallest)
    else:
        axes.set_xscale("linear")


def _single_axis(curve: LearningCurve, values: np.ndarray) -> tuple[str, np.ndarray, np.ndarray]:
    """The parameter, its values in ascending order, and values (points, levels), of one line."""
    axis = _axis(curve)
    x = curve.parameters()[axis]
    if x.size < 2 or x.size != max(x.shape) or not is_varied(x):
        raise ValueError(
            "the curve must have one axis, of several n at one ridge and noise variance or the "
            f"like, got shape {x.shape}"
        )
    order = np.argsort(x.ravel(), kind="stable")
    return axis, x.ravel()[order], values.reshape(x.size, -1)[order]


def _draw(
    axes: "Axes",
    curve: LearningCurve,
    axis: str,
    field: str,
    look: tuple[str, str],
    style: dict[str, Any],
) -> None:
    """One line of the field for each value of the parameters that vary beside the axis.

    A line that is alone has the colour of the field; several have one each, and its dashes.
    """
    error, value = curve.standard_error(field), np.asarray(getattr(curve, field))
    others = {k: v for k, v in curve.parameters().items() if k != axis and is_varied(v)}
    lines = [*_lines(curve.parameters()[axis], value, error, *others.values())]
    for index, (x, y, bar, *values) in enumerate(lines):
        constant = [
            f"{words(key)} {own[0]:.3g}"
            for key, own in zip(others, values, strict=True)
            if not is_varied(own)
        ]
        options: dict[str, Any] = {"label": ", ".join([words(field), *constant])}
        options["color"] = look[0]
        if len(lines) > 1:
            options |= {"color": CYCLE[index % len(CYCLE)], "linestyle": look[1]}
        if x.size == 1:
            options["marker"] = "o"  # a line through one point shows nothing
        if error is None:
            (line,) = axes.plot(x, y, **(options | style))
            if field == "test_error":
                _mark_peaks(axes, x, y, line.get_color())
        else:
            bars: dict[str, Any] = {"fmt": "o", "capsize": 2} | options | {"linestyle": "none"}
            axes.errorbar(x, y, yerr=bar, **(bars | style))


def _mark_peaks(axes: "Axes", x: np.ndarray, y: np.ndarray, color: Any) -> None:
    """Put a triangle above each inner point that rises visibly above both its sides."""
    if not (np.diff(x) > 0).all() or not (y > 0).all():
        return
    tops = find_peaks(np.log(y), prominence=_PROMINENCE)[0]
    if tops.size:
        axes.plot(x[tops], y[tops] * 1.06, color=color, **PEAK)


def _lines(x: np.ndarray, *columns: np.ndarray | None) -> Iterator[list[np.ndarray]]:
    """The lines along the axis of x: of each line x in ascending order, then each column."""
    axis = max(varying(x), default=x.ndim - 1)
    rows = [
        np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
        if x.ndim
        else values[None, None]
        for values in (np.broadcast_to(x if c is None else c, x.shape) for c in (x, *columns))
    ]
    for line in zip(*rows, strict=True):
        order = np.argsort(line[0], kind="stable")
        yield [values[order] for values in line]
