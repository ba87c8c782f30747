"""Kernel ridge regression on every prefix of a data set, from one Cholesky factorisation.

The leading block of a Cholesky factor is the factor of the leading block, and the same holds for
its inverse. With L L' = K_N + ridge I and z = L^{-1} y, the coefficients of the regression on the
first n samples are sums over the first n rows of L^{-1}:

    a_j(n) = sum_{i<=n} z_i (L^{-1})_ij,    M_jj(n) = sum_{i<=n} (L^{-1})_ij^2,

where a(n) = M(n) y_n and M(n) = (K_n + ridge I)^{-1}. Everything here runs down those rows once.
Predictions at test points do without the inverse: it is computed when something else asks for it.
"""

import functools
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kerneltheory.core import check
from kerneltheory.regression.factor import (
    cholesky,
    finite_labels,
    invert_in_place,
    scalar_ridge,
    solve_factor,
    symmetric_matrix,
)

# Rows a step: a panel and its temporaries stay in cache. The wide panels feed matrix products.
_PANEL = 16
_WIDE_PANEL = 256


@dataclass(frozen=True, eq=False)
class NestedErrors:
    """What the training labels alone tell of the regression on the first n samples.

    With a = M y and M = (K_n + ridge I)^{-1}, at every n = 1..N:

    Attributes:
        sizes: n, (N,).
        train_error: mean squared residual on the labels, (ridge^2/n) |a|^2, (N,) or (N, outputs).
        generalized_cross_validation: (|a|^2/n) / (tr M/n)^2, which equals
            (|y - H y|^2/n) / (1 - tr H/n)^2 where ridge > 0, and is its limit at ridge = 0.
        leave_one_out: mean over j of (a_j/M_jj)^2, the squared error on each label of the
            regression on the others, exactly.
        trace_inverse: tr M, (N,).
    """

    sizes: np.ndarray
    train_error: np.ndarray
    generalized_cross_validation: np.ndarray
    leave_one_out: np.ndarray
    trace_inverse: np.ndarray


class NestedRegression:
    """Kernel ridge regression on the first n samples, for every n at once.

    f_n(x) = K(x, X_n) a(n),    a(n) = (K_n + ridge I)^{-1} y_n,    n = 1..N.

    Args:
        gram: Gram matrix of all samples, (N, N).
        y: labels, (N,) or (N, outputs). With several outputs every result has a last axis for
            them.
        ridge: absolute ridge, the same number at every n; 0 interpolates.

    Attributes:
        size: N.
        ridge: the ridge.
        factor: L, (N, N), lower triangular, where L L' = K_N + ridge I.
        inverse_factor: L^{-1}, (N, N), computed once, when it is first asked for.
        whitened_labels: z = L^{-1} y, of the shape of y.

    Raises:
        ValueError, TypeError: an argument is not finite, has the wrong shape or is not real.
        NotPositiveDefiniteError: K_N + ridge I is singular to rounding or has a negative
            eigenvalue.

    Reference: Golub and Van Loan, Matrix Computations (2013), section 4.2.

    Examples:
        >>> gram = np.array([[2.0, 1.0], [1.0, 2.0]])
        >>> nested = NestedRegression(gram, [1.0, 2.0], ridge=0.0)
        >>> nested.predictions(gram)
        array([[1. , 0.5],
               [1. , 2. ]])
    """

    def __init__(self, gram: Any, y: Any, ridge: float) -> None:
        matrix = symmetric_matrix("gram", gram)
        self.ridge = scalar_ridge(ridge)
        self.size = len(matrix)
        labels = finite_labels(y, self.size)
        self.factor = cholesky(matrix, self.ridge)
        solution = solve_factor(self.factor, labels.reshape(self.size, -1))
        self._whitened = np.ascontiguousarray(solution)
        self.whitened_labels = self._whitened.reshape(labels.shape)

    @functools.cached_property
    def inverse_factor(self) -> np.ndarray:
        """L^{-1}, (N, N), lower triangular."""
        return invert_in_place(self.factor.copy())

    def errors(self) -> NestedErrors:
        """Return training error, generalised cross-validation and leave-one-out at every n.

        One pass over the inverse factor; the formulas are those of `NestedErrors`.

        Reference: Golub, Heath and Wahba, Technometrics 21 (1979) 215.

        Examples:
            >>> nested = NestedRegression(np.eye(2), [1.0, 3.0], ridge=1.0)
            >>> nested.errors().train_error
            array([0.25, 1.25])
            >>> nested.errors().leave_one_out
            array([1., 5.])
        """
        shape = self._whitened.shape
        trace, norm, left_out = np.empty(self.size), np.empty(shape), np.empty(shape)
        inverses = np.zeros(self.size)
        coefficients = np.zeros((shape[1], self.size))
        for start in range(0, self.size, _PANEL):
            stop = min(start + _PANEL, self.size)
            rows = self.inverse_factor[start:stop, :stop]
            diagonal = _prefix_sums(np.ones(stop - start), rows * rows, inverses[:stop])
            diagonal.sum(axis=1, out=trace[start:stop])
            # Samples that have not come yet have a_j = M_jj = 0: make that 0/1, not 0/0.
            diagonal[:, start:] += np.triu(np.ones((stop - start, stop - start)), 1)
            for output, carried in enumerate(coefficients):
                a = _prefix_sums(self._whitened[start:stop, output], rows, carried[:stop])
                norm[start:stop, output] = np.einsum("ij,ij->i", a, a)
                a /= diagonal
                left_out[start:stop, output] = np.einsum("ij,ij->i", a, a)
        return self._errors(trace, self._restore(norm), self._restore(left_out))

    def _errors(self, trace: np.ndarray, norm: np.ndarray, left_out: np.ndarray) -> NestedErrors:
        sizes = np.arange(1, self.size + 1)
        n = sizes.reshape(-1, *[1] * (norm.ndim - 1))
        return NestedErrors(
            sizes=sizes,
            train_error=self.ridge**2 * norm / n,
            generalized_cross_validation=norm / n / (trace.reshape(n.shape) / n) ** 2,
            leave_one_out=left_out / n,
            trace_inverse=trace,
        )

    def predictions(self, cross_gram: Any, sizes: Any = None) -> np.ndarray:
        """Return the predictions at test points from the first n samples.

        f_n(x) = sum_{i<=n} W_i(x) z_i with W = L^{-1} K(X, x), a running sum over samples; at given
        sizes and more than N/3 test points K(x, X) a(n), which is the cheaper there.

        Args:
            cross_gram: kernel between samples and test points, (N, tests).
            sizes: the values of n, integers in 1..N in any order; every n if left out.

        Returns:
            (sizes, tests), and (sizes, tests, outputs) with several outputs.

        Raises:
            ValueError, TypeError: `cross_gram` is not finite or has not N rows, or a size is not
                in 1..N.

        Examples:
            >>> nested = NestedRegression(np.eye(2), [1.0, 3.0], ridge=1.0)
            >>> nested.predictions([[1.0], [1.0]], sizes=[2])
            array([[2.]])
        """
        cross = check.finite("cross_gram", cross_gram, ndim=2)
        _check_length("cross_gram", cross, self.size)
        unique, order = self._unique(np.arange(1, self.size + 1) if sizes is None else sizes)
        if sizes is not None and 3 * cross.shape[1] > self.size:
            return self._restore(np.swapaxes(self._coefficient_rows(unique) @ cross, 1, 2)[order])
        whitened = solve_factor(self.factor, cross)
        if sizes is None:
            return self._restore(self._running_sums(whitened))
        result = np.empty((len(unique), cross.shape[1], self._whitened.shape[1]))
        running = np.zeros(result.shape[1:])
        for index, (start, stop) in enumerate(pairwise([0, *unique])):
            running += whitened[start:stop].T @ self._whitened[start:stop]
            result[index] = running
        return self._restore(result[order])

    def _running_sums(self, whitened: np.ndarray) -> np.ndarray:
        """Return the sums over the first n rows of W times z, (N, tests, outputs)."""
        result = np.empty((self._whitened.shape[1], *whitened.shape))
        running = np.zeros((len(result), whitened.shape[1]))
        for start in range(0, self.size, _PANEL):
            panel = slice(start, start + _PANEL)
            for output, carried in enumerate(running):
                weights = self._whitened[panel, output]
                result[output, panel] = _prefix_sums(weights, whitened[panel], carried)
        return np.moveaxis(result, 0, -1)

    def coefficients(self, sizes: Any) -> np.ndarray:
        """Return the dual coefficients of the regressions on the first n samples.

        a(n) = (K_n + ridge I)^{-1} y_n, followed by zeros.

        Args:
            sizes: the values of n, integers in 1..N in any order.

        Returns:
            (N, sizes), and (N, sizes, outputs) with several outputs.

        Raises:
            ValueError, TypeError: a size is not an integer in 1..N.

        Examples:
            >>> nested = NestedRegression(np.eye(2), [1.0, 3.0], ridge=1.0)
            >>> nested.coefficients([1, 2])
            array([[0.5, 0.5],
                   [0. , 1.5]])
        """
        unique, order = self._unique(sizes)
        return self._restore(np.moveaxis(self._coefficient_rows(unique)[order], 2, 0))

    def linear_form(self, vector: Any, sizes: Any = None) -> np.ndarray:
        """Return c . a(n), the linear term of an exact test error.

        c . a(n) = sum_{i<=n} z_i (L^{-1} c)_i.

        Args:
            vector: c, of the shape of y.
            sizes: the values of n; every n if left out.

        Returns:
            (sizes,), and (sizes, outputs) with several outputs.

        Raises:
            ValueError, TypeError: `vector` is not finite or has not the shape of y, or a size is
                not in 1..N.

        Examples:
            >>> nested = NestedRegression(np.eye(2), [1.0, 3.0], ridge=1.0)
            >>> nested.linear_form([1.0, 1.0])
            array([0.5, 2. ])
        """
        array = check.finite("vector", vector)
        if array.shape != self.whitened_labels.shape:
            expected = self.whitened_labels.shape
            raise ValueError(f"vector must have the shape {expected} of y, got {array.shape}")
        result = np.cumsum(self.whitened_labels * (self.inverse_factor @ array), axis=0)
        return result if sizes is None else result[self._sizes(sizes) - 1]

    def quadratic_form(self, matrix: Any, sizes: Any) -> np.ndarray:
        """Return a(n)' D a(n), the quadratic term of an exact test error.

        The squared norm of the predictor in L2 is a' D a with D_ij = E_x K(x, x_i) K(x, x_j).
        Each size costs about n^2 operations, so a few hundred sizes cost less than the
        factorisation.

        Args:
            matrix: D, symmetric, (N, N).
            sizes: the values of n, integers in 1..N in any order.

        Returns:
            (sizes,), and (sizes, outputs) with several outputs.

        Raises:
            ValueError, TypeError: `matrix` is not finite, symmetric and (N, N), or a size is not
                in 1..N.

        Examples:
            >>> nested = NestedRegression(np.eye(2), [1.0, 3.0], ridge=1.0)
            >>> nested.quadratic_form(np.ones((2, 2)), [1, 2])
            array([0.25, 4.  ])
        """
        form = symmetric_matrix("matrix", matrix)
        _check_length("matrix", form, self.size)
        unique, order = self._unique(sizes)
        rows = self._coefficient_rows(unique)
        outputs = rows.shape[1]
        flat = _quadratic_forms(rows.reshape(-1, self.size), np.repeat(unique, outputs), form)
        return self._restore(flat.reshape(-1, outputs)[order])

    def log_marginal_likelihood(self) -> np.ndarray:
        """Return the Gaussian-process evidence of the first n labels at every n.

        log p(y_n) = -(y_n' M y_n + log det(K_n + ridge I) + n log 2 pi)/2 with the ridge as the
        variance of the noise: sums over samples of z_i^2 and of log L_ii.

        Returns:
            (N,), and (N, outputs) with several outputs.

        Reference: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), (2.30).

        Examples:
            >>> nested = NestedRegression(np.eye(2), [0.0, 2.0], ridge=0.0)
            >>> nested.log_marginal_likelihood() + np.log(2 * np.pi) * np.array([0.5, 1.0])
            array([ 0., -2.])
        """
        log_pivots = np.log(np.diagonal(self.factor))
        terms = self._whitened**2 / 2 + (log_pivots + np.log(2 * np.pi) / 2)[:, None]
        return self._restore(-np.cumsum(terms, axis=0))

    def _coefficient_rows(self, sizes: np.ndarray) -> np.ndarray:
        """Return a(n) padded with zeros for increasing sizes, (sizes, outputs, N).

        Between two sizes a(n) changes by the rows of L^{-1} between them, so all sizes together
        read L^{-1} once.
        """
        rows = np.zeros((len(sizes), self._whitened.shape[1], self.size))
        start = 0
        for index, stop in enumerate(sizes):
            change = self._whitened[start:stop].T @ self.inverse_factor[start:stop, :stop]
            rows[index, :, :stop] = change
            if index:
                rows[index, :, :start] += rows[index - 1, :, :start]
            start = stop
        return rows

    def _sizes(self, sizes: Any) -> np.ndarray:
        array = check.integers("sizes", sizes, minimum=1)
        if array.ndim != 1 or array.max() > self.size:
            raise ValueError(
                f"sizes must be a list of integers from 1 to {self.size}, got {sizes!r}"
            )
        return array

    def _unique(self, sizes: Any) -> tuple[np.ndarray, Any]:
        """Return the increasing distinct sizes, and the index that restores the given order."""
        array = self._sizes(sizes)
        unique, order = np.unique(array, return_inverse=True)
        return unique, slice(None) if np.array_equal(unique, array) else order

    def _restore(self, array: np.ndarray) -> np.ndarray:
        """Drop the last axis, of outputs, if y had none."""
        return array[..., 0] if self.whitened_labels.ndim == 1 else array


def _prefix_sums(weights: np.ndarray, rows: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """Return `carried` plus the running sums of weighted rows, and carry on the last of them."""
    sums = (np.tri(len(weights)) * weights) @ rows
    sums += carried
    carried[:] = sums[-1]
    return sums


def _quadratic_forms(rows: np.ndarray, sizes: np.ndarray, form: np.ndarray) -> np.ndarray:
    """Return r' D r for each row r, of which the first `size` entries are not zero; sizes increase.

    By panels of D below the diagonal, which count twice, and only for the rows that reach them.
    """
    result = np.zeros(len(rows))
    for start in range(0, sizes[-1], _WIDE_PANEL):
        stop = min(start + _WIDE_PANEL, sizes[-1])
        first = np.searchsorted(sizes, start, side="right")
        active = rows[first:]
        product = 2.0 * (active[:, :start] @ form[start:stop, :start].T)
        product += active[:, start:stop] @ form[start:stop, start:stop]
        result[first:] += np.einsum("ij,ij->i", product, active[:, start:stop])
    return result


def _check_length(name: str, array: np.ndarray, size: int) -> None:
    if len(array) != size:
        raise ValueError(f"{name} must have {size} rows, as many as gram, got {array.shape}")
