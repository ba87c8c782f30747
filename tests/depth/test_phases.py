"""Phases: against iteration of the recursion by other quadrature, exact values and each other."""

import math
import pickle

import numpy as np
import pytest
import sympy
from plain_means import correlation, mean_square

import kerneltheory as kt
from kerneltheory.activations.activation import X


@pytest.mark.parametrize("start", [0.03, 40.0])
def test_tanh_recursion_reaches_the_chaotic_fixed_point(start):
    """The plain recursion of variance and correlation by Gauss-Hermite, from other starts."""
    w, b = 4, 0.0625
    found = kt.phase(kt.tanh, w, b, digits=18)
    q = start
    for _ in range(80):
        q = w * mean_square(np.tanh, q) + b
    assert abs(q - found.q_star) < 1e-13
    c = 0.1
    for _ in range(100):
        c = correlation(np.tanh, w, b, q, c)
    # 120 nodes resolve tanh at this q to about 1e-9; chi_c < 1 amplifies that by 1/(1 - chi_c).
    assert abs(c - found.c_star) < 1e-7
    ends = [correlation(np.tanh, w, b, q, c + step) for step in (-1e-4, 1e-4)]
    slope = (ends[1] - ends[0]) / 2e-4
    assert abs(slope - found.chi_c) < 1e-5
    assert found.name == "chaotic"
    assert found.chi_1 > 1 > found.chi_c
    assert abs(found.xi_star - 1 / math.log(found.chi_1 / found.chi_c)) < 1e-9
    assert float(found.ball("c_star").rad()) < 1e-15


@pytest.mark.parametrize("w", [sympy.Rational(1, 2), 1, 2, 3])
def test_relu_has_slope_half_the_weight_variance(w):
    found = kt.phase(kt.relu, w)
    if w == 3:
        assert found.name == "divergent"
        assert found.q_star is None
        assert "3/2" in found.divergence
        return
    assert found.exact.chi_1 == sympy.Rational(w) / 2
    assert found.name == ("critical" if w == 2 else "ordered")
    assert found.exact.q_star == (2 if w == 2 else 0)
    assert found.chi_12 == math.inf


def test_erf_at_its_critical_pair_is_exact():
    """At q = 1/2: w = pi sqrt(1 + 4q)/4, b = q - w (2/pi) asin(2q/(1 + 2q)), asin(1/2) = pi/6."""
    w = sympy.pi * sympy.sqrt(3) / 4
    found = kt.phase(kt.erf, w, sympy.Rational(1, 2) - w / 3)
    assert found.name == "critical"
    assert found.proved
    assert found.exact.q_star == sympy.Rational(1, 2)
    assert found.exact.chi_1 == 1
    # T'' = 16 k/(pi ((1 + 2q)^2 - 4k^2)^(3/2)) at k = q = 1/2.
    assert sympy.simplify(found.exact.chi_12 - w * 8 / (sympy.pi * 3 ** sympy.Rational(3, 2))) == 0
    assert found.xi_1 == found.xi_c == math.inf


def test_sign_without_bias_forgets_at_two_over_pi():
    """T = (2/pi) asin c, so that C(c) = (2/pi) asin c for every w: c* = 0 with slope 2/pi."""
    found = kt.phase(kt.sign, 3)
    assert (found.c_star, found.chi_1, found.xi_1) == (0, math.inf, 0)
    assert found.exact.chi_c == 2 / sympy.pi


def test_step_fixed_correlation_solves_its_closed_map():
    """T = 1/4 + asin(c)/(2 pi), T' = 1/(2 pi q sqrt(1 - c^2))."""
    w, b = 2, sympy.Rational(1, 8)
    found = kt.phase(kt.step, w, b)
    q, c = 1 + 0.125, found.c_star
    assert found.q_star == q
    assert abs((w * (0.25 + math.asin(c) / (2 * math.pi)) + 0.125) / q - c) < 1e-14
    assert abs(found.chi_c - w / (2 * math.pi * q * math.sqrt(1 - c * c))) < 1e-13


def test_a_line_is_ordered_or_diverges():
    line = kt.activation(X + 1, "x + 1")
    found = kt.phase(line, sympy.Rational(1, 2))
    assert (found.q_star, found.chi_1, found.name) == (1, 0.5, "ordered")  # q = (q + 1)/2
    assert kt.phase(line, 1).name == "divergent"


def test_inputs_select_among_several_fixed_variances():
    small, large = (kt.phase(kt.exp, 0.125, input_variance=v) for v in (1, 30))
    assert small.name == "ordered"
    assert large.name == "divergent"
    assert "faster than exponentially" in large.divergence
    assert large.variance_fixed_points == small.variance_fixed_points
    assert [p.stable for p in small.variance_fixed_points] == [True, False]
    assert [kt.phase(kt.relu, 2, input_variance=v).q_star for v in (1, 3)] == [2, 6]


def test_more_digits_refine_the_same_balls():
    coarse, fine = (kt.phase(kt.erf, 3, 0.25, digits=d) for d in (15, 40))
    for name in ("q_star", "c_star", "chi_1", "chi_c", "chi_12"):
        assert coarse.ball(name).overlaps(fine.ball(name))
        assert float(fine.ball(name).rad()) < 1e-36


def test_zero_variance_is_the_limit_of_small_biases():
    at, near = kt.phase(kt.tanh, 0.75), kt.phase(kt.tanh, 0.75, 1e-6)
    assert (at.q_star, at.c_star) == (0, 1)
    assert near.name == at.name == "ordered"
    assert abs(near.chi_1 - at.chi_1) < 1e-5  # E[phi'^2] = 1 - 2q, q = 4e-6


def test_records_pickle_and_print():
    found = kt.phase(kt.tanh, 0.75, 0.25)
    assert pickle.loads(pickle.dumps(found)) == found
    assert "ordered" in repr(found)
    assert "<table>" in found._repr_html_()
    with pytest.raises(ValueError, match="name must be one of"):
        found.ball("nothing")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1,), ValueError, "weight_variance must be positive"),
        ((0,), ValueError, "weight_variance must be positive"),
        ((1, -0.5), ValueError, "bias_variance must not be negative"),
        (("a",), TypeError, "weight_variance"),
        ((math.nan,), TypeError, "weight_variance"),
        ((1, math.inf), TypeError, "bias_variance"),
        ((sympy.I,), TypeError, "weight_variance"),
    ],
)
def test_bad_variances_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        kt.phase(kt.tanh, *arguments)


def test_bad_inputs_are_named():
    with pytest.raises(ValueError, match="input_variance must be positive"):
        kt.phase(kt.tanh, 1, input_variance=0)
    with pytest.raises(kt.DerivationError, match="grows too fast"):
        kt.phase(sympy.exp(X**2), 1)
    with pytest.raises(TypeError, match="phi"):
        kt.phase("tanh", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phi", "function", "w"),
    [
        (kt.softplus, lambda x: np.logaddexp(0, x), 0.5),
        (kt.sigmoid, lambda x: 1 / (1 + np.exp(-x)), 3),
        (kt.sin, np.sin, 6),
    ],
    ids=("softplus", "sigmoid", "sin"),
)
def test_other_classes_agree_with_the_recursion(phi, function, w):
    found = kt.phase(phi, w, 0.25)
    q, c = 1.0, 0.2
    for _ in range(100):
        q = w * mean_square(function, q) + 0.25
    for _ in range(100):
        c = correlation(function, w, 0.25, q, c)
    assert abs(q - found.q_star) < 1e-12 * q
    assert math.exp(-100 / found.xi_c) < 1e-7
    assert abs(c - found.c_star) < 1e-6


@pytest.mark.parametrize("excess", [0, 1e-15, 1e-12, 1e-9])
def test_the_correlation_next_to_the_critical_line(excess):
    """Derivatives at 1 and the signs of the map itself, at many digits, enclose the same."""
    line = kt.critical_line(kt.erf, [1.0])
    w = float(np.nextafter(line.weight_variances[0], 9)) * (1 + excess)
    b = float(line.bias_variances[0])
    found, reference = kt.phase(kt.erf, w, b), kt.phase(kt.erf, w, b, digits=60)
    for name in ("c_star", "chi_c"):
        ball = found.ball(name)
        assert ball.overlaps(reference.ball(name))
        assert float(ball.rad()) < 1e-15
        assert float(ball.mid() - 1) < 0
