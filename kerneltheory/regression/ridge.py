"""Kernel ridge regression with the conventions of scikit-learn, which it does not import."""

from typing import Any

import numpy as np

from kerneltheory.core import check
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.regression.factor import (
    cholesky,
    finite_labels,
    scalar_ridge,
    solve_system,
    symmetric_matrix,
)


class KernelRidge:
    """Kernel ridge regression: the predictor of least squared error plus ridge times squared norm.

    f(x) = K(x, X) (K(X, X) + ridge I)^{-1} y.

    It keeps scikit-learn's conventions, and works in its pipelines, searches and
    cross-validation. As there, arguments are checked by `fit`.

    Args:
        kernel: any object with a method `gram(X, Z=None)` that returns the matrix of kernel
            values between the rows of X and those of Z, or of X.
        ridge: absolute ridge, not negative; 0 interpolates.

    Attributes:
        dual_coef_: (K + ridge I)^{-1} y, of the shape of y.
        X_fit_: the samples, (n, features).
        n_features_in_: the number of features.

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

    dual_coef_: np.ndarray
    X_fit_: np.ndarray
    n_features_in_: int

    def __init__(self, kernel: Any, ridge: float) -> None:
        self.kernel = kernel
        self.ridge = ridge

    def fit(self, X: Any, y: Any) -> "KernelRidge":
        """Fit to samples and labels, and return the model.

        Args:
            X: samples, (n, features).
            y: labels, (n,) or (n, outputs).

        Raises:
            ValueError, TypeError: an argument is not finite, has the wrong shape or type, or the
                ridge is negative.
            NotPositiveDefiniteError: K + ridge I is singular to rounding, as with repeated rows
                at ridge 0, or has a negative eigenvalue.
        """
        ridge = scalar_ridge(self.ridge)
        if not callable(getattr(self.kernel, "gram", None)):
            raise TypeError(
                f"kernel must be an object with a method gram(X, Z=None), got {self.kernel!r}"
            )
        samples = _samples(X)
        labels = finite_labels(y, len(samples))
        gram = symmetric_matrix("kernel.gram(X)", self.kernel.gram(samples))
        if len(gram) != len(samples):
            expected = (len(samples), len(samples))
            raise ValueError(f"kernel.gram(X) must have shape {expected}, got {gram.shape}")
        self.dual_coef_ = solve_system(cholesky(gram, ridge), labels)
        # A caller who writes into X later must not move the fitted model.
        self.X_fit_ = samples.copy()
        self.n_features_in_ = samples.shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the predictions K(X, X_fit_) dual_coef_.

        Args:
            X: test points, (tests, features).

        Returns:
            (tests,) or (tests, outputs), as the labels were.

        Raises:
            KernelTheoryError: the model has not been fitted.
            ValueError, TypeError: X is not finite or has not the number of columns of the fit.
        """
        if not self.__sklearn_is_fitted__():
            raise KernelTheoryError("this KernelRidge is not fitted: call fit(X, y) first")
        points = _samples(X)
        if points.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X must have {self.n_features_in_} columns as in fit, got {points.shape[1]}"
            )
        cross_gram = check.finite("kernel.gram(X, X_fit_)", self.kernel.gram(points, self.X_fit_))
        return cross_gram @ self.dual_coef_

    def score(self, X: Any, y: Any) -> float:
        """Return the coefficient of determination of the predictions, averaged over outputs.

        R^2 = 1 - sum (y - f(X))^2 / sum (y - mean y)^2; for constant labels, 1 where they are
        predicted exactly and 0 elsewhere.

        Args:
            X: test points, (tests, features), at least two.
            y: their labels, of the shape that `predict` returns.

        Raises:
            KernelTheoryError: the model has not been fitted.
            ValueError, TypeError: an argument is not finite or has the wrong shape.
        """
        predictions = self.predict(X)
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
        """Return the arguments of the constructor by name; `deep` changes nothing."""
        return {"kernel": self.kernel, "ridge": self.ridge}

    def set_params(self, **params: Any) -> "KernelRidge":
        """Set arguments of the constructor by name, and return the model.

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
        return f"KernelRidge(kernel={self.kernel!r}, ridge={self.ridge!r})"

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


def _samples(X: Any) -> np.ndarray:
    samples = check.finite("X", X, ndim=2)
    if samples.size == 0:
        raise ValueError(f"X must have at least one row and one column, got shape {samples.shape}")
    return samples
