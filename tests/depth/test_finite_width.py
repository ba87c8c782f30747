"""Finite width against sampled networks, exact laws and the kernels of infinite width.

Sampled statistics are compared within 4 standard errors, which a true value leaves with
probability 6e-5 for each; seeds are fixed.
"""

import pickle

import numpy as np
import pytest

import kerneltheory as kt
from kerneltheory.activations.catalogue import monomial, rectified_monomial
from kerneltheory.core.hermite_arrays import REACH

ON_ARRAYS = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sin": np.sin,
}
ERRORS = 4


def sampled_variances(function, depth, width, w, b, variance, networks, seed):
    """The variance of the output given its last hidden layer, of sampled weight matrices."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(networks // 500):
        z = np.sqrt(variance) * rng.standard_normal((500, width), dtype=np.float32)
        for _ in range(depth - 1):
            weights = rng.standard_normal((500, width, width), dtype=np.float32)
            z = np.sqrt(w / width) * np.einsum("sij,sj->si", weights, function(z))
            z = z + np.sqrt(b) * rng.standard_normal((500, width), dtype=np.float32)
        found.append(w * np.mean(function(z).astype(float) ** 2, axis=1) + b)
    return np.concatenate(found)


def markov_variances(function, depth, width, w, b, variance, networks, seed):
    """The same law without matrices: given a layer's kernel, preactivations are independent."""
    rng = np.random.default_rng(seed)
    K = np.full(networks, float(variance))
    for _ in range(depth):
        z = np.sqrt(K)[:, None] * rng.standard_normal((networks, width))
        K = w * np.mean(function(z) ** 2, axis=1) + b
    return K


def mean_and_variance(sample):
    """Both, each with its standard error."""
    centred = sample - sample.mean()
    second, fourth = np.mean(centred**2), np.mean(centred**4)
    count = len(sample)
    return (
        (sample.mean(), np.sqrt(second / count)),
        (second, np.sqrt((fourth - second**2) / count)),
    )


@pytest.mark.parametrize(("depth", "width", "b"), [(3, 24, 0.0), (4, 16, 0.3)])
def test_networks_of_relu_have_the_exact_mean_and_variance(depth, width, b):
    record = kt.finite_width(
        kt.relu, depth, width, weight_variance=1.8, bias_variance=b, variance=0.7
    )
    sample = sampled_variances(ON_ARRAYS["relu"], depth, width, 1.8, b, 0.7, 6000, 11)
    mean, variance = mean_and_variance(sample)
    assert record.exact
    assert abs(mean[0] - record.mean[-1]) < ERRORS * mean[1]
    assert abs(variance[0] - record.four_point[-1] / width) < ERRORS * variance[1]


@pytest.mark.parametrize("name", ["tanh", pytest.param("sin", marks=pytest.mark.slow)])
def test_sampled_networks_have_the_mean_and_variance_of_first_order(name):
    depth, width, variance = 3, 48, 0.8
    settings = {"weight_variance": 1.1, "bias_variance": 0.05, "variance": variance}
    record = kt.finite_width(getattr(kt, name), depth, width, **settings)
    sample = sampled_variances(ON_ARRAYS[name], depth, width, 1.1, 0.05, variance, 5000, 5)
    mean, spread = mean_and_variance(sample)
    # The second order in 1/n is smaller by V/(n K^2), up to a factor near 1 in so few layers.
    ratio = record.depth_to_width[-1]
    shift = abs(record.mean_correction[-1]) / width
    assert abs(mean[0] - record.mean[-1]) < ERRORS * mean[1] + 2 * ratio * shift
    first = record.four_point[-1] / width
    assert abs(spread[0] - first) < ERRORS * spread[1] + 2 * ratio * first
    # Both are resolved: the spread by many of its errors.
    assert first > 5 * spread[1]


def test_outputs_of_sampled_networks_have_the_excess_fourth_moment():
    depth, width, networks = 2, 32, 6000
    record = kt.finite_width(kt.relu, depth, width, weight_variance=2, variance=1)
    given = sampled_variances(ON_ARRAYS["relu"], depth, width, 2.0, 0.0, 1.0, networks, 3)
    outputs = np.sqrt(given)[:, None] * np.random.default_rng(4).standard_normal((networks, 64))
    squares, fourths = np.mean(outputs**2, axis=1), np.mean(outputs**4, axis=1)
    connected = fourths.mean() - 3 * squares.mean() ** 2
    influence = fourths - 6 * squares.mean() * squares
    error = influence.std() / np.sqrt(networks)
    expected = record.excess_kurtosis[-1] * record.mean[-1] ** 2
    assert abs(connected - expected) < ERRORS * error
    assert expected > 5 * error


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("tanh", marks=pytest.mark.kin), "gelu"])
def test_first_order_is_what_two_widths_extrapolate_to(name):
    """2 n V(2n) - n V(n) has no term of second order; critical tanh, and gelu at its point."""
    point = kt.critical_point(getattr(kt, name), digits=15)
    w, b = point.weight_variance, point.bias_variance
    variance, depth, networks = point.variance or 0.6, 5, 200_000
    if name == "gelu":
        from scipy.special import ndtr

        def function(z):
            return z * ndtr(z)
    else:
        function = np.tanh
    record = kt.finite_width(
        getattr(kt, name), depth, 1, weight_variance=w, bias_variance=b, variance=variance
    )
    pairs = []
    for width in (40, 80):
        parts = [
            markov_variances(function, depth, width, w, b, variance, networks // 10, seed)
            for seed in range(10 * width, 10 * width + 10)
        ]
        mean, spread = mean_and_variance(np.concatenate(parts))
        shift = width * (mean[0] - record.variance[-1]), width * mean[1]
        pairs.append((shift, (width * spread[0], width * spread[1])))
    for (one, other), expected in zip(
        zip(*pairs, strict=True), (record.mean_correction[-1], record.four_point[-1]), strict=True
    ):
        extrapolated = 2 * other[0] - one[0]
        error = np.hypot(2 * other[1], one[1])
        # What is left is of third order, (V/(n K^2))^2 at the smaller width, times 1/2.
        left = record.vertex[-1] ** 2 / (40 * 80) * abs(record.four_point[-1])
        assert abs(extrapolated - expected) < ERRORS * error + 2 * left


# --- exact laws -------------------------------------------------------------------------------


@pytest.mark.parametrize(("phi", "c"), [(kt.relu, 5), (monomial(1), 2), (kt.absolute, 2)])
def test_lines_have_their_closed_form_at_every_width(phi, c):
    point = kt.critical_point(phi)
    for width in (1, 1000):
        record = kt.finite_width(phi, 20, width, weight_variance=point.weight_variance, variance=3)
        layers = np.arange(21)
        exact = width * np.expm1(layers * np.log1p(c / width))
        # Quadrature and layers each round to some eps.
        np.testing.assert_allclose(record.vertex, exact, rtol=1e-13)
        np.testing.assert_allclose(record.mean, 3, rtol=1e-13)


@pytest.mark.parametrize("power", [3])
def test_one_layer_of_a_monomial_is_exact(power):
    """E[phi^2] and E[phi^4] of max(x, 0)^p are half moments (2p-1)!!/2 and (4p-1)!!/2."""
    record = kt.finite_width(rectified_monomial(power), 1, 9, weight_variance=1, variance=1)
    square, fourth = (np.prod(np.arange(1.0, k, 2)) / 2 for k in (2 * power, 4 * power))
    assert record.variance[1] == pytest.approx(square, rel=1e-13)
    # The tail beyond the quadrature's reach is exp(-REACH^2/2) times a power.
    tail = REACH ** (4 * power) * np.exp(-(REACH**2) / 2)
    assert record.four_point[1] == pytest.approx(fourth - square**2, rel=1e-12 + tail)


def test_the_vertex_of_the_class_of_zero_is_two_thirds_of_the_depth():
    depth = 5_000
    for phi in (kt.tanh, kt.softsign):
        point = kt.critical_point(phi, digits=15)
        record = kt.finite_width(
            phi, depth, 100, weight_variance=point.weight_variance, variance=0.2
        )
        # Relative corrections are logarithms of the depth over the depth.
        tolerance = 5 * np.log(depth) / depth
        assert abs(record.vertex[-1] / depth - point.vertex_slope) < tolerance
        for array, power in (
            (record.parallel_perturbation, point.p_par),
            (record.perpendicular_perturbation, point.p_perp),
        ):
            measured = -np.log2(array[-1] / array[depth // 2])
            assert abs(measured - power) < tolerance
        if point.order == 1:
            assert abs(record.mean_shift[-1] / depth + 1 / 3) < tolerance


def test_a_half_stable_point_has_its_slope_and_a_fifth_of_it_near_it():
    from kerneltheory.activations.catalogue import hermite

    phi, depth = hermite(4), 5_000
    point = kt.critical_point(phi, digits=15)
    settings = {"weight_variance": point.weight_variance, "bias_variance": point.bias_variance}
    on_it = kt.finite_width(phi, 200, 100, **settings, variance=point.variance)
    # E[h4^4] by Gauss-Hermite, exact for polynomials.
    z, weights = np.polynomial.hermite_e.hermegauss(20)
    h4 = (z**4 - 6 * z**2 + 3) / np.sqrt(24)
    slope = (weights @ h4**4 / np.sqrt(2 * np.pi) - 1) / 16
    assert point.vertex_slope == pytest.approx(slope, rel=1e-12)
    assert on_it.vertex[-1] / 200 == pytest.approx(slope, rel=1e-10)
    below = kt.finite_width(phi, depth, 100, **settings, variance=0.8 * point.variance)
    assert abs(below.vertex[-1] / depth / slope - 1 / 5) < 5 * np.log(depth) / depth
    # 1/(K* - K) grows by the drift a layer.
    gaps = 1 / (1 - below.variance)
    growth = (gaps[-1] - gaps[depth // 2]) / (depth // 2)
    assert abs(growth / point.drift - 1) < 5 * np.log(depth) / depth


# --- against the kernels of infinite width ----------------------------------------------------


@pytest.mark.parametrize("phi", [kt.gelu, kt.tanh])
def test_infinite_width_is_the_trace_of_the_kernels(phi):
    w, b, depth = 1.3, 0.2, 6
    record = kt.finite_width(phi, depth, 10, weight_variance=w, bias_variance=b, variance=w + b)
    settings = {"weight_variance": w, "bias_variance": b}
    assert record.variance[-1] == pytest.approx(kt.nngp(phi, depth, **settings).trace, rel=1e-12)
    theta = record.variance[0]
    for K, chi in zip(record.variance[1:], record.chi_perp[:-1], strict=True):
        theta = K + chi * theta
    assert theta == pytest.approx(kt.ntk(phi, depth, **settings).trace, rel=1e-12)


def test_a_parallel_perturbation_is_the_slope_of_the_output_in_the_input():
    settings = {"weight_variance": 1.5, "bias_variance": 0.1}
    step = 1e-4
    low, middle, high = (
        kt.finite_width(kt.gelu, 8, 10, **settings, variance=1 + k * step) for k in (-1, 0, 1)
    )
    slope = (high.variance - low.variance) / (2 * step)
    # A central difference errs by step^2 times a third derivative, and by rounding over step.
    np.testing.assert_allclose(slope, middle.parallel_perturbation, rtol=1e-7)


# --- records and bad input --------------------------------------------------------------------


def test_records_copy_convert_and_draw():
    record = kt.finite_width(kt.tanh, 12, 50, weight_variance=1, variance=0.5)
    assert pickle.loads(pickle.dumps(record)) == record
    data = record.to_xarray()
    assert data.sizes == {"layer": 13}
    np.testing.assert_array_equal(data["vertex"], record.vertex)
    assert "width n = 50" in repr(record)
    assert "V/(n K^2)" in record._repr_html_()
    line = record.plot().lines[0]
    np.testing.assert_array_equal(line.get_ydata(), record.vertex / 50)


def test_a_jump_has_no_finite_perpendicular_susceptibility():
    record = kt.finite_width(kt.sign, 3, 10, weight_variance=1.0, variance=1.0)
    assert np.isinf(record.chi_perp).all()
    # The square of a sign does not fluctuate.
    np.testing.assert_allclose(record.vertex, 0, atol=1e-14)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"depth": 0}, ValueError, "depth must be an integer of at least 1, got 0"),
        ({"width": 0}, ValueError, "width must be an integer of at least 1, got 0"),
        ({"width": 2.5}, TypeError, "width"),
        ({"weight_variance": -1}, ValueError, "weight_variance must not be negative"),
        ({"bias_variance": -1}, ValueError, "bias_variance must not be negative"),
        ({"bias_variance": np.nan}, ValueError, "bias_variance must be finite"),
        ({"weight_variance": [1, 2]}, ValueError, "weight_variance must have 0 dimensions"),
        ({"variance": 0}, ValueError, "variance must be positive"),
        ({"phi": "tanh"}, TypeError, "phi must be an Activation"),
        ({"phi": kt.exp}, kt.PrecisionError, "exp grows like exp"),
        ({"phi": kt.relu, "weight_variance": 8, "depth": 600}, kt.DivergentError, "diverges"),
        ({"weight_variance": 0.01, "depth": 400}, kt.DivergentError, "vanishes"),
    ],
)
def test_bad_input_is_refused(changes, error, message):
    settings = {"phi": kt.tanh, "depth": 3, "width": 10, "weight_variance": 1.0, "variance": 1.0}
    with pytest.raises(error, match=message):
        kt.finite_width(**settings | changes)
