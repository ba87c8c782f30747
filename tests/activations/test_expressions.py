"""Expressions of users: what is rewritten, which kinks are found, and what bounds their growth."""

import numpy as np
import pytest
import sympy

from kerneltheory.activations.activation import X, activation
from kerneltheory.activations.catalogue import leaky_relu
from kerneltheory.activations.duals import dual, dual_class
from kerneltheory.activations.growth import growth
from kerneltheory.activations.pieces import pieces
from kerneltheory.core.errors import DerivationError

HALF = sympy.Rational(1, 2)


def test_floats_are_the_rationals_that_they_are():
    slope = sympy.Rational(0.1)
    assert slope != sympy.Rational(1, 10)
    phi = activation(sympy.Max(0, X) + 0.1 * sympy.Min(0, X))
    for index, expression in enumerate(pieces(phi.expression).expressions):
        expected = pieces(leaky_relu(0.1).expression).expressions[index]
        assert sympy.expand(expression - expected) == 0
    assert dual(phi).certified(HALF).overlaps(dual(leaky_relu(0.1)).certified(HALF))
    assert activation(X**2.0).expression == X**2
    assert activation(sympy.tanh(0.5 * X)).name == "tanh(0.5*x)"


REWRITTEN = {
    sympy.erfc(X): (1 - sympy.erf(X), "elementary"),
    sympy.Integer(2) ** (-X): (sympy.exp(-X * sympy.log(2)), "elementary"),
    sympy.sech(X): (1 / sympy.cosh(X), "series"),
}


@pytest.mark.parametrize("given", REWRITTEN, ids=str)
def test_what_is_known_by_another_name_is_rewritten(given):
    expression, kind = REWRITTEN[given]
    assert activation(given).expression == expression
    assert dual_class(given).name == kind


SERIES = [
    sympy.asinh(X),
    sympy.sech(X),
    X / (2 - sympy.sqrt(2) * X + X**2),
    1 / (1 + X + X**2),
    sympy.log(2 + sympy.sin(X)),
    sympy.Abs(sympy.tanh(X)),
    sympy.Max(-HALF, sympy.tanh(X)),
]


def expectation(phi, rho, width=1 / 32, reach=10.0):
    """E[phi(u) phi(v)] by the trapezium rule: kinks cost its error the square of the width."""
    z = np.arange(-reach, reach + width / 2, width)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * width
    function = sympy.lambdify(X, phi.expression, ["scipy", "numpy"])
    inner = function(rho * z[:, None] + np.sqrt(1 - rho**2) * z)
    return float(density @ (function(z) * (inner @ density)))


@pytest.mark.parametrize("expression", SERIES[::2], ids=str)
def test_series_of_expressions_are_their_expectations(expression):
    phi = activation(expression)
    ball = dual(phi).certified(HALF, digits=10)
    assert ball.rad() < 1e-10
    kinked = len(pieces(phi.expression).breaks) > 0
    # Beyond the cut the Gaussian leaves e^-50; the rule is exact to rounding but for kinks.
    assert abs(float(ball.mid()) - expectation(phi, 0.5)) < (1e-4 if kinked else 1e-10)


@pytest.mark.parametrize("expression", SERIES, ids=str)
def test_growth_bounds_the_function(expression):
    phi = activation(expression)
    bound = growth(phi)
    x = np.concatenate([-np.logspace(-3, 2, 200), np.logspace(-3, 2, 200)])
    size = sum(float(s.upper()) * np.abs(x) ** i for i, s in bound.sizes.items())
    size = size * np.exp(float(bound.rate) * np.abs(x))
    values = sympy.lambdify(X, phi.expression, ["scipy", "numpy"])(x)
    assert np.all(np.abs(values) <= size)


@pytest.mark.parametrize(
    ("expression", "breaks"),
    [
        (sympy.Max(0, sympy.tanh(X)), (0,)),
        (sympy.Max(HALF, sympy.tanh(X)), (sympy.log(3) / 2,)),
        (sympy.Max(2, sympy.tanh(X)), ()),
        (sympy.Min(1, sympy.exp(X)), (0,)),
        (sympy.Max(0, X * (1 + sympy.erf(X))), (0,)),
        (sympy.Max(1, sympy.log(1 + sympy.exp(X))), (sympy.log(sympy.E - 1),)),
        (sympy.Abs(sympy.sinh(X - 1) * sympy.atan(X)), (0, 1)),
    ],
    ids=str,
)
def test_kinks_of_monotone_functions_are_found(expression, breaks):
    assert pieces(expression).breaks == breaks


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (1 / (X - 1), r"may have a pole, since no positive number is seen below Abs\(x\) - 1"),
        (1 / (X**2 - 2 * X + 1), "may have a pole"),
        (sympy.Max(0, sympy.sin(X)), "and of monotone functions of them, are found exactly"),
        (sympy.Max(0, X + sympy.tanh(X)), "are found exactly"),
        (sympy.Max(HALF, sympy.erf(X)), r"erfinv\(1/2\), of which only \[\] were found exactly"),
        (sympy.coth(X), "no bound is known of how coth"),
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused_with_the_reason(expression, message):
    with pytest.raises(DerivationError, match=message):
        dual(expression)
