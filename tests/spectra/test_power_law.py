"""Spectra and targets that fall as powers."""

import mpmath as mp
import numpy as np
import pytest

from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.spectra.power_law import power_law_spectrum, power_law_target

EPS = np.finfo(float).eps


@pytest.mark.parametrize("exponent", [1.001, 1.5, 2, 7.25])
@pytest.mark.parametrize("levels", [1, 10, 10**5])
def test_tail_is_what_is_left_of_zeta(exponent, levels):
    spectrum = power_law_spectrum(exponent, levels)
    with mp.workdps(40):
        number = mp.mpf(exponent)
        tail = float(mp.zeta(number, levels + 1))
        total = float(mp.zeta(number))
    assert spectrum.tail == pytest.approx(tail, rel=EPS)
    # A sum of many terms in pairs: its rounding grows with the logarithm of their number.
    assert spectrum.trace == pytest.approx(total, rel=32 * EPS)
    assert power_law_spectrum(exponent, levels, normalized=True).trace == pytest.approx(
        1, rel=32 * EPS
    )
    assert spectrum.eigenvalues[-1] == pytest.approx(float(levels) ** -exponent, rel=4 * EPS)
    assert np.all(spectrum.multiplicities == 1)


def test_target_has_the_powers_of_its_exponent():
    target = power_law_target(2, 4, noise_variance=0.5)
    np.testing.assert_allclose(target.powers(4), [1, 1 / 4, 1 / 9, 1 / 16], rtol=2 * EPS)
    assert target.noise_variance == 0.5
    normalized = power_law_target(2, 10**5, normalized=True)
    # Sum over i > L of i^-2 is between 1/(L + 1) and 1/L.
    assert (1 - normalized.total_power) * np.pi**2 / 6 == pytest.approx(1e-5, rel=2e-5)


def test_best_ridge_fits_as_the_exponents_tell():
    """Without noise and for b < a the best fitting ratio is (a - b)/((a - 1) b).

    sqrt(train error/test error) at the ridge that is best, n -> infinity (arXiv:2311.14646).
    """
    a, b, n, levels = 2.0, 1.5, 200, 4000
    left_out = float(mp.zeta(b, levels + 1))  # not learned, so as good as noise
    spectrum = power_law_spectrum(a, levels)
    target = power_law_target(b, levels, noise_variance=left_out)
    ridges = np.geomspace(0.3, 3, 21) / n
    curve = learning_curve(spectrum, target, n, ridges)
    best = int(np.argmin(curve.test_error))
    assert 0 < best < len(ridges) - 1
    ratio = np.sqrt((curve.train_error / (curve.test_error + left_out))[best])
    # Ridges are 12% apart, and the ratio is linear in the ridge to leading order; sums over
    # levels are integrals up to a part in n.
    assert ratio == pytest.approx((a - b) / ((a - 1) * b), rel=0.12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: power_law_spectrum(1, 5), ValueError, "exponent must be above 1"),
        (lambda: power_law_spectrum(np.nan, 5), ValueError, "exponent must be finite"),
        (lambda: power_law_spectrum([2.0], 5), ValueError, "exponent must have 0 dimensions"),
        (lambda: power_law_spectrum(2, 0), ValueError, "levels must be"),
        (lambda: power_law_spectrum(60, 10**6), ValueError, "levels must be at most 1"),
        (lambda: power_law_target(0.5, 5), ValueError, "exponent must be above 1"),
        (lambda: power_law_target(2, 5, noise_variance=-1), ValueError, "noise_variance"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
