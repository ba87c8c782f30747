"""The trapezoidal rule in artanh t: its bounds, and spectra that need no more than values of h."""

import mpmath as mp
import numpy as np
import problems
import pytest
import sympy
from flint import acb, arb, ctx
from scipy.integrate import quad_vec
from scipy.special import erf as erf_array
from scipy.special import ndtr

from kerneltheory.activations.catalogue import elu, hard_tanh, relu, scaled_erf, selu, tanh
from kerneltheory.core.errors import PrecisionError
from kerneltheory.kernels.base import T
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra import angle, panels, power_series, trapezoid
from kerneltheory.spectra.domains import certified_spectrum, spectrum
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer

TENTH = sympy.Rational(1, 10)
SHIFTED = scaled_erf(1, sympy.Rational(1, 2))
METHOD = "trapezoidal rule in artanh t"
# Analytic around t = 1, where the others have a branch point.
METHODS = {SHIFTED: "power series at t = 0"}


# --- what the bounds rest on --------------------------------------------------------------------


def test_the_strip_is_mapped_onto_the_disc_and_its_bounds_hold():
    generator = np.random.default_rng(0)
    x, y = generator.uniform(-4, 4, 1000), generator.uniform(-np.pi / 4, np.pi / 4, 1000)
    t = np.tanh(x + 1j * y)
    assert (abs(t) < 1).all()
    # Onto: artanh of a point of the disc is in the strip.
    disc = np.sqrt(generator.uniform(size=1000)) * np.exp(2j * np.pi * generator.uniform(size=1000))
    assert (abs(np.arctanh(disc).imag) < np.pi / 4).all()
    assert (abs(1 / np.cosh(x + 1j * y)) <= (1 + 1e-14) / np.cosh(x) / np.cos(y)).all()
    growth = np.cosh(np.arccos(t).imag)
    np.testing.assert_allclose(2 * growth, abs(1 - t) + abs(1 + t), rtol=1e-13)
    assert (growth <= (1 + 1e-14) / np.cos(y)).all()


@pytest.mark.parametrize("strip", trapezoid.STRIPS[::5])
def test_the_integral_on_a_line_is_bounded(strip):
    """c_d int |P_k(tanh z) sech^{d-1} z| dx <= cosh(k beta)/cos^{d-1} a on Im z = a."""
    dim, degree, a = 5, 4, np.pi * float(strip)
    z = np.linspace(-20, 20, 20001) + 1j * a
    t = np.tanh(z)
    polynomial = (21 * t**4 - 14 * t**2 + 1) / 8  # P_4 where d = 5
    line = np.sum(abs(polynomial / np.cosh(z) ** (dim - 1))) * 0.002 * 3 / 4  # c_5 = 3/4
    assert line <= np.cosh(degree * np.arccosh(1 / np.cos(a))) / np.cos(a) ** (dim - 1)


@pytest.mark.parametrize("dim", [2, 3, 24, 1000, 10**6])
@pytest.mark.parametrize("exponent", [-1, -3, -12, -40])
def test_balls_contain_the_arc_cosine_spectrum_at_any_tolerance(dim, exponent):
    kernel, top = nngp(relu, 1, weight_variance=2), 9
    with ctx.workdps(60):
        tolerance = arb(10) ** exponent
        found = trapezoid.by_trapezoid(kernel, dim, top, tolerance)
    with mp.workdps(60):
        truths = [mp.nstr(2 * problems.arc_cosine_1(dim, k), 55) for k in range(top + 1)]
    with ctx.workdps(60):
        for text, ball in zip(truths, found, strict=True):
            assert ball.overlaps(arb(text) * arb(1, 1e-54))
            assert ball.rad() < tolerance


def test_what_is_cut_off_is_bounded():
    """With few nodes the part beyond them is large: the bound is above it, and not far."""
    dim, step = 4, trapezoid.Fraction(1, 8)
    with ctx.workprec(100):
        weights = [weight * sine ** (dim - 2) for _, sine, weight in trapezoid._nodes(step, 400, 0)]
        constant = 4 / (2 * arb.pi())  # Gamma(2)/(sqrt(pi) Gamma(3/2))
        for count in (1, 4, 30):
            left = 2 * constant * sum(weights[count:], arb(0))
            assert left < trapezoid._beyond(dim, step, count) < 3 * left


def test_a_kernel_not_known_to_be_positive_definite_is_refused():
    with pytest.raises(PrecisionError, match="not known to be positive definite"):
        trapezoid.by_trapezoid(dot_product_kernel(sympy.exp(T)), 3, 2, arb("1e-9"))


# --- against the other routes -------------------------------------------------------------------


@pytest.mark.parametrize("dim", [3, 100, 1000])
@pytest.mark.parametrize(
    "kernel", [ntk(relu, 3, weight_variance=2), nngp(relu, 1, weight_variance=2)], ids=repr
)
def test_it_agrees_with_quadrature_in_the_angle(kernel, dim):
    with ctx.workdps(40):
        routes = trapezoid.by_trapezoid, angle.by_angle, panels.by_panels
        found = [route(kernel, dim, 12, arb("1e-30")) for route in routes]
        for balls in zip(*found, strict=True):
            assert all(ball.rad() < arb("1e-30") for ball in balls)
            assert all(balls[0].overlaps(ball) for ball in balls[1:])


ROUGH = [
    nngp(hard_tanh, 1, weight_variance=1),
    ntk(elu, 1, weight_variance=2, bias_variance=TENTH),
    pytest.param(ntk(SHIFTED, 1, weight_variance=1), marks=pytest.mark.slow),
    pytest.param(ntk(hard_tanh, 2, weight_variance=1, bias_variance=TENTH), marks=pytest.mark.slow),
    pytest.param(ntk(selu, 1, weight_variance=1), marks=pytest.mark.slow),
    pytest.param(nngp(selu, 3, weight_variance=1), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("kernel", ROUGH, ids=repr)
def test_it_agrees_with_the_power_series_where_that_converges(kernel):
    dim, top = 100, 6
    odd = kernel == ROUGH[0]
    series = power_series.by_power_series(kernel, dim, top, 15, {0, 2, 4, 6} if odd else set())
    with ctx.workdps(40):
        found = trapezoid.by_trapezoid(kernel, dim, top, arb("1e-25"))
    for a, b in zip(series, found, strict=True):
        assert a.overlaps(b)
        assert b.rad() < arb("1e-25")


# --- against independent values ---------------------------------------------------------------


def _normal(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def _mean_of_hard_tanh(m, s):
    low, high = (-1 - m) / s, (1 - m) / s
    inside = m * (ndtr(high) - ndtr(low)) + s * (_normal(low) - _normal(high))
    return inside - ndtr(low) + ndtr(-high)


def _mean_of_elu(m, s):
    falling = np.exp(m + s**2 / 2) * ndtr(-m / s - s) - ndtr(-m / s)
    return s * _normal(m / s) + m * ndtr(m / s) + falling


def _mean_of_shifted_erf(m, s):
    return erf_array((m + 0.5) / np.sqrt(1 + 2 * s**2))


# phi, and E[phi(m + s z)] for a standard normal z.
CONDITIONAL = {
    hard_tanh: (lambda u: np.clip(u, -1, 1), _mean_of_hard_tanh),
    elu: (lambda u: u if u > 0 else np.expm1(u), _mean_of_elu),
    SHIFTED: (lambda u: erf_array(u + 0.5), _mean_of_shifted_erf),
}


def eigenvalues_by_quadrature(phi, dim, top):
    """E_t[P_k(t) E[phi(u) E[phi(v) | u]]], the inner expectation by hand."""
    value, mean = CONDITIONAL[phi]
    nodes, weights = np.polynomial.legendre.leggauss(300)
    theta = np.pi / 2 * (1 + nodes)
    c, s = np.cos(theta), np.sin(theta)

    def inner(u):
        return value(u) * mean(c * u, s) * _normal(u)

    h, _ = quad_vec(inner, -12, 12, points=[-1.0, 0.0, 1.0], epsabs=1e-13, epsrel=1e-13)
    density = s ** (dim - 2) * weights
    density /= density.sum()
    return np.array([np.sum(density * h * gegenbauer(dim, k, c)) for k in range(top + 1)])


@pytest.mark.parametrize("dim", [pytest.param(3, marks=pytest.mark.slow), 5])
@pytest.mark.parametrize(
    "phi",
    [
        hard_tanh,
        pytest.param(elu, marks=pytest.mark.kin),
        pytest.param(SHIFTED, marks=pytest.mark.kin),
    ],
    ids=lambda phi: phi.name,
)
def test_eigenvalues_are_those_of_the_double_integral(phi, dim):
    truth = eigenvalues_by_quadrature(phi, dim, 5)
    found = spectrum(nngp(phi, 1, weight_variance=1), dim, 5)
    assert found.method == f"{METHODS.get(phi, METHOD)}, certified"
    np.testing.assert_allclose(found.eigenvalues, truth, rtol=0, atol=1e-11)


@pytest.mark.slow
def test_the_tangent_kernel_is_made_of_the_dual_and_its_derivative():
    """Theta = w T + b + w T' K^0 with dim lambda_{k}[T] = lambda_{k-1}[T'] of dim + 2, and t T'.

    Rodrigues' formula and integration by parts; t P_k by its recurrence.
    """
    dim, top = 40, 5
    value = certified_spectrum(nngp(SHIFTED, 1, weight_variance=1), dim, top, digits=15)
    tangent = certified_spectrum(ntk(SHIFTED, 1, weight_variance=1), dim, top - 2, digits=15)
    slope = dot_product_kernel(_slope_of_shifted_erf())
    with ctx.workdps(30):
        above = certified_spectrum(slope, dim + 2, top - 1, digits=15).eigenvalues
        below = certified_spectrum(slope, dim, top, digits=15).eigenvalues
        for k in range(1, top - 1):
            assert (dim * value.eigenvalues[k]).overlaps(above[k - 1])
            times_t = (k + dim - 2) * below[k + 1] + k * below[k - 1]
            truth = value.eigenvalues[k] + times_t / (2 * k + dim - 2)
            assert truth.overlaps(tangent.eigenvalues[k])


def _slope_of_shifted_erf():
    """E[phi'(u) phi'(v)] by completing squares, phi' = (2/sqrt(pi)) exp(-(x + 1/2)^2)."""
    determinant = 9 - 4 * T**2
    exponent = -(sympy.Rational(1, 2)) * (3 - 2 * T) / determinant
    return 4 / sympy.pi * sympy.exp(exponent) / sympy.sqrt(determinant)


@pytest.mark.parametrize(
    "kernel",
    [
        nngp(hard_tanh, 1, weight_variance=1),
        pytest.param(ntk(elu, 1, weight_variance=1), marks=pytest.mark.slow),
        pytest.param(nngp(selu, 2, weight_variance=1), marks=pytest.mark.kin),
    ],
    ids=repr,
)
def test_parseval(kernel):
    """E h^2 = sum N lambda^2; degrees above K add at most tail^2 / N(d, K + 1)."""
    dim, top = 10, 16
    found = certified_spectrum(kernel, dim, top, digits=12)
    square = certified_spectrum(kernel * kernel, dim, 0, digits=12).eigenvalues[0]
    with ctx.workdps(30):
        pairs = zip(found.multiplicities, found.eigenvalues, strict=True)
        known = sum((n * ball**2 for n, ball in pairs), arb(0))
        assert not known > square
        assert not square > known + found.tail**2 / multiplicity(dim, top + 1)
        assert known.rad() + square.rad() < square * arb("1e-11")


def test_floats_are_the_certified_balls_rounded():
    kernel = nngp(elu, 1, weight_variance=1)
    certified, found = certified_spectrum(kernel, 50, 6, digits=30), spectrum(kernel, 50, 6)
    for ball, value in zip(certified.eigenvalues, found.eigenvalues, strict=True):
        assert abs(ball - arb(float(value))) < 1e-15 * ball


@pytest.mark.slow
@pytest.mark.parametrize(
    "phi",
    [*(pytest.param(phi, marks=pytest.mark.kin) for phi in (hard_tanh, elu)), SHIFTED],
    ids=lambda phi: phi.name,
)
def test_networks_of_several_layers_are_certified(phi):
    kernel = ntk(phi, 3, weight_variance=1, bias_variance=TENTH)
    found = certified_spectrum(kernel, 8, 6, digits=12)
    longer = certified_spectrum(kernel, 8, 9, digits=17)
    assert found.method == METHODS.get(phi, METHOD)
    for a, b in zip(found.eigenvalues, longer.eigenvalues, strict=False):
        assert a > 0
        assert a.overlaps(b)


@pytest.mark.kin
def test_a_series_kernel_is_certified_at_small_dimension():
    """Against averages over the angle of the kernel in floats, which sums 512 terms."""
    kernel, dim = nngp(tanh, 1, weight_variance=1), 3
    found = spectrum(kernel, dim, 5)
    nodes, weights = np.polynomial.legendre.leggauss(300)
    for k in range(6):
        truth = np.sum(weights * np.asarray(kernel(nodes)) * gegenbauer(dim, k, nodes)) / 2
        assert found.eigenvalues[k] == pytest.approx(truth, abs=1e-12)


def test_what_has_no_value_is_not_continued():
    """At correlations beyond 1 the distribution has none: said at once, not after an integral."""
    kernel = nngp(elu, 3, weight_variance=1)
    with ctx.workprec(80):
        assert not acb(kernel.on_balls(acb(-2))).is_finite()
