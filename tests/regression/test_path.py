"""The ridge path against separate fits, and how it shows itself."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plain_kernels import Gaussian

import kerneltheory as kt
from kerneltheory.regression.ridge import KernelRidge
from kerneltheory.regression.systems import ridge_path

EPS = np.finfo(np.float64).eps
RIDGES = [1.0, 0.0, 1e-3, 30.0]
ERRORS = (
    "train_error",
    "leave_one_out",
    "generalized_cross_validation",
    "log_marginal_likelihood",
)


@pytest.fixture(params=[None, 2])
def data(request, rng):
    shape = (40,) if request.param is None else (40, request.param)
    return rng.standard_normal((40, 4)), rng.standard_normal(shape)


def test_agrees_with_separate_fits(data, rng):
    X, y = data
    points = rng.standard_normal((7, 4))
    path = KernelRidge(Gaussian(), 1.0).fit(X, y).ridge_path(RIDGES)
    gram, cross = Gaussian().gram(X), Gaussian().gram(X, points)
    predictions = path.predictions(cross)
    assert predictions.shape == (4, 7, *y.shape[1:])
    assert path.train_error.shape == (4, *y.shape[1:])
    for index, ridge in enumerate(RIDGES):
        model = KernelRidge(Gaussian(), ridge, solver="cholesky").fit(X, y)
        rounding = 40 * EPS * np.linalg.cond(gram + ridge * np.eye(40))
        scale = np.linalg.norm(model.dual_coef_)
        coefficients = path.coefficients[index]
        assert_allclose(coefficients, model.dual_coef_, rtol=0, atol=rounding * scale)
        atol = 40 * rounding * scale
        assert_allclose(predictions[index], model.predict(points), rtol=0, atol=atol)
        for name in ERRORS:
            expected = getattr(model, name)()
            assert_allclose(getattr(path, name)[index], expected, rtol=10 * rounding)
        assert path.ranks[index] == 40


def test_best_ridge_is_that_of_the_best_fit(rng):
    X = rng.standard_normal((60, 2))
    y = np.sin(X[:, 0]) + 0.3 * rng.standard_normal(60)
    ridges = np.logspace(-4, 2, 13)
    errors = [KernelRidge(Gaussian(), ridge).fit(X, y).leave_one_out() for ridge in ridges]
    path = KernelRidge(Gaussian(), 1.0).fit(X, y).ridge_path(ridges)
    assert path.best_ridge == ridges[np.argmin(errors)]
    # Noise of variance 0.09 in the labels: no end of the range will do.
    assert ridges[0] < path.best_ridge < ridges[-1]


def test_a_singular_matrix_on_the_path(rng):
    X = np.repeat(rng.standard_normal((6, 3)), 2, axis=0)
    y = rng.standard_normal(12)
    with pytest.warns(kt.SingularSystemWarning, match="at ridge 0: 6 of its 12"):
        path = ridge_path(Gaussian().gram(X), y, [0.0, 1e-6])
    assert_array_equal(path.ranks, [6, 12])
    assert path.log_marginal_likelihood[0] == -np.inf
    # Every error is continuous at ridge 0. Its relative change is at most about
    # ridge/(least of the other eigenvalues), and rounding there is eps |K|/ridge.
    eigenvalues = np.linalg.eigvalsh(Gaussian().gram(X))
    rtol = 10 * (1e-6 / eigenvalues[6] + 12 * EPS * eigenvalues[-1] / 1e-6)
    for name in ERRORS[:3]:
        first, second = getattr(path, name)
        assert_allclose(first, second, rtol=rtol)


def test_an_indefinite_matrix_needs_its_ridge():
    matrix = [[1.0, 2.0], [2.0, 1.0]]  # eigenvalues -1 and 3
    with pytest.raises(kt.NotPositiveDefiniteError, match=r"eigenvalue -1, .*now 0\) by more"):
        ridge_path(matrix, [1.0, 1.0], [2.0, 0.0])
    # At ridge 2 the eigenvalue of (1, 1) is 5.
    assert_allclose(ridge_path(matrix, [1.0, 1.0], [2.0]).coefficients, [[0.2, 0.2]], rtol=4 * EPS)


def test_shows_itself(data):
    X, y = data
    path = KernelRidge(Gaussian(), 1.0).fit(X, y).ridge_path(RIDGES)
    text, page = repr(path), path._repr_html_()
    assert f"best by leave-one-out: {path.best_ridge:.6g}" in text
    assert len(text.splitlines()) == 2 + len(RIDGES)
    assert f"{np.mean(path.leave_one_out[0]):.6g}" in text.splitlines()[2]
    assert f"{np.sum(path.log_marginal_likelihood[0]):.6g}" in page
    axes = path.plot()
    train, left, _, best = axes.lines
    assert_array_equal(train.get_xdata(), sorted(RIDGES))
    order = np.argsort(RIDGES)
    expected = path.leave_one_out[order].reshape(4, -1).mean(axis=1)
    assert_allclose(left.get_ydata(), expected, rtol=4 * EPS)
    assert_allclose(best.get_xydata(), [[path.best_ridge, expected.min()]], rtol=4 * EPS)
    assert axes.get_xscale() == "symlog"
    positive = ridge_path(Gaussian().gram(X), y, [1.0, 2.0]).plot(axes.figure.add_subplot())
    assert positive.get_xscale() == "log"


def test_dataset_and_pickle(data):
    X, y = data
    path = KernelRidge(Gaussian(), 1.0).fit(X, y).ridge_path(RIDGES)
    dataset = path.to_xarray()
    assert_array_equal(dataset.leave_one_out.sel(ridge=30.0), path.leave_one_out[3])
    assert dataset.coefficients.dims == ("ridge", "sample", "output")[: y.ndim + 1]
    assert pickle.loads(pickle.dumps(path)) == path


@pytest.mark.parametrize(
    ("ridges", "error", "message"),
    [
        ([], ValueError, "at least one number"),
        (1.0, ValueError, "at least one number"),
        ([1.0, -1.0], ValueError, "ridges must not be negative, got -1"),
        ([np.nan], ValueError, "ridges must be finite"),
        (["a"], TypeError, "ridges must be a real array"),
    ],
)
def test_bad_ridges(ridges, error, message):
    with pytest.raises(error, match=message):
        KernelRidge(Gaussian(), 1.0).fit([[1.0]], [1.0]).ridge_path(ridges)


def test_bad_cross_gram(data):
    X, y = data
    path = ridge_path(Gaussian().gram(X), y, [1.0])
    with pytest.raises(ValueError, match=r"cross_gram must have shape \(40, tests\), got \(3, 2\)"):
        path.predictions(np.ones((3, 2)))
    with pytest.raises(ValueError, match="cross_gram must be finite"):
        path.predictions(np.full((40, 1), np.nan))
