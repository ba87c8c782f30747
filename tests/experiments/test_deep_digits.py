"""Regression of digits on deep kernels fails where theory says, and not before."""

import numpy as np
import pytest

import kerneltheory as kt
from kerneltheory.experiments.deep_regression import deep_regression
from kerneltheory.experiments.paper_figures import PaperFigure, scripts
from kerneltheory.sphere.sampling import uniform_sphere

FIGURE = PaperFigure("deep_digits")


@pytest.fixture(scope="module")
def arrays():
    return FIGURE.kept(scripts())


def test_training_fails_where_the_bulk_falls_below_the_ridge(arrays):
    ordered = arrays["weight variances"] < arrays["critical"]
    early, late = arrays["depths"] <= 21, arrays["depths"] >= 140
    scales = arrays["trainability"]
    assert np.isinf(scales[~ordered]).all()
    assert (scales[ordered] > 21).all()
    assert (arrays["accuracy"][ordered][:, early] > 0.8).all()
    # Three scales or more: one output for all.
    gone = scales < arrays["depths"][-1] / 3
    assert gone.sum() >= 3
    assert (arrays["accuracy"][gone, -1] < 0.1 + 3 * np.sqrt(0.09 / 300)).all()
    assert (arrays["condition number"][gone][:, late] > 1e8).all()


def test_the_error_is_that_of_no_prediction_beyond_the_generalisation_depth(arrays):
    chaotic = arrays["weight variances"] > arrays["critical"]
    scales = arrays["generalization"]
    assert np.isinf(scales[~chaotic]).all()
    assert (arrays["error"][chaotic, 0] < 0.5).all()
    # Ten scales or more: but for a factor l of the law, nothing is left.
    gone = scales < arrays["depths"][-1] / 10
    assert gone.sum() >= 3
    np.testing.assert_allclose(arrays["error"][gone, -1], 1, atol=1e-6)
    np.testing.assert_allclose(arrays["condition number"][gone, -1], 1, atol=1e-3)


def test_the_figure_shows_three_quantities_with_the_predicted_depths(arrays):
    figure = FIGURE.draw(arrays)
    assert len(figure.axes) == 6  # each panel with its colors
    assert all(len(axes.lines) == 3 for axes in figure.axes[:3])


@pytest.mark.slow
def test_regression_at_a_depth_is_that_with_the_kernel_of_the_depth(rng):
    X = np.sqrt(5) * uniform_sphere(rng, 40, 5)
    y = np.column_stack([X[:, 0], np.sign(X[:, 1])])
    network = {"weight_variance": 2.0, "bias_variance": 0.1}
    found = deep_regression(kt.erf, X, y, [1, 4], 30, ridge=1e-3, **network)
    for i, depth in enumerate((1, 4)):
        kernel = kt.ntk(kt.erf, depth, **network)
        ridge = 1e-3 * float(kernel.gram(X[:1])[0, 0])
        outputs = kt.KernelRidge(kernel, ridge).fit(X[:30], y[:30]).predict(X[30:])
        error = np.mean((outputs - y[30:]) ** 2) / np.mean(y[30:] ** 2)
        assert found.error[i] == pytest.approx(error, rel=1e-9)
        same = outputs.argmax(axis=1) == y[30:].argmax(axis=1)
        assert found.accuracy[i] == same.mean()
