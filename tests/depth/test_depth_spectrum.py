"""Spectra against depth: the recursion against others, and the record."""

import math
import pickle

import numpy as np
import pytest
from flint import arb, ctx

import kerneltheory as kt

# --- the recursion ----------------------------------------------------------------------------


def relu_pair(depth, correlation):
    """1 - c and Theta of relu, w = 2, b = 0, q = 1, in numbers of 256 bits (Cho and Saul 2009)."""
    with ctx.workprec(256):
        pi, gap = arb.pi().mid(), (1 - arb(correlation)).mid()
        theta = 1 - gap
        for _ in range(depth):
            angle = (1 - gap).acos().mid()
            chi = 1 - angle / pi
            gap = (1 - (angle.sin() + (pi - angle) * (1 - gap)) / pi).mid()
            theta = (1 - gap + chi * theta).mid()
        return gap, theta


def check_relu(depth):
    """Rounding of 256 bits grows as 1/angle a layer and no further: 60 digits are left."""
    points = kt.EquicorrelatedPoints(2, 0.5)
    gap, theta = relu_pair(depth, 0.5)
    ntk = kt.depth_spectrum(kt.relu, points, depth, weight_variance=2, bias_variance=0)
    nngp = kt.depth_spectrum(
        kt.relu, points, depth, weight_variance=2, bias_variance=0, kernel="nngp"
    )
    diagonal = math.exp(ntk.log_diagonal[0])
    assert diagonal == pytest.approx(depth + 1, rel=1e-9)
    assert ntk.ratio[0] * diagonal == pytest.approx(float(theta), rel=1e-9)
    assert ntk.lambda_bulk[0] == pytest.approx(float(depth + 1 - theta), rel=1e-9)
    assert nngp.lambda_bulk[0] == pytest.approx(float(gap), rel=1e-9)


def test_relu_at_depth_ten_thousand():
    check_relu(10**4)


@pytest.mark.slow
def test_relu_at_depth_a_million():
    check_relu(10**6)


def covariance_recursion(phi, X, w, b, depth, window):
    """Raw covariances of all pixels of all inputs: the plain statement of the recursion."""

    def averaged(K):
        shifts = range(-(window // 2), window - window // 2)
        return sum(np.roll(np.roll(K, s, 1), s, 3) for s in shifts) / window

    value, slope = kt.covariance_dual(phi), kt.covariance_dual(phi, 1)
    K = theta = w * averaged(np.einsum("iac,jbc->iajb", X, X) / X.shape[2]) + b
    for _ in range(depth):
        q = np.einsum("iaia->ia", K)
        q1, q2 = np.broadcast_arrays(q[:, :, None, None], q)
        k = np.minimum(K, np.sqrt(q1 * q2))
        T, slopes = np.asarray(value(q1, q2, k)), np.asarray(slope(q1, q2, k))
        K = w * averaged(T) + b
        theta = K + w * averaged(slopes * theta)
    return {"nngp": K, "ntk": theta}


@pytest.mark.parametrize(
    ("phi", "w", "b"), [(kt.relu, 2, 0), pytest.param(kt.erf, 1.5, 0.05, marks=pytest.mark.slow)]
)
def test_pixels_against_raw_covariances(phi, w, b):
    """Four inputs of unequal norms and two to predict; the condition number is below 1e4."""
    X = np.random.default_rng(3).standard_normal((6, 8, 3))
    kernels = covariance_recursion(phi, X, w, b, 9, 3)
    for kernel, full in kernels.items():
        for architecture in ("cnn_flatten", "cnn_pooled"):
            pooled = architecture == "cnn_pooled"
            gram = np.einsum("iajb->ij", full) / 64 if pooled else np.einsum("iaja->ij", full) / 8
            values = np.linalg.eigvalsh(gram[:4, :4])
            predictor = gram[4:, :4] @ np.linalg.inv(gram[:4, :4])
            predictor -= predictor.mean(axis=1, keepdims=True)
            found = kt.depth_spectrum(
                phi, X[:4], [2, 9], weight_variance=w, bias_variance=b, kernel=kernel,
                architecture=architecture, test_inputs=X[4:],
            )  # fmt: skip
            assert found.lambda_max[1] == pytest.approx(values[-1], rel=1e-12)
            assert found.lambda_bulk[1] == pytest.approx(values[:-1].mean(), rel=1e-11)
            assert found.condition_number[1] == pytest.approx(values[-1] / values[0], rel=1e-10)
            assert found.mean_predictor is not None
            assert found.mean_predictor[1] == pytest.approx(np.linalg.norm(predictor, 2), rel=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phi", "w", "b"), [pytest.param(kt.relu, 2, 0, marks=pytest.mark.slow), (kt.erf, 4, 0.1)]
)
def test_dense_networks_against_their_gram_matrices(phi, w, b):
    X = np.random.default_rng(4).standard_normal((6, 5))
    for make in (kt.nngp, kt.ntk):
        found = kt.depth_spectrum(
            phi, X, [1, 6], weight_variance=w, bias_variance=b, kernel=make.__name__
        )
        for row, depth in enumerate((1, 6)):
            gram = make(phi, depth, weight_variance=w, bias_variance=b).gram(X)
            values = np.linalg.eigvalsh(gram)
            assert found.lambda_max[row] == pytest.approx(values[-1], rel=1e-12)
            assert found.condition_number[row] == pytest.approx(values[-1] / values[0], rel=1e-11)
            assert math.exp(found.log_diagonal[row]) == pytest.approx(np.diag(gram).mean())


@pytest.mark.slow
def test_equal_pixels_are_a_dense_network():
    X = np.random.default_rng(5).standard_normal((4, 6))
    settings = {"weight_variance": 1.0, "bias_variance": 0.1}
    dense = kt.depth_spectrum(kt.erf, X, [3, 40], **settings)
    images = np.repeat(X[:, None, :], 5, axis=1)
    for architecture in ("cnn_flatten", "cnn_pooled"):
        found = kt.depth_spectrum(kt.erf, images, [3, 40], architecture=architecture, **settings)
        np.testing.assert_allclose(found.lambda_bulk, dense.lambda_bulk, rtol=1e-7)
        np.testing.assert_allclose(found.lambda_max, dense.lambda_max, rtol=1e-12)


def test_wide_convolutional_networks():
    """The NNGP at 3 hidden layers by sampling: 200 networks of 200 channels.

    Their bias is of the order of 3 layers/200 channels times a curvature of a few tenths: tested
    against 4.5 standard errors (one false alarm in 1e4 seeds for 18 entries) and 1%.
    """
    rng = np.random.default_rng(6)
    X, width, window = rng.standard_normal((3, 8, 3)), 200, 3

    def convolved(h):
        """Weights of variance 2 over fan-in, at circular neighbours."""
        weights = rng.standard_normal((window, h.shape[2], width))
        weights *= math.sqrt(2 / (window * h.shape[2]))
        return sum(np.roll(h, 1 - s, axis=1) @ weights[s] for s in range(window))

    samples = []
    for _ in range(200):
        z = convolved(X)
        for _ in range(2):
            z = convolved(np.maximum(z, 0))
        h = np.maximum(z, 0)
        # The mean over the weights of the readout is exact.
        samples.append(2 * np.einsum("iac,jbc->iajb", h, h) / width)
    for architecture, pair, places in (
        ("cnn_flatten", "siaja->sij", 8),
        ("cnn_pooled", "siajb->sij", 64),
    ):
        grams = np.einsum(pair, samples) / places
        mean, error = grams.mean(axis=0), grams.std(axis=0) / math.sqrt(len(samples))
        found = kt.depth_spectrum(
            kt.relu, X, 3, weight_variance=2, bias_variance=0, kernel="nngp",
            architecture=architecture,
        )  # fmt: skip
        diagonal = math.exp(found.log_diagonal[0])
        own, others = np.diag_indices(3), np.triu_indices(3, 1)
        for part, value in ((own, diagonal), (others, diagonal * found.ratio[0])):
            spread = np.sqrt((error[part] ** 2).sum())  # of a mean of three at most
            assert abs(mean[part].mean() - value) < 4.5 * spread / math.sqrt(3) + 0.01 * value


# --- the record -------------------------------------------------------------------------------


def found_record():
    return kt.depth_spectrum(
        kt.relu, kt.EquicorrelatedPoints(10, 0.5), [10, 100, 1000], weight_variance=2,
        bias_variance=0,
    )  # fmt: skip


def test_it_prints_converts_draws_and_pickles():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    found = found_record()
    assert "critical phase" in repr(found)
    assert len(repr(found).splitlines()) == 5
    assert "<table>" in found._repr_html_()
    # The laws are shown as the title and the table of the spectrum show them.
    laws = repr(found.predicted).splitlines()
    assert len(laws) == 5
    for line, whole in zip(laws[2:], repr(found).splitlines()[2:], strict=True):
        assert set(line.split()[:3]) <= set(whole.split())
    assert "<table>" in found.predicted._repr_html_()
    data = found.to_xarray()
    assert data.sizes == {"depth": 3}
    np.testing.assert_array_equal(data.condition_number, found.condition_number)
    np.testing.assert_allclose(data.max_learning_rate * found.lambda_max, 2)
    axes = found.plot()
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), found.condition_number)
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), found.predicted.condition_number)
    assert pickle.loads(pickle.dumps(found)) == found


POINTS = kt.EquicorrelatedPoints(3, 0.5)
ROWS = np.eye(3)
IMAGES = np.random.default_rng(0).standard_normal((3, 4, 2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"depths": [0, 3]}, ValueError, "depths must hold integers of at least 1"),
        ({"depths": [3, 2]}, ValueError, "increasing"),
        ({"depths": [1.5]}, TypeError, "depths"),
        ({"depths": [[1], [2]]}, ValueError, "increasing"),
        ({"inputs": ROWS[:1]}, ValueError, "at least 2 inputs"),
        ({"inputs": np.array([[1.0, np.nan], [0, 1]])}, ValueError, "inputs must be finite"),
        ({"inputs": np.array([[1.0, 0], [0, 0]])}, ValueError, r"zeros in \[1\]"),
        ({"inputs": np.array([[1.0, 0], [1.0, 0], [0, 1]])}, ValueError, r"rows \[0, 1\]"),
        ({"inputs": np.ones(3)}, ValueError, "inputs must have 2 dimensions"),
        ({"kernel": "rbf"}, ValueError, "kernel must be one of nngp, ntk, got 'rbf'"),
        ({"architecture": "resnet"}, ValueError, "architecture must be one of fcn"),
        ({"inputs": IMAGES, "architecture": "cnn_pooled", "window": 5}, ValueError, "window"),
        ({"inputs": IMAGES, "architecture": "cnn_pooled", "window": 0}, ValueError, "window"),
        ({"inputs": ROWS, "architecture": "cnn_pooled"}, ValueError, "3 dimensions"),
        ({"test_inputs": ROWS}, ValueError, "test_inputs must be None"),
        ({"inputs": ROWS, "test_inputs": np.eye(2)}, ValueError, "test_inputs must have the shape"),
        ({"weight_variance": 3}, kt.KernelTheoryError, "fixed"),
        ({"weight_variance": 1}, kt.KernelTheoryError, "fixed"),
        ({"phi": kt.step}, (kt.KernelTheoryError, ValueError), "diverge|infinite"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {
        "phi": kt.relu, "inputs": POINTS, "depths": [1], "weight_variance": 2, "bias_variance": 0,
    } | change  # fmt: skip
    with pytest.raises(error, match=message):
        kt.depth_spectrum(**arguments)


def test_points_of_an_impossible_correlation():
    with pytest.raises(ValueError, match="correlation must be in"):
        kt.EquicorrelatedPoints(3, -0.6)
    with pytest.raises(ValueError, match="correlation must be in"):
        kt.EquicorrelatedPoints(3, 1.0)
    with pytest.raises(ValueError, match="count must be an integer of at least 2"):
        kt.EquicorrelatedPoints(1, 0.5)


def test_lost_differences_are_told():
    """Rows of unequal norms in the ordered phase of relu, whose variances settle as slowly."""
    X = np.random.default_rng(1).standard_normal((4, 5))
    with pytest.raises(kt.PrecisionError, match="one norm"):
        kt.depth_spectrum(kt.relu, X, [3, 500], weight_variance=1.5, bias_variance=0.3)
