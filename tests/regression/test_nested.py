"""The regression on every prefix against a dense solve of each."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from kerneltheory.core.errors import NotPositiveDefiniteError
from kerneltheory.regression.nested import NestedRegression

EPS = np.finfo(np.float64).eps
# Small, so that LAPACK stays on one thread: the tests share cores with each other.
SIZE, TESTS, DIM = 60, 7, 6
SIZES = [1, 2, 15, 16, 17, 40, 59, 60]
RIDGES = [0.0, 1e-3, 1.0]


def gaussian(a, b):
    """A strictly positive definite kernel: no prefix is singular at ridge 0."""
    return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 2)


class Problem:
    def __init__(self, rng, ridge, outputs=None, size=SIZE):
        points = rng.standard_normal((size + TESTS, DIM))
        self.gram = gaussian(points[:size], points[:size])
        self.cross = gaussian(points[:size], points[size:])
        self.y = rng.standard_normal((size,) if outputs is None else (size, outputs))
        self.ridge = ridge
        self.system = self.gram + ridge * np.eye(size)
        # Forward error of a solve by Cholesky factor: size * eps * condition number, relative
        # to the solution (Higham 2002, theorem 10.4; eigenvalues of prefixes interlace, so the
        # whole has the largest condition number). Explicit inverse factors obey the same order.
        self.rtol = 4 * size * EPS * np.linalg.cond(self.system)
        self.nested = NestedRegression(self.gram, self.y, ridge)

    def solution(self, n):
        return np.linalg.solve(self.system[:n, :n], self.y[:n])

    def inverse(self, n):
        return np.linalg.inv(self.system[:n, :n])

    def close(self, actual, expected):
        assert_allclose(actual, expected, rtol=self.rtol, atol=self.rtol * np.abs(expected).max())


@pytest.fixture(params=[(ridge, outputs) for ridge in RIDGES for outputs in (None, 3)])
def problem(request, rng):
    return Problem(rng, *request.param)


def test_coefficients_are_those_of_a_dense_solve(problem):
    coefficients = problem.nested.coefficients(SIZES)
    for column, n in enumerate(SIZES):
        problem.close(coefficients[:n, column], problem.solution(n))
        assert not coefficients[n:, column].any()


def test_predictions_are_those_of_a_dense_solve(problem):
    every = problem.nested.predictions(problem.cross)
    for n in SIZES:
        solution = problem.solution(n)
        terms = np.abs(problem.cross[:n].T) @ np.abs(solution)
        assert np.all(
            np.abs(every[n - 1] - problem.cross[:n].T @ solution) <= problem.rtol * terms.max()
        )


def test_predictions_at_given_sizes_are_rows_of_all_predictions(problem):
    sizes = [40, 1, 60, 40]
    scale = np.abs(problem.nested.coefficients([60])).sum()
    # Few test points take the factor; more than a third of N the coefficients.
    for cross in (problem.cross, problem.gram):
        every = problem.nested.predictions(cross)
        some = problem.nested.predictions(cross, sizes)
        assert some.shape == (4, *every.shape[1:])
        assert_allclose(some, every[np.array(sizes) - 1], rtol=0, atol=problem.rtol * scale)


def test_the_inverse_factor_is_computed_for_nothing_that_does_without(rng):
    problem = Problem(rng, 1e-3)
    problem.nested.predictions(problem.cross)
    problem.nested.predictions(problem.cross, [5, 60])
    problem.nested.log_marginal_likelihood()
    assert "inverse_factor" not in vars(problem.nested)
    inverse = problem.nested.inverse_factor
    problem.close(inverse @ problem.nested.factor, np.eye(SIZE))
    assert problem.nested.inverse_factor is inverse


def test_train_error_is_the_mean_squared_residual(problem):
    train_error = problem.nested.errors().train_error
    for n in SIZES:
        residual = problem.y[:n] - problem.gram[:n, :n] @ problem.solution(n)
        expected = np.mean(residual**2, axis=0)
        # At ridge 0 what is left is the rounding of the dense solve.
        assert_allclose(train_error[n - 1], expected, rtol=2 * problem.rtol, atol=problem.rtol**2)


def test_leave_one_out_is_what_leaving_one_out_gives(problem):
    leave_one_out = problem.nested.errors().leave_one_out
    for n in (2, 17, 40):
        errors = []
        for left in range(n):
            kept = np.delete(np.arange(n), left)
            solution = np.linalg.solve(problem.system[np.ix_(kept, kept)], problem.y[kept])
            errors.append(problem.y[left] - problem.gram[left, kept] @ solution)
        problem.close(leave_one_out[n - 1], np.mean(np.square(errors), axis=0))


def test_leave_one_out_of_a_single_sample_is_its_squared_label(problem):
    assert_allclose(problem.nested.errors().leave_one_out[0], problem.y[0] ** 2, rtol=8 * EPS)


@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_generalized_cross_validation_by_the_hat_matrix(rng, ridge):
    problem = Problem(rng, ridge)
    values = problem.nested.errors().generalized_cross_validation
    for n in SIZES:
        hat = problem.gram[:n, :n] @ problem.inverse(n)
        residual = problem.y[:n] - hat @ problem.y[:n]
        expected = np.mean(residual**2) / (1 - np.trace(hat) / n) ** 2
        # 1 - tr H/n and y - Hy cancel: both lose a factor of about 1/ridge.
        assert_allclose(values[n - 1], expected, rtol=problem.rtol / min(ridge, 1.0))


def test_generalized_cross_validation_at_ridge_zero_is_the_limit(rng):
    interpolating = Problem(rng, 0.0)
    inverse = interpolating.inverse(SIZE)
    # Relative change of M with the ridge: at most ridge * |M|.
    ridge = 1e-6 / np.linalg.norm(inverse, 2)
    limit = NestedRegression(interpolating.gram, interpolating.y, ridge).errors()
    errors = interpolating.nested.errors()
    assert_allclose(
        errors.generalized_cross_validation, limit.generalized_cross_validation, rtol=1e-5
    )
    assert_array_equal(errors.train_error, np.zeros(SIZE))


def test_trace_of_the_inverse(problem):
    trace = problem.nested.errors().trace_inverse
    for n in SIZES:
        problem.close(trace[n - 1], np.trace(problem.inverse(n)))


def test_quadratic_and_linear_forms(problem, rng):
    matrix = problem.gram @ problem.gram
    vector = rng.standard_normal(problem.y.shape)
    sizes = [60, 2, 17, 2, 40]
    quadratic = problem.nested.quadratic_form(matrix, sizes)
    linear = problem.nested.linear_form(vector, sizes)
    every = problem.nested.linear_form(vector)
    for index, n in enumerate(sizes):
        solution = problem.solution(n)
        expected = np.sum(solution * (matrix[:n, :n] @ solution), axis=0)
        scale = np.linalg.norm(matrix, 2) * np.sum(solution**2, axis=0)
        assert np.all(np.abs(quadratic[index] - expected) <= 2 * problem.rtol * scale)
        scale = np.linalg.norm(vector) * np.linalg.norm(solution)
        expected = np.sum(solution * vector[:n], axis=0)
        assert np.all(np.abs(linear[index] - expected) <= problem.rtol * scale)
    assert_array_equal(linear, every[np.array(sizes) - 1])


@pytest.mark.parametrize("size", [1, 33, 300])
def test_sizes_that_no_panel_divides(rng, size):
    problem = Problem(rng, 0.1, size=size)
    solution = problem.solution(size)
    problem.close(problem.nested.coefficients([size])[:, 0], solution)
    problem.close(problem.nested.predictions(problem.cross)[-1], problem.cross.T @ solution)
    problem.close(
        problem.nested.quadratic_form(problem.gram, [size])[0], solution @ problem.gram @ solution
    )
    problem.close(
        problem.nested.errors().leave_one_out[-1],
        np.mean((solution / np.diagonal(problem.inverse(size))) ** 2),
    )


def test_log_marginal_likelihood_is_the_density_of_the_labels(problem):
    from scipy.stats import multivariate_normal

    values = problem.nested.log_marginal_likelihood()
    labels = problem.y.reshape(SIZE, -1)
    for n in (1, 16, 60):
        density = multivariate_normal(np.zeros(n), problem.system[:n, :n])
        expected = [density.logpdf(column[:n]) for column in labels.T]
        problem.close(np.ravel(values[n - 1]), np.array(expected))


def test_interpolation_reproduces_the_labels(rng):
    problem = Problem(rng, 0.0)
    fitted = problem.nested.predictions(problem.gram)
    for n in SIZES:
        assert_allclose(fitted[n - 1, :n], problem.y[:n], rtol=0, atol=problem.rtol * 10)


def test_the_same_bits_each_time(rng):
    problem = Problem(rng, 1e-3, size=300)
    again = NestedRegression(problem.gram, problem.y, problem.ridge)
    assert_array_equal(again.inverse_factor, problem.nested.inverse_factor)
    assert_array_equal(again.errors().leave_one_out, problem.nested.errors().leave_one_out)
    assert_array_equal(again.predictions(problem.cross), problem.nested.predictions(problem.cross))


def test_arguments_are_left_as_they_were_and_any_layout_will_do(rng):
    problem = Problem(rng, 1e-3)
    gram, y = problem.gram.copy(), problem.y.copy()
    gram.setflags(write=False)
    y.setflags(write=False)
    expected = problem.nested.coefficients([SIZE])
    padded = np.zeros((SIZE, 2 * SIZE))[:, ::2]
    padded[:] = gram
    for layout in (gram, np.asfortranarray(gram), padded):
        actual = NestedRegression(layout, y, 1e-3).coefficients([SIZE])
        problem.close(actual, expected)


def test_float32_arrays_of_jax_are_accepted(rng):
    problem = Problem(rng, 1.0)
    nested = NestedRegression(jnp.asarray(problem.gram), jnp.asarray(problem.y), 1.0)
    assert nested.coefficients([SIZE]).dtype == np.float64


def test_a_repeated_sample_is_named_at_ridge_zero(rng):
    points = rng.standard_normal((40, DIM))
    points[31] = points[12]
    gram = gaussian(points, points)
    with pytest.raises(NotPositiveDefiniteError, match=r"size 32 .* row 31 repeats row 12\. Raise"):
        NestedRegression(gram, np.ones(40), 0.0)
    predictions = NestedRegression(gram, np.ones(40), 1e-6).predictions(gram)
    assert np.isfinite(predictions).all()


def test_more_samples_than_features_is_singular_and_not_negative(rng):
    points = rng.standard_normal((40, 5))
    with pytest.raises(NotPositiveDefiniteError, match=r"singular to rounding\. Raise"):
        NestedRegression(points @ points.T, np.ones(40), 0.0)


def test_a_negative_eigenvalue_is_told_from_a_singular_matrix(rng):
    # Eigenvalues 1 - 0.6 (size - 1) and 1.6: the leading minor of size 3 is the first negative.
    # Its direction (3/2, 3/2, 1) has the Rayleigh quotient -0.8/5.5; the eigenvalue is -0.2.
    gram = 1.6 * np.eye(5) - 0.6
    with pytest.raises(
        NotPositiveDefiniteError, match=r"size 3 .* at most -0\.145, which is negative beyond"
    ):
        NestedRegression(gram, np.ones(5), 0.0)
    assert np.isfinite(NestedRegression(gram, np.ones(5), 1.5).errors().leave_one_out).all()


@pytest.mark.parametrize("corner", [-1.0, 0.0])
def test_a_first_pivot_that_is_not_positive(corner):
    with pytest.raises(NotPositiveDefiniteError, match="size 1 "):
        NestedRegression(np.diag([corner, 1.0]), np.ones(2), 0.0)


@pytest.mark.parametrize("place", [(0, 0), (3, 1), (1, 3)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gram_matrix_that_is_not_finite(place, bad):
    gram = np.eye(5)
    gram[place] = bad
    with pytest.raises(ValueError, match="gram must be finite, got 1 entries"):
        NestedRegression(gram, np.ones(5), 1.0)


@pytest.mark.parametrize(
    ("gram", "y", "ridge", "message"),
    [
        (np.ones((2, 3)), np.ones(2), 1.0, "gram must be a square"),
        (np.ones((0, 0)), np.ones(0), 1.0, "gram must be a square"),
        (np.ones(2), np.ones(2), 1.0, "gram must be a square"),
        (np.array([[1.0, 0.5], [0.1, 1.0]]), np.ones(2), 1.0, "gram must be symmetric"),
        (np.eye(2), np.ones(3), 1.0, "y must have shape"),
        (np.eye(2), np.ones((2, 1, 1)), 1.0, "y must have shape"),
        (np.eye(2), np.array([1.0, np.nan]), 1.0, "y must be finite"),
        (np.eye(2), np.ones(2), -1.0, "ridge must not be negative"),
        (np.eye(2), np.ones(2), np.nan, "ridge must be finite"),
        (np.eye(2), np.ones(2), np.ones(2), "ridge must have 0 dimensions"),
    ],
)
def test_bad_arguments(gram, y, ridge, message):
    with pytest.raises(ValueError, match=message):
        NestedRegression(gram, y, ridge)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda nested: nested.coefficients([0]), ValueError, "sizes must hold integers"),
        (lambda nested: nested.coefficients([6]), ValueError, "integers from 1 to 5"),
        (lambda nested: nested.coefficients(3), ValueError, "integers from 1 to 5"),
        (lambda nested: nested.coefficients([1.5]), TypeError, "sizes must hold integers"),
        (lambda nested: nested.predictions(np.ones((4, 2))), ValueError, "cross_gram must have 5"),
        (lambda nested: nested.linear_form(np.ones(4)), ValueError, "vector must have the shape"),
        (lambda nested: nested.quadratic_form(np.eye(4), [2]), ValueError, "matrix must have 5"),
    ],
)
def test_bad_requests(call, error, message):
    with pytest.raises(error, match=message):
        call(NestedRegression(np.eye(5), np.ones(5), 1.0))
