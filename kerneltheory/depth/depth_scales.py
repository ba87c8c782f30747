r"""Over how many layers a network in a phase can be trained, and over how many it generalises."""

import math
from typing import Any

from kerneltheory.core import check
from kerneltheory.core.display import short_number
from kerneltheory.core.errors import DivergentError
from kerneltheory.depth.depth_laws import KERNELS
from kerneltheory.depth.phases import Phase

# A slope chi_1 this near to 1 is that of a critical pair of variances which floats have rounded:
# over 10^6 layers it changes nothing.
CRITICAL = 1e-12


def phase_name(phase: Any) -> str:
    """The name of a phase, "critical" up to the rounding of its variances."""
    near = phase.chi_1 is not None and abs(float(phase.chi_1) - 1) < CRITICAL
    return "critical" if near else phase.name


def check_kernel(kernel: Any) -> str:
    """Refuse what is no kernel of a network."""
    return check.one_of("kernel", kernel, KERNELS)


def _check(phase: Any, kernel: Any) -> None:
    check.instance("phase", phase, Phase)
    check_kernel(kernel)
    if phase.name == "divergent":
        raise DivergentError(
            f"{phase.activation.name} has no fixed variance at weight_variance = "
            f"{short_number(phase.weight_variance)}: {phase.divergence}; depth scales are those "
            "of a fixed point"
        )


def trainability_depth(phase: Any, kernel: str = "ntk") -> float:
    r"""The layers in which the condition number grows by e where it grows exponentially.

    In the ordered phase :math:`\kappa \sim \chi_1^{-l}` up to a power of l, so that it is
    :math:`\xi_1`; but :math:`\kappa \sim \chi_1^{-l/2}` and :math:`2 \xi_1` for the NTK of an
    activation with a kink. Infinite elsewhere: at criticality the condition number is bounded
    (NTK) or grows as a power of l (NNGP), in the chaotic phase it is bounded.

    Args:
        phase: the `Phase` of the network, not a divergent one.
        kernel: "ntk" or "nngp".

    Returns:
        A number of layers, or infinity.

    Raises:
        TypeError: if it is not a `Phase`.
        ValueError: for another kernel.
        DivergentError: if the phase is divergent: it has no fixed variance.

    Reference: arXiv:1912.13053; the kinked case is derived here.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu, tanh
        >>> from kerneltheory.depth.phases import phase
        >>> ordered = phase(tanh, 1, 0.1)
        >>> trainability_depth(ordered) == ordered.xi_1
        True
        >>> trainability_depth(phase(relu, 2))
        inf
    """
    _check(phase, kernel)
    if phase_name(phase) != "ordered":
        return math.inf
    kinked = math.isinf(phase.chi_12)
    return float(phase.xi_1) * (2 if kinked and kernel == "ntk" else 1)


def generalization_depth(phase: Any, kernel: str = "ntk") -> float:
    r"""The layers in which the mean predictor of labels of mean zero falls by e, for large depth.

    In the chaotic phase :math:`\xi_* = 1/(\ln \chi_1 - \ln \chi_c)` for the NTK and
    :math:`\xi_c = -1/\ln \chi_c` for the NNGP. Infinite elsewhere: in the ordered phase the mean
    predictor stays, at criticality it falls as 1/l.

    Args:
        phase: the `Phase` of the network, not a divergent one.
        kernel: "ntk" or "nngp".

    Returns:
        A number of layers, or infinity.

    Raises:
        TypeError: if it is not a `Phase`.
        ValueError: for another kernel.
        DivergentError: if the phase is divergent: it has no fixed variance.

    Reference: arXiv:1912.13053.

    Examples:
        >>> from kerneltheory.activations.catalogue import tanh
        >>> from kerneltheory.depth.phases import phase
        >>> chaotic = phase(tanh, 2.25, 0.05)
        >>> generalization_depth(chaotic) == chaotic.xi_star
        True
        >>> generalization_depth(chaotic, "nngp") == chaotic.xi_c
        True
    """
    _check(phase, kernel)
    if phase_name(phase) != "chaotic":
        return math.inf
    return float(phase.xi_star if kernel == "ntk" else phase.xi_c)
