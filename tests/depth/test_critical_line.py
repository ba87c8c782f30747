"""The critical line: to 20 digits against closed forms and mpmath, and the phases beside it."""

import mpmath as mp
import numpy as np
import pytest
import sympy

import kerneltheory as kt
from kerneltheory.depth.phases import phase

POINTS = [sympy.Rational(n, 10) for n in (1, 2, 3, 5, 7, 10, 15, 20, 30, 50)]


def _erf(q):
    """THEORY: T = (2/pi) asin(2k/(1+2q)), T' = (4/pi)/sqrt((1+2q)^2 - 4k^2) at k = q."""
    weight = mp.pi * mp.sqrt((1 + 2 * q) ** 2 - 4 * q**2) / 4
    return weight, q - weight * 2 / mp.pi * mp.asin(2 * q / (1 + 2 * q))


def _tanh(q):
    root, ends = mp.sqrt(q), [0, 0.5, 1, 2, 3, 5, 8, 14]
    square, slope = (
        2 * mp.quad(lambda z, f=f: f(root * z) ** 2 * mp.npdf(z), ends)
        for f in (mp.tanh, lambda x: mp.sech(x) ** 2)
    )
    return 1 / slope, q - square / slope


@pytest.mark.parametrize(
    ("phi", "exact"),
    [(kt.erf, _erf), pytest.param(kt.tanh, _tanh, marks=pytest.mark.slow)],
    ids=("erf", "tanh"),
)
def test_twenty_digits_at_ten_points(phi, exact):
    line = kt.critical_line(phi, POINTS, digits=22)
    with mp.workdps(40):
        for q, balls in zip(POINTS, line.balls, strict=True):
            for ball, value in zip(balls, exact(mp.mpf(q.p) / q.q), strict=True):
                assert float(ball.rad()) < 1e-20 * abs(float(value))
                middle = mp.mpf(ball.mid().str(38, radius=False))
                assert abs(middle - value) < mp.mpf(10) ** -20 * abs(value)
    # Float64: relative to the scale of q, since b is a difference.
    floats = np.array([[float(b.mid()) for b in balls] for balls in line.balls])
    np.testing.assert_allclose(line.weight_variances, floats[:, 0], rtol=1e-13)
    np.testing.assert_allclose(line.bias_variances, floats[:, 1], rtol=0, atol=1e-13 * 5)


def test_the_published_point_of_tanh_is_on_it():
    """sigma_w^2 = 1.76 at sigma_b^2 = 0.05, arXiv:1806.05393 and arXiv:1912.13053."""
    line = kt.critical_line(kt.tanh, np.linspace(0.2, 0.8, 61))
    weight = np.interp(0.05, line.bias_variances, line.weight_variances)
    assert round(weight, 2) == 1.76


@pytest.mark.parametrize(
    "phi", [kt.erf, pytest.param(kt.tanh, marks=pytest.mark.slow)], ids=lambda phi: phi.name
)
def test_order_and_chaos_lie_beside_it(phi):
    line = kt.critical_line(phi, [0.3, 1.5])
    for q, w, b in zip(line.variances, line.weight_variances, line.bias_variances, strict=True):
        below, above = (phase(phi, float(w) * (1 + s), float(b)) for s in (-0.05, 0.05))
        assert (below.name, above.name) == ("ordered", "chaotic")
        assert below.q_star < q < above.q_star


def test_formulas_are_exact_where_the_dual_is_elementary():
    weight, bias = kt.critical_line(kt.erf, [1]).formulas
    (q,) = weight.args
    assert sympy.simplify(weight.rhs - sympy.pi * sympy.sqrt(1 + 4 * q) / 4) == 0
    exact = q - sympy.sqrt(1 + 4 * q) / 2 * sympy.asin(2 * q / (1 + 2 * q))
    assert abs((bias.rhs - exact).subs(q, sympy.Rational(7, 3)).evalf(30)) < 1e-28
    assert kt.critical_line(kt.tanh, [1]).formulas is None


def test_relu_is_critical_at_two_only():
    line = kt.critical_line(kt.relu, [0.1, 1, 10])
    np.testing.assert_allclose(line.weight_variances, 2, rtol=1e-14)
    np.testing.assert_allclose(line.bias_variances, 0, atol=1e-14 * 10)


def test_sigmoid_has_no_admissible_point():
    """E[phi^2] >= 1/4 and E[phi'^2] <= 1/16, hence b = q - E[phi^2]/E[phi'^2] <= q - 4 < 0."""
    line = kt.critical_line(kt.sigmoid, [0.01, 1.0, 3.0])
    assert not line.admissible.any()
    assert (line.bias_variances < line.variances - 4).all()


def test_it_converts_and_prints():
    line = kt.critical_line(kt.erf, np.linspace(0.1, 2, 12))
    assert line.to_xarray()["weight_variance"].dims == ("variance",)
    assert "..." in repr(line)
    with pytest.raises(ValueError, match="digits must be given"):
        _ = line.balls


def test_bad_input_is_refused():
    with pytest.raises(kt.DivergentError, match="phi jumps"):
        kt.critical_line(kt.sign, [1.0])
    with pytest.raises(ValueError, match="variances must be positive"):
        kt.critical_line(kt.tanh, [1.0, 0.0])
    with pytest.raises(ValueError, match="variances must be positive"):
        kt.critical_line(kt.tanh, [])
    with pytest.raises(TypeError, match="variances"):
        kt.critical_line(kt.tanh, ["a"])
    with pytest.raises(TypeError, match="variances"):
        kt.critical_line(kt.tanh, [[1.0, 2.0]])
    with pytest.raises(ValueError, match="one axis"):
        kt.critical_line(kt.tanh, 1.0)
