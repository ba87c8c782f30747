"""Multiplicities, P_k, quadrature and sampling against other definitions of each."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
import sympy
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import eval_gegenbauer, sph_harm_y

from kerneltheory.sphere.harmonics import cumulative_multiplicity, multiplicity
from kerneltheory.sphere.polynomials import (
    gegenbauer,
    gegenbauer_sequence,
    log_gegenbauer,
    orthonormal_sequence,
)
from kerneltheory.sphere.quadrature import cosine_quadrature
from kerneltheory.sphere.sampling import uniform_sphere


@given(st.integers(3, 60), st.integers(0, 40))
def test_multiplicity_is_a_difference_of_dimensions_of_polynomials(dim, degree):
    assert multiplicity(dim, degree) == problems.multiplicity(dim, degree)


def test_multiplicity_on_the_circle_is_that_of_cosine_and_sine():
    assert [multiplicity(2, k) for k in range(5)] == [1, 2, 2, 2, 2]


def test_multiplicity_is_exact_where_float64_is_not():
    assert multiplicity(10**6, 12) == problems.multiplicity(10**6, 12) > 2**53


@pytest.mark.parametrize("degree", range(7))
def test_symbolic_multiplicity_is_the_polynomial_through_the_integers(degree):
    d = sympy.Symbol("d")
    polynomial = sympy.sympify(multiplicity(d, degree))
    assert all(polynomial.subs(d, n) == multiplicity(n, degree) for n in range(2, 12))
    # The leading term d^k / k! is what makes the order-r peaks.
    assert sympy.Poly(polynomial, d).LC() == sympy.Rational(1, sympy.factorial(degree))


@given(st.integers(2, 30), st.integers(0, 20))
def test_cumulative_multiplicity_is_the_closed_form(dim, degree):
    both = sympy.binomial(dim + degree - 1, degree)
    both += sympy.binomial(dim + degree - 2, degree - 1) if degree else 0
    assert cumulative_multiplicity(dim, degree) == both


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: multiplicity(1, 2), ValueError, "dim must be an integer of at least 2, got 1"),
        (lambda: multiplicity(3, -1), ValueError, "degree must be an integer of at least 0"),
        (lambda: multiplicity(3.0, 1), TypeError, "dim must be an integer"),
        (lambda: multiplicity(3, True), TypeError, "degree must be an integer"),
        (lambda: cumulative_multiplicity(1, 1), ValueError, "dim must be"),
        (lambda: gegenbauer(1, 1, 0.5), ValueError, "dim must be"),
        (lambda: gegenbauer(3, -1, 0.5), ValueError, "degree must be"),
        (lambda: gegenbauer(3, 2, [0.5, np.nan]), ValueError, "t must be finite"),
        (lambda: log_gegenbauer(3, 2, np.nan), ValueError, "t must be finite"),
        (lambda: log_gegenbauer(1, 2, 0.5), ValueError, "dim must be"),
        (lambda: cosine_quadrature(3, 0), ValueError, "count must be"),
        (lambda: uniform_sphere(np.random.default_rng(0), 1, 1), ValueError, "dim must be"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dim", [3, 4, 5, 24, 200])
@pytest.mark.parametrize("degree", [0, 1, 2, 7, 20])
def test_polynomials_are_normalised_gegenbauer_polynomials(dim, degree):
    t = np.linspace(-1, 1, 9)
    alpha = dim / 2 - 1
    expected = eval_gegenbauer(degree, alpha, t) / eval_gegenbauer(degree, alpha, 1.0)
    # The recurrence is stable on [-1, 1], where |P_k| <= 1: rounding grows like degree^2.
    np.testing.assert_allclose(
        gegenbauer(dim, degree, t), expected, rtol=0, atol=8 * (degree + 1) ** 2 * 2**-52
    )


def test_polynomials_on_the_circle_are_cosines():
    angle = np.linspace(0, np.pi, 11)
    for degree, values in enumerate(gegenbauer_sequence(2, np.cos(angle), 9)):
        np.testing.assert_allclose(values, np.cos(degree * angle), atol=2e-14)


@pytest.mark.parametrize("dim", [2, 3, 7, 1000])
def test_polynomials_at_the_poles_are_exact(dim):
    for sign in (1, -1):
        values = list(gegenbauer_sequence(dim, Fraction(sign), 30, Fraction))
        assert values == [sign**k for k in range(31)]


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_addition_theorem_on_the_ordinary_sphere(degree, rng):
    x, z = uniform_sphere(rng, 2, 3)
    harmonics = []
    for point in (x, z):
        theta, phi = np.arccos(point[2]), np.arctan2(point[1], point[0])
        orders = np.arange(-degree, degree + 1)
        # scipy's are orthonormal for the area 4 pi; ours for the probability measure.
        harmonics.append(np.sqrt(4 * np.pi) * sph_harm_y(degree, orders, theta, phi))
    kernel = np.sum(harmonics[0] * np.conj(harmonics[1])).real
    expected = multiplicity(3, degree) * gegenbauer(3, degree, x @ z)
    assert kernel == pytest.approx(expected, abs=1e-13 * (2 * degree + 1))


@pytest.mark.parametrize("dim", [4, 10])
def test_reproducing_property_by_monte_carlo(dim, rng):
    # E_y[P_j(x.y) P_k(y.z)] = delta_jk P_k(x.z) / N(d, k): the addition theorem, integrated.
    x, z = uniform_sphere(rng, 2, dim)
    y = uniform_sphere(rng, 40_000, dim)
    for j in (1, 2):
        for k in (1, 2):
            samples = gegenbauer(dim, j, y @ x) * gegenbauer(dim, k, y @ z)
            expected = (j == k) * gegenbauer(dim, k, x @ z) / multiplicity(dim, k)
            error = samples.std() / np.sqrt(len(samples))
            assert abs(samples.mean() - expected) < 4 * error


@pytest.mark.parametrize("dim", [2, 3, 4, 5, 24, 200])
def test_quadrature_is_exact_for_polynomials_below_twice_its_size(dim):
    t, w = cosine_quadrature(dim, 6)
    moment = 1.0  # E t^{2n} = (2n - 1)!! / (d (d + 2) ... (d + 2n - 2))
    for n in range(6):
        assert w @ t ** (2 * n) == pytest.approx(moment, rel=1e-12)
        assert w @ t ** (2 * n + 1) == pytest.approx(0, abs=1e-15)
        moment *= (2 * n + 1) / (dim + 2 * n)
    # The next one fails by E[Q^2] for the monic orthogonal polynomial Q of degree 6: not exact.
    assert w @ t**12 != pytest.approx(moment, rel=1e-12)


@pytest.mark.parametrize("dim", [2, 3, 24])
def test_polynomials_are_orthogonal_with_norm_one_over_multiplicity(dim):
    t, w = cosine_quadrature(dim, 12)
    rows = np.array(list(gegenbauer_sequence(dim, t, 10)))
    norms = np.diag([1 / multiplicity(dim, k) for k in range(11)])
    np.testing.assert_allclose((rows * w) @ rows.T, norms, atol=1e-14)


@pytest.mark.parametrize("dim", [2, 3, 30])
def test_samples_have_norm_one_and_the_second_moments_of_the_sphere(dim, rng):
    count = 20_000
    points = uniform_sphere(rng, count, dim)
    np.testing.assert_allclose(np.sum(points**2, axis=1), 1, rtol=4 * 2**-52 * dim)
    # E x_i x_j = delta_ij / d; E x_1^4 = 3 / (d (d + 2)), E x_1^2 x_2^2 = 1 / (d (d + 2)).
    covariance = points.T @ points / count
    squares = np.full((dim, dim), 1 / (dim * (dim + 2))) * (1 + 2 * np.eye(dim))
    variance = squares - np.eye(dim) / dim**2
    # 900 entries at d = 30: 4.5 standard errors happen to one in about 150,000.
    assert np.all(np.abs(covariance - np.eye(dim) / dim) < 4.5 * np.sqrt(variance / count))


def test_samples_follow_the_generator():
    first, second = (uniform_sphere(np.random.default_rng(3), 4, 5) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def exact_values(dim, t, degrees):
    """P_k(t) for k < degrees as balls with hundreds of digits."""
    return list(
        gegenbauer_sequence(dim, arb(float(t)), degrees, lambda f: arb(f.numerator) / f.denominator)
    )


@pytest.mark.parametrize("dim", [2, 3, 30, 344, 10**6])
def test_floats_are_right_up_to_degree_200_in_any_dimension(dim, rng):
    top, eps = 200, np.finfo(float).eps
    t = np.concatenate([rng.uniform(-1, 1, 4), rng.uniform(-1, 1, 4) * np.sqrt(2 / dim)])
    plain = np.array(list(gegenbauer_sequence(dim, t, top)))
    with np.errstate(over="ignore", invalid="ignore"):  # sqrt(N) P_200 is beyond 10^308 at some
        normed = np.array(list(orthonormal_sequence(dim, t, top)))
    signs, logs = log_gegenbauer(dim, top, t)
    with ctx.workprec(2000):
        roots = [arb(multiplicity(dim, k)).sqrt() for k in range(top + 1)]
        for i, cosine in enumerate(t):
            truth = exact_values(dim, cosine, top)
            scaled = np.array([float(r * p) for r, p in zip(roots, truth, strict=True)])
            # Rounding grows with the degree; relative to the neighbours, as P_k has zeros.
            size = np.maximum(np.abs(scaled), np.abs(np.roll(scaled, 1)))
            degrees = np.arange(top + 1) + 1
            for k in range(top + 1):
                assert abs(float(arb(float(plain[k, i])) - truth[k])) < 2 * (k + 1) * eps
            near = 100 / np.sqrt(1 - cosine**2) if dim < 5 else 8
            finite = np.maximum.accumulate(size) < 1e300
            error = np.abs(normed[finite, i] - scaled[finite])
            assert np.all(error <= (near * degrees * eps * size)[finite])
            assert signs[i] == (1 if truth[top] > 0 else -1)
            condition = float(max(abs(truth[-1]), abs(truth[-2])) / abs(truth[-1]))
            error = float(abs(arb(float(logs[i])) - abs(truth[top]).log()))
            assert error < (8 * condition * (top + 1) + abs(logs[i])) * eps


def test_logarithms_go_where_floats_underflow():
    # P_k(0) = (-1)^{k/2} (1/2)_{k/2} / ((d-1)/2)_{k/2} for even k (DLMF 18.6.1).
    dim, degree = 10**6, 120
    sign, logarithm = log_gegenbauer(dim, degree, 0.0)
    half = degree // 2
    ratios = [math.log((0.5 + j) / ((dim - 1) / 2 + j)) for j in range(half)]
    assert sign == (-1) ** half
    assert logarithm == pytest.approx(math.fsum(ratios), rel=1e-15)
    assert gegenbauer(dim, degree, np.array(0.0)) == 0.0 or logarithm > -745
    assert log_gegenbauer(5, 3, 0.0) == (0.0, -np.inf)
    assert log_gegenbauer(5, 0, 0.3) == (1.0, 0.0)


def test_logarithms_in_jax_are_those_of_numpy():
    t = np.linspace(-1, 1, 7)
    expected = log_gegenbauer(50, 11, t)
    found = jax.jit(lambda x: log_gegenbauer(50, 11, x))(jnp.asarray(t, jnp.float32))
    assert found.logarithm.dtype == jnp.float32
    # t = 1/3 rounded to 24 bits, whose relative error P_11 magnifies up to 11^2 times.
    np.testing.assert_allclose(
        found.sign * np.exp(found.logarithm), expected.sign * np.exp(expected.logarithm),
        rtol=200 * 2**-24, atol=1e-30,
    )  # fmt: skip


@pytest.mark.parametrize("dim", [2, 1000, 10**6])
def test_quadrature_has_many_nodes_in_high_dimension(dim):
    t, w = cosine_quadrature(dim, 600)
    assert np.isfinite(t).all()
    assert w.sum() == pytest.approx(1, rel=1e-14)
    assert w @ t**2 == pytest.approx(1 / dim, rel=1e-12)
    assert w @ t**4 == pytest.approx(3 / (dim * (dim + 2)), rel=1e-12)
