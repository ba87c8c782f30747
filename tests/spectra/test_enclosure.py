"""Eigenvalues on the sphere: closed forms of the literature, certificates, zeros and refusals."""

import math

import mpmath as mp
import numpy as np
import problems
import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.core.errors import NotPositiveDefiniteError, PrecisionError
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.learning.equivalent import learning_curve
from kerneltheory.spectra.domains import certified_spectrum, spectrum
from kerneltheory.spectra.enclosure import KernelKnownNoBetter, _to_relative_accuracy
from kerneltheory.spectra.spectrum import Target
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.sampling import uniform_sphere

t = sympy.Symbol("t", real=True)
DIMS = [2, 3, 5, 24, 200, 10**6]
EPS = np.finfo(float).eps
TENTH = sympy.Rational(1, 10)


def kernel_of(known):
    return dot_product_kernel(known.h)


def highest_degree(known):
    """Few degrees, for speed; the largest for which a plain polynomial has something to show."""
    return 6 if known.h.is_polynomial(t) else 8


def truths(known, dim, count, digits=50):
    with mp.workdps(digits):
        return [mp.nstr(known.eigenvalue(dim, k), digits - 5) for k in range(count)]


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("known", problems.KNOWN_SPECTRA, ids=lambda known: known.name)
def test_eigenvalues_are_the_closed_forms_of_the_literature(known, dim):
    degrees = highest_degree(known) + 1
    found = spectrum(kernel_of(known), dim, degrees - 1)
    expected = np.array([float(value) for value in truths(known, dim, degrees)])
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=1e-14)
    assert found.dim == dim
    assert found.relative_error < 1e-15


def _ball(text):
    # Decimal digits beyond the 45th were cut.
    return arb(text) * arb(1, 1e-44)


@pytest.mark.parametrize("dim", [2, 5, 10**6])
@pytest.mark.parametrize("known", problems.KNOWN_SPECTRA, ids=lambda known: known.name)
def test_certified_balls_contain_the_closed_forms_and_are_narrow(known, dim):
    digits, degrees = 30, 5
    found = certified_spectrum(kernel_of(known), dim, degrees - 1, digits=digits)
    with ctx.workdps(60):
        for text, ball in zip(truths(known, dim, degrees), found.eigenvalues, strict=True):
            assert ball.overlaps(_ball(text))
            assert ball.is_zero() or ball.rad() < abs(ball.mid()) * arb(10) ** -digits


def test_networks_have_the_spectra_of_their_closed_forms():
    for kernel, eigenvalue in (
        (nngp(relu, 1, weight_variance=2), lambda d, k: 2 * problems.arc_cosine_1(d, k)),
        (ntk(relu, 1, weight_variance=2), problems.relu_tangent),
    ):
        with mp.workdps(50):
            expected = [float(eigenvalue(24, k)) for k in range(11)]
        np.testing.assert_allclose(spectrum(kernel, 24, 10).eigenvalues, expected, rtol=1e-14)


@pytest.mark.parametrize("dim", [2, 3, 24])
def test_vanishing_degrees_are_exact_zeros(dim):
    nngp_zeros = certified_spectrum(nngp(relu, 1, weight_variance=2), dim, 9, digits=5)
    ntk_zeros = certified_spectrum(ntk(relu, 1, weight_variance=2), dim, 9, digits=5)
    for found in (nngp_zeros, ntk_zeros):
        assert [k for k, ball in enumerate(found.eigenvalues) if ball.is_zero()] == [3, 5, 7, 9]


@pytest.mark.parametrize(
    ("kernel", "vanishing"),
    [
        (nngp(erf, 3, weight_variance=2), [0, 2, 4, 6]),
        (ntk(erf, 2, weight_variance=2), [0, 2, 4, 6]),
        (nngp(problems.absolute, 1, weight_variance=1), [1, 3, 5]),
        (ntk(problems.absolute, 2, weight_variance=1), [1, 3, 5]),
        (nngp(erf, 2, weight_variance=2, bias_variance=1), []),
        (ntk(relu, 2, weight_variance=2), []),
        (nngp(relu, 1, weight_variance=2, bias_variance=1), []),
        (dot_product_kernel((1 + t) ** 2), [3, 4, 5, 6]),
        (dot_product_kernel(sympy.cosh(t)), [1, 3, 5]),
        (dot_product_kernel(sympy.sinh(t)), [0, 2, 4, 6]),
    ],
    ids=repr,
)
def test_parity_patterns(kernel, vanishing):
    found = certified_spectrum(kernel, 5, 6, digits=5)
    assert [k for k, ball in enumerate(found.eigenvalues) if ball.is_zero()] == vanishing


def test_eigenvalue_of_a_polynomial_that_vanishes_in_one_dimension_only():
    legendre = dot_product_kernel((3 * t**2 - 1) / 2)  # P_2 of the ordinary sphere
    found = certified_spectrum(legendre, 3, 3, digits=10)
    assert [ball.is_zero() for ball in found.eigenvalues] == [True, True, False, True]
    assert (5 * found.eigenvalues[2]).contains(1)  # P_k has the eigenvalue 1 / N(d, k)
    # On S^1: (3 cos^2 - 1)/2 = 1/4 + (3/4) cos 2 theta.
    circle = certified_spectrum(legendre, 2, 2, digits=10).eigenvalues
    assert circle[0].contains(0.25)
    assert (8 * circle[2]).contains(3)


@pytest.mark.parametrize(
    "kernel",
    [
        ntk(relu, 2, weight_variance=2),
        ntk(erf, 2, weight_variance=2, bias_variance=TENTH),
        dot_product_kernel(sympy.exp(-sympy.sqrt(2 - 2 * t))),
        dot_product_kernel((1 + t) ** 3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dim", [2, 3, 24])
def test_masses_and_tail_sum_to_the_trace(kernel, dim):
    certified = certified_spectrum(kernel, dim, 5, digits=16)
    assert not certified.tail < 0
    found = certified.round()
    np.testing.assert_allclose(found.trace, kernel.trace, rtol=16 * EPS)
    np.testing.assert_array_equal(
        found.multiplicities, [float(multiplicity(dim, k)) for k in range(6)]
    )


def test_tail_is_what_higher_degrees_hold():
    kernel, dim = ntk(relu, 2, weight_variance=2), 10
    short, long = (certified_spectrum(kernel, dim, top, digits=12) for top in (4, 8))
    between = [multiplicity(dim, k) * long.eigenvalues[k] for k in range(5, 9)]
    assert short.tail.overlaps(long.tail + sum(between, arb(0)))
    assert long.tail < short.tail


def test_polynomial_has_no_tail():
    found = certified_spectrum(dot_product_kernel((1 + t) ** 3), 24, 3)
    assert found.tail.contains(0)
    assert found.round().tail == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("dim", [2, 3, 24])
def test_first_degree_of_h_is_degree_zero_of_t_h(dim):
    h = sympy.exp(t) + sympy.exp(-sympy.sqrt(2 - 2 * t))
    low = certified_spectrum(dot_product_kernel(h), dim, 1, digits=15)
    high = certified_spectrum(dot_product_kernel(t * h), dim, 0, digits=15)
    assert high.eigenvalues[0].overlaps(low.eigenvalues[1])


@pytest.mark.parametrize("degree", range(5))
def test_large_dimension_expansion(degree):
    # N lambda_k as 1/d -> 0 with Taylor coefficients a_n of h (arXiv:2205.14846 and beyond).
    dim, rate = 10**4, sympy.Rational(3, 2)
    kernel, k = dot_product_kernel(sympy.exp(rate * t)), degree
    a = {n: float(rate**n / sympy.factorial(n)) for n in range(k, k + 7)}
    first = (k + 1) * (k + 2) / 2 * a[k + 2] - k * (k - 1) / 2 * a[k]
    second = (
        (k + 1) * (k + 2) * (k + 3) * (k + 4) / 8 * a[k + 4]
        - k * (k + 1) * (k + 2) * (k + 3) / 4 * a[k + 2]
        + k * (k - 1) * (k - 2) * (k + 5) / 8 * a[k]
    )
    mass = float(spectrum(kernel, dim, 4).level_masses[k])
    # The third order: at most (k + 6)^6 / 48 of the largest coefficient, over d^3.
    error = (k + 6) ** 6 / 48 * max(a.values()) / dim**3
    assert mass == pytest.approx(a[k] + first / dim + second / dim**2, abs=error)
    assert abs(mass - a[k] - first / dim) > 10 * error or k == 1 or second == 0 or error > 1e-9


@pytest.mark.parametrize("depth", [2, 3])
def test_circle_has_cosine_coefficients(depth):
    # At d = 2 the eigenvalues are Fourier coefficients: an average over equidistant angles.
    kernel, count = ntk(relu, depth, weight_variance=2), 2**14
    angle = 2 * np.pi * np.arange(count) / count
    values = kernel(np.cos(angle))
    found = spectrum(kernel, 2, 3).eigenvalues
    for k in range(4):
        # The trapezoid rule errs by (pi/6) (jump of h') / count^2 at a kink; at t = 1 the jump is
        # 2 (2 + 4 + ... + 2 depth) / pi, at t = -1 it is smaller.
        jump = 2 * depth * (depth + 1) / np.pi
        error = 2 * np.pi / 6 * jump / count**2
        assert np.mean(values * np.cos(k * angle)) == pytest.approx(found[k], abs=error)


def test_deep_kernel_by_quadrature_at_high_precision():
    kernel, dim = ntk(relu, 3, weight_variance=2), 7
    known = problems.KNOWN_DUALS[0]
    found = certified_spectrum(kernel, dim, 2, digits=15)
    with mp.workdps(30):
        constant = mp.gamma(3.5) / (mp.sqrt(mp.pi) * mp.gamma(3))

        def h(angle):
            k = 2 * mp.cos(angle)
            return mp.re(problems.network_kernel(known, 3, 2, 0, 2, 2, k, tangent=True))

        for degree, P in enumerate((lambda c: 1, lambda c: c, lambda c: (7 * c * c - 1) / 6)):
            truth = constant * mp.quad(
                lambda a, P=P: h(a) * P(mp.cos(a)) * mp.sin(a) ** 5, mp.linspace(0, mp.pi, 4)
            )
            with ctx.workdps(30):
                assert abs(found.eigenvalues[degree] - arb(mp.nstr(truth, 25))) < 1e-14


@pytest.mark.parametrize(
    ("h", "dim", "top"),
    [
        (-t, 3, 1),
        (1 - t, 3, 2),
        (t - 2 * t**2, 3, 3),
        (sympy.sqrt(1 - t), 3, 1),
        (sympy.exp(-t), 3, 1),
        (2 + sympy.cos(3 * t), 5, 2),
        (1 + (7 * t**2 - 1) / 6 - t**3 / 10, 7, 3),
    ],
    ids=str,
)
def test_kernels_that_are_not_positive_definite_are_flagged(h, dim, top):
    certified = certified_spectrum(dot_product_kernel(h), dim, top, digits=5)
    assert any(ball < 0 for ball in certified.eigenvalues)
    found = spectrum(dot_product_kernel(h), dim, top)
    assert not found.positive_definite
    assert "NOT positive definite" in str(found)
    # The Gram matrix of many points knows it without any quadrature.
    points = uniform_sphere(np.random.default_rng(1), 200, dim)
    gram = np.asarray(sympy.lambdify(t, h, "numpy")(np.clip(points @ points.T, -1, 1)))
    assert np.linalg.eigvalsh(gram)[0] < -1e-3
    with pytest.raises(NotPositiveDefiniteError, match="spectrum must not have negative"):
        learning_curve(found, Target({0: 1.0}), 10, 0.1)


# Not positive definite, which degree 0 alone does not show: |h| is largest away from t = 1.
# Averages over the circle: of cos 0, of sqrt(1 + cos) 2 sqrt(2)/pi, of |sin| 2/pi, of angles pi/2.
NOT_POSITIVE_DEFINITE = [
    (sympy.Rational(1001, 1000) - t, sympy.Rational(1001, 1000)),
    (
        sympy.Rational(1001, 1000) - t + sympy.sqrt(1 + t) / 1000,
        sympy.Rational(1001, 1000) + 2 * sympy.sqrt(2) / (1000 * sympy.pi),
    ),
    (
        sympy.sqrt(1 - t**2) + sympy.Rational(1, 10**30),
        2 / sympy.pi + sympy.Rational(1, 10**30),
    ),
    (sympy.acos(t) + sympy.Rational(1, 10**9), sympy.pi / 2 + sympy.Rational(1, 10**9)),
]


@pytest.mark.parametrize(("h", "average"), NOT_POSITIVE_DEFINITE, ids=str)
def test_certificates_hold_where_the_largest_value_is_not_at_one(h, average):
    (ball,) = certified_spectrum(dot_product_kernel(h), 2, 0, digits=10).eigenvalues
    with ctx.workdps(40):
        assert ball.overlaps(arb(str(sympy.N(average, 38)), 1e-37))


def test_levels_beyond_the_range_of_floats_have_logarithms_and_masses():
    """lambda_k and N overflow at d = 10^6, k = 200, where N lambda is of order one."""
    kernel, dim = nngp(erf, 1, weight_variance=2, bias_variance=1), 10**6
    found, certified = (f(kernel, dim, 200) for f in (spectrum, certified_spectrum))
    assert found.eigenvalues[-1] == 0
    assert found.multiplicities[-1] == np.inf
    with ctx.workdps(40):
        for k in (0, 50, 100, 200):
            ball, count = certified.eigenvalues[k], multiplicity(dim, k)
            assert abs(found.log_eigenvalues[k] - float(ball.log())) < 1e-12 * abs(
                float(ball.log())
            )
            assert abs(found.log_multiplicities[k] - math.log(count)) < 1e-12 * math.log(count + 1)
            assert abs(found.level_masses[k] / float(count * ball) - 1) < 1e-12
    assert found.exact_multiplicities[200] == multiplicity(dim, 200)
    assert "e-" in str(found).splitlines()[-1].split()[1]


def test_branch_points_of_atan_off_the_real_axis_are_respected():
    h = sympy.exp(3 * t) + sympy.atan(30 * t) / 1000
    ball = certified_spectrum(dot_product_kernel(h), 3, 1, digits=20).eigenvalues[1]
    with mp.workdps(40):
        # int_{-1}^{1} x atan(a x) dx / 2 = (atan(a) (1 + 1/a^2) - 1/a) / 2, and for exp(3 x).
        a = mp.mpf(30)
        truth = (mp.atan(a) * (1 + 1 / a**2) - 1 / a) / 2000
        truth += (mp.cosh(3) - mp.sinh(3) / 3) / 3
        with ctx.workdps(40):
            assert ball.overlaps(arb(mp.nstr(truth, 38)))


def test_unproved_zero_is_not_called_zero():
    # lambda_0 = sin(pi)/pi = 0 at d = 3, which no rule here proves.
    kernel = dot_product_kernel(2 * t + sympy.cos(sympy.pi * t))
    with pytest.raises(PrecisionError, match=r"degree 0 .* nor proved to be zero"):
        certified_spectrum(kernel, 3, 0, digits=5)


def test_kernel_that_is_known_no_better_is_not_asked_again():
    tolerances = []

    def stalled(kernel, dim, max_degree, tolerance):
        tolerances.append(tolerance)
        return [arb("0.1", 1e-6)] * (max_degree + 1)

    with pytest.raises(KernelKnownNoBetter, match=r"degree 0 at dim = 5 is known to 1\.0e-05"):
        _to_relative_accuracy(stalled, nngp(relu, 1, weight_variance=2), 5, 3, 15, frozenset())
    assert len(tolerances) == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda k: certified_spectrum(k, 1, 3), ValueError, "dim must be an integer of at least 2"),
        (lambda k: certified_spectrum(k, 3.0, 3), TypeError, "dim must be an integer"),
        (lambda k: certified_spectrum(k, 3, -1), ValueError, "max_degree must be"),
        (lambda k: certified_spectrum(k, 3, 3, digits=0), ValueError, "digits must be"),
        (lambda k: certified_spectrum(t, 3, 3), TypeError, "kernel must come from kt.nngp"),
        (lambda k: spectrum(k, 3, 3, domain="cube"), ValueError, "domain must be one of"),
        (lambda k: spectrum("relu", 3, 3), TypeError, "kernel must come from"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(nngp(relu, 1, weight_variance=2))


def test_more_digits_give_the_same_number():
    kernel = ntk(relu, 2, weight_variance=2)
    few, many = (certified_spectrum(kernel, 5, 3, digits=digits) for digits in (8, 40))
    for wide, narrow in zip(few.eigenvalues, many.eigenvalues, strict=True):
        assert wide.overlaps(narrow)
        assert narrow.rad() < narrow * arb(10) ** -40


def test_displays():
    found = certified_spectrum(nngp(relu, 1, weight_variance=2), 3, 3, digits=10)
    # lambda_0 = 3/4, lambda_1 = 1/3 and lambda_3 = 0 on the ordinary sphere: 2 times 6 s_1^2.
    assert "0.7500000000" in str(found)
    assert repr(found).splitlines()[-1].split() == ["3", "7", "0"]
    assert math.isclose(found.round().eigenvalues[0], 0.75, rel_tol=EPS)


def test_certified_spectrum_is_a_table_in_html():
    found = certified_spectrum(nngp(relu, 1, weight_variance=2), 3, 3, digits=10)
    table = found._repr_html_()
    assert table.count("<tr>") == 6  # the header, four degrees and what is above them
    assert "dim 3, 4 levels, 10 digits" in table
    assert f"<td>1</td><td>3</td><td>{found.eigenvalues[1].str(10)}</td>" in table
    assert "<td>3</td><td>7</td><td>0</td>" in table
    assert f"{found.tail.str(10)} in all" in table
