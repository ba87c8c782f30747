"""The record of a learning curve: displays, datasets, figures, copies."""

import copy
import dataclasses
import pickle

import jax
import numpy as np
import pytest

from kerneltheory.learning.curve import LearningCurve, StandardErrors
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.spectra.spectrum import Spectrum, Target

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

SAMPLES = np.array([10, 20, 40])
THEORY = LearningCurve(
    n=SAMPLES,
    ridge=np.full(3, 0.5),
    test_error=np.array([0.5, 0.3, 0.2]),
    bias=np.array([0.4, 0.2, 0.1]),
    variance=np.full(3, 0.1),
    kappa=np.array([1.0, 0.5, 0.0]),
    eigenvalues=np.array([np.inf, 1.0, 0.0]),
    method="by hand",
)
MEASURED = LearningCurve(
    n=SAMPLES,
    ridge=np.asarray(0.5),
    test_error=THEORY.test_error,
    leave_one_out=np.array([0.6, 0.4, 0.3]),
    standard_errors=StandardErrors(test_error=np.full(3, 0.01)),
    trials=7,
    method="simulation",
)
GRID = LearningCurve(
    n=np.broadcast_to(SAMPLES, (2, 3)),
    ridge=np.broadcast_to([[0.1], [0.2]], (2, 3)),
    test_error=np.arange(1.0, 7.0).reshape(2, 3),
)


@pytest.mark.parametrize("curve", [THEORY, MEASURED, GRID, LearningCurve()])
def test_curves_copy_pickle_compare_and_display(curve):
    for other in (pickle.loads(pickle.dumps(curve)), copy.deepcopy(curve)):
        assert other == curve
        assert hash(other) == hash(curve)
    assert curve != LearningCurve(test_error=np.ones(1))
    assert jax.tree.map(lambda leaf: leaf, curve) == curve
    assert repr(curve).startswith("LearningCurve")
    assert "<table>" in curve._repr_html_()


def test_representation_shows_errors_of_what_was_measured():
    assert "0.5 ± 0.01" in repr(MEASURED)
    assert "7 trials" in repr(MEASURED)
    assert "bias" not in repr(MEASURED)
    assert "test error" in repr(MEASURED.standard_errors)
    assert "ridge 0.5" in repr(THEORY)


def test_long_curves_show_few_rows():
    curve = LearningCurve(n=np.arange(1, 1001), test_error=np.ones(1000))
    assert len(repr(curve).splitlines()) < 12
    assert "1000" in repr(curve)


def test_learnability_of_infinite_and_vanishing_eigenvalues():
    expected = [[1, 1 / 2, 0], [1, 2 / 3, 0], [1, 1, 0]]
    np.testing.assert_allclose(THEORY.learnability, expected, rtol=4 * np.finfo(float).eps)
    assert MEASURED.learnability is None


def test_datasets_have_named_axes():
    theory, measured, grid = (curve.to_xarray() for curve in (THEORY, MEASURED, GRID))
    assert theory["test_error"].dims == ("n",)
    assert theory["learnability"].dims == ("n", "degree")
    assert float(theory["bias"].sel(n=20)) == 0.2
    assert float(measured["test_error_standard_error"].sel(n=40)) == 0.01
    assert grid["test_error"].dims == ("ridge", "n")
    assert float(grid["test_error"].sel(ridge=0.2, n=10)) == 4
    along = LearningCurve(n=SAMPLES, ridge=SAMPLES / 2, test_error=np.ones(3)).to_xarray()
    assert along["test_error"].dims == ("axis_0",)
    np.testing.assert_array_equal(along["ridge"], SAMPLES / 2)
    limit = LearningCurve(alpha=np.array([0.5, 1.0]), test_error=np.ones(2)).to_xarray()
    assert limit["test_error"].dims == ("alpha",)
    single = LearningCurve(n=np.array(3), ridge=np.array(1.0), test_error=np.array(2.0))
    assert single.to_xarray()["test_error"].dims == ()


def test_figures_draw_theory_as_lines_and_measurements_with_bars():
    axes = THEORY.plot()
    assert len(axes.lines) == 3
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), SAMPLES)
    assert MEASURED.plot(axes) is axes
    assert len(axes.containers) == 1
    assert len(GRID.plot(fields=("test_error",)).lines) == 2
    limit = LearningCurve(alpha=np.array([0.5, 1.0]), test_error=np.ones(2)).plot()
    assert "alpha" in limit.get_xlabel()
    with pytest.raises(ValueError, match="fields must be among"):
        THEORY.plot(fields=("test",))
    matplotlib.pyplot.close("all")


def _three_levels():
    spectrum = Spectrum([1.0, 1e-3, 1e-6], [5, 30, 400])
    return learning_curve(spectrum, Target([1.0, 0.5, 0.2], 0.1), np.geomspace(2, 900, 90), 1e-7)


def test_peaks_are_marked_where_the_line_turns():
    axes = _three_levels().plot()
    (marks,) = (line for line in axes.lines if line.get_gid() == "peaks")
    np.testing.assert_allclose(marks.get_xdata(), [5, 35, 435], rtol=0.08)
    matplotlib.pyplot.close("all")


def test_areas_of_degrees_add_up_to_the_test_error():
    curve = _three_levels()
    axes = curve.plot_degrees(most=2)
    top = axes.collections[-1].get_paths()[0].vertices
    for n, error in zip(curve.n[::10], curve.test_error[::10], strict=True):
        at_n = top[np.isclose(top[:, 0], n), 1]
        assert at_n.max() == pytest.approx(error, rel=1e-12)
    assert len(axes.get_legend().get_texts()) == 3
    with pytest.raises(ValueError, match="no errors by level"):
        MEASURED.plot_degrees()
    matplotlib.pyplot.close("all")


def test_the_heat_map_holds_the_learnabilities():
    curve = _three_levels()
    axes = curve.plot_learnability()
    np.testing.assert_array_equal(np.asarray(axes.collections[0].get_array()), curve.learnability.T)
    with pytest.raises(ValueError, match="one axis"):
        dataclasses.replace(GRID, kappa=np.ones((2, 3)), eigenvalues=np.ones(2)).plot_learnability()
    matplotlib.pyplot.close("all")
