"""Simulated regression on data against scikit-learn, against the sphere, and against theory."""

import pickle

import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.kernel_ridge import KernelRidge

from kerneltheory.activations.catalogue import relu
from kerneltheory.core.errors import NotPositiveDefiniteError
from kerneltheory.experiments.compare import compare
from kerneltheory.experiments.runs import assemble, run_trial
from kerneltheory.experiments.simulate import simulate
from kerneltheory.experiments.subsets import data_problem, simulate_on_data, simulate_subsets
from kerneltheory.kernels.base import T
from kerneltheory.kernels.kernel import dot_product_kernel, ntk
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.subsets import subset_learning_curve
from kerneltheory.spectra.empirical import empirical_spectrum
from kerneltheory.spectra.spectrum import Target
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer_sequence
from kerneltheory.sphere.sampling import uniform_sphere

FIELDS = ("test_error", "bias", "variance", "train_error", "gcv", "leave_one_out")
ROWS, TRIALS = 40, 5


class Gaussian:
    """scikit-learn's kernel "rbf" with gamma = 1/2."""

    def gram(self, X, Z=None):
        Z = X if Z is None else Z
        return np.exp(-np.sum((X[:, None] - Z[None]) ** 2, axis=2) / 2)


class Ordinary:
    """The scalar product of the rows."""

    def gram(self, X, Z=None):
        return X @ (X if Z is None else Z).T


def run(X, y, n, ridge=0.1, *, kernel=None, trials=TRIALS, seed=3, **options):
    kernel = Gaussian() if kernel is None else kernel
    options = {"trials": trials, "seed": seed, "progress": False} | options
    return simulate_on_data(kernel, X, y, n, ridge, **options)


def data(rng, outputs=None, rows=ROWS):
    return rng.standard_normal((rows, 3)), rng.standard_normal((rows, outputs or 1)).reshape(
        (rows,) if outputs is None else (rows, outputs)
    )


# --- against scikit-learn ----------------------------------------------------------------------


def residuals_of_sklearn(X, y, order, n, ridge, X_test, y_test):
    model = KernelRidge(alpha=ridge, kernel="rbf", gamma=0.5).fit(X[order[:n]], y[order[:n]])
    return y_test - model.predict(X_test)


def leave_one_out_of_sklearn(X, y, rows, ridge):
    squares = []
    for left in rows:
        kept = rows[rows != left]
        model = KernelRidge(alpha=ridge, kernel="rbf", gamma=0.5).fit(X[kept], y[kept])
        squares.append(np.sum((y[left] - model.predict(X[[left]])[0]) ** 2))
    return np.mean(squares)


@pytest.mark.parametrize("tests", ["left out", "given"])
def test_errors_are_those_of_scikit_learn_on_the_same_subsets(rng, tests):
    X, y = data(rng, 2)
    n, ridges = [5, 30], [0.05, 2.0]
    given = data(rng, 2, rows=7)
    options = {} if tests == "left out" else dict(zip(("X_test", "y_test"), given, strict=True))
    curve = run(X, y, n, np.array(ridges)[:, None], **options)
    X_test, y_test = (X, y) if tests == "left out" else given
    orders = [np.random.default_rng([3, trial]).permutation(ROWS) for trial in range(TRIALS)]
    for index in np.ndindex(2, 2):
        ridge, size = ridges[index[0]], n[index[1]]
        all_residuals, tested, train, left = [], [], [], []
        for order in orders:
            arguments = (X, y, order, size, ridge)
            all_residuals.append(residuals_of_sklearn(*arguments, X_test, y_test))
            tested.append(np.ones(len(X_test)))
            if tests == "left out":
                tested[-1][order[:size]] = 0
            learned = order[:size]
            on_train = residuals_of_sklearn(*arguments, X[learned], y[learned])
            train.append(np.mean(np.sum(on_train**2, axis=1)))
            left.append(leave_one_out_of_sklearn(X, y, learned, ridge))
        squares = [
            np.sum(rest**2, axis=1)[mask > 0].mean()
            for rest, mask in zip(all_residuals, tested, strict=True)
        ]
        assert curve.test_error[index] == pytest.approx(np.mean(squares), rel=1e-10)
        error = np.std(squares, ddof=1) / np.sqrt(TRIALS)
        assert curve.standard_errors.test_error[index] == pytest.approx(error, rel=1e-8)
        assert curve.train_error[index] == pytest.approx(np.mean(train), rel=1e-10)
        assert curve.leave_one_out[index] == pytest.approx(np.mean(left), rel=1e-10)
        pairs = []
        for i in range(TRIALS - 1):
            both = tested[i] * tested[i + 1]
            product = np.sum(all_residuals[i] * all_residuals[i + 1], axis=1)
            share = (1 - size / ROWS) ** 2 if tests == "left out" else 1.0
            pairs.append(np.sum(both * product) / len(X_test) / share)
        assert curve.bias[index] == pytest.approx(np.mean(pairs), rel=1e-9, abs=1e-12)
    assert_allclose(curve.variance, curve.test_error - curve.bias, rtol=1e-12)


def test_generalised_cross_validation_is_that_of_the_hat_matrix(rng):
    X, y = data(rng, 2)
    values = []
    for trial in range(TRIALS):
        rows = np.random.default_rng([3, trial]).permutation(ROWS)[:20]
        gram = Gaussian().gram(X[rows])
        rest = np.eye(20) - gram @ np.linalg.inv(gram + 0.5 * np.eye(20))
        values.append(np.sum((rest @ y[rows]) ** 2) / 20 / (np.trace(rest) / 20) ** 2)
    assert run(X, y, 20, 0.5).gcv == pytest.approx(np.mean(values), rel=1e-10)


def test_a_gram_matrix_gives_what_its_kernel_gives(rng):
    X, y = data(rng)
    arguments = (y, [3, 20], [[0.1], [1.0]])
    given = simulate_subsets(Gaussian().gram(X), *arguments, TRIALS, 3, progress=False)
    computed = run(X, *arguments)
    assert given.method == computed.method
    for field in FIELDS:
        assert_allclose(getattr(given, field), getattr(computed, field), rtol=1e-10, atol=1e-13)


# --- what is tested on -------------------------------------------------------------------------


def test_rows_to_test_on_are_never_learned_from():
    # Rows that tell nothing of each other: a test row that no trial learned has its label as error.
    rows, tests = 12, 5
    y = 2.0 ** np.arange(rows)
    curve = run(np.eye(rows), y, [1, 7], kernel=Ordinary(), test_size=tests)
    assert_array_equal(curve.standard_errors.test_error, 0)
    assert curve.test_error[0] == curve.test_error[1]
    # Of five different rows: the sum of five different powers of four.
    assert bin(round(curve.test_error[0] * tests)).count("1") == tests
    assert_array_equal(curve.bias, curve.test_error)


def test_the_bias_of_rows_left_out_counts_each_row_alike(rng):
    # As above residuals are the labels, so the mean over all pairs is that of their squares.
    y = rng.standard_normal(10)
    curve = run(np.eye(10), y, [3], kernel=Ordinary(), trials=600)
    error = curve.standard_errors.bias[0]
    assert 0 < error < 0.04 * np.mean(y**2)
    assert abs(curve.bias[0] - np.mean(y**2)) < 4 * error


def test_no_size_reaches_an_empty_set_of_tests(rng):
    X, y = data(rng)
    curve = run(X, y, [ROWS - 1, 1])
    assert np.isfinite([getattr(curve, field) for field in FIELDS]).all()
    assert np.isfinite(run(X, y, ROWS, X_test=X, y_test=y).test_error)


# --- against theory ----------------------------------------------------------------------------


@pytest.mark.slow
def test_samples_of_the_sphere_give_the_curves_of_the_sphere():
    dim, rows, n, ridge, trials = 8, 4000, [10, 60], [[0.05], [2.0]], 20
    target = Target({1: 0.6, 2: 0.4}, noise_variance=0.2)
    generator = np.random.default_rng(5)
    points = uniform_sphere(generator, rows, dim)
    parts = [*gegenbauer_sequence(dim, points[:, 0], 2)]
    y = sum(np.sqrt(target.power[k] * multiplicity(dim, k)) * parts[k] for k in (1, 2))
    y = y + np.sqrt(0.2) * generator.standard_normal(rows)
    kernel = dot_product_kernel(sympy.exp(T))
    own = run(points * np.sqrt(dim), y, n, ridge, kernel=kernel, trials=trials)
    other = simulate(kernel, target, dim, n, ridge, trials, 6, progress=False)
    # Errors on data are against the noisy labels, of which 4000 are a sample: squares of residuals
    # have about sqrt(2) to 2 times their mean as standard deviation. Two subsets share n/M rows.
    for field, noise in (("test_error", 0.2), ("bias", 0.2), ("gcv", 0), ("leave_one_out", 0)):
        mean, expected = getattr(own, field), getattr(other, field) + noise
        errors = (getattr(c.standard_errors, field) for c in (own, other))
        bound = 4 * np.hypot(np.hypot(*errors), 2 * expected / np.sqrt(rows))
        bound += np.array(n) / rows * other.variance
        assert np.all(np.abs(mean - expected) < bound), field


@pytest.mark.slow
def test_compare_sets_it_against_theory_of_the_measured_spectrum():
    rows, dim, n, ridge = 500, 8, np.array([20, 60, 150]), np.array([[0.02], [1.0]])
    generator = np.random.default_rng(8)
    X = np.sqrt(dim) * uniform_sphere(generator, rows, dim)
    y = np.column_stack([np.sign(X[:, 0]), np.tanh(X[:, 1] + X[:, 2] * X[:, 0])])
    kernel = ntk(relu, 1, weight_variance=2)
    simulated = run(X, y, n, ridge, kernel=kernel, trials=16)
    measured = empirical_spectrum(kernel, X, y)
    independent = compare(learning_curve(measured.spectrum, measured.target, n, ridge), simulated)
    for field, power in (("test_error", 1), ("bias", 2)):
        error = np.ravel(simulated.standard_error(field) / getattr(simulated, field))
        # What the theory of many rows leaves out is of the order of 1/n. Without ridge the error
        # on the rows left out is 1/(1 - n/M) times that on all, and nearer to it with one.
        bound = 4 * error + np.tile(1 / n + (1 - n / rows) ** -power - 1, 2)
        assert np.all(np.abs(independent[field].relative) < bound), field
        for row in (0, 1):
            subsets = subset_learning_curve(measured.spectrum, measured.target, n, ridge[row, 0])
            deviation = np.abs(getattr(simulated, field)[row] / getattr(subsets, field) - 1)
            assert np.all(deviation < 4 * error.reshape(2, 3)[row] + 1 / n), field


# --- reproducibility, arguments ----------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"test_size": 6}])
def test_trials_run_alone_give_the_same_bits(rng, options):
    X, y = data(rng, 2)
    arguments = (Gaussian(), X, y, [[3, 20]], [[0.1], [1.0]])
    options = {"trials": [[5, 4]], "seed": 1} | options
    problem = pickle.loads(pickle.dumps(data_problem(*arguments, **options)))
    trials = {index: run_trial(problem, index) for index in (4, 1, 0, 3, 2)}
    (curve,) = assemble(problem, trials.items())
    assert curve == simulate_on_data(*arguments, progress=False, **options)
    assert curve.shape == (2, 2)
    assert_array_equal(curve.trials, [[5, 4], [5, 4]])


def test_arguments_are_left_as_they_were(rng):
    X, y = data(rng)
    for array in (X, y):
        array.setflags(write=False)
    assert np.isfinite(run(X, y, 5).test_error)


def test_repeated_rows_without_ridge_are_refused():
    with pytest.raises(NotPositiveDefiniteError, match="Raise the ridge"):
        run(np.ones((6, 2)), np.ones(6), [2, 5], 0.0)


class Wrong(Gaussian):
    def gram(self, X, Z=None):
        return super().gram(X, Z)[0]


class Refuses(Gaussian):
    def gram(self, X, Z=None):
        raise AssertionError("the run began")


TEN = np.arange(10.0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": TEN}, ValueError, "X must have 2 dimensions"),
        ({"X": TEN[:, None] * np.nan}, ValueError, "X must be finite"),
        ({"X": np.ones((0, 2)), "y": []}, ValueError, "X must have at least one row"),
        ({"X": "rows"}, TypeError, "X must be a real array"),
        ({"y": TEN[:9]}, ValueError, r"y must have shape \(10,\) or \(10, outputs\), got \(9,\)"),
        ({"y": TEN + np.inf}, ValueError, "y must be finite"),
        ({"y": np.ones((10, 0))}, ValueError, "y must have shape"),
        ({"n": [2, 10]}, ValueError, "n must be below the number of rows 10, got 10"),
        ({"n": 8, "test_size": 3}, ValueError, "n must be at most 7, the rows not tested on"),
        ({"n": 0}, ValueError, "n must hold integers of at least 1"),
        ({"n": 2.5}, TypeError, "n must hold integers"),
        ({"ridge": -1e-9}, ValueError, "ridge must not be negative"),
        ({"ridge": [1.0, 2.0, 3.0]}, ValueError, "n and ridge .*must broadcast"),
        ({"trials": 3}, ValueError, "trials must hold integers of at least 4"),
        ({"trials": [4, 5, 6]}, ValueError, "trials must be one integer or an array"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"test_size": 10}, ValueError, "test_size must be below the number of rows 10"),
        ({"test_size": 0}, ValueError, "test_size must be an integer of at least 1"),
        ({"test_size": 0.2}, TypeError, "test_size must be an integer"),
        ({"X_test": np.ones((2, 1))}, ValueError, "X_test and y_test must be given both"),
        ({"y_test": TEN}, ValueError, "X_test and y_test must be given both"),
        ({"kernel": np.exp}, TypeError, "kernel must be an object with a method gram"),
    ],
)
def test_bad_arguments_are_named_before_the_run(arguments, error, message):
    given = {"X": TEN[:, None], "y": TEN, "n": [2, 5], "kernel": Refuses()} | arguments
    with pytest.raises(error, match=message):
        run(**given)


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ({"X_test": np.ones((2, 3)), "y_test": [1, 2]}, "as many columns as X and y, 1, got 3"),
        ({"X_test": np.ones((2, 1)), "y_test": np.eye(2)}, "as many outputs as X and y, 1, got 2"),
        ({"X_test": np.ones((2, 1)), "y_test": TEN}, r"y_test must have shape \(2,\)"),
        ({"X_test": np.ones((2, 1)), "y_test": [1, 2], "test_size": 2}, "test_size must be left"),
        ({"X_test": np.ones((2, 1)), "y_test": [1, 2], "n": 11}, "n must be at most the number"),
    ],
)
def test_bad_test_points_are_named_before_the_run(tests, message):
    given = {"X": TEN[:, None], "y": TEN, "n": [2, 5], "kernel": Refuses()} | tests
    with pytest.raises(ValueError, match=message):
        run(**given)


def test_what_the_kernel_refuses_is_refused_before_the_run():
    with pytest.raises(ValueError, match=r"kernel.gram\(X, X\[:1\]\) must have shape \(10, 1\)"):
        run(TEN[:, None], TEN, [2], kernel=Wrong())
    # Rows of several norms are no points of a sphere.
    with pytest.raises(ValueError, match="norm"):
        run(np.column_stack([TEN + 1, TEN]), TEN, [2], kernel=dot_product_kernel(sympy.exp(T)))
