"""Eigenvalues by degree against depth: certified spectra against the laws of bulk and spike."""

import math

import numpy as np
import pytest
import sympy
from scipy import integrate, special

import kerneltheory as kt
from kerneltheory.depth.degree_laws import degree_law
from kerneltheory.depth.phases import phase

HALF = sympy.Rational(1, 2)


def local_rates(profile, degree):
    """Factor a layer between consecutive depths."""
    values = np.log(np.asarray(profile.eigenvalues)[:, degree])
    return np.exp(np.diff(values) / np.diff(profile.depths))


def test_ordered_nngp():
    """Each degree k >= 1 falls as chi_1^l, with corrections of order chi_1^l; degree 0 keeps q*."""
    profile = kt.depth_profile(kt.erf, 4, 3, [10, 15, 20], weight_variance=1, bias_variance=HALF)
    assert profile.phase.name == "ordered"
    rate = profile.phase.chi_1
    for degree in (1, 2, 3):
        slack = 10 * rate ** profile.depths[1]
        assert local_rates(profile, degree)[-1] == pytest.approx(rate, rel=slack)
    q = profile.phase.q_star
    np.testing.assert_allclose(profile.constant_limit, q)
    # What degree 0 lacks of q* is of order chi_1^l too.
    lack = q - profile.eigenvalues[:, 0]
    assert (lack[2] / lack[1]) ** (1 / 5) == pytest.approx(rate, rel=0.01)


def test_ordered_ntk():
    """l chi_1^l: the local rate over chi_1 is ((l + 5)/l)^(1/5) up to a shift of l."""
    profile = kt.depth_profile(
        kt.erf, 4, 1, [12, 16, 20, 24], weight_variance=1, bias_variance=HALF, tangent=True
    )
    constants = profile.eigenvalues[:, 1] / profile.phase.chi_1 ** profile.depths.astype(float)
    # A line in l: second differences vanish but for chi_1^l, 1.4e-3 at the first depth.
    assert abs(np.diff(constants, 2)).max() < 0.01 * abs(np.diff(constants)).max()
    assert profile.law.power == 1
    p_star = profile.phase.q_star / (1 - profile.phase.chi_1)
    assert profile.eigenvalues[-1, 0] == pytest.approx(p_star, rel=24 * profile.phase.chi_1**24)


def test_chaotic_bulk_is_koenigs_function():
    """lambda_k/p_1^l tends to the degree-k part of Q, by quadrature (alpha < d - 1)."""
    phi, dim = kt.optimal_activation(2), 7
    kernel = kt.classifier_limit(phi).limit_kernel
    weight = special.gamma(dim / 2) / math.sqrt(math.pi) / special.gamma((dim - 1) / 2)

    def part(degree):
        legendre = special.eval_gegenbauer(degree, dim / 2 - 1, 1.0)

        def integrand(t):
            harmonic = special.eval_gegenbauer(degree, dim / 2 - 1, t) / legendre
            return kernel(t) * harmonic * (1 - t * t) ** ((dim - 3) / 2)

        # Q is odd, as psi is.
        return 2 * weight * integrate.quad(integrand, 0, 1, epsabs=1e-6, limit=30)[0]

    # The polynomial has E[phi^2] = 1, so that q* = 1 and psi is the correlation map.
    eigenvalues = [
        kt.spectrum(kt.nngp(phi, depth, weight_variance=1), dim, 3).eigenvalues
        for depth in (4, 5, 6)
    ]
    scaled = np.array([row * 2.0**depth for row, depth in zip(eigenvalues, (4, 5, 6), strict=True)])
    for degree in (1, 3):
        exact = part(degree)
        misses = exact - scaled[:, degree]
        # What is missing is the spike, of rate m^(-(d-1)/2) = 1/8 a layer against p_1 = 1/2, and
        # the next power p_1^2 of the iterates, of rate 1/4: ratios tend to 1/4.
        assert (misses > 0).all()
        assert 0.2 < misses[2] / misses[1] < 0.5
        assert misses[2] < 0.1 * exact


@pytest.mark.slow
def test_chaotic_spike_is_white():
    """At alpha > d - 1 the spike makes all degrees alike, of rate chi_1^(-(d-1)/2)."""
    profile = kt.depth_profile(kt.sin, 3, 3, [4, 6], weight_variance=10)
    chi_1, chi_c = profile.phase.chi_1, profile.phase.chi_c
    assert -2 * math.log(chi_c) / math.log(chi_1) > 2
    assert profile.law.part == "spike"
    # The bulk is left over at (chi_c chi_1)^l, 1/3 a layer.
    slack = 3 * (chi_c * chi_1) ** 6
    odd = np.asarray(profile.eigenvalues)[-1, 1::2]
    assert np.ptp(odd) / odd[0] < 40 * slack
    assert local_rates(profile, 1)[-1] == pytest.approx(1 / chi_1, rel=40 * slack)
    # In six dimensions alpha < d - 1, and the bulk wins.
    above = kt.depth_profile(kt.sin, 6, 1, [4, 6], weight_variance=10)
    assert above.law.part == "bulk"
    assert local_rates(above, 1)[-1] == pytest.approx(chi_c, rel=0.01)
    # The NTK's spike is higher by chi_1^l, and wins there still.
    assert degree_law(above.phase, 6, True).base == pytest.approx(chi_1**-1.5)


def test_powers_at_criticality():
    """By the exponents of bulk and spike, from the asymptotics of 1 - c: 1/l and 1/l^2."""
    kinked, smooth = phase(kt.relu, 2), phase(kt.sin, *_critical_sine())
    assert smooth.name == "critical"
    found = [
        [degree_law(one, dim, tangent).power for dim in (2, 3, 4, 5)]
        for one in (smooth, kinked)
        for tangent in (False, True)
    ]
    assert found == [[-1.5, -2, -2, -2], [0.5, 0, 0, 0], [-3, -3, -3, -3], [0, 0, 0, 0]]
    logs = [degree_law(p, d, False).logarithm for p in (smooth, kinked) for d in (2, 3, 4)]
    assert logs == [0, 1, 0, 1, 0, 0]


def _critical_sine():
    """At q: T = e^-q sinh k, T' = e^-q cosh k; w = 1/T', b = q - tanh q, at q = 1/2."""
    q = HALF
    return sympy.exp(q) / sympy.cosh(q), q - sympy.tanh(q)


def first_degrees(kernel):
    """lambda_0 and lambda_1 in four dimensions: means of K and K t under (2/pi) sin^2 of the angle.

    Gauss and Legendre's rule in u with angle = pi u^2, where the kernel's spike at 0 is wide.
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    u = (nodes + 1) / 2
    angle = np.pi * u**2
    measure = 2 / np.pi * np.sin(angle) ** 2 * np.pi * u * weights
    values = kernel(np.cos(angle)) * measure
    return np.array([values.sum(), (values * np.cos(angle)).sum()])


@pytest.mark.slow
def test_critical_relu():
    """NTK over NNGP is l^3/(36 pi^2): q/4 Phi_k against 9 pi^2 q Phi_k/l^3, each shifted in l.

    1 - c = (9 pi^2/2)/x^2 with x = l + B ln l + Phi, so that (36 pi^2 ratio)^(1/3) = l + B ln l +
    const + O(ln l/l): the coefficient of l is solved for from three depths.
    """
    depths = np.array([64, 128, 256])
    found = {
        make: np.array(
            [first_degrees(make(kt.relu, int(depth), weight_variance=2)) for depth in depths]
        )
        for make in (kt.nngp, kt.ntk)
    }
    profile = kt.depth_profile(kt.relu, 4, 1, [1, 2], weight_variance=2, tangent=True)
    same = first_degrees(kt.ntk(kt.relu, 2, weight_variance=2))
    np.testing.assert_allclose(same, profile.eigenvalues[1], rtol=1e-9)
    assert profile.law.power == 0
    x = np.cbrt(36 * np.pi**2 * found[kt.ntk][:, 1] / found[kt.nngp][:, 1])
    first, second = np.diff(x)
    # Differences of B ln l are B ln 2 each; what is left is of order ln(l)/l^2 a layer.
    assert (second - first) / 64 == pytest.approx(1, abs=5 * math.log(64) / 64**2)
    # Degree 0 of the NTK is l q/4 + B ln l: slopes approach 1/2 as 1/l.
    slopes = np.diff(found[kt.ntk][:, 0]) / np.diff(depths)
    assert 2 * slopes[1] - slopes[0] == pytest.approx(0.5, abs=5 * math.log(64) / 64**2)
    # Degree 1 of the NTK is constant, that of the NNGP falls as (l + B ln l + const)^-3.
    assert found[kt.ntk][2, 1] == pytest.approx(found[kt.ntk][1, 1], rel=0.02)


@pytest.mark.parametrize(("tangent", "exponent"), [(False, 5), (True, 3)])
def test_tail_exponent_does_not_change_with_depth(tangent, exponent):
    """relu: nu = 3/2 and 1/2 in k^(-d - 2 nu + 1), d = 3: k^-5 and k^-3 (arXiv:2009.14397)."""
    profile = kt.depth_profile(kt.relu, 3, 2, [1, 2], weight_variance=2, tangent=tangent)
    assert profile.tail_exponent == exponent
    make = kt.ntk if tangent else kt.nngp
    for depth in (2, 3):
        assert kt.tail_law(make(kt.relu, depth, weight_variance=2), 3).exponent == exponent


def test_records_and_figures():
    import matplotlib.pyplot as plt

    profile = kt.depth_profile(kt.erf, 3, 3, [1, 3], weight_variance=1, bias_variance=HALF)
    assert "ordered" in repr(profile)
    assert profile.to_xarray().eigenvalues.dims == ("depth", "degree")
    np.testing.assert_array_equal(
        profile.eigenvalues[1],
        kt.spectrum(kt.nngp(kt.erf, 3, weight_variance=1, bias_variance=HALF), 3, 3).eigenvalues,
    )
    lines = profile.plot().lines
    assert sum(line.get_gid() == "law" for line in lines) == 3
    # The law goes through the deepest point.
    law = next(line for line in lines if line.get_gid() == "law")
    assert law.get_ydata()[-1] == pytest.approx(profile.eigenvalues[1, 1])
    assert len(profile.plot(against="degree").lines) == 2
    plt.close("all")
    with pytest.raises(ValueError, match="against"):
        profile.plot(against="width")
    for depths in ([3, 1], [[1]], [0]):
        with pytest.raises(ValueError, match="depths"):
            kt.depth_profile(kt.erf, 3, 2, depths, weight_variance=1)


def test_no_law_without_a_variance():
    grown = kt.depth_profile(kt.relu, 3, 1, [1, 2], weight_variance=3)
    assert "does not settle" in repr(grown)
    with pytest.raises(kt.KernelTheoryError, match="no law of depth"):
        _ = grown.law
