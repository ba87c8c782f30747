r"""Derivations of the critical exponents of the class of :math:`K^* = 0`.

Expansions at 0 are polynomials, whose coefficients computer algebra compares; laws in the number
of layers l follow from limits of rational functions, by the theorem of Stolz and Cesaro.
"""

from typing import Any

import sympy

from kerneltheory.activations.gaussian import double_factorial
from kerneltheory.activations.pieces import X
from kerneltheory.core.derivation import Derivation, Step
from kerneltheory.core.evidence import Root, identity_step, limit_step
from kerneltheory.core.formula import Formula

REFERENCE = "arXiv:2106.10165"
K, W, LAYER = sympy.symbols("K w l", positive=True)
S1 = sympy.Symbol("s_1", positive=True)
S2, S3 = sympy.symbols("s_2 s_3", real=True)
# Minus a_1 and minus b_1.
FALL, ACROSS = sympy.symbols("alpha beta", positive=True)
_CHI, _CHI_PERP, _THETA = sympy.symbols("chi_par chi_perp Theta", positive=True)
_SHARE_V, _SHARE_G = sympy.symbols("v g", real=True)
_PHI: Any = sympy.Function("phi")(X)
_E: Any = sympy.Function("E")


def stated(left: Any, right: Any, reason: str) -> Step:
    """The step of a definition."""
    return Step(sympy.Eq(left, right, evaluate=False), reason)


def derive_exponents() -> Derivation:
    r"""The class of :math:`K^* = 0` for a phi smooth at 0: its critical exponents."""
    phi = S1 * X + S2 * X**2 / 2 + S3 * X**3 / 6
    drift, across = S3 / S1 + sympy.Rational(3, 4) * (S2 / S1) ** 2, S3 / S1 + (S2 / S1) ** 2
    a, b = sympy.symbols("a_1 b_1", real=True)
    steps = (
        stated(_PHI, phi, "definition: the first terms at 0, with s_i = phi^(i)(0)"),
        stated(W, 1 / S1**2, "definition: the weight variance; b = 0"),
        identity_step(
            _to_order(phi**2 / S1**2, 2),
            K + drift * K**2,
            "Gaussian moments; the next terms are of order K^3",
            sympy.Symbol("K'"),
        ),
        identity_step(
            _to_order(sympy.diff(phi, X) ** 2 / S1**2, 1),
            1 + across * K,
            "the same for w E[phi'^2], up to K^2",
            _CHI_PERP,
        ),
        identity_step(drift - across, -((S2 / S1) ** 2) / 4, "so a_1 <= b_1", a - b),
        *_decays(),
        *_tangent(),
        *_vertex(),
    )
    result = across / drift
    formula = Formula("p_perp", (S1, S2, S3), result, sympy.Lt(drift, 0), REFERENCE)
    return Derivation(steps, formula)


def _to_order(polynomial: Any, order: int) -> Any:
    """The mean of a polynomial of z up to a power of K."""
    terms = sympy.Poly(sympy.expand(polynomial), X).terms()
    return sum(
        c * double_factorial(power) * K ** sympy.Rational(power, 2)
        for (power,), c in terms
        if power <= 2 * order
    )


def _decays() -> list[Step]:
    """K and the perturbations after l layers, with a_1 = -alpha and b_1 = -beta."""
    following, at = K - FALL * K**2, 1 / (FALL * LAYER)
    return [
        limit_step(
            1 / following - 1 / K, K, 0, FALL,
            "a_1 = -alpha < 0: K falls, and 1/K grows by alpha a layer, so that K ~ 1/(alpha l)",
        ),
        identity_step(
            sympy.diff(following, K).subs(K, at), 1 - 2 / LAYER,
            "dK'/dK there: a product over layers that falls as l^-2, p_par = 2", _CHI,
        ),
        identity_step(
            1 - ACROSS * at, 1 - ACROSS / FALL / LAYER,
            "with b_1 = -beta: a product that falls as l^-p_perp, p_perp = b_1/a_1", _CHI_PERP,
        ),
    ]  # fmt: skip


def _tangent() -> list[Step]:
    change = K + (1 - ACROSS * K) * _THETA - _THETA
    return [
        Step(
            sympy.Eq(_THETA, 1 / ACROSS, evaluate=False),
            "Theta' = K + chi_perp Theta to leading order; in units of K, Theta' - Theta vanishes "
            "at -1/b_1, and the sum of K diverges, so that it is reached",
            Root(sympy.cancel(change / K), _THETA, 1 / ACROSS),
        ),
    ]


def _vertex() -> list[Step]:
    """V ~ v l K^2 and G ~ g l K, from their recursions at K = 1/(alpha l)."""
    at = 1 / (FALL * LAYER)
    shift, vertex = _SHARE_G / FALL, _share(at)
    return [
        identity_step(
            _to_order(X**4, 2) - _to_order(X**2, 1) ** 2, 2 * K**2,
            "to leading order", W**2 * (_E(_PHI**4) - _E(_PHI**2) ** 2),
        ),
        *_vertex_share(1 - 2 / LAYER, at),
        limit_step(
            FALL * LAYER * (-2 / LAYER * shift - FALL * vertex), LAYER, sympy.oo,
            -2 * _SHARE_G - _SHARE_V,
            "G = g/alpha = g l K is constant where this, l alpha (chi_par G - alpha V - G), is 0",
        ),
        Step(
            sympy.Eq(_SHARE_G, -sympy.Rational(1, 3), evaluate=False),
            "G/(l K) -> -1/3",
            Root(-2 * _SHARE_G - sympy.Rational(2, 3), _SHARE_G, -sympy.Rational(1, 3)),
        ),
    ]  # fmt: skip


def _share(at: Any) -> Any:
    """V as v l K^2, K a power of l."""
    return _SHARE_V * LAYER * at**2


def _vertex_share(chi_par: Any, at: Any) -> list[Step]:
    """The v of V = v l K^2 from V' = chi_par^2 V + 2 K^2."""
    vertex = _share(at)
    change = chi_par**2 * vertex + 2 * at**2 - vertex.subs(LAYER, LAYER + 1)
    return [
        limit_step(
            sympy.cancel(change / at**2), LAYER, sympy.oo, 2 - 3 * _SHARE_V,
            "V = v l K^2 solves the recursion where this, (chi_par^2 V + 2 K^2 - V')/K^2, is 0",
        ),
        Step(
            sympy.Eq(_SHARE_V, sympy.Rational(2, 3), evaluate=False),
            "V/(l K^2) -> 2/3", Root(2 - 3 * _SHARE_V, _SHARE_V, sympy.Rational(2, 3)),
        ),
    ]  # fmt: skip


def derive_kinked_exponents() -> Derivation:
    r"""The class of :math:`K^* = 0` where :math:`\phi\phi''` jumps at 0, as that of softsign."""
    slopes, bends = sympy.symbols("s_minus s_plus", real=True), sympy.symbols("t_minus t_plus")
    square = (slopes[0] ** 2 + slopes[1] ** 2) / 2
    sides = [s * sign * X + t * X**2 / 2 for s, t, sign in zip(slopes, bends, (-1, 1), strict=True)]
    drift = sympy.sqrt(2 / sympy.pi) * (slopes[1] * bends[1] - slopes[0] * bends[0]) / square
    step, at = sympy.Symbol("epsilon", positive=True), 4 / (FALL * LAYER) ** 2
    theta = _SHARE_G / LAYER
    steps = (
        stated(
            _PHI, sympy.Symbol("s_pm") * X + sympy.Symbol("t_pm") * X**2 / 2,
            "definition: the first terms on each side of 0; w = 2/(s_minus^2 + s_plus^2), b = 0",
        ),
        identity_step(
            sum(_on_half(side**2, 3) for side in sides) / square,
            K + drift * K ** sympy.Rational(3, 2),
            "moments on half lines; the next terms are of order K^2", sympy.Symbol("K'"),
        ),
        identity_step(
            sum(_on_half(sympy.diff(side, X) ** 2, 1) for side in sides) / square,
            1 + drift * sympy.sqrt(K),
            "the same drift a, up to K", _CHI_PERP,
        ),
        limit_step(
            step / (1 - step) * FALL / (2 * step - step**2), step, 0, FALL / 2,
            "a = -alpha < 0; with sqrt(K') = (1 - epsilon) sqrt(K), alpha sqrt(K) = 2 epsilon - "
            "epsilon^2: 1/sqrt(K) grows by this a layer, so that K ~ 4/(alpha l)^2",
        ),
        identity_step(
            sympy.diff(K - FALL * K ** sympy.Rational(3, 2), K).subs(K, at), 1 - 3 / LAYER,
            "dK'/dK there: p_par = 3", _CHI,
        ),
        identity_step(
            1 - FALL * sympy.sqrt(at), 1 - 2 / LAYER, "so p_perp = 2", _CHI_PERP,
        ),
        limit_step(
            sympy.cancel(
                LAYER**2 * (at + (1 - 2 / LAYER) * theta - theta.subs(LAYER, LAYER + 1))
            ),
            LAYER, sympy.oo, 4 / FALL**2 - _SHARE_G,
            "Theta = g/l solves its recursion where this is 0: Theta ~ 4/(alpha^2 l)",
        ),
        *_vertex_share(1 - 3 / LAYER, at),
    )  # fmt: skip
    formula = Formula("drift at a kink", (*slopes, *bends), drift, sympy.true, REFERENCE)
    return Derivation(steps, formula)


def _on_half(polynomial: Any, most: int) -> Any:
    r"""The mean over z > 0 of a polynomial up to z^most: :math:`E[|u|^j] K^{j/2}/2`."""
    total = sympy.Integer(0)
    for (power,), c in sympy.Poly(sympy.expand(polynomial), X).terms():
        if power <= most:
            j = sympy.Integer(power)
            absolute = 2 ** (j / 2) * sympy.gamma((j + 1) / 2) / sympy.sqrt(sympy.pi)
            total += c * absolute * K ** (j / 2) / 2
    return total
