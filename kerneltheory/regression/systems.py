r"""Dense systems (K + ridge I) a = y: which factorisation solves them, where, and how well.

Numpy arrays are factorised by LAPACK, in float64. Arrays of jax are factorised by jax, on their
device and in their type.
"""

import functools
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse.linalg import LinearOperator, onenormest

from kerneltheory.core import check
from kerneltheory.core.errors import (
    NotPositiveDefiniteError,
    PrecisionError,
    PrecisionWarning,
    SingularSystemWarning,
)
from kerneltheory.regression.eigen import EigenSystem, path_of
from kerneltheory.regression.factor import (
    attempt_cholesky,
    check_symmetric,
    cholesky,
    condition_estimate,
    finite_labels,
    invert_in_place,
    rounding_pivots,
    solve_factor,
    solve_system,
    symmetric_matrix,
)
from kerneltheory.regression.path import RidgePath

SOLVERS = ("auto", "cholesky", "eigen")
# Condition number times eps bounds the relative error of the coefficients, but for a factor of
# the size that is rarely seen. Beyond the first number the user is told, beyond the second
# float32 is refused.
_WORTH_TELLING = 1e-4
_UNBEARABLE = 1e-2


@dataclass(frozen=True, eq=False)
class CholeskySystem(ABC):
    """The system solved by L L' = K + ridge I.

    Attributes:
        ridge: the ridge.
        factor: L, (n, n).
        condition: an estimate of the condition number of K + ridge I.
    """

    ridge: float
    factor: Any
    condition: float
    solver: ClassVar[str] = "cholesky"

    @abstractmethod
    def coefficients(self, labels: Any) -> Any:
        """M y for labels (n,) or (n, outputs)."""

    @abstractmethod
    def whitened(self, right: Any) -> Any:
        """L^{-1} B for B of shape (n, m)."""

    @abstractmethod
    def inverse_diagonal(self) -> np.ndarray:
        """M_jj for every j, the squared columns of L^{-1}."""

    @property
    def rank(self) -> int:
        """The number of eigenvalues above rounding: all."""
        return len(self.factor)

    def explained_variance(self, cross_gram: Any) -> Any:
        """k' M k for every column k of (n, tests), a sum of squares."""
        whitened = self.whitened(cross_gram)
        return (whitened * whitened).sum(axis=0)

    def summary(self, labels: np.ndarray) -> RidgePath:
        """What the labels tell at the ridge."""
        diagonal = self.inverse_diagonal()
        a = np.asarray(self.coefficients(labels), np.float64)
        squares, size = (a * a).sum(axis=0), len(a)
        left_out = a / diagonal.reshape(-1, *[1] * (a.ndim - 1))
        pivots = np.asarray(self.factor.diagonal(), np.float64)
        evidence = (labels * a).sum(axis=0) + np.log(2 * np.pi * pivots**2).sum()
        return RidgePath(
            ridges=np.array([self.ridge]),
            coefficients=a[None],
            train_error=self.ridge**2 * squares[None] / size,
            leave_one_out=(left_out * left_out).mean(axis=0)[None],
            generalized_cross_validation=squares[None] / size / diagonal.mean() ** 2,
            log_marginal_likelihood=-evidence[None] / 2,
            ranks=np.array([size]),
            method=self.solver,
        )


@dataclass(frozen=True, eq=False)
class LapackCholesky(CholeskySystem):
    """By LAPACK, in float64."""

    @classmethod
    def attempt(cls, gram: np.ndarray, ridge: float) -> "LapackCholesky | None":
        """The system of a matrix that has a factor which is more than rounding."""
        factor, failed_size = attempt_cholesky(gram, ridge)
        return None if failed_size else cls(ridge, factor, condition_estimate(factor, gram, ridge))

    def coefficients(self, labels: Any) -> Any:
        """M y for labels (n,) or (n, outputs)."""
        return solve_system(self.factor, labels)

    def whitened(self, right: Any) -> Any:
        """L^{-1} B for B of shape (n, m)."""
        return solve_factor(self.factor, right)

    def inverse_diagonal(self) -> np.ndarray:
        """M_jj for every j, the squared columns of L^{-1}."""
        inverse = invert_in_place(np.array(self.factor))
        return np.einsum("ij,ij->j", inverse, inverse)


@dataclass(frozen=True, eq=False)
class JaxCholesky(CholeskySystem):
    """By jax, on the device and in the type of the matrix."""

    @classmethod
    def attempt(cls, gram: jax.Array, ridge: float) -> "JaxCholesky | None":
        """The system of a matrix that has a factor which is more than rounding."""
        factor, roots, diagonal, norm = _factorised_on_device(gram, ridge)
        if rounding_pivots(np.asarray(roots), np.asarray(diagonal)).any():
            return None
        return cls(ridge, factor, float(norm) * _inverse_norm(factor))

    def coefficients(self, labels: Any) -> Any:
        """M y for labels (n,) or (n, outputs)."""
        return _solved_on_device(self.factor, labels)

    def whitened(self, right: Any) -> Any:
        """L^{-1} B for B of shape (n, m)."""
        return jax.scipy.linalg.solve_triangular(self.factor, right, lower=True)

    def inverse_diagonal(self) -> np.ndarray:
        """M_jj for every j, the squared columns of L^{-1}."""
        inverse = self.whitened(jnp.eye(self.rank, dtype=self.factor.dtype))
        return np.asarray((inverse * inverse).sum(axis=0), np.float64)


@jax.jit
def _factorised_on_device(gram: Any, ridge: float) -> tuple[Any, Any, Any, Any]:
    """The factor, its diagonal, that of K + ridge I, and the 1-norm of the latter."""
    shifted = gram + ridge * jnp.eye(len(gram), dtype=gram.dtype)
    factor = jnp.linalg.cholesky(shifted)
    return factor, factor.diagonal(), shifted.diagonal(), jnp.abs(shifted).sum(axis=0).max()


def _solved_on_device(factor: Any, right: Any) -> Any:
    return jax.scipy.linalg.cho_solve((factor, True), jnp.asarray(right, factor.dtype))


def _inverse_norm(factor: Any) -> float:
    """An estimate of the 1-norm of (L L')^{-1}, from a few solves."""

    def solve(right: np.ndarray) -> np.ndarray:
        return np.asarray(_solved_on_device(factor, right), np.float64)

    operator: Any = LinearOperator  # as scipy documents it, which its annotations do not
    inverse = operator(factor.shape, matvec=solve, matmat=solve, rmatvec=solve, dtype=np.float64)
    # One vector at a time: more of them would be drawn from numpy's global generator.
    estimate: Any = onenormest(inverse, t=1)
    return float(estimate)


System = CholeskySystem | EigenSystem


def factorise(gram: Any, ridge: float, solver: str = "auto") -> System:
    """Return the system (K + ridge I) a = y, factorised as its matrix allows.

    Args:
        gram: K, (n, n), checked: a numpy array for LAPACK, or one of jax for jax on its device.
        ridge: the ridge.
        solver: "cholesky", "eigen", or "auto": Cholesky unless the matrix is singular to
            rounding, that is its condition number is 1/eps or more.

    Raises:
        NotPositiveDefiniteError: an eigenvalue of K + ridge I is negative beyond rounding, or,
            for "cholesky", not positive beyond rounding.
        PrecisionError: the matrix is in float32, which leaves fewer than two digits.

    Warns:
        SingularSystemWarning: the matrix is singular, and has a solution of minimum norm.
        PrecisionWarning: fewer than four digits are certain, or the matrix is in float32.

    Examples:
        >>> system = factorise(np.array([[3.0, 2.0], [2.0, 4.0]]), 1.0)
        >>> system.solver, system.coefficients(np.array([6.0, 7.0]))
        ('cholesky', array([1., 1.]))
    """
    system = _factorised(gram, ridge, solver)
    _tell(gram.dtype, len(gram), system.condition, system.rank, f"at ridge {ridge:.3g}")
    return system


def _factorised(gram: Any, ridge: float, solver: str) -> System:
    kind: Any = JaxCholesky if isinstance(gram, jax.Array) else LapackCholesky
    if solver != "eigen":
        system = kind.attempt(gram, ridge)
        eps = np.finfo(gram.dtype).eps
        if system and (solver == "cholesky" or system.condition * eps < 1):
            return system
        if solver == "cholesky":
            cholesky(np.asarray(gram, np.float64), ridge)
            raise NotPositiveDefiniteError(
                f"gram + ridge I has no Cholesky factor in {gram.dtype}: raise the ridge (now "
                f"{ridge:.3g}), or compute in float64"
            )
    return EigenSystem.of(gram, ridge)


def ridge_path(gram: Any, y: Any, ridges: Any) -> RidgePath:
    """Return the regressions on the same samples at several ridges, from one eigendecomposition.

    Beside it, every ridge costs three products of an (n, n) matrix with a vector.

    Args:
        gram: the Gram matrix K, (n, n).
        y: labels, (n,) or (n, outputs).
        ridges: absolute ridges, not negative.

    Raises:
        ValueError, TypeError: an argument is not finite, has the wrong shape or is not real, or a
            ridge is negative.
        NotPositiveDefiniteError: K + ridge I has a negative eigenvalue.
        PrecisionError: K is an array in float32, which the smallest ridge leaves without digits.

    Warns:
        SingularSystemWarning, PrecisionWarning: as in `KernelRidge`, of the smallest ridge.

    Examples:
        >>> path = ridge_path([[2.0, 0.0], [0.0, 2.0]], [1.0, 3.0], [0.0, 2.0])
        >>> path.coefficients
        array([[0.5 , 1.5 ],
               [0.25, 0.75]])
    """
    deltas = check.nonnegative("ridges", ridges)
    if deltas.ndim != 1 or deltas.size == 0:
        raise ValueError(f"ridges must be a list of at least one number, got shape {deltas.shape}")
    if isinstance(gram, jax.Array):
        check_symmetric("gram", gram)
    else:
        gram = symmetric_matrix("gram", gram)
    labels = finite_labels(y, len(gram))
    system = EigenSystem.of(gram, float(deltas.min()))
    _tell(gram.dtype, len(gram), system.condition, system.rank, f"at ridge {system.ridge:.3g}")
    return path_of(system.values, system.vectors, labels, deltas)


def _tell(dtype: Any, size: int, condition: float, rank: int, where: str) -> None:
    """Say what the condition of a system does to its solution, or refuse it in float32.

    Raises:
        PrecisionError: float32 leaves fewer than two digits.
    """
    lost = float(np.finfo(dtype).eps) * condition
    # The line that is shown is the one that called the method or function that called this one's.
    warn = functools.partial(warnings.warn, stacklevel=4)
    if dtype == np.float32:
        if not lost <= _UNBEARABLE:
            raise PrecisionError(
                f"gram + ridge I has a condition number of about {condition:.1g} {where}, which "
                "float32 cannot bear: raise the ridge, or compute in float64 (numpy rows, or "
                "jax arrays in float64)"
            )
        warn(
            f"the Gram matrix is in float32, so the regression is: with a condition number of "
            f"about {condition:.1g} {where} its relative error is about {lost:.1g}. For float64 "
            "give numpy rows, or jax arrays in float64",
            PrecisionWarning,
        )
    elif rank < size:
        warn(
            f"gram + ridge I is singular to rounding {where}: {size - rank} of its {size} "
            "eigenvalues were left out, and of the predictors of least squares the one of minimum "
            "norm is taken. Repeated rows do that at ridge 0; raise the ridge if it is not meant",
            SingularSystemWarning,
        )
    elif lost > _WORTH_TELLING:
        warn(
            f"gram + ridge I has a condition number of about {condition:.1g} {where}, so the "
            f"relative error of the coefficients may reach {lost:.1g}; raise the ridge",
            PrecisionWarning,
        )
