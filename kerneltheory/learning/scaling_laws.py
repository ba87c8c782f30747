r"""Scaling laws: how errors decay with samples and features where spectrum and target are powers.

With :math:`\lambda_i \sim i^{-a}` and powers :math:`v_i^2 \sim i^{-b}` of single eigenfunctions,
a sum over modes is one over :math:`x = i\,\kappa^{1/a}`, hence a power of the effective ridge:

.. math:: \sum_i q_i \sim \kappa^{-1/a}, \qquad \sum_i q_i^2 \to \Big(1 - \frac1a\Big)\sum_i q_i,
          \qquad B \sim \kappa^{\min(2, (b-1)/a)},

and all exponents follow from the equation of the effective ridge (arXiv:2105.15004).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import sympy
from scipy.special import zeta

from kerneltheory.core import check
from kerneltheory.kernels.base import Kernel
from kerneltheory.learning.equivalent import check_spectrum, check_target
from kerneltheory.learning.levels import refuse_negative
from kerneltheory.spectra.spectrum import Spectrum, Target
from kerneltheory.spectra.tail_law import tail_law

FEWEST_LEVELS = 3
HALVINGS = 60  # of the interval (0, 1), to below rounding
Ridge = Any  # a number, or "optimal"


@dataclass(frozen=True)
class ScalingExponents:
    r"""Exponents of a spectrum and a target, and the decay of errors that follows from them.

    $\lambda_i \sim i^{-a}$ and $v_i^2 \sim i^{-b}$, with i the rank of a single eigenfunction.
    A ridge is described by its decay l, $\delta \sim n^{-l}$: 0 is a fixed ridge, `math.inf` no
    ridge at all, and "optimal" the ridge of the least test error. Where an exponent is the smaller
    one of two that are equal, a logarithm multiplies the power.

    Args:
        capacity: the capacity exponent a > 1 of the spectrum.
        target: the exponent b > 1 of the target.
        capacity_error: standard error of the capacity exponent, where it was fitted.
        target_error: standard error of b, where it was fitted.

    Raises:
        ValueError: an exponent is not finite or not above 1.

    Exact exponents (rational numbers of sympy) give exact answers.

    Reference: arXiv:2105.15004 (its $\alpha$ is a and its r the `source`), arXiv:2002.02561,
    arXiv:1905.10843.

    Examples:
        >>> laws = ScalingExponents(capacity=2.0, target=3.0)
        >>> laws.source
        0.5
        >>> laws.test_error_decay(ridge=math.inf, noisy=False)
        2.0
        >>> round(laws.test_error_decay(ridge="optimal", noisy=True), 12)
        0.666666666667
    """

    capacity: Any
    target: Any
    capacity_error: float | None = None
    target_error: float | None = None

    def __post_init__(self) -> None:
        for name in ("capacity", "target"):
            value = getattr(self, name)
            if not bool(np.isfinite(float(check.finite(name, value, ndim=0)))) or not value > 1:
                raise ValueError(f"{name} must be above 1, where sums are finite, got {value}")

    @property
    def source(self) -> Any:
        r"""The source exponent $r = (b - 1)/(2a)$: $v_i^2 \sim i^{-1 - 2 a r}$."""
        return (self.target - 1) / (2 * self.capacity)

    @property
    def source_error(self) -> float | None:
        """Standard error of the source exponent, of independent errors of a and b."""
        if self.capacity_error is None or self.target_error is None:
            return None
        from_capacity = self.source / self.capacity * self.capacity_error
        return math.hypot(float(from_capacity), float(self.target_error / (2 * self.capacity)))

    @property
    def saturated(self) -> bool:
        r"""Whether b > 2a + 1: the target is so smooth that its largest modes make the bias."""
        return bool(self.target > 2 * self.capacity + 1)

    @property
    def interpolation_decay(self) -> Any:
        r"""$\beta = \min(2a, b - 1)$, the decay of the test error without ridge and noise."""
        return min(2 * self.capacity, self.target - 1)

    def effective_ridge_decay(self, ridge: Ridge) -> Any:
        r"""The c in $\kappa \sim n^{-c}$: $c = \min(a, 1 + l)$ at the ridge $n^{-l}$.

        Since $n = \kappa^{-1/a} + \delta/\kappa$, up to constants. It is a for the optimal ridge
        without noise, and $a/(1 + \beta)$ with noise: see `optimal_ridge_decay`.

        Args:
            ridge: the decay l of the ridge, a number above -1.

        Raises:
            ValueError: the decay is not a number above -1, where the effective ridge would grow.
        """
        return min(self.capacity, 1 + _decay(ridge))

    def bias_decay(self, ridge: Ridge) -> Any:
        r"""The decay of the bias, $c \min(2, (b-1)/a)$ with c of `effective_ridge_decay`."""
        return self.effective_ridge_decay(ridge) * self.interpolation_decay / self.capacity

    def noise_decay(self, ridge: Ridge) -> Any:
        r"""The decay of the variance from noise, $1 - c/a$ with c of `effective_ridge_decay`.

        The variance tends to $(a - 1) \sigma^2$ without ridge, and to
        $\sigma^2 \sum_i q_i^2/n \sim \kappa^{-1/a}/n$ where the ridge counts.
        """
        return 1 - self.effective_ridge_decay(ridge) / self.capacity

    def optimal_ridge_decay(self, *, noisy: bool) -> Any:
        r"""The l of the best ridge $n^{-l}$.

        Without noise a - 1, the slowest decay with $\kappa \sim n^{-a}$. With noise bias and
        variance decay alike at $c = a/(1 + \beta)$, hence $l = c - 1$, which can be negative.
        """
        if not noisy:
            return self.capacity - 1
        return self.capacity / (1 + self.interpolation_decay) - 1

    def test_error_decay(self, ridge: Ridge, *, noisy: bool) -> Any:
        r"""The decay of the test error with n in kernel regression.

        | ridge | without noise | with noise |
        |---|---|---|
        | none | $\beta$ | 0 |
        | $n^{-l}$ | $c \beta/a$ | $\min(c \beta/a,\ 1 - c/a)$ |
        | optimal | $\beta$ | $\beta/(1 + \beta)$ |

        with $\beta = \min(2a, b-1)$ and $c = \min(a, 1 + l)$.

        Args:
            ridge: the decay l of the ridge, a number above -1 or `math.inf`; or "optimal".
            noisy: whether labels have noise. With little noise its law takes over late only: see
                `noise_crossover`.

        Raises:
            ValueError: the ridge is neither a number above -1 nor "optimal".
        """
        if isinstance(ridge, str) and ridge == "optimal":
            ridge = self.optimal_ridge_decay(noisy=noisy)
        bias = self.bias_decay(ridge)
        return min(bias, self.noise_decay(ridge)) if noisy else bias

    @property
    def feature_decay(self) -> Any:
        r"""The decay with p of the error of p random features on infinitely many samples.

        It is $\min(a, b - 1)$, at any ridge and noise: $T = \sum_i (1 - q_i) v_i^2$ at the
        effective ridge $\gamma \sim p^{-a}$ of p = sum q. At a fixed number of samples the error
        approaches that of the kernel as 1/p, at a fixed number of features that of infinitely many
        samples as 1/n.

        Reference: arXiv:2311.14646, arXiv:2102.06701.
        """
        return min(self.capacity, self.target - 1)

    def sufficient_features(self, *, noisy: bool) -> Any:
        r"""The e for which $p \sim n^e$ random features decay as the kernel does, at best ridge.

        Features must outnumber what is learned, $\sum_i q_i \sim n^{c/a}$, and the variance from
        features, $\frac{1}{p} \kappa^{-1/a} \kappa^{\min(1, (b-1)/a)}$, must not exceed the bias:
        $e = \frac{c}{a}\big(1 + \beta - \min(a, b-1)\big)$, $c = a$ without noise and
        $a/(1 + \beta)$ with noise.

        Reference: arXiv:1602.04485, theorem 3 with $\alpha = \gamma$.
        """
        scale = 1 / (1 + self.interpolation_decay) if noisy else 1
        return scale * (1 + self.interpolation_decay - self.feature_decay)

    def noise_crossover(self, noise_variance: float) -> float:
        r"""The n at which noise takes over without ridge, at unit prefactors.

        For $\lambda_i = i^{-a}$ and $v_i^2 = i^{-b}$. There the variance from noise,
        $(a - 1) \sigma^2$, equals the error without noise, $a B$:
        $$\kappa = (C/n)^a, \quad C = \frac{\pi/a}{\sin(\pi/a)}, \qquad
          B = \kappa^y\, \frac{(1-y)\,\pi}{a \sin(\pi y)}, \quad y = \frac{b-1}{a} < 2,$$
        and $B = \kappa^2 \zeta(b - 2a)$ for $y > 2$. It holds where that n is large.

        Args:
            noise_variance: $\sigma^2 > 0$.

        Raises:
            ValueError: the noise variance is not positive, or b = 2a + 1, where B is no power.
        """
        noise = float(check.positive("noise_variance", noise_variance))
        a, smoothness = float(self.capacity), float((self.target - 1) / self.capacity)
        if smoothness == 2:
            raise ValueError(f"target must not be 2 capacity + 1, got {self.target}: logarithms")
        scale = math.pi / a / math.sin(math.pi / a)
        prefactor = a * _bias_prefactor(a, smoothness) * scale ** float(self.interpolation_decay)
        return (prefactor / ((a - 1) * noise)) ** (1 / float(self.interpolation_decay))

    def optimal_fitting_ratio(self, relative_noise: float) -> float:
        r"""The $\sqrt{\mathrm{train}/(T + \sigma^2)}$ of the best ridge at many samples.

        The ratio is $R = \delta/(n \kappa) = 1 - \sum_i q_i/n$. With $\sigma^2 = s\,T_0$, where
        $T_0$ is the test error without ridge and noise at the same n,
        $$T + \sigma^2 \propto \frac{(1-R)^{1-b} + a s}{1 + (a-1) R},$$
        which is least at the only root in (0, 1) of
        $$b - a + (a-1)\, b R - a (a-1)\, s\, (1-R)^b = 0,$$
        and at R = 0, interpolation, if there is none: for $s \le (b-a)/(a(a-1))$.

        Args:
            relative_noise: $s \ge 0$.

        Raises:
            ValueError: s is negative, or b is not below 2a + 1.

        Reference: arXiv:2311.14646.

        Examples:
            >>> laws = ScalingExponents(capacity=2, target=3)
            >>> laws.optimal_fitting_ratio(0.5)
            0.0
            >>> 0 < laws.optimal_fitting_ratio(5.0) < 1
            True
        """
        noise = float(check.nonnegative("relative_noise", relative_noise))
        a, b = float(self.capacity), float(self.target)
        if not b < 2 * a + 1:
            raise ValueError(
                f"target must be below 2 capacity + 1 = {2 * a + 1:g}, where the bias is made by "
                f"modes about to be learned, got {b:g}"
            )

        def slope(ratio: float) -> float:
            return b - a + (a - 1) * b * ratio - a * (a - 1) * noise * (1 - ratio) ** b

        # It rises with R, to a (b - 1) > 0 at R = 1.
        if slope(0.0) >= 0:
            return 0.0
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) < 0 else (low, middle)
        return (low + high) / 2


def capacity_exponent(kernel: Kernel, dim: Any) -> Any:
    r"""Return the exact a of $\lambda_i \sim i^{-a}$ for a kernel on $S^{d-1}$, i its ranks.

    From the tail law $\lambda_k \sim C k^{-(d-1+2\nu)}$ with $\sim k^{d-1}$ eigenfunctions up to
    degree k,
    $$a = 1 + \frac{2 \nu}{d - 1}.$$
    For a target that is drawn from the Gaussian process of another kernel, that kernel's exponent
    is the b of `ScalingExponents`.

    Args:
        kernel: the kernel.
        dim: d >= 2, a number or a symbol.

    Returns:
        A number or expression of sympy; infinity for a kernel that is analytic at t = 1 and -1.

    Raises:
        KernelTheoryError: the singularities of the kernel are not known.

    Reference: arXiv:2009.14397 for the tail law, arXiv:1905.10843 for the exponents.

    Examples:
        >>> from kerneltheory.activations.catalogue import relu
        >>> from kerneltheory.kernels.kernel import ntk
        >>> capacity_exponent(ntk(relu, 1, weight_variance=2), 4)
        4/3
    """
    law = tail_law(kernel, dim)
    return sympy.oo if law.nu is None else 1 + 2 * law.nu / (law.dim - 1)


def scaling_exponents(
    spectrum: Spectrum,
    target: Target,
    *,
    ranks: tuple[float, float] = (1, math.inf),
    fit: Literal["levels", "tails"] = "levels",
) -> ScalingExponents:
    r"""Return the exponents a and b fitted to a spectrum and a target, with standard errors.

    Levels are sorted by eigenvalue; a level of $N_k$ eigenfunctions after C others has their
    middle rank, $C + (N_k + 1)/2$. Straight lines are fitted by least squares to
    $\ln \lambda_k$ and $\ln (F_k^2/N_k)$ ("levels"), or to the logarithms of the sums of all that
    comes from a level on ("tails"), $\sim i^{-(a-1)}$ and $\sim i^{-(b-1)}$, against $\ln i$.

    Args:
        spectrum: the levels; those of eigenvalue zero are left out.
        target: power at the levels; in a fit to levels those without power are left out.
        ranks: the lowest and highest rank that is fitted. Exponents are asymptotic: the first
            ranks of a kernel's spectrum obey no power yet.
        fit: "levels" or "tails". Sums are smooth where powers scatter; those of the target miss
            what is beyond the last level, so keep the highest rank well below the last.

    Returns:
        The exponents. Their errors take what the lines miss for independent noise: they tell
        scatter, not a bend, and are too small for sums, which share terms.

    Raises:
        ValueError, TypeError: fewer than three levels are left, an exponent comes out below 1,
            or `fit` or `ranks` is none of the above.
        NotPositiveDefiniteError: the spectrum has a negative eigenvalue.

    Reference: arXiv:1905.10843, arXiv:2105.15004.

    Examples:
        >>> from kerneltheory.spectra.power_law import power_law_spectrum, power_law_target
        >>> spectrum, target = power_law_spectrum(1.5, 100), power_law_target(2.0, 100)
        >>> fitted = scaling_exponents(spectrum, target)
        >>> round(fitted.capacity, 9), round(fitted.target, 9)
        (1.5, 2.0)
    """
    check_spectrum(spectrum)
    check_target(target)
    if fit not in ("levels", "tails"):
        raise ValueError(f'fit must be "levels" or "tails", got {fit!r}')
    low, high = _range(ranks)
    counts, eigenvalues, masses, power = _sorted_levels(spectrum, target)
    before = np.cumsum(counts) - counts
    if fit == "levels":
        position, one = before + (counts + 1) / 2, 0
        values = eigenvalues, power / counts
    else:
        # The sum of i^-a over i > C is about (C + 1/2)^(1-a)/(a-1).
        position, one = before + 0.5, 1
        values = _sums_from(masses, float(spectrum.tail)), _sums_from(power, 0.0)
    inside = (position >= low) & (position <= high)
    (a, a_error), (b, b_error) = (
        _slope(name, position[inside], value[inside])
        for name, value in zip(("spectrum", "target"), values, strict=True)
    )
    return ScalingExponents(one - a, one - b, a_error, b_error)


def _decay(ridge: Any) -> Any:
    if isinstance(ridge, str) or not ridge > -1:
        raise ValueError(
            'ridge must be the decay l > -1 of a ridge n^-l, math.inf for none, or "optimal" '
            f"for a test error, got {ridge!r}"
        )
    return ridge


def _bias_prefactor(a: float, smoothness: float) -> float:
    """B/kappa^min(2, y) of the sum over i of (1 + kappa^-1 i^-a)^-2 i^-b, y = (b - 1)/a."""
    if smoothness > 2:
        return float(zeta(a * (smoothness - 2) + 1))
    # (1 - y) pi/sin(pi y) = pi (1 - y)/sin(pi (1 - y)).
    return 1 / (a * float(np.sinc(1 - smoothness)))


def _range(ranks: Any) -> tuple[float, float]:
    try:
        low, high = (float(rank) for rank in ranks)
    except (TypeError, ValueError):
        raise TypeError(f"ranks must be two numbers, got {ranks!r}") from None
    if not 0 < low < high:
        raise ValueError(f"ranks must be two numbers 0 < low < high, got {ranks!r}")
    return low, high


def _sorted_levels(spectrum: Spectrum, target: Target) -> tuple[np.ndarray, ...]:
    """Multiplicities, eigenvalues, masses and powers of the levels, by falling eigenvalue."""
    refuse_negative(spectrum)
    power = np.asarray(target.powers(len(spectrum.degrees)), dtype=np.float64)
    columns = [np.asarray(spectrum.multiplicities), np.asarray(spectrum.eigenvalues)]
    columns += [np.asarray(spectrum.level_masses), power]
    kept = (columns[1] > 0) & np.isfinite(columns[0])
    order = np.argsort(-columns[1][kept], kind="stable")
    return tuple(column[kept][order] for column in columns)


def _sums_from(values: np.ndarray, rest: float) -> np.ndarray:
    return np.cumsum(values[::-1])[::-1] + rest


def _slope(name: str, ranks: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The slope of ln values against ln ranks, and its standard error."""
    positive = values > 0
    if positive.sum() < FEWEST_LEVELS:
        raise ValueError(
            f"{name} must have at least {FEWEST_LEVELS} levels that are not zero in the range of "
            f"ranks, got {positive.sum()}"
        )
    x, y = np.log(ranks[positive]), np.log(values[positive])
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    residual = y - y.mean() - slope * x
    return slope, float(np.sqrt(residual @ residual / max(len(x) - 2, 1) / (x @ x)))
