"""One trial at d = 20, N = 4096 and one ridge, in units of one Cholesky factorisation.

The unit (scipy's dpotrf of the same matrix) is timed before every round, so that ratios of minima
hold on a busy machine too. Beyond the Gram matrix all that labels and test points tell at every n
must cost less than 3 units, factorisation included, and the exact test error at 150 sizes less
than 3 more. Either way scikit-learn's regression, refitted at 50 sizes, must take 8 times as long.
"""

import time

import numpy as np
import pytest
from scipy.linalg.lapack import dpotrf

from kerneltheory.experiments.paper_figures import PaperFigure
from kerneltheory.experiments.simulate import sphere_problem
from kerneltheory.experiments.trial import AveragedTrial, DrawnTrial
from kerneltheory.regression.nested import NestedRegression
from kerneltheory.sphere.sampling import uniform_sphere

HEADLINE = PaperFigure("headline").module
DIM, SIZE, TESTS, RIDGE, ROUNDS = 20, 4096, 256, 1e-3, 5
SIZES = np.round(np.linspace(SIZE / 150, SIZE, 150)).astype(int)
REFITTED = np.round(np.linspace(SIZE / 50, SIZE, 50)).astype(int)
GROWTH = (1024, 2048, 4096, 8192)


class Sample:
    """Samples of the sphere, labels and test points, and their Gram matrices."""

    def __init__(self, size):
        generator = np.random.default_rng([2026, size])
        kernel, x = HEADLINE.GAUSSIAN, uniform_sphere(generator, size, DIM)
        cosines = np.clip(x @ x.T, -1, 1)
        np.fill_diagonal(cosines, 1.0)
        self.gram = kernel(cosines)
        self.cross = kernel(np.clip(x @ uniform_sphere(generator, TESTS, DIM).T, -1, 1))
        self.y = x[:, 0] + generator.standard_normal(size) / 3
        self.system = np.asfortranarray(self.gram + RIDGE * np.eye(size))

    def factorise(self):
        # Like the regression it leaves the matrix as it was.
        assert dpotrf(self.system, lower=1, clean=0)[1] == 0

    def every_size(self):
        """Predictions, training error, cross-validation and leave-one-out at every n."""
        regression = NestedRegression(self.gram, self.y, RIDGE)
        return regression.predictions(self.cross), regression.errors()

    def at_sizes(self):
        return NestedRegression(self.gram, self.y, RIDGE).predictions(self.cross, REFITTED)

    def refitted(self):
        from sklearn.kernel_ridge import KernelRidge

        models = [
            KernelRidge(alpha=RIDGE, kernel="precomputed").fit(self.gram[:n, :n], self.y[:n])
            for n in REFITTED
        ]
        predictions = zip(models, REFITTED, strict=True)
        return np.array([model.predict(self.cross[:n].T) for model, n in predictions])


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_units(benchmark, capsys, unit, function, rounds=ROUNDS):
    """Run a benchmark, the unit before each round; print and return the ratio of minima."""
    units = []
    result = benchmark.pedantic(
        function, setup=lambda: units.append(seconds(unit)), rounds=rounds, warmup_rounds=1
    )
    ratio = benchmark.stats.stats.min / min(units)
    benchmark.extra_info["units"] = ratio
    with capsys.disabled():
        print(f"\n{benchmark.name}: {ratio:.3f} units of {min(units):.3f} s", flush=True)
    return result, ratio


@pytest.fixture(scope="module")
def sample():
    return Sample(SIZE)


@pytest.fixture(scope="module")
def trials():
    problem = sphere_problem(HEADLINE.GAUSSIAN, HEADLINE.TARGET, DIM, SIZES, RIDGE, 4, 2026)
    return [
        kind(problem, np.random.default_rng([2026, index]))
        for index, kind in enumerate((DrawnTrial, AveragedTrial, AveragedTrial))
    ]


def test_factor_predictions_and_errors_at_every_size(benchmark, capsys, sample):
    (predictions, errors), ratio = in_units(benchmark, capsys, sample.factorise, sample.every_size)
    assert np.isfinite(predictions).all()
    for values in (errors.train_error, errors.generalized_cross_validation, errors.leave_one_out):
        assert np.isfinite(values).all()
    assert ratio < 3


def fit_again(trial):
    """The part of the fit that knows the sphere: exact errors of a factorised regression."""
    (group,) = trial.groups
    regression = NestedRegression(trial._gram(), trial.labels, RIDGE)
    assert regression.inverse_factor.shape == (SIZE, SIZE)
    return lambda: trial._fit(group, regression, trial._norm_form(), {}).tables["test_error"]


def test_exact_test_error_at_150_sizes(benchmark, capsys, sample, trials):
    errors, ratio = in_units(benchmark, capsys, sample.factorise, fit_again(trials[0]))
    assert np.all(errors > 0)
    assert ratio < 3


def test_exact_test_error_averaged_over_labels(benchmark, capsys, sample, trials):
    errors, _ = in_units(benchmark, capsys, sample.factorise, fit_again(trials[1]))
    assert np.all(errors > 0)


def test_bias_with_another_trial_averaged_over_labels(benchmark, capsys, sample, trials):
    _, one, other = trials
    bias, _ = in_units(benchmark, capsys, sample.factorise, lambda: one.bias_with(other))
    assert np.isfinite(bias).all()


def test_samples_and_their_gram_matrix(benchmark, capsys, sample, trials):
    gram, _ = in_units(benchmark, capsys, sample.factorise, trials[0]._gram)
    assert np.isfinite(gram).all()


def test_log_marginal_likelihood_at_every_size(benchmark, capsys, sample):
    regression = NestedRegression(sample.gram, sample.y, RIDGE)
    values, _ = in_units(benchmark, capsys, sample.factorise, regression.log_marginal_likelihood)
    assert np.isfinite(values).all()


@pytest.mark.parametrize("run", ["at_sizes", "every_size"])
def test_scikit_learn_refitted_at_50_sizes_takes_8_times_as_long(benchmark, capsys, sample, run):
    pytest.importorskip("sklearn")
    expected = []
    result, ratio = in_units(
        benchmark,
        capsys,
        lambda: expected.append(sample.refitted()),
        getattr(sample, run),
        rounds=2,
    )
    predictions = result if run == "at_sizes" else result[0][REFITTED - 1]
    # Coefficients of order y/ridge and a condition number near 1e4.
    np.testing.assert_allclose(predictions, expected[-1], rtol=0, atol=1e-8)
    assert 1 / ratio > 8


def test_cost_grows_as_a_third_of_the_cube(benchmark, capsys):
    """The table of times at N = 1024 to 8192, and their share of the rate of matrix products."""
    square = np.ones((2048, 2048))
    product, rows = [], []

    def measure():
        for size in GROWTH:
            sample = Sample(size)
            parts = (
                lambda s=sample: NestedRegression(s.gram, s.y, RIDGE),
                sample.every_size,
            )
            times = []
            for _ in range(2):
                product.append(seconds(lambda: square @ square))
                times.append([seconds(part) for part in parts])
            rows.append(np.min(times, axis=0))

    benchmark.pedantic(measure, rounds=1)
    rate = 2 * len(square) ** 3 / min(product)
    sizes, times = np.array(GROWTH), np.array(rows)
    # N^3/3 for the factor; as much again for its inverse.
    shares = np.array([1, 2]) * sizes[:, None] ** 3 / 3 / times / rate
    exponents = [np.polyfit(np.log(sizes), np.log(column), 1)[0] for column in times.T]
    lines = [f"{'N':>8}{'factor':>10}{'of gemm':>9}{'every n':>10}{'of gemm':>9}"]
    for size, (factor, every), (share, both) in zip(sizes, times, shares, strict=True):
        lines.append(f"{size:>8}{factor:>9.3f}s{share:>9.0%}{every:>9.3f}s{both:>9.0%}")
    lines.append(f"exponent{exponents[0]:>10.2f}{'':>9}{exponents[1]:>10.2f}")
    lines.append(f"matrix products: {rate / 1e9:.0f} GFLOP/s")
    benchmark.extra_info["exponents"] = exponents
    with capsys.disabled():
        print("\n" + "\n".join(lines), flush=True)
    assert 2 < exponents[1] < 3.5
