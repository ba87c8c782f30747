"""What `validity` promises, on the whole grid of simulations beside its figure."""

from pathlib import Path

import numpy as np
import pytest

from kerneltheory.experiments import validity_grid
from kerneltheory.experiments.judgement import read, summary, write
from kerneltheory.experiments.validity_grid import DIMENSIONS, Point, grid, simulated, sizes

TABLE = Path(__file__).parents[2] / "paper_figures" / "validity.csv"


@pytest.fixture(scope="module")
def judged():
    return validity_grid.judged(read(TABLE, Point))


def test_the_table_holds_the_whole_grid(judged):
    held = {one.point[:5] for one in judged}
    assert held == {(*setting, n) for setting in grid() for n in sizes(setting[0])[0].tolist()}
    assert set(DIMENSIONS) == {10, 20, 30}


def test_nine_points_in_ten_are_accepted_and_of_these_19_in_20_agree(judged):
    found = summary(judged)
    assert found["accepted"] > 0.8
    assert found["agreeing"] > 0.95


def test_all_points_of_many_samples_in_many_dimensions_are_accepted(judged):
    usual = [one for one in judged if one.point.dim >= 20 and one.point.n >= 16]
    assert all(one.valid for one in usual if one.point.ridge >= 1e-3)


def test_standard_errors_are_below_one_part_in_100(judged):
    errors = np.array([one.relative_standard_error for one in judged])
    assert np.quantile(errors, 0.98) < 0.01


def test_accepted_points_are_never_far_off(judged):
    wrong = [one for one in judged if one.valid and not one.agrees]
    assert all(one.point.dim == 10 for one in wrong)
    assert max(abs(one.deviation) for one in wrong) < 0.04


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting", [(10, "exp", 0.1, 0.1), pytest.param((10, "ntk", 1e-3, 0.0), marks=pytest.mark.kin)]
)
def test_the_table_is_what_the_simulation_gives(setting, judged):
    own = [one.point for one in judged if one.point[:4] == setting]
    for point, again in zip(own, simulated(*setting), strict=True):
        # The same seed: other machines round otherwise, no more.
        assert again.test_error == pytest.approx(point.test_error, rel=1e-5)


def test_tables_are_read_as_they_were_written(tmp_path, judged):
    points = [one.point for one in judged[:5]]
    write(tmp_path / "table.csv", points)
    assert read(tmp_path / "table.csv", Point) == points


def test_the_figure_shows_every_point(judged):
    figure = validity_grid.figure(judged)
    drawn = sum(len(line.get_xdata()) for line in figure.axes[1].lines if line.get_marker() == "o")
    assert drawn == len(judged)
