r"""What deep kernels lack of a constant, by kernel, phase and kind of activation, as formulas.

A deep kernel has the diagonal p of a pixel and :math:`p_{ab} = p\,(1 - s)` between any other two,
so that its spectrum follows from m, the number d of pooled pixels, p and s. The laws of s, each
derived in `spectrum_derivations` or `critical_derivations`:

=========  =====================================  =========================  =====================
kernel     ordered                                critical                   chaotic
=========  =====================================  =========================  =====================
NNGP       C chi_1^l                              2/(q chi_12 l)             1 - c*
(kinked)   C chi_1^l                              9/(2 a^2 l^2)              1 - c*
NTK        C l chi_1^l (1 - chi_1 + q chi_12      2/3                        1
           / chi_1)
(kinked)   a C' chi_1^(l/2) / (chi_1^(1/2)        3/4                        1
           - chi_1)
=========  =====================================  =========================  =====================

A kinked activation has :math:`w T'(q, q, \cos\theta) = \chi_1 - a \theta + \dots`; a smooth one
:math:`\chi_1 - q \chi_{12} (1 - c) + \dots`. C and C' are set by the data: the limits of
:math:`\chi_1^{-l} (1 - c)` and of :math:`\chi_1^{-l/2} \theta`.
"""

from dataclasses import dataclass
from typing import Any

import sympy

from kerneltheory.core.formula import Formula

REFERENCE = "arXiv:1912.13053"
KERNELS, PHASES, KINDS = ("nngp", "ntk"), ("ordered", "critical", "chaotic"), ("smooth", "kinked")

DEPTH, VARIANCE, POINTS, PIXELS = sympy.symbols("l q m d", positive=True)
CHI_1, CHI_12, CHI_C, C_STAR = sympy.symbols("chi_1 chi_12 chi_c c_star", positive=True)
# The slope of a kink, and the amplitude that the data set in the ordered phase.
KINK, AMPLITUDE = sympy.symbols("a C", positive=True)
# p of a coincident pair and of any other.
SAME, OTHER = sympy.symbols("p_aa p_ab", positive=True)

ARGUMENTS = (DEPTH, VARIANCE, CHI_1, CHI_12, CHI_C, C_STAR, KINK, AMPLITUDE)


@dataclass(frozen=True)
class DepthLaw:
    """The law of one kernel in one phase.

    Attributes:
        lacking: s, to leading order.
        ratio: 1 - s, to leading order too, and so 1 where s vanishes.
        predictor: how the mean predictor of labels of mean zero scales with depth.
    """

    lacking: Any
    ratio: Any
    predictor: Any

    @staticmethod
    def formula(name: str, expression: Any) -> Formula:
        """One of them as a Formula in `ARGUMENTS`."""
        return Formula(name, ARGUMENTS, sympy.sympify(expression), reference=REFERENCE)


def _law(lacking: Any, predictor: Any, ratio: Any) -> DepthLaw:
    return DepthLaw(*map(sympy.sympify, (lacking, ratio, predictor)))


# p_aa of the NTK over q, and what p_ab tends to over q in the chaotic phase.
DIAGONAL = (CHI_1 ** (DEPTH + 1) - 1) / (CHI_1 - 1)
OFF_DIAGONAL = C_STAR / (1 - CHI_C)
# p_aa over q of the NTK in the ordered phase, for l -> infinity.
ORDERED_DIAGONAL = 1 / (1 - CHI_1)
# The order of the correction in p_ab' = q + (1 - k/l) p_ab at criticality.
ORDERS = {"smooth": 2, "kinked": 3}
CRITICAL_GAPS = {
    "smooth": 2 / (VARIANCE * CHI_12 * DEPTH),
    "kinked": sympy.Rational(9, 2) / (KINK * DEPTH) ** 2,
}
_ORDERED_NTK = {
    "smooth": AMPLITUDE * DEPTH * CHI_1**DEPTH * (1 - CHI_1 + VARIANCE * CHI_12 / CHI_1),
    "kinked": KINK * AMPLITUDE * CHI_1 ** (DEPTH / 2) / (sympy.sqrt(CHI_1) - CHI_1),
}


def _lacking(kind: str) -> Any:
    """Of the NTK at criticality: k/(1 + k)."""
    return sympy.Rational(ORDERS[kind], 1 + ORDERS[kind])


_CHAOTIC_RATIO = OFF_DIAGONAL / DIAGONAL

LAWS = {
    (kernel, phase, kind): law
    for kind in KINDS
    for kernel, phase, law in (
        ("nngp", "ordered", _law(AMPLITUDE * CHI_1**DEPTH, 1, 1)),
        ("nngp", "critical", _law(CRITICAL_GAPS[kind], 1 / DEPTH, 1)),
        ("nngp", "chaotic", _law(1 - C_STAR, CHI_C**DEPTH, C_STAR)),
        ("ntk", "ordered", _law(_ORDERED_NTK[kind], 1, 1)),
        ("ntk", "critical", _law(_lacking(kind), 1 / DEPTH, 1 - _lacking(kind))),
        ("ntk", "chaotic", _law(1, DEPTH * (CHI_C / CHI_1) ** DEPTH, _CHAOTIC_RATIO)),
    )
}

# The spectrum of m points whose kernel is averaged over d pixels.
LAMBDA_BULK = (SAME - OTHER) / PIXELS
LAMBDA_MAX = LAMBDA_BULK + POINTS * OTHER
CONDITION_NUMBER = 1 + POINTS * PIXELS * OTHER / (SAME - OTHER)
