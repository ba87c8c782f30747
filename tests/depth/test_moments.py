"""Moments in balls and in tables: against closed forms, mpmath and the trapezoidal rule."""

import mpmath as mp
import numpy as np
import pytest
import sympy
from flint import arb, ctx
from plain_means import mean_square as trapezoid

from kerneltheory.activations import catalogue
from kerneltheory.activations.activation import X, activation
from kerneltheory.depth.asymptotes import asymptotes
from kerneltheory.depth.moment_tables import mean_square, table
from kerneltheory.depth.moments import moment, moment_model, taylor

NUMPY = {
    catalogue.tanh: np.tanh,
    catalogue.swish: lambda x: x / (1 + np.exp(-x)),
    catalogue.softplus: lambda x: np.logaddexp(0, x),
    catalogue.mish: lambda x: x * np.tanh(np.logaddexp(0, x)),
}


def test_taylor_coefficients_of_exp_are_those_of_its_closed_form():
    """E[exp(sqrt(q) z)^2] = exp(2 q), and all its derivatives."""
    with ctx.workdps(40):
        found = taylor(catalogue.exp, 2, sympy.Rational(1, 3), 5, 30)
        for n, ball in enumerate(found):
            exact = (arb(2) / 3).exp() * arb(2) ** n / arb(n).fac() if n else (arb(2) / 3).exp()
            assert ball.overlaps(exact)
            assert ball.rad() < 1e-25


def test_integrated_and_closed_moments_of_hard_tanh_agree():
    r"""E[min(1, q z^2)] = q (2 Phi(s) - 1 - 2 s n(s)) + 2 Phi(-s), s = 1/sqrt(q)."""
    with mp.workdps(30):
        q = mp.mpf(3) / 2
        s = 1 / mp.sqrt(q)
        exact = q * (2 * mp.ncdf(s) - 1 - 2 * s * mp.npdf(s)) + 2 * mp.ncdf(-s)
        with ctx.workdps(30):
            ball = moment(catalogue.hard_tanh, 0, sympy.Rational(3, 2), 25)
            assert ball.overlaps(arb(mp.nstr(exact, 28)) + arb(0, 1e-26))
            assert ball.rad() < 1e-20


def test_a_jump_makes_the_mean_square_of_the_derivative_infinite():
    assert not moment(catalogue.sign, 1, sympy.Integer(1), 10).is_finite()
    assert np.isinf(mean_square(catalogue.sign, 1, [1.0, 2.0])).all()


def test_models_hold_values_and_derivatives_off_their_centre():
    """The bound of what the Taylor polynomial leaves out is one: a sharp ball lies inside."""
    model = moment_model(catalogue.tanh, sympy.Rational(3, 2), 12, 20)
    with ctx.workdps(30):
        for q in (sympy.Rational(1), sympy.Rational(199, 100)):
            sharp = taylor(catalogue.tanh, 0, q, 3, 20)
            place = arb(q.p) / q.q
            assert model.value(place).contains(sharp[0].mid())
            assert model.slope(place).contains(sharp[1].mid())
            assert model.curvature(place).contains(2 * sharp[2].mid())
            assert model.value(place).rad() < 1e-3  # (1/3)/(4/5) to the power 12, times 3


@pytest.mark.parametrize("phi", NUMPY, ids=lambda phi: phi.name)
def test_tables_agree_with_another_rule(phi):
    """At variances that are no nodes, to rounding; and their slope, to a central difference."""
    q = np.geomspace(0.011, 90, 41)
    values, slopes = table(phi, 0, -7, 7)(q)
    np.testing.assert_allclose(values, trapezoid(NUMPY[phi], q), rtol=1e-13)
    step = 1e-4 * q
    ends = [trapezoid(NUMPY[phi], q + sign * step) for sign in (-1, 1)]
    # The difference errs by q^3 M''' 1e-8/6 and by rounding over the step.
    np.testing.assert_allclose(slopes * q, (ends[1] - ends[0]) / 2e-4, rtol=1e-7, atol=1e-10)


def test_steep_moments_are_tabulated_by_their_logarithm():
    q = np.array([0.3, 5.0, 60.0])
    values, slopes = table(catalogue.exp, 0, -3, 6)(q)
    # Rounding of the exponent 2q counts as many times.
    np.testing.assert_allclose(values, np.exp(2 * q), rtol=1e-12)
    np.testing.assert_allclose(slopes, 2 * np.exp(2 * q), rtol=1e-11)


WAVES = {
    activation(X + sympy.sin(X) ** 2, "snake"): lambda x: x + np.sin(x) ** 2,
    activation(2 + sympy.cos(X), "level wave"): lambda x: 2 + np.cos(x),
    # x - 1 + 1/(1 + x) for x > 0: a line that is approached more slowly than exponentially.
    activation(sympy.Max(0, X) ** 2 / (1 + sympy.Max(0, X)), "slow"): (
        lambda x: np.maximum(x, 0) ** 2 / (1 + np.maximum(x, 0))
    ),
}


@pytest.mark.parametrize("phi", NUMPY | WAVES, ids=lambda phi: phi.name)
def test_asymptotes_bound_the_second_moment(phi):
    lines = asymptotes(phi)
    rate, root, constant = (float(c) for c in lines.coefficients)
    q = np.array([1.0, 30.0, 1000.0])
    rest = trapezoid((NUMPY | WAVES)[phi], q) - (rate * q + root * np.sqrt(q) + constant)
    sizes = zip(lines.remainders, (np.sqrt(q), 1, 1 / np.sqrt(q)), strict=True)
    assert (np.abs(rest) <= sum(float(r) * size for r, size in sizes)).all()


def test_what_exceeds_every_line_has_no_asymptotes():
    assert asymptotes(catalogue.exp) is None
    assert asymptotes(catalogue.monomial(3)) is None
