"""Derivations of random features, gradient flow, scaling laws and the moment behind `validity`."""

import dataclasses
import math

import numpy as np
import pytest
import sympy

from kerneltheory.core.errors import DerivationError
from kerneltheory.learning import flow_derivations, scaling_derivations
from kerneltheory.learning.feature_derivations import derive_random_features
from kerneltheory.learning.flow_derivations import ContourCertificate, derive_gradient_flow
from kerneltheory.learning.gradient_flow import gradient_flow_curve
from kerneltheory.learning.moment_derivations import derive_fourth_moment
from kerneltheory.learning.random_features import random_feature_curve
from kerneltheory.learning.scaling_derivations import BetaCertificate, derive_scaling_laws
from kerneltheory.learning.scaling_laws import ScalingExponents
from kerneltheory.learning.validity import _fourth_moment
from kerneltheory.registry import stated_derivations
from kerneltheory.spectra.spectrum import Spectrum, Target

SPECTRUM = Spectrum([1.0, 0.1, 0.003], [1, 20, 200], tail=0.01)
TARGET = Target([0.3, 1.0, 0.5], noise_variance=0.2)
ALL = derive_random_features, derive_gradient_flow, derive_scaling_laws, derive_fourth_moment


@pytest.mark.parametrize("derive", ALL)
def test_every_step_is_proved_or_certified_and_registered(derive):
    derivation = derive()
    statuses = derivation.verify(12).statuses
    assert set(statuses) <= {"definition", "proved", "certified to 12 digits"}
    assert statuses.count("definition") < len(statuses) / 3
    assert derivation.result.rhs in [
        step.statement.rhs for step in derivation.steps if isinstance(step.statement, sympy.Eq)
    ]
    assert derive in list(stated_derivations())


@pytest.mark.parametrize("derive", ALL)
def test_steps_that_state_something_else_are_caught(derive):
    steps = [x for x in derive().steps if isinstance(x.statement, sympy.Eq) and x.evidence.about()]
    assert steps
    for step in steps:
        statement = sympy.Eq(step.statement.lhs, step.statement.rhs * 2 + 1, evaluate=False)
        with pytest.raises(DerivationError):
            dataclasses.replace(step, statement=statement).verify(6)


def test_the_derived_error_of_random_features_is_the_computed_one():
    n, features = np.array([20.0, 90.0, 300.0]), 80.0
    curve = random_feature_curve(SPECTRUM, TARGET, n, features, 0.05)
    q = SPECTRUM.eigenvalues / (SPECTRUM.eigenvalues + curve.kappa[:, None])
    tail, power = 0.01 / curve.kappa, np.array([0.3, 1.0, 0.5])
    z = q @ SPECTRUM.multiplicities + tail
    s = (q * (1 - q)) @ SPECTRUM.multiplicities + tail
    sums = ((1 - q) ** 2) @ power, (q * (1 - q)) @ power
    derived = derive_random_features().result(n, features, z, s, *sums, 0.2)
    # n - z loses about as much as n exceeds it.
    np.testing.assert_allclose(derived, curve.test_error, rtol=1e-12)


def test_early_gradient_flow_is_as_derived():
    n, power = 50.0, np.array([0.3, 1.0, 0.5])
    values, counts = SPECTRUM.eigenvalues, SPECTRUM.multiplicities
    sums = values @ power, values**2 @ power, values @ counts + 0.01, values**2 @ counts
    formula = derive_gradient_flow().result
    scale = 1 / (n * sums[2])
    for shorter in (1e-2, 1e-3):
        time = shorter * scale
        derived = float(formula(time, n, power.sum(), *sums, 0.2))
        error = float(gradient_flow_curve(SPECTRUM, TARGET, n, time).test_error)
        # Of third order in t n h(1), next to the learned part of first order.
        assert abs(error - derived) < 5 * shorter**3 * power.sum()
        assert abs(error - power.sum()) > 0.01 * shorter


def test_a_wrong_flow_is_caught(monkeypatch):
    right = flow_derivations._over_law
    monkeypatch.setattr(flow_derivations, "_over_law", lambda t, n, m: right(t, n, m + 1))
    with pytest.raises(DerivationError, match="the contour integral is"):
        ContourCertificate(flow_derivations.FLOW_POINTS).verify(8)


def test_wrong_integrals_are_caught():
    counted = scaling_derivations._COUNTED
    points = scaling_derivations.INTEGRAL_POINTS
    assert BetaCertificate(0, 1, counted, points).verify(20)
    with pytest.raises(DerivationError, match=r"at \(a, b\) = \(2, 5/2\) the integral is"):
        BetaCertificate(0, 1, counted * (1 + sympy.Rational(1, 10**12)), points).verify(20)


@pytest.mark.parametrize(("a", "b"), [(1.5, 2.0), (2.0, 3.5), (3.0, 2.5)])
def test_sums_over_modes_are_within_one_of_their_integrals(a, b):
    kappa, ranks = 1e-5, np.arange(1.0, 2e6)
    q = 1 / (1 + kappa * ranks**a)
    counted = math.pi / a / math.sin(math.pi / a)
    rest = 2e6 ** (1 - a) / kappa / (a - 1)  # beyond the last rank q is below 1/(kappa i^a)
    assert 0 < counted * kappa ** (-1 / a) - q.sum() < 1 + rest
    assert 0 < (1 - 1 / a) * counted * kappa ** (-1 / a) - (q**2).sum() < 1 + rest
    y = (b - 1) / a
    bias = (1 - y) * math.pi / (a * math.sin(math.pi * y)) * kappa**y
    # The summand vanishes at i = 0 and has one maximum, by twice which the sum is off at most.
    summand = (1 - q) ** 2 * ranks**-b
    beyond = 2e6 ** (1 - b) / (b - 1)
    assert abs(summand.sum() - bias) < 2 * summand.max() + beyond


@pytest.mark.parametrize(("a", "b"), [(1.5, 2.0), (2.0, 3.5), (3.0, 2.5)])
def test_the_best_fitting_ratio_is_as_derived(a, b):
    formula, laws = derive_scaling_laws().result, ScalingExponents(a, b)
    ratio = np.array([0.2, 0.5, 0.9])
    noise = formula(ratio, a, b)
    kept = noise > max((b - a) / (a * (a - 1)), 0)
    assert kept.any()
    np.testing.assert_allclose(laws.optimal_fitting_ratio(noise[kept]), ratio[kept], rtol=1e-12)


def test_the_moment_is_the_one_of_validity():
    learned, counts, n = np.array([0.9, 0.3]), np.array([5.0, 40.0]), 50.0
    formula = derive_fourth_moment().result
    expected = formula(n, counts @ learned**2, counts @ learned**4)
    found = _fourth_moment((counts * learned)[None] / n, learned[None], np.array([n]), None)
    assert found[0] == pytest.approx(float(expected), rel=1e-14)
