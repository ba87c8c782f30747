r"""Eigenvalues of dot-product kernels on S^{d-1}, enclosed in balls or rounded to float64.

.. math:: \lambda_k = \frac{\Gamma(d/2)}{\sqrt\pi\,\Gamma((d-1)/2)}
          \int_0^\pi h(\cos\theta)\,P_k(\cos\theta)\,\sin^{d-2}\theta\,d\theta

In the angle the kernels of networks are analytic on the open interval, also where t = 1 is a
branch point, so one pass of rigorous quadrature serves all degrees. What lies within eps of the
poles is bounded by an enclosure of h in sin(theta/2) or, where that fails and for networks, by
h(1), since a positive definite h has its largest modulus at t = 1.
"""

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from flint import acb, arb, ctx
from scipy.special import gammaln, logsumexp

from kerneltheory.core import check, lower
from kerneltheory.core.display import html_table
from kerneltheory.core.enclose import integrate, interval, plus_minus
from kerneltheory.core.errors import KernelTheoryError, NotPositiveDefiniteError, PrecisionError
from kerneltheory.core.prove import is_half_power
from kerneltheory.kernels.base import Kernel, T, check_kernel
from kerneltheory.kernels.kernel import NetworkKernel
from kerneltheory.spectra.spectrum import Spectrum
from kerneltheory.sphere.harmonics import multiplicity
from kerneltheory.sphere.polynomials import gegenbauer_sequence

MAX_ATTEMPTS = 8
FLOAT_DIGITS = 17
HALF_SINE = sympy.Symbol("y", positive=True)


@dataclass(frozen=True)
class CertifiedSpectrum:
    """Balls that contain the eigenvalues of a kernel on S^{d-1}.

    Attributes:
        eigenvalues: one ball for each degree; an exact zero where a proof was found.
        multiplicities: N(d, k), exact.
        tail: ball around h(1) - sum N lambda, what the degrees left out add up to.
        dim: d.
        digits: the relative accuracy of every ball that is not an exact zero.
    """

    eigenvalues: tuple[arb, ...]
    multiplicities: tuple[int, ...]
    tail: arb
    dim: int
    digits: int

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the balls as exact integers."""
        balls = tuple(map(lower.ball_to_integers, (*self.eigenvalues, self.tail)))
        return _restore, (balls, self.multiplicities, self.dim, self.digits)

    def round(self) -> Spectrum:
        """The float64 Spectrum of the midpoints.

        Raises:
            PrecisionError: if an eigenvalue or a multiplicity is out of float64's range.
        """
        smallest = float(np.finfo(float).tiny)
        for degree, ball in enumerate(self.eigenvalues):
            if not (ball.is_zero() or ball > smallest):
                raise PrecisionError(
                    f"the eigenvalue {ball.str(3)} of degree {degree} underflows float64; ask for "
                    f"max_degree below {degree} or use certified_spectrum"
                )
        return Spectrum(
            np.array([lower.to_float(ball) for ball in self.eigenvalues]),
            np.array([_as_float(degree, n) for degree, n in enumerate(self.multiplicities)]),
            tail=max(lower.to_float(self.tail), 0.0),
            dim=self.dim,
            method="certified quadrature in the angle",
            relative_error=10.0**-self.digits + np.finfo(float).eps,
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


def _as_float(degree: int, multiplicity: int) -> float:
    try:
        return float(multiplicity)
    except OverflowError:
        raise PrecisionError(
            f"the multiplicity of degree {degree} overflows float64; ask for max_degree below "
            f"{degree}"
        ) from None


def _restore(
    balls: tuple[Any, ...], multiplicities: tuple[int, ...], dim: int, digits: int
) -> CertifiedSpectrum:
    *eigenvalues, tail = map(lower.ball_from_integers, balls)
    return CertifiedSpectrum(tuple(eigenvalues), multiplicities, tail, dim, digits)


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
        NotPositiveDefiniteError: if an eigenvalue is proved to be negative.
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


def spectrum(kernel: Kernel, dim: int, max_degree: int, domain: str = "sphere") -> Spectrum:
    """Eigenvalues of a dot-product kernel on S^{d-1} in float64, each with full relative accuracy.

    Args:
        kernel: a network kernel, or a dot-product kernel that is positive definite on S^{d-1}.
        dim: d >= 2.
        max_degree: the highest degree; what lies above it is the `tail` of the result.
        domain: "sphere", the only one so far.

    Returns:
        A Spectrum with one level for each degree 0..max_degree.

    Raises:
        NotPositiveDefiniteError, PrecisionError: as `certified_spectrum`, which does the work.

    Examples:
        >>> import sympy
        >>> from kerneltheory.kernels.kernel import dot_product_kernel
        >>> s = spectrum(dot_product_kernel(sympy.exp(sympy.Symbol("t"))), 3, 4)
        >>> bool(np.isclose(s.eigenvalues[0], np.sinh(1), rtol=1e-15))
        True
    """
    if domain != "sphere":
        raise ValueError(f'domain must be "sphere", got {domain!r}')
    return certified_spectrum(kernel, dim, max_degree, FLOAT_DIGITS).round()


@functools.lru_cache(maxsize=64)
def _certified(kernel: Kernel, dim: int, max_degree: int, digits: int) -> CertifiedSpectrum:
    with ctx.workdps(digits):
        at_one = kernel.ball_at_one()
    if at_one <= 0:
        raise NotPositiveDefiniteError(
            f"{kernel} is not positive definite: h(1) = {at_one.str(5)}, the sum of its "
            "eigenvalues, is not positive"
        )
    zeros = _proved_zeros(kernel, dim, max_degree)
    exponent = _expected_exponent(kernel, dim, max_degree, zeros) - digits - 3
    worst = 0
    for _ in range(MAX_ATTEMPTS):
        balls = _enclose(kernel, dim, max_degree, exponent, zeros)
        accuracy = [lower.relative_radius(ball) for ball in balls[0]]
        worst = int(np.argmax(accuracy))
        if accuracy[worst] < 10.0**-digits:
            return _checked(kernel, dim, digits, *balls)
        exponent -= (
            20
            if math.isinf(accuracy[worst])
            else math.ceil(math.log10(accuracy[worst])) + digits + 1
        )
    advice = f"max_degree = {worst - 1} or fewer digits" if worst else "fewer digits"
    raise PrecisionError(
        f"the eigenvalue of degree {worst} of {kernel} at dim = {dim} was not enclosed to {digits} "
        f"digits by working to 1e{exponent}, nor proved to be zero; ask for {advice}"
    )


def _checked(
    kernel: Kernel, dim: int, digits: int, balls: tuple[arb, ...], tail: arb
) -> CertifiedSpectrum:
    for degree, ball in enumerate(balls):
        if ball < 0:
            raise NotPositiveDefiniteError(
                f"{kernel} is not positive definite on the sphere of dim = {dim}: its eigenvalue "
                f"of degree {degree} is {ball.str(5)}"
            )
    counts = tuple(multiplicity(dim, k) for k in range(len(balls)))
    return CertifiedSpectrum(balls, counts, tail, dim, digits)


def _expected_exponent(kernel: Kernel, dim: int, max_degree: int, zeros: set[int]) -> int:
    r"""A power of ten near the smallest eigenvalue, to begin with.

    From the first terms of
    :math:`\lambda_k = \Gamma(d/2) \sum_j a_{k+2j} (k+2j)!/(2^{k+2j} j!\,\Gamma(k+j+d/2))`. For a
    kernel that is singular at t = 1 the first alone would be far too small.
    """
    coefficients = np.maximum(kernel.taylor_coefficients(3 * max_degree + 64), 0.0)
    with np.errstate(divide="ignore"):
        logs = np.log(coefficients)
    logs += gammaln(np.arange(len(logs)) + 1.0) - np.arange(len(logs)) * math.log(2)
    estimates = [
        logsumexp(logs[k::2] - gammaln(j + 1) - gammaln(k + j + dim / 2)) + gammaln(dim / 2)
        for k in range(max_degree + 1)
        if k not in zeros
        for j in [np.arange(len(logs[k::2]), dtype=float)]
    ]
    finite = [float(value) for value in estimates if np.isfinite(value)]
    return math.floor(min(finite, default=0.0) / math.log(10))


def _proved_zeros(kernel: Kernel, dim: int, max_degree: int) -> set[int]:
    """Degrees whose eigenvalue is zero, by proof.

    If h(t) - h(-t) is a polynomial of degree p, all odd degrees above p vanish (bias-free relu
    with one hidden layer); likewise for even ones. An odd activation without bias makes an odd
    kernel, layer by layer. A polynomial's eigenvalues are rational numbers.
    """
    zeros: set[int] = set()
    if isinstance(kernel, NetworkKernel) and kernel.depth > 1:
        if kernel.bias_variance == 0 and kernel.activation.parity:
            wrong = 1 if kernel.activation.parity == 1 else 0
            zeros = set(range(wrong, max_degree + 1, 2))
        return zeros
    try:
        h: Any = kernel.formula.rhs
    except KernelTheoryError:  # too large to write down
        return zeros
    # asin(-t) is -asin(t) to sympy; acos(-t) stays as it is.
    h = h.replace(sympy.acos, lambda u: sympy.pi / 2 - sympy.asin(u))
    for parity, sign in ((0, 1), (1, -1)):
        part = sympy.expand(h + sign * h.subs(T, -T))
        if part.is_polynomial(T):
            order = sympy.Poly(part, T).degree() if part != 0 else -1
            zeros |= {k for k in range(max_degree + 1) if k % 2 == parity and k > order}
    if h.is_polynomial(T):
        zeros |= {k for k in range(max_degree + 1) if _polynomial_eigenvalue(h, dim, k) == 0}
    return zeros


def _polynomial_eigenvalue(h: Any, dim: int, degree: int) -> Any:
    r"""The terminating series, exactly.

    .. math:: \lambda_k = \sum_j \frac{a_{k+2j}\,(k + 2j)!}{2^{k+2j}\,j!\,(d/2)_{k+j}}
    """
    half = sympy.Rational(dim, 2)
    total: Any = sympy.Integer(0)
    for (power,), coefficient in sympy.Poly(h, T).terms():
        j, odd = divmod(power - degree, 2)
        if j >= 0 and not odd:
            weight = sympy.factorial(power) / (2**power * sympy.factorial(j))
            total += coefficient * weight / sympy.rf(half, degree + j)
    return sympy.expand(total)


def _enclose(
    kernel: Kernel, dim: int, max_degree: int, exponent: int, zeros: set[int]
) -> tuple[tuple[arb, ...], arb]:
    """Enclose all eigenvalues with absolute error near 10^exponent, and the tail."""
    bits = math.ceil(-exponent * math.log2(10) + 1.4 * max_degree) + 64
    with ctx.workprec(bits):
        tolerance = arb(10) ** exponent / 256
        at_one = kernel.ball_at_one()
        constant = _density_constant(dim)
        cut = _cut(dim, constant * at_one, tolerance)
    # 1 - c needs twice the bits of the smallest angle, and each layer loses them once more.
    with ctx.workprec(bits + (kernel.layers + 2) * math.ceil(-math.log2(float(cut)))):
        integrand = functools.partial(_integrands, kernel, dim, max_degree)
        bound = functools.partial(_bound, kernel, dim, max_degree)
        balls = integrate(integrand, bound, cut, arb.pi() / 2, tolerance / constant)
        # Both caps, where |P_k| <= 1.
        caps = plus_minus(_pole_bound(kernel, cut) * cut * cut.sin() ** (dim - 2))
        balls = [constant * (ball + caps) for ball in balls]
        for degree in zeros:
            balls[degree] = arb(0)
        mass = sum((multiplicity(dim, k) * ball for k, ball in enumerate(balls)), arb(0))
        return tuple(balls), kernel.ball_at_one() - mass


def _density_constant(dim: int) -> arb:
    half = arb(dim) / 2
    return (half.lgamma() - (half - arb(1) / 2).lgamma()).exp() / arb.pi().sqrt()


def _cut(dim: int, scale: arb, tolerance: arb) -> arb:
    """An angle below which the density leaves less than the tolerance."""
    cut = Fraction(1)
    target = float((tolerance / scale).log().upper())
    while True:
        angle = float(cut)
        if math.log(angle) + (dim - 2) * math.log(math.sin(angle)) < target:
            return arb(cut.numerator) / cut.denominator
        cut /= 2 if cut <= Fraction(1, 4) else Fraction(8, 7)


def _pole_bound(kernel: Kernel, cut: arb) -> arb:
    """Bound of |h(cos theta)| + |h(-cos theta)| for theta up to the cut.

    Only what is positive definite is bounded by h(1); any other h is enclosed where it can be.
    """
    at_one, half = kernel.ball_at_one(), interval(arb(0), (cut / 2).sin())
    total = arb(0)
    for pole in (1, -1):
        bound = arb("nan") if kernel.positive_definite else _enclosed_near_pole(kernel, pole, half)
        total += bound if bound.is_finite() else at_one
    return total


def _enclosed_near_pole(kernel: Kernel, pole: int, half: arb) -> arb:
    """Bound of |h| where sin(theta/2) is in a ball; not finite where h is not enclosed."""
    try:
        near = lower.to_balls((HALF_SINE,), _near_pole(kernel, pole))
    except KernelTheoryError:  # a composition too large to write down
        return arb("nan")
    return arb(arb(near(half)).abs_upper())


@functools.lru_cache(maxsize=64)
def _near_pole(kernel: Kernel, pole: int) -> Any:
    """Return h at t = +-(1 - 2 y^2), y = sin(theta/2): most branch points at the pole are gone."""
    y, h = HALF_SINE, kernel.formula.rhs
    cosine = 1 - 2 * y**2

    def arc_sine(argument: Any) -> Any:
        for sign in (1, -1):
            if sympy.expand(argument - sign * cosine) == 0:
                return sign * (sympy.pi / 2 - 2 * sympy.asin(y))
        return sympy.asin(argument)

    h: Any = h.subs(T, pole * cosine).replace(sympy.acos, lambda u: sympy.pi / 2 - sympy.asin(u))
    h = h.replace(sympy.asin, arc_sine)
    return h.replace(is_half_power, lambda node: sympy.factor(node.base) ** node.exp)


def _convert(value: Fraction) -> arb:
    return arb(value.numerator) / value.denominator


def _integrands(kernel: Kernel, dim: int, max_degree: int, angle: arb) -> list[arb]:
    """H P_k sin^{d-2} at an angle and at its mirror image together, for every degree."""
    cosine = angle.cos()
    weight = angle.sin() ** (dim - 2)
    here, there = arb(kernel.on_balls(cosine)), arb(kernel.on_balls(-cosine))
    halves = (weight * (here + there), weight * (here - there))
    polynomials = gegenbauer_sequence(dim, cosine, max_degree, _convert)
    return [halves[k % 2] * polynomial for k, polynomial in enumerate(polynomials)]


def _bound(kernel: Kernel, dim: int, max_degree: int, angle: acb) -> arb:
    """|P_k(cos theta)| <= cosh(k Im theta): P_k is a positive combination of cosines."""
    middle = angle.mid()
    sine = (middle.sin() + angle.cos() * (angle - middle)).abs_upper()
    here = kernel.enclose_at_angle(angle).abs_upper()
    there = kernel.enclose_at_angle(arb.pi() - angle).abs_upper()
    growth = (max_degree * angle.imag.abs_upper()).cosh()
    return arb((arb(sine) ** (dim - 2) * growth * (arb(here) + arb(there))).upper())
