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
That mean is also the error of any other fixed target with these powers: samples are isotropic.
"""

from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np

from kerneltheory.core import check
from kerneltheory.core.errors import PrecisionError
from kerneltheory.experiments.points import Points, broadcast_points
from kerneltheory.experiments.runs import run
from kerneltheory.experiments.trial import SphereProblem
from kerneltheory.kernels.base import Kernel, check_kernel
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import check_target, effective_ridge, truncation_share
from kerneltheory.spectra.domains import spectrum
from kerneltheory.spectra.spectrum import Spectrum, Target

MAX_DEGREE = 24
HIGHEST_DEGREE = 96
LEFT_OUT = 1e-3


@overload
def simulate(
    kernel: Kernel,
    target: Target,
    dim: int,
    n: Any,
    ridge: Any,
    trials: Any,
    seed: int,
    *,
    labels: Literal["averaged", "drawn"] = "averaged",
    progress: bool = True,
) -> LearningCurve: ...


@overload
def simulate(
    kernel: Kernel,
    target: Sequence[Target],
    dim: int,
    n: Any,
    ridge: Any,
    trials: Any,
    seed: int,
    *,
    labels: Literal["averaged", "drawn"] = "averaged",
    progress: bool = True,
) -> tuple[LearningCurve, ...]: ...


def simulate(
    kernel: Kernel,
    target: Target | Sequence[Target],
    dim: int,
    n: Any,
    ridge: Any,
    trials: Any,
    seed: int,
    *,
    labels: Literal["averaged", "drawn"] = "averaged",
    progress: bool = True,
) -> LearningCurve | tuple[LearningCurve, ...]:
    r"""Simulate kernel ridge regression on n uniform samples of S^{d-1}.

    The bias, of the predictor averaged over samples and noise, comes from pairs of independent
    trials, :math:`B = E\langle f - \hat f_1, f - \hat f_2\rangle`, and may come out negative.
    Standard errors are across trials (jackknife).

    n, ridge and noise variance broadcast against each other as those of `learning_curve` do, and
    all points come from one pass: a trial draws samples once, evaluates one Gram matrix and
    factorises it once for each ridge. So the points of a curve are correlated, and the curves of
    several targets: their differences are more certain than their standard errors say.

    Args:
        kernel: from `nngp`, `ntk` or `dot_product_kernel`, positive definite on S^{d-1}.
        target: powers by degree, and the noise variance of the labels; or several of them.
        dim: d >= 2.
        n: numbers of samples, integers of at least 1, any shape.
        ridge: absolute ridge >= 0, any shape.
        trials: number of trials, at least 4; an array gives each point its own and broadcasts to
            the shape of the curve.
        seed: a non-negative integer; the same seed gives the same result, bit for bit.
        labels: "averaged" takes test error and bias exactly averaged over targets and noise given
            the samples, for about 12 times the work of the factorisation, 5 of which are repeated
            for each further target and 2 for further noises; it keeps 16 N^2 bytes for each ridge.
            "drawn" takes those of one fixed target (zonal, its direction as random as the samples)
            and its noise, for about 2 times, and little more for each further target or noise.
            The other fields are of drawn labels.
        progress: whether to show a progress bar (after two seconds).

    Returns:
        A LearningCurve with the fields test_error, bias, variance, train_error, gcv and
        leave_one_out and their standard errors, of the shape to which n, ridge and noise variance
        broadcast; a tuple of them if `target` is a sequence.

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
        >>> target = Target({1: 1.0}, noise_variance=0.1)
        >>> curve = simulate(kernel, target, 5, [1, 50], [[0.1], [5.0]], trials=10, seed=0)
        >>> curve.test_error.shape, bool(curve.test_error[0, 1] < curve.test_error[0, 0])
        ((2, 2), True)
    """
    problem = sphere_problem(kernel, target, dim, n, ridge, trials, seed, labels=labels)
    curves = run(problem, f"{kernel}", progress=progress)
    return curves[0] if isinstance(target, Target) else curves


def sphere_problem(
    kernel: Any,
    target: Any,
    dim: Any,
    n: Any,
    ridge: Any,
    trials: Any,
    seed: Any,
    *,
    labels: Any = "averaged",
) -> SphereProblem:
    """Check the arguments of `simulate`, and return what its trials share, for `runs`."""
    check_kernel(kernel)
    targets = _targets(target)
    dim = check.integer("dim", dim, minimum=2)
    noises = [target.noise_variance for target in targets]
    points = broadcast_points(n, ridge, noises, trials)
    if labels not in ("averaged", "drawn"):
        raise ValueError(f'labels must be "averaged" or "drawn", got {labels!r}')
    seed = check.integer("seed", seed, minimum=0)
    levels = _levels(kernel, dim, targets, points)
    return SphereProblem(kernel, dim, targets, levels, points, labels, seed)


def _targets(target: Any) -> tuple[Target, ...]:
    if not isinstance(target, list | tuple):
        check_target(target)
        return (target,)
    if not target or not all(isinstance(one, Target) for one in target):
        raise TypeError(f"target must be a Target or a list of at least one, got {target!r}")
    return tuple(target)


def _levels(kernel: Kernel, dim: int, targets: tuple[Target, ...], points: Points) -> Spectrum:
    """Enough degrees that those above hold less than a part in 1000 of the variance.

    Theory chooses where to cut, and no more.
    """
    degree = max(MAX_DEGREE, *(target.highest_degree for target in targets))
    groups = points.groups(0)
    largest = np.array([group.largest for group in groups])
    ridges = np.array([group.ridge for group in groups])
    while True:
        levels = spectrum(kernel, dim, degree)
        shares = truncation_share(levels, effective_ridge(levels, largest, ridges))
        if shares.max() <= LEFT_OUT:
            return levels
        if degree >= HIGHEST_DEGREE:
            worst = int(shares.argmax())
            raise PrecisionError(
                f"n = {largest[worst]} at dim {dim} and ridge {ridges[worst]:g} takes the "
                f"predictors of {kernel} beyond degree {degree}, where their errors are cut; take "
                "smaller n, a larger ridge or a smoother kernel"
            )
        degree = min(2 * degree, HIGHEST_DEGREE)
