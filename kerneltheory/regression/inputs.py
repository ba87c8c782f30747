"""Samples and labels from any of scikit-learn's tools, refused in the words that those look for."""

import functools
import sys
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from kerneltheory.core import check
from kerneltheory.core.errors import NotFittedError
from kerneltheory.core.records import Array, is_concrete
from kerneltheory.regression.factor import finite_labels

_NAMES_SHOWN = 5


def checked_samples(X: Any, features: int | None = None) -> Array:
    """Return samples as a finite matrix: float64 of numpy, or of jax in its own type.

    Args:
        X: samples, (n, features).
        features: the number of columns that the model was fitted with.

    Raises:
        ValueError, TypeError: X is not a dense, real and finite matrix with `features` columns
            and at least one row.

    Examples:
        >>> checked_samples([1.0, 2.0])
        Traceback (most recent call last):
        ...
        ValueError: X must have 2 dimensions, got shape (2,). Reshape your data: ...
    """
    if sparse.issparse(X):
        raise TypeError(f"X must be a dense array, got a sparse {type(X).__name__}: X.toarray()")
    samples = _real_array(X)
    shape = samples.shape
    if len(shape) != 2:
        raise ValueError(
            f"X must have 2 dimensions, got shape {shape}. Reshape your data: X.reshape(-1, 1) if "
            "it has one feature, X.reshape(1, -1) if it is one sample"
        )
    for count, what in zip(shape, ("sample", "feature"), strict=True):
        if count == 0:
            raise ValueError(
                f"X must have at least one row and one column, got an array with 0 {what}(s) "
                f"(shape={shape}) while a minimum of 1 is required."
            )
    if features is not None and shape[1] != features:
        raise ValueError(
            f"X has {shape[1]} features, but KernelRidge is expecting {features} features as input"
        )
    return samples


def _real_array(X: Any) -> Array:
    if isinstance(X, jax.Array):
        return _real_jax_array(X)
    try:
        given = np.asarray(X)
        if given.dtype == object:
            given = given.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"X must be a real array, got {type(X).__name__}: {error}") from None
    _refuse_complex(given.dtype)
    return check.finite("X", given)


def _real_jax_array(X: jax.Array) -> jax.Array:
    if not is_concrete(X):
        raise TypeError("X must be an array of known values, got one that jax is tracing")
    _refuse_complex(X.dtype)
    samples = X.astype(jnp.promote_types(X.dtype, jnp.float32))
    if not jnp.isfinite(samples).all():
        check.finite("X", samples)
    return samples


def _refuse_complex(dtype: Any) -> None:
    if np.issubdtype(dtype, np.complexfloating):
        raise ValueError(f"Complex data not supported: X must be a real array, got {dtype}")


def checked_labels(y: Any, size: int) -> np.ndarray:
    """Return finite labels of `size` samples, (size,) or (size, outputs).

    Examples:
        >>> checked_labels(None, 3)
        Traceback (most recent call last):
        ...
        ValueError: KernelRidge requires y to be passed, but the target y is None
    """
    if y is None:
        raise ValueError("KernelRidge requires y to be passed, but the target y is None")
    return finite_labels(y, size)


def column_names(X: Any) -> np.ndarray | None:
    """Return the names of the columns of a data frame, or None where they are not all strings.

    Examples:
        >>> column_names([[1.0, 2.0]])
    """
    names = list(getattr(X, "columns", ()))
    named = bool(names) and all(isinstance(name, str) for name in names)
    return np.array(names, dtype=object) if named else None


def compare_names(fitted: np.ndarray | None, X: Any) -> None:
    """Refuse a data frame with other columns than that of the fit.

    Warns:
        UserWarning: one of the two has names and the other has not.

    Raises:
        ValueError: the names differ, or their order does.
    """
    names = column_names(X)
    if (names is None) != (fitted is None):
        has, fit = ("has", "without") if fitted is None else ("does not have valid", "with")
        warnings.warn(
            f"X {has} feature names, but KernelRidge was fitted {fit} feature names",
            stacklevel=4,  # the call of a method of the model
        )
    if names is None or fitted is None or np.array_equal(names, fitted):
        return
    unseen, missing = sorted({*names} - {*fitted}), sorted({*fitted} - {*names})
    message = ["The feature names should match those that were passed during fit."]
    message += _listed("Feature names unseen at fit time:", unseen)
    message += _listed("Feature names seen at fit time, yet now missing:", missing)
    if not unseen and not missing:
        message.append("Feature names must be in the same order as they were in fit.")
    raise ValueError("\n".join([*message, ""]))


def _listed(title: str, names: list[str]) -> list[str]:
    shown = [f"- {name}" for name in names[:_NAMES_SHOWN]]
    more = ["- ..."] if len(names) > _NAMES_SHOWN else []
    return [title, *shown, *more] if names else []


def not_fitted_error(message: str) -> NotFittedError:
    """Return the error of a model that is not fitted, which scikit-learn's tools know too.

    Those catch a class of their own, so where they are loaded the error is of both.
    """
    tools = sys.modules.get("sklearn.exceptions")
    return NotFittedError(message) if tools is None else _of_both(tools.NotFittedError)(message)


@functools.cache
def _of_both(other: type[Exception]) -> type[NotFittedError]:
    def reduce(error: NotFittedError) -> tuple:
        return not_fitted_error, error.args

    return type("NotFittedError", (NotFittedError, other), {"__reduce__": reduce})
