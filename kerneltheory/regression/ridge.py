"""Kernel ridge regression with the conventions of scikit-learn, which it does not import."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.core.records import Array
from kerneltheory.regression.factor import check_symmetric, scalar_ridge, symmetric_matrix
from kerneltheory.regression.inputs import (
    checked_labels,
    checked_samples,
    column_names,
    compare_names,
    not_fitted_error,
)
from kerneltheory.regression.path import RidgePath
from kerneltheory.regression.systems import SOLVERS, factorise, ridge_path

# Rows a step where only the diagonal of a Gram matrix is wanted, which kernels do not give alone.
_BLOCK = 64


class KernelRidge:
    r"""Kernel ridge regression: the predictor of least squared error plus ridge times squared norm.

    f(x) = K(x, X) a,    a = M y,    M = (K(X, X) + ridge I)^{-1}.

    It keeps scikit-learn's conventions, and works in its pipelines, searches and
    cross-validation. As there, arguments are checked by `fit`.

    A singular system, as of repeated rows at ridge 0, has the solution of minimum norm among those
    of least squares, the limit of a vanishing ridge; nothing is added to its diagonal. What was
    done is told by a warning, `solver_`, `condition_` and `rank_`.

    Rows of numpy are worked on in float64, by LAPACK; rows of jax on their device and in their
    type, by jax. In float32 a warning says so, and a system that leaves fewer than two digits is
    refused. A fitted model keeps a factor of n^2 numbers.

    Args:
        kernel: any object with a method `gram(X, Z=None)` that returns the matrix of kernel
            values between the rows of X and those of Z, or of X.
        ridge: absolute ridge, not negative; 0 interpolates.
        solver: "cholesky"; "eigen", by an eigendecomposition, for some twenty times the time; or
            "auto", the former unless the system is singular to rounding.

    Attributes:
        dual_coef_: a, of the shape of y.
        X_fit_: the samples, (n, features).
        n_features_in_: the number of features.
        feature_names_in_: the names of the columns, if X was a data frame with names.
        solver_: "cholesky" or "eigen", the one that was used.
        condition_: condition number of K + ridge I: an estimate in the 1-norm, never above the
            truth, by Cholesky; in the 2-norm by an eigendecomposition. Infinite if the system is
            singular to rounding.
        rank_: the number of eigenvalues of K + ridge I above rounding, n eps times the largest.
        dtype_: the type that was computed in, float64 or float32.

    Reference: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2009),
    section 5.8.

    Examples:
        >>> class Linear:
        ...     def gram(self, X, Z=None):
        ...         return X @ (X if Z is None else Z).T
        >>> model = KernelRidge(Linear(), ridge=1.0).fit([[1.0], [2.0]], [1.0, 2.0])
        >>> model.predict([[6.0]])
        array([5.])
    """

    dual_coef_: Array
    X_fit_: Array
    n_features_in_: int
    feature_names_in_: np.ndarray
    solver_: str
    condition_: float
    rank_: int
    dtype_: np.dtype

    def __init__(self, kernel: Any, ridge: float, solver: str = "auto") -> None:
        self.kernel = kernel
        self.ridge = ridge
        self.solver = solver

    def fit(self, X: Any, y: Any) -> "KernelRidge":
        """Fit to samples and labels, and return the model.

        Args:
            X: samples, (n, features).
            y: labels, (n,) or (n, outputs).

        Raises:
            ValueError, TypeError: an argument is not finite, has the wrong shape or type, or the
                ridge is negative.
            NotPositiveDefiniteError: K + ridge I has a negative eigenvalue; or, with the solver
                "cholesky", it is singular to rounding.
            PrecisionError: it is in float32, which leaves fewer than two digits.
            KernelTheoryError: the coefficients leave the range of the numbers.

        Warns:
            SingularSystemWarning: K + ridge I is singular to rounding.
            PrecisionWarning: fewer than four digits are certain, or it is in float32.
        """
        ridge = scalar_ridge(self.ridge)
        self._check_parameters()
        samples = checked_samples(X)
        labels = checked_labels(y, len(samples))
        with _full_precision(samples):
            system = factorise(self._square_gram(samples), ridge, self.solver)
            coefficients = system.coefficients(labels)
        if not np.isfinite(np.asarray(coefficients)).all():
            raise KernelTheoryError(
                f"the coefficients leave the range of {coefficients.dtype}: scale y, whose "
                f"largest entry is {np.abs(labels).max():.3g}, or raise the ridge (now {ridge:.3g})"
            )
        self.dual_coef_ = coefficients
        # A caller who writes into X later must not move the fitted model.
        self.X_fit_ = samples.copy()
        self.n_features_in_ = samples.shape[1]
        self._set_names(column_names(X))
        self.solver_, self.condition_, self.rank_ = system.solver, system.condition, system.rank
        self.dtype_ = np.dtype(coefficients.dtype)
        self._system, self._labels, self._summary = system, labels.copy(), None
        return self

    def predict(self, X: Any) -> Array:
        """Return the predictions K(X, X_fit_) dual_coef_.

        Args:
            X: test points, (tests, features).

        Returns:
            (tests,) or (tests, outputs), as the labels were.

        Raises:
            NotFittedError: the model has not been fitted.
            ValueError, TypeError: X is not finite or has not the columns of the fit.
        """
        points = self._points(X)
        with _full_precision(points, self.X_fit_):
            return self._cross_gram(points) @ self.dual_coef_

    def posterior_variance(self, X: Any) -> Array:
        """Return the variance of the function at test points, given the labels.

        K(x, x) - K(x, X_fit_) M K(X_fit_, x).

        It is that of a Gaussian process of covariance K whose labels have noise of variance
        `ridge`, and is that of the function: the variance of a new label is larger by the ridge.
        It is a difference, known to about n eps K(x, x); what rounding puts below zero is zero.

        Args:
            X: test points, (tests, features).

        Returns:
            (tests,), whatever the number of outputs.

        Raises:
            NotFittedError: the model has not been fitted.
            ValueError, TypeError: X is not finite or has not the columns of the fit.

        Reference: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), (2.26).

        Examples:
            >>> class Linear:
            ...     def gram(self, X, Z=None):
            ...         return X @ (X if Z is None else Z).T
            >>> KernelRidge(Linear(), ridge=1.0).fit([[2.0]], [1.0]).posterior_variance([[5.0]])
            array([5.])
        """
        points = self._points(X)
        with _full_precision(points, self.X_fit_):
            explained = self._system.explained_variance(self._cross_gram(points).T)
            blocks = [
                self.kernel.gram(points[start : start + _BLOCK]).diagonal()
                for start in range(0, len(points), _BLOCK)
            ]
        arithmetic = jnp if isinstance(explained, jax.Array) else np
        return arithmetic.maximum(arithmetic.concatenate(blocks) - explained, 0)

    def train_error(self) -> Any:
        """Return the mean squared residual on the labels, a number, or one for each output.

        This and the next three are made together when one of them is first asked for, from the
        factor that the fit left, at the cost of another factorisation.
        """
        return self._measured("train_error")

    def leave_one_out(self) -> Any:
        """Return the mean squared error on each label of the regression on the others, exactly.

        The mean over j of (a_j/M_jj)^2; a number, or one for each output.

        Examples:
            >>> class Linear:
            ...     def gram(self, X, Z=None):
            ...         return X @ (X if Z is None else Z).T
            >>> float(KernelRidge(Linear(), 1.0).fit([[1.0], [0.0]], [1.0, 2.0]).leave_one_out())
            2.5
        """
        return self._measured("leave_one_out")

    def generalized_cross_validation(self) -> Any:
        """Return (|a|^2/n) / (tr M/n)^2, a number, or one for each output.

        Reference: Golub, Heath and Wahba, Technometrics 21 (1979) 215.
        """
        return self._measured("generalized_cross_validation")

    def log_marginal_likelihood(self) -> Any:
        """Return log p(y) of the Gaussian process whose noise has the ridge as its variance.

        -(y' M y - log det M + n log 2 pi)/2, a number, or one for each output. For a singular
        system, which has no such density, its limit: infinite, and negative if labels contradict
        each other.

        Reference: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), (2.30).
        """
        return self._measured("log_marginal_likelihood")

    def ridge_path(self, ridges: Any) -> RidgePath:
        """Return the regressions on the fitted samples at several ridges.

        One eigendecomposition serves all of them; the ridge of the model plays no part.

        Args:
            ridges: absolute ridges, not negative.

        Returns:
            A RidgePath: coefficients, training error, leave-one-out and generalised
            cross-validation at every ridge, and the best of them by leave-one-out.

        Raises:
            NotFittedError: the model has not been fitted.
            ValueError, TypeError: the ridges are not a list of finite numbers that are not
                negative.
            NotPositiveDefiniteError, PrecisionError: as in `fit`.

        Examples:
            >>> class Linear:
            ...     def gram(self, X, Z=None):
            ...         return X @ (X if Z is None else Z).T
            >>> X, y = [[1.0], [2.0], [3.0]], [1.0, 2.0, 2.0]
            >>> KernelRidge(Linear(), ridge=1.0).fit(X, y).ridge_path([0.1, 1.0]).best_ridge
            1.0
        """
        self._check_fitted()
        with _full_precision(self.X_fit_):
            return ridge_path(self._square_gram(self.X_fit_), self._labels, ridges)

    def score(self, X: Any, y: Any) -> float:
        """Return the coefficient of determination of the predictions, averaged over outputs.

        R^2 = 1 - sum (y - f(X))^2 / sum (y - mean y)^2; for constant labels, 1 where they are
        predicted exactly and 0 elsewhere.

        Args:
            X: test points, (tests, features), at least two.
            y: their labels, of the shape that `predict` returns.

        Raises:
            NotFittedError: the model has not been fitted.
            ValueError, TypeError: an argument is not finite or has the wrong shape.
        """
        predictions = np.asarray(self.predict(X))
        labels = check.finite("y", y)
        if labels.shape != predictions.shape:
            raise ValueError(f"y must have shape {predictions.shape}, got {labels.shape}")
        if len(labels) < 2:
            raise ValueError("score needs at least two test points, got 1")
        residual = np.sum((labels - predictions) ** 2, axis=0)
        total = np.sum((labels - labels.mean(axis=0)) ** 2, axis=0)
        constant = np.where(residual == 0, 0.0, 1.0)
        ratio = np.divide(residual, total, out=constant, where=total > 0)
        return float(np.mean(1.0 - ratio))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor by name.

        Args:
            deep: changes nothing, since a kernel has no parameters of its own to search.
        """
        return {"kernel": self.kernel, "ridge": self.ridge, "solver": self.solver}

    def set_params(self, **params: Any) -> "KernelRidge":
        """Set arguments of the constructor by name, and return the model.

        Args:
            params: `kernel`, `ridge` or `solver`.

        Raises:
            ValueError: a name is not an argument of the constructor.
        """
        accepted = self.get_params()
        for name, value in params.items():
            if name not in accepted:
                raise ValueError(f"parameters are {sorted(accepted)}, got {name!r}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        solver = "" if self.solver == "auto" else f", solver={self.solver!r}"
        return f"KernelRidge(kernel={self.kernel!r}, ridge={self.ridge!r}{solver})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "dual_coef_")

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn calls this, so that it is there to import.
        from sklearn.utils import RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True, multi_output=True),
            regressor_tags=RegressorTags(),
        )

    def _check_parameters(self) -> None:
        if not callable(getattr(self.kernel, "gram", None)):
            raise TypeError(
                f"kernel must be an object with a method gram(X, Z=None), got {self.kernel!r}"
            )
        check.one_of("solver", self.solver, SOLVERS)

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise not_fitted_error("this KernelRidge is not fitted: call fit(X, y) first")

    def _set_names(self, names: np.ndarray | None) -> None:
        # scikit-learn asks whether the attribute is there.
        vars(self).pop("feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = names

    def _points(self, X: Any) -> Array:
        """Test points, of the width of the samples."""
        self._check_fitted()
        compare_names(getattr(self, "feature_names_in_", None), X)
        return checked_samples(X, self.n_features_in_)

    def _square_gram(self, samples: Array) -> Any:
        gram = self.kernel.gram(samples)
        if isinstance(gram, jax.Array):
            check_symmetric("kernel.gram(X)", gram)
        else:
            gram = symmetric_matrix("kernel.gram(X)", gram)
        if len(gram) != len(samples):
            expected = (len(samples), len(samples))
            raise ValueError(f"kernel.gram(X) must have shape {expected}, got {gram.shape}")
        return gram

    def _cross_gram(self, points: Array) -> Any:
        cross = self.kernel.gram(points, self.X_fit_)
        if isinstance(cross, jax.Array) and bool(jnp.isfinite(cross).all()):
            return cross
        return check.finite("kernel.gram(X, X_fit_)", cross)

    def _measured(self, name: str) -> Any:
        self._check_fitted()
        if self._summary is None:
            with _full_precision(self.X_fit_):
                self._summary = self._system.summary(self._labels)
        value = getattr(self._summary, name)[0]
        return float(value) if self._labels.ndim == 1 else value


def _full_precision(*rows: Array) -> contextlib.AbstractContextManager:
    """Where rows of jax are multiplied: some devices would take fewer digits than float32 has."""
    if any(isinstance(array, jax.Array) for array in rows):
        return jax.default_matmul_precision("highest")
    return contextlib.nullcontext()
