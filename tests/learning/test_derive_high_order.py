"""The derivations of the limit of order r, planted errors in them, and brute force."""

import dataclasses

import numpy as np
import pytest
import sympy

from kerneltheory.core.derivation import Derivation
from kerneltheory.core.errors import DerivationError
from kerneltheory.learning import limit_derivation
from kerneltheory.learning.block_derivations import StieltjesCertificate
from kerneltheory.learning.derive_high_order import RESULTS, derive_high_order_curve
from kerneltheory.learning.finite_sequence import RATE_PROBLEMS, ConvergenceRate
from kerneltheory.learning.high_order import high_order_curve
from kerneltheory.learning.marchenko_pastur import (
    least_effective_ridge,
    marchenko_pastur_density,
    marchenko_pastur_shift,
)
from kerneltheory.learning.peak_derivations import ThresholdCertificate
from kerneltheory.spectra.spectrum import Target

EPS = np.finfo(float).eps
OWN, LOST, NOISE = 0.7, 0.3, 0.15
TARGET = Target({2: OWN, 3: LOST}, noise_variance=NOISE)


class Block:
    """h(t) = t^2: with mu_2^2 = 1 and nothing above it the ridge is zeta."""

    trace = 1.0

    def taylor_coefficients(self, count):
        return np.array([0.0, 0.0, 1.0])[:count]


def curve(alpha, zeta, target=TARGET):
    return high_order_curve(Block(), target, 2, alpha, zeta)


def formula(name):
    return derive_high_order_curve(name).result


@pytest.mark.parametrize("name", RESULTS)
def test_every_step_is_proved_or_certified(name):
    derivation = derive_high_order_curve(name)
    statuses = derivation.verify(15).statuses
    assert set(statuses) <= {"definition", "proved", statuses[-1]}
    assert derivation.result.rhs in [step.statement.rhs for step in derivation.steps]


def _comparable():
    """The steps but definitions, and inequalities, which are their own evidence."""
    for name in RESULTS:
        for index, step in enumerate(derive_high_order_curve(name).steps):
            if isinstance(step.statement, sympy.Eq) and step.evidence.about():
                yield name, index


@pytest.mark.slow
@pytest.mark.parametrize(("name", "index"), list(_comparable()))
def test_a_step_that_states_something_else_is_caught(name, index):
    step = derive_high_order_curve(name).steps[index]
    statement = sympy.Eq(step.statement.lhs, step.statement.rhs * 2 + 1, evaluate=False)
    # The slow certificates are verified elsewhere; here it is about what they are said to show.
    with pytest.raises(DerivationError):
        dataclasses.replace(step, statement=statement).verify(6)


@pytest.mark.parametrize("quantity", ["shift", "overfitting", "bias", "test error"])
def test_a_wrong_limit_is_caught(quantity):
    claims = {
        "shift": limit_derivation.SHIFT,
        "overfitting": limit_derivation.overfitting(),
        "bias": limit_derivation.bias(),
        "test error": limit_derivation.test_error(),
    }
    problems = RATE_PROBLEMS[:1]
    assert ConvergenceRate(((quantity, claims[quantity]),), problems).verify(15)
    # Wrong by one part in 10^9, where d = 10^6 and the difference is about 10^-6.
    wrong = claims[quantity] * (1 + sympy.Rational(1, 10**9))
    with pytest.raises(DerivationError, match="does not converge"):
        ConvergenceRate(((quantity, wrong),), problems).verify(15)


def test_a_wrong_step_is_named():
    derivation = derive_high_order_curve("optimal ridge")
    step = derivation.steps[5]
    left, right = step.evidence.left, step.evidence.right * 2
    planted = dataclasses.replace(
        step,
        statement=sympy.Eq(step.statement.lhs, right, evaluate=False),
        evidence=dataclasses.replace(step.evidence, left=left, right=right),
    )
    steps = (*derivation.steps[:5], planted, *derivation.steps[6:])
    with pytest.raises(DerivationError, match="step 6 of optimal effective ridge is false"):
        Derivation(steps, derivation.result).verify()


def test_wrong_laws_are_caught():
    threshold = formula("peak threshold").rhs
    slope = derive_high_order_curve("peak threshold").steps[-1].evidence.slope
    third = (sympy.Rational(1, 3),)
    for factor in (1 - sympy.Rational(1, 10**6), 1 + sympy.Rational(1, 10**6)):
        with pytest.raises(DerivationError, match="stationary point"):
            ThresholdCertificate(threshold * factor, slope, third).verify(10)
    density = formula("spectral density").rhs
    with pytest.raises(DerivationError, match="Stieltjes transform"):
        StieltjesCertificate(density * limit_derivation.ALPHA, ((third[0], third[0]),)).verify(10)


def test_bad_names_are_refused():
    with pytest.raises(ValueError, match=r"result must be one of learning curve, .*, got 'peak'"):
        derive_high_order_curve("peak")


# --- against the curve and against random matrices --------------------------------------------


def test_the_derived_curve_is_the_computed_one():
    alpha = np.array([0.1, 0.9, 1.0, 1.1, 5.0])[:, None]
    zeta = np.array([1e-2, 1.0, 30.0])
    derived = formula("learning curve")(alpha, zeta, OWN, LOST, NOISE)
    # The closed form of tau subtracts numbers of size 5 from each other, for a tau of 1e-3.
    np.testing.assert_allclose(curve(alpha, zeta).test_error, derived, rtol=1e4 * EPS)


def test_height_of_the_peak():
    height = formula("peak height")
    # The next order is O(sqrt zeta) with coefficients of order one.
    for zeta in (1e-4, 1e-6, 1e-8):
        deviation = curve(1.0, zeta).test_error - height(zeta, LOST, NOISE)
        assert abs(deviation) < 2 * np.sqrt(zeta)
    grid = np.linspace(0.9, 1.1, 20001)
    assert curve(grid, 1e-6).test_error.max() == pytest.approx(height(1e-6, LOST, NOISE), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("zeta", [0.03, 0.3, 0.9, 1.0, 1.7, 6.0])
def test_threshold_of_the_peak(zeta):
    threshold = float(formula("peak threshold")(zeta))
    alpha = np.geomspace(1e-6, 1e4, 200_001)
    for factor, peaks in ((1 - 1e-3, 0), (1 + 1e-3, 1)):
        target = Target({2: 1.0, 3: threshold * factor})
        values = np.asarray(curve(alpha, zeta, target).test_error)
        rising = np.diff(values) > 1e-13 * values[:-1]
        assert rising.any() == bool(peaks)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_the_optimal_ridge_is_that_of_a_grid(alpha):
    best = float(formula("optimal ridge")(OWN, LOST, NOISE))
    zeta = best * np.geomspace(0.05, 20, 2001)
    errors = np.asarray(curve(alpha, zeta).test_error)
    assert errors.argmin() == 1000
    tau = float(marchenko_pastur_shift(alpha, best))
    assert errors.min() + NOISE == pytest.approx(OWN * alpha * tau, rel=1e-13)


def test_plateaus():
    alpha = np.array([1e3, 1e5])
    deviation = curve(alpha, 0.4).test_error - formula("plateaus")(alpha, LOST, NOISE)
    # O(alpha^-2) with coefficients of order one: a hundredth of a thousandth, and of 1e-5.
    assert (np.abs(deviation) < 20 / alpha**2).all()
    assert curve(1e-9, 0.4).test_error == pytest.approx(OWN + LOST, rel=1e-8)


@pytest.mark.parametrize("alpha", [0.25, 1.0, 3.0])
def test_density_is_that_of_random_matrices(alpha):
    features, trials = 120, 10
    generator = np.random.default_rng(0)
    samples = int(alpha * features)
    rows = generator.standard_normal((trials, samples, features))
    eigenvalues = np.linalg.eigvalsh(rows @ rows.swapaxes(1, 2) / features)
    # x = 1 + alpha + 2 sqrt(alpha) cos(phi) takes the roots at the edges away.
    phi = (np.arange(20_000) + 0.5) * np.pi / 20_000
    x = 1 + alpha + 2 * np.sqrt(alpha) * np.cos(phi)
    weights = marchenko_pastur_density(x, alpha) * 2 * np.sqrt(alpha) * np.sin(phi) * np.pi / 20_000
    assert weights.sum() == pytest.approx(min(1, 1 / alpha), rel=1e-6)
    assert np.sum(weights * x) == pytest.approx(1, rel=1e-6)  # mean: E[y^2]
    assert np.sum(weights * x**2) == pytest.approx(1 + alpha, rel=1e-6)
    # The number of eigenvalues below a bound differs from its mean by a few at any size.
    for bound in (0.5, 1.0, 2.0):
        measured = np.mean((eigenvalues > 1e-9) & (eigenvalues < bound))
        assert abs(measured - weights[x < bound].sum()) < 5 / min(samples, features)


def test_density_at_the_edges_and_bad_arguments():
    density = marchenko_pastur_density([-1.0, 0.0, 0.25, 2.25, 3.0], 0.25)
    np.testing.assert_array_equal(density, 0)
    assert marchenko_pastur_density(0.0, 1.0) == np.inf
    assert marchenko_pastur_density(0.0, 4.0) == 0
    x = np.linspace(0.3, 2.2, 7)
    law = formula("spectral density")
    np.testing.assert_allclose(marchenko_pastur_density(x, 0.25), law(x, 0.25), rtol=50 * EPS)
    with pytest.raises(ValueError, match="alpha must be positive"):
        marchenko_pastur_density(1.0, 0.0)
    with pytest.raises(ValueError, match="x must be finite"):
        marchenko_pastur_density(np.nan, 1.0)
    with pytest.raises(ValueError, match="x and alpha must broadcast"):
        marchenko_pastur_density([1.0, 2.0], [1.0, 2.0, 3.0])


def test_counting_is_that_of_the_curve():
    class Lower:
        trace = 3.0

        def taylor_coefficients(self, count):
            return np.array([1.0, 1.0, 1.0])[:count]

    dim, alpha = 20, np.array([0.6, 1.0, 4.0])
    ratio = 21 / 209  # N_0 + N_1 over N_2 = d (d + 1)/2 - 1
    found = high_order_curve(
        Lower(), TARGET, 2, alpha + ratio, 0.3, dim=dim, counting="finite"
    ).overfitting
    derived = formula("finite counting")(alpha, 0.3, ratio)
    np.testing.assert_allclose(found, derived, rtol=100 * EPS)


# --- negative ridge ---------------------------------------------------------------------------


def test_least_ridge_is_the_end_of_the_spectrum():
    alpha = np.array([0.04, 0.25, 0.81])
    least = formula("negative ridge")(alpha)
    np.testing.assert_allclose(least_effective_ridge(alpha), least, rtol=100 * EPS)
    np.testing.assert_array_equal(least_effective_ridge([1.0, 1.2, 9.0]), 0)
    density = marchenko_pastur_density(-least + 1e-6 * np.array([[-1], [1]]), alpha)
    assert (density[0] == 0).all()
    assert (density[1] > 0).all()
    # 1 + tau = 1/sqrt(alpha) there.
    tau = marchenko_pastur_shift(alpha, least_effective_ridge(alpha))
    np.testing.assert_allclose(1 + tau, 1 / np.sqrt(alpha), rtol=1e-7)


@pytest.mark.parametrize("zeta", [-0.15, -0.05, 0.2])
def test_regression_with_a_negative_ridge_agrees(zeta):
    """Linear regression on Gaussian features, alpha = 1/4; the least zeta is -1/4."""
    features, samples, trials = 800, 200, 20
    generator = np.random.default_rng(1)
    errors = []
    for _ in range(trials):
        rows = generator.standard_normal((samples, features))
        weights = generator.standard_normal(features) * np.sqrt(OWN / features)
        labels = rows @ weights + np.sqrt(LOST + NOISE) * generator.standard_normal(samples)
        gram = rows @ rows.T / features + zeta * np.eye(samples)
        fitted = rows.T @ np.linalg.solve(gram, labels) / features
        errors.append(np.sum((fitted - weights) ** 2) + LOST)
    theory = float(curve(0.25, zeta).test_error)
    error = np.std(errors) / np.sqrt(trials)
    # Four standard errors, and 1/features for the limit: a false alarm in 1e4.
    assert abs(np.mean(errors) - theory) < 4 * error + 5 / features * theory


def test_a_ridge_that_is_too_negative_is_refused():
    class Higher(Block):
        trace = 1.5  # mu_{>2}^2 = 0.5

    allowed = high_order_curve(Higher(), TARGET, 2, 0.25, -0.74)
    assert np.isfinite(allowed.test_error)
    # delta + 0.5 > -(1 - 1/2)^2
    with pytest.raises(ValueError, match=r"ridge must be above -0.75, .*got -0.75"):
        high_order_curve(Higher(), TARGET, 2, [0.25, 0.01], -0.75)
    with pytest.raises(ValueError, match=r"ridge must be above -0.5, .*alpha = 2; got -0.6"):
        high_order_curve(Higher(), TARGET, 2, 2.0, -0.6)
    with pytest.raises(ValueError, match="zeta must be at least"):
        marchenko_pastur_shift(0.25, -0.26)


def test_a_negative_ridge_may_be_the_best():
    class Higher(Block):
        trace = 3.0  # mu_{>2}^2 = 2 is more ridge than S/F_2^2 = 0.45/0.7

    best = (LOST + NOISE) / OWN - 2.0
    ridges = best + np.linspace(-0.5, 3, 701)
    errors = high_order_curve(Higher(), TARGET, 2, 1.5, ridges).test_error
    assert ridges[np.argmin(errors)] == pytest.approx(best, abs=0.0051)
    assert best < 0
