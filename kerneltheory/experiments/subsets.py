"""Regression on random subsets of a data set."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerneltheory.core import check
from kerneltheory.experiments.points import (
    Group,
    Points,
    broadcast_points,
    gather,
    gather_each,
    matched,
)
from kerneltheory.experiments.runs import run
from kerneltheory.experiments.statistics import label_errors
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.regression.factor import finite_labels, symmetric_matrix
from kerneltheory.regression.nested import NestedRegression


def simulate_on_data(
    kernel: Any,
    X: Any,
    y: Any,
    n: Any,
    ridge: Any,
    *,
    trials: Any,
    seed: int,
    test_size: int | None = None,
    X_test: Any = None,
    y_test: Any = None,
    progress: bool = True,
) -> LearningCurve:
    r"""Simulate kernel ridge regression on random subsets of a data set.

    A trial draws one order of the rows; its first n are the training set, for every n, and it
    factorises one Gram matrix for each ridge. All errors are against the labels as they are, and
    summed over the columns of y (of classes, as one column each with the label of its members).
    The bias is that of the predictor averaged over training sets, by pairs of trials.

    The test error is a mean over `X_test`; or over `test_size` rows that the seed picks once and
    no trial learns from; or else over all rows that a training set leaves out. There the bias of a
    row is that of the average over training sets without it, and the pairs count rows that both
    leave out, of the M (1 - n/M)^2 that there are on average:

    .. math:: B = E \sum_{i \notin S_1 \cup S_2} \frac{r_1(x_i) \cdot r_2(x_i)}{M (1 - n/M)^2},
              \qquad r = y - \hat f.

    That is unbiased, and scatters where n comes close to M. Standard errors are across trials
    (jackknife): they do not hold what other test rows, or another data set, would change.

    Args:
        kernel: any object with a method `gram(X, Z=None)`, as kernels have.
        X: rows of data, (M, features).
        y: labels, (M,) or (M, outputs).
        n: sizes of the training sets, integers of at least 1, any shape; less than M, at most
            M - test_size, or at most M if there is an `X_test`.
        ridge: absolute ridge >= 0; it broadcasts with n.
        trials: number of trials, at least 4; an array gives each point its own and broadcasts to
            the shape of the curve.
        seed: a non-negative integer; the same seed gives the same result, bit for bit.
        test_size: number of rows to test on, 1 to M - 1.
        X_test: test points, (tests, features).
        y_test: their labels, (tests,) or (tests, outputs).
        progress: whether to show a progress bar (after two seconds).

    Returns:
        A LearningCurve with the fields test_error, bias, variance, train_error, gcv and
        leave_one_out and their standard errors, of the shape to which n and ridge broadcast.
        Theory is `learning_curve` of `empirical_spectrum(kernel, X, y)` where n is far below M,
        and `subset_learning_curve` of it where all other rows are tested.

    Raises:
        ValueError, TypeError: if an argument is out of its range; the message names it.
        NotPositiveDefiniteError: if a Gram matrix is not positive definite beyond rounding.

    References:
        arXiv:2006.13198 for learning curves on data.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import ntk
        >>> X = np.random.default_rng(0).standard_normal((60, 3))
        >>> kernel = ntk(relu, 1, weight_variance=2)
        >>> curve = simulate_on_data(kernel, X, X[:, 0], [5, 40], 0.1, trials=4, seed=0)
        >>> bool(curve.test_error[1] < curve.test_error[0])
        True
    """
    problem = data_problem(
        kernel,
        X,
        y,
        n,
        ridge,
        trials=trials,
        seed=seed,
        test_size=test_size,
        X_test=X_test,
        y_test=y_test,
    )
    return run(problem, "subsets", progress=progress)[0]


def simulate_subsets(
    gram: Any, y: Any, n: Any, ridge: Any, trials: Any, seed: int, *, progress: bool = True
) -> LearningCurve:
    """Simulate kernel ridge regression on random subsets of a data set given its Gram matrix.

    It is `simulate_on_data` with the rows that each subset leaves out as the test set.

    Args:
        gram: Gram matrix of all M rows, (M, M).
        y: labels, (M,) or (M, outputs); squared errors are summed over the columns.
        n: sizes of the subsets, integers from 1 to M - 1, any shape.
        ridge: absolute ridge >= 0; it broadcasts with n.
        trials: number of trials, at least 4, as in `simulate_on_data`.
        seed: a non-negative integer.
        progress: whether to show a progress bar (after two seconds).

    Returns:
        A LearningCurve, as that of `simulate_on_data`.

    Raises:
        ValueError, TypeError: if an argument is out of its range; the message names it.
        NotPositiveDefiniteError: if a Gram matrix is not positive definite beyond rounding.

    Examples:
        >>> gram = np.eye(6) + 1
        >>> curve = simulate_subsets(gram, np.ones(6), [1, 4], 0.1, trials=4, seed=0)
        >>> bool(curve.test_error[1] < curve.test_error[0])
        True
    """
    gram = symmetric_matrix("gram", gram)
    labels = finite_labels(y, len(gram)).reshape(len(gram), -1)
    rows = np.arange(len(gram))
    points = broadcast_points(n, ridge, [0.0], trials)
    _check_sizes(points, len(gram) - 1, f"below the number of rows {len(gram)}")
    seed = check.integer("seed", seed, minimum=0)
    problem = DataProblem(_Table(gram), rows, labels, points, seed)
    return run(problem, "subsets", progress=progress)[0]


@dataclass(frozen=True, eq=False)
class DataProblem:
    """What all trials on a data set share.

    Attributes:
        kernel, X, y: of the rows to learn from, y of shape (M, outputs).
        points: of the curve.
        seed: of everything random, together with the index of the trial.
        X_test, y_test: what to test on; None for all rows that are left out.
    """

    kernel: Any
    X: np.ndarray
    y: np.ndarray
    points: Points
    seed: int
    X_test: np.ndarray | None = None
    y_test: np.ndarray | None = None

    noisy = False

    @property
    def method(self) -> str:
        """What makes the curve, in words."""
        tests = "" if self.X_test is None else f", {len(self.X_test)} test points"
        return f"regression on random subsets of {len(self.X)} rows{tests}"

    def trial(self, index: int) -> "SubsetTrial":
        """Draw and fit the trial of this index."""
        return SubsetTrial(self, np.random.default_rng([self.seed, index]), index)


class SubsetTrial:
    """One order of the rows, and the errors of the regressions on the first of them."""

    def __init__(
        self, problem: DataProblem, generator: np.random.Generator, index: int = 0
    ) -> None:
        self.problem = problem
        self.groups = problem.points.groups(index)
        self.order = generator.permutation(len(problem.X))
        train = self.order[: max(group.largest for group in self.groups)]
        inputs = problem.X[train]
        gram = problem.kernel.gram(inputs)
        tests = problem.X if problem.X_test is None else problem.X_test
        cross = problem.kernel.gram(inputs, tests)
        fits = [self._fit(group, train, gram, cross) for group in self.groups]
        self.tables, self.residuals = [table for table, _ in fits], [rest for _, rest in fits]

    def _fit(
        self, group: Group, train: np.ndarray, gram: np.ndarray, cross: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Each measured quantity, (sizes, 1), and residuals on the tests, (sizes, tests, outputs).

        A row that was learned from is no test: its residual counts as zero.
        """
        problem, size = self.problem, group.largest
        regression = NestedRegression(gram[:size, :size], problem.y[train[:size]], group.ridge)
        tests = problem.y if problem.y_test is None else problem.y_test
        residuals = tests - regression.predictions(cross[:size], group.sizes)
        if problem.X_test is None:
            for row, n in zip(residuals, group.sizes, strict=True):
                row[train[:n]] = 0
        tested = residuals.shape[1] - (group.sizes if problem.X_test is None else 0)
        tables = {
            "test_error": np.einsum("ijk,ijk->i", residuals, residuals) / tested,
        } | {name: v.sum(axis=1) for name, v in label_errors(regression, group.sizes).items()}
        return {name: values[:, None] for name, values in tables.items()}, residuals

    def measured(self) -> dict[str, np.ndarray]:
        """Every quantity but the bias, at the points of the trial."""
        return gather_each(self.groups, self.tables)

    def bias_with(self, other: "SubsetTrial") -> np.ndarray:
        """The inner product of the residuals of two trials, at the points of this one."""
        tables = []
        pairs = matched(self.groups, other.groups)
        for (group, place, (rows, _)), residuals in zip(pairs, self.residuals, strict=True):
            theirs = other.residuals[place][rows[:, 0]]
            count = residuals.shape[1]
            left_out = 1 - group.sizes / count if self.problem.X_test is None else 1.0
            inner = np.einsum("ijk,ijk->i", residuals, theirs)
            tables.append((inner / (count * left_out**2))[:, None])
        return gather(self.groups, tables)


@dataclass(frozen=True, eq=False)
class _Table:
    """A Gram matrix as a kernel between the numbers of its rows."""

    matrix: np.ndarray

    def gram(self, X: np.ndarray, Z: np.ndarray | None = None) -> np.ndarray:
        return self.matrix[np.ix_(X, X if Z is None else Z)]


def data_problem(
    kernel: Any,
    X: Any,
    y: Any,
    n: Any,
    ridge: Any,
    *,
    trials: Any,
    seed: Any,
    test_size: Any = None,
    X_test: Any = None,
    y_test: Any = None,
) -> DataProblem:
    """Check the arguments of `simulate_on_data`, and return what its trials share, for `runs`."""
    if not callable(getattr(kernel, "gram", None)):
        raise TypeError(f"kernel must be an object with a method gram(X, Z=None), got {kernel!r}")
    X, y = _data("", X, y)
    points = broadcast_points(n, ridge, [0.0], trials)
    seed = check.integer("seed", seed, minimum=0)
    rows = len(X)
    if (X_test is None) != (y_test is None):
        raise ValueError("X_test and y_test must be given both or neither, got one of them")
    if X_test is not None and test_size is not None:
        raise ValueError("test_size must be left out where X_test is given")
    if X_test is not None:
        X_test, y_test = _data("_test", X_test, y_test)
        for name, own, other in (("columns", X, X_test), ("outputs", y, y_test)):
            if own.shape[1] != other.shape[1]:
                raise ValueError(
                    f"X_test and y_test must have as many {name} as X and y, {own.shape[1]}, got "
                    f"{other.shape[1]}"
                )
        _check_sizes(points, rows, f"at most the number of rows {rows}")
    elif test_size is not None:
        count = check.integer("test_size", test_size, minimum=1)
        if count >= rows:
            raise ValueError(f"test_size must be below the number of rows {rows}, got {count}")
        # A stream of its own: that of [seed, 0] is the stream of a mere seed.
        order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))).permutation(
            rows
        )
        (X_test, X), (y_test, y) = (np.split(values[order], [count]) for values in (X, y))
        _check_sizes(points, rows - count, f"at most {rows - count}, the rows not tested on")
    else:
        _check_sizes(points, rows - 1, f"below the number of rows {rows}")
    for name, inputs in (("X", X), ("X_test", X_test)):
        if inputs is not None:
            _check_rows(kernel, name, inputs, X[:1])
    return DataProblem(kernel, X, y, points, seed, X_test, y_test)


def _data(suffix: str, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Copies of rows and labels, (rows, outputs), that nobody else writes into."""
    rows = check.rows(f"X{suffix}", X)
    labels = finite_labels(y, len(rows), f"y{suffix}")
    return rows.copy(), labels.reshape(len(rows), -1).copy()


def _check_rows(kernel: Any, name: str, rows: np.ndarray, one: np.ndarray) -> None:
    """Refuse before the run what the kernel refuses, or makes a wrong matrix of."""
    column = check.finite(f"kernel.gram({name}, X[:1])", kernel.gram(rows, one))
    if column.shape != (len(rows), 1):
        raise ValueError(
            f"kernel.gram({name}, X[:1]) must have shape {(len(rows), 1)}, got {column.shape}"
        )


def _check_sizes(points: Points, largest: int, accepted: str) -> None:
    if points.n.max() > largest:
        raise ValueError(f"n must be {accepted}, got {points.n.max()}")
