"""Figures of spectra against depth."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core.figures import CYCLE, axes_or_new
from kerneltheory.depth.depth_record import DepthSpectrum
from kerneltheory.depth.depth_scales import phase_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LAW: dict[str, Any] = {"color": "0.15", "linestyle": "--", "linewidth": 1.0}
_SCALE: dict[str, Any] = {"color": "0.6", "linestyle": ":", "linewidth": 1.0, "gid": "scale"}


def plot_condition_number(
    spectrum: DepthSpectrum, ax: "Axes | None" = None, **style: Any
) -> "Axes":
    """Draw the condition number against depth; `DepthSpectrum.plot` says how."""
    finite = np.isfinite(spectrum.condition_number)
    if not finite.any():
        raise ValueError("no condition number of this spectrum is in the range of floats")
    axes = axes_or_new(ax)
    depths = spectrum.depths[finite]
    options: dict[str, Any] = {
        "color": CYCLE[0], "marker": "o", "markersize": 3.5, "linestyle": "none",
        "label": f"{spectrum.kernel.upper()}, {phase_name(spectrum.phase)}",
    } | style  # fmt: skip
    axes.plot(depths, spectrum.condition_number[finite], **options)
    axes.plot(depths, spectrum.predicted.condition_number[finite], label="law", **_LAW)
    for name in ("trainability_depth", "generalization_depth"):
        scale = getattr(spectrum, name)
        if depths.min() <= scale <= depths.max():
            axes.axvline(scale, label=name.replace("_", " "), **_SCALE)
    axes.set(xscale="log", yscale="log", xlabel="depth $l$", ylabel=r"condition number $\kappa$")
    axes.legend()
    return axes
