"""The regressor against scikit-learn's, and inside its tools."""

import pickle
import sys

import numpy as np
import pandas
import pytest
import sklearn.exceptions
import sklearn.kernel_ridge
from numpy.testing import assert_allclose, assert_array_equal
from plain_kernels import Cubic, Gaussian, Given, Linear
from scipy import sparse
from sklearn.base import clone, is_regressor
from sklearn.datasets import load_digits
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from kerneltheory.activations.catalogue import relu
from kerneltheory.core.errors import KernelTheoryError, NotFittedError, NotPositiveDefiniteError
from kerneltheory.kernels.kernel import nngp
from kerneltheory.regression.ridge import KernelRidge

EPS = np.finfo(np.float64).eps


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


@pytest.mark.parametrize(
    "kernel", [Cubic(), pytest.param(nngp(relu, 1, weight_variance=2), marks=pytest.mark.slow)]
)
def test_agrees_with_scikit_learn_on_digits(kernel):
    digits = load_digits()
    X, y = digits.data / 128, np.eye(10)[digits.target]
    gram, cross = kernel.gram(X[:1500]), kernel.gram(X[1500:], X[:1500])
    reference = sklearn.kernel_ridge.KernelRidge(alpha=1e-3, kernel="precomputed")
    expected = reference.fit(gram, y[:1500]).predict(cross)
    model = KernelRidge(kernel, 1e-3).fit(X[:1500], y[:1500])
    assert_allclose(model.predict(X[1500:]), expected, rtol=0, atol=1e-10)
    # It is a regression that works: one digit in ten by chance.
    assert (model.predict(X[1500:]).argmax(axis=1) == digits.target[1500:]).mean() > 0.9


def test_agrees_with_scikit_learn_on_a_callable_kernel(rng):
    X, points, y = rng.standard_normal((20, 3)), rng.standard_normal((5, 3)), rng.normal(size=20)
    reference = sklearn.kernel_ridge.KernelRidge(alpha=0.1, kernel=lambda x, z: np.exp(x @ z))

    class Exponential:
        def gram(self, X, Z=None):
            return np.exp(X @ (X if Z is None else Z).T)

    model = KernelRidge(Exponential(), 0.1).fit(X, y)
    condition = np.linalg.cond(Exponential().gram(X) + 0.1 * np.eye(20))
    expected = reference.fit(X, y).predict(points)
    atol = 20 * EPS * condition * np.abs(expected).max()
    assert_allclose(model.predict(points), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("solver", ["cholesky", "eigen"])
def test_posterior_and_evidence_agree_with_a_gaussian_process(data, rng, solver):
    X, y = data
    points = rng.standard_normal((200, 4))  # more than one block of rows
    process = GaussianProcessRegressor(RBF(1.0), alpha=0.1, optimizer=None).fit(X, y)
    expected = process.predict(points, return_cov=True)[1]
    expected = np.diagonal(expected[..., 0] if y.ndim == 2 else expected)
    model = KernelRidge(Gaussian(), 0.1, solver).fit(X, y)
    condition = np.linalg.cond(Gaussian().gram(X) + 0.1 * np.eye(60))
    rounding = 60 * EPS * condition
    variance = model.posterior_variance(points)
    assert variance.shape == (200,)
    assert_allclose(variance, expected, rtol=0, atol=rounding)
    # scikit-learn sums over outputs, which are independent.
    evidence = process.log_marginal_likelihood_value_
    assert_allclose(np.sum(model.log_marginal_likelihood()), evidence, rtol=rounding)


def test_posterior_variance_is_not_negative(rng):
    X = rng.standard_normal((40, 2))
    model = KernelRidge(Gaussian(), 1e-10).fit(X, np.ones(40))
    assert model.posterior_variance(X).min() >= 0


@pytest.mark.parametrize("solver", ["cholesky", "eigen"])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_leave_one_out_agrees_with_refits(data, ridge, solver):
    X, y = data[0][:30], data[1][:30]
    model = KernelRidge(Gaussian(), ridge, solver).fit(X, y)
    squares = []
    for j in range(len(X)):
        others = np.arange(len(X)) != j
        left = KernelRidge(Gaussian(), ridge).fit(X[others], y[others]).predict(X[[j]])[0]
        squares.append((left - y[j]) ** 2)
    rounding = 30 * EPS * np.linalg.cond(Gaussian().gram(X) + ridge * np.eye(30))
    assert_allclose(model.leave_one_out(), np.mean(squares, axis=0), rtol=100 * rounding)


@pytest.mark.parametrize("solver", ["cholesky", "eigen"])
def test_errors_from_the_hat_matrix(data, solver):
    X, y = data
    gram, ridge = Gaussian().gram(X), 0.3
    hat = np.linalg.solve(gram + ridge * np.eye(60), gram).T
    residual = y - hat @ y
    train = (residual**2).mean(axis=0)
    model = KernelRidge(Gaussian(), ridge, solver).fit(X, y)
    rounding = 60 * EPS * np.linalg.cond(gram + ridge * np.eye(60))
    assert_allclose(model.train_error(), train, rtol=10 * rounding)
    expected = train / (1 - np.trace(hat) / 60) ** 2
    assert_allclose(model.generalized_cross_validation(), expected, rtol=10 * rounding)
    assert isinstance(model.train_error(), float) == (y.ndim == 1)


def test_a_new_fit_has_new_errors(data):
    X, y = data
    model = KernelRidge(Gaussian(), 0.3).fit(X, y)
    model.leave_one_out()
    expected = KernelRidge(Gaussian(), 0.3).fit(X[:20], y[:20]).leave_one_out()
    assert_array_equal(model.fit(X[:20], y[:20]).leave_one_out(), expected)
    assert_array_equal(pickle.loads(pickle.dumps(model)).leave_one_out(), expected)


def test_names_of_columns(data):
    X, y = pandas.DataFrame(data[0], columns=list("abcd")), data[1]
    model = KernelRidge(Gaussian(), 1.0).fit(X, y)
    assert list(model.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- e\n.*now missing:\n- a\n"):
        model.predict(X.rename(columns={"a": "e"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        unnamed = model.predict(data[0])
    # The frame's rows are not contiguous, so sums of products come in another order.
    atol = 60 * EPS * np.abs(model.dual_coef_).sum()
    assert_allclose(unnamed, model.predict(X), rtol=0, atol=atol)
    assert not hasattr(model.fit(data[0], y), "feature_names_in_")
    with pytest.warns(UserWarning, match="fitted without feature names"):
        model.predict(X)


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
    assert model.get_params() == {"kernel": kernel, "ridge": 0.5, "solver": "auto"}
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
        KernelRidge(Gaussian(), 0.0, solver="cholesky").fit(X, y)
    # With K of the five distinct samples, f - mean y = -(ridge/2) (K + ridge/2)^{-1} mean y. The
    # coefficients grow as 1/ridge, and with them the backward error size * eps * |K| |a|.
    ridge = 1e-6
    model = KernelRidge(Gaussian(), ridge).fit(X, y)
    means = y.reshape(5, 2).mean(axis=1)
    bias = ridge / 2 * np.linalg.norm(np.linalg.inv(Gaussian().gram(X[::2])), 2)
    rounding = len(X) * EPS * np.linalg.norm(Gaussian().gram(X), 2)
    atol = bias * np.linalg.norm(means) + rounding * np.linalg.norm(model.dual_coef_)
    assert_allclose(model.predict(X[::2]), means, rtol=0, atol=atol)


@pytest.mark.parametrize("solver", ["auto", "cholesky", "eigen"])
def test_an_indefinite_kernel_is_refused(solver):
    with pytest.raises(NotPositiveDefiniteError, match=r"-3, .* raise the ridge .* than 3"):
        KernelRidge(Indefinite(), 1.0, solver).fit([[2.0]], [1.0])


@pytest.mark.parametrize("method", ["predict", "posterior_variance", "leave_one_out", "ridge_path"])
def test_what_asks_for_a_fit(method):
    arguments = [] if method == "leave_one_out" else [[[1.0]]]
    with pytest.raises(KernelTheoryError, match="not fitted") as caught:
        getattr(KernelRidge(Gaussian(), 1.0), method)(*arguments)
    # scikit-learn's tools catch a class of their own, also from another process.
    assert isinstance(caught.value, sklearn.exceptions.NotFittedError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copy, sklearn.exceptions.NotFittedError)
    assert isinstance(copy, NotFittedError)


def test_what_asks_for_a_fit_without_scikit_learn(monkeypatch):
    monkeypatch.delitem(sys.modules, "sklearn.exceptions")
    with pytest.raises(NotFittedError) as caught:
        KernelRidge(None, 1.0).predict([[1.0]])
    assert type(caught.value) is NotFittedError


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
        (Gaussian(), 1.0, [["a"]], [1.0], TypeError, "X must be a real array"),
        (Gaussian(), 1.0, [[1.0], [1.0, 2.0]], [1.0], TypeError, "X must be a real array"),
        (Gaussian(), 1.0, [[1j]], [1.0], ValueError, "X must be a real array, got complex"),
        (Gaussian(), 1.0, sparse.eye(2).tocsr(), [1.0, 2.0], TypeError, "X must be a dense array"),
        (Gaussian(), 1.0, [[1.0]], None, ValueError, "requires y"),
        (Given([[1e-200]]), 0.0, [[0.0]], [1e200], KernelTheoryError, "scale y"),
    ],
)
def test_bad_arguments_of_fit(kernel, ridge, X, y, error, message):
    with pytest.raises(error, match=message):
        KernelRidge(kernel, ridge).fit(X, y)


def test_bad_solver():
    with pytest.raises(ValueError, match="solver must be one of auto, cholesky, eigen, got 'lu'"):
        KernelRidge(Gaussian(), 1.0, solver="lu").fit([[1.0]], [1.0])


def test_bad_arguments_of_predict_and_score(rng):
    model = KernelRidge(Gaussian(), 1.0).fit(rng.standard_normal((5, 3)), np.ones(5))
    with pytest.raises(ValueError, match="X has 2 features, but KernelRidge is expecting 3"):
        model.predict(np.ones((2, 2)))
    with pytest.raises(ValueError, match="X must be finite"):
        model.predict(np.full((1, 3), np.nan))
    with pytest.raises(ValueError, match="y must have shape"):
        model.score(np.ones((2, 3)), np.ones((2, 1)))
    with pytest.raises(ValueError, match="two test points"):
        model.score(np.ones((1, 3)), np.ones(1))
