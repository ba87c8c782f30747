"""Known exact answers, each with its reference, in mpmath at the precision that is set there."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy

from kerneltheory.activations.activation import Activation, X
from kerneltheory.activations.catalogue import CATALOGUE, erf, relu
from kerneltheory.activations.duals import dual_class

HALF = sympy.Rational(1, 2)

gelu = Activation("gelu", X * (1 + sympy.erf(X / sympy.sqrt(2))) / 2, "arXiv:1606.08415")
absolute = Activation("abs", sympy.Abs(X))
sign = Activation("sign", sympy.sign(X))
step = Activation("step", sympy.Heaviside(X))
cubic = Activation("x^3 - 2 x", X**3 - 2 * X)
relu_plus_erf = Activation("relu + erf", sympy.Max(0, X) + sympy.erf(X))


# Each has terms of the same kind as one that the other tests hold: relu, erf, sine(2, 1/2), a
# polynomial, exponential(-1/2), selu, hard_tanh, tanh or softsign.
KIN = (
    "leaky_relu(1/10)",
    "absolute",
    "rectified_monomial(2)",
    "monomial(3)",
    "hermite(4)",
    "scaled_erf(1/2)",
    "scaled_erf(1, 1/2)",
    "sigmoid_erf",
    "sin",
    "cos",
    "cosine(2, -1/2)",
    "rbf_feature(1/4)",
    "exp",
    "elu",
    "swish",
    "softplus",
    "arctan",
    "selu",
    "mish",
    "sigmoid",
    "relu + erf",
    "sine(2, 1/2)",
    "x^2 erf",
    "gabor(1/2, 2)",
)


def by_name(entries=CATALOGUE):
    """A test for each activation: in the fast tests those of each kind that cost little.

    Kin of others are marked `kin`; what takes seconds for balls or compilation, `slow`.
    """

    def marks(phi):
        if phi.name in KIN:
            return pytest.mark.kin
        elementary = dual_class(phi).name == "elementary"
        return () if elementary and phi.name != "x^2 erf" else pytest.mark.slow

    return pytest.mark.parametrize(
        "phi",
        [pytest.param(phi, marks=marks(phi)) for phi in entries],
        ids=lambda phi: phi.name,
    )


# --- dual activations -------------------------------------------------------------------------


@dataclass(frozen=True)
class KnownDual:
    """E[phi(u) phi(v)] and E[phi'(u) phi'(v)] for a covariance (q1, q2, k), from the literature."""

    phi: Activation
    value: Callable[[Any, Any, Any], Any]
    slope: Callable[[Any, Any, Any], Any]
    reference: str


def _angle(q1, q2, k):
    return mp.acos(k / mp.sqrt(q1 * q2))


def _relu_value(q1, q2, k):
    theta = _angle(q1, q2, k)
    return mp.sqrt(q1 * q2) * (mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)) / (2 * mp.pi)


def _abs_value(q1, q2, k):
    theta = _angle(q1, q2, k)
    return 2 * mp.sqrt(q1 * q2) * (mp.sin(theta) + (mp.pi / 2 - theta) * mp.cos(theta)) / mp.pi


def _abs_slope(q1, q2, k):
    return 1 - 2 * _angle(q1, q2, k) / mp.pi


KNOWN_DUALS = (
    KnownDual(
        relu,
        _relu_value,
        lambda q1, q2, k: (mp.pi - _angle(q1, q2, k)) / (2 * mp.pi),
        "Cho and Saul (2009), arc-cosine kernels of order 1 and 0, halved",
    ),
    KnownDual(
        erf,
        lambda q1, q2, k: 2 * mp.asin(2 * k / mp.sqrt((1 + 2 * q1) * (1 + 2 * q2))) / mp.pi,
        lambda q1, q2, k: 4 / (mp.pi * mp.sqrt((1 + 2 * q1) * (1 + 2 * q2) - 4 * k * k)),
        "Williams (1996), equation 11 with the input's bias in q",
    ),
    KnownDual(absolute, _abs_value, _abs_slope, "relu at u and -u: Cho and Saul (2009)"),
)


_gauss_legendre = functools.cache(np.polynomial.legendre.leggauss)


def gaussian_expectation(phi, q1: float, q2: float, k: float) -> tuple[float, float]:
    """E[phi(u) phi(v)] by quadrature in polar coordinates, and how far a coarser rule is from it.

    Kinks and jumps at 0 lie on four rays, between which the integrand is smooth.
    """
    c = np.clip(k / np.sqrt(q1 * q2), -1, 1)
    ray = np.arctan2(-c, np.sqrt(1 - c * c)) % np.pi
    rays = np.sort([np.pi / 2, 3 * np.pi / 2, ray, ray + np.pi])
    rays = np.append(rays, rays[0] + 2 * np.pi)

    def rule(radial: int, angular: int) -> float:
        nodes, weights = _gauss_legendre(radial)
        # Beyond r = 13 the Gaussian leaves exp(-84), below the rounding of what is compared.
        r, wr = 6.5 * (nodes[:, None] + 1), 6.5 * weights[:, None]
        nodes, weights = _gauss_legendre(angular)
        total = 0.0
        for low, high in itertools.pairwise(rays):
            angle = (low + high) / 2 + (high - low) / 2 * nodes
            x, y = r * np.cos(angle), r * np.sin(angle)
            u, v = np.sqrt(q1) * x, np.sqrt(q2) * (c * x + np.sqrt(1 - c * c) * y)
            values = phi(u) * phi(v) * r * np.exp(-r * r / 2) / (2 * np.pi)
            total += (high - low) / 2 * float(np.sum(wr * weights * values))
        return total

    fine = rule(120, 60)
    return fine, abs(fine - rule(90, 45))


# --- network kernels --------------------------------------------------------------------------


def network_kernel(known: KnownDual, depth, w, b, q1, q2, k, *, tangent):
    """The recursion of arXiv:1806.07572 on raw covariances, from k = K^0 and its diagonals."""
    theta = k
    for _ in range(depth):
        slope, k = known.slope(q1, q2, k), w * known.value(q1, q2, k) + b
        theta = k + w * slope * theta
        q1, q2 = w * known.value(q1, q1, q1) + b, w * known.value(q2, q2, q2) + b
    return theta if tangent else k


# --- spectra: THEORY of dot-product kernels, cosine t between unit vectors ---------------------


@dataclass(frozen=True)
class KnownSpectrum:
    """h as a sympy expression and its eigenvalue as a function of (dim, degree)."""

    name: str
    h: sympy.Expr
    eigenvalue: Callable[[int, int], Any]
    reference: str


t = sympy.Symbol("t", real=True)
ARC_COSINE_0 = 1 - sympy.acos(t) / sympy.pi
ARC_COSINE_1 = (sympy.sqrt(1 - t**2) + t * (sympy.pi - sympy.acos(t))) / sympy.pi


def multiplicity(d: int, k: int) -> int:
    """Homogeneous polynomials of degree k less those of degree k - 2 (times |x|^2)."""

    def homogeneous(degree: int) -> int:
        return int(sympy.binomial(degree + d - 1, d - 1)) if degree >= 0 else 0

    return homogeneous(k) - homogeneous(k - 2)


def rectified_power(d: int, a: int, k: int):
    """E[t_+^a P_k(t)]."""
    numerator = mp.gamma(mp.mpf(d) / 2) * mp.gamma(a + 1) / mp.power(2, a + 1)
    return numerator * mp.rgamma(mp.mpf(a - k) / 2 + 1) * mp.rgamma(mp.mpf(a + k + d) / 2)


def arc_cosine_0(d: int, k: int):
    """h(t) = E over w of 2 H(w.x) H(w.z): a square in the harmonic basis."""
    return 2 * rectified_power(d, 0, k) ** 2


def arc_cosine_1(d: int, k: int):
    """The same for rectified linear functions, where E (w.x)^2 = 1/d."""
    return 2 * d * rectified_power(d, 1, k) ** 2


def times_cosine(eigenvalue, d: int, k: int):
    """The eigenvalue of t h, from the recurrence of P_k."""
    if k == 0:
        return eigenvalue(d, 1)
    above, below = eigenvalue(d, k + 1), eigenvalue(d, k - 1)
    return ((k + d - 2) * above + k * below) / mp.mpf(2 * k + d - 2)


def relu_tangent(d: int, k: int):
    """NTK of one hidden layer of relu, weight variance 2: 2 (h1 + t h0)."""
    return 2 * (arc_cosine_1(d, k) + times_cosine(arc_cosine_0, d, k))


def one_minus_power(nu, d: int, k: int):
    """(1 - t)^nu, by Rodrigues' formula."""
    nu = mp.mpf(nu)
    constant = mp.power(2, nu + d - 2) * mp.gamma(mp.mpf(d) / 2) / mp.sqrt(mp.pi)
    return constant * mp.gamma(nu + mp.mpf(d - 1) / 2) * mp.rf(-nu, k) * mp.rgamma(k + nu + d - 1)


def exponential(a, d: int, k: int):
    """exp(a t): a modified Bessel function, as its positive series (besseli loses large orders)."""
    a, order = mp.mpf(a), k + mp.mpf(d) / 2
    series = mp.hyp0f1(order, a * a / 4)
    return mp.power(a / 2, k) * series / mp.rf(mp.mpf(d) / 2, k)


def gaussian(width, d: int, k: int):
    """exp(-|x - z|^2 / (2 width^2)) = exp(-1/width^2) exp(t / width^2) on unit vectors."""
    a = 1 / mp.mpf(width) ** 2
    return mp.exp(-a) * exponential(a, d, k)


def power_series(coefficients, d: int, k: int):
    """A polynomial sum a_n t^n by its terminating positive series."""
    half, total = mp.mpf(d) / 2, mp.mpf(0)
    for n, a in enumerate(coefficients):
        if n >= k and (n - k) % 2 == 0:
            j = (n - k) // 2
            weight = mp.factorial(n) / (mp.power(2, n) * mp.factorial(j) * mp.rf(half, k + j))
            total += mp.mpf(a) * weight
    return total


KNOWN_SPECTRA = (
    KnownSpectrum("arc-cosine 0", ARC_COSINE_0, arc_cosine_0, "Bach (2017), arXiv:1412.8690"),
    KnownSpectrum("arc-cosine 1", ARC_COSINE_1, arc_cosine_1, "Bach (2017), arXiv:1412.8690"),
    KnownSpectrum(
        "relu NTK", 2 * (ARC_COSINE_1 + t * ARC_COSINE_0), relu_tangent, "arXiv:1905.12173"
    ),
    KnownSpectrum(
        "3/2 - sqrt(1 - t)",
        sympy.Rational(3, 2) - sympy.sqrt(1 - t),
        lambda d, k: (mp.mpf(3) / 2 if k == 0 else 0) - one_minus_power(0.5, d, k),
        "Rodrigues' formula",
    ),
    KnownSpectrum(
        "3 - 3 (1 - t)/2 + (1 - t)^(3/2)/2",
        3 - 3 * (1 - t) / 2 + (1 - t) ** sympy.Rational(3, 2) / 2,
        lambda d, k: (
            (3 if k == 0 else 0)
            - mp.mpf(3) / 2 * one_minus_power(1, d, k)
            + one_minus_power(1.5, d, k) / 2
        ),
        "Rodrigues' formula",
    ),
    KnownSpectrum("exp(2 t)", sympy.exp(2 * t), lambda d, k: exponential(2, d, k), "DLMF 10.32.2"),
    KnownSpectrum(
        "Gaussian of width 1/2",
        sympy.exp(4 * t - 4),
        lambda d, k: gaussian(0.5, d, k),
        "DLMF 10.32.2",
    ),
    KnownSpectrum(
        "(1 + t)^3",
        (1 + t) ** 3,
        lambda d, k: power_series((1, 3, 3, 1), d, k),
        "moments of the cosine",
    ),
)
