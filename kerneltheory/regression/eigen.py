"""Systems (K + ridge I) a = y by the eigenvalues of K: singular ones, and many ridges at once."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from scipy import linalg

from kerneltheory.core.errors import NotPositiveDefiniteError
from kerneltheory.core.records import Array
from kerneltheory.regression.factor import UNITS
from kerneltheory.regression.path import RidgePath


@dataclass(frozen=True, eq=False)
class EigenSystem:
    r"""The system solved by K = U diag(values) U', also where it is singular.

    Of K + ridge I the eigenvalues up to n eps times the largest are rounding. They are left out,
    which gives the solution of minimum norm among those of least squares.

    Attributes:
        ridge: the ridge.
        values: eigenvalues of K, rising, (n,).
        vectors: U, (n, n).
    """

    ridge: float
    values: Array
    vectors: Array
    solver: ClassVar[str] = "eigen"

    @classmethod
    def of(cls, gram: Any, ridge: float) -> "EigenSystem":
        """Decompose a matrix."""
        if isinstance(gram, jax.Array):
            return cls(ridge, *jnp.linalg.eigh(gram))
        return cls(ridge, *linalg.eigh(gram, driver="evd", check_finite=False))

    @functools.cached_property
    def _weights(self) -> tuple[np.ndarray, np.ndarray]:
        return inverse_weights(self.values, np.array([self.ridge]))

    @property
    def _inverse(self) -> np.ndarray:
        """The eigenvalues of M, in the type of the vectors."""
        return self._weights[0][0].astype(self.vectors.dtype)

    @property
    def rank(self) -> int:
        """The number of eigenvalues above rounding."""
        return int(self._weights[1].sum())

    @property
    def condition(self) -> float:
        """The condition number of K + ridge I: infinite if it is singular to rounding."""
        inverse, kept = self._weights
        return float(inverse.max() / inverse.min()) if kept.all() else float(np.inf)

    def coefficients(self, labels: Any) -> Any:
        """M y for labels (n,) or (n, outputs)."""
        projections = self.vectors.T @ labels.astype(self.vectors.dtype)
        return self.vectors @ (projections.T * self._inverse).T

    def explained_variance(self, cross_gram: Any) -> Any:
        """k' M k for every column k of (n, tests), a sum of squares."""
        return self._inverse @ (self.vectors.T @ cross_gram) ** 2

    def summary(self, labels: Any) -> RidgePath:
        """What the labels tell at the ridge."""
        return path_of(self.values, self.vectors, labels, np.array([self.ridge]))


def inverse_weights(values: Any, ridges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 1/(value + ridge), or 0 where that is rounding, and where it is not, (ridges, n).

    Raises:
        NotPositiveDefiniteError: an eigenvalue is negative beyond rounding.

    Examples:
        >>> inverse_weights(np.array([1e-17, 2.0]), np.array([0.0]))
        (array([[0. , 0.5]]), array([[False,  True]]))
    """
    total = np.asarray(values, np.float64) + ridges[:, None]
    unit = total.shape[1] * np.finfo(values.dtype).eps
    rounding = unit * np.abs(total).max(axis=1, keepdims=True)
    negative = (total < -UNITS * rounding).any(axis=1)
    if negative.any():
        lowest, ridge = total[negative].min(), ridges[negative].min()
        raise NotPositiveDefiniteError(
            f"gram + ridge I has the eigenvalue {lowest:.3g}, which is negative beyond rounding "
            f"({rounding.max():.1g}). Check that the kernel is positive definite, or raise the "
            f"ridge (now {ridge:.3g}) by more than {-lowest:.3g}"
        )
    kept = total > rounding
    return np.divide(1, total, out=np.zeros_like(total), where=kept), kept


def path_of(values: Any, vectors: Any, labels: Any, ridges: np.ndarray) -> RidgePath:
    """Return what the labels tell at each ridge, from K = U diag(values) U'.

    With weights 1/(value + ridge) on the eigenvectors, and 0 where that is rounding, they are
    those of M, and ridge/(value + ridge), and 1, those of 1 - H, which takes labels to residuals.
    """
    y = np.asarray(labels, np.float64)
    size, shape = len(y), (len(ridges), *y.shape)
    inverse, kept = inverse_weights(values, ridges)
    residual = np.where(kept, ridges[:, None] * inverse, 1.0)
    projections = np.asarray(vectors.T @ y.reshape(size, -1), np.float64)
    left, coefficients = _left_out(vectors, projections, inverse, residual, kept)
    squares = np.einsum("rk,ko->ro", residual**2, projections**2)
    # Of a regular matrix M itself gives the limit at ridge 0, where the residuals vanish.
    weights = np.where(kept.all(axis=1, keepdims=True), inverse, residual)
    validation = np.einsum("rk,ko->ro", weights**2, projections**2) / size
    validation /= weights.mean(axis=1, keepdims=True) ** 2
    evidence = _evidence(inverse, kept, projections)
    fields = (squares / size, left, validation, evidence)
    train, left, validation, evidence = (a.reshape(len(ridges), *y.shape[1:]) for a in fields)
    return RidgePath(
        ridges=ridges,
        coefficients=coefficients.reshape(shape),
        train_error=train,
        leave_one_out=left,
        generalized_cross_validation=validation,
        log_marginal_likelihood=evidence,
        ranks=kept.sum(axis=1),
    )


def _left_out(
    vectors: Any, projections: np.ndarray, inverse: np.ndarray, residual: np.ndarray, kept: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The mean squared leave-one-out error, (ridges, outputs), and a, (ridges, n, outputs).

    The error on label j is a_j/M_jj, and by the residuals (1 - H)y_j/(1 - H)_jj as well. The
    limit of a singular matrix is the latter, but for samples that lie in no singular direction:
    both of its parts vanish there.
    """
    size, squared = len(vectors), vectors * vectors
    coefficients = _weighted_products(vectors, inverse, projections)
    diagonal = np.asarray(squared @ inverse.T, np.float64).T[:, :, None]
    singular = np.flatnonzero(~kept.all(axis=1))
    errors = np.divide(coefficients, diagonal, out=np.zeros_like(coefficients), where=diagonal > 0)
    if singular.size:
        lost = np.asarray(squared @ (~kept[singular]).T.astype(float), np.float64).T[:, :, None]
        parts = _weighted_products(vectors, residual[singular], projections)
        shares = np.asarray(squared @ residual[singular].T, np.float64).T[:, :, None]
        is_lost = lost > size * np.finfo(vectors.dtype).eps
        ratio = np.divide(parts, shares, out=np.zeros_like(parts), where=is_lost)
        errors[singular] = np.where(is_lost, ratio, errors[singular])
    return (errors * errors).mean(axis=1), coefficients


def _weighted_products(vectors: Any, weights: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """U diag(weights) z for every row of weights and column of z, (ridges, n, outputs)."""
    scaled = (weights.T[:, :, None] * projections[:, None, :]).reshape(len(projections), -1)
    products = np.asarray(vectors @ scaled, np.float64)
    return np.moveaxis(products.reshape(len(projections), len(weights), -1), 1, 0)


def _evidence(inverse: np.ndarray, kept: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """log p(y), (ridges, outputs), with its limit where the matrix is singular."""
    size = len(projections)
    log_determinants = -np.log(np.where(kept, inverse, 1.0)).sum(axis=1, keepdims=True)
    regular = np.einsum("rk,ko->ro", inverse, projections**2) + log_determinants
    regular = -(regular + size * np.log(2 * np.pi)) / 2
    lost = np.einsum("rk,ko->ro", (~kept).astype(float), projections**2)
    rounding = (UNITS * size * np.finfo(np.float64).eps) ** 2 * (projections**2).sum(axis=0)
    limit = np.where(lost > rounding, -np.inf, np.inf)
    return np.where(kept.all(axis=1, keepdims=True), regular, limit)
