"""Exponents that the laws predict against local slopes of learning curves of long power laws."""

import math

import numpy as np
import pytest
import sympy
from scipy.special import zeta

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.core.errors import NotPositiveDefiniteError
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.learning.optimal import optimal_ridge
from kerneltheory.learning.random_features import random_feature_curve
from kerneltheory.learning.scaling_fits import capacity_exponent, scaling_exponents
from kerneltheory.learning.scaling_laws import ScalingExponents
from kerneltheory.spectra.domains import spectrum as kernel_spectrum
from kerneltheory.spectra.power_law import power_law_spectrum, power_law_target
from kerneltheory.spectra.spectrum import Spectrum, Target

LEVELS = 100_000
# b < a + 1, between, and above 2 a + 1, where the bias saturates.
CASES = [(1.5, 2.0), (2.0, 4.0), (1.5, 5.0)]
WITH_KIN = [CASES[0], *(pytest.param(*case, marks=pytest.mark.kin) for case in CASES[1:])]
RIDGES = [math.inf, 0.1, -0.25]


def _problem(a, b, noise=0.0, levels=LEVELS):
    """A power law, with the power beyond its levels kept as that of a level never learned."""
    held = power_law_spectrum(a, levels)
    ranks = np.arange(1.0, levels + 1)
    spectrum = Spectrum(np.append(held.eigenvalues, 0.0), np.ones(levels + 1), tail=held.tail)
    return spectrum, Target(np.append(ranks**-b, zeta(b, levels + 1)), noise)


def _decay(values, points):
    return -float(np.diff(np.log(values))[0] / np.diff(np.log(points))[0])


def _near(n):
    return n * np.exp([-0.02, 0.02])


def _correction(a, b, curve, n):
    """The relative size of the next orders at many samples.

    Sums over i are integrals to 1/(number learned); the bias is a sum of kappa^y and kappa^2, and
    of noise kappa^(1/a)/... terms of E0 - 1 multiply what a fixed ridge makes 1.
    """
    kappa = float(np.max(curve.kappa))
    bias = kappa ** abs(2 - (b - 1) / a)
    return 3 * (kappa ** (1 / a) + bias)


@pytest.mark.parametrize(("a", "b"), CASES)
@pytest.mark.parametrize("ridge", RIDGES)
def test_decay_without_noise(a, b, ridge):
    spectrum, target = _problem(a, b)
    n = _near(1e3 if ridge == math.inf else 1e5)
    curve = learning_curve(spectrum, target, n, 0.0 if ridge == math.inf else n**-ridge)
    law = ScalingExponents(a, b)
    # With a ridge d ln kappa/d ln n is -1 - l but for E0 - 1, and T is E0 B.
    ridge_correction = 0.0 if ridge == math.inf else 3 * float(np.max(curve.overfitting) - 1)
    tolerance = _correction(a, b, curve, n) + ridge_correction
    expected = law.test_error_decay(ridge, noisy=False)
    assert tolerance < 0.25
    assert _decay(curve.test_error, n) == pytest.approx(expected, rel=tolerance)
    assert _decay(curve.bias, n) == pytest.approx(law.bias_decay(ridge), rel=tolerance)
    exact = law.effective_ridge_decay(ridge)
    assert _decay(curve.kappa, n) == pytest.approx(exact, rel=tolerance)


@pytest.mark.parametrize(("a", "b"), CASES)
@pytest.mark.parametrize("ridge", RIDGES)
def test_decay_with_noise(a, b, ridge):
    spectrum, target = _problem(a, b, noise=1.0)
    n = _near(1e3 if ridge == math.inf else 1e5)
    curve = learning_curve(spectrum, target, n, 0.0 if ridge == math.inf else n**-ridge)
    law = ScalingExponents(a, b)
    excess = 0.0 if ridge == math.inf else float(np.max(curve.overfitting) - 1)
    tolerance = _correction(a, b, curve, n) + excess
    noise = law.noise_decay(ridge)
    assert _decay(curve.variance_from_noise, n) == pytest.approx(noise, abs=tolerance)
    # The smaller part of the error moves the slope by its share.
    share = float(np.max(curve.test_error / curve.variance_from_noise)) - 1
    expected = law.test_error_decay(ridge, noisy=True)
    assert _decay(curve.test_error, n) == pytest.approx(expected, abs=tolerance + 3 * share)


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b"), WITH_KIN)
def test_decay_at_the_best_ridge(a, b):
    law = ScalingExponents(a, b)
    for noise, samples in ((0.0, 1e3), (1.0, 1e5)):
        spectrum, target = _problem(a, b, noise)
        n = _near(samples)
        ridge = optimal_ridge(spectrum, target, n).ridge
        curve = learning_curve(spectrum, target, n, ridge)
        tolerance = _correction(a, b, curve, n) + (float(curve.overfitting[0]) - 1) * (noise > 0)
        expected = law.test_error_decay("optimal", noisy=noise > 0)
        assert _decay(curve.test_error, n) == pytest.approx(expected, abs=tolerance)
        # Without noise the best ridge of an easy target is negative.
        exact = law.optimal_ridge_decay(noisy=noise > 0)
        assert _decay(np.abs(ridge), n) == pytest.approx(exact, abs=tolerance)


@pytest.mark.parametrize(("a", "b"), CASES)
def test_decay_with_features(a, b):
    spectrum, target = _problem(a, b)
    features = _near(1e3)
    error = random_feature_curve(spectrum, target, 1e13, features, 0.0).test_error
    # T = sum (1 - q) v^2: the next order is gamma^|1 - y|, y = (b - 1)/a, over p^-a.
    tolerance = 3 * (1e-3 + 1e3 ** -abs(a - b + 1))
    expected = ScalingExponents(a, b).feature_decay
    assert _decay(error, features) == pytest.approx(expected, rel=tolerance)


@pytest.mark.slow
def test_features_and_samples_approach_their_limits_as_their_inverse():
    spectrum, target = _problem(1.5, 2.0, 0.1)
    many = _near(1e6)
    kernel = learning_curve(spectrum, target, 300.0, 0.0).test_error
    gained = random_feature_curve(spectrum, target, 300.0, many, 0.0).test_error - kernel
    # The next order is n/p = 3e-4, and the difference cancels 1e-3: far above rounding.
    assert _decay(gained, many) == pytest.approx(1, abs=1e-3)
    limit = random_feature_curve(spectrum, target, 1e13, 300.0, 0.0).test_error
    gained = random_feature_curve(spectrum, target, many, 300.0, 0.0).test_error - limit
    assert _decay(gained, many) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b"), WITH_KIN)
@pytest.mark.parametrize("noise", [0.0, pytest.param(1.0, marks=pytest.mark.kin)])
def test_sufficient_features_keep_the_decay_and_fewer_do_not(a, b, noise):
    spectrum, target = _problem(a, b, noise)
    law = ScalingExponents(a, b)
    n = np.array([250.0, 1000.0]) * (10 if noise else 1)
    best = optimal_ridge(spectrum, target, n).test_error

    def loss(exponent):
        features = 10 * n**exponent
        ridge = optimal_ridge(spectrum, target, n, features).ridge
        error = random_feature_curve(spectrum, target, n, features, ridge).test_error
        return error / best

    exponent = law.sufficient_features(noisy=noise > 0)
    kept, fewer = loss(exponent), loss(exponent - 0.2)
    # At p ~ n^e the two ratios tend to one number, n^(-1/4) or so of whose distance is left
    # between these n; they rise with n without end with fewer features.
    assert abs(np.log(kept[1] / kept[0])) < 0.02
    assert np.log(fewer[1] / fewer[0]) > abs(np.log(kept[1] / kept[0]))


@pytest.mark.parametrize(("a", "b"), [(2.0, 3.0), (2.0, 4.0), (1.5, 5.0)])
def test_noise_takes_over_at_the_crossover(a, b):
    noise = 1e-5
    n = ScalingExponents(a, b).noise_crossover(noise)
    spectrum, target = _problem(a, b, noise)
    curve = learning_curve(spectrum, target, n, 0.0)
    ratio = curve.variance_from_noise / (curve.bias + curve.variance_from_sampling)
    tolerance = (1 + min(2 * a, b - 1)) * _correction(a, b, curve, n)
    assert ratio == pytest.approx(1, rel=tolerance)


def test_the_prefactor_of_the_bias_is_that_of_its_integral():
    """Against quadrature of the integral over x = i kappa^(1/a), through the crossover."""
    from scipy.integrate import quad

    for a, b in ((2.0, 1.7), (2.0, 3.0), (1.5, 3.2)):
        learned = quad(lambda x, a=a: 1 / (1 + x**a), 0, np.inf)[0]
        bias = quad(lambda x, a=a, b=b: x ** (2 * a - b) / (1 + x**a) ** 2, 0, np.inf)[0]
        n = (a * bias * learned ** (b - 1) / ((a - 1) * 1e-3)) ** (1 / (b - 1))
        # quad promises 1.5e-8 of each.
        assert ScalingExponents(a, b).noise_crossover(1e-3) == pytest.approx(n, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b"), [(2.0, 3.0), (1.5, 2.0), (3.0, 2.0), (2.0, 4.0)])
@pytest.mark.parametrize("relative_noise", [pytest.param(0.0, marks=pytest.mark.kin), 3.0])
def test_fitting_ratio_against_brute_force(a, b, relative_noise):
    spectrum, target = _problem(a, b, levels=20_000)
    n = 300.0
    noiseless = learning_curve(spectrum, target, n, 0.0).test_error
    noisy = Target(target.power, relative_noise * noiseless)
    # kappa grows as (1 - R)^-a: this grid covers the ratios.
    zero = learning_curve(spectrum, noisy, n, 0.0).kappa
    ridge = np.append(0.0, n * zero * np.geomspace(1e-2, 1e4, 600))
    curve = learning_curve(spectrum, noisy, n, ridge)
    ratio = np.sqrt(curve.train_error / curve.gcv)[np.argmin(curve.test_error)]
    expected = ScalingExponents(a, b).optimal_fitting_ratio(relative_noise)
    # Steps of 2.3% in the ridge change R by half of that of R (1 - R) or less; next orders are
    # those of sums over n modes and of kappa^(2 - y) in the bias.
    correction = 3 * float(zero) ** (2 - (b - 1) / a) + 5 / n
    assert ratio == pytest.approx(expected, abs=0.02 * max(expected, 0.02) + correction)


def test_the_stationarity_of_the_fitting_ratio_is_its_equation():
    a, b, s, R = sympy.symbols("a b s R", positive=True)
    kappa = (1 - R) ** -a  # from sum q = (1 - R) n, with sum q ~ kappa^(-1/a)
    bias = kappa ** ((b - 1) / a)
    overfitting = 1 / (1 - (1 - 1 / a) * (1 - R))  # n/(n - sum q^2)
    error = overfitting * (bias + s * a)  # noise is s times a B at R = 0
    equation = b - a + (a - 1) * b * R - a * (a - 1) * s * (1 - R) ** b
    rest = sympy.diff(sympy.log(error), R) / equation
    # What is left has one sign: the slope vanishes with the equation and nowhere else.
    factor = 1 / ((1 + (a - 1) * R) * (1 - R) * (1 + s * a * (1 - R) ** (b - 1)))
    points = [
        {a: 2, b: 3, s: 5, R: 0.3},
        {a: 1.5, b: 3.7, s: 0.2, R: 0.8},
        {a: 4, b: 2, s: 1, R: 0.1},
    ]
    for point in points:
        assert float((rest / factor).subs(point)) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(("a", "r"), [(1.5, 0.3), (2.0, 0.8), (2.0, 1.5)])
def test_exponents_of_the_literature(a, r):
    """Cui, Loureiro, Krzakala, Zdeborova, arXiv:2105.15004, table 1, with alpha = a."""
    law = ScalingExponents(a, 1 + 2 * a * r)
    capped = min(r, 1)
    assert law.source == pytest.approx(r)
    assert law.interpolation_decay == pytest.approx(2 * a * capped)
    best = law.test_error_decay("optimal", noisy=True)
    assert best == pytest.approx(2 * a * capped / (1 + 2 * a * capped))
    # Caponnetto and De Vito: the best ridge/n decays as n^(-a/(1 + 2 a min(r, 1))).
    decay = law.optimal_ridge_decay(noisy=True) + 1
    assert decay == pytest.approx(a / (1 + 2 * a * capped))
    # Fixed regularisation lambda = ridge/n ~ n^-l: 2 min(r, 1) l or (a - l)/a.
    assert law.bias_decay(0.0) == pytest.approx(2 * capped)
    assert law.noise_decay(0.0) == pytest.approx((a - 1) / a)
    if r >= 0.5:
        # Rudi and Rosasco, arXiv:1602.04485, theorem 3 with alpha = gamma = 1/a, 2r - 1 <= 1.
        gamma = 1 / a
        features = (gamma + 2 * capped - 1) / (2 * capped + gamma)
        assert law.sufficient_features(noisy=True) == pytest.approx(features)


@pytest.mark.parametrize("fit", ["levels", "tails"])
def test_fits_recover_power_laws(fit):
    spectrum, target = power_law_spectrum(1.5, 20000), power_law_target(2.0, 20000)
    found = scaling_exponents(spectrum, target, ranks=(10, 200), fit=fit)
    # Sums of the target miss what is beyond the last level, 1% of them at rank 200; those from
    # i = C + 1 on are an integral from C + 1/2 with an error of (a/24) (a + 1) C^-2.
    tolerance = 1e-9 if fit == "levels" else 0.02
    assert found.capacity_exponent == pytest.approx(1.5, abs=tolerance)
    assert found.target_exponent == pytest.approx(2.0, abs=tolerance)


def test_standard_errors_cover_the_exponents():
    generator, covered = np.random.default_rng(0), 0
    ranks = np.arange(1.0, 301)
    trials = 60
    for _ in range(trials):
        noise = np.exp(0.3 * generator.standard_normal((2, 300)))
        found = scaling_exponents(
            Spectrum(ranks**-2 * noise[0], np.ones(300)), Target(ranks**-1.5 * noise[1])
        )
        # Sorting moves levels by a rank or so: less than their scatter at these ranks.
        covered += abs(found.target_exponent - 1.5) < 2 * found.target_error
    # Coverage of 95%: the binomial number has a standard deviation of 1.7 of 60.
    assert covered >= 0.95 * trials - 4 * 1.7


@pytest.mark.parametrize(
    ("kernel", "dim", "expected"),
    [
        (ntk(relu, 1, weight_variance=2), 3, sympy.Rational(3, 2)),
        (nngp(relu, 1, weight_variance=2), 3, sympy.Rational(5, 2)),
        (ntk(relu, 2, weight_variance=2, bias_variance=1), 4, sympy.Rational(4, 3)),
    ],
)
def test_capacity_of_kernels_against_fits(kernel, dim, expected):
    assert capacity_exponent(kernel, dim) == expected
    levels = kernel_spectrum(kernel, dim, 120)
    target = Target(np.asarray(levels.level_masses))
    ranks = (20.0**2, 120.0**2) if dim == 3 else (20.0**3 / 3, 120.0**3 / 3)
    found = scaling_exponents(levels, target, ranks=ranks)
    # Both laws have corrections of relative order 1/k, k >= 20, to slopes.
    assert found.capacity_exponent == pytest.approx(float(expected), abs=0.1)
    assert found.target_exponent == pytest.approx(found.capacity_exponent, abs=1e-9)


def test_capacity_of_symbols_and_of_smooth_kernels():
    d = sympy.Symbol("d")
    found = capacity_exponent(ntk(relu, 1, weight_variance=2), d)
    assert sympy.simplify(found - (1 + 1 / (d - 1))) == 0
    t = sympy.Symbol("t")
    assert capacity_exponent(dot_product_kernel(sympy.exp(t)), 3) == sympy.oo
    assert capacity_exponent(ntk(erf, 1, weight_variance=1), 3) == sympy.oo


def test_exact_exponents_stay_exact():
    student = capacity_exponent(ntk(relu, 1, weight_variance=2), 3)
    teacher = capacity_exponent(nngp(relu, 1, weight_variance=2), 3)
    law = ScalingExponents(student, teacher)
    assert law.test_error_decay("optimal", noisy=True) == sympy.Rational(3, 5)
    assert law.test_error_decay(math.inf, noisy=False) == sympy.Rational(3, 2)


def test_the_law_of_symbols_is_that_of_the_literature_as_it_stands():
    """Cui, Loureiro, Krzakala, Zdeborova, arXiv:2105.15004: without a least one of two equals."""
    a, b = sympy.symbols("a b", positive=True)
    law, smooth = ScalingExponents(a, b), sympy.Min(2 * a, b - 1)
    assert law.test_error_decay("optimal", noisy=True) == smooth / (1 + smooth)
    assert law.test_error_decay("optimal", noisy=False) == smooth


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ScalingExponents(1, 2), ValueError, "capacity_exponent must be above 1"),
        (lambda: ScalingExponents(2, math.nan), ValueError, "target_exponent must be finite"),
        (lambda: ScalingExponents(sympy.oo, 2), ValueError, "capacity_exponent must be finite"),
        (lambda: ScalingExponents("2", 2), TypeError, "capacity_exponent must be a real"),
        (lambda: ScalingExponents(2, 3).bias_decay(-1), ValueError, "ridge_decay must be"),
        (lambda: ScalingExponents(2, 3).noise_decay("best"), ValueError, "ridge_decay must be"),
        (lambda: ScalingExponents(2, 3).noise_crossover(0), ValueError, "noise_variance must be"),
        (lambda: ScalingExponents(2, 5).noise_crossover(1), ValueError, "target_exponent must not"),
        (
            lambda: ScalingExponents(2, 5).optimal_fitting_ratio(1),
            ValueError,
            "target_exponent must",
        ),
        (lambda: ScalingExponents(2, 3).optimal_fitting_ratio(-1), ValueError, "relative_noise"),
    ],
)
def test_bad_exponents_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"fit": "sums"}, ValueError, 'fit must be "levels" or "tails"'),
        ({"ranks": (5, 2)}, ValueError, "ranks must be two numbers 0 < low < high"),
        ({"ranks": 5}, TypeError, "ranks must be two numbers"),
        ({"ranks": (1, 2)}, ValueError, "spectrum must have at least 3 levels"),
        ({"target": Target([1.0])}, ValueError, "target must have at least 3 levels"),
        ({"spectrum": Spectrum([1, -1], [1, 1])}, NotPositiveDefiniteError, "at degree 1"),
        (
            {"spectrum": Spectrum([1, 1, 1], [1, 1, 1]), "ranks": (1, 9)},
            ValueError,
            "spectrum must fall faster than 1/i .* fitted exponent 0",
        ),
        ({"spectrum": 3}, TypeError, "spectrum must be a Spectrum"),
        ({"target": 3}, TypeError, "target must be a Target"),
    ],
)
def test_bad_fits_are_named(changes, error, message):
    arguments = {"spectrum": power_law_spectrum(2, 5), "target": power_law_target(2, 2)}
    arguments["target"] = Target([1, 0.5, 0.2])
    with pytest.raises(error, match=message):
        scaling_exponents(**(arguments | changes))


def test_a_fit_of_the_spectrum_alone_is_near_the_exact_exponent():
    kernel = ntk(relu, 1, weight_variance=2, bias_variance=1)
    found = scaling_exponents(kernel_spectrum(kernel, 3, 100))
    assert found.target_exponent is None
    assert found.capacity_exponent == pytest.approx(1.5, abs=0.005)
    with pytest.raises(ValueError, match="ranks must be given"):
        scaling_exponents(kernel_spectrum(kernel, 30, 12))
    with pytest.raises(ValueError, match="target_exponent must be given"):
        found.bias_decay(0)


def test_symbols_give_expressions():
    d = sympy.Symbol("d")
    a = capacity_exponent(ntk(relu, 1, weight_variance=2), d)
    law = ScalingExponents(a, 3).interpolation_decay
    assert law.subs(d, 3) == 2
    assert "None" not in repr(ScalingExponents(a, 3))
    assert "<table>" in ScalingExponents(a, 3)._repr_html_()


@pytest.mark.slow
def test_small_noise_wants_a_negative_ridge_and_the_ratio_is_zero():
    a, b, n = 2.0, 3.0, 300.0
    spectrum, target = _problem(a, b, levels=20_000)
    noiseless = float(learning_curve(spectrum, target, n, 0.0).test_error)
    quiet = Target(target.power, 0.25 * noiseless)  # below s_0 = 1/2
    assert float(optimal_ridge(spectrum, quiet, n).ridge) < 0
    ridges = np.append(0.0, np.geomspace(1e-9, 1, 200))
    assert np.argmin(learning_curve(spectrum, quiet, n, ridges).test_error) == 0
    assert ScalingExponents(a, b).optimal_fitting_ratio(0.25) == 0


def test_laws_broadcast_and_overflow_to_infinity():
    law = ScalingExponents(2.0, 3.0)
    assert law.noise_crossover([0.1, 0.2]).shape == law.optimal_fitting_ratio([1, 2]).shape == (2,)
    assert ScalingExponents(2.0, 1.01).noise_crossover(0.1) == math.inf
    with pytest.raises(TypeError, match="ridge_decay must be"):
        law.test_error_decay(None, noisy=True)


def test_errors_of_fits_hold_the_bend():
    """Exponents of a kernel's eigenvalues are approached, not met: the fit's scatter is less."""
    kernel = ntk(relu, 2, weight_variance=2)
    for dim, highest in ((10, 60), (30, 120)):
        fitted = scaling_exponents(kernel_spectrum(kernel, dim, highest))
        exact = float(capacity_exponent(kernel, dim))
        # The bend is an estimate of a bias of its own size; twice it are standard.
        assert abs(fitted.capacity_exponent - exact) < 2 * fitted.capacity_error
        assert fitted.capacity_error < 0.01
