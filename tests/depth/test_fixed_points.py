"""All fixed points of the variance: against Lambert's W, published values and plain iteration."""

import mpmath as mp
import numpy as np
import pytest
import sympy
from plain_means import mean_square

from kerneltheory.activations import catalogue
from kerneltheory.activations.activation import X, activation
from kerneltheory.depth.fixed_points import variance_fixed_points

ZERO, ONE, TWO = map(sympy.Integer, (0, 1, 2))
TENTH = sympy.Rational(1, 10)


def test_exp_has_the_two_roots_that_lamberts_function_gives():
    """q = w exp(2 q) has the roots -W(-2w)/2 of both real branches, for w < 1/(2e)."""
    found = variance_fixed_points(catalogue.exp, TENTH, ZERO)
    with mp.workdps(25):
        exact = [-mp.lambertw(mp.mpf(-2) / 10, branch).real / 2 for branch in (0, -1)]
        for point, root in zip(found, exact, strict=True):
            assert abs(mp.mpf(point.ball.mid().str(24, radius=False)) - root) < mp.mpf(10) ** -18
    assert [p.stable for p in found] == [True, False]
    assert found.above == 1
    assert found.rate is None


def test_exp_above_its_largest_weight_variance_has_none():
    assert len(variance_fixed_points(catalogue.exp, sympy.Rational(19, 100), ZERO)) == 0
    assert len(variance_fixed_points(catalogue.exp, sympy.Rational(18, 100), ZERO)) == 2


def test_a_double_root_is_told_as_undecided():
    """At w = 1/(2e) both roots meet at q = 1/2; balls cannot tell one from none or two."""
    found = variance_fixed_points(catalogue.exp, 1 / (2 * sympy.E), ZERO)
    assert not found.points
    assert not found.complete
    assert any(low <= 0.5 <= high and high - low < 1e-3 for low, high in found.undecided)


@pytest.mark.parametrize(
    ("phi", "weight", "slope", "stable"),
    [
        (catalogue.tanh, ONE, 1, True),  # tanh^2 < x^2: a double root that attracts
        (catalogue.tanh, sympy.Rational(1, 2), sympy.Rational(1, 2), True),
        (catalogue.erf, sympy.pi / 4, 1, True),
        (catalogue.hard_tanh, ONE, 1, True),  # flat to all orders, but for the kinks
        (activation(X + X**3, "x + x^3"), ONE, 1, False),  # E[phi^2] = q + 6 q^2 + 15 q^3
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_zero_is_decided_exactly(phi, weight, slope, stable):
    found = variance_fixed_points(phi, weight, ZERO)
    (point,) = found.points
    assert point.exact == 0
    assert sympy.Rational(point.slope) == slope
    assert point.stable is stable


def test_selu_keeps_unit_variance():
    """Klambauer et al. (2017) choose both constants so: mean 0 and variance 1 are fixed."""
    found = variance_fixed_points(catalogue.selu, ONE, ZERO)
    assert found.complete
    zero, one = found.points
    assert not zero.stable
    assert one.stable
    assert abs(one.variance - 1) < 1e-15


def _roots(function, w, b, q):
    """Where w E[phi^2] + b - q changes its sign, and whether from above."""
    signs = np.sign(w * mean_square(function, q) + b - q)
    places = np.nonzero(signs[1:] != signs[:-1])[0]
    return [(q[i], q[i + 1], signs[i] > 0) for i in places]


@pytest.mark.parametrize(
    ("phi", "function", "w", "b"),
    [
        (catalogue.tanh, np.tanh, sympy.Rational(9, 4), sympy.Rational(1, 20)),
        (catalogue.gelu, None, sympy.Rational(21, 10), sympy.Rational(1, 20)),
        (catalogue.cos, np.cos, TWO, ZERO),
        (activation(X**2 * sympy.exp(-(X**2)) * 3, "bump"), None, sympy.Integer(12), TENTH),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_all_roots_are_those_of_a_fine_scan(phi, function, w, b):
    if function is None:
        function = sympy.lambdify(X, phi.expression, ["scipy", "numpy"])
    found = variance_fixed_points(phi, w, b)
    assert found.complete
    scanned = _roots(function, float(w), float(b), np.geomspace(1e-3, 300, 1500))
    assert len(found) == len(scanned)
    for point, (low, high, stable) in zip(found, scanned, strict=True):
        assert low < point.variance < high
        assert point.stable == stable
        residual = float(w) * mean_square(function, point.variance) + float(b) - point.variance
        assert abs(residual) < 1e-13 * point.variance
        assert point.slope >= -0.5


def test_homogeneous_activations_are_exact():
    every = variance_fixed_points(catalogue.relu, TWO, ZERO)
    assert every.every
    (point,) = variance_fixed_points(catalogue.relu, ONE, sympy.Rational(1, 3)).points
    assert point.exact == sympy.Rational(2, 3)  # b/(1 - w/2)
    assert not variance_fixed_points(catalogue.relu, TWO, ONE).points
    assert variance_fixed_points(catalogue.relu, sympy.Integer(3), ONE).rate == sympy.Rational(3, 2)


@pytest.mark.slow
@pytest.mark.parametrize("phi", catalogue.CATALOGUE, ids=lambda phi: phi.name)
def test_the_whole_catalogue_has_fixed_points_or_says_why_not(phi):
    """Stable points attract the plain recursion from both sides of them."""
    w, b = (sympy.Rational(1, 8), TENTH) if phi.name.startswith("exp") else (ONE, TENTH)
    found = variance_fixed_points(phi, w, b)
    assert len(found) or found.above == 1
    function = sympy.lambdify(X, phi.expression, ["scipy", "numpy"])
    for point in found:
        assert np.isfinite([point.variance, point.slope]).all()
        q = point.variance * 1.001
        for _ in range(3):
            q = float(w) * mean_square(function, q) + float(b)
        # Kinks and jumps cost the trapezoidal rule its order: it errs by at most its step.
        moved = abs(q / point.variance - 1)
        assert (moved < 1.001e-3 + 2e-3) if point.stable else (moved > 1e-3)


SNAKE = activation(X + sympy.sin(X) ** 2, "snake")


def test_a_wave_on_a_line_has_the_roots_of_its_closed_form():
    """E[phi^2] = q + 3/8 - exp(-2q)/2 + exp(-8q)/8, as E[cos(a u)] = exp(-a^2 q/2)."""
    found = variance_fixed_points(SNAKE, sympy.Rational(4, 5), ZERO)
    assert found.complete
    assert found.rate == sympy.Rational(4, 5)
    assert [p.stable for p in found] == [True, False, True]

    def excess(q):
        wave = mp.mpf(3) / 8 - mp.exp(-2 * q) / 2 + mp.exp(-8 * q) / 8
        return mp.mpf(4) / 5 * (q + wave) - q

    with mp.workdps(30):
        for point, guess in zip(list(found)[1:], (0.12, 1.4), strict=True):
            root = mp.findroot(excess, guess)
            assert abs(mp.mpf(point.ball.mid().str(24, radius=False)) - root) < mp.mpf(10) ** -18


def test_a_wave_on_a_line_that_grows_is_proved_to_have_no_other_root():
    found = variance_fixed_points(SNAKE, sympy.Rational(3, 2), TENTH)
    assert found.complete
    assert not found.points
    assert found.above == 1


def test_a_wave_on_a_line_of_slope_one_is_not_decided():
    """Its mean is of the same order in q as what a bound on the wave leaves open."""
    assert not variance_fixed_points(SNAKE, ONE, TENTH).complete
