"""Regression on random subsets of a data set."""

from typing import Any

import numpy as np
from tqdm import tqdm

from kerneltheory.core import check
from kerneltheory.learning.curve import LearningCurve, StandardErrors
from kerneltheory.regression.factor import finite_labels, scalar_ridge, symmetric_matrix
from kerneltheory.regression.nested import NestedRegression


def simulate_subsets(
    gram: Any, y: Any, n: Any, ridge: float, trials: int, seed: int, *, progress: bool = True
) -> LearningCurve:
    """Errors of kernel ridge regression on random subsets of a data set, on the rows left out.

    Each trial draws one order of the rows; its first n are the training set, for every n, and
    all others the test set. Squared errors are summed over the columns of y.

    Args:
        gram: Gram matrix of all M rows, (M, M).
        y: labels, (M,) or (M, outputs).
        n: sizes of the subsets, rising integers from 1 to M - 1.
        ridge: absolute ridge >= 0.
        trials: number of trials, at least 2.
        seed: a non-negative integer.
        progress: whether to show a progress bar (after two seconds).

    Returns:
        A LearningCurve with test_error and train_error and their standard errors.

    Raises:
        ValueError, TypeError: if an argument is out of its range; the message names it.
        NotPositiveDefiniteError: if a Gram matrix is not positive definite beyond rounding.

    Examples:
        >>> gram = np.eye(6) + 1
        >>> curve = simulate_subsets(gram, np.ones(6), [1, 4], 0.1, trials=3, seed=0)
        >>> bool(curve.test_error[1] < curve.test_error[0])
        True
    """
    gram = symmetric_matrix("gram", gram)
    rows = len(gram)
    labels = finite_labels(y, rows).reshape(rows, -1)
    sizes = np.atleast_1d(check.integers("n", n, minimum=1))
    if sizes.ndim != 1 or np.any(np.diff(sizes) <= 0) or sizes[-1] >= rows:
        raise ValueError(f"n must rise and stay below the number of rows {rows}, got {n!r}")
    ridge = scalar_ridge(ridge)
    trials = check.integer("trials", trials, minimum=2)
    seed = check.integer("seed", seed, minimum=0)
    results = [
        _trial(gram, labels, sizes, ridge, np.random.default_rng([seed, trial]))
        for trial in tqdm(range(trials), "subsets", delay=2, disable=not progress, leave=False)
    ]
    means, errors = {}, {}
    for index, name in enumerate(("test_error", "train_error")):
        values = np.array([result[index] for result in results])
        means[name] = values.mean(axis=0)
        errors[name] = values.std(axis=0, ddof=1) / np.sqrt(trials)
    return LearningCurve(
        n=sizes,
        ridge=np.full(sizes.shape, ridge),
        **means,
        standard_errors=StandardErrors(**errors),
        trials=trials,
        method=f"regression on random subsets of {rows} rows",
    )


def _trial(
    gram: np.ndarray, labels: np.ndarray, sizes: np.ndarray, ridge: float, generator: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Held-out and training error at every size."""
    order = generator.permutation(len(labels))
    train, ordered = order[: sizes[-1]], labels[order]
    rows = gram[train]
    nested = NestedRegression(rows[:, train], ordered[: sizes[-1]], ridge)
    predictions = nested.predictions(rows[:, order], sizes)
    squares = np.sum((predictions - ordered) ** 2, axis=2)
    held_out = np.array([row[n:].mean() for row, n in zip(squares, sizes, strict=True)])
    training = np.array([row[:n].mean() for row, n in zip(squares, sizes, strict=True)])
    return held_out, training
