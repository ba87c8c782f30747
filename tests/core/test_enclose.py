"""Enclosed integrals contain the truth, also where the integrand is rough at an end."""

import mpmath as mp
import pytest
from flint import acb, arb, ctx

from kerneltheory.core.enclose import gauss_legendre, integrate, plus_minus
from kerneltheory.core.errors import PrecisionError
from kerneltheory.core.lower import square_root


def enclose(functions, low, high, digits):
    with ctx.workdps(digits + 10):
        return integrate(
            lambda x: [f(x) for f in functions],
            lambda z: max((acb(f(z)).abs_upper() for f in functions), key=float),
            arb(low),
            arb(high),
            arb(10) ** -digits,
        )


@pytest.mark.parametrize("digits", [5, 15, 40])
def test_known_integrals(digits):
    powers = enclose([lambda z, n=n: z**n for n in range(40)], 0, 1, digits)
    for n, ball in enumerate(powers):
        assert (ball * (n + 1)).contains(1)
        assert ball.rad() < arb(10) ** (1 - digits)
    (sine,) = enclose([lambda z: z.sin()], 0, arb.pi(), digits)
    assert sine.contains(2)


def test_pole_near_the_interval_costs_halvings_and_not_the_truth():
    # Poles at +- i/100: 100 atan(100) is the integral over [0, 1].
    (ball,) = enclose([lambda z: 1 / (z * z + arb(1) / 10000)], 0, 1, 20)
    with ctx.workdps(40):
        assert ball.overlaps(100 * arb(100).atan())
    assert ball.rad() < 1e-16


def test_branch_cut_away_from_the_interval():
    (ball,) = enclose([square_root], 1, 4, 25)
    with ctx.workdps(40):
        assert ball.overlaps(arb(14) / 3)


def test_singular_integrand_is_refused(monkeypatch):
    monkeypatch.setattr("kerneltheory.core.enclose.MAX_INTERVALS", 50)
    with pytest.raises(PrecisionError, match="50 intervals did not suffice"):
        enclose([lambda z: 1 / z], 0, 1, 10)


def test_rule_integrates_polynomials_below_twice_its_size():
    with ctx.workprec(200):
        rule = gauss_legendre(8, 200)
        for n in range(16):
            total = sum((w * x**n for x, w in rule), arb(0))
            assert total.contains(0 if n % 2 else arb(2) / (n + 1))
        assert not sum((w * x**16 for x, w in rule), arb(0)).overlaps(arb(2) / 17)


def test_plus_minus_is_around_zero():
    assert plus_minus(arb(2, 1)).contains(-3)
    assert plus_minus(arb(2, 1)).contains(3)


def test_mpmath_agrees_on_an_oscillating_integral():
    (ball,) = enclose([lambda z: (50 * z).cos() * z.exp()], 0, 2, 20)
    with mp.workdps(40):
        truth = (mp.exp(2) * (mp.cos(100) + 50 * mp.sin(100)) - 1) / 2501
        assert ball.overlaps(arb(mp.nstr(truth, 38)))
