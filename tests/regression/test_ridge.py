"""The regressor against scikit-learn's, and inside its tools."""

import numpy as np
import pytest
import sklearn.kernel_ridge
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_regressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from kerneltheory.core.errors import KernelTheoryError, NotPositiveDefiniteError
from kerneltheory.regression.ridge import KernelRidge

EPS = np.finfo(np.float64).eps


class Gaussian:
    def gram(self, X, Z=None):
        Z = X if Z is None else Z
        return np.exp(-((X[:, None] - Z[None]) ** 2).sum(-1) / 2)


class Linear:
    def gram(self, X, Z=None):
        return X @ (X if Z is None else Z).T


class Indefinite:
    def gram(self, X, Z=None):
        return -Linear().gram(X, Z)


class Broken:
    def gram(self, X, Z=None):
        return np.full((len(X), len(X if Z is None else Z)), np.nan)


@pytest.fixture(params=[None, 2])
def data(request, rng):
    shape = (60,) if request.param is None else (60, request.param)
    return rng.standard_normal((60, 4)), rng.standard_normal(shape)


@pytest.mark.parametrize("ridge", [1e-2, 1.0])
def test_agrees_with_scikit_learn(data, rng, ridge):
    X, y = data
    points, kernel = rng.standard_normal((9, 4)), Gaussian()
    gram = kernel.gram(X)
    reference = sklearn.kernel_ridge.KernelRidge(alpha=ridge, kernel="precomputed").fit(gram, y)
    model = KernelRidge(kernel, ridge).fit(X, y)
    # Two backward stable solves differ by size * eps * condition number (Higham 2002, 10.4).
    rtol = 4 * len(X) * EPS * np.linalg.cond(gram + ridge * np.eye(len(X)))
    scale = np.abs(reference.dual_coef_).max()
    assert_allclose(model.dual_coef_, reference.dual_coef_, rtol=0, atol=rtol * scale)
    expected = reference.predict(kernel.gram(points, X))
    assert model.predict(points).shape == expected.shape
    assert_allclose(model.predict(points), expected, rtol=0, atol=rtol * len(X) * scale)


def test_score_is_the_coefficient_of_determination(data):
    X, y = data
    model = KernelRidge(Gaussian(), 0.1).fit(X[:40], y[:40])
    expected = r2_score(y[40:], model.predict(X[40:]))
    assert_allclose(model.score(X[40:], y[40:]), expected, rtol=1e-12)


def test_score_of_constant_labels():
    model = KernelRidge(Linear(), 0.0).fit([[1.0]], [0.0])
    assert model.score([[1.0], [2.0]], [0.0, 0.0]) == 1.0
    assert model.score([[1.0], [2.0]], [3.0, 3.0]) == 0.0


def test_one_sample(rng):
    # K = 4 and ridge 1: the coefficient is y/5, the prediction at 3 is 6 y/5.
    model = KernelRidge(Linear(), 1.0).fit([[2.0]], [5.0])
    assert_allclose(model.dual_coef_, [1.0], rtol=EPS)
    assert_allclose(model.predict([[3.0]]), [6.0], rtol=2 * EPS)


def test_ridge_zero_interpolates(data):
    X, y = data
    model = KernelRidge(Gaussian(), 0.0).fit(X, y)
    condition = np.linalg.cond(Gaussian().gram(X))
    assert_allclose(model.predict(X), y, rtol=0, atol=len(X) * EPS * condition)


def test_attributes_and_later_writes_into_the_samples(data):
    X, y = data
    model = KernelRidge(Gaussian(), 1.0).fit(X, y)
    before = model.predict(X[:3])
    assert model.n_features_in_ == 4
    assert model.dual_coef_.shape == y.shape
    assert_array_equal(model.X_fit_, X)
    points = X[:3].copy()
    X += 1.0
    assert_array_equal(model.predict(points), before)


def test_parameters_and_clone():
    kernel = Gaussian()
    model = KernelRidge(kernel, 0.5)
    assert model.get_params() == {"kernel": kernel, "ridge": 0.5}
    assert model.set_params(ridge=2.0) is model
    assert model.ridge == 2.0
    with pytest.raises(ValueError, match="got 'alpha'"):
        model.set_params(alpha=1.0)
    copy = clone(model.fit([[1.0]], [1.0]))
    assert copy.ridge == 2.0
    assert not hasattr(copy, "dual_coef_")


def test_inside_a_pipeline_and_a_search(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), KernelRidge(Gaussian(), 0.1)).fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    expected = KernelRidge(Gaussian(), 0.1).fit(scaled, y).predict(scaled)
    assert_array_equal(pipeline.predict(X), expected)
    assert pipeline.score(X, y) == pytest.approx(r2_score(y, expected))
    search = GridSearchCV(pipeline, {"kernelridge__ridge": [0.1, 10.0]}, cv=3).fit(X, y)
    assert search.best_params_["kernelridge__ridge"] in (0.1, 10.0)
    assert cross_val_score(pipeline, X, y, cv=3).shape == (3,)
    assert is_regressor(pipeline[-1])
    check_is_fitted(pipeline[-1])


def test_repeated_samples(rng):
    X = np.repeat(rng.standard_normal((5, 3)), 2, axis=0)
    y = np.arange(10.0)
    with pytest.raises(NotPositiveDefiniteError, match="row 1 repeats row 0"):
        KernelRidge(Gaussian(), 0.0).fit(X, y)
    # With K of the five distinct samples, f - mean y = -(ridge/2) (K + ridge/2)^{-1} mean y. The
    # coefficients grow as 1/ridge, and with them the backward error size * eps * |K| |a|.
    ridge = 1e-6
    model = KernelRidge(Gaussian(), ridge).fit(X, y)
    means = y.reshape(5, 2).mean(axis=1)
    bias = ridge / 2 * np.linalg.norm(np.linalg.inv(Gaussian().gram(X[::2])), 2)
    rounding = len(X) * EPS * np.linalg.norm(Gaussian().gram(X), 2)
    atol = bias * np.linalg.norm(means) + rounding * np.linalg.norm(model.dual_coef_)
    assert_allclose(model.predict(X[::2]), means, rtol=0, atol=atol)


def test_an_indefinite_kernel_is_refused():
    with pytest.raises(NotPositiveDefiniteError, match=r"at most -3, .* raise the ridge"):
        KernelRidge(Indefinite(), 1.0).fit([[2.0]], [1.0])


def test_predict_before_fit():
    with pytest.raises(KernelTheoryError, match="not fitted"):
        KernelRidge(Gaussian(), 1.0).predict([[1.0]])


@pytest.mark.parametrize(
    ("kernel", "ridge", "X", "y", "error", "message"),
    [
        (Gaussian(), -1.0, [[1.0]], [1.0], ValueError, "ridge must not be negative"),
        (Gaussian(), "a", [[1.0]], [1.0], TypeError, "ridge must be a real"),
        (Gaussian(), 1.0, [[np.nan]], [1.0], ValueError, "X must be finite"),
        (Gaussian(), 1.0, [[1.0]], [np.inf], ValueError, "y must be finite"),
        (Gaussian(), 1.0, [1.0], [1.0], ValueError, "X must have 2 dimensions"),
        (Gaussian(), 1.0, np.ones((0, 2)), [], ValueError, "X must have at least one row"),
        (Gaussian(), 1.0, [[1.0]], [1.0, 2.0], ValueError, "y must have shape"),
        (Gaussian(), 1.0, [[1.0]], 1.0, ValueError, "y must have shape"),
        (Broken(), 1.0, [[1.0]], [1.0], ValueError, r"kernel.gram\(X\) must be finite"),
        ("rbf", 1.0, [[1.0]], [1.0], TypeError, "kernel must be an object"),
    ],
)
def test_bad_arguments_of_fit(kernel, ridge, X, y, error, message):
    with pytest.raises(error, match=message):
        KernelRidge(kernel, ridge).fit(X, y)


def test_bad_arguments_of_predict_and_score(rng):
    model = KernelRidge(Gaussian(), 1.0).fit(rng.standard_normal((5, 3)), np.ones(5))
    with pytest.raises(ValueError, match="X must have 3 columns as in fit, got 2"):
        model.predict(np.ones((2, 2)))
    with pytest.raises(ValueError, match="X must be finite"):
        model.predict(np.full((1, 3), np.nan))
    with pytest.raises(ValueError, match="y must have shape"):
        model.score(np.ones((2, 3)), np.ones((2, 1)))
    with pytest.raises(ValueError, match="two test points"):
        model.score(np.ones((1, 3)), np.ones(1))
