"""Figures with sliders: in a real kernel, whose messages a client without a screen records."""

import json

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from nbclient import NotebookClient

import kerneltheory as kt

VIEW = "application/vnd.jupyter.widget-view+json"

PREPARED = """
%matplotlib inline
import ipywidgets, json
import matplotlib.pyplot as plt
import kerneltheory as kt

sliders = {}
class Recorded(ipywidgets.SelectionSlider):
    def __init__(self, **settings):
        super().__init__(**settings)
        sliders[self.description] = self
ipywidgets.SelectionSlider = Recorded

class Shown:
    def __init__(self, *values): self.values = values
    def __repr__(self): return repr(self.values)

def draw(dim, depth):
    if dim == 13:
        plt.figure()
        raise ArithmeticError(f"no such sphere at depth {depth}")
    return Shown(dim, depth)

def line(height):
    return plt.subplots(figsize=(1, 1))[1].plot([0, height], [0, 1])[0].axes
"""
SHOW = "kt.explore(draw, dim=[10, 13, 30, 40], depth=(1, 2))"
CELLS = {
    "prepared": PREPARED,
    "still": SHOW,
    "described": "print(json.dumps({n: [o[0] for o in s.options] for n, s in sliders.items()}))",
    "moved": SHOW + "\nsliders['dim'].value = 0\nsliders['depth'].value = 0",
    "failed": SHOW + "\nsliders['dim'].value = 1",
    "mended": SHOW + "\nsliders['dim'].value = 1\nsliders['dim'].value = 3",
    "figure": "kt.explore(line, height=[1, 2, 3])",
    "same": "kt.explore(line, height=[1, 2, 3])\nsliders['height'].value = 1",
    "figure moved": "kt.explore(line, height=[1, 2, 3])\nsliders['height'].value = 2",
    "moved often": "for i in range(60):\n    sliders['height'].value = i % 3",
    "open": "print(plt.get_fignums())",
    "without": "import sys\nsys.modules['ipywidgets'] = None\n" + SHOW,
    "figure without": "kt.explore(line, height=[1, 2, 3])",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each cell shows in the end, by its name; the kernel runs once."""
    notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, CELLS.values())])
    folder = str(tmp_path_factory.mktemp("notebook"))
    client = NotebookClient(notebook, kernel_name="python3", timeout=120)
    cells = client.execute(cwd=folder).cells
    return {name: cell.outputs for name, cell in zip(CELLS, cells, strict=True)}


def texts(outputs):
    return [output.data["text/plain"] for output in outputs if VIEW not in output.data]


def images(outputs):
    return [output.data["image/png"] for output in outputs if "image/png" in output.data]


def test_the_middle_choices_are_shown_first_below_the_sliders(outputs):
    sliders, shown = outputs["still"]
    assert VIEW in sliders.data
    assert shown.data == {"text/plain": "(30, 2)"}


def test_where_sliders_cannot_be_shown_a_line_tells_of_them(outputs):
    assert outputs["still"][0].data["text/plain"] == (
        "(in a running notebook: sliders for dim, depth)"
    )


def test_one_slider_for_each_argument_names_its_values(outputs):
    (described,) = outputs["described"]
    assert json.loads(described.text) == {"dim": ["10", "13", "30", "40"], "depth": ["1", "2"]}


def test_moving_sliders_redraws_in_place(outputs):
    assert texts(outputs["moved"]) == ["(10, 1)"]


def test_an_error_takes_the_place_of_the_figure_and_goes_with_it(outputs):
    (failed,) = texts(outputs["failed"])
    assert failed.startswith("Traceback")
    assert "ArithmeticError: no such sphere at depth 2" in failed
    assert texts(outputs["mended"]) == ["(40, 2)"]


def test_a_figure_is_shown_once_and_redrawn(outputs):
    (still,), (same,), (moved,) = (images(outputs[n]) for n in ("figure", "same", "figure moved"))
    assert still == same
    assert still != moved


def test_no_figure_stays_open_and_nothing_complains(outputs):
    assert outputs["moved often"] == []
    (opened,) = outputs["open"]
    assert opened.text == "[]\n"


def test_without_ipywidgets_the_same_figure_is_shown(outputs):
    (shown,) = outputs["without"]
    assert shown.data == {"text/plain": "(30, 2)"}
    assert [output.data for output in outputs["figure without"]] == [outputs["figure"][1].data]


def test_outside_jupyter_the_figure_is_returned_and_left_open():
    def draw(height):
        return plt.subplots()[1].plot([0, height])[0].axes

    figure = kt.explore(draw, height=np.array([1.0, 2.0, 5.0]))
    assert isinstance(figure, Figure)
    assert figure.axes[0].lines[0].get_ydata()[1] == 2.0
    assert plt.get_fignums() == [figure.number]


def test_axes_of_a_subfigure_stand_for_the_whole_figure():
    def draw(parts):
        return Figure().subfigures(1, parts)[0].subplots()

    assert type(kt.explore(draw, parts=[2])) is Figure


def test_a_terminal_is_not_a_notebook(monkeypatch):
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    assert kt.explore(lambda degree: degree, degree=range(3)) == 1


def plain(dim):
    return dim


@pytest.mark.parametrize(
    ("arguments", "choices", "error", "message"),
    [
        ((3,), {"dim": [1]}, TypeError, "draw must be a function.*got 3"),
        ((plain,), {}, TypeError, "choices must name at least one argument of draw"),
        ((plain,), {"dim": []}, ValueError, "choices of dim must hold at least one value"),
        ((plain,), {"dim": "12"}, TypeError, "choices of dim must be a sequence of values.*'12'"),
        ((plain,), {"dim": 12}, TypeError, "choices of dim must be a sequence of values.*12"),
        ((plain,), {"dim": {1: 2}}, TypeError, "choices of dim must be a sequence.*mapping"),
        ((plain,), {"dim": np.array(3)}, TypeError, "choices of dim must be a sequence"),
        ((plain,), {"d": [1]}, TypeError, "choices must be of the arguments of draw, got d: .*dim"),
        ((lambda dim: None,), {"dim": [1]}, TypeError, "draw must return a figure.*None"),
    ],
)
def test_bad_input_is_named(arguments, choices, error, message):
    with pytest.raises(error, match=message):
        kt.explore(*arguments, **choices)
