"""The headline figure: draws what `headline.compute` found."""

from typing import TYPE_CHECKING

import numpy as np

from kerneltheory.core.figures import COLORS, CYCLE, look, panel_title
from kerneltheory.experiments.compare import draw_curves
from kerneltheory.experiments.headline import DIM, ORDERS, Headline, SphereCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(result: Headline) -> "Figure":
    """Draw the headline figure: the sphere above, networks and real data below."""
    from matplotlib.figure import Figure

    with look():
        figure = Figure(figsize=(10, 7.6), layout="constrained")
        grid = figure.add_gridspec(2, 3, height_ratios=[1.1, 1])
        _draw_sphere(figure.add_subplot(grid[0, :]), result)
        for column, kind in enumerate(("NTK", "NNGP")):
            curves = [c for c in result.networks if f" {kind} " in c.name]
            _draw_networks(figure.add_subplot(grid[1, column]), kind, curves)
        _draw_data(figure.add_subplot(grid[1, 2]), result)
        # Text is laid out while the look is in force.
        figure.draw_without_rendering()
    return figure


def _draw_sphere(axes: "Axes", result: Headline) -> None:
    draw_curves(axes, result.sphere.theory, result.sphere.simulated, _FIELDS)
    largest = int(np.max(np.asarray(result.sphere.theory.n)))
    for order, limit in zip(ORDERS, result.limits, strict=True):
        n = np.asarray(limit.n)
        shown = (n >= 1) & (n <= largest)
        axes.plot(
            n[shown],
            np.asarray(limit.test_error)[shown],
            "--",
            color=COLORS["limit"],
            zorder=1,
            linewidth=1,
            label="test error, limits of order 1, 2, 3" if order == 1 else None,
        )
    for peak in result.peaks:
        axes.axvline(peak.harmonics, color="0.85", linewidth=0.8, zorder=0)
        axes.annotate(
            f"peak at n = {peak.theory}\n{peak.harmonics} harmonics\nof degree ≤ {peak.order}",
            (peak.theory, peak.theory_height),
            (0, 12),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5,
        )
    axes.set_ylim(0.003, 8)
    axes.set_xlim(0.95, largest * 1.08)
    axes.legend(loc="lower left")
    title = "theory (lines) and simulation (dots, with standard errors)"
    panel_title(axes, "A", f"Kernel exp(-(1 - t)/10) on the sphere, d = {DIM}: {title}")


_FIELDS = ("test_error", "bias", "variance")


def _draw_networks(axes: "Axes", kind: str, curves: list[SphereCurve]) -> None:
    for color, curve in zip(CYCLE, curves, strict=False):
        label = curve.name.split(f"{kind} ")[1]
        n, simulated_n = np.asarray(curve.theory.n), np.asarray(curve.simulated.n)
        for field, line in (("test_error", "-"), ("bias", ":"), ("variance", "--")):
            axes.plot(
                n,
                getattr(curve.theory, field),
                line,
                color=color,
                linewidth=1.2 if field == "test_error" else 0.8,
                label=label if field == "test_error" else None,
            )
            axes.errorbar(
                simulated_n,
                getattr(curve.simulated, field),
                yerr=getattr(curve.simulated.standard_errors, field),
                color=color,
                fmt="o",
                elinewidth=0.7,
                markeredgewidth=0,
                markersize=2.6 if field == "test_error" else 1.6,
            )
    for line, name in (("-", "test error"), (":", "bias"), ("--", "variance")):
        axes.plot([], [], line, color="0.4", linewidth=1, label=name)
    axes.set(xscale="log", yscale="log", xlabel="samples $n$", ylabel="error", ylim=(0.004, 2))
    axes.legend(loc="lower left", ncols=2, fontsize=6.5, columnspacing=1, handlelength=1.8)
    panel_title(axes, "B" if kind == "NTK" else "", f"{kind} of wide networks, d = {DIM}")


def _draw_data(axes: "Axes", result: Headline) -> None:
    data = result.data
    rows = int(np.sum(np.asarray(data.measured.spectrum.multiplicities)))
    lines = (
        (data.subsets, "-", COLORS["test_error"], "theory, subsets of a finite set"),
        (data.independent, "--", COLORS["limit"], "theory, independent samples"),
    )
    for curve, line, color, label in lines:
        n, error = np.asarray(curve.n), np.asarray(curve.test_error)
        axes.plot(n, error, line, color=color, label=label)
    simulated = data.simulated
    assert simulated.standard_errors is not None
    axes.errorbar(
        np.asarray(simulated.n),
        np.asarray(simulated.test_error),
        yerr=np.asarray(simulated.standard_errors.test_error),
        color=COLORS["variance"],
        fmt="o",
        markersize=2.6,
        elinewidth=0.8,
        markeredgewidth=0,
        label="regression on random subsets",
    )
    axes.set(xscale="log", yscale="log", xlabel="samples $n$", ylabel="error on rows left out")
    axes.legend(loc="lower left")
    panel_title(axes, "C", f"{rows} MNIST digits, relu NTK")
