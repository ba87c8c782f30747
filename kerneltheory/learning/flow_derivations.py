r"""The derivation of gradient flow as a mixture of ridges: its contour, its beginning, its end.

The Gram matrix K of the samples has the residual :math:`e^{-tK} y` after the time t. All that is
said of its eigenvalues x is said of each of them, and averages over them are equivalents.
"""

from dataclasses import dataclass
from typing import Any

import sympy
from flint import acb, arb, ctx

from kerneltheory.core import lower
from kerneltheory.core.derivation import Derivation, Evidence, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.evidence import Root, identity_step, limit_step
from kerneltheory.core.formula import Formula

REFERENCE = "Cauchy's formula; the equivalent of arXiv:2006.13198"

TIME, X, Z, SAMPLES = sympy.symbols("t x z n", positive=True)
# Of the level: eigenvalue and multiplicity; of what else the kernel holds, h(1) less N lambda.
VALUE, COUNT, REST = sympy.symbols("lambda N rest", positive=True)
# |f|^2, sum lambda F^2, sum lambda^2 F^2, h(1), sum N lambda^2 and sigma^2.
POWER, FIRST, SECOND = sympy.symbols("P S_1 S_2", positive=True)
TRACE, SQUARES, NOISE = sympy.symbols("h sum_N_lambda^2 sigma^2", positive=True)
# (t, n, N) at which the contour is compared with the law of the eigenvalues: fewer samples than
# modes, and more.
FLOW_POINTS = tuple(
    tuple(map(sympy.Rational, point)) for point in (("1/40", 5, 20), ("1/10", 30, 12))
)

_U, _KAPPA = sympy.symbols("u kappa", positive=True)
_P, _Q, _T = sympy.symbols("p_k q_k T")


def derive_gradient_flow() -> Derivation:
    """The test error of early training, to second order in time, from the contour."""
    early = early_test_error()
    best = FIRST / (TRACE * FIRST + 2 * SAMPLES * SECOND + (POWER + NOISE) * SQUARES)
    steps = (
        *_contour_steps(),
        *_beginning_steps(),
        identity_step(
            POWER - 2 * SAMPLES * TIME * FIRST
            + SAMPLES * TIME**2 * (SAMPLES * SECOND + TRACE * FIRST)
            + (SAMPLES * TIME) ** 2 * SECOND
            + (SAMPLES * TIME) ** 2 * SQUARES / SAMPLES * (POWER + NOISE),
            early,
            "sum (1 - p)^2 F^2, and the first of the variance, sum N p^2/n times P + sigma^2",
            _T,
        ),
        Step(
            sympy.Eq(TIME, best, evaluate=False), "the least of it",
            Root(sympy.diff(early, TIME), TIME, best),
        ),
        *_end_steps(),
    )  # fmt: skip
    args = TIME, SAMPLES, POWER, FIRST, SECOND, TRACE, SQUARES, NOISE
    name = "test error of early gradient flow"
    return Derivation(steps, Formula(name, args, early, reference=REFERENCE))


def early_test_error() -> Any:
    r"""To second order in t."""
    change = 2 * SAMPLES * SECOND + TRACE * FIRST + (POWER + NOISE) * SQUARES
    return POWER - 2 * TIME * SAMPLES * FIRST + TIME**2 * SAMPLES * change


def _contour_steps() -> list[Step]:
    decay = sympy.exp(-TIME * X)
    integrand = sympy.exp(-TIME * Z) / (Z * (X - Z))
    at_zero, at_value = sympy.Function("Res")(0), sympy.Function("Res")(X)
    return [
        identity_step(
            sympy.diff(decay, TIME), -X * decay,
            "residual along an eigenvector of K: dr/dt = -x r, r = exp(-tx)",
            sympy.Derivative(sympy.Function("r")(TIME), TIME),
        ),
        identity_step(
            sympy.cancel(Z * integrand).subs(Z, 0), 1 / X,
            "residue at 0 of exp(-tz)/(z (x - z))", at_zero,
        ),
        identity_step(
            sympy.cancel((Z - X) * integrand).subs(Z, X), -decay / X, "and at x", at_value
        ),
        identity_step(
            1 / X - decay / X, (1 - decay) / X,
            "Cauchy: around 0 and all x the contour gives what is learned, (1 - exp(-tx))/x",
            at_zero + at_value,
        ),
        Step(
            sympy.Eq(
                _P,
                sympy.Integral(sympy.exp(-TIME * Z) / Z * sympy.Function("q_k")(Z), Z)
                / (2 * sympy.pi * sympy.I),
                evaluate=False,
            ),
            "definition: (K - z)^-1 has the equivalent of the ridge -z, q_k at its kappa",
        ),
    ]  # fmt: skip


def _beginning_steps() -> list[Step]:
    """The first two moments, in u = 1/kappa, which vanishes at an infinite ridge."""
    counted = COUNT * VALUE * _U / (1 + VALUE * _U)
    ridge = (SAMPLES - counted - REST * _U) / _U
    learned = VALUE * _U / (1 + VALUE * _U)
    first = SAMPLES * VALUE
    trace = COUNT * VALUE + REST
    second = first * (first + trace)
    moment = sympy.Symbol("m", positive=True)
    decay = 1 - TIME * Z + (TIME * Z) ** 2 / 2
    series = sympy.expand(decay / Z * (-first / Z - moment / Z**2))
    early = first * TIME - moment * TIME**2 / 2
    return [
        Step(
            sympy.Eq(sympy.Symbol("delta"), ridge, evaluate=False),
            "definition of kappa = 1/u: n = N q + (rest + delta)/kappa",
        ),
        limit_step(ridge * learned, _U, 0, first, "delta q for a large ridge"),
        limit_step(
            ridge * (ridge * learned - first), _U, 0, -second, "and its next order"
        ),
        identity_step(
            series.coeff(Z, -1), early,
            "so at delta = -z the residue of exp(-tz)/z q, q = -n lambda/z - m/z^2 + O(z^-3)", _P,
        ),
        identity_step(
            early.subs(moment, second), first * TIME - TIME**2 * first * (first + trace) / 2,
            "m = n lambda (n lambda + h(1)): what is learned up to O(t^3)", _P,
        ),
    ]  # fmt: skip


def _end_steps() -> list[Step]:
    """One level with n < N, and the certificate of the contour at finite times."""
    kappa = (COUNT - SAMPLES) / SAMPLES
    equation = SAMPLES - COUNT / (1 + _KAPPA)
    return [
        Step(
            sympy.Eq(_KAPPA, kappa, evaluate=False),
            "one level of lambda = 1 without ridge, n < N",
            Root(equation, _KAPPA, kappa),
        ),
        identity_step(
            1 / (1 + kappa), SAMPLES / COUNT,
            "the residue at 0 alone, which is left for t -> infinity: regression without ridge", _P,
        ),
        Step(
            sympy.Eq(_P, (1 - sympy.exp(-TIME * X)) / COUNT, evaluate=False),
            "the contour integral, compared in balls with the mean of 1 - exp(-tx) over the law "
            "of Marchenko and Pastur, summed over eigenvalues x",
            ContourCertificate(FLOW_POINTS),
        ),
    ]  # fmt: skip


@dataclass(frozen=True)
class ContourCertificate(Evidence):
    r"""Of one level the contour integral is that over the eigenvalues of the Gram matrix.

    With lambda = 1, N modes and n samples these have the density
    :math:`\sqrt{(x_+ - x)(x - x_-)}/(2 \pi x)`, :math:`x_\pm = (\sqrt n \pm \sqrt N)^2`.

    Attributes:
        points: of (t, n, N), rational.
    """

    points: tuple[tuple[Any, ...], ...]

    def verify(self, digits: int) -> str:
        """Integrate both in balls, around the circle and between the edges."""
        for point in self.points:
            with ctx.workdps(digits + 15):
                time, samples, modes = map(lower.to_ball, point)
                contour = _on_circle(time, samples, modes)
                law = _over_law(time, samples, modes)
                if not abs(contour - law) < arb(10) ** -digits:
                    raise DerivationError(
                        f"at (t, n, N) = {point} the contour integral is {contour.str(12)}, and "
                        f"the mean over the law of the eigenvalues {law.str(12)}"
                    )
        return f"certified to {digits} digits"


def _on_circle(time: arb, samples: arb, modes: arb) -> arb:
    """The contour integral of exp(-tz)/z q(z) on a circle around 0 and the law."""
    center, reach = samples + modes, 2 * (samples * modes).sqrt()
    radius = center + 1 / time

    def integrand(angle: acb, _: Any) -> acb:
        step = radius * (angle * acb(0, 1)).exp()
        z = center + step
        # Of the equation n kappa^2 + (n - N + z) kappa + z = 0 the root that grows with -z; the
        # cut of this square root lies between the edges.
        root = -step * (1 - (reach / step) ** 2).sqrt()
        kappa = (modes - samples - z + root) / (2 * samples)
        return (-time * z).exp() / z / (1 + kappa) * step

    half = acb.integral(integrand, 0, acb(arb.pi()))
    return half.real / arb.pi()  # the other half is its conjugate


def _over_law(time: arb, samples: arb, modes: arb) -> arb:
    """The integral of 1 - exp(-tx) over the density, over N."""
    center, reach = samples + modes, 2 * (samples * modes).sqrt()

    def integrand(angle: acb, _: Any) -> acb:
        x = center + reach * angle.cos()
        return (reach * angle.sin()) ** 2 / x * (1 - (-time * x).exp())

    return acb.integral(integrand, 0, acb(arb.pi())).real / (2 * arb.pi() * modes)


DERIVATIONS = (derive_gradient_flow,)
