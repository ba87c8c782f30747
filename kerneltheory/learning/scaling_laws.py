r"""Scaling laws: how errors decay with samples and features where spectrum and target are powers.

With :math:`\lambda_i \sim i^{-a}` and powers :math:`v_i^2 \sim i^{-b}` of single eigenfunctions,
a sum over modes is one over :math:`x = i\,\kappa^{1/a}`, hence a power of the effective ridge:

.. math:: \sum_i q_i \sim \kappa^{-1/a}, \qquad \sum_i q_i^2 \to \Big(1 - \frac1a\Big)\sum_i q_i,
          \qquad B \sim \kappa^{\min(2, (b-1)/a)},

and all exponents follow from the equation of the effective ridge (arXiv:2105.15004).
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.special import zeta

from kerneltheory.core import check
from kerneltheory.core.display import html_table, text

HALVINGS = 60  # of the interval (0, 1), to below rounding
RidgeDecay = Any  # a number, an expression, or "optimal"


@dataclass(frozen=True, repr=False)
class ScalingExponents:
    r"""Exponents of a spectrum and a target, and the decay of errors that follows from them.

    $\lambda_i \sim i^{-a}$ and $v_i^2 \sim i^{-b}$, with i the rank of a single eigenfunction.
    A ridge is described by its decay l, $\delta \sim n^{-l}$: 0 is a fixed ridge, `math.inf` no
    ridge at all, and "optimal" the ridge of the least test error. Where an exponent is the smaller
    one of two that are equal, a logarithm multiplies the power.

    Args:
        capacity_exponent: the exponent a > 1 of the spectrum.
        target_exponent: the exponent b > 1 of the target; without it the laws that hold for any
            target are left.
        capacity_error: standard error of a, where it was fitted.
        target_error: standard error of b, where it was fitted.

    Raises:
        ValueError: an exponent is not finite or not above 1.

    Exact exponents (rational numbers of sympy) give exact answers. Expressions with symbols give
    expressions, in which the smaller one of two is `sympy.Min`; their values are taken to be above
    1 unless they are known not to be.

    Reference: arXiv:2105.15004 (its $\alpha$ is a and its r the `source`), arXiv:2002.02561,
    arXiv:1905.10843.

    Examples:
        >>> laws = ScalingExponents(capacity_exponent=2.0, target_exponent=3.0)
        >>> laws
        ScalingExponents(capacity_exponent=2.0, target_exponent=3.0)
        >>> laws.source
        0.5
        >>> laws.test_error_decay(ridge_decay=math.inf, noisy=False)
        2.0
        >>> round(laws.test_error_decay(ridge_decay="optimal", noisy=True), 12)
        0.666666666667
    """

    capacity_exponent: Any
    target_exponent: Any = None
    capacity_error: float | None = None
    target_error: float | None = None

    def __post_init__(self) -> None:
        _check_exponent("capacity_exponent", self.capacity_exponent)
        if self.target_exponent is not None:
            _check_exponent("target_exponent", self.target_exponent)
        for name in ("capacity_error", "target_error"):
            error = getattr(self, name)
            if error is not None:
                check.nonnegative(name, check.finite(name, error, ndim=0))

    def __repr__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        shown = [f"{name}={value!r}" for name, value in given.items() if value is not None]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        """The exponents, and the decay of the test error at three ridges."""
        exponents = [("a", self.capacity_exponent, self.capacity_error)]
        if self.target_exponent is None:
            return html_table(f"Scaling exponents: {_shown(exponents)}", [], [])
        exponents.append(("b", self.target_exponent, self.target_error))
        exponents.append(("source", self.source, self.source_error))
        ridges = {"none": math.inf, "fixed": 0, "optimal": "optimal"}
        rows = [
            [name, *(_cell(self.test_error_decay(ridge, noisy=noisy)) for noisy in (False, True))]
            for name, ridge in ridges.items()
        ]
        title = f"Scaling exponents: {_shown(exponents)}. Decay of the test error with n:"
        return html_table(title, ["ridge", "without noise", "with noise"], rows)

    @property
    def _smoothness(self) -> Any:
        """The b of the laws that need a target."""
        if self.target_exponent is None:
            raise ValueError(
                "target_exponent must be given for a law of the bias or the test error, got None"
            )
        return self.target_exponent

    def _numbers(self) -> tuple[float, float]:
        """The exponents a and b as floats, for laws that are solved in floats."""
        pair = {"capacity_exponent": self.capacity_exponent, "target_exponent": self._smoothness}
        for name, value in pair.items():
            if _is_symbolic(value):
                raise TypeError(f"{name} must be a number for this law, got {value}")
        return float(self.capacity_exponent), float(self._smoothness)

    @property
    def source(self) -> Any:
        r"""The source exponent $r = (b - 1)/(2a)$: $v_i^2 \sim i^{-1 - 2 a r}$."""
        return (self._smoothness - 1) / (2 * self.capacity_exponent)

    @property
    def source_error(self) -> float | None:
        """Standard error of the source exponent, of independent errors of a and b."""
        if self.capacity_error is None or self.target_error is None:
            return None
        a, b = self._numbers()
        return math.hypot((b - 1) / (2 * a**2) * self.capacity_error, self.target_error / (2 * a))

    @property
    def saturated(self) -> Any:
        r"""Whether b > 2a + 1: the target is so smooth that its largest modes make the bias.

        A relation of sympy where symbols leave it open.
        """
        answer = self._smoothness > 2 * self.capacity_exponent + 1
        return answer if _is_symbolic(answer) else bool(answer)

    @property
    def interpolation_decay(self) -> Any:
        r"""$\beta = \min(2a, b - 1)$, the decay of the test error without ridge and noise."""
        return _least(2 * self.capacity_exponent, self._smoothness - 1)

    def effective_ridge_decay(self, ridge_decay: RidgeDecay) -> Any:
        r"""The c in $\kappa \sim n^{-c}$: $c = \min(a, 1 + l)$ at the ridge $n^{-l}$.

        Since $n = \kappa^{-1/a} + \delta/\kappa$, up to constants. It is a for the optimal ridge
        without noise, and $a/(1 + \beta)$ with noise: see `optimal_ridge_decay`.

        Args:
            ridge_decay: l, a number above -1; `math.inf` for no ridge.

        Raises:
            ValueError: l is not above -1, where the effective ridge would grow.
            TypeError: l is no single number.
        """
        return _least(self.capacity_exponent, 1 + _checked_decay(ridge_decay))

    def bias_decay(self, ridge_decay: RidgeDecay) -> Any:
        r"""The decay of the bias, $c \min(2, (b-1)/a)$ with c of `effective_ridge_decay`.

        Args:
            ridge_decay: l of the ridge $n^{-l}$; 0 for a fixed one, `math.inf` for none.

        Raises:
            ValueError: it is no such decay, or there is no target exponent.
        """
        return (
            self.effective_ridge_decay(ridge_decay)
            * self.interpolation_decay
            / self.capacity_exponent
        )

    def noise_decay(self, ridge_decay: RidgeDecay) -> Any:
        r"""The decay of the variance from noise, $1 - c/a$ with c of `effective_ridge_decay`.

        The variance tends to $(a - 1) \sigma^2$ without ridge, and to
        $\sigma^2 \sum_i q_i^2/n \sim \kappa^{-1/a}/n$ where the ridge counts.

        Args:
            ridge_decay: l of the ridge $n^{-l}$; 0 for a fixed one, `math.inf` for none.

        Raises:
            ValueError: it is no such decay.
        """
        return 1 - self.effective_ridge_decay(ridge_decay) / self.capacity_exponent

    def optimal_ridge_decay(self, *, noisy: bool) -> Any:
        r"""The l of the best ridge $n^{-l}$.

        Without noise a - 1, the slowest decay with $\kappa \sim n^{-a}$. With noise bias and
        variance decay alike at $c = a/(1 + \beta)$, hence $l = c - 1$, which can be negative.

        Args:
            noisy: whether labels are noisy.

        Raises:
            ValueError: labels are noisy and there is no target exponent.
        """
        if not noisy:
            return self.capacity_exponent - 1
        return self.capacity_exponent / (1 + self.interpolation_decay) - 1

    def test_error_decay(self, ridge_decay: RidgeDecay, *, noisy: bool) -> Any:
        r"""The decay of the test error with n in kernel regression.

        | ridge | without noise | with noise |
        |---|---|---|
        | none | $\beta$ | 0 |
        | $n^{-l}$ | $c \beta/a$ | $\min(c \beta/a,\ 1 - c/a)$ |
        | optimal | $\beta$ | $\beta/(1 + \beta)$ |

        with $\beta = \min(2a, b-1)$ and $c = \min(a, 1 + l)$.

        Args:
            ridge_decay: the l of the ridge $n^{-l}$, a number above -1: 0 for a fixed ridge,
                `math.inf` for none; or "optimal".
            noisy: whether labels have noise. With little noise its law takes over late only: see
                `noise_crossover`.

        Raises:
            ValueError: l is neither above -1 nor "optimal", or there is no target exponent.
            TypeError: l is no single number.
        """
        if isinstance(ridge_decay, str) and ridge_decay == "optimal":
            # Bias and variance decay alike there: of symbols no least one is left to be found.
            best = self.interpolation_decay
            return best / (1 + best) if noisy else best
        bias = self.bias_decay(ridge_decay)
        return _least(bias, self.noise_decay(ridge_decay)) if noisy else bias

    @property
    def feature_decay(self) -> Any:
        r"""The decay with p of the error of p random features on infinitely many samples.

        It is $\min(a, b - 1)$, at any ridge and noise: $T = \sum_i (1 - q_i) v_i^2$ at the
        effective ridge $\gamma \sim p^{-a}$ of p = sum q. At a fixed number of samples the error
        approaches that of the kernel as 1/p, at a fixed number of features that of infinitely many
        samples as 1/n.

        Reference: arXiv:2311.14646, arXiv:2102.06701.
        """
        return _least(self.capacity_exponent, self._smoothness - 1)

    def sufficient_features(self, *, noisy: bool) -> Any:
        r"""The e for which $p \sim n^e$ random features decay as the kernel does, at best ridge.

        Features must outnumber what is learned, $\sum_i q_i \sim n^{c/a}$, and the variance from
        features, $\frac{1}{p} \kappa^{-1/a} \kappa^{\min(1, (b-1)/a)}$, must not exceed the bias:
        $e = \frac{c}{a}\big(1 + \beta - \min(a, b-1)\big)$, $c = a$ without noise and
        $a/(1 + \beta)$ with noise.

        Args:
            noisy: whether labels are noisy.

        Raises:
            ValueError: there is no target exponent.

        Reference: arXiv:1602.04485, theorem 3 with $\alpha = \gamma$.
        """
        scale = 1 / (1 + self.interpolation_decay) if noisy else 1
        return scale * (1 + self.interpolation_decay - self.feature_decay)

    def noise_crossover(self, noise_variance: Any) -> Any:
        r"""The n at which noise takes over without ridge, at unit prefactors.

        For $\lambda_i = i^{-a}$ and $v_i^2 = i^{-b}$. There the variance from noise,
        $(a - 1) \sigma^2$, equals the error without noise, $a B$:
        $$\kappa = (C/n)^a, \quad C = \frac{\pi/a}{\sin(\pi/a)}, \qquad
          B = \kappa^y\, \frac{(1-y)\,\pi}{a \sin(\pi y)}, \quad y = \frac{b-1}{a} < 2,$$
        and $B = \kappa^2 \zeta(b - 2a)$ for $y > 2$. It holds where that n is large.

        Args:
            noise_variance: $\sigma^2 > 0$, any shape.

        Returns:
            n, of that shape; infinity where it exceeds the range of floats.

        Raises:
            ValueError: a noise variance is not positive, or b = 2a + 1, where B is no power.
            TypeError: the exponents are no numbers.
        """
        noise = check.positive("noise_variance", noise_variance)
        a, b = self._numbers()
        smoothness, decay = (b - 1) / a, min(2 * a, b - 1)
        if smoothness == 2:
            raise ValueError(
                f"target_exponent must not be 2 capacity_exponent + 1, got {b:g}: logarithms"
            )
        scale = math.log(math.pi / a / math.sin(math.pi / a))
        prefactor = math.log(a / (a - 1) * _bias_prefactor(a, smoothness)) + decay * scale
        with np.errstate(over="ignore"):
            return _plain(np.exp((prefactor - np.log(noise)) / decay))

    def optimal_fitting_ratio(self, relative_noise: Any) -> Any:
        r"""The $\sqrt{\mathrm{train}/(T + \sigma^2)}$ of the best ridge >= 0 at many samples.

        The ratio is $R = \delta/(n \kappa) = 1 - \sum_i q_i/n$. With $\sigma^2 = s\,T_0$, where
        $T_0$ is the test error without ridge and noise at the same n,
        $$T + \sigma^2 \propto \frac{(1-R)^{1-b} + a s}{1 + (a-1) R},$$
        which is least at the only root in (0, 1) of
        $$b - a + (a-1)\, b R - a (a-1)\, s\, (1-R)^b = 0,$$
        and, of all ridges that are not negative, at R = 0, interpolation, if there is none: for
        $s \le s_0 = (b-a)/(a(a-1))$. Where $s < s_0$ a negative ridge is better still, and
        `kt.optimal_ridge` returns it: the same equation has its root in $(-1/(a-1), 0)$ then,
        $\delta = R n \kappa < 0$, with the train error $R^2 (T + \sigma^2)$. The 0 returned here
        is that of the best ridge which is not negative.

        Args:
            relative_noise: $s \ge 0$, any shape.

        Returns:
            R in [0, 1), of that shape.

        Raises:
            ValueError: s is negative, or b is not below 2a + 1.
            TypeError: the exponents are no numbers.

        Reference: arXiv:2311.14646.

        Examples:
            >>> laws = ScalingExponents(capacity_exponent=2, target_exponent=3)
            >>> laws.optimal_fitting_ratio([0.5, 5.0]).round(6)
            array([0.      , 0.397112])
        """
        noise = check.nonnegative("relative_noise", relative_noise)
        a, b = self._numbers()
        if not b < 2 * a + 1:
            raise ValueError(
                f"target_exponent must be below 2 capacity_exponent + 1 = {2 * a + 1:g}, where "
                f"the bias is made by modes about to be learned, got {b:g}"
            )

        def slope(ratio: np.ndarray) -> np.ndarray:
            return b - a + (a - 1) * b * ratio - a * (a - 1) * noise * (1 - ratio) ** b

        # It rises with R, to a (b - 1) > 0 at R = 1.
        low, high = np.zeros(noise.shape), np.ones(noise.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            interpolates = slope(low) >= 0
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                below = slope(middle) < 0
                low, high = np.where(below, middle, low), np.where(below, high, middle)
        return _plain(np.where(interpolates, 0.0, (low + high) / 2))


def _is_symbolic(value: Any) -> bool:
    return bool(getattr(value, "free_symbols", None))


def _check_exponent(name: str, value: Any) -> None:
    """Refuse an exponent that is not above 1; of an expression, one that is known not to be."""
    if _is_symbolic(value):
        above = value.is_extended_real is not False and (value - 1).is_positive is not False
    else:
        above = check.finite(name, value, ndim=0) > 1
    if not above:
        raise ValueError(f"{name} must be above 1, where sums are finite, got {value}")


def _checked_decay(value: Any) -> Any:
    """A ridge's decay l, which must be above -1."""
    accepted = (
        "ridge_decay must be the decay l > -1 of a ridge n^-l, 0 for a fixed one, math.inf for "
        f'none, or "optimal" for a test error, got {value!r}'
    )
    if isinstance(value, str):
        raise ValueError(accepted)
    if _is_symbolic(value):
        above = (value + 1).is_positive is not False
    else:
        try:
            above = np.ndim(value) == 0 and float(value) > -1
        except (TypeError, ValueError):
            raise TypeError(accepted) from None
        if np.ndim(value):
            raise TypeError(accepted)
    if not above:
        raise ValueError(accepted)
    return value


def _least(*values: Any) -> Any:
    """The least of numbers; of expressions, sympy's Min."""
    if not any(map(_is_symbolic, values)):
        return min(values)
    import sympy  # only where an argument already is an expression of it

    return sympy.Min(*values)


def _plain(values: np.ndarray) -> Any:
    return values if np.ndim(values) else float(values)


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else text(value)


def _shown(exponents: list[tuple[str, Any, float | None]]) -> str:
    return ", ".join(
        f"{name} = {_cell(value)}" + ("" if error is None else f" ± {error:.2g}")
        for name, value, error in exponents
    )


def _bias_prefactor(a: float, smoothness: float) -> float:
    """B/kappa^min(2, y) of the sum over i of (1 + kappa^-1 i^-a)^-2 i^-b, y = (b - 1)/a."""
    if smoothness > 2:
        return float(zeta(a * (smoothness - 2) + 1))
    # (1 - y) pi/sin(pi y) = pi (1 - y)/sin(pi (1 - y)).
    return 1 / (a * float(np.sinc(1 - smoothness)))
