"""Eigenvalues of a function that is known by its values only, in float64, with error estimates."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb

from kerneltheory.core import check, lower
from kerneltheory.core.enclose import gauss_legendre
from kerneltheory.spectra.certified import logarithms
from kerneltheory.spectra.fourier import fourier_eigenvalues
from kerneltheory.spectra.spectrum import Spectrum
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer_sequence

FEWEST_NODES, MOST_NODES = 128, 2048
# Where the density is below this share of its largest value, it is left out.
NEGLIGIBLE = 1e-40
RULE_BITS = 64
EPS = float(np.finfo(np.float64).eps)


def black_box_spectrum(
    h: Callable[[Any], Any], dim: int, max_degree: int, domain: str = "sphere"
) -> Spectrum:
    r"""Eigenvalues of h on S^{d-1} by quadrature in the angle: Gauss-Legendre, or trapezoid on S^1.

    Errors are absolute: an eigenvalue far below h(1) cannot be resolved by values of h that are
    rounded. `errors` of the result estimates them, from the change by more nodes and the rounding
    of each term. What is smaller than its error is noise, which `tail` does not count.

    Args:
        h: takes an array of cosines, shape (n,), and returns h of each.
        dim: d >= 2.
        max_degree: the highest degree.
        domain: what the result is named after, "sphere" or "circle".

    Raises:
        TypeError: if h does not return real numbers.
        ValueError: if h returns another shape or what is not finite.

    Examples:
        >>> found = black_box_spectrum(np.exp, 3, 4)
        >>> bool(abs(found.eigenvalues[0] - np.sinh(1)) < found.errors[0] < 1e-12)
        True
    """
    route = fourier_eigenvalues if dim == 2 else functools.partial(_by_gauss_legendre, dim=dim)
    found, errors, method = route(h, max_degree)
    exact = [arb(multiplicity(dim, k)) for k in range(max_degree + 1)]
    counts = np.array(list(map(lower.to_float, exact)))
    with np.errstate(divide="ignore"):
        logs = np.stack([np.log(np.abs(found)), logarithms(exact)])
    at_one = float(check.values("kernel", h, np.ones(1))[0])
    masses = np.sign(found) * np.exp(logs.sum(axis=0))
    tail = at_one - float(np.sum(masses[np.abs(found) > errors]))
    return Spectrum(
        found,
        counts,
        tail=tail if np.any(found < 0) else max(tail, 0.0),
        dim=dim,
        method=f"{method} in float64",
        logarithms=None if np.isfinite(counts).all() else logs,
        errors=errors,
        domain=domain,
    )


def _by_gauss_legendre(
    h: Callable[[Any], Any], max_degree: int, dim: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """Eigenvalues and estimates of their errors: twice the last change, and rounding."""
    count = max(FEWEST_NODES, 2 ** int(np.ceil(np.log2(2 * max_degree + 2))))
    coarse, _ = _projections(h, dim, max_degree, count // 2)
    while True:
        fine, rounding = _projections(h, dim, max_degree, count)
        change = np.abs(fine - coarse)
        if count >= max(MOST_NODES, 4 * max_degree) or np.all(change <= rounding):
            method = f"Gauss-Legendre quadrature in the angle, {count} nodes,"
            return fine, 2 * (change + rounding), method
        coarse, count = fine, 2 * count


def _projections(
    h: Callable[[Any], Any], dim: int, max_degree: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """E[h P_k] for every degree, and what rounding may have done to it."""
    cosines, weights = _rule(dim, count)
    weighted = weights * check.values("kernel", h, cosines)
    rows = np.stack(list(gegenbauer_sequence(dim, cosines, max_degree)))
    rounding = EPS * (4 + np.arange(max_degree + 1)) * (np.abs(rows) @ np.abs(weighted))
    return rows @ weighted, rounding


@functools.lru_cache(maxsize=32)
def _rule(dim: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and weights that sum to one, where the density is not negligible."""
    low = np.arcsin(NEGLIGIBLE ** (1 / (dim - 2))) if dim > 2 else 0.0
    # Weights by floats, scipy's and numpy's, are off by 1e-10 at 256 nodes and 1e-7 at 2048.
    rule = gauss_legendre(count, RULE_BITS)
    nodes, weights = (np.array([lower.to_float(pair[i]) for pair in rule]) for i in (0, 1))
    # From the equator: the density is a power of up to d, and its base is close to one.
    cosines = np.sin((np.pi / 2 - low) * nodes)
    density = weights * np.exp((dim - 2) / 2 * np.log1p(-(cosines**2)))
    return cosines, density / density.sum()
