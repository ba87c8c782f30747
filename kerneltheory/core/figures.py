"""What all figures share: a look that leaves matplotlib's settings alone, and safe writing."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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

_LOOK = {
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
    # Text stays text in PDF, and no date or version makes two runs differ.
    "pdf.fonttype": 42,
    "svg.hashsalt": "kerneltheory",
}


@contextmanager
def look() -> Iterator[None]:
    """The package's look inside a `with` block; matplotlib's settings return afterwards."""
    import matplotlib as mpl

    with mpl.rc_context(_LOOK):
        yield


def panel_title(axes: "Axes", letter: str, text: str) -> None:
    """Write the letter of a panel, bold, and its title above its upper left corner."""
    axes.set_title(rf"$\bf{{{letter}}}$  {text}" if letter else text, loc="left")


def save(figure: "Figure", *paths: str | Path) -> list[Path]:
    """Write a figure to files, each of which appears whole or not at all.

    A file is drawn in memory, written under a temporary name beside its place and then renamed,
    so an interrupted run leaves the old file or none.

    Args:
        figure: the figure.
        paths: file names; the ending tells the format.

    Returns:
        The paths written.
    """
    written = []
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        drawn = io.BytesIO()
        figure.savefig(drawn, format=path.suffix[1:], metadata=metadata)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".partial")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(drawn.getvalue())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        written.append(path)
    return written
