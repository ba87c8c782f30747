r"""Spherical harmonics as functions: zonal ones of every degree, a whole basis of the low ones.

All are orthonormal under the uniform probability measure and depend on the direction x/|x| alone,
so rows may have any norm but zero: one, or sqrt(d) as for the Gram matrices of kernels.
"""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.errors import PrecisionError
from kerneltheory.core.records import is_concrete
from kerneltheory.sphere.polynomials import orthonormal_sequence

HIGHEST_DEGREE = 3


def _library(rows: Any) -> Any:
    return jnp if isinstance(rows, jax.Array) else np


def unit_rows(name: str, X: Any) -> Any:
    """Rows of a matrix over their norms.

    Raises:
        ValueError: if it is no finite matrix of at least two columns, or a row is zero.
    """
    X = X if isinstance(X, jax.Array) else check.finite(name, X, ndim=2)
    if X.ndim != 2 or X.shape[1] < 2:
        raise ValueError(f"{name} must have shape (rows, dim), dim >= 2, got shape {X.shape}")
    xp = _library(X)
    largest = xp.max(abs(X), axis=1, keepdims=True)
    if is_concrete(largest) and not largest.all():
        index = int(np.argmin(np.asarray(largest)))
        raise ValueError(f"{name} must have no zero row, which has no direction, got row {index}")
    scaled = X / largest  # squares then neither overflow nor underflow
    return scaled / xp.sqrt(xp.sum(scaled * scaled, axis=1, keepdims=True))


def zonal_harmonic(degree: int, pole: Any, X: Any) -> Any:
    r"""The zonal harmonic of one degree around a pole, of unit norm.

    .. math:: Z_k(x) = \sqrt{N(d, k)}\, P_k\!\left(\frac{w \cdot x}{|w|\,|x|}\right),
              \qquad E[Z_k^2] = 1

    Args:
        degree: k >= 0.
        pole: w, shape (d,), of any norm but zero.
        X: rows of any norm but zero, shape (rows, d). numpy is computed in float64, jax in its
            own dtype.

    Returns:
        Array of shape (rows,).

    Raises:
        ValueError: if shapes do not fit, or the pole or a row is zero or not finite.
        PrecisionError: if a row is so close to the pole that sqrt(N) overflows there.

    References:
        Mueller, Spherical Harmonics (1966).

    Examples:
        >>> import numpy as np
        >>> values = zonal_harmonic(2, np.array([1.0, 0.0, 0.0]), np.eye(3))
        >>> (values**2).round(12)  # P_2 is 1 at the pole and -1/2 on the equator, N = 5
        array([5.  , 1.25, 1.25])
    """
    degree = check.integer("degree", degree, minimum=0)
    X = unit_rows("X", X)
    pole = pole if isinstance(pole, jax.Array) else check.finite("pole", pole)
    if pole.shape != X.shape[1:]:
        raise ValueError(f"pole must have shape {X.shape[1:]} as a row of X, got {pole.shape}")
    cosines = X @ unit_rows("pole", pole[None, :])[0]
    with np.errstate(over="ignore", invalid="ignore"):
        for values in orthonormal_sequence(X.shape[1], cosines, degree):
            last = values
    if is_concrete(last) and not np.isfinite(np.asarray(last)).all():
        raise PrecisionError(
            f"sqrt(N) P_k of degree {degree} at dim = {X.shape[1]} overflows near the pole; take "
            "log_gegenbauer and the logarithm of the multiplicity"
        )
    return last


def harmonic_basis(degree: int, X: Any) -> Any:
    r"""An orthonormal basis of the spherical harmonics of degree 0, 1, 2 or 3, at rows.

    With :math:`u = x/|x|`, :math:`\delta` the Helmert contrasts (orthonormal, orthogonal to the
    constant) and :math:`D_k = d (d + 2) \cdots (d + 2k - 2)`:

    - degree 0: 1; degree 1: :math:`\sqrt d\,u_i`;
    - degree 2: :math:`\sqrt{D_2}\,u_i u_j` for i < j, and
      :math:`\sqrt{D_2/2}\,\sum_j \delta_j u_j^2`;
    - degree 3: :math:`\sqrt{D_3}\,u_i u_j u_l` for i < j < l; for each i
      :math:`\sqrt{D_3/2}\,u_i \sum_{j \ne i} \delta_j u_j^2`, and the zonal harmonic around axis i.

    Columns add up to the addition theorem :math:`\sum_j Y_j(x) Y_j(z) = N(d, k) P_k(u \cdot v)`.

    Args:
        degree: 0, 1, 2 or 3. For higher degrees, take `zonal_harmonic`.
        X: rows of any norm but zero, shape (rows, d), d >= 2. numpy is computed in float64, jax in
            its own dtype.

    Returns:
        Array of shape (rows, N(d, degree)); at degree 3 that is about d^3/6 columns.

    Raises:
        ValueError: if the degree is higher, or X is not a finite matrix without zero rows.

    Examples:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).standard_normal((4, 5))
        >>> [harmonic_basis(k, X).shape[1] for k in range(4)]  # N(5, k)
        [1, 5, 14, 30]
    """
    degree = check.integer("degree", degree, minimum=0)
    if degree > HIGHEST_DEGREE:
        raise ValueError(
            f"degree must be at most {HIGHEST_DEGREE}, got {degree}; zonal_harmonic takes them all"
        )
    rows = unit_rows("X", X)
    return _BASES[degree](_library(rows), rows, rows.shape[1])


def _degree_0(xp: Any, u: Any, dim: int) -> Any:
    return xp.ones((u.shape[0], 1), u.dtype)


def _degree_1(xp: Any, u: Any, dim: int) -> Any:
    return math.sqrt(dim) * u


def _degree_2(xp: Any, u: Any, dim: int) -> Any:
    scale = math.sqrt(dim * (dim + 2))
    first, second = np.triu_indices(dim, 1)
    products = scale * u[:, first] * u[:, second]
    return xp.concatenate([products, scale / math.sqrt(2) * _contrasts(xp, u * u)], axis=1)


def _degree_3(xp: Any, u: Any, dim: int) -> Any:
    scale = math.sqrt(dim * (dim + 2) * (dim + 4))
    i, j, k = np.array(list(itertools.combinations(range(dim), 3)), int).reshape(-1, 3).T
    triples = scale * u[:, i] * u[:, j] * u[:, k]
    # Row i of the index holds the columns besides i.
    others = np.array([np.delete(np.arange(dim), axis) for axis in range(dim)])
    contrasts = u[:, :, None] * _contrasts(xp, (u * u)[:, others])
    contrasts = scale / math.sqrt(2) * contrasts.reshape(u.shape[0], -1)
    *_, zonal = orthonormal_sequence(dim, u, 3)
    return xp.concatenate([triples, contrasts, zonal], axis=1)


def _contrasts(xp: Any, values: Any) -> Any:
    """Helmert contrasts on the last axis: the sum of the first m less m times the next, normed."""
    count = np.arange(1, values.shape[-1], dtype=values.dtype)
    sums = xp.cumsum(values, axis=-1)[..., :-1]
    return (sums - count * values[..., 1:]) / np.sqrt(count * (count + 1))


_BASES = (_degree_0, _degree_1, _degree_2, _degree_3)
