"""Hypercube, Gaussian inputs and circle: closed forms, enumeration and random rows."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
import sympy
from flint import arb, ctx

from kerneltheory.activations.catalogue import erf, relu
from kerneltheory.core.errors import (
    DivergentError,
    KernelTheoryError,
    NotPositiveDefiniteError,
    PrecisionError,
)
from kerneltheory.kernels.base import T
from kerneltheory.kernels.kernel import dot_product_kernel, nngp, ntk
from kerneltheory.spectra import hypercube
from kerneltheory.spectra.domains import DOMAIN_LEVELS
from kerneltheory.spectra.fourier import fourier_eigenvalues
from kerneltheory.spectra.gaussian import gaussian_degrees, gaussian_levels
from kerneltheory.spectra.hypercube import hypercube_levels
from kerneltheory.sphere.harmonics import multiplicity

EXP = dot_product_kernel(sympy.exp(T))
RELU_NTK = ntk(relu, 2, weight_variance=2)
EPS = np.finfo(float).eps


def contains(ball, value):
    """Whether a ball meets an mpmath number of 45 digits."""
    with ctx.workdps(60):
        return ball.overlaps(arb(mp.nstr(value, 45)) * arb(1, 1e-44))


# --- hypercube --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kernel",
    [EXP, RELU_NTK, nngp(relu, 1, weight_variance=2), dot_product_kernel((1 + T) ** 3)],
    ids=repr,
)
def test_parities_are_eigenvectors_of_the_gram_matrix_of_all_corners(kernel):
    dim = 8
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=dim)))
    gram = kernel.gram(corners) / 2**dim
    balls, counts, tail, _ = hypercube_levels(kernel, dim, dim)
    assert counts == tuple(math.comb(dim, k) for k in range(dim + 1))
    assert tail.is_zero()
    for k, ball in enumerate(balls):
        parity = np.prod(corners[:, :k], axis=1)
        np.testing.assert_allclose(
            gram @ parity, float(ball) * parity, atol=64 * EPS * kernel.trace
        )


@pytest.mark.parametrize("dim", [4, 300, 10**4, 10**6])
def test_exponential_has_its_closed_form_on_the_hypercube(dim):
    """exp(t) is a product over coordinates: sinh(1/d)^k cosh(1/d)^(d - k)."""
    balls, counts, tail, _ = hypercube_levels(EXP, dim, 4, digits=30)
    with mp.workdps(80):
        s, c = mp.sinh(mp.mpf(1) / dim), mp.cosh(mp.mpf(1) / dim)
        truth = [s**k * c ** (dim - k) for k in range(5)]
        assert all(map(contains, balls, truth))
        assert all(ball.rad() < ball * 1e-30 for ball in balls)
        rest = mp.e - mp.fsum(n * value for n, value in zip(counts, truth, strict=True))
        assert tail.is_zero() if dim == 4 else abs(float(tail) - float(rest)) < 1e-20


def test_series_and_sum_agree_where_both_serve(monkeypatch):
    summed = hypercube_levels(RELU_NTK, 900, 20)
    monkeypatch.setattr(hypercube, "LONGEST_SUM", 100)
    series = hypercube_levels(RELU_NTK, 900, 20)
    assert (summed[3], series[3]) == ("certified sum over distances", "certified Taylor series")
    for first, second in zip((*summed[0], summed[2]), (*series[0], series[2]), strict=True):
        assert first.overlaps(second)


def test_zeros_on_the_hypercube_are_proved():
    balls = hypercube_levels(nngp(erf, 2, weight_variance=2), 20, 6)[0]
    assert [ball.is_zero() for ball in balls] == [True, False] * 3 + [True]
    # Degree 2 of t^2 - 1/d alone, where the square of a coordinate is one.
    balls = hypercube_levels(dot_product_kernel(T**2 - sympy.Rational(1, 5)), 5, 5)[0]
    assert [k for k, ball in enumerate(balls) if not ball.is_zero()] == [2]
    assert (25 * balls[2]).contains(2)
    assert hypercube_levels(dot_product_kernel(-T), 5, 1)[0][1].overlaps(-arb(1) / 5)


# --- Gaussian inputs --------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [5, 30, 10**6])
def test_exponential_has_mehlers_spectrum(dim):
    """exp(x.z/d) is a product over coordinates, each with a geometric spectrum A B^n.

    The kernel exp(s x z) for the standard normal distribution: B/(1 + B^2) = s from the exponents
    of Mehler's formula, and A/(1 - B) = (1 - 2 s)^(-1/2), its trace.
    """
    balls, counts, tail, _ = gaussian_levels(EXP, dim, 4, digits=20)
    with mp.workdps(60):
        s = mp.mpf(1) / dim
        B = (1 - mp.sqrt(1 - 4 * s**2)) / (2 * s)
        A = (1 - B) / mp.sqrt(1 - 2 * s)
        degrees = gaussian_degrees(EXP, 4)
        assert all(
            contains(ball, A**dim * B**n) for ball, (n, _) in zip(balls, degrees, strict=True)
        )
        held = mp.fsum(math.comb(dim + n - 1, n) * A**dim * B**n for n in range(5))
        assert contains(tail, (1 - 2 * s) ** (-mp.mpf(dim) / 2) - held)
    assert all(ball.rad() < ball * 1e-20 for ball in balls)
    assert counts == tuple(multiplicity(dim, k) for _, k in degrees)


def test_a_square_by_hand():
    """t^2 = sum x_i x_j z_i z_j/d^2: off the diagonal 2/d^2; r^2 alone, E r^4/d^3 = (d+2)/d^2."""
    dim = 7
    balls, _, tail, _ = gaussian_levels(dot_product_kernel(T**2), dim, 2)
    found = dict(zip(gaussian_degrees(EXP, 2), balls, strict=True))
    assert (49 * found[2, 2]).contains(2)
    assert (49 * found[0, 0]).contains(dim + 2)
    assert found[1, 1].is_zero()
    assert found[2, 0].is_zero()
    assert tail.contains(0)


@pytest.mark.parametrize(
    "kernel",
    [dot_product_kernel((1 + T) ** 3), dot_product_kernel(sympy.cosh(T)), RELU_NTK],
    ids=repr,
)
def test_gram_matrices_of_gaussian_rows_have_the_moments_of_the_spectrum(kernel, rng):
    """Products over 2 and 3 independent rows: sum N lambda^2 and sum N lambda^3 on average."""
    dim, rows, top = 12, 40_000, 6
    x, y, z = rng.standard_normal((3, rows, dim))
    if kernel is RELU_NTK:

        def values(a, b):
            norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            return norms / dim * kernel(np.sum(a * b, axis=1) / norms)

        gram = kernel.gram(x[:4], y[:4])
        np.testing.assert_allclose(np.diag(gram), values(x[:4], y[:4]), rtol=1e-12)
    else:
        profile = sympy.lambdify(T, kernel.expression)

        def values(a, b):
            return profile(np.sum(a * b, axis=1) / dim)

    balls, counts, tail, _ = gaussian_levels(kernel, dim, top, digits=10)
    levels, counts = np.array([float(ball) for ball in balls]), np.array(counts, float)
    for samples, exponent in (
        (values(x, y) ** 2, 2),
        (values(x, y) * values(y, z) * values(z, x), 3),
    ):
        error = samples.std() / np.sqrt(rows)
        # What is left out has eigenvalues below the smallest one kept, and the tail's mass.
        left_out = float(abs(tail)) * levels[-4:].max() ** (exponent - 1)
        assert abs(samples.mean() - counts @ levels**exponent) < 4 * error + left_out


def test_masses_go_to_taylor_coefficients_as_one_over_dim():
    kernel = dot_product_kernel(sympy.exp(T) + T**3)
    limit = [1, 1, 1 / 2, 1 / 6 + 1, 1 / 24]
    gaps = []
    for dim in (10**3, 10**4):
        balls, counts, _, _ = gaussian_levels(kernel, dim, 4, digits=10)
        mass = np.zeros(5)
        for ball, count, (n, _) in zip(balls, counts, gaussian_degrees(kernel, 4), strict=True):
            mass[n] += count * float(ball)
        gaps.append((mass - limit) * dim)
    # d (mass - a_n) has a limit itself, which the next order misses by a part in some hundred.
    np.testing.assert_allclose(gaps[0], gaps[1], rtol=0.05)
    assert np.all(np.abs(gaps[1]) < 20)
    assert np.abs(gaps[1]).max() > 0.1


@pytest.mark.parametrize(
    ("h", "error", "message"),
    [
        (sympy.exp(3 * T), DivergentError, r"E\[h\(\|x\|\^2/d\)\] is infinite .* needs dim > 6"),
        (sympy.exp(-T), NotPositiveDefiniteError, "derivative of order 1 at t = 0 is -1"),
        (sympy.exp(T**2), KernelTheoryError, "not a sum of polynomials times exponentials"),
        (sympy.exp(-sympy.sqrt(2 - 2 * T)), KernelTheoryError, "x.z/d is unbounded"),
        (2 + sympy.cos(T), KernelTheoryError, "not a sum of polynomials times exponentials"),
    ],
)
def test_what_has_no_meaning_for_gaussian_inputs_is_refused(h, error, message):
    with pytest.raises(error, match=message):
        gaussian_levels(dot_product_kernel(h), 6, 2)


def test_networks_that_see_norms_are_refused_for_gaussian_inputs():
    for kernel in (
        nngp(erf, 1, weight_variance=1),
        ntk(relu, 1, weight_variance=2, bias_variance=1),
    ):
        with pytest.raises(KernelTheoryError, match=r'depends on the norms .* domain="sphere"'):
            gaussian_levels(kernel, 6, 2)


# --- circle -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("h", "truth"),
    [
        # Integration by parts: of |theta|, and of exp(-2 sin(theta/2)) by Struve functions.
        (np.arccos, lambda k: mp.pi / 2 if k == 0 else (mp.cos(mp.pi * k) - 1) / (mp.pi * k**2)),
        (lambda c: np.exp(3 * c), lambda k: mp.besseli(k, 3)),
        (lambda c: 1 / (1.1 - c), lambda k: (1.1 - mp.sqrt(0.21)) ** k / mp.sqrt(0.21)),
    ],
)
def test_fourier_eigenvalues_are_as_close_as_they_say(h, truth):
    found, errors, _ = fourier_eigenvalues(h, 20)
    expected = np.array([float(truth(k)) for k in range(21)])
    assert np.all(np.abs(found - expected) <= errors)
    assert errors.max() < 1e-10


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hypercube_levels(EXP, 4, 5), ValueError, "at most dim = 4 on the hypercube"),
        (lambda: hypercube_levels(EXP, 0, 0), ValueError, "dim must be"),
        (lambda: hypercube_levels(np.exp, 4, 2), TypeError, "kernel must come from"),
        (
            lambda: hypercube_levels(dot_product_kernel(2 - T**2), 5000, 2),
            KernelTheoryError,
            "coefficient of order 2 at t = 0 is -1.0000; only dim <= 1024",
        ),
        (
            # On two points lambda_0 is the mean of h(1) and h(-1), which is cosh(1) - cosh(1).
            lambda: hypercube_levels(dot_product_kernel(sympy.exp(T) - sympy.cosh(1)), 1, 0),
            PrecisionError,
            "nor proved to be zero",
        ),
        (lambda: gaussian_levels(EXP, 1, 2), ValueError, "dim must be"),
        (lambda: gaussian_levels(EXP, 5, -1), ValueError, "max_degree must be"),
        (lambda: fourier_eigenvalues(lambda c: c[1:], 2), ValueError, "kernel must keep the shape"),
        (lambda: fourier_eigenvalues(lambda c: c * np.nan, 2), ValueError, "kernel must be finite"),
        (lambda: fourier_eigenvalues(np.exp, -1), ValueError, "max_degree must be"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_domains_by_name():
    assert set(DOMAIN_LEVELS) == {"sphere", "circle", "hypercube", "gaussian"}
