r"""Spectra and targets that fall as powers, level by level: the models of spectra of real data."""

import numpy as np
from flint import arb, ctx

from kerneltheory.core import check, lower
from kerneltheory.spectra.spectrum import Spectrum, Target

DIGITS = 30


def power_law_spectrum(exponent: float, levels: int, *, normalized: bool = False) -> Spectrum:
    r"""Eigenvalues that fall as a power, each of multiplicity one.

    .. math:: \lambda_i = i^{-a}, \quad i = 1, \dots, L, \qquad
              \mathrm{tail} = \sum_{i > L} i^{-a} = \zeta(a, L + 1)

    Args:
        exponent: a > 1, below which the trace is infinite.
        levels: L >= 1, the number of eigenvalues held; the rest is the tail, exact.
        normalized: divide by :math:`\zeta(a)`, so that the trace is one.

    Returns:
        A Spectrum whose level number is i - 1.

    Raises:
        ValueError: if the exponent is not above 1, or the last eigenvalue would underflow.

    References:
        DLMF 25.11 (Hurwitz zeta function).

    Examples:
        >>> spectrum = power_law_spectrum(2, 3)
        >>> spectrum.eigenvalues.round(4), round(float(spectrum.trace * 6 / np.pi**2), 14)
        (array([1.    , 0.25  , 0.1111]), 1.0)
    """
    values, tail, last = _power_law(exponent, levels, normalized)
    scale = ", normalised" if normalized else ""
    return Spectrum(
        values,
        np.ones(len(values)),
        tail=tail,
        method=f"power law of exponent {last:g}{scale}",
        relative_error=4 * float(np.finfo(float).eps),
    )


def power_law_target(
    exponent: float, levels: int, *, noise_variance: float = 0.0, normalized: bool = False
) -> Target:
    r"""Target whose power at level i falls as a power: :math:`v_i^2 = i^{-b}`.

    The levels left out hold :math:`\zeta(b, L + 1)` more, which is not in the target. With many
    more levels than samples it is not learned and acts as noise of that variance.

    Args:
        exponent: b > 1, below which the power is infinite.
        levels: L >= 1, as many as the spectrum has.
        noise_variance: of the labels.
        normalized: divide by :math:`\zeta(b)`, so that the whole power, with what is left out, is
            one.

    Raises:
        ValueError: if the exponent is not above 1, or the last power would underflow.

    References:
        arXiv:2311.14646 for the learning curves of a power law learned by another.

    Examples:
        >>> power_law_target(2, 3, noise_variance=0.5)
        Target(power=[1.0, 0.25, 0.111...], noise_variance=0.5)
    """
    return Target(_power_law(exponent, levels, normalized)[0], noise_variance)


def _power_law(exponent: float, levels: int, normalized: bool) -> tuple[np.ndarray, float, float]:
    levels = check.integer("levels", levels, minimum=1)
    rate = float(check.finite("exponent", exponent, ndim=0))
    if not rate > 1:
        raise ValueError(f"exponent must be above 1, where the sum is finite, got {exponent}")
    if rate * np.log(levels) > -np.log(np.finfo(float).tiny):
        raise ValueError(
            f"levels must be at most {int(np.finfo(float).tiny ** (-1 / rate))} at the exponent "
            f"{rate:g}, where eigenvalues underflow float64, got {levels}"
        )
    with ctx.workdps(DIGITS):
        exact = arb(rate)
        total = exact.zeta() if check.flag("normalized", normalized) else arb(1)
        tail = lower.to_float(exact.zeta(levels + 1) / total)
        scale = lower.to_float(total)
    return np.arange(1, levels + 1, dtype=float) ** -rate / scale, tail, rate
