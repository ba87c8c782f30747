"""Infinitely deep classifiers: the taxonomy, exponent, and the singular kernel's certificate."""

import math
import pickle

import numpy as np
import pytest
import sympy
from flint import ctx

import kerneltheory as kt
from kerneltheory.core import lower
from kerneltheory.core.formula import Formula
from kerneltheory.depth import classifier_derivations, degree_derivations
from kerneltheory.depth.classifiers import MAJORITY, NEAREST, ORDERED, SINGULAR, UNCHANGED
from kerneltheory.depth.optimal_activations import optimal_dual
from kerneltheory.depth.unit_dual import ball

x = sympy.Symbol("x")
HALF = sympy.Rational(1, 2)
# Theory: parity and E[phi], and B' = E[phi'^2]/E[phi^2], by hand. E[cos] = exp(-1/2);
# E[cos^2] = (1 + exp(-2))/2 and E[sin^2] = (1 - exp(-2))/2, so B' of cos is tanh 1 < 1;
# B' is exactly 1 for homogeneous phi; E[|x|] = sqrt(2/pi).
CLASSES = [
    (kt.erf, SINGULAR),
    (kt.tanh, SINGULAR),
    (kt.hard_tanh, SINGULAR),
    (kt.sign, SINGULAR),
    (kt.hermite(2), NEAREST),
    (kt.hermite(5), NEAREST),
    (sympy.cos(x) - sympy.exp(-HALF), NEAREST),
    (sympy.Abs(x) - sympy.sqrt(2 / sympy.pi), NEAREST),
    (kt.relu, MAJORITY),
    (kt.leaky_relu(HALF), MAJORITY),
    (kt.absolute, MAJORITY),
    (kt.step, MAJORITY),
    (kt.gelu, MAJORITY),
    (kt.swish, MAJORITY),
    (kt.cos, ORDERED),
    (kt.scaled_erf(1, 1), ORDERED),
    (kt.polynomial(0, 3), UNCHANGED),
]


@pytest.mark.parametrize(("phi", "name"), CLASSES, ids=lambda v: getattr(v, "name", None))
def test_taxonomy(phi, name):
    limit = kt.classifier_limit(phi)
    assert limit.name == name
    assert pickle.loads(pickle.dumps(limit)) == limit
    assert name in repr(limit)
    assert name in limit._repr_html_()
    if name != SINGULAR:
        with pytest.raises(kt.KernelTheoryError, match=name):
            _ = limit.limit_kernel


def test_dual_and_activation_agree():
    by_phi, by_dual = (kt.classifier_limit(given) for given in (kt.sin, optimal_dual(3)))
    assert by_phi == kt.classifier_limit(kt.dual(kt.sin))
    assert by_dual.exponent == 3


def test_what_is_undecided_is_said():
    shifted = sympy.tanh(x) + sympy.Rational(1, 10**70)
    with pytest.raises(kt.PrecisionError, match=r"undecided whether E\[phi\]"):
        kt.classifier_limit(shifted)


def test_bad_input_is_named():
    t = sympy.Symbol("t", real=True)
    with pytest.raises(TypeError, match="phi must be"):
        kt.classifier_limit("relu")
    with pytest.raises(ValueError, match="coefficient 2"):
        kt.classifier_limit(Formula("f", (t,), 2 * t - t**2))
    with pytest.raises(ValueError, match="a dual activation as a Formula"):
        kt.classifier_limit(kt.covariance_dual(kt.erf, 1))
    with pytest.raises(ValueError, match="sphere_dimension"):
        kt.optimal_activation(0)
    with pytest.raises(ValueError, match="sphere_dimension"):
        kt.optimal_frequency(1)


@pytest.mark.parametrize("s", [1, 2, 3, 4, 7])
def test_optimal_activation_has_the_stated_dual(s):
    """arXiv:2204.14126: the engine's dual of the polynomial is the stated one, and alpha is s."""
    phi = kt.optimal_activation(s)
    rho = sympy.Symbol("rho", real=True)
    outer = 2 ** sympy.Rational(-s, 2)
    stated = (
        (rho**7 + rho) / 2 if s == 1 else outer * rho**3 + (1 - 2 * outer) * rho**2 + outer * rho
    )
    assert sympy.expand(kt.dual(phi).rhs - stated) == 0
    limit = kt.classifier_limit(phi)
    assert (limit.exponent, limit.sphere_dimension) == (s, s)


@pytest.mark.parametrize("s", [2, 3, 10])
def test_optimal_frequency_gives_the_exponent(s):
    """2 ln(sinh(u)/u)/ln(u coth u) = s at u = a^2, evaluated by mpmath instead of balls."""
    import mpmath

    with mpmath.workdps(50):
        u = mpmath.mpf(kt.optimal_frequency(s, 30).str(45, radius=False)) ** 2
        alpha = 2 * mpmath.log(mpmath.sinh(u) / u) / mpmath.log(u * mpmath.coth(u))
        assert abs(alpha - s) < mpmath.mpf(10) ** -27


def test_optimal_frequency_lies_between_exponents():
    """The exponent derived from sin(a x) is below s before the root and above it after."""
    below = math.floor(100 * float(kt.optimal_frequency(2).mid()))
    low, high = (
        ball(kt.classifier_limit(kt.sine(sympy.Rational(hundredths, 100))).exponent, 20)
        for hundredths in (below, below + 1)
    )
    assert low < 2 < high


def test_koenigs_function_is_the_limit_of_iterates():
    """Psi = t^2/2 + t/2 has no elementary Q: compare with plain iteration in mpmath."""
    import mpmath

    kernel = kt.classifier_limit(optimal_dual(2)).limit_kernel
    with mpmath.workdps(60):
        value, layers = mpmath.mpf(9) / 10, 120
        for _ in range(layers):
            value = (value**3 + value) / 2
        expected = value * 2**layers
        found = kernel.certified(sympy.Rational(9, 10), 30)
        # After 120 layers 2^-240 is left.
        assert abs(mpmath.mpf(found.str(40, radius=False)) / expected - 1) < mpmath.mpf(10) ** -29
    assert lower.relative_radius(found) < 1e-30
    assert kernel(np.array([0.0, 0.5])).shape == (2,)
    with pytest.raises(ValueError, match="cosine must be in"):
        kernel.certified(1)


def test_koenigs_function_of_a_sine():
    """sinh(t)/sinh(1) iterated by mpmath: what is left after L layers is below x_L."""
    import mpmath

    found = kt.classifier_limit(kt.sin).limit_kernel.certified(HALF, 12)
    with mpmath.workdps(40):
        value = mpmath.mpf(1) / 2
        for _ in range(250):
            value = mpmath.sinh(value) / mpmath.sinh(1)
        expected = value * mpmath.sinh(1) ** 250
        # x_250 is of order sinh(1)^-250, 3e-18.
        assert abs(mpmath.mpf(found.str(20, radius=False)) / expected - 1) < 1e-12


def test_a_koenigs_function_in_closed_form():
    """Psi = t/(2 - t) is conjugate to x/2: Q = t/(1 - t), a geometric branching process."""
    t = sympy.Symbol("t", real=True)
    formula = Formula("geometric", (t,), t / (2 - t))
    limit = kt.classifier_limit(formula)
    # p_1 = 1/2 and psi'(1) = 2, so alpha = 2, and R = Q u^2 = 2 t is 2 at coincidence.
    assert limit.exponent == 2
    kernel = limit.limit_kernel
    for value in ("1/3", "9/10", "999/1000"):
        place = sympy.Rational(value)
        exact = place / (1 - place)
        assert kernel.certified(place, 25).overlaps(ball(exact, 40))
    # R(u) = 2 t tends to 2 at every phase, without a log-periodic factor.
    for phase in (0, sympy.Rational(2, 5)):
        found = kernel.limit_factor(phase, 20)
        assert found.overlaps(ball(sympy.Integer(2), 30))
        assert lower.relative_radius(found) < 1e-20
    assert kernel.variation(4).contains(0)


def test_periodic_factor_is_what_the_factor_tends_to():
    """R along u^2/2 = m^(phase - j) has errors of order m^-j: halved ones at m = 2."""
    kernel = kt.classifier_limit(kt.optimal_activation(1)).limit_kernel
    limit = kernel.limit_factor(0, 15)
    gaps = []
    for layers in (6, 8):
        distance = sympy.sqrt(2 * sympy.Integer(4) ** -layers)
        with ctx.workdps(30):
            value = kernel.certified(1 - distance**2 / 2, 20) * ball(distance, 30)
        gaps.append(float((value - limit).mid()))
    # m = psi'(1) = 4: two layers more make the distance to the limit 16 times smaller, up to 4^-6.
    assert gaps[0] / gaps[1] == pytest.approx(16, rel=10 * 4.0**-6)
    bounds = kernel.limit_bounds(16)
    # It oscillates by about a part in a thousand, inside certified bounds.
    assert bounds.low < float(limit.mid()) < bounds.high
    assert 1e-3 < kernel.variation(8) < 2e-3


def test_exponent_from_the_slope_of_the_kernel():
    """Over one period ln m in 1 - t, Q grows by exactly 1/p_1, whatever the periodic factor."""
    kernel = kt.classifier_limit(kt.sine(2)).limit_kernel
    alpha = float(ball(kt.classifier_limit(kt.sine(2)).exponent, 20).mid())
    steepness = 4 / math.tanh(4)
    gap = sympy.Rational(1, 10**9)
    gaps = (gap / sympy.Rational(steepness), gap)
    near, far = (float(kernel.certified(1 - g, 15).mid()) for g in gaps)
    # The relative error of the law at a gap g is of order g psi''(1), 16 here.
    assert math.log(near / far) / math.log(steepness) == pytest.approx(alpha / 2, abs=1e-7)


def test_no_periodic_factor_where_psi_is_kinked_or_jumps():
    with pytest.raises(kt.DivergentError, match="jumps"):
        kt.classifier_limit(kt.sign).limit_kernel.factor(HALF)
    with pytest.raises(kt.DivergentError, match="infinite"):
        kt.classifier_limit(kt.hard_tanh).limit_kernel.limit_factor(0)
    with pytest.raises(ValueError, match="distance must be"):
        kt.classifier_limit(kt.sin).limit_kernel.factor(2)


def test_plot():
    import matplotlib.pyplot as plt

    kernel = kt.classifier_limit(optimal_dual(1)).limit_kernel
    axes = kernel.plot(periods=1, points=4)
    (line,) = axes.lines
    u, value = line.get_xdata()[2], line.get_ydata()[2]
    assert value == pytest.approx(float(kernel.factor(float(u)).mid()), rel=1e-9)
    plt.close("all")


@pytest.mark.parametrize(
    "derive",
    classifier_derivations.DERIVATIONS + degree_derivations.DERIVATIONS,
    ids=lambda f: f.__name__,
)
def test_derivations(derive):
    statuses = derive().verify(20).statuses
    assert any(status != "definition" for status in statuses)
