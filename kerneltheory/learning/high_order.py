"""Learning curves in the limit of high dimension with samples of the order of one degree.

With n = alpha N(d, r) samples and d to infinity, degrees below r are learned, degrees above r
act as ridge and noise, and degree r is a ridge regression with as many samples as features, which
the law of Marchenko and Pastur solves (arXiv:2205.14846).
"""

from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from kerneltheory.core import check
from kerneltheory.core.errors import DivergentError
from kerneltheory.core.precision import float64_policy
from kerneltheory.core.records import is_concrete, positive, working_dtype
from kerneltheory.learning.curve import LearningCurve
from kerneltheory.learning.equivalent import check_target
from kerneltheory.learning.marchenko_pastur import (
    discriminant_root,
    least_effective_ridge,
    marchenko_pastur_shift,
)
from kerneltheory.learning.risk import errors_from, product
from kerneltheory.spectra.spectrum import Target
from kerneltheory.sphere.harmonics import multiplicity

# Of h(1). Taylor coefficients are midpoints of balls of at least 200 bits: one that is zero, by
# the symmetry of the kernel, may come out as a number below this.
VANISHING = 1e-50


class DotProductKernel(Protocol):
    """What the limit needs of a kernel h(t): its Taylor coefficients at 0 and h(1)."""

    def taylor_coefficients(self, count: int, /) -> np.ndarray:
        r"""$h^{(k)}(0)/k!$ for k < count, shape (count,)."""
        ...

    @property
    def trace(self) -> Any:
        """h(1)."""
        ...


class _Split(NamedTuple):
    """A kernel and a target as degree r sees them."""

    scale: float  # mu_r^2
    excess_ridge: float  # mu_{>r}^2
    learned: np.ndarray  # of each degree below r, whether the kernel has it
    own_power: Any  # F_r^2
    lost_power: Any  # F_{>r}^2 and the power below r that the kernel does not have


@float64_policy
def high_order_curve(
    kernel: DotProductKernel,
    target: Target,
    order: int,
    alpha: Any,
    ridge: Any,
    *,
    dim: int | None = None,
    counting: Literal["limit", "finite"] = "limit",
) -> LearningCurve:
    r"""Return the learning curve at $n = \alpha N(d, r)$ samples as d goes to infinity.

    With $\mu_k^2 = h^{(k)}(0)/k!$, $\zeta = (\delta + \mu_{>r}^2)/\mu_r^2$ and the root $\tau$ of
    `marchenko_pastur_shift`,
    $$E_0 = \frac{1}{1 - 1/(\alpha (1+\tau)^2)}, \quad
      B = \Big(\frac{\tau}{1+\tau}\Big)^2 F_r^2 + F_{>r}^2, \quad
      T + \sigma^2 = E_0 (B + \sigma^2).$$
    A degree k < r with $\mu_k = 0$ is never learned: its power counts in $F_{>r}^2$.

    Args:
        kernel: has `taylor_coefficients(count)` and `trace`, h(1).
        target: its power by degree, and the label noise.
        order: r >= 1.
        alpha: samples in units of N(d, r), > 0, any shape.
        ridge: absolute ridge $\delta$, of a shape that broadcasts with alpha. It may be negative as
            long as the Gram matrix plus $\delta$ is positive definite: zeta above
            $-(1 - \sqrt\alpha)^2$ for $\alpha < 1$, and above 0 otherwise.
        dim: d, if the curve is to tell n.
        counting: "finite" corrects for the multiplicities at `dim` in the same closed form:
            $\alpha \to (n - N_{<r})/N_r$ and $E_0 = n/(n - N_{<r} - N_r/(1+\tau)^2)$, where
            $N_{<r}$ counts the degrees below r that the kernel has.

    Returns:
        The curve, with `alpha`, and with n if `dim` is given. `kappa` and `eigenvalues` are in
        units of the eigenvalue of degree r, so that `kappa` is $\tau$; lower degrees have the
        eigenvalue infinity there, higher ones 0.

    Raises:
        ValueError: an argument is out of its range, the ridge is too negative, the kernel has no
            degree r, or, with finite counting, n is not above $N_{<r}$.
        DivergentError: $\zeta = 0$ at $\alpha = 1$, the peak, which is infinite.

    Reference: arXiv:2205.14846.

    Examples:
        >>> class Quadratic:
        ...     trace = 2.0
        ...     def taylor_coefficients(self, count):
        ...         return np.array([0.0, 1.0, 1.0])[:count]  # h(t) = t + t^2
        >>> curve = high_order_curve(Quadratic(), Target({2: 1.0}), 2, alpha=0.5, ridge=0.0)
        >>> round(float(curve.test_error), 12)  # without noise and ridge: 1 - alpha
        0.5
    """
    order = check.integer("order", order, minimum=1)
    _check_arguments(target, alpha, ridge, dim, counting)
    split = _split(kernel, target, order)
    dtype = working_dtype(target, alpha, ridge)
    given = alpha, ridge, target.noise_variance
    shape = np.broadcast_shapes(*map(np.shape, given))
    alpha, ridge, noise = (jnp.broadcast_to(jnp.asarray(x, dtype), shape) for x in given)
    lower = _lower_samples(split, order, dim) if dim and counting == "finite" else 0.0
    samples = alpha - lower
    if is_concrete(samples) and np.any(np.asarray(samples) <= 0):
        raise ValueError(
            f"alpha must be above N_<r/N_r = {lower:.6g} with counting='finite', got "
            f"{np.min(alpha):.6g}: with fewer samples lower degrees are still being learned"
        )
    zeta = (ridge + split.excess_ridge) / split.scale
    _refuse_ridge(split, samples, zeta, ridge, noise)
    curve: dict[str, Any] = _curve(split, noise, samples, lower, zeta, ridge)
    finite = f" with the multiplicities at dim {dim}" if counting == "finite" else ""
    levels = max(order, target.highest_degree) + 1
    return LearningCurve(
        n=None if dim is None else alpha * _as_float(multiplicity(dim, order)),
        ridge=ridge,
        noise_variance=noise,
        alpha=alpha,
        eigenvalues=jnp.asarray(_relative_eigenvalues(split, order, levels), dtype),
        method=f"limit of order {order}{finite}",
        error="relative error O(1/dim)" if finite else "relative error O(1/dim), 10-30% at dim 30",
        **curve,
    )


def _curve(
    split: _Split,
    noise: jax.Array,
    samples: jax.Array,
    lower: float,
    zeta: jax.Array,
    ridge: jax.Array,
) -> dict[str, jax.Array]:
    """The errors from alpha - N_<r/N_r, N_<r/N_r and zeta; no sum cancels."""
    tau = jnp.asarray(marchenko_pastur_shift(samples, zeta))
    root = discriminant_root(samples, zeta)
    learned = 1 / (1 + tau)
    unlearned = jnp.where(
        tau > 1, 1 / (1 + 1 / jnp.maximum(tau, 1)), tau / (1 + jnp.minimum(tau, 1))
    )
    excess = learned / root + lower / (learned * root)
    bias = unlearned**2 * split.own_power + split.lost_power
    # delta/(n kappa) n/N_r; without any ridge, and more samples than features, its limit.
    positive = tau > 0
    no_ridge = jnp.maximum(samples - 1, 0)
    true_ridge_term = jnp.where(
        positive, ridge / (split.scale * jnp.where(positive, tau, 1)), no_ridge
    )
    errors = errors_from(bias, excess, noise)
    share = (true_ridge_term / (samples + lower)) ** 2
    return errors | {"train_error": product(errors["gcv"], share), "kappa": tau}


def _refuse_ridge(split: _Split, samples: Any, zeta: Any, ridge: Any, noise: Any) -> None:
    """Refuse a ridge at which the test error is infinite, or below which it has no meaning."""
    if not is_concrete(samples, zeta, noise, split.lost_power):
        return
    samples, zeta, ridge = (np.asarray(value) for value in (samples, zeta, ridge))
    magnified = np.asarray(noise + split.lost_power)
    if np.any((samples == 1) & (zeta == 0) & (magnified > 0)):
        raise DivergentError(
            "at alpha = 1, the peak, the variance is infinite without ridge and without higher "
            "degrees in the kernel; take a ridge > 0 or another alpha"
        )
    least = split.scale * np.asarray(least_effective_ridge(samples)) - split.excess_ridge
    if np.any((ridge < 0) & (ridge <= least)):
        worst = np.unravel_index(np.argmin(ridge - least), ridge.shape)
        raise ValueError(
            f"ridge must be above {least[worst]:.6g}, minus the least eigenvalue of the Gram "
            f"matrix, at alpha = {samples[worst]:.6g}; got {ridge[worst]:.6g}"
        )


def limit_masses(kernel: DotProductKernel, count: int) -> tuple[np.ndarray, float]:
    r"""Return $\mu_k^2$ for k < count, shape (count,), and what is left of h(1).

    Raises:
        TypeError: the kernel has no Taylor coefficients.
        ValueError: they are negative or add up to more than h(1), so that the kernel is not
            positive definite in all dimensions.
    """
    if not hasattr(kernel, "taylor_coefficients"):
        raise TypeError(
            "kernel must be a dot-product kernel with Taylor coefficients, "
            f"got {check.shown(kernel)}"
        )
    masses = np.asarray(kernel.taylor_coefficients(count), dtype=np.float64)
    trace = float(kernel.trace)
    # What is left of h(1) after subtraction is known to the rounding of the sum, no better.
    rounding = 4 * count * np.finfo(np.float64).eps * trace
    excess = trace - masses.sum()
    if masses.min() < -rounding or excess < -rounding:
        raise ValueError(
            "kernel must have non-negative Taylor coefficients that sum to h(1), as every kernel "
            f"that is positive definite in all dimensions has; got {masses} and h(1) = {trace:.6g}"
        )
    masses = np.where(masses > VANISHING * trace, masses, 0.0)
    return masses, float(excess) if excess > rounding else 0.0


def _split(kernel: DotProductKernel, target: Target, order: int) -> _Split:
    masses, excess = limit_masses(kernel, order + 1)
    if masses[order] <= 0:
        raise ValueError(
            f"order {order}: the kernel's Taylor coefficient of degree {order} vanishes, so that "
            f"no number of samples n ~ d^{order} learns degree {order} and there is no peak; "
            "choose an order whose coefficient is positive"
        )
    powers = target.powers(max(order, target.highest_degree) + 1)
    learned = masses[:order] > 0
    return _Split(
        scale=float(masses[order]),
        excess_ridge=excess,
        learned=learned,
        own_power=powers[order],
        lost_power=powers[order + 1 :].sum() + powers[:order][~learned].sum(),
    )


def _as_float(count: int) -> float:
    """A count as a float; infinity where floats do not hold it."""
    try:
        return float(count)
    except OverflowError:
        return np.inf


def _lower_samples(split: _Split, order: int, dim: int) -> float:
    """N_<r/N_r."""
    counts = (multiplicity(dim, k) for k in np.flatnonzero(split.learned).tolist())
    return sum(counts) / multiplicity(dim, order)


def _relative_eigenvalues(split: _Split, order: int, levels: int) -> np.ndarray:
    values = np.zeros(levels)
    values[:order] = np.where(split.learned, np.inf, 0.0)
    values[order] = 1.0
    return values


def _check_arguments(target: Any, alpha: Any, ridge: Any, dim: Any, counting: Any) -> None:
    check_target(target)
    positive("alpha", alpha)
    if is_concrete(ridge):
        check.finite("ridge", ridge)
    check.broadcastable(alpha=alpha, ridge=ridge)
    if np.ndim(target.noise_variance):
        check.broadcastable(alpha=alpha, ridge=ridge, noise_variance=target.noise_variance)
    if dim is not None:
        check.integer("dim", dim, minimum=2)
    if counting not in ("limit", "finite"):
        raise ValueError(f"counting must be 'limit' or 'finite', got {counting!r}")
    if counting == "finite" and dim is None:
        raise ValueError("dim must be given with counting='finite', got None")
