"""Translations between arithmetics: equal in value, cached, and refused where there is none."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import sympy
from flint import acb, arb, arb_series, ctx

from kerneltheory.core import lower
from kerneltheory.core.errors import LoweringError
from kerneltheory.core.normal import BivariateNormalCDF, ConditionalNormalCDF, NormalCDF

x, y = sympy.symbols("x y", real=True)
EXPRESSIONS = [
    *(getattr(sympy, name)(x) for name in sorted(lower.NUMERIC_FUNCTIONS)),
    x**-3,
    x ** sympy.Rational(5, 2),
    x ** sympy.Rational(-3, 2),
    x ** sympy.Rational(-2, 3),
    sympy.pi * x + sympy.E,
]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_three_arithmetics_agree_with_mpmath(expression):
    point = sympy.Rational(3, 7)
    with ctx.workdps(40), mp.workdps(45):
        ball = lower.to_balls((x,), expression)(arb(lower.to_fmpq(point)))
        truth = sympy.lambdify(x, expression, "mpmath")(mp.mpf(3) / 7)
        assert ball.overlaps(arb(mp.nstr(truth, 44)))
        assert ball.rad() < 1e-36
    with jax.enable_x64(True):
        value = float(jnp.asarray(lower.to_jax((x,), expression)(jnp.asarray(3 / 7))))
    # A few units in the last place, and 3/7 itself is rounded.
    assert value == pytest.approx(float(truth), rel=8 * 2**-52)


@pytest.mark.parametrize(
    "value", [2, 0.5, Fraction(1, 3), np.float32(0.1), np.int64(3), sympy.S(7)]
)
def test_exact_does_not_round(value):
    exact = lower.exact("w", value)
    assert isinstance(exact, sympy.Rational)
    number = value.item() if isinstance(value, np.generic) else value
    assert Fraction(int(exact.p), int(exact.q)) == Fraction(str(number) if value == 7 else number)


@pytest.mark.parametrize("value", ["2", True, None, float("inf"), float("nan"), [1], 1j])
def test_exact_names_the_argument_that_is_no_number(value):
    with pytest.raises(TypeError, match="w must be a finite real number"):
        lower.exact("w", value)
    with pytest.raises(TypeError, match=r"w must be an int, a float, .* got sqrt"):
        lower.exact("w", sympy.sqrt(2))


def test_translations_are_made_once():
    assert lower.to_jax((x,), x**2) is lower.to_jax((x,), x**2)
    assert lower.to_balls((x,), x**2) is lower.to_balls((x,), x**2)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (sympy.airyai(x), "has no ball form"),
        (sympy.Float("0.1") * x, "is a rounded number"),
        (sympy.GoldenRatio * x, "the constant GoldenRatio has no ball form"),
        (sympy.Abs(x), "has no ball form"),
        (x * sympy.Symbol("y"), r"free symbols \['y'\]"),
    ],
    ids=str,
)
def test_no_ball_form_is_said_at_translation(expression, message):
    with pytest.raises(LoweringError, match=message):
        lower.to_balls((x,), expression)


@pytest.mark.parametrize(
    ("expression", "cut", "smooth"),
    [
        (sympy.sqrt(x), acb(-1, 0), acb(1, 0)),
        (sympy.log(x), acb(-1, 0), acb(1, 0)),
        (sympy.asin(x), acb(2, 0), acb(0, 2)),
        (sympy.acos(x), acb(-2, 0), acb(0, -2)),
        (sympy.atan(x), acb(0, 3), acb(3, 0)),
        (x ** sympy.Rational(1, 3), acb(-8, 0), acb(8, 0)),
    ],
    ids=str,
)
def test_branch_cut_inside_a_complex_ball_is_not_finite(expression, cut, smooth):
    # An enclosure of two branches is finite and true and yet no bound of an analytic function.
    function = lower.to_balls((x,), expression)
    box = acb(arb(0, 0.1), arb(0, 0.1))
    assert not function(cut + box).is_finite()
    assert function(smooth + box).is_finite()


def test_power_series_of_balls():
    series = lower.to_balls((x,), sympy.exp(2 * x) / (1 - x))(arb_series([0, 1], prec=4))
    # sum_n (sum_{m <= n} 2^m / m!) x^n
    for k, value in enumerate([1, 3, 5, sympy.Rational(19, 3)]):
        assert series[k].overlaps(arb(lower.to_fmpq(sympy.Rational(value))))


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_every_function_has_a_power_series(expression):
    with ctx.workdps(40):
        point = arb(3) / 7
        series = lower.to_balls((x,), expression)(arb_series([point, 1], prec=4))
        for order in range(4):
            derivative = sympy.diff(expression, x, order).subs(x, sympy.Rational(3, 7))
            truth = str(sympy.N(derivative / sympy.factorial(order), 30))
            assert abs(series[order] - arb(truth)) < 1e-25


ON_ARRAYS = [*EXPRESSIONS, x**x, sympy.hyper((1, x), (2,), x), sympy.Max(x, 1) * NormalCDF(x)]


@pytest.mark.parametrize("expression", ON_ARRAYS, ids=str)
def test_arrays_of_balls_are_taken_entry_by_entry(expression):
    """What does not depend on the entries is computed once, and what is shared of both, too."""
    function = lower.to_balls((x, y), expression * sympy.sqrt(y))
    pair = lower.to_balls((x, y), (expression * sympy.sqrt(y), sympy.sqrt(y) + x))
    entries = [arb(3) / 7, arb(1) / 3, arb(6) / 7]
    values, (first, second) = (f(np.array(entries, object), arb(2)) for f in (function, pair))
    for entry, value, one, other in zip(entries, values, first, second, strict=True):
        expected = function(entry, arb(2))
        for found, truth in ((value, expected), (one, expected), (other, arb(2).sqrt() + entry)):
            assert found.overlaps(truth)
            assert found.rad() < arb(2) ** -40


def test_rounding_to_float_is_to_nearest():
    with ctx.workprec(200):
        for bits, rounded in ((arb(2) ** -54 * 3, 2.0**-52), (arb(2) ** -54, 0.0)):
            assert lower.to_float(1 + bits) == 1 + rounded


def test_relative_radius_is_infinite_where_zero_is_not_excluded():
    assert lower.relative_radius(arb(0)) == 0
    assert lower.relative_radius(arb(0, 1)) == float("inf")
    assert lower.relative_radius(arb("nan")) == float("inf")
    # A ball [3, 5]: radius 1 over the smallest magnitude 3; radii carry 30 bits.
    assert lower.relative_radius(arb(4, 1)) == pytest.approx(1 / 3, rel=2**-28)


@pytest.mark.parametrize(
    "expression",
    [
        sympy.exp(-x) * sympy.cosh(2 * x),
        sympy.exp(-x) * sympy.sinh(x) * (1 + x),
        (3 * sympy.sinh(x) - sympy.cosh(x) / 2) * sympy.exp(-2 * x),
        sympy.exp(-x) / (1 + sympy.exp(-x)) ** 2,
        sympy.sinh(x) / sympy.cosh(x) ** 2,
        sympy.log(2 + 3 * sympy.exp(x)) * sympy.exp(x) * sympy.exp(x**2),
        sympy.exp(x**2 / 2) * NormalCDF(-x),
        sympy.exp(x) * BivariateNormalCDF(-x, x - 1, -x / 2) / sympy.cosh(x),
        sympy.exp(x) * ConditionalNormalCDF(x, -1, x / 3) * sympy.exp(-3 * x),
    ],
    ids=str,
)
def test_combined_exponents_are_the_same_function_with_the_same_derivative(expression):
    function = lower.to_jax((x,), expression)
    both = jax.jit(jax.value_and_grad(lambda t: jnp.asarray(function(t))))
    for point in (-0.75, 0.0, 0.25, 1.5):
        with jax.enable_x64(True), ctx.workdps(40):
            value, slope = both(point)
            truths = (
                lower.to_float(arb(lower.to_balls((x,), e)(arb(point))))
                for e in (expression, sympy.diff(expression, x))
            )
        np.testing.assert_allclose((value, slope), tuple(truths), rtol=1e-13, atol=1e-15)


def test_products_of_far_exponentials_do_not_overflow():
    q = 5000.0
    with jax.enable_x64(True):
        decay = lower.to_jax((x,), sympy.exp(x**2 / 2) * NormalCDF(-x))(q)
        half = lower.to_jax((x,), sympy.exp(-x) * sympy.sinh(x))(q)
        none = lower.to_jax((x,), sympy.exp(-x) / (1 + sympy.exp(-x)) ** 2)(-q)
    # Mills' ratio: 1/(q sqrt(2 pi)) (1 - 1/q^2 + ...); the exponent q^2/2 is rounded.
    assert float(decay) == pytest.approx(1 / (q * np.sqrt(2 * np.pi)), rel=q**2 * 2**-52 + q**-2)
    assert (float(half), float(none)) == (0.5, 0.0)


@pytest.mark.parametrize("exponent", [2, 3, 5, 8])
def test_powers_of_balls_around_zero(exponent):
    x = sympy.Symbol("x", real=True)
    power = lower.to_balls((x,), x**exponent)
    ball = power(arb(0, 0.5))
    assert ball.contains(arb(0))
    assert ball.contains(arb(1) / 2**exponent)
    assert float(ball.rad()) < 1.01 / 2**exponent
    series = power(arb_series([arb(0, 0.5), 1], prec=1))
    assert series[0].contains(arb(1) / 2**exponent)
