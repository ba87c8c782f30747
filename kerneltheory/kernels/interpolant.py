r"""A kernel on the sphere as two short Chebyshev series, built from balls and checked against them.

Among rows of one norm a kernel is a function h of the cosine alone, and its Gram matrix need not
run the recursion of a deep network for every pair. For cosines t >= 0 (and likewise t < 0) the
function is smooth in the chord :math:`y = \sqrt{1 - |t|}`, since the dual activations are smooth in
the angle, and in

.. math:: v = \frac{(1 + g)\,y}{1 + g\,y} \in [0, 1]

where a bend g > 0 stretches the neighbourhood of y = 0, in which a deep chaotic kernel falls.
Values at the nodes come from balls: rounding a cosine moves an infinite slope at y = 0, as of the
NTK of relu, by sqrt(eps), and an interpolant would spread that everywhere.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import numpy as np
from flint import arb, ctx
from scipy.fft import dct

from kerneltheory.core import lower
from kerneltheory.kernels.gram import interpolated

# Nodes that tell the bends apart, and the longest series: a longer one takes seconds to compile.
PROBE, LONGEST = 48, 384
# Lengths are multiples of this: one compilation serves all kernels of one length.
PADDING = 16
# Coefficients below this part of h(1) are what rounding the values leaves, and are dropped.
NEGLIGIBLE = 2.0**-53
# Largest error accepted, relative to h(1): the rounding of y, of v, and of a sum of a few terms of
# size h(1), each a few units of 2^-53.
TOLERANCE = 8e-15
# Enclosures are this many bits better than h(1): to a float64 they are exact.
SPARE_BITS = 60
# Where the last angles are that float64 resolves, as a power of 2 of y.
FINEST = -26


@dataclass(frozen=True, eq=False)
class Interpolant:
    """A kernel h on the sphere; `gram.interpolated` evaluates it.

    Attributes:
        coefficients: Chebyshev coefficients in v, shape (2, length): for t >= 0, for t < 0.
        bend: g, see above.
        at_one: h(1).
        error: the largest error found against balls, relative to h(1).
    """

    coefficients: np.ndarray
    bend: float
    at_one: float
    error: float

    def __call__(self, cosines: np.ndarray) -> np.ndarray:
        """h at every cosine."""
        with jax.enable_x64(True):
            return np.asarray(interpolated(self.coefficients, self.bend, self.at_one, cosines))


class _Balls:
    """The float64 nearest to h at exact cosines, by as many bits as that takes."""

    def __init__(self, function: Callable[[arb], arb], at_one: arb, most_bits: int):
        self.function, self.most_bits = function, most_bits
        self.wanted = _exponent(at_one) - SPARE_BITS
        self.bits = 128

    def __call__(self, cosine: Callable[[], arb]) -> float:
        """NaN if no precision was enough; the cosine is formed at the precision in use."""
        while True:
            with ctx.workprec(self.bits):
                value = arb(self.function(cosine()))
            used, missing = self.bits, self.bits
            if value.is_finite():
                missing = _exponent(value.rad()) - self.wanted
            # The next cosine, close to this one, will need about as many.
            self.bits = min(max(128, used + missing + 32), self.most_bits)
            if missing <= 0:
                return lower.to_float(value)
            if used == self.most_bits:
                return float("nan")


def _exponent(ball: arb) -> int:
    """The least e with |midpoint| < 2^e, far below all others for zero."""
    mantissa, exponent = ball.mid().man_exp()
    return int(mantissa).bit_length() + int(exponent) if mantissa else -(2**62)


def interpolate(function: Callable[[arb], arb], at_one: arb, most_bits: int) -> Interpolant | None:
    """The interpolant of a kernel, or None where no short series is as good as rounding.

    Args:
        function: encloses h at a real ball inside (-1, 1).
        at_one: encloses h(1).
        most_bits: the precision beyond which a value counts as not to be had.
    """
    scale = lower.to_float(at_one)
    if not np.finfo(float).tiny < scale < np.inf:
        return None
    balls = _Balls(function, at_one, most_bits)
    bend, coefficients = _best_bend(balls, scale)
    while not _resolved(coefficients, scale):
        count = 2 * coefficients.shape[1]
        if count > LONGEST or not np.isfinite(coefficients).all():
            return None
        coefficients = _coefficients(balls, bend, count)
    length = -(-_kept(coefficients, scale) // PADDING) * PADDING
    unchecked = Interpolant(coefficients[:, :length], bend, scale, np.inf)
    error = _error(unchecked, balls)
    return dataclasses.replace(unchecked, error=error) if error < TOLERANCE else None


def _cosine(v: Callable[[], arb], bend: float, sign: int) -> Callable[[], arb]:
    """The cosine at which the variable of one half is v."""

    def cosine() -> arb:
        here = v()
        y = here / (1 + bend * (1 - here))
        return sign * (1 - y * y)

    return cosine


def _node(index: int, count: int) -> Callable[[], arb]:
    """(1 + cos angle)/2, never 0 or 1: there a ball would leave the domain of h."""
    return lambda: ((arb(2 * index + 1) / (4 * count)).cos_pi()) ** 2


def _coefficients(balls: _Balls, bend: float, count: int) -> np.ndarray:
    """Chebyshev coefficients from the values at Chebyshev's nodes of the first kind."""
    values = [
        [balls(_cosine(_node(index, count), bend, sign)) for index in range(count)]
        for sign in (1, -1)
    ]
    return chebyshev_coefficients(np.array(values), axis=1)


def chebyshev_coefficients(values: np.ndarray, axis: int) -> np.ndarray:
    """From the values at Chebyshev's nodes of the first kind along an axis."""
    coefficients = np.asarray(dct(values, type=2, axis=axis)) / values.shape[axis]
    np.moveaxis(coefficients, axis, 0)[0] /= 2
    return coefficients


def _best_bend(balls: _Balls, scale: float) -> tuple[float, np.ndarray]:
    """The bend with which few coefficients suffice, or come nearest, and the coefficients."""
    best: tuple[float, np.ndarray] = (0.0, np.full((2, PROBE), np.inf))
    typical = 1 / _chord_of_descent(balls, scale)
    for bend in (0.0, typical / 16, typical / 4, typical, 4 * typical):
        coefficients = _coefficients(balls, bend, PROBE)
        if _resolved(coefficients, scale) or not np.isfinite(coefficients).all():
            return bend, coefficients
        if _end(coefficients) < _end(best[1]):
            best = bend, coefficients
    return best


def _chord_of_descent(balls: _Balls, scale: float) -> float:
    """A power of two y by which h, which falls from t = 1 to t = 0, has fallen half the way."""
    half = (scale + balls(lambda: arb(0))) / 2
    low, high = FINEST, 0
    while high - low > 1:
        middle = (low + high) // 2
        fallen = balls(lambda power=middle: 1 - arb(4) ** power) < half
        low, high = (low, middle) if fallen else (middle, high)
    return 2.0**high


def _end(coefficients: np.ndarray) -> float:
    """The largest of the last coefficients."""
    return float(np.abs(coefficients[:, -coefficients.shape[1] // 4 :]).max())


def _kept(coefficients: np.ndarray, scale: float) -> int:
    """How many coefficients are left when a negligible tail is dropped."""
    # Written so that NaN counts as large.
    large = ~(np.abs(coefficients).max(axis=0) <= NEGLIGIBLE * scale)
    return int(np.flatnonzero(large)[-1]) + 1 if large.any() else 1


def _resolved(coefficients: np.ndarray, scale: float) -> bool:
    """Whether what is beyond the last coefficient is negligible: so are some before it."""
    return _kept(coefficients, scale) <= coefficients.shape[1] - 4


def _error(interpolant: Interpolant, balls: _Balls) -> float:
    """Largest error at cosines that are no nodes, relative to h(1); NaN if a value is missing."""
    cosines = np.array(list(_checked_cosines(interpolant.bend)))
    truth = [balls(lambda t=t: arb(t)) for t in cosines]
    return float(np.abs(interpolant(cosines) - truth).max()) / interpolant.at_one


def _checked_cosines(bend: float) -> Iterator[float]:
    """Evenly in v, where the errors of interpolation are, and down to the last resolved angles."""
    v = (np.arange(24) + 0.382) / 24
    y = v / (1 + bend * (1 - v))
    for distance in (*y * y, *np.geomspace(1e-15, 1e-3, 16)):
        yield 1 - distance
        yield distance - 1
