r"""How eigenvalues of a fixed degree k >= 1 change with the depth l: rates and powers by phase.

Two parts of the kernel on S^{d-1} compete, with :math:`\nu = (d-1)/2` and g = 1 - t:

- the bulk, at fixed g, where the kernel differs from a constant by a function of t times
  :math:`\chi_1^l` (ordered), :math:`\chi_c^l` (chaotic) or a power of l (critical);
- the spike at the pole, of a width in g that falls as :math:`\chi_1^{-l}` (chaotic) or
  :math:`l^{-1/\sigma}` (critical) and so of a volume :math:`\text{width}^\nu`. A spike that is
  narrower than a harmonic has equal parts in all degrees.

Here :math:`1 - F(1 - g) = \chi_1 g - C g^{1+\sigma} + \dots` for the correlation map F: sigma = 1
for smooth activations, 1/2 for kinked ones. The slower of both makes the law:

| | bulk | spike |
|---|---|---|
| ordered, NNGP and NTK | :math:`\chi_1^l` and :math:`l \chi_1^l` | none |
| chaotic NNGP | :math:`\chi_c^l` | :math:`\chi_1^{-\nu l}` |
| chaotic NTK | :math:`l \chi_c^l` | :math:`\chi_1^{(1-\nu) l}` |
| critical NNGP | :math:`l^{-1-1/\sigma}` | :math:`l^{-(1+\nu)/\sigma}` |
| critical NTK | :math:`l^0` | :math:`l^{1-\nu/\sigma}` |

Where both are equal their sum holds a factor l more (chaotic NNGP) or ln l (critical). Equal parts
in the chaotic NNGP mean :math:`\alpha = d - 1`, the singular kernel that is Bayes optimal.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerneltheory.core.display import short_number
from kerneltheory.core.errors import KernelTheoryError
from kerneltheory.depth.phases import CHAOTIC, CRITICAL, DIVERGENT, ORDERED, Phase

# How close two rates must be to count as equal.
EQUAL = 1e-12


@dataclass(frozen=True)
class DegreeLaw:
    r"""The law :math:`C\,b^l\,l^p\,(\ln l)^e` of an eigenvalue against the depth l.

    Attributes:
        base: b.
        power: p.
        logarithm: e, 0 or 1.
        part: "bulk", "spike" or "bulk and spike", which make it.
    """

    base: float
    power: float
    logarithm: int
    part: str

    def __call__(self, depths: Any) -> np.ndarray:
        """The law with C = 1, elementwise."""
        layers = np.asarray(depths, dtype=float)
        power = layers**self.power * np.log(layers) ** self.logarithm
        return self.base**layers * power

    def __str__(self) -> str:
        factors = [f"{self.base:.6g}^l"] if self.base != 1 else []
        factors += [f"l^{self.power:g}"] if self.power else []
        factors += ["ln l"] if self.logarithm else []
        return f"C {' '.join(factors) or '(constant)'}, made by the {self.part}"


def sigma(phase: Phase) -> float:
    """1 where the correlation map has a second derivative at c = 1, else 1/2."""
    return 1.0 if math.isfinite(_settled(phase).chi_12 or 0.0) else 0.5


def _settled(phase: Phase) -> Phase:
    """Refuse networks whose variance does not settle at a positive number."""
    if phase.name == DIVERGENT or not phase.q_star:
        where = phase.divergence or "the variance tends to zero"
        raise KernelTheoryError(
            f"the eigenvalues of {phase.activation.name} networks with weight_variance="
            f"{short_number(phase.weight_variance)} and "
            f"bias_variance={short_number(phase.bias_variance)} have no law of depth "
            f"here: {where}; take variances with a positive fixed point (see kt.phase)"
        )
    return phase


def degree_law(phase: Phase, dim: int, tangent: bool) -> DegreeLaw:
    """The law of eigenvalues of degree k >= 1 that do not vanish.

    Args:
        phase: of the network, as `kt.phase` gives it.
        dim: d >= 2.
        tangent: of the NTK instead of the NNGP.

    Raises:
        KernelTheoryError: the variance diverges or tends to zero.
    """
    nu, order = (dim - 1) / 2, sigma(phase)
    chi_1, chi_c = float(phase.chi_1 or 0.0), float(phase.chi_c or 0.0)
    if phase.name == ORDERED:
        return DegreeLaw(chi_1, 1.0 if tangent else 0.0, 0, "bulk")
    if phase.name == CRITICAL:
        bulk = 0.0 if tangent else -1 - 1 / order
        spike = 1 - nu / order if tangent else -(1 + nu) / order
        part = "bulk and spike" if bulk == spike else "bulk" if bulk > spike else "spike"
        return DegreeLaw(1.0, max(bulk, spike), int(bulk == spike), part)
    spike = chi_1 ** (1 - nu if tangent else -nu)
    if math.isclose(chi_c, spike, rel_tol=EQUAL):
        return DegreeLaw(spike, 1.0, 0, "bulk and spike")
    if chi_c > spike:
        return DegreeLaw(chi_c, 1.0 if tangent else 0.0, 0, "bulk")
    return DegreeLaw(spike, 0.0, 0, "spike")


def constant_limit(phase: Phase, dim: int, tangent: bool, depths: Any) -> np.ndarray | None:
    r"""What the eigenvalue of degree 0 tends to at each depth, or None where spikes add to it.

    NNGP: :math:`q^* c^*`. NTK: :math:`q^*/(1 - \chi_1)` (ordered),
    :math:`l q^* \sigma/(1 + 2 \sigma)` (critical), :math:`q^* c^*/(1 - \chi_c)` (chaotic, d > 3).

    Raises:
        KernelTheoryError: the variance diverges or tends to zero.
    """
    order, layers = sigma(phase), np.asarray(depths, dtype=float)
    q, c, chi_1, chi_c = (
        float(value or 0.0) for value in (phase.q_star, phase.c_star, phase.chi_1, phase.chi_c)
    )
    if not tangent:
        return np.full(layers.shape, q * c)
    if phase.name == ORDERED:
        return np.full(layers.shape, q / (1 - chi_1))
    if phase.name == CRITICAL:
        return layers * q * order / (1 + 2 * order)
    assert phase.name == CHAOTIC
    return np.full(layers.shape, q * c / (1 - chi_c)) if dim > 3 else None
