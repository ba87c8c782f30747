"""Regression of digits on deep kernels fails where theory says, and not before."""

import numpy as np
import pytest

from kerneltheory.experiments.deep_digits import compute, draw


@pytest.fixture(scope="module")
def digits():
    return compute(np.array([0.9, 1.1, 2.3, 3.6]), np.array([2, 20, 150]), train=150, test=150)


@pytest.mark.slow
def test_training_fails_where_the_bulk_falls_below_the_ridge(digits):
    ordered = digits.weight_variances < digits.critical
    assert ordered.tolist() == [True, True, False, False]
    assert (digits.trainability[ordered] > 20).all()
    assert (digits.trainability[ordered] < 150).all()
    assert np.isinf(digits.trainability[~ordered]).all()
    chance = 0.1 + 3 * np.sqrt(0.09 / 150)
    assert (digits.accuracy[ordered, :2] > 0.6).all()
    assert (digits.accuracy[ordered, 2] < chance).all()
    assert (digits.condition_number[ordered, 2] > 1e8).all()


@pytest.mark.slow
def test_the_error_is_that_of_no_prediction_beyond_the_generalisation_depth(digits):
    chaotic = digits.weight_variances > digits.critical
    assert np.isinf(digits.generalization[~chaotic]).all()
    assert (digits.generalization[chaotic] < 20).all()
    assert (digits.error[chaotic, 0] < 0.7).all()
    # Five and twenty-five depth scales or more: but for a factor l of the law, nothing is left.
    np.testing.assert_allclose(digits.error[-1, 1], 1, atol=0.02)
    np.testing.assert_allclose(digits.error[chaotic, 2], 1, atol=1e-6)
    np.testing.assert_allclose(digits.condition_number[chaotic, 2], 1, atol=1e-3)


@pytest.mark.slow
def test_the_figure_shows_three_quantities_with_the_predicted_depths(digits):
    figure = draw(digits)
    assert len(figure.axes) == 6  # each panel with its colors
    assert all(len(axes.lines) == 3 for axes in figure.axes[:3])
