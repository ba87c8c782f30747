"""One trial of panel A at N = 4096, each part in a group with one Cholesky factorisation.

Read the ratios of minima to the baseline: all that labels and test points tell at every n, with
the factorisation, under 3; the exact test error of the fixed target at the 400 sizes of the
figure under 3 more.
"""

import copy

import numpy as np
import pytest
from scipy.linalg.lapack import dpotrf

from kerneltheory.experiments.headline import DIM, TARGET, gaussian_kernel, gaussian_sizes
from kerneltheory.experiments.simulate import _problem
from kerneltheory.experiments.trial import AveragedTrial, DrawnTrial
from kerneltheory.regression.nested import NestedRegression
from kerneltheory.sphere.sampling import uniform_sphere

SIZE, TESTS, RIDGE, ROUNDS = 4096, 256, 1e-6, 5
EVERY_SIZE = "labels and test points at every n, factorisation included"
FIXED = "exact test error of the fixed target"
AVERAGED = "exact test error and bias, averaged over labels"
GRAM = "samples and their Gram matrix"


class PanelA:
    def __init__(self):
        sizes = gaussian_sizes(SIZE)
        self.problem, _ = _problem(gaussian_kernel(), TARGET, DIM, sizes, RIDGE, 4)
        self.generator = np.random.default_rng([2026, 0])
        self.trial = DrawnTrial(self.problem, self.generator)
        self.averaged = AveragedTrial(self.problem, np.random.default_rng([2026, 1]))
        kernel, x = self.problem.kernel, self.trial.x
        cosines = x @ x.T
        np.fill_diagonal(cosines, 1.0)
        self.gram = kernel(cosines)
        self.cross_gram = kernel(x @ uniform_sphere(self.generator, TESTS, DIM).T)
        self.y = self.trial._labels(self.generator.standard_normal(SIZE))[0]


@pytest.fixture(scope="module")
def panel():
    return PanelA()


def measure(benchmark, function, setup):
    return benchmark.pedantic(function, setup=setup, rounds=ROUNDS, warmup_rounds=1)


def anew(trial):
    """Hand over the factorised trial, none of its errors known."""
    return lambda: ((copy.copy(trial),), {})


@pytest.mark.parametrize("part", [EVERY_SIZE, FIXED, AVERAGED, GRAM])
def test_baseline_one_cholesky(benchmark, panel, part):
    benchmark.group = part

    system = np.asfortranarray(panel.gram + RIDGE * np.eye(SIZE))

    def factorise():
        # Like the regression it leaves the matrix as it was.
        assert dpotrf(system, lower=1, clean=0)[1] == 0

    measure(benchmark, factorise, None)


@pytest.mark.benchmark(group=EVERY_SIZE)
def test_factor_predictions_and_errors_at_every_size(benchmark, panel):
    def run():
        regression = NestedRegression(panel.gram, panel.y, RIDGE)
        return regression.predictions(panel.cross_gram), regression.errors()

    predictions, errors = measure(benchmark, run, None)
    assert np.isfinite(predictions).all()
    for values in (errors.train_error, errors.generalized_cross_validation, errors.leave_one_out):
        assert np.isfinite(values).all()


@pytest.mark.benchmark(group=FIXED)
def test_exact_test_error_at_the_sizes_of_the_figure(benchmark, panel):
    errors = measure(benchmark, lambda trial: trial._test_error(), anew(panel.trial))
    assert np.all(errors > 0)


@pytest.mark.benchmark(group=AVERAGED)
def test_exact_test_error_averaged_over_labels(benchmark, panel):
    errors = measure(benchmark, lambda trial: trial._test_error(), anew(panel.averaged))
    assert np.all(errors > 0)


@pytest.mark.benchmark(group=AVERAGED)
def test_bias_with_another_trial_averaged_over_labels(benchmark, panel):
    def pair():
        return (copy.copy(panel.averaged), copy.copy(panel.averaged)), {}

    bias = measure(benchmark, lambda one, other: one.bias_with(other), pair)
    assert np.isfinite(bias).all()


@pytest.mark.benchmark(group=GRAM)
def test_samples_and_their_gram_matrix(benchmark, panel):
    def run():
        x = uniform_sphere(panel.generator, SIZE, DIM)
        return panel.problem.kernel(np.clip(x @ x.T, -1, 1))

    assert np.isfinite(measure(benchmark, run, None)).all()


def test_log_marginal_likelihood_at_every_size(benchmark, panel):
    values = measure(benchmark, panel.trial.regression.log_marginal_likelihood, None)
    assert np.isfinite(values).all()
