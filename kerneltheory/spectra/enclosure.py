r"""Eigenvalues of dot-product kernels on S^{d-1}, enclosed in balls.

.. math:: \lambda_k = E_t[h(t)\,P_k(t)], \qquad N(d, k)\,P_k(x \cdot z) = \sum_j Y_{kj}(x) Y_{kj}(z)

Four routes lead there; `spectra.power_series`, `spectra.angle`, `spectra.trapezoid` and
`spectra.panels` say how each bounds its errors. The fastest that reaches the accuracy is taken and
named in the result. Kernels with kinks inside (-1, 1) have routes of their own, in
`spectra.kinks`.
"""

import functools
import math
from collections.abc import Callable, Sequence, Set

import numpy as np
from flint import arb, ctx

from kerneltheory.core import lower
from kerneltheory.core.errors import PrecisionError
from kerneltheory.kernels.base import Kernel
from kerneltheory.spectra.angle import by_angle
from kerneltheory.spectra.certified import Levels, left_out
from kerneltheory.spectra.kinks import by_closed_form, by_pieces, is_kinked
from kerneltheory.spectra.panels import by_panels
from kerneltheory.spectra.power_series import (
    by_power_series,
    first_coefficients,
    is_entire,
    largest_radius,
)
from kerneltheory.spectra.trapezoid import by_trapezoid
from kerneltheory.spectra.zeros import polynomial_zeros, vanishing_degrees
from kerneltheory.sphere.harmonics import multiplicity

MAX_ATTEMPTS = 8
# A positive definite kernel that is analytic so far from t = 0 is summed rather than integrated.
FAST_RADIUS = 1.06
# Above it a few hundred Taylor coefficients serve 200 degrees; below it quadrature is faster,
# unless they fall fast.
LARGE_DIM = 300
# From here on the density leaves so little near the poles that the trapezoidal rule needs few
# nodes; it takes no search for regions where h is analytic, as the rule in the angle does.
TRAPEZOID_DIM = 6
# Of a radius that is still too large: a kernel that is itself known no better makes none.
PROGRESS = 0.5
Route = Callable[[Kernel, int, int, int, Set[int]], list[arb]]


class KernelKnownNoBetter(PrecisionError):
    """The kernel itself is enclosed no better, whichever route asks: a series cut at its terms."""


def sphere_levels(
    kernel: Kernel,
    dim: int,
    max_degree: int,
    digits: int,
    routes: Sequence[tuple[str, Route]] = (),
) -> Levels:
    """Eigenvalues on S^{d-1} of degrees 0..max_degree, each to so many digits.

    Args:
        kernel: any kernel.
        dim: d >= 2.
        max_degree: the highest degree.
        digits: relative accuracy.
        routes: the ways to try, each with its name; those that suit the kernel if there is none.

    Raises:
        PrecisionError: if no route reaches the accuracy; the message tells of each.
    """
    zeros = vanishing_degrees(kernel, max_degree) | polynomial_zeros(kernel, dim, max_degree)
    failures = []
    for method, route in routes or _routes(kernel, dim):
        try:
            balls = route(kernel, dim, max_degree, digits, zeros)
        except KernelKnownNoBetter:
            raise
        except PrecisionError as error:
            failures.append(f"{method}: {error}")
            continue
        counts = tuple(multiplicity(dim, k) for k in range(max_degree + 1))
        bits = math.ceil(digits * math.log2(10)) + 64
        with ctx.workprec(bits):
            tail = left_out(kernel.ball_at_one(), counts, balls)
        return tuple(balls), counts, tail, method
    raise PrecisionError("; ".join(failures))


def _routes(kernel: Kernel, dim: int) -> list[tuple[str, Route]]:
    """The ways to enclose eigenvalues, the fastest first."""
    if is_kinked(kernel):
        return [("closed form", by_closed_form), BY_PIECES]
    series: tuple[str, Route] = ("power series at t = 0", by_power_series)
    angle: tuple[str, Route] = (
        "Gauss-Legendre quadrature in the angle",
        functools.partial(_to_relative_accuracy, by_angle),
    )
    trapezoid: tuple[str, Route] = (
        "trapezoidal rule in artanh t",
        functools.partial(_to_relative_accuracy, by_trapezoid),
    )
    panels: tuple[str, Route] = (
        "adaptive quadrature in the angle",
        functools.partial(_to_relative_accuracy, by_panels),
    )
    if dim > LARGE_DIM or is_entire(kernel) or _converges_beyond_one(kernel):
        return [series, angle, trapezoid, panels]
    # What is not analytic at a pole, in the angle, has a power series that converges slowly.
    rules = [angle, trapezoid]
    if dim >= TRAPEZOID_DIM and kernel.positive_definite:
        rules.reverse()
    return [*rules, panels, series]


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
    exponent, worst, before = math.floor(smallest) - digits - 3, 0, math.inf
    for _ in range(MAX_ATTEMPTS):
        with ctx.workdps(digits + 10):
            balls = route(kernel, dim, max_degree, arb(10) ** exponent)
        balls = [arb(0) if k in zeros else ball for k, ball in enumerate(balls)]
        accuracy = [lower.relative_radius(ball) for ball in balls]
        worst = int(np.argmax(accuracy))
        if accuracy[worst] < 10.0**-digits:
            return balls
        radius = max(float(ball.rad()) for ball in balls)
        if radius > max(PROGRESS * before, 10.0**exponent):
            raise KernelKnownNoBetter(
                f"{kernel} is not enclosed well enough: its eigenvalue of degree {worst} at "
                f"dim = {dim} is known to {accuracy[worst]:.1e} of itself, {digits} digits were "
                f"asked; ask for {_less(worst)}"
            )
        before = radius
        exponent = min(_extrapolated(balls), exponent - digits) - digits - 3
    raise PrecisionError(
        f"the eigenvalue of degree {worst} of {kernel} at dim = {dim} was not enclosed to {digits} "
        f"digits by working to 1e{exponent}, nor proved to be zero; ask for {_less(worst)}"
    )


def _less(worst: int) -> str:
    """What to ask for where the eigenvalue of degree `worst` was the hardest."""
    return f"max_degree = {worst - 1} or fewer digits" if worst else "fewer digits"


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


def _converges_beyond_one(kernel: Kernel) -> bool:
    """Whether the power series is proved to converge at some t > 1, and so converges fast."""
    return kernel.positive_definite and largest_radius(kernel) > FAST_RADIUS


def _log10_slope(kernel: Kernel) -> float | None:
    """Of the first Taylor coefficients against n; None where they vanish or are not known."""
    pairs = first_coefficients(kernel)
    if pairs is None or not pairs[-1] > 0:
        return None
    middle, last = np.log10(pairs[[len(pairs) // 2, -1]])
    return float((last - middle) / len(pairs))


def _extrapolated(balls: Sequence[arb]) -> int:
    """A power of ten near the smallest eigenvalue, from those that are known to a few digits."""
    known = [(k, ball) for k, ball in enumerate(balls) if lower.relative_radius(ball) < 0.1]
    known = [(k, float(abs(ball).log()) / math.log(10)) for k, ball in known if not ball.is_zero()]
    if not known:
        return 0
    (first, at_first), (last, at_last) = known[len(known) // 2], known[-1]
    slope = (at_last - at_first) / (last - first) if last > first else 0.0
    return math.floor(min(at_last + slope * (len(balls) - last), *(value for _, value in known)))


# Without the closed form: what that is compared with.
BY_PIECES: tuple[str, Route] = (
    "adaptive quadrature between kinks",
    functools.partial(_to_relative_accuracy, by_pieces),
)
