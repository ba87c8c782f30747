r"""The power of a function at each degree: from samples, or for a zonal function by integration.

With :math:`f = \sum_k f_k` on S^{d-1} and x, z independent and uniform,

.. math:: F_k^2 = E[f_k^2] = N(d, k)\,E[f(x) f(z) P_k(x \cdot z)]
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy
from flint import arb, ctx

from kerneltheory.activations.pieces import X as POINT
from kerneltheory.activations.pieces import pieces
from kerneltheory.core import check, lower
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.core.records import Array, ArrayRecord, array_record, shown_rows, static
from kerneltheory.spectra.kinks import integrals_of_pieces
from kerneltheory.spectra.rules import density_constant
from kerneltheory.spectra.spectrum import Target
from kerneltheory.sphere.basis import unit_rows
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import (
    orthonormal_sequence,
)
from kerneltheory.sphere.quadrature import cosine_quadrature

# Rows of a block of pairs: the block and its few copies stay in the cache.
BLOCK = 256
NODES = 1024


@array_record
class Decomposition(ArrayRecord):
    r"""The power :math:`F_k^2` of a function at each degree, each with its error.

    Args:
        power: $F_k^2$, shape (levels,); an estimate from samples may come out negative.
        error: its standard error if it is an estimate, else what it can be off by.
        mean_square: $E[y^2]$, the power at all degrees and that of the noise.
        dim: d of the sphere $S^{d-1}$.
        method: how it was made.
    """

    power: Array
    error: Array
    mean_square: Array | float
    dim: int = static(2)
    method: str = static("given")

    @property
    def degrees(self) -> np.ndarray:
        """0, 1, ..., the highest degree."""
        return np.arange(np.shape(self.power)[-1])

    @property
    def remaining(self) -> Array | float:
        r"""$E[y^2] - \sum_k F_k^2$: higher degrees, and the noise of labels."""
        return self.mean_square - self.power.sum()

    def target(self, noise_variance: float = 0.0) -> Target:
        """The Target with these powers; negative estimates become zero.

        Args:
            noise_variance: of the labels, not negative.

        Raises:
            TypeError, ValueError: if it is no such number.
        """
        return Target(np.maximum(self.power, 0.0), noise_variance)

    def _title(self) -> str:
        remaining = f"{float(self.remaining):.6g}"
        return f"Decomposition: dim {self.dim}, {remaining} remaining, method {self.method}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            ["..."] * 3
            if k is None
            else [str(k), f"{float(self.power[k]):.6g}", f"{float(self.error[k]):.2g}"]
            for k in shown_rows(len(self.degrees))
        ]
        return ["degree", "power", "error"], rows


def decompose(f: Any, X: Any, max_degree: int) -> Decomposition:
    r"""Power of a function at each degree, from its values at uniform random points.

    .. math:: \hat F_k^2 = \frac{N(d, k)}{n (n - 1)} \sum_{i \ne j} y_i y_j P_k(x_i \cdot x_j)

    is unbiased, also where the values carry independent noise of mean zero: no sample meets itself.
    Its variance is :math:`4 \zeta_1/n + 2 v/(n (n - 1))`, with :math:`\zeta_1` the variance of the
    mean over one point and v that of what is left; both are estimated without bias and cut at 0.

    Args:
        f: the values, shape (n,), or a function that gives them from X.
        X: independent uniform directions, rows of any norm but zero, shape (n, d), n >= 4.
        max_degree: the highest degree. Degrees with :math:`N \gg n^2` drown in their error, of
            about :math:`\sqrt{2 N}\,E[y^2]/n`.

    Returns:
        A Decomposition, with standard errors; `.target()` is a Target for learning curves.

    Raises:
        ValueError: if X has fewer than four rows, or the values have another shape or are not
            finite.

    References:
        Hoeffding, A class of statistics with asymptotically normal distribution (1948).

    Examples:
        >>> X = np.random.default_rng(0).standard_normal((500, 3))
        >>> u = X / np.linalg.norm(X, axis=1, keepdims=True)
        >>> found = decompose(np.sqrt(3) * u[:, 0], X, 2)  # a harmonic of degree 1 and power 1
        >>> bool(np.all(np.abs(found.power - [0, 1, 0]) < 3 * found.error))
        True
    """
    max_degree = check.integer("max_degree", max_degree, minimum=0)
    rows = np.asarray(unit_rows("X", X), np.float64)
    count, dim = rows.shape
    if count < 4:
        raise ValueError(f"X must have at least four rows, got shape {rows.shape}")
    values = check.finite("f", f(X) if callable(f) else f)
    if values.shape != (count,):
        raise ValueError(f"f must give one value for each of {count} rows, got {values.shape}")
    means, squares = _pair_statistics(rows, values, max_degree)
    pairs = count * (count - 1)
    power = means.mean(axis=1)
    variance = _variance(means, squares / pairs, power, count)
    return Decomposition(
        power,
        np.sqrt(variance),
        float(np.mean(values**2)),
        dim,
        f"pairs of {count} samples",
    )


def _pair_statistics(
    rows: np.ndarray, values: np.ndarray, max_degree: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of the terms h_ij of each degree: the mean over j for each i, and the sum of squares."""
    count, dim = rows.shape
    means, squares = np.zeros((max_degree + 1, count)), np.zeros(max_degree + 1)
    roots = [_root(multiplicity(dim, k)) for k in range(max_degree + 1)]
    for start in range(0, count, BLOCK):
        here = slice(start, start + BLOCK)
        cosines = np.clip(rows[here] @ rows.T, -1, 1)
        weights = values[here, None] * values
        # A point with itself is left out; its cosine is moved to where nothing overflows.
        own = np.arange(len(cosines)), np.arange(start, start + len(cosines))
        cosines[own] = weights[own] = 0.0
        for k, part in enumerate(orthonormal_sequence(dim, cosines, max_degree)):
            terms = roots[k] * part * weights
            means[k, here] = terms.sum(axis=1) / (count - 1)
            squares[k] += np.einsum("ij,ij->", terms, terms)
    return means, squares


def _root(count: int) -> float:
    return math.sqrt(count) if count < 1e300 else float(math.isqrt(count))


def _variance(means: np.ndarray, square: np.ndarray, power: np.ndarray, n: int) -> np.ndarray:
    r"""Variance of the mean over pairs, from unbiased estimates of its two parts.

    With h_ij = theta + g_i + g_j + g_ij, zeta = E g_i^2 and v = E g_ij^2, the variance of the means
    over j has the expectation :math:`((n-2)^2 \zeta + (n-2) v)/(n-1)^2`, and the variance of the
    h_ij themselves :math:`(n-2) (2 \zeta + v (n+1)/(n-1))/n`.
    """
    first = means.var(axis=1, ddof=1) * (n - 1) ** 2 / (n - 2)
    second = (square - power**2) * n / (n - 2)
    # first = (n-2) zeta + v and second = 2 zeta + v (n+1)/(n-1).
    ratio = (n + 1) / (n - 1)
    zeta = (first * ratio - second) / ((n - 2) * ratio - 2)
    v = first - (n - 2) * zeta
    return np.maximum(4 * zeta / n, 0.0) + np.maximum(2 * v / (n * (n - 1)), 0.0)


def decompose_zonal(g: Any, dim: int, max_degree: int, digits: int = 17) -> Decomposition:
    r"""Power at each degree of the zonal function :math:`f(x) = g(x \cdot w)`, w a unit vector.

    .. math:: F_k^2 = N(d, k)\,\bigl(E_t[g(t) P_k(t)]\bigr)^2

    Args:
        g: a sympy expression in one symbol, analytic but for kinks and jumps inside (-1, 1): its
            powers are enclosed to `digits` digits of E[g^2]. Or a function of an array of
            cosines: then Gauss quadrature with 1024 nodes, whose error is estimated by twice its
            difference from that with 512.
        dim: d >= 2.
        max_degree: the highest degree.
        digits: accuracy of the powers of an expression.

    Returns:
        A Decomposition; its errors are bounds for an expression, estimates for a function.

    Raises:
        TypeError, ValueError: if g is neither, has not one symbol, or gives what is not finite.
        PrecisionError: if g is singular at a point that is not a kink or a jump.

    Examples:
        >>> t = sympy.Symbol("t")
        >>> found = decompose_zonal(sympy.Max(t, 0), dim=3, max_degree=2)
        >>> bool(np.allclose(found.power, [1 / 16, 1 / 12, 5 / 256], rtol=1e-15))
        True
    """
    dim = check.integer("dim", dim, minimum=2)
    max_degree = check.integer("max_degree", max_degree, minimum=0)
    digits = check.integer("digits", digits, minimum=1)
    if isinstance(g, sympy.Expr):
        return _enclosed(g, dim, max_degree, digits)
    if not callable(g):
        raise TypeError(f"g must be a sympy expression in one symbol or a function, got {g!r}")
    fine, coarse = (_by_quadrature(g, dim, max_degree, NODES // part) for part in (1, 2))
    rounding = 4 * (max_degree + 1) * np.finfo(float).eps * fine[1]
    return Decomposition(
        fine[0], 2 * np.abs(fine[0] - coarse[0]) + rounding, fine[1], dim, f"{NODES} Gauss nodes"
    )


def _by_quadrature(
    g: Callable[[Any], Any], dim: int, max_degree: int, count: int
) -> tuple[np.ndarray, float]:
    t, weights = cosine_quadrature(dim, count)
    values = check.values("g", g, t)
    # Z_k overflows only where a node's weight has underflowed.
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [np.where(weights > 0, z, 0.0) for z in orthonormal_sequence(dim, t, max_degree)]
    coefficients = np.array([weights @ (values * part) for part in parts])
    return coefficients**2, float(weights @ values**2)


def _enclosed(g: sympy.Expr, dim: int, max_degree: int, digits: int) -> Decomposition:
    symbols = sorted(g.free_symbols, key=str)
    if len(symbols) > 1:
        raise ValueError(f"g must have one free symbol, got {[str(s) for s in symbols]}")
    parts = pieces(g.subs(symbols[0], POINT) if symbols else g)
    counts = [multiplicity(dim, k) for k in range(max_degree + 1)]
    bits = math.ceil(3.33 * digits + 1.4 * max_degree + math.log2(counts[-1])) + 64
    with ctx.workprec(bits):
        tolerance = arb(10) ** (-digits - 2) / arb(counts[-1]).sqrt()
        try:
            total = integrals_of_pieces(parts, dim, max_degree, tolerance)
        except KernelTheoryError as error:
            raise type(error)(f"g = {g}: {error}; pass a numeric function instead") from error
        constant = density_constant(dim)
        # Not a power: that of a ball around zero is not finite.
        means = [constant * integral for integral in total[:-1]]
        powers = [n * mean * mean for n, mean in zip(counts, means, strict=True)]
        square = constant * total[-1]
    return Decomposition(
        np.array([lower.to_float(power) for power in powers]),
        np.array([float(p.rad()) + np.finfo(float).eps * lower.to_float(p) for p in powers]),
        lower.to_float(square),
        dim,
        f"enclosed to {digits} digits of the mean square",
    )
