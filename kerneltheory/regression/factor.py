"""The one Cholesky factorisation of the package, and why it refuses a matrix."""

from typing import Any

import numpy as np
from scipy.linalg import cho_solve, get_lapack_funcs

from kerneltheory.core import check
from kerneltheory.core.errors import NotPositiveDefiniteError

_EPS = float(np.finfo(np.float64).eps)
_PANEL = 256
_ASYMMETRY = 1e-4
UNITS = 8
_potrf, _trtri, _trtrs, _pocon, _lange = get_lapack_funcs(
    ("potrf", "trtri", "trtrs", "pocon", "lange"), dtype=np.float64
)


def cholesky(gram: np.ndarray, ridge: float) -> np.ndarray:
    """Return the Cholesky factor of a Gram matrix with a ridge.

    L L' = K + ridge I, with L lower triangular, its rows contiguous and zeros above the diagonal.
    Only the lower triangle of K is read.

    Args:
        gram: the Gram matrix K, (n, n), already checked by `symmetric_matrix`.
        ridge: absolute ridge, not negative.

    Raises:
        NotPositiveDefiniteError: a leading minor of K + ridge I is not positive, or is positive
            by no more than rounding, so that every digit of a solution would be noise.

    Reference: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 10.1.

    Examples:
        >>> cholesky(np.array([[3.0, 2.0], [2.0, 4.0]]), 1.0)
        array([[2., 0.],
               [1., 2.]])
    """
    factor, failed_size = attempt_cholesky(gram, ridge)
    if failed_size:
        raise NotPositiveDefiniteError(_refusal(gram, ridge, failed_size))
    return factor


def attempt_cholesky(gram: np.ndarray, ridge: float) -> tuple[np.ndarray, int]:
    """Return the factor of `cholesky`, and the size of the first leading minor without one.

    That size is 0 if there is none; else the factor is good for nothing.

    Examples:
        >>> attempt_cholesky(np.ones((2, 2)), 0.0)[1]
        2
    """
    factor = _lower_triangle(gram)
    diagonal = np.diagonal(gram) + ridge
    np.fill_diagonal(factor, diagonal)
    # The rows of L are the columns of the upper factor L', which LAPACK makes in place.
    _, info = _potrf(factor.T, lower=0, clean=0, overwrite_a=1)
    if info:
        return factor, int(info)
    is_rounding = rounding_pivots(np.diagonal(factor), diagonal)
    return factor, int(is_rounding.argmax()) + 1 if is_rounding.any() else 0


def rounding_pivots(roots: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Return which pivots, the squares of `roots`, are rounding (or not a number), (n,).

    Factorising commits a backward error of about size * eps * diagonal (Higham, theorem 10.3),
    which reaches a pivot times the condition number of the rows before it: a pivot of that order
    is rounding, whatever its sign. Repeated rows leave less than one unit of it.

    Examples:
        >>> rounding_pivots(np.array([1.0, 1e-9]), np.array([1.0, 1.0]))
        array([False,  True])
    """
    unit = len(roots) * np.finfo(roots.dtype).eps
    return ~(roots**2 > UNITS * unit * diagonal)


def condition_estimate(factor: np.ndarray, gram: np.ndarray, ridge: float) -> float:
    """Return an estimate of the 1-norm condition number of K + ridge I = L L', at cost n^2.

    It is a lower bound, rarely below a third of the truth.

    Reference: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 15.3.

    Examples:
        >>> gram = np.diag([3.0, 1.0])
        >>> round(condition_estimate(cholesky(gram, 1.0), gram, 1.0), 12)
        2.0
    """
    # The diagonal of a matrix with a factor is positive, so the ridge adds to the norm.
    norm = _lange("1", gram.T) + ridge
    reciprocal, _ = _pocon(factor.T, norm, uplo="U")
    return float(1 / reciprocal) if reciprocal > 0 else float(np.inf)


def invert_in_place(factor: np.ndarray) -> np.ndarray:
    """Return L^{-1} in the memory of the factor L that `cholesky` gave, rows contiguous.

    Examples:
        >>> invert_in_place(np.array([[2.0, 0.0], [1.0, 2.0]]))
        array([[ 0.5 ,  0.  ],
               [-0.25,  0.5 ]])
    """
    inverse, _ = _trtri(factor.T, lower=0, overwrite_c=1)
    return inverse.T


def solve_factor(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return L^{-1} B for the factor L, (n, n), and B of shape (n, m).

    Examples:
        >>> solve_factor(np.array([[2.0, 0.0], [1.0, 2.0]]), np.array([[2.0], [5.0]]))
        array([[1.],
               [2.]])
    """
    solution, _ = _trtrs(factor.T, right, lower=0, trans=1)
    return solution


def solve_system(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return (L L')^{-1} B for the factor L, (n, n), and B of shape (n,) or (n, m).

    Examples:
        >>> solve_system(np.array([[2.0, 0.0], [1.0, 2.0]]), np.array([6.0, 7.0]))
        array([1., 1.])
    """
    return cho_solve((factor.T, False), right, check_finite=False)


def symmetric_matrix(name: str, value: Any) -> np.ndarray:
    """Return `value` as a finite symmetric float64 matrix.

    Raises:
        ValueError: it is not square, not finite, empty, or far from symmetric.
        TypeError: it is not a real array.

    Examples:
        >>> symmetric_matrix("gram", [[1, 2], [3, 1]])
        Traceback (most recent call last):
        ...
        ValueError: gram must be symmetric, got a matrix that differs from its transpose
    """
    is_ready = isinstance(value, np.ndarray) and value.dtype == np.float64
    matrix = value if is_ready else check.finite(name, value)
    check_symmetric(name, matrix)
    return matrix


def check_symmetric(name: str, matrix: Any) -> None:
    """Refuse a matrix of numpy or jax that is not square, finite and symmetric.

    Examples:
        >>> check_symmetric("gram", np.ones((2, 3)))
        Traceback (most recent call last):
        ...
        ValueError: gram must be a square matrix, got shape (2, 3)
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise ValueError(f"{name} must be a square matrix, got shape {matrix.shape}")
    # Two products with a vector without zeros see every NaN and every asymmetry, and cost half
    # of one elementwise pass.
    probe = np.cos(np.arange(len(matrix)))
    with np.errstate(invalid="ignore", over="ignore"):
        product, transposed = (np.asarray(v) for v in (matrix @ probe, probe @ matrix))
    if not np.isfinite(product).all():
        check.finite(name, matrix)
    if not np.linalg.norm(product - transposed) <= _ASYMMETRY * np.linalg.norm(product):
        raise ValueError(f"{name} must be symmetric, got a matrix that differs from its transpose")


def scalar_ridge(value: Any) -> float:
    """Return `value` as a finite ridge that is not negative.

    Examples:
        >>> scalar_ridge(-1)
        Traceback (most recent call last):
        ...
        ValueError: ridge must not be negative, got -1.0
    """
    check.finite("ridge", value, ndim=0)
    return float(check.nonnegative("ridge", value))


def finite_labels(value: Any, size: int, name: str = "y") -> np.ndarray:
    """Return `value` as finite labels of `size` samples, (size,) or (size, outputs).

    Examples:
        >>> finite_labels([1.0, 2.0], 3)
        Traceback (most recent call last):
        ...
        ValueError: y must have shape (3,) or (3, outputs), got (2,)
    """
    labels = check.finite(name, value)
    if labels.ndim not in (1, 2) or labels.size == 0 or len(labels) != size:
        raise ValueError(
            f"{name} must have shape ({size},) or ({size}, outputs), got {labels.shape}"
        )
    return labels


def _lower_triangle(gram: np.ndarray) -> np.ndarray:
    """Return a copy of the lower triangle above zeros: half of the writes of a full copy."""
    triangle = np.zeros(gram.shape)
    for start in range(0, len(gram), _PANEL):
        stop = min(start + _PANEL, len(gram))
        triangle[start:stop, :start] = gram[start:stop, :start]
        triangle[start:stop, start:stop] = np.tril(gram[start:stop, start:stop])
    return triangle


def _refusal(gram: np.ndarray, ridge: float, size: int) -> str:
    """Say why the leading minor of `size` has no factor, and what to do."""
    direction = np.ones(1)
    if size > 1:
        factor, earlier = attempt_cholesky(gram[: size - 1, : size - 1], ridge)
        if earlier:
            return _refusal(gram, ridge, earlier)
        direction = np.append(-solve_system(factor, gram[size - 1, : size - 1]), 1.0)
    leading = gram[:size, :size]
    # A Rayleigh quotient bounds the smallest eigenvalue from above, however ill-conditioned the
    # factor behind its direction.
    bound = direction @ leading @ direction / (direction @ direction) + ridge
    rounding = size * _EPS * np.abs(leading).sum(axis=1).max()
    start = f"the leading minor of size {size} of gram + ridge I is not positive: "
    if bound < -rounding:
        return start + (
            f"an eigenvalue is at most {bound:.3g}, which is negative beyond rounding "
            f"({rounding:.1g}). Check that the kernel is positive definite, or raise the ridge "
            f"(now {ridge:.3g}) by more than {-bound:.3g}"
        )
    return start + (
        f"it is singular to rounding{_duplicate(gram, size)}. Raise the ridge (now {ridge:.3g}) "
        f"well above {max(rounding, np.finfo(np.float64).tiny):.1g}, or remove duplicate rows"
    )


def _duplicate(gram: np.ndarray, size: int) -> str:
    """Name an earlier row that the kernel cannot tell from the last row of the leading minor."""
    last = size - 1
    diagonal = np.diagonal(gram)[:size]
    distance = diagonal[:last] + diagonal[last] - 2 * gram[last, :last]
    repeated = np.flatnonzero(distance <= size * _EPS * np.abs(diagonal[:last]))
    return f", since row {last} repeats row {repeated[0]}" if repeated.size else ""
