r"""Simulated learning curves of kernel ridge regression on the sphere.

A trial draws samples, factorises one Gram matrix, and reads the test error at every requested n
from it, exactly and without test points. With :math:`M = (K + \delta I)^{-1}`,

.. math:: S = \sum_k F_k^2 P_k(XX^T), \quad C = \sum_k \lambda_k F_k^2 P_k(XX^T), \quad
          D = \sum_k N_k \lambda_k^2 P_k(XX^T),

the average over isotropic targets of powers :math:`F_k^2`, noise and test points is

.. math:: T = |f|^2 - 2\,\mathrm{tr}(M C) + \mathrm{tr}(M (S + \sigma^2 I) M D).

For one drawn target, :math:`f = \sum_k \sqrt{F_k^2 N_k} P_k(w \cdot x)` and noise it is
:math:`|f|^2 - 2 c \cdot a + a^T D a` with the coefficients a of the predictor and
:math:`c_i = \sum_k \lambda_k f_k(x_i)`. Both have the same mean; the first fluctuates far less.
"""

from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from kerneltheory.core import check
from kerneltheory.core.errors import PrecisionError
from kerneltheory.experiments.statistics import TrialTable
from kerneltheory.experiments.trial import AveragedTrial, DrawnTrial, Problem, zonal_weights
from kerneltheory.kernels.base import Kernel, check_kernel
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import check_target, effective_ridge, truncation_share
from kerneltheory.regression.factor import scalar_ridge
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.spectrum import Spectrum, Target

MAX_DEGREE = 24
HIGHEST_DEGREE = 96
LEFT_OUT = 1e-3
MIN_TRIALS = 4


def simulate(
    kernel: Kernel,
    target: Target,
    dim: int,
    n: Any,
    ridge: float,
    trials: Any,
    seed: int,
    *,
    labels: Literal["averaged", "drawn"] = "averaged",
    progress: bool = True,
) -> LearningCurve:
    r"""Simulate kernel ridge regression on n uniform samples of S^{d-1}.

    The bias, of the predictor averaged over samples and noise, comes from pairs of independent
    trials, :math:`B = E\langle f - \hat f_1, f - \hat f_2\rangle`, and may come out negative.
    Standard errors are across trials (jackknife); the sizes of one trial are nested and so
    correlated.

    Args:
        kernel: from `nngp`, `ntk` or `dot_product_kernel`, positive definite on S^{d-1}.
        target: powers by degree, and the noise variance of the labels.
        dim: d >= 2.
        n: numbers of samples, an integer or a one-dimensional array of them, each at least 1.
        ridge: absolute ridge >= 0.
        trials: number of trials, at least 4; an array gives a number for each n.
        seed: a non-negative integer; the same seed gives the same result, bit for bit.
        labels: "averaged" takes test error and bias exactly averaged over targets and noise given
            the samples, for about 12 times the work of the factorisation; "drawn" takes those of
            one target and its noise, for about 2 times. The other fields are of drawn labels.
        progress: whether to show a progress bar (after two seconds).

    Returns:
        A LearningCurve with the fields test_error, bias, variance, train_error, gcv and
        leave_one_out and their standard errors.

    Raises:
        ValueError, TypeError: if an argument is out of its range; the message names it.
        NotPositiveDefiniteError: if a Gram matrix is not positive definite beyond rounding.
        PrecisionError: if predictors have weight above degree 96, as in low dimension those of a
            kernel that is not smooth have at many samples.

    References:
        arXiv:2205.14846 for the setting.

    Examples:
        >>> import sympy
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> kernel = dot_product_kernel(sympy.exp(sympy.Symbol("t")))
        >>> curve = simulate(kernel, Target({1: 1.0}), 5, [1, 50], 0.1, trials=10, seed=0)
        >>> bool(curve.test_error[1] < curve.test_error[0])
        True
    """
    problem, counts = _problem(kernel, target, dim, n, ridge, trials)
    if labels not in ("averaged", "drawn"):
        raise ValueError(f'labels must be "averaged" or "drawn", got {labels!r}')
    run = AveragedTrial if labels == "averaged" else DrawnTrial
    check.integer("seed", seed, minimum=0)
    table = TrialTable(problem.sizes, counts)
    bar = tqdm(
        total=int(counts.max()), desc=f"{kernel}", delay=2, disable=not progress, leave=False
    )
    with bar:
        previous = None
        for index in range(int(counts.max())):
            active = problem.with_sizes(problem.sizes[counts > index])
            trial = run(active, np.random.default_rng([seed, index]))
            table.add(index, counts > index, trial.measured())
            if previous is not None:
                table.add_pair(index, counts > index, trial.bias_with(previous))
            previous = trial
            bar.update()
    method = f"simulation on the sphere, dim {dim}, labels {labels}"
    return table.learning_curve(problem.ridge, method, np.shape(n))


def _problem(
    kernel: Any, target: Any, dim: Any, n: Any, ridge: Any, trials: Any
) -> tuple[Problem, np.ndarray]:
    check_kernel(kernel)
    check_target(target)
    dim = check.integer("dim", dim, minimum=2)
    sizes = np.atleast_1d(check.integers("n", n, minimum=1))
    if sizes.ndim != 1 or np.any(np.diff(sizes) <= 0):
        raise ValueError("n must be an integer or a list of integers in rising order")
    counts = np.atleast_1d(check.integers("trials", trials, minimum=MIN_TRIALS))
    if counts.shape not in ((1,), sizes.shape) or np.any(np.diff(counts) > 0):
        raise ValueError(
            f"trials must be one integer or one for each of the {sizes.size} values of n, not "
            f"rising with n, got {trials!r}"
        )
    counts = np.broadcast_to(counts, sizes.shape)
    ridge = scalar_ridge(ridge)
    levels = _levels(kernel, dim, target, int(sizes[-1]), ridge)
    weights = zonal_weights(levels, target)
    return Problem(kernel, levels, target, dim, sizes, ridge, weights), counts


def _levels(kernel: Kernel, dim: int, target: Target, n: int, ridge: float) -> Spectrum:
    """Enough degrees that those above hold less than a part in 1000 of the variance.

    Theory chooses where to cut, and no more.
    """
    degree = max(MAX_DEGREE, target.highest_degree)
    while True:
        levels = spectrum(kernel, dim, degree)
        if truncation_share(levels, effective_ridge(levels, n, ridge)) <= LEFT_OUT:
            return levels
        if degree >= HIGHEST_DEGREE:
            raise PrecisionError(
                f"n = {n} at dim {dim} and ridge {ridge:g} takes the predictors of {kernel} beyond "
                f"degree {degree}, where their errors are cut; take smaller n, a larger ridge or a "
                "smoother kernel"
            )
        degree = min(2 * degree, HIGHEST_DEGREE)
