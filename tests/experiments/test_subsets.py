"""Simulated regression on random subsets against a dense solve and against its theory."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from kerneltheory.core.errors import NotPositiveDefiniteError
from kerneltheory.experiments.subsets import simulate_subsets
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.subsets import subset_learning_curve
from kerneltheory.spectra.spectrum import Spectrum, Target

ROWS = 100


def run(gram, y, n, ridge=0.1, trials=4, seed=0):
    return simulate_subsets(gram, y, n, ridge, trials, seed, progress=False)


def random_gram(generator, rows):
    points = generator.standard_normal((rows, 2 * rows))
    return points @ points.T / (2 * rows)


def generic(generator):
    """A Gram matrix of eigenvalues M/i^1.5 with random eigenvectors, and labels of power i^-1.2."""
    ranks = np.arange(1, ROWS + 1)
    spectrum, target = Spectrum(ranks**-1.5, np.ones(ROWS)), Target(ranks**-1.2)
    q, r = np.linalg.qr(generator.standard_normal((ROWS, ROWS)))
    vectors = q * np.sign(np.diag(r))
    gram = (vectors * (ROWS * spectrum.eigenvalues)) @ vectors.T
    return gram, vectors @ np.sqrt(ROWS * target.powers(ROWS)), spectrum, target


@pytest.mark.slow
@pytest.mark.parametrize("ridge", [0.0, 2.0])
def test_generic_eigenvectors_have_the_error_of_the_theory_of_subsets(ridge):
    generator, n, draws = np.random.default_rng(1), np.array([10, 40, 60, 80]), 30
    values, biases = [], []
    for draw in range(draws):
        gram, y, spectrum, target = generic(generator)
        curve = run(gram, y, n, ridge, trials=4, seed=draw)
        values.append(curve.test_error)
        biases.append(curve.bias)
    mean, error = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(draws)
    predicted = subset_learning_curve(spectrum, target, n, ridge)
    theory = predicted.test_error
    bias, scatter = np.mean(biases, axis=0), np.std(biases, axis=0, ddof=1) / np.sqrt(draws)
    rest = predicted.bias / np.minimum(n, ROWS - n)
    assert np.all(np.abs(bias - predicted.bias) < 3 * scatter + rest)
    # What the theory of many rows leaves out is of the order of 1/n or 1/(M - n).
    bound = 3 * error + theory / np.minimum(n, ROWS - n)
    assert np.all(np.abs(mean - theory) < bound)
    if ridge == 0:
        independent = learning_curve(spectrum, target, n, ridge).test_error
        # 1/(1 - n/M) is 1.1 to 5; the first is within the bound, the last far beyond.
        assert_allclose(theory / independent, 1 / (1 - n / ROWS), rtol=1e-12)
        assert np.all((np.abs(mean - independent) > 3 * bound)[1:])


@pytest.mark.parametrize("outputs", [None, 3])
def test_errors_are_those_of_dense_solves_in_the_order_of_the_seed(rng, outputs):
    rows, n, ridge, trials = 12, [1, 5, 11], 0.3, 4
    gram = random_gram(rng, rows)
    y = rng.standard_normal(rows if outputs is None else (rows, outputs))
    curve = run(gram, y, n, ridge, trials, seed=9)
    labels = y.reshape(rows, -1)
    held_out, training = np.empty((trials, 3)), np.empty((trials, 3))
    for trial in range(trials):
        order = np.random.default_rng([9, trial]).permutation(rows)
        for column, size in enumerate(n):
            subset, rest = order[:size], order[size:]
            system = gram[np.ix_(subset, subset)] + ridge * np.eye(size)
            fitted = gram[:, subset] @ np.linalg.solve(system, labels[subset])
            squares = np.sum((fitted - labels) ** 2, axis=1)
            held_out[trial, column] = squares[rest].mean()
            training[trial, column] = squares[subset].mean()
    for field, values in (("test_error", held_out), ("train_error", training)):
        assert_allclose(getattr(curve, field), values.mean(axis=0), rtol=1e-10)
        errors = values.std(axis=0, ddof=1) / np.sqrt(trials)
        assert_allclose(getattr(curve.standard_errors, field), errors, rtol=1e-9)


def test_rows_that_tell_nothing_of_each_other_are_predicted_as_zero():
    curve = run(np.eye(30), np.ones(30), [1, 10, 29], ridge=1.0)
    assert_array_equal(curve.test_error, 1)
    # A row is fitted by half of its label.
    assert_allclose(curve.train_error, 0.25, rtol=1e-14)
    assert_array_equal(curve.standard_errors.test_error, 0)


def test_without_ridge_the_labels_are_interpolated(rng):
    curve = run(random_gram(rng, 20), rng.standard_normal(20), [2, 15], ridge=0.0)
    assert_allclose(curve.train_error, 0, atol=1e-20)


def test_one_seed_gives_the_same_bits_and_another_seed_others(rng):
    gram, y = random_gram(rng, 20), rng.standard_normal(20)
    assert run(gram, y, [5, 10]) == run(gram, y, [5, 10])
    assert np.all(run(gram, y, [5, 10]).test_error != run(gram, y, [5, 10], seed=1).test_error)


def test_arguments_are_left_as_they_were(rng):
    gram, y = random_gram(rng, 20), rng.standard_normal(20)
    for array in (gram, y):
        array.setflags(write=False)
    assert np.isfinite(run(gram, y, 5).test_error).all()


def test_repeated_rows_without_ridge_are_refused():
    with pytest.raises(NotPositiveDefiniteError, match="Raise the ridge"):
        run(np.ones((6, 6)), np.ones(6), [2, 5], ridge=0.0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"gram": np.ones((6, 5))}, ValueError, "gram must be a square matrix"),
        ({"gram": np.triu(np.ones((6, 6)))}, ValueError, "gram must be symmetric"),
        ({"gram": np.full((6, 6), np.nan)}, ValueError, "gram must be finite"),
        ({"gram": "eye"}, TypeError, "gram must be a real array"),
        ({"y": np.ones(5)}, ValueError, r"y must have shape \(6,\)"),
        ({"y": 1.0}, ValueError, r"y must have shape \(6,\)"),
        ({"y": np.ones((6, 1, 1))}, ValueError, r"y must have shape \(6,\)"),
        ({"y": [np.nan] * 6}, ValueError, "y must be finite"),
        ({"n": [1, 6]}, ValueError, "n must be below the number of rows 6, got 6"),
        ({"n": 0}, ValueError, "n must hold integers of at least 1"),
        ({"n": 1.5}, TypeError, "n must hold integers"),
        ({"ridge": -1.0}, ValueError, "ridge must not be negative"),
        ({"ridge": [1.0, 2.0, 3.0]}, ValueError, "n and ridge .*must broadcast"),
        ({"trials": 3}, ValueError, "trials must hold integers of at least 4"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    given = {"gram": np.eye(6), "y": np.ones(6), "n": [1, 3]} | arguments
    with pytest.raises(error, match=message):
        run(**given)
