r"""The spectra of deep kernels in every phase, as derivations: rates and constants in depth.

A kernel whose pixels have p on the diagonal and :math:`p_{ab} = p\,(1 - s)` elsewhere has two
eigenvalues. What s is follows from the recursion of a layer,

.. math:: q^* g' = q^* \int_0^\theta \chi \sin, \qquad p' = q^* + \chi_1 p, \qquad
    p_{ab}' = q^* (1 - g') + \chi p_{ab}

with chi taken at the gap g = 1 - c of two inputs. Averages over windows leave these unchanged to
leading order: they make all pairs of pixels but the coincident ones alike.
"""

from collections.abc import Callable

import sympy

from kerneltheory.core.derivation import Derivation, Step
from kerneltheory.core.evidence import Root, identity_step, limit_step
from kerneltheory.depth.critical_derivations import (
    derivation_of,
    derive_critical_gap_kinked,
    derive_critical_gap_smooth,
    derive_critical_ntk_kinked,
    derive_critical_ntk_smooth,
)
from kerneltheory.depth.depth_laws import (
    AMPLITUDE,
    C_STAR,
    CHI_1,
    CHI_12,
    CHI_C,
    CONDITION_NUMBER,
    CRITICAL_GAPS,
    DEPTH,
    DIAGONAL,
    KINK,
    LAMBDA_BULK,
    LAMBDA_MAX,
    LAWS,
    OFF_DIAGONAL,
    ORDERED_DIAGONAL,
    ORDERS,
    OTHER,
    PIXELS,
    POINTS,
    SAME,
    VARIANCE,
)

GAP = sympy.Symbol("g", positive=True)
_MAX, _BULK, _KAPPA = sympy.symbols("lambda_max lambda_bulk kappa", positive=True)
# chi_1^l and chi_1^(l/2), as numbers of their own; chi_1 = root^2.
_POWER, _ROOT = sympy.symbols("E r", positive=True)
_REST = sympy.Symbol("R", real=True)
_NNGP_CONDITION = {
    "smooth": POINTS * PIXELS * VARIANCE * CHI_12 * DEPTH / 2,
    "kinked": 2 * POINTS * PIXELS * KINK**2 * DEPTH**2 / 9,
}


def pixel_steps() -> list[Step]:
    """The spectrum of m points whose kernel is the mean over all pairs of d pixels."""
    diagonal = (PIXELS * SAME + PIXELS * (PIXELS - 1) * OTHER) / PIXELS**2
    return [
        identity_step(
            diagonal, OTHER + LAMBDA_BULK,
            "mean over d^2 pairs of pixels of one input, of which d coincide; p_ab of two inputs",
            sympy.Symbol("K_ii"),
        ),
        identity_step(
            diagonal + (POINTS - 1) * OTHER, LAMBDA_MAX,
            "rows sum to this: the eigenvector is constant", _MAX,
        ),
        identity_step(
            diagonal - OTHER, LAMBDA_BULK,
            "on differences e_i - e_j, which span all that is orthogonal to it", _BULK,
        ),
        identity_step(LAMBDA_MAX / LAMBDA_BULK, CONDITION_NUMBER, "their ratio", _KAPPA),
    ]  # fmt: skip


def derive_pixel_average() -> Derivation:
    """The condition number of a kernel averaged over pixels, from its two values."""
    args = (POINTS, PIXELS, SAME, OTHER)
    return derivation_of(pixel_steps(), "condition number of a deep kernel", args, CONDITION_NUMBER)


# --- critical ---------------------------------------------------------------------------------


def _critical_table(kernel: str, kind: str, gap: Callable[[], Derivation]) -> Derivation:
    """The entries of the table at criticality, to leading order in 1/l."""
    lacking = LAWS[kernel, "critical", kind].lacking
    same = DEPTH * VARIANCE if kernel == "ntk" else VARIANCE
    at = {SAME: same, OTHER: same * (1 - lacking)}
    if kernel == "ntk":
        k = ORDERS[kind]
        largest = DEPTH * VARIANCE * (POINTS * PIXELS + k) / ((k + 1) * PIXELS)
        bulk = k * DEPTH * VARIANCE / ((k + 1) * PIXELS)
        condition, leading = (POINTS * PIXELS + k) / k, CONDITION_NUMBER.subs(at)
    else:
        largest = POINTS * VARIANCE
        bulk = CRITICAL_GAPS[kind] * VARIANCE / PIXELS
        condition, leading = _NNGP_CONDITION[kind], POINTS * PIXELS / lacking
    entries = ((LAMBDA_MAX, largest, _MAX), (LAMBDA_BULK, bulk, _BULK))
    steps = [
        *gap().steps,
        *pixel_steps(),
        *(
            limit_step((entry.subs(at) / value), DEPTH, sympy.oo, 1, f"{name} over {value}")
            for entry, value, name in (*entries, (CONDITION_NUMBER, condition, _KAPPA))
        ),
        identity_step(leading, condition, "to leading order", _KAPPA),
    ]
    args = tuple(sorted(condition.free_symbols, key=str))
    name = f"condition number of the {kernel.upper()} at criticality, {kind} activation"
    return derivation_of(steps, name, args, condition)


def derive_critical_ntk_table_smooth() -> Derivation:
    """(m d + 2)/2, from lambda_max = l q (m d + 2)/(3 d) and lambda_bulk = 2 l q/(3 d)."""
    return _critical_table("ntk", "smooth", derive_critical_ntk_smooth)


def derive_critical_ntk_table_kinked() -> Derivation:
    """(m d + 3)/3, from lambda_max = l q (m d + 3)/(4 d) and lambda_bulk = 3 l q/(4 d)."""
    return _critical_table("ntk", "kinked", derive_critical_ntk_kinked)


def derive_critical_nngp_table_smooth() -> Derivation:
    """m d q chi_12 l/2, from lambda_max = m q and lambda_bulk = 2/(d chi_12 l)."""
    return _critical_table("nngp", "smooth", derive_critical_gap_smooth)


def derive_critical_nngp_table_kinked() -> Derivation:
    """2 m d a^2 l^2/9, from lambda_max = m q and lambda_bulk = 9 q/(2 d a^2 l^2)."""
    return _critical_table("nngp", "kinked", derive_critical_gap_kinked)


# --- ordered ----------------------------------------------------------------------------------


def _ordered_gap_steps() -> list[Step]:
    """The gap falls as chi_1^l, with the amplitude of the data."""
    following = CHI_1 * GAP + _REST * GAP ** sympy.Rational(3, 2)
    small = sympy.Symbol("epsilon", positive=True)
    return [
        limit_step(
            (following / GAP).subs(GAP, small**2), small, 0, CHI_1,
            "g'/g at the fixed point c = 1, with sqrt(g) = epsilon; the product of 1 + R epsilon/"
            "chi_1 over l converges: g = C chi_1^l",
        ),
        Step(
            sympy.Eq(SAME, VARIANCE * ORDERED_DIAGONAL, evaluate=False),
            "p* = q* + chi_1 p*",
            Root(VARIANCE + CHI_1 * SAME - SAME, SAME, VARIANCE * ORDERED_DIAGONAL),
        ),
    ]  # fmt: skip


def derive_ordered_nngp() -> Derivation:
    """The condition number of the NNGP in the ordered phase; C is the bulk mean of the data."""
    result = POINTS / (AMPLITUDE * CHI_1**DEPTH)
    bulk = AMPLITUDE * VARIANCE * _POWER
    other = VARIANCE * (1 - AMPLITUDE * _POWER)
    at = {SAME: VARIANCE, OTHER: other, PIXELS: 1}
    steps = [
        *_ordered_gap_steps(),
        *pixel_steps(),
        identity_step(LAMBDA_BULK.subs(at), bulk, "lambda_bulk, E = chi_1^l", _BULK),
        limit_step(LAMBDA_MAX.subs(at), _POWER, 0, POINTS * VARIANCE, "lambda_max = m q*"),
        limit_step(
            AMPLITUDE * _POWER * CONDITION_NUMBER.subs(at), _POWER, 0, POINTS, "C chi_1^l kappa"
        ),
        identity_step(
            POINTS / LAWS["nngp", "ordered", "smooth"].lacking, result, "kappa", _KAPPA
        ),
    ]  # fmt: skip
    args = (DEPTH, POINTS, CHI_1, AMPLITUDE)
    return derivation_of(steps, "condition number of the NNGP, ordered", args, result)


def derive_ordered_ntk_smooth() -> Derivation:
    """What the NTK of a smooth activation lacks in the ordered phase: of the order l chi_1^l."""
    lacking = sympy.Symbol("D", positive=True)
    ell = DEPTH
    law = LAWS["ntk", "ordered", "smooth"].lacking
    source = (
        AMPLITUDE * _POWER * (VARIANCE * CHI_1 + VARIANCE * CHI_12 * VARIANCE * ORDERED_DIAGONAL)
    )
    solution = (
        ell
        * _POWER
        * AMPLITUDE
        * (VARIANCE + VARIANCE * CHI_12 * VARIANCE * ORDERED_DIAGONAL / CHI_1)
    )
    following = solution.subs({ell: ell + 1, _POWER: CHI_1 * _POWER}, simultaneous=True)
    steps = [
        *_ordered_gap_steps(),
        identity_step(
            VARIANCE * GAP * CHI_1 + VARIANCE * CHI_12 * GAP * SAME,
            VARIANCE * GAP * (CHI_1 + CHI_12 * SAME),
            "D' - chi D of D = p - p_ab, D' = q g' + (chi_1 - chi) p + chi D, "
            "chi_1 - chi = q chi_12 g",
        ),
        identity_step(
            CHI_1 * solution + source, following,
            "with g = C E, E = chi_1^l and p = p*, solved by this D, up to a multiple of E; "
            "what chi and p lack adds terms of the order E^2 l^2 and l E^2",
            sympy.Symbol("D'"),
        ),
        identity_step(
            (solution / (VARIANCE * ORDERED_DIAGONAL)).subs(_POWER, CHI_1**ell), law,
            "over p*: s", lacking / SAME,
        ),
    ]  # fmt: skip
    args = (DEPTH, VARIANCE, CHI_1, CHI_12, AMPLITUDE)
    return derivation_of(steps, "what the NTK lacks, ordered, smooth activation", args, law)


def derive_ordered_ntk_kinked() -> Derivation:
    """What the NTK of a kinked activation lacks in the ordered phase: of the order chi_1^(l/2)."""
    law = LAWS["ntk", "ordered", "kinked"].lacking
    p = VARIANCE / (1 - _ROOT**2)
    solution = KINK * AMPLITUDE * p * _POWER / (_ROOT - _ROOT**2)
    steps = [
        *_ordered_gap_steps(),
        identity_step(
            _ROOT**2 * solution + KINK * AMPLITUDE * _POWER * p, solution.subs(
                _POWER, _ROOT * _POWER),
            "D' = chi_1 D + a theta p* with theta = C' E, E = chi_1^(l/2), r = chi_1^(1/2): "
            "q g' and the solutions chi_1^l of the rest are of a higher order",
            sympy.Symbol("D'"),
        ),
        identity_step(
            (solution / p).subs({_POWER: CHI_1 ** (DEPTH / 2), _ROOT: sympy.sqrt(CHI_1)}), law,
            "over p*: s", sympy.Symbol("s"),
        ),
    ]  # fmt: skip
    args = (DEPTH, CHI_1, KINK, AMPLITUDE)
    return derivation_of(steps, "what the NTK lacks, ordered, kinked activation", args, law)


def derive_ordered_predictor() -> Derivation:
    """The mean predictor in the ordered phase: a ratio of parts that vanish alike, and so O(1)."""
    s1, s2, s12 = sympy.symbols("s_1 s_2 s_12", positive=True)
    difference = (SAME * (1 - s1 * _POWER)) - SAME * (1 - s2 * _POWER)
    result = (s2 - s1) / s12
    steps = [
        identity_step(
            difference / (SAME - SAME * (1 - s12 * _POWER)), result,
            "two training points and labels 1, -1: (k_1 - k_2)/(p - p_ab), where the kernel of "
            "each pair lacks s E with a constant s of its own: g of the NNGP and, since their "
            "constants multiply the same function of l, D of the NTK",
            sympy.Symbol("P y"),
        )
    ]  # fmt: skip
    return derivation_of(steps, "mean predictor, ordered", (s1, s2, s12), result)


# --- chaotic ----------------------------------------------------------------------------------


def _chaotic_ntk_steps() -> list[Step]:
    diagonal, other = VARIANCE * DIAGONAL, VARIANCE * OFF_DIAGONAL
    closed = VARIANCE * (CHI_1 * _POWER - 1) / (CHI_1 - 1)
    return [
        identity_step(
            VARIANCE + CHI_1 * closed, closed.subs(_POWER, CHI_1 * _POWER),
            "p' = q* + chi_1 p, with E = chi_1^l", sympy.Symbol("p'"),
        ),
        identity_step(closed.subs(_POWER, 1), VARIANCE, "and p = q* at l = 0", SAME),
        identity_step(
            sympy.powsimp(closed.subs(_POWER, CHI_1**DEPTH)), diagonal, "p_aa", SAME
        ),
        Step(
            sympy.Eq(OTHER, other, evaluate=False),
            "p_ab = q* c* + chi_c p_ab: the fixed point, which attracts since chi_c < 1",
            Root(VARIANCE * C_STAR + CHI_C * OTHER - OTHER, OTHER, other),
        ),
    ]  # fmt: skip


def derive_chaotic_ntk() -> Derivation:
    """The condition number of the NTK in the chaotic phase."""
    result = 1 + POINTS * PIXELS * LAWS["ntk", "chaotic", "smooth"].ratio
    at = {SAME: VARIANCE * DIAGONAL, OTHER: VARIANCE * OFF_DIAGONAL}
    large = sympy.Symbol("P", positive=True)
    steps = [
        *_chaotic_ntk_steps(),
        *pixel_steps(),
        limit_step(
            (LAMBDA_MAX / (SAME / PIXELS)).subs(SAME, large), large, sympy.oo, 1,
            "lambda_max over p_aa/d, for p_aa -> infinity",
        ),
        limit_step(
            (LAMBDA_BULK / (SAME / PIXELS)).subs(SAME, large), large, sympy.oo, 1,
            "lambda_bulk over p_aa/d",
        ),
        limit_step(
            (large * (CONDITION_NUMBER - 1)).subs(SAME, large), large, sympy.oo,
            POINTS * PIXELS * OTHER, "p_aa (kappa - 1)",
        ),
        identity_step(
            (1 + POINTS * PIXELS * OTHER / SAME).subs(at), result, "to leading order", _KAPPA
        ),
    ]  # fmt: skip
    args = (DEPTH, POINTS, PIXELS, CHI_1, CHI_C, C_STAR)
    return derivation_of(steps, "condition number of the NTK, chaotic", args, result)


def derive_chaotic_nngp() -> Derivation:
    """The condition number of the NNGP in the chaotic phase."""
    at = {SAME: VARIANCE, OTHER: VARIANCE * C_STAR}
    result = 1 + POINTS * PIXELS * C_STAR / (1 - C_STAR)
    steps = [
        *pixel_steps(),
        identity_step(
            LAMBDA_MAX.subs(at), VARIANCE * ((1 - C_STAR) / PIXELS + POINTS * C_STAR),
            "c = c*, the fixed point of the correlation", _MAX,
        ),
        identity_step(
            LAMBDA_BULK.subs(at), VARIANCE * (1 - C_STAR) / PIXELS, "lambda_bulk", _BULK
        ),
        identity_step(CONDITION_NUMBER.subs(at), result, "their ratio", _KAPPA),
    ]  # fmt: skip
    args = (POINTS, PIXELS, C_STAR)
    return derivation_of(steps, "condition number of the NNGP, chaotic", args, result)


def derive_chaotic_predictor() -> Derivation:
    """The mean predictor in the chaotic phase, for labels of mean zero."""
    law = LAWS["ntk", "chaotic", "smooth"].predictor
    # delta c = A E with E = chi_c^l; delta p_ab solves a linear recursion with that source.
    size, source = sympy.symbols("A S", positive=True)
    solution = DEPTH * _POWER * source * size / CHI_C
    following = solution.subs({DEPTH: DEPTH + 1, _POWER: CHI_C * _POWER}, simultaneous=True)
    steps = [
        limit_step(
            (CHI_C * GAP + _REST * GAP**2) / GAP, GAP, 0, CHI_C,
            "the ratio of following c - c*: with the constants of two pairs A_i, the NNGP's P y = "
            "(A_1 - A_2) chi_c^l/(1 - c*)",
        ),
        identity_step(
            CHI_C * solution + source * size * _POWER, following,
            "NTK: delta' = chi_c delta + S (c - c*), S = q* chi_c + (d chi/dc) p_ab, with "
            "c - c* = A E, E = chi_c^l, is solved by this delta",
            sympy.Symbol("delta'"),
        ),
        identity_step(
            solution.subs(_POWER, CHI_C**DEPTH) * CHI_C / (source * size) / CHI_1**DEPTH,
            sympy.expand_power_base(law, force=True),
            "over lambda_bulk, which grows as chi_1^l: its rate", sympy.Symbol("P y"),
        ),
    ]  # fmt: skip
    return derivation_of(steps, "mean predictor, chaotic", (DEPTH, CHI_C, CHI_1), law)


DERIVATIONS = (
    derive_pixel_average,
    derive_critical_ntk_table_smooth,
    derive_critical_ntk_table_kinked,
    derive_critical_nngp_table_smooth,
    derive_critical_nngp_table_kinked,
    derive_ordered_nngp,
    derive_ordered_ntk_smooth,
    derive_ordered_ntk_kinked,
    derive_ordered_predictor,
    derive_chaotic_nngp,
    derive_chaotic_ntk,
    derive_chaotic_predictor,
)
