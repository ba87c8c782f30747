"""The derivations of the limit of order r: its learning curve and what follows from it."""

import functools

from kerneltheory.core import check
from kerneltheory.core.derivation import Derivation
from kerneltheory.learning.block_derivations import (
    derive_finite_counting,
    derive_marchenko_pastur,
    derive_missing_peaks,
    derive_negative_ridge,
)
from kerneltheory.learning.limit_derivation import derive_learning_curve
from kerneltheory.learning.peak_derivations import (
    derive_optimal_ridge,
    derive_peak_height,
    derive_peak_threshold,
    derive_plateaus,
)

RESULTS = {
    "learning curve": derive_learning_curve,
    "peak height": derive_peak_height,
    "peak threshold": derive_peak_threshold,
    "optimal ridge": derive_optimal_ridge,
    "plateaus": derive_plateaus,
    "missing peaks": derive_missing_peaks,
    "spectral density": derive_marchenko_pastur,
    "finite counting": derive_finite_counting,
    "negative ridge": derive_negative_ridge,
}


def derive_high_order_curve(result: str = "learning curve") -> Derivation:
    r"""The derivation of the limit $n = \alpha N(d, r)$, d to infinity, or of what follows from it.

    With $\zeta = (\delta + \mu_{>r}^2)/\mu_r^2$, $S = F_{>r}^2 + \sigma^2$ and the shift $\tau$,
    the positive root of $\alpha = 1/(1 + \tau) + \zeta/\tau$:

    - "learning curve": $T(\alpha, \zeta, F_r^2, F_{>r}^2, \sigma^2)$, from the equation at finite
      d, through the limit of every term, with overfitting, bias, variance and training error.
    - "peak height": $S/(2\sqrt\zeta) + S/2 - \sigma^2$ at $\alpha = 1$ for small zeta.
    - "peak threshold": g(zeta), with a peak if and only if $S/F_r^2 > g$.
    - "optimal ridge": $\zeta^* = S/F_r^2$, at every alpha.
    - "plateaus": $T \to F_{>r}^2$ for many samples, with the correction $S/\alpha$, and
      $F_r^2 + F_{>r}^2$ for few.
    - "missing peaks": the relu NTK without bias has no odd degree above 1.
    - "spectral density": the law of Marchenko and Pastur of the Gram matrix of degree r.
    - "finite counting": $E_0$ with lower degrees counted, at $\alpha = (n - N_{<r})/N_r$.
    - "negative ridge": the least zeta, $-(1 - \sqrt\alpha)^2$ for $\alpha \le 1$.

    Args:
        result: which; its Formula is the `result` of the derivation.

    Raises:
        ValueError: the result is none of these.

    Reference: arXiv:2205.14846.

    Examples:
        >>> derivation = derive_high_order_curve("peak threshold")
        >>> float(derivation.result(2.0))  # 2 zeta + 1
        5.0
        >>> print(derive_high_order_curve("optimal ridge").result)
        optimal effective ridge(F_r^2, F_>r^2, sigma^2) = (F_>r^2 + sigma^2)/F_r^2
        >>> set(derive_high_order_curve("plateaus").verify().statuses)
        {'proved'}
    """
    return RESULTS[check.one_of("result", result, RESULTS)]()


DERIVATIONS = tuple(functools.partial(derive_high_order_curve, name) for name in RESULTS)
