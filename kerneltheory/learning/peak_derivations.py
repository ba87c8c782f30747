r"""What the limit of order r says of peaks, plateaus and the best ridge, as derivations.

In the fraction :math:`x = \tau/(1 + \tau)` of degree r that is not learned, and
:math:`S = F_{>r}^2 + \sigma^2`, the learning curve is a rational function,

.. math:: T + \sigma^2 = \frac{(F_r^2 x^2 + S)(x + \zeta)}{x^2 + \zeta}, \qquad
          \alpha = \frac{(1 - x)(x + \zeta)}{x},

and x falls from 1 to 0 as alpha grows from 0 to infinity.
"""

from dataclasses import dataclass
from typing import Any

import sympy
from flint import ctx

from kerneltheory.core import lower
from kerneltheory.core.derivation import Derivation, Evidence, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.evidence import (
    EqualAtRoots,
    Root,
    identity_step,
    limit_step,
    positive_step,
)
from kerneltheory.core.formula import Formula
from kerneltheory.core.prove import is_zero
from kerneltheory.learning.limit_derivation import (
    ALPHA,
    EQUATION,
    LOST,
    NOISE,
    OWN,
    REFERENCE,
    TAU,
    ZETA,
)

# The fraction of degree r that is not learned, and F_{>r}^2 + sigma^2.
X, S = sympy.symbols("x S", positive=True)
SAMPLES = (1 - X) * (X + ZETA) / X
LABEL_ERROR = (OWN * X**2 + S) * (X + ZETA) / (X**2 + ZETA)
LABEL_POWER = LOST + NOISE
# Where each zeta is compared with exact counts of stationary points.
THRESHOLD_POINTS = tuple(map(sympy.Rational, ("1/100", "1/3", "9/10", "1", "3/2", "10")))

_CURVE = sympy.Symbol("T") + NOISE
_SLOPE, _GROWTH = (sympy.Derivative(sympy.Function(name)(X), X) for name in ("T", "zeta"))
_FUNCTION: Any = sympy.Function("G")
_SMALL = sympy.Symbol("epsilon", positive=True)


def curve_steps() -> list[Step]:
    """The curve in x, and alpha as a decreasing function of x."""
    equation = EQUATION.subs(TAU, X / (1 - X))
    residue = 1 / (1 - 1 / (ALPHA * (1 + TAU) ** 2))
    curve = (residue * (X**2 * OWN + S)).subs({ALPHA: SAMPLES, TAU: X / (1 - X)})
    return [
        Step(
            sympy.Eq(ALPHA, SAMPLES, evaluate=False),
            "x = tau/(1 + tau) in alpha = 1/(1 + tau) + zeta/tau",
            Root(equation, ALPHA, SAMPLES),
        ),
        positive_step(-sympy.diff(SAMPLES, X), "-d alpha/dx: x falls as alpha grows"),
        identity_step(curve, LABEL_ERROR, "E_0 (B + sigma^2), S = F_>r^2 + sigma^2", name=_CURVE),
    ]


def derive_peak_height() -> Derivation:
    """The test error at alpha = 1, where it diverges as zeta tends to zero."""
    at_peak = X**2 / (1 - X)
    curve = LABEL_ERROR.subs(ZETA, at_peak)
    exact = (OWN * X**2 + S) / (X * (2 - X))
    x = _SMALL * (2 - _SMALL)
    root = x / (1 - _SMALL)  # of zeta
    pole = X**2 + 2 * ZETA * X - ZETA
    steps = [
        *curve_steps(),
        Step(
            sympy.Eq(ZETA, at_peak, evaluate=False), "alpha = 1", Root(SAMPLES - 1, ZETA, at_peak)
        ),
        identity_step(curve, exact, "the curve at alpha = 1", name=_CURVE),
        identity_step(at_peak.subs(X, x), root**2, "x = epsilon (2 - epsilon)", name=ZETA),
        limit_step(2 * root * exact.subs(X, x), _SMALL, 0, S, "2 sqrt(zeta) (T + sigma^2)"),
        limit_step(
            exact.subs(X, x) - S / (2 * root),
            _SMALL,
            0,
            S / 2,
            "the next order: S/2, and O(zeta^(1/2))",
        ),
        identity_step(
            sympy.diff(LABEL_ERROR.subs(OWN, 0), X),
            -S * pole / (X**2 + ZETA) ** 2,
            "without power at degree r the derivative in x changes sign once",
            _SLOPE,
        ),
        _at_roots(SAMPLES, 1 + ZETA, pole, X, "there the peak stands at alpha = 1 + zeta", ALPHA),
        _at_roots(
            LABEL_ERROR.subs(OWN, 0), S / (2 * X), pole, X, "and is the maximum S/(2x)", _CURVE
        ),
        Step(
            sympy.Eq(X, _pole(), evaluate=False),
            "x at this peak: sqrt(zeta) - zeta + ..., so that its height too is S/(2 sqrt(zeta))",
            Root(pole, X, _pole()),
        ),
    ]
    height = LABEL_POWER / (2 * sympy.sqrt(ZETA)) + LABEL_POWER / 2 - NOISE
    leading = S / (2 * sympy.sqrt(ZETA)) + S / 2 - NOISE
    steps.append(
        identity_step(
            leading.subs(S, LABEL_POWER),
            height,
            "both orders, up to O(zeta^(1/2))",
            sympy.Symbol("T"),
        )
    )
    name = "height of the peak for small zeta"
    return Derivation(tuple(steps), Formula(name, (ZETA, LOST, NOISE), height, reference=REFERENCE))


def derive_peak_threshold() -> Derivation:
    r"""The least :math:`(F_{>r}^2 + \sigma^2)/F_r^2` above which the curve has a peak."""
    numerator = X * (X**3 + 3 * ZETA * X + 2 * ZETA**2)
    pole = X**2 + 2 * ZETA * X - ZETA
    ratio = numerator / pole
    cubic = X**3 + 3 * ZETA * X**2 - 3 * ZETA * X - ZETA**2
    inner = 3 * ZETA * (ZETA + 3 * X - 2 * X**2) / (X + ZETA)
    slope = sympy.diff(LABEL_ERROR, X)
    result = peak_threshold()
    steps = [
        *curve_steps(),
        identity_step(
            slope,
            (OWN * numerator - S * pole) / (X**2 + ZETA) ** 2,
            "slope in x; positive at x -> 0",
            _SLOPE,
        ),
        identity_step(
            slope,
            OWN * pole * (ratio - S / OWN) / (X**2 + ZETA) ** 2,
            "negative, a peak, where x is above the zero of the factor before it and "
            "S/F_r^2 > G(x) = x (x^3 + 3 zeta x + 2 zeta^2)/(x^2 + 2 zeta x - zeta)",
            _SLOPE,
        ),
        Step(
            sympy.Eq(X, _pole(), evaluate=False), "the zero: the pole of G", Root(pole, X, _pole())
        ),
        identity_step(ratio.subs(X, 1), 1 + 2 * ZETA, "G at x = 1, where alpha = 0", _FUNCTION(1)),
        identity_step(
            sympy.diff(ratio, X),
            2 * (X**2 + ZETA) * cubic / pole**2,
            "G falls where the cubic is negative",
            sympy.Derivative(_FUNCTION(X), X),
        ),
        *_cubic_steps(cubic),
        _at_roots(ratio, inner, cubic, X, "the minimum of G, modulo the cubic", _FUNCTION(X)),
        Step(
            sympy.Eq(sympy.Symbol("g"), result, evaluate=False),
            "the least G for x < 1; compared with exact counts of stationary points",
            ThresholdCertificate(result, sympy.numer(sympy.together(slope)), THRESHOLD_POINTS),
        ),
    ]
    name = "threshold of the peak"
    return Derivation(tuple(steps), Formula(name, (ZETA,), result, reference=REFERENCE))


def peak_threshold() -> Any:
    """The closed form of the threshold in zeta."""
    x = threshold_root()
    inner = 3 * ZETA * (ZETA + 3 * x - 2 * x**2) / (x + ZETA)
    return sympy.Piecewise((2 * ZETA + 1, ZETA >= 1), (inner, True))


def threshold_root() -> Any:
    """The place x of the minimum of G, for zeta < 1."""
    angle = sympy.acos(-sympy.sqrt(ZETA / (1 + ZETA))) / 3
    return -ZETA + 2 * sympy.sqrt(ZETA * (1 + ZETA)) * sympy.cos(angle)


def _cubic_steps(cubic: Any) -> list[Step]:
    """The cubic has one root above the pole of G, which is below 1 if and only if zeta < 1."""
    y, excess, v = sympy.symbols("y epsilon v", positive=True)
    shifted = y**3 - 3 * ZETA * (1 + ZETA) * y + 2 * ZETA**2 * (1 + ZETA)
    # All zeta > 0 are 1/(v (v + 2)), and then zeta (1 + zeta) is a square.
    zeta, pole = 1 / (v * (v + 2)), (1 + v) / (v * (v + 2))
    return [
        identity_step(cubic, shifted.subs(y, X + ZETA), "the cubic in y = x + zeta"),
        identity_step(
            (ZETA * (1 + ZETA)).subs(ZETA, zeta), pole**2, "zeta = 1/(v (v + 2)); y at the pole"
        ),
        positive_step(-shifted, "negative at the pole", {y: pole, ZETA: zeta}),
        positive_step(
            sympy.diff(shifted, y), "increasing above it", {y: pole + excess, ZETA: zeta}
        ),
        identity_step(cubic.subs(X, 1), (1 - ZETA) * (1 + ZETA), "at x = 1: positive for zeta < 1"),
        Step(
            sympy.Eq(X, threshold_root(), evaluate=False),
            "its root above the pole by cos(3u) = 4 cos(u)^3 - 3 cos(u); pi/6 < u < pi/3",
            CosineOfThird(cubic, X, threshold_root()),
        ),
    ]


def derive_optimal_ridge() -> Derivation:
    """The effective ridge with the least test error, the same for every alpha."""
    ridge = X * (ALPHA - 1 + X) / (1 - X)
    equation = EQUATION.subs(TAU, X / (1 - X))
    curve = ALPHA * (OWN * X**2 + S) / (ALPHA - (1 - X) ** 2)
    mass, higher, delta = sympy.symbols("mu_r^2 mu_>r^2 delta", positive=True)
    best = S / OWN
    steps = [
        *curve_steps(),
        Step(
            sympy.Eq(ZETA, ridge, evaluate=False),
            "zeta at fixed alpha",
            Root(equation, ZETA, ridge),
        ),
        identity_step(
            sympy.diff(ridge, X),
            (ALPHA - (1 - X) ** 2) / (1 - X) ** 2,
            "zeta grows with x, since 1 + tau = 1/(1 - x) > 1/sqrt(alpha)",
            _GROWTH,
        ),
        identity_step(LABEL_ERROR.subs(ZETA, ridge), curve, "the curve at fixed alpha", _CURVE),
        identity_step(
            sympy.diff(curve, X),
            2 * ALPHA * OWN * (1 - X) * (ridge - best) / (ALPHA - (1 - X) ** 2) ** 2,
            "its slope has the sign of zeta - S/F_r^2: one minimum",
            _SLOPE,
        ),
        identity_step(
            best.subs(S, LABEL_POWER), LABEL_POWER / OWN, "the minimum", sympy.Symbol("zeta_opt")
        ),
        identity_step(
            curve.subs(S, OWN * ridge), OWN * ALPHA * X / (1 - X), "there: F_r^2 alpha tau", _CURVE
        ),
        Step(
            sympy.Eq(delta, best * mass - higher, evaluate=False),
            "the absolute ridge; negative if S/F_r^2 < mu_>r^2/mu_r^2",
            Root((delta + higher) / mass - best, delta, best * mass - higher),
        ),
    ]
    name, args = "optimal effective ridge", (OWN, LOST, NOISE)
    return Derivation(tuple(steps), Formula(name, args, LABEL_POWER / OWN, reference=REFERENCE))


def derive_plateaus() -> Derivation:
    """The test error far above and far below alpha = 1, where curves of different orders join."""
    plateau = LOST + LABEL_POWER / ALPHA
    steps = [
        *curve_steps(),
        limit_step(X * SAMPLES, X, 0, ZETA, "alpha is about zeta/x: infinite for x -> 0"),
        limit_step(LABEL_ERROR, X, 0, S, "T + sigma^2 for many samples: T = F_>r^2"),
        limit_step(SAMPLES * (LABEL_ERROR - S), X, 0, S, "alpha (T - F_>r^2)"),
        limit_step(SAMPLES.subs(X, 1 - _SMALL), _SMALL, 0, 0, "alpha vanishes for x -> 1"),
        limit_step(
            LABEL_ERROR.subs(X, 1 - _SMALL), _SMALL, 0, OWN + S,
            "T + sigma^2 for few samples: T = F_r^2 + F_>r^2, the plateau of the order below",
        ),
        identity_step(
            LABEL_POWER * (1 + 1 / ALPHA) - NOISE, plateau,
            "T for many samples, up to O(alpha^-2)", sympy.Symbol("T"),
        ),
    ]  # fmt: skip
    name, args = "approach to the plateau", (ALPHA, LOST, NOISE)
    return Derivation(tuple(steps), Formula(name, args, plateau, reference=REFERENCE))


def _pole() -> Any:
    return -ZETA + sympy.sqrt(ZETA * (1 + ZETA))


def _at_roots(left: Any, right: Any, polynomial: Any, symbol: Any, reason: str, name: Any) -> Step:
    evidence = EqualAtRoots(left, right, polynomial, symbol)
    return Step(sympy.Eq(name, right, evaluate=False), reason, evidence)


@dataclass(frozen=True)
class CosineOfThird(Evidence):
    """A closed form with the cosine of a third of an angle solves a cubic equation.

    Attributes:
        cubic: the polynomial.
        symbol: its unknown.
        value: the closed form, with one cosine.
    """

    cubic: Any
    symbol: sympy.Symbol
    value: Any

    def verify(self, digits: int) -> str:
        """Prove it: with c = cos(u), 4 c^3 - 3 c is cos(3u), which has no third of an angle."""
        (cosine,) = self.value.atoms(sympy.cos)
        c = sympy.Dummy("c")
        inserted = sympy.expand(self.cubic.subs(self.symbol, self.value.subs(cosine, c)))
        triple = 4 * c**3 - 3 * c - sympy.cos(3 * cosine.args[0])
        remainder: Any = sympy.rem(inserted, triple, c)
        if not is_zero(remainder):
            raise DerivationError(f"{self.value} is not proved to be a root of {self.cubic}")
        return "proved"

    def about(self) -> tuple[Any, ...]:
        """The closed form."""
        return (self.value,)


@dataclass(frozen=True)
class ThresholdCertificate(Evidence):
    """Just above a threshold the slope of the curve vanishes for some x in (0, 1), below nowhere.

    Attributes:
        threshold: the claim, in zeta.
        slope: the numerator of the slope, a polynomial in x, zeta, S and F_r^2.
        points: of zeta, rational.
    """

    threshold: Any
    slope: Any
    points: tuple[Any, ...]

    def verify(self, digits: int) -> str:
        """Count the roots exactly, by Sturm's theorem, at rational numbers around the claim."""
        margin = sympy.Rational(1, 10**digits)
        for zeta in self.points:
            value: Any = self.threshold.subs(ZETA, zeta)
            with ctx.workdps(digits + 15):
                ball = lower.to_ball(value)
                claim = sympy.Rational(ball.mid().str(digits + 8, radius=False))
            for ratio, peak in ((claim * (1 - margin), False), (claim * (1 + margin), True)):
                polynomial: Any = self.slope.subs({ZETA: zeta, S: ratio, OWN: 1})
                # x = 1 is no place of the curve; S/F_r^2 is not the root there but for zeta >= 1.
                if bool(sympy.Poly(polynomial, X).count_roots(0, 1)) != peak:
                    where = "above" if peak else "below"
                    raise DerivationError(
                        f"at zeta = {zeta}, {where} the threshold {sympy.N(claim, 8)}, the curve "
                        f"has {'no' if peak else 'a'} stationary point"
                    )
        return f"certified to {digits} digits"

    def about(self) -> tuple[Any, ...]:
        """The threshold."""
        return (self.threshold,)
