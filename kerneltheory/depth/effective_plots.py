"""Figures of the effective theory: susceptibilities, classes and fluctuations against depth."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core.figures import CYCLE, axes_or_new
from kerneltheory.depth.finite_width import FiniteWidth, susceptibilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kerneltheory.depth.critical_record import CriticalPoint
    from kerneltheory.depth.universality import UniversalityTable

# The classes in the order of their colours.
CLASSES = ("scale-invariant", "K* = 0", "half-stable", "none", "critical line")
_UNIT: dict[str, Any] = {"color": "0.15", "linestyle": "--", "linewidth": 1.0, "gid": "one"}


def plot_finite_width(record: FiniteWidth, ax: "Axes | None" = None, **style: Any) -> "Axes":
    """Draw the relative variance of the kernel, V/(n K^2), against the layer."""
    axes = axes_or_new(ax)
    label = f"{record.activation_name}, n = {record.width}"
    options: dict[str, Any] = {"label": label} | style
    axes.plot(np.arange(record.depth + 1), record.depth_to_width, **options)
    axes.set_xlabel("hidden layers $l$")
    axes.set_ylabel(r"$V/(n K^2)$")
    axes.legend()
    return axes


def plot_critical_point(
    point: "CriticalPoint", ax: "Axes | None" = None, variances: Any = None, **style: Any
) -> "Axes":
    """Draw both susceptibilities against the variance, at the critical weight variance if any.

    Where there is none they are divided by chi_perp: that crosses one where both could be.
    """
    axes = axes_or_new(ax)
    K = np.geomspace(1e-2, 1e2, 200) if variances is None else np.asarray(variances, float)
    parallel, across = susceptibilities(point.activation, K)
    if not np.isfinite(across).all():
        raise ValueError(f"{point.activation.name} has no finite chi_perp to draw: it jumps")
    scale = 1 / across if point.weight_variance is None else point.weight_variance
    axes.axhline(1.0, **_UNIT)
    for values, label, color in zip(
        (parallel, across), (r"$\chi_\parallel$", r"$\chi_\perp$"), CYCLE, strict=False
    ):
        options: dict[str, Any] = {"color": color, "label": label} | style
        axes.plot(K, values * scale, **options)
    if point.variance:
        axes.plot(point.variance, 1.0, "o", color="0.15", gid="critical point")
    axes.set_xscale("log")
    axes.set_xlabel("variance $K$")
    relative = r", over $\chi_\perp$" if point.weight_variance is None else ""
    axes.set_ylabel("susceptibility" + relative)
    axes.set_title(f"{point.activation.name}: {point.universality}", loc="left")
    axes.legend()
    return axes


def plot_universality(table: "UniversalityTable", ax: "Axes | None" = None) -> "Axes":
    """Draw the table of classes, each row in the colour of its class."""
    axes = axes_or_new(ax)
    header, rows = table.table()
    axes.set_axis_off()
    cells = axes.table(cellText=rows, colLabels=header, loc="center", cellLoc="left")
    cells.auto_set_font_size(False)
    cells.set_fontsize(7)
    cells.auto_set_column_width(list(range(len(header))))
    for (row, _), cell in cells.get_celld().items():
        cell.set_linewidth(0)
        if row:
            color = CYCLE[CLASSES.index(table.points[row - 1].universality)]
            cell.set_facecolor((color, 0.15))
    return axes
