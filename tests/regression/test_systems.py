"""Systems that are singular, nearly so, or on jax: what is answered, and what is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plain_kernels import Cubic, Gaussian, Given, Linear
from scipy.linalg import hilbert, invhilbert

from kerneltheory.core.errors import (
    NotPositiveDefiniteError,
    PrecisionError,
    PrecisionWarning,
    SingularSystemWarning,
)
from kerneltheory.regression.inputs import checked_samples
from kerneltheory.regression.ridge import KernelRidge

EPS = np.finfo(np.float64).eps


@pytest.fixture(params=[None, 2])
def repeated(request, rng):
    """Ten samples, of which eight are four rows twice, with labels that contradict each other."""
    X = rng.standard_normal((6, 3))[[0, 0, 1, 1, 2, 2, 3, 3, 4, 5]]
    return X, rng.standard_normal((10,) if request.param is None else (10, request.param))


def merged(X, y):
    """The distinct rows with the means of their labels."""
    means = y[:8].reshape(4, 2, *y.shape[1:]).mean(axis=1)
    return X[[0, 2, 4, 6, 8, 9]], np.concatenate([means, y[8:]])


def singular_fit(kernel, X, y, solver="auto"):
    with pytest.warns(SingularSystemWarning, match="eigenvalues were left out") as told:
        model = KernelRidge(kernel, 0.0, solver).fit(X, y)
    assert told[0].filename == __file__  # the call of fit
    return model


@pytest.mark.parametrize("solver", ["auto", "eigen"])
def test_repeated_rows_at_ridge_zero(repeated, rng, solver):
    X, y = repeated
    gram = Gaussian().gram(X)
    model = singular_fit(Gaussian(), X, y, solver)
    assert (model.solver_, model.rank_, model.condition_) == ("eigen", 6, np.inf)
    # Of all that fit best, a = pinv(K) y is the least; where rows are merged nothing is singular.
    inverse = np.linalg.pinv(gram, rcond=1e-10, hermitian=True)
    rounding = 10 * EPS * np.linalg.norm(gram, 2) * np.linalg.norm(inverse, 2)
    atol = rounding * np.linalg.norm(inverse, 2) * np.linalg.norm(y)
    assert_allclose(model.dual_coef_, inverse @ y, rtol=0, atol=atol)
    distinct, means = merged(X, y)
    points = rng.standard_normal((5, 3))
    regular = KernelRidge(Gaussian(), 0.0).fit(distinct, means)
    expected = regular.predict(points)
    assert_allclose(model.predict(points), expected, rtol=0, atol=10 * atol)
    assert_allclose(model.predict(distinct), means, rtol=0, atol=10 * atol)
    variance = regular.posterior_variance(points)
    assert_allclose(model.posterior_variance(points), variance, rtol=0, atol=10 * rounding)


@pytest.mark.filterwarnings("ignore::kerneltheory.core.errors.SingularSystemWarning")
@pytest.mark.parametrize("kernel", [Gaussian(), Linear()])
def test_errors_of_a_singular_system(repeated, kernel):
    X, y = repeated
    model = KernelRidge(kernel, 0.0).fit(X, y)
    assert model.rank_ == (6 if isinstance(kernel, Gaussian) else 3)
    gram = kernel.gram(X)
    inverse = np.linalg.pinv(gram, rcond=1e-10, hermitian=True)
    hat = gram @ inverse
    train = np.mean((y - hat @ y) ** 2, axis=0)
    rtol = 100 * EPS * np.linalg.norm(gram, 2) * np.linalg.norm(inverse, 2)
    assert_allclose(model.train_error(), train, rtol=rtol)
    expected = train / (1 - np.trace(hat) / 10) ** 2
    assert_allclose(model.generalized_cross_validation(), expected, rtol=rtol)
    assert np.all(model.log_marginal_likelihood() == -np.inf)
    # Refits on nine of the samples, of which the last two have no twin.
    squares = []
    for j in range(10):
        others = np.arange(10) != j
        left = KernelRidge(kernel, 0.0).fit(X[others], y[others]).predict(X[[j]])[0]
        squares.append((left - y[j]) ** 2)
    assert_allclose(model.leave_one_out(), np.mean(squares, axis=0), rtol=rtol)


def test_labels_that_agree_on_repeated_rows(repeated):
    X = repeated[0]
    y = X.sum(axis=1)
    model = singular_fit(Gaussian(), X, y)
    assert_allclose(model.predict(X), y, rtol=0, atol=1e-12)
    assert model.log_marginal_likelihood() == np.inf
    # Of a kernel that is zero there is nothing to learn.
    assert_array_equal(
        singular_fit(Given(np.zeros((3, 3))), [[0], [1]], [1.0, 2.0]).predict([[2]]), [0.0]
    )


def test_a_ridge_lost_in_rounding_is_no_ridge(repeated):
    X, y = repeated
    with pytest.warns(SingularSystemWarning, match="at ridge 1e-18: 4 of its 10"):
        model = KernelRidge(Gaussian(), 1e-18).fit(X, y)
    assert_allclose(model.predict(X), singular_fit(Gaussian(), X, y).predict(X), rtol=1e-12)


@pytest.mark.parametrize("solver", ["auto", "eigen"])
def test_a_negative_eigenvalue_is_no_singular_one(solver):
    # Eigenvalues 1 +- 1.001.
    kernel = Given([[1.0, 1.001], [1.001, 1.0]])
    with pytest.raises(NotPositiveDefiniteError, match=r"eigenvalue -0\.001"):
        KernelRidge(kernel, 0.0, solver).fit(kernel.rows(), [1.0, 2.0])
    assert KernelRidge(kernel, 0.01, solver).fit(kernel.rows(), [1.0, 2.0]).rank_ == 2


@pytest.mark.parametrize("size", [4, 9])
def test_condition(size):
    # Both the matrix and its inverse are exact; the estimate is a lower bound, and at least a
    # third of the truth (Higham 2002, section 15.3).
    kernel = Given(hilbert(size))
    condition = np.linalg.norm(hilbert(size), 1) * np.linalg.norm(invhilbert(size), 1)
    model = KernelRidge(kernel, 0.0)
    y = np.ones(size)
    if size == 9:
        with pytest.warns(PrecisionWarning, match="relative error of the coefficients"):
            model.fit(kernel.rows(), y)
    else:
        model.fit(kernel.rows(), y)
    assert model.solver_ == "cholesky"
    assert condition / 3 <= model.condition_ <= condition * (1 + size * EPS * condition)
    exact = invhilbert(size, exact=True).sum(axis=1).astype(float)
    error = np.linalg.norm(model.dual_coef_ - exact) / np.linalg.norm(exact)
    assert error <= size * EPS * condition


def test_a_condition_beyond_float64():
    kernel = Given(hilbert(14))  # of condition number 4e20 in exact arithmetic
    model = singular_fit(kernel, kernel.rows(), np.ones(14))
    assert model.rank_ < 14
    # The residual is what was projected out of the labels, and the solution does not explode.
    assert np.sqrt(14 * model.train_error()) < 0.1 * np.sqrt(14)
    residual = np.ones(14) - kernel.matrix @ model.dual_coef_
    assert_allclose(np.mean(residual**2), model.train_error(), rtol=0.01)


# --- rows of jax ------------------------------------------------------------------------------


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.slow
def test_float64_of_jax(float64, rng):
    X, y, points = rng.standard_normal((30, 3)), rng.standard_normal((30, 2)), np.eye(3)
    expected = KernelRidge(Cubic(), 0.1).fit(X, y)
    model = KernelRidge(Cubic(), 0.1).fit(jnp.asarray(X), y)
    assert (model.solver_, model.rank_, model.dtype_) == ("cholesky", 30, np.float64)
    assert isinstance(model.dual_coef_, jax.Array)
    gram = Cubic().gram(X) + 0.1 * np.eye(30)
    rtol = 30 * EPS * np.linalg.cond(gram)
    scale = np.abs(expected.dual_coef_).max()
    assert_allclose(model.dual_coef_, expected.dual_coef_, rtol=0, atol=rtol * scale)
    size = np.abs(Cubic().gram(points, X)).sum(axis=1).max()
    predicted = model.predict(jnp.asarray(points))
    assert isinstance(predicted, jax.Array)
    assert_allclose(predicted, expected.predict(points), rtol=0, atol=rtol * scale * size)
    variance = expected.posterior_variance(points)
    assert_allclose(model.posterior_variance(points), variance, rtol=0, atol=rtol * 8)
    exact = np.linalg.norm(gram, 1) * np.linalg.norm(np.linalg.inv(gram), 1)
    assert exact / 3 <= model.condition_ <= exact * (1 + rtol)
    for name in ("train_error", "leave_one_out", "generalized_cross_validation"):
        assert_allclose(getattr(model, name)(), getattr(expected, name)(), rtol=10 * rtol)
    evidence = expected.log_marginal_likelihood()
    assert_allclose(model.log_marginal_likelihood(), evidence, rtol=10 * rtol)
    assert_allclose(
        model.ridge_path([0.1, 1.0]).coefficients,
        expected.ridge_path([0.1, 1.0]).coefficients,
        rtol=0,
        atol=rtol * scale,
    )


@pytest.mark.slow
def test_repeated_rows_of_jax(float64, repeated):
    X, y = repeated
    expected = singular_fit(Cubic(), X, y)
    model = singular_fit(Cubic(), jnp.asarray(X), y)
    assert (model.solver_, model.rank_) == ("eigen", 6)
    with pytest.warns(PrecisionWarning, match="float32"):
        half = KernelRidge(Cubic(), 10.0, "eigen").fit(jnp.asarray(X, jnp.float32), y)
    assert half.dtype_ == np.float32
    kept = np.linalg.eigvalsh(Cubic().gram(X))[4:]
    rtol = 100 * EPS * kept[-1] / kept[0]
    assert_allclose(model.predict(X), expected.predict(X), rtol=0, atol=rtol * np.abs(y).max())
    assert_allclose(model.leave_one_out(), expected.leave_one_out(), rtol=rtol)
    with pytest.raises(NotPositiveDefiniteError):
        KernelRidge(Cubic(), 0.0, solver="cholesky").fit(jnp.asarray(X), y)


def test_float32_is_told(rng):
    X, y = rng.standard_normal((30, 3)), rng.standard_normal(30)
    model = KernelRidge(Cubic(), 10.0)
    state = str(np.random.get_state())  # noqa: NPY002
    with pytest.warns(PrecisionWarning, match="float32"):
        model.fit(jnp.asarray(X, jnp.float32), y)
    assert str(np.random.get_state()) == state  # noqa: NPY002
    assert model.dtype_ == np.float32
    assert model.dual_coef_.dtype == np.float32
    expected = KernelRidge(Cubic(), 10.0).fit(X, y)
    eps = np.finfo(np.float32).eps
    rtol = 30 * eps * np.linalg.cond(Cubic().gram(X) + 10 * np.eye(30))
    atol = rtol * np.abs(expected.dual_coef_).max()
    assert_allclose(model.dual_coef_, expected.dual_coef_, rtol=0, atol=atol)
    atol *= np.abs(Cubic().gram(X)).sum(axis=1).max()
    assert_allclose(model.predict(jnp.asarray(X)), expected.predict(X), rtol=0, atol=atol)


@pytest.mark.parametrize("solver", ["auto", "eigen"])
def test_float32_is_refused_what_it_cannot_bear(repeated, solver):
    X, y = repeated
    with pytest.raises(PrecisionError, match="float32 cannot bear: raise the ridge, or compute in"):
        KernelRidge(Cubic(), 1e-3, solver).fit(jnp.asarray(X, jnp.float32), y)
    assert KernelRidge(Cubic(), 1e-3).fit(X, y).rank_ == 10
    with pytest.warns(PrecisionWarning, match="float32"):
        model = KernelRidge(Cubic(), 10.0, solver).fit(jnp.asarray(X, jnp.float32), y)
    assert model.dtype_ == np.float32
    with pytest.raises(PrecisionError, match="at ridge 1e-05"):
        model.ridge_path([10.0, 1e-5])


def test_rows_of_jax_keep_their_type_or_become_float32():
    assert checked_samples(jnp.ones((2, 2), dtype=jnp.bfloat16)).dtype == np.float32
    assert checked_samples(jnp.ones((2, 2), dtype=int)).dtype == np.float32
    with jax.enable_x64(True):
        assert checked_samples(jnp.ones((2, 2))).dtype == np.float64


def test_bad_rows_of_jax():
    model = KernelRidge(Cubic(), 1.0)
    with pytest.raises(ValueError, match="X must be finite, got 1 entries"):
        model.fit(jnp.array([[jnp.nan], [1.0]]), [1.0, 2.0])
    with pytest.raises(ValueError, match="Complex data not supported"):
        model.fit(jnp.array([[1j]]), [1.0])
    with pytest.raises(TypeError, match="jax is tracing"):
        jax.jit(lambda X: model.fit(X, np.ones(2)).dual_coef_)(jnp.ones((2, 1)))
