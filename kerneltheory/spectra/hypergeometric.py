r"""Power series whose coefficients are hypergeometric: guessed from balls, then proved.

A function f is of this kind if, for all n of a residue class modulo m from some n on,

.. math:: B(n)\,a_{n+m} = A(n)\,a_n, \qquad f = \sum_n a_n x^n

with polynomials A, B. The first coefficients, as narrow balls, suggest A and B; that they hold for
every n is proved, since they say that f solves the differential equation

.. math:: \bigl[B(\theta - m) - x^m A(\theta)\bigr] f = B(n_0 - m)\,a_{n_0} x^{n_0},
          \qquad \theta = x\,\frac{d}{dx},

which computer algebra decides. Nothing that was only guessed leaves this module.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy
from flint import arb, arb_series, ctx, fmpq, fmpq_mat

from kerneltheory.core import lower
from kerneltheory.core.derivation import Evidence
from kerneltheory.core.errors import DerivationError, LoweringError
from kerneltheory.core.prove import is_zero
from kerneltheory.spectra.differential_field import operator_vanishes
from kerneltheory.spectra.gamma_products import GammaProduct, gamma_product

N = sympy.Symbol("n", integer=True, nonnegative=True)
# Coefficients that are computed, their precision, and what a rational number of theirs may have.
TERMS, BITS, RATIONAL_BITS = 72, 1600, 400
# Degree of A and B up to which a guess is made, and how many more values must agree with it.
HIGHEST_DEGREE, MORE = 8, 6
# Coefficients at the start that may be out of line.
SKIPPED = 2


@dataclass(frozen=True)
class Coefficients:
    r"""The coefficients a_n of one residue class, n = start, start + modulus, ...

    .. math:: \frac{a_{n+m}}{a_n} = C\,\frac{\prod_i (n + \alpha_i)}{\prod_i (n + \beta_i)}
              \frac{P(n+m)}{P(n)}

    Attributes:
        modulus: m, 1 or 2.
        start: the first n.
        first: the coefficient of the first n, exact.
        constant: C.
        upper, lower: alpha and beta.
        polynomial: P, in the symbol `N`.
    """

    modulus: int
    start: int
    first: Any
    constant: Any
    upper: tuple[Any, ...]
    lower: tuple[Any, ...]
    polynomial: Any = sympy.S.One

    def ratio(self, n: Any) -> Any:
        """a_{n+m}/a_n at a number or a symbol."""
        ends = self.polynomial.subs(N, n + self.modulus), self.polynomial.subs(N, n)
        above = sympy.Mul(*(n + a for a in self.upper))
        return self.constant * above / sympy.Mul(*(n + b for b in self.lower)) * ends[0] / ends[1]

    def contains(self, n: int) -> bool:
        """Whether n is in the class."""
        return n >= self.start and (n - self.start) % self.modulus == 0

    def value(self, n: int) -> Any:
        """The coefficient of a number n of the class, exactly."""
        steps = range(self.start, n, self.modulus)
        above, below = (
            math.prod((Fraction(int(a.p), int(a.q)) + i for a in group for i in steps), start=one)
            for group, one in ((self.upper, Fraction(1)), (self.lower, Fraction(1)))
        )
        ratio = above / below
        ends = self.polynomial.subs(N, n) / self.polynomial.subs(N, self.start)
        rational = sympy.Rational(ratio.numerator, ratio.denominator)
        return self.first * self.constant ** len(steps) * rational * ends

    def closed(self, n: Any) -> GammaProduct:
        """The coefficient of a symbolic n of the class, without P(n)/P(start)."""
        m = self.modulus
        # (n + a) = m (n/m + a/m), and a product of the latter is a ratio of Gamma functions.
        base = self.constant * sympy.Integer(m) ** (len(self.upper) - len(self.lower))
        root = sympy.root(base, m)
        growth = root ** (n - self.start) if base > 0 else base ** ((n - self.start) / m)
        above = [(n + a) / m for a in self.upper] + [(self.start + b) / m for b in self.lower]
        below = [(n + b) / m for b in self.lower] + [(self.start + a) / m for a in self.upper]
        return gamma_product(self.first * growth, above, below)

    def scaled(self, factor: Any) -> "Coefficients":
        """The coefficients of a multiple of the function."""
        return Coefficients(
            self.modulus, self.start, factor * self.first, self.constant, self.upper, self.lower,
            self.polynomial,
        )  # fmt: skip


@dataclass(frozen=True)
class DifferentialEquation(Evidence):
    """Evidence that a function of x has hypergeometric coefficients: the equation that it solves.

    Attributes:
        function: f, in `variable`.
        variable: x.
        coefficients: what is claimed of the part of f in this residue class.
        shown: the expression that is stated.
    """

    function: Any
    variable: Any
    coefficients: Coefficients
    shown: Any = None

    def verify(self, digits: int) -> str:
        """Prove it.

        Raises:
            DerivationError: if the equation is not proved, or the first coefficient is another.
        """
        c, x = self.coefficients, self.variable
        part = residue_part(self.function, x, c.start, c.modulus)
        first = _exact_coefficient(part, x, c.start)
        if not is_zero(sympy.expand(first - c.first)):
            raise DerivationError(f"the coefficient of {x}^{c.start} is {first}, not {c.first}")
        if any(_exact_coefficient(part, x, n) != 0 for n in range(c.start)):
            raise DerivationError(f"{self.function} has coefficients before {x}^{c.start}")
        if not self._solves(part):
            raise DerivationError(
                f"no proof was found that the coefficients of {self.function} from {x}^{c.start} "
                f"on have the ratio {c.ratio(N)}"
            )
        return "proved"

    def about(self) -> tuple[Any, ...]:
        """What is stated, if that is an equation."""
        return () if self.shown is None else (self.shown,)

    def _solves(self, part: Any) -> bool:
        """Whether the part solves the differential equation of the module's docstring."""
        c, x, m = self.coefficients, self.variable, self.coefficients.modulus
        above, below = sympy.fraction(sympy.together(c.ratio(N) / c.constant))
        terms = ((sympy.S.One, below.subs(N, N - m)), (-c.constant * x**m, above))
        start = below.subs(N, c.start - m) * c.first * x**c.start
        return operator_vanishes(terms, part, start, x)


@dataclass(frozen=True)
class Series:
    """A function as a polynomial and hypergeometric classes of coefficients, all proved.

    Attributes:
        polynomial: the first terms, where they are out of line.
        rest: the function without them.
        classes: the coefficients of the rest.
        variable: the variable of all.
    """

    polynomial: Any
    rest: Any
    classes: tuple[Coefficients, ...]
    variable: Any


def hypergeometric_series(function: Any, variable: Any) -> Series | None:
    """The series at 0 of a function with hypergeometric coefficients; None if none was found.

    Examples:
        >>> x = sympy.Symbol("x", real=True)
        >>> (odd,) = hypergeometric_series(sympy.asin(x), x).classes
        >>> odd.start, odd.ratio(N)
        (1, n**2/((n + 1)*(n + 2)))
    """
    return _series(sympy.sympify(function), variable)


@functools.lru_cache(maxsize=512)
def _series(function: Any, x: Any) -> Series | None:
    balls = _taylor(function, x)
    if balls is None:
        return None
    polynomial: Any = sympy.Integer(0)
    for skipped in range(SKIPPED + 1):
        if skipped:
            polynomial += _exact_coefficient(function, x, skipped - 1) * x ** (skipped - 1)
            balls[skipped - 1] = arb(0)
        rest = function - polynomial
        classes = _classes(rest, x, balls)
        if classes is not None:
            return Series(polynomial, rest, classes, x)
    return None


def _classes(function: Any, x: Any, balls: Sequence[arb]) -> tuple[Coefficients, ...] | None:
    """One class, or one for each parity that occurs."""
    support = [n for n, ball in enumerate(balls) if not ball.contains(0)]
    if not support:
        return None
    if support == list(range(support[0], TERMS)):
        whole = _guess(function, x, balls, support[0], 1)
        if whole is not None:
            return (whole,)
    found = []
    for parity in (0, 1):
        numbers = [n for n in support if n % 2 == parity]
        if not numbers:
            if not operator_vanishes(((1, N**0),), residue_part(function, x, parity, 2), 0, x):
                return None
            continue
        part = _guess(function, x, balls, numbers[0], 2)
        if part is None:
            return None
        found.append(part)
    return tuple(found)


def _taylor(function: Any, variable: Any) -> list[arb] | None:
    """Balls of the first coefficients, or None where the function is not analytic at 0."""
    with ctx.workprec(BITS):
        old, ctx.cap = ctx.cap, TERMS
        try:
            found = lower.to_balls((variable,), function)(arb_series([0, 1], prec=TERMS))
        except (ValueError, ZeroDivisionError, LoweringError, TypeError):
            return None
        finally:
            ctx.cap = old
        series = found if isinstance(found, arb_series) else arb_series([found])
        balls = [arb(series[n]) for n in range(TERMS)]
    return balls if all(ball.is_finite() for ball in balls) else None


def _guess(
    function: Any, x: Any, balls: Sequence[arb], start: int, modulus: int
) -> Coefficients | None:
    """Fit the ratios by a rational function of n, bring it into the form above, and prove it."""
    indices = list(range(start, TERMS, modulus))
    if any(balls[n].contains(0) for n in indices):
        return None
    first = _exact_coefficient(function, x, start)
    unit = _exact_coefficient(function, x, start + modulus) / first
    with ctx.workprec(BITS):
        scale = balls[start + modulus] / balls[start]
        ratios = [balls[n + modulus] / balls[n] / scale for n in indices[:-1]]
        rationals = [_simplest_rational(ratio) for ratio in ratios]
    if any(value is None for value in rationals):
        return None
    fitted = _fit(indices[:-1], rationals)
    if fitted is None:
        return None
    coefficients = _factored(*fitted, sympy.simplify(unit), modulus, start, first)
    if coefficients is None:
        return None
    try:
        DifferentialEquation(function, x, coefficients).verify(0)
    except DerivationError:
        return None
    return coefficients


def _simplest_rational(ball: arb) -> fmpq | None:
    """The rational number in a narrow ball whose denominator is small enough to be meant."""
    mantissa, exponent = ball.mid().man_exp()
    middle = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    found = middle.limit_denominator(2**RATIONAL_BITS)
    rational = fmpq(found.numerator, found.denominator)
    return rational if ball.overlaps(arb(rational)) else None


def _fit(places: Sequence[int], values: Sequence[Any]) -> tuple[Any, Any] | None:
    """Polynomials A, B of the least degree with A(n) = value B(n) at all places."""
    for degree in range(HIGHEST_DEGREE + 1):
        unknowns = 2 * degree + 2
        if len(places) < unknowns + MORE:
            return None
        rows = [
            [fmpq(n) ** i for i in range(degree + 1)]
            + [-value * fmpq(n) ** i for i in range(degree + 1)]
            for n, value in zip(places, values, strict=True)
        ]
        reduced, rank = fmpq_mat(rows).rref()
        if rank == unknowns - 1:
            solution = _kernel_vector(reduced, unknowns)
            above, below = solution[: degree + 1], solution[degree + 1 :]
            return _polynomial(above), _polynomial(below)
    return None


def _kernel_vector(reduced: Any, unknowns: int) -> list[Any]:
    pivots = []
    for row in range(unknowns - 1):
        pivots.append(next(i for i in range(unknowns) if reduced[row, i] != 0))
    (free,) = set(range(unknowns)) - set(pivots)
    vector = [fmpq(0)] * unknowns
    vector[free] = fmpq(1)
    for row, pivot in enumerate(pivots):
        vector[pivot] = -reduced[row, free]
    return vector


def _polynomial(coefficients: Sequence[Any]) -> Any:
    return sympy.Add(
        *(sympy.Rational(int(c.p), int(c.q)) * N**i for i, c in enumerate(coefficients))
    )


def _factored(
    above: Any, below: Any, unit: Any, modulus: int, start: int, first: Any
) -> Coefficients | None:
    """Bring A/B into linear factors and P; None if a factor is neither."""
    above, below = sympy.fraction(sympy.cancel(above / below))
    top, bottom = sympy.factor_list(above, N), sympy.factor_list(below, N)
    upper, constant_up, rest_up = _linear_factors(top)
    lower_, constant_down, rest_down = _linear_factors(bottom)
    polynomial: Any = sympy.Integer(1)
    for factor in rest_down:
        for shift in (1, 2, 3):
            partner = sympy.Poly(factor.subs(N, N + modulus * shift), N).monic().as_expr()
            if partner in rest_up:
                rest_up.remove(partner)
                for i in range(shift):
                    polynomial *= factor.subs(N, N + modulus * i)
                break
        else:
            return None
    if rest_up:
        return None
    constant = unit * constant_up / constant_down
    return Coefficients(
        modulus, start, first, constant, tuple(upper), tuple(lower_), sympy.expand(polynomial)
    )


def _linear_factors(factors: Any) -> tuple[list[Any], Any, list[Any]]:
    constant, pairs = factors
    roots, rest = [], []
    for factor, count in pairs:
        polynomial = sympy.Poly(factor, N)
        constant *= polynomial.LC() ** count
        monic = polynomial.monic()
        if monic.degree() == 1:
            roots += [monic.coeff_monomial(1)] * count
        else:
            rest += [monic.as_expr()] * count
    return roots, constant, rest


# --- the differential equation ----------------------------------------------------------------


def residue_part(function: Any, x: Any, start: int, modulus: int) -> Any:
    """The part of a function with powers n = start modulo 1 or 2."""
    if modulus == 1:
        return function
    mirrored = function.subs(x, -x)
    return (function + (-1) ** start * mirrored) / 2


def _exact_coefficient(function: Any, x: Any, n: int) -> Any:
    value = sympy.diff(function, x, n).subs(x, 0) / sympy.factorial(n)
    return sympy.radsimp(sympy.expand(value))
