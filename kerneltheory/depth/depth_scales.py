r"""Over how many layers a network in a phase can be trained, and over how many it generalises."""

import math
from typing import Any

from kerneltheory.depth.depth_laws import KERNELS

# A slope chi_1 this near to 1 is that of a critical pair of variances which floats have rounded:
# over 10^6 layers it changes nothing.
CRITICAL = 1e-12


def phase_name(phase: Any) -> str:
    """The name of a phase, "critical" up to the rounding of its variances."""
    near = phase.chi_1 is not None and abs(float(phase.chi_1) - 1) < CRITICAL
    return "critical" if near else phase.name


def check_kernel(kernel: Any) -> str:
    """Refuse what is no kernel of a network."""
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}, got {kernel!r}")
    return kernel


def trainability_depth(phase: Any, kernel: str = "ntk") -> float:
    r"""The layers in which the condition number grows by e where it grows exponentially.

    In the ordered phase :math:`\kappa \sim \chi_1^{-l}` up to a power of l, so that it is
    :math:`\xi_1`; but :math:`\kappa \sim \chi_1^{-l/2}` and :math:`2 \xi_1` for the NTK of an
    activation with a kink. Infinite elsewhere: at criticality the condition number is bounded
    (NTK) or grows as a power of l (NNGP), in the chaotic phase it is bounded.

    Args:
        phase: a `Phase`.
        kernel: "ntk" or "nngp".

    Raises:
        ValueError: for another kernel.

    Reference: arXiv:1912.13053; the kinked case is derived here.
    """
    check_kernel(kernel)
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
        phase: a `Phase`.
        kernel: "ntk" or "nngp".

    Raises:
        ValueError: for another kernel.

    Reference: arXiv:1912.13053.
    """
    check_kernel(kernel)
    if phase_name(phase) != "chaotic":
        return math.inf
    return float(phase.xi_star if kernel == "ntk" else phase.xi_c)
