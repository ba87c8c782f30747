"""Means and standard errors over trials that do not all reach the same number of samples."""

from typing import Any

import numpy as np

from kerneltheory.learning.curve import LearningCurve, StandardErrors

MEASURED = ("test_error", "train_error", "gcv", "leave_one_out")


class TrialTable:
    """Values of each trial at each size, and of each pair of successive trials.

    Args:
        sizes: numbers of samples, shape (sizes,).
        counts: number of trials for each size, not rising.
    """

    def __init__(self, sizes: np.ndarray, counts: np.ndarray) -> None:
        self.sizes, self.counts = sizes, counts
        shape = (int(counts.max()), len(sizes))
        self.values = {name: np.full(shape, np.nan) for name in MEASURED}
        self.pairs = np.full((shape[0] - 1, shape[1]), np.nan)

    def add(self, trial: int, active: np.ndarray, measured: dict[str, np.ndarray]) -> None:
        """Enter what one trial measured at its sizes."""
        for name, value in measured.items():
            self.values[name][trial, active] = value

    def add_pair(self, trial: int, active: np.ndarray, bias: np.ndarray) -> None:
        """Enter the bias that a trial gives together with the one before it."""
        self.pairs[trial - 1, active] = bias

    def learning_curve(self, ridge: float, method: str, shape: tuple[int, ...]) -> LearningCurve:
        """The means over trials with their standard errors, in the shape of n."""
        means: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name in (*MEASURED, "bias", "variance"):
            columns = [self._column(name, i) for i in range(len(self.sizes))]
            means[name] = np.array([mean for mean, _ in columns]).reshape(shape)
            errors[name] = np.array([error for _, error in columns]).reshape(shape)
        return LearningCurve(
            n=self.sizes.reshape(shape),
            ridge=np.full(shape, ridge),
            **means,
            standard_errors=StandardErrors(**errors),
            trials=self.counts.reshape(shape),
            method=method,
        )

    def _column(self, name: str, index: int) -> tuple[float, float]:
        """Mean and standard error of one quantity at one size."""
        count = int(self.counts[index])
        pairs = self.pairs[: count - 1, index]
        if name == "bias":
            left_out = _leave_out_pairs(pairs)
            return float(pairs.mean()), _jackknife(left_out)
        if name == "variance":
            trials = self.values["test_error"][:count, index]
            left_out = _leave_out(trials) - _leave_out_pairs(pairs)
            return float(trials.mean() - pairs.mean()), _jackknife(left_out)
        trials = self.values[name][:count, index]
        return float(trials.mean()), _jackknife(_leave_out(trials))


def _leave_out(values: np.ndarray) -> np.ndarray:
    """The mean without each trial in turn."""
    return (values.sum() - values) / (len(values) - 1)


def _leave_out_pairs(pairs: np.ndarray) -> np.ndarray:
    """The mean over the pairs (i, i+1) that remain without each trial in turn."""
    padded = np.concatenate([[0.0], pairs, [0.0]])
    removed = padded[:-1] + padded[1:]
    remaining = np.full(len(pairs) + 1, len(pairs) - 2)
    remaining[[0, -1]] += 1
    return (pairs.sum() - removed) / remaining


def _jackknife(left_out: np.ndarray) -> float:
    count = len(left_out)
    spread = np.sum((left_out - left_out.mean()) ** 2)
    return float(np.sqrt((count - 1) / count * spread))
