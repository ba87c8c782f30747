"""Critical points against published values, closed forms, planted zeros and iterated recursions."""

import copy
import math
import pickle

import mpmath
import numpy as np
import pytest
import sympy
from flint import arb, ctx

import kerneltheory as kt
from kerneltheory.activations.activation import X, activation
from kerneltheory.activations.catalogue import hermite, monomial
from kerneltheory.core import lower
from kerneltheory.depth import half_stable

# arXiv:2106.10165, section 5.3: K*, w and b to its eight decimals. Its bias variance of SWISH is
# printed as 0.055514317, a tenth of what solves the equations.
PRINTED_SWISH_BIAS = 0.055514317
PUBLISHED = {
    "gelu": ((3 + math.sqrt(17)) / 2, 1.98305826, 0.17292239),
    "swish": (14.32017362, 1.98800468, 10 * PRINTED_SWISH_BIAS),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_half_stable_points_are_the_published_ones(name):
    point = kt.critical_point(getattr(kt, name), digits=30)
    assert point.universality == "half-stable"
    found = point.variance, point.weight_variance, point.bias_variance
    np.testing.assert_allclose(found, PUBLISHED[name], atol=5.1e-9)


@pytest.mark.parametrize("name", PUBLISHED)
def test_half_stable_points_hold_thirty_digits(name):
    point = kt.critical_point(getattr(kt, name), digits=30)
    for quantity in ("variance", "weight_variance", "bias_variance", "vertex_slope", "drift"):
        ball = point.certified(quantity)
        assert lower.relative_radius(ball) < 1e-30, quantity
    for chi in ("chi_par", "chi_perp"):
        assert point.certified(chi).contains(1)
        assert float(point.certified(chi).rad()) < 1e-30


def test_the_point_of_gelu_is_the_root_of_a_quadratic():
    point = kt.critical_point(kt.gelu, digits=30)
    with ctx.workdps(60):
        assert point.certified("variance").contains((3 + arb(17).sqrt()) / 2)


def trapezoid_mean(function, variance):
    """E[function(z)] by the trapezoidal rule, whose error is that of a Gaussian's spectrum.

    With poles of z at i pi, at distance pi/sqrt(K) = 0.83 of u, a step of 1/16 errs by
    exp(-2 pi 0.83 * 16) < 1e-36, and |u| > 14 by exp(-98) < 1e-42.
    """
    step = mpmath.mpf(1) / 16
    root = mpmath.sqrt(variance)
    nodes = [step * i for i in range(-16 * 14, 16 * 14 + 1)]
    weight = step / mpmath.sqrt(2 * mpmath.pi)
    return weight * sum(mpmath.exp(-u * u / 2) * function(root * u, u) for u in nodes)


def test_the_bias_of_swish_solves_the_equations_and_the_printed_one_does_not():
    point = kt.critical_point(kt.swish, digits=30)
    with mpmath.workdps(40):
        K, w, b = (
            mpmath.mpf(point.certified(name).str(36, radius=False))
            for name in ("variance", "weight_variance", "bias_variance")
        )

        def phi(x):
            return x / (1 + mpmath.exp(-x))

        def slope(x):
            s = 1 / (1 + mpmath.exp(-x))
            return s + x * s * (1 - s)

        square = trapezoid_mean(lambda x, u: phi(x) ** 2, K)
        chi_par = w / (2 * K) * trapezoid_mean(lambda x, u: phi(x) ** 2 * (u * u - 1), K)
        chi_perp = w * trapezoid_mean(lambda x, u: slope(x) ** 2, K)
        assert abs(w * square + b - K) < mpmath.mpf(10) ** -28
        assert abs(chi_par - 1) < mpmath.mpf(10) ** -28
        assert abs(chi_perp - 1) < mpmath.mpf(10) ** -28
        # The printed one is no fixed point at the printed K*, by nine tenths of ours.
        assert abs(w * square + PRINTED_SWISH_BIAS - K) > 0.49
    # Its digits are ours, one place further right.
    assert abs(point.bias_variance / PRINTED_SWISH_BIAS - 10) < 2e-8


# --- planted zeros of E[phi phi''] ------------------------------------------------------------


def test_a_hermite_polynomial_is_half_stable_at_unit_variance():
    # E[h4^2] = 1, h4' = 2 h3 and h4'' is orthogonal to h4 at K = 1: w = 1/4, b = 3/4.
    point = kt.critical_point(hermite(4), digits=20)
    expected = {"variance": 1, "weight_variance": "1/4", "bias_variance": "3/4"}
    for name, value in expected.items():
        assert point.certified(name).contains(lower.to_fmpq(sympy.Rational(value)))
        assert lower.relative_radius(point.certified(name)) < 1e-20


@pytest.mark.parametrize(
    ("expression", "zeros"),
    [
        # E[6 z^4 - 6 z^2] = 18 K^2 - 6 K.
        (X**3 - X, ["1/3"]),
        # A polynomial in K by moments, with several positive roots.
        pytest.param(X**4 - 6 * X**2 + 3, None, marks=pytest.mark.slow),
        # Masses 1 at 0 and -5 at 2: exp(2/K) = 5.
        (1 + X + sympy.Max(X, 0) - sympy.Max(X - 2, 0), [2 / sympy.log(5)]),
    ],
)
def test_planted_zeros_are_found_and_no_others(expression, zeros):
    phi = activation(expression)
    if zeros is None:
        K = sympy.Symbol("K", positive=True)
        product = sympy.Poly(sympy.expand(expression * sympy.diff(expression, X, 2)), X)
        mean = sum(
            c * K ** (power // 2) * sympy.factorial2(power - 1) for (power,), c in product.terms()
        )
        zeros = [root for root in sympy.Poly(mean, K).nroots(n=40) if root.is_real and root > 0]
    search = half_stable.zeros(phi)
    assert len(search.brackets) == len(zeros)
    for bracket, zero in zip(search.brackets, sorted(zeros, key=sympy.N), strict=True):
        found = half_stable.refine(phi, bracket, 25)
        assert lower.relative_radius(found) < 1e-25
        with ctx.workdps(60):
            expected = arb(str(sympy.N(zero, 50)))
        assert abs(found - expected) < 1e-24


def test_a_taylor_polynomial_and_its_remainder_hold_the_mean_curvature():
    # Of sin: E[phi phi''] = -E[sin^2] = -(1 - exp(-2K))/2.
    with ctx.workdps(30):
        middle, radius = arb("1.5"), arb("0.5")
        expansion = half_stable.expand(kt.sin, middle, radius, 12, 12)
        for t in ("-0.5", "-0.2", "0", "0.31", "0.5"):
            exact = -(1 - (-2 * (middle + arb(t))).exp()) / 2
            assert expansion.value(arb(t)).overlaps(exact)
            assert expansion.slope(arb(t)).overlaps(-(-2 * (middle + arb(t))).exp())
        # The remainder is of the size that its bound promises, and so is of use.
        assert float(expansion.value(radius).rad()) < 1e-3


# --- exact classes ----------------------------------------------------------------------------


@pytest.mark.parametrize(("negative", "positive"), [(0, 1), (1, 1), (-1, 1), ("1/10", 1), (3, -2)])
def test_two_lines_are_scale_invariant(negative, positive):
    a, b = sympy.Rational(negative), sympy.Rational(positive)
    point = kt.critical_point(kt.two_slope(a, b))
    assert point.universality == "scale-invariant"
    assert point.exact("weight_variance") == 2 / (a**2 + b**2)
    assert point.exact("bias_variance") == 0
    assert point.variance is None
    # 3 A_4/A_2^2 - 1: 2 of a line and 5 of relu.
    assert point.exact("vertex_slope") == 6 * (a**4 + b**4) / (a**2 + b**2) ** 2 - 1


@pytest.mark.parametrize(
    ("phi", "w", "drift"),
    [
        (kt.tanh, 1, -2),  # x - x^3/3
        (kt.sin, 1, -1),  # x - x^3/6
        (kt.erf, sympy.pi / 4, -2),  # (2/sqrt(pi)) (x - x^3/3)
        (kt.arctan, 1, -2),  # x - x^3/3
    ],
)
def test_odd_smooth_activations_are_critical_at_zero(phi, w, drift):
    point = kt.critical_point(phi)
    assert point.universality == "K* = 0"
    assert sympy.simplify(point.exact("weight_variance") - w) == 0
    assert (point.bias_variance, point.variance) == (0, 0)
    assert point.exact("drift") == point.exact("perpendicular_drift") == drift
    assert (point.exact("p_par"), point.exact("p_perp")) == (2, 1)
    assert point.exact("tangent_limit") == sympy.Rational(-1, drift)


def test_an_even_part_makes_both_drifts_differ():
    # s = (1, 1, -3): a_1 = -3 + 3/4, b_1 = -3 + 1.
    point = kt.critical_point(X * sympy.exp(-(X**2) / 2) + X**2 / 2 * sympy.exp(-(X**2)))
    assert point.exact("drift") == sympy.Rational(-9, 4)
    assert point.exact("perpendicular_drift") == -2
    assert point.exact("p_perp") == sympy.Rational(8, 9)


def erf_layers(count, start):
    """K and chi_perp of erf at w = pi/4 from the closed dual; a list of each."""
    K, variances, slopes = start, [], []
    for _ in range(count):
        variances.append(K)
        slopes.append(1 / math.sqrt(1 + 4 * K))
        K = math.asin(2 * K / (1 + 2 * K)) / 2
    return np.array(variances), np.array(slopes)


def test_exponents_of_erf_are_those_of_its_iterated_recursion():
    count = 20_000
    variances, slopes = erf_layers(count, 0.3)
    point, half = kt.critical_point(kt.erf), count // 2
    # 1/K grows by -a (1 + O(K)) a layer, so that what is added to -a is O(log 2/l) here.
    growth = (1 / variances[-1] - 1 / variances[half - 1]) / half
    assert abs(growth + point.drift) < 20 / count
    fall = -np.log(slopes[half:]).sum() / math.log(2)
    assert abs(fall - point.p_perp) < 20 * math.log(count) / count
    theta = 0.3
    for K, chi in zip(variances[1:], slopes[:-1], strict=True):
        theta = K + chi * theta
    # It approaches its limit as l^-p_perp, with logarithms.
    assert abs(theta - point.tangent_limit) < 20 * math.log(count) / count


@pytest.mark.parametrize("phi", [kt.softsign, kt.selu])
def test_kinks_of_the_second_derivative_make_another_class(phi):
    """K falls as 4/(a l)^2, by iteration with scipy's half-range quadrature."""
    point = kt.critical_point(phi, digits=15)
    assert (point.exact("order"), point.exact("p_par"), point.exact("p_perp")) == (
        sympy.Rational(1, 2), 3, 2,
    )  # fmt: skip
    z, weights = np.polynomial.legendre.leggauss(60)
    z, weights = 5 * (z + 1), 5 * weights * np.exp(-((5 * (z + 1)) ** 2) / 2) / np.sqrt(2 * np.pi)
    function = sympy.lambdify(X, phi.expression, "numpy")
    K, count, marks = 0.1, 4000, {}
    for layer in range(1, count + 1):
        x = np.sqrt(K) * np.concatenate([-z, z])
        square = np.tile(weights, 2) @ function(x) ** 2
        K = point.weight_variance * square
        marks[layer] = K
    # 1/sqrt(K) grows by -a/2 (1 + O(sqrt(K))) a layer.
    growth = (marks[count] ** -0.5 - marks[count // 2] ** -0.5) / (count // 2)
    assert abs(growth + point.drift / 2) < 20 / count


# --- none ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phi", "reason"),
    [
        (kt.sigmoid, "E[phi phi''] < 0 at every variance in [0.001, 1000]: proved"),
        (kt.softplus, "phi phi'' > 0, so that chi_par > chi_perp at every variance"),
        (kt.cos, "phi phi'' < 0, so that chi_par < chi_perp at every variance"),
        (kt.exp, "phi phi'' > 0"),
        (monomial(3), "phi'(0) is 0"),
        (kt.hard_tanh, "is not decided by a = 0"),
        (kt.step, "phi jumps"),
        (kt.sign, "phi jumps"),
        (X + 1, "give one as `variance`"),
    ],
)
def test_without_a_critical_point_the_reason_is_said(phi, reason):
    point = kt.critical_point(phi)
    assert point.universality == "none"
    assert reason in point.reason
    assert point.weight_variance is None
    assert point.certified("variance") is None


def test_a_negative_bias_is_no_critical_point():
    # 1 + x + max(x, 0) - max(x - 2, 0) has E[phi phi''] = 0 at K = 2/log 5 only, and b < 0 there.
    phi = activation(1 + X + sympy.Max(X, 0) - sympy.Max(X - 2, 0))
    point = kt.critical_point(phi, digits=15)
    K = 2 / math.log(5)
    z = np.linspace(-12, 12, 400_001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    x = math.sqrt(K) * z
    value = 1 + x + np.maximum(x, 0) - np.maximum(x - 2, 0)
    slope = 1.0 + (x > 0) - (x > 2)
    b = K - (value**2 @ density) / (slope**2 @ density)
    assert b < 0
    assert point.universality == "none"
    assert f"b = {b:.2f}" in point.reason  # its first digits


# --- at a variance ----------------------------------------------------------------------------


@pytest.mark.parametrize("variance", [0.25, 1, 3])
def test_the_critical_line_of_erf_is_its_closed_form(variance):
    # T = (2/pi) asin(2q/(1+2q)), T' = (4/pi)/sqrt(1+4q) (Williams 1996).
    point = kt.critical_point(kt.erf, variance=variance, digits=25)
    q = sympy.Rational(variance)
    w = sympy.pi * sympy.sqrt(1 + 4 * q) / 4
    b = q - w * 2 / sympy.pi * sympy.asin(2 * q / (1 + 2 * q))
    with ctx.workdps(40):
        for name, exact in (("weight_variance", w), ("bias_variance", b)):
            difference = point.certified(name) - arb(1) * lower.to_balls((), exact)()
            assert abs(difference) < 1e-25
    assert point.universality == "critical line"
    assert point.chi_perp == 1


def test_the_line_of_relu_is_one_point():
    point = kt.critical_point(kt.relu, variance=7)
    assert (point.exact("variance"), point.exact("weight_variance")) == (7, 2)


def test_the_line_meets_the_half_stable_point():
    point = kt.critical_point(kt.gelu, digits=15)
    near = kt.critical_point(kt.gelu, variance=point.variance, digits=15)
    assert abs(near.chi_par - 1) < 1e-12
    assert abs(near.bias_variance - point.bias_variance) < 1e-12


# --- records and bad input --------------------------------------------------------------------


def test_records_copy_print_and_render():
    point = kt.critical_point(kt.gelu, digits=15)
    assert pickle.loads(pickle.dumps(point)) == point
    assert copy.deepcopy(point) == point
    assert hash(copy.deepcopy(point)) == hash(point)
    assert "3.5615528128088" in repr(point)
    assert "3.5615528128088" in point._repr_html_()
    assert "half-stable" in point._repr_html_()
    with pytest.raises(ValueError, match="name must be one of weight_variance"):
        point.exact("K")
    with pytest.raises(AttributeError, match="no attribute 'weights'"):
        _ = point.weights


@pytest.mark.slow
def test_it_draws_both_susceptibilities():
    point = kt.critical_point(kt.gelu, digits=15)
    axes = point.plot(variances=[0.5, point.variance, 9.0])
    parallel, across = (line.get_ydata() for line in axes.lines if line.get_label()[0] == "$")
    assert parallel[1] == pytest.approx(1, abs=1e-12)
    assert across[1] == pytest.approx(1, abs=1e-12)
    with pytest.raises(ValueError, match="step has no finite chi_perp"):
        kt.critical_point(kt.step).plot()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: kt.critical_point(kt.tanh, variance=0), ValueError, "variance must be positive"),
        (lambda: kt.critical_point(kt.tanh, variance=-1), ValueError, "got -1"),
        (lambda: kt.critical_point(kt.tanh, variance="1"), TypeError, "variance"),
        (lambda: kt.critical_point(kt.tanh, digits=0), ValueError, "digits"),
        (lambda: kt.critical_point("tanh"), TypeError, "phi must be an Activation"),
        (lambda: kt.critical_point(sympy.exp(X**2)), kt.DerivationError, "grows too fast"),
        (lambda: kt.critical_point(kt.step, variance=1), kt.DivergentError, "phi jumps"),
        (lambda: kt.critical_point(kt.sigmoid, variance=1), ValueError, "has b = -"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
