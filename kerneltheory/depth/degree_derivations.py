r"""The laws of `degree_laws`: bulk and spike of deep kernels on the sphere, in each phase.

Near c = 1 the correlation map is :math:`1 - F(1-g) = \chi_1 g - C g^{1+\sigma}`.
"""

from typing import Any

import sympy

from kerneltheory.core.derivation import Derivation, Step
from kerneltheory.core.evidence import Root, identity_step, limit_step
from kerneltheory.core.formula import Formula

REFERENCE = "arXiv:1912.13053; arXiv:2204.14126 for alpha = d - 1"

GAP, BEND, SIGMA, CHI, DIM = sympy.symbols("g C sigma chi_1 d", positive=True)
# Layers, counted from where the input sets them: x = l + Phi(t), Phi the Fatou coordinate.
LAYERS, KAPPA = sympy.symbols("x kappa", positive=True)
_ALPHA, _FORCE, _ROOT = sympy.symbols("alpha f h", positive=True)


def derive_critical_powers() -> Derivation:
    """The power of l of an eigenvalue of the NNGP at criticality, and the NTK's share in l q*."""
    gap = (SIGMA * BEND * LAYERS) ** (-1 / SIGMA)
    slope = sympy.powsimp(sympy.diff(gap, LAYERS) * LAYERS / gap)
    share = SIGMA / (1 + 2 * SIGMA)
    power = -1 - 1 / SIGMA
    step = 1 + (1 - (1 + SIGMA) / (SIGMA * LAYERS)) * KAPPA * LAYERS - KAPPA * (LAYERS + 1)
    steps = (
        limit_step(
            1 / (GAP - BEND * GAP**2) - 1 / GAP, GAP, 0, BEND,
            "smooth, sigma = 1: 1/g grows by C in a layer",
        ),
        limit_step(
            (1 / (_ROOT * (1 - BEND * _ROOT / 2)) - 1 / _ROOT), _ROOT, 0, BEND / 2,
            "kinked, sigma = 1/2, with h = sqrt(g): 1/h grows by C/2, since sqrt(1 - C h) = "
            "1 - C h/2 + O(h^2)",
        ),
        Step(
            sympy.Eq(GAP, gap, evaluate=False),
            "definition: both are g = (sigma C x)^(-1/sigma), x = l + Phi(t)",
        ),
        identity_step(slope, -1 / SIGMA, "d ln g/d ln x: a shift by Phi(t) moves g by Phi dg/dx"),
        identity_step(
            slope - 1, power, "so that what depends on t, the bulk of degrees k >= 1, is of power",
            sympy.Symbol("bulk"),
        ),
        identity_step(
            slope - (DIM - 1) / (2 * SIGMA), -(1 + (DIM - 1) / 2) / SIGMA,
            "the spike: of height g and of volume g^((d-1)/2), where g is its width",
            sympy.Symbol("spike"),
        ),
        identity_step(
            (power + (1 + (DIM - 1) / 2) / SIGMA).subs(DIM, 1 + 2 * SIGMA), 0,
            "both are equal at (d - 1)/2 = sigma: the sum over scales between holds ln l",
        ),
        Step(
            sympy.Eq(KAPPA, share, evaluate=False),
            "NTK: Theta' = K + F' Theta with F' = 1 - (1 + sigma) C g^sigma is solved by "
            "Theta = kappa q x, to leading order",
            Root(step, KAPPA, share),
        ),
    )  # fmt: skip
    args = (SIGMA,)
    name = "power of l of critical eigenvalues in the bulk"
    return Derivation(steps, Formula(name, args, power, reference=REFERENCE))


def derive_chaotic_rates() -> Derivation:
    """The rate of the spike, and where bulk and spike are equal: alpha = d - 1."""
    spike = CHI ** (-(DIM - 1) / 2)
    bulk, layer = CHI ** (-_ALPHA / 2), sympy.Symbol("l", positive=True)
    steps = (
        Step(
            sympy.Eq(sympy.Symbol("chi_c"), bulk, evaluate=False),
            "definition: alpha = -2 ln chi_c/ln chi_1",
        ),
        identity_step(
            CHI * CHI ** (-layer - 1), CHI**-layer,
            "a layer widens a gap next to 1 by chi_1: one of chi_1^-(l+1) takes a layer more to "
            "leave it, and the spike's width falls as chi_1^-l",
        ),
        identity_step(
            sympy.powsimp(bulk.subs(_ALPHA, DIM - 1) / spike), 1,
            "the spike's volume falls as width^((d-1)/2), as fast as the bulk at alpha = d - 1",
        ),
        identity_step(
            sympy.powsimp(CHI * spike), CHI ** (1 - (DIM - 1) / 2),
            "the spike of the NTK grows by chi_1 in height", sympy.Symbol("rate_NTK"),
        ),
    )  # fmt: skip
    name = "rate of the spike of chaotic NNGPs"
    return Derivation(steps, Formula(name, (CHI, DIM), spike, CHI > 1, REFERENCE))


def derive_ordered_growth() -> Derivation:
    """The NTK's l chi_1^l in the ordered phase, by resonance."""
    depth = sympy.Symbol("l", positive=True)
    solution = depth * _FORCE * CHI ** (depth - 1)
    following: Any = solution.subs(depth, depth + 1)
    steps = (
        Step(
            sympy.Eq(sympy.Symbol("delta'"), CHI * sympy.Symbol("delta") + _FORCE * CHI**depth),
            "definition: delta = p* - Theta is driven by q* - K and chi_1 - F', both of chi_1^l",
        ),
        identity_step(
            sympy.expand(sympy.powsimp(following - CHI * solution)), _FORCE * CHI**depth,
            "l f chi_1^(l-1) solves it", sympy.Symbol("delta'") - CHI * sympy.Symbol("delta"),
        ),
    )  # fmt: skip
    args = depth, CHI, _FORCE
    name = "distance of the ordered NTK from its limit"
    return Derivation(steps, Formula(name, args, solution, CHI < 1, REFERENCE))


def derive_kept_tail() -> Derivation:
    """The singular term of a composed map has the exponent of each."""
    slope, factor, power, term = sympy.symbols("m c nu S", positive=True)
    inner = slope * GAP - factor * term
    outer = slope * inner - factor * slope**power * term
    kept = factor * (slope + slope**power)
    steps = (
        Step(
            sympy.Eq(sympy.Symbol("1 - F"), inner, evaluate=False),
            "definition: m g - c S with S = g^nu, nu no integer, the leading singular term",
        ),
        identity_step(
            outer, slope**2 * GAP - kept * term,
            "of F(F), since (m g - c S)^nu = m^nu S + smaller terms", sympy.Symbol("1 - F(F)"),
        ),
    )  # fmt: skip
    args = slope, factor, power
    name = "coefficient of g^nu after two layers"
    return Derivation(steps, Formula(name, args, kept, reference=REFERENCE))


DERIVATIONS = (
    derive_critical_powers,
    derive_chaotic_rates,
    derive_ordered_growth,
    derive_kept_tail,
)
