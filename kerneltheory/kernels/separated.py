r"""A kernel for rows of any norm as a short sum of products, built from the recursion and checked.

Between two rows with first preactivations of variances q1, q2 and correlation c a network's kernel
is a function F(q1, q2, c), at whatever depth. Over its diagonal it is, for phi without a kink,

.. math:: \frac{F(q_1, q_2, c)}{\sqrt{d(q_1)\,d(q_2)}} = \sum_k M_k(q_1, q_2)\,T_k(c), \qquad
    M_k = \sum_r \pm u_{kr}(q_1)\,u_{kr}(q_2), \qquad d(q) = F(q, q, 1)

with symmetric M_k that are smooth in log q, and so of low numerical rank. The u are functions of
one row: a pair costs the products and Clenshaw's sum, nearly the same at every depth.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from kerneltheory.kernels.gram import Ranks
from kerneltheory.kernels.interpolant import chebyshev_coefficients

# Chebyshev's nodes in log q and in c. More would cost the recursion as much as the Gram matrix.
NORMS, CORRELATIONS = 32, 256
# More products than this cost as much as the recursion, and take seconds to compile.
MOST_PRODUCTS = 800
# Eigenvalues of the M_k below this are what rounding the values leaves, and are dropped.
NEGLIGIBLE = 2.0**-51
# Largest error accepted, relative to sqrt(d d): the rounding of a few hundred products, and of the
# recursion that they are compared with.
TOLERANCE = 4e-14

# F and d as functions of arrays.
Pair = Callable[[Any, Any, Any], Any]
Diagonal = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Separated:
    """A kernel F of rows of any norm as a sum of products; `gram.separated_tile` evaluates it.

    Attributes:
        ranks: how many products each M_k has, those of even k and those of odd k; the products
            are in this order.
        basis: Chebyshev coefficients in log q of the u, shape (terms, sum of ranks).
        signs: their signs, shape (sum of ranks,).
        log_diagonal: Chebyshev coefficients of log d in log q, shape (terms,).
        variances: the smallest and the largest q.
        error: the largest error found against the recursion, relative to sqrt(d d).
    """

    ranks: Ranks
    basis: np.ndarray
    signs: np.ndarray
    log_diagonal: np.ndarray
    variances: tuple[float, float]
    error: float

    @property
    def parts(self) -> tuple[Any, ...]:
        """What the functions in `gram` take besides the ranks."""
        return self.basis, self.signs, self.log_diagonal, self.variances

    def on_grid(self, q: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F/sqrt(d d), shape (q, q, c), and d(q), by no compiled code."""
        low, high = np.log(self.variances)
        in_log = chebvander((2 * np.log(q) - low - high) / (high - low), len(self.basis) - 1)
        factors, in_c = in_log @ self.basis, chebvander(c, 2 * max(map(len, self.ranks)))
        values, start = np.zeros((len(q), len(q), len(c))), 0
        for parity in (0, 1):
            for k, rank in enumerate(self.ranks[parity]):
                of_k = slice(start, start + rank)
                products = (factors[:, of_k] * self.signs[of_k]) @ factors[:, of_k].T
                values += products[:, :, None] * in_c[:, 2 * k + parity]
                start += rank
        return values, np.exp(in_log @ self.log_diagonal)


def separate(pair: Pair, diagonal: Diagonal, low: float, high: float) -> Separated | None:
    """The sum of products for variances from `low` to `high`, or None where no short one is right.

    Args:
        pair: F(q1, q2, c) on float64 arrays that broadcast.
        diagonal: d(q).
        low: the smallest variance.
        high: the largest, above the smallest.
    """
    q, c = _spread(_nodes(NORMS), low, high), _nodes(CORRELATIONS)
    values, d = _on_grid(pair, diagonal, q, c)
    if not np.isfinite(values).all() or not (d > 0).all():
        return None
    log_diagonal = chebyshev_coefficients(np.log(d), 0)
    coefficients = values
    for axis in range(3):
        coefficients = chebyshev_coefficients(coefficients, axis)
    size = np.abs(coefficients)
    if max(size[-2:].max(), size[:, :, -2:].max()) > NEGLIGIBLE:
        return None
    count = int(np.flatnonzero(size.max(axis=(0, 1)) > NEGLIGIBLE)[-1]) + 1
    by_degree = np.moveaxis(coefficients[:, :, :count], 2, 0)
    # The recursion treats both rows alike, but for rounding.
    eigenvalues, vectors = np.linalg.eigh((by_degree + by_degree.swapaxes(1, 2)) / 2)
    kept = np.abs(eigenvalues) > NEGLIGIBLE
    if kept.sum() > MOST_PRODUCTS:
        return None
    products = (vectors * np.sqrt(np.abs(eigenvalues))[:, None, :]).swapaxes(1, 2)
    ranks, basis, signs = [], [], []
    for parity in (0, 1):
        chosen = kept[parity::2]
        ranks.append(tuple(np.trim_zeros(chosen.sum(axis=1), "b").tolist()))
        basis.append(products[parity::2][chosen])
        signs.append(np.sign(eigenvalues[parity::2][chosen]))
    unchecked = Separated(
        (ranks[0], ranks[1]),
        np.concatenate(basis).T,
        np.concatenate(signs),
        log_diagonal,
        (low, high),
        np.inf,
    )
    error = _error(unchecked, pair, diagonal)
    return dataclasses.replace(unchecked, error=error) if error < TOLERANCE else None


def _nodes(count: int) -> np.ndarray:
    return np.cos((np.arange(count) + 0.5) * np.pi / count)


def _spread(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Variances at places between -1 and 1, evenly in their logarithm."""
    return np.exp(((1 - x) * np.log(low) + (1 + x) * np.log(high)) / 2)


def _on_grid(
    pair: Pair, diagonal: Diagonal, q: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """F/sqrt(d d), shape (q, q, c), and d(q), by the recursion."""
    d = diagonal(q)
    with np.errstate(all="ignore"):
        root = np.sqrt(d)
        return pair(q[:, None, None], q[:, None], c) / root[:, None, None] / root[:, None], d


def _error(found: Separated, pair: Pair, diagonal: Diagonal) -> float:
    """Largest error, relative to sqrt(d d), at points that are no nodes and at all ends."""
    q = _spread(np.linspace(-1, 1, NORMS), *found.variances)
    gaps = np.append(np.geomspace(1e-15, 1, CORRELATIONS // 2 - 1), 0)
    c = np.concatenate([1 - gaps, gaps - 1])
    (values, d), (truth, at_one) = found.on_grid(q, c), _on_grid(pair, diagonal, q, c)
    return float(max(np.abs(values - truth).max(), np.abs(d / at_one - 1).max()))
