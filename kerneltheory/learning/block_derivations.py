"""The degree-r block of the limit: its spectral law, negative ridge, counting, missing degrees."""

from dataclasses import dataclass
from typing import Any

import sympy
from flint import acb, arb, ctx

from kerneltheory.activations.catalogue import relu
from kerneltheory.activations.duals import covariance_dual
from kerneltheory.activations.gaussian import K12, Q1, Q2
from kerneltheory.core import lower
from kerneltheory.core.derivation import Derivation, Evidence, Identity, Step
from kerneltheory.core.errors import DerivationError
from kerneltheory.core.evidence import Root, identity_step, limit_step
from kerneltheory.core.formula import Formula
from kerneltheory.kernels.base import T
from kerneltheory.kernels.kernel import ntk
from kerneltheory.learning.limit_derivation import (
    ALPHA,
    DISCRIMINANT,
    EQUATION,
    REFERENCE,
    SHIFT,
    TAU,
    ZETA,
)

MARCHENKO_PASTUR = "Marchenko and Pastur, Math. USSR Sb. 1 (1967); arXiv:2205.14846"
# The eigenvalue variable of the law, its Stieltjes transform and the root of alpha.
EIGENVALUE, STIELTJES = sympy.symbols("x s", positive=True)
ROOT = sympy.Symbol("a", positive=True)
# The fraction of degree r that is not learned.
UNLEARNED = sympy.Symbol("u", positive=True)
# (alpha, zeta) at which the law is integrated; at alpha = 1 the density is infinite at one end.
LAW_POINTS = tuple(
    (sympy.Rational(a), sympy.Rational(z)) for a in ("1/3", "4/5", "5/2") for z in ("1/4", "3")
)

_LOWER_EDGE, _UPPER_EDGE = (1 - sympy.sqrt(ALPHA)) ** 2, (1 + sympy.sqrt(ALPHA)) ** 2
_RIDGE = UNLEARNED * (ALPHA - 1 + UNLEARNED) / (1 - UNLEARNED)


def derive_marchenko_pastur() -> Derivation:
    r"""The density of the eigenvalues of $Y Y^T/N_r$, the Gram matrix of degree r over mu_r^2."""
    fixed_point = 1 - STIELTJES * (ZETA + 1 / (1 + ALPHA * STIELTJES))
    quadratic = ALPHA * ZETA * STIELTJES**2 + (1 - ALPHA + ZETA) * STIELTJES - 1
    p, q = sympy.symbols("p q", positive=True)
    # Of the quadratic at s = p + i q.
    imaginary = (1 - ALPHA - EIGENVALUE) - 2 * ALPHA * EIGENVALUE * p
    real = -ALPHA * EIGENVALUE * (p**2 - q**2) + (1 - ALPHA - EIGENVALUE) * p - 1
    middle = (1 - ALPHA - EIGENVALUE) / (2 * ALPHA * EIGENVALUE)
    discriminant = (1 - ALPHA - EIGENVALUE) ** 2 - 4 * ALPHA * EIGENVALUE
    density = marchenko_pastur_law()
    parts = sympy.expand(
        quadratic.subs({ZETA: -EIGENVALUE, STIELTJES: p + sympy.I * q})
    ).as_real_imag()
    atom = (ALPHA - 1 + UNLEARNED) / ALPHA
    steps = (
        Step(
            sympy.Eq(STIELTJES, 1 / (ALPHA * TAU), evaluate=False),
            "definition: tr (K_r + zeta mu_r^2)^-1 = 1/kappa, per sample and times mu_r^2",
        ),
        identity_step(
            EQUATION.subs(TAU, 1 / (ALPHA * STIELTJES)) / ALPHA,
            fixed_point,
            "alpha = 1/(1 + tau) + zeta/tau, so that s = 1/(zeta + 1/(1 + alpha s))",
            sympy.S.Zero,
        ),
        identity_step(-(1 + ALPHA * STIELTJES) * fixed_point, quadratic, "the same", sympy.S.Zero),
        identity_step(
            discriminant.subs(ALPHA, ROOT**2),
            (EIGENVALUE - (1 - ROOT) ** 2) * (EIGENVALUE - (1 + ROOT) ** 2),
            "discriminant at zeta = -x, a = sqrt(alpha): negative between the edges (1 -+ a)^2",
        ),
        identity_step(parts[0], real, "real part of the quadratic at zeta = -x, s = p + i q"),
        identity_step(parts[1], q * imaginary, "its imaginary part"),
        Step(
            sympy.Eq(p, middle, evaluate=False),
            "both vanish; the imaginary one",
            Root(imaginary, p, middle),
        ),
        Step(
            sympy.Eq(q, sympy.pi * density, evaluate=False),
            "and the real one",
            Root(real.subs(p, middle), q, sympy.pi * density),
        ),
        identity_step(
            _RIDGE * (1 - UNLEARNED) / (ALPHA * UNLEARNED),
            atom,
            "zeta s, with zeta and tau in u = tau/(1 + tau)",
        ),
        limit_step(atom, UNLEARNED, 0, 1 - 1 / ALPHA, "mass at 0 for alpha > 1 (zeta -> 0)"),
        identity_step(
            atom.subs(UNLEARNED, 1 - ALPHA), sympy.S.Zero, "and for alpha < 1, where u -> 1 - alpha"
        ),
        Step(
            sympy.Eq(sympy.Function("rho")(EIGENVALUE), density, evaluate=False),
            "formula of Stieltjes and Perron: rho = Im s/pi; its transform integrated in balls",
            StieltjesCertificate(density, LAW_POINTS),
        ),
    )
    domain = sympy.And(EIGENVALUE >= _LOWER_EDGE, EIGENVALUE <= _UPPER_EDGE)
    name, args = "density of Marchenko and Pastur", (EIGENVALUE, ALPHA)
    return Derivation(steps, Formula(name, args, density, domain, MARCHENKO_PASTUR))


def marchenko_pastur_law() -> Any:
    """The density between the edges, in x and alpha."""
    product = (EIGENVALUE - _LOWER_EDGE) * (_UPPER_EDGE - EIGENVALUE)
    return sympy.sqrt(product) / (2 * sympy.pi * ALPHA * EIGENVALUE)


@dataclass(frozen=True)
class StieltjesCertificate(Evidence):
    r"""A density with its mass at 0 has the Stieltjes transform 1/(alpha tau), by integration.

    Attributes:
        density: the claim, in x and alpha.
        points: pairs (alpha, zeta), rational.
    """

    density: Any
    points: tuple[tuple[Any, Any], ...]

    def verify(self, digits: int) -> str:
        """Integrate over phi with x = 1 + alpha + 2 sqrt(alpha) cos(phi), between the edges."""
        phi = sympy.Symbol("phi", real=True)
        place = 1 + ALPHA + 2 * sympy.sqrt(ALPHA) * sympy.cos(phi)
        measure = 2 * sympy.sqrt(ALPHA) * sympy.sin(phi)
        # The root of the density is that of the measure: squared, it is seen to be analytic.
        weight = self.density / sympy.sqrt((EIGENVALUE - _LOWER_EDGE) * (_UPPER_EDGE - EIGENVALUE))
        integrand = weight.subs(EIGENVALUE, place) * measure**2 / (place + ZETA)
        squared = (self.density / weight) ** 2
        Identity(
            squared.subs(EIGENVALUE, place), 4 * ALPHA * (1 - sympy.cos(phi) ** 2)
        ).verify(digits)  # fmt: skip
        for alpha, zeta in self.points:
            self._compare(integrand.subs({ALPHA: alpha, ZETA: zeta}), phi, (alpha, zeta), digits)
        return f"certified to {digits} digits"

    def about(self) -> tuple[Any, ...]:
        """The density."""
        return (self.density,)

    @staticmethod
    def _compare(integrand: Any, phi: Any, point: tuple[Any, Any], digits: int) -> None:
        function = lower.to_balls((phi,), integrand)
        with ctx.workdps(digits + 10):
            found = acb.integral(lambda z, _: function(z), 0, acb(arb.pi())).real
            alpha, zeta = map(lower.to_ball, point)
            found += (1 - 1 / alpha).max(arb(0)) / zeta
            expected = 1 / (alpha * lower.to_balls((ALPHA, ZETA), SHIFT)(alpha, zeta))
            if not abs(found - expected) < arb(10) ** -digits:
                raise DerivationError(
                    f"at (alpha, zeta) = {point} the density has the Stieltjes transform "
                    f"{found.str(10)}, and 1/(alpha tau) is {expected.str(10)}"
                )


def derive_negative_ridge() -> Derivation:
    """The most negative effective ridge, minus the lower edge of the spectrum of the block."""
    alpha = ROOT**2
    edges = (ZETA + (1 - ROOT) ** 2) * (ZETA + (1 + ROOT) ** 2)
    equation = EQUATION.subs(TAU, UNLEARNED / (1 - UNLEARNED))
    at_edge = {ALPHA: alpha, UNLEARNED: 1 - ROOT}
    least = -((1 - sympy.sqrt(ALPHA)) ** 2)
    steps = (
        identity_step(
            DISCRIMINANT.subs(ALPHA, alpha), edges,
            "discriminant of the equation for tau, a = sqrt(alpha): not negative from the edge on",
        ),
        Step(
            sympy.Eq(ZETA, _RIDGE, evaluate=False), "zeta in u = tau/(1 + tau)",
            Root(equation, ZETA, _RIDGE),
        ),
        identity_step(
            sympy.diff(_RIDGE, UNLEARNED), (ALPHA - (1 - UNLEARNED) ** 2) / (1 - UNLEARNED) ** 2,
            "grows with u where 1 + tau = 1/(1 - u) > 1/sqrt(alpha)",
            sympy.Derivative(sympy.Function("zeta")(UNLEARNED), UNLEARNED),
        ),
        identity_step(
            (1 - (1 - UNLEARNED) ** 2 / ALPHA).subs(at_edge), sympy.S.Zero,
            "1/E_0 at 1 + tau = 1/sqrt(alpha): the test error diverges",
        ),
        identity_step(
            _RIDGE.subs(at_edge).subs(ROOT, sympy.sqrt(ALPHA)), least,
            "zeta there; for alpha > 1 tau would be negative, and the least zeta is 0, where the "
            "Gram matrix of degree r has the eigenvalue 0",
            sympy.Symbol("zeta_min"),
        ),
    )  # fmt: skip
    name = "most negative effective ridge"
    return Derivation(steps, Formula(name, (ALPHA,), least, ALPHA <= 1, REFERENCE))


def derive_finite_counting() -> Derivation:
    """E_0 with the samples that learn lower degrees counted, not neglected."""
    lower_count, own_count = sympy.symbols("N_<r N_r", positive=True)
    samples = lower_count + own_count / (1 + TAU) + own_count * ZETA / TAU
    counted = (lower_count + own_count / (1 + TAU) ** 2) / sympy.Symbol("n")
    ratio = sympy.Symbol("nu", positive=True)
    root = sympy.sqrt(DISCRIMINANT)
    factor = (1 / (1 - counted)).subs(sympy.Symbol("n"), lower_count + ALPHA * own_count)
    result = 1 + (ratio * (1 + SHIFT) + 1 / (1 + SHIFT)) / root
    steps = (
        Step(
            sympy.Eq(sympy.Symbol("n"), samples, evaluate=False),
            "definition: q_k = 1 and all N_k counted for k < r",
        ),
        identity_step(
            (samples - lower_count) / own_count, 1 / (1 + TAU) + ZETA / TAU,
            "so the equation for tau holds with alpha = (n - N_<r)/N_r",
        ),
        identity_step(
            factor.subs(TAU, SHIFT).subs(lower_count, ratio * own_count), result,
            "E_0 = n/(n - N_<r - N_r/(1 + tau)^2), with nu = N_<r/N_r", sympy.Symbol("E_0"),
        ),
    )  # fmt: skip
    name = "overfitting with lower degrees counted"
    return Derivation(steps, Formula(name, (ALPHA, ZETA, ratio), result, reference=REFERENCE))


def derive_missing_peaks() -> Derivation:
    """The odd part of the relu NTK without bias: linear, so that no odd degree above 1 is there."""
    w, h = sympy.Symbol("w", positive=True), sympy.Function("h")
    at = {Q1: w, Q2: w, K12: w * T}
    duals: list[Any] = [covariance_dual(relu, order) for order in (0, 1)]
    parts = [found.rhs.subs(at, simultaneous=True) for found in duals]
    kernel = _sines(w * parts[0] + w * parts[1] * w * T)
    two = sympy.Integer(2)
    stated = _sines(ntk(relu, 1, weight_variance=2).formula.rhs)
    odd = (kernel - kernel.subs(T, -T)) / 2
    result = w**2 * T / 2
    steps = (
        Step(sympy.Eq(h(T), kernel, evaluate=False), "definition: w T + w T' w t with T of relu"),
        identity_step(kernel.subs(w, two), stated, "the NTK at weight_variance 2"),
        identity_step(odd, result, "odd part (h(t) - h(-t))/2", (h(T) - h(-T)) / 2),
        identity_step(
            sympy.diff(result, T, 3), sympy.S.Zero,
            "so mu_r^2 = h^(r)(0)/r! = 0 for all odd r >= 3: F_r^2 stays in F_>r^2",
        ),
    )  # fmt: skip
    name = "odd part of the relu NTK"
    return Derivation(steps, Formula(name, (T, w), result, sympy.Abs(T) <= 1, REFERENCE))


def _sines(expression: Any) -> Any:
    """With asin for acos: of the two, sympy knows the one to be odd."""
    return sympy.expand(
        sympy.simplify(expression).replace(sympy.acos, lambda u: sympy.pi / 2 - sympy.asin(u))
    )
