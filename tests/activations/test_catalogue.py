"""Every entry of the catalogue: its dual against quadrature, the literature and its certificate."""

import itertools

import numpy as np
import problems
import pytest
import sympy

from kerneltheory.activations.activation import X
from kerneltheory.activations.catalogue import (
    CATALOGUE,
    ELEMENTARY,
    absolute,
    exponential,
    gabor,
    gaussian,
    hermite,
    leaky_relu,
    monomial,
    polynomial,
    rbf_feature,
    rectified_monomial,
    relu,
    scaled_erf,
    sigmoid_erf,
    sign,
    sin,
    sine,
    softsign,
    step,
    tanh,
)
from kerneltheory.activations.derive import derive_dual
from kerneltheory.activations.derive_coefficients import (
    CoefficientCertificate,
    N,
    derive_hermite_coefficients,
)
from kerneltheory.activations.duals import RHO, dual
from kerneltheory.activations.hermite import hermite_coefficients
from kerneltheory.activations.pieces import pieces
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.prove import is_zero

_HALF = sympy.Rational(1, 2)
by_name = problems.by_name()


@by_name
def test_every_derivation_is_verified(phi):
    derive_dual(phi).verify(digits=12)


# A series takes three of its own for a second derivative; one stands here for all.
@problems.by_name([*CATALOGUE[: CATALOGUE.index(tanh)], tanh, softsign])
def test_second_derivatives_of_duals_are_verified(phi):
    statuses = derive_dual(phi, 2).verify(digits=12).statuses
    assert statuses[0] == "definition"
    assert set(statuses[1:]) == {"certified to 12 digits"}


@pytest.mark.parametrize("phi", ELEMENTARY, ids=lambda phi: phi.name)
def test_closed_forms_of_hermite_coefficients_are_verified(phi):
    statuses = derive_hermite_coefficients(phi).verify(digits=12).statuses
    assert statuses == ("definition", "certified to 12 digits")


@pytest.mark.parametrize(
    ("phi", "change", "degree"),
    [
        (relu, lambda closed: closed / 2, 0),
        # The general form at a degree that is an exception, and a parity lost.
        (relu, lambda closed: closed.args[-1][0], 1),
        (sin, lambda closed: closed * sympy.I**N, 1),
        (exponential(-_HALF), lambda closed: sympy.Abs(closed), 1),
        (sign, lambda closed: closed * sympy.Piecewise((1, N < 20), (2, True)), 25),
    ],
)
def test_a_wrong_closed_form_is_refuted(phi, change, degree):
    evidence = CoefficientCertificate(phi, change(hermite_coefficients(phi, N)))
    with pytest.raises(DerivationError, match=f"at n = {degree}, "):
        evidence.verify(12)


def panels(breaks, width=0.5, reach=13.0):
    """Nodes and weights of a composite rule on [-reach, reach] that has the breaks among its ends.

    Scaling between given ends keeps the number of panels: breaks may be arrays of the same shape.
    A panel is then at most 2 reach/count wide, about 1: 16 nodes integrate what is analytic within
    pi/2 of it, as tanh is, to 6^-32.
    """
    count = int(2 * reach / width / (len(breaks) + 1))
    node, weight = np.polynomial.legendre.leggauss(16)
    ends = [np.full_like(breaks[0], -reach), *(np.clip(b, -reach, reach) for b in breaks)]
    ends.append(np.full_like(breaks[0], reach))
    nodes, weights = [], []
    for low, high in itertools.pairwise(ends):
        step = (high - low)[..., None, None] / count
        place = np.arange(count)[:, None] + (node + 1) / 2
        z = (low[..., None, None] + step * place).reshape(*low.shape, -1)
        nodes.append(z)
        weights.append(np.broadcast_to(step * weight / 2, (*low.shape, count, 16)).reshape(z.shape))
    z = np.concatenate(nodes, axis=-1)
    return z, np.concatenate(weights, axis=-1) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


@by_name
@pytest.mark.parametrize("rho", [-0.9, 0.3, 0.8])
def test_dual_is_the_gaussian_expectation(phi, rho):
    """E[phi(z) E[phi(rho z + s y) | z]]: panels end at every kink, of z and then of y."""
    function = sympy.lambdify(X, phi.expression, ["scipy", "numpy"])
    breaks = sorted({0.0, *map(float, pieces(phi.expression).breaks)})
    z, outer = panels([np.array(b) for b in breaks])
    s = np.sqrt(1 - rho**2)
    y, inner = panels([(b - rho * z) / s for b in breaks])
    total = np.sum(outer * function(z) * np.sum(inner * function(rho * z[:, None] + s * y), axis=1))
    # The cut at 13 leaves e^{-84} times at most e^{28}; the rest is rounding of the sum.
    scale = float(dual(phi)(1.0))
    assert float(dual(phi)(rho)) == pytest.approx(total, abs=1e-11 * max(scale, 1))


LITERATURE = {
    # Cho and Saul (2009); theta = acos(rho).
    step: (sympy.pi - sympy.acos(RHO)) / (2 * sympy.pi),
    relu: (sympy.sqrt(1 - RHO**2) + RHO * (sympy.pi - sympy.acos(RHO))) / (2 * sympy.pi),
    rectified_monomial(2): (
        3 * RHO * sympy.sqrt(1 - RHO**2) + (1 + 2 * RHO**2) * (sympy.pi - sympy.acos(RHO))
    )
    / (2 * sympy.pi),
    # van Vleck and Middleton (1966), the arcsine law.
    sign: 2 * sympy.asin(RHO) / sympy.pi,
    # Daniely, Frostig and Singer (2016).
    hermite(4): RHO**4,
    hermite(7): RHO**7,
    sin: sympy.exp(-1) * sympy.sinh(RHO),
    exponential(2): sympy.exp(4 + 4 * RHO),
    # Rahimi and Recht (2007): exp(-gamma |x - z|^2) at |x - z|^2 = 2 - 2 rho.
    rbf_feature(sympy.Rational(3, 4)): sympy.exp(-sympy.Rational(3, 2) * (1 - RHO)),
    # Williams (1996).
    gaussian(1): 1 / sympy.sqrt(9 - 4 * RHO**2),
    scaled_erf(sympy.Rational(1, 2)): 2 * sympy.asin(RHO / 3) / sympy.pi,
    sigmoid_erf: sympy.Rational(1, 4) + sympy.asin(RHO / 2) / (2 * sympy.pi),
    # Isserlis (1918): E[u^3 v^3] = 9 rho + 6 rho^3.
    monomial(3): 9 * RHO + 6 * RHO**3,
}


@pytest.mark.parametrize("phi", LITERATURE, ids=lambda phi: phi.name)
def test_dual_is_that_of_the_literature(phi):
    expected = LITERATURE[phi].rewrite(sympy.asin)
    assert is_zero(sympy.expand(dual(phi).rhs.rewrite(sympy.exp) - expected.rewrite(sympy.exp)))


def test_two_slopes_are_sums_of_relu_and_its_mirror_image():
    """phi(x) = relu(x) - a relu(-x), so the dual is (1 + a^2) relu(rho) - 2 a relu(-rho)."""
    a = sympy.Rational(3, 10)
    reflected = dual(relu).rhs.subs(RHO, -RHO)
    expected = (1 + a**2) * dual(relu).rhs - 2 * a * reflected
    assert is_zero(dual(leaky_relu(a)).rhs - expected)
    assert is_zero(dual(leaky_relu(-1)).rhs - dual(absolute).rhs)


def test_a_quarter_period_turns_sine_into_cosine_up_to_the_even_part():
    """sin(w x + p) = cos(p) sin(w x) + sin(p) cos(w x), whose parities do not mix."""
    p = sympy.Rational(1, 3)
    expected = sympy.exp(-4) * (
        sympy.cos(p) ** 2 * sympy.sinh(4 * RHO) + sympy.sin(p) ** 2 * sympy.cosh(4 * RHO)
    )
    found = dual(sine(2, p))
    for rho in (-0.7, 0.1, 0.9):
        assert float(found(rho)) == pytest.approx(float(expected.subs(RHO, rho)), rel=1e-14)


@pytest.mark.parametrize(
    ("make", "arguments", "name"),
    [
        (leaky_relu, ("a",), "slope"),
        (rectified_monomial, (-1,), "power"),
        (monomial, (0,), "power"),
        (polynomial, (1,), "coefficients"),
        (hermite, (0,), "degree"),
        (scaled_erf, (0,), "scale"),
        (sine, (0,), "frequency"),
        (exponential, (0,), "rate"),
        (gaussian, (-1,), "decay"),
        (gabor, (1, 0), "frequency"),
        (rbf_feature, (0,), "gamma"),
    ],
)
def test_bad_parameters_are_named(make, arguments, name):
    with pytest.raises((TypeError, ValueError), match=name):
        make(*arguments)
