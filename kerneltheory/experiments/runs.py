"""Trials of a simulation one by one, and learning curves from what they measured."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from kerneltheory.experiments.points import Points
from kerneltheory.experiments.statistics import TrialTable
from kerneltheory.learning.curve import LearningCurve


class Trial(Protocol):
    """One draw of samples and labels, and what is kept of it for the pair with the next."""

    def measured(self) -> dict[str, np.ndarray]:
        """Every quantity but the bias, at the points of the trial."""
        ...

    def bias_with(self, other: Any) -> np.ndarray:
        """The inner product of the residuals of two trials, at the points of this one."""
        ...


class Problem(Protocol):
    """What all trials of a simulation share; it can be pickled.

    Everything random in a trial comes from the seed and the index of the trial.
    """

    @property
    def points(self) -> Points:
        """Where the curves are simulated."""
        ...

    @property
    def method(self) -> str:
        """What makes the curves, in words."""
        ...

    @property
    def noisy(self) -> bool:
        """Whether the noise variance of the labels is known."""
        ...

    def trial(self, index: int) -> Trial:
        """Draw and fit the trial of this index."""
        ...


def run_trial(problem: Problem, index: int) -> dict[str, np.ndarray]:
    """Return all that one trial adds to the learning curves.

    The arrays have one entry for each point that takes part, `problem.points.active(index)`. The
    bias is that of the pair (index - 1, index): the trial before is drawn again from its seed, so
    that no trial waits for another and each can be kept in a file of its own. The bits are those
    of `run_trials`, which keeps the trial before: on one machine, with one number of threads.

    Args:
        problem: from `sphere_problem` or `data_problem`.
        index: 0 up to `problem.points.trials` - 1.

    Returns:
        test_error, train_error, gcv and leave_one_out, and bias for index > 0.
    """
    return next(iter(run_trials(problem, [index])))[1]


def run_trials(
    problem: Problem, indices: Iterable[int]
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield each index with what `run_trial` returns, reusing a trial that came just before."""
    last, previous = -1, None
    for index in indices:
        if index and (previous is None or last != index - 1):
            previous = problem.trial(index - 1)
        trial = problem.trial(index)
        arrays = trial.measured()
        if index and previous is not None:
            arrays["bias"] = trial.bias_with(previous)
        yield index, arrays
        last, previous = index, trial


def assemble(
    problem: Problem, trials: Iterable[tuple[int, Mapping[str, np.ndarray]]]
) -> tuple[LearningCurve, ...]:
    """Return the learning curves from what every trial measured, in any order.

    Raises:
        ValueError: a trial is missing, or lacks an array or has one of another shape.
    """
    table = TrialTable(problem.points)
    for index, arrays in trials:
        table.add(index, arrays)
    return table.learning_curves(problem.method, noisy=problem.noisy)


def run(problem: Problem, name: str, *, progress: bool) -> tuple[LearningCurve, ...]:
    """Run all trials in their order, with a progress bar after two seconds."""
    indices = range(problem.points.trials)
    bar = tqdm(indices, name, delay=2, disable=not progress, leave=False)
    return assemble(problem, run_trials(problem, bar))
