"""Figures: a look that comes and goes, and files that are whole or not there."""

import os
import stat

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import colors
from matplotlib.figure import Figure

from kerneltheory.core.figures import COLORS, CYCLE, look, panel_title, save


def drawn():
    with look():
        figure = Figure(figsize=(2, 1))
        figure.add_subplot().plot([1, 2], label="line")
    return figure


@pytest.fixture
def figure():
    return drawn()


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_look_holds_inside_and_leaves_no_trace():
    before = dict(mpl.rcParams)
    with look():
        assert mpl.rcParams["legend.frameon"] is False
    assert dict(mpl.rcParams) == before
    with pytest.raises(KeyError), look():
        raise KeyError
    assert dict(mpl.rcParams) == before


def test_the_look_keeps_what_loading_a_backend_sets():
    """In Jupyter the first figure does that; without `interactive` none after it is shown."""
    before = mpl.is_interactive()
    try:
        with look():
            mpl.interactive(not before)
        assert mpl.is_interactive() is not before
    finally:
        mpl.interactive(before)


def test_colours_are_told_apart():
    """Also without hue: no two that share a figure are nearly the same in lightness and colour."""
    for palette in (COLORS.values(), CYCLE):
        points = np.array([colors.to_rgb(c) for c in palette])
        distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
        assert distances[np.triu_indices(len(points), 1)].min() > 0.25


def test_panel_title_is_bold_letter_and_text(figure):
    axes = figure.axes[0]
    panel_title(axes, "A", "text")
    assert axes.get_title("left") == r"$\bf{A}$  text"
    panel_title(axes, "", "text")
    assert axes.get_title("left") == "text"


@pytest.mark.parametrize(
    ("ending", "start"),
    [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")],
)
def test_a_file_is_of_its_ending_and_the_same_each_time(tmp_path, ending, start):
    path = tmp_path / "new" / "folder" / f"figure.{ending}"
    before = dict(mpl.rcParams)
    assert save(drawn(), path) == [path]
    assert dict(mpl.rcParams) == before
    content = path.read_bytes()
    assert content.startswith(start)
    assert save(drawn(), str(path)) == [path]
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_files_are_written_in_the_look_of_the_package(figure, tmp_path):
    png, pdf = save(figure, tmp_path / "f.png", tmp_path / "f.pdf")
    header = png.read_bytes()[16:24]
    size = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")
    # 2 x 1 inches at 200 dots an inch.
    assert size == (400, 200)
    # Type 42 fonts keep their text; matplotlib's default is type 3.
    assert b"/Type0" in pdf.read_bytes()
    assert b"/Type3" not in pdf.read_bytes()


class Interrupt:
    """Stands in for a function and is interrupted at one of its calls."""

    def __init__(self, function, call, error):
        self.function, self.left, self.error = function, call, error

    def __call__(self, *args, **options):
        self.left -= 1
        if not self.left:
            raise self.error
        return self.function(*args, **options)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
@pytest.mark.parametrize("call", [1, 2])
def test_what_fails_while_drawing_changes_no_file(figure, tmp_path, monkeypatch, call, error):
    (tmp_path / "f.png").write_bytes(b"old")
    monkeypatch.setattr(figure, "savefig", Interrupt(figure.savefig, call, error))
    with pytest.raises(error if isinstance(error, type) else type(error)):
        save(figure, tmp_path / "f.png", tmp_path / "f.pdf")
    assert files(tmp_path) == {"f.png": b"old"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
@pytest.mark.parametrize("function", ["os.replace", "os.chmod", "os.fdopen"])
def test_what_fails_while_writing_leaves_the_old_file(
    figure, tmp_path, monkeypatch, function, error
):
    (tmp_path / "f.png").write_bytes(b"old")
    name = function.removeprefix("os.")
    monkeypatch.setattr(os, name, Interrupt(getattr(os, name), 1, error))
    with pytest.raises(error if isinstance(error, type) else type(error)):
        save(figure, tmp_path / "f.png")
    monkeypatch.undo()
    assert files(tmp_path) == {"f.png": b"old"}


def test_an_unknown_ending_is_refused_before_anything_is_written(figure, tmp_path):
    with pytest.raises(ValueError, match="nonsense"):
        save(figure, tmp_path / "f.png", tmp_path / "f.nonsense")
    assert files(tmp_path) == {}
