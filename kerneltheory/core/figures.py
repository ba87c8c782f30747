"""What all figures share: a look that leaves matplotlib's settings alone, and safe writing."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerneltheory.core import check

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLORS = {
    "test_error": "#0072B2",
    "bias": "#009E73",
    "variance": "#D55E00",
    "limit": "#888888",
    "other": "#CC79A7",
}
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

# How peaks are marked.
PEAK: dict[str, Any] = {"marker": "v", "linestyle": "none", "markersize": 5, "gid": "peaks"}

# Powers of ten on an axis are numbers as others are, if these are few: 0.1, 0.3, 1 and 3.
PLAIN_DECADES = 2.5

_LOOK: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    # Text stays text in PDF, and no date, version or salt makes two runs differ.
    "pdf.fonttype": 42,
    "svg.hashsalt": "kerneltheory",
}
_NO_DATE = {".pdf": {"CreationDate": None}, ".png": {"Software": None}, ".svg": {"Date": None}}


@contextmanager
def look() -> Iterator[None]:
    """The package's look inside a `with` block; matplotlib's settings return afterwards."""
    import matplotlib as mpl

    # Not rc_context, which restores all: in Jupyter the first figure loads the backend, and that
    # sets `interactive`, without which no later figure is shown.
    before = {name: mpl.rcParams[name] for name in _LOOK}
    mpl.rcParams.update(_LOOK)
    try:
        yield
    finally:
        mpl.rcParams.update(before)


def axes_or_new(ax: "Axes | None") -> "Axes":
    """The axes to draw in: those given, or those of a new figure in the package's look."""
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is not None:
        check.instance("ax", ax, Axes)
        return ax
    with look():
        return plt.subplots()[1]


def plain_log_ticks(axes: "Axes") -> None:
    """Label what matplotlib labels between powers of ten as 20 and 0.3, not as 2 x 10^1.

    The powers of ten too, where no more than PLAIN_DECADES of them are seen.
    """
    from matplotlib.ticker import LogFormatterMathtext

    class Plain(LogFormatterMathtext):
        def __call__(self, x: float, pos: int | None = None) -> str:
            label = super().__call__(x, pos)
            assert self.axis is not None
            low, high = self.axis.get_view_interval()
            power = f"{x:e}".startswith("1.000000")
            return label if not label or (power and high > 10**PLAIN_DECADES * low) else f"{x:g}"

    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_formatter(Plain())
            axis.set_minor_formatter(Plain(labelOnlyBase=False))


def dots(axes: "Axes", x: Any, y: Any, errors: Any, **style: Any) -> None:
    """Draw what was simulated as dots, with bars of one standard error."""
    look_of_dots = {"fmt": "o", "markersize": 3, "elinewidth": 0.8, "markeredgewidth": 0}
    axes.errorbar(x, y, yerr=errors, **(look_of_dots | style))


def panel_title(axes: "Axes", letter: str, text: str) -> None:
    """Write the letter of a panel, bold, and its title above its upper left corner."""
    axes.set_title(rf"$\bf{{{letter}}}$  {text}" if letter else text, loc="left")


def save(figure: "Figure", *paths: str | Path) -> list[Path]:
    """Write a figure to files, each of which appears whole or not at all.

    All are drawn in memory first. Each is then written under a temporary name beside its place
    and renamed, so an interrupted run leaves the old file or none.

    Args:
        figure: the figure.
        paths: file names; the ending tells the format.

    Returns:
        The paths written.
    """
    places = [Path(path) for path in paths]
    drawn = [_drawn(figure, path.suffix.lower()) for path in places]
    for path, content in zip(places, drawn, strict=True):
        _write_whole(path, content)
    return places


def _drawn(figure: "Figure", ending: str) -> bytes:
    content = io.BytesIO()
    with look():
        figure.savefig(content, format=ending[1:], metadata=_NO_DATE.get(ending))
    return content.getvalue()


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
