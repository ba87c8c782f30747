"""Nested regression at N = 4096 beside one Cholesky factorisation of the same matrix.

Read the ratios of minima: the whole of the first kind under 3 times the baseline, and the forms
at a few hundred sizes under 3 times more.
"""

import numpy as np
import pytest
from scipy.linalg.lapack import dpotrf

from kerneltheory.regression.nested import NestedRegression

SIZE, TESTS, DIM, RIDGE, ROUNDS = 4096, 256, 30, 1e-3, 5
pytestmark = pytest.mark.benchmark(group="nested regression, N = 4096")


class Problem:
    def __init__(self):
        rng = np.random.default_rng(20220528)
        points = rng.standard_normal((SIZE + TESTS, DIM))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        self.gram = np.exp(points[:SIZE] @ points[:SIZE].T)
        self.cross_gram = np.exp(points[:SIZE] @ points[SIZE:].T)
        self.matrix = self.gram**2
        self.y = rng.standard_normal(SIZE)
        near = [np.arange(round(0.95 * n), round(1.05 * n) + 1) for n in (25, 323, 2841)]
        log_spaced = np.geomspace(1, SIZE, 150).round().astype(int)
        self.sizes = np.unique(np.concatenate([log_spaced, *near]))


@pytest.fixture(scope="module")
def problem():
    return Problem()


@pytest.fixture(scope="module")
def nested(problem):
    return NestedRegression(problem.gram, problem.y, RIDGE)


def test_baseline_one_cholesky(benchmark, problem):
    def copy():
        system = np.array(problem.gram).T
        np.fill_diagonal(system, np.diagonal(system) + RIDGE)
        return (system,), {}

    def factorise(system):
        assert dpotrf(system, lower=0, clean=0, overwrite_a=1)[1] == 0

    benchmark.pedantic(factorise, setup=copy, rounds=ROUNDS, warmup_rounds=1)


def test_factor_predictions_and_errors_at_every_size(benchmark, problem):
    def run():
        regression = NestedRegression(problem.gram, problem.y, RIDGE)
        return regression.predictions(problem.cross_gram), regression.errors()

    predictions, errors = benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    assert np.isfinite(predictions).all()
    assert np.isfinite(errors.leave_one_out).all()


def test_coefficients_and_forms_at_hundreds_of_sizes(benchmark, problem, nested):
    def run():
        nested.coefficients(problem.sizes)
        linear = nested.linear_form(problem.y, problem.sizes)
        return linear, nested.quadratic_form(problem.matrix, problem.sizes)

    linear, quadratic = benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    assert np.isfinite(linear).all()
    assert np.all(quadratic > 0)


def test_log_marginal_likelihood_at_every_size(benchmark, nested):
    values = benchmark.pedantic(nested.log_marginal_likelihood, rounds=ROUNDS, warmup_rounds=1)
    assert np.isfinite(values).all()
