"""Hermite coefficients: exact against certified, certified against exact, and no lost tail."""

import math

import mpmath as mp
import problems
import pytest
import sympy
from flint import acb, arb, ctx

from kerneltheory.activations import expectation
from kerneltheory.activations.activation import X, activation
from kerneltheory.activations.catalogue import (
    elu,
    erf,
    exponential,
    gabor,
    gaussian,
    gelu,
    hard_tanh,
    hermite,
    relu,
    sine,
    softsign,
    tanh,
)
from kerneltheory.activations.duals import correlation_dual
from kerneltheory.activations.hermite import certified_hermite_coefficients, hermite_coefficients
from kerneltheory.core import lower
from kerneltheory.core.errors import DerivationError

PHIS = [relu, erf, problems.gelu, problems.absolute, problems.step, problems.relu_plus_erf]
gaussian_bump = activation(sympy.exp(-3 * X**2) * (X + 1))


@pytest.mark.parametrize("phi", [*PHIS, gaussian_bump], ids=lambda phi: phi.name)
def test_exact_coefficients_lie_in_the_certified_balls(phi):
    count = 12
    balls, _ = certified_hermite_coefficients(phi, sympy.Integer(1), count, 20)
    for exact, ball in zip(hermite_coefficients(phi, count), balls, strict=True):
        with ctx.workdps(40):
            assert ball.overlaps(arb(lower.to_balls((), exact)()))
            assert ball.rad() < 1e-20


def test_relu_coefficients_are_those_of_the_literature():
    # a_n = (-1)^{n/2+1} (n-3)!! / sqrt(2 pi n!) for even n >= 2; Daniely et al. (2016).
    coefficients = hermite_coefficients(relu, 11)
    assert coefficients[1] == sympy.Rational(1, 2)
    for n in range(2, 11):
        even = (-1) ** (n // 2 + 1) * sympy.factorial2(n - 3)
        expected = 0 if n % 2 else even / sympy.sqrt(2 * sympy.pi * sympy.factorial(n))
        assert sympy.simplify(coefficients[n] - expected) == 0


def test_squares_sum_to_the_second_moment():
    # E relu^2 = 1/2; a_{2m}^2 ~ m^{-5/2} / (8 pi^{3/2}) leaves m^{-3/2} / (12 pi^{3/2}) beyond.
    coefficients = hermite_coefficients(relu, 40)
    missing = 0.5 - float(sum(a**2 for a in coefficients))
    assert missing == pytest.approx(20**-1.5 / (12 * math.pi**1.5), rel=0.1)


def test_hermite_polynomials_have_one_coefficient():
    he3 = (X**3 - 3 * X) / sympy.sqrt(6)
    assert hermite_coefficients(he3, 6) == (0, 0, 0, 1, 0, 0)


@pytest.mark.parametrize("variance", [sympy.Rational(1, 4), sympy.Rational(9, 4)])
@pytest.mark.parametrize("phi", PHIS, ids=lambda phi: phi.name)
def test_second_moment_is_certified_at_any_variance(phi, variance):
    _, mass = certified_hermite_coefficients(phi, variance, 1, 15)
    # The dual on the diagonal, from Price's theorem.
    exact = correlation_dual(phi).certified(variance, variance, 1, digits=25)
    assert mass.rad() < 1e-15
    assert mass.overlaps(exact)


@pytest.mark.parametrize(("phi", "moment"), [(relu, "q/2"), (problems.step, "1/2")])
def test_second_moment_by_hand(phi, moment):
    q = sympy.Rational(4, 9)
    _, mass = certified_hermite_coefficients(phi, q, 1, 25)
    assert mass.overlaps(arb(lower.to_fmpq(sympy.Rational(sympy.sympify(moment).subs("q", q)))))


@pytest.mark.slow
def test_coefficients_at_other_variances_by_quadrature():
    q, count = sympy.Rational(9, 4), 5
    balls, _ = certified_hermite_coefficients(problems.gelu, q, count, 20)
    with mp.workdps(30), ctx.workdps(30):
        for n, ball in enumerate(balls):

            def integrand(z, n=n):
                x = z * mp.mpf(3) / 2
                he = mp.hermite(n, z / mp.sqrt(2)) / mp.sqrt(mp.mpf(2) ** n * mp.factorial(n))
                return x * mp.ncdf(x) * he * mp.npdf(z)

            truth = mp.quad(integrand, [-16, -8, -4, 0, 4, 8, 16])  # beyond: below exp(-120)
            assert abs(ball - arb(mp.nstr(truth, 28))).abs_upper() < 1e-20


def test_vanishing_coefficients_are_not_excluded_by_a_cut_tail():
    # A cut at +-14 without its tail gives the odd coefficients of relu as -1e-23 +- 1e-28.
    balls, _ = certified_hermite_coefficients(relu, sympy.Integer(1), 30, 30)
    assert all(ball.contains(0) for ball in balls[3::2])
    assert all(ball.rad() < 1e-30 for ball in balls)


@pytest.mark.parametrize(
    "phi",
    [relu, pytest.param(problems.cubic, marks=pytest.mark.slow), gaussian_bump],
    ids=lambda phi: phi.name,
)
def test_tail_bounds_what_a_cut_leaves_out(phi):
    # With the cut at 3 the tail is large enough to be compared with its integral.
    cut, count = arb(3), 15
    function = sympy.lambdify(X, phi.expression, "mpmath")
    for squared in (False, True):
        factors = [(phi, arb(1))] * (2 if squared else 1)
        bound = float(expectation._tail(factors, cut, 1 if squared else count).lower())
        for n in [0] if squared else range(count):

            def integrand(z, n=n, squared=squared):
                he = mp.hermite(n, z / mp.sqrt(2)) / mp.sqrt(mp.mpf(2) ** n * mp.factorial(n))
                value = function(z)
                return (value**2 if squared else abs(value * he)) * mp.npdf(z)

            outside = mp.quad(integrand, [-20, -6, -3]) + mp.quad(integrand, [3, 6, 20])
            assert outside <= bound


def test_majorant_bounds_the_integrands_on_complex_balls():
    functions = [expectation._at(problems.gelu, arb(1), arb(2))]
    ball = acb(arb(2, 0.5), arb(0, 0.5))
    bound = expectation._majorant(functions, 10, ball)
    for corner in (acb(1.5, 0.5), acb(2.5, -0.5), acb(2, 0.25)):
        z = complex(float(corner.real.mid()), float(corner.imag.mid()))
        with mp.workdps(20):
            w = mp.mpc(z)
            value = w * (1 + mp.erf(w / mp.sqrt(2))) / 2 * mp.exp(-w * w / 2) / mp.sqrt(2 * mp.pi)
            for n in range(10):
                he = mp.hermite(n, w / mp.sqrt(2)) / mp.sqrt(mp.mpf(2) ** n * mp.factorial(n))
                assert abs(value * he) <= float(bound.upper())


def test_bad_arguments():
    with pytest.raises(ValueError, match="count must be an integer of at least 1"):
        hermite_coefficients(relu, 0)
    with pytest.raises(DerivationError, match="grows too fast"):
        hermite_coefficients(sympy.exp(X**2 / 2), 3)
    with pytest.raises(DerivationError, match="no bound is known of how 1/x grows"):
        hermite_coefficients(1 / X, 3)


N = sympy.Symbol("n", integer=True, nonnegative=True)


@pytest.mark.parametrize(
    "phi",
    [relu, erf, gelu, hermite(4), sine(2, 1), exponential(-1), gaussian(1), gabor(1, 2)],
    ids=lambda phi: phi.name,
)
def test_closed_form_in_n_is_the_integral_for_every_n(phi):
    closed = hermite_coefficients(phi, N)
    balls, _ = certified_hermite_coefficients(phi, sympy.Integer(1), 26, 20)
    for n in (0, 1, 2, 3, 4, 7, 18, 25):
        value = sympy.N(closed.subs(N, n), 40)
        assert abs(sympy.im(value)) < 1e-35
        with ctx.workdps(40):
            assert abs(balls[n] - arb(str(sympy.re(value)))).abs_upper() < 1e-19


def test_no_closed_form_in_n_for_a_series():
    with pytest.raises(DerivationError, match="is not elementary"):
        hermite_coefficients(tanh, N)


@pytest.mark.parametrize("phi", [hard_tanh, elu, tanh, softsign], ids=lambda phi: phi.name)
def test_certified_coefficients_are_mpmaths(phi):
    function = sympy.lambdify(X, phi.expression, "mpmath")
    breaks = [-16, -4, -1, 0, 1, 4, 16]  # every kink among them; beyond: below exp(-120)
    with mp.workdps(30):
        for n, ball in enumerate(hermite_coefficients(phi, 4, digits=15)):

            def integrand(z, n=n):
                he = mp.hermite(n, z / mp.sqrt(2)) / mp.sqrt(mp.mpf(2) ** n * mp.factorial(n))
                return function(z) * he * mp.npdf(z)

            truth = mp.quad(integrand, breaks)
            assert abs(ball - arb(mp.nstr(truth, 25))).abs_upper() < 1e-15


def test_coefficients_of_a_frequency_that_is_a_float():
    """E[sin(w z) z] = w exp(-w^2/2), where sympy would see exp(1/2^103) to a power of 2^102."""
    frequency = 1.6358723
    found = hermite_coefficients(sine(frequency), 3)
    expected = [0, frequency * math.exp(-(frequency**2) / 2), 0]
    assert [float(a) for a in found] == pytest.approx(expected, rel=1e-14)
