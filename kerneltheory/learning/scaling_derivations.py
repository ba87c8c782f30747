r"""The derivation of the scaling laws: sums over modes as Beta integrals, and the best ridge.

With :math:`\lambda_i = i^{-a}` and :math:`F_i^2 = i^{-b}` the summands are functions of
:math:`x = i \kappa^{1/a}`. A sum over i of a function that falls from at most 1 differs from its
integral by at most 1, where both grow as :math:`\kappa^{-1/a}`.
"""

from dataclasses import dataclass
from typing import Any

import sympy
from flint import acb, arb, ctx

from kerneltheory.core import lower
from kerneltheory.core.derivation import Derivation, Evidence, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.evidence import Root, identity_step
from kerneltheory.core.formula import Formula

REFERENCE = "arXiv:2311.14646, arXiv:2105.15004"

# The exponents of spectrum and target; the ratio R = delta/(n kappa) = sqrt(train/(T + sigma^2)).
CAPACITY, SMOOTHNESS, RATIO = sympy.symbols("a b R", positive=True)
# Noise in units of the test error without ridge and noise, and B without ridge.
RELATIVE_NOISE, BIAS = sympy.symbols("s B_0", positive=True)
KAPPA, SAMPLES, X, RANK = sympy.symbols("kappa n x i", positive=True)
# sum q kappa^(1/a), of which n = (constant) kappa^(-1/a) without ridge.
CONSTANT = sympy.Symbol("C", positive=True)
# Exponents (a, b) at which the integrals are enclosed: multiples of 1/2, b < 2a + 1, b != a + 1.
INTEGRAL_POINTS = tuple(
    (sympy.Rational(a), sympy.Rational(b)) for a, b in ((2, "5/2"), ("3/2", 3), ("5/2", "3/2"))
)

_Y = (SMOOTHNESS - 1) / CAPACITY
_COUNTED = sympy.pi / CAPACITY / sympy.sin(sympy.pi / CAPACITY)
_SQUARED = (1 - 1 / CAPACITY) * _COUNTED
_MISSED = (1 - _Y) * sympy.pi / (CAPACITY * sympy.sin(sympy.pi * _Y))
_DENOMINATOR = 1 + (CAPACITY - 1) * RATIO
_T = sympy.Symbol("T")


def derive_scaling_laws() -> Derivation:
    """The noise of which R is the best fitting ratio, with the sums and exponents it rests on."""
    result = best_noise()
    steps = (*_sum_steps(), *_decay_steps(), *_ratio_steps())
    args = RATIO, CAPACITY, SMOOTHNESS
    domain = sympy.And(RATIO >= 0, RATIO < 1)
    name = "relative noise of which a fitting ratio is the best"
    return Derivation(steps, Formula(name, args, result, domain, REFERENCE))


def best_noise() -> Any:
    """The noise at which the slope of the risk in R vanishes."""
    above = SMOOTHNESS - CAPACITY + (CAPACITY - 1) * SMOOTHNESS * RATIO
    return above / (CAPACITY * (CAPACITY - 1) * (1 - RATIO) ** SMOOTHNESS)


def _sum_steps() -> list[Step]:
    """The three sums, each a power of kappa times an integral over x."""
    share = 1 / (1 + KAPPA * RANK**CAPACITY)
    scaled = 1 / (1 + X**CAPACITY)
    at = {RANK: X * KAPPA ** (-1 / CAPACITY)}
    missed = (1 - share) ** 2 * RANK**-SMOOTHNESS
    weight = KAPPA ** (SMOOTHNESS / CAPACITY)
    scaled_bias = X ** (2 * CAPACITY - SMOOTHNESS) * scaled**2
    return [
        identity_step(
            _joined(share.subs(at)), scaled,
            "q of i = x kappa^(-1/a)", sympy.Symbol("q"),
        ),
        identity_step(
            _joined(missed.subs(at) / weight), scaled_bias,
            "(1 - q)^2 i^-b over kappa^(b/a)",
        ),
        _integral_step(0, 1, _COUNTED, "sum q kappa^(1/a): B(1/a, 1 - 1/a)/a", "C"),
        _integral_step(0, 2, _SQUARED, "sum q^2 kappa^(1/a): (1 - 1/a) C", "C_2"),
        _integral_step(
            2 * CAPACITY - SMOOTHNESS, 2, _MISSED,
            "B kappa^-y with y = (b - 1)/a < 2: B(2 - y, y)/a", "C_B",
        ),
    ]  # fmt: skip


def _integral_step(power: Any, order: int, value: Any, reason: str, name: str) -> Step:
    return Step(
        sympy.Eq(sympy.Symbol(name), value, evaluate=False),
        f"{reason}, by the reflection formula; the integral over x enclosed at rational exponents",
        BetaCertificate(power, order, value, INTEGRAL_POINTS),
    )


def _decay_steps() -> list[Step]:
    """Exponents without ridge: kappa, the overfitting and the test error."""
    kappa = (CONSTANT / SAMPLES) ** CAPACITY
    squares = (1 - 1 / CAPACITY) * SAMPLES
    return [
        identity_step(
            _joined(CONSTANT * kappa ** (-1 / CAPACITY)), SAMPLES,
            "without ridge, where n = sum q: at kappa = (C/n)^a",
            CONSTANT * KAPPA ** (-1 / CAPACITY),
        ),
        identity_step(
            1 / (1 - squares / SAMPLES), CAPACITY,
            "E_0 = n/(n - sum q^2): T = a B + (a - 1) sigma^2", sympy.Symbol("E_0"),
        ),
        identity_step(
            _joined(kappa**_Y),
            (CONSTANT / SAMPLES) ** (SMOOTHNESS - 1), "B/C_B decays as n^-(b - 1)",
            KAPPA**_Y,
        ),
    ]  # fmt: skip


def _ratio_steps() -> list[Step]:
    """The risk against R at fixed n, and its stationary point."""
    counted = SAMPLES * (1 - RATIO)
    squares = (1 - 1 / CAPACITY) * counted
    grown = (1 - RATIO) ** (1 - SMOOTHNESS)
    risk = BIAS * CAPACITY * (grown + CAPACITY * RELATIVE_NOISE) / _DENOMINATOR
    slope = (
        SMOOTHNESS - CAPACITY + (CAPACITY - 1) * SMOOTHNESS * RATIO
        - CAPACITY * (CAPACITY - 1) * RELATIVE_NOISE * (1 - RATIO) ** SMOOTHNESS
    )  # fmt: skip
    noise = CAPACITY * RELATIVE_NOISE * BIAS
    threshold = (SMOOTHNESS - CAPACITY) / (CAPACITY * (CAPACITY - 1))
    overfitting = CAPACITY / _DENOMINATOR
    rest = sympy.Symbol("U", positive=True)
    kappa = (CONSTANT / (SAMPLES * rest)) ** CAPACITY
    unridged = (CONSTANT / SAMPLES) ** CAPACITY
    return [
        Step(
            sympy.Eq(sympy.Symbol("sum_q"), counted, evaluate=False),
            "definition: R = delta/(n kappa), so that n = sum q + n R",
        ),
        identity_step(
            1 / (1 - squares / SAMPLES), overfitting, "E_0 with a ridge", sympy.Symbol("E_0")
        ),
        identity_step(
            _joined(kappa**_Y / unridged**_Y),
            rest ** (1 - SMOOTHNESS), "B/B_0 = (kappa/kappa_0)^y, with U = 1 - R",
            sympy.Symbol("B") / BIAS,
        ),
        identity_step(
            overfitting * (BIAS * grown + noise), risk,
            "T + sigma^2, with sigma^2 = s a B_0", _T + sympy.Symbol("sigma^2"),
        ),
        identity_step(
            sympy.powsimp(sympy.expand(
                sympy.diff(risk, RATIO) * _DENOMINATOR**2 * (1 - RATIO) ** SMOOTHNESS
            )),
            sympy.expand(CAPACITY * BIAS * slope),
            "its slope in R, over positive factors",
        ),
        identity_step(
            sympy.expand(-sympy.diff(slope.subs(RATIO, 1 - rest), rest)),
            sympy.expand(
                SMOOTHNESS * (CAPACITY - 1)
                * (1 + CAPACITY * RELATIVE_NOISE * rest ** (SMOOTHNESS - 1))
            ),
            "which rises with R = 1 - U, so that there is one minimum",
        ),
        Step(
            sympy.Eq(RELATIVE_NOISE, threshold, evaluate=False),
            "at R = 0 it vanishes for this noise; below it interpolation is best",
            Root(slope.subs(RATIO, 0), RELATIVE_NOISE, threshold),
        ),
        Step(
            sympy.Eq(RELATIVE_NOISE, best_noise(), evaluate=False), "and at R for this",
            Root(slope, RELATIVE_NOISE, best_noise()),
        ),
    ]  # fmt: skip


def _joined(expression: Any) -> Any:
    """Powers of powers as one power: all that occurs in them is positive."""
    return sympy.powsimp(sympy.powdenest(expression, force=True))


@dataclass(frozen=True)
class BetaCertificate(Evidence):
    r"""The integral of :math:`x^c/(1 + x^a)^k` from 0 to infinity, by enclosures.

    Attributes:
        power: c, in a and b.
        order: k.
        value: the closed form, in a and b.
        points: of (a, b), multiples of 1/2 at which a k - c >= 3/2.
    """

    power: Any
    order: int
    value: Any
    points: tuple[tuple[Any, Any], ...]

    def verify(self, digits: int) -> str:
        """Integrate over u with x = (u/(1 - u))^2: a rational function without poles near it."""
        for a, b in self.points:
            at = {CAPACITY: a, SMOOTHNESS: b}
            first = int(2 * sympy.sympify(self.power).subs(at)) + 1
            double, last = int(2 * a), int(2 * a) * self.order - first - 2
            with ctx.workdps(digits + 15):
                found = acb.integral(_kernel(first, last, double, self.order), 0, 1).real
                claim = lower.to_ball(self.value.subs(at))
                if not abs(found - claim) < arb(10) ** -digits:
                    raise DerivationError(
                        f"at (a, b) = ({a}, {b}) the integral is {found.str(12)}, and the closed "
                        f"form {claim.str(12)}"
                    )
        return f"certified to {digits} digits"

    def about(self) -> tuple[Any, ...]:
        """The closed form."""
        return (self.value,)


def _kernel(first: int, last: int, double: int, order: int) -> Any:
    def integrand(u: acb, _: Any) -> acb:
        return 2 * u**first * (1 - u) ** last / (u**double + (1 - u) ** double) ** order

    return integrand


DERIVATIONS = (derive_scaling_laws,)
