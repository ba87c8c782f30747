r"""Eigenvalues of dot-product kernels on the hypercube {-1, 1}^d, exactly or enclosed in balls.

The eigenfunctions are the parities :math:`\chi_S(x) = \prod_{i \in S} x_i`. For |S| = k, with
t = x.z/d the mean of d signs,

.. math:: \lambda_k = E[h(t)\,\chi_S] = 2^{-d} \sum_{m=0}^d h(1 - 2m/d)\,K_m(k), \qquad
          \sum_m K_m(k)\,u^m = (1 - u)^k (1 + u)^{d-k}

(Krawtchouk polynomials, integers), of multiplicity :math:`\binom{d}{k}`. In high dimension, where
the sum is long, the Taylor series at t = 0 is summed instead,
:math:`\lambda_k = \sum_n a_n M_{n,k}`, with the moments :math:`M_{n,k} = E[t^n \chi_S]`, which are
not negative and obey

.. math:: M_{n+1,k} = \frac{k}{d} M_{n,k-1} + \frac{d-k}{d} M_{n,k+1}, \qquad M_{0,k} = 1_{k=0}

as multiplying by t flips one sign at random (Ehrenfest's urn).
"""

import math
from collections.abc import Iterator
from typing import Any

import sympy
from flint import arb, ctx, fmpq

from kerneltheory.core import check, lower
from kerneltheory.core.errors import KernelTheoryError, PrecisionError
from kerneltheory.kernels.base import BITS_PER_LAYER, Kernel, T, check_kernel
from kerneltheory.spectra.certified import Levels, left_out
from kerneltheory.spectra.zeros import vanishing_degrees

# Up to this dimension the sum over all distances, beyond it the series.
LONGEST_SUM = 1024
MAX_ATTEMPTS = 10


def hypercube_levels(kernel: Kernel, dim: int, max_degree: int, digits: int = 30) -> Levels:
    r"""Eigenvalues for the uniform distribution on :math:`\{-1, 1\}^d`, degree by degree.

    Args:
        kernel: any kernel. Beyond dim = 1024 it must have a Taylor series at t = 0 without negative
            coefficients, as what is positive definite in all dimensions has; there the certificate
            rests on that.
        dim: d >= 1.
        max_degree: the highest degree, at most d.
        digits: relative accuracy of each eigenvalue that is not zero.

    Returns:
        The eigenvalues (balls; exact zeros where there is a proof), their multiplicities
        :math:`\binom{d}{k}`, a ball around the mass of the degrees left out, and the method. An
        eigenvalue may be negative.

    Raises:
        ValueError: if max_degree is above dim, where no parities are left.
        PrecisionError: if an eigenvalue was not enclosed to `digits` digits nor proved to be zero.

    References:
        O'Donnell, Analysis of Boolean Functions (2014); arXiv:1907.10599 for network kernels.

    Examples:
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> balls, counts, tail, _ = hypercube_levels(dot_product_kernel(T**2), 4, 4)
        >>> [ball.str(5) for ball in balls], counts, tail.is_zero()
        (['0.25000', '0', '0.12500', '0', '0'], (1, 4, 6, 4, 1), True)
    """
    check_kernel(kernel)
    dim = check.integer("dim", dim, minimum=1)
    max_degree = check.integer("max_degree", max_degree, minimum=0)
    digits = check.integer("digits", digits, minimum=1)
    if max_degree > dim:
        raise ValueError(
            f"max_degree must be at most dim = {dim} on the hypercube, which has no parities of "
            f"more coordinates, got {max_degree}"
        )
    counts = tuple(math.comb(dim, k) for k in range(max_degree + 1))
    accuracy = math.ceil(3.33 * digits) + 64
    exact = _exact(kernel, dim, max_degree, accuracy)
    if exact is not None:
        balls, method = exact, "exact sum over distances"
    elif dim <= LONGEST_SUM:
        method = "certified sum over distances"
        balls, accuracy = _until_accurate(_direct, kernel, dim, max_degree, digits)
    else:
        method = "certified Taylor series"
        balls, accuracy = _until_accurate(_series, kernel, dim, max_degree, digits)
    with ctx.workprec(accuracy):
        complete = max_degree == dim
        tail = arb(0) if complete else left_out(kernel.ball_at_one(), counts, balls)
    return balls, counts, tail, method


def krawtchouk_rows(dim: int, max_degree: int) -> Iterator[list[int]]:
    r"""Yield :math:`(K_0(k), ..., K_d(k))` for k = 0..max_degree, exact.

    :math:`(1 + u)\,g_{k+1}(u) = (1 - u)\,g_k(u)` for the generating functions, coefficient by
    coefficient.
    """
    row = [math.comb(dim, m) for m in range(dim + 1)]
    yield row
    for _ in range(max_degree):
        following, last = [], 0
        for here, before in zip(row, [0, *row], strict=False):
            last = here - before - last
            following.append(last)
        row = following
        yield row


def _exact(kernel: Kernel, dim: int, max_degree: int, bits: int) -> tuple[arb, ...] | None:
    """Eigenvalues of a polynomial with rational coefficients, by rational arithmetic."""
    if dim > LONGEST_SUM:
        return None
    try:
        rhs: Any = kernel.formula.rhs
    except KernelTheoryError:  # too large to write down
        return None
    if not rhs.is_polynomial(T):
        return None
    coefficients = sympy.Poly(rhs, T).all_coeffs()
    if not all(c.is_Rational for c in coefficients):
        return None
    cosines = [fmpq(dim - 2 * m, dim) for m in range(dim + 1)]
    values = []
    for cosine in cosines:
        value = fmpq(0)
        for c in coefficients:
            value = value * cosine + lower.to_fmpq(c)
        values.append(value)
    sums = (
        sum((v * entry for v, entry in zip(values, row, strict=True)), fmpq(0))
        for row in krawtchouk_rows(dim, max_degree)
    )
    with ctx.workprec(bits):
        return tuple(arb(total / 2**dim) for total in sums)


def _until_accurate(
    enclose: Any, kernel: Kernel, dim: int, max_degree: int, digits: int
) -> tuple[tuple[arb, ...], int]:
    """Raise the precision until every ball is small enough; the balls and the bits used."""
    zeros = vanishing_degrees(kernel, max_degree)
    bits = math.ceil(3.33 * digits) + 64 + BITS_PER_LAYER * kernel.layers
    worst = 0
    for _ in range(MAX_ATTEMPTS):
        with ctx.workprec(bits):
            balls = enclose(kernel, dim, max_degree, digits)
        balls = tuple(arb(0) if k in zeros else ball for k, ball in enumerate(balls))
        accuracy = [lower.relative_radius(ball) for ball in balls]
        worst = max(range(len(balls)), key=accuracy.__getitem__)
        if accuracy[worst] < 10.0**-digits:
            return balls, bits
        bits *= 2
    raise PrecisionError(
        f"the eigenvalue of degree {worst} of {kernel} on the hypercube of dim = {dim} was not "
        f"enclosed to {digits} digits with {bits // 2} bits, nor proved to be zero; ask for a "
        "lower max_degree or fewer digits"
    )


def _direct(kernel: Kernel, dim: int, max_degree: int, digits: int) -> list[arb]:
    values = [kernel.ball_at_one()]
    values += [arb(kernel.on_balls(arb(fmpq(dim - 2 * m, dim)))) for m in range(1, dim + 1)]
    scale = arb(2) ** -dim
    return [
        scale * sum((v * entry for v, entry in zip(values, row, strict=True)), arb(0))
        for row in krawtchouk_rows(dim, max_degree)
    ]


def _series(kernel: Kernel, dim: int, max_degree: int, digits: int) -> list[arb]:
    r"""The positive series; what is cut off is at most :math:`E[t^J] \sum_{n > J} a_n`, J even."""
    # E[t^J] is about (J/(e d))^(J/2), far below 2^-bits for the largest degree's own terms too.
    terms = 2 * (max_degree + math.ceil(ctx.prec / math.log2(dim)))
    coefficients = kernel.taylor_balls(terms + 1, ctx.prec)
    if any(a < 0 for a in coefficients):
        n = next(n for n, a in enumerate(coefficients) if a < 0)
        raise KernelTheoryError(
            f"{kernel} is not positive definite in all dimensions: its Taylor coefficient of order "
            f"{n} at t = 0 is {coefficients[n].str(5)}; only dim <= {LONGEST_SUM} is available"
        )
    moments = [arb(1)] + [arb(0)] * (terms + 1)
    totals = [arb(0)] * (max_degree + 1)
    for n, a in enumerate(coefficients):
        for k in range(n % 2, min(n, max_degree) + 1, 2):
            totals[k] += a * moments[k]
        if n < terms:
            moments = _next_moments(moments, dim, min(n + 1, max_degree + terms - n))
    rest = arb((kernel.ball_at_one() - sum(coefficients, arb(0))).upper()) * moments[0]
    return [total + arb(0).union(rest) for total in totals]


def _next_moments(moments: list[arb], dim: int, highest: int) -> list[arb]:
    """One more power of t; degrees above `highest` will not be asked for."""
    result = [arb(0)] * len(moments)
    for k in range(min(highest, len(moments) - 2) + 1):
        below = moments[k - 1] * k if k else arb(0)
        result[k] = (below + (dim - k) * moments[k + 1]) / dim
    return result
