r"""Spectra of kernels in each domain of the inputs: certified, and rounded to float64.

- "sphere": degrees of spherical harmonics, rows uniform on the sphere of radius sqrt(d).
- "circle": the sphere of dim = 2, whose eigenvalues are cosine coefficients.
- "hypercube": degrees of parities, rows uniform on the corners of {-1, 1}^d.
- "gaussian": rows of independent standard normal numbers; `spectra.gaussian` says which levels.
"""

import functools
from collections.abc import Callable
from typing import Any

from kerneltheory.core import check
from kerneltheory.kernels.base import Kernel, check_kernel
from kerneltheory.spectra.black_box import black_box_spectrum
from kerneltheory.spectra.certified import CertifiedSpectrum, Levels
from kerneltheory.spectra.enclosure import sphere_levels
from kerneltheory.spectra.gaussian import gaussian_levels
from kerneltheory.spectra.hypercube import hypercube_levels
from kerneltheory.spectra.spectrum import Spectrum

FLOAT_DIGITS = 17
DOMAIN_LEVELS: dict[str, Callable[[Kernel, int, int, int], Levels]] = {
    "sphere": sphere_levels,
    "circle": sphere_levels,
    "hypercube": hypercube_levels,
    "gaussian": gaussian_levels,
}


def certified_spectrum(
    kernel: Kernel, dim: int, max_degree: int, digits: int = 30, domain: str = "sphere"
) -> CertifiedSpectrum:
    r"""Eigenvalues of a dot-product kernel as balls that provably contain them.

    .. math:: \int h(x \cdot z/d)\,Y_k(z)\,d\mu(z) = \lambda_k\,Y_k(x)

    Args:
        kernel: any kernel. One that is singular at a pole, in the angle, or not known on complex
            balls must be positive definite: there the certificate rests on |h| <= h(1).
        dim: d >= 2, of the inputs.
        max_degree: the highest degree, at least 0.
        digits: relative accuracy of each eigenvalue that is not zero.
        domain: "sphere", "circle" (dim = 2), "hypercube" or "gaussian", where mu is uniform or
            standard normal.

    Raises:
        ValueError: if the domain is none of these or has no such dim or degree.
        PrecisionError: if the accuracy was not reached: an eigenvalue may be zero without a proof.
        KernelTheoryError: if the kernel has no spectrum in the domain that is known here.

    References:
        Trefethen, Approximation Theory and Approximation Practice, Theorem 19.3 (quadrature error).

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> certified_spectrum(nngp(relu, 1, weight_variance=2), 3, 3, digits=10)
        CertifiedSpectrum: sphere, dim 3, 4 levels, 10 digits, method ...
        degree    multiplicity  eigenvalue
             0               1  [0.7500000000 +/- ...]
             1               3  [0.3333333333 +/- ...]
             2               5  [0.04687500000 +/- ...]
             3               7  0
    """
    dim, max_degree = _checked(dim, max_degree, domain)
    digits = check.integer("digits", digits, minimum=1)
    check_kernel(kernel)
    return _certified(kernel, dim, max_degree, digits, domain)


def spectrum(
    kernel: Kernel | Callable[[Any], Any], dim: int, max_degree: int, domain: str = "sphere"
) -> Spectrum:
    """Eigenvalues of a dot-product kernel in float64, each with full relative accuracy.

    Args:
        kernel: a kernel; on the sphere and the circle also any callable that maps an array of
            cosines to h of each: then errors are absolute and estimated, degree by degree, in
            `errors` of the result.
        dim: d >= 2, of the inputs.
        max_degree: the highest degree; what lies above it is the `tail` of the result.
        domain: "sphere", "circle" (dim = 2), "hypercube" or "gaussian".

    Returns:
        A Spectrum with one level for each degree 0..max_degree ("gaussian": those of
        `spectra.gaussian.gaussian_degrees`). It says so where an eigenvalue is negative; where
        floats under- or overflow, its logarithms and masses hold.

    Raises:
        As `certified_spectrum`, which does the work for kernels.
        TypeError, ValueError: if a callable does not return finite real numbers, one a cosine.

    Examples:
        >>> import math, sympy
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> s = spectrum(dot_product_kernel(sympy.exp(sympy.Symbol("t"))), 3, 4)
        >>> math.isclose(s.eigenvalues[0], math.sinh(1), rel_tol=1e-15)
        True
    """
    if callable(kernel) and not isinstance(kernel, Kernel):
        dim, max_degree = _checked(dim, max_degree, domain)
        if domain not in ("sphere", "circle"):
            raise TypeError(
                f"kernel must come from kt.nngp, kt.ntk or kt.dot_product_kernel where domain is "
                f'"{domain}", got {kernel!r}'
            )
        return black_box_spectrum(kernel, dim, max_degree, domain)
    return certified_spectrum(kernel, dim, max_degree, FLOAT_DIGITS, domain).round()


def _checked(dim: int, max_degree: int, domain: str) -> tuple[int, int]:
    check.one_of("domain", domain, DOMAIN_LEVELS)
    dim = check.integer("dim", dim, minimum=1 if domain == "hypercube" else 2)
    if domain == "circle" and dim != 2:
        raise ValueError(f'dim must be 2 where domain is "circle", got {dim}')
    return dim, check.integer("max_degree", max_degree, minimum=0)


@functools.lru_cache(maxsize=64)
def _certified(
    kernel: Kernel, dim: int, max_degree: int, digits: int, domain: str
) -> CertifiedSpectrum:
    balls, counts, tail, method = DOMAIN_LEVELS[domain](kernel, dim, max_degree, digits)
    return CertifiedSpectrum(balls, counts, tail, dim, digits, method, domain)
