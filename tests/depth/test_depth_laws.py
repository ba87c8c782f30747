"""Spectra against depth obey the laws of large depth, in every phase."""

import functools
import math

import numpy as np
import pytest
from scipy.optimize import brentq

import kerneltheory as kt
from kerneltheory.depth.critical_derivations import critical_log_coefficient
from kerneltheory.depth.depth_laws import CHI_12, VARIANCE

# Where log l/l is far below 1%; `test_relu_at_depth_a_million` goes further.
DEEP = 10**5


def erf_value(q, k):
    """Williams (1996)."""
    return 2 / math.pi * np.arcsin(2 * k / (1 + 2 * q))


def erf_slope(q, k):
    return 4 / math.pi / np.sqrt((1 + 2 * q) ** 2 - 4 * k**2)


def erf_curvature(q):
    """dT'/dk at k = q."""
    return 16 * q / math.pi / (1 + 4 * q) ** 1.5


@functools.cache
def normal_rule():
    """Nodes and weights of a standard normal mean, on Legendre's nodes in [-13, 13].

    Poles 0.97 from the line, as of tanh(sqrt(q) z) at q = 2.6, err by 1.07^-800 = 1e-24.
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    z = 13 * nodes
    weights = weights * np.exp(-z * z / 2)
    return z, weights / weights.sum()


def tanh_moments(q):
    """E[tanh^2], E[tanh'^2] and E[tanh''^2] = dT'/dk at k = q."""
    z, weights = normal_rule()
    t = np.tanh(np.sqrt(q) * z)
    slope = 1 - t * t
    return weights @ t**2, weights @ slope**2, weights @ (2 * t * slope) ** 2


def critical(name, q=1.0):
    """(phi, w, b, dT'/dk) with chi_1 = 1 at the variance q."""
    if name == "erf":
        value, slope, curvature = erf_value(q, q), erf_slope(q, q), erf_curvature(q)
    else:
        value, slope, curvature = tanh_moments(q)
    w = np.nextafter(1 / slope, 0)  # rounding may not make it chaotic
    return getattr(kt, name), float(w), float(q - w * value), float(w * curvature)


# The same with one pixel: the recursion is the one that the other activations take.
SLOW = pytest.param("tanh", 1, marks=pytest.mark.slow)
SETTLING = [("erf", 1), ("erf", 8), ("tanh", 8), SLOW]


@pytest.mark.parametrize(("name", "pixels"), [("relu", 1), ("relu", 8), *SETTLING])
def test_the_critical_columns(name, pixels):
    """THEORY of arXiv:1912.13053 at l = 10^5."""
    m, d, q, l = 20, pixels, 1.0, DEEP  # noqa: E741
    if name == "relu":
        phi, w, b, k, gap = kt.relu, 2, 0, 3, 9 * math.pi**2 / (2 * l**2)
    else:
        phi, w, b, chi_12 = critical(name, q)
        k, gap = 2, 2 / (q * chi_12 * l)
    points = kt.EquicorrelatedPoints(m, 0.5, d)
    architecture = "cnn_pooled" if d > 1 else "fcn"
    settings = {"weight_variance": w, "bias_variance": b, "architecture": architecture}
    ntk = kt.depth_spectrum(phi, points, [100, l], **settings)
    nngp = kt.depth_spectrum(phi, points, [100, l], kernel="nngp", **settings)
    assert ntk.lambda_max[1] == pytest.approx(l * q * (m * d + k) / ((k + 1) * d), rel=1e-2)
    assert ntk.lambda_bulk[1] == pytest.approx(k * l * q / ((k + 1) * d), rel=1e-2)
    assert ntk.condition_number[1] == pytest.approx((m * d + k) / k, rel=1e-2)
    assert nngp.lambda_max[1] == pytest.approx(m * q, rel=1e-2)
    assert nngp.lambda_bulk[1] == pytest.approx(q * gap / d, rel=1e-2)
    assert nngp.condition_number[1] == pytest.approx(m * d / gap, rel=1e-2)
    for found in (ntk, nngp):
        predicted = found.predicted
        np.testing.assert_allclose(predicted.log_lambda_max[1], found.log_lambda_max[1], atol=0.01)
        np.testing.assert_allclose(
            predicted.log_lambda_bulk[1], found.log_lambda_bulk[1], atol=0.01
        )
        np.testing.assert_allclose(
            predicted.condition_number[1], found.condition_number[1], rtol=0.01
        )
        assert found.trainability_depth == found.generalization_depth == math.inf


def test_the_logarithm_at_criticality():
    """1/g = (q chi_12/2) l + beta log l + C + O(log l/l), fitted for erf at q = 1.

    What is left out of the fit is of the order log l/l < 1e-3 over the depths fitted, and moves
    beta by about its own size over the range of log l, 4.
    """
    phi, w, b, chi_12 = critical("erf")
    depths = np.unique(np.geomspace(1e4, 5e5, 30).astype(int))
    found = kt.depth_spectrum(
        phi, kt.EquicorrelatedPoints(2, 0.5), depths, weight_variance=w, bias_variance=b,
        kernel="nngp",
    )  # fmt: skip
    inverse = 1 / found.lambda_bulk
    basis = np.stack([depths, np.log(depths), np.ones(len(depths))], axis=1)
    slope, coefficient, _ = np.linalg.lstsq(basis, inverse, rcond=None)[0]
    # d^2 chi/dc^2 at c = 1: w q^2 d^2 T'/dk^2, T' = (4/pi) ((1 + 2 q)^2 - 4 k^2)^(-1/2).
    second = w * 4 / math.pi * (4 / 5**1.5 + 48 / 5**2.5)
    law = critical_log_coefficient()
    *_, symbol = law.args
    beta = float(law.rhs.subs({VARIANCE: 1, CHI_12: chi_12, symbol: second}))
    assert slope == pytest.approx(chi_12 / 2, rel=1e-6)
    assert coefficient == pytest.approx(beta, rel=1e-2)


ORDERED = {"erf": (1.0, 0.1), "tanh": (1.0, 0.1), "relu": (1.5, 0.5)}


def ordered_constants(name):
    """q*, chi_1, and chi_12 or the slope of the kink, from closed forms or quadrature."""
    w, b = ORDERED[name]
    if name == "relu":
        return b / (1 - w / 2), w / 2, w / (2 * math.pi)
    if name == "erf":
        q = brentq(lambda q: w * erf_value(q, q) + b - q, 1e-3, 10, xtol=1e-15)
        return q, w * erf_slope(q, q), w * erf_curvature(q)
    q = brentq(lambda q: w * tanh_moments(q)[0] + b - q, 1e-3, 10, xtol=1e-15)
    _, slope, curvature = tanh_moments(q)
    return q, w * slope, w * curvature


@pytest.mark.parametrize(("name", "pixels"), [("relu", 1), ("relu", 8), *SETTLING])
def test_the_ordered_columns(name, pixels):
    """Rates by the decay from l to 2 l; the NTK's constant relative to the gaps'."""
    q, chi, rate = ordered_constants(name)
    w, b = ORDERED[name]
    m, depth = 20, 600
    points = kt.EquicorrelatedPoints(m, 0.5, pixels)
    architecture = "cnn_pooled" if pixels > 1 else "fcn"
    settings = {"weight_variance": w, "bias_variance": b, "architecture": architecture}
    depths = [depth, 2 * depth]
    nngp = kt.depth_spectrum(getattr(kt, name), points, depths, kernel="nngp", **settings)
    ntk = kt.depth_spectrum(getattr(kt, name), points, depths, **settings)
    same = q / (1 - chi)
    np.testing.assert_allclose(nngp.lambda_max, m * q, rtol=1e-9)
    np.testing.assert_allclose(ntk.lambda_max, m * same, rtol=1e-9)
    decay = np.diff(nngp.log_lambda_bulk)[0]
    assert decay == pytest.approx(depth * math.log(chi), rel=1e-9)
    gap = nngp.lambda_bulk * pixels / q
    if name == "relu":
        # a C' chi^(l/2)/(chi^(1/2) - chi), C' chi^(l/2) = sqrt(2 g).
        expected = same * rate * np.sqrt(2 * gap) / (math.sqrt(chi) - chi) / pixels
        np.testing.assert_allclose(ntk.lambda_bulk, expected, rtol=1e-9)
    else:
        expected = q * gap * np.array(depths) * (1 + rate * same / chi) / pixels
        np.testing.assert_allclose(ntk.lambda_bulk, expected, rtol=1e-2)
    for found in (nngp, ntk):
        np.testing.assert_allclose(
            found.predicted.log_lambda_bulk, found.log_lambda_bulk, atol=0.01
        )
        np.testing.assert_allclose(
            found.predicted.condition_number, found.condition_number, rtol=0.01
        )
    # By how much the condition number grows in one trainability depth, up to a power of l.
    for found in (nngp, ntk):
        growth = np.diff(np.log(found.condition_number))[0]
        power = math.log(2) if found is ntk and name != "relu" else 0
        assert (growth + power) * found.trainability_depth == pytest.approx(depth, rel=1e-3)


CHAOTIC = (4.0, 0.1)


def chaotic_constants(name):
    """q*, c*, chi_1 and chi_c from closed forms or quadrature."""
    w, b = CHAOTIC
    if name == "erf":
        q = brentq(lambda q: w * erf_value(q, q) + b - q, 1e-3, 10, xtol=1e-15)
        c = brentq(lambda c: (w * erf_value(q, q * c) + b) / q - c, 0, 0.99, xtol=1e-15)
        return q, c, w * erf_slope(q, q), w * erf_slope(q, q * c)
    z, weights = normal_rule()
    q = brentq(lambda q: w * tanh_moments(q)[0] + b - q, 1e-3, 10, xtol=1e-15)

    def mean(function, c):
        other = c * z[:, None] + math.sqrt(1 - c * c) * z
        u, v = math.sqrt(q) * z[:, None], math.sqrt(q) * other
        return weights @ (function(u) * function(v)) @ weights

    c = brentq(lambda c: (w * mean(np.tanh, c) + b) / q - c, 0, 0.99, xtol=1e-14)
    return q, c, w * tanh_moments(q)[1], w * mean(lambda x: 1 / np.cosh(x) ** 2, c)


@pytest.mark.parametrize(("name", "pixels"), SETTLING)
def test_the_chaotic_columns(name, pixels):
    """At w = 4, b = 0.1. relu has no chaotic phase: beyond w = 2 its variance diverges."""
    (w, b), m, d = CHAOTIC, 20, pixels
    q, c, chi, chi_c = chaotic_constants(name)
    depths = np.array([300, 1000, DEEP])
    points = kt.EquicorrelatedPoints(m, 0.5, d)
    architecture = "cnn_pooled" if d > 1 else "fcn"
    settings = {"weight_variance": w, "bias_variance": b, "architecture": architecture}
    phi = getattr(kt, name)
    nngp = kt.depth_spectrum(phi, points, depths, kernel="nngp", **settings)
    ntk = kt.depth_spectrum(phi, points, depths, **settings)
    np.testing.assert_allclose(nngp.lambda_max, q * ((1 - c) / d + m * c), rtol=1e-9)
    np.testing.assert_allclose(nngp.lambda_bulk, q * (1 - c) / d, rtol=1e-9)
    np.testing.assert_allclose(nngp.condition_number, 1 + m * d * c / (1 - c), rtol=1e-9)
    log_same = math.log(q / (chi - 1)) + (depths + 1) * math.log(chi)  # chi^100 > 1e16
    np.testing.assert_allclose(ntk.log_lambda_bulk, log_same - math.log(d), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(ntk.log_lambda_max, log_same - math.log(d), rtol=1e-12, atol=1e-9)
    # Where kappa - 1 is no rounding yet: corrections are of the order 60 chi_c^60, chi_c < 0.86.
    early = kt.depth_spectrum(phi, points, 60, **settings)
    excess = m * d * c / (1 - chi_c) * (chi - 1) / chi**61
    assert early.condition_number[0] - 1 == pytest.approx(excess, rel=1e-2)
    for found in (nngp, ntk):
        np.testing.assert_allclose(found.predicted.log_lambda_max, found.log_lambda_max, rtol=1e-9)
        np.testing.assert_allclose(
            found.predicted.condition_number, found.condition_number, rtol=1e-9
        )
    assert ntk.generalization_depth == pytest.approx(1 / math.log(chi / chi_c), rel=1e-9)
    assert nngp.generalization_depth == pytest.approx(-1 / math.log(chi_c), rel=1e-9)


def rows_at(w, b, q, rng, shape):
    """Inputs of which every pixel has the variance q after the first layer without a window."""
    X = rng.standard_normal(shape)
    return X / np.sqrt(np.mean(X * X, axis=-1, keepdims=True)) * math.sqrt((q - b) / w)


@pytest.mark.parametrize("architecture", ["cnn_flatten", "cnn_pooled"])
def test_convolutions_of_data_reach_the_critical_law(architecture):
    """Eight pixels, windows of three; in the flattened readout d = 1."""
    X = np.random.default_rng(8).standard_normal((2, 8, 4))
    m, l, d = 2, 2000, 8 if architecture == "cnn_pooled" else 1  # noqa: E741
    phi, w, b, chi_12 = critical("erf")
    settings = {"weight_variance": w, "bias_variance": b, "architecture": architecture}
    ntk = kt.depth_spectrum(phi, X, l, **settings)
    nngp = kt.depth_spectrum(phi, X, l, kernel="nngp", **settings)
    assert ntk.lambda_max[0] == pytest.approx(l * (m * d + 2) / (3 * d), rel=1e-2)
    assert ntk.lambda_bulk[0] == pytest.approx(2 * l / (3 * d), rel=1e-2)
    assert nngp.lambda_bulk[0] == pytest.approx(2 / (d * chi_12 * l), rel=1e-2)


def predictors(name, w, b, q, depths, kernel, pixels=1):
    """For labels of mean zero, of 6 inputs and 3 to predict; of 3 and 1 where they have pixels."""
    shape, train = ((9, 6), 6) if pixels == 1 else ((4, pixels, 6), 3)
    X = rows_at(w, b, q, np.random.default_rng(9), shape)
    found = kt.depth_spectrum(
        getattr(kt, name), X[:train], depths, weight_variance=w, bias_variance=b, kernel=kernel,
        test_inputs=X[train:], architecture="fcn" if pixels == 1 else "cnn_pooled",
    )  # fmt: skip
    assert found.mean_predictor is not None
    return found.mean_predictor, found.predicted.predictor_rate


TANH = pytest.param("tanh", marks=pytest.mark.slow)


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("name", ["erf", "relu", TANH])
def test_the_mean_predictor_at_criticality(name, kernel):
    """O(1/l), with corrections of the order of log l/l."""
    w, b = (2.0, 0.0) if name == "relu" else critical(name)[1:3]
    size, rate = predictors(name, w, b, 1.0, [10**4, 10**5], kernel)
    assert size[0] / size[1] == pytest.approx(10, rel=1e-2)
    assert rate[0] / rate[1] == pytest.approx(10, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["ntk", pytest.param("nngp", marks=pytest.mark.kin)])
def test_the_mean_predictor_of_pooled_pixels_at_criticality(kernel):
    _, w, b, _ = critical("erf")
    size, rate = predictors("erf", w, b, 1.0, [2500, 10_000], kernel, pixels=8)
    assert size[0] / size[1] == pytest.approx(4, rel=1e-2)
    assert rate[0] / rate[1] == pytest.approx(4, rel=1e-12)


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("name", ["erf", "relu", TANH])
def test_the_mean_predictor_stays_in_the_ordered_phase(name, kernel):
    q, *_ = ordered_constants(name)
    size, _ = predictors(name, *ORDERED[name], q, [500, 1000], kernel)
    assert size[0] == pytest.approx(size[1], rel=1e-2)
    assert size[0] > 0.1


@pytest.mark.parametrize("name", ["erf", TANH])
def test_the_mean_predictor_falls_in_the_chaotic_phase(name):
    """O(chi_c^l), and O(l (chi_c/chi_1)^l) of the NTK."""
    q, _, chi, chi_c = chaotic_constants(name)
    size, _ = predictors(name, *CHAOTIC, q, [50, 100], "nngp")
    assert math.log(size[0] / size[1]) == pytest.approx(-50 * math.log(chi_c), rel=1e-2)
    size, rate = predictors(name, *CHAOTIC, q, [50, 100], "ntk")
    slope = 50 * math.log(chi / chi_c) - math.log(2)
    assert math.log(size[0] / size[1]) == pytest.approx(slope, rel=1e-2)
    assert math.log(rate[0] / rate[1]) == pytest.approx(slope, rel=1e-9)


def test_a_mean_predictor_below_the_range_of_floats_is_refused():
    q, *_ = ordered_constants("erf")
    with pytest.raises(kt.PrecisionError, match="mean predictor is lost"):
        predictors("erf", *ORDERED["erf"], q, [10, 20_000], "nngp")
