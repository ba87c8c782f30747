r"""Exponents of spectra and targets: exact ones of kernels on the sphere, and fitted ones.

A level of :math:`N` eigenfunctions after C others is a point of the power law of single
eigenfunctions at their middle rank, :math:`C + (N + 1)/2`. All ranks and eigenvalues are taken as
logarithms, since those of high dimension leave the range of floats.
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import sympy

from kerneltheory.kernels.base import Kernel
from kerneltheory.learning.equivalent import check_spectrum, check_target
from kerneltheory.learning.levels import refuse_negative
from kerneltheory.learning.scaling_laws import ScalingExponents
from kerneltheory.spectra.spectrum import Spectrum, Target
from kerneltheory.spectra.tail_law import tail_law

FEWEST_LEVELS = 3
SPHERES = ("sphere", "circle")


def capacity_exponent(kernel: Kernel, dim: Any) -> Any:
    r"""Return the exact a of $\lambda_i \sim i^{-a}$ for a kernel on $S^{d-1}$, i its ranks.

    From the tail law $\lambda_k \sim C k^{-(d-1+2\nu)}$ with $\sim k^{d-1}$ eigenfunctions up to
    degree k,
    $$a = 1 + \frac{2 \nu}{d - 1}.$$
    For a target that is drawn from the Gaussian process of another kernel, that kernel's exponent
    is the b of `ScalingExponents`.

    Args:
        kernel: the kernel.
        dim: d >= 2, a number or a symbol.

    Returns:
        A number or expression of sympy; infinity for a kernel that is analytic at t = 1 and -1.

    Raises:
        KernelTheoryError: the singularities of the kernel are not known.

    Reference: arXiv:2009.14397 for the tail law, arXiv:1905.10843 for the exponents.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import ntk
        >>> capacity_exponent(ntk(relu, 1, weight_variance=2), 4)
        4/3
    """
    law = tail_law(kernel, dim)
    return sympy.oo if law.nu is None else 1 + 2 * law.nu / (law.dim - 1)


def scaling_exponents(
    spectrum: Spectrum,
    target: Target | None = None,
    *,
    ranks: tuple[float, float] | None = None,
    fit: Literal["levels", "tails"] = "levels",
) -> ScalingExponents:
    r"""Return the exponents a and b fitted to a spectrum and a target, with standard errors.

    Levels are sorted by eigenvalue; a level of $N_k$ eigenfunctions after C others has their
    middle rank, $C + (N_k + 1)/2$. Straight lines are fitted by least squares to
    $\ln \lambda_k$ and $\ln (F_k^2/N_k)$ ("levels"), or to the logarithms of the sums of all that
    comes from a level on ("tails"), $\sim i^{-(a-1)}$ and $\sim i^{-(b-1)}$, against $\ln i$.

    Args:
        spectrum: the levels; those of eigenvalue zero are left out.
        target: power at the levels; in a fit to levels those without power are left out. None for
            the exponent of the spectrum alone.
        ranks: the lowest and highest rank that is fitted. Exponents are asymptotic: the first
            ranks of a kernel's spectrum obey no power yet. None is for the upper part of the
            spectrum: on the sphere degrees from $\max(d, K/2)$ on, with K the last one, since
            $\lambda_k$ is a ratio of gamma functions of k and k + d; else ranks from the square
            root of the last one on.
        fit: "levels" or "tails". Sums are smooth where powers scatter; those of the target miss
            what is beyond the last level, so keep the highest rank well below the last.

    Returns:
        The exponents. Their errors join the scatter about the line, taken for independent noise
        (too small for sums, which share terms), with a bend: the difference between the slopes of
        the lower and the upper half of $\ln i$, beyond its own scatter.

    Raises:
        ValueError, TypeError: fewer than three levels are left, a fitted exponent is not above 1,
            where sums are infinite, or `fit` or `ranks` is none of the above.
        NotPositiveDefiniteError: the spectrum has a negative eigenvalue.

    Reference: arXiv:1905.10843, arXiv:2105.15004.

    Examples:
        >>> from kerneltheory.spectra.power_law import power_law_spectrum, power_law_target
        >>> spectrum, target = power_law_spectrum(1.5, 100), power_law_target(2.0, 100)
        >>> fitted = scaling_exponents(spectrum, target)
        >>> round(fitted.capacity_exponent, 9), round(fitted.target_exponent, 9)
        (1.5, 2.0)
    """
    check_spectrum(spectrum)
    if target is not None:
        check_target(target)
    if fit not in ("levels", "tails"):
        raise ValueError(f'fit must be "levels" or "tails", got {fit!r}')
    refuse_negative(spectrum)
    levels = _sorted_levels(spectrum, target)
    log_ranks, shift = _log_ranks(levels.log_counts, fit)
    inside = _inside(spectrum, levels, log_ranks, ranks)
    values = levels.log_eigenvalues
    if fit == "tails":
        values = _log_sums_from(levels.masses, float(spectrum.tail))
    a, a_error = _exponent("spectrum", log_ranks[inside], values[inside], shift)
    if target is None:
        return ScalingExponents(a, capacity_error=a_error)
    values = _logarithms(levels.power) - levels.log_counts
    if fit == "tails":
        values = _log_sums_from(levels.power, 0.0)
    alone = f"; without target the capacity exponent alone is fitted, {a:.6g} +- {a_error:.2g}"
    b, b_error = _exponent("target", log_ranks[inside], values[inside], shift, alone)
    return ScalingExponents(a, b, a_error, b_error)


class _Levels(NamedTuple):
    degrees: np.ndarray
    log_counts: np.ndarray
    log_eigenvalues: np.ndarray
    masses: np.ndarray
    power: np.ndarray


def _sorted_levels(spectrum: Spectrum, target: Target | None) -> _Levels:
    """The levels that the kernel has, by falling eigenvalue."""
    count = len(spectrum.degrees)
    power = np.zeros(count) if target is None else target.powers(count)
    columns = [spectrum.degrees, spectrum.log_multiplicities, spectrum.log_eigenvalues]
    columns += [spectrum.level_masses, power]
    logarithms = np.asarray(spectrum.log_eigenvalues, dtype=np.float64)
    order = np.argsort(-logarithms, kind="stable")
    kept = order[logarithms[order] > -np.inf]
    return _Levels(*(np.asarray(column, dtype=np.float64)[kept] for column in columns))


def _log_ranks(log_counts: np.ndarray, fit: str) -> tuple[np.ndarray, int]:
    """The ln i of each level, and the power of i that sums from there on gain over its terms."""
    before = np.append(-np.inf, np.logaddexp.accumulate(log_counts))[: log_counts.size]
    if fit == "tails":
        # The sum of i^-a over i > C is about (C + 1/2)^(1-a)/(a-1).
        return np.logaddexp(before, -math.log(2)), 1
    return np.logaddexp(before, np.logaddexp(log_counts, 0) - math.log(2)), 0


def _inside(spectrum: Spectrum, levels: _Levels, log_ranks: np.ndarray, ranks: Any) -> np.ndarray:
    """Which levels are fitted."""
    if ranks is not None:
        low, high = _range(ranks)
        return (log_ranks >= math.log(low)) & (log_ranks <= math.log(high))
    if spectrum.dim is None or spectrum.domain not in SPHERES:
        return log_ranks >= log_ranks.max(initial=0) / 2
    last, dim = int(spectrum.degrees[-1]), spectrum.dim
    inside = levels.degrees >= max(dim, last / 2)
    if inside.sum() < FEWEST_LEVELS:
        raise ValueError(
            f"ranks must be given for a spectrum that stops at degree {last} in {dim} dimensions, "
            f"where eigenvalues obey a power from degree {dim} on; ask kt.spectrum for max_degree "
            f"of at least {2 * max(dim, 4)}, or kt.capacity_exponent for the exact exponent"
        )
    return inside


def _range(ranks: Any) -> tuple[float, float]:
    try:
        low, high = (float(rank) for rank in ranks)
    except (TypeError, ValueError):
        raise TypeError(f"ranks must be two numbers, got {ranks!r}") from None
    if not 0 < low < high:
        raise ValueError(f"ranks must be two numbers 0 < low < high, got {ranks!r}")
    return low, high


def _logarithms(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(values)


def _log_sums_from(values: np.ndarray, rest: float) -> np.ndarray:
    return _logarithms(np.cumsum(values[::-1])[::-1] + rest)


def _exponent(
    name: str, log_ranks: np.ndarray, log_values: np.ndarray, shift: int, alone: str = ""
) -> tuple[float, float]:
    """The exponent of the power that values obey, and its standard error."""
    positive = np.isfinite(log_values)
    if positive.sum() < FEWEST_LEVELS:
        raise ValueError(
            f"{name} must have at least {FEWEST_LEVELS} levels that are not zero in the range of "
            f"ranks, got {positive.sum()}{alone}"
        )
    x, y = log_ranks[positive], log_values[positive]
    slope, scatter = _line(x, y)
    error = math.hypot(scatter, _bend(x, y))
    exponent = shift - slope
    if not exponent > 1:
        raise ValueError(
            f"{name} must fall faster than 1/i in the range of ranks, where sums are finite, got "
            f"the fitted exponent {exponent:.6g} +- {error:.2g}{alone}"
        )
    return exponent, error


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The slope of the line of least squares, and its standard error for independent noise."""
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    residual = y - y.mean() - slope * x
    return slope, float(np.sqrt(residual @ residual / max(len(x) - 2, 1) / (x @ x)))


def _bend(x: np.ndarray, y: np.ndarray) -> float:
    """By how much the slopes of the two halves differ, beyond the scatter of that difference."""
    middle = (x.min() + x.max()) / 2
    halves = [_line(x[part], y[part]) for part in (x <= middle, x > middle) if part.sum() > 2]
    if len(halves) < 2:
        return 0.0
    (low, low_error), (high, high_error) = halves
    return math.sqrt(max((high - low) ** 2 - low_error**2 - high_error**2, 0.0))
