"""The table of universality classes against the published classification."""

import pickle

import matplotlib.colors
import pytest

import kerneltheory as kt
from kerneltheory.core.figures import CYCLE

# arXiv:2106.10165, section 5.3: the classes of its chapter's activations.
PUBLISHED = {
    "relu": "scale-invariant",
    "tanh": "K* = 0",
    "sin": "K* = 0",
    "gelu": "half-stable",
    "softplus": "none",
    "sigmoid": "none",
}


@pytest.fixture(scope="module")
def table():
    return kt.universality_table([getattr(kt, name) for name in PUBLISHED], digits=15)


def test_classes_are_the_published_ones(table):
    assert {point.activation.name: point.universality for point in table} == PUBLISHED
    assert len(table) == len(PUBLISHED)


def test_it_shows_one_row_for_each(table):
    header, rows = table.table()
    assert [row[0] for row in rows] == list(PUBLISHED)
    assert dict(zip(header, rows[0], strict=True))["K*"] == "any"
    assert repr(table).count("\n") == len(PUBLISHED)
    assert "half-stable" in table._repr_html_()
    assert pickle.loads(pickle.dumps(table)) == table
    with pytest.raises(KeyError, match="'elu' is none of"):
        table["elu"]


def test_rows_are_drawn_in_the_colours_of_their_classes(table):
    axes = table.plot()
    cells = axes.tables[0].get_celld()
    assert cells[1, 0].get_text().get_text() == "relu"
    colours = {
        table.points[row - 1].universality: matplotlib.colors.to_hex(cell.get_facecolor()).upper()
        for (row, _), cell in cells.items()
        if row
    }
    assert len(set(colours.values())) == 4
    assert set(colours.values()) <= {colour.upper() for colour in CYCLE}


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least one activation"):
        kt.universality_table([])
    with pytest.raises(TypeError, match="phi must be an Activation"):
        kt.universality_table(["relu"])
    with pytest.raises(ValueError, match="digits"):
        kt.universality_table([kt.relu], digits=0)
