r"""Figures of spectra: eigenvalues and masses against the degree, on logarithmic axes.

The axis of degrees is linear up to one and logarithmic from there, so that degree 0 has a place
and a power law is a straight line. Single eigenvalues, as those of data, are counted from one on a
logarithmic axis. Filled dots are masses :math:`N_k \lambda_k`, hollow ones
eigenvalues :math:`\lambda_k`; where every multiplicity is one they are the same, and drawn once.
Vanishing eigenvalues have no place on a logarithmic axis: crosses on the frame below tell where
they are. What underflows float64 is left out.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerneltheory.core import check
from kerneltheory.core.figures import CYCLE, axes_or_new
from kerneltheory.spectra.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# As many levels as still show as single dots.
MOST_DOTS = 60
_LAW: dict[str, Any] = {"color": "0.15", "linestyle": "--", "linewidth": 1.0, "zorder": 2.5}


def plot_spectrum(
    spectrum: Spectrum,
    ax: "Axes | None" = None,
    law: Callable[[Any], Any] | None = None,
    label: str | None = None,
    **style: Any,
) -> "Axes":
    r"""Draw masses and eigenvalues of one spectrum against the degree, and return the axes.

    Args:
        spectrum: its levels are drawn at their numbers, the degrees on the sphere.
        ax: axes to draw in; a new figure if None.
        law: the eigenvalue :math:`\lambda_k` as a function of an array of degrees, as a tail law
            for large degrees is; drawn as a dashed line over the upper half of the degrees, in
            logarithms. Of eigenvalues counted from one it is a function of their number.
        label: name in the legend.
        style: passed on to matplotlib for the dots and lines, for example `color`.

    Raises:
        ValueError: if the spectrum is batched, or has no positive eigenvalue.

    Examples:
        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> axes = plot_spectrum(Spectrum([0.5, 0.1, 0.0, 0.01], [1, 3, 5, 7]))
        >>> axes.get_xlabel()
        'degree $k$'
    """
    return _draw({label: spectrum}, ax, {label: law} if law else {}, style)


def plot_spectra(
    spectra: Mapping[str, Spectrum],
    ax: "Axes | None" = None,
    laws: Mapping[str, Callable[[Any], Any]] | None = None,
    **style: Any,
) -> "Axes":
    """Draw several spectra in one axes, each in its colour and with its name in the legend.

    Args:
        spectra: the spectra by their names.
        ax: axes to draw in; a new figure if None.
        laws: functions as `plot_spectrum` takes them, for some of the names.
        style: passed on to matplotlib.

    Returns:
        The axes: masses and eigenvalues against the degree, both on logarithmic axes.

    Raises:
        TypeError: if spectra or laws are no mappings of spectra and functions.
        ValueError: if there is no spectrum, one is batched or has no positive eigenvalue, or a law
            has a name that no spectrum has.

    Examples:
        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> a, b = Spectrum([0.5, 0.1], [1, 3]), Spectrum([0.4, 0.2], [1, 3])
        >>> axes = plot_spectra({"a": a, "b": b})
        >>> [text.get_text() for text in axes.get_legend().get_texts()][:2]
        ['a', 'b']
    """
    for name, value in (("spectra", spectra), ("laws", {} if laws is None else laws)):
        if not isinstance(value, Mapping):
            raise TypeError(f"{name} must be a mapping by name, got {check.shown(value)}")
    unknown = set(laws or {}) - set(spectra)
    if not spectra or unknown:
        raise ValueError(
            f"spectra must name at least one spectrum, and every law one of them; got "
            f"{list(spectra)} and laws for {sorted(laws or {})}"
        )
    return _draw(spectra, ax, laws or {}, style)


def _draw(spectra: Mapping, ax: "Axes | None", laws: Mapping, style: dict) -> "Axes":
    for name, law in laws.items():
        if not callable(law):
            of = "" if name is None else f" of {name}"
            raise TypeError(f"the law{of} must be a function of the degree, got {law!r}")
    for spectrum in spectra.values():
        check.instance("a spectrum to draw", spectrum, Spectrum)
        if np.ndim(spectrum.eigenvalues) != 1 or not np.any(np.asarray(spectrum.eigenvalues) > 0):
            raise ValueError(f"a spectrum to draw must have positive eigenvalues, got {spectrum!r}")
    axes = axes_or_new(ax)
    axes.set_yscale("log")
    numbered = all(map(_is_numbered, spectra.values()))
    if numbered:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    used = sum(line.get_gid() == "masses" for line in axes.lines)
    zeros = False
    for index, (label, spectrum) in enumerate(spectra.items(), start=used):
        options = {"color": CYCLE[index % len(CYCLE)]} | style
        places = spectrum.degrees + numbered
        _dots(axes, spectrum, places, label, options)
        _law(axes, spectrum, places, laws.get(label))
        zeros |= _zeros(axes, spectrum, places, options)
    _axis(axes, numbered)
    _legend(axes, any(map(_has_multiplicities, spectra.values())), bool(laws), zeros)
    return axes


def _is_numbered(spectrum: Spectrum) -> bool:
    """Whether levels are not degrees but single eigenvalues in order, to be counted from one."""
    return spectrum.dim is None and not _has_multiplicities(spectrum)


def _has_multiplicities(spectrum: Spectrum) -> bool:
    return bool(np.any(np.asarray(spectrum.multiplicities) != 1))


def _dots(
    axes: "Axes", spectrum: Spectrum, places: np.ndarray, label: str | None, options: dict
) -> None:
    few = len(places) <= MOST_DOTS
    values = np.asarray(spectrum.eigenvalues)
    masses = np.asarray(spectrum.level_masses)
    look: dict[str, Any] = {
        "marker": "o" if few else "",
        "markersize": 3.5,
        "linewidth": 0.8 if few else 1.4,
    }
    shown = (masses > 0) & np.isfinite(masses)
    axes.plot(places[shown], masses[shown], label=label, gid="masses", **look | options)
    if _has_multiplicities(spectrum):
        hollow: dict[str, Any] = {"markerfacecolor": "white", "linestyle": ":"}
        shown = values > 0
        axes.plot(places[shown], values[shown], gid="eigenvalues", **look | hollow | options)


def _law(axes: "Axes", spectrum: Spectrum, places: np.ndarray, law: Any) -> None:
    """The law over the upper half of the places, in logarithms: it is one for large degrees."""
    if law is None:
        return
    chosen = places >= max(1, places[-1] ** 0.5)
    k = places[chosen].astype(float)
    values = np.broadcast_to(np.asarray(law(k), float), k.shape)
    counts = np.asarray(spectrum.multiplicities)[chosen]
    # Where the law of one parity vanishes, that of the other is drawn alone.
    k, values, counts = (row[values > 0] for row in (k, values, counts))
    for height in (counts * values, values) if _has_multiplicities(spectrum) else (values,):
        axes.plot(k, height, gid="law", **_LAW)


def _zeros(axes: "Axes", spectrum: Spectrum, places: np.ndarray, options: dict) -> bool:
    """Crosses on the frame at the degrees whose eigenvalue is zero; whether there are any."""
    zero = places[np.asarray(spectrum.log_eigenvalues) == -np.inf]
    if not len(zero):
        return False
    (crosses,) = axes.plot(
        zero,
        np.zeros(len(zero)),
        "x",
        color=options["color"],
        transform=axes.get_xaxis_transform(),  # places across, parts of the frame upwards
        clip_on=False,
        markersize=4,
        zorder=3,
        gid="zeros",
    )
    crosses.set_in_layout(False)
    return True


def _axis(axes: "Axes", numbered: bool) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xlabel("eigenvalue $i$" if numbered else "degree $k$")
    lines = [line for line in axes.lines if line.get_gid() in ("masses", "law")]
    last = max(int(np.max(line.get_xdata(), initial=1)) for line in lines)
    if numbered:
        return
    decades = [10**i for i in range(len(str(last)))]
    between = [m * ten for ten in decades for m in (1, 2, 5) if m * ten <= last]
    axes.xaxis.set_major_locator(FixedLocator([0, *(between if last < 300 else decades)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(-0.15, last * 1.15)


def _legend(axes: "Axes", multiple: bool, laws: bool, zeros: bool) -> None:
    """The names, and grey entries that explain the signs."""
    from matplotlib.lines import Line2D

    axes.set_ylabel(r"$N_k \lambda_k$ and $\lambda_k$" if multiple else r"$\lambda_i$")
    grey: dict[str, Any] = {"color": "0.4", "markersize": 3.5, "linewidth": 0.8}
    signs = [
        (multiple, {"marker": "o"}, r"$N_k \lambda_k$"),
        (multiple, {"marker": "o", "markerfacecolor": "white", "linestyle": ":"}, r"$\lambda_k$"),
        (laws, _LAW, "tail law"),
        (zeros, {"marker": "x", "linestyle": "none"}, r"$\lambda_k = 0$"),
    ]
    handles, names = axes.get_legend_handles_labels()
    for wanted, form, text in signs:
        if wanted:
            handles.append(Line2D([], [], **grey | form))
            names.append(text)
    if handles:
        axes.legend(handles, names)
