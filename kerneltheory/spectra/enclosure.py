r"""Eigenvalues of dot-product kernels on S^{d-1}, enclosed in balls or rounded to float64.

.. math:: \lambda_k = E_t[h(t)\,P_k(t)], \qquad N(d, k)\,P_k(x \cdot z) = \sum_j Y_{kj}(x) Y_{kj}(z)

Three routes lead there; `spectra.power_series`, `spectra.angle` and `spectra.panels` say how each
bounds its errors. The fastest that reaches the accuracy is taken and named in the result.
"""

import functools
import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, ctx

from kerneltheory.core import check, lower
from kerneltheory.core.display import html_table
from kerneltheory.core.errors import KernelTheoryError, PrecisionError
from kerneltheory.kernels.base import Kernel, check_kernel
from kerneltheory.spectra.angle import by_angle
from kerneltheory.spectra.black_box import black_box_spectrum
from kerneltheory.spectra.panels import by_panels
from kerneltheory.spectra.power_series import by_power_series, is_entire
from kerneltheory.spectra.spectrum import Spectrum
from kerneltheory.spectra.zeros import proved_zeros
from kerneltheory.sphere.harmonics import multiplicity

MAX_ATTEMPTS = 8
PROBED_TERMS = 48
# Of Taylor coefficients: what falls at least so fast is summed rather than integrated.
FAST_RATIO = 0.85
# Of logarithms: beyond, floats are denormal, zero or infinite.
LOG_RANGE = 700.0
FLOAT_DIGITS = 17
# Above it a few hundred Taylor coefficients serve 200 degrees; below it a rule in the angle is
# faster, unless h is entire.
LARGE_DIM = 300
Route = Callable[[Kernel, int, int, int, Set[int]], list[arb]]


@dataclass(frozen=True)
class CertifiedSpectrum:
    """Balls that contain the eigenvalues of a kernel on S^{d-1}.

    Attributes:
        eigenvalues: one ball for each degree; an exact zero where a proof was found.
        multiplicities: N(d, k), exact.
        tail: ball around h(1) - sum N lambda, what the degrees left out add up to.
        dim: d.
        digits: the relative accuracy of every ball that is not an exact zero.
        method: how they were enclosed.
        domain: where the inputs are.
    """

    eigenvalues: tuple[arb, ...]
    multiplicities: tuple[int, ...]
    tail: arb
    dim: int
    digits: int
    method: str
    domain: str = "sphere"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the balls as exact integers."""
        balls = tuple(map(lower.ball_to_integers, (*self.eigenvalues, self.tail)))
        others = self.multiplicities, self.dim, self.digits, self.method, self.domain
        return _restore, (balls, *others)

    def round(self) -> Spectrum:
        """The float64 Spectrum of the midpoints, with logarithms where floats do not hold them."""
        with ctx.workprec(128):
            logs = np.array(
                [
                    [-np.inf if ball.is_zero() else lower.to_float(abs(ball).log()) for ball in row]
                    for row in (self.eigenvalues, map(arb, self.multiplicities))
                ]
            )
        extremes = np.abs(logs[np.isfinite(logs)]).max(initial=0.0)
        negative = any(ball < 0 for ball in self.eigenvalues)
        tail = lower.to_float(self.tail)
        return Spectrum(
            np.array([lower.to_float(ball) for ball in self.eigenvalues]),
            np.array([lower.to_float(arb(count)) for count in self.multiplicities]),
            tail=tail if negative else max(tail, 0.0),
            dim=self.dim,
            method=f"{self.method}, certified",
            relative_error=10.0**-self.digits + np.finfo(float).eps,
            logarithms=logs if extremes > LOG_RANGE else None,
            domain=self.domain,
        )

    def _repr_html_(self) -> str:
        title = f"Eigenvalues on the sphere, dim = {self.dim}, to {self.digits} digits"
        pairs = zip(self.multiplicities, self.eigenvalues, strict=True)
        rows = [
            (str(degree), str(count), ball.str(self.digits))
            for degree, (count, ball) in enumerate(pairs)
        ]
        above = (f"above {len(rows) - 1}", "", f"{self.tail.str(self.digits)} in all")
        return html_table(title, ("degree", "multiplicity", "eigenvalue"), [*rows, above])

    def __str__(self) -> str:
        rows = [f"{'degree':>6}  {'multiplicity':>14}  eigenvalue"]
        for degree, (count, ball) in enumerate(
            zip(self.multiplicities, self.eigenvalues, strict=True)
        ):
            rows.append(f"{degree:>6}  {count:>14}  {ball.str(self.digits)}")
        return "\n".join(rows)

    __repr__ = __str__


def _restore(balls: tuple[Any, ...], *others: Any) -> CertifiedSpectrum:
    *eigenvalues, tail = map(lower.ball_from_integers, balls)
    return CertifiedSpectrum(tuple(eigenvalues), others[0], tail, *others[1:])


def certified_spectrum(
    kernel: Kernel, dim: int, max_degree: int, digits: int = 30
) -> CertifiedSpectrum:
    """Eigenvalues of a dot-product kernel on S^{d-1} as balls that provably contain them.

    Args:
        kernel: a network kernel, or a dot-product kernel that is positive definite on S^{d-1}. The
            certificate rests on that, as |h| <= h(1), where h cannot be enclosed at a pole.
        dim: d >= 2.
        max_degree: the highest degree, at least 0.
        digits: relative accuracy of each eigenvalue that is not zero.

    Raises:
        PrecisionError: if the accuracy was not reached: an eigenvalue may be zero without a proof.

    References:
        Trefethen, Approximation Theory and Approximation Practice, Theorem 19.3 (quadrature error).

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import nngp
        >>> certified_spectrum(nngp(relu, 1, weight_variance=2), 3, 3, digits=10)
        degree    multiplicity  eigenvalue
             0               1  [0.7500000000 +/- ...]
             1               3  [0.3333333333 +/- ...]
             2               5  [0.04687500000 +/- ...]
             3               7  0
    """
    dim = check.integer("dim", dim, minimum=2)
    max_degree = check.integer("max_degree", max_degree, minimum=0)
    digits = check.integer("digits", digits, minimum=1)
    check_kernel(kernel)
    return _certified(kernel, dim, max_degree, digits)


def spectrum(
    kernel: Kernel | Callable[[Any], Any], dim: int, max_degree: int, domain: str = "sphere"
) -> Spectrum:
    """Eigenvalues of a dot-product kernel on S^{d-1} in float64, each with full relative accuracy.

    Args:
        kernel: a kernel, or any callable that maps an array of cosines to h of each: then errors
            are absolute and estimated, degree by degree, in `errors` of the result.
        dim: d >= 2.
        max_degree: the highest degree; what lies above it is the `tail` of the result.
        domain: "sphere", the only one so far.

    Returns:
        A Spectrum with one level for each degree 0..max_degree. It says so where an eigenvalue is
        negative; where floats under- or overflow, its logarithms and masses hold.

    Raises:
        PrecisionError: as `certified_spectrum`, which does the work for kernels.
        TypeError, ValueError: if a callable does not return finite real numbers, one a cosine.

    Examples:
        >>> import sympy
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> s = spectrum(dot_product_kernel(sympy.exp(sympy.Symbol("t"))), 3, 4)
        >>> bool(np.isclose(s.eigenvalues[0], np.sinh(1), rtol=1e-15))
        True
    """
    if domain != "sphere":
        raise ValueError(f'domain must be "sphere", got {domain!r}')
    if callable(kernel) and not isinstance(kernel, Kernel):
        dim = check.integer("dim", dim, minimum=2)
        max_degree = check.integer("max_degree", max_degree, minimum=0)
        return black_box_spectrum(kernel, dim, max_degree)
    return certified_spectrum(kernel, dim, max_degree, FLOAT_DIGITS).round()


@functools.lru_cache(maxsize=64)
def _certified(kernel: Kernel, dim: int, max_degree: int, digits: int) -> CertifiedSpectrum:
    zeros = proved_zeros(kernel, dim, max_degree)
    failures = []
    for method, route in _routes(kernel, dim):
        try:
            balls = route(kernel, dim, max_degree, digits, zeros)
        except PrecisionError as error:
            failures.append(f"{method}: {error}")
            continue
        counts = tuple(multiplicity(dim, k) for k in range(max_degree + 1))
        bits = math.ceil(digits * math.log2(10)) + 64
        with ctx.workprec(bits):
            mass = sum((n * ball for n, ball in zip(counts, balls, strict=True)), arb(0))
            tail = kernel.ball_at_one() - mass
        return CertifiedSpectrum(tuple(balls), counts, tail, dim, digits, method)
    raise PrecisionError("; ".join(failures))


def _routes(kernel: Kernel, dim: int) -> list[tuple[str, Route]]:
    """The ways to enclose eigenvalues, the fastest first."""
    series: tuple[str, Route] = ("power series at t = 0", by_power_series)
    angle: tuple[str, Route] = (
        "Gauss-Legendre quadrature in the angle",
        functools.partial(_to_relative_accuracy, by_angle),
    )
    panels: tuple[str, Route] = (
        "adaptive quadrature in the angle",
        functools.partial(_to_relative_accuracy, by_panels),
    )
    if dim > LARGE_DIM or is_entire(kernel) or _falls_geometrically(kernel):
        return [series, angle, panels]
    return [angle, panels, series]


def _to_relative_accuracy(
    route: Callable[[Kernel, int, int, arb], list[arb]],
    kernel: Kernel,
    dim: int,
    max_degree: int,
    digits: int,
    zeros: Set[int],
) -> list[arb]:
    """Lower the absolute tolerance of a route until every eigenvalue has its digits."""
    smallest = _mass_exponent(kernel, max_degree) - math.log10(multiplicity(dim, max_degree))
    exponent, worst = math.floor(smallest) - digits - 3, 0
    for _ in range(MAX_ATTEMPTS):
        with ctx.workdps(digits + 10):
            balls = route(kernel, dim, max_degree, arb(10) ** exponent)
        balls = [arb(0) if k in zeros else ball for k, ball in enumerate(balls)]
        accuracy = [lower.relative_radius(ball) for ball in balls]
        worst = int(np.argmax(accuracy))
        if accuracy[worst] < 10.0**-digits:
            return balls
        exponent = min(_extrapolated(balls), exponent - digits) - digits - 3
    advice = f"max_degree = {worst - 1} or fewer digits" if worst else "fewer digits"
    raise PrecisionError(
        f"the eigenvalue of degree {worst} of {kernel} at dim = {dim} was not enclosed to {digits} "
        f"digits by working to 1e{exponent}, nor proved to be zero; ask for {advice}"
    )


def _mass_exponent(kernel: Kernel, max_degree: int) -> float:
    """A power of ten near the smallest N lambda, to begin with.

    As if the masses fell like a power of the degree or, if that is faster, like half the power
    again of the geometric fall of the first Taylor coefficients.
    """
    slowly = math.log10(float(kernel.ball_at_one().abs_upper()) or 1.0)
    slowly -= 3 * math.log10(max_degree + 2)
    slope = _log10_slope(kernel)
    if slope is None:
        return slowly
    return min(slowly, slowly / 2 + 1.5 * slope * max_degree)


def _falls_geometrically(kernel: Kernel) -> bool:
    """Whether the power series of a positive definite kernel converges well beyond t = 1."""
    slope = _log10_slope(kernel) if kernel.positive_definite else None
    return slope is not None and slope < math.log10(FAST_RATIO)


def _log10_slope(kernel: Kernel) -> float | None:
    """Of the first Taylor coefficients against n; None where they vanish or are not known."""
    try:
        coefficients = np.abs(kernel.taylor_coefficients(PROBED_TERMS))
    except KernelTheoryError:
        return None
    pairs = np.maximum(coefficients[::2], coefficients[1::2])
    if not pairs[-1] > 0:
        return None
    middle, last = np.log10(pairs[[len(pairs) // 2, -1]])
    return float(2 * (last - middle) / PROBED_TERMS)


def _extrapolated(balls: Sequence[arb]) -> int:
    """A power of ten near the smallest eigenvalue, from those that are known to a few digits."""
    known = [(k, ball) for k, ball in enumerate(balls) if lower.relative_radius(ball) < 0.1]
    known = [(k, float(abs(ball).log()) / math.log(10)) for k, ball in known if not ball.is_zero()]
    if not known:
        return 0
    (first, at_first), (last, at_last) = known[len(known) // 2], known[-1]
    slope = (at_last - at_first) / (last - first) if last > first else 0.0
    return math.floor(min(at_last + slope * (len(balls) - last), *(value for _, value in known)))
