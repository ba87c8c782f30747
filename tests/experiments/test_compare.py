"""Deviations of simulation from theory, computed by hand."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from kerneltheory.experiments.compare import Deviation, compare
from kerneltheory.learning.curve import LearningCurve, StandardErrors

N = np.array([10, 20, 40])


def curve(n=N, *, errors=None, ridge=0.1, **fields):
    return LearningCurve(
        n=n,
        ridge=None if ridge is None else np.full(np.shape(n), ridge),
        **{name: np.asarray(value, float) for name, value in fields.items()},
        standard_errors=None if errors is None else StandardErrors(**errors),
    )


def simulated(values=(1.1, 0.5, 0.25), errors=(0.05, 0.01, 0.02), **options):
    return curve(test_error=values, errors={"test_error": np.array(errors)}, **options)


THEORY = curve(test_error=[1.0, 0.5, 0.2])


def test_deviations_are_counted_in_standard_errors():
    deviation = compare(THEORY, simulated())["test_error"]
    assert_allclose(deviation.z, [2, 0, 2.5], rtol=1e-14)
    assert_allclose(deviation.relative, [0.1, 0, 0.25], rtol=1e-14)
    assert deviation.largest == pytest.approx(2.5)
    assert deviation.root_mean_square == pytest.approx(np.sqrt((4 + 6.25) / 3))


def test_beyond_takes_standard_errors_off_relative_deviations():
    deviation = Deviation(relative=np.array([0.4, 0.05, 0.0]), z=np.array([-4.0, 2.0, 0.0]))
    assert_allclose(deviation.beyond(), [0.1, 0, 0], atol=1e-16)
    assert_allclose(deviation.beyond(np.array([1, 1, 1])), [0.3, 0.025, 0], rtol=1e-14)


def test_fraction_within_takes_either_measure():
    deviation = Deviation(relative=np.array([0.5, 0.005, -0.5]), z=np.array([-2.9, 9.0, 3.1]))
    assert deviation.fraction_within() == pytest.approx(2 / 3)
    assert deviation.fraction_within(2.0) == pytest.approx(1 / 3)
    assert deviation.fraction_within(4.0) == 1
    assert deviation.fraction_within(0.0, 0.6) == 1


def test_theory_may_have_more_n_in_any_order():
    theory = curve(np.array([40, 5, 20, 10, 80]), test_error=[0.2, 9, 0.5, 1.0, 9])
    assert_array_equal(
        compare(theory, simulated())["test_error"].z, compare(THEORY, simulated())["test_error"].z
    )


def test_smaller_n_can_be_left_out_and_theory_need_not_have_them():
    theory = curve(N[1:], test_error=[0.5, 0.2])
    deviation = compare(theory, simulated(), min_n=20)["test_error"]
    assert_allclose(deviation.z, [0, 2.5], rtol=1e-14)


def test_only_fields_of_both_are_compared():
    theory = curve(test_error=[1, 1, 1], bias=[1, 1, 1])
    measured = curve(
        test_error=[1, 1, 1],
        bias=[1, 1, 1],
        variance=[1, 1, 1],
        errors={"test_error": np.ones(3), "variance": np.ones(3)},
    )
    comparison = compare(theory, measured)
    assert [name for name, _ in comparison.deviations] == ["test_error"]
    with pytest.raises(KeyError):
        comparison["bias"]


def test_an_exact_average_may_differ_by_rounding_and_a_wrong_one_shows():
    measured = simulated((1 + 4e-16, 0.5, 0.2), (0, 0, 0))
    assert compare(THEORY, measured)["test_error"].largest < 1
    measured = simulated((1.001, 0.5, 0.2), (0, 0, 0))
    assert compare(THEORY, measured)["test_error"].largest > 1e6


def test_zero_agrees_with_zero_and_with_nothing_else():
    theory = curve(test_error=[0.0, 0.0, 0.2])
    deviation = compare(theory, simulated((0.0, 4.0, 0.2), (0.0, 0.1, 0.1)))["test_error"]
    assert_allclose(deviation.z, [0, 40, 0])
    assert deviation.relative[0] == 0
    assert deviation.relative[1] > 1e300


def test_the_table_has_a_row_for_each_field_under_its_header():
    header, row = repr(compare(THEORY, simulated())).splitlines()
    assert len(header) == len(row)
    assert row.split() == ["test", "error", "3", "2.50", "1.85", "25.00%", "100.0%"]
    assert compare(THEORY, simulated())._repr_html_().startswith("<pre>")


def test_plot_draws_on_the_axes_it_is_given():
    _, (left, right) = plt.subplots(1, 2)
    assert compare(THEORY, simulated()).plot(right) is right
    assert not left.lines
    assert_array_equal(right.lines[0].get_ydata(), THEORY.test_error)
    container = right.containers[0]
    assert_array_equal(container.lines[0].get_ydata(), simulated().test_error)
    assert (right.get_xscale(), right.get_yscale()) == ("log", "log")
    assert right.get_legend() is not None


def test_plot_makes_axes_where_none_are_given():
    axes = compare(THEORY, simulated()).plot()
    assert axes.figure is plt.gcf()


# --- several ridges and noises -----------------------------------------------------------------


def grid(n, ridges, noises, factor=1.0, errors=None):
    """Test errors that tell their parameters, of shape (noises, ridges, n)."""
    n, ridge, noise = np.broadcast_arrays(
        n, np.array(ridges)[:, None], np.array(noises)[:, None, None]
    )
    values = factor * (100 * noise + 10 * ridge + 1 / n)
    error = None if errors is None else StandardErrors(test_error=np.full(n.shape, errors))
    return LearningCurve(
        n=n, ridge=ridge, noise_variance=noise, test_error=values, standard_errors=error
    )


THEORY_GRID = grid(np.array([5, 10, 20, 40]), [0.3, 0.1, 0.2], [0.5, 0.0])
MEASURED_GRID = grid(np.array([40, 10]), [0.1, 0.3], [0.0, 0.5], 1.01, errors=0.01)


def test_points_are_matched_by_all_their_parameters_in_any_shape():
    for theory in (THEORY_GRID, flattened(THEORY_GRID)):
        for measured in (MEASURED_GRID, flattened(MEASURED_GRID)):
            deviation = compare(theory, measured)["test_error"]
            assert deviation.z.shape == (8,)
            assert_allclose(deviation.relative, 0.01, rtol=1e-12)
    part = compare(THEORY_GRID, MEASURED_GRID, min_n=20)["test_error"]
    assert_allclose(part.relative, 0.01, rtol=1e-12)
    assert part.z.shape == (4,)


def flattened(curve):
    names = ("n", "ridge", "noise_variance", "test_error")
    errors = curve.standard_error("test_error")
    return LearningCurve(
        **{name: np.ravel(getattr(curve, name)) for name in names},
        standard_errors=None if errors is None else StandardErrors(test_error=np.ravel(errors)),
    )


def test_theory_of_another_noise_is_refused():
    with pytest.raises(ValueError, match=r"theory lacks n = 40, ridge = 0.1, noise variance = 0"):
        compare(grid(np.array([10, 40]), [0.1, 0.3], [0.1, 0.5]), MEASURED_GRID)


def test_theory_with_several_values_at_one_point_is_refused():
    theory = LearningCurve(
        n=np.array([10, 10, 20, 40]), features=np.array([5, 6, 6, 6]), test_error=np.arange(4.0)
    )
    with pytest.raises(ValueError, match=r"got several \(it varies in n, features\)"):
        compare(theory, simulated())


def test_plot_has_a_line_and_dots_for_each_ridge_and_noise():
    axes = compare(THEORY_GRID, MEASURED_GRID).plot()
    lines = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert len(lines) == len(axes.containers) == 4
    assert len({line.get_color() for line in lines}) == 4
    for line, container in zip(lines, axes.containers, strict=True):
        # A line passes below the dots of its own colour, by the factor of the simulation.
        dots = container.lines[0]
        assert dots.get_color() == line.get_color()
        assert_array_equal(line.get_xdata(), [5, 10, 20, 40])
        assert_array_equal(dots.get_xdata(), [10, 40])
        assert_allclose(dots.get_ydata(), 1.01 * line.get_ydata()[[1, 3]], rtol=1e-12)
    assert lines[0].get_label() == "test error, ridge 0.1, noise variance 0"


def test_plot_draws_a_ridge_that_goes_with_n_as_one_line():
    ridge = 1.0 / N
    theory = LearningCurve(n=N, ridge=ridge, test_error=ridge)
    errors = StandardErrors(test_error=ridge)
    measured = LearningCurve(n=N, ridge=ridge, test_error=ridge, standard_errors=errors)
    axes = compare(theory, measured).plot()
    assert len(axes.containers) == 1
    assert_array_equal(axes.lines[0].get_xdata(), N)


def test_plot_draws_against_the_ridge_where_that_alone_varies():
    ridge = np.array([1.0, 0.1, 10.0])
    theory = LearningCurve(n=np.full(3, 7), ridge=ridge, test_error=1 + ridge)
    errors = StandardErrors(test_error=ridge)
    axes = compare(theory, replace(theory, standard_errors=errors)).plot()
    assert_array_equal(axes.lines[0].get_xdata(), np.sort(ridge))
    assert "ridge" in axes.get_xlabel()


@pytest.mark.parametrize(
    ("theory", "measured", "error", "message"),
    [
        ([1.0], simulated(), TypeError, "theory must be a LearningCurve, got list"),
        (THEORY, None, TypeError, "simulated must be a LearningCurve, got NoneType"),
        (THEORY, THEORY, ValueError, "simulated must have standard_errors"),
        (curve(N[:2], test_error=[1, 1]), simulated(), ValueError, r"every n .* lacks \[40\]"),
        (curve(None, test_error=1, ridge=None), simulated(), ValueError, "must both have n"),
        (curve(test_error=N, ridge=0.2), simulated(), ValueError, "must have the same ridge"),
        (curve(bias=N), simulated(), ValueError, "must have a field in common"),
    ],
)
def test_what_cannot_be_compared_is_refused(theory, measured, error, message):
    with pytest.raises(error, match=message):
        compare(theory, measured)


def test_no_size_left_to_compare_is_refused():
    with pytest.raises(ValueError, match="min_n must not leave out all"):
        compare(THEORY, simulated(), min_n=100)
