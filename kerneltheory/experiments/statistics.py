"""Means and standard errors over trials that do not all reach the same points."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerneltheory.experiments.points import Points
from kerneltheory.learning.curve import LearningCurve, StandardErrors
from kerneltheory.regression.nested import NestedRegression

MEASURED = ("test_error", "train_error", "gcv", "leave_one_out")


def label_errors(regression: NestedRegression, sizes: np.ndarray) -> dict[str, np.ndarray]:
    """What the training labels alone tell of the regressions on the first n, at some sizes."""
    errors, index = regression.errors(), sizes - 1
    return {
        "train_error": errors.train_error[index],
        "gcv": errors.generalized_cross_validation[index],
        "leave_one_out": errors.leave_one_out[index],
    }


class TrialTable:
    """What each trial measured at each point, alone and with the trial before it.

    Args:
        points: of the curves.
    """

    def __init__(self, points: Points) -> None:
        self.points = points
        shape = (points.trials, len(points.n))
        self.values = {name: np.full(shape, np.nan) for name in MEASURED}
        self.pairs = np.full((shape[0] - 1, shape[1]), np.nan)
        self._missing = set(range(points.trials))

    def add(self, trial: int, measured: Mapping[str, np.ndarray]) -> None:
        """Enter what `run_trial` returned; the order of trials does not matter.

        Raises:
            ValueError: an array is missing or does not have the shape of the trial's points.
        """
        active = self.points.active(trial)
        for name in (*MEASURED, *(["bias"] if trial else [])):
            shape = np.shape(measured[name]) if name in measured else None
            if shape != active.shape:
                raise ValueError(
                    f"trial {trial} must hold {name} of shape {active.shape}, got {shape}"
                )
            row = self.pairs[trial - 1] if name == "bias" else self.values[name][trial]
            row[active] = measured[name]
        self._missing.discard(trial)

    def learning_curves(self, method: str, *, noisy: bool = True) -> tuple[LearningCurve, ...]:
        """The means over trials with their standard errors, a curve after the other.

        Args:
            method: what made them.
            noisy: whether the noise variance of the points is that of the labels.

        Raises:
            ValueError: a trial is missing.
        """
        if self._missing:
            raise ValueError(f"every trial must be entered, {sorted(self._missing)[:5]} are not")
        return tuple(
            self._learning_curve(where, shape, method, noisy)
            for where, shape in self.points.curves()
        )

    def _learning_curve(
        self, where: slice, shape: tuple[int, ...], method: str, noisy: bool
    ) -> LearningCurve:
        places = np.arange(len(self.points.n))[where]
        means: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name in (*MEASURED, "bias", "variance"):
            columns = [self._column(name, place) for place in places]
            means[name] = np.array([mean for mean, _ in columns]).reshape(shape)
            errors[name] = np.array([error for _, error in columns]).reshape(shape)
        noise = self.points.noise_variance[where].reshape(shape) if noisy else None
        return LearningCurve(
            n=self.points.n[where].reshape(shape),
            ridge=self.points.ridge[where].reshape(shape),
            noise_variance=noise,
            **means,
            standard_errors=StandardErrors(**errors),
            trials=self.points.counts[where].reshape(shape),
            method=method,
        )

    def _column(self, name: str, place: int) -> tuple[float, float]:
        """Mean and standard error of one quantity at one point."""
        count = int(self.points.counts[place])
        pairs = self.pairs[: count - 1, place]
        if name == "bias":
            left_out = _leave_out_pairs(pairs)
            return float(pairs.mean()), _jackknife(left_out)
        if name == "variance":
            trials = self.values["test_error"][:count, place]
            left_out = _leave_out(trials) - _leave_out_pairs(pairs)
            return float(trials.mean() - pairs.mean()), _jackknife(left_out)
        trials = self.values[name][:count, place]
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
