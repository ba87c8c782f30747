r"""Figures of phase diagrams: phases shaded, the edge of chaos, and how deep a signal reaches.

Across the weight variance, upwards the bias variance. Contours are of the depth scale in which
correlations settle, :math:`\xi_c`, which diverges at the edge from both sides.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core import check
from kerneltheory.core.figures import COLORS, axes_or_new, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kerneltheory.depth.phase_diagram import PhaseDiagram

_PHASES = {"ordered": "#DCE9F5", "chaotic": "#FBE3D6", "divergent": "#E2E2E2"}


def plot_phases(
    diagram: "PhaseDiagram", ax: "Axes | None" = None, depths: Any = (5, 10, 20, 50)
) -> "Axes":
    r"""Shade the phases of a diagram, draw its critical line and contours of :math:`\xi_c`.

    Args:
        diagram: at least two weight and two bias variances, each ascending.
        ax: axes to draw in; a new figure if None.
        depths: layers at which :math:`\xi_c` has a contour, positive and ascending.

    Raises:
        ValueError: if the diagram has fewer than two values on an axis, or they do not ascend, or
            the depths are not positive and ascending.

    Examples:
        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from kerneltheory.activations.catalogue import erf
        >>> from kerneltheory.depth.phase_diagram import phase_diagram
        >>> grid = phase_diagram(erf, np.linspace(0.3, 2, 12), np.linspace(0, 0.5, 12))
        >>> plot_phases(grid).get_xlabel()
        'weight variance $w$'
    """
    w, b = np.asarray(diagram.weight_variances), np.asarray(diagram.bias_variances)
    for name, values in (("weight_variances", w), ("bias_variances", b)):
        if values.size < 2 or (np.diff(values) <= 0).any():
            raise ValueError(f"{name} of a diagram to draw must be two or more, ascending")
    levels = check.positive("depths", depths)
    if (np.diff(levels) <= 0).any():
        raise ValueError(f"depths must ascend, got {list(levels)}")
    with look():
        axes = axes_or_new(ax)
        _shade(axes, diagram, w, b)
        _contours(axes, diagram, w, b, levels)
        if diagram.boundary is not None:
            line = diagram.boundary
            axes.plot(
                line.weight_variances,
                line.bias_variances,
                color=COLORS["variance"],
                label=r"$\chi_1 = 1$",
                gid="critical line",
            )
            axes.legend(loc="upper right")
        axes.set(
            xlim=(w[0], w[-1]),
            ylim=(b[0], b[-1]),
            xlabel="weight variance $w$",
            ylabel="bias variance $b$",
            title=f"{diagram.activation.name}: layers in which correlations settle",
        )
    return axes


def _shade(axes: "Axes", diagram: "PhaseDiagram", w: np.ndarray, b: np.ndarray) -> None:
    """The phases as areas, each with its name in its middle."""
    from matplotlib.colors import ListedColormap

    masks = [np.asarray(diagram.ordered), np.asarray(diagram.chaotic), np.asarray(diagram.diverges)]
    index = np.select(masks, [0, 1, 2], default=0)
    axes.pcolormesh(
        w, b, index.T, cmap=ListedColormap(list(_PHASES.values())), vmin=-0.5, vmax=2.5,
        shading="nearest", gid="phases", rasterized=True,
    )  # fmt: skip
    for name, mask in zip(_PHASES, masks, strict=True):
        if mask.mean() > 0.03:
            i, j = (int(np.median(part)) for part in np.nonzero(mask))
            axes.text(float(w[i]), float(b[j]), name, ha="center", va="center", color="0.35")


def _contours(
    axes: "Axes", diagram: "PhaseDiagram", w: np.ndarray, b: np.ndarray, levels: np.ndarray
) -> None:
    """Contours of ln xi_c, capped above the last, so that its pole at the edge has no wiggles."""
    scale = np.asarray(diagram.xi_c)
    largest = 4 * levels[-1]
    shown = np.where(np.asarray(diagram.diverges), np.inf, np.clip(scale, 1e-3, largest))
    values = np.ma.masked_invalid(np.log(shown))
    if not (values.min() < np.log(levels[-1]) and values.max() > np.log(levels[0])):
        return
    drawn = axes.contour(w, b, values.T, np.log(levels), colors="0.25", linewidths=0.8)
    names = dict(zip(drawn.levels, (f"{level:g}" for level in levels), strict=True))
    axes.clabel(drawn, fmt=names, fontsize=7)
