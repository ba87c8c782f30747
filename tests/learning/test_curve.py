"""The record of a learning curve: displays, datasets, figures, copies."""

import copy
import dataclasses
import pickle

import jax
import numpy as np
import pytest

from kerneltheory.learning.curve import LearningCurve, StandardErrors
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.gradient_flow import gradient_flow_curve
from kerneltheory.learning.optimal import optimal_ridge
from kerneltheory.learning.random_features import random_feature_curve
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
LEVELS = Spectrum([1.0, 1e-3, 1e-6], [5, 30, 400])
TARGET = Target([1.0, 0.5, 0.2], 0.1)


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
    limit = LearningCurve(alpha=np.array([0.5, 1.0]), test_error=np.ones(2)).to_xarray()
    assert limit["test_error"].dims == ("alpha",)
    single = LearningCurve(n=np.array(3), ridge=np.array(1.0), test_error=np.array(2.0))
    assert single.to_xarray()["test_error"].dims == ()


def test_what_varies_with_n_is_a_coordinate_on_it():
    curve = LearningCurve(
        n=SAMPLES, ridge=SAMPLES / 2, alpha=SAMPLES / 10, test_error=np.array([3.0, 2, 1])
    )
    data = curve.to_xarray()
    assert data["test_error"].dims == data["ridge"].dims == data["alpha"].dims == ("n",)
    np.testing.assert_array_equal(data["ridge"], SAMPLES / 2)
    assert float(data.sel(n=20)["alpha"]) == 2
    best = optimal_ridge(LEVELS, TARGET, np.array([10.0, 20.0, 300.0])).to_xarray()
    assert best["ridge"].dims == ("n",)


def test_axes_along_which_nothing_varies_are_numbered():
    data = dataclasses.replace(GRID, n=np.full((2, 3), 5), ridge=None).to_xarray()
    assert data["test_error"].dims == ("axis_0", "axis_1")
    assert data["n"].shape == ()
    assert LearningCurve(test_error=np.ones(2)).to_xarray()["test_error"].dims == ("axis_0",)
    assert LearningCurve(n=np.array([7]), ridge=np.ones(1)).to_xarray().sizes == {"n": 1}


def test_datasets_hold_what_is_known_of_levels():
    data = learning_curve(LEVELS, TARGET, np.array([10.0, 20.0]), 0.1).to_xarray()
    np.testing.assert_array_equal(data["degree"], [0, 1, 2])
    np.testing.assert_array_equal(data["power"].sel(degree=1), 0.5)
    assert data["eigenvalues"].dims == data["level_masses"].dims == ("degree",)
    assert data["degree_errors"].dims == ("n", "degree")
    assert float(data["noise_variance"]) == 0.1
    np.testing.assert_allclose(data["degree_errors"].sum("degree"), data["test_error"])


def test_time_is_a_parameter_in_every_display():
    times = np.array([0.0, 0.1, 1.0, 1e3])
    curve = gradient_flow_curve(LEVELS, TARGET, 50.0, times)
    assert "n 50" in repr(curve).splitlines()[0]
    assert repr(curve).split("\n")[1].split()[0] == "time"
    data = curve.to_xarray()
    assert data["test_error"].dims == ("time",)
    assert float(data["n"]) == 50
    axes = curve.plot()
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), times)
    assert "time" in axes.get_xlabel()
    assert "50" in axes.get_xlabel()
    assert axes.get_xscale() == "symlog"
    both = gradient_flow_curve(LEVELS, TARGET, np.array([20.0, 50.0]), times[1:, None])
    assert both.to_xarray()["test_error"].dims == ("time", "n")
    assert len(both.plot(fields="bias").lines) == 3
    matplotlib.pyplot.close("all")


def test_noise_variance_is_a_parameter_in_every_display():
    noise = np.array([0.0, 0.1, 0.5])
    curve = learning_curve(LEVELS, Target([1.0, 0.5, 0.2], noise), 50.0, 0.1)
    assert "noise variance" in repr(curve)
    assert curve.to_xarray()["test_error"].dims == ("noise_variance",)
    axes = curve.plot()
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), noise)
    assert axes.get_xscale() == "linear"
    grid = learning_curve(LEVELS, Target([1.0, 0.5, 0.2], noise[:, None]), SAMPLES * 1.0, 0.1)
    assert grid.to_xarray()["test_error"].dims == ("noise_variance", "n")
    labels = [line.get_label() for line in grid.plot(fields="bias").lines]
    assert labels == [f"bias, noise variance {value:g}" for value in noise]
    matplotlib.pyplot.close("all")


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


def test_the_axis_is_what_varies():
    ridges = np.geomspace(1e-6, 1, 9)
    curve = learning_curve(LEVELS, TARGET, 50.0, ridges)
    for axes in (curve.plot(), curve.plot_degrees(), curve.plot_learnability()):
        assert "ridge" in axes.get_xlabel()
        assert axes.get_xscale() == "log"
    features = random_feature_curve(LEVELS, TARGET, 50.0, ridges * 1e6, 0.1).plot(fields="gcv")
    assert "features" in features.get_xlabel()
    negative = learning_curve(LEVELS, TARGET, 4.0, [-1e-8, 0.1, 1.0]).plot()
    assert negative.get_xscale() == "linear"
    assert learning_curve(LEVELS, TARGET, 50.0, 0.1).plot().lines[0].get_marker() == "o"
    with pytest.raises(ValueError, match="no parameter to draw against"):
        LearningCurve(test_error=np.ones(3)).plot()
    matplotlib.pyplot.close("all")


def test_fields_are_drawn_on_scales_that_hold_them():
    curve = learning_curve(LEVELS, TARGET, SAMPLES * 1.0, 0.1)
    likelihood = curve.plot(fields="log_marginal_likelihood")
    assert likelihood.get_yscale() == "linear"
    assert likelihood.get_ylabel() == "log marginal likelihood"
    mixed = curve.plot(fields=("kare", "effective_dimension"))
    assert mixed.get_ylabel() == "error, effective dimension"
    np.testing.assert_array_equal(mixed.lines[0].get_ydata(), curve.gcv)
    errors = curve.plot(fields=["bias", "variance_from_noise"])
    assert (errors.get_yscale(), errors.get_ylabel()) == ("log", "error")
    rounded = LearningCurve(n=SAMPLES, train_error=np.array([1.0, 0.1, -1e-17]))
    assert rounded.plot(fields="train_error").get_yscale() == "log"
    matplotlib.pyplot.close("all")


def test_fields_that_a_curve_lacks_are_refused():
    with pytest.raises(ValueError, match=r"has no bias; it has test_error, leave_one_out$"):
        MEASURED.plot(fields=("test_error", "bias"))
    with pytest.raises(ValueError, match="needs a field to draw"):
        MEASURED.plot(fields=())
    with pytest.raises(ValueError, match="no fields at all"):
        LearningCurve().plot()


def test_curves_without_errors_show_what_they_have():
    assert repr(LearningCurve()).splitlines()[1] == "nothing predicted or measured"
    assert repr(LearningCurve(n=SAMPLES)).split() == [
        "LearningCurve:",
        "given",
        "n",
        "10",
        "20",
        "40",
    ]
    assert "nan" not in repr(LearningCurve(test_error=np.ones(2)))


def _three_levels():
    return learning_curve(LEVELS, TARGET, np.geomspace(2, 900, 90), 1e-7)


def test_peaks_are_marked_where_the_line_turns():
    axes = _three_levels().plot()
    (marks,) = (line for line in axes.lines if line.get_gid() == "peaks")
    np.testing.assert_allclose(marks.get_xdata(), [5, 35, 435], rtol=0.08)
    matplotlib.pyplot.close("all")


def test_no_peak_is_marked_that_is_none():
    jitter = np.array([1.0, 1 + 1e-15, 1.0, 1 + 1e-15, 1.0])
    for n, error in ((np.arange(1, 6), jitter), (np.full(5, 9), 1 + np.arange(5) % 2)):
        axes = LearningCurve(n=n, test_error=error).plot()
        assert not any(line.get_gid() == "peaks" for line in axes.lines)
    shuffled = LearningCurve(n=np.array([4, 1, 3, 2]), test_error=np.array([1.0, 4, 2, 3])).plot()
    np.testing.assert_array_equal(shuffled.lines[0].get_ydata(), [4, 3, 2, 1])
    assert len(shuffled.lines) == 1
    matplotlib.pyplot.close("all")


def test_errors_by_level_do_not_cancel():
    # Twice as many samples as modes and a tiny ridge: 1 - q is far below rounding.
    curve = learning_curve(Spectrum([7.35e-17], [5503404]), Target([1.23]), 11006808.0, 1.06e-25)
    np.testing.assert_allclose(curve.degree_errors.sum(), curve.test_error, rtol=1e-14)
    unlearned = learning_curve(Spectrum([1.0, 0.0], [5, 7]), Target([1.0, 0.5]), 20.0, 0.0)
    np.testing.assert_allclose(unlearned.degree_errors.sum(), unlearned.test_error, rtol=1e-14)


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
